//! Settings change while mail waits: what waited on them goes at once, at a bounded rate, and nothing else is touched.

use crate::words::*;
use posthaste_evidence::Outcome::{Deferred, Delivered};
use posthaste_io_sim::Link;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::Waiting;
use posthaste_route::{Pattern, Route, Table};
use posthaste_sim::{MailSystem, Plan};

/// Where nobody answers.
const DEAD: [&str; 2] = ["11.99.0.1", "11.99.0.2"];

fn many_domains(count: usize) -> Plan {
    let mut plan = Plan::default();
    for n in 0..count {
        plan.domains.push((format!("d{n}.test"), 1));
    }
    plan
}

/// Some messages for each of the domains, handed in by as many clients at once.
fn send_to_all(system: &MailSystem, domains: usize, each: usize) {
    for number in 0..domains * each {
        let to = [format!("r{number}@d{}.test", number % domains)];
        system.send(u32::try_from(number).expect("few messages"), "writer@sender.test", &to, 100);
    }
    let told = |s: &MailSystem| s.ledger.all().len() == domains * each;
    assert!(system.run_until(MINUTE, SECOND / 10, told), "the clients are told");
}

#[test]
fn a_live_resolver_in_place_of_dead_ones_and_a_thousand_messages_are_gone_within_a_minute() {
    let mut plan = many_domains(50);
    plan.resolvers = DEAD.map(|ip| ip.parse().unwrap()).to_vec();
    for wait in [SECOND, 5 * MINUTE, 3 * HOUR] {
        let system = up(plan.clone());
        send_to_all(&system, 50, 20);
        system.pass(wait);
        assert_eq!(system.live().len(), 1000);
        let live = Plan { resolvers: Vec::new(), ..plan.clone() };
        let due = system.reload(&live);
        assert!(due > 900 || wait == SECOND, "all that waited on DNS: {due}");
        let took = until_quiet(&system, 10 * MINUTE);
        assert!(took < MINUTE, "after {wait:?}: {took:?}");
        let arrived: usize =
            (0..50).map(|n| peer(&system, &format!("mx0.d{n}.test")).arrived()).sum();
        assert_eq!(arrived, 1000);
        assert!(notices(&system).is_empty());
    }
}

#[test]
fn a_reload_that_changes_nothing_makes_nothing_due() {
    let plan = Plan::domain("d.test", 1);
    let system = up(plan.clone());
    system.sim.partition(&system.relay, &system.host("mx0.d.test").0, Link::Refuse);
    send(&system, 1, &["r@d.test"]);
    system.pass(30 * MINUTE);
    let before = system.dispatch().failures("d.test", "default").len();
    assert_eq!(system.reload(&plan), 0);
    system.pass(SECOND);
    assert_eq!(system.dispatch().failures("d.test", "default").len(), before);
}

#[test]
fn a_new_resolver_does_not_try_what_waits_for_something_else() {
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.push(("e.test".into(), 1));
    let system = up(plan.clone());
    peer(&system, "mx0.e.test").set(Script::default().first(
        1,
        Step::Rcpt,
        Action::Reply("450 4.7.1 later".into()),
    ));
    system.sim.partition(&system.relay, &system.host("mx0.d.test").0, Link::Refuse);
    send(&system, 1, &["r@d.test", "r@e.test"]);
    system.pass(10 * SECOND);
    // The same server twice: other settings, and the same answers.
    plan.resolvers = vec!["11.0.0.3".parse().unwrap(), "11.0.0.3".parse().unwrap()];
    assert_eq!(system.reload(&plan), 0);
    system.pass(SECOND);
    assert_eq!(system.dispatch().failures("d.test", "default").len(), 1);
    assert_eq!(outcomes(&system, "r@e.test"), [Deferred]);
}

#[test]
fn another_source_address_is_tried_at_once_also_by_mail_that_was_deferred() {
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.push(("e.test".into(), 1));
    let system = up(plan.clone());
    let blocked = Script::default().first(1, Step::Rcpt, Action::Reply("450 4.7.1 listed".into()));
    peer(&system, "mx0.d.test").set(blocked);
    let host = system.host("mx0.e.test").0.clone();
    system.sim.partition(&system.relay, &host, Link::Refuse);
    send(&system, 1, &["r@d.test", "r@e.test"]);
    system.pass(2 * HOUR);
    system.sim.partition(&system.relay, &host, Link::Up);
    peer(&system, "mx0.d.test").set(Script::default());
    send(&system, 2, &["late@e.test"]);
    let sources = vec!["11.0.0.1".parse().unwrap()];
    let route = Route { sources, ..Route::by_mx("default", vec![Pattern::Any]) };
    plan.routes = Table::new(vec![route]);
    assert!(system.reload(&plan) >= 2);
    assert!(until_quiet(&system, MINUTE) < 3 * SECOND);
    assert_eq!(outcomes(&system, "r@e.test"), [Delivered]);
}

#[test]
fn mail_that_the_new_rules_send_elsewhere_goes_there_at_once() {
    let mut plan = many_domains(10);
    let system = up(plan.clone());
    for n in 0..10 {
        system.sim.partition(&system.relay, &system.host(&format!("mx0.d{n}.test")).0, Link::Drop);
    }
    send_to_all(&system, 10, 5);
    system.pass(3 * HOUR);
    let relay = posthaste_route::SmartHost { host: "mx0.sender.test".into(), port: 25 };
    let to = vec!["*.test".parse().unwrap()];
    plan.routes = Table::new(vec![Route::by_hosts("relay", to, vec![relay])]);
    assert_eq!(system.reload(&plan), 50);
    let took = until_quiet(&system, MINUTE);
    assert!(took > SECOND && took < 10 * SECOND, "at a bounded rate: {took:?}");
    assert_eq!(peer(&system, "mx0.sender.test").arrived(), 50);
}

#[test]
fn mail_in_flight_goes_the_new_way_when_its_attempt_has_ended() {
    // Whatever becomes of the attempt: a refusal for now, a connection that breaks, or no answer at all.
    for action in [Action::Reply("451 4.3.0 later".into()), Action::Close, Action::Silence] {
        let mut plan = Plan::domain("d.test", 1);
        let system = up(plan.clone());
        let slow = Script::default().always(Step::Mail, Action::Delay(3 * SECOND));
        peer(&system, "mx0.d.test").set(slow.always(Step::Rcpt, action.clone()));
        for number in 0..5 {
            send(&system, number, &["r@d.test"]);
        }
        let id = system.live()[0].envelope.id;
        let flying = |s: &MailSystem| s.dispatch().waiting(id, 0) == Some(Waiting::InFlight);
        assert!(system.run_until(MINUTE, SECOND / 100, flying), "{action:?}");
        let relay = posthaste_route::SmartHost { host: "mx0.sender.test".into(), port: 25 };
        let route = Route::by_hosts("relay", vec![Pattern::Any], vec![relay]);
        plan.routes = Table::new(vec![route]);
        assert_eq!(system.reload(&plan), 5);
        let limit = if action == Action::Silence { 6 * MINUTE } else { 10 * SECOND };
        let took = until_quiet(&system, limit);
        assert!(took < limit, "{action:?}: {took:?}");
        assert_eq!(peer(&system, "mx0.sender.test").arrived(), 5, "{action:?}");
    }
}
