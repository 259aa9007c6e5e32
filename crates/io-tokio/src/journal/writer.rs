//! The thread that renders, writes and syncs events.

use super::tail::Tail;
use super::{Queue, SYNC_EVERY, Shared, Stop};
use crate::event_json;
use posthaste_evidence::Event;
use posthaste_mail::Timestamp;
use std::fmt::Write;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// The first event of a quiet log waits this long for company: at most 50 wake-ups per second.
const GATHER: Duration = Duration::from_millis(20);
/// A mark is written after this many octets even when no commit became safe, so that an open finds one.
pub(super) const MARK_EVERY: usize = 16 * 1024 * 1024;

pub(super) struct Writer {
    file: File,
    shared: Arc<Shared>,
    /// What the file held at open.
    old: Tail,
    /// Where the next line goes.
    offset: u64,
    /// The highest commit appended so far.
    highest: u64,
    /// The same at the last sync, and where the file ended then.
    last: (u64, u64),
    marked_at: u64,
    /// Events written since the last sync.
    unsynced: u64,
    told_dropped: u64,
    sync_due: Option<Instant>,
}

impl Writer {
    pub(super) fn new(file: File, old: Tail, shared: Arc<Shared>) -> Self {
        Self {
            file,
            shared,
            offset: old.length,
            highest: old.safe,
            last: (old.safe, old.from),
            marked_at: old.length,
            unsynced: 0,
            told_dropped: 0,
            sync_due: None,
            old,
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let (events, stop) = self.next();
            if !events.is_empty() {
                self.write_events(&events);
                self.sync_due.get_or_insert_with(|| Instant::now() + SYNC_EVERY);
            }
            if let Some(stop) = stop {
                self.end(stop);
                return;
            }
            if self.sync_due.is_some_and(|due| due <= Instant::now()) {
                self.sync();
            }
        }
    }

    /// Waits for events, for the next sync, or for the end.
    fn next(&self) -> (Vec<Event>, Option<Stop>) {
        let mut queue = self.shared.queue.lock();
        if queue.events.is_empty() && queue.stop.is_none() {
            queue.parked = true;
            match self.sync_due {
                Some(due) => {
                    self.shared.wake.wait_until(&mut queue, due);
                }
                None => self.shared.wake.wait(&mut queue),
            }
            queue.parked = false;
        }
        if !queue.events.is_empty() && queue.stop.is_none() {
            self.shared.wake.wait_for(&mut queue, GATHER);
        }
        let Queue { events, octets, stop, .. } = &mut *queue;
        *octets = 0;
        (std::mem::take(events), *stop)
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
        match self.file.write_all_at(text.as_bytes(), self.offset) {
            Ok(()) => {
                self.offset += text.len() as u64;
                self.unsynced += events;
            }
            Err(_) => {
                self.shared.dropped.fetch_add(events, Ordering::Relaxed);
                // Best effort: what was half written would join the next line; the next write covers it.
                let _ = self.file.set_len(self.offset);
            }
        }
    }

    fn sync(&mut self) {
        self.tell_dropped();
        let (safe, from) = self.last;
        if self.sync_as(safe, from).is_ok() {
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
    fn sync_as(&mut self, safe: u64, from: u64) -> io::Result<()> {
        let since_mark = self.offset - self.marked_at;
        if safe > self.shared.safe.load(Ordering::Relaxed) || since_mark > MARK_EVERY as u64 {
            let at = now().rfc3339();
            let mark = format!(
                "{{\"v\":1,\"at\":\"{at}\",\"event\":\"safe\",\"commit\":{safe},\"from\":{from}}}\n"
            );
            self.write(&mark, 0);
            self.marked_at = self.offset;
        }
        self.file.sync_data()
    }

    /// Until the commits that were open at the start are safe again, their lines are at the old place.
    fn open_from(&self) -> u64 {
        if self.highest < self.old.highest { self.old.from } else { self.offset }
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
        match stop {
            Stop::Complete => {
                self.last = (self.highest.max(self.old.highest), self.offset);
                self.sync();
            }
            Stop::Open => self.sync(),
        }
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(Timestamp::EPOCH, |since| Timestamp::EPOCH.plus(since))
}
