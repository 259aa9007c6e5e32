//! A disk that answers one kind of sync without doing it.

use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_io_sim::{SimDisk, SimFile};
use std::io::{self, IoSlice};
use std::sync::Mutex;

/// Which sync is not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lie {
    Nothing,
    /// Of a segment, after a group or an index was written.
    GroupSync,
    /// Of a segment, after only its header was written.
    HeaderSync,
    /// Of the folder.
    FolderSync,
    /// Of a body in a file of its own.
    BodySync,
}

/// Where groups begin in a segment.
const FIRST_GROUP: u64 = 8192;

#[derive(Clone)]
pub(crate) struct LyingDisk {
    pub(crate) disk: SimDisk,
    pub(crate) lie: Lie,
}

pub(crate) struct LyingFile {
    file: SimFile,
    lie: Lie,
    body: bool,
    /// Written since the last sync: anything beyond the header.
    beyond_header: Mutex<bool>,
}

impl Disk for LyingDisk {
    type File = LyingFile;

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<LyingFile> {
        let file = self.disk.open(name, mode)?;
        let body = name.contains("body");
        Ok(LyingFile { file, lie: self.lie, body, beyond_header: Mutex::new(false) })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.disk.list()
    }

    fn sync_dir(&self) -> io::Result<()> {
        if self.lie == Lie::FolderSync { Ok(()) } else { self.disk.sync_dir() }
    }

    fn free_space(&self) -> io::Result<u64> {
        self.disk.free_space()
    }
}

impl DiskFile for LyingFile {
    fn write_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        let end = offset + bufs.iter().map(|buf| buf.len() as u64).sum::<u64>();
        *self.beyond_header.lock().expect("no panic") |= end > FIRST_GROUP;
        self.file.write_at(offset, bufs)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(offset, buf)
    }

    fn sync_data(&self) -> io::Result<()> {
        let beyond_header = std::mem::take(&mut *self.beyond_header.lock().expect("no panic"));
        let kind = match (self.body, beyond_header) {
            (true, _) => Lie::BodySync,
            (false, true) => Lie::GroupSync,
            (false, false) => Lie::HeaderSync,
        };
        if self.lie == kind { Ok(()) } else { self.file.sync_data() }
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
}
