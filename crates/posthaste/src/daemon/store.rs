//! Opens the spool of this machine and says what the start found. After failures of its disk it waits before, and
//! after too many of them the spool comes up read-only (design: spool rule 4).
//!
//! Not here: the store itself and the note of its failures (`spool-local`).

use super::resources;
use crate::spool::FOLDER;
use anyhow::{Context as _, Result};
use posthaste_io_tokio::RealDisk;
use posthaste_mail::Timestamp;
use posthaste_spool_local::restarts::{self, FAILURES_COUNT_FOR, Standing};
use posthaste_spool_local::{LocalSpool, Log, OpenError, Report, Settings};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Segments that would fill the file system, at least.
const SEGMENTS_IN_DISK: u64 = 32;
/// The smallest segment on a small file system, octets.
const SMALLEST_SEGMENT: u32 = 1 << 20;

/// The folder of the spool: where its failures are noted.
pub(super) struct Folder {
    disk: RealDisk,
    read_only: bool,
}

impl Folder {
    /// True when the spool was opened read-only.
    pub(super) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Notes that the store has failed, for the next start.
    pub(super) fn note_failure(&self) {
        if let Err(error) = restarts::note_failure(&self.disk, now()) {
            tracing::error!("the failure of the spool cannot be noted in its folder: {error}");
        }
    }
}

/// Opens the spool, or says who has it or what is wrong with it. It is never replaced by an empty one.
pub(super) async fn open(data: &Path) -> Result<(Arc<LocalSpool<RealDisk>>, Folder)> {
    let disk = RealDisk::open(&data.join(FOLDER))?;
    let standing = restarts::standing(&disk, now());
    let standing = standing.context("the note of the spool's failures cannot be read")?;
    if !standing.wait.is_zero() {
        tracing::warn!(
            failures = standing.failures,
            wait_seconds = standing.wait.as_secs(),
            "the spool has failed lately: waiting before it is opened again"
        );
        tokio::time::sleep(standing.wait).await;
    }
    open_folder(disk, standing)
}

fn open_folder(disk: RealDisk, standing: Standing) -> Result<(Arc<LocalSpool<RealDisk>>, Folder)> {
    let read_only = standing.read_only;
    let folder = Folder { disk: disk.clone(), read_only };
    let salt = posthaste_io_tokio::unpredictable();
    let segment_size = segment_size(disk.path());
    let settings = Settings { salt, read_only, segment_size, ..Settings::default() };
    let opened = Log::open(disk, settings);
    if let Err(OpenError::Unwritable(_)) = &opened {
        folder.note_failure();
    }
    let place = folder.disk.path().display();
    let (log, report) = opened.with_context(|| format!("cannot open the spool in {place}"))?;
    tell(folder.disk.path(), &report);
    if read_only {
        tracing::error!(
            failures = standing.failures,
            "the spool has failed again and again and is open read-only: mail is answered 451 and nothing is \
             delivered; look at its disk, then start again, {} minutes after the last failure at the earliest",
            FAILURES_COUNT_FOR.as_secs() / 60
        );
    }
    let spool = LocalSpool::on_thread(log).context("cannot start the spool's thread")?;
    Ok((Arc::new(spool), folder))
}

/// Segments are a part of the file system at most, so that a small one has room for a reserve and for mail.
fn segment_size(folder: &Path) -> u32 {
    let usual = Settings::default().segment_size;
    let total = resources::disk(folder).map_or(u64::MAX, |disk| disk.total);
    let part = u32::try_from(total / SEGMENTS_IN_DISK).unwrap_or(u32::MAX);
    (part / SMALLEST_SEGMENT * SMALLEST_SEGMENT).clamp(SMALLEST_SEGMENT, usual)
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn tell(folder: &Path, report: &Report) {
    tracing::info!(
        folder = %folder.display(),
        messages = report.messages,
        segments = report.segments,
        scanned = report.scanned,
        orphans = report.orphans,
        "the spool is open"
    );
    if let Some(place) = &report.torn {
        tracing::warn!(
            place,
            "the last commit was not finished, or it is damaged: it is dropped; no mail was acknowledged with \
             one that was not finished"
        );
    }
    for body in &report.kept {
        tracing::warn!(
            place = body.place,
            octets = body.size,
            what = body.what,
            "it may belong to the dropped commit, and is kept until the next start"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_spool::Spool as _;
    use std::time::Duration;

    #[test]
    fn after_three_failures_it_comes_up_read_only_and_says_so() {
        let data = tempfile::tempdir().expect("a folder");
        let path = data.path().join(FOLDER);
        for failures in 0..4 {
            let disk = RealDisk::open(&path).expect("it is free");
            let standing = restarts::standing(&disk, now()).expect("readable");
            assert_eq!(standing.failures, failures);
            assert_eq!(standing.wait > Duration::ZERO, failures > 0);
            let (spool, folder) = open_folder(disk, standing).expect("opens");
            let health = spool.health();
            assert_eq!((health.read_only, health.accepting), (failures == 3, failures < 3));
            assert_eq!(folder.is_read_only(), failures == 3);
            folder.note_failure();
            spool.halt();
        }
    }
}
