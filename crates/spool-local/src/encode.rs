//! Requests become entries: what a settlement means for each message, seen through the group under way.

use crate::batch::{Batch, Working};
use crate::entry::{End, Head, Mail, Remembered, Update};
use crate::log::{Answer, Failed, Log, Request};
use crate::place::{Packed, Place};
use crate::shared::Shared;
use posthaste_evidence::{Connection, ConnectionId};
use posthaste_io::Disk;
use posthaste_mail::QueueId;
use posthaste_queue::RecipientState;
use posthaste_spool::{
    Change, Content, INLINE_LIMIT, LedgerEntry, NewMail, Record, Refused, SettleFault, Settled,
    Settlement, Started,
};
use std::sync::atomic::Ordering;

/// The largest envelope, octets: a thousand recipients take a tenth of it.
const MAX_ENVELOPE: usize = 4 << 20;
/// What a message costs besides its content, about.
pub(crate) const OVERHEAD: u64 = 4096;

impl<D: Disk> Log<D> {
    /// What can be answered without trying; `None` when it is to be tried.
    pub(crate) fn refuses(&mut self, request: &Request) -> Option<Answer> {
        match request {
            Request::Accept(mail) => {
                let refusal = self.refuses_mail(mail);
                if let (Some(_), Content::Spilled(body)) = (refusal, &mail.content) {
                    self.unlink_body(body.id);
                }
                refusal.map(|refusal| Answer::Accepted(Err(refusal)))
            }
            Request::Settle(settlement) => {
                let stranger = settlement.tenure.epoch != self.epoch;
                stranger.then_some(Answer::Settled(Err(SettleFault::Fenced)))
            }
            Request::Started(_) => None,
        }
    }

    fn refuses_mail(&mut self, mail: &NewMail) -> Option<Refused> {
        let octets = match &mail.content {
            Content::Inline(body) => body.len() as u64,
            Content::Spilled(body) if !self.body_is_there(body) => return Some(Refused::Unhealthy),
            Content::Spilled(body) => body.head.len() as u64,
        };
        if u32::try_from(octets).is_err() || mail.envelope.recipients.len() > MAX_ENVELOPE / 64 {
            return Some(Refused::TooBig);
        }
        let full = !self.has_room(octets + OVERHEAD);
        if full {
            self.shared.vital.accepting.store(false, Ordering::Relaxed);
            self.shared.vital.full.store(true, Ordering::Relaxed);
        }
        full.then_some(Refused::Full)
    }

    /// The largest content that goes into a group: a quarter of a segment, where segments are small.
    pub(crate) const fn inline_limit(&self) -> usize {
        let quarter = self.settings.segment_size as usize / 4;
        if quarter < INLINE_LIMIT { quarter } else { INLINE_LIMIT }
    }

    /// Gives a content that is too large for a group a file of its own, durable before the commit names it;
    /// `false` when the disk has no room for it.
    pub(crate) fn spill_if_large(&self, request: &Request) -> Result<bool, Failed> {
        let spill = |mail: &NewMail| match &mail.content {
            Content::Inline(body) if body.len() > self.inline_limit() => {
                self.write_body(mail.envelope.id, body.chunks())
            }
            _ => Ok(true),
        };
        match request {
            Request::Accept(mail) => spill(mail),
            Request::Settle(settlement) => {
                for notice in &settlement.notices {
                    if !spill(&notice.mail)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Request::Started(_) => Ok(true),
        }
    }

    /// Adds the entries of a request to the group under way.
    pub(crate) fn encode(&self, batch: &mut Batch, request: &Request) {
        match request {
            Request::Accept(mail) => encode_mail(batch, mail, self.inline_limit()),
            Request::Settle(settlement) => {
                encode_settlement(&self.shared, batch, settlement, self.inline_limit());
            }
            Request::Started(started) => encode_started(&self.shared, batch, started),
        }
    }
}

fn encode_mail(batch: &mut Batch, mail: &NewMail, inline_limit: usize) {
    let id = mail.envelope.id;
    let envelope = batch.piece(|w| mail.envelope.write(w));
    let (body, spilled) = match &mail.content {
        Content::Spilled(body) if body.head.is_empty() => (0, Some(body.in_file())),
        Content::Spilled(body) => {
            (batch.piece_of(std::slice::from_ref(&body.head)), Some(body.in_file()))
        }
        Content::Inline(body) if body.len() > inline_limit => (0, Some(body.len() as u64)),
        Content::Inline(body) => (batch.piece_of(body.chunks()), None),
    };
    let states = Packed::new(&mail.states);
    let head = Head::Mail(Mail { id, states: states.clone(), spilled, moved: false });
    let envelope = batch.entry(head, [envelope, body]);
    let slot = crate::index::Slot { envelope, body, update: Place::default(), chain: 0, states };
    batch.set(id, Some(Working { slot, in_hand: None, spilled: spilled.is_some() }));
}

/// A message as it will be when the group under way is durable; `None` when it is not live then.
fn view<D: Disk>(shared: &Shared<D>, batch: &Batch, id: QueueId) -> Option<Working> {
    if let Some(working) = batch.view(id) {
        return working.clone();
    }
    let index = shared.index.lock();
    let slot = index.messages.get(&id)?.clone();
    let in_hand = index.in_hand.get(&id).map(|in_hand| in_hand.started.clone());
    Some(Working { slot, in_hand, spilled: index.spilled.contains_key(&id) })
}

fn encode_started<D: Disk>(shared: &Shared<D>, batch: &mut Batch, started: &Started) {
    let Some(mut working) = view(shared, batch, started.message) else { return };
    let mut all = started.clone();
    if let Some(before) = working.in_hand {
        all.recipients.extend(before.recipients);
        all.recipients.sort_unstable();
        all.recipients.dedup();
    }
    // All that is in hand, not only what is new: the newest record is the only one that is kept.
    batch.entry(Head::Started(all.clone()), [0, 0]);
    working.in_hand = Some(all);
    batch.set(started.message, Some(working));
}

fn encode_settlement<D: Disk>(
    shared: &Shared<D>,
    batch: &mut Batch,
    settlement: &Settlement,
    inline_limit: usize,
) {
    for connection in &settlement.connections {
        encode_connection(batch, connection);
    }
    for mut part in Settled::by_message(settlement, |_| false) {
        let Some(working) = view(shared, batch, part.message) else { continue };
        let Ok(mut states) = working.slot.states.states() else { continue };
        for (recipient, state) in &part.changes {
            if let Some(slot) = states.get_mut(*recipient as usize) {
                Change::apply_to(slot, *state);
            }
        }
        part.done = states.iter().all(|state| !state.life.is_live());
        if part.done {
            encode_end(shared, batch, &part, &working);
        } else {
            encode_update(shared, batch, part, working, &states);
        }
    }
    for notice in &settlement.notices {
        encode_mail(batch, &notice.mail, inline_limit);
    }
    for entry in &settlement.ledger {
        encode_ledger(batch, entry);
    }
}

pub(crate) fn encode_connection(batch: &mut Batch, connection: &Connection) {
    let piece = batch.piece(|w| connection.write(w));
    let place = batch.entry(Head::Connection(connection.id), [piece, 0]);
    batch.set_connection(connection.id, place);
}

/// Where a connection stands in the segment of this group; copied there when it stands elsewhere, so that
/// what an attempt names never goes before the attempt.
pub(crate) fn connection_here<D: Disk>(
    shared: &Shared<D>,
    batch: &mut Batch,
    id: ConnectionId,
    elsewhere: Option<Place>,
) -> Option<Place> {
    if let Some(here) = batch.connection(id) {
        return Some(here);
    }
    let known = shared.index.lock().connections.get(&id).copied();
    if let Some(here) = known.filter(|place| place.segment == batch.target.segment) {
        return Some(here);
    }
    let piece = shared.piece(known.or(elsewhere)?).ok()?;
    let length = batch.piece_of(&[piece]);
    let place = batch.entry(Head::Connection(id), [length, 0]);
    batch.set_connection(id, place);
    Some(place)
}

fn encode_update<D: Disk>(
    shared: &Shared<D>,
    batch: &mut Batch,
    part: Settled,
    mut working: Working,
    states: &[RecipientState],
) {
    let named: Vec<_> = part.attempts.iter().filter_map(|attempt| attempt.connection).collect();
    let mut connections = Vec::new();
    for id in named {
        connections.extend(connection_here(shared, batch, id, None).map(|place| (id, place)));
    }
    connections.dedup();
    let id = part.message;
    working.in_hand = working.in_hand.and_then(|mut started| {
        started.recipients.retain(|&recipient| !part.concerns(recipient));
        (!started.recipients.is_empty()).then_some(started)
    });
    let before = working.slot.has_update().then_some(working.slot.update);
    let remembered = Remembered { settled: Some(part), gathered: Vec::new(), before, connections };
    let piece = batch.piece(|w| remembered.encode(w));
    let slot = &mut working.slot;
    slot.chain = slot.chain.saturating_add(piece);
    slot.states = Packed::new(states);
    let in_hand = working.in_hand.clone();
    let update =
        Update { id, states: slot.states.clone(), in_hand, chain: slot.chain, moved: false };
    slot.update = batch.entry(Head::Update(update), [piece, 0]);
    batch.set(id, Some(working));
}

fn encode_end<D: Disk>(shared: &Shared<D>, batch: &mut Batch, part: &Settled, working: &Working) {
    // Events name the host of a connection: it must be found in the same segment.
    for id in part.attempts.iter().filter_map(|attempt| attempt.connection) {
        connection_here(shared, batch, id, None);
    }
    let id = part.message;
    let copies = shared.index.lock().copies.get(&id).cloned().unwrap_or_default();
    let piece = batch.piece(|w| part.write_within(w));
    let envelope = working.slot.envelope;
    let end = End { id, envelope, copies: copies.into_iter().collect(), moved: false };
    batch.entry(Head::End(end), [piece, 0]);
    if working.spilled {
        batch.unlink.push(id);
    }
    batch.set(id, None);
}

fn encode_ledger(batch: &mut Batch, entry: &LedgerEntry) {
    let forgotten = entry.value.is_none();
    let piece = if forgotten { 0 } else { batch.piece(|w| entry.write(w)) };
    let head = Head::Ledger { key: entry.key.clone(), forgotten, moved: false };
    batch.entry(head, [piece, 0]);
}
