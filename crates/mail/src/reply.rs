//! A reply of an SMTP server (RFC 5321 section 4.2), ours or a peer's, as data.

use crate::status::EnhancedStatus;
use std::fmt;

/// One complete reply, single or multi-line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// 200 to 599 (also 000 to 999 when a peer is confused).
    pub code: u16,
    /// The enhanced status of its lines, when they carry one (RFC 2034).
    pub enhanced: Option<EnhancedStatus>,
    /// The text lines without code and enhanced status; at least one, which may be empty.
    pub lines: Vec<String>,
}

/// The most octets of a reply's text that are kept in the spool (design: spool rule 9).
pub const KEPT_TEXT: usize = 512;

impl Reply {
    /// A single-line reply.
    #[must_use]
    pub fn new(code: u16, enhanced: Option<EnhancedStatus>, text: impl Into<String>) -> Self {
        Self { code, enhanced, lines: vec![text.into()] }
    }

    /// 2yz: done.
    #[must_use]
    pub const fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 3yz: go on.
    #[must_use]
    pub const fn is_intermediate(&self) -> bool {
        self.code / 100 == 3
    }

    /// 5yz: permanent.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The lines joined by blanks.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }

    /// The same reply with its text cut at [`KEPT_TEXT`] octets and marked with `...`.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let total: usize = self.lines.iter().map(|l| l.len() + 1).sum();
        if total <= KEPT_TEXT + 1 {
            return self.clone();
        }
        let mut left = KEPT_TEXT - 3;
        let mut lines = Vec::new();
        for line in &self.lines {
            let end = line.floor_char_boundary(left.min(line.len()));
            lines.push(line[..end].to_owned());
            if end < line.len() || left <= line.len() + 1 {
                break;
            }
            left -= line.len() + 1;
        }
        if let Some(last) = lines.last_mut() {
            last.push_str("...");
        }
        Self { code: self.code, enhanced: self.enhanced, lines }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        let text = self.text();
        if !text.is_empty() {
            write!(f, " {text}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_and_marked() {
        let long = Reply {
            code: 550,
            enhanced: Some(EnhancedStatus::new(5, 7, 1)),
            lines: vec!["x".repeat(300), "ä".repeat(300), "never seen".into()],
        };
        let short = long.shortened();
        assert!(short.text().len() <= KEPT_TEXT);
        assert!(short.text().ends_with("..."));
        assert_eq!(short.shortened(), short);
        assert_eq!(long.to_string().get(..13), Some("550 5.7.1 xxx"));
    }
}
