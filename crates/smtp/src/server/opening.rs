//! How content begins: with a header field, with the empty line, or, the empty line forgotten, with its body.
//!
//! A trace field in front of such a body would make its first lines part of the header section. Not here: what is done
//! about it (`intake`). RFC 5322 sections 2.2 and 4.5.

/// The longest name of a field that is waited for, octets: longer ones begin a body.
const MAX_NAME: usize = 256;
/// What mailbox files put in front, and what programs make of it: it is left where it is, for fields follow it.
const MAILBOX_LINES: [&[u8]; 2] = [b"From ", b">From "];

/// What the first line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Begins {
    /// A field, the empty line, or the line of a mailbox file.
    Header,
    /// Anything else.
    Body,
}

/// How much of the first line has been looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Opening {
    /// Octets of the name.
    name: usize,
    /// Blanks follow the name: the obsolete form.
    blank: bool,
}

impl Opening {
    /// Takes the next octets; answers as soon as it is known. `before`: all that came before them.
    pub(super) fn next(&mut self, before: &[u8], octets: &[u8]) -> Option<Begins> {
        for &octet in octets {
            match octet {
                b':' if self.name > 0 => return Some(Begins::Header),
                b'\r' | b'\n' if self.name == 0 && !self.blank => return Some(Begins::Header),
                b' ' | b'\t' if self.name > 0 => self.blank = true,
                33..=126 if !self.blank && octet != b':' && self.name < MAX_NAME => self.name += 1,
                _ => return Some(body_or_mailbox(before, octets)),
            }
        }
        None
    }
}

fn body_or_mailbox(before: &[u8], octets: &[u8]) -> Begins {
    let begins_with = |line: &&[u8]| {
        let all = before.iter().chain(octets);
        line.iter().eq(all.take(line.len()))
    };
    if MAILBOX_LINES.iter().any(begins_with) { Begins::Header } else { Begins::Body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_however_it_is_cut() {
        let long = "x".repeat(MAX_NAME + 1);
        for (content, begins) in [
            ("Subject: x\r\n", Some(Begins::Header)),
            ("Subject : x\r\n", Some(Begins::Header)),
            ("X-1!:\r\n", Some(Begins::Header)),
            ("\r\nbody\r\n", Some(Begins::Header)),
            ("\n", Some(Begins::Header)),
            ("From a@b.example Sat Nov 21\r\nTo: x\r\n", Some(Begins::Header)),
            (">From a@b.example Sat Nov 21\r\nTo: x\r\n", Some(Begins::Header)),
            ("Hello, friend\r\n", Some(Begins::Body)),
            ("Hello\r\n", Some(Begins::Body)),
            ("Hello friend: x\r\n", Some(Begins::Body)),
            (" folded: x\r\n", Some(Begins::Body)),
            (": x\r\n", Some(Begins::Body)),
            ("gr\u{fc}n: x\r\n", Some(Begins::Body)),
            (" \r\n", Some(Begins::Body)),
            (&long, Some(Begins::Body)),
            ("Subject", None),
            ("", None),
        ] {
            let octets = content.as_bytes();
            assert_eq!(Opening::default().next(b"", octets), begins, "{content:?}");
            let mut opening = Opening::default();
            let one = |at: usize| opening.next(&octets[..at], &octets[at..=at]);
            assert_eq!((0..octets.len()).find_map(one), begins, "{content:?}");
        }
    }
}
