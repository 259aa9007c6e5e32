//! Places in the log, and states packed small: what memory holds of a message.

use posthaste_queue::RecipientState;
use posthaste_spool::Damaged;
use posthaste_spool::record::wire::{put_varint, take_varint};
use posthaste_spool::record::{read_states, write_states};

/// Where a piece of an entry lies, its checksum included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Place {
    /// The sequence number of the segment.
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    pub(crate) length: u32,
}

impl Place {
    pub(crate) fn put(self, out: &mut Vec<u8>) {
        for number in [self.segment, self.offset, self.length] {
            put_varint(out, u64::from(number));
        }
    }

    pub(crate) fn take(octets: &mut &[u8]) -> Result<Self, Damaged> {
        let mut number = || {
            let number = take_varint(octets)?;
            u32::try_from(number).map_err(|_| Damaged("not a place"))
        };
        Ok(Self { segment: number()?, offset: number()?, length: number()? })
    }
}

/// Octets that fit without an allocation: the states of most messages.
const INLINE: usize = 22;

/// The states of a message's recipients, as the record format packs them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Packed {
    Small(u8, [u8; INLINE]),
    Large(Box<[u8]>),
}

impl Packed {
    pub(crate) fn new(states: &[RecipientState]) -> Self {
        let mut octets = Vec::with_capacity(INLINE);
        write_states(&mut octets, states);
        Self::from_octets(&octets)
    }

    pub(crate) fn from_octets(octets: &[u8]) -> Self {
        match u8::try_from(octets.len()) {
            Ok(length) if octets.len() <= INLINE => {
                let mut small = [0; INLINE];
                small[..octets.len()].copy_from_slice(octets);
                Self::Small(length, small)
            }
            _ => Self::Large(octets.into()),
        }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Self::Small(length, octets) => &octets[..usize::from(*length)],
            Self::Large(octets) => octets,
        }
    }

    pub(crate) fn states(&self) -> Result<Vec<RecipientState>, Damaged> {
        read_states(self.octets())
    }
}

impl Default for Packed {
    fn default() -> Self {
        Self::Small(0, [0; INLINE])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_holds_little_of_a_message() {
        assert_eq!(size_of::<Packed>(), 24);
        assert_eq!(size_of::<Place>(), 12);
        let one = [RecipientState {
            failures: 3,
            due: posthaste_spool::testing::NOON,
            ..Default::default()
        }];
        assert!(matches!(Packed::new(&one), Packed::Small(..)));
        let many: Vec<_> = (0..50).map(|n| RecipientState { attempts: n, ..one[0] }).collect();
        for states in [&one[..], &many, &[]] {
            assert_eq!(Packed::new(states).states().expect("readable"), states);
        }
    }
}
