//! What the operator may set.
//!
//! Plain data. Not here: reading the configuration or any other file.

use crate::hosts::Hosts;
use posthaste_evidence::NameServer;
use posthaste_io::Trust;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The port of DNS (RFC 1035 section 4.2).
pub const DNS_PORT: u16 = 53;

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
    /// Whose word is believed for the certificates of servers that are asked by TLS.
    pub tls_trust: Trust,
    /// Addresses of next hops that the operator names: they go before DNS.
    pub hosts: Arc<Hosts>,
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
            tls_trust: Trust::System,
            hosts: Arc::default(),
            failure_ttl: Duration::from_secs(5),
        }
    }
}
