//! Attempts: at most [`MAX_ATTEMPT`] octets, observations left out of the middle where necessary.

use super::codes::Code;
use super::observation::{self, drop_from_middle};
use super::reply::Replies;
use super::wire::{Damaged, Fields, MAX_ITEMS, Writer, push, put_varint, take_varint};
use super::{Record, fault, get_duration, get_time, put_duration, put_time};
use posthaste_evidence::{Attempt, ConnectionId, Observation, Outcome, RecipientResult};
use posthaste_mail::{QueueId, Timestamp};
use std::time::Duration;

/// The most octets of one attempt (design: spool rule 9). Only an attempt whose recipients fared in hundreds
/// of different ways may be larger, by a few octets for each of them.
pub const MAX_ATTEMPT: usize = 4096;

const MESSAGE: u32 = 1;
const AT: u32 = 2;
const TOOK: u32 = 3;
const CONNECTION: u32 = 4;
const RESULTS: u32 = 5;
const OBSERVATION: u32 = 6;
const REPLY: u32 = 7;

const RECIPIENTS: u32 = 1;
const OUTCOME: u32 = 2;
const RESULT_REPLY: u32 = 3;
const FAULT: u32 = 4;

/// Octets of a reply's text that are kept when leaving out observations was not enough, tried in turn.
const SHORTER_TEXTS: [usize; 3] = [128, 32, 0];

impl Record for Attempt {
    fn write(&self, w: &mut Writer) {
        w.number(MESSAGE, self.message.as_u64());
        write_within(w, self, Timestamp::EPOCH);
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        read_within(fields, QueueId::MIN, Timestamp::EPOCH)
    }
}

/// Writes an attempt into a record that knows the message and a time near by.
pub(super) fn write_within(w: &mut Writer, attempt: &Attempt, base: Timestamp) {
    let mut observations = attempt.observations.clone();
    let mut encoded = encode(attempt, &observations, base, None);
    while encoded.len() > MAX_ATTEMPT && leave_out(&mut observations) {
        encoded = encode(attempt, &observations, base, None);
    }
    for limit in SHORTER_TEXTS {
        if encoded.len() > MAX_ATTEMPT {
            encoded = encode(attempt, &observations, base, Some(limit));
        }
    }
    w.append(&encoded);
}

/// Leaves out an eighth, so that few rounds are needed; `false` when nothing is left.
pub(super) fn leave_out(observations: &mut Vec<Observation>) -> bool {
    (0..observations.len().div_ceil(8)).fold(false, |any, _| drop_from_middle(observations) || any)
}

fn encode(
    attempt: &Attempt,
    observations: &[Observation],
    base: Timestamp,
    cut_at: Option<usize>,
) -> Vec<u8> {
    let mut w = Writer::default();
    let mut replies = Replies::cut_at(cut_at);
    put_time(&mut w, AT, attempt.at, base);
    put_duration(&mut w, TOOK, attempt.took);
    if let Some(connection) = attempt.connection {
        w.number_even_zero(CONNECTION, connection.0);
    }
    for alike in attempt
        .results
        .chunk_by(|a, b| (a.outcome, &a.reply, &a.fault) == (b.outcome, &b.reply, &b.fault))
    {
        w.nested(RESULTS, |w| write_results(w, alike, &mut replies));
    }
    for o in observations {
        w.nested(OBSERVATION, |w| observation::write(w, o, attempt.at, &mut replies));
    }
    replies.write(&mut w, REPLY);
    w.into_vec()
}

/// Recipients that fared alike, written once.
fn write_results(w: &mut Writer, alike: &[RecipientResult], replies: &mut Replies) {
    let mut numbers = Vec::new();
    for result in alike {
        put_varint(&mut numbers, u64::from(result.recipient));
    }
    if numbers != [0] {
        w.bytes(RECIPIENTS, &numbers);
    }
    w.number(OUTCOME, alike[0].outcome.code());
    if let Some(reply) = &alike[0].reply {
        w.number(RESULT_REPLY, replies.place(reply));
    }
    if let Some(fault) = &alike[0].fault {
        w.nested(FAULT, |w| fault::write(w, fault, replies));
    }
}

/// Reads an attempt out of a record that knows the message and a time near by.
pub(super) fn read_within(
    fields: Fields<'_>,
    message: QueueId,
    base: Timestamp,
) -> Result<Attempt, Damaged> {
    let mut attempt = Attempt {
        message,
        at: base,
        took: Duration::ZERO,
        connection: None,
        results: Vec::new(),
        observations: Vec::new(),
    };
    let mut replies = Replies::default();
    fields.each(|tag, value| {
        match tag {
            MESSAGE => attempt.message = QueueId::from_u64(value.number()?),
            AT => attempt.at = get_time(value, base)?,
            TOOK => attempt.took = get_duration(value)?,
            CONNECTION => attempt.connection = Some(ConnectionId(value.number()?)),
            REPLY => replies.add(value)?,
            _ => {}
        }
        Ok(())
    })?;
    fields.each(|tag, value| {
        match tag {
            RESULTS => read_results(&mut attempt.results, value.fields()?, &replies)?,
            OBSERVATION => {
                let list = &mut attempt.observations;
                observation::add(list, value.fields()?, attempt.at, &replies)?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(attempt)
}

fn read_results(
    results: &mut Vec<RecipientResult>,
    fields: Fields<'_>,
    replies: &Replies,
) -> Result<(), Damaged> {
    let (mut numbers, mut outcome, mut reply, mut why) = (None, Outcome::Delivered, None, None);
    fields.each(|tag, value| {
        match tag {
            RECIPIENTS => numbers = Some(value.bytes()?),
            OUTCOME => outcome = Outcome::from_code(value.number()?)?,
            RESULT_REPLY => reply = Some(replies.at(value)?),
            FAULT => why = Some(fault::read(value.fields()?, replies)?),
            _ => {}
        }
        Ok(())
    })?;
    for recipient in recipients(numbers)? {
        push(
            results,
            RecipientResult { recipient, outcome, reply: reply.clone(), fault: why.clone() },
        )?;
    }
    Ok(())
}

fn recipients(numbers: Option<&[u8]>) -> Result<Vec<u32>, Damaged> {
    let Some(mut rest) = numbers else { return Ok(vec![0]) };
    let mut list = Vec::new();
    while !rest.is_empty() {
        let number = take_varint(&mut rest)?;
        let number = u32::try_from(number).map_err(|_| Damaged("not a recipient's number"))?;
        push(&mut list, number)?;
    }
    debug_assert!(list.len() <= MAX_ITEMS);
    Ok(list)
}
