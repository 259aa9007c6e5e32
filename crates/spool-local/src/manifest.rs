//! The list of the segments that hold records, kept in a file of its own: what is listed and not there has been lost.
//!
//! It is written when a segment is taken, after its header is durable and before anything is written to it, and before
//! the file of a listed segment is removed. Two slots of fixed size are written in turn, in place: a power cut leaves
//! one of them whole, and a full disk does not matter. Between the two writes of a taking the list is one segment
//! behind; a list that is further behind was left by a program that does not know it, and says nothing.
//!
//! Limits: [`MAX_LISTED`] segments, the newest ones. Not here: what is in them.

use crate::files::create_anew;
use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_spool::record::wire::{put_varint, take_varint};
use std::collections::BTreeMap;
use std::io::{self, IoSlice};

const NAME: &str = "segments";
const UNFINISHED: &str = "unfinished-segments";
const MAGIC: &[u8; 4] = b"PHLS";
/// Octets of one of the two slots.
const SLOT: usize = 64 * 1024;
/// Segments that fit a slot, each with ten octets at most: 300 GiB of them.
const MAX_LISTED: usize = 5_000;
/// Lost segments that are remembered.
const MAX_LOST: usize = 1_000;

/// What was last written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Listed {
    generation: u64,
    /// The highest sequence number taken.
    newest: u32,
    /// File numbers of segments with records, and their sequence numbers.
    segments: BTreeMap<u32, u32>,
    /// Those that were missing at a start, and still are.
    pub(crate) lost: BTreeMap<u32, u32>,
}

/// The list and its file.
pub(crate) struct Manifest<F> {
    file: Option<F>,
    pub(crate) listed: Listed,
    /// The file is there, and neither slot can be read.
    pub(crate) damaged: bool,
}

impl<F: DiskFile> Manifest<F> {
    /// None: nothing was ever listed.
    pub(crate) fn none() -> Self {
        Self { file: None, listed: Listed::default(), damaged: false }
    }

    /// Reads the list of a folder; none when there is no file.
    pub(crate) fn read<D: Disk<File = F>>(disk: &D, mode: OpenMode) -> io::Result<Self> {
        let file = match disk.open(NAME, mode) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::none()),
            opened => opened?,
        };
        let mut newest: Option<Listed> = None;
        for slot in 0..2 {
            let mut octets = vec![0; SLOT];
            let read = file.read_at(slot * SLOT as u64, &mut octets)?;
            let listed = decode(&octets[..read]);
            if listed.as_ref().is_some_and(|l| {
                newest.as_ref().is_none_or(|newest| newest.generation < l.generation)
            }) {
                newest = listed;
            }
        }
        let damaged = newest.is_none();
        Ok(Self { file: Some(file), listed: newest.unwrap_or_default(), damaged })
    }

    /// Moves to the lost ones what is listed and not there. `newest` is the highest sequence number in any header;
    /// `there` tells whether a file is.
    pub(crate) fn find_lost(&mut self, newest: u32, there: impl Fn(u32) -> bool) {
        let listed = &mut self.listed;
        listed.lost.retain(|number, _| !there(*number));
        if newest > listed.newest.saturating_add(1) {
            return;
        }
        for (&number, &sequence) in &listed.segments {
            if !there(number) && listed.lost.len() < MAX_LOST {
                listed.lost.insert(number, sequence);
            }
        }
    }

    /// The highest number of a file that is, or was, a segment's.
    pub(crate) fn highest_number(&self) -> u32 {
        let numbers = self.listed.segments.keys().chain(self.listed.lost.keys());
        numbers.max().copied().unwrap_or(0)
    }

    /// Something was listed: a store was here.
    pub(crate) fn is_of_a_store(&self) -> bool {
        !self.listed.segments.is_empty()
    }

    /// Makes the file when there is none. A disk without room for it is no failure: the store goes on without.
    pub(crate) fn make<D: Disk<File = F>>(&mut self, disk: &D) -> io::Result<()> {
        if self.file.is_some() {
            return Ok(());
        }
        let file = create_anew(disk, UNFINISHED)?;
        file.write_at(0, &[IoSlice::new(&vec![0; 2 * SLOT])])?;
        file.write_at(0, &[IoSlice::new(&encode(&self.listed))])?;
        file.sync_data()?;
        disk.rename(UNFINISHED, NAME)?;
        disk.sync_dir()?;
        self.file = Some(file);
        Ok(())
    }

    /// Lists the segments that hold records now, durably.
    pub(crate) fn list(
        &mut self,
        newest: u32,
        segments: impl DoubleEndedIterator<Item = (u32, u32)>,
    ) -> io::Result<()> {
        self.listed.newest = newest;
        self.listed.segments = segments.rev().take(MAX_LISTED).collect();
        self.write()
    }

    /// Takes a segment off the list, durably, before its file is removed.
    pub(crate) fn unlist(&mut self, number: u32) -> io::Result<()> {
        if self.listed.segments.remove(&number).is_none() {
            return Ok(());
        }
        self.write()
    }

    /// Lost ones are no longer looked for.
    pub(crate) fn forget_lost(&mut self) -> io::Result<()> {
        self.listed.lost.clear();
        self.write()
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        self.listed.generation += 1;
        let slot = self.listed.generation % 2;
        file.write_at(slot * SLOT as u64, &[IoSlice::new(&encode(&self.listed))])?;
        file.sync_data()
    }
}

fn encode(listed: &Listed) -> Vec<u8> {
    let mut body = Vec::new();
    put_varint(&mut body, listed.generation);
    put_varint(&mut body, u64::from(listed.newest));
    for map in [&listed.segments, &listed.lost] {
        put_varint(&mut body, map.len() as u64);
        for (number, sequence) in map {
            put_varint(&mut body, u64::from(*number));
            put_varint(&mut body, u64::from(*sequence));
        }
    }
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&u32::try_from(body.len()).expect("its lists are bounded").to_le_bytes());
    out.extend_from_slice(&body);
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out
}

fn decode(octets: &[u8]) -> Option<Listed> {
    let (head, rest) = octets.split_at_checked(8)?;
    let length = u32::from_le_bytes(head[4..].try_into().expect("four octets")) as usize;
    let (mut body, rest) = rest.split_at_checked(length)?;
    let crc = crc32c::crc32c(octets.get(..8 + length)?).to_le_bytes();
    if &head[..4] != MAGIC || rest.get(..4)? != crc {
        return None;
    }
    let mut listed = Listed {
        generation: take_varint(&mut body).ok()?,
        newest: u32::try_from(take_varint(&mut body).ok()?).ok()?,
        ..Listed::default()
    };
    for map in [&mut listed.segments, &mut listed.lost] {
        for _ in 0..take_varint(&mut body).ok()? {
            let number = u32::try_from(take_varint(&mut body).ok()?).ok()?;
            map.insert(number, u32::try_from(take_varint(&mut body).ok()?).ok()?);
        }
    }
    Some(listed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_io_sim::{Cut, SimDisk};

    #[test]
    fn a_list_survives_a_cut_and_tells_what_is_gone() {
        let disk = SimDisk::new();
        let mut manifest = Manifest::none();
        manifest.make(&disk).unwrap();
        manifest.list(3, [(1, 1), (2, 2), (5, 3)].into_iter()).unwrap();
        let disk = disk.power_cut(Cut::Lost);
        let mut manifest = Manifest::read(&disk, OpenMode::Write).unwrap();
        assert_eq!(manifest.highest_number(), 5);
        manifest.find_lost(3, |number| number != 2);
        assert_eq!(manifest.listed.lost, [(2, 2)].into());
        manifest.list(4, [(1, 1), (6, 4)].into_iter()).unwrap();
        let disk = disk.process_end();
        let mut manifest = Manifest::read(&disk, OpenMode::Write).unwrap();
        manifest.find_lost(4, |number| number != 2);
        assert_eq!(manifest.listed.lost, [(2, 2)].into(), "remembered");
        manifest.find_lost(4, |_| true);
        assert_eq!(manifest.listed.lost, [].into(), "it came back");
        manifest.find_lost(9, |_| false);
        assert_eq!(manifest.listed.lost, [].into(), "another program wrote since");
    }

    #[test]
    fn a_slot_that_rots_leaves_the_one_before() {
        let disk = SimDisk::new();
        let mut manifest = Manifest::none();
        manifest.make(&disk).unwrap();
        for newest in 1..4 {
            manifest.list(newest, [(newest, newest)].into_iter()).unwrap();
        }
        disk.rot(NAME, SLOT as u64 + 9, 1);
        let read = Manifest::read(&disk, OpenMode::Read).unwrap();
        assert_eq!((read.listed.newest, read.damaged), (2, false));
        disk.rot(NAME, 9, 1);
        let read = Manifest::read(&disk, OpenMode::Read).unwrap();
        assert_eq!((read.listed, read.damaged), (Listed::default(), true));
    }

    #[test]
    fn the_longest_list_fits_its_slot() {
        let most = (0..u32::MAX).rev().take(MAX_LISTED).map(|n| (n, n));
        let lost = (0..u32::MAX).rev().take(MAX_LOST).map(|n| (n, n)).collect();
        let listed =
            Listed { generation: u64::MAX, newest: u32::MAX, segments: most.collect(), lost };
        let octets = encode(&listed);
        assert!(octets.len() <= SLOT, "{}", octets.len());
        assert_eq!(decode(&octets), Some(listed));
    }
}
