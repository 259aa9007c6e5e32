//! A bounded table of who has taken how much of late: for each the time by which all of it would have gone at an even
//! rate (GCRA, ITU-T I.371 annex A).
//!
//! Pure, and in memory only: a restart begins anew. Not here: what the limits are (`strangers`, `brake`).

use posthaste_mail::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Debtors remembered in one table, 64 octets or so each. Beyond it those who owe least are forgotten: a crowd of
/// those who come once does not drive out the one who comes again and again.
pub(super) const MAX_KNOWN: usize = 20_000;

/// Debtors by the hash of their names: two of 2^64 that meet share a limit.
#[derive(Default)]
pub(super) struct Debts {
    until: BTreeMap<u64, Timestamp>,
    least: BTreeSet<(Timestamp, u64)>,
}

/// The place of a debtor in its table.
pub(super) fn key(name: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

impl Debts {
    /// Until when it owes; long ago for one who is not known.
    pub(super) fn until(&self, debtor: u64) -> Timestamp {
        self.until.get(&debtor).copied().unwrap_or_default()
    }

    /// Notes until when it owes now.
    pub(super) fn owes(&mut self, debtor: u64, until: Timestamp) {
        if let Some(before) = self.until.insert(debtor, until) {
            self.least.remove(&(before, debtor));
        }
        self.least.insert((until, debtor));
        while self.until.len() > MAX_KNOWN {
            let Some((_, least)) = self.least.pop_first() else { break };
            self.until.remove(&least);
        }
    }
}

/// What is owed after one more; `None` when that would be more than the window's worth. What a clock that was set back
/// left in the future is forgiven.
pub(super) fn next(
    now: Timestamp,
    before: Timestamp,
    limit: u32,
    window: Duration,
) -> Option<Timestamp> {
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

    #[test]
    fn the_table_is_bounded_and_remembers_who_owes_most() {
        let mut debts = Debts::default();
        let most = Timestamp::from_secs(9_000_000);
        debts.owes(key("most"), Timestamp::from_secs(1));
        debts.owes(key("most"), most);
        for number in 0..3 * MAX_KNOWN as u64 {
            debts.owes(key(number), Timestamp::from_secs(number as i64));
        }
        assert_eq!((debts.until.len(), debts.least.len()), (MAX_KNOWN, MAX_KNOWN));
        assert_eq!(debts.until(key("most")), most);
        assert_eq!(debts.until(key(1u64)), Timestamp::default(), "who owed least is forgotten");
    }
}
