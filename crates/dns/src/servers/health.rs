//! What is known of one server, as operators see it.
//!
//! Not here: how it is learnt (`servers`).

use posthaste_evidence::{AnswerKind, NameServer};
use posthaste_mail::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

/// The most kinds of failure counted apart; more share the last place.
pub const MAX_KINDS: usize = 16;

/// What is known of one server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerHealth {
    /// Where it is asked.
    pub address: SocketAddr,
    /// It is asked by DNS over TLS, and its certificate must be for this name.
    pub tls: Option<String>,
    /// Its AD bit is believed.
    pub trusted: bool,
    /// It is asked only when every server that is no fallback has failed.
    pub fallback: bool,
    /// Questions put to it, health questions included.
    pub asked: u64,
    /// Those it dealt with: answers, and failures that are the name's (SERVFAIL, failed validation).
    pub answered: u64,
    /// How often each kind of inconclusive end came, the first seen first; at most [`MAX_KINDS`].
    pub failures: Vec<(AnswerKind, u64)>,
    /// Its smoothed answering time (RFC 6298 section 2); `None` before the first conclusive answer.
    pub smoothed: Option<Duration>,
    /// Whether it is asked, and when.
    pub state: ServerState,
    /// While it is dead: when it is asked next to see whether it is back.
    pub next_health: Option<Timestamp>,
    /// Its last failure.
    pub last_failure: Option<(Timestamp, AnswerKind)>,
    /// Its last conclusive answer.
    pub last_success: Option<Timestamp>,
    /// It repeats questions in the case they are asked in, as far as is known. When not, it is asked in lower case.
    pub keeps_case: bool,
    /// What it does with EDNS, as far as is known.
    pub edns: EdnsSupport,
    /// Replies and failures that came by TCP.
    pub tcp: u64,
    /// Datagrams from its address that were not the reply waited for: late, or forged.
    pub spoofed: u64,
}

/// Whether a server is asked, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerState {
    /// In its place of the configured order.
    Good,
    /// After others: much slower than the best one, fails now and then, or owes an answer right now.
    Slow,
    /// Not for mail while another one lives; health questions tell when it is back.
    Dead {
        /// Since its first failure.
        since: Timestamp,
        /// What that was.
        cause: AnswerKind,
    },
}

/// What a server does with EDNS (RFC 6891).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EdnsSupport {
    /// Nothing speaks against it.
    Offered,
    /// It answers FORMERR, NOTIMP or BADVERS: left out for a time.
    NotUnderstood,
    /// It stayed silent with EDNS and answered without: something drops it. EDNS is offered all the same.
    Dropped,
}

impl ServerHealth {
    /// Nothing is known yet.
    pub(super) fn unknown(server: &NameServer, fallback: bool) -> Self {
        Self {
            address: server.address,
            tls: server.tls.clone(),
            trusted: server.trusted,
            fallback,
            asked: 0,
            answered: 0,
            failures: Vec::new(),
            smoothed: None,
            state: ServerState::Good,
            next_health: None,
            last_failure: None,
            last_success: None,
            keeps_case: true,
            edns: EdnsSupport::Offered,
            tcp: 0,
            spoofed: 0,
        }
    }

    /// Questions that ended without a conclusive answer.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.iter().map(|(_, count)| count).sum()
    }

    /// It is not asked for mail while another one lives.
    #[must_use]
    pub const fn is_dead(&self) -> bool {
        matches!(self.state, ServerState::Dead { .. })
    }

    pub(super) fn count(&mut self, kind: AnswerKind) {
        let full = self.failures.len() == MAX_KINDS;
        match self.failures.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None if full => self.failures.last_mut().into_iter().for_each(|(_, count)| *count += 1),
            None => self.failures.push((kind, 1)),
        }
    }
}
