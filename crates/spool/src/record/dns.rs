//! DNS answers.

use super::codes::Code;
use super::wire::{Damaged, Fields, Writer, push};
use super::{ip_from, need, tls};
use posthaste_evidence::{
    Answer, AnswerKind, Edns, Record as Resource, RecordData, RecordType, Transport,
};
use std::net::IpAddr;

const KIND: u32 = 1;
const TRANSPORT: u32 = 2;
const FLAGS: u32 = 3;
const TTL: u32 = 4;
const RECORD: u32 = 5;
const EXTENDED: u32 = 6;
const EDNS: u32 = 7;
const TLS: u32 = 8;

const AUTHENTIC: u64 = 1;
const AUTHORITATIVE: u64 = 2;
const TRUNCATED: u64 = 4;
const STALE: u64 = 8;
const FALLBACK: u64 = 16;

const OWNER: u32 = 1;
const RECORD_TTL: u32 = 2;
const TYPE: u32 = 3;
const OCTETS: u32 = 4;
const TEXT: u32 = 5;
const FIRST: u32 = 6;
const SECOND: u32 = 7;
const THIRD: u32 = 8;
const FOURTH: u32 = 9;
const FIFTH: u32 = 10;

const INFO_CODE: u32 = 1;
const INFO_TEXT: u32 = 2;

pub(super) fn write(w: &mut Writer, answer: &Answer) {
    w.number(KIND, answer.kind.code());
    w.number(TRANSPORT, answer.transport.code());
    let flags = [
        (answer.authentic, AUTHENTIC),
        (answer.authoritative, AUTHORITATIVE),
        (answer.truncated, TRUNCATED),
        (answer.stale, STALE),
        (answer.fallback, FALLBACK),
    ];
    w.number(FLAGS, flags.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
    w.number(TTL, u64::from(answer.ttl));
    if answer.edns != Edns::Offered {
        w.number(EDNS, answer.edns.code());
    }
    if let Some(fault) = &answer.tls {
        w.nested(TLS, |w| tls::write(w, fault));
    }
    for record in &answer.records {
        w.nested(RECORD, |w| write_record(w, record));
    }
    for (code, text) in &answer.extended {
        w.nested(EXTENDED, |w| {
            w.number(INFO_CODE, u64::from(*code));
            w.text(INFO_TEXT, text);
        });
    }
}

pub(super) fn read(fields: Fields<'_>) -> Result<Answer, Damaged> {
    let mut answer = Answer::empty(AnswerKind::Answer, Transport::Udp);
    let mut records = Vec::new();
    fields.each(|tag, value| {
        match tag {
            KIND => answer.kind = AnswerKind::from_code(value.number()?)?,
            TRANSPORT => answer.transport = Transport::from_code(value.number()?)?,
            FLAGS => {
                let flags = value.number()?;
                answer.authentic = flags & AUTHENTIC != 0;
                answer.authoritative = flags & AUTHORITATIVE != 0;
                answer.truncated = flags & TRUNCATED != 0;
                answer.stale = flags & STALE != 0;
                answer.fallback = flags & FALLBACK != 0;
            }
            TTL => answer.ttl = value.small()?,
            EDNS => answer.edns = Edns::from_code(value.number()?)?,
            TLS => answer.tls = Some(tls::read(value.fields()?)?),
            RECORD => push(&mut records, read_record(value.fields()?)?)?,
            EXTENDED => push(&mut answer.extended, read_extended(value.fields()?)?)?,
            _ => {}
        }
        Ok(())
    })?;
    answer.records = records.into();
    Ok(answer)
}

fn read_extended(fields: Fields<'_>) -> Result<(u16, String), Damaged> {
    let mut extended = (0, String::new());
    fields.each(|tag, value| {
        match tag {
            INFO_CODE => extended.0 = value.small()?,
            INFO_TEXT => extended.1 = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(extended)
}

fn write_record(w: &mut Writer, record: &Resource) {
    w.text(OWNER, &record.name);
    w.number(RECORD_TTL, u64::from(record.ttl));
    let mut of_type = |kind: RecordType| w.number(TYPE, kind.code());
    match &record.data {
        RecordData::A(ip) => {
            of_type(RecordType::A);
            w.bytes(OCTETS, &ip.octets());
        }
        RecordData::Aaaa(ip) => {
            of_type(RecordType::Aaaa);
            w.bytes(OCTETS, &ip.octets());
        }
        RecordData::Mx { preference, exchange } => {
            of_type(RecordType::Mx);
            w.number(FIRST, u64::from(*preference));
            w.text(TEXT, exchange);
        }
        RecordData::Cname(name) => {
            of_type(RecordType::Cname);
            w.text(TEXT, name);
        }
        RecordData::Ptr(name) => {
            of_type(RecordType::Ptr);
            w.text(TEXT, name);
        }
        RecordData::Txt(text) => {
            of_type(RecordType::Txt);
            w.text(TEXT, text);
        }
        RecordData::Ns(name) => {
            of_type(RecordType::Ns);
            w.text(TEXT, name);
        }
        RecordData::Soa { primary, serial, minimum } => {
            of_type(RecordType::Soa);
            w.text(TEXT, primary);
            w.number(FIRST, u64::from(*serial));
            w.number(SECOND, u64::from(*minimum));
        }
        RecordData::Tlsa(usage, selector, matching, data) => {
            of_type(RecordType::Tlsa);
            w.number(FIRST, u64::from(*usage));
            w.number(SECOND, u64::from(*selector));
            w.number(THIRD, u64::from(*matching));
            w.bytes(OCTETS, data);
        }
        signed => write_signed(w, signed),
    }
}

/// The records of DNSSEC (RFC 4034).
fn write_signed(w: &mut Writer, data: &RecordData) {
    let (kind, numbers) = match data {
        RecordData::Ds { key_tag, algorithm, digest_type } => {
            let numbers = [u64::from(*key_tag), (*algorithm).into(), (*digest_type).into(), 0, 0];
            (RecordType::Ds, numbers)
        }
        RecordData::Dnskey { flags, algorithm, key_tag } => {
            let numbers = [u64::from(*key_tag), (*algorithm).into(), (*flags).into(), 0, 0];
            (RecordType::Dnskey, numbers)
        }
        RecordData::Rrsig { covers, algorithm, key_tag, inception, expiration, signer } => {
            w.text(TEXT, signer);
            let [inception, expiration] = [*inception, *expiration].map(u64::from);
            let numbers =
                [(*key_tag).into(), (*algorithm).into(), (*covers).into(), inception, expiration];
            (RecordType::Rrsig, numbers)
        }
        _ => return,
    };
    w.number(TYPE, kind.code());
    for (tag, number) in [FIRST, SECOND, THIRD, FOURTH, FIFTH].into_iter().zip(numbers) {
        w.number(tag, number);
    }
}

fn read_record(fields: Fields<'_>) -> Result<Resource, Damaged> {
    let (mut name, mut ttl, mut kind, mut text) = (String::new(), 0, None, String::new());
    let (mut octets, mut numbers) = (&[][..], [0u64; 5]);
    fields.each(|tag, value| {
        match tag {
            OWNER => name = value.text()?,
            RECORD_TTL => ttl = value.small()?,
            TYPE => kind = Some(RecordType::from_code(value.number()?)?),
            OCTETS => octets = value.bytes()?,
            TEXT => text = value.text()?,
            FIRST => numbers[0] = value.number()?,
            SECOND => numbers[1] = value.number()?,
            THIRD => numbers[2] = value.number()?,
            FOURTH => numbers[3] = value.number()?,
            FIFTH => numbers[4] = value.number()?,
            _ => {}
        }
        Ok(())
    })?;
    let kind = need(kind, "a resource record without type")?;
    Ok(Resource { name, ttl, data: data_of(kind, text, octets, numbers)? })
}

fn data_of(
    kind: RecordType,
    text: String,
    octets: &[u8],
    numbers: [u64; 5],
) -> Result<RecordData, Damaged> {
    Ok(match kind {
        RecordType::A | RecordType::Aaaa => match ip_from(octets) {
            Some(IpAddr::V4(ip)) => RecordData::A(ip),
            Some(IpAddr::V6(ip)) => RecordData::Aaaa(ip),
            None => return Err(Damaged("not an address")),
        },
        RecordType::Mx => RecordData::Mx { preference: narrow(numbers[0])?, exchange: text },
        RecordType::Cname => RecordData::Cname(text),
        RecordType::Ptr => RecordData::Ptr(text),
        RecordType::Txt => RecordData::Txt(text),
        RecordType::Ns => RecordData::Ns(text),
        RecordType::Soa => RecordData::Soa {
            primary: text,
            serial: narrow(numbers[0])?,
            minimum: narrow(numbers[1])?,
        },
        RecordType::Tlsa => RecordData::Tlsa(
            narrow(numbers[0])?,
            narrow(numbers[1])?,
            narrow(numbers[2])?,
            octets.to_vec(),
        ),
        RecordType::Ds => RecordData::Ds {
            key_tag: narrow(numbers[0])?,
            algorithm: narrow(numbers[1])?,
            digest_type: narrow(numbers[2])?,
        },
        RecordType::Dnskey => RecordData::Dnskey {
            key_tag: narrow(numbers[0])?,
            algorithm: narrow(numbers[1])?,
            flags: narrow(numbers[2])?,
        },
        RecordType::Rrsig => RecordData::Rrsig {
            key_tag: narrow(numbers[0])?,
            algorithm: narrow(numbers[1])?,
            covers: narrow(numbers[2])?,
            inception: narrow(numbers[3])?,
            expiration: narrow(numbers[4])?,
            signer: text,
        },
    })
}

fn narrow<T: TryFrom<u64>>(number: u64) -> Result<T, Damaged> {
    T::try_from(number).map_err(|_| Damaged("a number is out of range"))
}
