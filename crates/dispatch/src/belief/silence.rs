//! Zones whose servers were all silent a moment ago: walking to them again would only cost time.
//!
//! Meanwhile the rule for domains that cannot be walked to holds, whose two proofs lie further apart than this is
//! remembered (`queue::belief`): at one of them the zone is asked again.

use posthaste_io::Instant;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How long a zone is left alone.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Zones remembered; of more, the one that was silent longest ago is forgotten.
const MAX_ZONES: usize = 1_000;

/// The zones.
#[derive(Default)]
pub(super) struct Silence {
    /// Of the walks that found it.
    roots: Vec<SocketAddr>,
    zones: BTreeMap<String, Instant>,
}

impl Silence {
    /// A walk to `name` would end in a zone that is silent.
    pub(super) fn covers(&mut self, roots: &[SocketAddr], name: &str, now: Instant) -> bool {
        if self.roots != roots {
            return false;
        }
        let mut at = name;
        loop {
            if self.zones.get(at).is_some_and(|since| now - *since < REMEMBERED) {
                return true;
            }
            match at.split_once('.') {
                Some((_, above)) => at = above,
                None if at.is_empty() => return false,
                None => at = "",
            }
        }
    }

    /// Every server of the zone was silent.
    pub(super) fn note(&mut self, roots: &[SocketAddr], zone: String, now: Instant) {
        if self.roots != roots {
            roots.clone_into(&mut self.roots);
            self.zones.clear();
        }
        self.zones.insert(zone, now);
        if self.zones.len() > MAX_ZONES {
            let oldest = self.zones.iter().min_by_key(|(_, at)| **at).map(|(zone, _)| zone.clone());
            oldest.and_then(|zone| self.zones.remove(&zone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_zone_covers_what_is_below_it_for_a_while() {
        let (roots, others) = ([([192, 0, 2, 1], 53).into()], [([192, 0, 2, 2], 53).into()]);
        let begin = Instant(1);
        for (zone, name, after, covered) in [
            ("", "typo.test", 299, true),
            ("", "typo.test", 300, false),
            ("hostile.test", "x.hostile.test", 0, true),
            ("hostile.test", "hostile.test", 0, true),
            ("hostile.test", "test", 0, false),
            ("hostile.test", "nothostile.test", 0, false),
        ] {
            let mut silence = Silence::default();
            silence.note(&roots, zone.to_owned(), begin);
            let now = begin + Duration::from_secs(after);
            assert_eq!(silence.covers(&roots, name, now), covered, "{zone} {name} {after}");
            assert!(!silence.covers(&others, name, now), "other roots are other servers");
            silence.note(&others, "other".into(), now);
            assert!(!silence.covers(&roots, name, now));
        }
        let mut silence = Silence::default();
        for n in 0..=MAX_ZONES {
            silence.note(&roots, format!("z{n}.test"), Instant(n as u64));
        }
        assert!(!silence.covers(&roots, "z0.test", Instant(0)));
        assert!(silence.covers(&roots, "z1.test", Instant(0)));
    }
}
