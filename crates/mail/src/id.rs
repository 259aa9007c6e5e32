//! The name of a message in the queue: 13 characters, sortable by time, short enough to type.

use crate::time::Timestamp;
use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const LENGTH: usize = 13;
const MILLIS_BITS: u32 = 42;
const SEQUENCE_BITS: u32 = 22;

/// Identifies one accepted message: 42 bits of milliseconds, 22 bits of shard and sequence.
///
/// Printed as 13 characters of Crockford base 32; case does not matter when read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(u64);

impl QueueId {
    /// The smallest id; no message has it.
    pub const MIN: Self = Self(0);

    /// From its number, as stored.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// Its number, as stored.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The first id of the millisecond `now` lies in.
    #[must_use]
    pub fn first_at(now: Timestamp) -> Self {
        Self((now.as_millis() & ((1 << MILLIS_BITS) - 1)) << SEQUENCE_BITS)
    }

    /// The id after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0u8; LENGTH];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            *slot = ALPHABET[(rest & 31) as usize];
            rest >>= 5;
        }
        f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a queue id: 13 characters of `0-9A-Z` without `I L O U`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a queue id: expected {LENGTH} characters of 0-9 and A-Z without I, L, O and U")]
pub struct NotAnId;

impl FromStr for QueueId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != LENGTH {
            return Err(NotAnId);
        }
        let mut number: u64 = 0;
        for (i, byte) in text.bytes().enumerate() {
            let upper = byte.to_ascii_uppercase();
            let digit = ALPHABET.iter().position(|&a| a == upper).ok_or(NotAnId)?;
            if i == 0 && digit > 15 {
                return Err(NotAnId);
            }
            number = (number << 5) | digit as u64;
        }
        Ok(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree_and_sort_alike() {
        let early = QueueId::first_at(Timestamp::from_secs(1_795_243_984));
        let late = QueueId::first_at(Timestamp::from_secs(1_795_243_985));
        assert!(early < early.next() && early.next() < late);
        assert!(early.to_string() < late.to_string());
        assert_eq!(early.to_string().to_lowercase().parse(), Ok(early));
        for bad in ["", "0", "ZZZZZZZZZZZZZ", "000000000000U", "0000000000000 "] {
            assert_eq!(bad.parse::<QueueId>(), Err(NotAnId), "{bad}");
        }
        assert_eq!(
            QueueId::from_u64(u64::MAX).to_string().parse(),
            Ok(QueueId::from_u64(u64::MAX))
        );
    }
}
