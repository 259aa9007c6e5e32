//! A folder that is held open while files in it are made, replaced and removed: whoever may change what lies in it, or
//! above it, cannot lead root elsewhere by a link, neither before nor meanwhile.
//!
//! Not here: what is written, whose folder it ought to be.

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

/// Links on the way to a folder, at most; as many as the kernel follows.
const MAX_LINKS: usize = 40;
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// The folder, by a descriptor.
#[derive(Debug)]
pub struct Folder {
    handle: File,
}

impl Folder {
    /// Opens it. Root follows no link on the way that is another user's.
    ///
    /// # Errors
    /// The operating system's, and that of such a link, which names it.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::under(&walk(path, false)?.0)
    }

    /// The folder that a file is in or would be made in, and its name there. Where the file is a link, those of what it
    /// leads to; root follows no link that is another user's.
    ///
    /// # Errors
    /// As [`Self::open`]; and of a path that ends without a name.
    pub fn of_file(path: &Path) -> io::Result<(Self, OsString)> {
        let (folder, name) = walk(path, true)?;
        Ok((Self::under(&folder)?, name.ok_or(io::ErrorKind::IsADirectory)?))
    }

    fn under(found: &OwnedFd) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { handle: rustix::fs::openat(found, ".", flags, Mode::empty())?.into() })
    }

    /// A folder in it, made with this mode (less what the umask takes) when it is missing; answers whether it was. A link is
    /// none.
    ///
    /// # Errors
    /// The operating system's.
    pub fn make(&self, name: &OsStr, mode: u32) -> io::Result<(Self, bool)> {
        let made = match rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(mode)) {
            Ok(()) => true,
            Err(rustix::io::Errno::EXIST) => false,
            Err(error) => return Err(error.into()),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, name, flags, Mode::empty())?;
        Ok((Self { handle: handle.into() }, made))
    }

    /// Opens a file in it, which is no link and makes nobody wait.
    ///
    /// # Errors
    /// The operating system's.
    pub fn file(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&self.handle, name, flags, PRIVATE)?.into())
    }

    /// Makes a file, private and new. What a crash or somebody left under its name is removed.
    ///
    /// # Errors
    /// The operating system's.
    pub fn fresh(&self, name: &OsStr) -> io::Result<File> {
        match self.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens a file to lock it, making it when it is missing; answers whether it was.
    ///
    /// # Errors
    /// The operating system's; and when it is no regular file, or neither root's, ours nor the folder's owner's.
    pub fn lock_file(&self, name: &OsStr) -> io::Result<(File, bool)> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        let (file, made) = match self.file(name, flags | OFlags::EXCL) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (self.file(name, flags).map_err(|error| no_link(name, error))?, false)
            }
            file => (file?, true),
        };
        let (found, ours) = (rustix::fs::fstat(&file)?, rustix::process::geteuid().as_raw());
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(refusal(name, "is no regular file: remove it"));
        }
        if ![0, ours, self.owner()?.0].contains(&found.st_uid) {
            return Err(refusal(name, "belongs to another user: remove it"));
        }
        Ok((file, made))
    }

    /// Within this folder.
    ///
    /// # Errors
    /// The operating system's.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.handle, from, &self.handle, to)?)
    }

    /// Removes a file; of a link the link.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    /// What is there under this name; of a link the link.
    ///
    /// # Errors
    /// The operating system's.
    pub fn look(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Whose it is: user and group.
    ///
    /// # Errors
    /// The operating system's.
    pub fn owner(&self) -> io::Result<(u32, u32)> {
        let found = rustix::fs::fstat(&self.handle)?;
        Ok((found.st_uid, found.st_gid))
    }

    /// Its descriptor.
    #[must_use]
    pub const fn handle(&self) -> &File {
        &self.handle
    }
}

/// The folder at the end of a path; or the last folder before it, and the name in it.
fn walk(path: &Path, to_file: bool) -> io::Result<(OwnedFd, Option<OsString>)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = |at: &OwnedFd, name: &OsStr| rustix::fs::openat(at, name, flags, Mode::empty());
    let mut rest: Vec<OsString> = parts(path);
    let mut at = rustix::fs::openat(CWD, ".", flags, Mode::empty())?;
    let mut links = 0;
    while let Some(part) = rest.pop() {
        let is_name = !matches!(part.to_str(), Some("/" | "." | ".."));
        let next = match open(&at, &part) {
            Err(rustix::io::Errno::NOENT) if to_file && is_name && rest.is_empty() => {
                return Ok((at, Some(part)));
            }
            next => next?,
        };
        let found = rustix::fs::fstat(&next)?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                if rustix::process::geteuid().is_root() && found.st_uid != 0 {
                    let told = format!(
                        "is a link that belongs to user {}, and root does not follow it: remove it, or give it to root \
                         (`chown -h`) if it is meant",
                        found.st_uid
                    );
                    return Err(refusal(&part, &told));
                }
                let target = rustix::fs::readlinkat(&next, "", Vec::new())?;
                rest.extend(parts(Path::new(OsStr::from_bytes(target.as_bytes()))));
            }
            FileType::Directory if !(to_file && is_name && rest.is_empty()) => at = next,
            _ if to_file && rest.is_empty() => return Ok((at, Some(part))),
            _ => return Err(io::ErrorKind::NotADirectory.into()),
        }
    }
    Ok((at, None))
}

/// The last one first.
fn parts(path: &Path) -> Vec<OsString> {
    path.components().map(Component::as_os_str).map(OsStr::to_owned).rev().collect()
}

fn no_link(name: &OsStr, error: io::Error) -> io::Error {
    match error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
        true => refusal(name, "is a link: remove it"),
        false => error,
    }
}

fn refusal(name: &OsStr, what: &str) -> io::Error {
    let told = format!("{} {what}", Path::new(name).display());
    io::Error::new(io::ErrorKind::PermissionDenied, told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, lchown, symlink};

    #[test]
    fn what_lies_in_the_way_is_replaced_and_not_followed() {
        let held = tempfile::tempdir().unwrap();
        let at = |name: &str| held.path().join(name);
        fs::write(at("victim"), "whole").unwrap();
        for name in ["new", "lock"] {
            symlink(at("victim"), at(name)).unwrap();
        }
        let folder = Folder::open(held.path()).unwrap();
        drop(folder.fresh(OsStr::new("new")).unwrap());
        assert!(fs::symlink_metadata(at("new")).unwrap().is_file());
        let said = folder.lock_file(OsStr::new("lock")).unwrap_err().to_string();
        assert_eq!(said, "lock is a link: remove it");
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "whole");
        fs::remove_file(at("lock")).unwrap();
        assert!(folder.lock_file(OsStr::new("lock")).unwrap().1);
        assert!(!folder.lock_file(OsStr::new("lock")).unwrap().1);
    }

    #[test]
    fn links_lead_on_unless_root_would_follow_another_users() {
        let held = tempfile::tempdir().unwrap();
        let at = |name: &str| held.path().join(name);
        for name in ["far", "near"] {
            fs::create_dir(at(name)).unwrap();
        }
        symlink("../far/file", at("near/file")).unwrap();
        symlink("near", at("link")).unwrap();
        let (folder, name) = Folder::of_file(&at("link/file")).unwrap();
        assert_eq!(name, "file");
        let place = fs::metadata(at("far")).unwrap();
        assert_eq!(folder.handle().metadata().unwrap().ino(), place.ino());
        assert!(Folder::open(&at("missing")).is_err());
        if rustix::process::geteuid().is_root() {
            lchown(at("link"), Some(65_534), Some(65_534)).unwrap();
            for told in [Folder::open(&at("link")).err(), Folder::of_file(&at("link/file")).err()] {
                let told = told.unwrap().to_string();
                assert!(told.contains("link is a link that belongs to user 65534"), "{told}");
            }
        }
    }
}
