//! Where events and sessions go: append-only logs that never hold up mail.

use posthaste_evidence::{Event, Session};

/// The event log. Appending never blocks: the buffer is bounded, and what does not fit is counted, not waited for.
pub trait Journal: Send + Sync {
    /// Adds an event.
    fn append(&self, event: Event);
    /// Adds a session that has ended. No promise goes with it: a crash may take the last ones, and what does not fit is
    /// counted by [`Journal::dropped_sessions`].
    fn append_session(&self, session: Session);
    /// How many sessions were dropped because the buffer was full or the disk said no.
    fn dropped_sessions(&self) -> u64;
    /// How many events were dropped because the buffer was full.
    fn dropped(&self) -> u64;
    /// The highest commit number that is safely in the log (synced); 0 when none is known.
    fn safe_commit(&self) -> u64;
}
