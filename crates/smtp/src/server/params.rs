//! Parameters of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 1870, 3461, 6152, 6531, 6533).
//!
//! Not here: what they do to a message.

use super::{Extensions, Fault};
use crate::xtext;
use posthaste_mail::BodyType;
use posthaste_mail::envelope::{Notify, Ret};

/// RFC 3461 section 4.4, octets, decoded.
const MAX_ENVID: usize = 100;
/// RFC 3461 section 5.4 asks for 500 octets of ORCPT.
const MAX_ORCPT: usize = 500;

/// Parameters of MAIL.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MailParams {
    /// RFC 1870, octets; not over the limit.
    pub size: Option<u64>,
    /// RFC 6152.
    pub body: BodyType,
    /// RFC 6531.
    pub smtputf8: bool,
    /// RFC 3461 section 4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 section 4.4, decoded.
    pub envid: Option<String>,
}

/// Parameters of RCPT.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RcptParams {
    /// RFC 3461 section 4.1.
    pub notify: Option<Notify>,
    /// RFC 3461 section 4.2: `type;address`, decoded.
    pub orcpt: Option<String>,
}

/// Reads what follows the path of MAIL.
pub(super) fn mail(text: &str, extensions: &Extensions) -> Result<MailParams, Fault> {
    let mut params = MailParams::default();
    let (mut body_given, mut auth_given) = (false, false);
    for param in text.split(' ').filter(|p| !p.is_empty()) {
        let (name, value) = split(param)?;
        if is(name, "SIZE") && params.size.is_none() {
            params.size = Some(size(needed(value)?)?);
        } else if is(name, "BODY") && extensions.eight_bit_mime && !body_given {
            params.body = body(needed(value)?)?;
            body_given = true;
        } else if is(name, "SMTPUTF8") && extensions.smtputf8 && !params.smtputf8 {
            params.smtputf8 = value.is_none().then_some(true).ok_or(Fault::BadParameter)?;
        } else if is(name, "RET") && extensions.dsn && params.ret.is_none() {
            params.ret = Some(ret(needed(value)?)?);
        } else if is(name, "ENVID") && extensions.dsn && params.envid.is_none() {
            params.envid = Some(envid(needed(value)?)?);
        } else if is(name, "AUTH") && extensions.auth && !auth_given {
            identity(needed(value)?)?;
            auth_given = true;
        } else {
            return Err(Fault::UnknownParameter);
        }
    }
    Ok(params)
}

/// Reads what follows the path of RCPT. `utf8`: SMTPUTF8 was given with MAIL.
pub(super) fn rcpt(text: &str, extensions: &Extensions, utf8: bool) -> Result<RcptParams, Fault> {
    let mut params = RcptParams::default();
    for param in text.split(' ').filter(|p| !p.is_empty()) {
        let (name, value) = split(param)?;
        if is(name, "NOTIFY") && extensions.dsn && params.notify.is_none() {
            params.notify = Some(notify(needed(value)?)?);
        } else if is(name, "ORCPT") && extensions.dsn && params.orcpt.is_none() {
            params.orcpt = Some(orcpt(needed(value)?, utf8)?);
        } else {
            return Err(Fault::UnknownParameter);
        }
    }
    Ok(params)
}

fn is(name: &str, keyword: &str) -> bool {
    name.eq_ignore_ascii_case(keyword)
}

/// `esmtp-keyword ["=" esmtp-value]`.
fn split(param: &str) -> Result<(&str, Option<&str>), Fault> {
    let (name, value) = match param.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (param, None),
    };
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let valued = value.is_none_or(|v| !v.is_empty() && !v.contains('='));
    if word && valued && !name.is_empty() && !name.starts_with('-') {
        Ok((name, value))
    } else {
        Err(Fault::BadParameter)
    }
}

fn needed(value: Option<&str>) -> Result<&str, Fault> {
    value.ok_or(Fault::BadParameter)
}

/// RFC 1870 section 6: 1 to 20 digits, more than a `u64` holds.
fn size(value: &str) -> Result<u64, Fault> {
    if value.len() > 20 || !value.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::BadParameter);
    }
    Ok(value.parse().unwrap_or(u64::MAX))
}

fn body(value: &str) -> Result<BodyType, Fault> {
    match value {
        v if is(v, "7BIT") => Ok(BodyType::SevenBit),
        v if is(v, "8BITMIME") => Ok(BodyType::EightBitMime),
        _ => Err(Fault::BadParameter),
    }
}

fn ret(value: &str) -> Result<Ret, Fault> {
    match value {
        v if is(v, "FULL") => Ok(Ret::Full),
        v if is(v, "HDRS") => Ok(Ret::Hdrs),
        _ => Err(Fault::BadParameter),
    }
}

/// Who submitted the message first, as the client says (RFC 4954 section 5). No client is trusted that far: it counts as
/// `<>`, which is what an untrusted one means.
fn identity(value: &str) -> Result<(), Fault> {
    xtext::decode(value, true).map(drop).map_err(|_| Fault::BadParameter)
}

fn envid(value: &str) -> Result<String, Fault> {
    let id = xtext::decode(value, false).map_err(|_| Fault::BadParameter)?;
    if id.len() <= MAX_ENVID { Ok(id) } else { Err(Fault::BadParameter) }
}

fn notify(value: &str) -> Result<Notify, Fault> {
    let mut notify = Notify::default();
    if is(value, "NEVER") {
        return Ok(notify);
    }
    for word in value.split(',') {
        match word {
            w if is(w, "SUCCESS") => notify.success = true,
            w if is(w, "FAILURE") => notify.failure = true,
            w if is(w, "DELAY") => notify.delay = true,
            _ => return Err(Fault::BadParameter),
        }
    }
    Ok(notify)
}

/// `addr-type ";" xtext`; RFC 6533 section 3 has its own encoding for the type `utf-8`.
fn orcpt(value: &str, utf8: bool) -> Result<String, Fault> {
    let (kind, coded) = value.split_once(';').ok_or(Fault::BadParameter)?;
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/?^_`{|}~".contains(&b);
    let sound = !kind.is_empty() && kind.bytes().all(atom) && !coded.is_empty();
    if !sound || value.len() > MAX_ORCPT || (!value.is_ascii() && !utf8) {
        return Err(Fault::BadParameter);
    }
    let decoded = if is(kind, "utf-8") {
        xtext::decode_utf8_address(coded)
    } else {
        xtext::decode(coded, false)
    };
    Ok(format!("{kind};{}", decoded.map_err(|_| Fault::BadParameter)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Extensions = Extensions {
        pipelining: true,
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        chunking: true,
        starttls: false,
        auth: false,
    };

    #[test]
    fn mail_parameters() {
        let params = mail(" size=42 BODY=8bitmime SMTPUTF8 RET=HDRS  ENVID=a+2Bb ", &ALL);
        let expected = MailParams {
            size: Some(42),
            body: BodyType::EightBitMime,
            smtputf8: true,
            ret: Some(Ret::Hdrs),
            envid: Some("a+b".into()),
        };
        assert_eq!(params, Ok(expected));
        assert_eq!(mail("", &ALL), Ok(MailParams::default()));
        assert_eq!(mail(" SIZE=99999999999999999999", &ALL).map(|p| p.size), Ok(Some(u64::MAX)));
    }

    #[test]
    fn rcpt_parameters() {
        let read = |text: &str| rcpt(text, &ALL, false);
        let both = read(" NOTIFY=success,DELAY ORCPT=rfc822;a+2Bb@c.example").expect("valid");
        assert_eq!(both.notify, Some(Notify { success: true, failure: false, delay: true }));
        assert_eq!(both.orcpt.as_deref(), Some("rfc822;a+b@c.example"));
        assert_eq!(read(" NOTIFY=NEVER").map(|p| p.notify), Ok(Some(Notify::default())));
        let utf8 = read(r" ORCPT=utf-8;j\x{F6}rg@x").expect("valid");
        assert_eq!(utf8.orcpt.as_deref(), Some("utf-8;jörg@x"));
        let raw = rcpt(" ORCPT=utf-8;jörg@x", &ALL, true).expect("valid with SMTPUTF8");
        assert_eq!(raw.orcpt.as_deref(), Some("utf-8;jörg@x"));
    }

    #[test]
    fn wrong_values_unknown_names_and_doubles() {
        use Fault::{BadParameter as Bad, UnknownParameter as Unknown};
        let long = format!(" ENVID={}", "x".repeat(101));
        for (text, fault) in [
            (" SIZE", Bad),
            (" SIZE=", Bad),
            (" SIZE=1k", Bad),
            (" SIZE=-1", Bad),
            (" SIZE=123456789012345678901", Bad),
            (" SIZE=1 SIZE=1", Unknown),
            (" BODY=BINARYMIME", Bad),
            (" BODY=7BIT BODY=8BITMIME", Unknown),
            (" SMTPUTF8=yes", Bad),
            (" SMTPUTF8 SMTPUTF8", Unknown),
            (" RET=BOTH", Bad),
            (" ENVID=a=b", Bad),
            (" ENVID=a+2", Bad),
            (" =x", Bad),
            (" -X=1", Bad),
            (" AUTH=<>", Unknown),
            (" NOTIFY=NEVER", Unknown),
            (&long, Bad),
        ] {
            assert_eq!(mail(text, &ALL), Err(fault), "{text}");
        }
        for (text, fault) in [
            (" NOTIFY=NEVER,SUCCESS", Bad),
            (" NOTIFY=", Bad),
            (" NOTIFY=SUCCESS,", Bad),
            (" NOTIFY=NEVER NOTIFY=NEVER", Unknown),
            (" ORCPT=a@b", Bad),
            (" ORCPT=rfc822;", Bad),
            (" ORCPT=;a@b", Bad),
            (" ORCPT=rfc822;a b", Unknown),
            (" ORCPT=utf-8;jörg@x", Bad),
            (" SIZE=1", Unknown),
        ] {
            assert_eq!(rcpt(text, &ALL, false), Err(fault), "{text}");
        }
        let none = Extensions { dsn: false, smtputf8: false, eight_bit_mime: false, ..ALL };
        let authed = Extensions { auth: true, ..ALL };
        for text in [" AUTH=<>", " AUTH=e+3Dmc2@example.com SIZE=1"] {
            assert!(mail(text, &authed).is_ok(), "{text}");
        }
        for (text, fault) in [(" AUTH=", Bad), (" AUTH=e+3", Bad), (" AUTH=<> AUTH=<>", Unknown)] {
            assert_eq!(mail(text, &authed), Err(fault), "{text}");
        }
        for text in [" RET=FULL", " ENVID=x", " SMTPUTF8", " BODY=7BIT"] {
            assert_eq!(mail(text, &none), Err(Unknown), "{text}");
        }
    }
}
