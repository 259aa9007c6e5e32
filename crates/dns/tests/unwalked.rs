//! A check of a domain by our own recursive servers alone: there are no roots, or nobody answers on the way down.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::Settings;
use posthaste_dns::walk::{DomainReport, Problem, domain};
use posthaste_evidence::{Effect, NameServer, Seen, Transport};
use posthaste_io_sim::{Handshake, Host, Sim};
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};

const RESOLVERS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const SHOP: &str = ". NS a.root.test\nshop.test MX 10 mx.shop.test\nmx.shop.test A 203.0.113.80";

struct Lab {
    sim: Sim,
    us: Host,
    settings: Settings,
    resolvers: [DnsServer; 2],
}

impl Lab {
    fn new() -> Self {
        let sim = Sim::new(5);
        let at = |ip: &str, port| SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port);
        let resolvers = RESOLVERS.map(|ip| {
            let host = sim.host(ip, &[ip.parse().unwrap()]);
            let server = DnsServer::new(Zone::parse(SHOP).unwrap());
            for port in [53, 853] {
                let (world, running) = (host.world(), server.clone());
                sim.block_on(&host, async move { running.start(&world, at(ip, port)).await })
                    .unwrap();
            }
            server
        });
        let servers = RESOLVERS.map(|ip| at(ip, 53).into()).to_vec();
        let settings = Settings { servers, ..Settings::default() };
        let us = sim.host("us", &["192.0.2.25".parse().unwrap()]);
        Self { sim, us, settings, resolvers }
    }

    fn behave(&self, name: &str, behaviour: &Behaviour) {
        for resolver in &self.resolvers {
            resolver.behave(name, None, behaviour.clone());
        }
    }

    fn check(&self) -> DomainReport {
        let (world, settings) = (self.us.world(), self.settings.clone());
        let report = self
            .sim
            .block_on(&self.us, async move { domain(&world, &settings, "shop.test").await });
        report.unwrap()
    }
}

#[test]
fn a_resolver_that_is_asked_by_tls_is_asked_by_tls() {
    let mut lab = Lab::new();
    let at = SocketAddr::new(RESOLVERS[0].parse().unwrap(), 853);
    lab.sim.tls(at, Handshake::good(&["dns.test"]));
    lab.settings.servers = vec![NameServer { tls: Some("dns.test".into()), ..at.into() }];
    let report = lab.check();
    let mx = report.seen.resolvers[0].mx.unwrap();
    let Seen::Answer(answer) = &report.observations[mx].seen else { panic!("{report:?}") };
    assert_eq!(answer.transport, Transport::Tls);
    assert_eq!(report.findings, []);
    assert!(lab.resolvers[0].asked().iter().all(|asked| asked.tcp), "never in a datagram");
}

type Case = (&'static str, &'static str, fn(&Lab), &'static [(Problem, Effect)]);

#[test]
fn what_our_servers_say_is_told_where_the_zone_cannot_be_looked_at() {
    use Effect::{Blocking, Cosmetic, Degrading};
    let cases: &[Case] = &[
        ("nothing wrong", "shop.test MX 10 mx.shop.test\nmx.shop.test A 203.0.113.80", |_| (), &[]),
        ("missing", "other.test TXT x", |_| (), &[(Problem::SaidMissing, Blocking)]),
        (
            "dangling",
            "shop.test MX 10 gone.shop.test",
            |_| (),
            &[(Problem::AllExchangersDangling, Blocking), (Problem::ExchangerDangling, Degrading)],
        ),
        ("no records", "shop.test TXT x", |_| (), &[(Problem::NoRecords, Blocking)]),
        ("a null MX", "shop.test MX 0 .", |_| (), &[(Problem::NullMx, Blocking)]),
        ("no MX", "shop.test A 203.0.113.80", |_| (), &[(Problem::ImplicitMx, Cosmetic)]),
        (
            "SERVFAIL",
            SHOP,
            |lab| lab.behave("shop.test", &Behaviour::Rcode(2)),
            &[(Problem::ResolverFailsUnseen, Blocking); 2],
        ),
        (
            "all silent about it",
            SHOP,
            |lab| lab.behave("shop.test", &Behaviour::Drop),
            &[(Problem::ResolverFailsUnseen, Blocking); 2],
        ),
        (
            "all silent",
            SHOP,
            |lab| lab.behave("*", &Behaviour::Drop),
            &[(Problem::ResolverDead, Blocking); 2],
        ),
        (
            "bogus, and nothing without validation either",
            SHOP,
            |lab| {
                let bogus = Behaviour::Extended { rcode: 2, code: 6, text: String::new() };
                lab.behave("shop.test", &bogus);
            },
            &[(Problem::ResolverBogusAlone, Blocking); 2],
        ),
        (
            "one of them knows better",
            SHOP,
            |lab| {
                let empty = Zone::parse(". NS a.root.test").unwrap();
                lab.resolvers[0].set_zone(empty);
            },
            &[(Problem::ResolversDisagree, Degrading)],
        ),
    ];
    for (story, records, make, expected) in cases {
        let lab = Lab::new();
        for resolver in &lab.resolvers {
            resolver.set_zone(Zone::parse(&format!(". NS a.root.test\n{records}")).unwrap());
        }
        make(&lab);
        let report = lab.check();
        let found: Vec<_> = report.findings.iter().map(|f| (f.problem, f.effect)).collect();
        assert_eq!(found, *expected, "{story}: {:#?}", report.findings);
        assert!(report.findings.iter().all(|f| !f.evidence.is_empty()), "{story}");
        assert!(!report.seen.is_at_zone(&report.observations), "{story}");
    }
}

#[test]
fn a_missing_domain_that_mail_was_delivered_to_is_no_typing_error() {
    let lab = Lab::new();
    for resolver in &lab.resolvers {
        resolver.set_zone(Zone::parse(". NS a.root.test").unwrap());
    }
    let report = lab.check();
    for (report, cause, acts) in [
        (report.clone(), "dns.domain-nxdomain", "sender"),
        (report.of_delivered(), "dns.domain-undelegated", "recipient-registrar"),
    ] {
        let problem = report.findings[0].problem;
        assert_eq!((problem.cause(), problem.acts().name()), (cause, acts));
    }
}
