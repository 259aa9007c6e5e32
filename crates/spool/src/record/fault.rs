//! Faults.

use super::codes::Code;
use super::reply::Replies;
use super::wire::{Damaged, Fields, Writer};
use super::{get_duration, login, need, put_duration, tls};
use posthaste_evidence::{
    AnswerKind, ConnectFault, Doubt, Fault, LoginFault, RecordType, Stage, TlsFault,
};
use posthaste_mail::EnhancedStatus;
use std::time::Duration;

const KIND: u32 = 1;
const STAGE: u32 = 2;
const REPLY: u32 = 3;
const NAME: u32 = 4;
const RECORD_TYPE: u32 = 5;
const ANSWER: u32 = 6;
const AFTER: u32 = 7;
const LIMIT: u32 = 8;
const CONNECT: u32 = 9;
const TEXT: u32 = 10;
const STATUS_CLASS: u32 = 11;
const STATUS_SUBJECT: u32 = 12;
const STATUS_DETAIL: u32 = 13;
const DOUBT: u32 = 14;
const TLS: u32 = 15;
const LOGIN: u32 = 16;

pub(super) fn write(w: &mut Writer, fault: &Fault, replies: &mut Replies) {
    w.number(KIND, kind(fault));
    match fault {
        Fault::Reply { stage, reply } | Fault::TlsWanted { stage, reply } => {
            w.number(STAGE, stage.code());
            w.number(REPLY, replies.place(reply));
        }
        Fault::DnsFailed { name, kind, answer } => {
            w.text(NAME, name);
            w.number(RECORD_TYPE, kind.code());
            w.number(ANSWER, answer.code());
        }
        Fault::Doubted { name, doubt } => {
            w.text(NAME, name);
            w.number(DOUBT, doubt.code());
        }
        Fault::NoSuchDomain { name }
        | Fault::NoHosts { name }
        | Fault::NullMx { name }
        | Fault::LoopsBack { name }
        | Fault::OnlyPrivateAddresses { name } => w.text(NAME, name),
        Fault::Connect(fault) => w.number(CONNECT, fault.code()),
        Fault::Lost { stage } | Fault::Gibberish { stage } => w.number(STAGE, stage.code()),
        Fault::TimedOut { stage, after } => {
            w.number(STAGE, stage.code());
            put_duration(w, AFTER, *after);
        }
        Fault::TlsRefused { reply } => w.number(REPLY, replies.place(reply)),
        Fault::Tls(fault) => w.nested(TLS, |w| tls::write(w, fault)),
        Fault::Login { route, fault } => {
            w.text(NAME, route);
            w.nested(LOGIN, |w| login::write(w, fault, replies));
        }
        Fault::OverPeersSize { limit } => w.number(LIMIT, *limit),
        Fault::RouteDiscards { route } => w.text(NAME, route),
        Fault::RouteFails { route, status, text } => {
            w.text(NAME, route);
            w.text(TEXT, text);
            w.number(STATUS_CLASS, u64::from(status.class));
            w.number(STATUS_SUBJECT, u64::from(status.subject));
            w.number(STATUS_DETAIL, u64::from(status.detail));
        }
        Fault::OverRouteSize { route, limit } => {
            w.text(NAME, route);
            w.number(LIMIT, *limit);
        }
        Fault::NeedsSmtpUtf8
        | Fault::NeedsEightBit
        | Fault::NoRoute
        | Fault::StoreFault
        | Fault::AttemptTooLong
        | Fault::Interrupted
        | Fault::Expired
        | Fault::Operator
        | Fault::UnknownRecipient
        | Fault::TlsNotOffered => {}
    }
}

const fn kind(fault: &Fault) -> u64 {
    match fault {
        Fault::Reply { .. } => 1,
        Fault::DnsFailed { .. } => 2,
        Fault::NoSuchDomain { .. } => 3,
        Fault::NoHosts { .. } => 4,
        Fault::NullMx { .. } => 5,
        Fault::LoopsBack { .. } => 6,
        Fault::OnlyPrivateAddresses { .. } => 7,
        Fault::Connect(_) => 8,
        Fault::Lost { .. } => 9,
        Fault::TimedOut { .. } => 10,
        Fault::Gibberish { .. } => 11,
        Fault::NeedsSmtpUtf8 => 12,
        Fault::NeedsEightBit => 13,
        Fault::OverPeersSize { .. } => 14,
        Fault::NoRoute => 15,
        Fault::StoreFault => 16,
        Fault::AttemptTooLong => 17,
        Fault::Interrupted => 18,
        Fault::Expired => 19,
        Fault::Operator => 20,
        Fault::RouteDiscards { .. } => 21,
        Fault::RouteFails { .. } => 22,
        Fault::OverRouteSize { .. } => 23,
        Fault::UnknownRecipient => 24,
        Fault::Doubted { .. } => 25,
        Fault::TlsNotOffered => 26,
        Fault::TlsRefused { .. } => 27,
        Fault::Tls(_) => 28,
        Fault::TlsWanted { .. } => 29,
        Fault::Login { .. } => 30,
    }
}

/// The fields of any fault, before its kind is looked at.
#[derive(Default)]
struct Parts {
    kind: u64,
    stage: Option<Stage>,
    reply: Option<posthaste_mail::Reply>,
    name: String,
    record_type: Option<RecordType>,
    answer: u64,
    after: Duration,
    limit: u64,
    connect: u64,
    text: String,
    doubt: u64,
    tls: Option<TlsFault>,
    login: Option<LoginFault>,
    /// Class, subject, detail.
    status: (u64, u64, u64),
}

pub(super) fn read(fields: Fields<'_>, replies: &Replies) -> Result<Fault, Damaged> {
    let mut p = Parts::default();
    fields.each(|tag, value| {
        match tag {
            KIND => p.kind = value.number()?,
            STAGE => p.stage = Some(Stage::from_code(value.number()?)?),
            REPLY => p.reply = Some(replies.at(value)?),
            NAME => p.name = value.text()?,
            RECORD_TYPE => p.record_type = Some(RecordType::from_code(value.number()?)?),
            ANSWER => p.answer = value.number()?,
            AFTER => p.after = get_duration(value)?,
            LIMIT => p.limit = value.number()?,
            CONNECT => p.connect = value.number()?,
            TEXT => p.text = value.text()?,
            STATUS_CLASS => p.status.0 = value.number()?,
            STATUS_SUBJECT => p.status.1 = value.number()?,
            STATUS_DETAIL => p.status.2 = value.number()?,
            DOUBT => p.doubt = value.number()?,
            LOGIN => p.login = Some(login::read(value.fields()?, replies)?),
            TLS => p.tls = Some(tls::read(value.fields()?)?),
            _ => {}
        }
        Ok(())
    })?;
    p.assemble()
}

impl Parts {
    fn assemble(self) -> Result<Fault, Damaged> {
        let name = self.name;
        let stage = || need(self.stage, "a fault without its stage");
        Ok(match self.kind {
            1 => Fault::Reply {
                stage: stage()?,
                reply: need(self.reply, "a fault without its reply")?,
            },
            2 => Fault::DnsFailed {
                name,
                kind: need(self.record_type, "a fault without its record type")?,
                answer: AnswerKind::from_code(self.answer)?,
            },
            3 => Fault::NoSuchDomain { name },
            4 => Fault::NoHosts { name },
            5 => Fault::NullMx { name },
            6 => Fault::LoopsBack { name },
            7 => Fault::OnlyPrivateAddresses { name },
            8 => Fault::Connect(ConnectFault::from_code(self.connect)?),
            9 => Fault::Lost { stage: stage()? },
            10 => Fault::TimedOut { stage: stage()?, after: self.after },
            11 => Fault::Gibberish { stage: stage()? },
            12 => Fault::NeedsSmtpUtf8,
            13 => Fault::NeedsEightBit,
            14 => Fault::OverPeersSize { limit: self.limit },
            15 => Fault::NoRoute,
            16 => Fault::StoreFault,
            17 => Fault::AttemptTooLong,
            18 => Fault::Interrupted,
            19 => Fault::Expired,
            20 => Fault::Operator,
            21 => Fault::RouteDiscards { route: name },
            22 => Fault::RouteFails { route: name, status: status(self.status)?, text: self.text },
            23 => Fault::OverRouteSize { route: name, limit: self.limit },
            24 => Fault::UnknownRecipient,
            25 => Fault::Doubted { name, doubt: Doubt::from_code(self.doubt)? },
            26 => Fault::TlsNotOffered,
            27 => Fault::TlsRefused { reply: need(self.reply, "a fault without its reply")? },
            28 => Fault::Tls(need(self.tls, "a fault of TLS without its kind")?),
            29 => Fault::TlsWanted {
                stage: stage()?,
                reply: need(self.reply, "a fault without its reply")?,
            },
            30 => Fault::Login {
                route: name,
                fault: need(self.login, "a fault of logging in without its kind")?,
            },
            _ => return Err(Damaged("an unknown fault")),
        })
    }
}

fn status((class, subject, detail): (u64, u64, u64)) -> Result<EnhancedStatus, Damaged> {
    let wrong = |_| Damaged("a status is out of range");
    let number = |n| u16::try_from(n).map_err(wrong);
    let class = u8::try_from(class).map_err(wrong)?;
    Ok(EnhancedStatus::new(class, number(subject)?, number(detail)?))
}
