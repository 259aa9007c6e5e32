//! The text of a hosts file (hosts(5)): addresses of the next hops that the operator names, and of nobody else.
//!
//! Not here: reading the file (the binary's); whose names may be looked up in it (the settings', by the names they want).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The most octets of it that are read: lists of unwanted hosts come as hosts files too.
pub const MAX_TEXT: u64 = 16 << 20;
/// Addresses of one name.
const MAX_ADDRESSES: usize = 16;

/// Names and their addresses.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hosts {
    names: BTreeMap<String, Vec<IpAddr>>,
}

impl Hosts {
    /// Reads the lines about wanted names, which are in the resolver's form. Lines that cannot be read are passed over.
    #[must_use]
    pub fn read(text: &str, wanted: &BTreeSet<String>) -> Self {
        let mut names: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            // A scoped address cannot be connected to without its interface.
            let Some(Ok(ip)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
                if !wanted.contains(&name) {
                    continue;
                }
                let addresses = names.entry(name).or_default();
                if addresses.len() < MAX_ADDRESSES && !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            }
        }
        Self { names }
    }

    /// The addresses of a name in the resolver's form, in the file's order; `None` when the file does not have it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&[IpAddr]> {
        self.names.get(name).map(Vec::as_slice)
    }

    /// Every name with its addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        self.names.iter().map(|(name, addresses)| (name.as_str(), addresses.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_names_are_kept_in_both_families() {
        let wanted = ["relay.example", "hub", "xn--mnchen-3ya.example"].map(str::to_owned);
        let text = "127.0.0.1 localhost\n# 192.0.2.9 hub\n192.0.2.1\tRelay.example. hub # ours\n\
                    2001:db8::1 relay.example\nfe80::1%eth0 hub\nrelay.example 192.0.2.7\n192.0.2.1 relay.example\n\
                    192.0.2.3 other.example\n\n192.0.2.4\n";
        let hosts = Hosts::read(text, &wanted.into());
        let found = |name: &str| {
            hosts.find(name).map(|ips| ips.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(found("relay.example"), Some(vec!["192.0.2.1".into(), "2001:db8::1".into()]));
        assert_eq!(found("hub"), Some(vec!["192.0.2.1".into()]));
        for name in ["localhost", "other.example", "xn--mnchen-3ya.example"] {
            assert_eq!(found(name), None, "{name}");
        }
        assert_eq!(hosts.iter().count(), 2);
    }
}
