//! The users' file on the disk: read whole, written whole, durable, under a lock, readable for its owner alone.
//!
//! Not here: what its lines mean.

use super::{Book, Faults};
use posthaste_io_tokio::Folder;
use rustix::fs::{FileType, FlockOperation, OFlags};
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, fchown};
use std::path::Path;
use std::time::{Duration, Instant};

/// The largest file that is read, octets.
const MAX_FILE: u64 = 64 << 20;
/// The longest wait for others who change it.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

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
    parsed(path, file)
}

fn parsed(path: &Path, file: File) -> Result<Book, StoreError> {
    let system = |why| failed("read", path, why);
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
    let (folder, name) = Folder::of_file(path).map_err(|why| failed("write", path, why))?;
    let lock = lock(&folder, &beside(&name, ".lock")).map_err(|why| failed("lock", path, why))?;
    let mut book = match folder.file(&name, OFlags::RDONLY) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Book::default(),
        opened => {
            let regular = opened.and_then(|file| is_regular(&file).map(|()| file));
            parsed(path, regular.map_err(|why| failed("read", path, why))?)?
        }
    };
    let changed = change(&mut book)?;
    write(&folder, &name, &book).map_err(|why| failed("write", path, why))?;
    drop(lock);
    Ok(changed)
}

fn is_regular(file: &File) -> io::Result<()> {
    let fits = file.metadata()?.is_file();
    if fits { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file")) }
}

/// Makes an empty file for this user and group, where there is none. A link in its place is followed by nobody.
pub(crate) fn begin(path: &Path, (uid, gid): (u32, u32)) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    let begun = match options.write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        opened => opened.and_then(|file| fchown(&file, Some(uid), Some(gid))),
    };
    begun.map_err(|why| failed("make", path, why))
}

/// Held until it is dropped, or the process ends. The daemon's user, who may run verbs too, gets one that root made.
fn lock(folder: &Folder, name: &OsStr) -> io::Result<File> {
    let (file, made) = folder.lock_file(name)?;
    if made {
        give(&file, folder.owner()?)?;
    }
    let began = Instant::now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if began.elapsed() < LONGEST_WAIT => {
                std::thread::sleep(LOOK);
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let seconds = LONGEST_WAIT.as_secs();
                let what = format!("another process has held it for {seconds} seconds");
                return Err(io::Error::new(io::ErrorKind::WouldBlock, what));
            }
            locked => return Ok(locked.map(|()| file)?),
        }
    }
}

/// The daemon, which may not be the one who writes, must go on reading it: it belongs to whom it belonged, a new one to the
/// owner of its folder.
fn write(folder: &Folder, name: &OsStr, book: &Book) -> io::Result<()> {
    let owner = match folder.look(name) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::RegularFile => {
            (found.st_uid, found.st_gid)
        }
        _ => folder.owner()?,
    };
    let fresh = beside(name, ".new");
    let mut file = folder.fresh(&fresh)?;
    give(&file, owner)?;
    file.write_all(book.text().as_bytes())?;
    file.sync_all()?;
    folder.rename(&fresh, name)?;
    folder.handle().sync_all()
}

/// A file that we made.
fn give(file: &File, (user, group): (u32, u32)) -> io::Result<()> {
    let ours = file.metadata()?;
    if (user, group) == (ours.uid(), ours.gid()) || !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    fchown(file, Some(user), Some(group))
}

fn beside(name: &OsStr, ending: &str) -> OsString {
    let mut name = name.to_owned();
    name.push(ending);
    name
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
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};

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

    fn add(path: &Path, name: &str) -> Result<(), StoreError> {
        change(path, |book| {
            book.add(User::new(name, kept()));
            Ok(())
        })
    }

    #[test]
    fn what_the_daemons_user_lays_in_the_way_does_not_lead_root_elsewhere() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let held = tempfile::tempdir().unwrap();
        let at = |name: &str| held.path().join(name);
        fs::create_dir(at("data")).unwrap();
        fs::write(at("victim"), "root's").unwrap();
        lchown(at("data"), Some(65_534), Some(65_534)).unwrap();
        let path = at("data").join("users");
        let unharmed = || {
            let found = fs::metadata(at("victim")).unwrap();
            assert_eq!((found.uid(), found.mode() & 0o777), (0, 0o644));
            assert_eq!(fs::read_to_string(at("victim")).unwrap(), "root's");
        };
        fs::set_permissions(at("victim"), fs::Permissions::from_mode(0o644)).unwrap();
        for (name, refused) in
            [("users.new", ""), ("users.lock", "is a link"), ("users", "is a link")]
        {
            let link = at("data").join(name);
            let _ = fs::remove_file(&link);
            symlink(at("victim"), &link).unwrap();
            lchown(&link, Some(65_534), Some(65_534)).unwrap();
            match add(&path, name) {
                Ok(()) => assert_eq!(refused, "", "{name}"),
                Err(error) => {
                    let told = error.to_string();
                    assert!(told.contains(refused) && !refused.is_empty(), "{name}: {told}");
                }
            }
            unharmed();
            let _ = fs::remove_file(&link);
        }
        add(&path, "ann").unwrap();
        for name in ["users", "users.lock"] {
            let found = fs::symlink_metadata(at("data").join(name)).unwrap();
            assert_eq!(
                (found.is_file(), found.uid(), found.mode() & 0o777),
                (true, 65_534, 0o600),
                "{name}"
            );
        }
    }

    #[test]
    fn a_link_that_is_meant_stays_and_what_it_leads_to_is_written() {
        let held = tempfile::tempdir().unwrap();
        let at = |name: &str| held.path().join(name);
        fs::create_dir(at("far")).unwrap();
        symlink("far/people", at("users")).unwrap();
        for name in ["ann", "bob"] {
            add(&at("users"), name).unwrap();
        }
        assert!(fs::symlink_metadata(at("users")).unwrap().is_symlink());
        assert_eq!(read(&at("far/people")).unwrap().users().count(), 2);
    }
}
