//! What the dispatcher may be told. Plain data.

use crate::notice::StrangerLimits;
use posthaste_message::dkim::Keyring;
use posthaste_message::dsn;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often a stopping agent looks whether connections have ended.
pub(crate) const STOP_POLL: Duration = Duration::from_millis(20);

/// How long just accepted content stays in memory when it is not tried.
pub(crate) const FRESH_FOR: Duration = Duration::from_secs(60);

/// Of the time that a stop may take, what is kept for settling what is cut off.
pub(crate) const STOP_SETTLES: Duration = Duration::from_secs(2);

/// How mail is moved out. One `Arc` of it is taken per connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who sends notices, and in which words.
    pub sender: dsn::Sender,
    /// The domains of ours, as A-labels in lower case: senders in them are told of delays.
    pub own_domains: Arc<BTreeSet<String>>,
    /// What separates a user of ours from a detail, as in `user+detail`.
    pub delimiter: Option<char>,
    /// Who was told of a delay is told when the mail is delivered after all.
    pub all_clear: bool,
    /// How many notices strangers are sent.
    pub strangers: StrangerLimits,
    /// How long a failure notice waits at most for the probes into its failure.
    pub probe_wait: Duration,
    /// Recipients in one transaction (RFC 5321 section 4.5.3.1.8 lets every host take 100).
    pub recipients_per_transaction: usize,
    /// How long a connection without work is kept.
    pub idle_line: Duration,
    /// Octets of just accepted content kept in memory for delivery; beyond that it is read from the store.
    pub fresh_budget: usize,
    /// What would fail for good is deferred instead, for the first days of a server; the attempt keeps what was
    /// really said. Expiry ends mail all the same.
    pub soft_fail: bool,
    /// How long is waited before a domain that DNS says is missing is given up.
    pub patience: posthaste_queue::belief::Patience,
    /// Who signs our notices (DKIM).
    pub dkim: Arc<Keyring>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sender: dsn::Sender::default(),
            own_domains: Arc::default(),
            delimiter: None,
            all_clear: false,
            strangers: StrangerLimits::default(),
            probe_wait: Duration::from_secs(60),
            recipients_per_transaction: 100,
            idle_line: Duration::from_secs(2),
            fresh_budget: 16 * 1024 * 1024,
            soft_fail: false,
            patience: posthaste_queue::belief::Patience::default(),
            dkim: Arc::default(),
        }
    }
}
