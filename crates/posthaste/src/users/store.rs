//! The users' file on the disk: read whole, written whole, durable, under a lock, readable for its owner alone.
//!
//! Not here: what its lines mean.

use super::{Book, Faults};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// The largest file that is read, octets.
const MAX_FILE: u64 = 64 << 20;
/// Whom the file is for.
const PRIVATE: u32 = 0o600;

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The system says so.
    #[error("cannot {what} {place}: {why}")]
    System { what: &'static str, place: String, why: io::Error },
    /// It is wrong.
    #[error("{place}: {faults}")]
    Wrong { place: String, faults: Faults },
}

/// Reads it; a file that is missing has no users.
pub(crate) fn read(path: &Path) -> Result<Book, StoreError> {
    let system = |why| failed("read", path, why);
    let file = match crate::regular::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        opened => opened.map_err(system)?,
    };
    let mut octets = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut octets).map_err(system)?;
    if octets.len() as u64 > MAX_FILE {
        let why = io::Error::other(format!("it is larger than {MAX_FILE} octets"));
        return Err(failed("read", path, why));
    }
    let place = path.display().to_string();
    Book::parse(&octets).map_err(|faults| StoreError::Wrong { place, faults })
}

/// Others than its owner can read it, which they should not.
pub(crate) fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o077 != 0)
}

/// Reads it, lets it be changed, and writes it; nobody else does meanwhile.
pub(crate) fn change<T, E: From<StoreError>>(
    path: &Path,
    change: impl FnOnce(&mut Book) -> Result<T, E>,
) -> Result<T, E> {
    let lock = lock(path)?;
    let mut book = read(path)?;
    let changed = change(&mut book)?;
    write(path, &book)?;
    drop(lock);
    Ok(changed)
}

/// Held until it is dropped, or the process ends.
fn lock(path: &Path) -> Result<File, StoreError> {
    let beside = beside(path, ".lock");
    let system = |why| failed("lock", &beside, why);
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(PRIVATE).open(&beside);
    let file = file.map_err(system)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)
        .map_err(|why| system(why.into()))?;
    Ok(file)
}

fn write(path: &Path, book: &Book) -> Result<(), StoreError> {
    let fresh = beside(path, ".new");
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file =
            options.write(true).create(true).truncate(true).mode(PRIVATE).open(&fresh)?;
        // One that was left by somebody else's umask.
        file.set_permissions(std::fs::Permissions::from_mode(PRIVATE))?;
        give(&file, path)?;
        file.write_all(book.text().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        File::open(folder(path))?.sync_all()
    };
    written().map_err(|why| failed("write", path, why))
}

/// The daemon, which may not be the one who writes, must go on reading it: it belongs to whom it belonged, a new one to the
/// owner of its folder.
fn give(file: &File, path: &Path) -> io::Result<()> {
    let owner = std::fs::metadata(path).or_else(|_| std::fs::metadata(folder(path)))?;
    let ours = file.metadata()?;
    if (owner.uid(), owner.gid()) == (ours.uid(), ours.gid())
        || !rustix::process::geteuid().is_root()
    {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn failed(what: &'static str, place: &Path, why: io::Error) -> StoreError {
    StoreError::System { what, place: place.display().to_string(), why }
}

#[cfg(test)]
mod tests {
    use super::super::User;
    use super::super::password::{Form, Kept};
    use super::*;
    use posthaste_mail::Secret;

    fn kept() -> Kept {
        Kept::of(&Secret::new("open sesame"), Form::Scram).unwrap()
    }

    #[test]
    fn what_is_written_is_private_and_read_again_and_a_wrong_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        assert_eq!(read(&path).unwrap().users().count(), 0);
        let add = |name: &str| {
            change(&path, |book| -> Result<(), StoreError> {
                book.add(User::new(name, kept()));
                Ok(())
            })
        };
        add("ann").unwrap();
        add("bob").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode, is_open_to_others(&path)), (0o600, false));
        let names: Vec<_> = read(&path).unwrap().users().map(|user| user.name.clone()).collect();
        assert_eq!(names, ["ann", "bob"]);
        std::fs::write(&path, "nonsense\n").unwrap();
        let said = add("carl").unwrap_err().to_string();
        assert!(said.contains("users: line 1: it is no JSON, near column "), "{said}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "nonsense\n");
    }

    #[test]
    fn many_who_write_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        let password = kept();
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (path, password) = (&path, &password);
                scope.spawn(move || {
                    change(path, |book| -> Result<(), StoreError> {
                        book.add(User::new(&format!("user{n}"), password.clone()));
                        Ok(())
                    })
                });
            }
        });
        assert_eq!(read(&path).unwrap().users().count(), 8);
    }
}
