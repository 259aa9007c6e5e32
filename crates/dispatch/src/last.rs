//! What really stood in a recipient's way last: its own last attempt, or what its destination last came to.

use crate::outages::fault_of;
use crate::timeline::own_tries;
use crate::{Dispatch, Inner, destination, lock};
use posthaste_evidence::{Connection, Fault, Outcome, RecipientResult};
use posthaste_mail::{Envelope, Timestamp};
use posthaste_route::Facts;
use posthaste_spool::{History, LedgerKey};
use std::net::SocketAddr;

/// The last try that concerned a recipient.
#[derive(Clone, PartialEq, Debug)]
pub struct LastTried {
    /// When it began.
    pub at: Timestamp,
    /// The host's name, when one was reached.
    pub host: Option<String>,
    /// Its endpoint.
    pub peer: Option<SocketAddr>,
    /// What it came to.
    pub result: RecipientResult,
}

impl Dispatch {
    /// The last try that concerned a recipient, whichever is later: its own attempt in `history`, or its
    /// destination's, while that is down.
    #[must_use]
    pub fn last_tried(
        &self,
        envelope: &Envelope,
        recipient: u32,
        history: &History,
    ) -> Option<LastTried> {
        self.inner.last_tried(envelope, recipient, history)
    }

    /// Trials of a recipient's destination since the message was accepted, which concern it too; at least so many. What
    /// the queue viewer shows and what notices say.
    #[must_use]
    pub fn trials(&self, envelope: &Envelope, recipient: u32) -> u32 {
        self.inner.trials(envelope, recipient)
    }

    /// The last fault of a destination that is down.
    #[must_use]
    pub fn last_fault(&self, name: &str, route: &str) -> Option<LastTried> {
        self.inner.last_of_destination(&destination::ledger_key(name, route), 0)
    }
}

impl Inner {
    pub(crate) fn last_tried(
        &self,
        envelope: &Envelope,
        recipient: u32,
        history: &History,
    ) -> Option<LastTried> {
        Facts::of(envelope, recipient)?;
        let to = destination::of(&self.routes(), envelope, recipient);
        let key = destination::ledger_key(&to.name, &to.route);
        let theirs = self.last_of_destination(&key, recipient);
        match (own_tries(recipient, history).next_back(), theirs) {
            (Some(own), Some(theirs)) => Some(if theirs.at > own.at { theirs } else { own }),
            (own, theirs) => own.or(theirs),
        }
    }

    /// See [`Dispatch::trials`].
    pub(crate) fn trials(&self, envelope: &Envelope, recipient: u32) -> u32 {
        if Facts::of(envelope, recipient).is_none() {
            return 0;
        }
        let to = destination::of(&self.routes(), envelope, recipient);
        let key = destination::ledger_key(&to.name, &to.route);
        let outages = lock(&self.outages);
        let kept = outages.failures_since(&key, envelope.received).len();
        let host = outages.failures(&key).last().and_then(blamed).and_then(|(_, peer)| peer);
        let keys = [Some(key), host.map(LedgerKey::NextHop)];
        let states = keys.iter().flatten().filter_map(|key| outages.state(key));
        let counted = states.filter(|s| s.since >= envelope.received).map(|s| s.failures);
        counted.max().unwrap_or(0).max(u32::try_from(kept).unwrap_or(u32::MAX))
    }

    fn last_of_destination(&self, key: &LedgerKey, recipient: u32) -> Option<LastTried> {
        let outages = lock(&self.outages);
        outages.last_failure(key).and_then(|connection| of_connection(connection, recipient))
    }
}

pub(crate) fn of_connection(connection: &Connection, recipient: u32) -> Option<LastTried> {
    let fault = fault_of(connection)?;
    let reply = match &fault {
        Fault::Reply { reply, .. } => Some(reply.clone()),
        _ => None,
    };
    let host = blamed(connection);
    Some(LastTried {
        at: connection.at,
        host: host.as_ref().map(|(name, _)| name.clone()),
        peer: host.and_then(|(_, peer)| peer),
        result: RecipientResult {
            recipient,
            outcome: Outcome::Deferred,
            reply,
            fault: Some(fault),
        },
    })
}

/// The host that the last blocking observation is about.
fn blamed(connection: &Connection) -> Option<(String, Option<SocketAddr>)> {
    let blocking = posthaste_evidence::Effect::Blocking;
    let last = connection.observations.iter().rev().find(|o| o.effect == blocking)?;
    match &last.subject {
        posthaste_evidence::Subject::Host { name, address } => Some((name.clone(), *address)),
        _ => None,
    }
}
