//! Which versions of the layout wrote the segments of a folder. A newer one than this program knows is refused before
//! anything is touched; an older one is opened, and `upgrade` is the place where it is rewritten.
//!
//! Today there is one version: nothing is ever to be rewritten. The promise for the next ones: the first 64 octets of
//! a segment keep magic, version and checksum where they are.

use crate::files::{Named, named, read};
use crate::layout::{BLOCK, HEADER, SegmentHeader, VERSION};
use crate::open::OpenError;
use posthaste_io::{Disk, OpenMode};
use std::collections::BTreeMap;

/// The version of the layout that this program writes.
pub const CURRENT: u16 = VERSION;

/// Segments by the version that wrote them; those of which no header can be read are not counted.
///
/// # Errors
/// [`OpenError::Unreadable`] when the disk does not answer.
pub fn versions<D: Disk>(disk: &D) -> Result<BTreeMap<u16, u64>, OpenError> {
    let mut found = BTreeMap::new();
    for (name, _) in disk.list().map_err(OpenError::Unreadable)? {
        if let Some(version) = version_of(disk, &name)? {
            *found.entry(version).or_default() += 1;
        }
    }
    Ok(found)
}

/// Refuses a folder in which a newer version has written.
pub(crate) fn refuse_newer<D: Disk>(disk: &D, files: &[(String, u64)]) -> Result<(), OpenError> {
    for (file, _) in files {
        if let Some(version) = version_of(disk, file)?.filter(|version| *version > CURRENT) {
            return Err(OpenError::Newer { file: file.clone(), version });
        }
    }
    Ok(())
}

/// The newest version that one of the two copies of a segment's header names.
fn version_of<D: Disk>(disk: &D, name: &str) -> Result<Option<u16>, OpenError> {
    if !matches!(named(name), Named::Segment(_)) {
        return Ok(None);
    }
    let file = disk.open(name, OpenMode::Read).map_err(OpenError::Unreadable)?;
    let mut newest = None;
    for copy in [0, u64::from(BLOCK)] {
        let octets = read(&file, copy, HEADER as usize).map_err(OpenError::Unreadable)?;
        newest = newest.max(octets.as_deref().and_then(SegmentHeader::version));
    }
    Ok(newest)
}
