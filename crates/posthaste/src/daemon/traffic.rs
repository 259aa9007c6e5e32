//! The last minute in numbers, from counters that only grow.

use posthaste_admin::desk::Traffic;
use posthaste_dispatch::Numbers;
use std::collections::VecDeque;

/// Looks that make a minute, one a second.
const LOOKS: usize = 61;

/// The counters of the last minute, one look a second.
#[derive(Default)]
pub(super) struct Minute(VecDeque<Traffic>);

impl Minute {
    /// A second has passed.
    pub(super) fn look(&mut self, now: &Numbers) {
        if self.0.len() >= LOOKS {
            self.0.pop_front();
        }
        self.0.push_back(all(now));
    }

    /// What came in the last minute, or since the start when that is later: until a minute of looks is there, nothing
    /// is taken off.
    pub(super) fn traffic(&self, now: &Numbers) -> Traffic {
        let before = self.0.front().filter(|_| self.0.len() >= LOOKS);
        let (before, all) = (before.copied().unwrap_or_default(), all(now));
        Traffic {
            accepted: all.accepted.saturating_sub(before.accepted),
            delivered: all.delivered.saturating_sub(before.delivered),
            deferred: all.deferred.saturating_sub(before.deferred),
            failed: all.failed.saturating_sub(before.failed),
        }
    }
}

/// Since the start.
const fn all(now: &Numbers) -> Traffic {
    Traffic {
        accepted: now.accepted,
        delivered: now.delivered,
        deferred: now.deferred + now.indeterminate,
        failed: now.failed + now.expired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        let mut minute = Minute::default();
        let mut now = Numbers::default();
        assert_eq!(minute.traffic(&now), Traffic::default());
        for second in 0..200 {
            let expired = second / 100;
            now = Numbers { accepted: second * 2, failed: 5, expired, ..Numbers::default() };
            minute.look(&now);
        }
        let traffic = minute.traffic(&now);
        assert_eq!((traffic.accepted, traffic.failed, traffic.delivered), (120, 0, 0));
    }
    #[test]
    fn what_came_in_the_first_seconds_counts() {
        let mut minute = Minute::default();
        let now = |accepted| Numbers { accepted, ..Numbers::default() };
        assert_eq!(minute.traffic(&now(300)).accepted, 300, "before the first look");
        minute.look(&now(1131));
        minute.look(&now(20_000));
        assert_eq!(minute.traffic(&now(20_001)).accepted, 20_001);
    }
}
