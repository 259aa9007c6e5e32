//! The search by keys: first the messages that have a line with the narrowest of the keys, then all lines of
//! those that may have the other keys too.

use super::gather::{Batch, quick_id};
use super::keys::{Key, Keyed, Narrowed, Of};
use super::log::{self, Allowance, CLOCK_STEP, LogFile};
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
    /// What must hold, the narrowest first.
    clauses: Vec<Clause>,
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
        let (clauses, seen, found) = (Vec::new(), BTreeSet::new(), Vec::new());
        let (oldest, complete) = (None, true);
        Self { question, limit, now, allowance, files, clauses, seen, found, oldest, complete }
    }

    /// One message by its id: only its own lines are read.
    pub(super) fn by_id(mut self, id: QueueId) -> io::Result<Tracked> {
        self.judge(&BTreeSet::from([id]))?;
        Ok(self.finish())
    }

    /// Messages that have, for each clause, a line with one of its keys: those of the narrowest clause are read, and
    /// of the others only where they may be is asked.
    pub(super) fn by_keys(&mut self, narrowed: &Narrowed) -> io::Result<Tracked> {
        if !log::index_all(&mut self.files, &mut self.allowance)? {
            self.complete = false;
            return Ok(self.finish());
        }
        let clauses = narrowed.clauses.iter().map(|keys| Clause::of(keys, &self.files));
        self.clauses = clauses.collect();
        self.clauses.sort_by_key(|clause| clause.octets);
        let Some(narrowest) = self.clauses.first() else { return Ok(self.finish()) };
        let (wanted, blocks) = (narrowest.hashes.clone(), narrowest.blocks.clone());
        let mut ids = BTreeSet::new();
        for (n, blocks) in blocks.into_iter().enumerate() {
            if is_outside(&self.files[n], narrowed) {
                continue;
            }
            for part in self.files[n].parts(blocks) {
                let whole = self.candidates(n, part, &wanted, &mut ids)?;
                if !whole || ids.len() >= self.limit.min(MAX_BATCH) {
                    self.judge(&std::mem::take(&mut ids))?;
                }
                if !whole || !self.complete || self.found.len() >= self.limit {
                    self.complete &= whole;
                    return Ok(self.finish());
                }
            }
            self.reached(n);
        }
        self.judge(&ids)?;
        Ok(self.finish())
    }

    /// The messages of lines with one of the keys. `false`: the allowance was over.
    fn candidates(
        &mut self,
        file: usize,
        part: (u64, u64),
        wanted: &BTreeSet<u64>,
        ids: &mut BTreeSet<QueueId>,
    ) -> io::Result<bool> {
        let mut hashes = Vec::new();
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
        self.files[file].read(part, &mut self.allowance, &mut note)
    }

    /// Whether each clause may have a line of the message: a block in which both are.
    fn may_fit(&self, id: QueueId) -> bool {
        if self.clauses.len() < 2 {
            return true;
        }
        let key = [Key::new(Of::Id, &id.to_string())];
        let mut left: Vec<&Clause> = self.clauses.iter().collect();
        // Most have their keys in the line of their acceptance, the oldest.
        for (n, file) in self.files.iter().enumerate().rev() {
            if is_before(file, id.minted()) {
                continue;
            }
            let own = file.blocks(&key);
            left.retain(|clause| !may_meet(own.as_deref(), clause.blocks[n].as_deref()));
            if left.is_empty() {
                return true;
            }
        }
        false
    }

    fn reached(&mut self, file: usize) {
        self.oldest = self.files[file].oldest().or(self.oldest);
    }

    /// Gathers all lines of these messages and keeps those that fit, newest first.
    fn judge(&mut self, ids: &BTreeSet<QueueId>) -> io::Result<()> {
        let fresh: Vec<QueueId> =
            ids.iter().rev().filter(|id| self.seen.insert(**id)).copied().collect();
        let fresh: Vec<QueueId> = fresh.into_iter().filter(|id| self.may_fit(*id)).collect();
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
            if is_before(file, first) || batch.is_whole() {
                return Ok(());
            }
            for part in file.parts(file.blocks(&keys)) {
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

    fn finish(&mut self) -> Tracked {
        self.found.sort_by(|a, b| b.id.cmp(&a.id));
        Tracked {
            v: VERSION,
            messages: std::mem::take(&mut self.found),
            complete: self.complete,
            searched_to: self.oldest.map(When),
        }
    }
}

/// A clause of the filter, and where it leads.
struct Clause {
    hashes: BTreeSet<u64>,
    /// For each file the blocks with one of its keys, in order; `None`: any.
    blocks: Vec<Option<Vec<u64>>>,
    /// Of all these blocks.
    octets: u64,
}

impl Clause {
    fn of(keys: &[Key], files: &[LogFile]) -> Self {
        let blocks: Vec<_> = files.iter().map(|file| file.blocks(keys)).collect();
        let octets = files.iter().zip(&blocks).map(|(f, blocks)| f.octets_of(blocks.as_deref()));
        Self { hashes: keys.iter().map(Key::hash).collect(), octets: octets.sum(), blocks }
    }
}

/// Whether a line may be in both; `None` is all blocks.
fn may_meet(a: Option<&[u64]>, b: Option<&[u64]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a.iter().any(|block| b.binary_search(block).is_ok()),
        (a, b) => a.or(b).is_none_or(|some| !some.is_empty()),
    }
}

/// No line of a message that was accepted then is in this file.
fn is_before(file: &LogFile, accepted: Timestamp) -> bool {
    file.newest().is_some_and(|newest| newest.plus(CLOCK_STEP) < accepted)
}

/// No message that was accepted since then has a line in this file.
fn is_outside(file: &LogFile, narrowed: &Narrowed) -> bool {
    narrowed.since.is_some_and(|since| is_before(file, since))
}

#[cfg(test)]
mod tests {
    use super::super::{allowance, build_indexes};
    use super::*;
    use crate::filter::{MESSAGE, parse};
    use crate::track::keys::narrow;
    use posthaste_io_tokio::journal::files::EVENTS;
    use std::fmt::Write;
    use std::path::Path;

    const NOW: Timestamp = Timestamp::from_secs(1_795_243_984);
    /// Of one file: several blocks.
    const MESSAGES: u64 = 1500;

    fn write_log(folder: &Path) {
        for (name, first) in [("events-20261121T060000.000Z.jsonl", 0), ("events.jsonl", MESSAGES)]
        {
            let mut text = String::new();
            for n in first..first + MESSAGES {
                let id = QueueId::from_u64(n);
                let (from, to) = (n % 7, n % 300);
                let head = format!(
                    "{{\"v\":1,\"at\":\"2026-11-21T06:00:00.000Z\",\"commit\":1,\"id\":\"{id}\","
                );
                let _ = writeln!(
                    text,
                    "{head}\"event\":\"received\",\"from\":\"p{from}@x\",\"to\":[\"q{to}@y{to}\"]}}"
                );
                let _ = writeln!(text, "{head}\"event\":\"done\"}}");
            }
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    /// What is found, and how many octets are read.
    fn ask(folder: &Path, filter: &str, indexed: u64) -> (Vec<String>, u64) {
        let question = Question::Fits(Some(parse(filter, MESSAGE).unwrap()));
        let Question::Fits(Some(parsed)) = &question else { unreachable!("it has a filter") };
        let mut search = Search::new(
            &question,
            100,
            NOW,
            Allowance { indexed, ..allowance() },
            log::open(folder, EVENTS).unwrap(),
        );
        let found = search.by_keys(&narrow(parsed, NOW)).unwrap();
        assert!(found.complete);
        (
            found.messages.into_iter().map(|m| m.id).collect(),
            super::super::MAX_SEARCH - search.allowance.octets,
        )
    }

    #[test]
    fn a_log_without_an_index_is_searched_with_one_in_memory_or_read_through() {
        let folder = tempfile::tempdir().unwrap();
        write_log(folder.path());
        let filters = [
            ("from = p3@x and domain = y3", 2),
            ("domain = y3 and from = p3@x and to = q3@y3", 2),
            ("to = q3@y3", 10),
            ("to = q3@y3 and domain = y4", 0),
            ("to = q3@y3 and (from = p3@x or from = p4@x)", 3),
        ];
        for pass in ["without", "one indexed"] {
            for (filter, count) in filters {
                let (all, _) = ask(folder.path(), filter, 0);
                let (same, _) = ask(folder.path(), filter, 1 << 20);
                assert_eq!(all, same, "{pass}: {filter}");
                assert_eq!(all.len(), count, "{pass}: {filter}");
            }
            build_indexes(folder.path()).unwrap();
        }
    }

    #[test]
    fn where_only_one_key_is_nothing_more_is_read() {
        let folder = tempfile::tempdir().unwrap();
        write_log(folder.path());
        build_indexes(folder.path()).unwrap();
        let (_, one) = ask(folder.path(), "to = q3@y3", 1 << 20);
        let (none, two) =
            ask(folder.path(), "to = q3@y3 and message_id = \"<nowhere@x>\"", 1 << 20);
        assert!(none.is_empty());
        assert!(two < one, "{two} of {one} octets");
    }
}
