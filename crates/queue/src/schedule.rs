//! When a deferred recipient, or a destination that is down, is tried again (RFC 5321 section 4.5.4.1).
//!
//! Pure arithmetic: a failure count and a key give the same time on every machine with the same seed.

use posthaste_evidence::FaultClass;
use posthaste_mail::Timestamp;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// The largest spread that can be set, percent.
pub const MAX_JITTER: u8 = 90;
/// The last try before expiry is made this part of the lifetime before its end (5 days: 7.2 minutes).
const LAST_TRY_PART: u32 = 1000;

/// A number of retries at one distance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// How often.
    pub times: u32,
    /// How far apart.
    pub every: Duration,
}

/// A retry schedule. Connection and DNS faults pass through `glitch` first; all temporary failures through
/// `transient`, then `later`, whose last entry repeats until expiry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// First retries after a fault of [`FaultClass::Destination`].
    pub glitch: Step,
    /// The retries after it, and the first ones of every other temporary failure.
    pub transient: Step,
    /// The retries after that, one each; the last repeats. Empty: `transient` repeats.
    pub later: Vec<Duration>,
    /// Each distance is spread by up to this much either way, percent, at most [`MAX_JITTER`].
    pub jitter: u8,
    /// How long delivery is tried, from acceptance on.
    pub expire_after: Duration,
    /// When a sender is told that its mail is delayed.
    pub delay: DelayRule,
}

/// When a sender is told that its mail is delayed, counted from acceptance; never when its time is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DelayRule {
    /// The first notice; zero for none at all.
    pub after: Duration,
    /// Not at that time, but when the first attempt (or trial of its destination) that ends after it has failed. Mail
    /// that is not tried (held, without a route) is told of half of `after` later.
    pub at_failure: bool,
    /// From one notice to the next; `None` for one notice only.
    pub repeat: Option<Duration>,
}

/// The most delay notices of one recipient.
pub const MAX_ROUNDS: u8 = 250;

impl Default for DelayRule {
    fn default() -> Self {
        Self { after: 4 * HOUR, at_failure: false, repeat: None }
    }
}

impl DelayRule {
    /// There are delay notices at all.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.after.is_zero()
    }

    /// From one notice to the next, where there is more than one.
    pub(crate) fn repeats(&self) -> Option<Duration> {
        self.repeat.filter(|repeat| !repeat.is_zero())
    }

    /// How long after acceptance the notice is due that follows `told` others. `None` when there is none.
    #[must_use]
    pub fn due(&self, told: u8) -> Option<Duration> {
        if !self.is_on() || told >= MAX_ROUNDS {
            return None;
        }
        match (told, self.repeats()) {
            (0, _) => Some(self.after),
            (_, None) => None,
            (_, Some(repeat)) => self.after.checked_add(repeat.checked_mul(u32::from(told))?),
        }
    }

    /// The same, when no failure shows that it is time.
    #[must_use]
    pub fn due_anyway(&self, told: u8) -> Option<Duration> {
        let grace = if self.at_failure { self.after / 2 } else { Duration::ZERO };
        self.due(told)?.checked_add(grace)
    }

    /// How many notices are due at this age.
    #[must_use]
    pub fn rounds(&self, age: Duration) -> u8 {
        if !self.is_on() || age < self.after {
            return 0;
        }
        let more = match self.repeats() {
            None => 0,
            Some(repeat) => (age - self.after).as_micros() / repeat.as_micros().max(1),
        };
        u8::try_from(more.saturating_add(1)).unwrap_or(MAX_ROUNDS).min(MAX_ROUNDS)
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            glitch: Step { times: 4, every: MINUTE },
            transient: Step { times: 6, every: 5 * MINUTE },
            later: vec![10 * MINUTE, 30 * MINUTE, 60 * MINUTE],
            jitter: 20,
            expire_after: 5 * DAY,
            delay: DelayRule::default(),
        }
    }
}

impl Schedule {
    /// The schedule of Exchange: 4 x 1 min, 6 x 5 min, then every 10 min, all exactly; two days. Senders are told at
    /// the first failed attempt after 4 hours.
    #[must_use]
    pub fn exchange() -> Self {
        let delay = DelayRule { at_failure: true, ..DelayRule::default() };
        let later = vec![10 * MINUTE];
        Self { later, jitter: 0, expire_after: 2 * DAY, delay, ..Self::default() }
    }

    /// A built-in schedule by its name in the configuration: `default` or `exchange`.
    #[must_use]
    pub fn profile(name: &str) -> Option<Self> {
        match name {
            "default" => Some(Self::default()),
            "exchange" => Some(Self::exchange()),
            _ => None,
        }
    }

    /// The distance to the next try after `failures` failures in a row (1 or more), without jitter.
    #[must_use]
    pub fn delay(&self, class: FaultClass, failures: u32) -> Duration {
        let mut nth = failures.saturating_sub(1);
        if class == FaultClass::Destination {
            if nth < self.glitch.times {
                return self.glitch.every;
            }
            nth -= self.glitch.times;
        }
        if nth < self.transient.times {
            return self.transient.every;
        }
        let nth = usize::try_from(nth - self.transient.times).unwrap_or(usize::MAX);
        let last = self.later.last().copied().unwrap_or(self.transient.every);
        self.later.get(nth).copied().unwrap_or(last)
    }

    /// When the next try is due, with jitter. `key` tells who it is for (see [`key_of`]).
    #[must_use]
    pub fn due(&self, now: Timestamp, class: FaultClass, failures: u32, key: u64) -> Timestamp {
        now.plus(self.spread(self.delay(class, failures), mix(key ^ u64::from(failures))))
    }

    /// Like [`Self::due`], but never after `expires`. The last try is made shortly before; when there is no
    /// time even for that, the answer is `expires` itself, when the recipient ends.
    #[must_use]
    pub fn due_before(
        &self,
        now: Timestamp,
        class: FaultClass,
        failures: u32,
        key: u64,
        expires: Timestamp,
    ) -> Timestamp {
        let due = self.due(now, class, failures, key);
        let last = expires.minus(self.expire_after / LAST_TRY_PART);
        if due <= last {
            due
        } else if now < last {
            last
        } else {
            expires
        }
    }

    fn spread(&self, delay: Duration, random: u64) -> Duration {
        let jitter = i128::from(self.jitter.min(MAX_JITTER));
        let micros = i128::try_from(delay.as_micros()).unwrap_or(i128::MAX / 1_000_000);
        // -jitter ..= +jitter in hundredths of a percent, evenly
        let part = i128::from(random % 20_001) - 10_000;
        let moved = micros + micros * jitter * part / 1_000_000;
        Duration::from_micros(u64::try_from(moved).unwrap_or(u64::MAX))
    }
}

/// A key for the jitter of one recipient.
#[must_use]
pub fn key_of(seed: u64, message: u64, recipient: u32) -> u64 {
    mix(mix(seed ^ message) ^ u64::from(recipient))
}

/// A key for the jitter of a destination or host, by its name.
#[must_use]
pub fn key_of_name(seed: u64, name: &[u8]) -> u64 {
    name.iter().fold(mix(seed), |hash, byte| mix(hash ^ u64::from(*byte)))
}

/// Scatters neighbouring numbers (the finalizer of splitmix64).
const fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(schedule: &Schedule, class: FaultClass, count: u32) -> Vec<u64> {
        (1..=count).map(|n| schedule.delay(class, n).as_secs() / 60).collect()
    }

    #[test]
    fn the_steps_are_those_of_the_design() {
        let default = Schedule::default();
        let of_destination = [1, 1, 1, 1, 5, 5, 5, 5, 5, 5, 10, 30, 60, 60, 60];
        assert_eq!(minutes(&default, FaultClass::Destination, 15), of_destination);
        let of_message = [5, 5, 5, 5, 5, 5, 10, 30, 60, 60, 60];
        assert_eq!(minutes(&default, FaultClass::Message, 11), of_message);
        assert_eq!(minutes(&default, FaultClass::Local, 11), of_message);
        let exchange = Schedule::profile("exchange").expect("built in");
        assert_eq!(minutes(&exchange, FaultClass::Destination, 13)[9..], [5, 10, 10, 10]);
        assert_eq!(default.delay(FaultClass::Message, u32::MAX), 60 * MINUTE);
        assert_eq!(Schedule::profile("sendmail"), None);
        let bare = Schedule { later: Vec::new(), ..default };
        assert_eq!(bare.delay(FaultClass::Message, 100), 5 * MINUTE);
    }

    #[test]
    fn delay_notices_are_due_at_their_hours() {
        let once = DelayRule::default();
        let daily = DelayRule { repeat: Some(DAY), ..once };
        let never = DelayRule { after: Duration::ZERO, ..daily };
        let failing = DelayRule { at_failure: true, ..daily };
        for (rule, told, due, anyway) in [
            (once, 0, Some(4), Some(4)),
            (once, 1, None, None),
            (daily, 0, Some(4), Some(4)),
            (daily, 2, Some(52), Some(52)),
            (daily, MAX_ROUNDS, None, None),
            (never, 0, None, None),
            (failing, 0, Some(4), Some(6)),
            (failing, 1, Some(28), Some(30)),
        ] {
            let hours = |hours: Option<u32>| hours.map(|hours| hours * HOUR);
            assert_eq!((rule.due(told), rule.due_anyway(told)), (hours(due), hours(anyway)));
        }
        let second = Duration::from_secs(1);
        for (rule, age, rounds) in [
            (once, 4 * HOUR - second, 0),
            (once, 4 * HOUR, 1),
            (once, 400 * HOUR, 1),
            (daily, 28 * HOUR - second, 1),
            (daily, 28 * HOUR, 2),
            (daily, Duration::MAX, MAX_ROUNDS),
            (never, Duration::MAX, 0),
        ] {
            assert_eq!(rule.rounds(age), rounds, "{rule:?} at {age:?}");
        }
        // A notice is due exactly when it counts.
        for told in 0..MAX_ROUNDS {
            let due = daily.due(told).expect("daily");
            assert_eq!((daily.rounds(due - second), daily.rounds(due)), (told, told + 1));
        }
    }

    #[test]
    fn jitter_spreads_within_its_bounds_and_is_the_same_each_time() {
        let schedule = Schedule::default();
        let now = Timestamp::from_secs(1_000_000);
        let (mut low, mut high) = (Duration::MAX, Duration::ZERO);
        for message in 0..10_000 {
            let key = key_of(42, message, 0);
            let due = schedule.due(now, FaultClass::Message, 9, key);
            assert_eq!(due, schedule.due(now, FaultClass::Message, 9, key));
            low = low.min(due.since(now));
            high = high.max(due.since(now));
        }
        assert!(low >= 48 * MINUTE && low < 49 * MINUTE, "{low:?}");
        assert!(high <= 72 * MINUTE && high > 71 * MINUTE, "{high:?}");
        let exact = Schedule { jitter: 0, ..Schedule::default() };
        assert_eq!(exact.due(now, FaultClass::Message, 1, 7), now.plus(5 * MINUTE));
        assert_ne!(key_of(1, 2, 3), key_of(2, 2, 3));
        assert_ne!(key_of_name(1, b"a.example"), key_of_name(1, b"b.example"));
    }

    #[test]
    fn nothing_is_due_after_expiry_and_the_last_try_is_shortly_before() {
        let schedule = Schedule { jitter: 0, ..Schedule::default() };
        let expires = Timestamp::from_secs(10_000_000);
        let last = expires.minus(Duration::from_secs(432));
        for (before_end, due) in [
            (
                61 * MINUTE + 432 * Duration::from_secs(1),
                expires.minus(432 * Duration::from_secs(1) + MINUTE),
            ),
            (60 * MINUTE, last),
            (8 * MINUTE, last),
            (7 * MINUTE, expires),
            (Duration::ZERO, expires),
        ] {
            let now = expires.minus(before_end);
            let got = schedule.due_before(now, FaultClass::Message, 20, 1, expires);
            assert_eq!(got, due, "{before_end:?} before the end");
        }
    }
}
