//! Answers past their TTL while the servers fail (RFC 8767): mail finds its host by them, and never ends for them.

use crate::words::*;
use posthaste_evidence::{AnswerKind, Fault, RecordType};
use posthaste_peers::dns::Behaviour;
use posthaste_sim::{MailSystem, Plan};

const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

fn last_fault(system: &MailSystem) -> Option<Fault> {
    system.dispatch().last_fault("d.test", "default")?.result.fault
}

fn failed(name: &str, kind: RecordType, answer: AnswerKind) -> Option<Fault> {
    Some(Fault::DnsFailed { name: name.into(), kind, answer })
}

#[test]
fn what_dns_said_for_good_before_its_servers_failed_ends_no_mail() {
    for (zone, fails, kind, status) in [
        ("d.test 5 MX 0 .", "d.test", RecordType::Mx, "5.1.10"),
        ("d.test 5 MX 10 relay.test\nrelay.test 5 A 11.0.0.1", "d.test", RecordType::Mx, "5.4.6"),
        ("d.test 5 MX 10 ours.test\nours.test 5 A 11.0.0.1", "d.test", RecordType::Mx, "5.4.6"),
        ("d.test MX 10 ours.test\nours.test 5 A 11.0.0.1", "ours.test", RecordType::A, "5.4.6"),
    ] {
        for (rcode, answer) in [(SERVFAIL, AnswerKind::ServFail), (REFUSED, AnswerKind::Refused)] {
            let system = up(Plan::default());
            system.set_zone(zone);
            send(&system, 1, &["r@d.test"]);
            until_quiet(&system, MINUTE);
            assert_eq!(the_notice(&system).status, [status], "{zone}: it is so");
            system.pass(MINUTE);
            system.dns.behave(fails, Some(kind), Behaviour::Rcode(rcode));
            send(&system, 2, &["s@d.test"]);
            system.pass(2 * HOUR);
            assert_eq!((notices(&system).len(), system.live().len()), (1, 1), "{zone}");
            assert_eq!(last_fault(&system), failed(fails, kind, answer), "{zone}");
            system.dns.recover();
            until_quiet(&system, 4 * HOUR);
            let statuses: Vec<_> = notices(&system).into_iter().flat_map(|n| n.status).collect();
            assert_eq!(statuses, [status, status], "{zone}: now it is so again");
        }
    }
}

#[test]
fn hosts_that_are_missing_by_an_mx_past_its_ttl_are_not_the_reason() {
    let system =
        up(Plan::default().host("mx.old.test", &["11.1.0.1"]).host("mx.new.test", &["11.1.0.2"]));
    system.set_zone("d.test 5 MX 10 mx.old.test\nmx.old.test 5 A 11.1.0.1");
    send(&system, 1, &["r@d.test"]);
    until_quiet(&system, MINUTE);
    system.pass(MINUTE);
    // The domain has moved, and we cannot hear where to.
    system.set_zone("d.test 5 MX 10 mx.new.test\nmx.new.test 5 A 11.1.0.2");
    system.dns.behave("d.test", Some(RecordType::Mx), Behaviour::Rcode(SERVFAIL));
    send(&system, 2, &["s@d.test"]);
    system.pass(5 * HOUR);
    assert_eq!((notices(&system).len(), system.live().len()), (0, 1));
    assert_eq!(last_fault(&system), failed("d.test", RecordType::Mx, AnswerKind::ServFail));
    system.dns.recover();
    until_quiet(&system, 4 * HOUR);
    assert!(notices(&system).is_empty());
    assert_eq!(taken(&system, "mx.new.test"), ["s@d.test"]);
}

#[test]
fn mail_finds_its_host_by_answers_past_their_ttl() {
    let system = up(Plan::domain("d.test", 1));
    system.set_zone("d.test 5 MX 10 mx0.d.test\nmx0.d.test 5 A 11.1.0.1");
    send(&system, 1, &["r@d.test"]);
    until_quiet(&system, MINUTE);
    system.pass(MINUTE);
    for name in ["d.test", "mx0.d.test"] {
        system.dns.behave(name, None, Behaviour::Rcode(SERVFAIL));
    }
    send(&system, 2, &["s@d.test"]);
    let took = until_quiet(&system, MINUTE);
    assert!(took < AT_ONCE, "{took:?}");
}
