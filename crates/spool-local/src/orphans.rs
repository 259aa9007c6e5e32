//! What may be removed at the start, and when what is there is not all that there was: a file is removed only when
//! no record can be missing that would name it.
//!
//! A segment that has been removed is noticed by the list of segments (`manifest`), and so is one whose entry is there
//! and cannot be opened. Where that list cannot be read too, the bodies of its messages still tell.

use crate::files::{Named, named, segment_name};
use crate::log::Log;
use crate::open::OpenError;
use posthaste_io::{Disk, OpenMode};
use posthaste_mail::QueueId;
use posthaste_spool::store::Quarantined;
use std::collections::BTreeSet;
use std::io;

/// A body that was never accepted was being received when the last run ended. An older one had a record: a day, in
/// the unit of ids.
const NEVER_ACCEPTED: u64 = 86_400_000 << 22;
/// The highest number of a segment at the start: far more follow it than one run can make.
pub(crate) const HIGHEST_NUMBER: u32 = u32::MAX - (1 << 24);
/// Numbers looked at above the highest one of a segment.
const BEYOND: u32 = 8;
/// Missing numbers of segments that are looked at.
const MAX_LOOKED_AT: usize = 10_000;

/// Bodies in the folder, and what the records say of them besides that they are live.
#[derive(Default)]
pub(crate) struct Bodies {
    there: BTreeSet<QueueId>,
    ended: BTreeSet<QueueId>,
}

/// What is to become of the files that no record of a live message names.
#[derive(Default)]
pub(crate) struct Unclaimed {
    pub(crate) orphans: Vec<String>,
    /// Kept for this start only: of a commit that cannot be told from one that was never finished.
    pub(crate) kept: Vec<Quarantined>,
}

impl Bodies {
    pub(crate) fn of(files: &[(String, u64)]) -> Self {
        let body = |(name, _): &(String, u64)| match named(name) {
            Named::Body(id) => Some(id),
            Named::Segment(_) | Named::Unfinished | Named::Stranger => None,
        };
        Self { there: files.iter().filter_map(body).collect(), ended: BTreeSet::new() }
    }

    /// A record says that this message has left.
    pub(crate) fn end(&mut self, id: QueueId) {
        if self.there.contains(&id) {
            self.ended.insert(id);
        }
    }

    pub(crate) fn are_there(&self) -> bool {
        !self.there.is_empty()
    }
}

impl<D: Disk> Log<D> {
    /// An entry that has the name of a segment and cannot be listed as a file is not one that does not exist.
    pub(crate) fn look_for_hidden(&self, files: &[(String, u64)]) -> Result<(), OpenError> {
        let numbers: BTreeSet<u32> = files
            .iter()
            .filter_map(|(name, _)| match named(name) {
                Named::Segment(number) => Some(number),
                _ => None,
            })
            .collect();
        let highest = numbers.last().copied().unwrap_or(0);
        if highest > HIGHEST_NUMBER {
            return Err(OpenError::NoNumber(segment_name(highest)));
        }
        let missing = (1..=highest.saturating_add(BEYOND)).rev().filter(|n| !numbers.contains(n));
        for number in missing.take(MAX_LOOKED_AT) {
            let name = segment_name(number);
            // For writing: a folder does not open so, and nothing blocks.
            match self.shared.disk.lock().open(&name, OpenMode::Write) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => return Err(OpenError::NotAFile(name)),
            }
        }
        Ok(())
    }

    /// Judges the files that no live message names, and lists those whose record cannot be read.
    pub(crate) fn judge_unclaimed(
        &self,
        files: &[(String, u64)],
        bodies: &Bodies,
        torn: bool,
    ) -> Unclaimed {
        let mut unclaimed = Unclaimed::default();
        let mut index = self.shared.index.lock();
        let damaged = index.damages > 0;
        for (name, size) in files {
            let id = match named(name) {
                Named::Unfinished => None,
                Named::Body(id) if !index.spilled.contains_key(&id) => Some(id),
                Named::Body(_) | Named::Segment(_) | Named::Stranger => continue,
            };
            let Some(id) = id.filter(|id| !bodies.ended.contains(id)) else {
                unclaimed.orphans.push(name.clone());
                continue;
            };
            let what = "a body that no readable record names";
            let body = Quarantined { place: name.clone(), size: *size, what };
            let old = id.as_u64().saturating_add(NEVER_ACCEPTED) < index.last_id;
            if damaged || old {
                index.list_damage(body);
            } else if torn {
                unclaimed.kept.push(body);
            } else {
                unclaimed.orphans.push(name.clone());
            }
        }
        unclaimed
    }

    /// Only after what the last run left is durable again: a file may belong to a message that has yet to end.
    pub(crate) fn remove_orphans(&self, orphans: &[String]) -> u64 {
        let mut removed = 0;
        for name in orphans {
            removed += u64::from(self.shared.disk.lock().remove(name).is_ok());
        }
        removed
    }
}
