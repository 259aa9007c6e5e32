//! When a message, or a destination, is tried again: the schedule, the routes' own, and the end of patience.

use crate::words::*;
use posthaste_evidence::Outcome;
use posthaste_io_sim::Link;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::{RouteSettings, Schedule};
use posthaste_route::{Pattern, Route, Table};
use posthaste_sim::Plan;
use std::time::Duration;

const HOST: &str = "mx0.d.test";

fn busy() -> Script {
    Script::default().always(Step::Rcpt, Action::Reply("450 4.2.1 mailbox busy".into()))
}

#[test]
fn a_destination_that_is_down_is_tried_after_4_x_1_6_x_5_10_30_60_60_minutes() {
    let system = up(Plan::domain("d.test", 1));
    system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
    send(&system, 1, &["r@d.test"]);
    system.pass(6 * HOUR);
    let failures = system.dispatch().failures("d.test", "default");
    let at: Vec<_> = failures.iter().map(|c| c.at).collect();
    follows(&distances(&at), &[1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 10, 30, 60, 60], SECOND);
}

#[test]
fn a_message_that_is_deferred_is_tried_after_6_x_5_10_30_60_60_minutes() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(busy());
    send(&system, 1, &["r@d.test"]);
    system.pass(6 * HOUR);
    let tried = tries(&system, "r@d.test");
    let at: Vec<_> = tried.iter().map(|t| t.at).collect();
    follows(&distances(&at), &[5, 5, 5, 5, 5, 5, 10, 30, 60, 60], SECOND);
    for (try_, next) in tried.iter().zip(&tried[1..]) {
        let due = try_.next.expect("it said when");
        assert!(next.at >= due && next.at.since(due) < SECOND);
    }
}

#[test]
fn a_route_may_have_a_schedule_and_a_lifetime_of_its_own() {
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.push(("e.test".into(), 1));
    let own = Route::by_mx("patient", vec!["d.test".parse().unwrap()]);
    plan.routes = Table::new(vec![own, Route::by_mx("rest", vec![Pattern::Any])]);
    let step = |every: Duration| posthaste_queue::Step { times: 100, every };
    let schedule =
        Schedule { glitch: step(2 * MINUTE), transient: step(20 * MINUTE), ..Schedule::default() };
    let retry = RouteSettings {
        schedule: Some(schedule),
        expire_after: Some(2 * HOUR),
        ..Default::default()
    };
    plan.queue.routes.insert("patient".into(), retry);
    let system = up(plan);
    peer(&system, HOST).set(busy());
    peer(&system, "mx0.e.test").set(busy());
    send(&system, 1, &["r@d.test", "r@e.test"]);
    system.pass(3 * HOUR);
    let at = |to| tries(&system, to).iter().map(|t| t.at).collect::<Vec<_>>();
    follows(&distances(&at("r@d.test")), &[20, 20, 20, 20], SECOND);
    follows(&distances(&at("r@e.test")), &[5, 5, 5, 5, 5, 5, 10], SECOND);
    assert_eq!(the_notice(&system).about, ["r@d.test"], "only its time is over");
    assert_eq!(told(&system, "expired"), 1);
}

#[test]
fn after_five_days_the_sender_is_told_the_last_real_error() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(busy());
    send(&system, 1, &["r@d.test"]);
    let took = until_quiet(&system, 6 * DAY);
    assert!(took > 5 * DAY - MINUTE && took < 5 * DAY + HOUR, "{took:?}");
    let notice = the_notice(&system);
    assert_eq!(
        (&notice.about[..], &notice.status[..]),
        (&strings(&["r@d.test"])[..], &strings(&["4.2.1"])[..])
    );
    assert!(notice.text.contains("mailbox busy"), "{}", notice.text);
    let last = tries(&system, "r@d.test").pop().expect("it was tried");
    assert_eq!(last.outcome, Outcome::Deferred);
}

#[test]
fn a_destination_that_was_down_to_the_end_is_told_as_such() {
    let system = up(short_lived());
    system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
    send(&system, 1, &["r@d.test"]);
    until_quiet(&system, 2 * HOUR);
    let notice = the_notice(&system);
    assert_eq!(notice.status, ["4.4.1"]);
    assert!(
        notice.text.contains("connection to the receiving mail server was refused"),
        "{}",
        notice.text
    );
    assert!(!notice.text.contains("No attempt"), "{}", notice.text);
    assert_eq!((told(&system, "expired"), told(&system, "notice")), (1, 1));
}

#[test]
fn mail_in_flight_when_its_time_is_over_may_still_be_delivered() {
    let system = up(short_lived());
    let later = Script::default().first(1, Step::Rcpt, Action::Reply("450 later".into()));
    peer(&system, HOST).set(later.always(Step::Data, Action::Delay(110 * SECOND)));
    send(&system, 1, &["r@d.test"]);
    until_quiet(&system, 2 * HOUR);
    assert_eq!(outcomes(&system, "r@d.test").last(), Some(&Outcome::Delivered));
    assert!(notices(&system).is_empty());
}

/// Everything expires after an hour.
fn short_lived() -> Plan {
    let mut plan = Plan::domain("d.test", 1);
    plan.queue.schedule.expire_after = HOUR;
    plan
}
