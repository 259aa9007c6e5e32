//! The start: reads what is there, decides what is torn and what is damaged, and takes a fresh segment, so that
//! nothing is ever appended to what the last run may have left half done (spool rule 3).

use crate::batch::Batch;
use crate::encode::connection_here;
use crate::entry::{Head, Remembered};
use crate::files::{Named, Spare, body_name, mend_header, named, read_header, segment_name};
use crate::index::{At, Segment};
use crate::layout::{GROUP_IN_INDEX, HEADER, SegmentHeader, Use, align, entries};
use crate::log::{
    Failed, Log, Room, Sabotage, Settings, failed, index_of, is_full, narrow, write_index,
};
use crate::manifest::Manifest;
use crate::orphans::{Bodies, HIGHEST_NUMBER};
use crate::place::Place;
use crate::scan::{self, Found, Group};
use crate::shared::Shared;
use crate::versions::{CURRENT, refuse_newer};
use bytes::Bytes;
use posthaste_io::{Disk, OpenMode};
use posthaste_mail::QueueId;
use posthaste_spool::record::wire::Writer;
use posthaste_spool::store::Quarantined;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is said of a segment that was there and is not.
pub const LOST: &str = "the segment was here and is gone";

/// What the start found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// Live messages.
    pub messages: u64,
    /// Segments with records.
    pub segments: u64,
    /// Segments that had no index and were read group by group.
    pub scanned: u64,
    /// The place of a commit that was begun and, as far as can be told, not finished: it is dropped. One that was
    /// finished, and damaged afterwards, looks the same when it was the last.
    pub torn: Option<String>,
    /// Bodies that the dropped commit may have named: kept until the next start.
    pub kept: Vec<Quarantined>,
    /// Files removed that no record names.
    pub orphans: u64,
    /// Of a store opened read-only: the files that an open for writing would remove as those.
    pub unclaimed: Vec<String>,
    /// What cannot be read.
    pub quarantined: Vec<Quarantined>,
}

/// The store cannot be opened. It is never replaced by an empty one.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk does not answer. The operator must look at it.
    #[error("the spool cannot be read: {0}")]
    Unreadable(io::Error),
    /// Something that is not a file has the name of a segment. The operator must bring the file back, or move the
    /// other thing away.
    #[error("{0} in the spool is not a file that can be opened")]
    NotAFile(String),
    /// A store was here and its records are not. The operator must bring its segments back, or move what is left of
    /// it away to begin anew.
    #[error(
        "the spool holds the rest of a store, but no readable segment with records: bring its segments \
             back, or move all files of the folder away to begin an empty one"
    )]
    RecordsMissing,
    /// Too few numbers are left after this segment: no run has made it. The operator must look at where it comes
    /// from.
    #[error("{0} in the spool has a number so high that no segments can follow it")]
    NoNumber(String),
    /// A newer version of the program has written here. Nothing was touched. The operator must run that version, or
    /// export the mail with it.
    #[error(
        "{file} in the spool was written by a newer version of the program (format {version}; this one reads up to \
             {CURRENT}): nothing was changed; run the newer version"
    )]
    Newer {
        /// The file.
        file: String,
        /// Its version.
        version: u16,
    },
    /// No room for a fresh segment. The operator must make room.
    #[error("the disk has no room for one more segment of the spool")]
    Full,
    /// Written where nothing may be written, or failed while the start wrote.
    #[error("the spool cannot be written: {0}")]
    Unwritable(Failed),
}

/// A segment with records and what was found in it.
struct Held {
    sequence: u32,
    found: Found,
}

impl<D: Disk> Log<D> {
    /// Opens the store in a folder, empty or not.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was lost by the attempt.
    pub fn open(disk: D, settings: Settings) -> Result<(Self, Report), OpenError> {
        let mut log = Self {
            shared: Arc::new(Shared::new(disk)),
            settings,
            active: None,
            pool: Vec::new(),
            preparing: None,
            next_sequence: 1,
            next_file: 1,
            next_commit: 1,
            epoch: 0,
            pass: None,
            manifest: Manifest::none(),
            rest_until: 0,
            left_alone: std::collections::BTreeSet::new(),
            room: Room::default(),
            failed: None,
            zeros: vec![0; crate::layout::BLOCK as usize],
            spare_batch: None,
        };
        let report = log.start()?;
        Ok((log, report))
    }

    fn start(&mut self) -> Result<Report, OpenError> {
        let files = self.shared.disk.lock().list().map_err(OpenError::Unreadable)?;
        self.look_for_hidden(&files)?;
        refuse_newer(&*self.shared.disk.lock(), &files)?;
        self.read_manifest()?;
        let mut bodies = Bodies::of(&files);
        let taken = self.read_headers(&files)?;
        // Spare segments follow the first one that is taken, and one is taken from then on.
        let was_used =
            self.next_file > 2 || self.next_sequence > 1 || self.manifest.is_of_a_store();
        if taken.is_empty() && (bodies.are_there() || was_used) {
            return Err(OpenError::RecordsMissing);
        }
        self.list_lost(&files);
        let held = self.replay(taken, &mut bodies);
        let mut report = Report {
            segments: held.len() as u64,
            scanned: held.iter().filter(|h| !h.found.indexed).count() as u64,
            torn: self.torn_place(&held),
            ..Report::default()
        };
        self.check_bodies(&files);
        let unclaimed = self.judge_unclaimed(&files, &bodies, report.torn.is_some());
        report.kept = unclaimed.kept;
        report.unclaimed.clone_from(&unclaimed.orphans);
        self.epoch += 1;
        if self.settings.read_only {
            self.failed = Some(Failed::ReadOnly);
        } else {
            self.take_over(&held)?;
            report.orphans = self.remove_orphans(&unclaimed.orphans);
            report.unclaimed.clear();
            self.fill_pool();
        }
        self.finish_index();
        let index = self.shared.index.lock();
        report.messages = index.messages.len() as u64;
        report.quarantined.clone_from(&index.quarantined);
        Ok(report)
    }

    fn read_manifest(&mut self) -> Result<(), OpenError> {
        let mode = if self.settings.read_only { OpenMode::Read } else { OpenMode::Write };
        let manifest = Manifest::read(&*self.shared.disk.lock(), mode);
        self.manifest = manifest.map_err(OpenError::Unreadable)?;
        // A number that stands for a lost segment is not given to another one.
        self.next_file = self.next_file.max(self.manifest.highest_number() + 1);
        Ok(())
    }

    /// Lists the segments that were there and are not: what they held is lost, unless somebody brings them back.
    fn list_lost(&mut self, files: &[(String, u64)]) {
        let there = |number| {
            let name = segment_name(number);
            files.binary_search_by(|(file, _)| file.cmp(&name)).is_ok()
        };
        self.manifest.find_lost(self.next_sequence - 1, there);
        for number in self.manifest.listed.lost.keys() {
            self.list_file(*number, 0, LOST);
        }
        if self.manifest.damaged {
            let (place, what) = ("segments".to_owned(), "the list of segments cannot be read");
            self.shared.index.lock().list_damage(Quarantined { place, size: 0, what });
        }
    }

    /// Opens every segment; answers those with records, by sequence number.
    fn read_headers(
        &mut self,
        files: &[(String, u64)],
    ) -> Result<BTreeMap<u32, Taken<D::File>>, OpenError> {
        let mut taken = BTreeMap::new();
        let mode = if self.settings.read_only { OpenMode::Read } else { OpenMode::Write };
        for (name, length) in files {
            let Named::Segment(number) = named(name) else { continue };
            self.next_file = self.next_file.max(number + 1);
            let unreadable = |error| OpenError::Unreadable(of_file(name, &error));
            let file = self.shared.disk.lock().open(name, mode).map_err(unreadable)?;
            let header = read_header(&file).map_err(unreadable)?;
            let Some(header) = header else {
                self.list_file(number, *length, "neither header of the segment can be read");
                continue;
            };
            if header.sequence > HIGHEST_NUMBER {
                return Err(OpenError::NoNumber(name.clone()));
            }
            self.next_sequence = self.next_sequence.max(header.sequence + 1);
            self.epoch = self.epoch.max(header.epoch);
            let file = Arc::new(file);
            match header.use_ {
                Use::Taken => {
                    if !self.settings.read_only {
                        let mended = mend_header(&*file, &header);
                        mended.map_err(|e| OpenError::Unwritable(failed(&e)))?;
                    }
                    taken.insert(header.sequence, Taken { file, number, header, length: *length });
                }
                Use::Free => self.keep_spare(Spare { file, number, header }, *length)?,
            }
        }
        Ok(taken)
    }

    /// Keeps a free segment of the usual size; another one is only in the way.
    fn keep_spare(&mut self, spare: Spare<D::File>, length: u64) -> Result<(), OpenError> {
        if self.settings.read_only {
            return Ok(());
        }
        let usable = spare.header.size == self.usual_size() && length == spare.header.size;
        if usable && mend_header(&*spare.file, &spare.header).is_ok() {
            self.pool.push(spare);
            return Ok(());
        }
        self.remove_segment(spare.number).map_err(|e| OpenError::Unwritable(failed(&e)))
    }

    fn list_file(&self, number: u32, size: u64, what: &'static str) {
        let place = segment_name(number);
        self.shared.index.lock().list_damage(Quarantined { place, size, what });
    }

    /// Where the last run's last commit was begun, when it was not finished.
    fn torn_place(&self, held: &[Held]) -> Option<String> {
        let Held { sequence, found } = held.last().filter(|h| h.found.torn)?;
        let index = self.shared.index.lock();
        let name = segment_name(index.segments.get(sequence)?.number);
        Some(format!("{name}+{}", found.end))
    }

    /// Takes in all records in the order in which they were written.
    fn replay(&mut self, taken: BTreeMap<u32, Taken<D::File>>, bodies: &mut Bodies) -> Vec<Held> {
        let mut held = Vec::new();
        for (sequence, Taken { file, number, header, length }) in taken {
            let found = scan::segment(&*file, &header);
            let mut segment = Segment::taken(file, number, header);
            (segment.sealed, segment.indexed) = (true, found.indexed);
            segment.used = found.end;
            let mut index = self.shared.index.lock();
            index.segments.insert(sequence, segment);
            if length < header.size {
                index.quarantine(sequence, narrow(length), header.size - length, "the file is cut");
            }
            for (offset, size) in &found.damage {
                index.quarantine(sequence, *offset, u64::from(*size), "a commit is damaged");
            }
            drop(index);
            for group in &found.groups {
                self.replay_group(sequence, group, bodies);
            }
            held.push(Held { sequence, found });
        }
        held
    }

    fn replay_group(&mut self, segment: u32, group: &Group, bodies: &mut Bodies) {
        let mut index = self.shared.index.lock();
        index.last_id = index.last_id.max(group.last_id);
        index.last_commit = index.last_commit.max(group.number);
        let Some(list) = entries(&group.directory, group.offset) else {
            index.quarantine(
                segment,
                group.offset,
                u64::from(group.length),
                "a directory is damaged",
            );
            return;
        };
        for raw in list {
            let at = At { segment, offset: raw.offset, pieces: raw.pieces, commit: group.number };
            match Head::decode(raw.kind, raw.head) {
                Ok(Some(head)) => {
                    if let Head::End(end) = &head {
                        bodies.end(end.id);
                    }
                    index.apply(head, at);
                }
                Ok(None) => {}
                Err(_) => index.quarantine(segment, raw.offset, 0, "an entry is damaged"),
            }
        }
    }

    /// A fresh segment, in it again what may never have become durable; then the old ones are sealed.
    fn take_over(&mut self, held: &[Held]) -> Result<(), OpenError> {
        let last_commit = self.shared.index.lock().last_commit;
        let unsynced = held.iter().rev().find(|h| !h.found.groups.is_empty());
        let trusted = self.settings.sabotage == Some(Sabotage::TrustTheTail);
        let unsynced = unsynced.filter(|h| !h.found.indexed && !trusted);
        let again = unsynced.and_then(|h| h.found.groups.last().map(|group| (h.sequence, group)));
        let needs = again.map_or(0, |(_, group)| needs_of(group));
        let spare = match self.fresh(needs) {
            Err(error) if is_full(&error) => return Err(OpenError::Full),
            spare => spare.map_err(|e| OpenError::Unwritable(failed(&e)))?,
        };
        self.make_manifest()?;
        self.activate(spare).map_err(|e| OpenError::Unwritable(failed(&e)))?;
        self.next_commit = last_commit + 1;
        if let Some((segment, group)) = again {
            self.next_commit = group.number;
            self.write_again(segment, group).map_err(OpenError::Unwritable)?;
        }
        // The number of a commit that may have been torn is not used again.
        let torn = unsynced.is_some();
        self.next_commit = (last_commit + 1 + u64::from(torn)).max(self.next_commit);
        self.seal_old(held).map_err(|e| OpenError::Unwritable(failed(&e)))
    }

    /// Without room for the list the store goes on without it.
    fn make_manifest(&mut self) -> Result<(), OpenError> {
        match self.manifest.make(&*self.shared.disk.lock()) {
            Err(error) if !is_full(&error) => Err(OpenError::Unwritable(failed(&error))),
            _ => Ok(()),
        }
    }

    /// Writes a group again. What its entries say of places within the old one is said of the new ones: of the
    /// old one nothing may be left after a power cut.
    fn write_again(&mut self, segment: u32, group: &Group) -> Result<(), Failed> {
        let mut batch = self.again(segment, group)?;
        if !batch.fits() {
            // With the connections taken along it can be larger than it was.
            if !self.roll(batch.needs_alone())? {
                return Err(Failed::Disk("no room for the last commit".into()));
            }
            batch = self.again(segment, group)?;
        }
        self.flush(&mut batch)
    }

    fn again(&self, segment: u32, group: &Group) -> Result<Batch, Failed> {
        let mut batch = Batch::new(self.target());
        let mut moved = BTreeMap::new();
        for raw in entries(&group.directory, group.offset).unwrap_or_default() {
            let Ok(Some(head)) = Head::decode(raw.kind, raw.head) else { continue };
            let [first, second] = raw.pieces;
            let old = Place { segment, offset: raw.offset, length: first };
            if first == 0 {
                batch.raw_entry(head, raw.head, [0, 0]);
                continue;
            }
            let read = self.shared.pieces(old, second);
            let [octets, body] =
                read.map_err(|_| Failed::Disk("a commit changed while it was read".into()))?;
            let octets = match &head {
                Head::Update(update) => self.relocated(&mut batch, update.id, octets, &moved),
                _ => octets,
            };
            let first = batch.piece_of(&[octets]);
            let second = if second > 0 { batch.piece_of(&[body]) } else { 0 };
            let connection = if let Head::Connection(id) = &head { Some(*id) } else { None };
            let new = batch.raw_entry(head, raw.head, [first, second]);
            moved.insert(old, new);
            if let Some(id) = connection {
                batch.set_connection(id, new);
            }
        }
        Ok(batch)
    }

    /// What is remembered of attempts, with places as they are now; connections are taken along.
    fn relocated(
        &self,
        batch: &mut Batch,
        id: QueueId,
        octets: Bytes,
        moved: &BTreeMap<Place, Place>,
    ) -> Bytes {
        let Ok(mut remembered) = Remembered::decode(&octets, id) else { return octets };
        remembered.before = remembered.before.map(|place| *moved.get(&place).unwrap_or(&place));
        for (connection, place) in &mut remembered.connections {
            let here = connection_here(&self.shared, batch, *connection, Some(*place));
            *place = here.unwrap_or(*place);
        }
        let mut w = Writer::default();
        remembered.encode(&mut w);
        Bytes::from(w.into_vec())
    }

    /// Gives the segments of the last run their index, so that they need not be read group by group again.
    fn seal_old(&self, held: &[Held]) -> io::Result<()> {
        for Held { sequence, found } in held {
            if found.indexed || !found.damage.is_empty() {
                continue;
            }
            let octets = index_of(&found.groups);
            let mut index = self.shared.index.lock();
            let Some(segment) = index.segments.get_mut(sequence) else { continue };
            let room = segment.header.size.saturating_sub(u64::from(found.end));
            if segment.damaged || room < octets.len() as u64 + u64::from(HEADER) {
                continue;
            }
            segment.indexed = true;
            let (file, header) = (Arc::clone(&segment.file), segment.header);
            drop(index);
            write_index(&*file, &header, &octets)?;
        }
        Ok(())
    }

    /// Lists live messages whose content's file is not what it should be.
    fn check_bodies(&self, files: &[(String, u64)]) {
        let mut index = self.shared.index.lock();
        let bad: Vec<_> = index
            .spilled
            .iter()
            .filter(|(id, size)| {
                let name = body_name(**id);
                let at = files.binary_search_by(|(file, _)| file.cmp(&name));
                at.map_or(true, |at| files[at].1 != **size)
            })
            .map(|(id, size)| (body_name(*id), *size))
            .collect();
        for (place, size) in bad {
            let what = "the content of a message is missing or cut";
            index.list_damage(Quarantined { place, size, what });
        }
    }

    /// Prewrites spare segments at once, as far as there is room.
    pub(crate) fn fill_pool(&mut self) {
        while self.pool.len() < self.settings.spares {
            let size = self.usual_size();
            let room = self.shared.disk.lock().free_space().unwrap_or(0);
            if room < size && self.preparing.is_none() {
                break;
            }
            match self.prewrite(size) {
                Ok(spare) => self.pool.push(spare),
                Err(_) => break,
            }
        }
    }

    fn finish_index(&mut self) {
        let mut index = self.shared.index.lock();
        let live: Vec<QueueId> =
            index.in_hand.keys().filter(|id| index.messages.contains_key(id)).copied().collect();
        index.in_hand.retain(|id, _| live.binary_search(id).is_ok());
        // Built in one go its nodes are full; grown in order of id they are half empty.
        index.messages = std::mem::take(&mut index.messages).into_iter().collect();
        index.was_in_hand = index.in_hand.clone();
        // The connections of the last run have ended with it.
        index.connections.clear();
        // Ids given after the last commit are not known: skip what a second of them could have been.
        let second = 1_000 << 22;
        self.shared.last_id.store(index.last_id.saturating_add(second), Ordering::Relaxed);
        self.shared.epoch.store(self.epoch, Ordering::Relaxed);
        let writable = !self.settings.read_only;
        self.shared.vital.accepting.store(writable, Ordering::Relaxed);
        self.shared.vital.read_only.store(!writable, Ordering::Relaxed);
        drop(index);
        self.ask_for_room();
    }
}

/// A segment with records, not yet read.
struct Taken<F> {
    file: Arc<F>,
    number: u32,
    header: SegmentHeader,
    length: u64,
}

/// What the operating system says, with the name of the file.
fn of_file(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The segment that a group needs when it is written again.
fn needs_of(group: &Group) -> u64 {
    let index = group.directory.len() as u64 + u64::from(GROUP_IN_INDEX) + u64::from(HEADER);
    u64::from(crate::layout::FIRST_GROUP) + align(u64::from(group.length)) + align(index)
}
