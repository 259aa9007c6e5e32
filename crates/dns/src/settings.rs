//! What the operator may set, and the servers that the system has configured.
//!
//! Plain data. Not here: reading the configuration or any other file.

use posthaste_evidence::NameServer;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

/// The port of DNS (RFC 1035 section 4.2).
pub const DNS_PORT: u16 = 53;
/// The most servers taken from the system's configuration (resolv.conf(5), MAXNS).
pub const MAX_SYSTEM_SERVERS: usize = 3;

/// How questions are asked, and how long answers are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Recursive servers, the preferred one first; at most 16 are used. With none, every question fails.
    pub servers: Vec<NameServer>,
    /// Recursive servers asked only when every one of `servers` has failed; at most 16 are used.
    pub fallback: Vec<NameServer>,
    /// Servers of the root zone, where walking begins. With none, nothing is walked.
    pub roots: Vec<SocketAddr>,
    /// The longest one server may take for one question.
    pub try_limit: Duration,
    /// After this long without an answer the next server is asked as well.
    pub race_after: Duration,
    /// The longest for one question in all, aliases included.
    pub total_limit: Duration,
    /// How many answers are kept.
    pub cache_entries: usize,
    /// How many octets they may take, about.
    pub cache_octets: usize,
    /// Answers are kept at least this long, whatever their TTL says.
    pub min_ttl: Duration,
    /// Answers with records are kept at most this long.
    pub max_ttl: Duration,
    /// Answers without records are kept at most this long (RFC 2308 section 5).
    pub max_negative_ttl: Duration,
    /// Answers with records may be used for so long past their TTL when no server answers (RFC 8767 section 5).
    pub stale_for: Duration,
    /// How often a server that does not answer is asked the same question: a datagram may be lost.
    pub tries: usize,
    /// Servers of equal standing are asked in turn, instead of the best one first.
    pub rotate: bool,
    /// UDP is not used.
    pub tcp_only: bool,
    /// Failures are kept this long (RFC 9520 section 3.2); more than 30 s counts as 30 s.
    pub failure_ttl: Duration,
}

impl Settings {
    /// Whether the AD bit of the server at this address is believed: every entry for it is marked as trusted, or it is
    /// on loopback (RFC 6698 section 10.1).
    #[must_use]
    pub fn trusts(&self, server: SocketAddr) -> bool {
        let mut entries = self.named(server).peekable();
        let named = entries.peek().is_some();
        named && (server.ip().is_loopback() || entries.all(|entry| entry.trusted))
    }

    /// Whether the server at this address is one of the fallback list only.
    #[must_use]
    pub fn is_fallback(&self, server: SocketAddr) -> bool {
        !self.servers.iter().any(|known| known.address == server)
            && self.fallback.iter().any(|known| known.address == server)
    }

    fn named(&self, server: SocketAddr) -> impl Iterator<Item = &NameServer> {
        self.servers.iter().chain(&self.fallback).filter(move |known| known.address == server)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            fallback: Vec::new(),
            roots: Vec::new(),
            try_limit: Duration::from_secs(3),
            race_after: Duration::from_millis(300),
            total_limit: Duration::from_secs(20),
            cache_entries: 20_000,
            cache_octets: 32 * 1024 * 1024,
            min_ttl: Duration::from_secs(5),
            max_ttl: Duration::from_secs(86_400),
            max_negative_ttl: Duration::from_secs(900),
            stale_for: Duration::from_secs(86_400),
            tries: 2,
            rotate: false,
            tcp_only: false,
            failure_ttl: Duration::from_secs(5),
        }
    }
}

/// The servers that the text of a `resolv.conf` names, in order, at most [`MAX_SYSTEM_SERVERS`].
///
/// When it names none, the one on this machine, as resolv.conf(5) says. Scoped addresses (`fe80::1%eth0`)
/// are left out: a scope's number cannot be known from the text.
#[must_use]
pub fn system_servers(text: &str) -> Vec<SocketAddr> {
    let servers = text.lines().filter_map(name_server).take(MAX_SYSTEM_SERVERS);
    let mut servers: Vec<SocketAddr> = servers.map(|ip| SocketAddr::new(ip, DNS_PORT)).collect();
    if servers.is_empty() {
        servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT));
    }
    servers
}

fn name_server(line: &str) -> Option<IpAddr> {
    let mut words = line.split_whitespace();
    (words.next()? == "nameserver").then(|| words.next()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_servers_are_found() {
        let local = ["127.0.0.1:53"].as_slice();
        for (text, expected) in [
            (
                "nameserver 192.0.2.1\nnameserver 2001:db8::1\n",
                &["192.0.2.1:53", "[2001:db8::1]:53"][..],
            ),
            ("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nsearch example.org\n", local),
            ("", local),
            ("nameserver\nnameserver x\n nameserver\t192.0.2.3 # ours\n", &["192.0.2.3:53"]),
            ("nameserver fe80::1%eth0\nnameserver 192.0.2.4", &["192.0.2.4:53"]),
            (
                "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
                &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
            ),
        ] {
            let expected: Vec<SocketAddr> = expected.iter().map(|t| t.parse().unwrap()).collect();
            assert_eq!(system_servers(text), expected, "{text}");
        }
    }
}
