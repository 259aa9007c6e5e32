//! What delivery may be told. Plain data; parsed and explained by the configuration of the binary.

use posthaste_evidence::Keep;
use std::net::IpAddr;
use std::time::Duration;

/// How attempts are made. One `Arc` of it is taken per attempt: a reload never changes one under way.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What we say in EHLO: a fully qualified name (RFC 5321 section 2.3.5).
    pub hostname: String,
    /// Our own addresses: an MX that points at one of them is ourselves.
    pub own_addresses: Vec<IpAddr>,
    /// The longest to wait for one TCP connect.
    pub connect_limit: Duration,
    /// The wait before the next address of the same preference is dialled beside one that does not answer.
    pub stagger: Duration,
    /// The wait before a host of worse preference is dialled beside one that does not answer.
    pub stagger_worse: Duration,
    /// Hosts that may be connected to in one attempt.
    pub hosts_per_attempt: usize,
    /// How long to wait for each reply (RFC 5321 section 4.5.3.2).
    pub timeouts: posthaste_smtp::client::Timeouts,
    /// The longest that one attempt may take, connection included.
    pub attempt_limit: Duration,
    /// Which connections go to the session log.
    pub sessions: Keep,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hostname: "localhost".into(),
            own_addresses: Vec::new(),
            connect_limit: Duration::from_secs(20),
            stagger: Duration::from_millis(500),
            stagger_worse: Duration::from_secs(2),
            hosts_per_attempt: 10,
            timeouts: posthaste_smtp::client::Timeouts::default(),
            attempt_limit: Duration::from_secs(3600),
            sessions: Keep::default(),
        }
    }
}
