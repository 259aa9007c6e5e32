//! Enhanced status codes (RFC 3463): `class.subject.detail`.

use std::fmt;

/// An enhanced status code such as `4.4.1`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedStatus {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u8,
    /// 0 to 999 (RFC 3463 section 2).
    pub subject: u16,
    /// 0 to 999.
    pub detail: u16,
}

impl EnhancedStatus {
    /// A code from its three numbers.
    #[must_use]
    pub const fn new(class: u8, subject: u16, detail: u16) -> Self {
        Self { class, subject, detail }
    }

    /// The same subject and detail under another class.
    #[must_use]
    pub const fn with_class(self, class: u8) -> Self {
        Self { class, ..self }
    }

    /// Reads a code at the start of a reply text (RFC 2034 section 4): `5.1.1 No such user`.
    /// Answers the code and what follows the blank, or `None` when the text does not start with one.
    #[must_use]
    pub fn split(text: &[u8]) -> Option<(Self, &[u8])> {
        let end = text.iter().position(|&b| b == b' ').unwrap_or(text.len());
        let mut parts = text[..end].split(|&b| b == b'.');
        let class = number(parts.next()?)?;
        let subject = number(parts.next()?)?;
        let detail = number(parts.next()?)?;
        if parts.next().is_some() || !matches!(class, 2 | 4 | 5) {
            return None;
        }
        let code = Self { class: u8::try_from(class).ok()?, subject, detail };
        Some((code, text.get(end + 1..).unwrap_or(&[])))
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_codes_and_nothing_else() {
        let (code, rest) = EnhancedStatus::split(b"5.1.1 No such user").expect("a code");
        assert_eq!((code.to_string().as_str(), rest), ("5.1.1", &b"No such user"[..]));
        assert_eq!(EnhancedStatus::split(b"4.7.650").map(|c| c.0.detail), Some(650));
        for none in [&b"3.1.1 x"[..], b"5.1 x", b"5.1.1.1 x", b"5.1.1234", b"", b"10.0.0.1 x"] {
            assert_eq!(EnhancedStatus::split(none), None);
        }
    }
}
