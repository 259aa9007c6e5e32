//! Envelopes.

use super::codes::Code;
use super::wire::{Damaged, Fields, Writer, push};
use super::{Record, get_ip, get_time, put_ip, put_time};
use posthaste_mail::envelope::{Notify, RedirectedFrom, Ret, SignedBy};
use posthaste_mail::{
    BodyType, ConnectionId, ContentFacts, Envelope, Mailbox, QueueId, Recipient, ReversePath,
    Source, SourceKind, Summary, Timestamp,
};

const ID: u32 = 1;
const RECEIVED: u32 = 2;
const REVERSE_PATH: u32 = 3;
const RECIPIENT: u32 = 4;
const RET: u32 = 5;
const ENVID: u32 = 6;
const BODY_TYPE: u32 = 7;
const SMTPUTF8: u32 = 8;
const FACTS: u32 = 9;
const HEADER_FROM: u32 = 10;
const SUBJECT: u32 = 11;
const MESSAGE_ID: u32 = 12;
const DATE: u32 = 13;
const SOURCE_KIND: u32 = 14;
const LISTENER: u32 = 15;
const CLIENT: u32 = 16;
const HELO: u32 = 17;
const USER: u32 = 18;
const ROUTE: u32 = 19;
const SESSION: u32 = 20;
const REDIRECTED_FROM: u32 = 21;
const FIRST_RECEIVED: u32 = 22;
const SIGNED_BY: u32 = 23;

const MAILBOX: u32 = 1;
const ORCPT: u32 = 2;
const NOTIFY: u32 = 3;

const SIZE: u32 = 1;
const HEADER_END: u32 = 2;
const RECEIVED_FIELDS: u32 = 3;
const EIGHT_BIT: u32 = 4;
const LONGEST_LINE: u32 = 5;
const DOTTED: u32 = 6;
const CRC: u32 = 7;
const EIGHT_BIT_HEADER: u32 = 8;
const SIGNED: u32 = 9;

const SIGNED_DOMAIN: u32 = 1;
const SIGNED_SELECTOR: u32 = 2;

impl Record for Envelope {
    fn write(&self, w: &mut Writer) {
        w.number(ID, self.id.as_u64());
        put_time(w, RECEIVED, self.received, Timestamp::EPOCH);
        w.maybe_text(REVERSE_PATH, self.reverse_path.mailbox().map(Mailbox::as_str));
        for recipient in &self.recipients {
            w.nested(RECIPIENT, |w| write_recipient(w, recipient));
        }
        if let Some(ret) = self.ret {
            w.number(RET, ret.code());
        }
        w.maybe_text(ENVID, self.envid.as_deref());
        w.number(BODY_TYPE, self.body_type.code());
        w.flag(SMTPUTF8, self.smtputf8);
        w.nested(FACTS, |w| write_facts(w, &self.facts));
        w.maybe_text(HEADER_FROM, self.summary.header_from.as_deref());
        w.maybe_text(SUBJECT, self.summary.subject.as_deref());
        w.maybe_text(MESSAGE_ID, self.summary.message_id.as_deref());
        w.maybe_text(DATE, self.summary.date.as_deref());
        for by in &self.summary.signed_by {
            w.nested(SIGNED_BY, |w| {
                w.text(SIGNED_DOMAIN, &by.domain);
                w.text(SIGNED_SELECTOR, &by.selector);
            });
        }
        w.number(SOURCE_KIND, self.source.kind.code());
        w.text(LISTENER, &self.source.listener);
        if let Some(ip) = self.source.ip {
            put_ip(w, CLIENT, ip);
        }
        w.text(HELO, &self.source.helo);
        w.maybe_text(USER, self.source.user.as_deref());
        w.maybe_text(ROUTE, self.route.as_deref());
        if let Some(session) = self.source.session {
            w.number_even_zero(SESSION, session.0);
        }
        if let Some(from) = self.redirected_from {
            w.number_even_zero(REDIRECTED_FROM, from.id.as_u64());
            put_time(w, FIRST_RECEIVED, from.received, Timestamp::EPOCH);
        }
    }

    fn read(fields: Fields<'_>) -> Result<Self, Damaged> {
        let mut e = empty();
        let mut first_received = Timestamp::EPOCH;
        fields.each(|tag, value| {
            match tag {
                ID => e.id = QueueId::from_u64(value.number()?),
                RECEIVED => e.received = get_time(value, Timestamp::EPOCH)?,
                REVERSE_PATH => e.reverse_path = ReversePath::Mailbox(mailbox(&value.text()?)?),
                RECIPIENT => push(&mut e.recipients, read_recipient(value.fields()?)?)?,
                RET => e.ret = Some(Ret::from_code(value.number()?)?),
                ENVID => e.envid = Some(value.text()?),
                BODY_TYPE => e.body_type = BodyType::from_code(value.number()?)?,
                SMTPUTF8 => e.smtputf8 = value.flag()?,
                FACTS => e.facts = read_facts(value.fields()?)?,
                HEADER_FROM => e.summary.header_from = Some(value.text()?),
                SUBJECT => e.summary.subject = Some(value.text()?),
                MESSAGE_ID => e.summary.message_id = Some(value.text()?),
                DATE => e.summary.date = Some(value.text()?),
                SIGNED_BY => push(&mut e.summary.signed_by, read_signed_by(value.fields()?)?)?,
                SOURCE_KIND => e.source.kind = SourceKind::from_code(value.number()?)?,
                LISTENER => e.source.listener = value.text()?,
                CLIENT => e.source.ip = Some(get_ip(value)?),
                HELO => e.source.helo = value.text()?,
                USER => e.source.user = Some(value.text()?),
                ROUTE => e.route = Some(value.text()?),
                SESSION => e.source.session = Some(ConnectionId(value.number()?)),
                REDIRECTED_FROM => {
                    let id = QueueId::from_u64(value.number()?);
                    e.redirected_from = Some(RedirectedFrom { id, received: Timestamp::EPOCH });
                }
                FIRST_RECEIVED => first_received = get_time(value, Timestamp::EPOCH)?,
                _ => {}
            }
            Ok(())
        })?;
        if let Some(from) = &mut e.redirected_from {
            from.received = first_received;
        }
        Ok(e)
    }
}

fn empty() -> Envelope {
    Envelope {
        id: QueueId::MIN,
        received: Timestamp::EPOCH,
        reverse_path: ReversePath::Null,
        recipients: Vec::new(),
        ret: None,
        envid: None,
        body_type: BodyType::default(),
        smtputf8: false,
        facts: ContentFacts::default(),
        summary: Summary::default(),
        source: Source {
            kind: SourceKind::Relay,
            listener: String::new(),
            ip: None,
            helo: String::new(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    }
}

fn mailbox(text: &str) -> Result<Mailbox, Damaged> {
    Mailbox::from_stored(text).ok_or(Damaged("not a mailbox"))
}

fn write_recipient(w: &mut Writer, recipient: &Recipient) {
    w.text(MAILBOX, recipient.mailbox.as_str());
    w.maybe_text(ORCPT, recipient.orcpt.as_deref());
    if let Some(notify) = recipient.notify {
        let bits = [(notify.success, 1), (notify.failure, 2), (notify.delay, 4)];
        let bits = bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum();
        w.number_even_zero(NOTIFY, bits);
    }
}

fn read_signed_by(fields: Fields<'_>) -> Result<SignedBy, Damaged> {
    let mut by = SignedBy { domain: String::new(), selector: String::new() };
    fields.each(|tag, value| {
        match tag {
            SIGNED_DOMAIN => by.domain = value.text()?,
            SIGNED_SELECTOR => by.selector = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(by)
}

fn read_recipient(fields: Fields<'_>) -> Result<Recipient, Damaged> {
    let (mut to, mut orcpt, mut notify) = (None, None, None);
    fields.each(|tag, value| {
        match tag {
            MAILBOX => to = Some(mailbox(&value.text()?)?),
            ORCPT => orcpt = Some(value.text()?),
            NOTIFY => {
                let bits = value.number()?;
                let (success, failure, delay) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
                notify = Some(Notify { success, failure, delay });
            }
            _ => {}
        }
        Ok(())
    })?;
    let mailbox = super::need(to, "a recipient without mailbox")?;
    Ok(Recipient { mailbox, orcpt, notify })
}

fn write_facts(w: &mut Writer, facts: &ContentFacts) {
    w.number(SIZE, facts.size);
    w.number(HEADER_END, facts.header_end);
    w.number(RECEIVED_FIELDS, u64::from(facts.received));
    w.flag(EIGHT_BIT, facts.eight_bit);
    w.flag(EIGHT_BIT_HEADER, facts.eight_bit_header);
    w.number(LONGEST_LINE, facts.longest_line);
    w.flag(DOTTED, facts.dotted);
    w.flag(SIGNED, facts.signed);
    w.number(CRC, u64::from(facts.crc));
}

fn read_facts(fields: Fields<'_>) -> Result<ContentFacts, Damaged> {
    let mut facts = ContentFacts::default();
    fields.each(|tag, value| {
        match tag {
            SIZE => facts.size = value.number()?,
            HEADER_END => facts.header_end = value.number()?,
            RECEIVED_FIELDS => facts.received = value.small()?,
            EIGHT_BIT => facts.eight_bit = value.flag()?,
            EIGHT_BIT_HEADER => facts.eight_bit_header = value.flag()?,
            LONGEST_LINE => facts.longest_line = value.number()?,
            DOTTED => facts.dotted = value.flag()?,
            SIGNED => facts.signed = value.flag()?,
            CRC => facts.crc = value.small()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(facts)
}
