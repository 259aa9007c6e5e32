//! The content of one message on its way in: in memory while it is small and the budget lasts, else in a file.
//!
//! Not here: the octets' own rules (`smtp`), and what is done with them afterwards (`session`, `submit`).

use crate::budget::Share;
use bytes::Bytes;
use posthaste_mail::{Body, ContentFacts, QueueId};
use posthaste_spool::model::INLINE_LIMIT;
use posthaste_spool::{Content, Refused, Spill, Spool};
use std::borrow::Cow;

/// Pieces from this size on are kept as they are, with the buffer they lie in; smaller ones are copied together,
/// because each would hold on to a whole read buffer. Octets.
const KEPT_WHOLE: usize = 16 * 1024;
/// The largest block that small pieces are copied into, octets.
const BLOCK: usize = 64 * 1024;
/// The size of the first block when the client did not announce the message's size, octets: at most, for it is made to
/// measure, so that who sends little holds little, whatever it announced.
const FIRST_BLOCK: usize = 16 * 1024;
/// The most octets of the header section that are looked at for the summary and for loops.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// A message's content under way.
pub(crate) struct Incoming {
    id: QueueId,
    trace: Bytes,
    chunks: Vec<Bytes>,
    tail: Vec<u8>,
    /// How large the first block may be before it grows.
    first: usize,
    /// Octets so far, trace header included.
    size: usize,
    share: Share,
    budget: usize,
    spilled: Option<Spilled>,
}

/// What goes to a file.
struct Spilled {
    file: Box<dyn Spill>,
    /// The start of the content, without the trace header, at most [`MAX_HEAD`] octets.
    head: Vec<u8>,
}

/// Content that has arrived whole.
pub(crate) struct Arrived {
    body: Body,
    spilled: Option<Spilled>,
    /// What was put in front once all had arrived.
    head: String,
    share: Share,
}

impl Incoming {
    /// Begins with the trace header. `announced` is the client's word for the size; it only sizes a buffer.
    pub(crate) fn new(
        id: QueueId,
        trace: Vec<u8>,
        announced: Option<u64>,
        share: Share,
        budget: usize,
    ) -> Self {
        let announced = announced.and_then(|size| usize::try_from(size).ok());
        let first = announced.map_or(FIRST_BLOCK, |size| (size + 256).min(BLOCK));
        Self {
            id,
            size: trace.len(),
            trace: Bytes::from(trace),
            chunks: Vec::new(),
            tail: Vec::new(),
            first,
            share,
            budget,
            spilled: None,
        }
    }

    pub(crate) const fn id(&self) -> QueueId {
        self.id
    }

    /// Keeps a piece in memory; gives it back when it has to go to the file ([`Incoming::spill`]).
    pub(crate) fn keep(&mut self, piece: Bytes) -> Result<(), Bytes> {
        let fits = self.size + piece.len() <= INLINE_LIMIT;
        if self.spilled.is_some() || !fits || !self.share.grow(piece.len(), self.budget) {
            return Err(piece);
        }
        self.size += piece.len();
        if piece.len() >= KEPT_WHOLE {
            self.close_block();
            self.chunks.push(piece);
        } else {
            if self.tail.len() + piece.len() > BLOCK {
                self.close_block();
            }
            if self.tail.capacity() == 0 {
                self.tail.reserve_exact((piece.len() * 2).min(self.first).max(piece.len()));
            }
            self.tail.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Writes a piece, and before it all that was kept, to the file.
    pub(crate) async fn spill(&mut self, piece: Bytes, spool: &dyn Spool) -> Result<(), Refused> {
        if self.spilled.is_none() {
            self.open_file(spool).await?;
        }
        let Some(spilled) = &mut self.spilled else { return Ok(()) };
        self.size += piece.len();
        spilled.note_head(&piece);
        spilled.file.write(piece).await
    }

    /// All has arrived.
    pub(crate) fn arrived(mut self) -> Arrived {
        self.close_block();
        let mut chunks = self.chunks;
        if self.spilled.is_none() {
            chunks.insert(0, self.trace);
        }
        let (body, head) = (Body::new(chunks), String::new());
        Arrived { body, spilled: self.spilled, head, share: self.share }
    }

    async fn open_file(&mut self, spool: &dyn Spool) -> Result<(), Refused> {
        let mut spilled = Spilled { file: spool.spill(self.id).await?, head: Vec::new() };
        self.close_block();
        spilled.file.write(self.trace.clone()).await?;
        for chunk in std::mem::take(&mut self.chunks) {
            spilled.note_head(&chunk);
            spilled.file.write(chunk).await?;
        }
        self.share.release();
        self.tail = Vec::new();
        self.spilled = Some(spilled);
        Ok(())
    }

    fn close_block(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }
}

impl Spilled {
    fn note_head(&mut self, piece: &[u8]) {
        let left = MAX_HEAD - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(left)]);
    }
}

impl Arrived {
    /// The client's header section, at most [`MAX_HEAD`] octets of it; `trace` is the length of our field.
    pub(crate) fn header(&self, facts: &ContentFacts, trace: usize) -> Cow<'_, [u8]> {
        let length = usize::try_from(facts.header_end).unwrap_or(usize::MAX);
        let length = length.saturating_sub(trace).min(MAX_HEAD);
        if let Some(spilled) = &self.spilled {
            return Cow::Borrowed(&spilled.head[..length.min(spilled.head.len())]);
        }
        let chunks = self.body.chunks().get(1..).unwrap_or_default();
        match chunks.first() {
            Some(first) if first.len() >= length => Cow::Borrowed(&first[..length]),
            _ => {
                let octets = chunks.iter().flat_map(|chunk| chunk.iter().copied());
                Cow::Owned(octets.take(length).collect())
            }
        }
    }

    /// Puts whole header fields in front of all.
    pub(crate) fn prepend(&mut self, fields: String) {
        self.head.insert_str(0, &fields);
    }

    /// What the store takes, and the share of the budget to be held until it has taken it.
    pub(crate) async fn finish(self) -> Result<(Content, Share), Refused> {
        match self.spilled {
            None => {
                let mut body = self.body;
                if !self.head.is_empty() {
                    body.prepend(Bytes::from(self.head));
                }
                Ok((Content::Inline(body), self.share))
            }
            Some(spilled) => {
                let mut spilled = spilled.file.finish().await?;
                spilled.prepend(self.head.as_bytes());
                Ok((Content::Spilled(spilled), self.share))
            }
        }
    }

    pub(crate) const fn is_spilled(&self) -> bool {
        self.spilled.is_some()
    }
}
