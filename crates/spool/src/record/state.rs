//! Recipients' states, packed: the same state of many in a row stands once.

use super::codes::Code;
use super::wire::{Damaged, Fields, MAX_ITEMS, Writer, put_varint, take_varint, unzigzag, zigzag};
use super::{Record, need};
use crate::{Change, Started};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::RecipientState;
use posthaste_queue::life::Life;

/// What follows the life in a state's first octet.
const HAS_ATTEMPTS: u8 = 8;
const HAS_FAILURES: u8 = 16;
const HAS_DUE: u8 = 32;
const HAS_REST: u8 = 64;
const HAS_RUN: u8 = 128;
const LIFE: u8 = 7;

/// What the number of crashes shares its place with: the delay notices told so far, and whether the end that the life
/// names is only decided. Both are 0 in what older versions stored.
const WARNED: u32 = 8;
const ENDING: u64 = 1 << 16;

/// Packs states in order: about 2 octets for one that has ended, 12 for one that waits, once per run of
/// equal ones. The sender's delay notices take one octet more.
pub fn write_states(out: &mut Vec<u8>, states: &[RecipientState]) {
    let mut due_before = 0i64;
    for alike in states.chunk_by(|a, b| a == b) {
        let state = alike[0];
        let parts = [
            (state.attempts != 0, HAS_ATTEMPTS, u64::from(state.attempts)),
            (state.failures != 0, HAS_FAILURES, u64::from(state.failures)),
            (state.due != Timestamp::EPOCH, HAS_DUE, {
                zigzag(state.due.as_micros().wrapping_sub(due_before))
            }),
            (rest(&state) != 0, HAS_REST, rest(&state)),
            (alike.len() > 1, HAS_RUN, alike.len() as u64),
        ];
        let flags: u8 = parts.iter().filter(|(has, ..)| *has).map(|(_, bit, _)| bit).sum();
        out.push(u8::try_from(decided(state.life).code()).expect("lives are few") | flags);
        for (_, _, number) in parts.iter().filter(|(has, ..)| *has) {
            put_varint(out, *number);
        }
        if state.due != Timestamp::EPOCH {
            due_before = state.due.as_micros();
        }
    }
}

/// Unpacks states.
///
/// # Errors
/// [`Damaged`] when the octets are not what [`write_states`] makes.
pub fn read_states(mut packed: &[u8]) -> Result<Vec<RecipientState>, Damaged> {
    let mut states = Vec::new();
    let mut due_before = 0i64;
    while let Some((&first, rest)) = packed.split_first() {
        packed = rest;
        let mut part = |bit| if first & bit == 0 { Ok(0) } else { take_varint(&mut packed) };
        let (attempts, failures) = (narrow(part(HAS_ATTEMPTS)?)?, narrow(part(HAS_FAILURES)?)?);
        let due = unzigzag(part(HAS_DUE)?);
        let rest = part(HAS_REST)?;
        let run = narrow::<usize>(part(HAS_RUN)?)?.max(1);
        if first & HAS_DUE != 0 {
            due_before = due_before.wrapping_add(due);
        }
        let due = if first & HAS_DUE == 0 { 0 } else { due_before };
        if states.len() + run > MAX_ITEMS {
            return Err(Damaged("too many recipients"));
        }
        let life = Life::from_code(u64::from(first & LIFE))?;
        let due = Timestamp::from_micros(due);
        let (life, warned, crashes) = open_rest(life, rest)?;
        let state = RecipientState { life, attempts, failures, due, crashes, warned };
        states.resize(states.len() + run, state);
    }
    Ok(states)
}

/// Crashes, delay notices and whether its end is only decided, in one number.
fn rest(state: &RecipientState) -> u64 {
    let ending = if state.life.is_ending() { ENDING } else { 0 };
    u64::from(state.crashes) | u64::from(state.warned) << WARNED | ending
}

fn open_rest(life: Life, rest: u64) -> Result<(Life, u8, u8), Damaged> {
    let life = match (rest & ENDING != 0, life) {
        (false, life) => life,
        (true, Life::Failed) => Life::Failing,
        (true, Life::Expired) => Life::Expiring,
        (true, _) => return Err(Damaged("an end that is none")),
    };
    let [crashes, warned, ..] = (rest & !ENDING).to_le_bytes();
    narrow::<u16>(rest & !ENDING)?;
    Ok((life, warned, crashes))
}

/// The end that a life is coming to, where it is decided: what its code stands for.
const fn decided(life: Life) -> Life {
    match life {
        Life::Failing => Life::Failed,
        Life::Expiring => Life::Expired,
        life => life,
    }
}

fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T, Damaged> {
    T::try_from(number).map_err(|_| Damaged("a number is out of range"))
}

const MESSAGE: u32 = 1;
const RECIPIENT: u32 = 2;
const STATE: u32 = 3;

impl Record for Change {
    fn write(&self, w: &mut Writer) {
        w.number(MESSAGE, self.message.as_u64());
        write_change(w, self.recipient, self.state);
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut message = 0;
        fields.each(|tag, value| {
            if tag == MESSAGE {
                message = value.number()?;
            }
            Ok(())
        })?;
        let (recipient, state) = read_change(fields)?;
        Ok(Self { message: QueueId::from_u64(message), recipient, state })
    }
}

/// Writes a change into a record that knows the message.
pub(super) fn write_change(w: &mut Writer, recipient: u32, state: RecipientState) {
    w.number(RECIPIENT, u64::from(recipient));
    let mut packed = Vec::new();
    write_states(&mut packed, &[state]);
    w.bytes(STATE, &packed);
}

/// Reads a change out of a record that knows the message.
pub(super) fn read_change(fields: Fields<'_>) -> Result<(u32, RecipientState), Damaged> {
    let (mut recipient, mut state) = (0, None);
    fields.each(|tag, value| {
        match tag {
            RECIPIENT => recipient = value.small()?,
            STATE => state = read_states(value.bytes()?)?.first().copied(),
            _ => {}
        }
        Ok(())
    })?;
    Ok((recipient, need(state, "a change without state")?))
}

const STARTED_RECIPIENTS: u32 = 2;
const STARTED_PEER: u32 = 3;

impl Record for Started {
    fn write(&self, w: &mut Writer) {
        w.number(MESSAGE, self.message.as_u64());
        let mut numbers = Vec::new();
        for &recipient in &self.recipients {
            put_varint(&mut numbers, u64::from(recipient));
        }
        w.bytes(STARTED_RECIPIENTS, &numbers);
        if let Some(peer) = self.peer {
            super::put_socket(w, STARTED_PEER, peer);
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut started = Self { message: QueueId::MIN, recipients: Vec::new(), peer: None };
        fields.each(|tag, value| {
            match tag {
                MESSAGE => started.message = QueueId::from_u64(value.number()?),
                STARTED_RECIPIENTS => {
                    let mut rest = value.bytes()?;
                    while !rest.is_empty() {
                        let number = narrow(take_varint(&mut rest)?)?;
                        super::wire::push(&mut started.recipients, number)?;
                    }
                }
                STARTED_PEER => started.peer = Some(super::get_socket(value)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(started)
    }
}
