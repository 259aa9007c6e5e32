//! Where events, sessions and DNS questions go: append-only logs that never hold up mail.

use posthaste_evidence::{DnsQuestion, Event, KeepDns, Session};

/// The event log. Appending never blocks: the buffer is bounded, and what does not fit is counted, not waited for.
pub trait Journal: Send + Sync {
    /// Adds an event.
    fn append(&self, event: Event);
    /// Adds a session that has ended. No promise goes with it: a crash may take the last ones, and what does not fit is
    /// counted by [`Journal::dropped_sessions`].
    fn append_session(&self, session: Session);
    /// How many sessions were dropped because the buffer was full or the disk said no.
    fn dropped_sessions(&self) -> u64;
    /// Which DNS questions are recorded; looked at before one is put together. Those who say nothing else record none.
    fn keeps_dns(&self) -> KeepDns {
        KeepDns::Off
    }
    /// Adds a DNS question that has been decided. No promise goes with it, as with sessions; what does not fit is counted
    /// by [`Journal::dropped_dns`].
    fn append_dns(&self, _question: DnsQuestion) {}
    /// How many DNS questions were dropped because the buffer was full or the disk said no.
    fn dropped_dns(&self) -> u64 {
        0
    }
    /// How many events were dropped because the buffer was full.
    fn dropped(&self) -> u64;
    /// The highest commit number that is safely in the log (synced); 0 when none is known.
    fn safe_commit(&self) -> u64;
}
