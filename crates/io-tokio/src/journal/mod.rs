//! The logs as files of JSON lines: `events.jsonl`, one line for each step of a message's life, `sessions.jsonl`, one line
//! for each SMTP session, and `dns.jsonl`, one line for each question put to DNS servers. All are sealed by size and age
//! and thinned out ([`files`]).
//!
//! ```json
//! {"v":1,"at":"2026-11-21T06:53:04.123Z","commit":7,"id":"0DZY3Q0000001","event":"received",
//!  "from":"a@x.example","to":["b@y.example"],"size":1024,"client":"192.0.2.7","listener":"relay","message_id":"<1@x>",
//!  "subject":"Tuesday","user":"ann"}
//! {"v":1,"at":"...","commit":9,"id":"...","event":"deferred","to":"b@y.example","host":"mx.y.example",
//!  "address":"192.0.2.1:25","reply":{"code":450,"enhanced":"4.2.0","text":"..."},
//!  "fault":{"kind":"reply","stage":"rcpt","status":"4.2.0","permanent":false,"detail":"450 4.2.0 ..."},"next":"..."}
//! ```
//!
//! - Always there: `v` (1), `at` (RFC 3339, UTC), `commit` (0 for none), `id`, `event`. Absent fields are left out.
//! - `event`: `received`; per recipient `delivered`, `deferred`, `failed`, `indeterminate`, `expired`;
//!   `notice` (with `notice`, the id of the notice), `no_notice`, `operator` (with `act`), `poison`, `done`.
//! - `received` and tries name their `session`.
//! - Two lines belong to no message: `{"v":1,"at","event":"safe","commit","from","file"}`, written by the log for its
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
//! message, event and recipient) are skipped. A torn last line is removed.
//!
//! **Sealing** keeps that promise: the file is synced, renamed, and the new one begins with a mark that says in which
//! file lines of commits that are not safe begin. A restart that finds no mark in the new file goes by the last one of
//! the sealed file. The next seal waits until the marks speak of one file only, and that file is never thinned out.
//! A file that somebody moves, removes or empties is begun anew within a second of the next line; after a crash, lines
//! that went with it and were not safe are written again.
//!
//! **Sessions** have no such promise: they are written when they have ended, and a crash may take the last ones.
//!
//! ```json
//! {"v":1,"at":"...","session":"in-38FWW52800000","direction":"in","peer":"192.0.2.7:4000","local":"192.0.2.25:25",
//!  "listener":"relay","took_ms":12.5,"helo":"c","tls":null,"ended":"quit","refused":1,"refusals":[{"by":"us",
//!  "stage":"rcpt","command":"RCPT TO:<a@x>","code":550,"enhanced":"5.7.1","text":"..."}],"messages":1,
//!  "ids":["0DZY3Q0000001"],"lines":[[0.1,">","220 mx"],[1.2,"<","EHLO c"]]}
//! ```
//!
//! Of ours: `destination`, `route` and `host` instead of `listener`, and refusals are `by` `them`. `took_ms` and the first
//! value of each line are milliseconds from the beginning; `ids` are at most 100 of the `messages`.
//!
//! **DNS questions** have no such promise either.
//!
//! ```json
//! {"v":1,"at":"...","name":"y.example","type":"MX","for":"answer","verdict":"answer","took_ms":21.4,"ttl":300,
//!  "by":"192.0.2.53:53","askers":3,"servers":[{"server":"192.0.2.54:53","outcome":"timed-out","ms":300.1},
//!  {"server":"192.0.2.53:53","outcome":"answer","ms":20.9,"transport":"udp","flags":["AD"],"ttl":300,"records":2,
//!  "first":["y.example. 300 MX 10 mx.y.example."]}]}
//! ```
//!
//! - `for`: `answer`; `confirmation` (every server was asked); `health` (is a dead server back?); `walk` (from the root).
//! - Only when they say something: `by`, `fallback`, `stale` (those who asked got an answer past its time), `secure`,
//!   `askers`, and of a server `flags` (`AA`, `AD`, `TC`), `edns`, `ede` (pairs of code and text), `ttl`, `records` (their
//!   number) and `first` (at most 4 of them). Cache hits are counted in the resolver's numbers, not here.

mod beside;
pub mod files;
mod tail;
mod writer;

use files::{Keep, Roll};
use parking_lot::{Condvar, Mutex};
use posthaste_evidence::{
    Answer, DnsQuestion, Event, EventKind, KeepDns, Observation, Record, RecordData, Seen, Session,
};
use posthaste_io::Journal;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The file's name in its folder.
pub const FILE_NAME: &str = "events.jsonl";
/// Events that may wait to be written.
pub const MAX_EVENTS: usize = 64 * 1024;
/// Octets that waiting events may take, about.
pub const MAX_OCTETS: usize = 16 * 1024 * 1024;
/// Sessions that may wait to be written.
pub const MAX_SESSIONS: usize = 8 * 1024;
/// Octets that waiting sessions may take, about.
pub const MAX_SESSION_OCTETS: usize = 16 * 1024 * 1024;
/// DNS questions that may wait to be written.
pub const MAX_QUESTIONS: usize = 16 * 1024;
/// Octets that waiting DNS questions may take, about.
pub const MAX_QUESTION_OCTETS: usize = 16 * 1024 * 1024;
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
    settings: Mutex<Settings>,
    safe: AtomicU64,
    dropped: AtomicU64,
    dropped_sessions: AtomicU64,
    dropped_dns: AtomicU64,
    /// [`Settings::dns`], where it is looked at for each question.
    keeps_dns: AtomicU8,
}

/// When files are sealed, and how much is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// When a file is sealed.
    pub roll: Roll,
    /// How much of the event log is kept.
    pub keep: Keep,
    /// How much of the session log is kept.
    pub keep_sessions: Keep,
    /// Which DNS questions are recorded.
    pub dns: KeepDns,
    /// How much of the DNS log is kept.
    pub keep_dns: Keep,
}

impl Default for Settings {
    /// Sealed at 64 MiB and once a day; 30 days and 4 GB of events, 1 GB of sessions, 7 days and 1 GB of
    /// every DNS question.
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        Self {
            roll: Roll { size: 64 * 1024 * 1024, age: DAY },
            keep: Keep { age: DAY.saturating_mul(30), size: 4_000_000_000 },
            keep_sessions: Keep { age: DAY.saturating_mul(30), size: 1_000_000_000 },
            dns: KeepDns::All,
            keep_dns: Keep { age: DAY.saturating_mul(7), size: 1_000_000_000 },
        }
    }
}

#[derive(Default)]
struct Queue {
    events: Waiting<Event>,
    sessions: Waiting<Session>,
    questions: Waiting<DnsQuestion>,
    /// The thread has nothing to do until somebody wakes it.
    parked: bool,
    stop: Option<Stop>,
}

impl Queue {
    const fn is_empty(&self) -> bool {
        self.events.list.is_empty()
            && self.sessions.list.is_empty()
            && self.questions.list.is_empty()
    }
}

/// What waits to be written, bounded in number and octets.
struct Waiting<T> {
    list: Vec<T>,
    octets: usize,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { list: Vec::new(), octets: 0 }
    }
}

impl<T> Waiting<T> {
    /// False when there is no room for it.
    fn add(&mut self, item: T, octets: usize, (most, most_octets): (usize, usize)) -> bool {
        let room = self.list.len() < most && self.octets + octets <= most_octets;
        if room {
            self.list.push(item);
            self.octets += octets;
        }
        room
    }

    fn take(&mut self) -> Vec<T> {
        self.octets = 0;
        std::mem::take(&mut self.list)
    }
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
    pub fn open(
        folder: &Path,
        spool_commit: u64,
        settings: Settings,
    ) -> Result<Self, JournalError> {
        let opened = tail::open(folder, spool_commit)?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            settings: Mutex::new(settings),
            safe: AtomicU64::new(opened.tail.safe),
            dropped: AtomicU64::new(0),
            dropped_sessions: AtomicU64::new(0),
            dropped_dns: AtomicU64::new(0),
            keeps_dns: AtomicU8::new(code(settings.dns)),
        });
        let path = files::active(folder, files::EVENTS);
        let writer = writer::Writer::new(opened, Arc::clone(&shared));
        let thread = std::thread::Builder::new()
            .name("event-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| JournalError::Io { act: "start the thread of", path, source })?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes other settings: they hold from the next line on.
    pub fn reload(&self, settings: Settings) {
        self.shared.keeps_dns.store(code(settings.dns), Ordering::Relaxed);
        *self.shared.settings.lock() = settings;
    }

    /// Adds something to what waits; where there is no room, or the log has ended, it is counted.
    fn append_to(&self, dropped: &AtomicU64, add: impl FnOnce(&mut Queue) -> bool) {
        let mut queue = self.shared.queue.lock();
        if queue.stop.is_some() || !add(&mut queue) {
            drop(queue);
            dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let wake = std::mem::take(&mut queue.parked);
        drop(queue);
        if wake {
            self.shared.wake.notify_one();
        }
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
        let (octets, most) = (weight(&event), (MAX_EVENTS, MAX_OCTETS));
        self.append_to(&self.shared.dropped, |queue| queue.events.add(event, octets, most));
    }

    fn append_session(&self, session: Session) {
        let octets = size_of::<Session>() + session.tape.size();
        let most = (MAX_SESSIONS, MAX_SESSION_OCTETS);
        let dropped = &self.shared.dropped_sessions;
        self.append_to(dropped, |queue| queue.sessions.add(session, octets, most));
    }

    fn keeps_dns(&self) -> KeepDns {
        match self.shared.keeps_dns.load(Ordering::Relaxed) {
            ALL => KeepDns::All,
            FAILED => KeepDns::Failed,
            _ => KeepDns::Off,
        }
    }

    fn append_dns(&self, question: DnsQuestion) {
        let (octets, most) = (weight_dns(&question), (MAX_QUESTIONS, MAX_QUESTION_OCTETS));
        let dropped = &self.shared.dropped_dns;
        self.append_to(dropped, |queue| queue.questions.add(question, octets, most));
    }

    fn dropped_dns(&self) -> u64 {
        self.shared.dropped_dns.load(Ordering::Relaxed)
    }

    fn dropped_sessions(&self) -> u64 {
        self.shared.dropped_sessions.load(Ordering::Relaxed)
    }

    fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn safe_commit(&self) -> u64 {
        self.shared.safe.load(Ordering::Acquire)
    }
}

const ALL: u8 = 2;
const FAILED: u8 = 1;
const OFF: u8 = 0;

const fn code(keep: KeepDns) -> u8 {
    match keep {
        KeepDns::All => ALL,
        KeepDns::Failed => FAILED,
        KeepDns::Off => OFF,
    }
}

/// About how many octets a DNS question takes in memory. Its records are shared with the cache, as long as that has them.
fn weight_dns(question: &DnsQuestion) -> usize {
    const USUAL: usize = 128;
    let large = |record: &Record| match &record.data {
        RecordData::Txt(text) => text.len(),
        RecordData::Tlsa(_, _, _, data) => data.len(),
        _ => 0,
    };
    let told = |o: &Observation| match &o.seen {
        Seen::Answer(Answer { records, extended, .. }) => {
            let large: usize = records.iter().map(large).sum();
            (records.len() + extended.len()) * USUAL + large
        }
        _ => 0,
    };
    let observations = question.observations.iter();
    let of_each = size_of::<Observation>() + question.name.len();
    size_of::<DnsQuestion>() + observations.map(|o| of_each + told(o)).sum::<usize>()
}

/// About how many octets an event takes in memory.
fn weight(event: &Event) -> usize {
    let texts = match &event.kind {
        EventKind::Received { from, to, listener, message_id, subject, user, .. } => {
            let recipients: usize = to.iter().map(|to| to.len() + size_of::<String>()).sum();
            let others = [message_id, subject, user].into_iter().flatten();
            from.len() + recipients + listener.len() + others.map(String::len).sum::<usize>()
        }
        EventKind::Tried { to, host, reply, .. } => {
            let replied = reply.as_ref().map_or(0, |r| r.lines.iter().map(|l| l.len() + 24).sum());
            to.len() + host.as_ref().map_or(0, |(name, _)| name.len()) + 2 * replied
        }
        EventKind::Expired { to } => to.len(),
        // The order is shared by all events of a decision.
        EventKind::Operator { to, .. } => to.as_ref().map_or(0, String::len),
        EventKind::Decision { target, .. } => target.len(),
        EventKind::Notice { .. }
        | EventKind::NoNotice { .. }
        | EventKind::Poison
        | EventKind::Done => 0,
    };
    size_of::<Event>() + texts
}

/// The event log of those who keep none. Every commit is safe in it.
#[derive(Clone, Copy, Default, Debug)]
pub struct NullJournal;

impl Journal for NullJournal {
    fn append(&self, _event: Event) {}

    fn append_session(&self, _session: Session) {}

    fn dropped_sessions(&self) -> u64 {
        0
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn safe_commit(&self) -> u64 {
        u64::MAX
    }
}

#[cfg(test)]
mod beside_tests;
#[cfg(test)]
mod sealing_tests;
#[cfg(test)]
mod tests;
