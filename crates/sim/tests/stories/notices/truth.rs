//! What notices say of attempts and of holds: of the very attempt that brought them about, and of whose will kept mail.

use super::HOST;
use crate::words::*;
use posthaste_evidence::{Act, EventKind, NoticeKind};
use posthaste_mail::Timestamp;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::Schedule;
use posthaste_sim::notices::{Read, read_all};
use posthaste_sim::{MailSystem, Plan, Store};
use posthaste_spool::NewPlace;
use posthaste_spool::decision::{Command, Which};
use std::time::Duration;

const LIFETIME: Duration = Duration::from_secs(2 * 86_400);

/// The store on disk: a commit takes its time, in which much can happen.
fn plan() -> Plan {
    Plan { store: Store::Local, ..Plan::domain("d.test", 1) }
}

fn reply(step: Step, words: &str) -> Script {
    Script::default().always(step, Action::Reply(words.into()))
}

/// The notices of an action (RFC 3464 section 2.3.3).
fn of_action(system: &MailSystem, action: &str) -> Vec<Read> {
    let all = read_all(system).into_iter();
    all.filter(|notice| notice.about.iter().all(|word| word.action == action)).collect()
}

/// The text with its lines put together.
fn flowing(notice: &Read) -> String {
    notice.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A field of the part for machines.
fn field(notice: &Read, name: &str) -> String {
    let start = format!("{name}: ");
    let found = notice.whole.lines().find_map(|line| line.strip_prefix(&start));
    found.map(str::trim_end).unwrap_or_default().to_owned()
}

/// It tells of the last attempt that had ended by then, which began at most so long before, and of as many as there were.
fn tells_of_the_last(system: &MailSystem, took: Duration, status: &str, said: &str) {
    let notice = &of_action(system, "delayed")[0];
    let told = told_at(system, NoticeKind::Delayed).remove(0);
    let tries = tries(system, "r@d.test").into_iter().filter(|t| t.at <= told).count();
    let mut dates =
        (0..=took.as_secs()).map(|s| told.minus(SECOND * u32::try_from(s).expect("few")).rfc5322());
    let last = field(notice, "Last-Attempt-Date");
    assert!(dates.any(|date| date == last), "{last}: {}", notice.whole);
    assert_eq!(field(notice, "X-Posthaste-Attempts"), tries.to_string(), "{}", notice.whole);
    assert_eq!(notice.about[0].status, status, "{}", notice.whole);
    assert!(notice.about[0].diagnostic.contains(said), "{}", notice.whole);
    assert!(flowing(notice).contains(said), "{}", notice.text);
}

fn told_at(system: &MailSystem, wanted: NoticeKind) -> Vec<Timestamp> {
    let events = system.relay.journal().events();
    let at = events.into_iter().filter_map(|event| match event.kind {
        EventKind::Notice { kind, .. } if kind == wanted => Some(event.at),
        _ => None,
    });
    at.collect()
}

#[test]
fn a_notice_that_waited_for_an_attempt_tells_of_it() {
    for tried_before in [true, false] {
        let system = up(plan());
        let slow = Script::default().always(Step::Mail, Action::Delay(4 * MINUTE));
        let slow = slow.always(Step::Rcpt, Action::Reply("451 4.3.0 try later".into()));
        if tried_before {
            peer(&system, HOST).set(reply(Step::Rcpt, "450 4.2.1 mailbox busy"));
            send(&system, 7, &["r@d.test"]);
            system.pass(4 * HOUR - 2 * MINUTE);
            peer(&system, HOST).set(slow);
            order(&system, Act::Retry, Which::Destination("d.test".into()));
        } else {
            // The only attempt there was is the one in flight.
            order(&system, Act::Hold, Which::Destination("d.test".into()));
            send(&system, 7, &["r@d.test"]);
            system.pass(4 * HOUR - 2 * MINUTE);
            peer(&system, HOST).set(slow);
            order(&system, Act::Release, Which::Destination("d.test".into()));
        }
        system.pass(10 * MINUTE);
        tells_of_the_last(&system, 5 * MINUTE, "4.3.0", "451 4.3.0 try later");
    }
}

#[test]
fn a_notice_that_a_failed_attempt_caused_tells_of_it() {
    for step in [Step::Rcpt, Step::Dot] {
        let mut plan = plan();
        plan.queue.schedule = Schedule::exchange();
        let system = up(plan);
        peer(&system, HOST).set(reply(step, "450 4.2.1 as always"));
        send(&system, 7, &["r@d.test"]);
        system.pass(4 * HOUR - MINUTE);
        peer(&system, HOST).set(reply(step, "451 4.3.5 this one"));
        system.pass(HOUR);
        tells_of_the_last(&system, 2 * SECOND, "4.3.5", "451 4.3.5 this one");
    }
}

#[test]
fn probes_that_end_with_the_failure_find_it() {
    let system = up(plan());
    peer(&system, HOST).set(reply(Step::Rcpt, "550 5.1.1 no such user"));
    system.probing.set(true);
    send(&system, 7, &["r@d.test"]);
    let dispatch = system.dispatch();
    let failed = || {
        let live = system.live();
        let id = live.first().map(|live| live.envelope.id)?;
        format!("{:?}", dispatch.waiting(id, 0)).contains("NoticePendingProbe").then_some(id)
    };
    let id = loop {
        if let Some(id) = failed() {
            break id;
        }
        system.pass(Duration::from_micros(200));
    };
    dispatch.probes_ended(id);
    until_quiet(&system, MINUTE);
    assert_eq!(the_notice(&system).status, ["5.1.1"]);
}

/// Tried for so long, then held to the end; what the notice says flowingly.
fn held_after(tried: Duration, how: &str) -> (MailSystem, String) {
    let mut plan = plan();
    plan.queue.schedule = Schedule { expire_after: LIFETIME, ..Schedule::default() };
    let system = up(plan);
    peer(&system, HOST).set(reply(Step::Rcpt, "452 4.2.2 mailbox full"));
    send(&system, 7, &["r@d.test"]);
    system.pass(tried);
    match how {
        "message" => drop(order(&system, Act::Hold, Which::All)),
        "destination" => drop(order(&system, Act::Hold, Which::Destination("d.test".into()))),
        _ => {}
    }
    system.pass(LIFETIME - tried - 5 * SECOND);
    let id = system.live()[0].envelope.id;
    let dispatch = system.dispatch();
    let preview = system.sim.block_on(&system.relay, async move {
        dispatch.preview(id, NoticeKind::Failed, None).await.map(|composed| composed.parts.text)
    });
    until_quiet(&system, DAY);
    let notice = of_action(&system, "failed").remove(0);
    let shown: Vec<_> =
        preview.expect("it is owed").split_whitespace().map(str::to_owned).collect();
    let said = flowing(&notice);
    // The preview is of some seconds before.
    let reason = |text: &str| {
        let from = text.find("Why").unwrap_or_else(|| panic!("{text}"));
        let to = text.find("What to do").unwrap_or(text.len());
        text[from..to.max(from)].to_owned()
    };
    let (real, shown) = (reason(&said), reason(&shown.join(" ")));
    assert_eq!(real, shown);
    (system, said)
}

const HELD: &str = "The administrators of this mail server have put the delivery on hold.";

#[test]
fn who_was_held_to_the_end_is_told_so_and_the_recipient_not_blamed() {
    for how in ["message", "destination"] {
        let (_, said) = held_after(HOUR, how);
        let why = format!("Why, for most of the time (1 day and 23 hours): {HELD}");
        assert!(said.contains(&why), "{how}: {said}");
        let people = said.split("Diagnostic information").next().expect("the first part");
        assert!(!people.contains("mailbox"), "{how}: {said}");

        let (_, said) = held_after(40 * HOUR, how);
        let first =
            format!("Why, at the end: {HELD} Why, for most of the time (1 day and 16 hours)");
        assert!(said.contains(&first), "{how}: {said}");
    }
}

/// RFC 3464 section 2.2.5: when it came to us, wherever it was sent on to since.
#[test]
fn what_was_redirected_arrived_when_it_came() {
    let system = up(plan());
    peer(&system, HOST).set(reply(Step::Rcpt, "450 4.2.1 mailbox busy"));
    let received = system.relay.world().wall();
    send(&system, 7, &["r@d.test"]);
    system.pass(HOUR);
    peer(&system, HOST).set(reply(Step::Rcpt, "550 5.1.1 no such user"));
    let to = Some(NewPlace::Address("other@d.test".into()));
    give(&system, Command { to, ..command(Act::Redirect, Which::All) }).expect("it is taken");
    until_quiet(&system, HOUR);
    let notice = &of_action(&system, "failed")[0];
    let mut dates = (0..=2).map(|s| received.plus(SECOND * s).rfc5322());
    let arrived = field(notice, "Arrival-Date");
    assert!(dates.any(|date| date == arrived), "{}", notice.whole);
}

/// The wall clock is set while mail waits, an hour after it came: age and end of mail go by it.
#[test]
fn a_clock_that_is_set_meanwhile_moves_the_notice_and_neither_doubles_nor_belies_it() {
    let hours = |count: i64| count * 3_600_000_000;
    for (first, second) in [(2, 0), (-3, 0), (6, 0), (-3, 3), (6, -6), (5, 2), (0, -4)] {
        let mut plan = plan();
        plan.queue.schedule = Schedule { expire_after: LIFETIME, ..Schedule::default() };
        let system = up(plan);
        peer(&system, HOST).set(reply(Step::Rcpt, "450 4.2.1 mailbox busy"));
        let received = system.relay.world().wall();
        send(&system, 7, &["r@d.test"]);
        system.pass(HOUR);
        system.relay.step_wall_clock(hours(first));
        // By then the notice has been sent, but where the clock was set back.
        system.pass(4 * HOUR);
        system.relay.step_wall_clock(hours(second));
        until_quiet(&system, 4 * DAY);
        let how = format!("{first} h, then {second} h");
        let told = told_at(&system, NoticeKind::Delayed);
        assert_eq!(told.len(), 1, "{how}: {told:?}");
        let notice = &of_action(&system, "delayed")[0];
        let end = notice.about[0].until.clone();
        let ends = (0..=2).map(|s| received.plus(LIFETIME).plus(SECOND * s)).collect::<Vec<_>>();
        let end = ends.into_iter().find(|at| at.rfc5322() == end).expect("the end of its time");
        let left = (end.since(told[0]).as_secs() + 30) / 60;
        let said = flowing(notice);
        let unit = |count: u64, unit: &str| {
            if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
        };
        let (hour, minute) = (unit(left / 60 % 24, "hour"), unit(left % 60, "minute"));
        let words = format!("for the next {}, {hour} and {minute}", unit(left / 1440, "day"));
        assert!(said.contains(&words), "{how}: {words}: {said}");
        // At the age of four hours, or when the clock said that it was older.
        let age = match (1 + first, 5 + first) {
            (at_first, _) if at_first >= 4 => at_first,
            (_, before_second) if before_second >= 4 => 4,
            (_, before_second) => (before_second + second).max(4),
        };
        let age = HOUR * u32::try_from(age).expect("positive");
        let late = told[0].since(received.plus(age));
        assert!(told[0] >= received.plus(age) && late < 2 * MINUTE, "{how}: {late:?}");
        let failed = told_at(&system, NoticeKind::Failed);
        assert_eq!(failed.len(), 1, "{how}");
        assert!(failed[0] >= end.minus(2 * SECOND) && failed[0].since(end) < 2 * MINUTE, "{how}");
    }
}
