//! `track`: what became of a message, also after it has left, and what was said in a session: searches through the logs.
//!
//! The logs are JSON lines, written by the daemon's journal in files that are sealed in turn. A search that names a message,
//! an address, a client or a session goes by the indexes of the sealed files; any other reads lines, newest first. Both
//! are bounded in octets and time; an answer says whether it is complete. Not here: writing the logs.

mod backward;
mod block;
mod found;
mod gather;
mod index;
mod keys;
mod log;
pub mod sessions;

pub use gather::{TrackedMessage, TrackedRecipient, said};
pub use log::build_indexes;

use crate::filter::Filter;
use crate::view::When;
use found::Search;
use gather::{Gather, time};
use keys::narrow;
use log::{Allowance, LogFile};
use posthaste_io_tokio::journal::files::EVENTS;
use posthaste_mail::{QueueId, Timestamp};
use serde::Serialize;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The name of the event log that is written, in its folder.
pub const FILE_NAME: &str = posthaste_io_tokio::journal::FILE_NAME;
/// The most of the log that one search reads, octets.
pub const MAX_SEARCH: u64 = 4 << 30;
/// The longest that one search takes.
pub const MAX_TIME: Duration = Duration::from_secs(20);
/// Of logs without an index, what one search indexes for itself, octets: two files of the usual size. In memory it is
/// about a third of it at most.
const MAX_INDEXED: u64 = 160 << 20;
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

impl Question {
    const fn is_id(&self) -> bool {
        matches!(self, Self::Id(_))
    }
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
    /// How far back the search went: the oldest line read, or the beginning of the oldest file that was looked up.
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
    let files = log::open(folder, EVENTS)?;
    let allowance = allowance();
    let narrowed = match question {
        Question::Id(id) => {
            return Search::new(question, limit, now, allowance, files).by_id(*id);
        }
        Question::Fits(filter) => filter.as_ref().map(|filter| narrow(filter, now)),
    };
    let narrowed = narrowed.unwrap_or_default();
    if narrowed.clauses.is_empty() {
        return line_by_line(&files, question, limit, now, allowance, narrowed.since);
    }
    Search::new(question, limit, now, allowance, files).by_keys(&narrowed)
}

fn allowance() -> Allowance {
    Allowance { octets: MAX_SEARCH, deadline: Instant::now() + MAX_TIME, indexed: MAX_INDEXED }
}

fn line_by_line(
    files: &[LogFile],
    question: &Question,
    limit: usize,
    now: Timestamp,
    mut allowance: Allowance,
    since: Option<Timestamp>,
) -> io::Result<Tracked> {
    let mut gather = Gather::new(question, limit, now, MAX_OPEN);
    let mut count = 0u32;
    for file in files {
        // Clocks may be set back, and lines be written again after a crash: only a day more is surely nothing.
        let newest = file.newest().map(|newest| newest.plus(log::CLOCK_STEP));
        if newest.zip(since).is_some_and(|(newest, since)| newest < since) {
            break;
        }
        let mut lines = file.backward(&mut allowance)?;
        while let Some(line) = lines.next_line()? {
            gather.line(line);
            count = count.wrapping_add(1);
            let late = count.is_multiple_of(LINES_PER_LOOK) && Instant::now() > allowance.deadline;
            if gather.is_done() || late {
                let done = gather.is_done();
                return Ok(gather.finish(done));
            }
        }
        if lines.was_cut() {
            return Ok(gather.finish(false));
        }
    }
    Ok(gather.finish(true))
}
