//! The thread that renders, writes, syncs, seals and thins out.

use super::beside::Beside;
use super::files::{self, EVENTS, LogFile, Meddled, QUESTIONS, SESSIONS};
use super::tail::{Opened, Place, SAFE, Tail};
use super::{SYNC_EVERY, Settings, Shared, Stop};
use crate::{dns_json, event_json, session_json};
use posthaste_evidence::{DnsQuestion, Event, Session};
use posthaste_mail::Timestamp;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// The first event of a quiet log waits this long for company: at most 50 wake-ups per second.
const GATHER: Duration = Duration::from_millis(20);
/// A mark is written after this many octets even when no commit became safe, so that an open finds one.
pub(super) const MARK_EVERY: usize = 16 * 1024 * 1024;
/// How often a quiet log looks whether something is too old.
const HOUSEKEEPING: Duration = Duration::from_secs(3600);
/// After a seal that the system refused.
const TRY_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Writer {
    log: LogFile,
    sessions: Beside,
    questions: Beside,
    shared: Arc<Shared>,
    /// What the log held at open.
    old: Tail,
    /// The highest commit appended so far.
    highest: u64,
    /// Where later commits than the safe one are: what the last mark says.
    marked: Place,
    /// The highest commit at the last sync, and where those after it begin.
    last: (u64, Place),
    marked_at: u64,
    /// Events written since the last sync.
    unsynced: u64,
    told_dropped: u64,
    sync_due: Option<Instant>,
    housekeeping_due: Instant,
    /// No other try to seal before.
    seal_after: Instant,
    /// The file was moved or removed, and there is no new one yet: what is written counts as dropped.
    homeless: bool,
    _lock: File,
}

/// What waits to be written.
struct Batch {
    events: Vec<Event>,
    sessions: Vec<Session>,
    questions: Vec<DnsQuestion>,
    stop: Option<Stop>,
}

impl Writer {
    pub(super) fn new(opened: Opened, shared: Arc<Shared>) -> Self {
        let Opened { log, tail: old, lock } = opened;
        let (mut sessions, mut questions) = (Beside::new(SESSIONS), Beside::new(QUESTIONS));
        sessions.open(log.folder());
        if files::active(log.folder(), QUESTIONS).exists() {
            questions.open(log.folder());
        }
        let now = Instant::now();
        Self {
            sessions,
            questions,
            shared,
            highest: old.safe,
            marked: old.place.clone(),
            last: (old.safe, old.place.clone()),
            marked_at: log.length,
            unsynced: 0,
            told_dropped: 0,
            sync_due: None,
            housekeeping_due: now,
            seal_after: now,
            old,
            log,
            homeless: false,
            _lock: lock,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let batch = self.next();
            if !batch.sessions.is_empty() {
                self.write_sessions(&batch.sessions);
            }
            if !batch.questions.is_empty() {
                self.write_questions(&batch.questions);
            }
            if !batch.events.is_empty() {
                self.write_events(&batch.events);
                self.sync_due.get_or_insert_with(|| Instant::now() + SYNC_EVERY);
            }
            if let Some(stop) = batch.stop {
                self.end(stop);
                return;
            }
            if self.sync_due.is_some_and(|due| due <= Instant::now()) {
                self.sync();
                self.look_after();
            }
            if self.housekeeping_due <= Instant::now() {
                self.keep_house();
            }
        }
    }

    /// Waits for something to write, for the next sync, or for the end.
    fn next(&self) -> Batch {
        let mut queue = self.shared.queue.lock();
        if queue.is_empty() && queue.stop.is_none() {
            queue.parked = true;
            let due = self.sync_due.unwrap_or(self.housekeeping_due).min(self.housekeeping_due);
            self.shared.wake.wait_until(&mut queue, due);
            queue.parked = false;
        }
        if !queue.is_empty() && queue.stop.is_none() {
            self.shared.wake.wait_for(&mut queue, GATHER);
        }
        Batch {
            events: queue.events.take(),
            sessions: queue.sessions.take(),
            questions: queue.questions.take(),
            stop: queue.stop,
        }
    }

    fn write_events(&mut self, events: &[Event]) {
        let mut text = String::with_capacity(events.len() * 256);
        let mut lines = 0;
        for event in events {
            self.highest = self.highest.max(event.commit);
            if !self.old.has(event) {
                text.push_str(&event_json::line(event));
                text.push('\n');
                lines += 1;
            }
        }
        self.write(&text, lines);
    }

    /// A failure loses these lines and is counted: the event log never holds up mail.
    fn write(&mut self, text: &str, events: u64) {
        match self.log.write(text) {
            Ok(()) if !self.homeless => self.unsynced += events,
            _ => {
                self.shared.dropped.fetch_add(events, Ordering::Relaxed);
            }
        }
    }

    fn sync(&mut self) {
        self.tell_dropped();
        let (safe, place) = self.last.clone();
        if self.sync_as(safe, &place).is_ok() {
            self.shared.safe.store(safe, Ordering::Release);
        } else {
            self.shared.dropped.fetch_add(self.unsynced, Ordering::Relaxed);
        }
        self.unsynced = 0;
        self.last = (self.highest, self.open_from());
        // A commit that is not yet safe becomes so by the next sync, without new events.
        let behind = self.highest > self.shared.safe.load(Ordering::Relaxed);
        self.sync_due = behind.then(|| Instant::now() + SYNC_EVERY);
    }

    /// Marks `safe`, with the place behind which later commits are, and syncs.
    fn sync_as(&mut self, safe: u64, place: &Place) -> io::Result<()> {
        let since_mark = self.log.length - self.marked_at;
        if safe > self.shared.safe.load(Ordering::Relaxed) || since_mark > MARK_EVERY as u64 {
            self.write(&mark(safe, place), 0);
            self.marked = place.clone();
            self.marked_at = self.log.length;
        }
        self.log.file.sync_data()
    }

    /// Until the commits that were open at the start are safe again, their lines are at the old place.
    fn open_from(&self) -> Place {
        if self.highest < self.old.highest {
            self.old.place.clone()
        } else {
            Place { file: None, from: self.log.length }
        }
    }

    fn tell_dropped(&mut self) {
        let dropped = self.shared.dropped.load(Ordering::Relaxed);
        if dropped > self.told_dropped {
            let (at, count) = (now().rfc3339(), dropped - self.told_dropped);
            let mut text = String::new();
            let line = writeln!(
                text,
                "{{\"v\":1,\"at\":\"{at}\",\"event\":\"dropped\",\"count\":{count}}}"
            );
            line.expect("a string takes what is written");
            self.write(&text, 0);
            self.told_dropped = dropped;
        }
    }

    fn end(&mut self, stop: Stop) {
        if stop == Stop::Complete {
            let place = Place { file: None, from: self.log.length };
            self.last = (self.highest.max(self.old.highest), place);
        }
        self.sync();
    }
}

/// Sealing, and what somebody else does to the files.
impl Writer {
    /// After a sync: takes up files that were moved or removed, seals what is large or old.
    fn look_after(&mut self) {
        let settings = self.settings();
        match self.log.meddled() {
            Ok(Meddled::Gone) => self.begin_anew(),
            Ok(Meddled::Cut(length)) => {
                self.log.length = length;
                self.forget_places();
            }
            Ok(Meddled::No) | Err(_) => {}
        }
        let ready = self.is_all_here() && Instant::now() >= self.seal_after;
        if ready && self.log.is_due(settings.roll) {
            match self.seal() {
                Ok(()) => self.thin_out(&settings),
                Err(_) => self.seal_after = Instant::now() + TRY_AGAIN,
            }
        }
    }

    /// All that a restart needs is in the file that is written: the next one may speak of this one.
    fn is_all_here(&self) -> bool {
        let old_is_over = self.highest >= self.old.highest || self.old.place.file.is_none();
        self.marked.file.is_none() && self.last.1.file.is_none() && old_is_over
    }

    /// The new file begins with a mark that speaks of the sealed one. Until that mark is durable a restart goes by the
    /// last one of the sealed file.
    fn seal(&mut self) -> io::Result<()> {
        self.log.file.sync_data()?;
        let end = self.log.length;
        let name = self.log.roll(now())?;
        let moved = |place: &Place| match place.from < end {
            true => Place { file: Some(name.clone()), from: place.from },
            false => Place::default(),
        };
        self.marked = Place { file: Some(name.clone()), from: self.marked.from };
        self.last.1 = moved(&self.last.1);
        self.old.place = moved(&self.old.place);
        self.begin_with_mark()
    }

    fn begin_with_mark(&mut self) -> io::Result<()> {
        let safe = self.shared.safe.load(Ordering::Relaxed);
        let mark = mark(safe, &self.marked);
        self.write(&mark, 0);
        self.marked_at = self.log.length;
        self.log.file.sync_all()?;
        self.log.sync_folder()
    }

    /// The file is gone. Commits above the safe one are written again after a crash: what of them went with the file
    /// cannot be known.
    fn begin_anew(&mut self) {
        self.homeless = self.log.reopen().is_err();
        if !self.homeless {
            self.forget_places();
            let _counted_when_written = self.begin_with_mark();
        }
    }

    fn forget_places(&mut self) {
        self.marked = Place::default();
        self.last.1 = Place::default();
        self.old.place = Place::default();
        self.marked_at = self.log.length;
    }

    fn keep_house(&mut self) {
        self.housekeeping_due = Instant::now() + HOUSEKEEPING;
        self.look_after();
        let settings = self.settings();
        self.thin_out(&settings);
        self.roll_others(&settings);
    }

    /// What cannot be removed now is tried again in an hour.
    fn thin_out(&self, settings: &Settings) {
        let folder = self.log.folder();
        let needed = self.marked.file.as_deref().or(self.last.1.file.as_deref());
        let _ = files::thin_out(folder, EVENTS, settings.keep, needed);
        let _ = files::thin_out(folder, SESSIONS, settings.keep_sessions, None);
        let _ = files::thin_out(folder, QUESTIONS, settings.keep_dns, None);
    }

    fn settings(&self) -> Settings {
        *self.shared.settings.lock()
    }
}

/// The logs without promises.
impl Writer {
    fn write_sessions(&mut self, sessions: &[Session]) {
        let mut text = String::with_capacity(sessions.len() * 1024);
        for session in sessions {
            session_json::line(session, &mut text);
            text.push('\n');
        }
        self.roll_others(&self.settings());
        if self.sessions.write(self.log.folder(), &text).is_err() {
            self.shared.dropped_sessions.fetch_add(sessions.len() as u64, Ordering::Relaxed);
        }
    }

    fn write_questions(&mut self, questions: &[DnsQuestion]) {
        let mut text = String::with_capacity(questions.len() * 512);
        for question in questions {
            dns_json::line(question, &mut text);
            text.push('\n');
        }
        self.roll_others(&self.settings());
        if self.questions.write(self.log.folder(), &text).is_err() {
            self.shared.dropped_dns.fetch_add(questions.len() as u64, Ordering::Relaxed);
        }
    }

    fn roll_others(&mut self, settings: &Settings) {
        let sealed =
            [&mut self.sessions, &mut self.questions].map(|l| l.roll(settings.roll, now()));
        if sealed.contains(&true) {
            self.thin_out(settings);
        }
    }
}

/// Where `safe` is in the log whole, and where lines of later commits begin.
fn mark(safe: u64, place: &Place) -> String {
    let at = now().rfc3339();
    let from = place.from;
    let file = place.file.as_ref().map_or_else(String::new, |file| format!(",\"file\":\"{file}\""));
    format!(
        "{{\"v\":1,\"at\":\"{at}\",\"event\":\"{SAFE}\",\"commit\":{safe},\"from\":{from}{file}}}\n"
    )
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(Timestamp::EPOCH, |since| Timestamp::EPOCH.plus(since))
}
