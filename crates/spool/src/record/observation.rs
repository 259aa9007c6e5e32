//! Observations. Their times are distances from the record they stand in; their replies are in its table.

use super::codes::Code;
use super::reply::Replies;
use super::wire::{Damaged, Fields, Writer, push};
use super::{
    dns, get_duration, get_socket, get_time, login, need, put_duration, put_socket, put_time, tls,
};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Answer, ConnectFault, Effect, LoginFault, Observation, RecordType, Seen, Stage, Subject,
    TlsDemand, TlsFacts, TlsFault, TlsLevel, TlsOrigin,
};
use posthaste_mail::{Mechanism, Reply, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

const AT: u32 = 1;
const TOOK: u32 = 2;
const STAGE: u32 = 3;
const EFFECT: u32 = 4;
const SUBJECT: u32 = 5;
const NAME: u32 = 6;
const ADDRESS: u32 = 7;
const RECORD_TYPE: u32 = 8;
const RECIPIENT: u32 = 9;
const SEEN: u32 = 10;
const REPLY: u32 = 11;
const ANSWER: u32 = 12;
const LOCAL: u32 = 13;
const CONNECT: u32 = 14;
const CAPABILITY: u32 = 15;
const AFTER: u32 = 16;
const RESET: u32 = 17;
const CHOICE: u32 = 18;
const TLS: u32 = 19;
const TLS_FAULT: u32 = 20;
const TLS_LEVEL: u32 = 21;
const TLS_ORIGIN: u32 = 22;
const MECHANISM: u32 = 23;
const LOGIN_FAULT: u32 = 24;

/// The most observations of one record (an attempt or a connection).
const MAX_OBSERVATIONS: usize = 4096;

pub(super) fn write(w: &mut Writer, o: &Observation, base: Timestamp, replies: &mut Replies) {
    put_time(w, AT, o.at, base);
    put_duration(w, TOOK, o.took);
    w.number(STAGE, o.stage.code());
    w.number(EFFECT, o.effect.code());
    write_subject(w, &o.subject);
    write_seen(w, &o.seen, replies);
}

fn write_subject(w: &mut Writer, subject: &Subject) {
    match subject {
        Subject::Here => {}
        Subject::Route(name) => {
            w.number(SUBJECT, 1);
            w.text(NAME, name);
        }
        Subject::Question { server, name, kind } => {
            w.number(SUBJECT, 2);
            w.text(NAME, name);
            w.number(RECORD_TYPE, kind.code());
            if let Some(server) = server {
                put_socket(w, ADDRESS, *server);
            }
        }
        Subject::Host { name, address } => {
            w.number(SUBJECT, 3);
            w.text(NAME, name);
            if let Some(address) = address {
                put_socket(w, ADDRESS, *address);
            }
        }
        Subject::Recipient(number) => {
            w.number(SUBJECT, 4);
            w.number(RECIPIENT, u64::from(*number));
        }
        Subject::Peer => w.number(SUBJECT, 5),
    }
}

fn write_seen(w: &mut Writer, seen: &Seen, replies: &mut Replies) {
    let mut kind = |number| w.number(SEEN, number);
    match seen {
        Seen::Done => {}
        Seen::Answer(answer) => {
            kind(1);
            w.nested(ANSWER, |w| dns::write(w, answer));
        }
        Seen::Connected { local } => {
            kind(2);
            put_socket(w, LOCAL, *local);
        }
        Seen::ConnectFailed(fault) => {
            kind(3);
            w.number(CONNECT, fault.code());
        }
        Seen::Reply(reply) => {
            kind(4);
            w.number(REPLY, replies.place(reply));
        }
        Seen::Capabilities(list) => {
            kind(5);
            for capability in list {
                w.bytes(CAPABILITY, capability.as_bytes());
            }
        }
        Seen::TimedOut { after } => {
            kind(6);
            put_duration(w, AFTER, *after);
        }
        Seen::Lost { reset } => {
            kind(7);
            w.flag(RESET, *reset);
        }
        Seen::Gibberish => kind(8),
        Seen::Chose(choice) => {
            kind(9);
            w.number(CHOICE, choice.code());
        }
        Seen::Tls(facts) => {
            kind(10);
            w.nested(TLS, |w| tls::write_facts(w, facts));
        }
        Seen::TlsFailed(fault) => {
            kind(11);
            w.nested(TLS_FAULT, |w| tls::write(w, fault));
        }
        Seen::TlsDemanded(demand) => {
            kind(12);
            w.number(TLS_LEVEL, demand.level.code());
            w.number(TLS_ORIGIN, demand.origin.code());
        }
        Seen::Login { mechanism, reply } => {
            kind(13);
            w.number(MECHANISM, mechanism.code());
            w.number(REPLY, replies.place(reply));
        }
        Seen::LoginFailed(fault) => {
            kind(14);
            w.nested(LOGIN_FAULT, |w| login::write(w, fault, replies));
        }
    }
}

/// The fields of any observation, before its kinds are looked at.
#[derive(Default)]
struct Parts {
    at: Timestamp,
    took: Duration,
    stage: Option<Stage>,
    effect: Effect,
    subject: u64,
    name: String,
    address: Option<SocketAddr>,
    record_type: Option<RecordType>,
    recipient: u32,
    seen: u64,
    reply: Option<Reply>,
    answer: Option<Answer>,
    local: Option<SocketAddr>,
    connect: u64,
    capabilities: Vec<String>,
    after: Duration,
    reset: bool,
    choice: Option<Choice>,
    tls: Option<Box<TlsFacts>>,
    tls_fault: Option<Box<TlsFault>>,
    tls_level: Option<TlsLevel>,
    tls_origin: Option<TlsOrigin>,
    mechanism: Option<Mechanism>,
    login: Option<LoginFault>,
}

pub(super) fn add(
    list: &mut Vec<Observation>,
    fields: Fields<'_>,
    base: Timestamp,
    replies: &Replies,
) -> Result<(), Damaged> {
    if list.len() >= MAX_OBSERVATIONS {
        return Err(Damaged("too many observations"));
    }
    list.push(read(fields, base, replies)?);
    Ok(())
}

fn read(fields: Fields<'_>, base: Timestamp, replies: &Replies) -> Result<Observation, Damaged> {
    let mut p = Parts { at: base, ..Parts::default() };
    fields.each(|tag, value| {
        match tag {
            AT => p.at = get_time(value, base)?,
            TOOK => p.took = get_duration(value)?,
            STAGE => p.stage = Some(Stage::from_code(value.number()?)?),
            EFFECT => p.effect = Effect::from_code(value.number()?)?,
            SUBJECT => p.subject = value.number()?,
            NAME => p.name = value.text()?,
            ADDRESS => p.address = Some(get_socket(value)?),
            RECORD_TYPE => p.record_type = Some(RecordType::from_code(value.number()?)?),
            RECIPIENT => p.recipient = value.small()?,
            SEEN => p.seen = value.number()?,
            REPLY => p.reply = Some(replies.at(value)?),
            ANSWER => p.answer = Some(dns::read(value.fields()?)?),
            LOCAL => p.local = Some(get_socket(value)?),
            CONNECT => p.connect = value.number()?,
            CAPABILITY => push(&mut p.capabilities, value.text()?)?,
            AFTER => p.after = get_duration(value)?,
            RESET => p.reset = value.flag()?,
            CHOICE => p.choice = Some(Choice::from_code(value.number()?)?),
            TLS => p.tls = Some(Box::new(tls::read_facts(value.fields()?)?)),
            TLS_FAULT => p.tls_fault = Some(Box::new(tls::read(value.fields()?)?)),
            TLS_LEVEL => p.tls_level = Some(TlsLevel::from_code(value.number()?)?),
            MECHANISM => p.mechanism = Some(Mechanism::from_code(value.number()?)?),
            LOGIN_FAULT => p.login = Some(login::read(value.fields()?, replies)?),
            TLS_ORIGIN => p.tls_origin = Some(TlsOrigin::from_code(value.number()?)?),
            _ => {}
        }
        Ok(())
    })?;
    p.assemble()
}

impl Parts {
    fn assemble(self) -> Result<Observation, Damaged> {
        let subject = match self.subject {
            0 => Subject::Here,
            1 => Subject::Route(self.name),
            2 => Subject::Question {
                server: self.address,
                name: self.name,
                kind: need(self.record_type, "a question without its type")?,
            },
            3 => Subject::Host { name: self.name, address: self.address },
            4 => Subject::Recipient(self.recipient),
            5 => Subject::Peer,
            _ => return Err(Damaged("an unknown subject")),
        };
        let seen = match self.seen {
            0 => Seen::Done,
            1 => Seen::Answer(need(self.answer, "an observation without its answer")?),
            2 => Seen::Connected { local: need(self.local, "an observation without its end")? },
            3 => Seen::ConnectFailed(ConnectFault::from_code(self.connect)?),
            4 => Seen::Reply(need(self.reply, "an observation without its reply")?),
            5 => Seen::Capabilities(self.capabilities),
            6 => Seen::TimedOut { after: self.after },
            7 => Seen::Lost { reset: self.reset },
            8 => Seen::Gibberish,
            9 => Seen::Chose(need(self.choice, "an observation without its choice")?),
            10 => Seen::Tls(need(self.tls, "an observation without its TLS")?),
            11 => Seen::TlsFailed(need(self.tls_fault, "an observation without its fault of TLS")?),
            12 => Seen::TlsDemanded(TlsDemand {
                level: need(self.tls_level, "a demand without its level")?,
                origin: need(self.tls_origin, "a demand without its origin")?,
            }),
            13 => Seen::Login {
                mechanism: need(self.mechanism, "a login without its mechanism")?,
                reply: need(self.reply, "an observation without its reply")?,
            },
            14 => Seen::LoginFailed(need(self.login, "an observation without its login")?),
            _ => return Err(Damaged("an unknown observation")),
        };
        let stage = need(self.stage, "an observation without its stage")?;
        let Self { at, took, effect, .. } = self;
        Ok(Observation { at, took, stage, subject, seen, effect })
    }
}

/// The mark that stands for observations that were left out.
pub(super) const fn left_out(at: Timestamp) -> Observation {
    Observation {
        at,
        took: Duration::ZERO,
        stage: Stage::Local,
        subject: Subject::Here,
        seen: Seen::Chose(Choice::LeftOut),
        effect: Effect::None,
    }
}

/// Takes two more out of the middle, where the mark stands afterwards; `false` when nothing is left to take.
pub(super) fn drop_from_middle(list: &mut Vec<Observation>) -> bool {
    let marked = |o: &Observation| o.seen == Seen::Chose(Choice::LeftOut);
    match list.iter().position(marked) {
        None if list.len() < 2 => false,
        None => {
            let middle = list.len() / 2;
            let at = list[middle - 1].at;
            list.splice(middle - 1..=middle, [left_out(at)]);
            true
        }
        Some(_) if list.len() == 1 => false,
        Some(mark) => {
            // The end tells more than the beginning: what decided comes last.
            let victim = if mark >= list.len() - mark - 1 { mark - 1 } else { mark + 1 };
            list.remove(victim);
            true
        }
    }
}
