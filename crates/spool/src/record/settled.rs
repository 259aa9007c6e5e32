//! What one settlement did to one message: the unit in which a store keeps it and events are made of it.

use super::acted::{read_acted, write_acted};
use super::state::{read_change, write_change};
use super::wire::{Damaged, Fields, Writer, push, put_varint, take_varint};
use super::{Record, attempt, get_time, put_time};
use crate::Settlement;
use posthaste_evidence::{Act, Attempt, Order};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::RecipientState;
use std::sync::Arc;

/// What one settlement did to one message.
#[derive(Clone, PartialEq, Debug)]
pub struct Settled {
    /// The message.
    pub message: QueueId,
    /// When it was decided.
    pub at: Timestamp,
    /// Attempts, in order. Stored without observations once the message is done: events need only results.
    pub attempts: Vec<Attempt>,
    /// Recipients and their new states.
    pub changes: Vec<(u32, RecipientState)>,
    /// Notices about it.
    pub notices: Vec<QueueId>,
    /// Every recipient has reached its end: the message leaves the store with this.
    pub done: bool,
    /// What the operator did to whom.
    pub acts: Vec<ActedOn>,
}

/// One act of the operator on a recipient of a message that is known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActedOn {
    /// What was done.
    pub act: Act,
    /// The recipient's number in the envelope.
    pub recipient: u32,
    /// Who wanted it, and why.
    pub order: Arc<Order>,
    /// The new message it goes on as.
    pub into: Option<QueueId>,
}

impl Settled {
    /// A settlement by messages, in the order in which they first appear. `done` answers whether a message
    /// has ended with it.
    #[must_use]
    pub fn by_message(s: &Settlement, done: impl Fn(QueueId) -> bool) -> Vec<Self> {
        let mut order: Vec<QueueId> = Vec::new();
        let mut parts = std::collections::BTreeMap::new();
        let named = s.attempts.iter().map(|a| a.message);
        let named = named.chain(s.changes.iter().map(|c| c.message));
        let named = named.chain(s.acts.iter().map(|a| a.message));
        for message in named.chain(s.notices.iter().map(|n| n.about)) {
            parts.entry(message).or_insert_with(|| {
                order.push(message);
                Self {
                    message,
                    at: s.at,
                    attempts: Vec::new(),
                    changes: Vec::new(),
                    notices: Vec::new(),
                    done: done(message),
                    acts: Vec::new(),
                }
            });
        }
        const ENTERED: &str = "every message was entered above";
        for a in &s.attempts {
            parts.get_mut(&a.message).expect(ENTERED).attempts.push(a.clone());
        }
        for c in &s.changes {
            parts.get_mut(&c.message).expect(ENTERED).changes.push((c.recipient, c.state));
        }
        for n in &s.notices {
            parts.get_mut(&n.about).expect(ENTERED).notices.push(n.mail.envelope.id);
        }
        for a in &s.acts {
            let (act, recipient, into) = (a.act, a.recipient, a.into);
            let acted = ActedOn { act, recipient, order: Arc::clone(&a.order), into };
            parts.get_mut(&a.message).expect(ENTERED).acts.push(acted);
        }
        order.iter().filter_map(|message| parts.remove(message)).collect()
    }
}

impl Settled {
    /// The operator's act on this recipient is part of it.
    #[must_use]
    pub fn acted_on(&self, recipient: u32) -> bool {
        self.acts.iter().any(|acted| acted.recipient == recipient)
    }

    /// This new message is no notice: a recipient was redirected into it.
    #[must_use]
    pub fn is_redirected(&self, id: QueueId) -> bool {
        self.acts.iter().any(|acted| acted.into == Some(id))
    }

    /// True when the settlement says something of this recipient: it is no longer in hand then.
    #[must_use]
    pub fn concerns(&self, recipient: u32) -> bool {
        let tried = || self.attempts.iter().flat_map(|a| &a.results);
        self.changes.iter().any(|(number, _)| *number == recipient)
            || tried().any(|result| result.recipient == recipient)
    }
}

const MESSAGE: u32 = 1;
const AT: u32 = 2;
const ATTEMPT: u32 = 3;
const CHANGE: u32 = 4;
const NOTICES: u32 = 5;
const DONE: u32 = 6;
const ACTED: u32 = 7;

impl Record for Settled {
    fn write(&self, w: &mut Writer) {
        w.number(MESSAGE, self.message.as_u64());
        self.write_within(w);
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        Self::read_within(fields, QueueId::MIN)
    }
}

impl Settled {
    /// Writes it into a record that knows the message.
    pub fn write_within(&self, w: &mut Writer) {
        put_time(w, AT, self.at, Timestamp::EPOCH);
        for a in &self.attempts {
            if self.done {
                let bare = Attempt { observations: Vec::new(), ..a.clone() };
                w.nested(ATTEMPT, |w| attempt::write_within(w, &bare, self.at));
            } else {
                w.nested(ATTEMPT, |w| attempt::write_within(w, a, self.at));
            }
        }
        for (recipient, state) in &self.changes {
            w.nested(CHANGE, |w| write_change(w, *recipient, *state));
        }
        if !self.notices.is_empty() {
            let mut numbers = Vec::new();
            for id in &self.notices {
                put_varint(&mut numbers, id.as_u64());
            }
            w.bytes(NOTICES, &numbers);
        }
        w.flag(DONE, self.done);
        for acted in &self.acts {
            w.nested(ACTED, |w| write_acted(w, acted));
        }
    }

    /// Reads it out of a record that knows the message.
    ///
    /// # Errors
    /// [`Damaged`] when the octets are no such record.
    pub fn read_within(fields: Fields<'_>, message: QueueId) -> Result<Self, Damaged> {
        let mut settled = Self {
            message,
            at: Timestamp::EPOCH,
            attempts: Vec::new(),
            changes: Vec::new(),
            notices: Vec::new(),
            done: false,
            acts: Vec::new(),
        };
        fields.each(|tag, value| {
            match tag {
                MESSAGE => settled.message = QueueId::from_u64(value.number()?),
                AT => settled.at = get_time(value, Timestamp::EPOCH)?,
                DONE => settled.done = value.flag()?,
                _ => {}
            }
            Ok(())
        })?;
        fields.each(|tag, value| {
            let s = &mut settled;
            match tag {
                ATTEMPT => {
                    let attempt = attempt::read_within(value.fields()?, s.message, s.at)?;
                    push(&mut s.attempts, attempt)?;
                }
                ACTED => push(&mut s.acts, read_acted(value.fields()?)?)?,
                CHANGE => push(&mut s.changes, read_change(value.fields()?)?)?,
                NOTICES => {
                    let mut rest = value.bytes()?;
                    while !rest.is_empty() {
                        push(&mut s.notices, QueueId::from_u64(take_varint(&mut rest)?))?;
                    }
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(settled)
    }
}
