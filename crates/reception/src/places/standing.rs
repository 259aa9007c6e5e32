//! How far a session has come, as whoever looks for room sees it. Written by the session without a lock.

use futures_util::task::AtomicWaker;
use posthaste_io::Instant;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

/// How far a client has come. Whoever has come less far makes room first, of these who has stood still the longest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Progress {
    /// All that came of it so far are errors, or failed logins: no content.
    Errors,
    /// It has said nothing that we understood.
    Nothing,
    /// It has said something; goes on with each sender and recipient that is accepted.
    Commands,
    /// Content has come; goes on with each octet of it.
    Content,
    /// A message of its was accepted; goes on with each.
    Mail,
}

/// Of one session.
pub(super) struct Standing {
    pub(super) waker: AtomicWaker,
    progress: AtomicU8,
    since: AtomicU64,
    /// Since when it is at fault; 0: it is not.
    errors_since: AtomicU64,
    waiting: AtomicBool,
    makes_room: AtomicBool,
}

impl Progress {
    /// In the order in which they make room.
    pub(super) const ALL: [Self; 5] =
        [Self::Errors, Self::Nothing, Self::Commands, Self::Content, Self::Mail];

    /// How long it may stand still before it is asked to make room like anybody else. Whoever has only just connected, or
    /// just said something sound, has a moment to go on.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Errors => Duration::ZERO,
            Self::Nothing | Self::Commands => Duration::from_secs(1),
            Self::Content => Duration::from_secs(10),
            Self::Mail => Duration::from_secs(5),
        }
    }
}

impl Standing {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            waker: AtomicWaker::new(),
            progress: AtomicU8::new(Progress::Nothing as u8),
            since: AtomicU64::new(now.0),
            errors_since: AtomicU64::new(0),
            waiting: AtomicBool::new(false),
            makes_room: AtomicBool::new(false),
        }
    }

    /// How far, and since when.
    pub(super) fn get(&self) -> (Progress, Instant) {
        let progress = match self.progress.load(Ordering::Relaxed) {
            0 | 1 => Progress::Nothing,
            2 => Progress::Commands,
            3 => Progress::Content,
            _ => Progress::Mail,
        };
        let errors_since = self.errors_since.load(Ordering::Relaxed);
        if errors_since > 0 && progress <= Progress::Commands {
            return (Progress::Errors, Instant(errors_since));
        }
        (progress, Instant(self.since.load(Ordering::Relaxed)))
    }

    /// Never goes back.
    pub(super) fn comes(&self, progress: Progress, now: Instant) {
        self.progress.fetch_max(progress as u8, Ordering::Relaxed);
        self.since.fetch_max(now.0, Ordering::Relaxed);
    }

    /// False when it was at fault before.
    pub(super) fn errs(&self, now: Instant) -> bool {
        let (new, ord) = (now.0.max(1), Ordering::Relaxed);
        self.errors_since.compare_exchange(0, new, ord, ord).is_ok()
    }

    pub(super) fn has_errors(&self) -> bool {
        self.errors_since.load(Ordering::Relaxed) > 0
    }

    pub(super) fn waits(&self, waiting: bool) {
        self.waiting.store(waiting, Ordering::Release);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting.load(Ordering::Acquire)
    }

    pub(super) fn make_room(&self) {
        self.makes_room.store(true, Ordering::Release);
        self.waker.wake();
    }

    pub(super) fn makes_room(&self) -> bool {
        self.makes_room.load(Ordering::Acquire)
    }
}
