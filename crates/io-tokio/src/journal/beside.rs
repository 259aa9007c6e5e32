//! A log without promises: sessions, DNS questions. It is not synced but when it is sealed, and a failure loses lines
//! and nothing else.

use super::files::{LogFile, Meddled, Roll};
use posthaste_mail::Timestamp;
use std::io;
use std::path::Path;

/// One log beside the event log.
pub(super) struct Beside {
    stem: &'static str,
    /// Its file, once it could be opened.
    log: Option<LogFile>,
}

impl Beside {
    pub(super) const fn new(stem: &'static str) -> Self {
        Self { stem, log: None }
    }

    /// Writes lines at its end; the file is made, or opened, by the first of them.
    pub(super) fn write(&mut self, folder: &Path, text: &str) -> io::Result<()> {
        match &mut self.log {
            Some(log) => log.write(text),
            none => none.insert(LogFile::open(folder, self.stem)?).write(text),
        }
    }

    /// Opens the file if it is there, so that one that is old is sealed without a new line.
    pub(super) fn open(&mut self, folder: &Path) {
        self.log = LogFile::open(folder, self.stem).ok();
    }

    /// Takes up a file that was moved or cut, and seals one that is large or old; true when it did.
    pub(super) fn roll(&mut self, roll: Roll, now: Timestamp) -> bool {
        let Some(log) = &mut self.log else { return false };
        match log.meddled() {
            Ok(Meddled::Gone) => self.log = None,
            Ok(Meddled::Cut(length)) => log.length = length,
            Ok(Meddled::No) if log.is_due(roll) => {
                return log.file.sync_data().and_then(|()| log.roll(now)).is_ok();
            }
            Ok(Meddled::No) | Err(_) => {}
        }
        false
    }
}
