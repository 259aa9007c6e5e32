//! The bounded, growing rate at which a backlog is released (design: promise 6).
//!
//! A rate limiter without memory of unused turns: whoever comes late never gets a burst for it.

use crate::settings::Drain;
use posthaste_mail::Timestamp;
use std::time::Duration;

/// Doublings after which the rate no longer fits its number; `top_rate` is reached long before.
const MAX_DOUBLINGS: u32 = 31;

/// A release under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Draining {
    since: Timestamp,
    /// When the next turn is free.
    pub(crate) next: Timestamp,
}

impl Draining {
    /// Starts now; the first turn is free.
    pub(crate) const fn new(now: Timestamp) -> Self {
        Self { since: now, next: now }
    }

    /// A turn is free.
    pub(crate) fn is_open(&self, now: Timestamp) -> bool {
        self.next <= now
    }

    /// Takes a turn.
    pub(crate) fn take(&mut self, now: Timestamp, settings: &Drain) {
        let distance = Duration::from_secs(1) / self.rate(now, settings);
        self.next = self.next.max(now).plus(distance);
    }

    /// Turns per second now.
    fn rate(&self, now: Timestamp, settings: &Drain) -> u32 {
        let first = settings.first_rate.max(1);
        let seconds = u32::try_from(now.since(self.since).as_secs()).unwrap_or(u32::MAX);
        let doubled = u64::from(first) << seconds.min(MAX_DOUBLINGS);
        let top = u64::from(settings.top_rate.max(first));
        u32::try_from(doubled.min(top)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_doubles_each_second_up_to_the_top() {
        let settings = Drain { first_rate: 10, top_rate: 50 };
        let start = Timestamp::from_secs(1000);
        let mut draining = Draining::new(start);
        let mut per_second = [0u32; 6];
        let mut now = start;
        while now < start.plus(Duration::from_secs(6)) {
            assert!(draining.is_open(now));
            draining.take(now, &settings);
            assert!(!draining.is_open(now));
            per_second[usize::try_from(now.since(start).as_secs()).expect("small")] += 1;
            now = draining.next;
        }
        assert_eq!(per_second, [10, 20, 40, 50, 50, 50]);
    }

    #[test]
    fn a_pause_earns_no_burst() {
        let settings = Drain { first_rate: 1, top_rate: 1 };
        let mut draining = Draining::new(Timestamp::from_secs(0));
        let late = Timestamp::from_secs(100);
        draining.take(late, &settings);
        assert!(!draining.is_open(late));
        assert_eq!(draining.next, Timestamp::from_secs(101));
    }
}
