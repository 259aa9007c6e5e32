//! Finds out whether the header section says that the content is signed (RFC 6376, RFC 8617, RFC 8551, RFC 1847).
//!
//! Not here: whether a signature is good. Comments between a field's name and its value are not understood.

/// What a field of signed content begins with: lower case, blanks and folds left out.
const SIGNS: [&[u8]; 8] = [
    b"dkim-signature:",
    b"arc-seal:",
    b"arc-message-signature:",
    b"content-type:multipart/signed",
    b"content-type:application/pkcs7-mime",
    b"content-type:application/x-pkcs7-mime",
    b"content-type:application/pkcs7-signature",
    b"content-type:application/x-pkcs7-signature",
];

/// How far the field under way matches each of [`SIGNS`], across pieces and folds.
#[derive(Clone, Copy, Debug)]
pub(super) struct SignatureMatch {
    /// The next octet begins a line.
    at_line: bool,
    /// One bit for each sign that still matches.
    alive: u8,
    /// Octets matched.
    matched: usize,
}

impl SignatureMatch {
    /// Before the header section.
    pub(super) const fn new() -> Self {
        Self { at_line: true, alive: 0, matched: 0 }
    }

    /// Takes a line, or a part of one; true when a sign is complete.
    pub(super) fn feed(&mut self, segment: &[u8]) -> bool {
        let Some(first) = segment.first() else { return false };
        if self.at_line && !is_blank(*first) {
            (self.alive, self.matched) = (u8::MAX, 0);
        }
        self.at_line = segment.ends_with(b"\n");
        for octet in segment.iter().filter(|octet| !is_blank(**octet)) {
            if self.alive == 0 {
                return false;
            }
            if self.step(octet.to_ascii_lowercase()) {
                self.alive = 0;
                return true;
            }
        }
        false
    }

    fn step(&mut self, octet: u8) -> bool {
        let mut complete = false;
        for (bit, sign) in SIGNS.iter().enumerate() {
            let alive = self.alive & (1 << bit) != 0;
            if alive && sign[self.matched] != octet {
                self.alive &= !(1 << bit);
            }
            complete |= self.alive & (1 << bit) != 0 && sign.len() == self.matched + 1;
        }
        self.matched += 1;
        complete
    }
}

const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}
