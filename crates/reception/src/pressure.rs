//! What the house tells the reception about itself: a scarce resource, or maintenance. One atomic read per message.
//!
//! Not here: measuring and judging (the front does), the replies (`policy`).

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// How hard it is to take more mail now. Deliveries go on in every case: they relieve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Pressure {
    /// Nothing is scarce.
    #[default]
    None,
    /// Something is getting scarce: MAIL is answered after [`Limits::slow_delay`](crate::Limits::slow_delay), and
    /// half as many sessions are taken.
    Slow(Resource),
    /// Something is as good as used up: MAIL is answered `452 4.3.1`, whoever asks.
    Refuse(Resource),
}

/// What can be scarce.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Resource {
    /// Room on the disk of the spool.
    Disk,
    /// Memory of this process.
    Memory,
    /// Open files of this process.
    Files,
    /// Messages in the queue.
    Queue,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Disk, Self::Memory, Self::Files, Self::Queue];

    /// Its name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Files => "files",
            Self::Queue => "queue",
        }
    }

    /// What a client is told.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Disk => "disk space",
            Self::Memory => "memory",
            Self::Files => "file descriptors",
            Self::Queue => "room in the queue",
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// The pressure in force, for all sessions.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU8);

/// Set in the octet of a level that refuses.
const REFUSES: u8 = 0x80;

impl Gauge {
    pub(crate) fn set(&self, pressure: Pressure) {
        let octet = match pressure {
            Pressure::None => 0,
            Pressure::Slow(resource) => number(resource),
            Pressure::Refuse(resource) => REFUSES | number(resource),
        };
        self.0.store(octet, Ordering::Release);
    }

    pub(crate) fn get(&self) -> Pressure {
        let octet = self.0.load(Ordering::Acquire);
        let resource = Resource::ALL.into_iter().find(|r| number(*r) == octet & !REFUSES);
        match resource {
            None => Pressure::None,
            Some(resource) if octet & REFUSES == 0 => Pressure::Slow(resource),
            Some(resource) => Pressure::Refuse(resource),
        }
    }
}

const fn number(resource: Resource) -> u8 {
    match resource {
        Resource::Disk => 1,
        Resource::Memory => 2,
        Resource::Files => 3,
        Resource::Queue => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_read() {
        let gauge = Gauge::default();
        assert_eq!(gauge.get(), Pressure::None);
        for resource in Resource::ALL {
            for pressure in [Pressure::Slow(resource), Pressure::Refuse(resource), Pressure::None] {
                gauge.set(pressure);
                assert_eq!(gauge.get(), pressure);
            }
        }
    }
}
