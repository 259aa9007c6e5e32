//! A group under construction: entries and their pieces, and the view of messages as they will be once it is
//! durable.

use crate::entry::Head;
use crate::index::{At, Slot};
use crate::layout::{
    CRC, FIRST_GROUP, GROUP_IN_INDEX, GroupHeader, HEADER, Seed, align, put_entry,
};
use crate::place::Place;
use bytes::Bytes;
use posthaste_evidence::ConnectionId;
use posthaste_mail::QueueId;
use posthaste_spool::Started;
use posthaste_spool::record::wire::Writer;
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::Range;

/// Chunks smaller than this are copied: a slice of their own would cost more.
const WORTH_A_SLICE: usize = 1024;

/// Where a group is going to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) segment: u32,
    pub(crate) seed: Seed,
    /// Octets of the segment.
    pub(crate) size: u32,
    /// Where the group begins.
    pub(crate) offset: u32,
    /// Octets of the index so far.
    pub(crate) indexed: u32,
    /// The commit's number.
    pub(crate) number: u64,
}

/// A live message as it will be.
#[derive(Clone, Debug)]
pub(crate) struct Working {
    pub(crate) slot: Slot,
    pub(crate) in_hand: Option<Started>,
    pub(crate) spilled: bool,
}

enum Part {
    Own(Range<usize>),
    Chunk(Bytes),
}

/// A group under construction.
pub(crate) struct Batch {
    pub(crate) target: Target,
    directory: Vec<u8>,
    own: Vec<u8>,
    parts: Vec<Part>,
    pieces: u32,
    entries: Vec<(Head, At)>,
    /// `None`: it will have left.
    overlay: BTreeMap<QueueId, Option<Working>>,
    undo: Vec<(QueueId, Option<Option<Working>>)>,
    connections: BTreeMap<ConnectionId, Place>,
    /// Spilled contents that will be nobody's.
    pub(crate) unlink: Vec<QueueId>,
    /// Who waits for this group.
    pub(crate) members: Vec<usize>,
}

/// A state of a batch to which it can return.
pub(crate) struct Mark {
    directory: usize,
    own: usize,
    parts: usize,
    pieces: u32,
    entries: usize,
    unlink: usize,
}

impl Batch {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            directory: Vec::new(),
            own: Vec::new(),
            parts: Vec::new(),
            pieces: 0,
            entries: Vec::new(),
            overlay: BTreeMap::new(),
            undo: Vec::new(),
            connections: BTreeMap::new(),
            unlink: Vec::new(),
            members: Vec::new(),
        }
    }

    /// Begins anew elsewhere, with the memory it has.
    pub(crate) fn restart(&mut self, target: Target) {
        self.target = target;
        self.directory.clear();
        self.own.clear();
        self.parts.clear();
        self.pieces = 0;
        self.entries.clear();
        self.overlay.clear();
        self.undo.clear();
        self.connections.clear();
        self.unlink.clear();
        self.members.clear();
    }

    pub(crate) fn mark(&mut self) -> Mark {
        self.undo.clear();
        Mark {
            directory: self.directory.len(),
            own: self.own.len(),
            parts: self.parts.len(),
            pieces: self.pieces,
            entries: self.entries.len(),
            unlink: self.unlink.len(),
        }
    }

    /// Takes back everything since the mark, which must be the last one.
    pub(crate) fn return_to(&mut self, mark: &Mark) {
        self.directory.truncate(mark.directory);
        self.own.truncate(mark.own);
        self.parts.truncate(mark.parts);
        if let Some(Part::Own(range)) = self.parts.last_mut() {
            range.end = range.end.min(mark.own);
        }
        self.pieces = mark.pieces;
        self.entries.truncate(mark.entries);
        self.unlink.truncate(mark.unlink);
        let place_from = self.target.offset + HEADER + mark.pieces;
        self.connections.retain(|_, place| place.offset < place_from);
        while let Some((id, before)) = self.undo.pop() {
            match before {
                Some(before) => self.overlay.insert(id, before),
                None => self.overlay.remove(&id),
            };
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.members.is_empty()
    }

    /// Octets of the group without its padding.
    pub(crate) fn length(&self) -> u64 {
        u64::from(HEADER) + u64::from(self.pieces) + self.directory.len() as u64
    }

    /// The smallest segment that could take it, would it begin at its offset.
    pub(crate) fn needs(&self) -> u64 {
        let index = u64::from(self.target.indexed) + self.directory.len() as u64;
        let index = index + u64::from(GROUP_IN_INDEX) + u64::from(HEADER);
        u64::from(self.target.offset) + align(self.length()) + align(index)
    }

    /// The smallest segment that could take it and nothing else.
    pub(crate) fn needs_alone(&self) -> u64 {
        let index = self.directory.len() as u64 + u64::from(GROUP_IN_INDEX) + u64::from(HEADER);
        u64::from(FIRST_GROUP) + align(self.length()) + align(index)
    }

    /// True while the segment has room for it and the index after it.
    pub(crate) fn fits(&self) -> bool {
        self.needs() <= u64::from(self.target.size)
    }

    /// A message as it will be; `None` when nothing here concerns it.
    pub(crate) fn view(&self, id: QueueId) -> Option<&Option<Working>> {
        self.overlay.get(&id)
    }

    pub(crate) fn set(&mut self, id: QueueId, working: Option<Working>) {
        let before = self.overlay.insert(id, working);
        self.undo.push((id, before));
    }

    pub(crate) fn connection(&self, id: ConnectionId) -> Option<Place> {
        self.connections.get(&id).copied()
    }

    pub(crate) fn set_connection(&mut self, id: ConnectionId, place: Place) {
        self.connections.insert(id, place);
    }

    /// Writes a record as a piece; answers its length with checksum.
    pub(crate) fn piece(&mut self, write: impl FnOnce(&mut Writer)) -> u32 {
        let start = self.own.len();
        let mut w = Writer::on(std::mem::take(&mut self.own));
        write(&mut w);
        self.own = w.into_vec();
        let crc = crc32c::crc32c_append(self.seed(), &self.own[start..]);
        self.end_piece(start, crc, 0)
    }

    /// Writes chunks as a piece.
    pub(crate) fn piece_of(&mut self, chunks: &[Bytes]) -> u32 {
        let mut crc = self.seed();
        let mut outside = 0;
        let mut start = self.own.len();
        for chunk in chunks {
            crc = crc32c::crc32c_append(crc, chunk);
            if chunk.len() < WORTH_A_SLICE {
                self.own.extend_from_slice(chunk);
                continue;
            }
            self.add_own(start);
            outside += self.own.len() - start + chunk.len();
            self.parts.push(Part::Chunk(chunk.clone()));
            start = self.own.len();
        }
        self.end_piece(start, crc, outside)
    }

    fn seed(&self) -> u32 {
        self.target.seed.at(self.next_place())
    }

    fn next_place(&self) -> u32 {
        self.target.offset.saturating_add(HEADER).saturating_add(self.pieces)
    }

    fn add_own(&mut self, start: usize) {
        match self.parts.last_mut() {
            Some(Part::Own(range)) if range.end == start => range.end = self.own.len(),
            _ if start == self.own.len() => {}
            _ => self.parts.push(Part::Own(start..self.own.len())),
        }
    }

    fn end_piece(&mut self, start: usize, crc: u32, outside: usize) -> u32 {
        self.own.extend_from_slice(&crc.to_le_bytes());
        self.add_own(start);
        let length = outside + self.own.len() - start;
        let length = u32::try_from(length).unwrap_or(u32::MAX - CRC);
        self.pieces = self.pieces.saturating_add(length);
        length
    }

    /// Adds an entry whose pieces were written last; answers where the first of them is.
    pub(crate) fn entry(&mut self, head: Head, pieces: [u32; 2]) -> Place {
        let mut w = Writer::default();
        head.encode(&mut w);
        put_entry(&mut self.directory, head.kind(), &w.into_vec(), pieces);
        self.add_at(head, pieces)
    }

    /// Adds an entry as it is written elsewhere.
    pub(crate) fn raw_entry(&mut self, head: Head, octets: &[u8], pieces: [u32; 2]) -> Place {
        put_entry(&mut self.directory, head.kind(), octets, pieces);
        self.add_at(head, pieces)
    }

    fn add_at(&mut self, head: Head, pieces: [u32; 2]) -> Place {
        let length = pieces[0].saturating_add(pieces[1]);
        let offset = self.next_place().saturating_sub(length);
        let Target { segment, number, .. } = self.target;
        let at = At { segment, offset, pieces, commit: number };
        self.entries.push((head, at));
        at.piece()
    }

    /// The header of the group.
    pub(crate) fn header(&self, last_id: u64) -> [u8; HEADER as usize] {
        let size = |n: usize| u32::try_from(n).expect("a group fits into its segment");
        let header = GroupHeader {
            number: self.target.number,
            length: u32::try_from(self.length()).expect("a group fits into its segment"),
            directory: size(self.directory.len()),
            count: size(self.entries.len()),
            last_id,
        };
        header.encode(self.target.segment, self.target.seed, &self.directory)
    }

    /// All of it in order.
    pub(crate) fn slices<'a>(&'a self, header: &'a [u8], zeros: &'a [u8]) -> Vec<IoSlice<'a>> {
        let padding = align(self.length()) - self.length();
        let padding = usize::try_from(padding).expect("less than a block");
        let mut slices = Vec::with_capacity(self.parts.len() + 3);
        slices.push(IoSlice::new(header));
        slices.extend(self.parts.iter().map(|part| match part {
            Part::Own(range) => IoSlice::new(&self.own[range.clone()]),
            Part::Chunk(chunk) => IoSlice::new(chunk),
        }));
        slices.push(IoSlice::new(&self.directory));
        slices.push(IoSlice::new(&zeros[..padding]));
        slices
    }

    pub(crate) fn directory(&self) -> &[u8] {
        &self.directory
    }

    /// What memory has to take in once the group is durable.
    pub(crate) fn take_entries(&mut self) -> Vec<(Head, At)> {
        std::mem::take(&mut self.entries)
    }
}
