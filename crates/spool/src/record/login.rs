//! Why we could not log in.

use super::codes::Code;
use super::need;
use super::reply::Replies;
use super::wire::{Damaged, Fields, Writer, unzigzag, zigzag};
use posthaste_evidence::{LoginFault, SecretFault, Stage};

const WAY: u32 = 1;
const STAGE: u32 = 2;
const REPLY: u32 = 3;
const SECRET: u32 = 4;
const NUMBER: u32 = 5;

const REFUSED: u64 = 1;
const WANTED: u64 = 2;
const NO_COMMON_MECHANISM: u64 = 3;
const NEEDS_TLS: u64 = 4;
const NO_SECRET: u64 = 5;
const SERVER_UNPROVEN: u64 = 6;
const EXCHANGE: u64 = 7;

pub(super) fn write(w: &mut Writer, fault: &LoginFault, replies: &mut Replies) {
    let way = match fault {
        LoginFault::Refused { .. } => REFUSED,
        LoginFault::Wanted { .. } => WANTED,
        LoginFault::NoCommonMechanism => NO_COMMON_MECHANISM,
        LoginFault::NeedsTls => NEEDS_TLS,
        LoginFault::Secret(_) => NO_SECRET,
        LoginFault::ServerUnproven => SERVER_UNPROVEN,
        LoginFault::Exchange => EXCHANGE,
    };
    w.number(WAY, way);
    if let Some(reply) = fault.reply() {
        w.number(REPLY, replies.place(reply));
    }
    match fault {
        LoginFault::Wanted { stage, .. } => w.number(STAGE, stage.code()),
        LoginFault::Secret(why) => {
            let (kind, number) = secret(*why);
            w.number(SECRET, kind);
            w.number(NUMBER, zigzag(i64::from(number)));
        }
        _ => {}
    }
}

pub(super) fn read(fields: Fields<'_>, replies: &Replies) -> Result<LoginFault, Damaged> {
    let (mut way, mut stage, mut reply, mut kind, mut number) = (0, None, None, 0, 0);
    fields.each(|tag, value| {
        match tag {
            WAY => way = value.number()?,
            STAGE => stage = Some(Stage::from_code(value.number()?)?),
            REPLY => reply = Some(replies.at(value)?),
            SECRET => kind = value.number()?,
            NUMBER => number = unzigzag(value.number()?),
            _ => {}
        }
        Ok(())
    })?;
    let number = i32::try_from(number).map_err(|_| Damaged("a number is out of range"))?;
    Ok(match way {
        REFUSED => LoginFault::Refused { reply: need(reply, "a refusal without its reply")? },
        WANTED => LoginFault::Wanted {
            stage: need(stage, "a demand without its stage")?,
            reply: need(reply, "a demand without its reply")?,
        },
        NO_COMMON_MECHANISM => LoginFault::NoCommonMechanism,
        NEEDS_TLS => LoginFault::NeedsTls,
        NO_SECRET => LoginFault::Secret(secret_of(kind, number)?),
        SERVER_UNPROVEN => LoginFault::ServerUnproven,
        EXCHANGE => LoginFault::Exchange,
        _ => return Err(Damaged("an unknown fault of logging in")),
    })
}

const fn secret(fault: SecretFault) -> (u64, i32) {
    match fault {
        SecretFault::Unreadable(error) => (1, error),
        SecretFault::Empty => (2, 0),
        SecretFault::TooLong => (3, 0),
        SecretFault::Unsuitable => (4, 0),
        SecretFault::Unset => (5, 0),
        SecretFault::NotRun(error) => (6, error),
        SecretFault::Failed(status) => (7, status),
        SecretFault::TimedOut => (8, 0),
    }
}

fn secret_of(kind: u64, number: i32) -> Result<SecretFault, Damaged> {
    Ok(match kind {
        1 => SecretFault::Unreadable(number),
        2 => SecretFault::Empty,
        3 => SecretFault::TooLong,
        4 => SecretFault::Unsuitable,
        5 => SecretFault::Unset,
        6 => SecretFault::NotRun(number),
        7 => SecretFault::Failed(number),
        8 => SecretFault::TimedOut,
        _ => return Err(Damaged("an unknown fault of a secret")),
    })
}
