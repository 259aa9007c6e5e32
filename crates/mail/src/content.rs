//! What is known of a message's content without reading it again, and the content itself.

use bytes::Bytes;

/// The declared body type (RFC 6152, RFC 3030).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BodyType {
    /// `BODY=7BIT`, or nothing said.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`.
    EightBitMime,
}

/// Facts of the content, gathered in the one pass that receives it; delivery never scans again.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ContentFacts {
    /// Octets, trace header included, CRLF line ends, not dot-stuffed.
    pub size: u64,
    /// Offset of the first octet after the header section (after the empty line); `size` when there is no body.
    pub header_end: u64,
    /// `Received:` fields in the header, ours included.
    pub received: u32,
    /// Any octet above 127.
    pub eight_bit: bool,
    /// Any octet above 127 in the header section: needs SMTPUTF8 (RFC 6531 section 3.4, RFC 6532).
    pub eight_bit_header: bool,
    /// The longest line without its CRLF, octets.
    pub longest_line: u64,
    /// A line starts with a dot: sending must stuff (RFC 5321 section 4.5.2).
    pub dotted: bool,
    /// The header section says that the content is signed (DKIM, ARC, S/MIME, multipart/signed): a changed
    /// octet would break the signature, so lines are not folded.
    pub signed: bool,
    /// CRC32C of the whole content.
    pub crc: u32,
}

/// The content of a message: chunks in order, shared, never copied. Our trace header is a chunk of its own, with nothing but our
/// signature before it.
#[derive(Clone, Debug, Default)]
pub struct Body(Vec<Bytes>);

impl Body {
    /// From its chunks in order.
    #[must_use]
    pub const fn new(chunks: Vec<Bytes>) -> Self {
        Self(chunks)
    }

    /// The chunks in order.
    #[must_use]
    pub fn chunks(&self) -> &[Bytes] {
        &self.0
    }

    /// Adds a chunk at the end; empty ones are dropped.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.0.push(chunk);
        }
    }

    /// Puts a chunk before all others.
    pub fn prepend(&mut self, chunk: Bytes) {
        self.0.insert(0, chunk);
    }

    /// Octets in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// True when there is not one octet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy in one piece; for tests, notices and small messages.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.0.concat()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self(vec![Bytes::from(bytes)])
    }
}
