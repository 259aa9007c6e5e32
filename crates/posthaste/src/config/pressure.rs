//! `[pressure]`: from which shortage on mail is taken more slowly, and from which on not at all.
//!
//! Not here: measuring and judging (`daemon::pressure`).

use super::read::{Preset, Section};
use super::setting::{Ratio, Size};
use std::time::Duration;

const MIB: u64 = 1 << 20;
const MAX_SIZE: u64 = 1 << 50;
const MAX_QUEUE: u64 = 1_000_000_000;

/// Two thresholds for each resource; at the first mail is taken slowly, at the second it is refused.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Pressure {
    /// Octets free on the disk of the spool, below which.
    pub(crate) disk_slow: u64,
    pub(crate) disk_refuse: u64,
    /// Octets this process may use; `None`: what the machine grants it.
    pub(crate) memory_limit: Option<u64>,
    /// Shares of it, above which.
    pub(crate) memory_slow: f64,
    pub(crate) memory_refuse: f64,
    /// Shares of the descriptors it may open, above which.
    pub(crate) files_slow: f64,
    pub(crate) files_refuse: f64,
    /// Messages in the queue, above which; 0: any number.
    pub(crate) queue_slow: u64,
    pub(crate) queue_refuse: u64,
    /// How long MAIL is made to wait.
    pub(crate) delay: Duration,
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            disk_slow: 256 * MIB,
            disk_refuse: 64 * MIB,
            memory_limit: None,
            memory_slow: 0.75,
            memory_refuse: 0.9,
            files_slow: 0.8,
            files_refuse: 0.9,
            queue_slow: 0,
            queue_refuse: 0,
            delay: Duration::from_secs(1),
        }
    }
}

pub(super) fn pressure(section: Section<'_, '_>) -> Pressure {
    let base = Pressure::default();
    let size = |key, preset: u64, why| {
        let preset = Preset::because(Size(preset), why);
        section.take_in(key, preset, Size(0)..=Size(MAX_SIZE)).0
    };
    let share = |key, preset: f64| section.take_in(key, Ratio(preset), Ratio(0.1)..=Ratio(1.0)).0;
    let count = |key, preset: u64| section.take_in(key, preset, 0..=MAX_QUEUE);
    let limit = section
        .take_optional::<Size>("memory_limit", "what the control group or the machine grants");
    let pressure = Pressure {
        disk_slow: size("disk_slow", base.disk_slow, "at most a tenth of the disk"),
        disk_refuse: size("disk_refuse", base.disk_refuse, "at most a twentieth of the disk"),
        memory_limit: limit.map(|size| size.0),
        memory_slow: share("memory_slow", base.memory_slow),
        memory_refuse: share("memory_refuse", base.memory_refuse),
        files_slow: share("files_slow", base.files_slow),
        files_refuse: share("files_refuse", base.files_refuse),
        queue_slow: count("queue_slow", base.queue_slow),
        queue_refuse: count("queue_refuse", base.queue_refuse),
        delay: section.take_in("delay", base.delay, Duration::ZERO..=Duration::from_secs(60)),
    };
    check(&section, &pressure);
    section.finish();
    pressure
}

fn check(section: &Section<'_, '_>, p: &Pressure) {
    let least = 32 * MIB;
    if p.memory_limit.is_some_and(|limit| limit < least) {
        let what = "`pressure.memory_limit` must be \"32MiB\" or more";
        section.complain("memory_limit", what);
    }
    let crossed = [
        ("disk_slow", "disk_refuse", "below", p.disk_slow < p.disk_refuse),
        ("memory_slow", "memory_refuse", "over", p.memory_slow > p.memory_refuse),
        ("files_slow", "files_refuse", "over", p.files_slow > p.files_refuse),
        ("queue_slow", "queue_refuse", "over", p.queue_refuse > 0 && p.queue_slow > p.queue_refuse),
    ];
    for (slow, refuse, side, is_crossed) in crossed {
        if is_crossed {
            let what = format!("`pressure.{slow}` must not be {side} `pressure.{refuse}`");
            section.complain(slow, what);
        }
    }
}
