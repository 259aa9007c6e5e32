//! The files of the pickup folder, in which anybody may put anything.
//!
//! What is taken is moved into a private folder within it, so that nobody else's file is ever mistaken for one of ours,
//! and nothing is moved back over a file that came meanwhile. Links, pipes and devices are never followed or opened for
//! long; a file of another's that was linked here is not read. All of it blocks. Not here: what a file says.

use crate::pickup::SUFFIX;
use anyhow::{Context as _, Result, bail};
use posthaste_mail::{QueueId, Timestamp};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

/// The private folder within the pickup folder.
const IN_HAND: &str = ".in-hand";
/// The mode of that folder: ours alone.
const PRIVATE: u32 = 0o700;
const BAD: &str = "bad";
/// Says why a file is bad, in one line; has the file's name in front.
const WHY: &str = "why";
/// Messages looked at in one round; the next one begins behind them.
const MAX_NAMES: usize = if cfg!(test) { 50 } else { 10_000 };
/// Names tried for a file that goes back where its name is in use.
const MAX_TRIES: u32 = 16;
/// The longest name kept, octets: an id and an ending must fit beside it into a file's name.
const MAX_NAME: usize = 200;
/// Files are left alone so long after they were last written: somebody may still be writing them.
const SETTLED: Duration = Duration::from_secs(1);
/// The envelope may come on top of the largest message, octets.
const MAX_ENVELOPE: u64 = 1 << 20;
/// Names of what is left alone that are remembered as told.
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
    /// Names of messages: in their order, beginning behind those looked at last. At most [`MAX_NAMES`].
    pub(super) waiting: Vec<String>,
    /// How many messages there are.
    pub(super) messages: u64,
    /// Those taken and not removed.
    pub(super) taken: Vec<Taken>,
    /// How many were set aside.
    pub(super) bad: u64,
    /// How many names are no text, or in the private folder without being ours.
    pub(super) strange: u64,
}

/// What came of taking some.
#[derive(Debug, Default)]
pub(super) struct Took {
    pub(super) taken: Vec<Taken>,
    /// How many cannot be taken, and will not be unless somebody does something.
    pub(super) left: u64,
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
    pub(super) fn of(mut name: String, id: QueueId) -> Self {
        if name.len() > MAX_NAME {
            name =
                format!("{}{SUFFIX}", &name[..name.floor_char_boundary(MAX_NAME - SUFFIX.len())]);
        }
        Self { name, id }
    }

    fn parse(now_called: &str) -> Option<Self> {
        let (id, name) = now_called.split_once('.')?;
        Some(Self { name: name.to_owned(), id: id.parse().ok()? })
    }

    fn now_called(&self) -> String {
        format!("{}.{}", self.id, self.name)
    }

    /// Names to go back under; all but the first are nobody else's but by intent.
    fn names(&self, ending: &str) -> impl Iterator<Item = String> {
        let (stem, id) = (self.name.strip_suffix(SUFFIX).unwrap_or(&self.name).to_owned(), self.id);
        // What has been given back before keeps the id it got then.
        let first = format!("{stem}{SUFFIX}{ending}");
        let ending = ending.to_owned();
        let others = (0..MAX_TRIES).map(move |n| match n {
            0 => format!("{stem}.{id}{SUFFIX}{ending}"),
            n => format!("{stem}.{id}.{n}{SUFFIX}{ending}"),
        });
        std::iter::once(first).chain(others)
    }
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, told: Mutex::default() }
    }

    /// What is here, messages from the first behind `after` on.
    pub(super) fn list(&self, after: Option<&str>) -> Result<Here> {
        self.make_private()?;
        let mut here = Here::default();
        let (mut behind, mut before) = (BTreeSet::new(), BTreeSet::new());
        for entry in read(&self.path)? {
            let name = match entry?.file_name().into_string() {
                Ok(name) => name,
                Err(name) => {
                    let name = name.to_string_lossy();
                    if name.ends_with(SUFFIX) {
                        here.strange += 1;
                        self.tell(&name, "its name is not UTF-8");
                    }
                    continue;
                }
            };
            if name.ends_with(SUFFIX) {
                here.messages += 1;
                let part = match after {
                    Some(after) if name.as_str() <= after => &mut before,
                    _ => &mut behind,
                };
                part.insert(name);
                if part.len() > MAX_NAMES {
                    part.pop_last();
                }
            } else if name.ends_with(&format!("{SUFFIX}.{BAD}")) {
                here.bad += 1;
            }
        }
        here.waiting = behind.into_iter().chain(before).take(MAX_NAMES).collect();
        for entry in read(&self.in_hand())?.take(MAX_NAMES) {
            let name = entry?.file_name();
            let name = name.to_string_lossy();
            match Taken::parse(&name) {
                Some(taken) => here.taken.push(taken),
                None => {
                    here.strange += 1;
                    self.tell(&name, "it is in the daemon's own folder, and not from the daemon");
                }
            }
        }
        Ok(here)
    }

    /// Moves those that are messages and settled into the private folder, and makes that durable: after a crash it is
    /// known that they may have been accepted.
    pub(super) fn take(&self, names: Vec<(String, QueueId)>) -> Result<Took> {
        let mut took = Took::default();
        for (name, id) in names {
            match self.is_ready(&name) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(why) => {
                    took.left += 1;
                    self.tell(&name, &why);
                    continue;
                }
            }
            let from = self.path.join(&name);
            let taken = Taken::of(name, id);
            match fs::rename(from, self.held(&taken)) {
                Ok(()) => took.taken.push(taken),
                // Whoever left it took it away.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    took.left += 1;
                    self.tell(&taken.name, &error.to_string());
                }
            }
        }
        if !took.taken.is_empty() {
            self.sync()?;
        }
        Ok(took)
    }

    /// Reads a taken file of at most `limit` octets.
    pub(super) fn read(&self, taken: &Taken, limit: u64) -> Result<Result<Content, Unfit>> {
        let file = match open(&self.held(taken)) {
            Ok(file) => file,
            Err(Errno::LOOP | Errno::NXIO) => return Ok(Err(Unfit::NotAFile)),
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
        let path = self.held(taken);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Keeps it as bad, and the reason beside it.
    pub(super) fn set_aside(&self, taken: &Taken, why: &str) -> Result<()> {
        let bad = self.put_back(taken, &format!(".{BAD}"))?;
        let said =
            self.write(&self.path.join(format!("{bad}.{WHY}")), format!("{why}\n").as_bytes());
        if let Err(error) = said {
            // On a full disk, say: it is bad all the same, and holds up nobody.
            tracing::warn!("{error:#}");
        }
        Ok(())
    }

    /// Keeps as bad what of it cannot be sent.
    pub(super) fn keep_rest(&self, taken: &Taken, rest: &[u8], why: &str) -> Result<()> {
        let new = self.in_hand().join(format!("{}.rest", taken.id));
        self.write(&new, rest)?;
        fs::rename(&new, self.held(taken))
            .with_context(|| format!("cannot rename {}", new.display()))?;
        self.set_aside(taken, why)
    }

    /// Writes a new file that takes the place of what has this name: others may have put a link there.
    fn write(&self, path: &Path, octets: &[u8]) -> Result<()> {
        let place = || format!("cannot write {}", path.display());
        match fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(place);
            }
            _ => {}
        }
        let mut options = File::options();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(path).with_context(place)?;
        file.write_all(octets).and_then(|()| file.sync_all()).with_context(place)
    }

    pub(super) fn give_back(&self, taken: &Taken) -> Result<()> {
        self.put_back(taken, "").map(drop)
    }

    /// Under its name, or another where somebody has used that again: answers which.
    fn put_back(&self, taken: &Taken, ending: &str) -> Result<String> {
        let from = self.held(taken);
        let place = || format!("cannot move {} back", from.display());
        for name in taken.names(ending) {
            match rename_to_free(&from, &self.path.join(&name)) {
                Ok(()) => return self.sync().map(|()| name),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(place),
            }
        }
        bail!("{}: all names for it are in use", place());
    }

    fn in_hand(&self) -> PathBuf {
        self.path.join(IN_HAND)
    }

    fn held(&self, taken: &Taken) -> PathBuf {
        self.in_hand().join(taken.now_called())
    }

    /// Makes the private folder. Somebody else's in its place is moved away.
    fn make_private(&self) -> Result<()> {
        let path = self.in_hand();
        let place = || format!("cannot make the private folder {}", path.display());
        match fs::symlink_metadata(&path) {
            Ok(found) if is_private(&found) => return Ok(()),
            Ok(_) => {
                let free =
                    (0..MAX_TRIES).map(|n| self.path.join(format!("{IN_HAND}.{n}.not-ours")));
                let moved = free.map(|free| rename_to_free(&path, &free));
                let last = moved.reduce(|first, next| if first.is_ok() { first } else { next });
                last.unwrap_or(Ok(())).with_context(place)?;
                tracing::warn!(path = %path.display(), "a folder of somebody else's was moved away");
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(place),
        }
        DirBuilder::new().mode(PRIVATE).create(&path).with_context(place)
    }

    /// What came into one folder before what went from the other: a crash leaves no file in neither.
    fn sync(&self) -> Result<()> {
        for path in [self.in_hand(), self.path.clone()] {
            let synced = File::open(&path).and_then(|folder| folder.sync_all());
            synced.with_context(|| format!("cannot sync {}", path.display()))?;
        }
        Ok(())
    }

    /// False while it may still be written; an error says why it is left alone.
    fn is_ready(&self, name: &str) -> Result<bool, String> {
        let path = self.path.join(name);
        let Ok(metadata) = fs::symlink_metadata(&path) else { return Ok(false) };
        if !is_message(&metadata) {
            return Err("it is no regular file of its own".to_owned());
        }
        // A time in the future is no reason to wait for it.
        let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if age.is_some_and(|age| age < SETTLED) {
            return Ok(false);
        }
        match open(&path) {
            Ok(_) | Err(Errno::NOENT) => Ok(true),
            Err(error) => Err(format!("it cannot be read: {}", io::Error::from(error))),
        }
    }

    /// Once for each name.
    pub(super) fn tell(&self, name: &str, why: &str) {
        let Ok(mut told) = self.told.lock() else { return };
        if told.len() < MAX_TOLD && told.insert(name.to_owned()) {
            tracing::warn!(file = name, why, "a file of the pickup folder is left alone");
        }
    }
}

/// It may have been changed since it was looked at: only what is open counts. A pipe must not be waited for.
fn open(path: &Path) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map(File::from)
}

fn read(folder: &Path) -> Result<impl Iterator<Item = Result<fs::DirEntry>>> {
    let place = |folder: &Path| format!("cannot list {}", folder.display());
    let entries = fs::read_dir(folder).with_context(|| place(folder))?;
    let folder = folder.to_owned();
    Ok(entries.map(move |entry| entry.with_context(|| place(&folder))))
}

/// Never over what is there.
fn rename_to_free(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some network file systems cannot; then a look must do.
        Err(Errno::INVAL | Errno::NOSYS) => match fs::symlink_metadata(to) {
            Ok(_) => Err(ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

/// Nobody but this process's user can have put anything into it.
fn is_private(metadata: &Metadata) -> bool {
    metadata.is_dir()
        && metadata.uid() == rustix::process::geteuid().as_raw()
        && metadata.mode() & 0o077 == 0
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

        let names = folder.list(None).expect("readable").waiting;
        assert_eq!(names.len(), 6);
        let ids = (1..).map(QueueId::from_u64);
        let took = folder.take(names.into_iter().zip(ids).collect()).expect("ours");
        let taken: Vec<&str> = took.taken.iter().map(|taken| taken.name.as_str()).collect();
        assert_eq!((taken, took.left), (vec!["good.eml"], 4));
        // What is changed after it was looked at is found out when it is opened.
        for (name, is) in [
            ("symlink.eml", Unfit::NotAFile),
            ("hard.eml", Unfit::NotAFile),
            ("pipe.eml", Unfit::NotAFile),
        ] {
            let changed = Taken::of(name.to_owned(), QueueId::from_u64(9));
            fs::rename(path(name), folder.held(&changed)).expect("ours");
            assert_eq!(folder.read(&changed, 100).expect("read").expect_err(name), is);
        }
    }

    fn names(folder: &Folder, under: &str) -> Vec<String> {
        let entries = fs::read_dir(folder.path.join(under)).expect("ours");
        let mut names: Vec<String> =
            entries.map(|e| e.expect("ours").file_name().into_string().expect("text")).collect();
        names.sort();
        names.retain(|name| name != IN_HAND);
        names
    }

    fn take(folder: &Folder, name: &str, content: &str, id: u64) -> Taken {
        folder.make_private().expect("ours");
        fs::write(folder.path.join(name), content).expect("ours");
        old(&folder.path.join(name));
        let names = vec![(name.to_owned(), QueueId::from_u64(id))];
        folder.take(names).expect("ours").taken.remove(0)
    }

    #[test]
    fn a_taken_file_is_found_again_and_goes_one_of_three_ways() {
        let (_dir, folder) = folder();
        let long = format!("{}.eml", "é".repeat(125));
        for name in ["a.b.eml", ".eml", &long] {
            let taken = take(&folder, name, "x", 7);
            assert_eq!(folder.list(None).expect("ours").taken, std::slice::from_ref(&taken));
            assert_eq!(folder.read(&taken, 100).expect("read").expect("fit").octets, b"x");
            folder.give_back(&taken).expect("ours");
            let back = folder.list(None).expect("ours").waiting;
            assert!(back.len() == 1 && name.starts_with(back[0].trim_end_matches(SUFFIX)));
            fs::remove_file(folder.path.join(&back[0])).expect("ours");
            folder.set_aside(&take(&folder, name, "x", 7), "nobody").expect("ours");
            assert_eq!(folder.list(None).expect("ours").bad, 1);
            fs::remove_file(folder.path.join(format!("{}.bad", back[0]))).expect("ours");
            folder.remove(&take(&folder, name, "x", 7)).expect("ours");
            let here = folder.list(None).expect("ours");
            assert!(here.waiting.is_empty() && here.taken.is_empty());
        }
    }

    #[test]
    fn nothing_goes_back_over_a_file_that_came_meanwhile() {
        let (_dir, folder) = folder();
        let content = |name: &str| fs::read_to_string(folder.path.join(name)).expect("kept");
        for id in 1..=3 {
            let taken = take(&folder, "r.eml", &format!("m{id}"), id);
            fs::write(folder.path.join("r.eml"), "newer").expect("ours");
            folder.give_back(&taken).expect("a free name");
        }
        let mut back: Vec<String> = names(&folder, "").iter().map(|n| content(n)).collect();
        back.sort();
        assert_eq!(back, ["m1", "m2", "m3", "newer"]);
        for id in 4..=6 {
            // A folder is no free name either.
            let _ = fs::create_dir(folder.path.join(format!("r.{}.eml.bad", QueueId::from_u64(5))));
            folder
                .set_aside(&take(&folder, "r.eml", &format!("b{id}"), id), "why")
                .expect("a free name");
        }
        assert_eq!(folder.list(None).expect("ours").bad, 4);
        // One that is given back again and again keeps its second name.
        let first = format!("r.{}.eml", QueueId::from_u64(1));
        let names = vec![(first.clone(), QueueId::from_u64(9))];
        old(&folder.path.join(&first));
        let again = folder.take(names).expect("ours").taken.remove(0);
        folder.give_back(&again).expect("free");
        assert_eq!(content(&first), "m1");
    }

    #[test]
    fn the_reason_lies_beside_a_bad_file_and_follows_no_link() {
        let (_dir, folder) = folder();
        let path = |name: &str| folder.path.join(name);
        fs::write(path("secret"), "secret").expect("ours");
        symlink(path("secret"), path("a.eml.bad.why")).expect("ours");
        folder.keep_rest(&take(&folder, "a.eml", "whole", 7), b"rest", "nobody").expect("ours");
        let read = |name: &str| fs::read_to_string(path(name)).expect("kept");
        assert_eq!((read("a.eml.bad"), read("a.eml.bad.why")), ("rest".into(), "nobody\n".into()));
        assert_eq!(read("secret"), "secret");
        let here = folder.list(None).expect("ours");
        assert_eq!((here.bad, here.taken.len()), (1, 0));
    }

    #[test]
    fn what_somebody_else_calls_taken_is_not() {
        let (_dir, folder) = folder();
        let id = QueueId::from_u64(7);
        fs::write(folder.path.join(format!("a.eml.{id}.taken")), "evil").expect("ours");
        // Open for all: anybody may have made it, and put this into it.
        DirBuilder::new().mode(0o755).create(folder.in_hand()).expect("new");
        fs::write(folder.in_hand().join(format!("{id}.a.eml")), "evil").expect("ours");
        fs::write(folder.path.join("a.eml"), "good").expect("ours");
        let here = folder.list(None).expect("ours");
        assert!(here.taken.is_empty() && here.waiting == ["a.eml"], "{here:?}");
        assert_eq!(fs::metadata(folder.in_hand()).expect("ours").mode() & 0o777, 0o700);
        assert_eq!(names(&folder, ".in-hand.0.not-ours").len(), 1);
    }

    #[test]
    fn no_number_of_names_hides_the_others() {
        let (_dir, folder) = folder();
        for number in 0..MAX_NAMES + 5 {
            fs::create_dir(folder.path.join(format!("{number:05}.eml"))).expect("ours");
            File::create(folder.path.join(format!("{number:05}.new"))).expect("ours");
        }
        fs::write(folder.path.join("real.eml"), "x").expect("ours");
        let first = folder.list(None).expect("ours");
        assert_eq!((first.waiting.len(), first.messages), (MAX_NAMES, MAX_NAMES as u64 + 6));
        let last = first.waiting.last().map(String::as_str);
        let next = folder.list(last).expect("ours").waiting;
        assert_eq!((next[5].as_str(), next[6].as_str()), ("real.eml", "00000.eml"));
    }

    #[test]
    fn the_folder_is_as_open_as_asked_whatever_the_umask() {
        let (_dir, folder) = folder();
        assert_eq!(fs::metadata(&folder.path).expect("made").mode() & 0o7777, 0o3733);
    }
}
