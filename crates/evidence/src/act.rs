//! What an operator does to mail in the queue, and who wanted it: data for the event log and the store.
//!
//! Not here: what an act makes of a recipient (`queue`), and how far a decision over many messages has come (`spool`).

/// An act of the operator on recipients in the queue.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Act {
    /// Try again now.
    Retry,
    /// Keep until it is released.
    Hold,
    /// Let go on, after a hold or as poison.
    Release,
    /// End without delivery.
    Remove,
    /// End without delivery, with a failure notice where one is owed.
    Bounce,
    /// Send elsewhere, as a new message.
    Redirect,
}

impl Act {
    /// Every act with its name in the outside interface.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Retry, "retry"),
        (Self::Hold, "hold"),
        (Self::Release, "release"),
        (Self::Remove, "remove"),
        (Self::Bounce, "bounce"),
        (Self::Redirect, "redirect"),
    ];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(act, _)| *act == self).map_or("retry", |(_, name)| name)
    }

    /// By its name in the outside interface.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(act, _)| *act)
    }
}

/// Who wanted an act, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Order {
    /// Who, as the kernel says: `uid 1000`; at most 64 octets.
    pub by: String,
    /// In the operator's words, at most 512 octets.
    pub reason: Option<String>,
    /// The number of the decision, or of the hold, that it belongs to.
    pub decision: Option<u64>,
}
