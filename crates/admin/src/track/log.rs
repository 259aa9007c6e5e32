//! The files of a log, newest first, each with its index where there is one; and what is read of them.

use super::backward::Backward;
use super::block::each_line;
use super::index::{Index, Making, build};
use super::keys::Key;
use posthaste_io_tokio::journal::files;
use posthaste_mail::Timestamp;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// One file.
pub(super) struct LogFile {
    file: File,
    size: u64,
    index: Option<Index>,
}

/// How much one search may still read.
pub(super) struct Allowance {
    /// Octets.
    pub(super) octets: u64,
    /// Until then.
    pub(super) deadline: Instant,
    /// Of logs without an index, octets that may be indexed in memory.
    pub(super) indexed: u64,
}

impl Allowance {
    pub(super) fn is_over(&self) -> bool {
        self.octets == 0 || Instant::now() > self.deadline
    }

    fn spend(&mut self, octets: u64) {
        self.octets = self.octets.saturating_sub(octets);
    }
}

/// All files, newest first. One that is removed or sealed meanwhile is read all the same, once it is open.
pub(super) fn open(folder: &Path, stem: &str) -> io::Result<Vec<LogFile>> {
    // The file that is written first: sealed a moment later it is found twice at most, never missed.
    let active = optional(File::open(files::active(folder, stem)))?;
    let mut all = Vec::new();
    for sealed in files::sealed(folder, stem)?.into_iter().rev() {
        let Some(file) = optional(File::open(&sealed.path))? else { continue };
        if active.as_ref().is_some_and(|active| same(active, &file)) {
            continue;
        }
        let size = file.metadata()?.len();
        let index = Index::open(&sealed.index(), size);
        all.push(LogFile { file, size, index });
    }
    if let Some(file) = active {
        let size = file.metadata()?.len();
        all.insert(0, LogFile { file, size, index: None });
    }
    Ok(all)
}

/// Makes the indexes that are missing or cannot be used. Answers how many.
///
/// # Errors
/// The operating system's; what could be made stays.
pub fn build_indexes(folder: &Path) -> io::Result<usize> {
    let mut made = 0;
    for stem in [files::EVENTS, files::SESSIONS] {
        for sealed in files::sealed(folder, stem)? {
            let index = sealed.index();
            if Index::open(&index, sealed.size).is_none() {
                build(&sealed.path, &index)?;
                made += 1;
            }
        }
    }
    Ok(made)
}

/// Makes indexes for this search where there are none: always of what is being written, and of what was sealed just
/// now. Of a log without any only of the newest files, lest memory be exhausted; the others are read through. `false`:
/// the allowance was over before.
pub(super) fn index_all(files: &mut [LogFile], allowance: &mut Allowance) -> io::Result<bool> {
    for file in files {
        if !file.index(allowance)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn optional(opened: io::Result<File>) -> io::Result<Option<File>> {
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn same(a: &File, b: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

impl LogFile {
    /// No line of it was written after this; `None` when that is not known.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.index.as_ref().map(|index| index.times.1)
    }

    /// No line of it was written before this; `None` when that is not known.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.index.as_ref().map(|index| index.times.0)
    }

    fn index(&mut self, allowance: &mut Allowance) -> io::Result<bool> {
        if self.index.is_some() || self.size > allowance.indexed {
            return Ok(true);
        }
        allowance.indexed -= self.size;
        let mut making = Making::of(self.size);
        let whole = self.read_placed((0, self.size), allowance, &mut |at, line| {
            making.line(at, line);
        })?;
        self.index = whole.then(|| making.held());
        Ok(whole)
    }

    /// The blocks in which lines with one of the keys may begin, in order; `None` when no index can say.
    pub(super) fn blocks(&self, keys: &[Key]) -> Option<Vec<u64>> {
        self.index.as_ref().and_then(|index| index.blocks(keys).ok())
    }

    /// How many octets are read for these blocks.
    pub(super) fn octets_of(&self, blocks: Option<&[u64]>) -> u64 {
        let block = self.index.as_ref().map(|index| index.block);
        let some = block.zip(blocks).map(|(block, blocks)| block * blocks.len() as u64);
        some.unwrap_or(self.size)
    }

    /// What is to be read for these blocks, newest first; all of the file for `None`.
    pub(super) fn parts(&self, blocks: Option<Vec<u64>>) -> Vec<(u64, u64)> {
        let block = self.index.as_ref().map(|index| index.block);
        let (size, blocks) = block.zip(blocks).unwrap_or_else(|| {
            let all = 0..self.size.div_ceil(MOST_AT_ONCE);
            (MOST_AT_ONCE, all.collect())
        });
        let mut parts: Vec<(u64, u64)> = Vec::new();
        for block in blocks {
            let (start, end) = (block * size, ((block + 1) * size).min(self.size));
            match parts.last_mut() {
                // Beside each other: read at once, but not so much that the newest comes late.
                Some(last) if last.1 == start && end - last.0 <= MOST_AT_ONCE => last.1 = end,
                _ => parts.push((start, end)),
            }
        }
        parts.reverse();
        parts
    }

    /// Tells the lines that begin in a part. `false`: the allowance was over before the end.
    pub(super) fn read(
        &self,
        part: (u64, u64),
        allowance: &mut Allowance,
        tell: &mut dyn FnMut(&[u8]),
    ) -> io::Result<bool> {
        self.read_placed(part, allowance, &mut |_, line| tell(line))
    }

    /// The same, each line with the place where it begins.
    fn read_placed(
        &self,
        (start, end): (u64, u64),
        allowance: &mut Allowance,
        tell: &mut dyn FnMut(u64, &[u8]),
    ) -> io::Result<bool> {
        let mut from = start;
        while from < end {
            if allowance.is_over() {
                return Ok(false);
            }
            let to = (from + MOST_AT_ONCE).min(end);
            each_line(&self.file, from, to, tell)?;
            allowance.spend(to - from);
            from = to;
        }
        Ok(true)
    }

    /// Its lines from the last to the first, as far as the allowance goes.
    pub(super) fn backward(&self, allowance: &mut Allowance) -> io::Result<Backward<'_>> {
        let most = allowance.octets.min(self.size);
        allowance.spend(most);
        Backward::new(&self.file, most)
    }
}

/// What is read between two looks at the clock, octets.
const MOST_AT_ONCE: u64 = 4 * 1024 * 1024;

/// Clocks that are set back may give lines and names out of order by so much.
pub(super) const CLOCK_STEP: Duration = Duration::from_secs(86_400);
