//! Command lines: cut from the read buffer and told apart (RFC 5321 sections 2.3.8, 4.1.1, RFC 3030).
//!
//! Not here: whether a command may come now (`session`).

use super::Fault;
use bytes::{Buf, BytesMut};
use memchr::memchr_iter;

/// The longest HELO or EHLO argument, octets: a domain (RFC 5321 section 4.5.3.1.2).
const MAX_HELLO_NAME: usize = 255;

/// A command with its argument as a span of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Command<'a> {
    Hello {
        extended: bool,
        name: &'a str,
    },
    /// What follows `FROM:`.
    Mail(&'a str),
    /// What follows `TO:`.
    Rcpt(&'a str),
    Data,
    Bdat {
        size: u64,
        last: bool,
    },
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    StartTls,
    /// With what follows: the mechanism and perhaps an initial response.
    Auth(&'a str),
    /// EXPN and others that exist and are not offered.
    Other,
}

/// Cuts command lines off the read buffer, with bounded memory however long a line is.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line under way is over its limit: everything up to its CRLF is dropped.
    skipping: bool,
}

/// What the buffer starts with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A line of this length, CRLF included.
    Line(usize),
    /// A line was too long; it is gone from the buffer.
    TooLong,
    /// No whole line yet.
    Need,
}

impl Lines {
    /// Looks for the next line, of so many octets at most. Only CRLF ends one.
    pub(super) fn cut(&mut self, input: &mut BytesMut, most: usize) -> Cut {
        let crlf = |&lf: &usize| lf > 0 && input[lf - 1] == b'\r';
        let Some(end) = memchr_iter(b'\n', input).find(crlf).map(|lf| lf + 1) else {
            if input.len() > most {
                self.skipping = true;
            }
            if self.skipping {
                let kept = usize::from(input.last() == Some(&b'\r'));
                input.advance(input.len() - kept);
            }
            return Cut::Need;
        };
        if std::mem::take(&mut self.skipping) || end > most {
            input.advance(end);
            return Cut::TooLong;
        }
        Cut::Line(end)
    }
}

/// Reads a line without its CRLF.
pub(super) fn parse(line: &[u8]) -> Result<Command<'_>, Fault> {
    if line.iter().any(u8::is_ascii_control) {
        return Err(Fault::BadOctet);
    }
    let line = std::str::from_utf8(line).map_err(|_| Fault::BadOctet)?.trim_end_matches(' ');
    let (verb, argument) = line.split_once(' ').unwrap_or((line, ""));
    let argument = argument.trim_start_matches(' ');
    let verb_is = |name: &str| verb.eq_ignore_ascii_case(name);
    if verb_is("MAIL") {
        return keyword(argument, "FROM:").map(Command::Mail).ok_or(Fault::MailSyntax);
    }
    if verb_is("RCPT") {
        return keyword(argument, "TO:").map(Command::Rcpt).ok_or(Fault::RcptSyntax);
    }
    if verb_is("BDAT") {
        return bdat(argument).ok_or(Fault::BdatSyntax);
    }
    if verb_is("EHLO") || verb_is("HELO") {
        let name = hello_name(argument).ok_or(Fault::HelloSyntax)?;
        return Ok(Command::Hello { extended: verb_is("EHLO"), name });
    }
    if verb_is("VRFY") {
        return if argument.is_empty() { Err(Fault::VrfySyntax) } else { Ok(Command::Vrfy) };
    }
    if verb_is("AUTH") {
        return Ok(Command::Auth(argument));
    }
    rare(verb, argument)
}

/// Commands that take no argument, or any.
fn rare<'a>(verb: &str, argument: &str) -> Result<Command<'a>, Fault> {
    const BARE: [(&str, Command<'static>); 4] = [
        ("DATA", Command::Data),
        ("RSET", Command::Rset),
        ("QUIT", Command::Quit),
        ("STARTTLS", Command::StartTls),
    ];
    const FREE: [(&str, Command<'static>); 8] = [
        ("NOOP", Command::Noop),
        ("HELP", Command::Help),
        ("EXPN", Command::Other),
        ("TURN", Command::Other),
        ("ETRN", Command::Other),
        ("SEND", Command::Other),
        ("SOML", Command::Other),
        ("SAML", Command::Other),
    ];
    let named = |(name, _): &&(&str, Command<'static>)| verb.eq_ignore_ascii_case(name);
    if let Some((_, command)) = FREE.iter().find(named) {
        return Ok(*command);
    }
    match BARE.iter().find(named) {
        Some((_, command)) if argument.is_empty() => Ok(*command),
        Some(_) => Err(Fault::NoArgumentAllowed),
        None => Err(Fault::Unrecognised),
    }
}

/// `FROM:` or `TO:`; common clients put a blank after the colon, which is let through.
fn keyword<'a>(argument: &'a str, keyword: &str) -> Option<&'a str> {
    let found = argument.get(..keyword.len())?.eq_ignore_ascii_case(keyword);
    found.then(|| argument[keyword.len()..].trim_start_matches(' '))
}

fn hello_name(argument: &str) -> Option<&str> {
    let sound = !argument.is_empty() && argument.len() <= MAX_HELLO_NAME && !argument.contains(' ');
    sound.then_some(argument)
}

/// `BDAT SP chunk-size [SP LAST]` (RFC 3030 section 2).
fn bdat<'a>(argument: &str) -> Option<Command<'a>> {
    let (size, last) = match argument.split_once(' ') {
        Some((size, word)) if word.trim_start_matches(' ').eq_ignore_ascii_case("LAST") => {
            (size, true)
        }
        Some(_) => return None,
        None => (argument, false),
    };
    let digits = !size.is_empty() && size.bytes().all(|b| b.is_ascii_digit());
    let size = if digits { size.parse().ok()? } else { return None };
    Some(Command::Bdat { size, last })
}

#[cfg(test)]
mod tests {
    use super::super::MAX_COMMAND_LINE;
    use super::*;

    #[test]
    fn commands_in_any_case_with_blanks_around() {
        for (line, expected) in [
            ("ehlo a.example", Command::Hello { extended: true, name: "a.example" }),
            ("HELO [192.0.2.1] ", Command::Hello { extended: false, name: "[192.0.2.1]" }),
            ("mail from:<a@b> SIZE=1", Command::Mail("<a@b> SIZE=1")),
            ("MAIL FROM: <a@b>", Command::Mail("<a@b>")),
            ("RCPT TO:<a@b>", Command::Rcpt("<a@b>")),
            ("rcpt  To:  <a@b>", Command::Rcpt("<a@b>")),
            ("DATA", Command::Data),
            ("data  ", Command::Data),
            ("BDAT 0 LAST", Command::Bdat { size: 0, last: true }),
            ("bdat 86 last", Command::Bdat { size: 86, last: true }),
            ("BDAT 100000", Command::Bdat { size: 100_000, last: false }),
            ("NOOP whatever", Command::Noop),
            ("HELP MAIL", Command::Help),
            ("VRFY a", Command::Vrfy),
            ("EXPN list", Command::Other),
            ("AUTH PLAIN", Command::Auth("PLAIN")),
            ("auth  LOGIN dGlt", Command::Auth("LOGIN dGlt")),
            ("AUTH", Command::Auth("")),
            ("STARTTLS", Command::StartTls),
        ] {
            assert_eq!(parse(line.as_bytes()), Ok(expected), "{line}");
        }
    }

    #[test]
    fn what_is_no_command() {
        for (line, fault) in [
            (&b""[..], Fault::Unrecognised),
            (b"DAT", Fault::Unrecognised),
            (b"DATA:", Fault::Unrecognised),
            (b"GET / HTTP/1.1", Fault::Unrecognised),
            (b"DATA now", Fault::NoArgumentAllowed),
            (b"QUIT please", Fault::NoArgumentAllowed),
            (b"EHLO", Fault::HelloSyntax),
            (b"EHLO two words", Fault::HelloSyntax),
            (b"MAIL <a@b>", Fault::MailSyntax),
            (b"MAIL TO:<a@b>", Fault::MailSyntax),
            (b"MAIL FRO", Fault::MailSyntax),
            ("MAIL FROMä".as_bytes(), Fault::MailSyntax),
            (b"RCPT FROM:<a@b>", Fault::RcptSyntax),
            (b"VRFY", Fault::VrfySyntax),
            (b"BDAT", Fault::BdatSyntax),
            (b"BDAT -1", Fault::BdatSyntax),
            (b"BDAT +1", Fault::BdatSyntax),
            (b"BDAT LAST", Fault::BdatSyntax),
            (b"BDAT 1 FIRST", Fault::BdatSyntax),
            (b"BDAT 99999999999999999999", Fault::BdatSyntax),
            (b"NOOP\nQUIT", Fault::BadOctet),
            (b"NOOP\rQUIT", Fault::BadOctet),
            (b"NOOP\0", Fault::BadOctet),
            (b"NOOP\x7f", Fault::BadOctet),
            (b"NOOP \xff", Fault::BadOctet),
        ] {
            assert_eq!(parse(line), Err(fault), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn lines_end_with_crlf_only_and_long_ones_cost_no_memory() {
        let mut lines = Lines::default();
        let mut input = BytesMut::from(&b"NOOP\nNOOP"[..]);
        assert_eq!(lines.cut(&mut input, MAX_COMMAND_LINE), Cut::Need);
        input.extend_from_slice(b"\r\nQUIT\r\n");
        assert_eq!(lines.cut(&mut input, MAX_COMMAND_LINE), Cut::Line(11));

        let mut input = BytesMut::from(&[b'x'; MAX_COMMAND_LINE + 1][..]);
        for _ in 0..10 {
            assert_eq!(lines.cut(&mut input, MAX_COMMAND_LINE), Cut::Need);
            assert!(input.len() <= 1);
            input.extend_from_slice(&[b'y'; 999]);
            input.extend_from_slice(b"\r");
        }
        input.extend_from_slice(b"\nNOOP\r\n");
        assert_eq!(lines.cut(&mut input, MAX_COMMAND_LINE), Cut::TooLong);
        assert_eq!(lines.cut(&mut input, MAX_COMMAND_LINE), Cut::Line(6));

        let exact = [&[b'x'; MAX_COMMAND_LINE - 2][..], b"\r\n"].concat();
        assert_eq!(
            lines.cut(&mut BytesMut::from(&exact[..]), MAX_COMMAND_LINE),
            Cut::Line(MAX_COMMAND_LINE)
        );
        let over = [&b"x"[..], &exact].concat();
        assert_eq!(lines.cut(&mut BytesMut::from(&over[..]), MAX_COMMAND_LINE), Cut::TooLong);
    }
}
