//! A check of a domain in the simulator: what is wrong is found, and what is not wrong is not.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::Settings;
use posthaste_dns::walk::{About, DomainReport, Limit, Limits, Problem, domain};
use posthaste_evidence::{AnswerKind, Effect, RecordType};
use posthaste_io_sim::{Host, Link, Sim};
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};

const ROOT: &str = "198.51.100.1";
const TLD: &str = "198.51.100.2";
const OWN: [&str; 2] = ["203.0.113.1", "203.0.113.2"];
const RESOLVERS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];

const TLD_ZONE: &str = "nic.test TXT x\na.nic.test A 198.51.100.2\n\
    shop.test NS ns1.shop.test\nshop.test NS ns2.shop.test\nns1.shop.test A 203.0.113.1\nns2.shop.test A 203.0.113.2";
const SHOP: &str = "shop.test SOA ns1.shop.test 7 300\nshop.test NS ns1.shop.test\nshop.test NS ns2.shop.test\n\
    ns1.shop.test A 203.0.113.1\nns2.shop.test A 203.0.113.2\nmx.shop.test A 203.0.113.80\nmx2.shop.test A 203.0.113.81";
const MX: &str = "shop.test MX 10 mx.shop.test\nshop.test MX 20 mx2.shop.test";

struct Lab {
    sim: Sim,
    us: Host,
    tld: DnsServer,
    own: [DnsServer; 2],
    resolvers: [DnsServer; 2],
}

impl Lab {
    fn new() -> Self {
        Self::with(MX)
    }

    /// With these records besides [`SHOP`].
    fn with(records: &str) -> Self {
        let sim = Sim::new(5);
        let start = |ip: &str, server: DnsServer| {
            let host = sim.host(ip, &[ip.parse().unwrap()]);
            let (world, running) = (host.world(), server.clone());
            let at = SocketAddr::new(ip.parse().unwrap(), 53);
            sim.block_on(&host, async move { running.start(&world, at).await }).unwrap();
            server
        };
        let root = "test NS a.nic.test\na.nic.test A 198.51.100.2";
        start(ROOT, DnsServer::authoritative(vec![zone(".", root)]));
        let tld = start(TLD, DnsServer::authoritative(vec![zone("test", TLD_ZONE)]));
        let text = format!("{SHOP}\n{records}");
        let own = OWN.map(|ip| start(ip, DnsServer::authoritative(vec![zone("shop.test", &text)])));
        let resolvers = RESOLVERS.map(|ip| start(ip, DnsServer::new(recursive(&text))));
        let us = sim.host("us", &["192.0.2.25".parse().unwrap()]);
        Self { sim, us, tld, own, resolvers }
    }

    fn check(&self, name: &str) -> DomainReport {
        let at = |ip: &str| SocketAddr::new(ip.parse().unwrap(), 53);
        let servers = RESOLVERS.map(|ip| at(ip).into()).to_vec();
        let settings = Settings { roots: vec![at(ROOT)], servers, ..Settings::default() };
        let (world, name) = (self.us.world(), name.to_owned());
        let report =
            self.sim.block_on(&self.us, async move { domain(&world, &settings, &name).await });
        let report = report.unwrap();
        assert!(report.took <= Limits::CHECK.time, "{:?}", report.took);
        assert!(report.observations.len() <= Limits::CHECK.questions);
        report
    }

    fn kill(&self, ip: &str) {
        self.sim.link(&self.us, ip.parse::<IpAddr>().unwrap(), Link::Drop);
    }

    /// Replaces the zone of some servers.
    fn serve(&self, servers: &[usize], text: &str) {
        for place in servers {
            self.own[*place].set_zones(vec![zone("shop.test", text)]);
        }
    }
}

fn zone(apex: &str, text: &str) -> Zone {
    Zone::parse_at(apex, text).unwrap()
}

/// What a recursive server has: the same records, without authority, and the root's servers.
fn recursive(text: &str) -> Zone {
    Zone::parse(&format!("{text}\n. NS a.root.test")).unwrap()
}

fn problems(report: &DomainReport) -> Vec<(Problem, Effect)> {
    report.findings.iter().map(|finding| (finding.problem, finding.effect)).collect()
}

#[test]
fn a_healthy_domain_has_no_findings() {
    let report = Lab::new().check("Shop.Test");
    assert_eq!(problems(&report), []);
    assert_eq!(report.name, "shop.test");
    let zones: Vec<&str> = report.seen.zones.iter().map(|zone| zone.name.as_str()).collect();
    assert_eq!(zones, ["", "test", "shop.test"]);
    assert_eq!(report.seen.servers.len(), 2);
    assert!(report.seen.servers.iter().all(|s| s.tcp.is_some() && s.own == Some(true)));
    let hosts: Vec<_> =
        report.seen.exchangers.iter().map(|h| (h.preference, h.name.as_str())).collect();
    assert_eq!(hosts, [(Some(10), "mx.shop.test"), (Some(20), "mx2.shop.test")]);
    assert!(report.limits.is_empty());
}

type Case = (&'static str, fn(&Lab), &'static [(Problem, Effect)]);

fn find_in_each(cases: &[Case]) {
    for (story, make, expected) in cases {
        let lab = Lab::new();
        make(&lab);
        let report = lab.check("shop.test");
        assert_eq!(problems(&report), *expected, "{story}: {:#?}", report.findings);
        assert!(report.findings.iter().all(|f| !f.evidence.is_empty()), "{story}");
    }
}

#[test]
fn servers_that_do_not_know_their_zone_are_found() {
    use Effect::{Blocking, Degrading};
    find_in_each(&[
        ("one is dead", |lab| lab.kill(OWN[1]), &[(Problem::ServerDead, Degrading)]),
        (
            "one is lame: refused",
            |lab| lab.own[1].behave("*", None, Behaviour::Rcode(5)),
            &[(Problem::ServerLame(AnswerKind::Refused), Degrading)],
        ),
        (
            "one points upwards",
            |lab| lab.own[0].behave("*", None, Behaviour::Lame),
            &[(Problem::ServerLame(AnswerKind::Lame), Degrading)],
        ),
        (
            "one is a stale secondary",
            |lab| {
                let old = "shop.test MX 10 old.shop.test\nold.shop.test A 203.0.113.9";
                lab.serve(&[1], &format!("{SHOP}\n{old}").replace(" 7 300", " 6 300"));
            },
            &[(Problem::SerialsDiffer, Degrading), (Problem::ExchangersDiffer, Degrading)],
        ),
        (
            "all are dead, and our resolvers remember",
            |lab| OWN.into_iter().for_each(|ip| lab.kill(ip)),
            &[
                (Problem::AllServersDead, Degrading),
                (Problem::ServerDead, Degrading),
                (Problem::ServerDead, Degrading),
            ],
        ),
        (
            "all are dead for everybody",
            |lab| {
                OWN.into_iter().for_each(|ip| lab.kill(ip));
                for resolver in &lab.resolvers {
                    resolver.behave("shop.test", None, Behaviour::Rcode(2));
                }
            },
            &[
                (Problem::AllServersDead, Blocking),
                (Problem::ServerDead, Degrading),
                (Problem::ServerDead, Degrading),
            ],
        ),
    ]);
}

#[test]
fn ways_by_which_a_server_cannot_be_asked_are_found() {
    use Effect::{Cosmetic, Degrading};
    find_in_each(&[
        (
            "one drops EDNS",
            |lab| lab.own[0].behave("*", None, Behaviour::DropEdns),
            &[(Problem::EdnsDropped, Degrading), (Problem::TcpClosed, Cosmetic)],
        ),
        (
            "one does not understand EDNS",
            |lab| lab.own[0].behave("*", None, Behaviour::NoEdns),
            &[(Problem::EdnsRefused, Cosmetic)],
        ),
        (
            "large answers are lost",
            |lab| {
                for own in &lab.own {
                    own.behave("shop.test", Some(RecordType::Mx), Behaviour::TruncateForEver);
                }
            },
            &[(Problem::LargeAnswerLost, Degrading), (Problem::LargeAnswerLost, Degrading)],
        ),
    ]);
}

#[test]
fn a_broken_answer_to_aaaa_is_found_and_called_cosmetic() {
    for (behaviour, kind) in [
        (Behaviour::Rcode(2), AnswerKind::ServFail),
        (Behaviour::Rcode(3), AnswerKind::NxDomain),
        (Behaviour::Rcode(4), AnswerKind::NotImp),
        (Behaviour::Rcode(5), AnswerKind::Refused),
        (Behaviour::Drop, AnswerKind::Timeout),
        (Behaviour::NoDataOf("other.test".into()), AnswerKind::Malformed),
        (Behaviour::Malformed, AnswerKind::Malformed),
    ] {
        let lab = Lab::new();
        for own in &lab.own {
            own.behave("mx.shop.test", Some(RecordType::Aaaa), behaviour.clone());
        }
        let found = problems(&lab.check("shop.test"));
        assert_eq!(found, [(Problem::AaaaBroken(kind), Effect::Cosmetic)], "{behaviour:?}");
    }
}

#[test]
fn what_the_mail_exchangers_lack_is_found() {
    use Effect::{Blocking, Cosmetic, Degrading};
    for (records, expected) in [
        (
            "shop.test MX 10 gone.shop.test",
            &[(Problem::AllExchangersDangling, Blocking), (Problem::ExchangerDangling, Degrading)]
                [..],
        ),
        (
            "shop.test MX 10 gone.shop.test\nshop.test MX 20 mx.shop.test",
            &[(Problem::ExchangerDangling, Degrading)],
        ),
        (
            "shop.test MX 10 alias.shop.test\nalias.shop.test CNAME mx.shop.test",
            &[(Problem::ExchangerIsAlias, Cosmetic)],
        ),
        (
            "shop.test MX 10 192.0.2.5",
            &[(Problem::AllExchangersDangling, Blocking), (Problem::ExchangerIsAddress, Degrading)],
        ),
        (
            "shop.test MX 10 in.shop.test\nin.shop.test A 10.0.0.5",
            &[(Problem::AllExchangersPrivate, Blocking), (Problem::ExchangerPrivate, Degrading)],
        ),
        ("shop.test MX 0 .", &[(Problem::NullMx, Blocking)]),
        ("shop.test A 203.0.113.7", &[(Problem::ImplicitMx, Cosmetic)]),
        ("shop.test TXT x", &[(Problem::NoRecords, Blocking)]),
        ("shop.test 0 MX 10 mx.shop.test", &[(Problem::ZeroTtl, Cosmetic)]),
    ] {
        let report = Lab::with(records).check("shop.test");
        assert_eq!(problems(&report), expected, "{records}: {:#?}", report.findings);
    }
}

#[test]
fn aliases_into_another_zone_are_followed_there() {
    use Effect::{Blocking, Cosmetic, Degrading};
    let alias = (Problem::ExchangerIsAlias, Cosmetic);
    let dangling = [
        (Problem::AllExchangersDangling, Blocking),
        (Problem::ExchangerDangling, Degrading),
        alias,
    ];
    let unknown = [(Problem::ExchangerUnknown, Degrading), alias];
    for (story, shop, above, expected) in [
        ("to a host", "alias.shop.test CNAME a.nic.test", "", &[alias][..]),
        ("to nothing", "alias.shop.test CNAME nobody.nic.test", "", &dangling),
        (
            "there and back to a host here",
            "alias.shop.test CNAME there.nic.test",
            "there.nic.test CNAME mx.shop.test",
            &[alias],
        ),
        ("to itself", "alias.shop.test CNAME alias.shop.test", "", &unknown),
        (
            "in a circle within the zone",
            "alias.shop.test CNAME b.shop.test\nb.shop.test CNAME alias.shop.test",
            "",
            &unknown,
        ),
        (
            "in a circle through two zones",
            "alias.shop.test CNAME there.nic.test",
            "there.nic.test CNAME alias.shop.test",
            &unknown,
        ),
    ] {
        let lab = Lab::with(&format!("shop.test MX 10 alias.shop.test\n{shop}"));
        lab.tld.set_zones(vec![zone("test", &format!("{TLD_ZONE}\n{above}"))]);
        let report = lab.check("shop.test");
        assert_eq!(problems(&report), expected, "{story}: {:#?}", report.findings);
        assert!(report.seen.exchangers[0].target.is_some(), "{story}");
        let circle = story.contains("circle") || story.contains("itself");
        assert_eq!(report.limits.contains(&Limit::Loop), circle, "{story}");
    }
}

#[test]
fn a_domain_that_is_an_alias_is_looked_at_where_it_leads() {
    for (shop, above, expected) in [
        ("shop.test CNAME mail.nic.test", "mail.nic.test MX 10 a.nic.test", Some("a.nic.test")),
        (
            "shop.test CNAME mail.nic.test",
            "mail.nic.test CNAME more.nic.test\nmore.nic.test MX 10 a.nic.test",
            Some("a.nic.test"),
        ),
        ("shop.test CNAME mail.nic.test", "mail.nic.test CNAME shop.test", None),
        ("shop.test CNAME shop.test", "", None),
    ] {
        let lab = Lab::with(shop);
        lab.tld.set_zones(vec![zone("test", &format!("{TLD_ZONE}\n{above}"))]);
        let report = lab.check("shop.test");
        let hosts = report.seen.exchangers.iter().filter(|host| host.preference.is_some());
        let hosts: Vec<&str> = hosts.map(|host| host.name.as_str()).collect();
        assert_eq!(hosts, expected.into_iter().collect::<Vec<_>>(), "{shop} {above}");
        let found = problems(&report);
        assert!(found.contains(&(Problem::ApexAlias, Effect::Degrading)), "{found:?}");
    }
}

#[test]
fn what_the_zone_above_says_is_compared() {
    let lab = Lab::new();
    let stale = TLD_ZONE.replace("ns2.shop.test A 203.0.113.2", "ns2.shop.test A 203.0.113.99");
    lab.tld.set_zones(vec![zone("test", &stale)]);
    let report = lab.check("shop.test");
    let found = problems(&report);
    assert!(found.contains(&(Problem::GlueStale, Effect::Degrading)), "{found:?}");
    assert!(found.contains(&(Problem::ServerDead, Effect::Degrading)), "the old address");
    let good = |s: &&posthaste_dns::walk::seen::ServerSeen| s.ns.is_some();
    assert_eq!(report.seen.servers.iter().filter(good).count(), 2, "the new one is asked, too");

    let other = TLD_ZONE.replace("shop.test NS ns2.shop.test\n", "");
    lab.tld.set_zones(vec![zone("test", &other)]);
    let report = lab.check("shop.test");
    assert_eq!(problems(&report), [(Problem::ServersDiffer, Effect::Cosmetic)]);
    assert_eq!(
        report.seen.servers.len(),
        2,
        "the one that only the zone itself names is asked, too"
    );

    lab.tld.set_zones(vec![zone("test", "nic.test TXT x")]);
    let report = lab.check("shop.test");
    let found = report.findings.iter().find(|f| f.problem == Problem::NotDelegated).unwrap();
    assert_eq!(
        (found.effect, &found.about),
        (Effect::Blocking, &About::Domain("shop.test".into()))
    );
}

#[test]
fn our_own_resolvers_are_told_from_the_domain() {
    use Effect::{Blocking, Cosmetic, Degrading};
    type Case = (&'static str, fn(&DnsServer), Problem);
    let cases: &[Case] = &[
        ("A1", |r| r.behave("*", None, Behaviour::Drop), Problem::ResolverDead),
        ("A4", |r| r.behave("*", None, Behaviour::Rcode(5)), Problem::ResolverRefuses),
        ("A5", |r| r.behave("*", None, Behaviour::Rcode(2)), Problem::ResolverFails),
        ("A7", |r| r.behave("shop.test", None, Behaviour::Rcode(2)), Problem::ResolverFailsHere),
    ];
    for (id, make, problem) in cases {
        let lab = Lab::new();
        make(&lab.resolvers[0]);
        assert_eq!(problems(&lab.check("shop.test")), [(*problem, Degrading)], "{id}, one of two");
        make(&lab.resolvers[1]);
        let both = [(*problem, Blocking), (*problem, Blocking)];
        assert_eq!(problems(&lab.check("shop.test")), both, "{id}, both");
    }
    let lab = Lab::new();
    lab.resolvers[0].behave("*", Some(RecordType::Aaaa), Behaviour::Drop);
    lab.resolvers[1].behave("*", None, Behaviour::RewriteMissing([203, 0, 113, 200].into()));
    let found = problems(&lab.check("shop.test"));
    let expected = [(Problem::ResolverDropsAaaa, Cosmetic), (Problem::ResolverRewrites, Cosmetic)];
    assert_eq!(found, expected, "A11, A10");

    let lab = Lab::new();
    lab.resolvers[0].set_zone(recursive("other.test TXT x"));
    let elsewhere = format!("{SHOP}\nshop.test MX 10 ns1.shop.test");
    lab.resolvers[1].set_zone(recursive(&elsewhere));
    let found = problems(&lab.check("shop.test"));
    assert!(
        found
            .iter()
            .all(|(problem, effect)| { *problem == Problem::ResolverSplit && *effect == Blocking }),
        "the scripted resolver answers with authority, as one with a zone of its own does: {found:?}"
    );
    assert_eq!(found.len(), 2);
}

#[test]
fn with_everything_dead_a_check_ends_in_time_and_accuses_nobody_it_cannot_see() {
    let lab = Lab::new();
    for ip in [ROOT, TLD, OWN[0], OWN[1], RESOLVERS[0], RESOLVERS[1]] {
        lab.kill(ip);
    }
    let found = problems(&lab.check("shop.test"));
    assert_eq!(
        found,
        [
            (Problem::ResolverDead, Effect::Blocking),
            (Problem::ResolverDead, Effect::Blocking),
            (Problem::RootsUnreachable, Effect::Degrading),
        ]
    );
}
