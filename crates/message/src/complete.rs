//! Makes a message that was handed in on this machine whole (RFC 6409 section 8): line ends, the fields that RFC 5322
//! section 3.6 requires, bare names with a domain; and takes out what no recipient may see.
//!
//! Not here: mail that came over SMTP from elsewhere, which is never changed except for its trace field.

use crate::addresses::qualified;
use crate::encoded;
use crate::header::{field_end, fields};
use memchr::memchr;
use posthaste_mail::{Mailbox, Timestamp};
use std::borrow::Cow;

/// Fields that do not leave this machine: blind recipients, the envelope's reverse-path (RFC 5321 section 4.4: it is
/// the last server's to write), and the length of a mailbox file's entry.
const TAKEN_OUT: [&str; 4] = ["Bcc", "Resent-Bcc", "Return-Path", "Content-Length"];
/// Fields whose bare names get a domain.
const WITH_ADDRESSES: [&str; 10] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Errors-To",
];
/// Who signed with these signed addresses too: they are not touched.
const SIGNATURES: [&str; 2] = ["DKIM-Signature", "ARC-Seal"];

/// What missing fields are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// For `From:`; `None` makes it `MAILER-DAEMON` at our name.
    pub author: Option<&'a Mailbox>,
    /// The author's name, for `From:`.
    pub full_name: Option<&'a str>,
    /// Our name; for `Message-ID:`.
    pub hostname: &'a str,
    /// The domain that bare names get.
    pub origin: &'a str,
    /// For `Message-ID:`, left of the `@`; unique.
    pub unique: &'a str,
    /// For `Date:`.
    pub now: Timestamp,
}

/// The message with CRLF line ends, an empty line after the header section, and `Date:`, `From:` and
/// `Message-ID:` added in front where they are missing; its header section as [`complete_header`] makes it.
///
/// A `From ` line of a mailbox file at the start is dropped. A first line that is no field begins the body.
#[must_use]
pub fn complete(message: &[u8], with: &Completion<'_>) -> Vec<u8> {
    // First of all: a bare CR that becomes a line end later could make a field that was not looked at.
    let message = with_crlf(without_mailbox_line(message));
    let (header, body) = split(&message);
    let mut out = complete_header(header, with);
    out.reserve(body.len() + 2);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// A header section with CRLF line ends, without the empty line at its end: what is missing is added in front, `Bcc:` and
/// `Return-Path:` are gone, bare names in address fields have a domain unless the message is signed.
#[must_use]
pub fn complete_header(header: &[u8], with: &Completion<'_>) -> Vec<u8> {
    let mut out = missing_fields(header, with).into_bytes();
    out.reserve(header.len());
    let signed = fields(header).any(|field| SIGNATURES.iter().any(|name| field.is(name)));
    let mut rest = header;
    while !rest.is_empty() {
        let (lines, after) = rest.split_at(field_end(rest));
        rest = after;
        let Some(field) = fields(lines).next() else {
            out.extend_from_slice(lines);
            continue;
        };
        if TAKEN_OUT.iter().any(|name| field.is(name)) {
            continue;
        }
        if signed || !WITH_ADDRESSES.iter().any(|name| field.is(name)) {
            out.extend_from_slice(lines);
            continue;
        }
        let start = memchr(b':', lines).map_or(0, |colon| colon + 1);
        out.extend_from_slice(&lines[..start]);
        out.extend_from_slice(&qualified(&lines[start..], with.origin));
    }
    out
}

/// Where the header section of a message with CRLF line ends, and its body, begin and end: the fields, and what
/// follows the empty line between them. A line that is neither a field nor the continuation of one ends the header
/// section too: the empty line was forgotten.
#[must_use]
pub fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    while start < message.len() {
        let end = memchr(b'\n', &message[start..]).map_or(message.len(), |lf| start + lf + 1);
        let line = &message[start..end];
        if line.trim_ascii_end().is_empty() {
            return (&message[..start], &message[end..]);
        }
        let continues = start > 0 && matches!(line[0], b' ' | b'\t');
        if !continues && fields(line).next().is_none() {
            break;
        }
        start = end;
    }
    message.split_at(start)
}

/// Every CRLF, bare LF and bare CR becomes CRLF; an unfinished last line gets one.
#[must_use]
pub fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\r\n");
        let ended_by = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[(end + ended_by).min(rest.len())..];
    }
    out
}

/// The message without the `From ` line that a mailbox file puts in front.
#[must_use]
pub fn without_mailbox_line(message: &[u8]) -> &[u8] {
    if !message.starts_with(b"From ") {
        return message;
    }
    memchr(b'\n', message).map_or(&[], |lf| &message[lf + 1..])
}

fn missing_fields(header: &[u8], with: &Completion<'_>) -> String {
    let has = |name| fields(header).any(|f| f.is(name));
    let mut added = String::new();
    if !has("Date") {
        added.push_str(&format!("Date: {}\r\n", with.now.rfc5322()));
    }
    if !has("From") {
        let from = match with.author {
            Some(mailbox) => Cow::Borrowed(mailbox.as_str()),
            None => Cow::Owned(format!("MAILER-DAEMON@{}", with.hostname)),
        };
        let name = with.full_name.map(|name| encoded::phrase(name) + " ").unwrap_or_default();
        added.push_str(&format!("From: {name}<{from}>\r\n"));
    }
    if !has("Message-ID") {
        added.push_str(&format!("Message-ID: <{}@{}>\r\n", with.unique, with.hostname));
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Date: Sat, 21 Nov 2026 06:53:04 +0000\r\n";
    const FROM: &str = "From: <a@example.org>\r\n";
    const ID: &str = "Message-ID: <1@mx.example.org>\r\n";

    fn completed(message: &str, author: Option<&str>, full_name: Option<&str>) -> String {
        let author = author.map(|text| Mailbox::parse(text, false).expect("valid"));
        let with = Completion {
            author: author.as_ref(),
            full_name,
            hostname: "mx.example.org",
            origin: "example.org",
            unique: "1",
            now: Timestamp::from_secs(1_795_243_984),
        };
        String::from_utf8(complete(message.as_bytes(), &with)).expect("UTF-8")
    }

    #[test]
    fn what_is_missing_is_added_and_the_rest_kept() {
        let all = format!("{DATE}{FROM}{ID}");
        for (message, expected) in [
            ("", format!("{all}\r\n")),
            ("Hello\n", format!("{all}\r\nHello\r\n")),
            ("Subject: x\n\nHello", format!("{all}Subject: x\r\n\r\nHello\r\n")),
            ("Subject: x\nHello\n", format!("{all}Subject: x\r\n\r\nHello\r\n")),
            ("Subject: x\n folded\n\nA\r\nB\rC\n", {
                format!("{all}Subject: x\r\n folded\r\n\r\nA\r\nB\r\nC\r\n")
            }),
            ("DATE: d\nfrom: f@g\n\nA\n\n", format!("{ID}DATE: d\r\nfrom: f@g\r\n\r\nA\r\n\r\n")),
            ("Message-Id: <x@y>\n", format!("{DATE}{FROM}Message-Id: <x@y>\r\n\r\n")),
            ("From a@b Sat Nov 21\nTo: x@y\n\nA\n", format!("{all}To: x@y\r\n\r\nA\r\n")),
            (" not a field\n", format!("{all}\r\n not a field\r\n")),
        ] {
            assert_eq!(completed(message, Some("a@example.org"), None), expected, "{message:?}");
        }
        assert!(completed("", None, None).contains("From: <MAILER-DAEMON@mx.example.org>"));
        let named = completed("", Some("a@example.org"), Some("A. Müller"));
        assert!(named.contains("From: =?utf-8?B?QS4gTcO8bGxlcg==?= <a@example.org>"), "{named}");
    }

    #[test]
    fn blind_recipients_are_never_seen_whatever_the_line_ends() {
        for message in [
            "To: x@y\nBcc: secret@z,\n\tother@secret\nSubject: s\n\nbody\n",
            "bcc : secret@z\r\nTo: x@y\r\nResent-Bcc: secret@z\r\nSubject: s\r\n\r\nbody\r\n",
            "To: x@y\rBcc: secret@z\rSubject: s\r\rbody\r",
            "Return-Path: <secret@z>\nContent-Length: 5\nTo: x@y\nBCC:secret@z\nSubject: s\n\nbody",
        ] {
            let expected = format!("{DATE}{FROM}{ID}To: x@y\r\nSubject: s\r\n\r\nbody\r\n");
            assert_eq!(completed(message, Some("a@example.org"), None), expected, "{message:?}");
        }
        let quoted = completed("To: x@y\n\nBcc: stays@z\n", None, None);
        assert!(quoted.ends_with("\r\n\r\nBcc: stays@z\r\n"), "the body is nobody's to change");
    }

    #[test]
    fn bare_names_get_the_origin_unless_the_message_is_signed() {
        let header = "From: root (Cron Daemon)\nTo: joe,\n Ann <ann>, b@c\nSubject: root\n\n";
        let text = completed(header, None, None);
        assert!(text.contains("From: root@example.org (Cron Daemon)\r\n"), "{text}");
        assert!(text.contains("To: joe@example.org,\r\n Ann <ann@example.org>, b@c\r\n"), "{text}");
        assert!(text.contains("Subject: root\r\n"), "{text}");
        let signed = completed(&format!("DKIM-Signature: v=1\nBcc: b@c\n{header}"), None, None);
        assert!(signed.contains("From: root (Cron Daemon)\r\nTo: joe,\r\n Ann <ann>"), "{signed}");
        assert!(!signed.contains("Bcc"), "{signed}");
    }

    #[test]
    fn completing_twice_changes_nothing() {
        for message in
            ["To: x\n\n.\n", "a", "\r", "A: b\r\r\n", "From: a, b <c>\nBcc: x\n\nBcc: y\n"]
        {
            let once = completed(message, None, None);
            assert_eq!(completed(&once, None, None), once);
        }
    }
}
