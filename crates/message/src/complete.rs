//! Makes a message that was handed in on this machine whole: line ends, and the fields that RFC 5322
//! section 3.6 requires (RFC 6409 section 8 lets a submission server add them).
//!
//! Not here: mail that came over SMTP, which is never changed except for its trace field.

use crate::header::fields;
use memchr::memchr;
use posthaste_mail::{QueueId, ReversePath, Timestamp};

/// What missing fields are filled with.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// For `From:`.
    pub reverse_path: &'a ReversePath,
    /// Our name; for `Message-ID:`, and for `From:` when the reverse-path is null.
    pub hostname: &'a str,
    /// For `Message-ID:`.
    pub id: QueueId,
    /// For `Date:`.
    pub now: Timestamp,
}

/// The message with CRLF line ends, an empty line after the header section, and `Date:`, `From:` and
/// `Message-ID:` added in front where they are missing.
///
/// A `From ` line of a mailbox file at the start is dropped. A first line that is no field begins the body.
#[must_use]
pub fn complete(message: &[u8], with: &Completion<'_>) -> Vec<u8> {
    let message = without_mailbox_line(message);
    let (header, body) = split(message);
    let mut out = missing_fields(header, with).into_bytes();
    out.reserve(message.len() + message.len() / 32);
    push_with_crlf(header, &mut out);
    out.extend_from_slice(b"\r\n");
    push_with_crlf(body, &mut out);
    out
}

fn without_mailbox_line(message: &[u8]) -> &[u8] {
    if !message.starts_with(b"From ") {
        return message;
    }
    memchr(b'\n', message).map_or(&[], |lf| &message[lf + 1..])
}

/// The fields and the body, without the empty line between them. A line that is neither a field nor the
/// continuation of one ends the header section too: the empty line was forgotten.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
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

fn missing_fields(header: &[u8], with: &Completion<'_>) -> String {
    let has = |name| fields(header).any(|f| f.is(name));
    let mut added = String::new();
    if !has("Date") {
        added.push_str(&format!("Date: {}\r\n", with.now.rfc5322()));
    }
    if !has("From") {
        let from = match with.reverse_path {
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
            ReversePath::Null => format!("MAILER-DAEMON@{}", with.hostname),
        };
        added.push_str(&format!("From: <{from}>\r\n"));
    }
    if !has("Message-ID") {
        added.push_str(&format!("Message-ID: <{}@{}>\r\n", with.id, with.hostname));
    }
    added
}

/// Every CRLF, bare LF and bare CR becomes CRLF; an unfinished last line gets one.
fn push_with_crlf(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\r\n");
        let ended_by = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[(end + ended_by).min(rest.len())..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::Mailbox;

    const DATE: &str = "Date: Sat, 21 Nov 2026 06:53:04 +0000\r\n";
    const FROM: &str = "From: <a@example.org>\r\n";
    const ID: &str = "Message-ID: <0000000000001@mx.example.org>\r\n";

    fn completed(message: &str, reverse_path: &ReversePath) -> String {
        let with = Completion {
            reverse_path,
            hostname: "mx.example.org",
            id: QueueId::from_u64(1),
            now: Timestamp::from_secs(1_795_243_984),
        };
        String::from_utf8(complete(message.as_bytes(), &with)).expect("UTF-8")
    }

    #[test]
    fn what_is_missing_is_added_and_the_rest_kept() {
        let sender = Mailbox::parse("a@example.org", false).expect("valid");
        let sender = ReversePath::Mailbox(sender);
        let all = format!("{DATE}{FROM}{ID}");
        for (message, expected) in [
            ("", format!("{all}\r\n")),
            ("Hello\n", format!("{all}\r\nHello\r\n")),
            ("Subject: x\n\nHello", format!("{all}Subject: x\r\n\r\nHello\r\n")),
            ("Subject: x\nHello\n", format!("{all}Subject: x\r\n\r\nHello\r\n")),
            ("Subject: x\n folded\n\nA\r\nB\rC\n", {
                format!("{all}Subject: x\r\n folded\r\n\r\nA\r\nB\r\nC\r\n")
            }),
            ("DATE: d\nfrom: f\n\nA\n\n", format!("{ID}DATE: d\r\nfrom: f\r\n\r\nA\r\n\r\n")),
            ("Message-Id: <x@y>\n", format!("{DATE}{FROM}Message-Id: <x@y>\r\n\r\n")),
            ("From a@b Sat Nov 21\nTo: x\n\nA\n", format!("{all}To: x\r\n\r\nA\r\n")),
            (" not a field\n", format!("{all}\r\n not a field\r\n")),
        ] {
            assert_eq!(completed(message, &sender), expected, "{message:?}");
        }
        assert!(completed("", &ReversePath::Null).contains("From: <MAILER-DAEMON@mx.example.org>"));
    }

    #[test]
    fn completing_twice_changes_nothing() {
        let once = completed("To: x\n\n.\n", &ReversePath::Null);
        assert_eq!(completed(&once, &ReversePath::Null), once);
    }
}
