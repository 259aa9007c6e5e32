//! `track`: what became of a message, also after it has left: a search through the event log, newest first.
//!
//! The log is `events.jsonl`, one JSON line for each step of a message's life, written by the daemon's journal. The
//! search is linear and bounded in octets and time; an answer says whether it is complete. Not here: writing the log.

mod backward;
mod gather;

pub use gather::{TrackedMessage, TrackedRecipient, said};

use crate::filter::Filter;
use crate::view::{VERSION, When};
use backward::Backward;
use gather::Gather;
use posthaste_mail::{QueueId, Timestamp};
use serde::Serialize;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The event log's name in its folder.
pub const FILE_NAME: &str = "events.jsonl";
/// The most of the log that one search reads, octets.
pub const MAX_SEARCH: u64 = 4 << 30;
/// The longest that one search takes.
pub const MAX_TIME: Duration = Duration::from_secs(20);
/// Messages whose acceptance has not been reached yet, at most.
const MAX_OPEN: usize = 100_000;
/// How often the clock is looked at, lines.
const LINES_PER_LOOK: u32 = 1024;

/// What is looked for.
#[derive(Clone, PartialEq, Debug)]
pub enum Question {
    /// One message.
    Id(QueueId),
    /// Messages that fit; `None` for all.
    Fits(Option<Filter>),
}

/// What was found, newest first.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Tracked {
    /// Always 1.
    pub v: u32,
    /// The messages.
    pub messages: Vec<TrackedMessage>,
    /// The whole log was searched, or everything asked for was found.
    pub complete: bool,
    /// The oldest line that was read.
    pub searched_to: Option<When>,
}

/// Searches the log in a folder. Blocks, for at most [`MAX_TIME`].
///
/// # Errors
/// The operating system's, when the log cannot be read; that there is none yet is no error.
pub fn search(
    folder: &Path,
    question: &Question,
    limit: usize,
    now: Timestamp,
) -> io::Result<Tracked> {
    let file = match File::open(folder.join(FILE_NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Tracked {
                v: VERSION,
                messages: Vec::new(),
                complete: true,
                searched_to: None,
            });
        }
        Err(error) => return Err(error),
    };
    let mut lines = Backward::new(&file, MAX_SEARCH)?;
    let mut gather = Gather::new(question, limit, now, MAX_OPEN);
    let deadline = Instant::now() + MAX_TIME;
    let mut count = 0u32;
    let mut ended = true;
    while let Some(line) = lines.next_line()? {
        gather.line(line);
        count = count.wrapping_add(1);
        let late = count.is_multiple_of(LINES_PER_LOOK) && Instant::now() > deadline;
        if gather.is_done() || late {
            ended = gather.is_done();
            break;
        }
    }
    Ok(gather.finish(ended && !lines.was_cut()))
}
