//! The octets of a segment: its header, groups, and the index at its end. Pure; no I/O.
//!
//! ```text
//! segment: header | header (again) | group | group ... | unused | index | footer
//! group:   header 64 | pieces of entries | directory | zeros up to 4 KiB
//! entry:   in the directory: kind, lengths of two pieces, head; a piece ends with a checksum of its own
//! ```
//!
//! The checksum of a group's header covers its directory, each piece covers itself; all of them are seeded with
//! the segment's sequence number and salt, so that a recycled segment's old octets cannot be read as new, and
//! the content of a message cannot pass for a group.

use posthaste_spool::record::wire::{put_varint, take_bytes, take_varint};

/// The unit in which groups are aligned, octets.
pub(crate) const BLOCK: u32 = 4096;
/// Where groups begin: after both copies of the header.
pub(crate) const FIRST_GROUP: u32 = 2 * BLOCK;
/// Octets of a group's header, and of a footer.
pub(crate) const HEADER: u32 = 64;
/// Octets of the checksum that ends a piece.
pub(crate) const CRC: u32 = 4;

const SEGMENT_MAGIC: &[u8; 4] = b"PHSG";
const GROUP_MAGIC: &[u8; 4] = b"PHGR";
const INDEX_MAGIC: &[u8; 4] = b"PHIX";
/// The version of this layout; others are not read.
pub(crate) const VERSION: u16 = 1;

/// The next multiple of [`BLOCK`].
pub(crate) const fn align(octets: u64) -> u64 {
    octets.next_multiple_of(BLOCK as u64)
}

/// What a segment is used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Use {
    /// Nothing: its old content is gone.
    Free,
    /// Holds records.
    Taken,
}

/// What a segment says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) use_: Use,
    /// Grows with each segment taken, never reused; of a free one the last it had.
    pub(crate) sequence: u32,
    /// Grows with every header written to this file.
    pub(crate) generation: u64,
    /// Which open of the store took it.
    pub(crate) epoch: u64,
    /// Octets of the file.
    pub(crate) size: u64,
    /// Unpredictable to those who send mail.
    pub(crate) salt: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER as usize] {
        let mut out = [0; HEADER as usize];
        out[..4].copy_from_slice(SEGMENT_MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6] = u8::from(self.use_ == Use::Taken);
        put_u64(&mut out, 8, u64::from(self.sequence));
        put_u64(&mut out, 16, self.generation);
        put_u64(&mut out, 24, self.epoch);
        put_u64(&mut out, 32, self.size);
        put_u64(&mut out, 40, self.salt);
        let crc = crc32c::crc32c(&out[..60]);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(octets: &[u8]) -> Option<Self> {
        let octets = octets.get(..HEADER as usize)?;
        let crc = crc32c::crc32c(&octets[..60]).to_le_bytes();
        if &octets[..4] != SEGMENT_MAGIC
            || octets[4..6] != VERSION.to_le_bytes()
            || octets[60..] != crc
        {
            return None;
        }
        Some(Self {
            use_: if octets[6] == 0 { Use::Free } else { Use::Taken },
            sequence: u32::try_from(get_u64(octets, 8)).ok()?,
            generation: get_u64(octets, 16),
            epoch: get_u64(octets, 24),
            size: get_u64(octets, 32),
            salt: get_u64(octets, 40),
        })
    }

    /// The version that wrote a header, read or not: magic, version and the checksum at the end of the first 64
    /// octets stay where they are in every version.
    pub(crate) fn version(octets: &[u8]) -> Option<u16> {
        let octets = octets.get(..HEADER as usize)?;
        let whole = crc32c::crc32c(&octets[..60]).to_le_bytes() == octets[60..];
        let ours = &octets[..4] == SEGMENT_MAGIC && whole;
        ours.then(|| u16::from_le_bytes([octets[4], octets[5]]))
    }

    /// What seeds every checksum in the segment.
    pub(crate) fn seed(&self) -> Seed {
        let crc = crc32c::crc32c(&self.salt.to_le_bytes());
        Seed(crc32c::crc32c_append(crc, &u64::from(self.sequence).to_le_bytes()))
    }
}

/// The beginning of every checksum in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seed(u32);

impl Seed {
    /// As a number, and back: what a stretch of octets taken out of its segment is read with.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The beginning of the checksum of a piece at this offset.
    pub(crate) fn at(self, offset: u32) -> u32 {
        crc32c::crc32c_append(self.0, &offset.to_le_bytes())
    }

    /// True when a piece read from `offset` ends with its own checksum.
    pub(crate) fn accepts(self, offset: u32, piece: &[u8]) -> bool {
        let Some((data, crc)) = piece.split_last_chunk::<{ CRC as usize }>() else { return false };
        crc32c::crc32c_append(self.at(offset), data).to_le_bytes() == *crc
    }
}

/// What a group says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct GroupHeader {
    /// The commit's number.
    pub(crate) number: u64,
    /// Header, pieces and directory; not the zeros.
    pub(crate) length: u32,
    /// Octets of the directory, which ends the group.
    pub(crate) directory: u32,
    /// Entries in the directory.
    pub(crate) count: u32,
    /// The largest id given when it was written.
    pub(crate) last_id: u64,
}

impl GroupHeader {
    pub(crate) fn encode(
        &self,
        sequence: u32,
        seed: Seed,
        directory: &[u8],
    ) -> [u8; HEADER as usize] {
        let mut out = [0; HEADER as usize];
        out[..4].copy_from_slice(GROUP_MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        put_u64(&mut out, 8, u64::from(sequence));
        put_u64(&mut out, 16, self.number);
        out[24..28].copy_from_slice(&self.length.to_le_bytes());
        out[28..32].copy_from_slice(&self.directory.to_le_bytes());
        out[32..36].copy_from_slice(&self.count.to_le_bytes());
        put_u64(&mut out, 40, self.last_id);
        let crc = group_crc(seed, &out, directory);
        out[60..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header without its checksum, which needs the directory.
    pub(crate) fn decode(octets: &[u8], sequence: u32) -> Option<Self> {
        let octets = octets.get(..HEADER as usize)?;
        if &octets[..4] != GROUP_MAGIC
            || octets[4..6] != VERSION.to_le_bytes()
            || get_u64(octets, 8) != u64::from(sequence)
        {
            return None;
        }
        let header = Self {
            number: get_u64(octets, 16),
            length: get_u32(octets, 24),
            directory: get_u32(octets, 28),
            count: get_u32(octets, 32),
            last_id: get_u64(octets, 40),
        };
        (header.length >= HEADER.checked_add(header.directory)?).then_some(header)
    }

    /// True when header and directory are what was written.
    pub(crate) fn accepts(seed: Seed, octets: &[u8; HEADER as usize], directory: &[u8]) -> bool {
        group_crc(seed, octets, directory).to_le_bytes() == octets[60..]
    }
}

fn group_crc(seed: Seed, header: &[u8; HEADER as usize], directory: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed.0, &header[..60]), directory)
}

/// An entry as the directory has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RawEntry<'a> {
    pub(crate) kind: u8,
    pub(crate) head: &'a [u8],
    /// Where its pieces begin in the segment.
    pub(crate) offset: u32,
    /// Octets of its pieces, checksums included; 0 for none.
    pub(crate) pieces: [u32; 2],
}

/// Adds an entry to a directory.
pub(crate) fn put_entry(directory: &mut Vec<u8>, kind: u8, head: &[u8], pieces: [u32; 2]) {
    directory.push(kind);
    put_varint(directory, u64::from(pieces[0]));
    put_varint(directory, u64::from(pieces[1]));
    put_varint(directory, head.len() as u64);
    directory.extend_from_slice(head);
}

/// Visits the entries of a directory whose group begins at `group`. `None` when it cannot be read.
pub(crate) fn entries(directory: &[u8], group: u32) -> Option<Vec<RawEntry<'_>>> {
    let mut rest = directory;
    let mut offset = group.checked_add(HEADER)?;
    let mut list = Vec::new();
    while let Some((&kind, after)) = rest.split_first() {
        rest = after;
        let mut number = || take_varint(&mut rest).ok().and_then(|n| u32::try_from(n).ok());
        let pieces = [number()?, number()?];
        let length = number()?;
        let head = take_bytes(&mut rest, u64::from(length)).ok()?;
        list.push(RawEntry { kind, head, offset, pieces });
        offset = offset.checked_add(pieces[0])?.checked_add(pieces[1])?;
    }
    Some(list)
}

/// A group as the index at the end of a segment has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IndexedGroup<'a> {
    pub(crate) number: u64,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) last_id: u64,
    pub(crate) directory: &'a [u8],
}

/// Adds a group to an index.
pub(crate) fn put_group(index: &mut Vec<u8>, group: &IndexedGroup<'_>) {
    put_varint(index, group.number);
    put_varint(index, u64::from(group.offset));
    put_varint(index, u64::from(group.length));
    put_varint(index, group.last_id);
    put_varint(index, group.directory.len() as u64);
    index.extend_from_slice(group.directory);
}

/// The most octets that [`put_group`] adds to a directory.
pub(crate) const GROUP_IN_INDEX: u32 = 35;

/// The groups of an index, in order. `None` when it cannot be read.
pub(crate) fn groups(index: &[u8]) -> Option<Vec<IndexedGroup<'_>>> {
    let mut rest = index;
    let mut list = Vec::new();
    while !rest.is_empty() {
        let mut number = || take_varint(&mut rest).ok();
        let (commit, offset, length) = (number()?, number()?, number()?);
        let (last_id, directory) = (number()?, number()?);
        list.push(IndexedGroup {
            number: commit,
            offset: u32::try_from(offset).ok()?,
            length: u32::try_from(length).ok()?,
            last_id,
            directory: take_bytes(&mut rest, directory).ok()?,
        });
    }
    Some(list)
}

/// The footer that ends a sealed segment.
pub(crate) fn footer(sequence: u32, seed: Seed, index: &[u8]) -> [u8; HEADER as usize] {
    let mut out = [0; HEADER as usize];
    out[..4].copy_from_slice(INDEX_MAGIC);
    out[4..6].copy_from_slice(&VERSION.to_le_bytes());
    put_u64(&mut out, 8, u64::from(sequence));
    put_u64(&mut out, 16, index.len() as u64);
    let crc = group_crc(seed, &out, index);
    out[60..].copy_from_slice(&crc.to_le_bytes());
    out
}

/// The length of the index that a footer announces; its checksum is [`footer`]'s affair.
pub(crate) fn index_length(octets: &[u8; HEADER as usize], sequence: u32) -> Option<u64> {
    let ours = &octets[..4] == INDEX_MAGIC
        && octets[4..6] == VERSION.to_le_bytes()
        && get_u64(octets, 8) == u64::from(sequence);
    ours.then(|| get_u64(octets, 16))
}

fn put_u64(out: &mut [u8], at: usize, number: u64) {
    out[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

fn get_u64(octets: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(octets[at..at + 8].try_into().expect("eight octets were asked for"))
}

fn get_u32(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(octets[at..at + 4].try_into().expect("four octets were asked for"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u32) -> SegmentHeader {
        let (use_, generation) = (Use::Taken, 4);
        SegmentHeader { use_, sequence, generation, epoch: 2, size: 65_536, salt: 99 }
    }

    #[test]
    fn a_header_with_one_bit_turned_is_none() {
        let octets = header(7).encode();
        assert_eq!(SegmentHeader::decode(&octets), Some(header(7)));
        for at in 0..octets.len() {
            let mut bad = octets;
            bad[at] ^= 1;
            assert_eq!(SegmentHeader::decode(&bad), None, "{at}");
        }
    }

    #[test]
    fn old_octets_of_a_recycled_segment_are_not_new() {
        let group = GroupHeader { number: 1, length: 70, directory: 6, count: 1, last_id: 5 };
        let octets = group.encode(7, header(7).seed(), b"direct");
        assert_eq!(GroupHeader::decode(&octets, 7), Some(group));
        assert_eq!(GroupHeader::decode(&octets, 8), None);
        assert!(GroupHeader::accepts(header(7).seed(), &octets, b"direct"));
        assert!(!GroupHeader::accepts(header(7).seed(), &octets, b"Direct"));
        let other_salt = SegmentHeader { salt: 100, ..header(7) };
        assert!(!GroupHeader::accepts(other_salt.seed(), &octets, b"direct"));
    }

    #[test]
    fn a_piece_is_valid_only_where_it_was_written() {
        let seed = header(7).seed();
        let mut piece = b"content".to_vec();
        let crc = crc32c::crc32c_append(seed.at(4096), &piece);
        piece.extend_from_slice(&crc.to_le_bytes());
        assert!(seed.accepts(4096, &piece));
        assert!(!seed.accepts(8192, &piece));
        assert!(!header(8).seed().accepts(4096, &piece));
        assert!(!seed.accepts(4096, b"abc"));
    }

    #[test]
    fn directories_and_indexes_tell_where_everything_is() {
        let mut directory = Vec::new();
        put_entry(&mut directory, 1, b"head", [100, 300]);
        put_entry(&mut directory, 3, b"", [0, 0]);
        put_entry(&mut directory, 2, b"x", [7, 0]);
        let list = entries(&directory, 8192).expect("readable");
        let offsets: Vec<_> = list.iter().map(|e| (e.kind, e.offset)).collect();
        assert_eq!(offsets, [(1, 8256), (3, 8656), (2, 8656)]);
        let group = IndexedGroup {
            number: 9,
            offset: 8192,
            length: 500,
            last_id: 3,
            directory: &directory,
        };
        let mut index = Vec::new();
        put_group(&mut index, &group);
        put_group(&mut index, &group);
        assert!(index.len() <= 2 * (directory.len() + GROUP_IN_INDEX as usize));
        assert_eq!(groups(&index), Some(vec![group, group]));
        assert_eq!(entries(&directory[..directory.len() - 1], 8192), None);
        assert_eq!(groups(&index[..index.len() - 1]), None);
        let octets = footer(7, header(7).seed(), &index);
        assert_eq!(index_length(&octets, 7), Some(index.len() as u64));
        assert_eq!(index_length(&octets, 8), None);
    }
}
