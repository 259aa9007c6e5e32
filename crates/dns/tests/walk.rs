//! Walking from the root in the simulator: a small Internet of scripted authoritative servers, honest and hostile.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::Settings;
use posthaste_dns::walk::{Existence, Limits, Walked, existence};
use posthaste_io_sim::{Host, Link, Sim};
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const ROOT: &str = "198.51.100.1";
const TLD: [&str; 2] = ["198.51.100.2", "198.51.100.3"];
const OWN: [&str; 2] = ["203.0.113.1", "203.0.113.2"];

const ROOT_ZONE: &str = "test NS a.nic.test\ntest NS b.nic.test\na.nic.test A 198.51.100.2\nb.nic.test A 198.51.100.3\n\
    example NS ns.example\nns.example A 198.51.100.2";
const TLD_ZONE: &str = "nic.test TXT x\na.nic.test A 198.51.100.2\nb.nic.test A 198.51.100.3\n\
    shop.test NS ns1.shop.test\nshop.test NS ns2.shop.test\nns1.shop.test A 203.0.113.1\nns2.shop.test A 203.0.113.2\n\
    far.test NS ns.elsewhere.example\n\
    self.test NS ns.inside.self.example\n\
    alias.test NS www.shop.test\n\
    private.test NS ns.private.test\nns.private.test A 10.0.0.5\nns.private.test A 127.0.0.1\n\
    ring.test NS ns.gnir.example\n\
    dead.test NS ns.dead.test\nns.dead.test A 203.0.113.99\n\
    a.empty.test TXT x";
const EXAMPLE_ZONE: &str = "elsewhere.example TXT x\nns.elsewhere.example A 203.0.113.1\n\
    self.example NS ns.inside.self.example\n\
    gnir.example NS ns.ring.test\nns.example A 198.51.100.2";
const SHOP_ZONE: &str = "shop.test MX 10 mx.shop.test\nmx.shop.test A 203.0.113.80\nwww.shop.test CNAME mx.shop.test\n\
    *.wild.shop.test A 203.0.113.81\nns1.shop.test A 203.0.113.1\nns2.shop.test A 203.0.113.2";

struct Lab {
    sim: Sim,
    us: Host,
    root: DnsServer,
    tld: [DnsServer; 2],
    own: [DnsServer; 2],
    settings: Settings,
}

impl Lab {
    fn new() -> Self {
        Self::with("")
    }

    /// With more lines in the zone `test`.
    fn with(more: &str) -> Self {
        let sim = Sim::new(4);
        let zone = |apex: &str, text: &str| Zone::parse_at(apex, text).unwrap();
        let tld =
            || vec![zone("test", &format!("{TLD_ZONE}\n{more}")), zone("example", EXAMPLE_ZONE)];
        let own = || {
            let far = "far.test MX 10 mx.shop.test";
            vec![zone("shop.test", SHOP_ZONE), zone("far.test", far)]
        };
        let start = |ip: &str, zones: Vec<Zone>| {
            let host = sim.host(ip, &[ip.parse().unwrap()]);
            let server = DnsServer::authoritative(zones);
            let (world, running) = (host.world(), server.clone());
            let at = SocketAddr::new(ip.parse().unwrap(), 53);
            sim.block_on(&host, async move { running.start(&world, at).await }).unwrap();
            server
        };
        let root = start(ROOT, vec![zone(".", ROOT_ZONE)]);
        let tld = TLD.map(|ip| start(ip, tld()));
        let own = OWN.map(|ip| start(ip, own()));
        let us = sim.host("us", &["192.0.2.25".parse().unwrap()]);
        let roots = vec![SocketAddr::new(ROOT.parse().unwrap(), 53)];
        Self { sim, us, root, tld, own, settings: Settings { roots, ..Settings::default() } }
    }

    fn walk(&self, name: &str) -> (Walked, Duration) {
        let (world, settings, name) = (self.us.world(), self.settings.clone(), name.to_owned());
        let began = self.sim.now();
        let walked =
            self.sim.block_on(&self.us, async move { existence(&world, &settings, &name).await });
        (walked, self.sim.now() - began)
    }

    fn says(&self, name: &str) -> String {
        let walked = self.walk(name).0;
        match walked.existence {
            Existence::Exists { zone, .. } => format!("exists in {zone}"),
            Existence::Missing { zone, .. } => format!("missing in {zone}"),
            Existence::Unreachable => "unreachable".into(),
        }
    }

    fn kill(&self, ip: &str) {
        self.sim.link(&self.us, ip.parse::<IpAddr>().unwrap(), Link::Drop);
    }
}

#[test]
fn those_who_must_know_say_whether_a_name_exists() {
    let lab = Lab::new();
    for (name, expected) in [
        ("shop.test", "exists in test"),
        ("mx.shop.test", "exists in shop.test"),
        ("www.shop.test", "exists in shop.test"),
        ("any.wild.shop.test", "exists in shop.test"),
        ("wild.shop.test", "exists in shop.test"),
        ("empty.test", "exists in test"),
        ("a.empty.test", "exists in test"),
        ("typo.test", "missing in test"),
        ("deep.below.typo.test", "missing in test"),
        ("nobody.shop.test", "missing in shop.test"),
        ("nothing.invalid", "missing in "),
        ("nobody.far.test", "missing in far.test"),
        ("dead.test", "exists in test"),
        ("www.dead.test", "unreachable"),
        ("test", "exists in "),
        ("", "exists in "),
        ("Typo.TEST.", "missing in test"),
        ("a..b", "unreachable"),
    ] {
        assert_eq!(lab.says(name), expected, "{name}");
    }
}

#[test]
fn without_roots_nobody_is_asked() {
    let mut lab = Lab::new();
    lab.settings.roots.clear();
    let (walked, _) = lab.walk("shop.test");
    assert_eq!((walked.existence, walked.observations.len()), (Existence::Unreachable, 0));
}

#[test]
fn one_server_that_knows_the_name_outweighs_all_that_do_not() {
    let lab = Lab::new();
    let old = Zone::parse_at("test", "nic.test TXT x").unwrap();
    lab.tld[0].set_zones(vec![old.clone()]);
    assert_eq!(lab.says("shop.test"), "exists in test");
    assert_eq!(lab.says("typo.test"), "missing in test");
    lab.tld[1].set_zones(vec![old]);
    assert_eq!(lab.says("shop.test"), "missing in test");
}

#[test]
fn a_server_that_denies_names_to_one_type_of_question_is_not_believed() {
    let lab = Lab::new();
    for server in &lab.own {
        server.behave("mx.shop.test", Some(posthaste_evidence::RecordType::A), Behaviour::Rcode(3));
    }
    assert_eq!(lab.says("mx.shop.test"), "exists in shop.test");
}

#[test]
fn something_on_the_way_that_denies_every_name_is_not_believed() {
    let lab = Lab::new();
    // With authority, and the SOA of the zone that is asked: only that it denies the zone itself gives it away.
    lab.root.set_zones(vec![Zone::parse_at(".", "").unwrap()]);
    assert_eq!(lab.says("typo.test"), "missing in ", "an empty root may be right");
    lab.root.behave("", None, Behaviour::Rcode(3));
    assert_eq!(lab.says("typo.test"), "unreachable");
    // With the SOA of another zone, and without any.
    lab.root.recover();
    lab.root.set_zones(vec![Zone::parse_at("test", "").unwrap()]);
    assert_eq!(lab.says("typo.test"), "unreachable");
    lab.root.behave("*", None, Behaviour::Rcode(3));
    assert_eq!(lab.says("typo.test"), "unreachable");
}

#[test]
fn lame_and_dead_servers_are_passed_by() {
    for behaviour in [
        Behaviour::Lame,
        Behaviour::Rcode(5),
        Behaviour::Rcode(2),
        Behaviour::Malformed,
        Behaviour::Drop,
        Behaviour::TruncateForEver,
        Behaviour::WrongId,
    ] {
        let lab = Lab::new();
        lab.tld[0].behave("*", None, behaviour.clone());
        lab.own[1].behave("*", None, behaviour.clone());
        assert_eq!(lab.says("nobody.shop.test"), "missing in shop.test", "{behaviour:?}");
        lab.own[0].behave("*", None, behaviour.clone());
        assert_eq!(lab.says("nobody.shop.test"), "unreachable", "{behaviour:?}");
        assert_eq!(lab.says("shop.test"), "exists in test", "{behaviour:?}");
    }
}

#[test]
fn a_server_that_cannot_read_edns_and_one_that_cuts_are_asked_in_their_way() {
    for behaviour in
        [Behaviour::NoEdns, Behaviour::Truncate, Behaviour::ForgedFirst, Behaviour::LowerCase]
    {
        let lab = Lab::new();
        for server in lab.tld.iter().chain(&lab.own) {
            server.behave("*", None, behaviour.clone());
        }
        assert_eq!(lab.says("nobody.shop.test"), "missing in shop.test", "{behaviour:?}");
        assert_eq!(lab.says("mx.shop.test"), "exists in shop.test", "{behaviour:?}");
    }
}

#[test]
fn name_servers_that_lead_nowhere_end_the_walk() {
    let lab = Lab::new();
    for name in ["x.self.test", "x.ring.test", "x.alias.test", "x.private.test"] {
        let (walked, took) = lab.walk(name);
        assert_eq!(walked.existence, Existence::Unreachable, "{name}");
        assert!(walked.observations.len() < 40, "{name}: {}", walked.observations.len());
        assert!(took <= Limits::EXISTENCE.time, "{name}: {took:?}");
        for server in &lab.tld {
            let more = server.asked().len();
            assert!(more <= 2 * Limits::EXISTENCE.per_server, "{name}: {more} to one server");
        }
    }
}

#[test]
fn a_zone_cannot_send_us_to_private_addresses_unless_the_roots_are_there() {
    let mut lab = Lab::new();
    let asked_private = |walked: &Walked| {
        walked.observations.iter().any(|o| match &o.subject {
            posthaste_evidence::Subject::Question { server: Some(server), .. } => {
                posthaste_route::is_private(server.ip())
            }
            _ => false,
        })
    };
    assert!(!asked_private(&lab.walk("x.private.test").0));
    let root = lab.sim.host("inner root", &["10.0.0.1".parse().unwrap()]);
    let server = DnsServer::authoritative(vec![Zone::parse_at(".", ROOT_ZONE).unwrap()]);
    let world = root.world();
    lab.sim
        .block_on(&root, async move { server.start(&world, "10.0.0.1:53".parse().unwrap()).await })
        .unwrap();
    lab.settings.roots = vec!["10.0.0.1:53".parse().unwrap()];
    assert!(asked_private(&lab.walk("x.private.test").0));
}

#[test]
fn a_flood_of_name_servers_costs_a_bounded_number_of_questions() {
    let names: Vec<String> =
        (0..300).map(|n| format!("flood.test NS ns{n}.n{n}.victim.example")).collect();
    let glued: Vec<String> = (0..300)
        .flat_map(|n| {
            let name = format!("ns{n}.glued.test");
            [format!("glued.test NS {name}"), format!("{name} A 203.0.113.{}", 100 + n % 100)]
        })
        .collect();
    let lab = Lab::with(&[names, glued].concat().join("\n"));
    for name in ["x.flood.test", "x.glued.test"] {
        let (walked, took) = lab.walk(name);
        assert_eq!(walked.existence, Existence::Unreachable, "{name}");
        assert!(walked.observations.len() <= Limits::EXISTENCE.questions, "{name}");
        assert!(took <= Limits::EXISTENCE.time, "{name}: {took:?}");
    }
}

#[test]
fn with_everybody_dead_a_walk_ends_in_time() {
    let lab = Lab::new();
    for ip in TLD {
        lab.kill(ip);
    }
    let (walked, took) = lab.walk("nobody.shop.test");
    assert_eq!(walked.existence, Existence::Unreachable);
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(walked.observations.iter().filter(|o| o.took >= Duration::from_secs(1)).count() == 2);
}

#[test]
fn a_dead_server_costs_a_moment_and_no_answer() {
    let lab = Lab::new();
    lab.kill(TLD[0]);
    lab.kill(OWN[1]);
    let (walked, took) = lab.walk("mx.shop.test");
    assert!(matches!(walked.existence, Existence::Exists { .. }));
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn the_same_seed_walks_the_same_way() {
    let run = || {
        let lab = Lab::new();
        lab.kill(OWN[0]);
        lab.walk("nobody.shop.test").0.observations
    };
    assert_eq!(run(), run());
}
