//! A folder of the real disk: files 0600 in a folder 0700, positioned reads and writes, one owner at a time.

use crate::folder;
use posthaste_io::{Disk, DiskFile, OpenMode};
use rustix::fs::{Dir, FileType, OFlags};
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The file that is locked; it holds the process id of the owner. Never listed.
pub const LOCK_NAME: &str = "lock";
/// Slices given to one system call (IOV_MAX on Linux is 1024).
const MAX_SLICES: usize = 1024;

/// Why a folder could not be taken; the administrator must act.
#[derive(Debug, thiserror::Error)]
pub enum DiskOpenError {
    /// Another process owns it.
    #[error("{} is in use by {}", path.display(), owner(*pid))]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The owner, when it has said.
        pid: Option<u32>,
    },
    /// The operating system says no.
    #[error("cannot {act} {}: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// With what.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
}

fn owner(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// A folder that this process owns as long as this value, a clone, or nothing but the process lives.
#[derive(Clone)]
pub struct RealDisk {
    folder: Arc<Folder>,
}

struct Folder {
    path: PathBuf,
    /// Whatever is done is done in it, wherever its path leads by now.
    held: folder::Folder,
    /// Held for its lock; a folder that is only looked at may have none.
    _lock: Option<File>,
    /// Nothing is changed, not even the lock.
    read_only: bool,
}

/// An open file of a [`RealDisk`].
pub struct RealFile {
    file: File,
}

impl RealDisk {
    /// Takes a folder, making it (not its parents) when it is missing, and locks it.
    ///
    /// # Errors
    /// [`DiskOpenError::Locked`] names the owner; the rest is the operating system's.
    pub fn open(path: &Path) -> Result<Self, DiskOpenError> {
        let failed = |act| move |source| DiskOpenError::Io { act, path: path.to_owned(), source };
        let opened = match folder::Folder::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(path).map_err(failed("create the folder"))?;
                folder::Folder::open(path)
            }
            opened => opened,
        };
        let held = opened.map_err(failed("open the folder"))?;
        let lock = take_lock(path, &held)?;
        let path = path.to_owned();
        let folder = Folder { path, held, _lock: Some(lock), read_only: false };
        Ok(Self { folder: Arc::new(folder) })
    }

    /// Takes a folder that is there, to look at it: nothing is written, made or removed, and whatever tries to is
    /// refused. Nobody else takes it meanwhile, but for others who look.
    ///
    /// # Errors
    /// [`DiskOpenError::Locked`] names the owner; the rest is the operating system's.
    pub fn look(path: &Path) -> Result<Self, DiskOpenError> {
        let failed = |act| move |source| DiskOpenError::Io { act, path: path.to_owned(), source };
        let held = folder::Folder::open(path).map_err(failed("open the folder"))?;
        let lock = match held.file(OsStr::new(LOCK_NAME), OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(failed("open the lock file of"))?),
        };
        if let Some(file) = &lock {
            match file.try_lock_shared() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(locked(path, &mut &*file)),
                Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
            }
        }
        let path = path.to_owned();
        Ok(Self { folder: Arc::new(Folder { path, held, _lock: lock, read_only: true }) })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder.path
    }

    fn may_change(&self) -> io::Result<()> {
        if self.folder.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        Ok(())
    }

    fn held(&self) -> &folder::Folder {
        &self.folder.held
    }
}

/// A name that a file of the store can have.
fn checked(name: &str) -> io::Result<&OsStr> {
    if name.is_empty() || name.starts_with('.') || name.contains('/') || name == LOCK_NAME {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(OsStr::new(name))
}

impl Disk for RealDisk {
    type File = RealFile;

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<RealFile> {
        let name = checked(name)?;
        if mode != OpenMode::Read && self.folder.read_only {
            if mode == OpenMode::Write {
                // One that is missing is missing, whatever it was wanted for.
                self.held().look(name)?;
            }
            self.may_change()?;
        }
        let flags = match mode {
            OpenMode::Read => OFlags::RDONLY,
            OpenMode::Write => OFlags::RDWR,
            OpenMode::Create => OFlags::RDWR | OFlags::CREATE | OFlags::EXCL,
        };
        self.held().file(name, flags).map(|file| RealFile { file })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.may_change()?;
        self.held().rename(checked(from)?, checked(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        self.held().remove(checked(name)?)
    }

    /// Regular files with names in UTF-8; folders, links, hidden files and the lock are not the store's.
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in Dir::read_from(self.held().handle())? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            let Ok(checked) = checked(name) else { continue };
            let found = self.held().look(checked)?;
            if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile {
                files.push((name.to_owned(), u64::try_from(found.st_size).unwrap_or(0)));
            }
        }
        files.sort();
        Ok(files)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.held().handle().sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(self.held().handle())?;
        Ok(facts.f_bavail.saturating_mul(facts.f_frsize))
    }
}

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bufs: &[IoSlice<'_>]) -> io::Result<()> {
        if let [one] = bufs {
            return self.file.write_all_at(one, offset);
        }
        let mut offset = offset;
        for group in bufs.chunks(MAX_SLICES) {
            let mut slices = group.to_vec();
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, 0);
            while !rest.is_empty() {
                let written = match rustix::io::pwritev(&self.file, rest, offset) {
                    Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                    Ok(written) => written,
                    Err(rustix::io::Errno::INTR) => continue,
                    Err(error) => return Err(error.into()),
                };
                offset += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
        }
        Ok(())
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

fn make(path: &Path) -> io::Result<()> {
    let (parent, name) = folder::Folder::of_file(path)?;
    parent.make(&name, 0o700)?;
    parent.handle().sync_all()
}

/// The lock goes with the process, however it ends; the file stays.
fn take_lock(folder: &Path, held: &folder::Folder) -> Result<File, DiskOpenError> {
    let path = folder.join(LOCK_NAME);
    let failed = |act| {
        let path = path.clone();
        move |source| DiskOpenError::Io { act, path, source }
    };
    let opened = held.lock_file(OsStr::new(LOCK_NAME));
    let (mut file, _) = opened.map_err(failed("open the lock file"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(locked(folder, &mut file));
        }
        Err(TryLockError::Error(error)) => return Err(failed("lock")(error)),
    }
    let note = (|| {
        file.set_len(0)?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes())
    })();
    // On a full disk the owner stays unnamed; mail can still be delivered.
    match note {
        Err(error) if error.kind() != io::ErrorKind::StorageFull => {
            Err(failed("write the lock file")(error))
        }
        _ => Ok(file),
    }
}

/// Who has it. Of those who only look the file does not tell: then it still names an owner that has ended.
fn locked(folder: &Path, file: &mut impl Read) -> DiskOpenError {
    let pid = read_pid(file).filter(|pid| Path::new("/proc").join(pid.to_string()).exists());
    DiskOpenError::Locked { path: folder.to_owned(), pid }
}

fn read_pid(file: &mut impl Read) -> Option<u32> {
    const LONGEST: u64 = 16;
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
