//! The dialogue of one session: octets as they went over the wire, in one bounded buffer.
//!
//! Recording only copies. Reading ([`Tape::lines`]) makes lines of the octets and leaves out what must not be seen:
//! everything after `AUTH mechanism`, and lines that are no command after AUTH or DATA, which may be a password or the
//! content that a client sent without being asked (RFC 4954, RFC 5321 section 4.1.1.4). Content itself is never
//! recorded, only its size. Of a long dialogue the beginning and the end are kept.

use std::fmt;
use std::time::Duration;

/// Octets kept of the beginning, with [`HEADER`] octets for each record.
const HEAD: usize = 8 * 1024;
/// Octets kept of the end, likewise.
const TAIL: usize = 8 * 1024;
/// Octets that the end may grow beyond [`TAIL`] before it is cut back.
const SLACK: usize = 4 * 1024;
/// The most octets of one record; longer pieces are several.
const MAX_RECORD: usize = 2 * 1024;
/// A record's time, kind and length.
const HEADER: usize = 10;
/// The most octets of a command or reply line that are told.
const MAX_LINE: usize = 1000;

/// Commands that begin something new: what follows one of them is no secret.
const COMMANDS: &[&str] =
    &["EHLO", "HELO", "LHLO", "MAIL", "RCPT", "BDAT", "RSET", "QUIT", "STARTTLS", "AUTH", "DATA"];
/// Mechanisms of AUTH that are told by name.
const MECHANISMS: &[&str] = &[
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "DIGEST-MD5",
    "SCRAM-SHA-1",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-256-PLUS",
    "XOAUTH2",
    "OAUTHBEARER",
    "GSSAPI",
    "NTLM",
    "EXTERNAL",
    "ANONYMOUS",
];
/// Commands that change nothing.
const ASIDES: &[&str] = &["NOOP", "VRFY", "EXPN", "HELP"];

/// A side of the conversation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// This program.
    We,
    /// The other side.
    They,
}

/// One line of the dialogue.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// Since the session began.
    pub after: Duration,
    /// Who said it.
    pub who: Who,
    /// What.
    pub text: Text,
}

/// What was said, or what stands for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Text {
    /// As it was, without its line end; control characters escaped.
    Said(String),
    /// Content of so many octets.
    Content(u64),
    /// So many octets that may be a secret or content.
    Hidden(usize),
    /// The command, then so many octets that are a secret.
    Secret(String, usize),
    /// So many octets are not kept: the dialogue was too long.
    LeftOut(u64),
}

/// A bounded recording. At most 20 KiB; it takes memory only as it grows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tape {
    head: Vec<u8>,
    tail: Vec<u8>,
    left_out: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    We = 0,
    They = 1,
    OurContent = 2,
    TheirContent = 3,
}

impl Tape {
    /// Nothing said yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { head: Vec::new(), tail: Vec::new(), left_out: 0 }
    }

    /// True when nothing was recorded.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// Octets it takes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Records octets of command or reply lines, cut anywhere.
    pub fn push(&mut self, after: Duration, who: Who, octets: &[u8]) {
        let kind = if who == Who::We { Kind::We } else { Kind::They };
        for piece in octets.chunks(MAX_RECORD) {
            self.record(after, kind, piece);
        }
    }

    /// Records that content went over, `size` octets of it.
    pub fn content(&mut self, after: Duration, who: Who, size: u64) {
        let kind = if who == Who::We { Kind::OurContent } else { Kind::TheirContent };
        self.record(after, kind, &size.to_le_bytes());
    }

    fn record(&mut self, after: Duration, kind: Kind, octets: &[u8]) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX >> 2);
        let stamp = (micros << 2) | kind as u64;
        let length = u16::try_from(octets.len()).expect("a record is at most MAX_RECORD octets");
        let fits = self.tail.is_empty() && self.head.len() + HEADER + octets.len() <= HEAD;
        let into = if fits { &mut self.head } else { &mut self.tail };
        into.extend_from_slice(&stamp.to_le_bytes());
        into.extend_from_slice(&length.to_le_bytes());
        into.extend_from_slice(octets);
        if self.tail.len() > TAIL + SLACK {
            self.cut_back();
        }
    }

    fn cut_back(&mut self) {
        let mut at = 0;
        while self.tail.len() - at > TAIL {
            let length = usize::from(u16::from_le_bytes([self.tail[at + 8], self.tail[at + 9]]));
            self.left_out += length as u64;
            at += HEADER + length;
        }
        self.tail.drain(..at);
    }

    /// The dialogue line by line; `client` is the side that sends commands.
    #[must_use]
    pub fn lines(&self, client: Who) -> Vec<Line> {
        let mut reader = Reader::new(client);
        Records(&self.head).for_each(|record| reader.take(&record));
        if self.left_out > 0 {
            reader.gap(self.left_out);
        }
        Records(&self.tail).for_each(|record| reader.take(&record));
        reader.finish()
    }
}

struct OneRecord<'t> {
    after: Duration,
    kind: Kind,
    octets: &'t [u8],
}

struct Records<'t>(&'t [u8]);

impl<'t> Iterator for Records<'t> {
    type Item = OneRecord<'t>;

    fn next(&mut self) -> Option<OneRecord<'t>> {
        let (header, rest) = self.0.split_at_checked(HEADER)?;
        let stamp = u64::from_le_bytes(header[..8].try_into().ok()?);
        let length = usize::from(u16::from_le_bytes([header[8], header[9]]));
        let (octets, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        let kind = match stamp & 3 {
            0 => Kind::We,
            1 => Kind::They,
            2 => Kind::OurContent,
            _ => Kind::TheirContent,
        };
        Some(OneRecord { after: Duration::from_micros(stamp >> 2), kind, octets })
    }
}

/// Makes lines of records.
struct Reader {
    client: Who,
    lines: Vec<Line>,
    /// A line that has not ended yet, of each side, and when it began.
    open: [(Duration, Vec<u8>); 2],
    /// What the client says next may be a secret or content, unless it is a command.
    doubtful: bool,
    /// The server asked for one.
    asked: bool,
}

impl Reader {
    fn new(client: Who) -> Self {
        let (lines, open) = (Vec::new(), Default::default());
        Self { client, lines, open, doubtful: false, asked: false }
    }

    fn take(&mut self, record: &OneRecord<'_>) {
        let who = match record.kind {
            Kind::We | Kind::OurContent => Who::We,
            Kind::They | Kind::TheirContent => Who::They,
        };
        if matches!(record.kind, Kind::OurContent | Kind::TheirContent) {
            let size = record.octets.try_into().map_or(0, u64::from_le_bytes);
            self.add(record.after, who, Text::Content(size));
            return;
        }
        for piece in record.octets.split_inclusive(|&octet| octet == b'\n') {
            let open = &mut self.open[who as usize];
            if open.1.is_empty() {
                open.0 = record.after;
            }
            open.1.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                self.line_of(who);
            }
        }
    }

    /// What came before it may have been the command that the rest belongs to.
    fn gap(&mut self, left_out: u64) {
        self.open = Default::default();
        let after = self.lines.last().map_or(Duration::ZERO, |line| line.after);
        self.add(after, Who::We, Text::LeftOut(left_out));
        (self.doubtful, self.asked) = (true, false);
    }

    fn finish(mut self) -> Vec<Line> {
        for who in [Who::We, Who::They] {
            if !self.open[who as usize].1.is_empty() {
                self.line_of(who);
            }
        }
        self.lines
    }

    fn line_of(&mut self, who: Who) {
        let (after, octets) = std::mem::take(&mut self.open[who as usize]);
        let octets = octets.strip_suffix(b"\n").unwrap_or(&octets);
        let octets = octets.strip_suffix(b"\r").unwrap_or(octets);
        let text = if who == self.client {
            self.command(octets)
        } else {
            self.asked = octets.starts_with(b"334");
            Text::Said(printable(octets))
        };
        self.add(after, who, text);
    }

    fn command(&mut self, octets: &[u8]) -> Text {
        let asked = std::mem::take(&mut self.asked);
        let first = octets.split(|octet| !octet.is_ascii_alphabetic()).next().unwrap_or_default();
        let is = |words: &[&str]| words.iter().any(|w| w.as_bytes().eq_ignore_ascii_case(first));
        let known = is(COMMANDS);
        if asked || (self.doubtful && !known) {
            self.doubtful = true;
            return if !asked && is(ASIDES) && octets.len() == first.len() {
                Text::Said(printable(octets))
            } else {
                Text::Hidden(octets.len())
            };
        }
        if known {
            self.doubtful = is(&["AUTH", "DATA"]);
        }
        if is(&["AUTH"]) { auth(octets) } else { Text::Said(printable(octets)) }
    }

    fn add(&mut self, after: Duration, who: Who, text: Text) {
        self.lines.push(Line { after, who, text });
    }
}

/// `AUTH PLAIN AGFubgBzZWNyZXQ=`: a mechanism that is known may be told, nothing else (RFC 4954 section 4).
fn auth(octets: &[u8]) -> Text {
    let rest = &octets["AUTH".len()..];
    let start = rest.iter().position(u8::is_ascii_alphanumeric).unwrap_or(rest.len());
    let word = rest[start..].split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let known = MECHANISMS.iter().find(|name| name.as_bytes().eq_ignore_ascii_case(word));
    match known {
        None if rest.is_empty() => Text::Said("AUTH".to_owned()),
        None => Text::Secret("AUTH".to_owned(), rest.len()),
        Some(name) => match rest.len() - start - word.len() {
            0 => Text::Said(format!("AUTH {name}")),
            secret => Text::Secret(format!("AUTH {name}"), secret - 1),
        },
    }
}

fn printable(octets: &[u8]) -> String {
    let shown = &octets[..octets.len().min(MAX_LINE)];
    let text = String::from_utf8_lossy(shown);
    let mut text: String = if text.chars().any(char::is_control) {
        text.chars().flat_map(escaped).collect()
    } else {
        text.into_owned()
    };
    if octets.len() > MAX_LINE {
        text.push_str("...");
    }
    text
}

fn escaped(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = (!c.is_control()).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// As shown to people: what stands for something left out is in brackets.
impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(text) => f.write_str(text),
            Self::Content(size) => write!(f, "[content, {size} octets]"),
            Self::Hidden(size) => write!(f, "[{size} octets not shown]"),
            Self::Secret(command, size) => write!(f, "{command} [{size} octets not shown]"),
            Self::LeftOut(size) => write!(f, "[{size} octets of the dialogue left out]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape(said: &[(Who, &str)]) -> Tape {
        let mut tape = Tape::new();
        for (n, (who, text)) in (0..).zip(said) {
            tape.push(Duration::from_millis(n), *who, text.as_bytes());
        }
        tape
    }

    fn told(tape: &Tape) -> Vec<String> {
        let lines = tape.lines(Who::They);
        lines.iter().map(|line| format!("{:?} {}", line.who, line.text)).collect()
    }

    use Who::{They, We};

    #[test]
    fn the_dialogue_is_told_as_it_was() {
        let mut tape = tape(&[
            (We, "220 mx ESMTP\r\n"),
            (They, "EHLO c\r\n"),
            (We, "250-mx\r\n250 SIZE\r\n"),
            (They, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDA"),
            (They, "TA\r\n"),
            (We, "250 ok\r\n550 no\r\n354 go\r\n"),
        ]);
        tape.content(Duration::from_millis(9), They, 1234);
        tape.push(Duration::from_millis(10), We, b"250 queued\r\n");
        tape.push(Duration::from_millis(11), They, b"QU\x07\xff");
        assert_eq!(
            told(&tape),
            [
                "We 220 mx ESMTP",
                "They EHLO c",
                "We 250-mx",
                "We 250 SIZE",
                "They MAIL FROM:<a@x>",
                "They RCPT TO:<b@y>",
                "They DATA",
                "We 250 ok",
                "We 550 no",
                "We 354 go",
                "They [content, 1234 octets]",
                "We 250 queued",
                "They [4 octets not shown]",
            ]
        );
        let lines = tape.lines(They);
        assert_eq!((lines[6].after.as_millis(), lines[11].after.as_millis()), (3, 10));
        let odd = super::tests::tape(&[(They, "GET /\x1b[2J HTTP/1.1\n")]);
        assert_eq!(told(&odd), ["They GET /\\u{1b}[2J HTTP/1.1"]);
    }

    #[test]
    fn no_secret_is_ever_told() {
        const SECRET: &str = "AGFubgBzM2NyM3Q=";
        let cases: &[&[(Who, &str)]] = &[
            &[(They, "AUTH PLAIN AGFubgBzM2NyM3Q=\r\n"), (We, "235 ok\r\n")],
            &[(They, "auth plain\r\n"), (We, "334 \r\n"), (They, "AGFubgBzM2NyM3Q=\r\n")],
            &[(They, "AUTH\tPLAIN\tAGFubgBzM2NyM3Q=\r\n"), (We, "502 no\r\n")],
            &[(They, "AUTH  PLAIN AGFubgBzM2NyM3Q=\r\n"), (We, "502 no\r\n")],
            &[(They, "AUTH AGFubgBzM2NyM3Q=\r\n"), (We, "504 no\r\n")],
            // Sent without waiting, and refused.
            &[(They, "AUTH LOGIN\r\nAGFubgBzM2NyM3Q=\r\nAGFubgBzM2NyM3Q=\r\n"), (We, "502 no\r\n")],
            &[(They, "AUTH LOGIN\r\n"), (We, "502 no\r\n"), (They, "NOOP AGFubgBzM2NyM3Q=\r\n")],
            // A secret that looks like a command is one when it was asked for.
            &[(They, "AUTH LOGIN\r\n"), (We, "334 x\r\n"), (They, "RSET AGFubgBzM2NyM3Q=\r\n")],
            // Content that came although DATA was refused.
            &[(They, "DATA\r\n"), (We, "554 no\r\n"), (They, "Dear AGFubgBzM2NyM3Q=\r\n.\r\n")],
            // Cut anywhere.
            &[(They, "AUTH PLAIN AGFubg"), (They, "BzM2NyM3Q=\r\n")],
        ];
        for case in cases {
            let told = told(&tape(case)).join("\n");
            for part in [SECRET, "BzM2NyM3Q=", "AGFubg"] {
                assert!(!told.contains(part), "{told}");
            }
            assert!(told.contains("not shown"), "{told}");
        }
        let after =
            tape(&[(They, "AUTH PLAIN x\r\n"), (We, "235 ok\r\n"), (They, "MAIL FROM:<>\r\n")]);
        assert_eq!(told(&after)[0], "They AUTH PLAIN [1 octets not shown]");
        assert_eq!(told(&after)[2], "They MAIL FROM:<>");
        let other = tape(&[(They, "AUTH YWJjZGVm\r\n"), (They, "auth cram-md5\r\n")]);
        let expected = ["They AUTH [9 octets not shown]", "They AUTH CRAM-MD5"];
        assert_eq!(told(&other), expected);
    }

    #[test]
    fn as_a_client_our_secrets_are_ours() {
        let tape = tape(&[(They, "334 \r\n"), (We, "hunter2\r\n"), (They, "hunter2\r\n")]);
        let lines = tape.lines(We);
        assert_eq!(lines[1].text, Text::Hidden(7));
        assert_eq!(lines[2].text, Text::Said("hunter2".into()));
    }

    #[test]
    fn of_a_long_dialogue_both_ends_are_kept_and_the_middle_is_counted() {
        let mut tape = Tape::new();
        let (mut said, mut most) = (0, 0);
        for n in 0..100_000u32 {
            let line = format!("RCPT TO:<{n}@x>\r\n");
            said += line.len();
            tape.push(Duration::from_micros(u64::from(n)), They, line.as_bytes());
            most = most.max(tape.size());
        }
        assert!(most <= HEAD + TAIL + SLACK + HEADER + MAX_RECORD, "{most}");
        let told = told(&tape);
        assert_eq!(told[0], "They RCPT TO:<0@x>");
        assert_eq!(told.last().unwrap(), "They RCPT TO:<99999@x>");
        let gap = told.iter().find(|line| line.contains("left out")).unwrap();
        let kept: usize =
            told.iter().filter(|l| l.starts_with("They")).map(|l| l.len() + 2 - 5).sum();
        assert_eq!(gap, &format!("We [{} octets of the dialogue left out]", said - kept));
    }

    #[test]
    fn after_a_gap_the_first_words_may_be_a_secret() {
        let mut tape = Tape::new();
        tape.push(Duration::ZERO, They, b"AUTH LOGIN\r\n");
        for _ in 0..2000 {
            tape.push(Duration::ZERO, They, b"c2VjcmV0\r\n");
        }
        assert!(!told(&tape).join("\n").contains("c2VjcmV0"));
    }

    #[test]
    fn a_large_piece_is_several_records() {
        let mut tape = Tape::new();
        let line = "x".repeat(5000);
        tape.push(Duration::ZERO, They, format!("{line}\r\n").as_bytes());
        let told = told(&tape);
        assert_eq!((told.len(), told[0].len()), (1, "They ".len() + MAX_LINE + 3));
    }
}
