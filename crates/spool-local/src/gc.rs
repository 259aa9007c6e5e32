//! Garbage collection: what is still needed of a segment is copied to the end of the log, then the segment
//! is made free. Copies are durable before its header is, and its header before anything forgets it.

use crate::batch::Batch;
use crate::encode::connection_here;
use crate::entry::{End, Head, Mail, Remembered, Update};
use crate::files::{Preparing, Spare, write_header};
use crate::index::{At, Segment, Slot};
use crate::layout::{SegmentHeader, Use, entries};
use crate::log::{Failed, Log, Sabotage, failed, is_full};
use crate::scan::{self, Group};
use crate::shared::{PieceFault, Shared};
use posthaste_evidence::ConnectionId;
use posthaste_io::Disk;
use posthaste_mail::QueueId;
use posthaste_spool::{KEPT_ATTEMPTS, LedgerKey, Started};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Free segments kept beyond the spares, for the next burst; more are given back to the disk.
const KEPT_FREE: usize = 2;
/// Segments' worth of garbage that is not worth the work (the slack of spool rule 2).
const SLACK: u64 = 4;
/// Octets that a group of copies grows to before it is written.
const COPY_GROUP: u64 = 1 << 20;

/// A collection under way.
pub(crate) struct Pass {
    segment: u32,
    groups: Vec<Group>,
    group: usize,
    entry: usize,
    /// Messages whose every record has been copied.
    done: BTreeSet<QueueId>,
    copied: u64,
}

/// What became of an entry.
enum Copied {
    /// It is in the group under way, or not needed.
    Yes,
    /// The group under way has no room for it.
    NoRoom,
    /// It cannot be read, so that it must stay where it is.
    Unreadable,
}

/// How far one step came.
enum Step {
    More,
    Finished,
    /// No room to copy to: tried again later.
    NoRoom,
    /// Something in it cannot be read: it stays as it is.
    Unreadable,
}

impl<D: Disk> Log<D> {
    /// Does some work that nobody waits for: prewrites spare segments, collects garbage; about `budget` octets
    /// of it. True when there is more to do.
    ///
    /// # Errors
    /// [`Failed`] when the disk does; the process must end.
    pub fn gc_step(&mut self, budget: u64) -> Result<bool, Failed> {
        if self.failed.is_some() {
            return Ok(false);
        }
        let done = self.step(budget);
        self.note_failure(done)
    }

    fn step(&mut self, budget: u64) -> Result<bool, Failed> {
        let preparing = self.prepare(budget)?;
        let Some(mut pass) = self.pass.take().or_else(|| self.next_pass()) else {
            return Ok(preparing);
        };
        match self.copy_some(&mut pass, budget)? {
            Step::More => self.pass = Some(pass),
            Step::Finished => self.finish_pass(&pass)?,
            Step::NoRoom => {
                self.rest_until = self.next_sequence;
                return Ok(false);
            }
            Step::Unreadable => {
                self.left_alone.insert(pass.segment);
            }
        }
        Ok(true)
    }

    /// Collects until nothing is worth collecting; for tests and for a quiet hour.
    ///
    /// # Errors
    /// [`Failed`] when the disk does.
    pub fn gc_all(&mut self) -> Result<(), Failed> {
        const ROUNDS: u32 = 100_000;
        for _ in 0..ROUNDS {
            if !self.gc_step(COPY_GROUP)? {
                break;
            }
        }
        Ok(())
    }

    /// On a full disk the last spare segment is garbage collection's: it makes room for settlements with it.
    pub(crate) fn collect_for_room(&mut self) -> Result<(), Failed> {
        const ROUNDS: usize = 64;
        for _ in 0..ROUNDS {
            let full = || self.shared.disk.lock().free_space().unwrap_or(0) < self.usual_size();
            if self.pool.len() > 1 || !full() || !self.step(COPY_GROUP)? {
                break;
            }
        }
        Ok(())
    }

    /// Keeps the pool as large as it should be. True while one is being prewritten.
    fn prepare(&mut self, budget: u64) -> Result<bool, Failed> {
        while self.pool.len() > self.settings.spares + KEPT_FREE {
            let spare = self.pool.pop().expect("it is not empty");
            self.remove_segment(spare.number).map_err(|e| failed(&e))?;
        }
        if self.preparing.is_none() {
            if self.pool.len() >= self.settings.spares {
                return Ok(false);
            }
            let size = self.usual_size();
            let disk = self.shared.disk.lock();
            if disk.free_space().unwrap_or(0) < size {
                return Ok(false);
            }
            self.preparing = Preparing::begin(&*disk, self.next_file, size).ok();
            self.next_file += 1;
        }
        let Some(mut preparing) = self.preparing.take() else { return Ok(false) };
        match preparing.advance(budget) {
            Ok(false) => self.preparing = Some(preparing),
            Ok(true) => {
                let complete = preparing.complete();
                let named = complete.and_then(|()| preparing.name(&*self.shared.disk.lock()));
                self.pool.push(named.map_err(|e| failed(&e))?);
            }
            Err(error) if is_full(&error) => {
                preparing.abandon(&*self.shared.disk.lock());
                return Ok(false);
            }
            Err(error) => return Err(failed(&error)),
        }
        Ok(self.preparing.is_some() || self.pool.len() < self.settings.spares)
    }

    fn next_pass(&mut self) -> Option<Pass> {
        let short = !self.has_room(self.usual_size());
        let index = self.shared.index.lock();
        let safe = self.shared.vital.events_safe.load(Ordering::Relaxed);
        let (taken, live) = (index.taken_octets(), index.live_octets());
        let hold = !short && taken.saturating_sub(live) <= self.settings.events_hold;
        let held = |s: &Segment<D::File>| hold && s.last_news.max(s.needed_until) > safe;
        let stays = |s: &Segment<D::File>| {
            !s.sealed || s.damaged || held(s) || self.left_alone.contains(&s.header.sequence)
        };
        let candidates = || index.segments.values().filter(|s| !stays(s));
        let empty = candidates().find(|s| s.live == 0);
        let worth_it = self.next_sequence > self.rest_until
            && (short || taken > live + live / 2 + SLACK * self.usual_size());
        let sparse = || candidates().min_by_key(|s| s.live * 1024 / s.header.size);
        let victim = empty.or_else(|| if worth_it { sparse() } else { None })?;
        let (file, header, used) = (Arc::clone(&victim.file), victim.header, victim.used);
        drop(index);
        Some(Pass {
            segment: header.sequence,
            groups: scan::known(&*file, &header, used),
            group: 0,
            entry: 0,
            done: BTreeSet::new(),
            copied: 0,
        })
    }

    fn copy_some(&mut self, pass: &mut Pass, budget: u64) -> Result<Step, Failed> {
        let mut batch = self.begin()?;
        let step = self.copy_until(pass, &mut batch, budget.min(COPY_GROUP))?;
        if !batch.is_empty() {
            pass.copied += batch.length();
            self.flush(&mut batch)?;
        }
        self.spare_batch = Some(batch);
        Ok(step)
    }

    fn copy_until(
        &mut self,
        pass: &mut Pass,
        batch: &mut Batch,
        budget: u64,
    ) -> Result<Step, Failed> {
        while let Some(group) = pass.groups.get(pass.group) {
            let list = entries(&group.directory, group.offset).unwrap_or_default();
            for raw in list.iter().skip(pass.entry) {
                if batch.length() >= budget {
                    return Ok(Step::More);
                }
                let (segment, commit) = (pass.segment, group.number);
                let at = At { segment, offset: raw.offset, pieces: raw.pieces, commit };
                // What this version cannot read it must not throw away.
                let Ok(Some(head)) = Head::decode(raw.kind, raw.head) else {
                    return Ok(Step::Unreadable);
                };
                match self.copy_entry(batch, &head, at, &mut pass.done)? {
                    Copied::Yes => pass.entry += 1,
                    Copied::NoRoom if batch.is_empty() => return Ok(Step::NoRoom),
                    Copied::NoRoom => return Ok(Step::More),
                    Copied::Unreadable => return Ok(Step::Unreadable),
                }
            }
            (pass.group, pass.entry) = (pass.group + 1, 0);
        }
        Ok(Step::Finished)
    }

    /// Copies one entry; into a fresh segment when the active one has no room even for it alone.
    fn copy_entry(
        &mut self,
        batch: &mut Batch,
        head: &Head,
        at: At,
        done: &mut BTreeSet<QueueId>,
    ) -> Result<Copied, Failed> {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let mark = batch.mark();
            let copy = Copy { shared: &self.shared, at, sabotage: self.settings.sabotage };
            if copy.entry(batch, head, done).is_err() {
                batch.return_to(&mark);
                return Ok(Copied::Unreadable);
            }
            if batch.fits() {
                return Ok(Copied::Yes);
            }
            let needs = batch.needs_alone();
            batch.return_to(&mark);
            done.remove(&id_of(head));
            if !batch.is_empty() || !self.roll(needs)? {
                break;
            }
            batch.restart(self.target());
        }
        Ok(Copied::NoRoom)
    }

    /// The segment holds nothing that is needed: its new header says so, and only when that is durable is it
    /// gone (spool rule 2).
    fn finish_pass(&mut self, pass: &Pass) -> Result<(), Failed> {
        let found = {
            let index = self.shared.index.lock();
            index.segments.get(&pass.segment).map(|s| (Arc::clone(&s.file), s.number, s.header))
        };
        let Some((file, number, old)) = found else { return Ok(()) };
        let header = SegmentHeader { use_: Use::Free, generation: old.generation + 1, ..old };
        write_header(&*file, &header).map_err(|e| failed(&e))?;
        let gone = self.shared.index.lock().gone(pass.segment);
        let safe = self.shared.vital.events_safe.load(Ordering::Relaxed);
        if gone.is_some_and(|segment| segment.last_news.max(segment.needed_until) > safe) {
            self.shared.vital.events_given_up.fetch_add(1, Ordering::Relaxed);
        }
        if pass.copied > header.size * 9 / 10 {
            self.rest_until = self.next_sequence;
        }
        if header.size == self.usual_size() {
            self.pool.push(Spare { file, number, header });
        } else {
            self.remove_segment(number).map_err(|e| failed(&e))?;
        }
        self.ask_for_room();
        Ok(())
    }
}

fn id_of(head: &Head) -> QueueId {
    match head {
        Head::Mail(mail) => mail.id,
        Head::Update(update) => update.id,
        _ => QueueId::MIN,
    }
}

/// Copies one entry of a segment, if it is still needed.
struct Copy<'a, D: Disk> {
    shared: &'a Shared<D>,
    at: At,
    sabotage: Option<Sabotage>,
}

impl<D: Disk> Copy<'_, D> {
    fn entry(
        &self,
        batch: &mut Batch,
        head: &Head,
        done: &mut BTreeSet<QueueId>,
    ) -> Result<(), PieceFault> {
        match head {
            Head::Mail(mail) => self.mail(batch, mail.id, done),
            Head::Update(update) => self.update(batch, update.id, done),
            Head::End(end) => {
                self.end(batch, end);
                Ok(())
            }
            Head::Started(started) => {
                self.started(batch, started, done);
                Ok(())
            }
            Head::Connection(id) => {
                self.connection(batch, *id);
                Ok(())
            }
            Head::Ledger { key, .. } => self.ledger(batch, key),
        }
    }

    fn slot(&self, id: QueueId) -> Option<Slot> {
        self.shared.index.lock().messages.get(&id).cloned()
    }

    fn mail(
        &self,
        batch: &mut Batch,
        id: QueueId,
        done: &mut BTreeSet<QueueId>,
    ) -> Result<(), PieceFault> {
        let Some(slot) = self.slot(id).filter(|slot| slot.envelope == self.at.piece()) else {
            return Ok(());
        };
        if !done.insert(id) {
            return Ok(());
        }
        let [envelope, body] = self.shared.pieces(slot.envelope, slot.body)?;
        let first = batch.piece_of(&[envelope]);
        let second = if slot.body > 0 { batch.piece_of(&[body]) } else { 0 };
        let spilled = self.shared.index.lock().spilled.get(&id).copied();
        let head = Mail { id, states: slot.states.clone(), spilled, moved: true };
        batch.entry(Head::Mail(head), [first, second]);
        self.gather(batch, id, &slot)
    }

    fn update(
        &self,
        batch: &mut Batch,
        id: QueueId,
        done: &mut BTreeSet<QueueId>,
    ) -> Result<(), PieceFault> {
        let Some(slot) = self.slot(id).filter(Slot::has_update) else { return Ok(()) };
        // With its envelope here too, the entry of that moves both.
        if slot.envelope.segment == self.at.segment || !done.insert(id) {
            return Ok(());
        }
        self.gather(batch, id, &slot)
    }

    /// Writes what is remembered of a message in one place: states, transactions, attempts.
    fn gather(&self, batch: &mut Batch, id: QueueId, slot: &Slot) -> Result<(), PieceFault> {
        let in_hand = self.shared.index.lock().in_hand.get(&id).map(|h| h.started.clone());
        if !slot.has_update() && in_hand.is_none() {
            return Ok(());
        }
        let memory = match self.shared.memory(id, slot) {
            Err(PieceFault::Io(error)) => return Err(PieceFault::Io(error)),
            // What was remembered is lost, and listed; the message goes on.
            memory => memory.unwrap_or_default(),
        };
        let mut connections = Vec::new();
        for (connection, place) in memory.connections {
            let here = connection_here(self.shared, batch, connection, Some(place));
            connections.extend(here.map(|here| (connection, here)));
        }
        debug_assert!(memory.attempts.len() <= KEPT_ATTEMPTS);
        let remembered =
            Remembered { settled: None, gathered: memory.attempts, before: None, connections };
        let piece = batch.piece(|w| remembered.encode(w));
        let states = slot.states.clone();
        let update = Update { id, states, in_hand, chain: piece, moved: true };
        batch.entry(Head::Update(update), [piece, 0]);
        Ok(())
    }

    /// A tombstone stays while any other segment may still hold the message (spool rule 2).
    fn end(&self, batch: &mut Batch, end: &End) {
        if self.sabotage == Some(Sabotage::NoTombstoneRule) {
            return;
        }
        let index = self.shared.index.lock();
        let threat = |segment: u32| segment != self.at.segment && index.is_there(segment);
        let copies: Vec<u32> = end.copies.iter().copied().filter(|s| threat(*s)).collect();
        let needed = threat(end.envelope.segment) || !copies.is_empty();
        drop(index);
        if needed {
            let end = End { id: end.id, envelope: end.envelope, copies, moved: true };
            batch.entry(Head::End(end), [0, 0]);
        }
    }

    fn started(&self, batch: &mut Batch, started: &Started, done: &mut BTreeSet<QueueId>) {
        let id = started.message;
        let index = self.shared.index.lock();
        let here = index.in_hand.get(&id).filter(|h| h.segment == self.at.segment);
        let still = here.filter(|_| index.messages.contains_key(&id)).map(|h| h.started.clone());
        drop(index);
        if let Some(still) = still.filter(|_| !done.contains(&id)) {
            batch.entry(Head::Started(still), [0, 0]);
        }
    }

    /// A connection goes with the attempts that name it; one that may still be open is kept for those to come.
    fn connection(&self, batch: &mut Batch, id: ConnectionId) {
        let newest = self.shared.index.lock().connections.get(&id).copied();
        if newest == Some(self.at.piece()) {
            connection_here(self.shared, batch, id, None);
        }
    }

    fn ledger(&self, batch: &mut Batch, key: &LedgerKey) -> Result<(), PieceFault> {
        let Some(slot) = self.shared.index.lock().ledger.get(key).cloned() else { return Ok(()) };
        match slot.value {
            Some(place) if place == self.at.piece() => {
                let piece = self.shared.piece(place)?;
                let piece = batch.piece_of(&[piece]);
                batch.entry(
                    Head::Ledger { key: key.clone(), forgotten: false, moved: true },
                    [piece, 0],
                );
            }
            None if slot.segment == self.at.segment && slot.threatened() => {
                batch
                    .entry(Head::Ledger { key: key.clone(), forgotten: true, moved: true }, [0, 0]);
            }
            _ => {}
        }
        Ok(())
    }
}
