//! `[log]`, as far as it says which DNS questions are recorded, and how much of the event log, the session log and the
//! DNS log is kept.

use super::read::Section;
use super::setting::{Size, Word};
use posthaste_evidence::{Keep, KeepDns};
use posthaste_io_tokio::journal::Settings;
use posthaste_io_tokio::journal::files::{self, Roll};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// The least that a file is sealed at, octets.
const LEAST_ROLL: u64 = 1 << 20;
/// The least and the most that is kept, octets.
const KEPT: std::ops::RangeInclusive<Size> = Size(10_000_000)..=Size(1 << 50);

/// When files are sealed, and how much is kept.
pub(super) fn files(section: &Section<'_, '_>) -> Settings {
    let base = Settings::default();
    let roll_size = Size(base.roll.size);
    let keep = |age, size, base: files::Keep| files::Keep {
        age: section.take_in(age, base.age, DAY..=3650 * DAY),
        size: section.take_in(size, Size(base.size), KEPT).0,
    };
    Settings {
        roll: Roll {
            size: section.take_in("roll_size", roll_size, Size(LEAST_ROLL)..=Size(1 << 30)).0,
            age: section.take_in("roll_after", base.roll.age, HOUR..=30 * DAY),
        },
        keep: keep("keep", "keep_size", base.keep),
        keep_sessions: keep("sessions_keep", "sessions_keep_size", base.keep_sessions),
        dns: section.take("dns", base.dns),
        keep_dns: keep("dns_keep", "dns_keep_size", base.keep_dns),
    }
}

impl Word for Keep {
    const WORDS: &'static [(&'static str, Self)] =
        &[("all", Self::All), ("refused", Self::Refused), ("off", Self::Off)];
}

impl Word for KeepDns {
    const WORDS: &'static [(&'static str, Self)] =
        &[("all", Self::All), ("failed", Self::Failed), ("off", Self::Off)];
}
