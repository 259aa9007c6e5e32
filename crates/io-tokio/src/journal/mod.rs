//! The event log as a file of JSON lines, `events.jsonl`: one line for each step of a message's life.
//!
//! ```json
//! {"v":1,"at":"2026-11-21T06:53:04.123Z","commit":7,"id":"0DZY3Q0000001","event":"received",
//!  "from":"a@x.example","to":["b@y.example"],"size":1024,"client":"192.0.2.7","listener":"relay","message_id":"<1@x>"}
//! {"v":1,"at":"...","commit":9,"id":"...","event":"deferred","to":"b@y.example","host":"mx.y.example",
//!  "address":"192.0.2.1:25","reply":{"code":450,"enhanced":"4.2.0","text":"..."},
//!  "fault":{"kind":"reply","stage":"rcpt","status":"4.2.0","permanent":false,"detail":"450 4.2.0 ..."},"next":"..."}
//! ```
//!
//! - Always there: `v` (1), `at` (RFC 3339, UTC), `commit` (0 for none), `id`, `event`. Absent fields are left out.
//! - `event`: `received`; per recipient `delivered`, `deferred`, `failed`, `indeterminate`, `expired`;
//!   `notice` (with `notice`, the id of the notice), `no_notice`, `operator` (with `act`), `poison`, `done`.
//! - Two lines belong to no message: `{"v":1,"at","event":"safe","commit","from"}`, written by the log for its
//!   own restart (below), and `{"v":1,"at","event":"dropped","count"}`, when events did not fit the buffer.
//!
//! **Appending never blocks**: events wait in memory, at most [`MAX_EVENTS`] and [`MAX_OCTETS`]; a thread writes
//! them and syncs once a second. What does not fit, or cannot be written, is dropped and counted.
//!
//! **None lost, none doubled.** Several events share a commit, and tasks append in their own time, so the last
//! line says nothing about its commit being complete. Therefore [`Journal::safe_commit`] is the highest commit
//! that was appended a whole second *before* the last sync: the events of a commit have at least
//! [`SYNC_EVERY`] to arrive after the first event of it or of any later one. Each sync writes that number
//! as a `safe` line, with the offset behind which all lines of later commits are. After a crash the caller appends again
//! the events of all commits above `safe_commit`, *before any new event*; those whose line survived (same commit,
//! message, event and recipient) are skipped. A torn last line is removed. Not here: rotation, a later issue.

mod tail;
mod writer;

use parking_lot::{Condvar, Mutex};
use posthaste_evidence::{Event, EventKind};
use posthaste_io::Journal;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The file's name in its folder.
pub const FILE_NAME: &str = "events.jsonl";
/// Events that may wait to be written.
pub const MAX_EVENTS: usize = 64 * 1024;
/// Octets that waiting events may take, about.
pub const MAX_OCTETS: usize = 16 * 1024 * 1024;
/// Between two syncs.
pub const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Why the event log could not be opened; the administrator must act.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process writes it.
    #[error("the event log {} is in use by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The operating system says no.
    #[error("cannot {act} the event log {}: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// With what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

/// The event log. Dropping it writes and syncs what waits.
pub struct FileJournal {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

pub(crate) struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    safe: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Default)]
struct Queue {
    events: Vec<Event>,
    octets: usize,
    /// The thread has nothing to do until somebody wakes it.
    parked: bool,
    stop: Option<Stop>,
}

/// How the log ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// Every commit's events have been appended: a restart has nothing to add.
    Complete,
    /// Some may be missing.
    Open,
}

impl FileJournal {
    /// Opens `events.jsonl` in a folder (made when missing) and starts its thread. `spool_commit` is the last
    /// commit of the spool: a log that knows later ones belongs to another spool, and its numbers are forgotten.
    ///
    /// # Errors
    /// [`JournalError`] for the administrator.
    pub fn open(folder: &Path, spool_commit: u64) -> Result<Self, JournalError> {
        let path = folder.join(FILE_NAME);
        let (file, tail) = tail::open(folder, &path, spool_commit)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            safe: AtomicU64::new(tail.safe),
            dropped: AtomicU64::new(0),
        });
        let writer = writer::Writer::new(file, tail, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| JournalError::Io { act: "start the thread of", path, source })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Writes and syncs all and ends the log: to be called when every commit's events have been appended, so
    /// that the next start has nothing to append again. Events after it are dropped and counted. Blocks.
    pub fn finish(&self) {
        self.stop(Stop::Complete);
    }

    fn stop(&self, how: Stop) {
        self.shared.queue.lock().stop.get_or_insert(how);
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            thread.join().expect("the event log's thread does not panic");
        }
    }
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.stop(Stop::Open);
    }
}

impl Journal for FileJournal {
    fn append(&self, event: Event) {
        let octets = weight(&event);
        let mut queue = self.shared.queue.lock();
        let full = queue.events.len() >= MAX_EVENTS || queue.octets + octets > MAX_OCTETS;
        if full || queue.stop.is_some() {
            drop(queue);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.events.push(event);
        queue.octets += octets;
        let wake = std::mem::take(&mut queue.parked);
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
    }

    fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn safe_commit(&self) -> u64 {
        self.shared.safe.load(Ordering::Acquire)
    }
}

/// About how many octets an event takes in memory.
fn weight(event: &Event) -> usize {
    let texts = match &event.kind {
        EventKind::Received { from, to, listener, message_id, .. } => {
            let recipients: usize = to.iter().map(|to| to.len() + size_of::<String>()).sum();
            from.len() + recipients + listener.len() + message_id.as_ref().map_or(0, String::len)
        }
        EventKind::Tried { to, host, reply, .. } => {
            let replied = reply.as_ref().map_or(0, |r| r.lines.iter().map(|l| l.len() + 24).sum());
            to.len() + host.as_ref().map_or(0, |(name, _)| name.len()) + 2 * replied
        }
        EventKind::Expired { to } => to.len(),
        // The order is shared by all events of a decision.
        EventKind::Operator { to, .. } => to.as_ref().map_or(0, String::len),
        EventKind::Decision { target, .. } => target.len(),
        EventKind::Notice { .. } | EventKind::NoNotice | EventKind::Poison | EventKind::Done => 0,
    };
    size_of::<Event>() + texts
}

/// The event log of those who keep none. Every commit is safe in it.
#[derive(Clone, Copy, Default, Debug)]
pub struct NullJournal;

impl Journal for NullJournal {
    fn append(&self, _event: Event) {}

    fn dropped(&self) -> u64 {
        0
    }

    fn safe_commit(&self) -> u64 {
        u64::MAX
    }
}

#[cfg(test)]
mod tests;
