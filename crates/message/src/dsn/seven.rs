//! Octets in 7 bits, so that every host takes a notice, also one that offers no 8BITMIME (RFC 6152 section 3): texts by a
//! transfer encoding (RFC 2045 section 6), a returned message part by part, as it may itself have none (RFC 2046 section
//! 5.2.1).
//!
//! Not here: what is encoded, and reading it (`mime`).

use crate::encoded::to_base64;
use crate::header;
use crate::mime::{Entity, MAX_DEPTH};

/// The longest line of an encoded text, octets (RFC 2045 section 6.7).
const LONGEST: usize = 76;
/// In messages of before MIME (RFC 1428).
const UNKNOWN: &[u8] = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n";

/// Text with CRLF line ends as quoted-printable or base64, whichever is shorter, and the name of that.
pub(super) fn encoded(text: &[u8]) -> (&'static str, String) {
    let quoted = quoted_printable(text);
    if quoted.len() > text.len() / 3 * 4 {
        ("base64", base64_lines(text))
    } else {
        ("quoted-printable", quoted)
    }
}

/// The message in 7 bits: each part that needs it has an encoding. `None` when a header is not ASCII, when a part has an
/// encoding already and yet octets above 127, or when parts lie too deep.
pub(super) fn message(octets: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(octets.len() + octets.len() / 4);
    entity(octets, 0, true, &mut out)?;
    Some(out)
}

/// `whole`: it is a message, no part.
fn entity(octets: &[u8], depth: usize, whole: bool, out: &mut Vec<u8>) -> Option<()> {
    if octets.is_ascii() {
        out.extend_from_slice(octets);
        return Some(());
    }
    let entity = Entity::of(octets);
    if depth > MAX_DEPTH || !entity.header.is_ascii() || entity.is_encoded() {
        return None;
    }
    without_encoding(entity.header, out);
    if entity.is_multipart() {
        out.extend_from_slice(b"\r\n");
        return multipart(&entity, depth, out);
    }
    if entity.is("message/rfc822") {
        out.extend_from_slice(b"\r\n");
        return self::entity(entity.body, depth + 1, true, out);
    }
    let mime = header::fields(entity.header).any(|field| field.is("MIME-Version"));
    if whole && !mime {
        let new = if entity.media_type.is_none() { UNKNOWN } else { &UNKNOWN[..19] };
        out.extend_from_slice(new);
    }
    let (name, text) = if entity.is_text() {
        ("quoted-printable", quoted_printable(entity.body))
    } else {
        ("base64", base64_lines(entity.body))
    };
    out.extend_from_slice(format!("Content-Transfer-Encoding: {name}\r\n\r\n{text}").as_bytes());
    Some(())
}

/// The lines with the boundary stay; what stands before the first and behind the last is nobody's, and has to be ASCII.
fn multipart(entity: &Entity<'_>, depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let parts = entity.places();
    let mut done = 0;
    for (start, end) in parts {
        let between = &entity.body[done..start];
        if !between.is_ascii() {
            return None;
        }
        out.extend_from_slice(between);
        self::entity(&entity.body[start..end], depth + 1, false, out)?;
        done = end;
    }
    let rest = &entity.body[done..];
    out.extend_from_slice(rest);
    (done > 0 && rest.is_ascii()).then_some(())
}

/// A header section without its transfer encoding and the empty line behind it.
fn without_encoding(section: &[u8], out: &mut Vec<u8>) {
    const NAME: &[u8] = b"content-transfer-encoding";
    let mut dropped = false;
    for line in section.split_inclusive(|&b| b == b'\n') {
        if line.trim_ascii().is_empty() {
            break;
        }
        if !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = line.split(|&b| b == b':').next().unwrap_or_default();
            dropped = name.trim_ascii().eq_ignore_ascii_case(NAME);
        }
        if !dropped {
            out.extend_from_slice(line);
        }
    }
}

/// RFC 2045 section 6.8: shorter where most characters are beyond ASCII.
fn base64_lines(octets: &[u8]) -> String {
    const OCTETS_OF_LINE: usize = 57;
    octets.chunks(OCTETS_OF_LINE).map(|octets| to_base64(octets) + "\r\n").collect()
}

/// RFC 2045 section 6.7. CRLF are line ends, other CR and LF are octets. What hosts are known to change or to misread is
/// encoded too (RFC 2049 section 3): a dot or `From ` at the beginning of a line, and blanks at its end. So are two hyphens
/// where a line was broken, as if a boundary began.
pub(super) fn quoted_printable(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut column = 0;
    let mut broken = false;
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        let rest = &text[at..];
        if rest.starts_with(b"\r\n") {
            out.push_str("\r\n");
            (column, broken) = (0, false);
            at += 2;
            continue;
        }
        let first = column == 0;
        let mut plain = is_plain(rest, first, broken);
        let width = if plain { 1 } else { 3 };
        if column + width >= LONGEST {
            out.push_str("=\r\n");
            (column, broken) = (0, true);
            plain = is_plain(rest, true, true);
        }
        if plain {
            out.push(char::from(octet));
            column += 1;
        } else {
            out.push_str(&format!("={octet:02X}"));
            column += 3;
        }
        at += 1;
    }
    out
}

/// Whether the first octet goes as it is. `first`: a line begins with it; `broken`: not one of the text's own.
fn is_plain(rest: &[u8], first: bool, broken: bool) -> bool {
    let misread = first
        && (rest[0] == b'.' || rest.starts_with(b"From ") || (broken && rest.starts_with(b"--")));
    match rest[0] {
        b'=' => false,
        b' ' | b'\t' => rest.len() > 1 && !rest[1..].starts_with(b"\r\n"),
        b'!'..=b'~' => !misread,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mime::MAX_PARTS;

    fn undone(quoted: &str) -> Vec<u8> {
        let part = format!("Content-Transfer-Encoding: quoted-printable\r\n\r\n{quoted}");
        Entity::of(part.as_bytes()).content(usize::MAX).into_owned()
    }

    #[test]
    fn quoted_printable_keeps_lines_short_and_octets_whole() {
        let long = "ä".repeat(60);
        let dots = format!("{}{}", "x".repeat(75), "--y");
        for (text, expected) in [
            ("a=b\r\nä", Some("a=3Db\r\n=C3=A4")),
            (".\r\n..x\r\nFrom me\r\nFromage .", Some("=2E\r\n=2E.x\r\n=46rom me\r\nFromage .")),
            ("a \r\nb\t\r\n c ", Some("a=20\r\nb=09\r\n c=20")),
            ("a\nb\rc\u{0}", Some("a=0Ab=0Dc=00")),
            ("--a", Some("--a")),
            (long.as_str(), None),
            (dots.as_str(), Some(&format!("{}=\r\n=2D-y", "x".repeat(75)))),
        ] {
            let quoted = quoted_printable(text.as_bytes());
            assert!(expected.is_none_or(|expected| quoted == expected), "{quoted}");
            assert!(quoted.split("\r\n").all(|line| line.len() <= LONGEST), "{quoted}");
            assert_eq!(undone(&quoted), text.as_bytes(), "{quoted}");
        }
    }

    #[test]
    fn a_text_is_encoded_as_it_is_shortest() {
        let german = "Die Adresse enthält einen Tippfehler.\r\n";
        assert_eq!(encoded(german.as_bytes()).0, "quoted-printable");
        assert_eq!(encoded("Сообщение не доставлено.\r\n".as_bytes()).0, "base64");
        let long = base64_lines("я".repeat(200).as_bytes());
        assert!(long.lines().all(|line| line.len() <= 76) && long.ends_with("\r\n"));
    }

    #[test]
    fn the_parts_of_a_message_are_encoded_where_they_must() {
        let mail = "From: a@x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding:\r\n 8bit\r\n\
                    Content-Type: multipart/mixed; boundary=b\r\n\r\nAbove.\r\n\
                    --b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
                    Grüße\r\n.\r\n\r\n--b\r\n\r\nplain \r\n\
                    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: old\r\n\r\nfrüher\r\n\
                    --b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: binary\r\n\r\nä\r\n--b--\r\nBelow.\r\n";
        let seven = message(mail.as_bytes()).expect("it can be");
        let text = String::from_utf8(seven.clone()).expect("ASCII");
        assert!(
            text.is_ascii() && !text.contains(": 8bit\r\n") && !text.contains("binary"),
            "{text}"
        );
        assert!(text.starts_with("From: a@x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/"));
        assert!(
            text.ends_with("\r\n--b--\r\nBelow.\r\n") && text.contains("\r\n\r\nAbove.\r\n--b\r\n")
        );
        let contents = |octets: &[u8]| -> Vec<Vec<u8>> {
            let leaves = Entity::of(octets).leaves(&mut MAX_PARTS.clone());
            leaves.iter().map(|leaf| leaf.content(usize::MAX).into_owned()).collect()
        };
        let (before, after) = (contents(mail.as_bytes()), contents(&seven));
        assert_eq!((&before[..2], &before[3]), (&after[..2], &after[3]));
        assert_eq!(contents(&before[2]), contents(&after[2]), "the inner message");
    }

    #[test]
    fn a_message_of_before_mime_gets_a_type_and_what_cannot_be_is_left() {
        let seven = message("Subject: x\r\n\r\nGrüße".as_bytes()).expect("it can be");
        let expected = "Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n\
                        Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe";
        assert_eq!(String::from_utf8_lossy(&seven), expected);
        for wrong in [
            "Subject: Grüße\r\n\r\nx",
            "Content-Transfer-Encoding: base64\r\n\r\nGrüße",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\nGrüße\r\n--b\r\n\r\nx\r\n--b--\r\n",
            "Content-Type: multipart/mixed; boundary=b\r\n\r\nGrüße\r\n",
        ] {
            assert_eq!(message(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
