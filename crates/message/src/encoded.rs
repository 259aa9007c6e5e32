//! Encoded words in header fields (RFC 2047): `=?charset?Q?text?=` to text people can read.
//!
//! [`phrase`] writes a display name, [`unstructured`] a subject, encoded where they must be. Not here: charsets beyond the Latin ones and UTF-8; words in others stay as they are.

use std::borrow::Cow;

/// The longest encoded word that is decoded, octets. RFC 2047 says 75; real mail goes beyond.
const MAX_WORD: usize = 1024;
/// Octets of text in an encoded word that is written: 45 make 60 of base64, with the frame 72.
const OCTETS_OF_WORD: usize = 45;
/// The same where the field's name stands before it in the line.
const OCTETS_OF_SHORT_WORD: usize = 36;

/// The text of an unfolded field with its encoded words decoded. Octets that are no UTF-8 become U+FFFD.
///
/// Blanks between two encoded words do not count (section 6.2). Words in the same charset are decoded
/// together, because many senders split a character between two words.
#[must_use]
pub fn decode(value: &[u8]) -> String {
    if !value.windows(2).any(|pair| pair == b"=?") {
        return String::from_utf8_lossy(value).into_owned();
    }
    let mut text = String::with_capacity(value.len());
    let mut pending = Pending::default();
    let mut at = 0;
    while at < value.len() {
        if let Some(word) = Word::at(&value[at..]) {
            pending.add(&word, &mut text);
            at += word.length;
            continue;
        }
        let next = next_word(value, at);
        let between = &value[at..next];
        let dropped = pending.charset.is_some() && next < value.len() && is_blank(between);
        if !dropped {
            pending.flush(&mut text);
            text.push_str(&String::from_utf8_lossy(between));
        }
        at = next;
    }
    pending.flush(&mut text);
    text
}

/// A display name as a header field has it (RFC 5322 section 3.4): as it is, quoted, or as encoded words. Line ends and
/// other control characters become blanks: a name must not end the field.
#[must_use]
pub fn phrase(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let name = name.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~ ".contains(c);
    if !name.is_ascii() {
        return encoded_words(name);
    }
    // What looks like an encoded word would be read as one.
    if name.chars().all(plain) && !name.contains("=?") && !name.is_empty() {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The value of an unstructured field such as `Subject:`, folded (RFC 5322 section 2.2.3), with encoded words where there are
/// characters beyond ASCII. Words in charsets that [`decode`] left as they are stay so: a mail program may know them.
/// `name` is the field's, which takes room in the first line.
#[must_use]
pub fn unstructured(name: &str, text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
    let mut pieces: Vec<String> = Vec::new();
    for run in words.chunk_by(|a, b| a.is_ascii() == b.is_ascii()) {
        if run[0].is_ascii() {
            // Blanks between two encoded words do not count, so they go into ours.
            let touching = run[0].starts_with("=?") && !pieces.is_empty();
            if let Some(last) = pieces.last_mut().filter(|_| touching) {
                last.push_str("\r\n =?utf-8?Q?_?=");
            }
            pieces.extend(run.iter().map(|word| (*word).to_owned()));
        } else {
            let after_foreign = pieces.last().is_some_and(|word| word.ends_with("?="));
            let lead = if after_foreign { " " } else { "" };
            pieces.push(words_of(&format!("{lead}{}", run.join(" ")), OCTETS_OF_SHORT_WORD));
        }
    }
    fold(name.len() + 1, &pieces)
}

/// Pieces, with a blank before each, in lines of at most 76 octets where that can be.
fn fold(mut column: usize, pieces: &[String]) -> String {
    const LINE: usize = 76;
    let mut out = String::new();
    for (i, piece) in pieces.iter().enumerate() {
        let first = piece.split("\r\n").next().map_or(0, str::len);
        let fits = i == 0 || column + 1 + first <= LINE;
        out.push_str(if fits { " " } else { "\r\n " });
        column = if fits { column + 1 } else { 1 };
        out.push_str(piece);
        column = piece.rsplit_once("\r\n").map_or(column + piece.len(), |(_, last)| last.len());
    }
    out
}

/// Words of at most 75 octets, each with whole characters (RFC 2047 section 5), on lines of their own.
fn encoded_words(text: &str) -> String {
    words_of(text, OCTETS_OF_WORD)
}

fn words_of(text: &str, octets: usize) -> String {
    let mut words = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(octets));
        words.push(format!("=?utf-8?B?{}?=", to_base64(chunk.as_bytes())));
        rest = after;
    }
    words.join("\r\n ")
}

/// RFC 4648 section 4.
pub(crate) fn to_base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(octets.len().div_ceil(3) * 4);
    for three in octets.chunks(3) {
        let octet = |i: usize| u32::from(three.get(i).copied().unwrap_or(0));
        let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
        for i in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * i) & 63) as usize];
            text.push(if i <= three.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// One encoded word.
struct Word<'a> {
    charset: Charset,
    base64: bool,
    text: &'a [u8],
    /// Octets it takes in the field.
    length: usize,
}

/// The charsets that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    Utf8,
    Latin1,
    Latin9,
    Windows1252,
}

/// Decoded octets whose characters are not read yet.
#[derive(Default)]
struct Pending {
    charset: Option<Charset>,
    octets: Vec<u8>,
}

impl Pending {
    fn add(&mut self, word: &Word<'_>, text: &mut String) {
        if self.charset != Some(word.charset) {
            self.flush(text);
            self.charset = Some(word.charset);
        }
        if word.base64 {
            base64(word.text, &mut self.octets);
        } else {
            quoted(word.text, &mut self.octets);
        }
    }

    fn flush(&mut self, text: &mut String) {
        if let Some(charset) = self.charset.take() {
            text.push_str(&charset.read(&self.octets));
            self.octets.clear();
        }
    }
}

impl<'a> Word<'a> {
    /// The encoded word that starts `value`, if one of a charset that we know does.
    fn at(value: &'a [u8]) -> Option<Self> {
        let inner = value.strip_prefix(b"=?")?;
        let inner = &inner[..inner.len().min(MAX_WORD)];
        let (charset, rest) = split_at(inner, b'?')?;
        let (encoding, rest) = split_at(rest, b'?')?;
        let (text, after) = split_at(rest, b'?')?;
        if after.first() != Some(&b'=') || text.contains(&b' ') {
            return None;
        }
        let base64 = match encoding {
            b"B" | b"b" => true,
            b"Q" | b"q" => false,
            _ => return None,
        };
        let length = 2 + charset.len() + 1 + encoding.len() + 1 + text.len() + 2;
        Some(Self { charset: Charset::named(charset)?, base64, text, length })
    }
}

impl Charset {
    /// RFC 2231 section 5 lets a language follow: `utf-8*en`.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        let name = name.split(|&b| b == b'*').next().unwrap_or(name).to_ascii_lowercase();
        match name.as_slice() {
            b"utf-8" | b"utf8" | b"us-ascii" | b"ascii" => Some(Self::Utf8),
            b"iso-8859-1" | b"latin1" => Some(Self::Latin1),
            b"iso-8859-15" | b"latin9" => Some(Self::Latin9),
            b"windows-1252" | b"cp1252" => Some(Self::Windows1252),
            _ => None,
        }
    }

    pub(crate) fn read(self, octets: &[u8]) -> Cow<'_, str> {
        match self {
            Self::Utf8 => String::from_utf8_lossy(octets),
            Self::Latin1 => octets.iter().map(|&b| char::from(b)).collect(),
            Self::Latin9 => octets.iter().map(|&b| latin9(b)).collect(),
            Self::Windows1252 => octets.iter().map(|&b| windows1252(b)).collect(),
        }
    }
}

fn latin9(octet: u8) -> char {
    match octet {
        0xa4 => '€',
        0xa6 => 'Š',
        0xa8 => 'š',
        0xb4 => 'Ž',
        0xb8 => 'ž',
        0xbc => 'Œ',
        0xbd => 'œ',
        0xbe => 'Ÿ',
        other => char::from(other),
    }
}

fn windows1252(octet: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{fffd}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{fffd}', 'Ž',
        '\u{fffd}', '\u{fffd}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ',
        '\u{fffd}', 'ž', 'Ÿ',
    ];
    match octet {
        0x80..=0x9f => HIGH[usize::from(octet - 0x80)],
        other => char::from(other),
    }
}

fn split_at(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let i = memchr::memchr(at, text)?;
    Some((&text[..i], &text[i + 1..]))
}

/// Where the next word that can be decoded begins, after `at`.
fn next_word(value: &[u8], at: usize) -> usize {
    let starts = memchr::memmem::find_iter(&value[at + 1..], b"=?").map(|i| at + 1 + i);
    starts.into_iter().find(|&i| Word::at(&value[i..]).is_some()).unwrap_or(value.len())
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_whitespace)
}

/// Section 4.2.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&octet) = text.get(at) {
        let hex = text.get(at + 1..at + 3).filter(|_| octet == b'=');
        match hex.and_then(|h| hex_pair(h[0], h[1])) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(if octet == b'_' { b' ' } else { octet });
                at += 1;
            }
        }
    }
}

/// Two hexadecimal digits as an octet.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    Some(hex_digit(high)? << 4 | hex_digit(low)?)
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

/// RFC 4648 section 4; characters outside the alphabet are passed over.
pub(crate) fn base64(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut count) = (0u32, 0);
    for &octet in text {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_so_that_they_are_read_again() {
        for (name, expected) in [
            ("CronDaemon", "CronDaemon"),
            ("Charlie Root", "Charlie Root"),
            ("A. \"B\" \\", "\"A. \\\"B\\\" \\\\\""),
            ("a\r\nBcc: x@y", "\"a  Bcc: x@y\""),
            ("=?utf-8?Q?x?=", "\"=?utf-8?Q?x?=\""),
            ("", "\"\""),
            ("Jörg", "=?utf-8?B?SsO2cmc=?="),
        ] {
            assert_eq!(phrase(name), expected, "{name:?}");
        }
        let long = "Übermäßig langer Name ".repeat(8);
        let written = phrase(&long);
        assert!(written.lines().all(|line| line.len() <= 76), "{written}");
        assert_eq!(decode(written.replace("\r\n", "").as_bytes()), long.trim());
    }

    #[test]
    fn subjects_are_written_so_that_they_are_read_again() {
        for subject in [
            "Delivery delayed: Minutes of the meeting",
            "Zustellung verzögert: Grüße aus Köln",
            "Grüße",
            "Grüße an Ann über Köln",
            "",
            &"Übermäßig lang ".repeat(12),
            &"words and more words ".repeat(12),
            "a\r\nBcc: x@y",
        ] {
            let written = unstructured("Subject", subject);
            let lines: Vec<_> = format!("Subject:{written}").lines().map(str::len).collect();
            assert!(lines.iter().all(|length| *length <= 76), "{written}");
            let unfolded = written.replace("\r\n", "");
            let words: Vec<_> = subject.split_whitespace().collect();
            assert_eq!(decode(unfolded.as_bytes()).trim(), words.join(" "), "{written}");
        }
        let foreign = unstructured("Subject", "Verzögert: =?koi8-r?Q?=C1?= übrig");
        assert_eq!(
            foreign,
            " =?utf-8?B?VmVyesO2Z2VydDo=?=\r\n =?utf-8?Q?_?= =?koi8-r?Q?=C1?= =?utf-8?B?IMO8YnJpZw==?="
        );
    }

    #[test]
    fn words_become_text() {
        for (value, expected) in [
            ("plain", "plain"),
            ("a =?us-ascii?Q?b_c?= d", "a b c d"),
            ("=?utf-8?B?R3LDvMOfZQ==?=", "Grüße"),
            ("=?UTF-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("=?iso-8859-1?Q?Gr=FC=DFe?=", "Grüße"),
            ("=?iso-8859-15?Q?5=A4?=", "5€"),
            ("=?windows-1252?Q?=93quoted=94_=80?=", "“quoted” €"),
            ("=?utf-8?Q?a?= \t =?utf-8?Q?b?=", "ab"),
            ("=?utf-8?Q?a?= =?iso-8859-1?Q?=E4?=", "aä"),
            ("=?utf-8?Q?a?= b =?utf-8?Q?c?=", "a b c"),
            ("=?utf-8?Q?a?= ", "a "),
            ("=?utf-8?B?4oI=?= =?utf-8?B?rA==?=", "€"),
            ("=?utf-8?Q?=C3?=", "\u{fffd}"),
            ("=?koi8-r?Q?=C1?= x", "=?koi8-r?Q?=C1?= x"),
            ("=?utf-8?X?a?= =?", "=?utf-8?X?a?= =?"),
            ("=?utf-8?Q?a b?=", "=?utf-8?Q?a b?="),
            ("=?utf-8?Q?=zz=4?=", "=zz=4"),
            ("=?utf-8?Q?open", "=?utf-8?Q?open"),
        ] {
            assert_eq!(decode(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn many_openings_cost_little() {
        let value = b"=?".repeat(2048);
        assert_eq!(decode(&value).len(), value.len());
    }
}
