//! The whole notice: a `multipart/report` (RFC 6522) of the part for people, the part for machines and the original.

use super::html::html;
use super::keys::Key;
use super::language::Language;
use super::letter::letter;
use super::ours::form;
use super::status::{DeliveryStatus, Form};
use super::text::text;
use super::{Kind, MAX_ORIGINAL, MAX_ORIGINAL_HEADER, MAX_REPORTED, Notice};
use crate::encoded::{phrase, to_base64, unstructured};
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
    /// It has octets above 127 (`BODY=8BITMIME`).
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
    let to = notice.envelope.reverse_path.mailbox();
    let smtputf8 = to.is_some_and(|mailbox| !mailbox.as_str().is_ascii());
    Composed { octets, eight_bit, smtputf8, parts }
}

/// The whole message: RFC 6522 section 3, and for the two forms of the first part RFC 2046 section 5.1.4.
fn octets(
    notice: &Notice<'_>,
    words: &Language,
    parts: &Parts,
    original: &Original,
    boundary: &str,
) -> Vec<u8> {
    let eight_bit = !original.octets.is_ascii() || !parts.status.is_ascii();
    let mut out = head(notice, words, parts, boundary, eight_bit).into_bytes();
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
    part(
        &mut out,
        boundary,
        &[status_head(form(notice), &parts.status).as_bytes(), parts.status.as_bytes()],
    );
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
    let quoted = quoted_printable(text);
    let (encoding, content) = if quoted.len() > text.len() / 3 * 4 {
        ("base64", base64_lines(text))
    } else {
        ("quoted-printable", quoted)
    };
    format!(
        "Content-Type: {kind}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{content}"
    )
}

/// RFC 2045 section 6.8: shorter where most characters are beyond ASCII.
fn base64_lines(text: &str) -> String {
    const OCTETS_OF_LINE: usize = 57;
    let lines = text.as_bytes().chunks(OCTETS_OF_LINE);
    lines.map(|octets| to_base64(octets) + "\r\n").collect()
}

/// In UTF-8 it is of another type (RFC 6533 section 4).
fn status_head(form: Form, status: &str) -> String {
    let encoding = if status.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" };
    format!("Content-Type: {}\r\n{encoding}\r\n", form.media_type())
}

/// `Auto-Submitted:` (RFC 3834 section 3.1) keeps other machines from answering; Exchange and Outlook heed a field of
/// their own instead, and would send absence notes.
fn head(
    notice: &Notice<'_>,
    words: &Language,
    parts: &Parts,
    boundary: &str,
    eight_bit: bool,
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
    /// Its header section is UTF-8 beyond ASCII, as RFC 6532 has it.
    global: bool,
}

impl Original {
    /// RFC 3461 section 4.3: of failures the whole unless headers were asked for, or when the whole is too large or not at
    /// hand; of all else the headers.
    fn of(notice: &Notice<'_>, header: &[u8]) -> Self {
        let envelope = notice.envelope;
        let facts = &envelope.facts;
        let at_hand = notice.original.len() as u64 >= facts.size;
        let fits = facts.size <= notice.sender.max_original.min(MAX_ORIGINAL);
        let wanted = notice.kind == Kind::Failed && envelope.ret != Some(Ret::Hdrs);
        let whole = at_hand && fits && wanted;
        let octets = if whole { notice.original.to_vec() } else { header.to_vec() };
        let global = envelope.smtputf8 && !header.is_ascii() && std::str::from_utf8(header).is_ok();
        Self { octets, whole, global }
    }

    /// RFC 6533 section 4, where the header needs it.
    fn head(&self) -> String {
        let kind = match (self.whole, self.global) {
            (true, false) => "message/rfc822",
            (false, false) => "text/rfc822-headers",
            (true, true) => "message/global",
            (false, true) => "message/global-headers",
        };
        let encoding =
            if self.octets.is_ascii() { "" } else { "Content-Transfer-Encoding: 8bit\r\n" };
        format!("Content-Type: {kind}\r\n{encoding}\r\n")
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

    #[test]
    fn a_text_is_encoded_as_it_is_shortest() {
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
        let long = base64_lines(&"я".repeat(200));
        assert!(long.lines().all(|line| line.len() <= 76) && long.ends_with("\r\n"));
    }
}
