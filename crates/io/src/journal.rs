//! Where events go: an append-only log that never holds up mail.

use posthaste_evidence::Event;

/// The event log. Appending never blocks: the buffer is bounded, and what does not fit is counted, not waited for.
pub trait Journal: Send + Sync {
    /// Adds an event.
    fn append(&self, event: Event);
    /// How many events were dropped because the buffer was full.
    fn dropped(&self) -> u64;
    /// The highest commit number that is safely in the log (synced); 0 when none is known.
    fn safe_commit(&self) -> u64;
}
