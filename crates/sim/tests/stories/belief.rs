//! Domains that DNS says do not exist: who must say so before mail fails, and who is not believed.

use crate::words::*;
use posthaste_evidence::{Doubt, EventKind, Fault, RecordType, Seen, Subject};
use posthaste_io_sim::{Crash, Link};
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use posthaste_sim::{MailSystem, Plan, Store};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

const NXDOMAIN: u8 = 3;
const SECOND_SERVER: &str = "11.0.0.9";

/// Nothing can be walked.
fn without_roots() -> Plan {
    Plan { roots: false, ..Plan::default() }
}

/// Another recursive server beside the one of the plan.
fn second_server(system: &MailSystem, zone: &str) -> DnsServer {
    let server = DnsServer::new(Zone::parse(zone).expect("a zone"));
    let at: IpAddr = SECOND_SERVER.parse().expect("an address");
    let machine = system.sim.host("second dns", &[at]);
    let (running, world) = (server.clone(), machine.world());
    machine.spawn("dns", async move {
        running.start(&world, SocketAddr::new(at, 53)).await.expect("a free address");
    });
    server
}

fn doubt(system: &MailSystem, domain: &str) -> Option<Doubt> {
    match system.dispatch().last_fault(domain, "default")?.result.fault? {
        Fault::Doubted { name, doubt } if name == domain => Some(doubt),
        _ => None,
    }
}

fn nothing_failed(system: &MailSystem) {
    let events = system.relay.journal().events();
    // That the sender has heard of a delay may be over: notices live for a day.
    let expired = |kind: &EventKind| matches!(kind, EventKind::Expired { to } if !to.ends_with("@sender.test"));
    assert_eq!(told(system, "failed"), 0);
    assert!(!events.iter().any(|event| expired(&event.kind)));
}

#[test]
fn a_typing_error_is_told_at_once_by_the_word_of_its_zone() {
    let system = up(Plan::default());
    send(&system, 1, &["r@typo.test"]);
    let took = until_quiet(&system, MINUTE);
    assert!(took < AT_ONCE, "{took:?}");
    let notice = the_notice(&system);
    assert_eq!(notice.status, ["5.1.2"]);
    assert!(notice.text.contains("The domain typo.test does not exist."), "{}", notice.text);
    let asked = system.root.asked();
    assert!(asked.iter().any(|a| a.name == "typo.test" && !a.recursion), "{asked:?}");
}

#[test]
fn a_connection_that_failed_keeps_who_said_what() {
    let system = up(Plan::default());
    system.dns.behave("d.test", None, Behaviour::Rcode(NXDOMAIN));
    system.set_zone("d.test MX 10 mx.d.test\nmx.d.test A 11.1.0.1");
    send(&system, 1, &["r@d.test"]);
    system.pass(10 * SECOND);
    let failures = system.dispatch().failures("d.test", "default");
    let said = |server: &str, kind| {
        let fits = |o: &&posthaste_evidence::Observation| match (&o.subject, &o.seen) {
            (Subject::Question { server: Some(s), name, .. }, Seen::Answer(a)) => {
                s.ip().to_string() == server && name == "d.test" && a.kind == kind
            }
            _ => false,
        };
        failures.iter().flat_map(|c| &c.observations).any(|o| fits(&o))
    };
    assert!(said("11.0.0.3", posthaste_evidence::AnswerKind::NxDomain), "{failures:#?}");
    let root = |c: &posthaste_evidence::Connection| {
        c.observations.iter().any(|o| matches!(&o.subject, Subject::Question { server: Some(s), .. } if s.ip().to_string() == "11.0.0.4"))
    };
    assert!(failures.iter().any(root), "{failures:#?}");
}

#[test]
fn servers_that_the_zone_contradicts_never_end_mail() {
    let plan = Plan::domain("d.test", 1);
    let system = up(plan);
    system.dns.behave("*", None, Behaviour::Rcode(NXDOMAIN));
    send(&system, 1, &["r@d.test"]);
    system.pass(4 * DAY);
    nothing_failed(&system);
    assert_eq!(doubt(&system, "d.test"), Some(Doubt::Contradicted));
    system.dns.recover();
    until_quiet(&system, 2 * HOUR);
    assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"]);
}

#[test]
fn a_mistake_of_our_servers_that_is_mended_costs_one_step() {
    let system = up(Plan::domain("d.test", 1));
    system.dns.behave("d.test", None, Behaviour::Rcode(NXDOMAIN));
    send(&system, 1, &["r@d.test"]);
    system.pass(30 * SECOND);
    assert_eq!(doubt(&system, "d.test"), Some(Doubt::Contradicted));
    system.dns.recover();
    let took = until_quiet(&system, HOUR);
    assert!(took < Duration::from_secs(90), "the kept answer is not believed again: {took:?}");
}

#[test]
fn without_the_root_a_second_proof_is_waited_for_also_over_a_crash() {
    for crash in [false, true] {
        let mut system = up(Plan { store: Store::Local, ..without_roots() });
        send(&system, 1, &["r@typo.test"]);
        system.pass(9 * MINUTE);
        assert_eq!(doubt(&system, "typo.test"), Some(Doubt::Unconfirmed));
        if crash {
            system.crash(Crash::power(7));
            system.restart();
        }
        system.pass(50 * SECOND);
        nothing_failed(&system);
        until_quiet(&system, 10 * MINUTE);
        assert_eq!(the_notice(&system).status, ["5.1.2"], "crash: {crash}");
        let asked = system.dns.count("typo.test", RecordType::Mx);
        assert!(asked <= 8, "not asked all the time: {asked}");
        // The next one who errs need not wait.
        send(&system, 2, &["s@typo.test"]);
        assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    }
}

#[test]
fn the_negative_ttl_is_waited_for_where_it_is_longer() {
    let system = up(without_roots());
    let mut zone = Zone::parse(". NS root.test\ntest NS root.test").expect("a zone");
    zone.add("mx0.sender.test", 300, posthaste_evidence::RecordData::A([11, 0, 1, 1].into()));
    let sender = |exchange: &str| posthaste_evidence::RecordData::Mx {
        preference: 10,
        exchange: exchange.into(),
    };
    zone.add("sender.test", 300, sender("mx0.sender.test"));
    zone.set_negative_ttl(3600);
    system.dns.set_zone(zone);
    send(&system, 1, &["r@typo.test"]);
    system.pass(59 * MINUTE);
    nothing_failed(&system);
    until_quiet(&system, 10 * MINUTE);
    assert_eq!(the_notice(&system).status, ["5.1.2"]);
}

#[test]
fn servers_that_do_not_agree_or_lie_never_end_mail() {
    let second: Vec<IpAddr> = vec!["11.0.0.3".parse().unwrap(), SECOND_SERVER.parse().unwrap()];
    // One of two says that it does not exist, the other one fails.
    let plan = Plan { resolvers: second.clone(), roots: false, ..Plan::default() };
    let system = up(plan.clone());
    let other = second_server(&system, "");
    other.behave("*", None, Behaviour::Rcode(2));
    send(&system, 1, &["r@typo.test"]);
    system.pass(4 * DAY);
    nothing_failed(&system);
    // Both say so of everything: cut off from the world.
    let system = up(Plan { resolvers: second.clone(), roots: false, ..Plan::domain("d.test", 1) });
    let other = second_server(&system, "");
    for server in [&system.dns, &other] {
        server.behave("*", None, Behaviour::Rcode(NXDOMAIN));
    }
    send(&system, 1, &["r@d.test"]);
    system.pass(4 * DAY);
    nothing_failed(&system);
    assert_eq!(doubt(&system, "d.test"), Some(Doubt::Indiscriminate));
    for server in [&system.dns, &other] {
        server.recover();
    }
    other.behave("*", None, Behaviour::Drop);
    until_quiet(&system, 2 * HOUR);
    assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"]);
}

#[test]
fn a_server_that_rewrites_what_does_not_exist_is_not_believed_either() {
    let system = up(without_roots());
    // It answers for A of every name below `test`, and says of MX that the name does not exist.
    system.dns.behave("typo.test", Some(RecordType::Mx), Behaviour::Rcode(NXDOMAIN));
    system.set_zone("*.test A 11.9.9.9");
    send(&system, 1, &["r@typo.test"]);
    system.pass(2 * DAY);
    nothing_failed(&system);
    assert_eq!(doubt(&system, "typo.test"), Some(Doubt::Indiscriminate));
}

#[test]
fn a_domain_that_was_delivered_to_is_waited_for_a_day() {
    for (roots, back) in [(true, true), (true, false), (false, true), (false, false)] {
        let zone = "d.test MX 10 mx.d.test\nmx.d.test A 11.1.0.1";
        let plan = Plan { roots, ..Plan::default() }.host("mx.d.test", &["11.1.0.1"]);
        let mut system = up(plan);
        system.set_zone(zone);
        send(&system, 1, &["first@d.test"]);
        until_quiet(&system, MINUTE);
        system.pass(20 * HOUR);
        system.crash(Crash::kill());
        system.restart();
        system.set_zone("");
        system.pass(MINUTE);
        send(&system, 2, &["second@d.test"]);
        system.pass(3 * HOUR);
        nothing_failed(&system);
        assert_eq!(doubt(&system, "d.test"), Some(Doubt::Vanished));
        if back {
            system.set_zone(zone);
            until_quiet(&system, 2 * HOUR);
            assert_eq!(taken(&system, "mx.d.test"), ["first@d.test", "second@d.test"]);
            nothing_failed(&system);
        } else {
            system.pass(20 * HOUR + 50 * MINUTE);
            nothing_failed(&system);
            until_quiet(&system, 3 * HOUR);
            assert_eq!(the_notice(&system).status, ["5.1.2"], "roots: {roots}");
        }
    }
}

#[test]
fn mail_hosts_that_are_all_missing_are_waited_for_an_hour() {
    let mended = "d.test MX 10 mx.d.test\nmx.d.test A 11.1.0.1";
    for zone in [
        "d.test MX 10 gone.test\nd.test MX 20 away.test",
        "d.test MX 10 empty.test\nempty.test TXT x",
        "d.test MX 10 192.0.2.5",
    ] {
        for roots in [true, false] {
            let start = || {
                let plan = Plan { roots, ..Plan::default() }.host("mx.d.test", &["11.1.0.1"]);
                let system = up(plan);
                system.set_zone(zone);
                send(&system, 1, &["r@d.test"]);
                system.pass(30 * MINUTE);
                nothing_failed(&system);
                assert_eq!(doubt(&system, "d.test"), Some(Doubt::HostsMissing), "{zone} {roots}");
                system
            };
            let system = start();
            system.set_zone(mended);
            until_quiet(&system, HOUR);
            assert_eq!(taken(&system, "mx.d.test"), ["r@d.test"]);
            let system = start();
            system.pass(29 * MINUTE);
            nothing_failed(&system);
            until_quiet(&system, HOUR);
            assert_eq!(the_notice(&system).status, ["5.4.4"], "{zone} {roots}");
        }
    }
}

#[test]
fn a_domain_without_any_record_for_mail_needs_two_proofs_too() {
    for roots in [true, false] {
        let system = up(Plan { roots, ..Plan::default() }.zone("d.test TXT nothing"));
        send(&system, 1, &["r@d.test"]);
        system.pass(9 * MINUTE);
        nothing_failed(&system);
        assert_eq!(doubt(&system, "d.test"), Some(Doubt::Unconfirmed));
        until_quiet(&system, 10 * MINUTE);
        assert_eq!(the_notice(&system).status, ["5.4.4"]);
    }
}

#[test]
fn one_vanished_domain_is_asked_about_once_a_minute_whatever_waits() {
    let system = up(Plan::default());
    send_many(&system, 1, 500, "typo.test");
    let took = until_quiet(&system, HOUR);
    assert_eq!(notices(&system).iter().map(|n| n.about.len()).sum::<usize>(), 500);
    let walks = system.root.asked().iter().filter(|a| a.name == "typo.test").count();
    let minutes = usize::try_from(took.as_secs() / 60).expect("few") + 1;
    assert!(walks <= 3 * minutes, "{walks} questions in {took:?}");
    // With a domain that is waited for, too.
    let system = up(without_roots());
    send_many(&system, 1, 500, "typo.test");
    system.pass(5 * MINUTE);
    let asked = system.dns.count("typo.test", RecordType::Mx);
    assert!(asked <= 20, "{asked}");
    nothing_failed(&system);
}

#[test]
fn the_root_that_comes_back_is_asked() {
    let system = up(Plan::default());
    system.sim.partition(&system.relay, &system.root_host, Link::Drop);
    send(&system, 1, &["r@typo.test"]);
    system.pass(9 * MINUTE);
    nothing_failed(&system);
    assert_eq!(doubt(&system, "typo.test"), Some(Doubt::Unconfirmed));
    system.sim.partition(&system.relay, &system.root_host, Link::Up);
    until_quiet(&system, 10 * MINUTE);
    assert_eq!(the_notice(&system).status, ["5.1.2"]);
}

#[test]
fn domains_that_went_and_one_without_mx_are_no_reason_to_doubt_a_server() {
    for gone in [false, true] {
        let zone = "a1.test A 11.1.0.1\na2.test A 11.1.0.1";
        let system = up(without_roots().host("a1.test", &["11.1.0.1"]));
        system.set_zone(zone);
        send(&system, 1, &["r@a1.test", "r@a2.test"]);
        until_quiet(&system, MINUTE);
        if gone {
            system.set_zone("");
        }
        send(&system, 2, &["r@typo.test"]);
        system.pass(9 * MINUTE);
        nothing_failed(&system);
        assert_eq!(doubt(&system, "typo.test"), Some(Doubt::Unconfirmed), "gone: {gone}");
        until_quiet(&system, 10 * MINUTE);
        assert_eq!(the_notice(&system).status, ["5.1.2"]);
    }
}

#[test]
fn a_clock_that_is_set_forward_is_no_second_proof() {
    let system = up(without_roots());
    send(&system, 1, &["r@typo.test"]);
    system.pass(10 * SECOND);
    system.relay.step_wall_clock(900_000_000);
    system.pass(9 * MINUTE);
    nothing_failed(&system);
    assert_eq!(doubt(&system, "typo.test"), Some(Doubt::Unconfirmed));
    until_quiet(&system, 10 * MINUTE);
    assert_eq!(the_notice(&system).status, ["5.1.2"]);
}

/// Many domains that do not exist, and no word about them from those who must know.
fn many_missing(zone: &str, silent: impl Fn(&MailSystem)) {
    const MISSING: u32 = 1_100;
    const HONEST: u32 = 100;
    let plan = Plan::default().host("mx.honest.test", &["11.1.0.1"]).zone(zone);
    let honest = (0..HONEST).map(|n| format!("h{n}.test MX 10 mx.honest.test\n"));
    let system = up(plan.zone(&honest.collect::<String>()).zone("mx.honest.test A 11.1.0.1"));
    silent(&system);
    for n in 0..MISSING {
        system.send(n, "writer@sender.test", &[format!("r@m{n}.gone.test")], 100);
        // Fewer clients than the relay serves at the same time.
        if n % 500 == 499 {
            system.pass(SECOND);
        }
    }
    system.pass(3 * SECOND);
    for n in 0..HONEST {
        system.send(MISSING + n, "writer@sender.test", &[format!("r@h{n}.test")], 100);
    }
    system.pass(20 * SECOND);
    assert_eq!(taken(&system, "mx.honest.test").len(), HONEST as usize);
    nothing_failed(&system);
    // Two proofs end all of them, too.
    system.pass(30 * MINUTE);
    assert_eq!(told(&system, "failed"), MISSING as usize);
}

#[test]
fn many_missing_domains_hold_up_nobody_while_the_roots_are_silent() {
    many_missing("", |system| {
        system.sim.partition(&system.relay, &system.root_host, Link::Drop);
    });
}

#[test]
fn nor_do_those_of_a_zone_whose_servers_are_all_silent() {
    let servers =
        (0..13).map(|n| format!("gone.test NS ns{n}.gone.test\nns{n}.gone.test A 11.8.0.{n}\n"));
    many_missing(&servers.collect::<String>(), |_| {});
}
