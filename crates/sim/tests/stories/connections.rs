//! Connections: kept, counted, limited, and not missed when they die.

use crate::words::*;
use posthaste_evidence::Outcome::{Deferred, Delivered};
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_sim::{MailSystem, Plan};
use std::time::Duration;

const HOST: &str = "mx0.d.test";

fn with_limits(set: impl FnOnce(&mut posthaste_queue::Limits)) -> MailSystem {
    let mut plan = Plan::domain("d.test", 1);
    set(&mut plan.queue.limits);
    up(plan)
}

fn slow(seconds: u64) -> Script {
    Script::default().always(Step::Dot, Action::Delay(Duration::from_secs(seconds)))
}

#[test]
fn messages_after_each_other_share_one_connection() {
    let system = up(Plan::domain("d.test", 1));
    for number in 0..30 {
        send(&system, number, &[&format!("r{number}@d.test")]);
        until_quiet(&system, MINUTE);
    }
    assert_eq!(peer(&system, HOST).arrived(), 30);
    assert_eq!(peer(&system, HOST).connections(), 1);
}

#[test]
fn messages_that_come_together_share_a_few_connections() {
    let system = up(Plan::domain("d.test", 1));
    send_many(&system, 0, 60, "d.test");
    until_quiet(&system, MINUTE);
    assert_eq!(peer(&system, HOST).arrived(), 60);
    let connections = peer(&system, HOST).connections();
    assert!(connections <= 12, "{connections}");
}

#[test]
fn a_connection_serves_its_number_of_messages_and_no_more() {
    let system = with_limits(|l| (l.messages_per_connection, l.destination_max) = (3, 1));
    send_many(&system, 0, 9, "d.test");
    until_quiet(&system, MINUTE);
    assert_eq!(peer(&system, HOST).connections(), 3);
    assert_eq!(peer(&system, HOST).arrived(), 9);
}

#[test]
fn a_connection_without_work_is_closed_after_its_time() {
    let system = up(Plan::domain("d.test", 1));
    send(&system, 1, &["r@d.test"]);
    until_quiet(&system, MINUTE);
    assert_eq!(system.dispatch().load().1, 1, "kept");
    system.pass(3 * SECOND);
    assert_eq!(system.dispatch().load(), (0, 0));
    let dialogue = peer(&system, HOST).dialogue();
    assert!(dialogue.contains(&"C: QUIT".to_owned()), "{dialogue:#?}");
}

#[test]
fn concurrency_never_passes_its_limits() {
    let system = with_limits(|l| l.destination_max = 4);
    peer(&system, HOST).set(slow(5));
    send_many(&system, 0, 40, "d.test");
    until_quiet(&system, HOUR);
    assert_eq!(peer(&system, HOST).most_open(), 4);

    let system = with_limits(|l| (l.host, l.destination_max) = (3, 40));
    peer(&system, HOST).set(slow(5));
    send_many(&system, 0, 30, "d.test");
    until_quiet(&system, HOUR);
    assert_eq!(peer(&system, HOST).most_open(), 3);
    assert_eq!(peer(&system, HOST).arrived(), 30);
}

#[test]
fn concurrency_grows_while_the_host_takes_mail() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(slow(2));
    send_many(&system, 0, 200, "d.test");
    until_quiet(&system, HOUR);
    let most = peer(&system, HOST).most_open();
    assert!(most > 5 && most <= 20, "{most}");
}

#[test]
fn connections_in_all_are_limited_and_no_destination_starves() {
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.push(("e.test".into(), 1));
    plan.queue.limits.connections = 3;
    let system = up(plan);
    peer(&system, HOST).set(slow(3));
    peer(&system, "mx0.e.test").set(slow(3));
    send_many(&system, 0, 30, "d.test");
    send_many(&system, 100, 3, "e.test");
    let at_once = |s: &MailSystem| peer(s, "mx0.e.test").arrived() == 3;
    assert!(system.run_until(MINUTE, SECOND, at_once), "the second destination gets its turn");
    until_quiet(&system, HOUR);
    assert!(peer(&system, HOST).most_open() <= 3);
    assert_eq!(peer(&system, HOST).arrived(), 30);
}

#[test]
fn a_hosts_limit_is_shared_by_all_domains_on_it() {
    let mut plan = Plan::default()
        .host("shared.test", &["11.1.0.1"])
        .zone("shared.test A 11.1.0.1\nd.test MX 10 shared.test\ne.test MX 10 shared.test");
    plan.queue.limits.host = 3;
    let system = up(plan);
    peer(&system, "shared.test").set(slow(2));
    for number in 0..20 {
        for domain in ["d.test", "e.test"] {
            let to = [format!("r{number}@{domain}")];
            system.send(number + 100, "writer@sender.test", &to, 100);
        }
    }
    system.pass(10 * SECOND);
    let took = taken(&system, "shared.test");
    assert!(
        took.iter().any(|r| r.ends_with("d.test")) && took.iter().any(|r| r.ends_with("e.test"))
    );
    until_quiet(&system, HOUR);
    assert_eq!(peer(&system, "shared.test").arrived(), 40);
    assert_eq!(peer(&system, "shared.test").most_open(), 3);
}

#[test]
fn a_kept_connection_that_died_costs_the_next_message_nothing() {
    for end in [
        Action::ReplyAndClose("421 4.4.2 idle for too long".into()),
        Action::Reply("421 4.4.2 idle for too long".into()),
        Action::Close,
    ] {
        for pipelining in [true, false] {
            let keywords: &[&str] = if pipelining { &["PIPELINING"] } else { &["SIZE"] };
            let script = Script::default().offering(keywords);
            let system = up(Plan::domain("d.test", 1));
            peer(&system, HOST).set(script.clone());
            send(&system, 1, &["first@d.test"]);
            until_quiet(&system, MINUTE);
            peer(&system, HOST).set(script.first(1, Step::Mail, end.clone()));
            send(&system, 2, &["second@d.test"]);
            let took = until_quiet(&system, MINUTE);
            assert!(took < AT_ONCE, "{end:?}: {took:?}");
            assert_eq!(peer(&system, HOST).connections(), 2);
            assert_eq!(outcomes(&system, "second@d.test"), [Delivered], "{end:?}");
        }
    }
}

#[test]
fn connections_that_die_again_and_again_do_not_use_up_the_hosts_limit() {
    let system = with_limits(|l| l.host = 2);
    for number in 0..10 {
        send(&system, number, &[&format!("a{number}@d.test")]);
        until_quiet(&system, MINUTE);
        peer(&system, HOST).set(Script::default().first(1, Step::Mail, Action::Close));
        send(&system, 100 + number, &[&format!("b{number}@d.test")]);
        let took = until_quiet(&system, MINUTE);
        assert!(took < AT_ONCE, "{number}: {took:?}");
    }
    assert_eq!(peer(&system, HOST).most_open(), 1);
}

#[test]
fn a_421_to_the_first_message_of_a_connection_is_a_deferral() {
    let system = up(Plan::domain("d.test", 1));
    let end = Action::ReplyAndClose("421 4.3.2 shutting down".into());
    peer(&system, HOST).set(Script::default().first(1, Step::Mail, end));
    send(&system, 1, &["r@d.test"]);
    assert!(until_quiet(&system, HOUR) > 4 * MINUTE);
    assert_eq!(outcomes(&system, "r@d.test"), [Deferred, Delivered]);
}
