//! Opening the log: what its end says about the commits in it.

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

/// The end of the file that is read first, octets.
const FIRST_LOOK: u64 = 1024 * 1024;
/// The most of the end that is read; the writer marks often enough that it never needs more.
const LONGEST_LOOK: u64 = 256 * 1024 * 1024;

/// What is known of the log at its end.
#[derive(Default)]
pub(super) struct Tail {
    /// The file's length, whole lines only.
    pub(super) length: u64,
    /// All events of commits up to this are in the file.
    pub(super) safe: u64,
    /// The highest commit seen.
    pub(super) highest: u64,
    /// Lines of commits above `safe` begin here or later.
    pub(super) from: u64,
    /// The events of commits above `safe` that are in the file.
    known: HashSet<u64>,
}

impl Tail {
    /// True for an event that is in the file already.
    pub(super) fn has(&self, event: &Event) -> bool {
        event.commit != 0
            && (event.commit <= self.safe
                || (event.commit <= self.highest && self.known.contains(&key(&event.identity()))))
    }
}

/// Opens, locks and reads; a torn last line is cut off, and what is left is synced.
pub(super) fn open(
    folder: &Path,
    path: &Path,
    spool_commit: u64,
) -> Result<(File, Tail), JournalError> {
    let failed = |act| move |source| JournalError::Io { act, path: path.to_owned(), source };
    match DirBuilder::new().mode(0o750).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(failed("create the folder of")(error));
        }
        _ => {}
    }
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o640)
        .open(path)
        .map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(JournalError::Locked { path: path.to_owned() });
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
    }
    let tail = read(&file, spool_commit).map_err(failed("read"))?;
    let tidy = || {
        file.set_len(tail.length)?;
        file.sync_all()?;
        File::open(folder)?.sync_all()
    };
    tidy().map_err(failed("sync"))?;
    Ok((file, tail))
}

fn read(file: &File, spool_commit: u64) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    let mut look = FIRST_LOOK;
    loop {
        let start = length.saturating_sub(look);
        let mut octets = vec![0; usize::try_from(length - start).map_err(io::Error::other)?];
        file.read_exact_at(&mut octets, start)?;
        let tail = judge(&octets, start, spool_commit);
        let enough = start <= tail.from || look >= LONGEST_LOOK;
        if enough {
            return Ok(tail);
        }
        look = (length - tail.from).max(look * 8).min(LONGEST_LOOK);
    }
}

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
    from: Option<serde_json::Value>,
}

/// Judges the end of a file that begins at `start`. Without a mark, all of the file counts.
fn judge(octets: &[u8], start: u64, spool_commit: u64) -> Tail {
    let whole = octets.iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
    let mut tail = Tail { length: start + whole as u64, ..Tail::default() };
    let lines = || octets[..whole].split(|&b| b == b'\n').filter_map(parse);
    if let Some(mark) = lines().rfind(|line| line.event == "safe") {
        tail.safe = mark.commit;
        tail.from = mark.from.as_ref().and_then(serde_json::Value::as_u64).unwrap_or(0);
    }
    tail.highest = lines().map(|line| line.commit).max().unwrap_or(0).max(tail.safe);
    if tail.highest > spool_commit {
        return Tail { length: tail.length, from: tail.length, ..Tail::default() };
    }
    let later = lines().filter(|line| line.commit > tail.safe && line.event != "safe");
    tail.known = later.filter_map(|line| line_key(&line)).collect();
    tail
}

/// `None` for what is no line of ours: the start cut off, or octets a crash left.
fn parse(line: &[u8]) -> Option<Seen<'_>> {
    serde_json::from_slice(line).ok()
}

fn line_key(line: &Seen<'_>) -> Option<u64> {
    let id: QueueId = line.id?.parse().ok()?;
    let to = line.to.as_ref().and_then(serde_json::Value::as_str);
    let detail = line.notice.or(to).unwrap_or("");
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
