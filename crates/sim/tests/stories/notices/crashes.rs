//! A crash between a failure and its notice, at 200 points: exactly one notice each, whatever the disk had by then.

use super::HOST;
use crate::words::*;
use posthaste_io_sim::Crash;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_sim::{MailSystem, Plan, Store, check, notices};
use std::time::Duration;

const CRASHES: u64 = 200;
const MS: Duration = Duration::from_millis(1);

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

    /// When things begin to happen after the message was acknowledged, and for how long they do.
    const fn window(self) -> (Duration, Duration) {
        match self {
            // Resolve, connect, greet and be refused; settle; hand the notice over.
            Self::Refused => (Duration::ZERO, Duration::from_millis(1500)),
            Self::Probed => (Duration::ZERO, Duration::from_secs(64)),
            Self::Expired | Self::Delayed => {
                (Duration::from_millis(599_500), Duration::from_millis(1500))
            }
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
    system.probing.set(matches!(course, Course::Probed));
    send(&system, 7, &["a@d.test", "b@d.test"]);
    system
}

/// Crashes at one point of the course; answers the notices that came of it, by kind, each once.
fn crash_at(seed: u64, course: Course, point: Duration) -> (MailSystem, Vec<notices::Read>) {
    let mut system = begin(seed, course);
    system.pass(point);
    system.crash(if seed.is_multiple_of(3) { Crash::kill() } else { Crash::power(seed) });
    system.pass(SECOND * u32::try_from(seed % 40).expect("small"));
    system.restart();
    assert!(system.run_until(MINUTE, SECOND, MailSystem::is_ready));
    system.run_until(20 * MINUTE, MINUTE, |s| s.live().is_empty());
    let told = notices::read_all(&system);
    (system, told)
}

#[test]
fn exactly_one_notice_whenever_the_power_goes_between_failure_and_notice() {
    let mut between = 0;
    for number in 0..CRASHES {
        let course = COURSES[usize::try_from(number % 4).expect("small")];
        let (start, length) = course.window();
        // Scattered evenly, and every point another one.
        let point = start + length * u32::try_from(number / 4).expect("small") / 50 + MS;
        let (system, told) = crash_at(number, course, point);
        let story = format!("crash {number}, {course:?} after {point:?}");
        let mut about: Vec<&str> = told
            .iter()
            .flat_map(|notice| notice.about.iter().filter(|word| word.action == course.action()))
            .map(|word| word.recipient.as_str())
            .collect();
        about.sort_unstable();
        assert_eq!(about, ["a@d.test", "b@d.test"], "{story}: {told:#?}");
        assert_eq!(notices::honest(&system), check::Verdict::new(), "{story}");
        between += usize::from(told.len() == 1);
    }
    assert!(between > 150, "{between} of {CRASHES} told both in one notice");
}
