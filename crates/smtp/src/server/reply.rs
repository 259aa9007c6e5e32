//! Replies written to the output buffer (RFC 5321 section 4.2, RFC 2034).
//!
//! Not here: reading replies (`crate::reply`), choosing them (`session`, the agent).

use posthaste_mail::{EnhancedStatus, Reply};
use std::fmt::{self, Write as _};

/// Text per reply line, octets; with codes and CRLF a line stays under the 512 of RFC 5321 section 4.5.3.1.5.
const MAX_TEXT: usize = 490;
/// Lines of one reply; those beyond are dropped.
const MAX_LINES: usize = 64;

/// Writes a single-line reply.
pub(super) fn line(
    out: &mut Vec<u8>,
    code: u16,
    enhanced: Option<EnhancedStatus>,
    text: impl fmt::Display,
    utf8: bool,
) {
    one_line(out, (code, ' '), enhanced, text, utf8);
}

/// Writes a reply of the agent's, every line with the enhanced status.
pub(super) fn reply(out: &mut Vec<u8>, reply: &Reply, utf8: bool) {
    let lines = &reply.lines[..reply.lines.len().min(MAX_LINES)];
    let Some((last, first)) = lines.split_last() else {
        return line(out, reply.code, reply.enhanced, "", utf8);
    };
    for text in first {
        one_line(out, (reply.code, '-'), reply.enhanced, text, utf8);
    }
    line(out, reply.code, reply.enhanced, last, utf8);
}

fn one_line(
    out: &mut Vec<u8>,
    (code, separator): (u16, char),
    enhanced: Option<EnhancedStatus>,
    text: impl fmt::Display,
    utf8: bool,
) {
    let mut line = Line { out, left: MAX_TEXT, utf8 };
    // The only error is the line's own limit: the text is cut there.
    let _cut = match enhanced {
        Some(status) => write!(line, "{code:03}{separator}{status} {text}"),
        None => write!(line, "{code:03}{separator}{text}"),
    };
    out.extend_from_slice(b"\r\n");
}

/// Keeps text in its line: control characters become blanks, what is not ASCII `?` unless the client speaks UTF-8.
struct Line<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
    utf8: bool,
}

impl fmt::Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let c = match c {
                c if c.is_control() => ' ',
                c if !c.is_ascii() && !self.utf8 => '?',
                c => c,
            };
            self.left = self.left.checked_sub(c.len_utf8()).ok_or(fmt::Error)?;
            self.out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(answer: &Reply, utf8: bool) -> String {
        let mut out = Vec::new();
        reply(&mut out, answer, utf8);
        String::from_utf8(out).expect("replies are UTF-8")
    }

    #[test]
    fn every_line_carries_the_codes_and_nothing_breaks_out_of_it() {
        let status = Some(EnhancedStatus::new(5, 7, 1));
        let two =
            Reply { code: 550, enhanced: status, lines: vec!["a\r\n250 ok".into(), "ü".into()] };
        assert_eq!(written(&two, false), "550-5.7.1 a  250 ok\r\n550 5.7.1 ?\r\n");
        assert_eq!(written(&two, true), "550-5.7.1 a  250 ok\r\n550 5.7.1 ü\r\n");
        assert_eq!(written(&Reply::new(220, None, ""), false), "220 \r\n");
        assert_eq!(written(&Reply { code: 421, enhanced: None, lines: vec![] }, false), "421 \r\n");
        let long = written(&Reply::new(550, status, "x".repeat(2000)), false);
        assert!(long.len() <= 512 && long.ends_with("x\r\n"), "{}", long.len());
    }
}
