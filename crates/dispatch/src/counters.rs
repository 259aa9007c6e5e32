//! Numbers since the start, for `status`.

use posthaste_evidence::{NoticeKind, Outcome, Withheld};
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters; adding never waits.
#[derive(Default)]
pub struct Counters {
    accepted: AtomicU64,
    delivered: AtomicU64,
    deferred: AtomicU64,
    failed: AtomicU64,
    indeterminate: AtomicU64,
    expired: AtomicU64,
    /// In the order of [`NoticeKind::ALL`].
    notices: [AtomicU64; NoticeKind::ALL.len()],
    /// In the order of [`Withheld::ALL`].
    withheld: [AtomicU64; Withheld::ALL.len()],
    connections: AtomicU64,
    unreached: AtomicU64,
    in_flight: AtomicU64,
    discarded: AtomicU64,
}

/// What the counters say. Recipients, but for `accepted`, `notices` and `withheld` (messages), `connections`
/// and `unreached` (connections).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Messages made durable, notices included.
    pub accepted: u64,
    /// Delivered.
    pub delivered: u64,
    /// Deferred in a transaction.
    pub deferred: u64,
    /// Failed for good.
    pub failed: u64,
    /// In doubt.
    pub indeterminate: u64,
    /// Expired.
    pub expired: u64,
    /// Notices made.
    pub notices: u64,
    /// Of them those of each kind, in the order of [`NoticeKind::ALL`].
    pub notices_of: [u64; NoticeKind::ALL.len()],
    /// Messages of which something was not told, by reason, in the order of [`Withheld::ALL`].
    pub withheld: [u64; Withheld::ALL.len()],
    /// Connections that stood.
    pub connections: u64,
    /// Connections that did not come about.
    pub unreached: u64,
    /// Recipients in an attempt right now.
    pub in_flight: u64,
    /// Removed because a route discards them.
    pub discarded: u64,
}

impl Counters {
    pub(crate) fn outcome(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Delivered => &self.delivered,
            Outcome::Deferred => &self.deferred,
            Outcome::Failed => &self.failed,
            Outcome::Indeterminate => &self.indeterminate,
            Outcome::Discarded => &self.discarded,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self, messages: usize) {
        self.accepted.fetch_add(messages as u64, Ordering::Relaxed);
    }

    pub(crate) fn expired(&self) {
        self.expired.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn notice(&self, kind: NoticeKind) {
        for (counter, (of, _)) in self.notices.iter().zip(NoticeKind::ALL) {
            if of == kind {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn withheld(&self, why: Withheld) {
        for (counter, (of, _)) in self.withheld.iter().zip(Withheld::ALL) {
            if of == why {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn connection(&self, stood: bool) {
        let counter = if stood { &self.connections } else { &self.unreached };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn taken(&self, recipients: usize) {
        self.in_flight.fetch_add(recipients as u64, Ordering::Relaxed);
    }

    pub(crate) fn given_back(&self, recipients: usize) {
        self.in_flight.fetch_sub(recipients as u64, Ordering::Relaxed);
    }

    /// The numbers now.
    #[must_use]
    pub fn read(&self) -> Numbers {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let notices_of = std::array::from_fn(|place| of(&self.notices[place]));
        Numbers {
            accepted: of(&self.accepted),
            delivered: of(&self.delivered),
            deferred: of(&self.deferred),
            failed: of(&self.failed),
            indeterminate: of(&self.indeterminate),
            expired: of(&self.expired),
            notices: notices_of.iter().sum(),
            notices_of,
            withheld: std::array::from_fn(|place| of(&self.withheld[place])),
            connections: of(&self.connections),
            unreached: of(&self.unreached),
            in_flight: of(&self.in_flight),
            discarded: of(&self.discarded),
        }
    }
}
