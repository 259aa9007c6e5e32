//! Opening the event log: what its end says about the commits in it. The end may reach into the file before.

use super::files::{self, EVENTS, LogFile};
use super::{JournalError, MAX_EVENTS};
use posthaste_evidence::Event;
use posthaste_mail::QueueId;
use serde::Deserialize;
use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

/// The end of a file that is read first, octets.
const FIRST_LOOK: u64 = 1024 * 1024;
/// The most of the end that is read; the writer marks often enough that it never needs more.
const LONGEST_LOOK: u64 = 256 * 1024 * 1024;
/// Who holds the lock of this file writes the log.
const LOCK: &str = "events.lock";

/// Where lines begin.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    /// The sealed file; `None` for the one that is written.
    pub(super) file: Option<String>,
    /// Octets from its beginning.
    pub(super) from: u64,
}

/// What is known of the log at its end.
#[derive(Default)]
pub(super) struct Tail {
    /// All events of commits up to this are in the log.
    pub(super) safe: u64,
    /// The highest commit seen.
    pub(super) highest: u64,
    /// Lines of commits above `safe` begin here or later.
    pub(super) place: Place,
    /// The events of commits above `safe` that are in the log.
    known: HashSet<u64>,
}

/// The log, ours alone.
pub(super) struct Opened {
    pub(super) log: LogFile,
    pub(super) tail: Tail,
    /// Held as long as we write.
    pub(super) lock: File,
}

impl Tail {
    /// True for an event that is in the log already.
    pub(super) fn has(&self, event: &Event) -> bool {
        event.commit != 0
            && (event.commit <= self.safe
                || (event.commit <= self.highest && self.known.contains(&key(&event.identity()))))
    }
}

/// Opens, locks and reads; a torn last line is cut off, and what is left is synced.
pub(super) fn open(folder: &Path, spool_commit: u64) -> Result<Opened, JournalError> {
    let path = files::active(folder, EVENTS);
    let failed = |act| {
        let path = path.clone();
        move |source| JournalError::Io { act, path, source }
    };
    match DirBuilder::new().mode(0o750).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create the folder of")(error));
        }
        _ => {}
    }
    let lock = lock(folder)?;
    let mut log = LogFile::open(folder, EVENTS).map_err(failed("open"))?;
    log.length = whole_lines(&log.file, log.length).map_err(failed("read"))?;
    let tail = read(&log, spool_commit).map_err(failed("read"))?;
    let tidy = || {
        log.file.set_len(log.length)?;
        log.file.sync_all()?;
        log.sync_folder()
    };
    tidy().map_err(failed("sync"))?;
    Ok(Opened { log, tail, lock })
}

/// The lock is a file of its own: the log's change.
fn lock(folder: &Path) -> Result<File, JournalError> {
    let path = folder.join(LOCK);
    let failed = |act| {
        let path = path.clone();
        move |source| JournalError::Io { act, path, source }
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o640);
    options.custom_flags(files::NO_LINK);
    let lock = options.open(&path).map_err(failed("open"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            Err(JournalError::Locked { path: files::active(folder, EVENTS) })
        }
        Err(TryLockError::Error(error)) => Err(failed("lock")(error)),
    }
}

/// Where the last line that has an end does.
fn whole_lines(file: &File, length: u64) -> io::Result<u64> {
    let mut end = length;
    while end > 0 {
        let start = end.saturating_sub(FIRST_LOOK);
        let octets = region(file, start, end)?;
        if let Some(at) = octets.iter().rposition(|&b| b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// One file of the log, as far as it counts.
struct Part {
    name: Option<String>,
    file: File,
    length: u64,
}

/// A `safe` line.
struct Mark {
    safe: u64,
    place: Place,
}

fn read(log: &LogFile, spool_commit: u64) -> io::Result<Tail> {
    let (parts, mark) = find_mark(log)?;
    let from_first = Place { file: parts.first().and_then(|p| p.name.clone()), from: 0 };
    let Mark { safe, place } = mark.unwrap_or(Mark { safe: 0, place: from_first });
    let mut tail = Tail { safe, highest: safe, place, known: HashSet::new() };
    let first = parts.iter().position(|part| part.name == tail.place.file).unwrap_or(0);
    for (n, part) in parts.iter().enumerate().skip(first) {
        let from = if n == first { tail.place.from.min(part.length) } else { 0 };
        let from = from.max(part.length.saturating_sub(LONGEST_LOOK));
        let octets = region(&part.file, from, part.length)?;
        for line in octets.split(|&b| b == b'\n').filter_map(parse) {
            tail.note(&line);
        }
    }
    if tail.highest > spool_commit {
        // It belongs to another spool.
        let place = Place { file: None, from: log.length };
        return Ok(Tail { place, ..Tail::default() });
    }
    Ok(tail)
}

impl Tail {
    fn note(&mut self, line: &Seen<'_>) {
        self.highest = self.highest.max(line.commit);
        if line.commit > self.safe
            && line.event != SAFE
            && let Some(key) = line_key(line)
        {
            self.known.insert(key);
        }
    }
}

/// The last mark and the files from the one that it is in, or speaks of. A file is sealed only when all that a restart
/// needs is in it, so that the mark is in one of the last two, unless there is none.
fn find_mark(log: &LogFile) -> io::Result<(Vec<Part>, Option<Mark>)> {
    let active = Part { name: None, file: log.file.try_clone()?, length: log.length };
    let mut mark = last_mark(&active)?;
    let mut parts = vec![active];
    let reaches_back = |mark: &Option<Mark>, parts: &[Part]| match mark {
        None => true,
        Some(mark) => parts.iter().all(|part| part.name != mark.place.file),
    };
    let mut before = files::sealed(log.folder(), EVENTS)?;
    while reaches_back(&mark, &parts) {
        let Some(sealed) = before.pop() else { break };
        let part = open_part(&sealed.path)?;
        if mark.is_none() {
            mark = last_mark(&part)?;
        }
        parts.insert(0, part);
    }
    Ok((parts, mark))
}

fn open_part(path: &Path) -> io::Result<Part> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(Part { name, file, length })
}

fn last_mark(part: &Part) -> io::Result<Option<Mark>> {
    let mut look = FIRST_LOOK;
    loop {
        let start = part.length.saturating_sub(look);
        let octets = region(&part.file, start, part.length)?;
        let lines = octets.split(|&b| b == b'\n').filter_map(parse);
        if let Some(line) = lines.rev().find(|line| line.event == SAFE) {
            let from = line.from.as_ref().and_then(serde_json::Value::as_u64).unwrap_or(0);
            let file = line.file.map(str::to_owned).or_else(|| part.name.clone());
            return Ok(Some(Mark { safe: line.commit, place: Place { file, from } }));
        }
        if start == 0 || look >= LONGEST_LOOK {
            return Ok(None);
        }
        look = (look * 8).min(LONGEST_LOOK);
    }
}

fn region(file: &File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut octets = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut octets, start)?;
    Ok(octets)
}

/// The event of a mark.
pub(super) const SAFE: &str = "safe";

/// One line, as far as the restart needs it.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(default)]
    commit: u64,
    #[serde(borrow)]
    event: &'a str,
    #[serde(default)]
    id: Option<&'a str>,
    #[serde(default)]
    to: Option<serde_json::Value>,
    #[serde(default)]
    act: Option<&'a str>,
    #[serde(default)]
    notice: Option<&'a str>,
    #[serde(default)]
    why: Option<&'a str>,
    #[serde(default)]
    from: Option<serde_json::Value>,
    #[serde(default)]
    file: Option<&'a str>,
}

/// `None` for what is no line of ours: the start cut off, or octets a crash left.
fn parse(line: &[u8]) -> Option<Seen<'_>> {
    serde_json::from_slice(line).ok()
}

fn line_key(line: &Seen<'_>) -> Option<u64> {
    let id: QueueId = line.id?.parse().ok()?;
    let to = line.to.as_ref().and_then(serde_json::Value::as_str);
    let detail = line.notice.or(line.why).or(to).unwrap_or("");
    Some(key(&(line.commit, id, line.act.unwrap_or(line.event), detail)))
}

/// Of an event's identity, or of its fields as read; equal strings hash alike, borrowed or owned.
fn key(identity: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    identity.hash(&mut hasher);
    hasher.finish()
}

const _: () = assert!(
    LONGEST_LOOK as usize > 4 * super::writer::MARK_EVERY + MAX_EVENTS * 1024,
    "the last mark, and all that it leaves open, is within the look"
);
