//! Finding the host: RFC 5321 section 5.1, RFC 7505, and what DNS trouble means.

use crate::words::*;
use posthaste_evidence::{AnswerKind, ConnectFault, Effect, Fault, Outcome, RecordType, Subject};
use posthaste_io_sim::Link;
use posthaste_peers::dns::Behaviour;
use posthaste_route::{Families, Pattern, Route, Table};
use posthaste_sim::{MailSystem, Plan};
use std::time::Duration;

const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const NOTIMP: u8 = 4;
const REFUSED: u8 = 5;

fn partition(system: &MailSystem, host: &str, link: Link) {
    system.sim.partition(&system.relay, &system.host(host).0, link);
}

#[test]
fn the_best_preference_gets_the_mail() {
    let system = up(Plan::domain("d.test", 3));
    send(&system, 1, &["r@d.test"]);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"]);
    assert_eq!(peer(&system, "mx1.d.test").connections(), 0);
}

#[test]
fn the_next_host_takes_over_at_once_or_after_the_stagger_but_never_after_the_connect_limit() {
    for (link, least, most) in [
        (Link::Refuse, Duration::ZERO, AT_ONCE),
        (Link::Unreachable, Duration::ZERO, AT_ONCE),
        (Link::NoRoute, Duration::ZERO, AT_ONCE),
        (Link::Drop, 2 * SECOND, 2 * SECOND + AT_ONCE),
    ] {
        let system = up(Plan::domain("d.test", 2));
        partition(&system, "mx0.d.test", link);
        send(&system, 1, &["r@d.test"]);
        let took = until_quiet(&system, MINUTE);
        assert!(took >= least && took < most, "{link:?}: {took:?}");
        assert_eq!(taken(&system, "mx1.d.test"), ["r@d.test"], "{link:?}");
        assert_eq!(outcomes(&system, "r@d.test"), [Outcome::Delivered], "{link:?}");
    }
}

#[test]
fn equal_preferences_share_the_mail() {
    let mut plan = Plan::default()
        .host("a.test", &["11.1.0.1"])
        .host("b.test", &["11.1.0.2"])
        .zone("d.test MX 10 a.test\nd.test MX 10 b.test\na.test A 11.1.0.1\nb.test A 11.1.0.2");
    plan.queue.limits.messages_per_connection = 1;
    let system = up(plan);
    send_many(&system, 1, 60, "d.test");
    until_quiet(&system, HOUR);
    let share = peer(&system, "a.test").arrived();
    assert_eq!(share + peer(&system, "b.test").arrived(), 60);
    assert!((15..=45).contains(&share), "{share} of 60");
}

#[test]
fn a_domain_without_mx_is_its_own_host() {
    let plan = Plan::default().host("d.test", &["11.1.0.1"]).zone("d.test A 11.1.0.1");
    let system = up(plan);
    send(&system, 1, &["r@d.test"]);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(taken(&system, "d.test"), ["r@d.test"]);
}

#[test]
fn what_dns_says_for_good_is_told_to_the_sender_at_once() {
    for (zone, status) in [
        ("d.test MX 0 .", "5.1.10"),
        ("other.test A 11.1.0.1", "5.1.2"),
        ("d.test MX 10 relay.test\nrelay.test A 11.0.0.1", "5.4.6"),
        ("d.test MX 10 alias.test\nalias.test A 11.0.0.1", "5.4.6"),
        (
            "d.test MX 10 alias.test\nd.test MX 20 b.test\nalias.test A 11.0.0.1\nb.test A 11.1.0.1",
            "5.4.6",
        ),
    ] {
        let system = up(Plan::default().zone(zone));
        send(&system, 1, &["r@d.test"]);
        let took = until_quiet(&system, MINUTE);
        assert!(took < AT_ONCE, "{zone}: {took:?}");
        let notice = the_notice(&system);
        assert_eq!(
            (notice.about, notice.status),
            (strings(&["r@d.test"]), strings(&[status])),
            "{zone}"
        );
        assert_eq!(outcomes(&system, "r@d.test"), [Outcome::Failed], "{zone}");
    }
}

#[test]
fn all_mail_for_a_domain_that_is_gone_is_told_of_each_by_itself() {
    let system = up(Plan::default());
    send_many(&system, 1, 30, "gone.test");
    until_quiet(&system, HOUR);
    let mut about: Vec<String> = notices(&system).into_iter().flat_map(|n| n.about).collect();
    about.sort_unstable();
    let mut expected: Vec<String> = (1..=30).map(|n| format!("r{n}@gone.test")).collect();
    expected.sort_unstable();
    assert_eq!(about, expected);
}

#[test]
fn hosts_of_our_own_preference_or_worse_are_never_tried() {
    let plan = Plan::default()
        .host("a.test", &["11.1.0.1"])
        .host("c.test", &["11.1.0.3"])
        .zone("d.test MX 10 a.test\nd.test MX 20 relay.test\nd.test MX 20 c.test\nd.test MX 30 c.test")
        .zone("a.test A 11.1.0.1\nc.test A 11.1.0.3\nrelay.test A 11.0.0.1");
    let system = up(plan);
    partition(&system, "a.test", Link::Refuse);
    send(&system, 1, &["r@d.test"]);
    system.pass(10 * MINUTE);
    assert_eq!(peer(&system, "c.test").connections(), 0);
    partition(&system, "a.test", Link::Up);
    until_quiet(&system, HOUR);
    assert_eq!(taken(&system, "a.test"), ["r@d.test"]);
}

#[test]
fn private_addresses_are_not_connected_to_unless_the_route_allows() {
    let plan = || {
        Plan::default()
            .host("inner.test", &["10.0.0.5"])
            .zone("d.test MX 10 inner.test\ninner.test A 10.0.0.5")
            .zone("l.test MX 10 loop.test\nloop.test A 127.0.0.1")
    };
    let system = up(plan());
    send(&system, 1, &["r@d.test"]);
    send(&system, 2, &["r@l.test"]);
    system.pass(HOUR);
    assert_eq!(peer(&system, "inner.test").connections(), 0);
    assert_eq!(system.live().len(), 2, "deferred, not failed");
    let dispatch = system.dispatch();
    for name in ["d.test", "l.test"] {
        let last = dispatch.last_fault(name, "default").map(|l| l.result.fault);
        let expected = Fault::OnlyPrivateAddresses { name: name.into() };
        assert_eq!(last.flatten(), Some(expected), "{name}");
    }
    let route = Route { allow_private: true, ..Route::by_mx("inner", vec![Pattern::Any]) };
    let system = up(Plan { routes: Table::new(vec![route]), ..plan() });
    send(&system, 1, &["r@d.test"]);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(taken(&system, "inner.test"), ["r@d.test"]);
}

#[test]
fn hosts_without_an_address_of_the_routes_family_are_named_as_the_reason() {
    let families = Families::OnlyV6;
    let route = Route { families, ..Route::by_mx("six", vec![Pattern::Any]) };
    let system = up(Plan { routes: Table::new(vec![route]), ..Plan::domain("d.test", 1) });
    send(&system, 1, &["r@d.test"]);
    system.pass(MINUTE);
    assert_eq!(peer(&system, "mx0.d.test").connections(), 0);
    let last = system.dispatch().last_fault("d.test", "six").expect("it is known");
    let expected = Fault::Connect(ConnectFault::NetworkUnreachable);
    assert_eq!(last.result.fault, Some(expected));
    assert!(last.host.is_some_and(|host| host == "mx0.d.test"));
}

#[test]
fn aliases_that_go_round_in_a_circle_are_named_as_the_reason() {
    let system = up(Plan::default().zone("d.test CNAME e.test\ne.test CNAME d.test"));
    send(&system, 1, &["r@d.test"]);
    system.pass(HOUR);
    let last = system.dispatch().last_fault("d.test", "default").map(|l| l.result.fault);
    let circle = Fault::DnsFailed {
        name: "d.test".into(),
        kind: RecordType::Mx,
        answer: AnswerKind::Malformed,
    };
    assert_eq!(last.flatten(), Some(circle));
}

#[test]
fn trouble_of_dns_is_never_permanent() {
    for (name, kind, behaviour) in [
        ("*", None, Behaviour::Drop),
        ("*", None, Behaviour::Rcode(SERVFAIL)),
        ("*", None, Behaviour::Rcode(REFUSED)),
        ("*", None, Behaviour::Lame),
        ("d.test", Some(RecordType::Mx), Behaviour::Rcode(SERVFAIL)),
        ("d.test", Some(RecordType::Mx), Behaviour::Drop),
        ("d.test", Some(RecordType::Mx), Behaviour::Rcode(REFUSED)),
        ("mx0.d.test", None, Behaviour::Rcode(SERVFAIL)),
        ("mx0.d.test", Some(RecordType::A), Behaviour::Rcode(REFUSED)),
    ] {
        let system = up(Plan::domain("d.test", 1));
        system.dns.behave(name, kind, behaviour.clone());
        send(&system, 1, &["r@d.test"]);
        system.pass(2 * HOUR);
        let story = format!("{name} {kind:?} {behaviour:?}");
        assert_eq!(system.live().len(), 1, "{story}");
        assert_eq!(peer(&system, "mx0.d.test").connections(), 0, "{story}");
        let last = system.dispatch().last_fault("d.test", "default");
        let fault = last.and_then(|l| l.result.fault);
        let Some(Fault::DnsFailed { name: of, kind: asked, .. }) = fault else {
            panic!("{story}: {fault:?}")
        };
        assert!(name == "*" || name == of, "{story}: {of}");
        assert!(kind.is_none_or(|kind| kind == asked), "{story}: {asked:?}");
        system.dns.recover();
        until_quiet(&system, 2 * HOUR);
        assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"], "{story}");
    }
}

#[test]
fn a_broken_aaaa_never_holds_up_what_an_a_can_deliver() {
    for behaviour in [
        Behaviour::Drop,
        Behaviour::Rcode(SERVFAIL),
        Behaviour::Rcode(REFUSED),
        Behaviour::Rcode(NXDOMAIN),
        Behaviour::Rcode(NOTIMP),
        Behaviour::Malformed,
        Behaviour::Lame,
        Behaviour::Delay(10 * SECOND),
    ] {
        let system = up(Plan::domain("d.test", 2));
        system.dns.behave("*", Some(RecordType::Aaaa), behaviour.clone());
        send(&system, 1, &["r@d.test"]);
        let took = until_quiet(&system, MINUTE);
        assert!(took < AT_ONCE, "{behaviour:?}: {took:?}");
        assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"]);
    }
}

#[test]
fn a_broken_a_never_holds_up_what_an_aaaa_can_deliver() {
    for behaviour in [
        Behaviour::Drop,
        Behaviour::Rcode(SERVFAIL),
        Behaviour::Rcode(REFUSED),
        Behaviour::Rcode(NXDOMAIN),
        Behaviour::Malformed,
        Behaviour::Delay(10 * SECOND),
    ] {
        let plan = Plan::default()
            .host("six.test", &["2600:2::6"])
            .zone("d.test MX 10 six.test\nsix.test A 11.1.0.9\nsix.test AAAA 2600:2::6");
        let system = up(plan);
        system.dns.behave("six.test", Some(RecordType::A), behaviour.clone());
        send(&system, 1, &["r@d.test"]);
        let took = until_quiet(&system, MINUTE);
        assert!(took < AT_ONCE, "{behaviour:?}: {took:?}");
        assert_eq!(taken(&system, "six.test"), ["r@d.test"]);
    }
}

#[test]
fn what_is_wrong_with_the_other_family_is_never_told_as_the_reason() {
    for behaviour in [Behaviour::Rcode(SERVFAIL), Behaviour::Rcode(NXDOMAIN), Behaviour::Drop] {
        let system = up(Plan::domain("d.test", 1));
        system.dns.behave("*", Some(RecordType::Aaaa), behaviour.clone());
        partition(&system, "mx0.d.test", Link::Refuse);
        send(&system, 1, &["r@d.test"]);
        system.pass(30 * SECOND);
        let failures = system.dispatch().failures("d.test", "default");
        let last = failures.last().expect("it is down");
        let of_aaaa = last
            .observations
            .iter()
            .filter(|o| matches!(o.subject, Subject::Question { kind: RecordType::Aaaa, .. }));
        let effects: Vec<Effect> = of_aaaa.map(|o| o.effect).collect();
        let fits = |e: &Effect| matches!(e, Effect::Cosmetic | Effect::Degrading);
        assert!(!effects.is_empty() && effects.iter().all(fits), "{behaviour:?}: {last:#?}");
        let fault = system.dispatch().last_fault("d.test", "default").and_then(|l| l.result.fault);
        assert_eq!(fault, Some(Fault::Connect(ConnectFault::Refused)));
    }
}

#[test]
fn where_both_families_fail_the_one_that_decides_is_the_reason() {
    for (a, aaaa, answer) in [
        (Behaviour::Rcode(SERVFAIL), Behaviour::Rcode(REFUSED), AnswerKind::ServFail),
        (Behaviour::Rcode(REFUSED), Behaviour::Rcode(SERVFAIL), AnswerKind::Refused),
        (Behaviour::Rcode(SERVFAIL), Behaviour::Drop, AnswerKind::ServFail),
        (Behaviour::Drop, Behaviour::Rcode(REFUSED), AnswerKind::Timeout),
    ] {
        let system = up(Plan::domain("d.test", 1));
        system.dns.behave("mx0.d.test", Some(RecordType::A), a);
        system.dns.behave("mx0.d.test", Some(RecordType::Aaaa), aaaa);
        send(&system, 1, &["r@d.test"]);
        system.pass(MINUTE);
        let (name, kind) = ("mx0.d.test".to_owned(), RecordType::A);
        let told = Some(Fault::DnsFailed { name, kind, answer });
        let tried = tries(&system, "r@d.test");
        assert!(tried.iter().all(|t| t.fault == told), "{tried:?}");
        let last = system.dispatch().last_fault("d.test", "default").expect("it is down");
        assert_eq!(last.result.fault, told);
        let failures = system.dispatch().failures("d.test", "default");
        let of = |kind| {
            let seen = failures.iter().flat_map(|c| &c.observations);
            let seen = seen.filter(move |o| match o.subject {
                Subject::Question { kind: k, .. } => k == kind,
                _ => false,
            });
            seen.map(|o| o.effect).collect::<Vec<_>>()
        };
        assert!(of(RecordType::A).contains(&Effect::Blocking), "{failures:?}");
        assert!(!of(RecordType::Aaaa).contains(&Effect::Blocking), "{failures:?}");
    }
}

#[test]
fn a_host_that_moved_is_found_at_the_next_step_though_its_old_address_is_kept() {
    let plan = Plan::default().host("old.test", &["11.1.0.1"]).host("new.test", &["11.1.0.2"]);
    let system = up(plan);
    system.set_zone("d.test 86400 MX 10 mx.test\nmx.test 86400 A 11.1.0.1");
    send(&system, 1, &["first@d.test"]);
    until_quiet(&system, MINUTE);
    system.pass(MINUTE);
    partition(&system, "old.test", Link::Refuse);
    system.set_zone("d.test MX 10 mx.test\nmx.test A 11.1.0.2");
    send(&system, 2, &["second@d.test"]);
    let took = until_quiet(&system, HOUR);
    assert!(took < 3 * MINUTE, "{took:?}");
    assert_eq!(taken(&system, "new.test"), ["second@d.test"]);
}

#[test]
fn a_dead_family_costs_half_a_second_and_a_host_without_a_is_reached_by_aaaa() {
    let plan = Plan::default()
        .host("two.test", &["11.1.0.1"])
        .host("six.test", &["2600:2::6"])
        .zone("d.test MX 10 two.test\ntwo.test A 11.1.0.1\ntwo.test AAAA 2600:2::dead")
        .zone("e.test MX 10 six.test\nsix.test AAAA 2600:2::6");
    let system = up(plan);
    send(&system, 1, &["r@d.test"]);
    let took = until_quiet(&system, MINUTE);
    assert!(took > Duration::from_millis(500) && took < AT_ONCE, "{took:?}");
    assert_eq!(taken(&system, "two.test"), ["r@d.test"]);
    send(&system, 2, &["r@e.test"]);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(taken(&system, "six.test"), ["r@e.test"]);
}

#[test]
fn mail_without_a_route_waits_and_goes_when_a_reload_brings_one() {
    let narrow = Route::by_mx("narrow", vec!["sender.test".parse().unwrap()]);
    let mut plan = Plan::domain("d.test", 1);
    plan.routes = Table::new(vec![narrow]);
    let system = up(plan.clone());
    send(&system, 1, &["r@d.test"]);
    system.pass(HOUR);
    let running = system.running().unwrap();
    let id = system.live()[0].envelope.id;
    let waiting = format!("{:?}", running.dispatch.waiting(id, 0));
    assert!(waiting.contains("NoRoute"), "{waiting}");
    plan.routes = Table::default();
    assert_eq!(system.reload(&plan), 1);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(taken(&system, "mx0.d.test"), ["r@d.test"]);
}
