//! What TLS showed, or why it failed, and what certificates said of themselves.

use super::codes::Code;
use super::need;
use super::wire::{Damaged, Fields, Writer, push};
use posthaste_evidence::tls::{Certificate, TlsFacts, TlsFault, TlsVersion, Untrusted};
use posthaste_mail::Timestamp;

const WAY: u32 = 1;
const WHY: u32 = 2;
const ALERT: u32 = 3;
const RESET: u32 = 4;
const CERTIFICATE: u32 = 5;

const SUBJECT: u32 = 1;
const NAME: u32 = 2;
const ISSUER: u32 = 3;
const NOT_BEFORE: u32 = 4;
const NOT_AFTER: u32 = 5;
const KEY: u32 = 6;

const UNTRUSTED: u64 = 1;
const NOT_TLS: u64 = 2;
const NOTHING_IN_COMMON: u64 = 3;
const ALERTED: u64 = 4;
const LOST: u64 = 5;
const TIMED_OUT: u64 = 6;
const BROKEN: u64 = 7;
const BAD_NAME: u64 = 8;
const INJECTED: u64 = 9;
const NO_CERTIFICATE: u64 = 10;
const NO_IDENTITY: u64 = 11;

const VERSION: u32 = 1;
const CIPHER: u32 = 2;
const ALPN: u32 = 3;
const CHAIN: u32 = 4;
const UNVERIFIED: u32 = 5;

pub(super) fn write_facts(w: &mut Writer, facts: &TlsFacts) {
    w.number(VERSION, facts.version.code());
    w.text(CIPHER, &facts.cipher);
    w.maybe_text(ALPN, facts.alpn.as_deref());
    for certificate in &facts.chain {
        w.nested(CHAIN, |w| write_certificate(w, certificate));
    }
    if let Err(why) = facts.verified {
        w.number(UNVERIFIED, why.code());
    }
}

pub(super) fn read_facts(fields: Fields<'_>) -> Result<TlsFacts, Damaged> {
    let (mut version, mut cipher, mut alpn) = (None, String::new(), None);
    let (mut chain, mut verified) = (Vec::new(), Ok(()));
    fields.each(|tag, value| {
        match tag {
            VERSION => version = Some(TlsVersion::from_code(value.number()?)?),
            CIPHER => cipher = value.text()?,
            ALPN => alpn = Some(value.text()?),
            CHAIN => push(&mut chain, read_certificate(value.fields()?)?)?,
            UNVERIFIED => verified = Err(Untrusted::from_code(value.number()?)?),
            _ => {}
        }
        Ok(())
    })?;
    let version = need(version, "TLS without its version")?;
    Ok(TlsFacts { version, cipher, alpn, chain, verified })
}

pub(super) fn write(w: &mut Writer, fault: &TlsFault) {
    let way = match fault {
        TlsFault::Untrusted { why, certificate } => {
            w.number(WHY, why.code());
            if let Some(certificate) = certificate {
                w.nested(CERTIFICATE, |w| write_certificate(w, certificate));
            }
            UNTRUSTED
        }
        TlsFault::NotTls => NOT_TLS,
        TlsFault::NothingInCommon => NOTHING_IN_COMMON,
        TlsFault::Alert(number) => {
            w.number(ALERT, u64::from(*number));
            ALERTED
        }
        TlsFault::Lost { reset } => {
            w.flag(RESET, *reset);
            LOST
        }
        TlsFault::TimedOut => TIMED_OUT,
        TlsFault::Broken => BROKEN,
        TlsFault::BadName => BAD_NAME,
        TlsFault::Injected => INJECTED,
        TlsFault::NoCertificate => NO_CERTIFICATE,
        TlsFault::NoIdentity => NO_IDENTITY,
    };
    w.number(WAY, way);
}

pub(super) fn read(fields: Fields<'_>) -> Result<TlsFault, Damaged> {
    let (mut way, mut why, mut alert, mut reset, mut certificate) = (0, None, 0, false, None);
    fields.each(|tag, value| {
        match tag {
            WAY => way = value.number()?,
            WHY => why = Some(Untrusted::from_code(value.number()?)?),
            ALERT => alert = value.small()?,
            RESET => reset = value.number()? != 0,
            CERTIFICATE => certificate = Some(Box::new(read_certificate(value.fields()?)?)),
            _ => {}
        }
        Ok(())
    })?;
    Ok(match way {
        UNTRUSTED => TlsFault::Untrusted { why: need(why, "a reason")?, certificate },
        NOT_TLS => TlsFault::NotTls,
        NOTHING_IN_COMMON => TlsFault::NothingInCommon,
        ALERTED => TlsFault::Alert(alert),
        LOST => TlsFault::Lost { reset },
        TIMED_OUT => TlsFault::TimedOut,
        BROKEN => TlsFault::Broken,
        BAD_NAME => TlsFault::BadName,
        INJECTED => TlsFault::Injected,
        NO_CERTIFICATE => TlsFault::NoCertificate,
        NO_IDENTITY => TlsFault::NoIdentity,
        _ => return Err(Damaged("an unknown fault of TLS")),
    })
}

fn write_certificate(w: &mut Writer, certificate: &Certificate) {
    w.text(SUBJECT, &certificate.subject);
    for name in &certificate.names {
        w.text(NAME, name);
    }
    w.text(ISSUER, &certificate.issuer);
    w.signed(NOT_BEFORE, certificate.not_before.as_micros());
    w.signed(NOT_AFTER, certificate.not_after.as_micros());
    w.bytes(KEY, &certificate.key);
}

fn read_certificate(fields: Fields<'_>) -> Result<Certificate, Damaged> {
    let mut certificate = Certificate {
        subject: String::new(),
        names: Vec::new(),
        issuer: String::new(),
        not_before: Timestamp::EPOCH,
        not_after: Timestamp::EPOCH,
        key: [0; 32],
    };
    fields.each(|tag, value| {
        match tag {
            SUBJECT => certificate.subject = value.text()?,
            NAME => push(&mut certificate.names, value.text()?)?,
            ISSUER => certificate.issuer = value.text()?,
            NOT_BEFORE => certificate.not_before = Timestamp::from_micros(value.signed()?),
            NOT_AFTER => certificate.not_after = Timestamp::from_micros(value.signed()?),
            KEY => {
                let key = value.bytes()?.try_into();
                certificate.key = key.map_err(|_| Damaged("a key's hash of another length"))?;
            }
            _ => {}
        }
        Ok(())
    })?;
    Ok(certificate)
}
