//! The ledger.

use super::wire::{Damaged, Fields, Value, Writer, push};
use super::{Record, acted, belief, get_socket, get_time, need, put_socket, put_time};
use crate::{KEPT_ATTEMPTS, LedgerEntry, LedgerKey, LedgerValue};
use posthaste_evidence::Connection;
use posthaste_mail::Timestamp;
use posthaste_queue::DestinationState;

const KEY: u32 = 1;
const VALUE: u32 = 2;

const DESTINATION: u32 = 1;
const NEXT_HOP: u32 = 2;
const DECISION: u32 = 3;
const HOLD: u32 = 4;
const MISSING: u32 = 5;
const DELIVERED: u32 = 6;

const SINCE: u32 = 1;
const FAILURES: u32 = 2;
const NEXT_TRIAL: u32 = 3;
const CONNECTION: u32 = 4;

impl Record for LedgerEntry {
    fn write(&self, w: &mut Writer) {
        w.nested(KEY, |w| self.key.write(w));
        if let Some(value) = &self.value {
            w.nested(VALUE, |w| value.write(w));
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let (mut key, mut value) = (None, None);
        fields.each(|tag, field| {
            match tag {
                KEY => key = Some(LedgerKey::read(field.fields()?)?),
                VALUE => value = Some(LedgerValue::read(field.fields()?)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(Self { key: need(key, "a ledger entry without key")?, value })
    }
}

impl Record for LedgerKey {
    fn write(&self, w: &mut Writer) {
        match self {
            Self::Destination(name) => w.bytes(DESTINATION, name.as_bytes()),
            Self::NextHop(endpoint) => put_socket(w, NEXT_HOP, *endpoint),
            Self::Decision(number) => w.number_even_zero(DECISION, *number),
            Self::Hold(number) => w.number_even_zero(HOLD, *number),
            Self::Missing(name) => w.bytes(MISSING, name.as_bytes()),
            Self::Delivered(part) => w.number_even_zero(DELIVERED, u64::from(*part)),
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut key = None;
        fields.each(|tag, value| {
            match tag {
                DESTINATION => key = Some(Self::Destination(value.text()?)),
                NEXT_HOP => key = Some(Self::NextHop(get_socket(value)?)),
                DECISION => key = Some(Self::Decision(value.number()?)),
                HOLD => key = Some(Self::Hold(value.number()?)),
                MISSING => key = Some(Self::Missing(value.text()?)),
                DELIVERED => key = Some(Self::Delivered(part(value)?)),
                _ => {}
            }
            Ok(())
        })?;
        need(key, "an unknown ledger key")
    }
}

impl Record for LedgerValue {
    fn write(&self, w: &mut Writer) {
        let (state, failures) = match self {
            Self::Down { state, failures } => (state, failures),
            Self::Decision(decision) => return acted::write_decision(w, decision),
            Self::Hold(hold) => return acted::write_hold(w, hold),
            Self::Missing(claim) => return w.nested(belief::CLAIM, |w| claim.write(w)),
            Self::Delivered(part) => return w.nested(belief::PART, |w| part.write(w)),
        };
        put_time(w, SINCE, state.since, Timestamp::EPOCH);
        w.number(FAILURES, u64::from(state.failures));
        put_time(w, NEXT_TRIAL, state.next_trial, Timestamp::EPOCH);
        let newest = failures.len().saturating_sub(KEPT_ATTEMPTS);
        for connection in &failures[newest..] {
            w.nested(CONNECTION, |w| connection.write(w));
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let epoch = Timestamp::EPOCH;
        let mut state = DestinationState { since: epoch, failures: 0, next_trial: epoch };
        let mut failures = Vec::new();
        let mut parts = acted::Parts::default();
        let mut known = None;
        fields.each(|tag, value| {
            match tag {
                belief::CLAIM => known = Some(Self::Missing(Record::read(value.fields()?)?)),
                belief::PART => known = Some(Self::Delivered(Record::read(value.fields()?)?)),
                SINCE => state.since = get_time(value, epoch)?,
                FAILURES => state.failures = value.small()?,
                NEXT_TRIAL => state.next_trial = get_time(value, epoch)?,
                CONNECTION => push(&mut failures, connection(value)?)?,
                _ => parts.take(tag, value)?,
            }
            Ok(())
        })?;
        Ok(parts.assemble()?.or(known).unwrap_or(Self::Down { state, failures }))
    }
}

fn part(value: Value<'_>) -> Result<u16, Damaged> {
    u16::try_from(value.number()?).map_err(|_| Damaged("a part is out of range"))
}

fn connection(value: Value<'_>) -> Result<Connection, Damaged> {
    Connection::read(value.fields()?)
}
