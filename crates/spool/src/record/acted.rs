//! Acts of the operator: on one recipient, within what a settlement did to its message, and over many, in the ledger.

use super::codes::Code;
use super::wire::{Damaged, Fields, Value, Writer, push, put_varint, take_varint};
use super::{Record, get_time, need, put_time};
use crate::decision::{Decision, Hold, NewPlace, Stage, Target};
use crate::record::settled::ActedOn;
use posthaste_evidence::{Act, Order};
use posthaste_mail::{QueueId, Timestamp};
use std::sync::Arc;

const BY: u32 = 1;
const REASON: u32 = 2;
const NUMBER: u32 = 3;

impl Record for Order {
    fn write(&self, w: &mut Writer) {
        w.text(BY, &self.by);
        w.maybe_text(REASON, self.reason.as_deref());
        if let Some(number) = self.decision {
            w.number_even_zero(NUMBER, number);
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut order = Self::default();
        fields.each(|tag, value| {
            match tag {
                BY => order.by = value.text()?,
                REASON => order.reason = Some(value.text()?),
                NUMBER => order.decision = Some(value.number()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(order)
    }
}

const ACT: u32 = 1;
const RECIPIENT: u32 = 2;
const ORDER: u32 = 3;
const INTO: u32 = 4;

/// Writes an act into a record that knows the message.
pub(super) fn write_acted(w: &mut Writer, acted: &ActedOn) {
    w.number(ACT, acted.act.code());
    w.number(RECIPIENT, u64::from(acted.recipient));
    w.nested(ORDER, |w| acted.order.write(w));
    if let Some(into) = acted.into {
        w.number(INTO, into.as_u64());
    }
}

/// Reads an act out of a record that knows the message.
pub(super) fn read_acted(fields: Fields<'_>) -> Result<ActedOn, Damaged> {
    let (mut act, mut recipient, mut order, mut into) = (None, 0, Order::default(), None);
    fields.each(|tag, value| {
        match tag {
            ACT => act = Some(Act::from_code(value.number()?)?),
            RECIPIENT => recipient = value.small()?,
            ORDER => order = Order::read(value.fields()?)?,
            INTO => into = Some(QueueId::from_u64(value.number()?)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(ActedOn {
        act: need(act, "an act without its name")?,
        recipient,
        order: Arc::new(order),
        into,
    })
}

const MESSAGES: u32 = 1;
const FILTER: u32 = 2;
const DESTINATION: u32 = 3;
const ALL: u32 = 4;

impl Record for Target {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Messages(ids) => {
                let mut numbers = Vec::new();
                for id in ids {
                    put_varint(&mut numbers, id.as_u64());
                }
                w.bytes(MESSAGES, &numbers);
            }
            // Written even when it is empty: it is what names the kind.
            Self::Filter(filter) => w.bytes(FILTER, filter.as_bytes()),
            Self::Destination(name) => w.bytes(DESTINATION, name.as_bytes()),
            Self::All => w.flag(ALL, true),
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut target = None;
        fields.each(|tag, value| {
            match tag {
                MESSAGES => {
                    let (mut ids, mut rest) = (Vec::new(), value.bytes()?);
                    while !rest.is_empty() {
                        push(&mut ids, QueueId::from_u64(take_varint(&mut rest)?))?;
                    }
                    target = Some(Self::Messages(ids));
                }
                FILTER => target = Some(Self::Filter(value.text()?)),
                DESTINATION => target = Some(Self::Destination(value.text()?)),
                ALL => target = Some(Self::All),
                _ => {}
            }
            Ok(())
        })?;
        need(target, "an unknown target")
    }
}

/// The tags of decisions and holds begin behind those of [`super::ledger`]'s outages: one record holds either.
const TARGET: u32 = 20;
const ORDERED: u32 = 21;
const AT: u32 = 22;
const CAUGHT: u32 = 23;
const DECIDED: u32 = 24;
const TO_ADDRESS: u32 = 25;
const TO_ROUTE: u32 = 26;
const TEXT: u32 = 28;
const LAST: u32 = 29;
const CURSOR: u32 = 30;
const ACTED_MESSAGES: u32 = 31;
const ACTED_RECIPIENTS: u32 = 32;
const IN_FLIGHT: u32 = 33;
const STAGE: u32 = 34;
const FAULT: u32 = 35;
const SINCE: u32 = 36;

pub(super) fn write_hold(w: &mut Writer, hold: &Hold) {
    w.nested(TARGET, |w| hold.target.write(w));
    w.nested(ORDERED, |w| hold.order.write(w));
    put_time(w, AT, hold.at, Timestamp::EPOCH);
    w.number(CAUGHT, hold.caught);
}

pub(super) fn write_decision(w: &mut Writer, decision: &Decision) {
    let Decision { target, order, .. } = decision;
    w.nested(TARGET, |w| target.write(w));
    w.nested(ORDERED, |w| order.write(w));
    put_time(w, AT, decision.at, Timestamp::EPOCH);
    w.number(DECIDED, decision.act.code());
    match &decision.to {
        Some(NewPlace::Address(address)) => w.text(TO_ADDRESS, address),
        Some(NewPlace::Route(route)) => w.text(TO_ROUTE, route),
        None => {}
    }
    w.maybe_text(TEXT, decision.text.as_deref());
    w.number(LAST, decision.last.as_u64());
    w.number(CURSOR, decision.cursor.as_u64());
    w.number(ACTED_MESSAGES, decision.messages);
    w.number(ACTED_RECIPIENTS, decision.recipients);
    let mut flying = Vec::new();
    for (id, recipient) in &decision.in_flight {
        put_varint(&mut flying, id.as_u64());
        put_varint(&mut flying, u64::from(*recipient));
    }
    if !flying.is_empty() {
        w.bytes(IN_FLIGHT, &flying);
    }
    w.number(STAGE, decision.stage.code());
    w.maybe_text(FAULT, decision.fault.as_deref());
    put_time(w, SINCE, decision.since, decision.at);
}

/// The fields of a hold or a decision, gathered one by one.
#[derive(Default)]
pub(super) struct Parts {
    target: Option<Target>,
    order: Order,
    at: Timestamp,
    caught: u64,
    act: Option<Act>,
    to: Option<NewPlace>,
    text: Option<String>,
    last: u64,
    cursor: u64,
    messages: u64,
    recipients: u64,
    in_flight: Vec<(QueueId, u32)>,
    stage: Option<Stage>,
    fault: Option<String>,
    /// Microseconds after `at`.
    since: i64,
}

impl Parts {
    pub(super) fn take(&mut self, tag: u32, value: Value<'_>) -> Result<(), Damaged> {
        match tag {
            TARGET => self.target = Some(Target::read(value.fields()?)?),
            ORDERED => self.order = Order::read(value.fields()?)?,
            SINCE => self.since = value.signed()?,
            AT => self.at = get_time(value, Timestamp::EPOCH)?,
            CAUGHT => self.caught = value.number()?,
            DECIDED => self.act = Some(Act::from_code(value.number()?)?),
            TO_ADDRESS => self.to = Some(NewPlace::Address(value.text()?)),
            TO_ROUTE => self.to = Some(NewPlace::Route(value.text()?)),
            TEXT => self.text = Some(value.text()?),
            LAST => self.last = value.number()?,
            CURSOR => self.cursor = value.number()?,
            ACTED_MESSAGES => self.messages = value.number()?,
            ACTED_RECIPIENTS => self.recipients = value.number()?,
            IN_FLIGHT => {
                let mut rest = value.bytes()?;
                while !rest.is_empty() {
                    let id = QueueId::from_u64(take_varint(&mut rest)?);
                    let number = u32::try_from(take_varint(&mut rest)?)
                        .map_err(|_| Damaged("a number is out of range"))?;
                    push(&mut self.in_flight, (id, number))?;
                }
            }
            STAGE => self.stage = Some(Stage::from_code(value.number()?)?),
            FAULT => self.fault = Some(value.text()?),
            _ => {}
        }
        Ok(())
    }

    /// `None` when none of the fields was there: it is an outage.
    pub(super) fn assemble(self) -> Result<Option<crate::LedgerValue>, Damaged> {
        let Some(target) = self.target else { return Ok(None) };
        let (order, at) = (self.order, self.at);
        let Some(act) = self.act else {
            return Ok(Some(crate::LedgerValue::Hold(Hold {
                target,
                order,
                at,
                caught: self.caught,
            })));
        };
        Ok(Some(crate::LedgerValue::Decision(Box::new(Decision {
            act,
            target,
            to: self.to,
            text: self.text,
            order,
            at,
            last: QueueId::from_u64(self.last),
            cursor: QueueId::from_u64(self.cursor),
            messages: self.messages,
            recipients: self.recipients,
            in_flight: self.in_flight,
            stage: need(self.stage, "a decision without its stage")?,
            fault: self.fault,
            since: Timestamp::from_micros(at.as_micros().wrapping_add(self.since)),
        }))))
    }
}
