//! The search by keys: first the messages that have a line with one of the keys, then all lines of these messages.

use super::gather::{Batch, quick_id};
use super::keys::{Key, Keyed, Narrowed, Of};
use super::log::{Allowance, CLOCK_STEP, LogFile};
use super::{Question, Tracked};
use crate::view::{VERSION, When};
use posthaste_mail::{QueueId, Timestamp};
use std::collections::BTreeSet;
use std::io;

/// Messages whose lines are gathered at once.
const MAX_BATCH: usize = 1000;

/// A search by keys under way.
pub(super) struct Search<'q> {
    question: &'q Question,
    limit: usize,
    now: Timestamp,
    allowance: Allowance,
    files: Vec<LogFile>,
    /// Messages that were judged already.
    seen: BTreeSet<QueueId>,
    found: Vec<super::TrackedMessage>,
    oldest: Option<Timestamp>,
    complete: bool,
}

impl<'q> Search<'q> {
    pub(super) fn new(
        question: &'q Question,
        limit: usize,
        now: Timestamp,
        allowance: Allowance,
        files: Vec<LogFile>,
    ) -> Self {
        let (seen, found) = (BTreeSet::new(), Vec::new());
        let (oldest, complete) = (None, true);
        Self { question, limit, now, allowance, files, seen, found, oldest, complete }
    }

    /// One message by its id: only its own lines are read.
    pub(super) fn by_id(mut self, id: QueueId) -> io::Result<Tracked> {
        self.judge(&BTreeSet::from([id]))?;
        Ok(self.finish())
    }

    /// Messages that have a line with one of the keys.
    pub(super) fn by_keys(mut self, keys: &[Key], narrowed: &Narrowed) -> io::Result<Tracked> {
        let wanted: BTreeSet<u64> = keys.iter().map(Key::hash).collect();
        let mut hashes = Vec::new();
        for n in 0..self.files.len() {
            if is_outside(&self.files[n], narrowed) {
                continue;
            }
            for part in self.files[n].parts(keys) {
                let mut ids = BTreeSet::new();
                let mut note = |line: &[u8]| {
                    let Some(keyed) = Keyed::read(line) else { return };
                    hashes.clear();
                    keyed.hashes(&mut hashes);
                    if hashes.iter().any(|hash| wanted.contains(hash))
                        && let Some(Ok(id)) = keyed.id.as_deref().map(str::parse)
                    {
                        ids.insert(id);
                    }
                };
                let whole = self.files[n].read(part, &mut self.allowance, &mut note)?;
                self.judge(&ids)?;
                if !whole {
                    self.complete = false;
                    return Ok(self.finish());
                }
                if self.found.len() >= self.limit {
                    return Ok(self.finish());
                }
            }
            self.reached(n);
        }
        Ok(self.finish())
    }

    fn reached(&mut self, file: usize) {
        self.oldest = self.files[file].oldest().or(self.oldest);
    }

    /// Gathers all lines of these messages and keeps those that fit, newest first.
    fn judge(&mut self, ids: &BTreeSet<QueueId>) -> io::Result<()> {
        let fresh: Vec<QueueId> =
            ids.iter().rev().filter(|id| self.seen.insert(**id)).copied().collect();
        for ids in fresh.chunks(MAX_BATCH) {
            let mut batch = Batch::new(ids);
            self.read_lines_of(ids, &mut batch)?;
            let room = self.limit.saturating_sub(self.found.len());
            let fits = batch.finish().into_iter().filter(|message| match self.question {
                Question::Id(_) | Question::Fits(None) => true,
                Question::Fits(Some(filter)) => filter.fits(message, self.now),
            });
            self.found.extend(fits.take(room));
        }
        Ok(())
    }

    fn read_lines_of(&mut self, ids: &[QueueId], batch: &mut Batch) -> io::Result<()> {
        let keys: Vec<Key> = ids.iter().map(|id| Key::new(Of::Id, &id.to_string())).collect();
        let first = ids.iter().min().map_or(Timestamp::EPOCH, |id| id.minted());
        for n in 0..self.files.len() {
            let file = &self.files[n];
            let before = file.newest().is_some_and(|newest| newest.plus(CLOCK_STEP) < first);
            if before || batch.is_whole() {
                return Ok(());
            }
            for part in file.parts(&keys) {
                let mut lines = Vec::new();
                let mut keep = |line: &[u8]| {
                    if quick_id(line).is_none_or(|id| batch.wants(id)) {
                        lines.push(line.to_vec());
                    }
                };
                let whole = file.read(part, &mut self.allowance, &mut keep)?;
                lines.iter().rev().for_each(|line| batch.line(line));
                if !whole {
                    self.complete = false;
                    return Ok(());
                }
            }
            if self.question.is_id() {
                self.reached(n);
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Tracked {
        self.found.sort_by(|a, b| b.id.cmp(&a.id));
        Tracked {
            v: VERSION,
            messages: self.found,
            complete: self.complete,
            searched_to: self.oldest.map(When),
        }
    }
}

/// No message that was accepted since then has a line in this file.
fn is_outside(file: &LogFile, narrowed: &Narrowed) -> bool {
    let newest = file.newest().map(|newest| newest.plus(CLOCK_STEP));
    newest.zip(narrowed.since).is_some_and(|(newest, since)| newest < since)
}
