//! What the operator's rules do besides sending by MX: discard, fail, a limit of size, hosts that share the load.

use crate::words::*;
use posthaste_evidence::Outcome::{Delivered, Discarded, Failed};
use posthaste_evidence::{EventKind, Fault};
use posthaste_mail::EnhancedStatus;
use posthaste_route::{Action, Order, Pattern, Route, SmartHost, Table, When};
use posthaste_sim::{Letter, MailSystem, Plan};
use std::collections::BTreeSet;

/// A plan whose first rule does this with mail for `d.test`.
fn plan(action: Action) -> Plan {
    let first =
        Route { action, ..Route::by_mx("special", vec!["d.test".parse().expect("a pattern")]) };
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.push(("e.test".into(), 1));
    plan.routes = Table::new(vec![first, Route::by_mx("rest", vec![Pattern::Any])]);
    plan
}

/// The names that the DNS server was asked for.
fn asked(system: &MailSystem) -> BTreeSet<String> {
    system.dns.asked().into_iter().map(|asked| asked.name).collect()
}

#[test]
fn discarded_mail_is_removed_without_a_notice_and_the_log_names_the_route() {
    let system = up(plan(Action::Discard));
    send(&system, 1, &["a@d.test", "b@d.test", "c@e.test"]);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    system.pass(MINUTE);
    assert_eq!(outcomes(&system, "a@d.test"), [Discarded]);
    let fault = tries(&system, "b@d.test").remove(0).fault;
    assert_eq!(fault, Some(Fault::RouteDiscards { route: "special".into() }));
    assert_eq!(outcomes(&system, "c@e.test"), [Delivered]);
    assert!(notices(&system).is_empty());
    let operator = |e: &posthaste_evidence::Event| matches!(e.kind, EventKind::Operator { .. });
    assert!(!system.relay.journal().events().iter().any(operator), "no operator acted");
    assert_eq!((told(&system, "done"), told(&system, "notice")), (1, 0));
    assert_eq!(system.dispatch().counters().discarded, 2);
    assert_eq!(peer(&system, "mx0.d.test").connections(), 0);
    assert!(asked(&system).iter().all(|name| !name.ends_with("d.test")), "{:?}", asked(&system));
}

#[test]
fn what_a_route_lets_fail_is_told_the_sender_in_the_operators_words() {
    let status = EnhancedStatus::new(5, 1, 6);
    let text = "the department has moved to e.test".to_owned();
    let system = up(plan(Action::Fail { status, text }));
    send(&system, 1, &["a@d.test", "b@d.test"]);
    assert!(until_quiet(&system, MINUTE) < 2 * AT_ONCE);
    assert_eq!(outcomes(&system, "a@d.test"), [Failed]);
    let notice = the_notice(&system);
    assert_eq!((notice.about.len(), notice.status), (2, strings(&["5.1.6", "5.1.6"])));
    assert!(notice.text.contains("has moved to e.test"), "{}", notice.text);
    assert_eq!(peer(&system, "mx0.d.test").connections(), 0);
    assert!(asked(&system).iter().all(|name| !name.ends_with("d.test")), "{:?}", asked(&system));
}

#[test]
fn mail_larger_than_its_route_sends_fails_and_the_limit_is_told() {
    let mut plan = plan(Action::Mx { port: 25 });
    let mut routes: Vec<Route> = plan.routes.iter().map(|(_, route)| route.clone()).collect();
    routes[0].message_size = Some(20_000);
    plan.routes = Table::new(routes);
    let system = up(plan);
    hand_in(&system, Letter::new(1, "writer@sender.test", &strings(&["big@d.test"]), 30_000));
    send(&system, 2, &["small@d.test"]);
    until_quiet(&system, MINUTE);
    assert_eq!(outcomes(&system, "big@d.test"), [Failed]);
    assert_eq!(taken(&system, "mx0.d.test"), ["small@d.test"]);
    let notice = the_notice(&system);
    assert_eq!(notice.status, ["5.3.4"]);
    let words = notice.text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("(at most 20 kB)"), "{}", notice.text);
}

#[test]
fn a_notice_is_never_too_large_for_its_route() {
    let mut plan =
        plan(Action::Fail { status: EnhancedStatus::new(5, 7, 1), text: "closed".to_owned() });
    let mut routes: Vec<Route> = plan.routes.iter().map(|(_, route)| route.clone()).collect();
    // Smaller than any notice, and than the mail of others that is to go the same way.
    routes[1].message_size = Some(1000);
    plan.routes = Table::new(routes);
    let system = up(plan);
    hand_in(&system, Letter::new(1, "writer@sender.test", &strings(&["a@d.test"]), 30_000));
    hand_in(&system, Letter::new(2, "writer@sender.test", &strings(&["b@e.test"]), 30_000));
    until_quiet(&system, MINUTE);
    let about: BTreeSet<String> = notices(&system).into_iter().flat_map(|n| n.about).collect();
    assert_eq!(about, BTreeSet::from(["a@d.test".to_owned(), "b@e.test".to_owned()]));
    assert!(notices(&system).iter().all(|notice| notice.text.len() > 1000));
    assert_eq!(outcomes(&system, "b@e.test"), [Failed], "other mail keeps to the limit");
}

#[test]
fn the_first_rule_that_fits_the_whole_message_decides() {
    let mut plan = Plan::domain("d.test", 1);
    let fail = |name: &str, when: When| Route {
        when,
        action: Action::Fail { status: EnhancedStatus::new(5, 7, 1), text: name.to_owned() },
        // Notices quote what they are about, and are large too.
        ..Route::by_mx(name, vec!["*@d.test".parse().unwrap()])
    };
    let from = When { from: vec!["news@*".parse().unwrap()], ..When::default() };
    let large = When { over: Some(50_000), ..When::default() };
    let elsewhere = When { listener: strings(&["elsewhere"]), ..When::default() };
    plan.routes = Table::new(vec![
        fail("by sender", from),
        fail("by size", large),
        fail("by listener", elsewhere),
        Route::by_mx("rest", vec![Pattern::Any]),
    ]);
    let system = up(plan);
    for (number, from, octets) in [
        (1, "news@sender.test", 100),
        (2, "writer@sender.test", 60_000),
        (3, "writer@sender.test", 100),
    ] {
        hand_in(&system, Letter::new(number, from, &[format!("r{number}@d.test")], octets));
    }
    until_quiet(&system, MINUTE);
    let told = notices(&system);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told.iter().any(|n| n.text.contains("by sender")));
    assert!(told.iter().any(|n| n.text.contains("by size")));
    assert_eq!(taken(&system, "mx0.d.test"), ["r3@d.test"]);
}

#[test]
fn hosts_that_share_the_load_all_get_some_and_one_that_is_dead_is_passed_over() {
    let hosts: Vec<SmartHost> =
        (1..=3).map(|n| SmartHost { host: format!("11.9.0.{n}"), port: 25 }).collect();
    let mut plan = Plan::default();
    for n in 1..=3 {
        plan = plan.host(&format!("h{n}"), &[&format!("11.9.0.{n}")]);
    }
    let mut route = Route::by_hosts("relays", vec!["d.test".parse().expect("a pattern")], hosts);
    if let Action::SmartHosts { order, .. } = &mut route.action {
        *order = Order::Shared;
    }
    plan.routes = Table::new(vec![route, Route::by_mx("rest", vec![Pattern::Any])]);
    plan.queue.limits.messages_per_connection = 2;
    let system = up(plan);
    system.sim.partition(&system.relay, &system.host("h2").0, posthaste_io_sim::Link::Refuse);
    send_many(&system, 1, 60, "d.test");
    until_quiet(&system, 10 * MINUTE);
    let arrived = |host: &str| peer(&system, host).arrived();
    assert_eq!(arrived("h1") + arrived("h3"), 60);
    assert!(arrived("h1") > 10 && arrived("h3") > 10, "{} {}", arrived("h1"), arrived("h3"));
    assert_eq!(arrived("h2"), 0);
}

#[test]
fn a_route_that_holds_keeps_its_mail_until_the_rules_change() {
    let mut held = plan(Action::Hold);
    held.queue.routes.insert(
        "special".into(),
        posthaste_queue::RouteSettings { hold: true, ..Default::default() },
    );
    let system = up(held.clone());
    send(&system, 1, &["a@d.test", "b@e.test"]);
    system.pass(12 * HOUR);
    assert_eq!(outcomes(&system, "b@e.test"), [Delivered]);
    assert!(outcomes(&system, "a@d.test").is_empty(), "not even tried");
    let id = system.live()[0].envelope.id;
    let waiting = format!("{:?}", system.dispatch().waiting(id, 0));
    assert!(waiting.contains("RouteHeld"), "{waiting}");
    assert!(asked(&system).iter().all(|name| !name.ends_with("d.test")), "{:?}", asked(&system));
    assert_eq!(system.reload(&held), 0);
    let _due = system.reload(&Plan { queue: Default::default(), ..plan(Action::Mx { port: 25 }) });
    assert!(until_quiet(&system, MINUTE) < 2 * AT_ONCE);
    assert_eq!(taken(&system, "mx0.d.test"), ["a@d.test"]);
}
