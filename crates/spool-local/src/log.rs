//! The log: one owner, synchronous, no thread and no clock. Commits groups; nothing else acknowledges.

use crate::batch::{Batch, Target};
use crate::encode::OVERHEAD;
use crate::files::{Preparing, SMALLEST, Spare, discard_unfinished, segment_name, write_header};
use crate::gc::Pass;
use crate::index::Segment;
use crate::layout::{HEADER, IndexedGroup, SegmentHeader, Use, align, footer, put_group};
use crate::manifest::Manifest;
use crate::scan;
use crate::shared::Shared;
use posthaste_io::{Disk, DiskFile};
use posthaste_mail::QueueId;
use posthaste_spool::{Accepted, Lsn, NewMail, Refused, SettleFault, Settlement, Started};
use std::collections::BTreeSet;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How the log is laid out and how much of the disk it leaves alone.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Octets of a segment: 64 MiB; 64 KiB in tests. A multiple of 4096.
    pub segment_size: u32,
    /// Segments kept ready besides those in use; the pool starts with as many.
    pub spares: usize,
    /// Segments' worth of room below which no mail is accepted: 2 and headroom for garbage collection.
    pub reserve: u32,
    /// Octets of garbage that are kept for the events in it until the event log is known to be safe.
    pub events_hold: u64,
    /// Mixed into every checksum of new segments: unpredictable to those who send mail.
    pub salt: u64,
    /// Read, but change nothing: after repeated failures (spool rule 4).
    pub read_only: bool,
    /// Breaks a rule, so that tests can show that they would notice.
    #[doc(hidden)]
    pub sabotage: Option<Sabotage>,
}

/// A rule to break.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Tombstones go with their segment, needed or not (spool rule 2).
    NoTombstoneRule,
    /// What the last run may have left unsynced is not written again (spool rule 3).
    TrustTheTail,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_size: 64 << 20,
            spares: 2,
            reserve: 3,
            events_hold: 256 << 20,
            salt: 0,
            read_only: false,
            sabotage: None,
        }
    }
}

/// The log has failed for good: the process must end and start again from the disk (spool rule 4).
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failed {
    /// The disk refused a write or a sync. The operator must look at the disk.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// The store was opened read-only.
    #[error("the store is read-only")]
    ReadOnly,
    /// It failed before.
    #[error("the store has failed before")]
    Before,
}

/// Something to commit.
#[derive(Clone, Debug)]
pub enum Request {
    /// A message.
    Accept(Arc<NewMail>),
    /// A settlement.
    Settle(Arc<Settlement>),
    /// The beginning of a transaction.
    Started(Started),
}

/// What became of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Of a message.
    Accepted(Result<Accepted, Refused>),
    /// Of a settlement.
    Settled(Result<Lsn, SettleFault>),
    /// Of the beginning of a transaction.
    Noted,
}

/// Requests that are committed together, and their answers.
#[derive(Default, Debug)]
pub struct Group {
    /// In the order in which they take effect.
    pub requests: Vec<Request>,
    /// As many, once committed.
    pub answers: Vec<Answer>,
}

/// The segment that is being written.
pub(crate) struct Active<F> {
    pub(crate) file: Arc<F>,
    pub(crate) header: SegmentHeader,
    pub(crate) offset: u32,
    /// The index that will end it.
    pub(crate) index: Vec<u8>,
}

/// What is known of the room on the disk.
#[derive(Default)]
pub(crate) struct Room {
    /// Octets that the disk had when it was last asked.
    free: u64,
    /// Octets used since.
    used: u64,
}

/// The log of one folder.
pub struct Log<D: Disk> {
    pub(crate) shared: Arc<Shared<D>>,
    pub(crate) settings: Settings,
    pub(crate) active: Option<Active<D::File>>,
    pub(crate) pool: Vec<Spare<D::File>>,
    pub(crate) preparing: Option<Preparing<D::File>>,
    pub(crate) next_sequence: u32,
    pub(crate) next_file: u32,
    pub(crate) next_commit: u64,
    pub(crate) epoch: u64,
    pub(crate) pass: Option<Pass>,
    /// Which segments hold records, durably.
    pub(crate) manifest: Manifest<D::File>,
    /// No sparse segment is collected before this one is taken: the last collection gained nothing.
    pub(crate) rest_until: u32,
    /// Segments that cannot be collected because something in them cannot be read.
    pub(crate) left_alone: BTreeSet<u32>,
    pub(crate) room: Room,
    pub(crate) failed: Option<Failed>,
    pub(crate) zeros: Vec<u8>,
    pub(crate) spare_batch: Option<Batch>,
}

/// The most octets of one commit; more is split.
const MAX_COMMIT: u64 = 8 << 20;

impl<D: Disk> Log<D> {
    /// The segment size in force.
    #[must_use]
    pub const fn segment_size(&self) -> u32 {
        self.settings.segment_size
    }

    /// True after a failure: every further call fails too.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Commits requests in order; all that is answered positively is durable. Every request gets an answer,
    /// also when the log fails.
    ///
    /// # Errors
    /// [`Failed`]: nothing of what was not answered positively may be assumed, in either direction.
    pub fn commit(&mut self, group: &mut Group) -> Result<(), Failed> {
        let Group { requests, answers } = group;
        *answers = requests.iter().map(Answer::failed).collect();
        if let Some(failed) = &self.failed {
            return Err(match failed {
                Failed::ReadOnly => Failed::ReadOnly,
                _ => Failed::Before,
            });
        }
        let done = self.commit_all(requests, answers);
        self.note_failure(done)
    }

    fn commit_all(&mut self, requests: &[Request], answers: &mut [Answer]) -> Result<(), Failed> {
        let mut batch = self.begin()?;
        let mut pending: Vec<usize> = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            if batch.length() > MAX_COMMIT {
                self.flush_members(&mut batch, requests, answers, &mut pending)?;
            }
            if let Some(refusal) = self.refuses(request) {
                answers[index] = refusal;
                continue;
            }
            let fits = self.spill_if_large(request)?
                && loop {
                    let mark = batch.mark();
                    self.encode(&mut batch, request);
                    if batch.fits() {
                        break true;
                    }
                    batch.return_to(&mark);
                    if !pending.is_empty() || !batch.is_empty() {
                        self.flush_members(&mut batch, requests, answers, &mut pending)?;
                    } else if !self.make_room(&mut batch, request)? {
                        break false;
                    }
                };
            if fits {
                pending.push(index);
                batch.members.push(index);
            } else if let Answer::Accepted(answer) = &mut answers[index] {
                *answer = Err(Refused::Full);
            }
        }
        self.flush_members(&mut batch, requests, answers, &mut pending)?;
        self.spare_batch = Some(batch);
        Ok(())
    }

    /// Takes a segment that has room for the request alone; `false` when the disk has none.
    fn make_room(&mut self, batch: &mut Batch, request: &Request) -> Result<bool, Failed> {
        self.encode(batch, request);
        let needs = batch.needs_alone();
        batch.restart(batch.target);
        self.collect_for_room()?;
        let rolled = self.roll(needs)?;
        if rolled {
            batch.restart(self.target());
        }
        Ok(rolled)
    }

    fn flush_members(
        &mut self,
        batch: &mut Batch,
        requests: &[Request],
        answers: &mut [Answer],
        pending: &mut Vec<usize>,
    ) -> Result<(), Failed> {
        let commit = Lsn(batch.target.number);
        if !batch.is_empty() {
            self.flush(batch)?;
        }
        for index in pending.drain(..) {
            answers[index] = requests[index].done(commit);
        }
        Ok(())
    }

    /// Writes a group, makes it durable, and only then lets memory know. The batch begins anew after it.
    pub(crate) fn flush(&mut self, batch: &mut Batch) -> Result<(), Failed> {
        let active = self.active.as_mut().ok_or(Failed::ReadOnly)?;
        let last_id = self.shared.last_id.load(Ordering::Relaxed);
        let header = batch.header(last_id);
        let slices = batch.slices(&header, &self.zeros);
        active.file.write_at(u64::from(active.offset), &slices).map_err(|e| failed(&e))?;
        active.file.sync_data().map_err(|e| failed(&e))?;
        let group = IndexedGroup {
            number: batch.target.number,
            offset: active.offset,
            length: narrow(batch.length()),
            last_id,
            directory: batch.directory(),
        };
        put_group(&mut active.index, &group);
        let written = narrow(align(batch.length()));
        active.offset += written;
        self.room.used += u64::from(written);
        let (sequence, offset) = (active.header.sequence, active.offset);
        self.take_in(batch, sequence, offset);
        for id in std::mem::take(&mut batch.unlink) {
            self.unlink_body(id);
        }
        self.next_commit += 1;
        batch.restart(self.target());
        Ok(())
    }

    fn take_in(&self, batch: &mut Batch, sequence: u32, offset: u32) {
        let entries = batch.take_entries();
        let mut index = self.shared.index.lock();
        if let Some(segment) = index.segments.get_mut(&sequence) {
            segment.used = offset;
        }
        index.last_commit = index.last_commit.max(batch.target.number);
        for (head, at) in entries {
            index.apply(head, at);
        }
        drop(index);
        self.shared.vital.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch for the next group.
    pub(crate) fn begin(&mut self) -> Result<Batch, Failed> {
        if self.active.is_none() {
            return Err(Failed::ReadOnly);
        }
        let target = self.target();
        Ok(match self.spare_batch.take() {
            Some(mut batch) => {
                batch.restart(target);
                batch
            }
            None => Batch::new(target),
        })
    }

    /// Where the next group goes.
    pub(crate) fn target(&self) -> Target {
        let active = self.active.as_ref().expect("a log that is written has an active segment");
        Target {
            segment: active.header.sequence,
            seed: active.header.seed(),
            size: narrow(active.header.size),
            offset: active.offset,
            indexed: narrow(active.index.len() as u64),
            number: self.next_commit,
        }
    }

    /// Removes the file of a segment that holds nothing; first it is taken off the list.
    pub(crate) fn remove_segment(&mut self, number: u32) -> io::Result<()> {
        self.manifest.unlist(number)?;
        // Free and known as free: whether the name is gone after a crash does not matter.
        let _ = self.shared.disk.lock().remove(&segment_name(number));
        Ok(())
    }

    /// Seals the active segment and takes a fresh one of at least `needs` octets.
    /// `false` when the disk has no room for one; the log is then as it was.
    pub(crate) fn roll(&mut self, needs: u64) -> Result<bool, Failed> {
        let spare = match self.fresh(needs) {
            Err(error) if is_full(&error) => return Ok(false),
            spare => spare.map_err(|e| failed(&e))?,
        };
        self.seal().and_then(|()| self.activate(spare)).map_err(|e| failed(&e))?;
        Ok(true)
    }

    /// A segment that holds nothing.
    pub(crate) fn fresh(&mut self, needs: u64) -> io::Result<Spare<D::File>> {
        let size = u64::from(self.settings.segment_size.max(SMALLEST)).max(align(needs));
        if let Some(at) = self.pool.iter().position(|spare| spare.header.size >= needs) {
            return Ok(self.pool.swap_remove(at));
        }
        self.prewrite(size)
    }

    /// Prewrites a segment at once: the one under way, if it has the size.
    pub(crate) fn prewrite(&mut self, size: u64) -> io::Result<Spare<D::File>> {
        let under_way = self.preparing.take_if(|preparing| preparing.size == size);
        let (number, preparing) = match under_way {
            Some(preparing) => (preparing.number, Ok(preparing)),
            None => {
                let number = self.next_file;
                // 4 billion files of 64 MiB have been made, or somebody numbered one so.
                let exhausted = || io::Error::other("no segment can be numbered any more");
                self.next_file = number.checked_add(1).ok_or_else(exhausted)?;
                (number, Preparing::begin(&*self.shared.disk.lock(), number, size))
            }
        };
        let complete = preparing.and_then(|mut preparing| {
            // Readers need the folder meanwhile: it is not locked while zeros are written.
            preparing.complete().map(|()| preparing)
        });
        let disk = self.shared.disk.lock();
        let spare = complete.and_then(|preparing| preparing.name(&*disk));
        if spare.is_err() {
            // Its room is needed.
            discard_unfinished(&*disk, number);
        }
        spare
    }

    pub(crate) fn usual_size(&self) -> u64 {
        u64::from(self.settings.segment_size.max(SMALLEST))
    }

    /// Makes a spare segment the active one: its new header is durable before anything is written to it.
    pub(crate) fn activate(&mut self, spare: Spare<D::File>) -> io::Result<()> {
        let header = SegmentHeader {
            use_: Use::Taken,
            sequence: self.next_sequence,
            generation: spare.header.generation + 1,
            epoch: self.epoch,
            size: spare.header.size,
            salt: self.settings.salt,
        };
        let exhausted = || io::Error::other("no segment can be numbered any more");
        let after = header.sequence.checked_add(1).ok_or_else(exhausted)?;
        write_header(&*spare.file, &header)?;
        self.next_sequence = after;
        let segment = Segment::taken(Arc::clone(&spare.file), spare.number, header);
        let offset = segment.used;
        let taken: Vec<(u32, u32)> = {
            let mut index = self.shared.index.lock();
            index.segments.insert(header.sequence, segment);
            index.segments.iter().map(|(sequence, s)| (s.number, *sequence)).collect()
        };
        self.manifest.list(header.sequence, taken.into_iter())?;
        self.active = Some(Active { file: spare.file, header, offset, index: Vec::new() });
        self.ask_for_room();
        Ok(())
    }

    /// Ends the active segment with its index. Nothing of it is waiting: every group was made durable.
    pub(crate) fn seal(&mut self) -> io::Result<()> {
        let Some(active) = self.active.take() else { return Ok(()) };
        write_index(&*active.file, &active.header, &active.index)?;
        if let Some(segment) = self.shared.index.lock().segments.get_mut(&active.header.sequence) {
            (segment.sealed, segment.indexed) = (true, true);
        }
        Ok(())
    }

    /// Octets that may still be written, and whether that leaves the reserve untouched after `needs` more.
    pub(crate) fn has_room(&mut self, needs: u64) -> bool {
        let reserve = u64::from(self.settings.reserve) * self.usual_size();
        let near = self.available() < 8 * reserve;
        if near {
            // The reserve must be ours before somebody else takes the rest of the disk.
            self.fill_pool();
        }
        if near || self.room.used > self.usual_size() / 4 {
            self.ask_for_room();
        }
        self.available() >= reserve + needs
    }

    fn available(&self) -> u64 {
        let pool: u64 = self.pool.iter().map(|spare| spare.header.size).sum();
        let active = self.active.as_ref().map_or(0, |a| a.header.size - u64::from(a.offset));
        // Only whole segments can be added.
        let free = self.room.free / self.usual_size() * self.usual_size();
        pool + active + free
    }

    pub(crate) fn ask_for_room(&mut self) {
        let free = self.shared.disk.lock().free_space().unwrap_or(0);
        self.room = Room { free, used: 0 };
        let vital = &self.shared.vital;
        let reserve = u64::from(self.settings.reserve) * self.usual_size();
        let one_more = self.inline_limit() as u64 + OVERHEAD;
        let works = self.failed.is_none();
        let accepts = works && self.available() >= reserve + one_more;
        vital.accepting.store(accepts, Ordering::Relaxed);
        vital.full.store(works && !accepts, Ordering::Relaxed);
        vital.free_octets.store(self.available(), Ordering::Relaxed);
        let pool: u64 = self.pool.iter().map(|spare| spare.header.size).sum();
        let index = self.shared.index.lock();
        vital.segment_octets.store(index.taken_octets() + pool, Ordering::Relaxed);
    }

    /// Remembers a failure: nothing is tried again.
    pub(crate) fn note_failure<T>(&mut self, done: Result<T, Failed>) -> Result<T, Failed> {
        if let Err(failed) = &done {
            self.failed.get_or_insert_with(|| failed.clone());
            self.shared.vital.end();
        }
        done
    }

    /// Seals the log, so that the next start has nothing to guess. Further calls fail.
    ///
    /// # Errors
    /// [`Failed`] when the disk refuses; the log is then as after a crash.
    pub fn close(&mut self) -> Result<(), Failed> {
        if let Some(preparing) = self.preparing.take() {
            preparing.abandon(&*self.shared.disk.lock());
        }
        let done = if self.failed.is_none() { self.seal().map_err(|e| failed(&e)) } else { Ok(()) };
        self.failed.get_or_insert(Failed::ReadOnly);
        self.shared.vital.end();
        done
    }

    /// The reserve is touched: room is wanted.
    pub(crate) fn is_short(&self) -> bool {
        !self.shared.vital.accepting.load(Ordering::Relaxed)
    }

    /// The epoch of this open.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The names of the files with live or protected records, oldest first; for tests and `spool check`.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        self.shared.index.lock().segments.values().map(|s| segment_name(s.number)).collect()
    }

    /// How many segments have been taken since the store was made.
    #[must_use]
    pub fn segments_taken(&self) -> u64 {
        u64::from(self.next_sequence) - 1
    }

    /// A new id, greater than every one given before.
    #[must_use]
    pub fn mint(&self, now: posthaste_mail::Timestamp) -> QueueId {
        self.shared.mint(now)
    }
}

/// Writes the index at the end of a segment and makes it durable.
pub(crate) fn write_index(
    file: &impl DiskFile,
    header: &SegmentHeader,
    index: &[u8],
) -> io::Result<()> {
    let end = footer(header.sequence, header.seed(), index);
    let at = header.size - u64::from(HEADER) - index.len() as u64;
    file.write_at(at, &[IoSlice::new(index), IoSlice::new(&end)])?;
    file.sync_data()
}

/// The index of groups that were found by reading them.
pub(crate) fn index_of(groups: &[scan::Group]) -> Vec<u8> {
    let mut index = Vec::new();
    for group in groups {
        put_group(&mut index, &group.as_indexed());
    }
    index
}

pub(crate) fn failed(error: &io::Error) -> Failed {
    Failed::Disk(error.to_string())
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

pub(crate) fn narrow(number: u64) -> u32 {
    u32::try_from(number).expect("segments are smaller than 4 GiB")
}

impl Request {
    const fn done(&self, commit: Lsn) -> Answer {
        match self {
            Self::Accept(_) => Answer::Accepted(Ok(Accepted { commit })),
            Self::Settle(_) => Answer::Settled(Ok(commit)),
            Self::Started(_) => Answer::Noted,
        }
    }
}

impl Answer {
    const fn failed(request: &Request) -> Self {
        match request {
            Request::Accept(_) => Self::Accepted(Err(Refused::Unhealthy)),
            Request::Settle(_) => Self::Settled(Err(SettleFault::StoreFault)),
            Request::Started(_) => Self::Noted,
        }
    }
}
