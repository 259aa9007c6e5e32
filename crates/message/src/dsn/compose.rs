//! The whole notice: a `multipart/report` (RFC 6522) of the part for people, the part for machines and the original.

use super::ours::delivery_status;
use super::text::text;
use super::{Kind, MAX_ORIGINAL, MAX_ORIGINAL_HEADER, MAX_REPORTED, Notice};
use memchr::memmem;
use posthaste_mail::Body;
use posthaste_mail::envelope::Ret;

/// A notice, ready to be sent from `<>` to the reverse-path of the message it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Composed {
    /// The message, with CRLF line ends.
    pub octets: Vec<u8>,
    /// It has octets above 127 (`BODY=8BITMIME`).
    pub eight_bit: bool,
    /// Its address needs SMTPUTF8.
    pub smtputf8: bool,
}

/// Composes a notice.
#[must_use]
pub fn compose(notice: &Notice<'_>) -> Composed {
    let mut notice = notice.clone();
    notice.reports.truncate(MAX_REPORTED);
    let original = Original::of(&notice);
    let boundary = boundary(&notice, &original.octets);
    let people = text(&notice, original.whole);
    let machines = delivery_status(&notice);

    let mut out = head(&notice, &boundary, !original.octets.is_ascii()).into_bytes();
    let mut part = |head: &str, content: &[u8]| {
        out.extend_from_slice(format!("\r\n--{boundary}\r\n{head}\r\n").as_bytes());
        out.extend_from_slice(content);
    };
    if people.is_ascii() {
        part("Content-Type: text/plain; charset=us-ascii\r\n", people.as_bytes());
    } else {
        let head = "Content-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: quoted-printable\r\n";
        part(head, quoted_printable(&people).as_bytes());
    }
    part("Content-Type: message/delivery-status\r\n", machines.as_bytes());
    part(&original.head(), &original.octets);
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let eight_bit = !out.is_ascii();
    let to = notice.envelope.reverse_path.mailbox();
    let smtputf8 = to.is_some_and(|mailbox| !mailbox.as_str().is_ascii());
    Composed { octets: out, eight_bit, smtputf8 }
}

/// RFC 3834 section 3.1 for the fields that keep other machines from answering.
fn head(notice: &Notice<'_>, boundary: &str, eight_bit: bool) -> String {
    let subject = match notice.kind {
        Kind::Failed => "Undelivered mail returned to sender",
        _ => "Delivery status",
    };
    let mut head = format!(
        "From: Mail Delivery System <MAILER-DAEMON@{hostname}>\r\n\
         To: <{to}>\r\n\
         Subject: {subject}\r\n\
         Date: {date}\r\n\
         Message-ID: <{id}@{hostname}>\r\n",
        hostname = notice.sender.hostname,
        to = notice.envelope.reverse_path,
        date = notice.now.rfc5322(),
        id = notice.id,
    );
    if let Some(about) = message_id(notice) {
        head.push_str(&format!("In-Reply-To: {about}\r\nReferences: {about}\r\n"));
    }
    head.push_str(&format!(
        "Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n"
    ));
    if eight_bit {
        head.push_str("Content-Transfer-Encoding: 8bit\r\n");
    }
    head.push_str("\r\nThis is a delivery status notification in MIME format.\r\n");
    head
}

/// The original's `Message-ID:`, when it looks like one: it goes into our header.
fn message_id<'a>(notice: &Notice<'a>) -> Option<&'a str> {
    let id = notice.envelope.summary.message_id.as_deref()?;
    let plain = id.bytes().all(|b| b.is_ascii_graphic());
    (plain && id.starts_with('<') && id.ends_with('>')).then_some(id)
}

/// Chance makes it unlikely that the original contains it, the loop makes it impossible.
fn boundary(notice: &Notice<'_>, original: &[u8]) -> String {
    let mut boundary = format!("{}.{:016x}", notice.id, notice.token);
    while memmem::find(original, boundary.as_bytes()).is_some() {
        boundary.push('x');
    }
    boundary
}

/// The part of the original that goes back.
struct Original {
    octets: Vec<u8>,
    whole: bool,
}

impl Original {
    /// RFC 3461 section 4.3: headers when so asked, or when the whole is too large or not at hand.
    fn of(notice: &Notice<'_>) -> Self {
        let facts = &notice.envelope.facts;
        let at_hand = notice.original.len() as u64 >= facts.size;
        let whole = at_hand && facts.size <= MAX_ORIGINAL && notice.envelope.ret != Some(Ret::Hdrs);
        if whole {
            return Self { octets: notice.original.to_vec(), whole };
        }
        let limit = usize::try_from(facts.header_end).unwrap_or(usize::MAX);
        Self { octets: header(notice.original, limit), whole }
    }

    fn head(&self) -> String {
        let kind = if self.whole { "message/rfc822" } else { "text/rfc822-headers" };
        let encoding =
            if self.octets.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" };
        format!("Content-Type: {kind}\r\n{encoding}")
    }
}

/// The first `limit` octets, and no more than [`MAX_ORIGINAL_HEADER`], in whole lines.
fn header(original: &Body, limit: usize) -> Vec<u8> {
    let limit = limit.min(MAX_ORIGINAL_HEADER);
    let mut octets = Vec::new();
    for chunk in original.chunks() {
        let left = limit - octets.len();
        octets.extend_from_slice(&chunk[..chunk.len().min(left)]);
    }
    let lines = memchr::memrchr(b'\n', &octets).map_or(0, |lf| lf + 1);
    octets.truncate(lines);
    octets
}

/// RFC 2045 section 6.7, for text with CRLF line ends and no blanks at the ends of lines.
fn quoted_printable(text: &str) -> String {
    const LONGEST: usize = 76;
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for line in text.split_inclusive("\r\n") {
        let (line, end) = line.strip_suffix("\r\n").map_or((line, ""), |line| (line, "\r\n"));
        let mut column = 0;
        for octet in line.bytes() {
            let plain = matches!(octet, b' '..=b'~') && octet != b'=';
            let width = if plain { 1 } else { 3 };
            if column + width >= LONGEST {
                out.push_str("=\r\n");
                column = 0;
            }
            if plain {
                out.push(char::from(octet));
            } else {
                out.push_str(&format!("={octet:02X}"));
            }
            column += width;
        }
        out.push_str(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_printable_keeps_lines_short_and_octets_whole() {
        assert_eq!(quoted_printable("a=b\r\nä"), "a=3Db\r\n=C3=A4");
        let long = quoted_printable(&"ä".repeat(60));
        assert!(long.split("\r\n").all(|line| line.len() <= 76));
        assert_eq!(long.replace("=\r\n", ""), "=C3=A4".repeat(60));
    }
}
