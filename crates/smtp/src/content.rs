//! The one pass over a message's content that yields its facts (RFC 5322 section 2.1, RFC 5321 section 4.5.2).
//!
//! Not here: what a header field means (`message`), SMTP framing (`server`, `data`).

mod signature;

use memchr::{memchr, memchr_iter};
use posthaste_mail::ContentFacts;
use signature::SignatureMatch;

const RECEIVED: &[u8; 8] = b"received";

/// Gathers [`ContentFacts`] from content fed in pieces; any split of the same octets gives the same facts.
///
/// Feed the trace header first, then the content: CRC, size and header end are those of all octets in order.
/// Lines end with LF; a CR before it belongs to the line end.
#[derive(Clone, Debug)]
pub struct ContentScan {
    facts: ContentFacts,
    /// Octets of the line under way, a possible CR of its end included.
    line: u64,
    /// The line under way ends, so far, with CR.
    after_cr: bool,
    in_header: bool,
    field: FieldMatch,
    signature: SignatureMatch,
}

/// How far the line under way matches `Received:`, across pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FieldMatch {
    /// So many octets of the name matched.
    Name(usize),
    /// The name is complete; blanks before the colon are the obsolete form (RFC 5322 section 4.5).
    Colon,
    /// Decided, one way or the other.
    Decided,
}

impl Default for ContentScan {
    fn default() -> Self {
        Self::new()
    }
}

impl ContentScan {
    /// Nothing seen yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            facts: ContentFacts::default(),
            line: 0,
            after_cr: false,
            in_header: true,
            field: FieldMatch::Name(0),
            signature: SignatureMatch::new(),
        }
    }

    /// Takes the next octets.
    pub fn feed(&mut self, octets: &[u8]) {
        self.facts.crc = crc32c::crc32c_append(self.facts.crc, octets);
        self.facts.eight_bit = self.facts.eight_bit || !octets.is_ascii();
        let body = if self.in_header { self.feed_header(octets) } else { 0 };
        self.feed_lines(&octets[body..]);
        self.facts.size += octets.len() as u64;
    }

    /// The facts of what was fed so far.
    #[must_use]
    pub fn facts(&self) -> ContentFacts {
        let mut facts = self.facts.clone();
        facts.longest_line = self.longest_line();
        if self.in_header {
            facts.header_end = facts.size;
        }
        facts
    }

    /// Octets fed so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.facts.size
    }

    /// The longest line so far, the one under way included, octets without CRLF.
    #[must_use]
    pub fn longest_line(&self) -> u64 {
        self.facts.longest_line.max(self.line - u64::from(self.after_cr))
    }

    /// Feeds whole lines of the header section; answers where the body begins in these octets.
    fn feed_header(&mut self, octets: &[u8]) -> usize {
        let mut start = 0;
        while self.in_header && start < octets.len() {
            let line_end = memchr(b'\n', &octets[start..]).map(|lf| start + lf + 1);
            let end = line_end.unwrap_or(octets.len());
            let segment = &octets[start..end];
            self.facts.eight_bit_header = self.facts.eight_bit_header || !segment.is_ascii();
            self.match_field(segment);
            self.facts.signed |= self.signature.feed(segment);
            if line_end.is_some() {
                self.in_header = self.line_length(segment) > 0;
                self.field = FieldMatch::Name(0);
            }
            self.feed_lines(segment);
            start = end;
        }
        if !self.in_header {
            self.facts.header_end = self.facts.size + start as u64;
        }
        start
    }

    /// The length of the line that this segment, which ends with LF, completes.
    fn line_length(&self, segment: &[u8]) -> u64 {
        let before_lf = segment.len() - 1;
        let cr = if before_lf > 0 { segment[before_lf - 1] == b'\r' } else { self.after_cr };
        self.line + before_lf as u64 - u64::from(cr)
    }

    fn match_field(&mut self, segment: &[u8]) {
        for &octet in segment {
            self.field = match self.field {
                FieldMatch::Decided => return,
                FieldMatch::Name(n) if octet.to_ascii_lowercase() != RECEIVED[n] => {
                    FieldMatch::Decided
                }
                FieldMatch::Name(n) if n + 1 == RECEIVED.len() => FieldMatch::Colon,
                FieldMatch::Name(n) => FieldMatch::Name(n + 1),
                FieldMatch::Colon if octet == b' ' || octet == b'\t' => FieldMatch::Colon,
                FieldMatch::Colon => {
                    self.facts.received += u32::from(octet == b':');
                    FieldMatch::Decided
                }
            };
        }
    }

    /// Line lengths and leading dots. The hot loop: once per line of the body.
    fn feed_lines(&mut self, octets: &[u8]) {
        let mut start = 0;
        for lf in memchr_iter(b'\n', octets) {
            self.facts.dotted |= self.line == 0 && octets[start] == b'.';
            let cr = if lf > start { octets[lf - 1] == b'\r' } else { self.after_cr };
            let length = self.line + (lf - start) as u64 - u64::from(cr);
            self.facts.longest_line = self.facts.longest_line.max(length);
            self.line = 0;
            self.after_cr = false;
            start = lf + 1;
        }
        if let Some(&last) = octets[start..].last() {
            self.facts.dotted |= self.line == 0 && octets[start] == b'.';
            self.line += (octets.len() - start) as u64;
            self.after_cr = last == b'\r';
        }
    }
}

/// The facts of content that gets whole, signed header fields put in front of it: it was scanned without them.
#[must_use]
pub fn with_signature(facts: &ContentFacts, fields: &str) -> ContentFacts {
    let length = fields.len() as u64;
    let longest = fields.lines().map(|line| line.len() as u64).max().unwrap_or(0);
    let crc = crc32c::crc32c(fields.as_bytes());
    let rest = usize::try_from(facts.size).expect("a message is smaller than the memory there is");
    ContentFacts {
        size: facts.size + length,
        header_end: facts.header_end + length,
        longest_line: facts.longest_line.max(longest),
        signed: true,
        crc: crc32c::crc32c_combine(crc, facts.crc, rest),
        ..facts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(content: &[u8]) -> ContentFacts {
        let mut scan = ContentScan::new();
        scan.feed(content);
        scan.facts()
    }

    #[test]
    fn facts_of_typical_and_odd_content() {
        /// Content, header end, `Received` count, longest line, dotted, 8-bit.
        type Row = (&'static [u8], u64, u32, u64, bool, bool);
        let rows: &[Row] = &[
            (b"", 0, 0, 0, false, false),
            (b"\r\n", 2, 0, 0, false, false),
            (b"A: b\r\n", 6, 0, 4, false, false),
            (b"A: b\r\n\r\n", 8, 0, 4, false, false),
            (b"A: b\r\n\r\nlonger\r\n", 8, 0, 6, false, false),
            (b"Received: x\r\nRECEIVED : y\r\n\r\nReceived: no\r\n", 29, 2, 12, false, false),
            (
                b"Received: x\r\n folded\r\nReceivedx: n\r\n Received: n\r\n\r\n",
                52,
                1,
                12,
                false,
                false,
            ),
            (b"A: b\r\n\r\n.dot\r\n", 8, 0, 4, true, false),
            (b".A: b\r\n\r\ndot\r\n", 9, 0, 5, true, false),
            (b"A: b\r\n\r\nx.\r\ny.z\r\n", 8, 0, 4, false, false),
            (b"A: \xc3\xa4\r\n\r\n", 9, 0, 5, false, true),
            (b"A: b\r\n\r\n\xc3\xa4\r\n", 8, 0, 4, false, true),
            (b"A: b\n\nbare\n", 6, 0, 4, false, false),
            (b"A: b\r\n\r\nunfinished\r", 8, 0, 10, false, false),
        ];
        for (content, header_end, received, longest_line, dotted, eight_bit) in rows {
            let expected = ContentFacts {
                size: content.len() as u64,
                header_end: *header_end,
                received: *received,
                eight_bit: *eight_bit,
                eight_bit_header: content.starts_with(b"A: \xc3"),
                longest_line: *longest_line,
                dotted: *dotted,
                signed: false,
                crc: crc32c::crc32c(content),
            };
            assert_eq!(facts(content), expected, "{}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn signed_content_says_so_in_its_header() {
        for (content, signed) in [
            ("DKIM-Signature: v=1\r\n\r\n", true),
            ("dkim-signature : v=1\r\n\r\n", true),
            ("A: b\r\nARC-Seal:i=1\r\n\r\n", true),
            ("ARC-Message-Signature: i=1\r\n\r\n", true),
            ("Content-Type: multipart/signed; micalg=x\r\n\r\n", true),
            ("Content-Type:\r\n\tMultipart/Signed;\r\n micalg=x\r\n\r\n", true),
            ("Content-Type: application/pkcs7-mime\r\n\r\n", true),
            ("Content-Type: application/x-pkcs7-mime\r\n\r\n", true),
            ("Content-Type: application/pkcs7-signature\r\n\r\n", true),
            ("Content-Type: multipart/mixed\r\n\r\n", false),
            ("Content-Type: text/plain\r\n\r\nDKIM-Signature: no\r\n", false),
            ("A: b\r\n DKIM-Signature: folded\r\n\r\n", false),
            (" DKIM-Signature: folded\r\n\r\n", false),
            ("X-DKIM-Signature: x\r\nDKIM-Signatures: x\r\n\r\n", false),
            ("ARC-Authentication-Results: i=1\r\n\r\n", false),
            ("Content-Type:\r\nmultipart/signed: x\r\n\r\n", false),
            ("", false),
        ] {
            assert_eq!(facts(content.as_bytes()).signed, signed, "{content:?}");
        }
    }

    #[test]
    fn a_trace_header_fed_first_counts() {
        let mut scan = ContentScan::new();
        scan.feed(b"Received: from a\r\n\tby b\r\n");
        scan.feed(b"Received: from c\r\n\r\n.\r\n");
        let facts = scan.facts();
        assert_eq!((facts.received, facts.header_end, facts.size), (2, 45, 48));
        assert!(facts.dotted);
    }

    #[test]
    fn a_signature_in_front_is_as_if_it_had_been_scanned() {
        let fields = format!("DKIM-Signature: v=1;\r\n\tb={}\r\n", "x".repeat(90));
        for rest in ["", "\r\n", "A: b\r\n\r\n.\r\n", "Received: x\r\n\r\n\u{e9}\r\n"] {
            let whole = format!("{fields}{rest}");
            assert_eq!(
                with_signature(&facts(rest.as_bytes()), &fields),
                facts(whole.as_bytes()),
                "{rest:?}"
            );
        }
    }

    /// Octets that matter to the scan come up often.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just(b"\r\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\n".to_vec()),
            Just(b".".to_vec()),
            Just(b"Received:".to_vec()),
            Just(b"DKIM-Signature:".to_vec()),
            Just(b"\r\nContent-Type:\r\n multipart/signed".to_vec()),
            Just(b"x".to_vec()),
            Just(vec![0xe4]),
        ];
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_facts(content in content(), cuts in proptest::collection::vec(1usize..9, 1..80)) {
            let mut scan = ContentScan::new();
            let mut rest = &content[..];
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                scan.feed(piece);
                rest = after;
            }
            scan.feed(rest);
            prop_assert_eq!(scan.facts(), facts(&content));
        }
    }
}
