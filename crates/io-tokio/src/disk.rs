//! A folder of the real disk: files 0600 in a folder 0700, positioned reads and writes, one owner at a time.

use posthaste_io::{Disk, DiskFile, OpenMode};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
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
    /// For syncs of the folder and its free space.
    handle: File,
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
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("create the folder")(error));
            }
            Ok(()) => sync_parent(path).map_err(failed("sync the parent folder of"))?,
            Err(_) => {}
        }
        let handle = File::open(path).map_err(failed("open the folder"))?;
        let lock = take_lock(path)?;
        let path = path.to_owned();
        let folder = Folder { path, handle, _lock: Some(lock), read_only: false };
        Ok(Self { folder: Arc::new(folder) })
    }

    /// Takes a folder that is there, to look at it: nothing is written, made or removed, and whatever tries to is
    /// refused. Nobody else takes it meanwhile, but for others who look.
    ///
    /// # Errors
    /// [`DiskOpenError::Locked`] names the owner; the rest is the operating system's.
    pub fn look(path: &Path) -> Result<Self, DiskOpenError> {
        let failed = |act| move |source| DiskOpenError::Io { act, path: path.to_owned(), source };
        let handle = File::open(path).map_err(failed("open the folder"))?;
        let lock = match File::open(path.join(LOCK_NAME)) {
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
        Ok(Self { folder: Arc::new(Folder { path, handle, _lock: lock, read_only: true }) })
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

    fn file_path(&self, name: &str) -> io::Result<PathBuf> {
        if name.is_empty() || name.starts_with('.') || name.contains('/') || name == LOCK_NAME {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(self.folder.path.join(name))
    }
}

impl Disk for RealDisk {
    type File = RealFile;

    fn open(&self, name: &str, mode: OpenMode) -> io::Result<RealFile> {
        if mode != OpenMode::Read && self.folder.read_only {
            if mode == OpenMode::Write {
                // One that is missing is missing, whatever it was wanted for.
                std::fs::symlink_metadata(self.file_path(name)?)?;
            }
            self.may_change()?;
        }
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::Create => {
                options.write(true).create_new(true);
            }
        }
        options.open(self.file_path(name)?).map(|file| RealFile { file })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.may_change()?;
        std::fs::rename(self.file_path(from)?, self.file_path(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.may_change()?;
        std::fs::remove_file(self.file_path(name)?)
    }

    /// Regular files with names in UTF-8; folders, links, hidden files and the lock are not the store's.
    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder.path)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let ours = self.file_path(&name).is_ok();
            if ours && entry.file_type()?.is_file() {
                files.push((name, entry.metadata()?.len()));
            }
        }
        files.sort();
        Ok(files)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.folder.handle.sync_all()
    }

    fn free_space(&self) -> io::Result<u64> {
        let facts = rustix::fs::fstatvfs(&self.folder.handle)?;
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

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// The lock goes with the process, however it ends; the file stays.
fn take_lock(folder: &Path) -> Result<File, DiskOpenError> {
    let path = folder.join(LOCK_NAME);
    let failed = |act| {
        let path = path.clone();
        move |source| DiskOpenError::Io { act, path, source }
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed("open the lock file"))?;
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
