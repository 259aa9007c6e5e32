//! What is remembered of a recipient, and of a destination or next hop that is down. This is what the spool stores.

use posthaste_mail::Timestamp;

/// Where a recipient is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Life {
    /// Waiting for its next attempt (or in flight, which only memory knows).
    #[default]
    Queued,
    /// The operator holds it.
    Held,
    /// In hand during two crashes: parked until the operator looks.
    Poison,
    /// End: the next hop took it.
    Delivered,
    /// End: it cannot be delivered.
    Failed,
    /// End: its time was over.
    Expired,
    /// End: the operator removed it.
    Removed,
}

impl Life {
    /// True until one of the ends is reached.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Queued | Self::Held | Self::Poison)
    }
}

/// What is remembered of one recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecipientState {
    /// Where it is in its life.
    pub life: Life,
    /// Attempts that were made for it and ended in the message's own transaction.
    pub attempts: u32,
    /// How many of them failed since the schedule last started over; the place in the retry schedule.
    pub failures: u32,
    /// When it is tried next; the epoch for at once.
    pub due: Timestamp,
    /// How many crashes of the process found it in hand.
    pub crashes: u8,
}

/// What is remembered of a destination, or of a next-hop host, that is down (design: spool rule 10):
/// one ledger entry, however many messages wait for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DestinationState {
    /// When the first of its failures in a row happened.
    pub since: Timestamp,
    /// Failures in a row; the place in the retry schedule.
    pub failures: u32,
    /// When the next trial is due.
    pub next_trial: Timestamp,
}
