//! What went wrong last at destinations and next hops that are down: for the ledger, the viewer and notices.

use posthaste_evidence::{Connection, Effect, Fault, Seen, Stage, Subject};
use posthaste_queue::DestinationState;
use posthaste_spool::model::KEPT_ATTEMPTS;
use posthaste_spool::{LedgerEntry, LedgerKey, LedgerValue};
use std::collections::BTreeMap;

/// Everything that is down, by ledger key.
#[derive(Default)]
pub(crate) struct Outages {
    down: BTreeMap<LedgerKey, Outage>,
}

/// One outage.
pub(crate) struct Outage {
    state: DestinationState,
    /// Oldest first, at most [`KEPT_ATTEMPTS`].
    failures: Vec<Connection>,
}

impl Outages {
    /// It is down, or down still: the entry for the ledger.
    pub(crate) fn went_down(
        &mut self,
        key: LedgerKey,
        state: DestinationState,
        failure: Option<Connection>,
    ) -> LedgerEntry {
        let fresh = Outage { state, failures: Vec::new() };
        let outage = self.down.entry(key.clone()).or_insert(fresh);
        outage.state = state;
        outage.failures.extend(failure);
        let over = outage.failures.len().saturating_sub(KEPT_ATTEMPTS);
        outage.failures.drain(..over);
        let value = LedgerValue::Down { state, failures: outage.failures.clone() };
        LedgerEntry { key, value: Some(value) }
    }

    /// As the ledger had it at start.
    pub(crate) fn restore(&mut self, key: LedgerKey, value: LedgerValue) {
        let LedgerValue::Down { state, failures } = value;
        self.down.insert(key, Outage { state, failures });
    }

    /// It works again: the entry for the ledger, if it had one.
    pub(crate) fn recovered(&mut self, key: LedgerKey) -> Option<LedgerEntry> {
        self.down.remove(&key).map(|_| posthaste_spool::store::forget(key))
    }

    /// The connections that failed last, oldest first.
    pub(crate) fn failures(&self, key: &LedgerKey) -> &[Connection] {
        self.down.get(key).map_or(&[], |outage| &outage.failures)
    }

    /// Since when it is down.
    pub(crate) fn state(&self, key: &LedgerKey) -> Option<DestinationState> {
        self.down.get(key).map(|outage| outage.state)
    }
}

/// The fault that a failed connection's record tells: its last blocking observation.
#[must_use]
pub fn fault_of(connection: &Connection) -> Option<Fault> {
    let blocking = connection.observations.iter().rev();
    blocking
        .filter(|o| o.effect == Effect::Blocking)
        .find_map(|o| fault(o.stage, &o.subject, &o.seen))
}

fn fault(stage: Stage, subject: &Subject, seen: &Seen) -> Option<Fault> {
    match (seen, subject) {
        (Seen::ConnectFailed(fault), _) => Some(Fault::Connect(*fault)),
        (Seen::Reply(reply), _) => Some(Fault::Reply { stage, reply: reply.clone() }),
        (Seen::TimedOut { after }, _) => Some(Fault::TimedOut { stage, after: *after }),
        (Seen::Lost { .. }, _) => Some(Fault::Lost { stage }),
        (Seen::Gibberish, _) => Some(Fault::Gibberish { stage }),
        (Seen::Answer(answer), Subject::Question { name, kind, .. }) => {
            Some(Fault::DnsFailed { name: name.clone(), kind: *kind, answer: answer.kind })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{ConnectFault, ConnectionId, Observation};
    use posthaste_mail::Timestamp;
    use std::time::Duration;

    fn failed(id: u64) -> Connection {
        let observation = Observation {
            at: Timestamp::EPOCH,
            took: Duration::ZERO,
            stage: Stage::Connect,
            subject: Subject::Here,
            seen: Seen::ConnectFailed(ConnectFault::Refused),
            effect: Effect::Blocking,
        };
        Connection {
            id: ConnectionId(id),
            destination: "example.org".into(),
            route: "mx".into(),
            at: Timestamp::EPOCH,
            took: Duration::ZERO,
            host: None,
            peer: None,
            local: None,
            observations: vec![observation],
        }
    }

    #[test]
    fn the_last_failures_are_kept_and_tell_the_fault() {
        let mut outages = Outages::default();
        let key = LedgerKey::Destination("example.org mx".into());
        let state = DestinationState {
            since: Timestamp::EPOCH,
            failures: 1,
            next_trial: Timestamp::from_secs(60),
        };
        for id in 0..30 {
            outages.went_down(key.clone(), state, Some(failed(id)));
        }
        let kept = outages.failures(&key);
        assert_eq!((kept.len(), kept[0].id), (KEPT_ATTEMPTS, ConnectionId(10)));
        assert_eq!(fault_of(&kept[0]), Some(Fault::Connect(ConnectFault::Refused)));
        let forgotten = outages.recovered(key.clone()).expect("it was down");
        assert_eq!(forgotten.value, None);
        assert!(outages.recovered(key).is_none(), "said once");
    }
}
