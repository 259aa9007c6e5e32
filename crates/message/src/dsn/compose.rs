//! The whole notice: a `multipart/report` (RFC 6522) of the part for people, the part for machines and the original.

use super::html::html;
use super::keys::Key;
use super::language::Language;
use super::letter::letter;
use super::ours::form;
use super::seven;
use super::status::{DeliveryStatus, Form};
use super::text::text;
use super::{Kind, MAX_ORIGINAL, MAX_ORIGINAL_HEADER, MAX_REPORTED, Notice};
use crate::encoded::{phrase, unstructured};
use crate::header::section;
use memchr::memmem;
use posthaste_mail::Body;
use posthaste_mail::envelope::Ret;

/// The longest line that goes as it is, octets; RFC 5322 section 2.1.1 allows 998.
const LONGEST_LINE: usize = 900;

/// A notice, ready to be sent from `<>` to the reverse-path of the message it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Composed {
    /// The message, with CRLF line ends.
    pub octets: Vec<u8>,
    /// It has octets above 127 (`BODY=8BITMIME`): only where its address needs SMTPUTF8, which goes with it. Every host takes
    /// all others.
    pub eight_bit: bool,
    /// Its address needs SMTPUTF8.
    pub smtputf8: bool,
    /// What its parts say.
    pub parts: Parts,
}

/// What the parts of a notice say, before they are encoded: for previews.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// The tag of the language it is worded in.
    pub language: String,
    /// The subject, decoded.
    pub subject: String,
    /// `text/plain`, with CRLF line ends.
    pub text: String,
    /// `text/html`, unless the sender writes none.
    pub html: Option<String>,
    /// The part for machines.
    pub status: String,
}

/// Composes a notice.
#[must_use]
pub fn compose(notice: &Notice<'_>) -> Composed {
    let further = notice.reports.len().saturating_sub(MAX_REPORTED);
    let mut cut = None;
    if further > 0 {
        let cut = cut.insert(notice.clone());
        cut.reports.truncate(MAX_REPORTED);
    }
    let notice = cut.as_ref().unwrap_or(notice);
    let limit = usize::try_from(notice.envelope.facts.header_end).unwrap_or(usize::MAX);
    let header = header(notice.original, limit);
    let words = notice.sender.wordings.chosen(&header, notice.language);
    let original = Original::of(notice, &header);
    let letter = letter(notice, words, original.whole, &header, further);
    let parts = Parts {
        language: words.tag.clone(),
        subject: letter.title.clone(),
        text: text(&letter),
        html: notice.sender.html.then(|| html(&letter, notice.kind, &words.tag)),
        status: DeliveryStatus::of(notice).written(form(notice)),
    };
    let boundary = boundary(notice, &original.octets, &parts);
    let octets = octets(notice, words, &parts, &original, &boundary);
    let eight_bit = !octets.is_ascii();
    Composed { octets, eight_bit, smtputf8: beyond_ascii(notice), parts }
}

/// The whole message: RFC 6522 section 3, and for the two forms of the first part RFC 2046 section 5.1.4.
fn octets(
    notice: &Notice<'_>,
    words: &Language,
    parts: &Parts,
    original: &Original,
    boundary: &str,
) -> Vec<u8> {
    let mut out = head(notice, words, parts, original, boundary).into_bytes();
    let plain = entity("text/plain", &parts.text);
    match &parts.html {
        None => part(&mut out, boundary, &[plain.as_bytes()]),
        Some(html) => {
            // Not the outer one with something behind it: that would begin like the outer one.
            let inner = format!("in.{boundary}");
            let head =
                format!("Content-Type: multipart/alternative;\r\n\tboundary=\"{inner}\"\r\n\r\n");
            let html = entity("text/html", html);
            let mut both = head.into_bytes();
            part(&mut both, &inner, &[plain.as_bytes()]);
            part(&mut both, &inner, &[html.as_bytes()]);
            both.extend_from_slice(format!("\r\n--{inner}--\r\n").as_bytes());
            part(&mut out, boundary, &[&both]);
        }
    }
    let status = status(form(notice), &parts.status, beyond_ascii(notice));
    part(&mut out, boundary, &[status.as_bytes()]);
    part(&mut out, boundary, &[original.head().as_bytes(), &original.octets]);
    out.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    out
}

fn part(out: &mut Vec<u8>, boundary: &str, content: &[&[u8]]) {
    out.extend_from_slice(format!("\r\n--{boundary}\r\n").as_bytes());
    content.iter().for_each(|octets| out.extend_from_slice(octets));
}

/// A text with its own header, in 7 bits.
fn entity(kind: &str, text: &str) -> String {
    if text.is_ascii() && text.split("\r\n").all(|line| line.len() <= LONGEST_LINE) {
        return format!("Content-Type: {kind}; charset=us-ascii\r\n\r\n{text}");
    }
    let (encoding, content) = seven::encoded(text.as_bytes());
    format!(
        "Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}"
    )
}

/// The address of the notice needs SMTPUTF8, which no host offers without 8BITMIME (RFC 6531 section 3.1): then parts in UTF-8
/// go in 8 bits, as RFC 6533 section 4 wants it where it is possible. Notices to all others have 7 bits: nobody would be
/// told that one could not be delivered.
fn beyond_ascii(notice: &Notice<'_>) -> bool {
    let to = notice.envelope.reverse_path.mailbox();
    to.is_some_and(|mailbox| !mailbox.as_str().is_ascii())
}

/// In UTF-8 it is of another type, which may be encoded (RFC 6533 section 4). Most of it is ASCII and stays readable.
fn status(form: Form, status: &str, eight_bit: bool) -> String {
    let kind = form.media_type();
    let (encoding, content) = match status {
        ascii if ascii.is_ascii() => return format!("Content-Type: {kind}\r\n\r\n{ascii}"),
        status if eight_bit => ("8bit", status.to_owned()),
        status => ("quoted-printable", seven::quoted_printable(status.as_bytes())),
    };
    format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}")
}

/// `Auto-Submitted:` (RFC 3834 section 3.1) keeps other machines from answering; Exchange and Outlook heed a field of
/// their own instead, and would send absence notes.
fn head(
    notice: &Notice<'_>,
    words: &Language,
    parts: &Parts,
    original: &Original,
    boundary: &str,
) -> String {
    let mut head = format!(
        "From: {name} <{from}>\r\n\
         To: <{to}>\r\n\
         Subject:{subject}\r\n\
         Date: {date}\r\n\
         Message-ID: <{id}@{hostname}>\r\n",
        name = phrase(&words.say(Key::SenderName)),
        from = notice.sender.from,
        hostname = notice.sender.hostname,
        to = notice.envelope.reverse_path,
        subject = unstructured("Subject", &parts.subject),
        date = notice.now.rfc5322(),
        id = notice.id,
    );
    if let Some(about) = message_id(notice) {
        head.push_str(&format!("In-Reply-To: {about}\r\nReferences: {about}\r\n"));
    }
    head.push_str(&format!(
        "Auto-Submitted: auto-replied\r\n\
         X-Auto-Response-Suppress: All\r\n\
         Content-Language: {language}\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n",
        language = parts.language,
    ));
    if !(original.octets.is_ascii() && (parts.status.is_ascii() || !beyond_ascii(notice))) {
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

/// Chance makes it unlikely that a part contains it, the loop makes it impossible.
fn boundary(notice: &Notice<'_>, original: &[u8], parts: &Parts) -> String {
    let html = parts.html.as_deref().unwrap_or_default();
    let all = [original, parts.text.as_bytes(), html.as_bytes(), parts.status.as_bytes()];
    let mut boundary = format!("{}.{:016x}", notice.id, notice.token);
    while all.iter().any(|part| memmem::find(part, boundary.as_bytes()).is_some()) {
        boundary.push('x');
    }
    boundary
}

/// The part of the original that goes back.
struct Original {
    octets: Vec<u8>,
    whole: bool,
    kind: &'static str,
    encoding: Option<&'static str>,
}

impl Original {
    /// RFC 3461 section 4.3: of failures the whole unless headers were asked for, or when the whole is too large or not at
    /// hand, or cannot be had in as many bits; of all else the headers.
    fn of(notice: &Notice<'_>, header: &[u8]) -> Self {
        let envelope = notice.envelope;
        let facts = &envelope.facts;
        let at_hand = notice.original.len() as u64 >= facts.size;
        let fits = facts.size <= notice.sender.max_original.min(MAX_ORIGINAL);
        let wanted = notice.kind == Kind::Failed && envelope.ret != Some(Ret::Hdrs);
        let eight_bit = beyond_ascii(notice);
        let whole = (at_hand && fits && wanted).then(|| notice.original.to_vec());
        let whole = whole.and_then(|octets| Self::whole(octets, eight_bit));
        whole.unwrap_or_else(|| Self::header(header, envelope.smtputf8, eight_bit))
    }

    /// A `message/rfc822` must not be encoded (RFC 2046 section 5.2.1): its parts are. A `message/global` may be (RFC 6532
    /// section 3.7).
    fn whole(octets: Vec<u8>, eight_bit: bool) -> Option<Self> {
        let kind = "message/rfc822";
        if is_global(section(&octets)) {
            return Some(Self::encoded("message/global", octets, true, eight_bit));
        }
        if eight_bit || octets.is_ascii() {
            return Some(Self::encoded(kind, octets, true, eight_bit));
        }
        Some(Self { octets: seven::message(&octets)?, whole: true, kind, encoding: None })
    }

    fn header(header: &[u8], smtputf8: bool, eight_bit: bool) -> Self {
        let global = smtputf8 && is_global(header);
        let kind = if global { "message/global-headers" } else { "text/rfc822-headers" };
        Self::encoded(kind, header.to_vec(), false, eight_bit)
    }

    fn encoded(kind: &'static str, octets: Vec<u8>, whole: bool, eight_bit: bool) -> Self {
        let (encoding, octets) = if octets.is_ascii() {
            (None, octets)
        } else if eight_bit {
            (Some("8bit"), octets)
        } else {
            let (encoding, text) = seven::encoded(&octets);
            (Some(encoding), text.into_bytes())
        };
        Self { octets, whole, kind, encoding }
    }

    fn head(&self) -> String {
        let kind = self.kind;
        let encoding = self.encoding.map_or_else(String::new, |encoding| {
            format!("Content-Transfer-Encoding: {encoding}\r\n")
        });
        format!("Content-Type: {kind}\r\n{encoding}\r\n")
    }
}

/// The header section is UTF-8 beyond ASCII, as RFC 6532 has it: RFC 6533 section 4 has types for that.
fn is_global(header: &[u8]) -> bool {
    !header.is_ascii() && std::str::from_utf8(header).is_ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_how_it_is_encoded() {
        for (text, encoding) in [
            ("Not delivered.\r\n", ""),
            ("Die Adresse enthält einen Tippfehler.\r\n", "quoted-printable"),
            ("Сообщение не доставлено.\r\n", "base64"),
        ] {
            let entity = entity("text/plain", text);
            let named = format!("\r\nContent-Transfer-Encoding: {encoding}\r\n");
            assert_eq!(entity.contains(&named), !encoding.is_empty(), "{entity}");
            assert!(entity.is_ascii());
        }
    }

    #[test]
    fn what_goes_back_has_seven_bits() {
        // (original, type of the whole, encoding, type of its header, encoding)
        let rows: [(&[u8], _); 4] = [
            (b"A: b\r\n\r\nx\r\n", ("message/rfc822", "", "text/rfc822-headers", "")),
            (b"A: b\r\n\r\n\xe4\r\n", ("message/rfc822", "", "text/rfc822-headers", "")),
            (
                "A: a long header in UTF-8, ä\r\n\r\nä\r\n".as_bytes(),
                (
                    "message/global",
                    "quoted-printable",
                    "message/global-headers",
                    "quoted-printable",
                ),
            ),
            (
                b"A: a long header in a set unknown, \xe4\r\n\r\n\xe4\r\n",
                ("none", "", "text/rfc822-headers", "quoted-printable"),
            ),
        ];
        for (octets, (kind, encoding, of_header, header_encoding)) in rows {
            let whole = Original::whole(octets.to_vec(), false);
            assert_eq!(whole.as_ref().map_or("none", |whole| whole.kind), kind);
            let header = Original::header(section(octets), true, false);
            let raw = Original::whole(octets.to_vec(), true).expect("always");
            assert_eq!((raw.octets.as_slice(), raw.whole), (octets, true));
            assert_eq!(header.kind, of_header);
            for (part, expected) in [(whole, encoding), (Some(header), header_encoding)] {
                let Some(part) = part else { continue };
                assert!(part.octets.is_ascii(), "{kind}");
                assert_eq!(part.encoding.unwrap_or_default(), expected, "{kind}");
            }
        }
    }
}
