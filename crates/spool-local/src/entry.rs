//! What an entry of the log says: a head, from which memory is rebuilt, and up to two pieces that stay on disk.

use crate::place::{Packed, Place};
use posthaste_evidence::{Attempt, ConnectionId};
use posthaste_mail::QueueId;
use posthaste_spool::record::wire::{Fields, Value, Writer, push, put_varint, take_varint};
use posthaste_spool::{Damaged, LedgerKey, Record, Settled, Started};

/// What an entry says to memory.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Head {
    /// A message. Pieces: envelope; content, of a spilled one what stands before the octets of its file.
    Mail(Mail),
    /// A live message's states after a settlement. Piece: [`Remembered`].
    Update(Update),
    /// A message has left (a tombstone). Piece: what events need of its last settlement.
    End(End),
    /// A transaction has begun.
    Started(Started),
    /// Piece: a connection.
    Connection(ConnectionId),
    /// Piece: the ledger entry, unless forgotten.
    Ledger { key: LedgerKey, forgotten: bool, moved: bool },
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Mail {
    pub(crate) id: QueueId,
    pub(crate) states: Packed,
    /// The size of a content that has a file of its own.
    pub(crate) spilled: Option<u64>,
    /// Copied by garbage collection: not news.
    pub(crate) moved: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Update {
    pub(crate) id: QueueId,
    pub(crate) states: Packed,
    /// What is still in hand.
    pub(crate) in_hand: Option<Started>,
    /// Octets of all pieces that remember attempts, this one included.
    pub(crate) chain: u32,
    pub(crate) moved: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct End {
    pub(crate) id: QueueId,
    /// Where its envelope was last.
    pub(crate) envelope: Place,
    /// Other segments that may still hold copies of it: until they are gone, this entry must stay.
    pub(crate) copies: Vec<u32>,
    pub(crate) moved: bool,
}

const MAIL: u8 = 1;
const UPDATE: u8 = 2;
const END: u8 = 3;
const STARTED: u8 = 4;
const CONNECTION: u8 = 5;
const LEDGER: u8 = 6;

const ID: u32 = 1;
const STATES: u32 = 2;
const SPILLED: u32 = 3;
const MOVED: u32 = 4;
const IN_HAND: u32 = 5;
const CHAIN: u32 = 6;
const PLACES: u32 = 7;
const KEY: u32 = 8;
const FORGOTTEN: u32 = 9;

impl Head {
    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::Mail(_) => MAIL,
            Self::Update(_) => UPDATE,
            Self::End(_) => END,
            Self::Started(_) => STARTED,
            Self::Connection(_) => CONNECTION,
            Self::Ledger { .. } => LEDGER,
        }
    }

    /// True when events are made of it: it happened, rather than was copied.
    pub(crate) const fn is_news(&self) -> bool {
        match self {
            Self::Mail(Mail { moved, .. })
            | Self::Update(Update { moved, .. })
            | Self::End(End { moved, .. }) => !*moved,
            Self::Ledger { key, forgotten, moved } => {
                matches!(key, LedgerKey::Decision(_)) && !*forgotten && !*moved
            }
            Self::Started(_) | Self::Connection(_) => false,
        }
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        match self {
            Self::Mail(mail) => {
                w.number(ID, mail.id.as_u64());
                w.bytes(STATES, mail.states.octets());
                if let Some(size) = mail.spilled {
                    w.number_even_zero(SPILLED, size);
                }
                w.flag(MOVED, mail.moved);
            }
            Self::Update(update) => {
                w.number(ID, update.id.as_u64());
                w.bytes(STATES, update.states.octets());
                if let Some(in_hand) = &update.in_hand {
                    w.nested(IN_HAND, |w| in_hand.write(w));
                }
                w.number(CHAIN, u64::from(update.chain));
                w.flag(MOVED, update.moved);
            }
            Self::End(end) => {
                w.number(ID, end.id.as_u64());
                let mut places = Vec::with_capacity(16);
                end.envelope.put(&mut places);
                for copy in &end.copies {
                    put_varint(&mut places, u64::from(*copy));
                }
                w.bytes(PLACES, &places);
                w.flag(MOVED, end.moved);
            }
            Self::Started(started) => started.write(w),
            Self::Connection(id) => w.number(ID, id.0),
            Self::Ledger { key, forgotten, moved } => {
                w.nested(KEY, |w| key.write(w));
                w.flag(FORGOTTEN, *forgotten);
                w.flag(MOVED, *moved);
            }
        }
    }

    /// Reads a head; `None` for a kind that this version does not know.
    pub(crate) fn decode(kind: u8, octets: &[u8]) -> Result<Option<Self>, Damaged> {
        if kind == STARTED {
            return Ok(Some(Self::Started(Started::decode(octets)?)));
        }
        let mut parts = Parts::default();
        Fields::new(octets).each(|tag, value| parts.take(tag, value))?;
        parts.assemble(kind)
    }
}

/// The fields of any head, before its kind is looked at.
#[derive(Default)]
struct Parts {
    id: u64,
    states: Packed,
    spilled: Option<u64>,
    moved: bool,
    in_hand: Option<Started>,
    chain: u32,
    places: Vec<u64>,
    key: Option<LedgerKey>,
    forgotten: bool,
}

impl Parts {
    fn take(&mut self, tag: u32, value: Value<'_>) -> Result<(), Damaged> {
        match tag {
            ID => self.id = value.number()?,
            STATES => self.states = Packed::from_octets(value.bytes()?),
            SPILLED => self.spilled = Some(value.number()?),
            MOVED => self.moved = value.flag()?,
            IN_HAND => self.in_hand = Some(Started::read(value.fields()?)?),
            CHAIN => self.chain = value.small()?,
            PLACES => {
                let mut rest = value.bytes()?;
                while !rest.is_empty() {
                    push(&mut self.places, take_varint(&mut rest)?)?;
                }
            }
            KEY => self.key = Some(LedgerKey::read(value.fields()?)?),
            FORGOTTEN => self.forgotten = value.flag()?,
            _ => {}
        }
        Ok(())
    }

    fn assemble(self, kind: u8) -> Result<Option<Head>, Damaged> {
        let id = QueueId::from_u64(self.id);
        let Self { states, spilled, moved, in_hand, chain, .. } = self;
        Ok(Some(match kind {
            MAIL => Head::Mail(Mail { id, states, spilled, moved }),
            UPDATE => Head::Update(Update { id, states, in_hand, chain, moved }),
            END => {
                let small = |n: &u64| u32::try_from(*n).map_err(|_| Damaged("not a place"));
                let places = self.places.iter().map(small).collect::<Result<Vec<_>, _>>()?;
                let [segment, offset, length, copies @ ..] = &places[..] else {
                    return Err(Damaged("an end without its place"));
                };
                let envelope = Place { segment: *segment, offset: *offset, length: *length };
                Head::End(End { id, envelope, copies: copies.to_vec(), moved })
            }
            CONNECTION => Head::Connection(ConnectionId(self.id)),
            LEDGER => {
                let key = self.key.ok_or(Damaged("a ledger entry without key"))?;
                Head::Ledger { key, forgotten: self.forgotten, moved }
            }
            _ => return Ok(None),
        }))
    }
}

/// The piece of an update: what is remembered of attempts, and where more of it is.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Remembered {
    /// What the settlement did, unless the entry was copied by garbage collection.
    pub(crate) settled: Option<Settled>,
    /// Older attempts, gathered when garbage collection moved the message; oldest first.
    pub(crate) gathered: Vec<Attempt>,
    /// The piece of the update before this one.
    pub(crate) before: Option<Place>,
    /// Where the connections are that the attempts name.
    pub(crate) connections: Vec<(ConnectionId, Place)>,
}

const SETTLED: u32 = 1;
const GATHERED: u32 = 2;
const BEFORE: u32 = 3;
const CONNECTION_AT: u32 = 4;

impl Remembered {
    pub(crate) fn encode(&self, w: &mut Writer) {
        if let Some(settled) = &self.settled {
            w.nested(SETTLED, |w| settled.write_within(w));
        }
        for attempt in &self.gathered {
            w.nested(GATHERED, |w| attempt.write(w));
        }
        let mut place = Vec::new();
        if let Some(before) = self.before {
            before.put(&mut place);
            w.bytes(BEFORE, &place);
        }
        for (id, at) in &self.connections {
            place.clear();
            put_varint(&mut place, id.0);
            at.put(&mut place);
            w.bytes(CONNECTION_AT, &place);
        }
    }

    pub(crate) fn decode(octets: &[u8], message: QueueId) -> Result<Self, Damaged> {
        let mut found = Self::default();
        Fields::new(octets).each(|tag, value| {
            match tag {
                SETTLED => {
                    found.settled = Some(Settled::read_within(value.fields()?, message)?);
                }
                GATHERED => push(&mut found.gathered, Attempt::read(value.fields()?)?)?,
                BEFORE => found.before = Some(Place::take(&mut value.bytes()?)?),
                CONNECTION_AT => {
                    let mut rest = value.bytes()?;
                    let id = ConnectionId(take_varint(&mut rest)?);
                    push(&mut found.connections, (id, Place::take(&mut rest)?))?;
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_spool::testing;

    #[test]
    fn heads_make_the_round_trip() {
        let id = QueueId::from_u64(1 << 60);
        let states = Packed::from_octets(&[1, 2, 3]);
        let started = Started { message: id, recipients: vec![1, 2], peer: Some(testing::peer()) };
        let envelope = Place { segment: 3, offset: 8256, length: 100 };
        let key = LedgerKey::Destination("example.org".into());
        let in_hand = Some(started.clone());
        for head in [
            Head::Mail(Mail { id, states: states.clone(), spilled: Some(0), moved: true }),
            Head::Update(Update { id, states, in_hand, chain: 70, moved: false }),
            Head::End(End { id, envelope, copies: vec![9, 12], moved: true }),
            Head::Started(started),
            Head::Connection(ConnectionId(5)),
            Head::Ledger { key, forgotten: true, moved: true },
        ] {
            let mut w = Writer::default();
            head.encode(&mut w);
            let read = Head::decode(head.kind(), &w.into_vec());
            assert_eq!(read, Ok(Some(head)));
        }
        assert_eq!(Head::decode(77, b""), Ok(None));
    }

    #[test]
    fn memories_make_the_round_trip() {
        let id = QueueId::from_u64(5);
        let place = Place { segment: 3, offset: 8256, length: 100 };
        let remembered = Remembered {
            settled: None,
            gathered: vec![testing::deferred(id, 1), testing::deferred(id, 2)],
            before: Some(place),
            connections: vec![(ConnectionId(1), place)],
        };
        let mut w = Writer::default();
        remembered.encode(&mut w);
        assert_eq!(Remembered::decode(&w.into_vec(), id), Ok(remembered));
    }
}
