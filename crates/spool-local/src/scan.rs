//! Reads a segment: by the index at its end, or group by group. Decides what is torn and what is damaged.

use crate::files::read;
use crate::layout::{
    BLOCK, CRC, FIRST_GROUP, GroupHeader, HEADER, IndexedGroup, SegmentHeader, align, entries,
    footer, groups, index_length,
};
use posthaste_io::DiskFile;
use std::io;

/// Octets read at once while looking for a later group.
const STRIDE: usize = 1 << 20;

/// A group that was read, without its pieces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Group {
    pub(crate) number: u64,
    pub(crate) offset: u32,
    pub(crate) length: u32,
    pub(crate) last_id: u64,
    pub(crate) directory: Vec<u8>,
}

impl Group {
    pub(crate) fn as_indexed(&self) -> IndexedGroup<'_> {
        let Self { number, offset, length, last_id, .. } = *self;
        IndexedGroup { number, offset, length, last_id, directory: &self.directory }
    }

    pub(crate) fn end(&self) -> u32 {
        u32::try_from(align(u64::from(self.offset) + u64::from(self.length))).unwrap_or(u32::MAX)
    }
}

/// What a segment holds.
#[derive(Default, Debug)]
pub(crate) struct Found {
    pub(crate) groups: Vec<Group>,
    /// Offset and size of what cannot be read although it was acknowledged.
    pub(crate) damage: Vec<(u32, u32)>,
    /// Where the next group would go.
    pub(crate) end: u32,
    /// From an index.
    pub(crate) indexed: bool,
    /// Something was begun after the last group and not finished: never acknowledged.
    pub(crate) torn: bool,
}

/// Reads a whole segment: its index when it has one, else every group.
pub(crate) fn segment(file: &impl DiskFile, header: &SegmentHeader) -> Found {
    match by_index(file, header) {
        Ok(Some(found)) => found,
        // An index that cannot be read costs time, not mail.
        Ok(None) | Err(_) => by_groups(file, header),
    }
}

fn by_index(file: &impl DiskFile, header: &SegmentHeader) -> io::Result<Option<Found>> {
    let Some(at) = header.size.checked_sub(u64::from(HEADER)) else { return Ok(None) };
    let Some(octets) = read(file, at, HEADER as usize)? else { return Ok(None) };
    let octets: [u8; HEADER as usize] = octets.try_into().expect("as many as were asked for");
    let Some(length) = index_length(&octets, header.sequence) else { return Ok(None) };
    let Some(start) = at.checked_sub(length) else { return Ok(None) };
    let Ok(length) = usize::try_from(length) else { return Ok(None) };
    let Some(index) = read(file, start, length)? else { return Ok(None) };
    if footer(header.sequence, header.seed(), &index) != octets {
        return Ok(None);
    }
    let Some(list) = groups(&index) else { return Ok(None) };
    let owned = |g: &IndexedGroup<'_>| Group {
        number: g.number,
        offset: g.offset,
        length: g.length,
        last_id: g.last_id,
        directory: g.directory.to_vec(),
    };
    let groups: Vec<Group> = list.iter().map(owned).collect();
    let end = groups.last().map_or(FIRST_GROUP, Group::end);
    Ok(Some(Found { groups, end, indexed: true, ..Found::default() }))
}

/// Reads a whole segment and every piece in it. What an index names and is not whole is damage, the last group included.
pub(crate) fn whole(file: &impl DiskFile, header: &SegmentHeader) -> Found {
    let Ok(Some(mut found)) = by_index(file, header) else { return by_groups(file, header) };
    let damage = &mut found.damage;
    found.groups.retain(|group| {
        let whole =
            matches!(group_at(file, header, group.offset), Ok(Some(read)) if read == *group);
        if !whole {
            damage.push((group.offset, group.end() - group.offset));
        }
        whole
    });
    found
}

/// Reads group by group. A bad one without a valid later one is torn; with one it is damage.
pub(crate) fn by_groups(file: &impl DiskFile, header: &SegmentHeader) -> Found {
    let mut found = Found { end: FIRST_GROUP, ..Found::default() };
    let mut at = FIRST_GROUP;
    loop {
        match group_at(file, header, at) {
            Ok(Some(group)) => {
                at = group.end();
                found.end = at;
                found.groups.push(group);
            }
            unreadable => {
                let last = found.groups.last().map_or(0, |group| group.number);
                let Some(next) = later_group(file, header, at, last) else {
                    // What the disk refuses to give may have been acknowledged: that is not torn.
                    if unreadable.is_err() {
                        found.damage.push((at, BLOCK));
                    }
                    found.torn = was_begun(file, header, at);
                    return found;
                };
                found.damage.push((at, next - at));
                at = next;
            }
        }
    }
}

/// The groups of a segment that is known to be whole up to `end`, without looking at their pieces.
pub(crate) fn known(file: &impl DiskFile, header: &SegmentHeader, end: u32) -> Vec<Group> {
    if let Ok(Some(found)) = by_index(file, header) {
        return found.groups;
    }
    let mut list = Vec::new();
    let mut at = FIRST_GROUP;
    while at < end {
        match directory_at(file, header, at) {
            Ok(Some(group)) => {
                at = group.end();
                list.push(group);
            }
            _ => at += BLOCK,
        }
    }
    list
}

/// A group with all its pieces verified.
fn group_at(file: &impl DiskFile, header: &SegmentHeader, at: u32) -> io::Result<Option<Group>> {
    let Some(group) = directory_at(file, header, at)? else { return Ok(None) };
    let Some(list) = entries(&group.directory, at) else { return Ok(None) };
    let pieces = group.length as usize - HEADER as usize - group.directory.len();
    let start = at + HEADER;
    let Some(octets) = read(file, u64::from(start), pieces)? else { return Ok(None) };
    let seed = header.seed();
    for entry in list {
        let mut offset = entry.offset;
        for length in entry.pieces {
            let from = (offset - start) as usize;
            let Some(piece) = octets.get(from..from + length as usize) else { return Ok(None) };
            if length > 0 && (length < CRC || !seed.accepts(offset, piece)) {
                return Ok(None);
            }
            offset += length;
        }
    }
    Ok(Some(group))
}

/// A group's header and directory.
fn directory_at(
    file: &impl DiskFile,
    header: &SegmentHeader,
    at: u32,
) -> io::Result<Option<Group>> {
    if u64::from(at) + u64::from(BLOCK) > header.size {
        return Ok(None);
    }
    let Some(octets) = read(file, u64::from(at), HEADER as usize)? else { return Ok(None) };
    let Some(group) = GroupHeader::decode(&octets, header.sequence) else { return Ok(None) };
    let end = u64::from(at) + u64::from(group.length);
    if end > header.size {
        return Ok(None);
    }
    let start = end - u64::from(group.directory);
    let Some(directory) = read(file, start, group.directory as usize)? else { return Ok(None) };
    let octets = octets.try_into().expect("as many as were asked for");
    if !GroupHeader::accepts(header.seed(), &octets, &directory) {
        return Ok(None);
    }
    let GroupHeader { number, length, last_id, .. } = group;
    Ok(Some(Group { number, offset: at, length, last_id, directory }))
}

/// Where the next whole group with a higher number begins.
fn later_group(file: &impl DiskFile, header: &SegmentHeader, bad: u32, last: u64) -> Option<u32> {
    let size = u32::try_from(header.size).unwrap_or(u32::MAX);
    let mut at = bad + BLOCK;
    while at < size {
        let length = STRIDE.min((size - at) as usize);
        let mut octets = vec![0; length];
        // A stretch that cannot be read has no group that could be used.
        let read = file.read_at(u64::from(at), &mut octets).unwrap_or(0);
        for (block, start) in
            octets[..read].chunks(BLOCK as usize).zip((at..).step_by(BLOCK as usize))
        {
            if GroupHeader::decode(block, header.sequence).is_none_or(|group| group.number <= last)
            {
                continue;
            }
            if matches!(group_at(file, header, start), Ok(Some(_))) {
                return Some(start);
            }
        }
        at += u32::try_from(length).unwrap_or(u32::MAX).next_multiple_of(BLOCK);
    }
    None
}

/// True when the header of a group of this segment is there; of a torn group it need not be.
fn was_begun(file: &impl DiskFile, header: &SegmentHeader, at: u32) -> bool {
    let octets = read(file, u64::from(at), HEADER as usize).unwrap_or_default();
    octets.is_some_and(|octets| GroupHeader::decode(&octets, header.sequence).is_some())
}
