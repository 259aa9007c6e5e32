//! How many notices strangers are sent: a sender whom we do not know may be a forged one, who never wrote to us.
//!
//! Pure: no clock, and a bounded table. In memory only: a restart begins anew. Not here: who is a stranger
//! (`message::dsn::rules`).

use posthaste_mail::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// Senders remembered; beyond that those first in order are forgotten, and only the limit for all holds for them.
const MAX_KNOWN: usize = 20_000;

/// What the limit of one sender is about.
const HOUR: Duration = Duration::from_secs(3600);
/// What the limit for all is about.
const MINUTE: Duration = Duration::from_secs(60);

/// How many notices strangers are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StrangerLimits {
    /// Notices an hour to one reverse-path; so many may come at once. 0: none.
    pub per_sender_hour: u32,
    /// Notices a minute to all strangers; so many may come at once. 0: none.
    pub per_minute: u32,
}

impl Default for StrangerLimits {
    fn default() -> Self {
        Self { per_sender_hour: 20, per_minute: 100 }
    }
}

/// Whom notices were sent lately. For each the time by which all of them would have gone at the even rate (GCRA,
/// ITU-T I.371 annex A).
#[derive(Default)]
pub(crate) struct Strangers {
    known: BTreeMap<String, Timestamp>,
    all: Timestamp,
}

impl Strangers {
    /// Counts one notice to this reverse-path; false when it must not go.
    pub(crate) fn take(&mut self, now: Timestamp, to: &str, limits: &StrangerLimits) -> bool {
        let to = to.to_ascii_lowercase();
        let before = self.known.get(&to).copied().unwrap_or_default();
        let Some(own) = next(now, before, limits.per_sender_hour, HOUR) else { return false };
        let Some(all) = next(now, self.all, limits.per_minute, MINUTE) else { return false };
        self.all = all;
        if !self.known.contains_key(&to) {
            self.make_room(now);
        }
        self.known.insert(to, own);
        true
    }

    fn make_room(&mut self, now: Timestamp) {
        if self.known.len() < MAX_KNOWN {
            return;
        }
        self.known.retain(|_, owes_until| *owes_until > now);
        if self.known.len() >= MAX_KNOWN {
            self.known.pop_first();
        }
    }
}

/// What is owed after one more; `None` when that would be more than the window's worth. What a clock that was set back
/// left in the future is forgiven.
fn next(now: Timestamp, before: Timestamp, limit: u32, window: Duration) -> Option<Timestamp> {
    let each = window.checked_div(limit)?;
    // The parts of a window need not add up to the whole of it.
    let latest = now.plus(window + Duration::from_micros(u64::from(limit)));
    let before = if before > latest { now } else { before.max(now) };
    let after = before.plus(each);
    (after <= latest).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: StrangerLimits = StrangerLimits { per_sender_hour: 3, per_minute: 5 };
    const NOON: Timestamp = Timestamp::from_secs(43_200);

    fn after(seconds: u64) -> Timestamp {
        NOON.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn each_has_its_share_and_all_together_theirs() {
        let mut strangers = Strangers::default();
        for (seconds, to, expected) in [
            (0, "a@x.example", true),
            (0, "A@X.example", true),
            (0, "a@x.example", true),
            (0, "a@x.example", false),
            (1, "b@x.example", true),
            (1, "c@x.example", true),
            (1, "d@x.example", false),
            (13, "d@x.example", true),
            (60, "a@x.example", false),
            (1200, "a@x.example", true),
            (1200, "a@x.example", false),
            (7200, "a@x.example", true),
            (7200, "a@x.example", true),
            (7200, "a@x.example", true),
            (7200, "a@x.example", false),
        ] {
            assert_eq!(strangers.take(after(seconds), to, &LIMITS), expected, "{seconds} {to}");
        }
    }

    #[test]
    fn none_means_none() {
        let none = StrangerLimits { per_sender_hour: 0, ..LIMITS };
        assert!(!Strangers::default().take(NOON, "a@x.example", &none));
        let none = StrangerLimits { per_minute: 0, ..LIMITS };
        assert!(!Strangers::default().take(NOON, "a@x.example", &none));
    }

    #[test]
    fn so_many_may_come_at_once_whatever_the_number() {
        for limit in [1, 2, 3, 7, 60, 999, 3601] {
            let limits = StrangerLimits { per_sender_hour: limit, per_minute: u32::MAX };
            let mut strangers = Strangers::default();
            let took = (0..limit + 5).filter(|_| strangers.take(NOON, "a@x.example", &limits));
            assert_eq!(took.count(), limit as usize);
        }
    }

    #[test]
    fn the_table_is_bounded_and_a_clock_set_back_bars_nobody_for_long() {
        let limits = StrangerLimits { per_sender_hour: 1, per_minute: u32::MAX };
        let mut strangers = Strangers::default();
        for number in 0..MAX_KNOWN + 10 {
            assert!(strangers.take(NOON, &format!("{number}@x.example"), &limits));
        }
        assert_eq!(strangers.known.len(), MAX_KNOWN);
        let before = NOON.minus(Duration::from_secs(40_000));
        assert!(strangers.take(before, "99@x.example", &limits));
        assert!(!strangers.take(before, "99@x.example", &limits));
        assert!(strangers.take(after(3601), "new@x.example", &limits));
        assert!(strangers.known.len() <= 3, "who owes nothing is forgotten");
    }
}
