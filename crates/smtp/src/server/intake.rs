//! Content on its way in: DATA until CRLF.CRLF (RFC 5321 sections 4.1.1.4, 4.5.2), BDAT by count (RFC 3030).
//!
//! Undoes dot-stuffing, enforces the newline policy and the limits, and feeds the scan, in one pass. Octets that need
//! no change leave as slices of the read buffer; the rest is gathered in a scratch of bounded size. Content that begins
//! with no header field gets the empty line that it lacks (`opening`).
//! Not here: which command may start it, replies (`session`).

use super::opening::{Begins, Opening};
use super::{BareNewline, ContentFault, GATHERED_CHUNK, MAX_TEXT_LINE, MIN_CHUNK};
use crate::content::ContentScan;
use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2, memmem};

/// How the end is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// DATA. The flag: what came last from the client was CRLF, or nothing yet (the CRLF of the command counts).
    Dot { after_crlf: bool },
    /// BDAT: octets left of the chunk.
    Count { left: u64, last: bool },
}

/// The content of one message under way.
#[derive(Debug)]
pub(super) struct Intake {
    framing: Framing,
    /// Octets of the present BDAT chunk.
    pub(super) chunk_size: u64,
    policy: BareNewline,
    max_size: u64,
    scan: ContentScan,
    /// Until it is known how the content begins; and the scan before its first octet.
    opening: Option<(Opening, ContentScan)>,
    /// Octets of content taken, as the receiver keeps them.
    received: u64,
    scratch: BytesMut,
    fault: Option<ContentFault>,
    /// The fault was told.
    told: bool,
    /// A CR ended the previous BDAT chunk; whether LF follows is not known yet.
    held_cr: bool,
    /// The content so far ends with a line end.
    ends_line: bool,
    ended: bool,
    stuffed: memmem::Finder<'static>,
}

/// What came of the input.
#[derive(Debug, PartialEq)]
pub(super) enum Taken {
    /// More input is needed.
    Need,
    /// Content, never empty.
    Chunk(Bytes),
    /// The content became bad just now; the rest is swallowed.
    Fault(ContentFault),
    /// A BDAT chunk that is not the last is complete.
    ChunkDone,
    /// All is here.
    End,
}

/// What the framing says of the start of the input.
enum Run {
    Content(usize),
    Need,
    /// The end of the data or of the chunk was consumed.
    Done,
}

impl Intake {
    pub(super) fn new(policy: BareNewline, max_size: u64, trace: &[u8]) -> Self {
        let mut scan = ContentScan::new();
        scan.feed(trace);
        Self {
            framing: Framing::Dot { after_crlf: true },
            chunk_size: 0,
            policy,
            max_size,
            opening: Some((Opening::default(), scan.clone())),
            scan,
            received: 0,
            scratch: BytesMut::new(),
            fault: None,
            told: false,
            held_cr: false,
            ends_line: true,
            ended: false,
            stuffed: memmem::Finder::new(b"\r\n."),
        }
    }

    /// The next octets are a BDAT chunk.
    pub(super) fn chunk(&mut self, size: u64, last: bool) {
        self.framing = Framing::Count { left: size, last };
        self.chunk_size = size;
        if self.received.saturating_add(size) > self.max_size {
            self.fault.get_or_insert(ContentFault::TooBig);
        }
    }

    pub(super) const fn fault(&self) -> Option<ContentFault> {
        self.fault
    }

    /// The agent refuses: from now on the content is swallowed.
    pub(super) fn refuse(&mut self) {
        self.fault.get_or_insert(ContentFault::Agent);
        self.told = true;
        self.scratch = BytesMut::new();
    }

    pub(super) fn finish(self) -> super::End {
        super::End { facts: self.scan.facts(), received: self.received }
    }

    /// Consumes input up to the next thing to report.
    pub(super) fn next(&mut self, input: &mut BytesMut) -> Taken {
        loop {
            let taken = if self.ended { self.end() } else { self.advance(input) };
            if let Some(fault) = self.fault
                && !std::mem::replace(&mut self.told, true)
            {
                self.scratch = BytesMut::new();
                return Taken::Fault(fault);
            }
            if let Some(taken) = taken {
                return taken;
            }
        }
    }

    fn advance(&mut self, input: &mut BytesMut) -> Option<Taken> {
        match self.run(input) {
            Run::Need => Some(Taken::Need),
            Run::Content(length) => self.take(input, length),
            Run::Done if matches!(self.framing, Framing::Count { last: false, .. }) => {
                Some(Taken::ChunkDone)
            }
            Run::Done => {
                self.ended = true;
                self.close_last_line();
                None
            }
        }
    }

    /// What was gathered leaves before the end is told.
    fn end(&mut self) -> Option<Taken> {
        Some(self.gathered().map_or(Taken::End, Taken::Chunk))
    }

    fn gathered(&mut self) -> Option<Bytes> {
        (!self.scratch.is_empty()).then(|| std::mem::take(&mut self.scratch).freeze())
    }

    fn run(&mut self, input: &mut BytesMut) -> Run {
        match self.framing {
            Framing::Dot { after_crlf } => self.dot_run(input, after_crlf),
            Framing::Count { left, .. } => self.count_run(input, left),
        }
    }

    /// Content up to the next dot that begins a line, or to the end of the input but for a CR that might begin CRLF.
    fn dot_run(&mut self, input: &mut BytesMut, after_crlf: bool) -> Run {
        if after_crlf && input.first() == Some(&b'.') {
            if input.starts_with(b".\r\n") {
                input.advance(3);
                return Run::Done;
            }
            if input.len() == 1 || &input[..] == b".\r" {
                return Run::Need;
            }
            input.advance(1);
            self.framing = Framing::Dot { after_crlf: false };
        }
        let open_cr = usize::from(input.last() == Some(&b'\r'));
        let length = self.stuffed.find(input).map_or(input.len() - open_cr, |at| at + 2);
        if length == 0 { Run::Need } else { Run::Content(length) }
    }

    /// Content up to the end of the chunk or of the input. A CR at the end of either waits for what follows it.
    fn count_run(&mut self, input: &mut BytesMut, left: u64) -> Run {
        if left == 0 {
            return Run::Done;
        }
        if self.held_cr && !input.is_empty() {
            self.settle_held_cr(input);
            return Run::Content(0);
        }
        let here = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
        let open_cr = here > 0 && input[here - 1] == b'\r';
        match here - usize::from(open_cr) {
            0 if open_cr && left == 1 => {
                input.advance(1);
                self.consumed(b"\r".len());
                self.held_cr = true;
                Run::Content(0)
            }
            0 => Run::Need,
            length => Run::Content(length),
        }
    }

    /// A CR ended the previous chunk: with LF now it was CRLF, else it stood alone.
    fn settle_held_cr(&mut self, input: &mut BytesMut) {
        self.held_cr = false;
        if input[0] == b'\n' {
            input.advance(1);
            self.consumed(1);
            self.gather(b"\r\n");
        } else {
            self.lone_cr();
        }
    }

    fn lone_cr(&mut self) {
        match self.policy {
            BareNewline::Reject => {
                self.fault.get_or_insert(ContentFault::BareNewline);
            }
            BareNewline::Normalize => self.gather(b"\r\n"),
        }
    }

    /// BDAT LAST need not end with CRLF; it gets one, because the message is sent on by DATA.
    fn close_last_line(&mut self) {
        if self.held_cr {
            self.held_cr = false;
            self.lone_cr();
        }
        if !self.ends_line && self.fault.is_none() {
            self.gather(b"\r\n");
        }
    }

    /// Takes content that the framing has cleared.
    fn take(&mut self, input: &mut BytesMut, length: usize) -> Option<Taken> {
        let run = &input[..length];
        if self.fault.is_some() || length == 0 {
            self.drop_run(input, length);
            return None;
        }
        if memchr(0, run).is_some() {
            self.fault = Some(ContentFault::Nul);
            return None;
        }
        self.look_at_opening(&input[..length]);
        let run = &input[..length];
        if has_bare_newline(run) {
            return self.take_dirty(input, length);
        }
        if length < MIN_CHUNK {
            self.gather_from(input, length);
            return self.full();
        }
        if let Some(chunk) = self.gathered() {
            return Some(Taken::Chunk(chunk));
        }
        self.note_end(input, length);
        let chunk = input.split_to(length).freeze();
        self.count(&chunk);
        self.fault.is_none().then_some(Taken::Chunk(chunk))
    }

    fn take_dirty(&mut self, input: &mut BytesMut, length: usize) -> Option<Taken> {
        if self.policy == BareNewline::Reject {
            self.fault = Some(ContentFault::BareNewline);
            return None;
        }
        let before = self.scratch.len();
        let used = normalize(&input[..length], &mut self.scratch);
        self.note_end(input, used);
        input.advance(used);
        let fresh = self.scratch.split_off(before);
        self.count(&fresh);
        self.scratch.unsplit(fresh);
        self.full()
    }

    fn gather_from(&mut self, input: &mut BytesMut, length: usize) {
        self.note_end(input, length);
        self.count(&input[..length]);
        self.scratch.extend_from_slice(&input[..length]);
        input.advance(length);
    }

    fn gather(&mut self, octets: &[u8]) {
        if self.fault.is_none() {
            self.look_at_opening(octets);
            self.count(octets);
            self.scratch.extend_from_slice(octets);
        }
    }

    /// Puts an empty line in front of content that begins with its body. What came before is all in the scratch: it was
    /// shorter than a field's name may be.
    fn look_at_opening(&mut self, octets: &[u8]) {
        let Some((opening, _)) = &mut self.opening else { return };
        let Some(begins) = opening.next(&self.scratch, octets) else { return };
        let Some((_, before)) = self.opening.take() else { return };
        if begins == Begins::Body {
            let held = std::mem::take(&mut self.scratch);
            self.scan = before;
            for part in [&b"\r\n"[..], &held] {
                self.scan.feed(part);
                self.scratch.extend_from_slice(part);
            }
            // What we add is not held against the client.
            self.received += 2;
            self.max_size = self.max_size.saturating_add(2);
        }
    }

    fn full(&mut self) -> Option<Taken> {
        let full = self.scratch.len() >= GATHERED_CHUNK && self.fault.is_none();
        if full { self.gathered().map(Taken::Chunk) } else { None }
    }

    fn drop_run(&mut self, input: &mut BytesMut, length: usize) {
        self.note_end(input, length);
        input.advance(length);
    }

    /// Remembers, for the framing, how the octets about to be consumed end.
    fn note_end(&mut self, input: &BytesMut, length: usize) {
        if let Framing::Dot { after_crlf } = &mut self.framing
            && length > 0
        {
            *after_crlf = input[..length].ends_with(b"\r\n");
        }
        self.consumed(length);
    }

    fn consumed(&mut self, octets: usize) {
        if let Framing::Count { left, .. } = &mut self.framing {
            *left -= octets as u64;
        }
    }

    /// Counts octets that are kept: facts, size, limits.
    fn count(&mut self, kept: &[u8]) {
        self.scan.feed(kept);
        self.received += kept.len() as u64;
        if let Some(&last) = kept.last() {
            self.ends_line = last == b'\n';
        }
        if self.received > self.max_size {
            self.fault = Some(ContentFault::TooBig);
        } else if self.scan.longest_line() > MAX_TEXT_LINE {
            self.fault = Some(ContentFault::LineTooLong);
        }
    }
}

/// CR without LF after it, or LF without CR before it. The run neither begins nor ends within a CRLF.
fn has_bare_newline(run: &[u8]) -> bool {
    let pairs = run.iter().zip(&run[1..]);
    let broken = pairs.fold(false, |found, (&a, &b)| found | ((a == b'\r') != (b == b'\n')));
    broken || run[0] == b'\n' || run.ends_with(b"\r")
}

/// Copies with every CR, LF and CRLF as CRLF, until the run or a chunk's worth is used up; answers the octets used.
fn normalize(run: &[u8], out: &mut BytesMut) -> usize {
    let mut used = 0;
    while used < run.len() && out.len() < GATHERED_CHUNK {
        let rest = &run[used..];
        let room = rest.len().min(GATHERED_CHUNK);
        let Some(newline) = memchr2(b'\r', b'\n', &rest[..room]) else {
            out.extend_from_slice(&rest[..room]);
            used += room;
            continue;
        };
        out.extend_from_slice(&rest[..newline]);
        out.extend_from_slice(b"\r\n");
        let pair = rest[newline..].starts_with(b"\r\n");
        used += newline + if pair { 2 } else { 1 };
    }
    used
}
