//! Remembers hosts with which TLS does not work, so that mail that may go in clear does so at once for a while.
//!
//! Not here: whether it may (`posthaste_route::tls`).

use posthaste_io::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How long TLS is not tried.
const REST: Duration = Duration::from_secs(3600);
/// The most hosts remembered; beyond them, the one whose rest ends first is forgotten.
const MAX_HOSTS: usize = 4096;

/// Hosts whose TLS is broken.
#[derive(Default, Debug)]
pub(crate) struct BrokenTls {
    resting_until: BTreeMap<SocketAddr, Instant>,
}

impl BrokenTls {
    /// True while TLS with this host is not tried.
    pub(crate) fn rests(&self, now: Instant, host: SocketAddr) -> bool {
        self.resting_until.get(&host).is_some_and(|until| now < *until)
    }

    /// TLS with this host failed.
    pub(crate) fn failed(&mut self, now: Instant, host: SocketAddr) {
        self.resting_until.insert(host, now + REST);
        if self.resting_until.len() > MAX_HOSTS {
            self.resting_until.retain(|_, until| now < *until);
        }
        if self.resting_until.len() > MAX_HOSTS {
            let first = self.resting_until.iter().min_by_key(|(_, until)| **until);
            if let Some(host) = first.map(|(host, _)| *host) {
                self.resting_until.remove(&host);
            }
        }
    }

    /// TLS with this host works, or it is to be tried whatever was.
    pub(crate) fn forget(&mut self, host: SocketAddr) {
        self.resting_until.remove(&host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u32) -> SocketAddr {
        let [_, a, b, c] = n.to_be_bytes();
        SocketAddr::from(([10, a, b, c], 25))
    }

    #[test]
    fn broken_tls_rests_for_an_hour_or_until_it_works() {
        let (mut broken, now) = (BrokenTls::default(), Instant(0));
        assert!(!broken.rests(now, host(1)));
        broken.failed(now, host(1));
        broken.failed(now, host(2));
        assert!(broken.rests(now, host(1)) && broken.rests(now, host(2)));
        assert!(!broken.rests(now + REST, host(1)));
        broken.forget(host(1));
        assert!(!broken.rests(now, host(1)) && broken.rests(now, host(2)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut broken = BrokenTls::default();
        let most = u32::try_from(MAX_HOSTS).unwrap();
        let at = |n: u32| Instant(0) + Duration::from_millis(u64::from(n));
        for n in 0..most + 2 {
            broken.failed(at(n), host(n));
        }
        assert_eq!(broken.resting_until.len(), MAX_HOSTS);
        let now = at(most + 2);
        assert!(!broken.rests(now, host(0)) && !broken.rests(now, host(1)));
        assert!(broken.rests(now, host(2)) && broken.rests(now, host(most + 1)));
        // Those whose rest is over make room first.
        broken.failed(at(2) + REST, host(most + 2));
        assert!(broken.resting_until.len() <= MAX_HOSTS && broken.rests(now, host(most + 1)));
    }
}
