//! How old the messages of a destination are, counted by the minute of their acceptance: a table by age costs no look at
//! the messages.

use posthaste_mail::Timestamp;
use std::time::Duration;

/// The upper ends of the age classes, minutes; the last class has none.
pub const AGE_CLASSES: [u32; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];

/// Messages by age class.
pub type Ages = [u32; AGE_CLASSES.len() + 1];

const MINUTE: i64 = 60_000_000;

/// Messages by the minute of their acceptance, oldest first. Most come in order, so that the end is where things happen.
#[derive(Debug, Default)]
pub(crate) struct Minutes(Vec<(u32, u32)>);

impl Minutes {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn add(&mut self, received: Timestamp) {
        let minute = minute_of(received);
        if let Some((last, count)) = self.0.last_mut()
            && *last == minute
        {
            *count += 1;
            return;
        }
        match self.0.binary_search_by_key(&minute, |(minute, _)| *minute) {
            Ok(place) => self.0[place].1 += 1,
            Err(place) => self.0.insert(place, (minute, 1)),
        }
    }

    pub(crate) fn remove(&mut self, received: Timestamp) {
        let minute = minute_of(received);
        if let Ok(place) = self.0.binary_search_by_key(&minute, |(minute, _)| *minute) {
            self.0[place].1 -= 1;
            if self.0[place].1 == 0 {
                self.0.remove(place);
            }
        }
    }

    /// By age, to the minute.
    pub(crate) fn by_age(&self, now: Timestamp) -> Ages {
        let now = minute_of(now);
        let mut ages = Ages::default();
        for (minute, count) in &self.0 {
            let age = now.saturating_sub(*minute);
            ages[AGE_CLASSES.partition_point(|end| *end <= age)] += count;
        }
        ages
    }
}

fn minute_of(time: Timestamp) -> u32 {
    u32::try_from(time.as_micros().div_euclid(MINUTE)).unwrap_or(0)
}

const SLOTS: usize = 7;
const SLOT: i64 = 10_000_000;

/// What came and what left in the last minute, in steps of ten seconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    /// The step that is counted in now.
    step: i64,
    counts: [(u32, u32); SLOTS],
}

impl Rates {
    pub(crate) fn came(&mut self, now: Timestamp) {
        self.now(now).0 += 1;
    }

    pub(crate) fn left(&mut self, now: Timestamp) {
        self.now(now).1 += 1;
    }

    fn now(&mut self, now: Timestamp) -> &mut (u32, u32) {
        let step = now.as_micros().div_euclid(SLOT);
        let passed = usize::try_from(step.saturating_sub(self.step)).unwrap_or(0).min(SLOTS);
        if passed > 0 {
            self.counts.rotate_right(passed);
            self.counts[..passed].fill((0, 0));
            self.step = step;
        }
        &mut self.counts[0]
    }

    /// Messages that came and that left in the minute before now; of the step in which it begins a share.
    #[must_use]
    pub fn last_minute(mut self, now: Timestamp) -> (u32, u32) {
        self.now(now);
        let share = u64::try_from(SLOT - now.as_micros().rem_euclid(SLOT)).unwrap_or(0);
        let part = |count: u32| u64::from(count) * share / SLOT.unsigned_abs();
        let sum = |of: fn(&(u32, u32)) -> u32| {
            let whole: u64 = self.counts[..SLOTS - 1].iter().map(|c| u64::from(of(c))).sum();
            u32::try_from(whole + part(of(&self.counts[SLOTS - 1]))).unwrap_or(u32::MAX)
        };
        (sum(|count| count.0), sum(|count| count.1))
    }

    /// Nothing happened in the last minute.
    pub(crate) fn is_quiet(self, now: Timestamp) -> bool {
        now.since(Timestamp::from_micros(self.step.saturating_mul(SLOT))) > Duration::from_secs(70)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn messages_are_counted_by_age() {
        let mut minutes = Minutes::new();
        let accepted = [0, 60, 61, 6_000, 6_001, 40];
        accepted.iter().for_each(|seconds| minutes.add(at(*seconds)));
        assert_eq!(minutes.by_age(at(6_001))[0], 2);
        let later = minutes.by_age(at(6_000 + 5 * 60));
        assert_eq!((later[1], later[5], later.iter().sum::<u32>()), (2, 4, 6), "105 minutes");
        assert_eq!(minutes.by_age(at(1280 * 60 + 120))[9], 4);
        accepted.iter().for_each(|seconds| minutes.remove(at(*seconds)));
        minutes.remove(at(0));
        assert_eq!((minutes.by_age(at(9)), minutes.0.len()), (Ages::default(), 0));
    }

    #[test]
    fn a_rate_is_that_of_the_last_minute() {
        let mut rates = Rates::default();
        for second in 0..120 {
            rates.came(at(second));
            if second % 2 == 0 {
                rates.left(at(second));
            }
        }
        for (second, came, left) in
            [(119, 60..=61, 30..=31), (149, 30..=31, 15..=16), (200, 0..=0, 0..=0)]
        {
            let now = rates.last_minute(at(second));
            assert!(came.contains(&now.0) && left.contains(&now.1), "{second}: {now:?}");
        }
        assert!(rates.is_quiet(at(300)) && !rates.is_quiet(at(120)));
        // A clock that was set back counts into the newest step.
        rates.came(at(-500));
        assert_eq!(rates.last_minute(at(121)).0, rates.last_minute(at(121)).0);
    }
}
