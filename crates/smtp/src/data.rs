//! Content as it is written after `354`: dot-stuffing (RFC 5321 section 4.5.2), folding of lines over 998 octets
//! (RFC 5321 section 4.5.3.1.6, RFC 5322 section 2.1.1), the final dot.
//!
//! Nothing is copied: the content leaves as slices of its chunks with small constants between them, ready for a
//! vectored write. Not here: whether folding is allowed (a signature would break; the agent decides).

use memchr::{memchr, memmem};
use posthaste_mail::ContentFacts;

/// What ends the data. Content ends with CRLF already.
pub const END: &[u8] = b".\r\n";
/// The longest line sent when folding, octets without CRLF.
pub const MAX_LINE: u64 = 998;

const CRLF: &[u8] = b"\r\n";
const DOT: &[u8] = b".";
/// A folded line goes on with a blank: in a header field that is proper folding (RFC 5322 section 2.2.3), in a body
/// it is what other transports do.
const FOLD: &[u8] = b"\r\n ";

/// What content needs on its way out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// Some line starts with a dot.
    pub stuff: bool,
    /// Some line is over [`MAX_LINE`] and may be folded.
    pub fold: bool,
}

impl Changes {
    /// From the facts gathered at reception. `may_fold`: lines may be changed, as those of signed content must
    /// not be.
    #[must_use]
    pub const fn needed(facts: &ContentFacts, may_fold: bool) -> Self {
        Self { stuff: facts.dotted, fold: may_fold && facts.longest_line > MAX_LINE }
    }
}

/// The pieces to write, final dot included: the chunks themselves when nothing needs to change.
///
/// Content whose last line lacks CRLF gets one.
pub fn pieces<'a, I>(chunks: I, changes: Changes) -> Pieces<'a, I::IntoIter>
where
    I: IntoIterator<Item = &'a [u8]>,
{
    part(chunks, changes, Place::default(), true)
}

/// The pieces of one part of content that comes in several. `from` is where the part before it ended
/// ([`Pieces::place`]); the `last` part brings the final dot. Parts may be cut anywhere.
pub fn part<'a, I>(chunks: I, changes: Changes, from: Place, last: bool) -> Pieces<'a, I::IntoIter>
where
    I: IntoIterator<Item = &'a [u8]>,
{
    let chunks = chunks.into_iter();
    Pieces { chunks, rest: &[], changes, place: from, last, ending: Ending::Content }
}

/// Where in a line writing stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Octets written of the line under way; counted only when folding.
    line: u64,
    /// The dot before the line under way is written.
    stuffed: bool,
    /// The last octet written is not LF.
    in_line: bool,
    /// A line was cut; the fold comes next.
    folding: bool,
}

/// The iterator of [`pieces`] and [`part`].
#[derive(Debug, Clone)]
pub struct Pieces<'a, I> {
    chunks: I,
    rest: &'a [u8],
    changes: Changes,
    place: Place,
    last: bool,
    ending: Ending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Content,
    Dot,
    Over,
}

impl<'a, I: Iterator<Item = &'a [u8]>> Iterator for Pieces<'a, I> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.ending == Ending::Content {
            if let Some(piece) = self.content() {
                return Some(piece);
            }
            self.ending = if self.last { Ending::Dot } else { Ending::Over };
            if self.last && self.place.in_line {
                return Some(CRLF);
            }
        }
        (std::mem::replace(&mut self.ending, Ending::Over) == Ending::Dot).then_some(END)
    }
}

impl<'a, I: Iterator<Item = &'a [u8]>> Pieces<'a, I> {
    /// Where the part after this one goes on, once all pieces of this one are taken.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    fn content(&mut self) -> Option<&'a [u8]> {
        loop {
            while self.rest.is_empty() {
                self.rest = self.chunks.next()?;
            }
            if std::mem::take(&mut self.place.folding) {
                self.place.line = 1;
                return Some(FOLD);
            }
            let at_dot = self.changes.stuff && !self.place.in_line && self.rest[0] == b'.';
            if at_dot && !std::mem::replace(&mut self.place.stuffed, true) {
                return Some(DOT);
            }
            self.place.stuffed = false;
            let length = if self.changes.fold { self.fold_run() } else { self.plain_run() };
            if length > 0 {
                return Some(self.cut(length));
            }
        }
    }

    fn cut(&mut self, length: usize) -> &'a [u8] {
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.place.in_line = !piece.ends_with(b"\n");
        piece
    }

    /// Up to the next line that starts with a dot.
    fn plain_run(&self) -> usize {
        if !self.changes.stuff {
            return self.rest.len();
        }
        // From 1 on: a dot here at the start of a line has its own before it already.
        memmem::find(self.rest, b"\n.").map_or(self.rest.len(), |lf| lf + 1)
    }

    /// Up to the end of the line, or as much of it as still fits: nothing, when a chunk ended with a full line.
    fn fold_run(&mut self) -> usize {
        let left = MAX_LINE.saturating_sub(self.place.line);
        let room = usize::try_from(left).unwrap_or(usize::MAX);
        // A line end further away than this changes nothing, and a long line is looked at once only.
        let near = &self.rest[..self.rest.len().min(room.saturating_add(CRLF.len()))];
        let (end, ends) = match memchr(b'\n', near) {
            Some(lf) => (lf + 1, true),
            None => (near.len(), false),
        };
        let text = end - usize::from(ends);
        let text = text - usize::from(text > 0 && self.rest[text - 1] == b'\r');
        if text <= room {
            self.place.line = if ends { 0 } else { self.place.line + text as u64 };
            return end;
        }
        self.place.folding = true;
        char_boundary(self.rest, room)
    }
}

/// The largest cut up to `at` that splits no UTF-8 character; `at` itself when the octets are not UTF-8.
fn char_boundary(octets: &[u8], at: usize) -> usize {
    let continues = |i: usize| octets.get(i).is_some_and(|octet| octet & 0xc0 == 0x80);
    (at.saturating_sub(3)..=at).rev().find(|&cut| !continues(cut)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::ContentScan;
    use proptest::prelude::*;

    const STUFF: Changes = Changes { stuff: true, fold: false };
    const FOLD_ONLY: Changes = Changes { stuff: false, fold: true };
    const BOTH: Changes = Changes { stuff: true, fold: true };

    fn wire(chunks: &[&[u8]], changes: Changes) -> String {
        let joined = pieces(chunks.iter().copied(), changes).collect::<Vec<_>>().concat();
        String::from_utf8(joined).expect("test content is UTF-8")
    }

    #[test]
    fn dots_are_doubled_at_line_starts_only_across_chunks_too() {
        for (chunks, expected) in [
            (&[&b""[..]][..], ".\r\n"),
            (&[], ".\r\n"),
            (&[b".\r\n"], "..\r\n.\r\n"),
            (&[b"a.b\r\n..c\r\n.\r\n"], "a.b\r\n...c\r\n..\r\n.\r\n"),
            (&[b"a\r\n", b".b\r\n"], "a\r\n..b\r\n.\r\n"),
            (&[b"a\r", b"\n", b"", b".", b"b"], "a\r\n..b\r\n.\r\n"),
            (&[b"a", b".b\r\n"], "a.b\r\n.\r\n"),
        ] {
            assert_eq!(wire(chunks, STUFF), expected, "{chunks:?}");
        }
    }

    #[test]
    fn nothing_to_change_means_the_chunks_as_they_are() {
        let chunks: [&[u8]; 2] = [b"a\r\nb", b"c\r\n"];
        let all: Vec<_> = pieces(chunks, Changes::default()).collect();
        assert_eq!(all, [chunks[0], chunks[1], END]);
    }

    #[test]
    fn long_lines_are_folded_and_others_left_alone() {
        let (full, over) = ("x".repeat(998), "x".repeat(999));
        assert_eq!(wire(&[full.as_bytes(), b"\r\n"], FOLD_ONLY), format!("{full}\r\n.\r\n"));
        assert_eq!(wire(&[over.as_bytes(), b"\r\n"], FOLD_ONLY), format!("{full}\r\n x\r\n.\r\n"));
        let dot = format!(".{}", "x".repeat(1500));
        let expected = format!("..{}\r\n {}\r\n.\r\n", &dot[1..998], &dot[998..]);
        assert_eq!(wire(&[dot.as_bytes()], BOTH), expected);
    }

    #[test]
    fn folding_splits_no_character() {
        let line = format!("{}ä{}", "x".repeat(997), "y".repeat(10));
        let expected = format!("{}\r\n ä{}\r\n.\r\n", "x".repeat(997), "y".repeat(10));
        assert_eq!(wire(&[line.as_bytes()], FOLD_ONLY), expected);
    }

    /// Searching for the end of the line at every cut would take minutes.
    #[test]
    fn a_very_long_line_is_looked_at_once() {
        let line = vec![b'x'; 64 << 20];
        let folds = pieces([&line[..]], FOLD_ONLY).filter(|piece| *piece == FOLD).count();
        assert_eq!(folds, (line.len() - 998).div_ceil(997));
    }

    /// The pieces of content that comes in parts, as one string.
    fn in_parts(parts: &[&[u8]], changes: Changes) -> String {
        let (mut place, mut wire) = (Place::default(), Vec::new());
        for (number, octets) in parts.iter().enumerate() {
            let last = number + 1 == parts.len();
            let mut pieces = part([*octets], changes, place, last);
            wire.extend(pieces.by_ref().collect::<Vec<_>>().concat());
            place = pieces.place();
        }
        String::from_utf8(wire).expect("test content is UTF-8")
    }

    proptest! {
        /// However it is cut into chunks: no line is over the limit, and unstuffed and unfolded it is what it was.
        #[test]
        fn any_split_gives_the_same_lines(
            lines in proptest::collection::vec((0usize..3000, any::<bool>()), 0..6),
            cuts in proptest::collection::vec(1usize..1500, 0..12),
        ) {
            let mut content = Vec::new();
            for (length, dot) in &lines {
                let first = if *dot { b"." } else { b"z" };
                content.extend_from_slice(first);
                content.resize(content.len() + length, b'x');
                content.extend_from_slice(b"\r\n");
            }
            let (mut chunks, mut rest) = (Vec::new(), &content[..]);
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                chunks.push(piece);
                rest = after;
            }
            chunks.push(rest);
            let mut scan = ContentScan::new();
            scan.feed(&content);
            let changes = Changes::needed(&scan.facts(), true);
            let sent = wire(&chunks, changes);
            prop_assert_eq!(&in_parts(&chunks, changes), &sent);
            prop_assert!(sent.ends_with(".\r\n"));
            let body = &sent[..sent.len() - 3];
            prop_assert!(body.split("\r\n").all(|line| line.len() <= 999));
            let plain: String = body.split_inclusive("\r\n").map(|l| l.strip_prefix('.').unwrap_or(l)).collect();
            prop_assert_eq!(plain.replace("\r\n ", "").into_bytes(), content);
        }
    }
}
