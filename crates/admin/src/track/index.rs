//! The index of a log: which of its blocks hold a key. It narrows a search and is never trusted beyond that; one
//! that is missing, damaged or of another version is as good as none, and is made anew. That of a sealed log is stored; a
//! search makes one for itself of a log that has none yet.
//!
//! A file beside the log (`.idx`), numbers little-endian: a header ([`HEADER`] octets, with its own checksum), a directory of
//! buckets (where the entries of each begin, and their checksum), then the entries in order: 32 bits of a key's hash and
//! 16 bits of block. The leading bits of the hash are the bucket's number. A look-up reads one directory entry and one
//! bucket of about [`PER_BUCKET`] entries, whatever the log's size.

use super::block::each_line;
use super::keys::{Key, Keyed};
use super::time;
use posthaste_io_tokio::Folder;
use posthaste_mail::Timestamp;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Of the header; the last digit is the version.
const MAGIC: &[u8; 8] = b"PHLOGIX2";
const HEADER: usize = 64;
/// Entries of a bucket, about.
const PER_BUCKET: usize = 64;
/// A bucket's place in the directory: where it begins, and the checksum of its entries.
const SLOT: usize = 8;
const ENTRY: usize = 6;
/// Octets of a block, unless the log is so large that there would be more than 65,536.
const BLOCK: u64 = 64 * 1024;
/// The most entries that are believed in, so that no damage makes us read without end.
const MAX_BUCKET: u32 = 1 << 20;

/// An index that can be asked.
pub(super) struct Index {
    /// Octets of a block.
    pub(super) block: u64,
    /// The oldest and the newest time of a line.
    pub(super) times: (Timestamp, Timestamp),
    entries: Entries,
}

/// Hashes of keys, each with a block, in order.
enum Entries {
    Stored { file: File, bits: u32, count: u32 },
    Held(Vec<(u64, u16)>),
}

/// What cannot be used.
#[derive(Debug)]
pub(super) struct Damaged;

impl Index {
    /// Opens the index of a log of so many octets; `None` when there is none that can be used.
    pub(super) fn open(path: &Path, log_size: u64) -> Option<Self> {
        let file = File::open(path).ok()?;
        let mut header = [0; HEADER];
        file.read_exact_at(&mut header, 0).ok()?;
        let number =
            |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 octets"));
        let sound = crc32c::crc32c(&header[..HEADER - 8]) == low(number(HEADER - 8));
        if &header[..8] != MAGIC || !sound || number(8) != log_size {
            return None;
        }
        let at = |micros: u64| Timestamp::from_micros(micros.cast_signed());
        let (bits, count) = (low(number(40)).min(30), low(number(48)));
        Some(Self {
            block: number(16).max(1),
            times: (at(number(24)), at(number(32))),
            entries: Entries::Stored { file, bits, count },
        })
    }

    /// The blocks that may hold a line with one of the keys, in order, each once.
    pub(super) fn blocks(&self, keys: &[Key]) -> Result<Vec<u64>, Damaged> {
        let mut blocks = Vec::new();
        for key in keys {
            match &self.entries {
                Entries::Stored { file, bits, count } => {
                    look_up(file, *bits, *count, key.hash(), &mut blocks)?;
                }
                Entries::Held(entries) => {
                    let hash = key.hash();
                    let first = entries.partition_point(|(other, _)| *other < hash);
                    let same = entries[first..].iter().take_while(|(other, _)| *other == hash);
                    blocks.extend(same.map(|(_, block)| u64::from(*block)));
                }
            }
        }
        blocks.sort_unstable();
        blocks.dedup();
        Ok(blocks)
    }
}

fn look_up(
    file: &File,
    bits: u32,
    count: u32,
    hash: u64,
    blocks: &mut Vec<u64>,
) -> Result<(), Damaged> {
    let read = |at: u64, into: &mut [u8]| file.read_exact_at(into, at).map_err(|_| Damaged);
    let bucket = bucket_of(hash, bits);
    let mut slots = [0; 2 * SLOT];
    read((HEADER + bucket * SLOT) as u64, &mut slots)?;
    let number = |at: usize| u32::from_le_bytes(slots[at..at + 4].try_into().expect("4 octets"));
    let (from, checksum, to) = (number(0), number(4), number(8));
    if from > to || to > count || to - from > MAX_BUCKET {
        return Err(Damaged);
    }
    let mut entries = vec![0; (to - from) as usize * ENTRY];
    read(directory_end(bits) + u64::from(from) * ENTRY as u64, &mut entries)?;
    if crc32c::crc32c(&entries) != checksum {
        return Err(Damaged);
    }
    let wanted = short(hash).to_le_bytes();
    let found = entries.chunks_exact(ENTRY).filter(|entry| entry[..4] == wanted);
    blocks.extend(found.map(|e| u64::from(u16::from_le_bytes([e[4], e[5]]))));
    Ok(())
}

fn low(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).expect("32 bits")
}

fn bucket_of(hash: u64, bits: u32) -> usize {
    let bucket = if bits == 0 { 0 } else { hash >> (64 - bits) };
    usize::try_from(bucket).expect("at most 30 bits")
}

/// The part of the hash that an entry holds.
fn short(hash: u64) -> u32 {
    low(hash)
}

/// One slot more than buckets: where the last one ends.
const fn directory_end(bits: u32) -> u64 {
    HEADER as u64 + ((1 << bits) + 1) * SLOT as u64
}

/// Makes the index of a sealed log, under a name of its own first, so that a half-made one is never read.
///
/// # Errors
/// The operating system's.
pub(super) fn build(log: &Path, index: &Path) -> io::Result<()> {
    let file = File::open(log)?;
    let size = file.metadata()?.len();
    let octets = encode(&file, size)?;
    let (folder, name) = Folder::of_file(index)?;
    let half_made = Path::new(&name).with_extension("idx-new");
    let mut out = folder.fresh(half_made.as_os_str())?;
    out.write_all(&octets)?;
    out.sync_all()?;
    folder.rename(half_made.as_os_str(), &name)
}

fn encode(file: &File, size: u64) -> io::Result<Vec<u8>> {
    let mut making = Making::of(size);
    each_line(file, 0, size, &mut |at, line| making.line(at, line))?;
    let (block, times, entries) = making.in_order();
    Ok(laid_out(&entries, size, block, times))
}

/// An index being made: it is told every line, in order.
pub(super) struct Making {
    block: u64,
    entries: Vec<(u64, u16)>,
    times: Option<(Timestamp, Timestamp)>,
    /// Of the keys of the block that lines come from.
    hashes: Vec<u64>,
    in_block: u16,
}

impl Making {
    /// Of a log of so many octets.
    pub(super) fn of(size: u64) -> Self {
        let block = BLOCK.max(size.div_ceil(1 << 16));
        Self { block, entries: Vec::new(), times: None, hashes: Vec::new(), in_block: 0 }
    }

    /// Takes the line that begins at a place.
    pub(super) fn line(&mut self, at: u64, line: &[u8]) {
        let number = u16::try_from(at / self.block).expect("a log has at most 65,536 blocks");
        if number != self.in_block {
            self.block_ends();
            self.in_block = number;
        }
        let Some(keyed) = Keyed::read(line) else { return };
        keyed.hashes(&mut self.hashes);
        if let Some(at) = time(&keyed.at) {
            let (first, last) = self.times.unwrap_or((at, at));
            self.times = Some((at.min(first), at.max(last)));
        }
    }

    /// The index, kept in memory.
    pub(super) fn held(self) -> Index {
        let (block, times, entries) = self.in_order();
        Index { block, times, entries: Entries::Held(entries) }
    }

    /// The keys of one block, each once.
    fn block_ends(&mut self) {
        self.hashes.sort_unstable();
        self.hashes.dedup();
        let block = self.in_block;
        self.entries.extend(self.hashes.drain(..).map(|hash| (hash, block)));
    }

    fn in_order(mut self) -> (u64, (Timestamp, Timestamp), Vec<(u64, u16)>) {
        self.block_ends();
        self.entries.sort_unstable();
        (self.block, self.times.unwrap_or_default(), self.entries)
    }
}

fn laid_out(
    entries: &[(u64, u16)],
    size: u64,
    block: u64,
    (first, last): (Timestamp, Timestamp),
) -> Vec<u8> {
    let bits = (entries.len() / PER_BUCKET).max(1).ilog2();
    let count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    let mut directory = Vec::with_capacity(((1 << bits) + 1) * SLOT);
    let mut body = Vec::with_capacity(entries.len() * ENTRY);
    let mut rest = entries;
    for bucket in 0..1usize << bits {
        let length = rest.partition_point(|(hash, _)| bucket_of(*hash, bits) <= bucket);
        let (own, later) = rest.split_at(length);
        let start = body.len();
        for (hash, block) in own {
            body.extend_from_slice(&short(*hash).to_le_bytes());
            body.extend_from_slice(&block.to_le_bytes());
        }
        let from = u32::try_from(start / ENTRY).unwrap_or(u32::MAX);
        directory.extend_from_slice(&from.to_le_bytes());
        directory.extend_from_slice(&crc32c::crc32c(&body[start..]).to_le_bytes());
        rest = later;
    }
    directory.extend_from_slice(&count.to_le_bytes());
    directory.extend_from_slice(&[0; 4]);
    let mut out = Vec::with_capacity(HEADER + directory.len() + body.len());
    out.extend_from_slice(MAGIC);
    let micros = |at: Timestamp| at.as_micros().cast_unsigned();
    for number in [size, block, micros(first), micros(last), u64::from(bits), u64::from(count)] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&u64::from(crc32c::crc32c(&out)).to_le_bytes());
    debug_assert_eq!(out.len(), HEADER, "8 octets of magic and 7 numbers");
    out.extend_from_slice(&directory);
    out.extend_from_slice(&body);
    out
}
