//! The name of a message in the queue: 13 characters, sortable by time, short enough to type. And the name of a
//! connection, ours or a client's: `out-` or `in-` and as many of the same characters as it takes.

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

    /// When it was given, to the millisecond.
    #[must_use]
    pub fn minted(self) -> Timestamp {
        let millis = self.0 >> SEQUENCE_BITS;
        Timestamp::EPOCH.plus(std::time::Duration::from_millis(millis))
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&digits(self.0)).expect("the alphabet is ASCII"))
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
        number(text).map(Self).ok_or(NotAnId)
    }
}

/// Names one SMTP connection, unique within a spool. Those that we opened are numbered by the epoch of the tenure
/// (upper half) and a counter; those of clients carry the highest bit, 42 bits of milliseconds and a sequence, and are
/// in order of time.
///
/// Printed as `out-C000001` or `in-` and 13 characters; case does not matter when read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

const INCOMING: u64 = 1 << 63;
const INCOMING_SEQUENCE_BITS: u32 = 21;

impl ConnectionId {
    /// The first name for a client's connection in the millisecond `now` lies in; [`Self::next`] has the others.
    #[must_use]
    pub fn first_incoming_at(now: Timestamp) -> Self {
        let millis = now.as_millis() & ((1 << MILLIS_BITS) - 1);
        Self(INCOMING | (millis << INCOMING_SEQUENCE_BITS))
    }

    /// The name after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }

    /// A client opened it.
    #[must_use]
    pub const fn is_incoming(self) -> bool {
        self.0 & INCOMING != 0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_incoming() { "in-" } else { "out-" })?;
        let text = digits(self.0 & !INCOMING);
        let text = std::str::from_utf8(&text).expect("the alphabet is ASCII");
        f.write_str(if self.is_incoming() { text } else { text.trim_start_matches('0') })
    }
}

/// The text is not the name of a connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a session id: expected `in-` or `out-` and up to {LENGTH} characters of 0-9 and A-Z")]
pub struct NotAConnection;

impl FromStr for ConnectionId {
    type Err = NotAConnection;

    fn from_str(text: &str) -> Result<Self, NotAConnection> {
        let (side, rest) = text.split_once('-').ok_or(NotAConnection)?;
        let bit = match side.to_ascii_lowercase().as_str() {
            "in" => INCOMING,
            "out" => 0,
            _ => return Err(NotAConnection),
        };
        let number = number(rest).filter(|number| number & INCOMING == 0).ok_or(NotAConnection)?;
        Ok(Self(number | bit))
    }
}

fn digits(number: u64) -> [u8; LENGTH] {
    let mut text = [0u8; LENGTH];
    let mut rest = number;
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    text
}

/// At most [`LENGTH`] digits; none are 0.
fn number(text: &str) -> Option<u64> {
    if text.len() > LENGTH {
        return None;
    }
    let mut number: u64 = 0;
    for (i, byte) in text.bytes().enumerate() {
        let upper = byte.to_ascii_uppercase();
        let digit = ALPHABET.iter().position(|&a| a == upper)?;
        if text.len() == LENGTH && i == 0 && digit > 15 {
            return None;
        }
        number = (number << 5) | digit as u64;
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_agree_and_sort_alike() {
        let early = QueueId::first_at(Timestamp::from_secs(1_795_243_984));
        let late = QueueId::first_at(Timestamp::from_secs(1_795_243_985));
        assert!(early < early.next() && early.next() < late);
        assert_eq!(early.next().minted(), Timestamp::from_secs(1_795_243_984));
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

    #[test]
    fn connections_have_one_printed_form_each() {
        let client = ConnectionId::first_incoming_at(Timestamp::from_secs(1_795_243_984));
        for (id, text) in [
            (ConnectionId((3 << 32) + 1), "out-C000001"),
            (ConnectionId(0), "out-"),
            (client, "in-38FWW52800000"),
            (client.next(), "in-38FWW52800001"),
        ] {
            assert_eq!(id.to_string(), text);
            assert_eq!(text.to_lowercase().parse(), Ok(id));
        }
        assert!(client.is_incoming() && client < client.next());
        for bad in ["", "in", "in-ZZZZZZZZZZZZZ", "up-1", "out-U", "out-00000000000001", "6DZZZ"] {
            assert_eq!(bad.parse::<ConnectionId>(), Err(NotAConnection), "{bad}");
        }
    }
}
