//! Messages out of damaged octets: of a group of which something cannot be read, what still can.
//!
//! Where the group's directory is whole, it says where everything is. Where it is not, the octets are searched for
//! envelopes: a record that ends with the right checksum for its place is one, and its content follows it. Pure; no I/O.

use crate::entry::Head;
use crate::layout::{BLOCK, CRC, GroupHeader, HEADER, Seed, entries};
use bytes::Bytes;
use posthaste_mail::{Envelope, QueueId};
use posthaste_queue::RecipientState;
use posthaste_spool::Record as _;
use posthaste_spool::record::wire::{take_bytes, take_varint};

/// Octets taken out of a segment, and what they are read with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// The segment's sequence number.
    pub sequence: u32,
    /// What seeds the segment's checksums.
    pub seed: u32,
    /// Where the octets begin in the segment.
    pub offset: u32,
    /// The octets.
    pub octets: Bytes,
}

/// A message, or what is left of one.
#[derive(Clone, PartialEq, Debug)]
pub struct Salvaged {
    /// Its id.
    pub id: QueueId,
    /// Its envelope; `None` when it cannot be read.
    pub envelope: Option<Envelope>,
    /// The states it had when the group was written; empty when they cannot be read.
    pub states: Vec<RecipientState>,
    /// Its content.
    pub content: Left,
}

/// What is left of a content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Left {
    /// All of it.
    Whole(Bytes),
    /// So many octets, some of them not what was written.
    Damaged(Bytes),
    /// It has a file of its own.
    InFile {
        /// Octets of the file.
        size: u64,
        /// What stands before them, as far as it can be read.
        head: Bytes,
    },
    /// Nothing.
    Nothing,
}

/// The most fields of an envelope: a thousand recipients and some.
const MAX_FIELDS: usize = 70_000;
/// The most octets that are searched for what stands before a file: a signature of each key, some times over.
const MAX_FILE_HEAD: usize = 64 * 1024;
/// What a stored envelope begins with: the key of its id.
const FIRST_OCTET: u8 = 2;

impl Stretch {
    /// Every message that was begun in these octets, as far as it can be read, in the order in which they were written.
    #[must_use]
    pub fn salvage(&self) -> Vec<Salvaged> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.octets.len() {
            if let Some(end) = self.by_directory(at, &mut found) {
                at = end;
                continue;
            }
            let end = self.next_group(at);
            self.by_search(at, end, &mut found);
            at = end;
        }
        found
    }

    /// Reads the group that begins here; answers its end. `None` when there is none whose directory is whole.
    fn by_directory(&self, at: usize, found: &mut Vec<Salvaged>) -> Option<usize> {
        let (group, directory) = self.directory(at)?;
        let begins = self.offset.checked_add(u32::try_from(at).ok()?)?;
        for raw in entries(directory, begins)? {
            let Ok(Some(Head::Mail(mail))) = Head::decode(raw.kind, raw.head) else { continue };
            let [first, second] = raw.pieces;
            let envelope = self.piece(raw.offset, first).and_then(|p| Envelope::decode(&p).ok());
            let content = match mail.spilled {
                Some(size) => {
                    let head = self.piece(raw.offset.saturating_add(first), second);
                    Left::InFile { size, head: head.unwrap_or_default() }
                }
                None => self.content(raw.offset.saturating_add(first), second),
            };
            let states = mail.states.states().unwrap_or_default();
            found.push(Salvaged { id: mail.id, envelope, states, content });
        }
        Some(at.saturating_add(group.length as usize).next_multiple_of(BLOCK as usize))
    }

    fn directory(&self, at: usize) -> Option<(GroupHeader, &[u8])> {
        let header = self.octets.get(at..at.checked_add(HEADER as usize)?)?;
        let group = GroupHeader::decode(header, self.sequence)?;
        let end = at.checked_add(group.length as usize)?;
        let directory = self.octets.get(end.checked_sub(group.directory as usize)?..end)?;
        let header = header.try_into().expect("as many as were asked for");
        let whole = GroupHeader::accepts(Seed::from_number(self.seed), header, directory);
        whole.then_some((group, directory))
    }

    /// Where the next group begins whose directory is whole, or the end.
    fn next_group(&self, at: usize) -> usize {
        let blocks = (at..self.octets.len()).step_by(BLOCK as usize).skip(1);
        blocks.into_iter().find(|at| self.directory(*at).is_some()).unwrap_or(self.octets.len())
    }

    fn by_search(&self, from: usize, end: usize, found: &mut Vec<Salvaged>) {
        let mut at = from;
        while at < end {
            let Some((envelope, length)) = self.envelope_at(at, end) else {
                at += 1;
                continue;
            };
            at += length;
            let left = self.offset.saturating_add(u32::try_from(at).unwrap_or(u32::MAX));
            let wanted = usize::try_from(envelope.facts.size).unwrap_or(usize::MAX);
            let wanted = wanted.saturating_add(CRC as usize).min(end - at);
            let content = self.content(left, u32::try_from(wanted).unwrap_or(u32::MAX));
            let content = match content {
                // Not beside it, then it is in a file: whether that is there is for others to see.
                Left::Damaged(octets) if !resembles(&envelope, &octets) => {
                    let head = self.head_at(at, end).unwrap_or_default();
                    Left::InFile {
                        size: envelope.facts.size.saturating_sub(head.len() as u64),
                        head,
                    }
                }
                content => content,
            };
            if let Left::Whole(_) = content {
                at += wanted;
            }
            let (id, states) = (envelope.id, Vec::new());
            found.push(Salvaged { id, envelope: Some(envelope), states, content });
        }
    }

    /// An envelope whose record begins here and ends with its checksum; and the octets it takes with that.
    fn envelope_at(&self, at: usize, end: usize) -> Option<(Envelope, usize)> {
        let octets = &self.octets[at..end];
        if octets.first() != Some(&FIRST_OCTET) {
            return None;
        }
        let place = self.offset.checked_add(u32::try_from(at).ok()?)?;
        let mut crc = Seed::from_number(self.seed).at(place);
        let mut rest = octets;
        for _ in 0..MAX_FIELDS {
            let before = rest;
            let key = take_varint(&mut rest).ok()?;
            let number = take_varint(&mut rest).ok()?;
            if key & 1 == 1 {
                take_bytes(&mut rest, number).ok()?;
            }
            crc = crc32c::crc32c_append(crc, &before[..before.len() - rest.len()]);
            if rest.get(..CRC as usize)? == crc.to_le_bytes() {
                let length = octets.len() - rest.len();
                let envelope = Envelope::decode(&octets[..length]).ok()?;
                return Some((envelope, length + CRC as usize));
            }
        }
        None
    }

    /// What stands before the octets of a file, when it begins here: whole lines that end with the checksum for their place.
    fn head_at(&self, at: usize, end: usize) -> Option<Bytes> {
        let octets = &self.octets[at..end.min(at.saturating_add(MAX_FILE_HEAD))];
        let place = self.offset.checked_add(u32::try_from(at).ok()?)?;
        let (mut crc, mut length) = (Seed::from_number(self.seed).at(place), 0);
        while let Some(line) = octets[length..].iter().position(|octet| *octet == b'\n') {
            crc = crc32c::crc32c_append(crc, &octets[length..=length + line]);
            length += line + 1;
            if octets.get(length..length + CRC as usize)? == crc.to_le_bytes() {
                return Some(self.octets.slice(at..at + length));
            }
        }
        None
    }

    /// A piece at a place of the segment, without its checksum.
    fn piece(&self, offset: u32, length: u32) -> Option<Bytes> {
        let piece = self.range(offset, length)?;
        let whole = Seed::from_number(self.seed).accepts(offset, &piece);
        whole.then(|| piece.slice(..piece.len() - CRC as usize))
    }

    fn content(&self, offset: u32, length: u32) -> Left {
        match (self.piece(offset, length), self.range(offset, length)) {
            (Some(whole), _) => Left::Whole(whole),
            (None, Some(octets)) => {
                Left::Damaged(octets.slice(..octets.len().saturating_sub(CRC as usize)))
            }
            (None, None) => Left::Nothing,
        }
    }

    fn range(&self, offset: u32, length: u32) -> Option<Bytes> {
        let from = offset.checked_sub(self.offset)? as usize;
        let to = from.checked_add(length as usize)?;
        (length > 0 && to <= self.octets.len()).then(|| self.octets.slice(from..to))
    }
}

/// Damaged octets that are a message's all the same: as many as it has, and its trace header in front.
fn resembles(envelope: &Envelope, octets: &[u8]) -> bool {
    octets.len() as u64 == envelope.facts.size && octets.first().is_some_and(u8::is_ascii_graphic)
}
