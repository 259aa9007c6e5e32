//! The files of the pickup folder, in which anybody may put anything.
//!
//! Links, pipes and devices are never followed or opened for long; a file of another's that was linked here is not read.
//! All of it blocks. Not here: what a file says.

use crate::pickup::SUFFIX;
use anyhow::{Context as _, Result};
use posthaste_mail::{QueueId, Timestamp};
use rustix::fs::{Mode, OFlags};
use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

const TAKEN: &str = "taken";
const BAD: &str = "bad";
/// Names looked at in one round; a fuller folder is seen in parts.
const MAX_NAMES: usize = 10_000;
/// Files are left alone so long after they were last written: somebody may still be writing them.
const SETTLED: Duration = Duration::from_secs(1);
/// The envelope may come on top of the largest message, octets.
const MAX_ENVELOPE: u64 = 1 << 20;
/// Names of what is no message that are remembered as told.
const MAX_TOLD: usize = 1000;

/// The folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    told: Mutex<BTreeSet<String>>,
}

/// What is in the folder.
#[derive(Debug, Default)]
pub(super) struct Here {
    /// Names of messages, oldest first where names tell.
    pub(super) waiting: Vec<String>,
    /// Those taken and not removed: their first names and their ids.
    pub(super) taken: Vec<(String, QueueId)>,
    /// How many were set aside.
    pub(super) bad: u64,
}

/// A file that is ours now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Taken {
    /// Its first name.
    pub(super) name: String,
    pub(super) id: QueueId,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) octets: Vec<u8>,
    /// Its owner's user id.
    pub(super) owner: u32,
    /// When it was last written.
    pub(super) written: Timestamp,
}

/// It is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unfit {
    /// A link, a folder, a pipe; or a file with another name elsewhere.
    NotAFile,
    /// Larger than the limit, in octets.
    TooBig(u64),
}

/// Makes a folder with this mode unless it is there.
pub(super) fn make(folder: &Path, mode: u32) -> Result<()> {
    let place = || format!("cannot make the pickup folder {}", folder.display());
    if folder.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o755).create(folder).with_context(place)?;
    // Whatever the umask says.
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).with_context(place)
}

impl Taken {
    pub(super) const fn of(name: String, id: QueueId) -> Self {
        Self { name, id }
    }

    fn now_called(&self) -> String {
        format!("{}.{}.{TAKEN}", self.name, self.id)
    }
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, told: Mutex::default() }
    }

    pub(super) fn list(&self) -> Result<Here> {
        let place = || format!("cannot list {}", self.path.display());
        let mut here = Here::default();
        for entry in fs::read_dir(&self.path).with_context(place)?.take(MAX_NAMES) {
            let Ok(name) = entry.with_context(place)?.file_name().into_string() else { continue };
            if name.ends_with(SUFFIX) {
                here.waiting.push(name);
            } else if let Some(first) = name.strip_suffix(&format!(".{TAKEN}")) {
                let parts = first.rsplit_once('.');
                let parts = parts.and_then(|(name, id)| Some((name.to_owned(), id.parse().ok()?)));
                here.taken.extend(parts);
            } else if name.ends_with(&format!("{SUFFIX}.{BAD}")) {
                here.bad += 1;
            }
        }
        here.waiting.sort_unstable();
        Ok(here)
    }

    /// Renames those that are messages and settled, and makes that durable: after a crash it is known that they may
    /// have been accepted.
    pub(super) fn take(&self, names: Vec<(String, QueueId)>) -> Result<Vec<Taken>> {
        let mut all = Vec::new();
        for (name, id) in names {
            if !self.is_ready(&name) {
                continue;
            }
            let taken = Taken::of(name, id);
            match fs::rename(self.path.join(&taken.name), self.path.join(taken.now_called())) {
                Ok(()) => all.push(taken),
                // Whoever left it took it away.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => self.tell(&taken.name, &error.to_string()),
            }
        }
        if !all.is_empty() {
            self.sync()?;
        }
        Ok(all)
    }

    /// Reads a taken file of at most `limit` octets.
    pub(super) fn read(&self, taken: &Taken, limit: u64) -> Result<Result<Content, Unfit>> {
        // It may have been changed since it was looked at: only what is open now counts. A pipe must not be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = rustix::fs::open(self.path.join(taken.now_called()), flags, Mode::empty());
        let file = match open {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => {
                return Ok(Err(Unfit::NotAFile));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot open {}", taken.name)),
        };
        let metadata = file.metadata()?;
        if !is_message(&metadata) {
            return Ok(Err(Unfit::NotAFile));
        }
        let limit = limit + MAX_ENVELOPE;
        let mut octets = Vec::new();
        file.take(limit + 1).read_to_end(&mut octets)?;
        if octets.len() as u64 > limit {
            return Ok(Err(Unfit::TooBig(limit)));
        }
        let written = Timestamp::from_secs(metadata.mtime());
        Ok(Ok(Content { octets, owner: metadata.uid(), written }))
    }

    pub(super) fn remove(&self, taken: &Taken) -> Result<()> {
        let path = self.path.join(taken.now_called());
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    pub(super) fn set_aside(&self, taken: &Taken) -> Result<()> {
        self.rename(taken, &format!("{}.{BAD}", taken.name))
    }

    pub(super) fn give_back(&self, taken: &Taken) -> Result<()> {
        self.rename(taken, &taken.name)
    }

    fn rename(&self, taken: &Taken, name: &str) -> Result<()> {
        fs::rename(self.path.join(taken.now_called()), self.path.join(name))
            .with_context(|| format!("cannot rename {}", taken.now_called()))?;
        self.sync()
    }

    fn sync(&self) -> Result<()> {
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.with_context(|| format!("cannot sync {}", self.path.display()))
    }

    fn is_ready(&self, name: &str) -> bool {
        let Ok(metadata) = fs::symlink_metadata(self.path.join(name)) else { return false };
        if !is_message(&metadata) {
            self.tell(name, "it is no regular file of its own");
            return false;
        }
        // A time in the future is no reason to wait for it.
        let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        age.is_none_or(|age| age >= SETTLED)
    }

    /// Once for each name.
    fn tell(&self, name: &str, why: &str) {
        let Ok(mut told) = self.told.lock() else { return };
        if told.len() < MAX_TOLD && told.insert(name.to_owned()) {
            tracing::warn!(file = name, why, "a file of the pickup folder is left alone");
        }
    }
}

/// A second name would be elsewhere, perhaps that of a file which whoever linked it here may not read.
fn is_message(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.nlink() == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder() -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(dir.path().join("pickup"));
        make(&folder.path, 0o3733).expect("new");
        (dir, folder)
    }

    fn old(path: &Path) {
        let file = File::options().write(true).open(path).expect("ours");
        file.set_modified(SystemTime::now() - Duration::from_secs(5)).expect("ours");
    }

    #[test]
    fn only_settled_files_of_their_own_are_taken() {
        let (dir, folder) = folder();
        let path = |name: &str| folder.path.join(name);
        let secret = dir.path().join("secret");
        fs::write(&secret, "To: thief@a.test\n\nsecret\n").expect("ours");
        old(&secret);
        fs::write(path("good.eml"), "To: a@b.test\n\n").expect("ours");
        old(&path("good.eml"));
        fs::write(path("fresh.eml"), "To: a@b.test\n").expect("ours");
        fs::write(path("being-written.new"), "").expect("ours");
        symlink(&secret, path("symlink.eml")).expect("ours");
        fs::hard_link(&secret, path("hard.eml")).expect("ours");
        fs::create_dir(path("folder.eml")).expect("ours");
        rustix::fs::mkfifoat(rustix::fs::CWD, path("pipe.eml"), Mode::from_raw_mode(0o666))
            .expect("ours");

        let names = folder.list().expect("readable").waiting;
        assert_eq!(names.len(), 6);
        let ids = (1..).map(QueueId::from_u64);
        let taken = folder.take(names.into_iter().zip(ids).collect()).expect("ours");
        let taken: Vec<&str> = taken.iter().map(|taken| taken.name.as_str()).collect();
        assert_eq!(taken, ["good.eml"]);
        // What is changed after it was looked at is found out when it is opened.
        for (name, is) in [
            ("symlink.eml", Unfit::NotAFile),
            ("hard.eml", Unfit::NotAFile),
            ("pipe.eml", Unfit::NotAFile),
        ] {
            let changed = Taken::of(name.to_owned(), QueueId::from_u64(9));
            fs::rename(path(name), path(&changed.now_called())).expect("ours");
            assert_eq!(folder.read(&changed, 100).expect("read").expect_err(name), is);
        }
    }

    #[test]
    fn a_taken_file_is_found_again_and_goes_one_of_three_ways() {
        let (_dir, folder) = folder();
        let path = |name: &str| folder.path.join(name);
        let take = || {
            fs::write(path("a.b.eml"), "x").expect("ours");
            old(&path("a.b.eml"));
            folder.take(vec![("a.b.eml".to_owned(), QueueId::from_u64(7))]).expect("ours").remove(0)
        };
        let taken = take();
        assert_eq!(folder.list().expect("ours").taken, [("a.b.eml".to_owned(), taken.id)]);
        assert_eq!(folder.read(&taken, 100).expect("read").expect("fit").octets, b"x");
        folder.give_back(&taken).expect("ours");
        assert_eq!(folder.list().expect("ours").waiting, ["a.b.eml"]);
        folder.set_aside(&take()).expect("ours");
        assert_eq!(folder.list().expect("ours").bad, 1);
        folder.remove(&take()).expect("ours");
        let here = folder.list().expect("ours");
        assert!(here.waiting.is_empty() && here.taken.is_empty());
    }

    #[test]
    fn the_folder_is_as_open_as_asked_whatever_the_umask() {
        let (_dir, folder) = folder();
        assert_eq!(fs::metadata(&folder.path).expect("made").mode() & 0o7777, 0o3733);
    }
}
