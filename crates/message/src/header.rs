//! A header section, field by field (RFC 5322 section 2.2), tolerant of what real mail contains.
//!
//! Not here: the meaning of single fields, except for the few that the queue viewer shows.

use crate::encoded;
use memchr::{memchr, memchr_iter};
use posthaste_mail::Summary;
use std::borrow::Cow;

/// The most octets of a header section that are read; what follows is ignored.
pub const MAX_HEADER: usize = 1024 * 1024;
/// The most fields that are read; what follows is ignored.
pub const MAX_FIELDS: usize = 10_000;
/// The most octets of `From:`, `Subject:` and `Message-ID:` that a summary keeps.
pub const MAX_SHOWN: usize = 256;
/// The most octets of `Date:` that a summary keeps.
pub const MAX_DATE: usize = 64;
/// The most octets of one field that are looked at for a summary.
const MAX_LOOKED_AT: usize = 4096;

/// One field, as it stands in the header section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// The name as written, without the colon.
    pub name: &'a [u8],
    /// What follows the colon up to the line end, folds included.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// True when the field has this name; case does not matter.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// The value without folds and without blanks at its ends (RFC 5322 section 2.2.3).
    #[must_use]
    pub fn unfolded(&self) -> Cow<'a, [u8]> {
        let value = self.value.trim_ascii();
        if memchr(b'\n', value).is_none() {
            return Cow::Borrowed(value);
        }
        Cow::Owned(value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect())
    }
}

/// The fields of a header section, in order. `octets` may go on with the body, which is not read.
///
/// Lines that are no field are passed over. At most [`MAX_HEADER`] octets and [`MAX_FIELDS`] fields are read.
#[must_use]
pub fn fields(octets: &[u8]) -> Fields<'_> {
    Fields { rest: &octets[..octets.len().min(MAX_HEADER)], left: MAX_FIELDS }
}

/// Iterator of [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        while self.left > 0 && !self.rest.is_empty() {
            let end = field_end(self.rest);
            let (lines, rest) = self.rest.split_at(end);
            let lines = without_line_end(lines);
            if lines.is_empty() {
                self.rest = &[];
                return None;
            }
            self.rest = rest;
            self.left -= 1;
            if let Some(field) = split(lines) {
                return Some(field);
            }
        }
        None
    }
}

/// The header section of a message: all up to and including the empty line, or all there is.
#[must_use]
pub fn section(octets: &[u8]) -> &[u8] {
    let mut start = 0;
    for lf in memchr_iter(b'\n', octets) {
        if matches!(&octets[start..lf], b"" | b"\r") {
            return &octets[..=lf];
        }
        start = lf + 1;
    }
    octets
}

/// What the queue viewer shows of a message; from the header section, decoded, cut, without control characters.
///
/// Of repeated fields the first counts.
#[must_use]
pub fn summary(header: &[u8]) -> Summary {
    let mut summary = Summary::default();
    for field in fields(header) {
        let (slot, limit, decoded) = match field.name.len() {
            4 if field.is("From") => (&mut summary.header_from, MAX_SHOWN, true),
            7 if field.is("Subject") => (&mut summary.subject, MAX_SHOWN, true),
            10 if field.is("Message-ID") => (&mut summary.message_id, MAX_SHOWN, false),
            4 if field.is("Date") => (&mut summary.date, MAX_DATE, false),
            _ => continue,
        };
        if slot.is_none() {
            *slot = Some(shown(field, limit, decoded));
        }
    }
    summary
}

/// The index after the last line of the field that starts `rest`.
pub(crate) fn field_end(rest: &[u8]) -> usize {
    let mut start = 0;
    while let Some(lf) = memchr(b'\n', &rest[start..]).map(|lf| start + lf) {
        let first_line_empty = start == 0 && matches!(&rest[..lf], b"" | b"\r");
        if first_line_empty || !matches!(rest.get(lf + 1), Some(b' ' | b'\t')) {
            return lf + 1;
        }
        start = lf + 1;
    }
    rest.len()
}

fn without_line_end(lines: &[u8]) -> &[u8] {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    lines.strip_suffix(b"\r").unwrap_or(lines)
}

/// Blanks before the colon are the obsolete form of RFC 5322 section 4.5.
fn split(lines: &[u8]) -> Option<Field<'_>> {
    let colon = memchr(b':', lines)?;
    let name = lines[..colon].trim_ascii_end();
    let printable = |b: &u8| (33..=126).contains(b);
    if name.is_empty() || !name.iter().all(printable) {
        return None;
    }
    Some(Field { name, value: &lines[colon + 1..] })
}

/// Unfolded and cut, without control characters.
pub(crate) fn shown(field: Field<'_>, limit: usize, decoded: bool) -> String {
    let value = &field.value[..field.value.len().min(MAX_LOOKED_AT)];
    let unfolded = Field { name: field.name, value }.unfolded();
    let text = if decoded {
        encoded::decode(&unfolded)
    } else {
        String::from_utf8_lossy(&unfolded).into_owned()
    };
    let mut text = printable(text);
    text.truncate(text.floor_char_boundary(limit));
    text
}

/// Without control characters and without the marks that turn the direction of writing: either could make a
/// terminal or a list show something else than what is there.
#[must_use]
pub fn printable(text: String) -> String {
    if text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return text;
    }
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    text.chars()
        .map(|c| if c == '\t' { ' ' } else { c })
        .filter(|&c| !c.is_control() && !turns(c))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(header: &[u8]) -> Vec<(String, String)> {
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        fields(header).map(|f| (text(f.name), text(&f.unfolded()))).collect()
    }

    #[test]
    fn fields_as_real_mail_has_them() {
        type Named<'a> = &'a [(&'a str, &'a str)];
        let rows: &[(&[u8], Named<'_>)] = &[
            (b"", &[]),
            (b"\r\nBody: no\r\n", &[]),
            (b"\n A: no\n", &[]),
            (b"A: b\r\nC:d", &[("A", "b"), ("C", "d")]),
            (b"A: b\r\n c\r\n\td\r\nE: f\r\n\r\nG: h\r\n", &[("A", "b c\td"), ("E", "f")]),
            (b"A : b\nC:\n", &[("A", "b"), ("C", "")]),
            (b"no field\r\nA: b\r\n", &[("A", "b")]),
            (b" starts folded: x\r\nA: b\r\n", &[("A", "b")]),
            (b"From someone Sat Jan  1 00:00:00 2000\nA: b\n", &[("A", "b")]),
            (b": nameless\r\nA: b\r\n", &[("A", "b")]),
            (b"A: b:c\r\n", &[("A", "b:c")]),
        ];
        for (header, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(named(header), expected, "{}", String::from_utf8_lossy(header));
        }
    }

    #[test]
    fn a_flood_of_fields_ends_at_the_limit() {
        let flood = b"A: b\r\n".repeat(MAX_FIELDS + 5);
        assert_eq!(fields(&flood).count(), MAX_FIELDS);
        let long = [b"A: ".to_vec(), vec![b'x'; 2 * MAX_HEADER]].concat();
        assert_eq!(fields(&long).map(|f| f.value.len()).sum::<usize>(), MAX_HEADER - 2);
    }

    #[test]
    fn the_section_ends_after_the_empty_line() {
        assert_eq!(section(b"A: b\r\n\r\nbody\r\n\r\n"), b"A: b\r\n\r\n");
        assert_eq!(section(b"A: b\n\nbody"), b"A: b\n\n");
        assert_eq!(section(b"A: b\r\n"), b"A: b\r\n");
    }

    #[test]
    fn a_summary_shows_what_people_look_for() {
        let header = b"Received: x\r\nFrom: =?utf-8?Q?J=C3=B6rg?= <j@example.org>\r\n\
            subject: =?iso-8859-1?B?R3L832U=?=\r\n  aus\tWien\r\nSubject: second\r\n\
            Message-ID: <1@example.org>\r\nDate: Sat, 21 Nov 2026 06:53:04 +0000\r\n\r\n";
        assert_eq!(
            summary(header),
            Summary {
                header_from: Some("Jörg <j@example.org>".into()),
                subject: Some("Grüße  aus Wien".into()),
                message_id: Some("<1@example.org>".into()),
                date: Some("Sat, 21 Nov 2026 06:53:04 +0000".into()),
                signed_by: Vec::new(),
            }
        );
        assert_eq!(summary(b"To: x\r\n\r\n"), Summary::default());
    }

    #[test]
    fn a_summary_is_cut_and_cannot_paint_the_terminal() {
        let header = format!(
            "Subject: \x1b[31mred\u{202e}\x07{}\r\nDate: {}\r\n",
            "ä".repeat(500),
            "1".repeat(100)
        );
        let summary = summary(header.as_bytes());
        let subject = summary.subject.expect("there is one");
        assert!(subject.starts_with("[31mredä") && subject.len() <= MAX_SHOWN);
        assert_eq!(summary.date.map(|d| d.len()), Some(MAX_DATE));
        let raw = super::summary(b"Subject: caf\xe9\r\n").subject;
        assert_eq!(raw.as_deref(), Some("caf\u{fffd}"));
    }
}
