//! `[retry]` and `[delivery]`: how mail goes out, how often it is tried, and how much at once.

use super::read::{Preset, Section};
use super::setting::Ratio;
use posthaste_queue::schedule::{MAX_JITTER, Schedule};
use posthaste_queue::settings::{Drain, Limits};
use std::net::IpAddr;
use std::time::Duration;

/// Steps of a retry schedule.
const MAX_STEPS: usize = 32;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Limits of sending.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Delivery {
    pub(crate) limits: Limits,
    pub(crate) drain: Drain,
    pub(crate) connect_limit: Duration,
    pub(crate) attempt_limit: Duration,
    pub(crate) hosts_per_attempt: usize,
    /// Our own addresses besides those of this machine's interfaces: behind NAT.
    pub(crate) own_addresses: Vec<IpAddr>,
}

/// The retry schedule of a `retry` section; what it does not say is as in `base`.
pub(super) fn schedule(section: Section<'_, '_>, base: Schedule, why: &'static str) -> Schedule {
    let glitch = section.take("glitch", base.glitch);
    let transient = section.take("transient", base.transient);
    let later: Vec<Duration> = section.take("later", Preset::because(base.later.clone(), why));
    let most = Ratio(f64::from(MAX_JITTER) / 100.0);
    let jitter =
        section.take_in("jitter", Ratio(f64::from(base.jitter) / 100.0), Ratio(0.0)..=most);
    for (key, step) in [("glitch", glitch), ("transient", transient)] {
        if step.every < SECOND {
            section.complain(key, format!("`retry.{key}`: retries must be 1s or more apart"));
        }
    }
    if later.iter().any(|distance| *distance < SECOND) {
        section.complain("later", "`retry.later`: retries must be 1s or more apart");
    }
    if later.len() > MAX_STEPS {
        section.complain("later", format!("`retry.later` has more than {MAX_STEPS} steps"));
    }
    section.finish();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 90")]
    let jitter = (jitter.0 * 100.0).round() as u8;
    Schedule { glitch, transient, later, jitter, ..base }
}

pub(super) fn delivery(section: Section<'_, '_>) -> Delivery {
    let attempt = posthaste_delivery::Settings::default();
    let delivery = Delivery {
        limits: connections(&section),
        drain: drain(&section),
        connect_limit: section.take_in("connect_limit", attempt.connect_limit, SECOND..=5 * MINUTE),
        attempt_limit: section.take_in(
            "attempt_limit",
            attempt.attempt_limit,
            MINUTE..=60 * MINUTE,
        ),
        hosts_per_attempt: count(&section, "hosts_per_attempt", attempt.hosts_per_attempt, 100),
        own_addresses: section
            .take("own_addresses", Preset::because(Vec::new(), "those of the interfaces only")),
    };
    section.finish();
    delivery
}

fn connections(section: &Section<'_, '_>) -> Limits {
    let base = Limits::default();
    let limits = Limits {
        destination_start: section.take_in("destination_start", base.destination_start, 1..=1000),
        destination_max: section.take_in("destination_max", base.destination_max, 1..=1000),
        host: section.take_in("per_host", base.host, 1..=10_000),
        connections: section.take_in("connections", base.connections, 1..=100_000),
        messages_per_connection: section.take_in(
            "messages_per_connection",
            base.messages_per_connection,
            1..=1_000_000,
        ),
        connection_time: section.take_in(
            "connection_time",
            base.connection_time,
            SECOND..=60 * MINUTE,
        ),
        ..base
    };
    if limits.destination_start > limits.destination_max {
        let what = "`delivery.destination_start` must not be over `delivery.destination_max`";
        section.complain("destination_start", what);
    }
    limits
}

fn drain(section: &Section<'_, '_>) -> Drain {
    let base = Drain::default();
    let drain = Drain {
        first_rate: section.take_in("drain_first_rate", base.first_rate, 1..=1_000_000),
        top_rate: section.take_in("drain_top_rate", base.top_rate, 1..=1_000_000),
    };
    if drain.first_rate > drain.top_rate {
        let what = "`delivery.drain_first_rate` must not be over `delivery.drain_top_rate`";
        section.complain("drain_first_rate", what);
    }
    drain
}

pub(super) fn count(
    section: &Section<'_, '_>,
    key: &'static str,
    preset: usize,
    most: u64,
) -> usize {
    let preset = u64::try_from(preset).unwrap_or(most);
    usize::try_from(section.take_in::<u64>(key, preset, 1..=most)).unwrap_or(usize::MAX)
}
