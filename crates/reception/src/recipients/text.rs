//! Recipients and aliases as files have them: lines of UTF-8, each fault with its line.
//!
//! Not here: reading the file from the disk (whoever wires), what a line means (`list`, `aliases`).

use posthaste_mail::address::AddressError;
use std::borrow::Cow;
use std::fmt;

/// Faults listed of one file; one with more is no such file at all.
pub const MAX_FAULTS: usize = 20;
/// What some editors put in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// One thing that is wrong with a file; the operator must correct it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineFault {
    /// From 1.
    pub line: usize,
    /// What is wrong.
    pub what: Wrong,
}

/// What is wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Wrong {
    /// An octet 0: text in UTF-16, or no text.
    #[error("it contains NUL; the file must be text in UTF-8")]
    Nul,
    /// Not UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// Over the limit, in octets.
    #[error("the line is longer than {0} octets")]
    LineTooLong(usize),
    /// The file has more entries than this.
    #[error("there are more than {0} entries")]
    TooManyEntries(usize),
    /// Not an address, for this reason.
    #[error("`{0}`: {1}")]
    Address(String, AddressError),
    /// More than one word on a line.
    #[error("one address or local part on a line; `{0}` has more")]
    SeveralWords(String),
    /// A line of the aliases that has no colon.
    #[error("an alias has the form `name: target, target`")]
    NoColon,
    /// A line that begins with a blank, and nothing before it.
    #[error("the line begins with a blank, so it continues an alias, but there is none before it")]
    ContinuesNothing,
    /// An alias without target.
    #[error("`{0}` has no target")]
    NoTarget(String),
    /// An alias with more targets than this.
    #[error("`{0}` has more than {1} targets")]
    TooManyTargets(String, usize),
    /// A quoted string without its end.
    #[error("a quotation mark is not closed")]
    Unclosed,
    /// A target that runs a program.
    #[error(
        "`{0}` would run a program, which aliases do not do here; give an address, and let its mail host run it"
    )]
    Program(String),
    /// A target that is a file.
    #[error("`{0}` would write to a file, which aliases do not do here; give an address")]
    File(String),
    /// `:include:` and its like.
    #[error("`{0}` is not supported; write the targets into this file")]
    Special(String),
    /// The name stands in an earlier line.
    #[error("`{0}` stands already in line {1}")]
    Twice(String, usize),
    /// Aliases that lead to each other.
    #[error("aliases lead in a circle: {0}")]
    Circle(String),
    /// The targets of the targets are too many, or too deep.
    #[error("`{0}` leads to more than {1} recipients or over more than {2} steps")]
    TooWide(String, usize, usize),
}

impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

/// The lines of a file with their numbers, from 1, without their ends.
pub(super) fn lines(octets: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let text = octets.strip_prefix(BYTE_ORDER_MARK).unwrap_or(octets);
    let lines = text.split(|&octet| octet == b'\n');
    (1..).zip(lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line)))
}

/// A line as text.
pub(super) fn text(line: &[u8], limit: usize) -> Result<&str, Wrong> {
    if line.len() > limit {
        return Err(Wrong::LineTooLong(limit));
    }
    if line.contains(&0) {
        return Err(Wrong::Nul);
    }
    std::str::from_utf8(line).map_err(|_| Wrong::NotUtf8)
}

/// A local part as it is compared here: without quotes, in lower case. RFC 5321 section 2.4 leaves the meaning of
/// case to the receiving host; for our own domains that is us.
pub(super) fn fold(local_part: &str) -> Cow<'_, str> {
    let bare = match local_part.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) if inner.contains('\\') => Cow::Owned(unescaped(inner)),
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(local_part),
    };
    let is_lower = |c: char| if c.is_ascii() { !c.is_ascii_uppercase() } else { !c.is_uppercase() };
    if bare.chars().all(is_lower) { bare } else { Cow::Owned(bare.to_lowercase()) }
}

/// A quoted string's content (RFC 5321 section 4.1.2: quoted-pairSMTP).
fn unescaped(inner: &str) -> String {
    let mut escaped = false;
    let keep = |c: char| {
        escaped = c == '\\' && !escaped;
        !escaped
    };
    inner
        .chars()
        .filter({
            let mut keep = keep;
            move |c| keep(*c)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_parts_are_compared_without_case_and_quotes() {
        for (written, compared) in [
            ("bob", "bob"),
            ("Bob.Smith", "bob.smith"),
            ("\"Bob\"", "bob"),
            ("\"a b\"", "a b"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            ("JÖRG", "jörg"),
            ("\"", "\""),
        ] {
            assert_eq!(fold(written), compared, "{written}");
        }
    }

    #[test]
    fn lines_end_as_any_editor_ends_them() {
        let numbered: Vec<_> = lines(b"\xef\xbb\xbfa\r\nb\n\nc").collect();
        assert_eq!(numbered, [(1, &b"a"[..]), (2, b"b"), (3, b""), (4, b"c")]);
    }
}
