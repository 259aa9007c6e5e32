//! What the owner of the log and its readers share: the index behind a short lock, the files, and the reading.

use crate::entry::Remembered;
use crate::files::{body_name, read};
use crate::index::{Index, Slot};
use crate::place::Place;
use bytes::Bytes;
use parking_lot::Mutex;
use posthaste_evidence::{Attempt, Connection, ConnectionId};
use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_mail::{Body, Envelope, QueueId};
use posthaste_spool::store::Quarantined;
use posthaste_spool::{
    Content, Health, History, LedgerEntry, LedgerKey, LedgerValue, Live, Page, ReadFault, Record,
    SpilledBody, Stored, thin,
};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Octets of records in one page of a listing.
const PAGE: u64 = 1 << 20;
/// Updates looked at for the history of one message; most of them remember one attempt.
const MAX_STEPS: usize = 1000;
/// How often a reader looks again for a record that garbage collection has just moved.
const RETRIES: usize = 5;
/// The longest range of a body that is read at once, octets.
const LONGEST_RANGE: usize = 1 << 20;

/// What the owner of the log and its readers share.
pub(crate) struct Shared<D: Disk> {
    pub(crate) disk: Mutex<D>,
    pub(crate) index: Mutex<Index<D::File>>,
    /// The highest id given.
    pub(crate) last_id: AtomicU64,
    pub(crate) vital: Vital,
    /// How many opens there have been: the epoch of this one.
    pub(crate) epoch: AtomicU64,
}

/// What the owner tells of itself.
#[derive(Default)]
pub(crate) struct Vital {
    pub(crate) accepting: AtomicBool,
    pub(crate) full: AtomicBool,
    pub(crate) read_only: AtomicBool,
    pub(crate) free_octets: AtomicU64,
    /// Of segments, the pool included.
    pub(crate) segment_octets: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) events_safe: AtomicU64,
    pub(crate) events_given_up: AtomicU64,
}

impl Vital {
    /// It accepts no more, and not for want of room.
    pub(crate) fn end(&self) {
        self.accepting.store(false, Ordering::Relaxed);
        self.full.store(false, Ordering::Relaxed);
    }
}

/// Why a piece could not be read.
#[derive(Debug)]
pub(crate) enum PieceFault {
    /// Its segment is gone: it was moved, or nobody needs it.
    Gone,
    /// It is not what was written. Listed.
    Damaged,
    /// The disk does not answer.
    Io(io::Error),
}

impl PieceFault {
    fn of(self, id: QueueId) -> ReadFault {
        match self {
            Self::Gone | Self::Damaged => ReadFault::Damaged(id),
            Self::Io(error) => ReadFault::Disk(error.to_string()),
        }
    }
}

/// What is remembered of a message, and where the connections are.
#[derive(Default)]
pub(crate) struct Memory {
    /// Oldest first.
    pub(crate) attempts: Vec<Attempt>,
    pub(crate) connections: BTreeMap<ConnectionId, Place>,
}

impl<D: Disk> Shared<D> {
    pub(crate) fn new(disk: D) -> Self {
        Self {
            disk: Mutex::new(disk),
            index: Mutex::new(Index::new()),
            last_id: AtomicU64::new(0),
            vital: Vital::default(),
            epoch: AtomicU64::new(0),
        }
    }

    /// A piece without its checksum.
    pub(crate) fn piece(&self, place: Place) -> Result<Bytes, PieceFault> {
        let [piece, _] = self.pieces(place, 0)?;
        Ok(piece)
    }

    /// A piece and the one of `second` octets that follows it (0 for none), without checksums.
    pub(crate) fn pieces(&self, place: Place, second: u32) -> Result<[Bytes; 2], PieceFault> {
        let found = {
            let index = self.index.lock();
            index.segments.get(&place.segment).map(|s| (Arc::clone(&s.file), s.header.seed()))
        };
        let (file, seed) = found.ok_or(PieceFault::Gone)?;
        let length = place.length as usize + second as usize;
        let octets = read(&*file, u64::from(place.offset), length).map_err(PieceFault::Io)?;
        let checked = octets.and_then(|octets| {
            let octets = Bytes::from(octets);
            let (first, rest) =
                (octets.slice(..place.length as usize), octets.slice(place.length as usize..));
            let whole = seed.accepts(place.offset, &first)
                && (second == 0 || seed.accepts(place.offset + place.length, &rest));
            whole.then(|| [bare(&first), bare(&rest)])
        });
        checked.ok_or_else(|| self.unreadable(place, length as u64))
    }

    /// Tells a piece that is damaged from one whose segment has been recycled meanwhile.
    fn unreadable(&self, place: Place, size: u64) -> PieceFault {
        let mut index = self.index.lock();
        if !index.is_there(place.segment) {
            return PieceFault::Gone;
        }
        index.quarantine(place.segment, place.offset, size, "a record is damaged");
        PieceFault::Damaged
    }

    fn slot(&self, id: QueueId) -> Option<Slot> {
        self.index.lock().messages.get(&id).cloned()
    }

    /// Does `read` with a message's slot, again when the message was moved meanwhile; `None` when it is not live.
    pub(crate) fn with_slot<T>(
        &self,
        id: QueueId,
        read: impl Fn(&Slot) -> Result<T, PieceFault>,
    ) -> Result<Option<T>, PieceFault> {
        for _ in 0..RETRIES {
            let Some(slot) = self.slot(id) else { return Ok(None) };
            match read(&slot) {
                Err(PieceFault::Gone) if self.slot(id).as_ref() != Some(&slot) => {}
                Err(PieceFault::Gone) => {
                    let place = format!("message {id}");
                    let damage = Quarantined { place, size: 0, what: "its record is nowhere" };
                    self.index.lock().list_damage(damage);
                    return Err(PieceFault::Damaged);
                }
                done => return done.map(Some),
            }
        }
        Err(PieceFault::Gone)
    }

    pub(crate) fn envelope(&self, place: Place) -> Result<Envelope, PieceFault> {
        let piece = self.piece(place)?;
        Envelope::decode(&piece).map_err(|_| self.unreadable(place, u64::from(place.length)))
    }

    fn live_of(&self, id: QueueId, slot: &Slot) -> Result<Live, PieceFault> {
        let envelope = self.envelope(slot.envelope)?;
        let states = slot.states.states().map_err(|_| PieceFault::Damaged)?;
        let in_hand = self.index.lock().was_in_hand.get(&id).cloned();
        let (in_hand, in_hand_with) =
            in_hand.map_or((Vec::new(), None), |h| (h.started.recipients, h.started.peer));
        Ok(Live { envelope, states, in_hand, in_hand_with })
    }

    pub(crate) fn find(&self, id: QueueId) -> Result<Option<Live>, ReadFault> {
        self.with_slot(id, |slot| self.live_of(id, slot)).map_err(|fault| fault.of(id))
    }

    /// A page of live messages. What is damaged is listed and left out, the rest flows.
    pub(crate) fn live(&self, after: QueueId, limit: usize) -> Result<Page<Live>, ReadFault> {
        let (ids, more) = self.ids_after(after, limit);
        let next = if more { ids.last().copied() } else { None };
        let mut items = Vec::with_capacity(ids.len());
        for id in ids {
            match self.find(id) {
                Ok(live) => items.extend(live),
                Err(ReadFault::Damaged(_)) => {}
                Err(disk) => return Err(disk),
            }
        }
        Ok(Page { items, next })
    }

    fn ids_after(&self, after: QueueId, limit: usize) -> (Vec<QueueId>, bool) {
        let index = self.index.lock();
        let mut octets = 0;
        let mut rest = index.messages.range(after.next()..);
        let mut ids = Vec::new();
        for (id, slot) in rest.by_ref().take(limit.max(1)) {
            ids.push(*id);
            octets += u64::from(slot.envelope.length);
            if octets >= PAGE {
                break;
            }
        }
        (ids, rest.next().is_some())
    }

    pub(crate) fn fetch(&self, id: QueueId) -> Result<Option<Stored>, ReadFault> {
        let read = |slot: &Slot| {
            let [envelope, body] = self.pieces(slot.envelope, slot.body)?;
            let envelope =
                Envelope::decode(&envelope).map_err(|_| self.unreadable(slot.envelope, 0))?;
            let size = self.index.lock().spilled.get(&id).copied();
            let content = match size {
                Some(in_file) => {
                    let size = in_file + body.len() as u64;
                    Content::Spilled(SpilledBody { id, size, head: body })
                }
                None => {
                    let mut content = Body::default();
                    content.push(body);
                    Content::Inline(content)
                }
            };
            Ok(Stored { envelope: Arc::new(envelope), content })
        };
        self.with_slot(id, read).map_err(|fault| fault.of(id))
    }

    pub(crate) fn range(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Result<Bytes, ReadFault> {
        let length = u64::try_from(length.min(LONGEST_RANGE)).unwrap_or(u64::MAX);
        let length = length.min(body.size.saturating_sub(offset));
        let length = usize::try_from(length).unwrap_or(0);
        let (head, offset) = body.split(offset, length);
        let mut octets = vec![0; length];
        octets[..head.len()].copy_from_slice(&head);
        let wanted = length - head.len();
        let file = self.disk.lock().open(&body_name(body.id), OpenMode::Read);
        let read = file.and_then(|file| file.read_at(offset, &mut octets[head.len()..]));
        match read {
            Ok(read) if read == wanted => Ok(Bytes::from(octets)),
            Ok(_) => Err(self.broken_body(body.id)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.broken_body(body.id)),
            Err(error) => Err(ReadFault::Disk(error.to_string())),
        }
    }

    fn broken_body(&self, id: QueueId) -> ReadFault {
        self.index.lock().list_content(id, "its file is gone or too short");
        ReadFault::Damaged(id)
    }

    pub(crate) fn history(&self, id: QueueId) -> Result<History, ReadFault> {
        let memory =
            self.with_slot(id, |slot| self.memory(id, slot)).map_err(|fault| fault.of(id))?;
        let Memory { attempts, connections } = memory.unwrap_or_default();
        let found = connections.values().filter_map(|place| self.connection(*place)).collect();
        Ok(History { attempts, connections: found })
    }

    pub(crate) fn connection(&self, place: Place) -> Option<Connection> {
        let piece = self.piece(place).ok()?;
        Connection::decode(&piece).ok()
    }

    /// Walks from the newest update back, until nothing is before.
    pub(crate) fn memory(&self, id: QueueId, slot: &Slot) -> Result<Memory, PieceFault> {
        let mut memory = Memory::default();
        let mut newest_first = Vec::new();
        let mut next = slot.has_update().then_some(slot.update);
        for _ in 0..MAX_STEPS {
            let Some(place) = next else { break };
            let piece = match self.piece(place) {
                Ok(piece) => piece,
                // What was before may be forgotten; the newest may not.
                Err(fault) if place == slot.update => return Err(fault),
                Err(_) => break,
            };
            let Ok(found) = Remembered::decode(&piece, id) else { break };
            newest_first
                .extend(found.settled.into_iter().flat_map(|s| s.attempts.into_iter().rev()));
            newest_first.extend(found.gathered.into_iter().rev());
            memory.connections.extend(found.connections);
            next = found.before;
        }
        for attempt in newest_first.into_iter().rev() {
            thin::remember_attempt(&mut memory.attempts, attempt);
        }
        let named = |id: &ConnectionId| memory.attempts.iter().any(|a| a.connection == Some(*id));
        memory.connections.retain(|id, _| named(id));
        Ok(memory)
    }

    pub(crate) fn ledger(&self) -> Result<Vec<(LedgerKey, LedgerValue)>, ReadFault> {
        let places: Vec<_> = {
            let index = self.index.lock();
            let with_value = |(key, slot): (&LedgerKey, &crate::index::LedgerSlot)| {
                slot.value.map(|place| (key.clone(), place))
            };
            index.ledger.iter().filter_map(with_value).collect()
        };
        let mut ledger = Vec::with_capacity(places.len());
        for (key, place) in places {
            let piece = match self.ledger_piece(&key, place) {
                Ok(piece) => piece,
                Err(PieceFault::Io(error)) => return Err(ReadFault::Disk(error.to_string())),
                Err(_) => continue,
            };
            let entry = LedgerEntry::decode(&piece).ok();
            ledger.extend(entry.and_then(|entry| entry.value).map(|value| (key, value)));
        }
        Ok(ledger)
    }

    /// The piece of a ledger entry, looked for again when garbage collection moved it meanwhile.
    fn ledger_piece(&self, key: &LedgerKey, place: Place) -> Result<Bytes, PieceFault> {
        match self.piece(place) {
            Err(PieceFault::Gone) => {
                let now = self.index.lock().ledger.get(key).and_then(|slot| slot.value);
                self.piece(now.ok_or(PieceFault::Gone)?)
            }
            done => done,
        }
    }

    /// A new id, greater than every one given before.
    pub(crate) fn mint(&self, now: posthaste_mail::Timestamp) -> QueueId {
        let first = QueueId::first_at(now).as_u64();
        let next = |last: u64| Some(first.max(last.saturating_add(1)));
        let last = self.last_id.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let last = last.unwrap_or_else(|last| last);
        QueueId::from_u64(first.max(last.saturating_add(1)))
    }

    pub(crate) fn health(&self) -> Health {
        let index = self.index.lock();
        let vital = &self.vital;
        let bodies = index.spilled_octets();
        Health {
            messages: index.messages.len() as u64,
            live_octets: index.live_octets() + bodies,
            disk_octets: vital.segment_octets.load(Ordering::Relaxed) + bodies,
            free_octets: vital.free_octets.load(Ordering::Relaxed),
            commits: vital.commits.load(Ordering::Relaxed),
            accepting: vital.accepting.load(Ordering::Relaxed),
            full: vital.full.load(Ordering::Relaxed),
            read_only: vital.read_only.load(Ordering::Relaxed),
            quarantined: index.damages,
        }
    }
}

fn bare(piece: &Bytes) -> Bytes {
    piece.slice(..piece.len().saturating_sub(crate::layout::CRC as usize))
}
