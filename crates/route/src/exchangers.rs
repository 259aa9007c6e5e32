//! Mail exchangers in the order of RFC 5321 section 5.1, read from the records of an MX answer.
//!
//! Not here: their addresses (`plan`).

use crate::domain::{address_in_text, to_dns};
use posthaste_evidence::{Record, RecordData};
use std::collections::BTreeMap;

/// The most exchangers considered for one domain; worse ones are never tried.
pub const MAX_EXCHANGERS: usize = 20;

/// One host of an MX list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchanger {
    /// Its name as DNS is asked for it.
    pub host: String,
    /// Lower is tried first.
    pub preference: u16,
}

/// What an MX list says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Exchangers {
    /// There is no MX record.
    None,
    /// The domain accepts no mail (RFC 7505 section 3).
    Null,
    /// These hosts, in the order to try; at most [`MAX_EXCHANGERS`]. Empty when every record names something
    /// that is no host: an address in text, or the root beside others.
    Hosts(Vec<Exchanger>),
    /// Our own host is in the list, and none of a better preference is: nothing is left to send to.
    OnlyOurselves {
        /// Our own name as the list has it.
        name: String,
    },
    /// Our own host is in the list; these are of a better preference. Never empty.
    BetterThanOurselves {
        /// Our own name as the list has it.
        name: String,
        /// In the order to try.
        hosts: Vec<Exchanger>,
    },
}

/// Reads an MX list. `is_ours` tells our own names; `seed` decides the order among equal preferences.
#[must_use]
pub fn read(records: &[Record], is_ours: impl Fn(&str) -> bool, seed: u64) -> Exchangers {
    let listed: Vec<(&str, u16)> = records.iter().filter_map(exchange).collect();
    if listed.is_empty() {
        return Exchangers::None;
    }
    if listed.iter().all(|(host, _)| host.is_empty()) {
        return Exchangers::Null;
    }
    let mut hosts = usable(&listed);
    let ours = hosts.iter().filter(|e| is_ours(&e.host)).min_by_key(|e| e.preference).cloned();
    if let Some(ours) = &ours {
        hosts.retain(|e| e.preference < ours.preference);
    }
    hosts.sort_by_cached_key(|e| (e.preference, lot(seed, &e.host)));
    hosts.truncate(MAX_EXCHANGERS);
    match ours {
        None => Exchangers::Hosts(hosts),
        Some(ours) if hosts.is_empty() => Exchangers::OnlyOurselves { name: ours.host },
        Some(ours) => Exchangers::BetterThanOurselves { name: ours.host, hosts },
    }
}

fn exchange(record: &Record) -> Option<(&str, u16)> {
    match &record.data {
        RecordData::Mx { preference, exchange } => Some((exchange, *preference)),
        _ => None,
    }
}

/// Each host once, with its best preference, without what is no host name.
fn usable(listed: &[(&str, u16)]) -> Vec<Exchanger> {
    let mut best: BTreeMap<String, u16> = BTreeMap::new();
    for (host, preference) in listed {
        if address_in_text(host).is_some() {
            continue;
        }
        if let Some(host) = to_dns(host) {
            let known = best.entry(host).or_insert(*preference);
            *known = (*known).min(*preference);
        }
    }
    best.into_iter().map(|(host, preference)| Exchanger { host, preference }).collect()
}

/// The lot a host draws: uniform over seeds, and the same however often and in whatever order it is asked
/// for (FNV-1a of the name, finished by the mixer of SplitMix64).
pub(crate) fn lot(seed: u64, host: &str) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325_u64;
    let name = host.bytes().fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut z = name.wrapping_add(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mx(list: &[(u16, &str)]) -> Vec<Record> {
        let record = |&(preference, exchange): &(u16, &str)| Record {
            name: "example.org".into(),
            ttl: 300,
            data: RecordData::Mx { preference, exchange: exchange.into() },
        };
        list.iter().map(record).collect()
    }

    fn names(found: &Exchangers) -> Vec<&str> {
        match found {
            Exchangers::Hosts(hosts) | Exchangers::BetterThanOurselves { hosts, .. } => {
                hosts.iter().map(|e| e.host.as_str()).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn lists_are_read_as_the_rfcs_say() {
        let ours = |name: &str| name == "us.example";
        let only = Exchangers::OnlyOurselves { name: "us.example".into() };
        assert_eq!(read(&mx(&[]), ours, 1), Exchangers::None);
        assert_eq!(read(&mx(&[(0, "")]), ours, 1), Exchangers::Null);
        assert_eq!(read(&mx(&[(10, "")]), ours, 1), Exchangers::Null);
        assert_eq!(read(&mx(&[(10, "us.example"), (20, "b")]), ours, 1), only);
        assert_eq!(read(&mx(&[(10, "us.example"), (10, "b")]), ours, 1), only);
        for (list, expected) in [
            (vec![(20, "b"), (10, "a")], vec!["a", "b"]),
            (vec![(0, ""), (10, "a")], vec!["a"]),
            (vec![(20, "a"), (10, "a"), (15, "b")], vec!["a", "b"]),
            (vec![(10, "192.0.2.5"), (20, "a")], vec!["a"]),
            (vec![(10, "192.0.2.5")], vec![]),
            (vec![(5, "a"), (10, "us.example"), (10, "b"), (30, "c")], vec!["a"]),
        ] {
            assert_eq!(names(&read(&mx(&list), ours, 1)), expected, "{list:?}");
        }
    }

    #[test]
    fn our_own_host_is_seen_beyond_the_limit_of_hosts_too() {
        let hosts: Vec<String> = (0..40).map(|i| format!("mx{i}.example")).collect();
        let list: Vec<(u16, &str)> = (0u16..).zip(hosts.iter().map(String::as_str)).collect();
        let found = read(&mx(&list), |name| name == "mx30.example", 1);
        assert!(
            matches!(&found, Exchangers::BetterThanOurselves { name, .. } if name == "mx30.example")
        );
        assert_eq!(names(&found).len(), MAX_EXCHANGERS);
        assert_eq!(names(&found)[0], "mx0.example");
    }

    #[test]
    fn equal_preference_is_shuffled_fairly_and_repeatably() {
        let list =
            mx(&[(10, "a.example"), (10, "b.example"), (10, "c.example"), (20, "z.example")]);
        let mut first = BTreeMap::new();
        for seed in 0..3000 {
            let found = read(&list, |_| false, seed);
            assert_eq!(found, read(&list, |_| false, seed));
            assert_eq!(names(&found)[3], "z.example");
            *first.entry(names(&found)[0].to_owned()).or_insert(0) += 1;
        }
        assert!(first.values().all(|&n| (800..1200).contains(&n)), "{first:?}");
    }
}
