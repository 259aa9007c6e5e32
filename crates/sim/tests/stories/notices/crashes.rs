//! A crash between a failure and its notice, at 200 points: exactly one notice each, whatever the disk had by then.
//!
//! The points are chosen by what has happened, not by the clock: the failure is known, and the sender's host has not
//! taken the notice. A third of them lie in or right behind the commit that stores both.

use super::HOST;
use crate::words::*;
use posthaste_evidence::{EventKind, Outcome};
use posthaste_io_sim::Crash;
use posthaste_mail::QueueId;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_sim::{MailSystem, Plan, Store, check, notices};
use std::time::Duration;

const CRASHES: u64 = 200;
const MS: Duration = Duration::from_millis(1);
/// How closely the run looks for the moment at which a failure is known. A commit takes ten of these.
const GLANCE: Duration = Duration::from_micros(50);

/// What stands between a message and its notice.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// It is refused at once.
    Refused,
    /// It is refused, and the notice waits for probes that do not end.
    Probed,
    /// Its time is over while it waits.
    Expired,
    /// It is delayed for longer than the sender is left untold.
    Delayed,
}

const COURSES: [Course; 4] = [Course::Refused, Course::Probed, Course::Expired, Course::Delayed];

impl Course {
    fn script(self) -> Script {
        let refusal = match self {
            Self::Refused | Self::Probed => "550 5.1.1 no such user",
            Self::Expired | Self::Delayed => "450 4.2.1 mailbox busy",
        };
        Script::default().always(Step::Rcpt, Action::Reply(refusal.into()))
    }

    /// How long nothing happens for certain after the message was accepted.
    const fn quiet(self) -> Duration {
        match self {
            Self::Refused | Self::Probed => Duration::ZERO,
            Self::Expired | Self::Delayed => Duration::from_millis(599_700),
        }
    }

    const fn action(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            _ => "failed",
        }
    }
}

fn begin(seed: u64, course: Course) -> MailSystem {
    let mut plan = Plan { store: Store::Local, ..Plan::domain("d.test", 1) };
    match course {
        Course::Expired => plan.queue.schedule.expire_after = 10 * MINUTE,
        Course::Delayed => plan.queue.schedule.delay.after = 10 * MINUTE,
        Course::Refused | Course::Probed => {}
    }
    let system = MailSystem::new(seed, plan);
    assert!(system.run_until(SECOND, Duration::from_millis(10), MailSystem::is_ready));
    peer(&system, HOST).set(course.script());
    // It takes its time with the notice: the dialogue lies before every crash.
    let slow = Action::Delay(Duration::from_millis(200));
    peer(&system, "mx0.sender.test").set(Script::default().always(Step::Dot, slow));
    system.probing.set(matches!(course, Course::Probed));
    // The client may be told later than the relay is refused.
    system.hand_in(letter(7, &["a@d.test", "b@d.test"]));
    assert!(system.run_until(MINUTE, GLANCE, |s| s.dispatch().load().0 > 0), "it is accepted");
    system
}

/// What was stored when the process went down, of a failure that it knew of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stored {
    /// Neither the failure nor its notice: their commit is under way.
    Nothing,
    /// That it failed, and nothing else: its notice waits for probes. In no other course.
    Failure,
    /// Both; the notice has not arrived.
    Notice,
}

/// What the journal and the sender's host say; `None` when this crash would not lie between a failure and its notice.
fn stored(system: &MailSystem, id: QueueId) -> Option<Stored> {
    if !peer(system, "mx0.sender.test").arrivals().is_empty() {
        return None;
    }
    let events = system.relay.journal().events();
    let mut of_message = events.iter().filter(|event| event.message == id).map(|e| &e.kind);
    if of_message.clone().any(|kind| matches!(kind, EventKind::Notice { .. })) {
        return Some(Stored::Notice);
    }
    let failed = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::Tried { outcome: Outcome::Failed, .. } | EventKind::Expired { .. }
        )
    };
    let under_way = system.dispatch().is_settling(id) && !of_message.any(failed);
    Some(if under_way { Stored::Nothing } else { Stored::Failure })
}

/// Runs until what comes of the message is known, and on its way to the disk.
fn until_known(system: &MailSystem, id: QueueId) {
    let known = |s: &MailSystem| s.dispatch().is_settling(id);
    let became = system.run_until(2 * SECOND, GLANCE, known);
    assert!(became, "it never became known: {:#?}", system.relay.journal().events());
}

/// Time passes, and nothing is asked of anybody meanwhile.
fn on(system: &MailSystem, time: Duration) {
    system.run_until(time, time, |_| false);
}

/// Runs to the crash point of this number.
fn run_to(system: &MailSystem, course: Course, number: u64) -> QueueId {
    let id = system.live()[0].envelope.id;
    let place = u32::try_from(number / 4).expect("small");
    on(system, course.quiet());
    until_known(system, id);
    let probed = matches!(course, Course::Probed);
    if probed && place % 4 > 1 {
        // The failure is stored: another half of these go down when the minute of the probes is over.
        on(system, 59 * SECOND + SECOND * 9 / 10);
        until_known(system, id);
    }
    let after = match place / 2 {
        // It waits five milliseconds for company, and half of one for the disk: closely around that.
        turn if place.is_multiple_of(2) && turn < 5 => MS * turn,
        turn if place.is_multiple_of(2) => MS * 5 - GLANCE * 2 + GLANCE * (turn - 5),
        _ if probed && place % 4 == 1 => SECOND * place,
        _ => MS * 3 * place,
    };
    on(system, after);
    id
}

/// Crashes at one point of the course; answers what was stored then, and the notices that came of it, each once.
fn crash_at(number: u64, course: Course) -> (MailSystem, Stored, Vec<notices::Read>) {
    let mut system = begin(number, course);
    let id = run_to(&system, course, number);
    let stored = stored(&system, id);
    let stored = stored.unwrap_or_else(|| {
        panic!("{number} {course:?} is not between: {:#?}", system.relay.journal().events())
    });
    system.crash(if number.is_multiple_of(3) { Crash::kill() } else { Crash::power(number) });
    system.pass(SECOND * u32::try_from(number % 40).expect("small"));
    system.restart();
    assert!(system.run_until(MINUTE, SECOND, MailSystem::is_ready));
    system.run_until(20 * MINUTE, MINUTE, |s| s.live().is_empty());
    let told = notices::read_all(&system);
    (system, stored, told)
}

#[test]
fn exactly_one_notice_whenever_the_power_goes_between_failure_and_notice() {
    let mut of = [0; 3];
    for number in 0..CRASHES {
        let course = COURSES[usize::try_from(number % 4).expect("small")];
        let (system, stored, told) = crash_at(number, course);
        of[stored as usize] += 1;
        let right = stored != Stored::Failure || matches!(course, Course::Probed);
        let story = format!("crash {number}, {course:?}, stored by then: {stored:?}");
        let mut about: Vec<&str> = told
            .iter()
            .flat_map(|notice| notice.about.iter().filter(|word| word.action == course.action()))
            .map(|word| word.recipient.as_str())
            .collect();
        about.sort_unstable();
        assert_eq!(about, ["a@d.test", "b@d.test"], "{story}: {told:#?}");
        assert_eq!(notices::honest(&system), check::Verdict::new(), "{story}");
        assert!(right, "the failure was stored without its notice: {story}");
        assert_eq!(told.len(), 1, "both were told in one notice: {story}");
    }
    let [nothing, failure, notice] = of;
    println!(
        "{nothing} before the commit was durable, {failure} while probes went on, {notice} before it arrived"
    );
    assert!(nothing >= 50 && failure >= 20 && notice >= 70, "{of:?}");
}
