//! Replies read from a server (RFC 5321 section 4.2, RFC 2034), with the tolerance that real servers need.
//!
//! Tolerated: codes that differ between the lines of one reply (the last counts), lines without text, a line without a
//! code inside a multi-line reply, bare LF, octets that are not UTF-8 (made lossy). Not here: what a reply means.

use bytes::BytesMut;
use memchr::memchr;
use posthaste_mail::{EnhancedStatus, Reply};

/// RFC 5321 section 4.5.3.1.5 allows 512; servers that write more are still understood. Octets.
pub const MAX_REPLY_LINE: usize = 4096;
/// Lines of one reply.
pub const MAX_REPLY_LINES: usize = 128;
/// Octets of one reply.
pub const MAX_REPLY: usize = 64 * 1024;

/// The peer does not speak SMTP, or floods us; the connection is of no more use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReplyError {
    /// A line that does not begin with three digits.
    #[error("the line does not begin with a reply code")]
    NoCode,
    /// Over [`MAX_REPLY_LINE`].
    #[error("a reply line is too long")]
    LineTooLong,
    /// Over [`MAX_REPLY_LINES`] or [`MAX_REPLY`].
    #[error("a reply is too long")]
    TooLong,
}

/// Reads replies from whatever pieces they arrive in.
#[derive(Debug, Default)]
pub struct Parser {
    lines: Vec<String>,
    enhanced: Option<EnhancedStatus>,
    octets: usize,
}

impl Parser {
    /// At the start of a reply.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Part of a reply has been read.
    #[must_use]
    pub const fn is_midway(&self) -> bool {
        self.octets > 0
    }

    /// Consumes lines up to the end of one reply; `None` when more input is needed.
    ///
    /// # Errors
    /// [`ReplyError`]; the session cannot go on after it.
    pub fn next(&mut self, input: &mut BytesMut) -> Result<Option<Reply>, ReplyError> {
        while let Some(lf) = memchr(b'\n', input) {
            if lf >= MAX_REPLY_LINE {
                return Err(ReplyError::LineTooLong);
            }
            let line = input.split_to(lf + 1);
            let text = &line[..lf];
            let text = text.strip_suffix(b"\r").unwrap_or(text);
            if let Some(reply) = self.line(text)? {
                return Ok(Some(reply));
            }
        }
        if input.len() > MAX_REPLY_LINE { Err(ReplyError::LineTooLong) } else { Ok(None) }
    }

    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let first = self.octets == 0;
        self.octets += line.len() + 1;
        if self.octets > MAX_REPLY || self.lines.len() >= MAX_REPLY_LINES {
            return Err(ReplyError::TooLong);
        }
        let Some((code, last, text)) = split(line) else {
            if first {
                return Err(ReplyError::NoCode);
            }
            self.lines.push(String::from_utf8_lossy(line).into_owned());
            return Ok(None);
        };
        let text = self.without_status(text);
        self.lines.push(String::from_utf8_lossy(text).into_owned());
        if !last {
            return Ok(None);
        }
        let done = std::mem::take(self);
        Ok(Some(Reply { code, enhanced: done.enhanced, lines: done.lines }))
    }

    /// Takes the enhanced status off a line's text; the first one of a reply stands.
    fn without_status<'a>(&mut self, text: &'a [u8]) -> &'a [u8] {
        match EnhancedStatus::split(text) {
            Some((status, rest)) => {
                self.enhanced.get_or_insert(status);
                rest
            }
            None => text,
        }
    }
}

/// Code, whether the line is the last, and the text.
fn split(line: &[u8]) -> Option<(u16, bool, &[u8])> {
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || rest.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let code = digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
    let text = match rest.first() {
        Some(b' ' | b'-' | b'\t') => &rest[1..],
        _ => rest,
    };
    Some((code, rest.first() != Some(&b'-'), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(wire: &[u8]) -> Result<Option<Reply>, ReplyError> {
        Parser::new().next(&mut BytesMut::from(wire))
    }

    fn reply(code: u16, enhanced: Option<(u8, u16, u16)>, lines: &[&str]) -> Reply {
        let enhanced = enhanced.map(|(c, s, d)| EnhancedStatus::new(c, s, d));
        Reply { code, enhanced, lines: lines.iter().map(|&l| l.to_owned()).collect() }
    }

    #[test]
    fn replies_as_servers_write_them() {
        let rows: &[(&[u8], Reply)] = &[
            (b"250 Ok\r\n", reply(250, None, &["Ok"])),
            (b"250\r\n", reply(250, None, &[""])),
            (b"250 \r\n", reply(250, None, &[""])),
            (b"250 2.1.0 Ok\r\n", reply(250, Some((2, 1, 0)), &["Ok"])),
            (b"550 5.1.1\r\n", reply(550, Some((5, 1, 1)), &[""])),
            (b"250-a\r\n250-b\r\n250 c\r\n", reply(250, None, &["a", "b", "c"])),
            (b"550-5.7.1 a\r\n550 5.7.1 b\r\n", reply(550, Some((5, 7, 1)), &["a", "b"])),
            (b"250-a\r\n550 b\r\n", reply(550, None, &["a", "b"])),
            (b"220-a\r\nno code\r\n220 b\r\n", reply(220, None, &["a", "no code", "b"])),
            (b"250 bare LF\n", reply(250, None, &["bare LF"])),
            (b"250\tx\r\n", reply(250, None, &["x"])),
            (b"250ok\r\n", reply(250, None, &["ok"])),
            (b"550 \xe4h\r\n", reply(550, None, &["\u{fffd}h"])),
            (b"000 odd\r\n", reply(0, None, &["odd"])),
            (b"999 odd\r\n", reply(999, None, &["odd"])),
        ];
        for (wire, expected) in rows {
            assert_eq!(read(wire), Ok(Some(expected.clone())), "{}", String::from_utf8_lossy(wire));
            let (mut parser, mut input, mut got) = (Parser::new(), BytesMut::new(), None);
            for octet in *wire {
                input.extend_from_slice(&[*octet]);
                got = got.or(parser.next(&mut input).expect("valid in pieces too"));
            }
            assert_eq!(got.as_ref(), Some(expected));
        }
    }

    #[test]
    fn what_is_no_reply() {
        for wire in
            [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"\r\n", b"25\r\n", b"2500 x\r\n", b" 250 x\r\n"]
        {
            assert_eq!(read(wire), Err(ReplyError::NoCode), "{}", String::from_utf8_lossy(wire));
        }
        assert_eq!(read(b"250-unfinished\r\n250"), Ok(None));
    }

    #[test]
    fn floods_are_cut_off() {
        assert_eq!(read(&[b'2'; MAX_REPLY_LINE + 1]), Err(ReplyError::LineTooLong));
        assert_eq!(read(&b"250-x\r\n".repeat(MAX_REPLY_LINES + 1)), Err(ReplyError::TooLong));
        let fat = [&b"250-"[..], &[b'x'; 2000], b"\r\n"].concat().repeat(40);
        assert_eq!(read(&fat), Err(ReplyError::TooLong));
    }

    #[test]
    fn two_replies_in_one_piece_stay_two() {
        let (mut parser, mut input) = (Parser::new(), BytesMut::from(&b"250 a\r\n354 b\r\n2"[..]));
        assert_eq!(parser.next(&mut input).map(|r| r.map(|r| r.code)), Ok(Some(250)));
        assert_eq!(parser.next(&mut input).map(|r| r.map(|r| r.code)), Ok(Some(354)));
        assert_eq!(parser.next(&mut input), Ok(None));
        assert!(!parser.is_midway());
    }
}
