//! The files of the store: names, headers, prewritten segments.

use crate::layout::{BLOCK, FIRST_GROUP, HEADER, SegmentHeader, Use};
use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_mail::QueueId;
use std::io::{self, IoSlice};
use std::sync::Arc;

const SEGMENT: &str = "segment-";
const BODY: &str = "body-";
/// What a crash leaves of files that were being made; removed at the start.
const UNFINISHED: &str = "unfinished-";
/// Octets of zeros written at once.
const STRIDE: usize = 256 * 1024;
/// Octets of zeros between two syncs.
const SYNC_EVERY: u64 = 4 << 20;

/// What a file in the folder is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Named {
    Segment(u32),
    Body(QueueId),
    Unfinished,
    /// Not ours.
    Stranger,
}

pub(crate) fn segment_name(number: u32) -> String {
    format!("{SEGMENT}{number:06}")
}

pub(crate) fn body_name(id: QueueId) -> String {
    format!("{BODY}{id}")
}

pub(crate) fn unfinished_body_name(id: QueueId) -> String {
    format!("{UNFINISHED}{BODY}{id}")
}

fn unfinished_segment_name(number: u32) -> String {
    format!("{UNFINISHED}{SEGMENT}{number:06}")
}

pub(crate) fn named(name: &str) -> Named {
    if name.starts_with(UNFINISHED) {
        return Named::Unfinished;
    }
    if let Some(number) = name.strip_prefix(SEGMENT) {
        return number.parse().map_or(Named::Stranger, Named::Segment);
    }
    let id = name.strip_prefix(BODY).and_then(|id| id.parse().ok());
    id.map_or(Named::Stranger, Named::Body)
}

/// Reads exactly `length` octets; `None` when the file ends before.
pub(crate) fn read(
    file: &impl DiskFile,
    offset: u64,
    length: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut octets = vec![0; length];
    let read = file.read_at(offset, &mut octets)?;
    Ok((read == length).then_some(octets))
}

/// Writes both copies of a header, one durable before the other is touched: a cut leaves one of them whole.
pub(crate) fn write_header(file: &impl DiskFile, header: &SegmentHeader) -> io::Result<()> {
    for copy in 0..2 {
        file.write_at(copy * u64::from(BLOCK), &[IoSlice::new(&header.encode())])?;
        file.sync_data()?;
    }
    Ok(())
}

/// Both copies of a header, as far as they can be read.
fn read_copies(file: &impl DiskFile) -> io::Result<[Option<SegmentHeader>; 2]> {
    let mut copies = [None; 2];
    for (copy, offset) in copies.iter_mut().zip([0, u64::from(BLOCK)]) {
        let octets = read(file, offset, HEADER as usize)?;
        *copy = octets.as_deref().and_then(SegmentHeader::decode);
    }
    Ok(copies)
}

/// The header that counts: of two whole copies the later one. `None` when neither can be read.
pub(crate) fn read_header(file: &impl DiskFile) -> io::Result<Option<SegmentHeader>> {
    Ok(read_copies(file)?.into_iter().flatten().max_by_key(|header| header.generation))
}

/// Makes the other copy say the same, which a crash may have prevented: a later fault of the one that counts
/// must not bring back what the other says. The one that counts is not touched.
pub(crate) fn mend_header(file: &impl DiskFile, header: &SegmentHeader) -> io::Result<()> {
    for (copy, offset) in read_copies(file)?.into_iter().zip([0, u64::from(BLOCK)]) {
        if copy.as_ref() != Some(header) {
            file.write_at(offset, &[IoSlice::new(&header.encode())])?;
            file.sync_data()?;
        }
    }
    Ok(())
}

/// Creates an unfinished file, in the place of one that an earlier run may have left.
pub(crate) fn create_anew<D: Disk>(disk: &D, name: &str) -> io::Result<D::File> {
    match disk.open(name, OpenMode::Create) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            disk.remove(name)?;
            disk.open(name, OpenMode::Create)
        }
        opened => opened,
    }
}

/// A segment ready to be taken.
pub(crate) struct Spare<F> {
    pub(crate) file: Arc<F>,
    pub(crate) number: u32,
    pub(crate) header: SegmentHeader,
}

/// A segment being prewritten: with its blocks on disk, a sync of it later needs no change of the file system.
pub(crate) struct Preparing<F> {
    file: F,
    pub(crate) number: u32,
    pub(crate) size: u64,
    written: u64,
}

impl<F: DiskFile> Preparing<F> {
    pub(crate) fn begin<D: Disk<File = F>>(disk: &D, number: u32, size: u64) -> io::Result<Self> {
        let file = create_anew(disk, &unfinished_segment_name(number))?;
        Ok(Self { file, number, size, written: 0 })
    }

    /// Writes up to `budget` more octets; true when all are written.
    pub(crate) fn advance(&mut self, budget: u64) -> io::Result<bool> {
        let zeros = vec![0; STRIDE];
        let end = self.size.min(self.written.saturating_add(budget.max(STRIDE as u64)));
        while self.written < end {
            let part = usize::try_from(end - self.written).unwrap_or(STRIDE).min(STRIDE);
            self.file.write_at(self.written, &[IoSlice::new(&zeros[..part])])?;
            self.written += part as u64;
            // One sync of it all at the end would hold up the commits.
            if self.written.is_multiple_of(SYNC_EVERY) {
                self.file.sync_data()?;
            }
        }
        Ok(self.written == self.size)
    }

    /// Writes what is left and makes it durable.
    pub(crate) fn complete(&mut self) -> io::Result<()> {
        while !self.advance(u64::MAX)? {}
        write_header(&self.file, &self.header())
    }

    const fn header(&self) -> SegmentHeader {
        let size = self.size;
        SegmentHeader { use_: Use::Free, sequence: 0, generation: 1, epoch: 0, size, salt: 0 }
    }

    /// Gives it its name, once it is complete.
    pub(crate) fn name<D: Disk<File = F>>(self, disk: &D) -> io::Result<Spare<F>> {
        let (number, header) = (self.number, self.header());
        disk.rename(&unfinished_segment_name(number), &segment_name(number))?;
        disk.sync_dir()?;
        Ok(Spare { file: Arc::new(self.file), number, header })
    }

    /// Gives up; what is left behind is removed at the next start at the latest.
    pub(crate) fn abandon<D: Disk<File = F>>(self, disk: &D) {
        let _ = disk.remove(&unfinished_segment_name(self.number));
    }
}

/// Removes what a failure left of a segment being prewritten, so that its room is free again.
pub(crate) fn discard_unfinished<D: Disk>(disk: &D, number: u32) {
    let _ = disk.remove(&unfinished_segment_name(number));
}

/// The smallest segment that makes sense: room for its headers, one small group and an index.
pub(crate) const SMALLEST: u32 = FIRST_GROUP + 4 * BLOCK;

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_io_sim::SimDisk;

    #[test]
    fn names_are_read_back() {
        let id = QueueId::from_u64(77);
        for (name, is) in [
            (segment_name(12), Named::Segment(12)),
            (body_name(id), Named::Body(id)),
            (unfinished_body_name(id), Named::Unfinished),
            (unfinished_segment_name(3), Named::Unfinished),
            ("segment-x".into(), Named::Stranger),
            ("body-".into(), Named::Stranger),
            ("notes.txt".into(), Named::Stranger),
        ] {
            assert_eq!(named(&name), is, "{name}");
        }
    }

    #[test]
    fn a_header_left_behind_is_mended() {
        let disk = SimDisk::new();
        let file = disk.open("x", OpenMode::Create).unwrap();
        let old = SegmentHeader {
            use_: Use::Free,
            sequence: 3,
            generation: 4,
            epoch: 1,
            size: 65_536,
            salt: 0,
        };
        write_header(&file, &old).unwrap();
        let new = SegmentHeader { use_: Use::Taken, generation: 5, ..old };
        file.write_at(0, &[IoSlice::new(&new.encode())]).unwrap();
        assert_eq!(read_header(&file).unwrap(), Some(new));
        mend_header(&file, &new).unwrap();
        disk.rot("x", 9, 1);
        assert_eq!(read_header(&file).unwrap(), Some(new), "the other copy says the same");
        disk.rot("x", u64::from(BLOCK) + 9, 1);
        assert_eq!(read_header(&file).unwrap(), None);
    }

    #[test]
    fn a_spare_segment_has_its_full_length_and_is_free() {
        let disk = SimDisk::new();
        let mut preparing = Preparing::begin(&disk, 4, 65_536).unwrap();
        preparing.complete().unwrap();
        let spare = preparing.name(&disk).unwrap();
        assert_eq!(spare.file.len().unwrap(), 65_536);
        let disk = disk.power_cut(posthaste_io_sim::Cut::Lost);
        let file = disk.open(&segment_name(4), OpenMode::Read).unwrap();
        assert_eq!(read_header(&file).unwrap(), Some(spare.header));
    }
}
