//! Back pressure: looks once a second at what the machine has left, and tells the reception. Deliveries are never
//! slowed: they relieve.
//!
//! Judging is a pure function of the last levels, a sample and the thresholds. Not here: reading the machine
//! (`resources`), refusing mail (`reception`).

use super::Daemon;
use super::resources::{self, Disk, Used};
use crate::config;
use posthaste_admin::desk::{PressureLevel, ResourceStanding};
use posthaste_admin::units::print_rough_size;
use posthaste_reception::{Pressure, Resource};
use posthaste_spool::Health;
use std::time::Duration;

/// How often the machine is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A level is left at this part of its threshold, so that it does not come and go.
const LEFT_AT: f64 = 0.9;
/// On a small file system the thresholds are at most these parts of it.
const SLOW_PART: u64 = 10;
const REFUSE_PART: u64 = 20;

/// What was measured; `None`: it cannot be, or there is no limit.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub(super) struct Sample {
    disk: Option<Disk>,
    /// The spool is at its reserve.
    spool_full: bool,
    memory: Option<Used>,
    files: Option<Used>,
    queue: u64,
}

/// How each resource stands, in order of [`Resource::ALL`].
pub(super) type Levels = [PressureLevel; 4];

/// The last look.
#[derive(Clone, Copy, Default)]
pub(super) struct Standing {
    pub(super) levels: Levels,
    pub(super) sample: Sample,
}

/// Runs as long as the daemon.
pub(super) async fn watch(daemon: Daemon) {
    loop {
        daemon.life.minute().look(&daemon.dispatch.counters());
        look(&daemon);
        tokio::time::sleep(EVERY).await;
    }
}

/// One look, and what follows from it.
pub(super) fn look(daemon: &Daemon) {
    let thresholds = daemon.thresholds();
    let sample = daemon.sample(&thresholds);
    let before = daemon.standing().levels;
    let levels = judge(before, &sample, &thresholds);
    daemon.set_standing(Standing { levels, sample });
    daemon.reception.set_pressure(worst(levels));
    for (i, resource) in Resource::ALL.into_iter().enumerate() {
        if levels[i] != before[i] {
            tell(resource, levels[i], &words(resource, &sample));
        }
    }
}

impl Daemon {
    fn sample(&self, thresholds: &config::Pressure) -> Sample {
        let health = self.spool.health();
        let limit = thresholds.memory_limit.or(self.memory);
        Sample {
            disk: resources::disk(&self.started_with.data)
                .ok()
                .map(|disk| with_reusable(disk, &health)),
            spool_full: health.full,
            memory: limit.and_then(resources::memory),
            files: resources::files(),
            queue: self.dispatch.load().0 as u64,
        }
    }
}

impl Standing {
    /// For status: what is measured, how it stands and in which words.
    pub(super) fn view(&self) -> Vec<ResourceStanding> {
        let one = |(i, resource): (usize, Resource)| ResourceStanding {
            name: resource.name(),
            level: self.levels[i],
            text: words(resource, &self.sample),
        };
        Resource::ALL.into_iter().enumerate().map(one).collect()
    }
}

/// What the spool's own files hold beside live mail it uses again: that is room too.
const fn with_reusable(disk: Disk, spool: &Health) -> Disk {
    let reusable = spool.disk_octets.saturating_sub(spool.live_octets);
    Disk { free: disk.free.saturating_add(reusable), ..disk }
}

/// The new levels. Each threshold is crossed at its value and left a tenth below it.
pub(super) fn judge(before: Levels, sample: &Sample, limits: &config::Pressure) -> Levels {
    let [disk, memory, files, queue] = before;
    let share = |used: Option<Used>, slow, refuse, before| {
        used.map_or(PressureLevel::Fine, |used| above(before, used.share(), slow, refuse))
    };
    [
        disk_level(disk, sample, limits),
        share(sample.memory, limits.memory_slow, limits.memory_refuse, memory),
        share(sample.files, limits.files_slow, limits.files_refuse, files),
        above(queue, as_f64(sample.queue), as_f64(limits.queue_slow), as_f64(limits.queue_refuse)),
    ]
}

fn disk_level(before: PressureLevel, sample: &Sample, limits: &config::Pressure) -> PressureLevel {
    if sample.spool_full {
        return PressureLevel::Refuse;
    }
    let Some(disk) = sample.disk else { return PressureLevel::Fine };
    let slow = as_f64(limits.disk_slow.min(disk.total / SLOW_PART));
    let refuse = as_f64(limits.disk_refuse.min(disk.total / REFUSE_PART));
    let below = |threshold, level| {
        let left_at = if before >= level { LEFT_AT } else { 1.0 };
        as_f64(disk.free) * left_at < threshold
    };
    level(below(slow, PressureLevel::Slow), below(refuse, PressureLevel::Refuse))
}

/// A threshold of 0 is none.
fn above(before: PressureLevel, value: f64, slow: f64, refuse: f64) -> PressureLevel {
    let over = |threshold: f64, level| {
        let left_at = if before >= level { LEFT_AT } else { 1.0 };
        threshold > 0.0 && value >= threshold * left_at
    };
    level(over(slow, PressureLevel::Slow), over(refuse, PressureLevel::Refuse))
}

const fn level(slow: bool, refuse: bool) -> PressureLevel {
    match (slow, refuse) {
        (_, true) => PressureLevel::Refuse,
        (true, false) => PressureLevel::Slow,
        (false, false) => PressureLevel::Fine,
    }
}

/// The gravest of all, for the reception.
fn worst(levels: Levels) -> Pressure {
    let at = |level| {
        let found = Resource::ALL.into_iter().zip(levels).find(|(_, l)| *l == level);
        found.map(|(resource, _)| resource)
    };
    if let Some(resource) = at(PressureLevel::Refuse) {
        return Pressure::Refuse(resource);
    }
    at(PressureLevel::Slow).map_or(Pressure::None, Pressure::Slow)
}

#[expect(clippy::cast_precision_loss, reason = "thresholds are not that exact")]
const fn as_f64(number: u64) -> f64 {
    number as f64
}

/// The measure in words: `12 MiB of 64 MiB free`.
fn words(resource: Resource, sample: &Sample) -> String {
    let sizes = |used: Used| {
        format!("{} of {} used", print_rough_size(used.used), print_rough_size(used.limit))
    };
    let unknown = || "not known".to_owned();
    match resource {
        Resource::Disk => sample.disk.map_or_else(unknown, |disk| {
            let full = if sample.spool_full { ", the spool is at its reserve" } else { "" };
            let (free, total) = (print_rough_size(disk.free), print_rough_size(disk.total));
            format!("room for {free} of {total}{full}")
        }),
        Resource::Memory => sample.memory.map_or_else(unknown, sizes),
        Resource::Files => {
            sample.files.map_or_else(unknown, |f| format!("{} of {} open", f.used, f.limit))
        }
        Resource::Queue => format!("{} messages", sample.queue),
    }
}

fn tell(resource: Resource, level: PressureLevel, measured: &str) {
    let resource = resource.name();
    match level {
        PressureLevel::Refuse => tracing::warn!(
            resource,
            measured,
            "mail is answered 452 until there is room again; deliveries go on, and mail is then accepted by itself"
        ),
        PressureLevel::Slow => {
            tracing::warn!(resource, measured, "mail is accepted slowly, by fewer sessions");
        }
        PressureLevel::Fine => tracing::info!(resource, measured, "there is enough of it again"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use PressureLevel::{Fine, Refuse, Slow};

    const MIB: u64 = 1 << 20;

    fn limits() -> config::Pressure {
        config::Pressure { queue_slow: 100, queue_refuse: 200, ..config::Pressure::default() }
    }

    #[test]
    fn each_resource_has_two_thresholds_that_are_left_a_tenth_later() {
        let disk = |free, total| Sample {
            disk: Some(Disk { free: free * MIB, total: total * MIB }),
            ..Sample::default()
        };
        let memory = |used| Sample { memory: Some(Used { used, limit: 100 }), ..Sample::default() };
        let files = |used| Sample { files: Some(Used { used, limit: 100 }), ..Sample::default() };
        let queue = |queue| Sample { queue, ..Sample::default() };
        let full = Sample { spool_full: true, ..disk(900, 1000) };
        for (number, before, sample, expected) in [
            (0, Fine, disk(300, 100_000), Fine),
            (0, Fine, disk(255, 100_000), Slow),
            (0, Slow, disk(280, 100_000), Slow),
            (0, Slow, disk(285, 100_000), Fine),
            (0, Slow, disk(63, 100_000), Refuse),
            (0, Refuse, disk(70, 100_000), Refuse),
            (0, Refuse, disk(72, 100_000), Slow),
            (0, Fine, disk(10, 64), Fine),
            (0, Fine, disk(6, 64), Slow),
            (0, Fine, disk(3, 64), Refuse),
            (0, Fine, full, Refuse),
            (1, Fine, memory(74), Fine),
            (1, Fine, memory(75), Slow),
            (1, Slow, memory(68), Slow),
            (1, Slow, memory(67), Fine),
            (1, Slow, memory(90), Refuse),
            (1, Refuse, memory(82), Refuse),
            (1, Refuse, memory(80), Slow),
            (1, Refuse, memory(0), Fine),
            (2, Fine, files(80), Slow),
            (2, Fine, files(100), Refuse),
            (3, Fine, queue(99), Fine),
            (3, Fine, queue(100), Slow),
            (3, Slow, queue(200), Refuse),
            (3, Refuse, queue(180), Refuse),
            (3, Refuse, queue(179), Slow),
        ] {
            let mut levels = [Fine; 4];
            levels[number] = before;
            let mut wanted = [Fine; 4];
            wanted[number] = expected;
            assert_eq!(judge(levels, &sample, &limits()), wanted, "{number} {before:?} {sample:?}");
        }
    }

    #[test]
    fn without_a_threshold_any_number_may_wait() {
        let sample = Sample { queue: u64::MAX, ..Sample::default() };
        assert_eq!(judge([Fine; 4], &sample, &config::Pressure::default()), [Fine; 4]);
    }

    #[test]
    fn the_gravest_is_told() {
        assert_eq!(worst([Fine; 4]), Pressure::None);
        assert_eq!(worst([Slow, Fine, Refuse, Slow]), Pressure::Refuse(Resource::Files));
        assert_eq!(worst([Fine, Slow, Fine, Slow]), Pressure::Slow(Resource::Memory));
    }
}
