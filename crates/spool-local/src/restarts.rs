//! How often the store has failed lately, noted in its folder: starts after failures wait, and after too many of
//! them the store comes up read-only (design: spool rule 4).
//!
//! Only failures of the store count, not the end of the process in any other way. The note is made with the last
//! strength of a disk that has just failed: it may be missing, and then the start itself fails and says why.

use crate::files::create_anew;
use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_mail::Timestamp;
use std::io::{self, IoSlice};
use std::time::Duration;

/// Failures are remembered for so long.
pub const FAILURES_COUNT_FOR: Duration = Duration::from_secs(600);
/// After so many of them the store comes up read-only.
pub const FAILURES_UNTIL_READ_ONLY: usize = 3;

const NOTE: &str = "failures";
const UNFINISHED: &str = "unfinished-failures";
/// Failures that the note holds, the newest last.
const KEPT: usize = 8;
const OCTETS: usize = 8;

/// What recent failures ask of a start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Failures within [`FAILURES_COUNT_FOR`].
    pub failures: usize,
    /// How long to wait before the store is opened.
    pub wait: Duration,
    /// It is to be opened read-only.
    pub read_only: bool,
}

/// Reads the note.
///
/// # Errors
/// As the operating system says; a missing note is no error.
pub fn standing<D: Disk>(disk: &D, now: Timestamp) -> io::Result<Standing> {
    let failures = recent(disk, now)?.len();
    let wait = match failures {
        0 => Duration::ZERO,
        1 => Duration::from_secs(1),
        2 => Duration::from_secs(5),
        _ => Duration::from_secs(15),
    };
    Ok(Standing { failures, wait, read_only: failures >= FAILURES_UNTIL_READ_ONLY })
}

/// Notes that the store has failed.
///
/// # Errors
/// As the operating system says: the disk has failed, after all.
pub fn note_failure<D: Disk>(disk: &D, now: Timestamp) -> io::Result<()> {
    let mut failures = recent(disk, now).unwrap_or_default();
    failures.push(now);
    let newest = failures.len().saturating_sub(KEPT);
    let octets: Vec<u8> =
        failures[newest..].iter().flat_map(|at| at.as_micros().to_le_bytes()).collect();
    let file = create_anew(disk, UNFINISHED)?;
    file.write_at(0, &[IoSlice::new(&octets)])?;
    file.sync_data()?;
    disk.rename(UNFINISHED, NOTE)?;
    disk.sync_dir()
}

/// Those that count; a clock that was set back does not make them count for ever.
fn recent<D: Disk>(disk: &D, now: Timestamp) -> io::Result<Vec<Timestamp>> {
    let file = match disk.open(NOTE, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        opened => opened?,
    };
    let mut octets = [0; KEPT * OCTETS];
    let read = file.read_at(0, &mut octets)?;
    let (times, _) = octets[..read].as_chunks::<OCTETS>();
    let times = times.iter().map(|time| Timestamp::from_micros(i64::from_le_bytes(*time)));
    let counts = |at: &Timestamp| {
        now.since(*at) <= FAILURES_COUNT_FOR && at.since(now) <= FAILURES_COUNT_FOR
    };
    Ok(times.filter(counts).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_io_sim::{Cut, SimDisk};

    #[test]
    fn the_third_failure_in_ten_minutes_makes_it_read_only() {
        let mut disk = SimDisk::new();
        let at = |seconds: i64| Timestamp::from_secs(1_000_000 + seconds);
        assert_eq!(standing(&disk, at(0)).unwrap(), Standing::default());
        let mut waits = Vec::new();
        for failure in 0..3 {
            note_failure(&disk, at(failure * 60)).unwrap();
            disk = disk.power_cut(Cut::Lost);
            let now = standing(&disk, at(failure * 60)).unwrap();
            assert_eq!(now.read_only, failure == 2);
            waits.push(now.wait);
        }
        assert!(waits.is_sorted() && waits[0] > Duration::ZERO);
        assert!(standing(&disk, at(600)).unwrap().read_only);
        assert_eq!(standing(&disk, at(601)).unwrap().failures, 2);
        assert_eq!(standing(&disk, at(2000)).unwrap(), Standing::default());
        assert_eq!(standing(&disk, at(-2000)).unwrap().failures, 0, "the clock was set back");
        for _ in 0..20 {
            note_failure(&disk, at(3000)).unwrap();
        }
        assert_eq!(standing(&disk, at(3000)).unwrap().failures, KEPT);
    }
}
