//! One folder of a disk, as the store sees it: synchronous, flat, and honest about what is durable.

use std::io::{self, IoSlice};

/// A folder. Names are plain file names. Nothing is durable before the matching sync.
pub trait Disk: Send {
    /// An open file.
    type File: DiskFile;

    /// Opens a file.
    ///
    /// # Errors
    /// As the operating system says; `NotFound`, `AlreadyExists` by [`OpenMode`].
    fn open(&self, name: &str, mode: OpenMode) -> io::Result<Self::File>;
    /// Gives a file another name, replacing any that has it. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the operating system says.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file. Durable after [`Disk::sync_dir`].
    ///
    /// # Errors
    /// As the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Every file with its length, in order of name.
    ///
    /// # Errors
    /// As the operating system says.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;
    /// Makes created, renamed and removed names durable.
    ///
    /// # Errors
    /// As the operating system says; never retried by the caller.
    fn sync_dir(&self) -> io::Result<()>;
    /// Octets that may still be written.
    ///
    /// # Errors
    /// As the operating system says.
    fn free_space(&self) -> io::Result<u64>;
}

/// How to open a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// It must exist; for reading.
    Read,
    /// It must exist; for reading and writing.
    Write,
    /// It must not exist; for reading and writing.
    Create,
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all slices in order at `offset`.
    ///
    /// # Errors
    /// As the operating system says; what was written then is unknown.
    fn write_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> io::Result<()>;
    /// Reads at `offset`; fewer octets than asked only at the end of the file.
    ///
    /// # Errors
    /// As the operating system says.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize>;
    /// Makes all that was written durable (fdatasync).
    ///
    /// # Errors
    /// As the operating system says; never retried by the caller (design: spool rule 4).
    fn sync_data(&self) -> io::Result<()>;
    /// The length, octets.
    ///
    /// # Errors
    /// As the operating system says.
    fn len(&self) -> io::Result<u64>;
    /// True when the length is 0.
    ///
    /// # Errors
    /// As the operating system says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
