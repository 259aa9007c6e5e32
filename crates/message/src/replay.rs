//! A message as a file with its envelope: header fields in front of the content, as the replay folder of Exchange
//! reads them, so that what was exported can be handed in again, here or there.
//!
//! ```text
//! X-Sender: <ann@example.org> BODY=8BITMIME RET=HDRS ENVID=abc
//! X-Receiver: <bob@example.net> NOTIFY=FAILURE,DELAY ORCPT=rfc822;bob@example.net
//! X-CreatedBy: Posthaste
//! Received: ...
//! ```
//!
//! ENVID and ORCPT are xtext (RFC 3461 section 4), an ORCPT of the type `utf-8` is utf-8-addr-xtext (RFC 6533 section 3), as in
//! SMTP. Not here: what is done with a file (`admin`).

use crate::dsn::status::{Form, embed, unembed};
use posthaste_mail::envelope::{Notify, Ret};
use posthaste_mail::{BodyType, Envelope, Mailbox, Recipient, ReversePath};
use std::fmt::Write as _;

/// The fields in front, octets: a thousand recipients take a fifth of it.
pub const MAX_HEAD: usize = 1 << 20;
/// Recipients of one file.
const MAX_RECIPIENTS: usize = 10_000;

/// What a file says of its envelope.
#[derive(Clone, PartialEq, Debug)]
pub struct Replay {
    /// Who gets notices.
    pub reverse_path: ReversePath,
    /// At least one.
    pub recipients: Vec<Recipient>,
    /// RFC 3461 section 4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 section 4.4, decoded.
    pub envid: Option<String>,
    /// Where the content begins, octets.
    pub content: usize,
}

/// A file that cannot be handed in; whoever made it must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no sender.
    #[error(
        "there is no X-Sender field in front of the message: who gets notices? (`X-Sender: <>` for nobody)"
    )]
    NoSender,
    /// There is no recipient.
    #[error("there is no X-Receiver field in front of the message: who gets it?")]
    NoRecipient,
    /// More than there may be.
    #[error("more than {MAX_RECIPIENTS} X-Receiver fields")]
    TooMany,
    /// A line that is not what it should be.
    #[error("line {line}: {what}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// The fields in front of the content, for these recipients (by number).
#[must_use]
pub fn compose(envelope: &Envelope, recipients: &[u32]) -> String {
    let from = envelope.reverse_path.mailbox().map_or("", Mailbox::as_str);
    let mut out = format!("X-Sender: <{from}>");
    if envelope.body_type == BodyType::EightBitMime {
        out.push_str(" BODY=8BITMIME");
    }
    match envelope.ret {
        Some(Ret::Full) => out.push_str(" RET=FULL"),
        Some(Ret::Hdrs) => out.push_str(" RET=HDRS"),
        None => {}
    }
    if let Some(envid) = &envelope.envid {
        let _ = write!(out, " ENVID={}", xtext(envid));
    }
    out.push_str("\r\n");
    let all = recipients.iter().filter_map(|number| envelope.recipients.get(*number as usize));
    for recipient in all {
        let _ = write!(out, "X-Receiver: <{}>", recipient.mailbox.as_str());
        if let Some(notify) = recipient.notify {
            let words =
                [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")];
            let words: Vec<&str> = words.iter().filter(|(set, _)| *set).map(|(_, w)| *w).collect();
            let words = if words.is_empty() { "NEVER".to_owned() } else { words.join(",") };
            let _ = write!(out, " NOTIFY={words}");
        }
        if let Some((kind, address)) = recipient.orcpt.as_deref().and_then(|o| o.split_once(';')) {
            let address =
                if is_utf8(kind) { embed(address, Form::SevenBit) } else { xtext(address) };
            let _ = write!(out, " ORCPT={kind};{address}");
        }
        out.push_str("\r\n");
    }
    out.push_str("X-CreatedBy: Posthaste\r\n");
    out
}

/// Reads the fields in front. Lines end with CRLF or LF; other fields of that kind (`X-CreatedBy`,
/// `X-EndOfInjectedXHeaders`, `X-ExtendedMessageProps`) are passed over.
///
/// # Errors
/// [`ReplayError`]
pub fn parse(file: &[u8]) -> Result<Replay, ReplayError> {
    let (mut sender, mut recipients) = (None, Vec::new());
    let mut at = 0;
    for line in 1.. {
        let rest = &file[at..file.len().min(at + 4096)];
        let Some(end) = rest.iter().position(|&b| b == b'\n') else { break };
        let text = String::from_utf8_lossy(&rest[..end]);
        let Some((name, value)) = text.split_once(':') else { break };
        let wrong = |what: String| ReplayError::Line { line, what };
        match name.to_ascii_lowercase().as_str() {
            "x-sender" => sender = Some(read_sender(value).map_err(wrong)?),
            "x-receiver" if recipients.len() >= MAX_RECIPIENTS => return Err(ReplayError::TooMany),
            "x-receiver" => recipients.push(read_recipient(value).map_err(wrong)?),
            "x-createdby" | "x-endofinjectedxheaders" | "x-extendedmessageprops" => {}
            _ => break,
        }
        at += end + 1;
    }
    let (reverse_path, ret, envid) = sender.ok_or(ReplayError::NoSender)?;
    if recipients.is_empty() {
        return Err(ReplayError::NoRecipient);
    }
    Ok(Replay { reverse_path, recipients, ret, envid, content: at })
}

type Sender = (ReversePath, Option<Ret>, Option<String>);

fn read_sender(value: &str) -> Result<Sender, String> {
    let (path, parameters) = path(value);
    let reverse_path = match path {
        "" => ReversePath::Null,
        path => ReversePath::Mailbox(mailbox(path)?),
    };
    let (mut ret, mut envid) = (None, None);
    for (name, value) in parameters {
        match (name.to_ascii_uppercase().as_str(), value.to_ascii_uppercase().as_str()) {
            ("RET", "FULL") => ret = Some(Ret::Full),
            ("RET", "HDRS") => ret = Some(Ret::Hdrs),
            ("ENVID", _) => envid = Some(from_xtext(value)?),
            // What the content says itself.
            ("BODY" | "SIZE" | "SMTPUTF8" | "AUTH", _) => {}
            _ => return Err(format!("`{name}={value}` is not known here")),
        }
    }
    Ok((reverse_path, ret, envid))
}

fn read_recipient(value: &str) -> Result<Recipient, String> {
    let (path, parameters) = path(value);
    let mut recipient = Recipient { mailbox: mailbox(path)?, orcpt: None, notify: None };
    for (name, value) in parameters {
        match name.to_ascii_uppercase().as_str() {
            "NOTIFY" => recipient.notify = Some(notify(value)?),
            "ORCPT" => {
                let (kind, address) =
                    value.split_once(';').ok_or_else(|| format!("`{value}` has no type"))?;
                // `+XX` may stand around the escapes of RFC 6533, and stood in their place in files of older versions.
                let address = from_xtext(address)?;
                let address = if is_utf8(kind) { unembed(&address) } else { address };
                recipient.orcpt = Some(format!("{kind};{address}"));
            }
            _ => return Err(format!("`{name}={value}` is not known here")),
        }
    }
    Ok(recipient)
}

/// An address in angle brackets or alone, and the parameters behind it.
fn path(value: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let value = value.trim();
    let (path, rest) = match value.strip_prefix('<').and_then(|v| v.split_once('>')) {
        Some((path, rest)) => (path, rest),
        None => value.split_once(' ').unwrap_or((value, "")),
    };
    (path.trim(), rest.split_whitespace().map(|word| word.split_once('=').unwrap_or((word, ""))))
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    Mailbox::parse(text, true).map_err(|error| format!("`{text}`: {error}"))
}

fn notify(value: &str) -> Result<Notify, String> {
    let mut notify = Notify::default();
    for word in value.split(',') {
        match word.to_ascii_uppercase().as_str() {
            "NEVER" => return Ok(Notify::default()),
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return Err(format!("`{word}` is no word of NOTIFY")),
        }
    }
    Ok(notify)
}

/// The address type of RFC 6533 section 3.
fn is_utf8(kind: &str) -> bool {
    kind.trim().eq_ignore_ascii_case("utf-8")
}

/// RFC 3461 section 4: what is not visible ASCII, `+` and `=` as `+XX`.
fn xtext(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'!'..=b'~' if byte != b'+' && byte != b'=' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "+{byte:02X}");
            }
        }
    }
    out
}

fn from_xtext(text: &str) -> Result<String, String> {
    let wrong = || format!("`{text}` is no xtext (RFC 3461 section 4)");
    let (mut out, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'+' {
            out.push(*first);
            continue;
        }
        let (hex, tail) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let hex = std::str::from_utf8(hex).map_err(|_| wrong())?;
        out.push(u8::from_str_radix(hex, 16).map_err(|_| wrong())?);
        rest = tail;
    }
    String::from_utf8(out).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(head: &str) -> Result<Replay, ReplayError> {
        parse(format!("{head}Received: x\r\nSubject: y\r\n\r\nhello\r\n").as_bytes())
    }

    #[test]
    fn what_was_composed_is_read_again() {
        let head = "X-Sender: <ann@a.example> RET=HDRS ENVID=a+2Bb\r\n\
                    X-Receiver: <bob@b.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;b+3Db@old.example\r\n\
                    X-Receiver: <eve@e.example> NOTIFY=NEVER\r\n";
        let read = file(head).expect("a file");
        assert_eq!(read.envid.as_deref(), Some("a+b"));
        assert_eq!(read.recipients[0].orcpt.as_deref(), Some("rfc822;b=b@old.example"));
        assert_eq!(read.recipients[1].notify, Some(Notify::default()));
        assert_eq!(read.content, head.len());
        let envelope = Envelope {
            reverse_path: read.reverse_path.clone(),
            recipients: read.recipients.clone(),
            ret: read.ret,
            envid: read.envid.clone(),
            ..crate::dsn::tests::sample()
        };
        let composed = compose(&envelope, &[0, 1]);
        assert_eq!(composed, format!("{head}X-CreatedBy: Posthaste\r\n"));
        assert_eq!(compose(&envelope, &[1]).matches("X-Receiver").count(), 1);
        let again = file(&composed).expect("our own");
        assert_eq!((again.recipients, again.reverse_path), (read.recipients, read.reverse_path));
    }

    #[test]
    fn original_recipients_beyond_ascii_are_written_as_smtp_has_them() {
        let line =
            "X-Receiver: <b@b.example> ORCPT=utf-8;j\\x{F6}rg\\x{2B}\\x{5C}@\\x{7528}.example\r\n";
        let head = format!("X-Sender: <>\r\n{line}");
        let read = file(&head).expect("a file");
        assert_eq!(read.recipients[0].orcpt.as_deref(), Some("utf-8;jörg+\\@用.example"));
        let recipients = read.recipients;
        let envelope = Envelope { recipients, ..crate::dsn::tests::sample() };
        assert_eq!(compose(&envelope, &[0]), format!("{head}X-CreatedBy: Posthaste\r\n"));
        let older = head.replace("j\\x{F6}rg", "j+C3+B6rg");
        assert_eq!(file(&older).expect("a file").recipients, envelope.recipients);
    }

    #[test]
    fn files_of_exchange_and_of_hand_are_read_and_bad_ones_point() {
        let plain = file("X-sender: ann@a.example\nx-receiver: bob@b.example\n").expect("by hand");
        assert_eq!(plain.recipients[0].mailbox.as_str(), "bob@b.example");
        let null =
            file("X-Sender: <>\r\nX-Receiver: <b@b.example>\r\nX-EndOfInjectedXHeaders: 9\r\n");
        assert_eq!(null.expect("a notice").reverse_path, ReversePath::Null);
        for (head, told) in [
            ("", "there is no X-Sender"),
            ("X-Sender: <a@a.example>\r\n", "there is no X-Receiver"),
            ("X-Sender: <a@a.example>\r\nX-Receiver: <bob>\r\n", "line 2: `bob`"),
            ("X-Sender: <a@a.example> RET=SOME\r\n", "line 1: `RET=SOME`"),
            ("X-Sender: <>\r\nX-Receiver: <b@b.example> ORCPT=rfc822;+G\r\n", "line 2: `+G`"),
        ] {
            let error = file(head).expect_err("it is wrong").to_string();
            assert!(error.starts_with(told), "{head}: {error}");
        }
    }
}
