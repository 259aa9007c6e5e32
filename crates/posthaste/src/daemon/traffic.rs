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
        self.0.push_back(Traffic {
            accepted: now.accepted,
            delivered: now.delivered,
            deferred: now.deferred + now.indeterminate,
            failed: now.failed + now.expired,
        });
    }

    /// What came in the last minute, or since the start when that is later.
    pub(super) fn traffic(&self) -> Traffic {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return Traffic::default();
        };
        Traffic {
            accepted: last.accepted - first.accepted,
            delivered: last.delivered - first.delivered,
            deferred: last.deferred - first.deferred,
            failed: last.failed - first.failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_a_minute_does_not_count() {
        let mut minute = Minute::default();
        assert_eq!(minute.traffic(), Traffic::default());
        for second in 0..200 {
            let expired = second / 100;
            let now = Numbers { accepted: second * 2, failed: 5, expired, ..Numbers::default() };
            minute.look(&now);
        }
        let traffic = minute.traffic();
        assert_eq!((traffic.accepted, traffic.failed, traffic.delivered), (120, 0, 0));
    }
}
