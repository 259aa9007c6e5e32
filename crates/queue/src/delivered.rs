//! The domains that mail was delivered to lately, at day granularity: one that vanishes is another thing than one that
//! never was.
//!
//! Compact: eight octets a domain, a hash of its name and a day. Two names with one hash are taken for each other,
//! which costs a bounce of a mistyped domain a day and no mail. Pure. Not here: when it counts (`belief`).

use posthaste_mail::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A delivery counts for so long.
pub const COUNTS_FOR: Duration = Duration::from_secs(30 * 86_400);
/// Domains are kept in so many parts; each is written whole when one of its domains is noted.
pub const PARTS: u16 = 4096;
/// The most domains of one part; of more, those delivered to longest ago are forgotten.
pub const MAX_IN_PART: usize = 256;
/// Names kept to be asked for as ones that are known to exist.
pub const MAX_NAMES: usize = 8;

const HASH_BITS: u32 = 48;
const DAYS: u64 = 30;

/// All domains that mail was delivered to in the last 30 days, at most [`PARTS`] x [`MAX_IN_PART`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delivered {
    parts: BTreeMap<u16, Vec<u64>>,
    /// The newest first.
    names: VecDeque<(u64, String)>,
}

/// One part of them, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Part {
    /// The domain that was noted last, in the form in which DNS is asked for it.
    pub name: String,
    /// Each: 48 bits of the name's hash, then 16 of the day since 1970.
    pub domains: Vec<u64>,
}

impl Delivered {
    /// Mail was delivered to a domain. Answers the part to be stored, when it is the first time today.
    pub fn note(&mut self, domain: &str, now: Timestamp) -> Option<(u16, Part)> {
        let (place, hash) = place(domain);
        let today = day(now);
        let part = self.parts.entry(place).or_default();
        if part.contains(&entry(hash, today)) {
            return None;
        }
        part.retain(|e| *e >> 16 != hash && is_recent(*e, today));
        if part.len() >= MAX_IN_PART
            && let Some(oldest) = (0..part.len()).min_by_key(|n| part[*n] & 0xffff)
        {
            part.swap_remove(oldest);
        }
        part.push(entry(hash, today));
        let stored = Part { name: domain.to_owned(), domains: part.clone() };
        self.name(today, domain);
        Some((place, stored))
    }

    /// A part as it was stored.
    pub fn restore(&mut self, place: u16, part: Part, now: Timestamp) {
        let today = day(now);
        let newest = part.domains.iter().map(|e| e & 0xffff).max().unwrap_or(0);
        let recent = part.domains.into_iter().filter(|e| is_recent(*e, today)).take(MAX_IN_PART);
        let recent: Vec<u64> = recent.collect();
        if place < PARTS && !recent.is_empty() {
            self.parts.insert(place, recent);
            self.name(newest, &part.name);
        }
    }

    /// Mail was delivered to it in the last 30 days.
    #[must_use]
    pub fn has(&self, domain: &str, now: Timestamp) -> bool {
        let (place, hash) = place(domain);
        let today = day(now);
        let part = self.parts.get(&place).map_or(&[][..], Vec::as_slice);
        part.iter().any(|e| *e >> 16 == hash && is_recent(*e, today))
    }

    /// Some of them by name, the newest first, at most [`MAX_NAMES`].
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(_, name)| name.as_str())
    }

    fn name(&mut self, day: u64, name: &str) {
        self.names.retain(|(_, known)| known != name);
        let place = self.names.partition_point(|(d, _)| *d > day);
        self.names.insert(place, (day, name.to_owned()));
        self.names.truncate(MAX_NAMES);
    }
}

const fn entry(hash: u64, day: u64) -> u64 {
    hash << 16 | day
}

const fn is_recent(entry: u64, today: u64) -> bool {
    today.saturating_sub(entry & 0xffff) <= DAYS
}

/// Days since 1970; the last one that can be told is in 2149.
fn day(now: Timestamp) -> u64 {
    let seconds = now.as_micros() / 1_000_000;
    u64::try_from(seconds / 86_400).unwrap_or(0).min(u64::from(u16::MAX))
}

/// The part a name belongs to, and the rest of its hash: FNV-1a, finished by the mixer of SplitMix64. Stored, so it
/// stays what it is.
fn place(domain: &str) -> (u16, u64) {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let name = domain.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut z = name;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    let place = (z >> HASH_BITS) % u64::from(PARTS);
    (u16::try_from(place).unwrap_or(0), z & ((1 << HASH_BITS) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 / 86_400 * 86_400 + day * 86_400 + 7)
    }

    #[test]
    fn a_domain_is_noted_once_a_day_and_counts_for_thirty() {
        let mut delivered = Delivered::default();
        assert!(!delivered.has("a.example", at(0)));
        let (place, part) = delivered.note("a.example", at(0)).expect("the first today");
        assert_eq!((part.name.as_str(), part.domains.len()), ("a.example", 1));
        assert_eq!(delivered.note("a.example", at(0)), None);
        let mut again = Delivered::default();
        again.restore(place, part.clone(), at(1));
        for known in [&delivered, &again] {
            assert!(known.has("a.example", at(30)) && !known.has("a.example", at(31)));
            assert!(!known.has("b.example", at(0)));
            assert_eq!(known.names().collect::<Vec<_>>(), ["a.example"]);
        }
        let (same, later) = delivered.note("a.example", at(9)).expect("the first that day");
        assert_eq!((same, later.domains.len()), (place, 1), "one entry a domain");
        assert!(delivered.has("a.example", at(39)));
        let mut late = Delivered::default();
        late.restore(place, part, at(31));
        assert_eq!(late, Delivered::default(), "what no longer counts is not kept");
    }

    #[test]
    fn a_part_is_bounded_and_the_oldest_go_first() {
        let (part, _) = place("new.example");
        let today = day(at(9));
        let full = (0..256).map(|n| entry(n, if n == 77 { today - 9 } else { today - 1 }));
        let mut delivered = Delivered::default();
        let stored = Part { name: "old.example".into(), domains: full.collect() };
        delivered.restore(part, stored, at(9));
        let (same, stored) = delivered.note("new.example", at(9)).expect("the first today");
        assert_eq!((same, stored.domains.len()), (part, MAX_IN_PART));
        assert!(!stored.domains.contains(&entry(77, today - 9)), "the oldest is gone");
        assert!(delivered.has("new.example", at(9)));
        for n in 0..20 {
            delivered.note(&format!("n{n}.example"), at(10));
        }
        assert_eq!(delivered.names().count(), MAX_NAMES);
        assert_eq!(delivered.names().next(), Some("n19.example"));
    }

    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(place("example.org"), HASHED);
    }

    /// Of spools that exist.
    const HASHED: (u16, u64) = (3474, 263_042_612_659_375);
}
