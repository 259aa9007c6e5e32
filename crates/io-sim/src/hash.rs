//! The 64-bit hash of everything that happened: equal runs, equal hashes. Not against an adversary.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A running hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Hash(u64);

impl From<u64> for Hash {
    fn from(value: u64) -> Self {
        Self(value)
    }
}

impl Hash {
    pub(crate) fn word(&mut self, word: u64) -> &mut Self {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER);
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last)).word(bytes.len() as u64)
    }

    pub(crate) fn value(self) -> u64 {
        self.0
    }
}
