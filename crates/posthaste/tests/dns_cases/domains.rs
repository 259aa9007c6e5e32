//! The domains of group B: each with its fault, its twin without, and who serves it.
//!
//! Not here: what becomes of mail for them (`theirs`).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use posthaste_evidence::RecordType;
use posthaste_peers::dns::Behaviour;

use crate::internet::{Domain, Internet, Places};
use crate::loopback;
use crate::mta::Mta;
use crate::relay::{self, Relay};
use crate::row::Names;
use crate::scripted::Scripted;
use crate::servers::{Server, Silent};
use crate::sink::Sink;

/// What a broken AAAA may cost (issue 4, Show 1).
const LOST_TO_AAAA: Duration = Duration::from_millis(300);
/// What slow and dead authoritative servers may cost: the resolvers' own patience with them.
const RESOLVERS_PATIENCE: Duration = Duration::from_secs(8);

const KNOT: &str = "Knot behind Unbound and BIND";
const SCRIPTED: &str = "scripted authoritative server behind Unbound and BIND";

/// What must become of the mail for a domain.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    /// At the first attempt, at most so much later than its DNS allowed.
    Delivered { later: Duration },
    /// Tried again later: the stage, and what a server said.
    Waits { stage: &'static str, says: &'static str },
    /// Tried again later: no server said anything but this of the MX.
    Unanswered { all_say: &'static str },
    /// Tried again later, and the operator reads this.
    WaitsFor { stage: &'static str, text: &'static str },
    /// Returned at once: kind of fault and status.
    Fails { kind: &'static str, status: &'static str },
}

/// One fault.
pub(crate) struct Case {
    pub(crate) id: &'static str,
    pub(crate) broken: &'static str,
    pub(crate) servers: &'static str,
    pub(crate) domain: String,
    /// The same with the fault off; delivered at the first attempt.
    pub(crate) twin: String,
    pub(crate) expected: Expected,
}

impl Case {
    /// Its delay is the point.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self.expected, Expected::Delivered { later } if later == LOST_TO_AAAA)
    }
}

/// Everything that runs while the rows are made.
pub(crate) struct Scene {
    pub(crate) cases: Vec<Case>,
    pub(crate) mta: Mta,
    pub(crate) names: Names,
    net: Internet,
    /// The server of B6 and B26.
    moving: Scripted,
    mail: IpAddr,
    _kept: Kept,
}

/// Ended with the scene.
#[derive(Default)]
struct Kept {
    scripted: Vec<Scripted>,
    relays: Vec<Relay>,
    servers: Vec<Server>,
    silent: Vec<Silent>,
    sinks: Vec<Sink>,
}

impl Scene {
    pub(crate) fn set() -> Self {
        let sink = Sink::start(&[]);
        let mail = sink.address().ip();
        let moving = Scripted::of(&[]);
        let outgoing = loopback::address(0).ip();
        let mut book = Book::new(mail, outgoing);
        let net = Internet::start(mail, |places| {
            book.write(places);
            book.domains.push(delegated("b26.test", &[moving.address.ip()]));
            std::mem::take(&mut book.domains)
        });
        let more = format!("{}  outgoing-interface: {outgoing}\n", net.anchor_of_unbound());
        let unbound = Server::unbound(net.root(), &more);
        let bind = Server::bind(
            Some(net.root()),
            "dnssec-validation yes; query-source address 127.0.0.1;",
            &net.anchor_of_bind(),
            &[],
        );
        let resolvers = [unbound.address(), bind.address()];
        let names = Names(vec![(resolvers[0], "Unbound"), (resolvers[1], "BIND")]);
        let strict = "[[route]]\nto = [\"b16.test\"]\nvia = \"mx\"\nallow_private = false\nname = \"strict\"\n";
        let mta = Mta::start(&resolvers, net.root(), strict);
        let Book { cases, mut kept, .. } = book;
        kept.servers.extend([unbound, bind]);
        kept.sinks.push(sink);
        let scene = Self { cases, mta, names, net, moving, mail, _kept: kept };
        scene.moving.set(&[
            ("b6.moved", &scripted_zone("b6.moved", scene.moving.address.ip(), mail, 1)),
            ("b26.test", &scripted_zone("b26.test", scene.moving.address.ip(), closed_port(), 0)),
        ]);
        let servers = scene.moving.address.ip();
        let delegation = format!("b6.moved 1 NS ns0.b6.moved\nns0.b6.moved 1 A {servers}\n");
        scene.net.moved.set(&[("moved", &format!("{MOVED}{delegation}"))]);
        scene
    }

    pub(crate) fn undelegate_b6(&self) {
        self.net.moved.set(&[("moved", MOVED)]);
    }

    pub(crate) fn move_b26(&self) {
        let text = scripted_zone("b26.test", self.moving.address.ip(), self.mail, 0);
        self.moving.set(&[("b26.test", &text)]);
    }
}

const MOVED: &str = "moved 1 SOA ns.moved 1 1\nmoved NS ns.moved\n";

/// Nobody listens there.
fn closed_port() -> IpAddr {
    loopback::address(25).ip()
}

fn delegated(name: &str, to: &[IpAddr]) -> Domain {
    Domain { name: name.to_owned(), delegated_to: to.to_vec(), ..Domain::default() }
}

/// A good zone as the scripted server reads it.
fn scripted_zone(name: &str, server: IpAddr, mail: IpAddr, ttl: u32) -> String {
    format!(
        "{name} {ttl} SOA ns0.{name} 1 {ttl}\n{name} {ttl} NS ns0.{name}\nns0.{name} {ttl} A {server}\n\
         {name} {ttl} MX 10 mx.{name}\nmx.{name} {ttl} A {mail}\n"
    )
}

/// Where the cases are written down.
struct Book {
    mail: IpAddr,
    outgoing: IpAddr,
    domains: Vec<Domain>,
    cases: Vec<Case>,
    kept: Kept,
    /// The server of the twins of scripted cases.
    well: Scripted,
    well_zones: Vec<(String, String)>,
}

impl Book {
    fn new(mail: IpAddr, outgoing: IpAddr) -> Self {
        let (domains, cases, kept) = (Vec::new(), Vec::new(), Kept::default());
        let (well, well_zones) = (Scripted::of(&[]), Vec::new());
        Self { mail, outgoing, domains, cases, kept, well, well_zones }
    }

    fn good(&self) -> String {
        format!("@ IN MX 10 mx\nmx IN A {}\n", self.mail)
    }

    fn write(&mut self, places: Places) {
        self.aaaa();
        self.missing(places);
        self.servers(places);
        self.lossy();
        self.records(places);
        self.signatures();
        let zones: Vec<(&str, &str)> =
            self.well_zones.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        self.well.set(&zones);
    }

    /// B1, B2, B3, B27.
    fn aaaa(&mut self) {
        let expected = Expected::Delivered { later: LOST_TO_AAAA };
        for (id, broken, behaviour) in [
            ("B1", "AAAA of the mail host: SERVFAIL", Behaviour::Rcode(2)),
            ("B2", "AAAA of the mail host: NXDOMAIN, though it has an A", Behaviour::Rcode(3)),
            ("B3", "AAAA of the mail host: never answered", Behaviour::Drop),
            (
                "B27",
                "AAAA of the mail host: NODATA with the SOA of another zone",
                Behaviour::NoDataOf("test".to_owned()),
            ),
        ] {
            self.scripted(id, broken, expected, |s, domain| {
                s.server.behave(&format!("mx.{domain}"), Some(RecordType::Aaaa), behaviour);
            });
        }
    }

    /// B4, B5, B18, B19, B28.
    fn missing(&mut self, places: Places) {
        let gone = Expected::Fails { kind: "no_such_domain", status: "5.1.2" };
        self.case("B4", "the domain does not exist", KNOT, gone, Vec::new());
        self.twin("B4", places.knot);
        let nobody = Expected::Waits { stage: "connect", says: "connect-failed" };
        let none = Expected::Waits { stage: "dns-mx", says: "nodata" };
        let null = Expected::Fails { kind: "null_mx", status: "5.1.10" };
        let parking = closed_port();
        let parked = format!("@ IN A {parking}\n* IN A {parking}\n");
        let web = format!("@ IN A {}\n", closed_port());
        for (id, broken, expected, records) in [
            (
                "B5",
                "expired and parked: an address for every name, no MX, port 25 closed",
                nobody,
                &*parked,
            ),
            ("B18", "null MX", null, "@ IN MX 0 .\n"),
            ("B19", "no MX; the A is a web server, port 25 closed", nobody, &*web),
            ("B28", "neither MX nor A nor AAAA", none, "www IN TXT x\n"),
        ] {
            self.knot(id, broken, expected, places, records);
        }
    }

    /// B7 to B11, B25.
    fn servers(&mut self, places: Places) {
        let (good, knot) = (self.good(), places.knot);
        let silent = Silent::new();
        let dead = silent.ip();
        self.kept.silent.push(silent);
        let slow = Expected::Delivered { later: RESOLVERS_PATIENCE };
        let on_knot = |to: &[IpAddr]| Domain { on_knot: Some(good.clone()), ..delegated("", to) };

        self.case(
            "B7",
            "all authoritative servers are dead",
            "silent ports behind Unbound and BIND",
            Expected::Unanswered { all_say: "timed-out" },
            vec![delegated("", &[dead])],
        );
        self.twin("B7", knot);

        let blocked = self.outgoing;
        let rule = move |q: relay::Question| {
            if q.from.ip() == blocked { relay::Fate::Drop } else { relay::Fate::Pass }
        };
        let door = Relay::new((knot, 53).into(), true, Arc::new(rule));
        let domain =
            Domain { says: Some(vec![door.address().ip()]), ..on_knot(&[door.address().ip()]) };
        self.kept.relays.push(door);
        self.case(
            "B8",
            "authoritative servers drop our first resolver's network",
            "Knot behind a relay that drops by source, behind Unbound (dropped) and BIND",
            slow,
            vec![domain],
        );
        self.twin("B8", knot);

        self.case(
            "B9",
            "one of two authoritative servers is dead",
            KNOT,
            slow,
            vec![on_knot(&[dead, knot])],
        );
        self.twin("B9", knot);
        self.case(
            "B10",
            "lame: one of two servers does not have the zone (REFUSED)",
            "BIND (lame) and Knot behind Unbound and BIND",
            slow,
            vec![on_knot(&[places.bind, knot])],
        );
        self.twin("B10", knot);
        // Both know both hosts: one resolver may have the MX of one and the address of the other.
        let hosts = format!("mx IN A {0}\nold IN A {0}\n", self.mail);
        let two = Domain {
            on_bind: Some(format!("@ IN MX 10 old\n{hosts}")),
            on_knot: Some(format!("@ IN MX 10 mx\n{hosts}")),
            ..delegated("", &[places.bind, knot])
        };
        self.case(
            "B11",
            "servers disagree: an old secondary with an old MX",
            "BIND (serial 2019) and Knot (2024) behind Unbound and BIND",
            slow,
            vec![two],
        );
        self.twin("B11", knot);
        let stale = Domain { says: Some(vec![knot, knot]), ..on_knot(&[dead, knot]) };
        self.case("B25", "glue of one server is outdated", KNOT, slow, vec![stale]);
        self.twin("B25", knot);
    }

    /// B22, B23.
    fn lossy(&mut self) {
        let silence = Expected::Unanswered { all_say: "timed-out" };
        self.scripted("B22", "questions with EDNS are dropped", silence, |s, _| {
            s.server.behave("*", None, Behaviour::DropEdns);
        });
        let scripted = Scripted::without_tcp(&[]);
        self.with_script(
            "B23",
            "the large answer is lost: TC, and TCP is refused",
            Expected::Unanswered { all_say: "servfail" },
            scripted,
            |s, d| {
                s.server.behave(d, Some(RecordType::Mx), Behaviour::Flood(100));
            },
        );
    }

    /// B12 to B17, B24.
    fn records(&mut self, places: Places) {
        let at_once = Expected::Delivered { later: Duration::from_secs(1) };
        let (mail, good) = (self.mail, self.good());
        let none = Expected::Waits { stage: "dns-addr", says: "hosts-missing" };
        let private = Expected::Waits { stage: "dns-addr", says: "private-address" };
        let us = Expected::Fails { kind: "loops_back", status: "5.4.6" };
        let partly = format!("@ IN MX 5 gone\n{good}");
        let alias = format!("@ IN MX 10 alias\nalias IN CNAME mx\nmx IN A {mail}\n");
        for (id, broken, expected, records) in [
            ("B12", "the only MX target does not exist", none, "@ IN MX 10 gone\n"),
            ("B13", "one of two MX targets does not exist", at_once, &*partly),
            ("B14", "the MX target is an alias", at_once, &*alias),
            ("B15", "the MX is an address in text", none, "@ IN MX 10 192.0.2.5.\n"),
            ("B16", "the MX has a loopback address", private, "@ IN MX 10 mx\nmx IN A 127.0.0.1\n"),
            (
                "B17",
                "the MX is this machine, which does not have the domain",
                us,
                "@ IN MX 10 mta.sender.test.\n",
            ),
        ] {
            self.knot(id, broken, expected, places, records);
        }
        // Real servers do not load a zone with an alias at its apex.
        self.with_script(
            "B24",
            "an alias at the domain itself, to one with an MX",
            at_once,
            Scripted::of(&[]),
            |s, domain| s.set(&[(domain, &format!("{domain} CNAME b24-ok.test\n"))]),
        );
    }

    /// B20, B21: the signed branch of the tree.
    fn signatures(&mut self) {
        let servers = "BIND and Knot with signed zones behind validating Unbound and BIND";
        let expected = Expected::WaitsFor { stage: "dns-mx", text: "DNSSEC validation failed" };
        for (id, broken, domain) in [
            ("B20", "DNSSEC: the signatures have ended", "expired.secure"),
            ("B21", "DNSSEC: the parent knows another key", "mismatch.secure"),
        ] {
            let (domain, twin) = (domain.to_owned(), "good.secure".to_owned());
            self.cases.push(Case { id, broken, servers, domain, twin, expected });
        }
    }

    /// A case on Knot, and a twin there.
    fn knot(
        &mut self,
        id: &'static str,
        broken: &'static str,
        expected: Expected,
        places: Places,
        records: &str,
    ) {
        let domain = Domain { on_knot: Some(records.to_owned()), ..delegated("", &[places.knot]) };
        self.case(id, broken, KNOT, expected, vec![domain]);
        self.twin(id, places.knot);
    }

    /// A case on a scripted server of its own, whose zone is good; the twin on the one that is always well.
    fn scripted(
        &mut self,
        id: &'static str,
        broken: &'static str,
        expected: Expected,
        script: impl FnOnce(&Scripted, &str),
    ) {
        self.with_script(id, broken, expected, Scripted::of(&[]), script);
    }

    fn with_script(
        &mut self,
        id: &'static str,
        broken: &'static str,
        expected: Expected,
        server: Scripted,
        script: impl FnOnce(&Scripted, &str),
    ) {
        let domain = name_of(id);
        server.set(&[(&domain, &scripted_zone(&domain, server.address.ip(), self.mail, 300))]);
        script(&server, &domain);
        self.case(id, broken, SCRIPTED, expected, vec![delegated("", &[server.address.ip()])]);
        self.kept.scripted.push(server);
        let (twin, well) = (twin_of(id), self.well.address.ip());
        self.domains.push(delegated(&twin, &[well]));
        self.well_zones.push((twin.clone(), scripted_zone(&twin, well, self.mail, 300)));
    }

    /// Writes a case down; its domain gets its name from it, or does not exist.
    fn case(
        &mut self,
        id: &'static str,
        broken: &'static str,
        servers: &'static str,
        expected: Expected,
        domain: Vec<Domain>,
    ) {
        let (name, twin) = (name_of(id), twin_of(id));
        self.domains.extend(domain.into_iter().map(|d| Domain { name: name.clone(), ..d }));
        self.cases.push(Case { id, broken, servers, domain: name, twin, expected });
    }

    /// The twin of a case on Knot.
    fn twin(&mut self, id: &str, knot: IpAddr) {
        let good = Domain { on_knot: Some(self.good()), ..delegated(&twin_of(id), &[knot]) };
        self.domains.push(good);
    }
}

fn name_of(id: &str) -> String {
    format!("{}.test", id.to_lowercase())
}

fn twin_of(id: &str) -> String {
    format!("{}-ok.test", id.to_lowercase())
}
