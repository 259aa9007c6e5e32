//! What one settlement did to one message: the unit in which a store keeps it and events are made of it.

use super::acted::{read_acted, write_acted};
use super::codes::Code;
use super::state::{read_change, write_change};
use super::wire::{Damaged, Fields, Writer, push, put_varint, take_varint};
use super::{Record, attempt, get_time, put_time};
use crate::Settlement;
use posthaste_evidence::{Act, Attempt, NoticeKind, Order, Withheld};
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
    /// New messages about it: notices with what they tell, and those into which recipients were redirected.
    pub notices: Vec<(QueueId, Option<NoticeKind>)>,
    /// Why nobody is told of some of its recipients.
    pub withheld: Vec<Withheld>,
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
        let told = s.notices.iter().map(|n| n.about).chain(s.withheld.iter().map(|w| w.0));
        for message in named.chain(told) {
            parts.entry(message).or_insert_with(|| {
                order.push(message);
                Self {
                    message,
                    at: s.at,
                    attempts: Vec::new(),
                    changes: Vec::new(),
                    notices: Vec::new(),
                    withheld: Vec::new(),
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
            parts.get_mut(&n.about).expect(ENTERED).notices.push((n.mail.envelope.id, n.kind));
        }
        for (message, why) in &s.withheld {
            parts.get_mut(message).expect(ENTERED).withheld.push(*why);
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

    /// A recipient was redirected into this new message.
    fn is_redirected(&self, id: QueueId) -> bool {
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
/// Kinds of the notices, where one is no failure notice; all are in what older versions stored.
const KINDS: u32 = 8;
const WITHHELD: u32 = 9;

/// Stands for the kind of a message that is no notice.
const NO_NOTICE: u64 = 0;

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
        put_numbers(w, NOTICES, self.notices.iter().map(|(id, _)| id.as_u64()));
        w.flag(DONE, self.done);
        if self.notices.iter().any(|(_, kind)| *kind != Some(NoticeKind::Failed)) {
            let code = |kind: Option<NoticeKind>| kind.map_or(NO_NOTICE, |kind| kind.code());
            put_numbers(w, KINDS, self.notices.iter().map(|(_, kind)| code(*kind)));
        }
        put_numbers(w, WITHHELD, self.withheld.iter().map(Code::code));
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
            withheld: Vec::new(),
            done: false,
            acts: Vec::new(),
        };
        let (mut notices, mut kinds) = (Vec::new(), None);
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
                NOTICES => notices = take_numbers(value.bytes()?)?,
                KINDS => kinds = Some(take_numbers(value.bytes()?)?),
                WITHHELD => {
                    let codes = take_numbers(value.bytes()?)?;
                    s.withheld =
                        codes.into_iter().map(Withheld::from_code).collect::<Result<_, _>>()?;
                }
                _ => {}
            }
            Ok(())
        })?;
        settled.name_notices(&notices, kinds.as_deref())?;
        Ok(settled)
    }

    fn name_notices(&mut self, ids: &[u64], kinds: Option<&[u64]>) -> Result<(), Damaged> {
        for (place, id) in ids.iter().enumerate() {
            let id = QueueId::from_u64(*id);
            let kind = match kinds.map(|kinds| kinds.get(place).copied()) {
                // What was stored before there were kinds.
                None => (!self.is_redirected(id)).then_some(NoticeKind::Failed),
                Some(None | Some(NO_NOTICE)) => None,
                Some(Some(code)) => Some(NoticeKind::from_code(code)?),
            };
            self.notices.push((id, kind));
        }
        Ok(())
    }
}

/// Writes numbers under one tag, if there are any.
fn put_numbers(w: &mut Writer, tag: u32, numbers: impl Iterator<Item = u64>) {
    let mut packed = Vec::new();
    numbers.for_each(|number| put_varint(&mut packed, number));
    if !packed.is_empty() {
        w.bytes(tag, &packed);
    }
}

fn take_numbers(mut packed: &[u8]) -> Result<Vec<u64>, Damaged> {
    let mut numbers = Vec::new();
    while !packed.is_empty() {
        push(&mut numbers, take_varint(&mut packed)?)?;
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::Timestamp;

    fn settled(notices: Vec<(QueueId, Option<NoticeKind>)>) -> Settled {
        let at = Timestamp::from_secs(1_800_000_000);
        Settled {
            message: QueueId::from_u64(1),
            at,
            attempts: Vec::new(),
            changes: Vec::new(),
            notices,
            withheld: vec![Withheld::NullPath, Withheld::StrangersRate],
            done: false,
            acts: Vec::new(),
        }
    }

    #[test]
    fn every_kind_and_reason_comes_back() {
        let id = QueueId::from_u64;
        let kinds = NoticeKind::ALL.iter().map(|(kind, _)| Some(*kind)).chain([None]);
        let all = settled((2..).map(id).zip(kinds).collect());
        assert_eq!(Settled::decode(&all.encode()), Ok(all));
    }

    #[test]
    fn what_older_versions_stored_is_a_failure_notice_or_a_redirect() {
        let (notice, redirected) = (QueueId::from_u64(2), QueueId::from_u64(3));
        let order = Order { by: "uid 0".into(), reason: None, decision: None };
        let acted = ActedOn {
            act: Act::Redirect,
            recipient: 0,
            order: Arc::new(order),
            into: Some(redirected),
        };
        let mut old = settled(vec![(notice, Some(NoticeKind::Failed)), (redirected, None)]);
        (old.acts, old.withheld) = (vec![acted], Vec::new());
        let mut w = Writer::default();
        old.write_within(&mut w);
        let without_kinds = without(&w.into_vec(), KINDS);
        let read = Settled::read_within(Fields::new(&without_kinds), old.message);
        assert_eq!(read, Ok(old));
    }

    /// A record without one of its fields.
    fn without(record: &[u8], gone: u32) -> Vec<u8> {
        let mut w = Writer::default();
        let copied = Fields::new(record).each(|tag, value| {
            match value.number() {
                _ if tag == gone => {}
                Ok(number) => w.number(tag, number),
                Err(_) => w.bytes(tag, value.bytes()?),
            }
            Ok(())
        });
        copied.expect("written above");
        w.into_vec()
    }
}
