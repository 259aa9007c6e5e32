//! What memory holds of the log: where every live message is, the ledger's places, and the account of segments.
//!
//! [`Index::apply`] is the only way in: an entry just written and an entry read at the start do the same.

use crate::entry::{End, Head, Mail, Update};
use crate::layout::{BLOCK, SegmentHeader};
use crate::place::{Packed, Place};
use posthaste_evidence::ConnectionId;
use posthaste_mail::QueueId;
use posthaste_spool::store::Quarantined;
use posthaste_spool::{LedgerKey, Started};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Connections of this run that a later attempt may name: more than are ever open.
const RECENT_CONNECTIONS: usize = 1024;
/// Damaged places that are listed; more are only counted.
const MAX_LISTED: usize = 1000;

/// Everything that memory holds.
pub(crate) struct Index<F> {
    pub(crate) messages: BTreeMap<QueueId, Slot>,
    /// Transactions under way.
    pub(crate) in_hand: BTreeMap<QueueId, InHand>,
    /// Transactions that were under way when the store was opened.
    pub(crate) was_in_hand: BTreeMap<QueueId, InHand>,
    /// Segments besides the one of its slot that hold a copy of a live message.
    pub(crate) copies: BTreeMap<QueueId, BTreeSet<u32>>,
    /// Sizes of the contents that have files of their own.
    pub(crate) spilled: BTreeMap<QueueId, u64>,
    pub(crate) ledger: BTreeMap<LedgerKey, LedgerSlot>,
    /// Connections of this run and where they are.
    pub(crate) connections: BTreeMap<ConnectionId, Place>,
    /// By sequence number: all that hold records.
    pub(crate) segments: BTreeMap<u32, Segment<F>>,
    /// The highest id seen.
    pub(crate) last_id: u64,
    /// The highest commit seen.
    pub(crate) last_commit: u64,
    pub(crate) quarantined: Vec<Quarantined>,
    pub(crate) damages: u64,
    /// Stretches of segments that are listed: by segment, first octet and the one after the last.
    damaged: BTreeSet<(u32, u64, u64)>,
}

/// A live message: 64 octets with its id.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Slot {
    pub(crate) envelope: Place,
    /// Octets of the content that follows the envelope; of a spilled one those that stand before its file.
    pub(crate) body: u32,
    /// The newest piece that remembers attempts; its length is 0 when there is none.
    pub(crate) update: Place,
    /// Octets of all such pieces.
    pub(crate) chain: u32,
    pub(crate) states: Packed,
}

/// Recipients in a transaction.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct InHand {
    pub(crate) started: Started,
    /// Where that is written.
    pub(crate) segment: u32,
}

/// A ledger entry.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LedgerSlot {
    /// Its value; `None` when it is forgotten.
    pub(crate) value: Option<Place>,
    /// Where the newest entry is.
    pub(crate) segment: u32,
    /// All segments with an older entry that must not come back.
    pub(crate) older: BTreeSet<u32>,
}

/// A segment that holds records.
pub(crate) struct Segment<F> {
    pub(crate) file: Arc<F>,
    /// The number in its file name.
    pub(crate) number: u32,
    pub(crate) header: SegmentHeader,
    /// Octets up to where the next group would go.
    pub(crate) used: u32,
    /// Octets of live records.
    pub(crate) live: u64,
    /// The highest commit in it that made events.
    pub(crate) last_news: u64,
    /// The highest commit whose events need something in it.
    pub(crate) needed_until: u64,
    /// No more groups will be written to it.
    pub(crate) sealed: bool,
    /// It has an index at its end.
    pub(crate) indexed: bool,
    /// Something in it cannot be read: it is kept as it is.
    pub(crate) damaged: bool,
}

/// Where an entry's pieces begin, and in which commit it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) pieces: [u32; 2],
    pub(crate) commit: u64,
}

impl At {
    pub(crate) const fn piece(&self) -> Place {
        Place { segment: self.segment, offset: self.offset, length: self.pieces[0] }
    }
}

impl Slot {
    pub(crate) const fn has_update(&self) -> bool {
        self.update.length > 0
    }

    const fn base_octets(&self) -> u64 {
        self.envelope.length as u64 + self.body as u64
    }
}

impl LedgerSlot {
    /// An older entry in another segment could come back.
    pub(crate) fn threatened(&self) -> bool {
        self.older.iter().any(|older| *older != self.segment)
    }
}

impl<F> Index<F> {
    pub(crate) const fn new() -> Self {
        Self {
            messages: BTreeMap::new(),
            in_hand: BTreeMap::new(),
            was_in_hand: BTreeMap::new(),
            copies: BTreeMap::new(),
            spilled: BTreeMap::new(),
            ledger: BTreeMap::new(),
            connections: BTreeMap::new(),
            segments: BTreeMap::new(),
            last_id: 0,
            last_commit: 0,
            quarantined: Vec::new(),
            damages: 0,
            damaged: BTreeSet::new(),
        }
    }

    /// Takes in one entry, in the order of the log.
    pub(crate) fn apply(&mut self, head: Head, at: At) {
        self.last_commit = self.last_commit.max(at.commit);
        let segment = self.segments.get_mut(&at.segment);
        if let Some(segment) = segment.filter(|_| head.is_news()) {
            segment.last_news = segment.last_news.max(at.commit);
        }
        match head {
            Head::Mail(mail) => self.apply_mail(mail, at),
            Head::Update(update) => self.apply_update(update, at),
            Head::End(end) => self.apply_end(&end, at),
            Head::Started(started) => self.apply_started(started, at.segment),
            Head::Connection(id) => {
                self.connections.insert(id, at.piece());
                if self.connections.len() > RECENT_CONNECTIONS {
                    self.connections.pop_first();
                }
            }
            Head::Ledger { key, forgotten, moved: _ } => self.apply_ledger(key, forgotten, at),
        }
    }

    fn apply_mail(&mut self, mail: Mail, at: At) {
        let Mail { id, states, spilled, moved: _ } = mail;
        self.last_id = self.last_id.max(id.as_u64());
        if let Some(old) = self.messages.remove(&id) {
            self.count(old.envelope.segment, old.base_octets(), false);
            self.count(old.update.segment, u64::from(old.chain), false);
            if old.envelope.segment != at.segment {
                self.copies.entry(id).or_default().insert(old.envelope.segment);
            }
        }
        let slot = Slot {
            envelope: at.piece(),
            body: at.pieces[1],
            update: Place::default(),
            chain: 0,
            states,
        };
        self.count(at.segment, slot.base_octets(), true);
        self.messages.insert(id, slot);
        if let Some(size) = spilled {
            self.spilled.insert(id, size);
        }
    }

    fn apply_update(&mut self, update: Update, at: At) {
        let Some(slot) = self.messages.get_mut(&update.id) else { return };
        let before = (slot.update.segment, u64::from(slot.chain));
        slot.states = update.states;
        slot.update = at.piece();
        slot.chain = update.chain;
        self.count(before.0, before.1, false);
        self.count(at.segment, u64::from(update.chain), true);
        let segment = at.segment;
        if let Some(was) = self.was_in_hand.get_mut(&update.id) {
            let still = update.in_hand.as_ref().map_or(&[][..], |started| &started.recipients);
            was.started.recipients.retain(|recipient| still.contains(recipient));
            if was.started.recipients.is_empty() {
                self.was_in_hand.remove(&update.id);
            }
        }
        match update.in_hand {
            Some(started) => self.in_hand.insert(update.id, InHand { started, segment }),
            None => self.in_hand.remove(&update.id),
        };
    }

    fn apply_end(&mut self, end: &End, at: At) {
        self.last_id = self.last_id.max(end.id.as_u64());
        let envelope = self.segments.get_mut(&end.envelope.segment);
        if let Some(segment) = envelope.filter(|_| !end.moved) {
            segment.needed_until = segment.needed_until.max(at.commit);
        }
        if let Some(slot) = self.messages.remove(&end.id) {
            self.count(slot.envelope.segment, slot.base_octets(), false);
            self.count(slot.update.segment, u64::from(slot.chain), false);
        }
        self.in_hand.remove(&end.id);
        self.was_in_hand.remove(&end.id);
        self.copies.remove(&end.id);
        self.spilled.remove(&end.id);
    }

    fn apply_started(&mut self, started: Started, segment: u32) {
        self.in_hand.insert(started.message, InHand { started, segment });
    }

    fn apply_ledger(&mut self, key: LedgerKey, forgotten: bool, at: At) {
        let value = (!forgotten).then(|| at.piece());
        let old = self.ledger.get(&key).and_then(|slot| slot.value);
        if let Some(old) = old {
            self.count(old.segment, u64::from(old.length), false);
        }
        let fresh = || LedgerSlot { value, segment: at.segment, older: BTreeSet::new() };
        let slot = self.ledger.entry(key.clone()).or_insert_with(fresh);
        if let Some(old) = old {
            slot.older.insert(old.segment);
        }
        (slot.value, slot.segment) = (value, at.segment);
        match value {
            Some(place) => self.count(at.segment, u64::from(place.length), true),
            None => self.forget_if_gone(&key),
        }
    }

    /// A forgotten key needs no memory once nothing older can come back.
    fn forget_if_gone(&mut self, key: &LedgerKey) {
        let done = |slot: &LedgerSlot| slot.value.is_none() && !slot.threatened();
        if self.ledger.get(key).is_some_and(done) {
            self.ledger.remove(key);
        }
    }

    fn count(&mut self, segment: u32, octets: u64, more: bool) {
        if let Some(segment) = self.segments.get_mut(&segment) {
            let sum =
                if more { segment.live + octets } else { segment.live.saturating_sub(octets) };
            segment.live = sum;
        }
    }

    /// A segment's old content can no longer be read: nothing needs protection from it.
    pub(crate) fn gone(&mut self, segment: u32) -> Option<Segment<F>> {
        self.copies.retain(|_, copies| {
            copies.remove(&segment);
            !copies.is_empty()
        });
        for slot in self.ledger.values_mut() {
            slot.older.remove(&segment);
        }
        let keys: Vec<_> =
            self.ledger.iter().filter(|(_, s)| s.value.is_none()).map(|(k, _)| k.clone()).collect();
        for key in keys {
            self.forget_if_gone(&key);
        }
        self.connections.retain(|_, place| place.segment != segment);
        self.segments.remove(&segment)
    }

    /// True while the old content of this segment can still be read.
    pub(crate) fn is_there(&self, segment: u32) -> bool {
        self.segments.contains_key(&segment)
    }

    /// Octets of live records, in all.
    pub(crate) fn live_octets(&self) -> u64 {
        self.segments.values().map(|segment| segment.live).sum()
    }

    /// Octets of bodies in files of their own.
    pub(crate) fn spilled_octets(&self) -> u64 {
        self.spilled.values().sum()
    }

    /// Octets of all segments that hold records.
    pub(crate) fn taken_octets(&self) -> u64 {
        self.segments.values().map(|segment| segment.header.size).sum()
    }

    /// Lists a damaged place once: what overlaps with one that is listed is found again by another reader.
    pub(crate) fn quarantine(&mut self, segment: u32, offset: u32, size: u64, what: &'static str) {
        let (first, end) = (u64::from(offset), u64::from(offset) + size.max(1));
        let mut listed = self.damaged.range((segment, 0, 0)..=(segment, u64::MAX, u64::MAX));
        if listed.any(|(_, from, to)| *from < end && first < *to) {
            return;
        }
        if self.damaged.len() < MAX_LISTED {
            self.damaged.insert((segment, first, end));
        }
        let number = self.segments.get_mut(&segment).map_or(0, |segment| {
            segment.damaged = true;
            segment.number
        });
        self.list_damage(Quarantined {
            place: format!("{}+{offset}", crate::files::segment_name(number)),
            size,
            what,
        });
    }

    /// The stretches of segments that are listed: the place as it is listed, segment, first octet and the one after
    /// the last.
    pub(crate) fn damaged_places(&self) -> Vec<(String, u32, u64, u64)> {
        let place = |&(segment, first, end): &(u32, u64, u64)| {
            let number = self.segments.get(&segment)?.number;
            Some((format!("{}+{first}", crate::files::segment_name(number)), segment, first, end))
        };
        self.damaged.iter().filter_map(place).collect()
    }

    /// Lists the content of a live message: by its file, where it has one.
    pub(crate) fn list_content(&mut self, id: QueueId, what: &'static str) {
        let damage = match self.spilled.get(&id) {
            Some(&size) => Quarantined { place: crate::files::body_name(id), size, what },
            None if self.messages.contains_key(&id) => {
                Quarantined { place: format!("message {id}"), size: 0, what }
            }
            // It has left meanwhile, and its file with it.
            None => return,
        };
        self.list_damage(damage);
    }

    pub(crate) fn list_damage(&mut self, damage: Quarantined) {
        if self.quarantined.iter().any(|listed| listed.place == damage.place) {
            return;
        }
        self.damages += 1;
        if self.quarantined.len() < MAX_LISTED {
            self.quarantined.push(damage);
        }
    }
}

impl<F> Segment<F> {
    /// A segment just taken: empty.
    pub(crate) fn taken(file: Arc<F>, number: u32, header: SegmentHeader) -> Self {
        Self {
            file,
            number,
            header,
            used: 2 * BLOCK,
            live: 0,
            last_news: 0,
            needed_until: 0,
            sealed: false,
            indexed: false,
            damaged: false,
        }
    }
}
