//! Canonical forms of header fields (RFC 6376 sections 3.4.1 and 3.4.2). Those of a body are in `body`.

use crate::header::field_end;
use memchr::memchr;

/// How much change on the way a signature bears.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Canon {
    /// None.
    Simple,
    /// Blanks, folds, and the case of field names.
    #[default]
    Relaxed,
}

/// The `c=` of a signature.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Canons {
    /// Of the header fields.
    pub header: Canon,
    /// Of the body.
    pub body: Canon,
}

impl Canon {
    /// As `c=` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Relaxed => "relaxed",
        }
    }
}

/// One field as it stands in a header section.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Raw<'a> {
    /// Its name as written, without blanks before the colon.
    pub name: &'a [u8],
    /// All of it, folds included, without the line end of its last line.
    pub lines: &'a [u8],
}

/// A line in a header section is neither a field nor the continuation of one (RFC 5322 section 2.2): where the header ends
/// is anybody's guess, and a signature over it would not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a line in the header section is no field")]
pub struct NoField;

/// The fields of a header section in order, up to the empty line.
///
/// # Errors
/// [`NoField`]
pub fn raw_fields(header: &[u8]) -> Result<Vec<Raw<'_>>, NoField> {
    let (mut rest, mut found) = (header, Vec::new());
    while !rest.is_empty() && !rest.starts_with(b"\r\n") {
        let (lines, after) = rest.split_at(field_end(rest));
        rest = after;
        let lines = lines.strip_suffix(b"\r\n").unwrap_or(lines);
        let colon = memchr(b':', lines).ok_or(NoField)?;
        let name = lines[..colon].trim_ascii_end();
        if name.is_empty() || !name.iter().all(u8::is_ascii_graphic) {
            return Err(NoField);
        }
        found.push(Raw { name, lines });
    }
    Ok(found)
}

/// Adds the canonical form of a field, without a line end.
pub fn push_field(canon: Canon, field: Raw<'_>, out: &mut Vec<u8>) {
    match canon {
        Canon::Simple => out.extend_from_slice(field.lines),
        Canon::Relaxed => {
            out.extend(field.name.iter().map(u8::to_ascii_lowercase));
            out.push(b':');
            let colon = memchr(b':', field.lines).map_or(field.lines.len(), |colon| colon + 1);
            push_relaxed_value(&field.lines[colon..], out);
        }
    }
}

/// Unfolded, every run of blanks one space, none at the ends.
fn push_relaxed_value(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut blank = false;
    for (at, &octet) in value.iter().enumerate() {
        match octet {
            b' ' | b'\t' => blank = true,
            b'\r' if value.get(at + 1) == Some(&b'\n') => {}
            b'\n' if at > 0 && value[at - 1] == b'\r' => {}
            _ => {
                if std::mem::take(&mut blank) && out.len() > start {
                    out.push(b' ');
                }
                out.push(octet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(canon: Canon, header: &str) -> String {
        let mut out = Vec::new();
        for field in raw_fields(header.as_bytes()).expect("fields") {
            push_field(canon, field, &mut out);
            out.extend_from_slice(b"\r\n");
        }
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_examples_of_rfc_6376_section_3_4_5() {
        let header = "A: X\r\nB : Y\t\r\n\tZ  \r\n";
        assert_eq!(canonical(Canon::Relaxed, header), "a:X\r\nb:Y Z\r\n");
        assert_eq!(canonical(Canon::Simple, header), header);
    }

    #[test]
    fn odd_fields() {
        for (header, relaxed) in [
            ("Subject:\r\n", "subject:\r\n"),
            ("Subject: \t \r\n", "subject:\r\n"),
            ("SUBJECT:a\r\n\r\n", "subject:a\r\n"),
            ("Subject \t: a\r\n  b\r\n\tc\r\n", "subject:a b c\r\n"),
            ("Subject:\r\n a\r\n", "subject:a\r\n"),
            ("Subject: a\r\n \r\n b\r\n", "subject:a b\r\n"),
            ("Subject: a:b  \t c:\r\n", "subject:a:b c:\r\n"),
            ("Subject: no line end", "subject:no line end\r\n"),
            ("Subject: caf\u{e9}\r\n", "subject:caf\u{e9}\r\n"),
        ] {
            assert_eq!(canonical(Canon::Relaxed, header), relaxed, "{header:?}");
        }
        for wrong in ["no field\r\n", " A: b\r\n", "A b: c\r\n", ": x\r\n", "A: b\r\nrubbish\r\n"] {
            assert_eq!(raw_fields(wrong.as_bytes()), Err(NoField), "{wrong:?}");
        }
    }
}
