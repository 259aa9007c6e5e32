//! Restarts: nothing is forgotten, no DNS is needed, no stampede; what was in hand is in doubt, once.

use crate::words::*;
use posthaste_evidence::Act;
use posthaste_evidence::Outcome::{Deferred, Delivered, Failed, Indeterminate};
use posthaste_evidence::{ConnectionId, EventKind, WaitReason};
use posthaste_io_sim::Crash;
use posthaste_mail::{Mailbox, QueueId, Recipient, ReversePath};
use posthaste_peers::dns::Behaviour;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::{DestinationState, Life, Waiting};
use posthaste_sim::{MailSystem, Plan};
use posthaste_spool::decision::Which;
use posthaste_spool::testing;
use std::time::Duration;

const HOST: &str = "mx0.d.test";

fn start_again(system: &mut MailSystem, down_for: Duration) {
    system.pass(down_for);
    system.restart();
    let took = system.sim.now();
    assert!(system.run_until(SECOND, Duration::from_millis(5), MailSystem::is_ready));
    assert!(system.sim.now() - took < SECOND);
}

#[test]
fn mail_in_hand_at_a_crash_is_in_doubt_and_sent_at_most_once_more() {
    for (crash, step, copies) in [
        (Crash::kill(), Step::Dot, 2),
        (Crash::power(3), Step::Dot, 2),
        (Crash::kill(), Step::Rcpt, 1),
    ] {
        let mut system = up(Plan::domain("d.test", 1));
        peer(&system, HOST).set(Script::default().first(1, step, Action::Delay(20 * SECOND)));
        send(&system, 1, &["r@d.test"]);
        system.pass(10 * SECOND);
        system.crash(crash);
        start_again(&mut system, MINUTE);
        assert!(until_quiet(&system, MINUTE) < AT_ONCE, "our own end is no reason to wait");
        assert_eq!(outcomes(&system, "r@d.test"), [Indeterminate, Delivered]);
        assert_eq!(taken(&system, HOST).len(), copies, "{crash:?} {step:?}");
    }
}

#[test]
fn due_times_survive_a_restart() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().first(
        1,
        Step::Rcpt,
        Action::Reply("450 later".into()),
    ));
    send(&system, 1, &["r@d.test"]);
    system.pass(10 * SECOND);
    let due = tries(&system, "r@d.test")[0].next.expect("it is tried again");
    system.crash(Crash::kill());
    start_again(&mut system, MINUTE);
    until_quiet(&system, HOUR);
    let tried = tries(&system, "r@d.test");
    assert_eq!(outcomes(&system, "r@d.test"), [Deferred, Delivered]);
    assert!(tried[1].at >= due && tried[1].at.since(due) < 2 * SECOND, "{tried:?}");
}

/// The outage of a destination as the queue has it, and its last failures.
fn outage(system: &MailSystem) -> (Option<DestinationState>, Vec<ConnectionId>) {
    let dispatch = system.dispatch();
    let destinations = dispatch.destinations(None, 10);
    let down = destinations.into_iter().find(|d| d.name == "d.test").and_then(|d| d.down);
    (down, dispatch.failures("d.test", "default").iter().map(|c| c.id).collect())
}

#[test]
fn an_outage_survives_a_restart_which_asks_no_dns() {
    let mut system = up(Plan::domain("d.test", 1));
    system.dns.behave("*", None, Behaviour::Rcode(2));
    send_many(&system, 1, 20, "d.test");
    system.pass(20 * MINUTE);
    let before = outage(&system);
    system.dns.behave("*", None, Behaviour::Drop);
    let asked = system.dns.asked().len();
    system.crash(Crash::kill());
    start_again(&mut system, SECOND);
    system.pass(SECOND);
    assert_eq!(outage(&system), before);
    assert_eq!(system.dns.asked().len(), asked, "nothing was due, nothing was asked");
    for live in system.live() {
        let waiting = system.dispatch().waiting(live.envelope.id, 0);
        let (reason, until) = (WaitReason::DestinationDown, before.0.map(|s| s.next_trial));
        assert_eq!(waiting, Some(Waiting::Because { reason, until }));
    }
    system.dns.recover();
    until_quiet(&system, HOUR);
    assert_eq!(peer(&system, HOST).arrived(), 20);
}

#[test]
fn a_host_that_was_down_is_not_tried_before_its_time_after_a_restart() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().always(Step::Greeting, Action::Close));
    send(&system, 0, &["r0@d.test"]);
    system.pass(SECOND);
    send_many(&system, 1, 20, "d.test");
    system.pass(20 * MINUTE);
    let host = "11.0.1.1:25".parse().unwrap();
    let state = |s: &MailSystem| s.dispatch().host_down(host).expect("down");
    let (before, (_, failures)) = (state(&system), outage(&system));
    let connections = peer(&system, HOST).connections();
    system.crash(Crash::kill());
    start_again(&mut system, SECOND);
    assert_eq!(state(&system), before);
    assert_eq!(outage(&system).1, failures, "why is not forgotten");
    peer(&system, HOST).set(Script::default());
    while wall(&system).plus(SECOND) < before.next_trial {
        assert_eq!(peer(&system, HOST).connections(), connections);
        system.pass(SECOND);
    }
    let took = until_quiet(&system, HOUR);
    assert!(took < 10 * SECOND, "{took:?}");
}

fn wall(system: &MailSystem) -> posthaste_mail::Timestamp {
    system.relay.world().wall()
}

#[test]
fn a_thousand_overdue_messages_are_no_stampede() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST)
        .set(Script::default().always(Step::Mail, Action::Reply("451 later".into())));
    for batch in 0..10 {
        send_many(&system, 1000 + batch * 100, 100, "d.test");
    }
    system.pass(MINUTE);
    assert_eq!(system.live().len(), 1000);
    system.crash(Crash::kill());
    system.pass(3 * HOUR);
    peer(&system, HOST).set(Script::default());
    let connections = peer(&system, HOST).connections();
    start_again(&mut system, SECOND);
    system.pass(SECOND);
    let first = peer(&system, HOST).arrived();
    assert!((1..=25).contains(&first), "{first} in the first second");
    until_quiet(&system, 5 * MINUTE);
    assert_eq!(peer(&system, HOST).arrived(), 1000);
    let used = peer(&system, HOST).connections() - connections;
    assert!(used < 60, "{used} connections");
    assert!(peer(&system, HOST).most_open() <= 20);
}

#[test]
fn many_overdue_destinations_are_no_stampede() {
    let mut plan = Plan::default()
        .host("all.test", &["11.1.0.1"])
        .zone("all.test A 11.1.0.1\n*.many.test MX 10 all.test");
    plan.queue.limits.host = 1000;
    let mut system = up(plan);
    peer(&system, "all.test")
        .set(Script::default().always(Step::Mail, Action::Reply("451 later".into())));
    for domain in 0..100 {
        system.send(domain, "writer@sender.test", &[format!("r@d{domain}.many.test")], 100);
    }
    system.pass(MINUTE);
    assert_eq!(system.live().len(), 100);
    system.crash(Crash::kill());
    system.pass(3 * HOUR);
    peer(&system, "all.test").set(Script::default());
    let connections = peer(&system, "all.test").connections();
    start_again(&mut system, SECOND);
    system.pass(SECOND);
    let used = peer(&system, "all.test").connections() - connections;
    assert!((1..=25).contains(&used), "{used} in the first second");
    until_quiet(&system, 5 * MINUTE);
    assert_eq!(peer(&system, "all.test").arrived(), 100);
}

/// Mail that was in hand during two crashes; its host behaves well from now on.
fn parked() -> (MailSystem, QueueId) {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().always(Step::Dot, Action::Silence));
    send(&system, 1, &["r@d.test"]);
    for _ in 0..2 {
        system.pass(10 * SECOND);
        system.crash(Crash::kill());
        start_again(&mut system, SECOND);
    }
    peer(&system, HOST).set(Script::default());
    let live = system.live();
    assert_eq!(live[0].states[0].life, Life::Poison);
    (system, live[0].envelope.id)
}

#[test]
fn mail_in_hand_during_two_crashes_is_parked_and_listed_until_its_time_is_over() {
    let (system, id) = parked();
    system.pass(4 * DAY);
    assert_eq!(system.live().len(), 1, "not tried");
    let waiting = system.dispatch().waiting(id, 0);
    assert_eq!(waiting, Some(Waiting::Because { reason: WaitReason::Poison, until: None }));
    assert_eq!(told(&system, "poison"), 1);
    system.pass(2 * DAY);
    assert!(system.live().is_empty() && taken(&system, HOST).is_empty());
    assert_eq!(told(&system, "expired"), 1);
    assert_eq!(told(&system, "notice"), 1, "the sender is told");
}

#[test]
fn parked_mail_goes_on_when_it_is_named() {
    let (system, id) = parked();
    let with_others = order(&system, Act::Retry, Which::Messages(vec![id, QueueId::from_u64(7)]));
    let named = order(&system, Act::Retry, Which::Messages(vec![id]));
    assert_eq!((with_others.recipients, named.recipients), (0, 1), "not with others");
    until_quiet(&system, MINUTE);
    assert_eq!(taken(&system, HOST).len(), 1);
}

#[test]
fn an_ended_attempt_between_two_crashes_acquits() {
    let mut system = up(Plan::domain("d.test", 1));
    let hang = || Script::default().always(Step::Dot, Action::Silence);
    peer(&system, HOST).set(hang());
    send(&system, 1, &["r@d.test"]);
    for _ in 0..2 {
        system.pass(10 * SECOND);
        system.crash(Crash::kill());
        peer(&system, HOST).set(Script::default().first(
            1,
            Step::Mail,
            Action::Reply("451 4.3.0 not now".into()),
        ));
        start_again(&mut system, SECOND);
        system.pass(10 * SECOND);
        peer(&system, HOST).set(hang());
        system.pass(7 * MINUTE);
    }
    assert_eq!(system.live()[0].states[0].life, Life::Queued);
    peer(&system, HOST).set(Script::default());
    until_quiet(&system, HOUR);
    assert_eq!(told(&system, "poison"), 0);
}

#[test]
fn mail_in_hand_at_a_crash_whose_time_ends_meanwhile_gets_its_notice() {
    let mut plan = Plan::domain("d.test", 1);
    plan.queue.schedule.expire_after = HOUR;
    let mut system = up(plan);
    peer(&system, HOST).set(Script::default().always(Step::Dot, Action::Silence));
    send(&system, 1, &["r@d.test"]);
    system.pass(10 * SECOND);
    system.crash(Crash::kill());
    peer(&system, HOST)
        .set(Script::default().always(Step::Mail, Action::Reply("451 4.3.0 no".into())));
    start_again(&mut system, 2 * HOUR);
    until_quiet(&system, MINUTE);
    assert_eq!(the_notice(&system).about, ["r@d.test"]);
}

#[test]
fn a_stop_lets_what_is_under_way_end_and_leaves_no_doubt() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().always(Step::Dot, Action::Delay(3 * SECOND)));
    send_many(&system, 1, 30, "d.test");
    system.pass(SECOND);
    let took = system.stop(10 * SECOND);
    assert!(took < 5 * SECOND, "{took:?}");
    let before = peer(&system, HOST).arrived();
    assert!((1..30).contains(&before), "{before}");
    start_again(&mut system, MINUTE);
    until_quiet(&system, MINUTE);
    assert_eq!(told(&system, "indeterminate"), 0);
    assert_eq!(taken(&system, HOST).len(), 30, "one copy of each");
}

#[test]
fn a_stop_closes_idle_connections_at_once_and_waits_for_nothing_else() {
    let mut system = up(Plan::domain("d.test", 1));
    send(&system, 1, &["r@d.test"]);
    until_quiet(&system, MINUTE);
    let took = system.stop(10 * SECOND);
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn a_stop_ends_after_its_grace_and_settles_the_rest_as_in_doubt() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().first(1, Step::Dot, Action::Delay(MINUTE)));
    send(&system, 1, &["r@d.test"]);
    system.pass(SECOND);
    let took = system.stop(10 * SECOND);
    assert!(took >= 8 * SECOND && took < 11 * SECOND, "{took:?}");
    start_again(&mut system, MINUTE);
    until_quiet(&system, HOUR);
    assert_eq!(outcomes(&system, "r@d.test"), [Indeterminate, Delivered]);
}

#[test]
fn orderly_stops_are_no_crashes_however_slow_the_host() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().first(3, Step::Dot, Action::Delay(MINUTE)));
    send(&system, 1, &["r@d.test"]);
    for _ in 0..3 {
        system.pass(10 * MINUTE);
        system.stop(10 * SECOND);
        start_again(&mut system, MINUTE);
    }
    until_quiet(&system, HOUR);
    assert!(outcomes(&system, "r@d.test").ends_with(&[Delivered]), "never parked");
}

#[test]
fn a_stop_waits_no_longer_than_its_grace_for_a_silent_host_and_doubts_nothing() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().first(1, Step::Greeting, Action::Silence));
    send(&system, 1, &["r@d.test"]);
    system.pass(SECOND);
    let took = system.stop(10 * SECOND);
    assert!(took < 11 * SECOND, "{took:?}");
    start_again(&mut system, MINUTE);
    until_quiet(&system, MINUTE);
    assert_eq!(outcomes(&system, "r@d.test"), [Delivered]);
}

#[test]
fn who_was_refused_at_acceptance_ends_once_with_one_notice_whenever_the_power_goes() {
    for (round, wait) in [0, 1, 3, 6, 10, 30, 100].into_iter().enumerate() {
        let mut system = up(Plan::domain("d.test", 1));
        let spool = system.running().expect("it is up").spool;
        let at = system.relay.world().wall();
        let id = spool.mint(at);
        let accepted = system.sim.block_on(&system.relay, async move {
            let mut mail = testing::mail(id, 2, 100);
            let mailbox = |text| Mailbox::parse(text, false).expect("valid");
            mail.envelope.received = at;
            mail.envelope.reverse_path = ReversePath::Mailbox(mailbox("writer@sender.test"));
            for (recipient, text) in
                mail.envelope.recipients.iter_mut().zip(["a@d.test", "b@d.test"])
            {
                *recipient = Recipient { mailbox: mailbox(text), orcpt: None, notify: None };
            }
            mail.states[1].life = Life::Refused;
            // One of them alone, too.
            if round % 2 == 1 {
                mail.states[0].life = Life::Refused;
            }
            spool.accept(mail).await
        });
        accepted.expect("there is room");
        system.pass(Duration::from_millis(wait));
        system.crash(Crash::power(3));
        start_again(&mut system, MINUTE);
        until_quiet(&system, HOUR);
        assert_eq!(outcomes(&system, "b@d.test"), [Failed], "{wait} ms");
        let events = system.relay.journal().events();
        let count = |kind: fn(&EventKind) -> bool| {
            events.iter().filter(|e| e.message == id && kind(&e.kind)).count()
        };
        assert_eq!(count(|kind| matches!(kind, EventKind::Notice { .. })), 1, "{wait} ms");
        assert_eq!(count(|kind| matches!(kind, EventKind::Done)), 1, "{wait} ms");
        let taken = taken(&system, HOST).len();
        assert!(if round % 2 == 1 { taken == 0 } else { taken > 0 }, "{wait} ms: {taken}");
    }
}
