//! Remembers an address family that does not work from this machine, so that it is tried last for a while.
//!
//! A family is never given up: it is only moved to the end, and one success restores it.

use posthaste_io::Instant;
use std::net::SocketAddr;
use std::time::Duration;

/// Failures in a row, at different hosts, after which a family rests.
const FAILURES_TO_REST: u32 = 3;
/// How long a family rests.
const REST: Duration = Duration::from_secs(600);

/// What is remembered of both families.
#[derive(Default, Debug)]
pub(crate) struct Families {
    v4: Family,
    v6: Family,
}

#[derive(Default, Debug)]
struct Family {
    failures: u32,
    last_failed: Option<SocketAddr>,
    resting_until: Option<Instant>,
}

impl Families {
    /// True while the address's family rests.
    pub(crate) fn rests(&self, now: Instant, address: SocketAddr) -> bool {
        self.of(address).resting_until.is_some_and(|until| now < until)
    }

    /// A connection of this family came about.
    pub(crate) fn worked(&mut self, address: SocketAddr) {
        *self.of_mut(address) = Family::default();
    }

    /// No answer at this address. Counts only when the other family is not failing as well: a host that is
    /// down says nothing about a family.
    pub(crate) fn failed(&mut self, now: Instant, address: SocketAddr) {
        let family = self.of_mut(address);
        if family.last_failed == Some(address) {
            return;
        }
        family.last_failed = Some(address);
        family.failures += 1;
        if family.failures >= FAILURES_TO_REST {
            family.resting_until = Some(now + REST);
        }
        if self.v4.resting_until.is_some() && self.v6.resting_until.is_some() {
            *self = Self::default();
        }
    }

    const fn of(&self, address: SocketAddr) -> &Family {
        if address.is_ipv4() { &self.v4 } else { &self.v6 }
    }

    const fn of_mut(&mut self, address: SocketAddr) -> &mut Family {
        if address.is_ipv4() { &mut self.v4 } else { &mut self.v6 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_family_rests_and_one_success_restores_it() {
        let mut families = Families::default();
        let v6 = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 25));
        let now = Instant(0);
        families.failed(now, v6(1));
        families.failed(now, v6(1));
        families.failed(now, v6(2));
        assert!(!families.rests(now, v6(3)), "two different hosts are not enough");
        families.failed(now, v6(3));
        assert!(families.rests(now, v6(9)));
        assert!(!families.rests(now, SocketAddr::from(([192, 0, 2, 1], 25))));
        assert!(!families.rests(now + REST, v6(9)), "tried again after its rest");
        families.worked(v6(4));
        assert!(!families.rests(now, v6(9)));
    }

    #[test]
    fn when_both_fail_neither_is_to_blame() {
        let mut families = Families::default();
        let now = Instant(0);
        for n in 1..=3 {
            families.failed(now, SocketAddr::from(([192, 0, 2, n], 25)));
            families.failed(now, SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()], 25)));
        }
        assert!(!families.rests(now, SocketAddr::from(([192, 0, 2, 9], 25))));
    }
}
