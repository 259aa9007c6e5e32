//! The story of a recipient: its own attempts, and the trials of its destination that it waited for, merged by time.

use crate::last::{LastTried, of_connection};
use crate::{Inner, destination, lock};
use posthaste_mail::{Envelope, Timestamp};
use posthaste_route::Facts;
use posthaste_spool::History;

/// What notices tell of the past of a recipient.
#[derive(Clone, Default)]
pub(crate) struct Timeline {
    /// The tries that are remembered, oldest first.
    pub(crate) tries: Vec<LastTried>,
    /// The last that concerned it; of a destination that is down also when that was before the message came.
    pub(crate) last: Option<LastTried>,
    /// Tries in all; at least so many.
    pub(crate) attempts: u32,
}

impl Inner {
    /// `own`: the attempts of its own that its state counts.
    pub(crate) fn timeline(
        &self,
        envelope: &Envelope,
        recipient: u32,
        history: &History,
        own: u32,
    ) -> Timeline {
        let mut tries = self.trials_since(envelope, recipient, envelope.received);
        tries.extend(own_tries(recipient, history));
        tries.sort_by_key(|tried| tried.at);
        let last = self.last_tried(envelope, recipient, history);
        let attempts = own.saturating_add(self.trials(envelope, recipient));
        Timeline { tries, last, attempts }
    }

    /// The trials of a recipient's destination, and of the hosts for which that waits, that are remembered.
    fn trials_since(
        &self,
        envelope: &Envelope,
        recipient: u32,
        since: Timestamp,
    ) -> Vec<LastTried> {
        if Facts::of(envelope, recipient).is_none() {
            return Vec::new();
        }
        let to = destination::of(&self.routes(), envelope, recipient);
        let key = destination::ledger_key(&to.name, &to.route);
        let outages = lock(&self.outages);
        let trials = outages.failures_since(&key, since);
        trials.into_iter().filter_map(|trial| of_connection(trial, recipient)).collect()
    }
}

impl Timeline {
    /// With one more try of its own, which has just ended and is counted.
    pub(crate) fn and(mut self, tried: LastTried) -> Self {
        self.last = Some(tried.clone());
        self.tries.push(tried);
        self
    }
}

/// A recipient's own attempts that are remembered, oldest first.
pub(crate) fn own_tries(
    recipient: u32,
    history: &History,
) -> impl DoubleEndedIterator<Item = LastTried> {
    history.attempts.iter().filter_map(move |attempt| {
        let result = attempt.results.iter().find(|r| r.recipient == recipient)?;
        let connection = history.connections.iter().find(|c| Some(c.id) == attempt.connection);
        Some(LastTried {
            at: attempt.at,
            host: connection.and_then(|c| c.host.clone()),
            peer: connection.and_then(|c| c.peer),
            result: result.clone(),
        })
    })
}
