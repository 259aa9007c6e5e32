//! The event log of a simulated host: in memory, synced once a (virtual) second, cut by a crash.
//!
//! The same promise as the real one's: `safe_commit` is the highest commit appended before the sync before the
//! last; events of later commits are appended again after a crash, and those that survived are skipped.

use crate::rng::Rng;
use parking_lot::Mutex;
use posthaste_evidence::{DnsQuestion, Event, KeepDns, Session};
use posthaste_io::Journal;
use std::collections::BTreeSet;
use std::time::Duration;

/// Between two syncs, virtual time.
pub const SYNC_EVERY: Duration = Duration::from_secs(1);

/// An event log in memory. On a simulated host it syncs by itself; elsewhere whoever made it calls
/// [`MemoryJournal::sync`].
#[derive(Default)]
pub struct MemoryJournal {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Survive a crash: nobody relies on the last ones.
    sessions: Vec<Session>,
    questions: Vec<DnsQuestion>,
    keep_dns: KeepDns,
    synced: Vec<Event>,
    fresh: Vec<Event>,
    safe: u64,
    highest: u64,
    /// The highest commit at the last sync.
    before: u64,
    crashed: bool,
    safe_at_crash: u64,
    /// What survived the last crash of commits above `safe_at_crash`.
    known: BTreeSet<String>,
    due: bool,
}

impl MemoryJournal {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All events that a reader of the log sees now, in order.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let inner = self.inner.lock();
        inner.synced.iter().chain(&inner.fresh).cloned().collect()
    }

    /// All sessions that have ended, in order.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.inner.lock().sessions.clone()
    }

    /// All DNS questions, in order, as far as they are recorded.
    #[must_use]
    pub fn questions(&self) -> Vec<DnsQuestion> {
        self.inner.lock().questions.clone()
    }

    /// Which DNS questions are recorded from now on; none unless this is called.
    pub fn keep_dns(&self, keep: KeepDns) {
        self.inner.lock().keep_dns = keep;
    }

    /// Syncs; true when another sync is needed before every commit is safe.
    pub fn sync(&self) -> bool {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.synced.append(&mut inner.fresh);
        inner.safe = inner.before;
        inner.before = inner.highest;
        inner.due = inner.safe < inner.highest;
        inner.due
    }

    /// Takes an event unless it survived the last crash; true when a sync must be put on the calendar.
    pub(crate) fn add(&self, event: Event) -> bool {
        let mut inner = self.inner.lock();
        inner.highest = inner.highest.max(event.commit);
        if !inner.has(&event) {
            inner.fresh.push(event);
        }
        !std::mem::replace(&mut inner.due, true)
    }

    /// A crash: of the events since the last sync the first few survive, as many as the seed says.
    pub(crate) fn crash(&self, rng: &mut Rng) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let survive = rng.index(inner.fresh.len() + 1);
        inner.fresh.truncate(survive);
        inner.synced.append(&mut inner.fresh);
        let later = inner.synced.iter().filter(|event| event.commit > inner.safe);
        inner.known = later.map(identity).collect();
        inner.crashed = true;
        inner.safe_at_crash = inner.safe;
        inner.highest = inner.safe;
        inner.before = inner.safe;
        inner.due = false;
    }
}

impl Inner {
    fn has(&self, event: &Event) -> bool {
        let replayed = self.crashed && event.commit != 0;
        replayed && (event.commit <= self.safe_at_crash || self.known.contains(&identity(event)))
    }
}

fn identity(event: &Event) -> String {
    format!("{:?}", event.identity())
}

impl Journal for MemoryJournal {
    fn append(&self, event: Event) {
        self.add(event);
    }

    fn append_session(&self, session: Session) {
        self.inner.lock().sessions.push(session);
    }

    fn keeps_dns(&self) -> KeepDns {
        self.inner.lock().keep_dns
    }

    fn append_dns(&self, question: DnsQuestion) {
        self.inner.lock().questions.push(question);
    }

    fn dropped_sessions(&self) -> u64 {
        0
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn safe_commit(&self) -> u64 {
        self.inner.lock().safe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::EventKind;
    use posthaste_mail::{QueueId, Timestamp};

    fn event(commit: u64, message: u64) -> Event {
        let message = QueueId::from_u64(message);
        Event { at: Timestamp::EPOCH, commit, message, kind: EventKind::Done }
    }

    #[test]
    fn a_crash_takes_what_was_not_synced_and_replay_gives_it_back_once() {
        let mut survivors = BTreeSet::new();
        for seed in 0..50 {
            let journal = MemoryJournal::new();
            journal.append(event(1, 1));
            assert!(journal.sync(), "commit 1 may still have events to come");
            journal.append(event(2, 1));
            assert!(journal.sync());
            assert_eq!(journal.safe_commit(), 1);
            journal.append(event(2, 2));
            journal.append(event(3, 1));
            journal.crash(&mut Rng::new(seed));
            survivors.insert(journal.events().len());
            assert_eq!(journal.safe_commit(), 1);
            let again = [event(1, 1), event(2, 1), event(2, 2), event(3, 1)];
            again.iter().for_each(|event| journal.append(event.clone()));
            assert_eq!(journal.events(), again, "seed {seed}");
        }
        assert_eq!(survivors, BTreeSet::from([2, 3, 4]));
    }
}
