//! The files of a log in its folder: one that is written, `STEM.jsonl`, and sealed ones, `STEM-TIME.jsonl`, in order of
//! the time at which they were sealed; beside a sealed one its index, `STEM-TIME.idx`, which readers make.
//!
//! Not here: what the lines say, and which of them a restart needs (`tail`).

use posthaste_mail::Timestamp;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The stem of the event log.
pub const EVENTS: &str = "events";
/// The stem of the session log.
pub const SESSIONS: &str = "sessions";
/// The stem of the DNS log.
pub const QUESTIONS: &str = "dns";
/// The ending of a log.
pub const LOG: &str = "jsonl";
/// The ending of an index.
pub const INDEX: &str = "idx";

/// A file that is no longer written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// Where.
    pub path: PathBuf,
    /// Its octets.
    pub size: u64,
    /// When it was last written.
    pub at: SystemTime,
}

impl Sealed {
    /// Where its index is, or is to be.
    #[must_use]
    pub fn index(&self) -> PathBuf {
        self.path.with_extension(INDEX)
    }
}

/// The file that is written.
#[must_use]
pub fn active(folder: &Path, stem: &str) -> PathBuf {
    folder.join(format!("{stem}.{LOG}"))
}

/// The sealed files of a log, oldest first.
///
/// # Errors
/// The operating system's; a folder that is not there has none.
pub fn sealed(folder: &Path, stem: &str) -> io::Result<Vec<Sealed>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if !is_sealed(&entry.file_name(), stem) {
            continue;
        }
        // One that was removed a moment ago is none.
        let Ok(known) = entry.metadata() else { continue };
        let at = known.modified()?;
        found.push(Sealed { path: entry.path(), size: known.len(), at });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn is_sealed(name: &OsStr, stem: &str) -> bool {
    let rest = name.to_str().and_then(|name| name.strip_prefix(stem)?.strip_prefix('-'));
    rest.is_some_and(|rest| {
        rest.strip_suffix(".jsonl")
            .is_some_and(|time| time.ends_with('Z') && time.starts_with(|c: char| c.is_numeric()))
    })
}

/// Removes the oldest sealed files beyond an age or a total size, with their indexes, but not the one that is
/// needed. Answers how many.
///
/// # Errors
/// The operating system's.
pub(super) fn thin_out(
    folder: &Path,
    stem: &str,
    keep: Keep,
    needed: Option<&str>,
) -> io::Result<usize> {
    let files = sealed(folder, stem)?;
    let active = fs::metadata(active(folder, stem)).map_or(0, |known| known.len());
    let mut total = active + files.iter().map(|file| file.size).sum::<u64>();
    let mut removed = 0;
    for file in &files {
        let age = file.at.elapsed().unwrap_or(Duration::ZERO);
        let is_needed = file.path.file_name().and_then(OsStr::to_str) == needed;
        if is_needed || (age <= keep.age && total <= keep.size) {
            break;
        }
        fs::remove_file(&file.path)?;
        // An index without its log is of no use, and no index is no fault.
        let _ = fs::remove_file(file.index());
        total -= file.size;
        removed += 1;
    }
    Ok(removed)
}

/// How much of a log is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Sealed files older than this go.
    pub age: Duration,
    /// The oldest go while there are more octets than this.
    pub size: u64,
}

/// When a file is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roll {
    /// It has so many octets.
    pub size: u64,
    /// It is so old.
    pub age: Duration,
}

/// What somebody else did to the file that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Meddled {
    /// Nothing.
    No,
    /// It was moved or removed.
    Gone,
    /// It is shorter than it was.
    Cut(u64),
}

/// The file that is written.
pub(super) struct LogFile {
    folder: PathBuf,
    stem: &'static str,
    pub(super) file: File,
    /// Where the next line goes.
    pub(super) length: u64,
    begun: SystemTime,
}

impl LogFile {
    /// Opens it, or makes it.
    pub(super) fn open(folder: &Path, stem: &'static str) -> io::Result<Self> {
        let file = open_active(&active(folder, stem), false)?;
        let known = file.metadata()?;
        let begun = known.created().or_else(|_| known.modified())?;
        Ok(Self { folder: folder.to_owned(), stem, file, length: known.len(), begun })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes at the end. What is half written at an error is taken back, or covered by the next write.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(text.as_bytes(), self.length) {
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += text.len() as u64;
        Ok(())
    }

    pub(super) fn is_due(&self, roll: Roll) -> bool {
        let old = || self.begun.elapsed().is_ok_and(|age| age >= roll.age);
        self.length > 0 && (self.length >= roll.size || old())
    }

    /// Seals it, under the name that is answered, and begins an empty one. The caller has synced it, and syncs the
    /// folder when the new file holds what a restart needs.
    pub(super) fn roll(&mut self, now: Timestamp) -> io::Result<String> {
        let path = active(&self.folder, self.stem);
        let (name, sealed) = self.free_name(now);
        fs::rename(&path, &sealed)?;
        match open_active(&path, true) {
            Ok(file) => {
                (self.file, self.length, self.begun) = (file, 0, SystemTime::now());
                Ok(name)
            }
            Err(error) => {
                // As it was; where even that fails the file counts as moved, and a new one is begun later.
                let _ = fs::rename(&sealed, &path);
                Err(error)
            }
        }
    }

    fn free_name(&self, now: Timestamp) -> (String, PathBuf) {
        let mut at = now;
        loop {
            let time: String = at.rfc3339().chars().filter(|c| !matches!(c, '-' | ':')).collect();
            let name = format!("{}-{time}.{LOG}", self.stem);
            let path = self.folder.join(&name);
            if !path.exists() {
                return (name, path);
            }
            at = at.plus(Duration::from_millis(1));
        }
    }

    pub(super) fn sync_folder(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Whether somebody moved, removed or cut it.
    pub(super) fn meddled(&self) -> io::Result<Meddled> {
        let ours = self.file.metadata()?;
        let there = match fs::metadata(active(&self.folder, self.stem)) {
            Err(error) if is_absent(&error) => return Ok(Meddled::Gone),
            there => there?,
        };
        let same = (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        Ok(match same {
            false => Meddled::Gone,
            true if ours.len() < self.length => Meddled::Cut(ours.len()),
            true => Meddled::No,
        })
    }

    /// Begins anew where the file was moved or removed, its folder with it or not; one that stands in its place is gone
    /// on with.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o750).create(&self.folder)?;
        *self = Self::open(&self.folder, self.stem)?;
        Ok(())
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Nobody leads us to another file.
pub(super) const NO_LINK: i32 = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();

fn open_active(path: &Path, fresh: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).create_new(fresh).mode(0o640);
    options.custom_flags(NO_LINK);
    options.open(path)
}
