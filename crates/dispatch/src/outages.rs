//! What went wrong last at destinations and next hops that are down: for the ledger, the viewer and notices.

use crate::destination::ledger_key;
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    AnswerKind, ConnectFault, Connection, Effect, Fault, LoginFault, Observation, Seen, Stage,
    Subject,
};
use posthaste_mail::Timestamp;
use posthaste_queue::DestinationState;
use posthaste_spool::model::KEPT_ATTEMPTS;
use posthaste_spool::{LedgerEntry, LedgerKey, LedgerValue, thin};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Destinations whose last failures are remembered; beyond that the first in order are forgotten.
const MAX_REMEMBERED: usize = 20_000;

/// Everything that is down, by ledger key, and the failures that led to it.
#[derive(Default)]
pub(crate) struct Outages {
    down: BTreeMap<LedgerKey, DestinationState>,
    /// Oldest first, at most [`KEPT_ATTEMPTS`] each. A destination has them also when it is not down itself,
    /// but all its hosts are.
    failures: BTreeMap<LedgerKey, Vec<Connection>>,
    /// Destinations that were not tried themselves since these hosts of theirs, which others share, are down.
    behind: BTreeMap<LedgerKey, Vec<SocketAddr>>,
}

impl Outages {
    /// A connection did not come about.
    pub(crate) fn remember(&mut self, key: &LedgerKey, failure: Connection) {
        let failures = self.failures.entry(key.clone()).or_default();
        let like = |one: &Connection, other: &Connection| match (fault_of(one), fault_of(other)) {
            (Some(one), Some(other)) => one.is_like(&other),
            _ => false,
        };
        thin::remember(failures, failure, KEPT_ATTEMPTS, |_| 0, like);
        if self.failures.len() > MAX_REMEMBERED {
            self.failures.pop_first();
        }
    }

    /// It waits for hosts that rest.
    pub(crate) fn waits_behind(&mut self, key: LedgerKey, hosts: &[SocketAddr]) {
        self.behind.insert(key, hosts.to_vec());
        if self.behind.len() > MAX_REMEMBERED {
            self.behind.pop_first();
        }
    }

    /// What failed last at a destination, or at a host that it shares and waits for, whichever is later.
    pub(crate) fn last_failure(&self, key: &LedgerKey) -> Option<&Connection> {
        let hosts = self.behind.get(key).map_or(&[][..], Vec::as_slice);
        let theirs = hosts.iter().filter_map(|h| self.failures(&LedgerKey::NextHop(*h)).last());
        self.failures(key).last().into_iter().chain(theirs).max_by_key(|failure| failure.at)
    }

    /// What failed there, and at the hosts that it shares and waits for, from this time on; each connection once, oldest
    /// first.
    pub(crate) fn failures_since(&self, key: &LedgerKey, since: Timestamp) -> Vec<&Connection> {
        let hosts = self.behind.get(key).map_or(&[][..], Vec::as_slice);
        let theirs = hosts.iter().flat_map(|host| self.failures(&LedgerKey::NextHop(*host)));
        let all = self.failures(key).iter().chain(theirs).filter(|failure| failure.at >= since);
        let once: BTreeMap<_, _> = all.map(|failure| ((failure.at, failure.id), failure)).collect();
        once.into_values().collect()
    }

    /// It is down, or down still: the entry for the ledger.
    pub(crate) fn went_down(&mut self, key: LedgerKey, state: DestinationState) -> LedgerEntry {
        self.down.insert(key.clone(), state);
        let failures = self.failures(&key).to_vec();
        LedgerEntry { key, value: Some(LedgerValue::Down { state, failures }) }
    }

    /// As the ledger had it at start. What failed at a host is its destination's story as well.
    pub(crate) fn restore(&mut self, key: LedgerKey, value: LedgerValue) {
        let LedgerValue::Down { state, failures } = value else { return };
        for failure in failures {
            if matches!(key, LedgerKey::NextHop(_)) {
                let theirs = ledger_key(&failure.destination, &failure.route);
                self.remember(&theirs, failure.clone());
            }
            self.remember(&key, failure);
        }
        self.down.insert(key, state);
    }

    /// It works again: the entry for the ledger, if it had one.
    pub(crate) fn recovered(&mut self, key: LedgerKey) -> Option<LedgerEntry> {
        self.failures.remove(&key);
        self.behind.remove(&key);
        self.down.remove(&key).map(|_| posthaste_spool::store::forget(key))
    }

    /// The connections that failed last, oldest first.
    pub(crate) fn failures(&self, key: &LedgerKey) -> &[Connection] {
        self.failures.get(key).map_or(&[], Vec::as_slice)
    }

    /// Hosts that are down and failed last on a route that fits.
    pub(crate) fn hosts_down(&self, fits: impl Fn(&str) -> bool) -> Vec<SocketAddr> {
        let host = |key: &LedgerKey| match key {
            LedgerKey::NextHop(host) => Some((*host, self.failures(key).last()?)),
            _ => None,
        };
        let down = self.down.keys().filter_map(host);
        down.filter(|(_, last)| fits(&last.route)).map(|(host, _)| host).collect()
    }

    /// Destinations that are down because we cannot log in: destination, route, why.
    pub(crate) fn logins(&self) -> Vec<(String, String, LoginFault)> {
        let login = |key: &LedgerKey| {
            let last =
                self.failures(key).last().filter(|_| matches!(key, LedgerKey::Destination(_)))?;
            match fault_of(last)? {
                Fault::Login { route, fault } => Some((last.destination.clone(), route, fault)),
                _ => None,
            }
        };
        self.down.keys().filter_map(login).collect()
    }

    /// It failed last because the host wanted us to log in when we had said MAIL.
    pub(crate) fn wants_login(&self, key: &LedgerKey) -> bool {
        let last = self.failures(key).last().and_then(fault_of);
        matches!(last, Some(Fault::Login { fault: LoginFault::Wanted { .. }, .. }))
    }

    /// Since when it is down.
    pub(crate) fn state(&self, key: &LedgerKey) -> Option<DestinationState> {
        self.down.get(key).copied()
    }
}

/// The fault that a failed connection's record tells: its last blocking observation; of several servers' answers to that
/// question the most telling one.
#[must_use]
pub fn fault_of(connection: &Connection) -> Option<Fault> {
    let blocking = || connection.observations.iter().filter(|o| o.effect == Effect::Blocking);
    let mut faults = blocking().rev().filter_map(|o| fault(connection, o));
    let last = faults.next()?;
    let Fault::DnsFailed { name, kind, .. } = &last else { return Some(last) };
    let to_it = |fault: &Fault| matches!(fault, Fault::DnsFailed { name: n, kind: k, .. } if (n, k) == (name, kind));
    let others = faults.filter(to_it);
    let told = std::iter::once(last.clone()).chain(others).max_by_key(|fault| match fault {
        Fault::DnsFailed { answer, .. } => answer.telling(),
        _ => 0,
    });
    told.or(Some(last))
}

fn fault(connection: &Connection, observation: &Observation) -> Option<Fault> {
    let destination = &connection.destination;
    let Observation { stage, subject, seen, .. } = observation;
    let stage = *stage;
    match (seen, subject) {
        (Seen::Chose(Choice::PrivateAddress), _) => {
            Some(Fault::OnlyPrivateAddresses { name: destination.to_owned() })
        }
        (Seen::Chose(Choice::Invented), _) => {
            Some(Fault::NoSuchDomain { name: destination.to_owned() })
        }
        (Seen::Chose(choice), _) if choice.doubt().is_some() => {
            let name = destination.to_owned();
            choice.doubt().map(|doubt| Fault::Doubted { name, doubt })
        }
        (Seen::Chose(Choice::FamilyUnused), _) => {
            Some(Fault::Connect(ConnectFault::NetworkUnreachable))
        }
        (Seen::TimedOut { .. }, Subject::Question { name, kind, .. }) => {
            let answer = AnswerKind::Timeout;
            Some(Fault::DnsFailed { name: name.clone(), kind: *kind, answer })
        }
        (Seen::Login { reply, .. }, _) if !reply.is_permanent() => {
            Some(Fault::Reply { stage, reply: reply.clone() })
        }
        (Seen::Login { reply, .. }, _) => Some(Fault::Login {
            route: connection.route.clone(),
            fault: LoginFault::Refused { reply: reply.clone() },
        }),
        (Seen::LoginFailed(fault), _) => {
            Some(Fault::Login { route: connection.route.clone(), fault: fault.clone() })
        }
        (Seen::ConnectFailed(fault), _) => Some(Fault::Connect(*fault)),
        (Seen::Chose(Choice::StartTlsNotOffered), _) => Some(Fault::TlsNotOffered),
        (Seen::TlsFailed(fault), _) => Some(Fault::Tls(fault.brief())),
        // Whatever the reply says: that TLS is demanded is not the host's word.
        (Seen::Reply(reply), _) if stage == Stage::Starttls => {
            Some(Fault::TlsRefused { reply: reply.clone() })
        }
        (Seen::Reply(reply), _) => Some(Fault::Reply { stage, reply: reply.clone() }),
        (Seen::TimedOut { after }, _) => Some(Fault::TimedOut { stage, after: *after }),
        (Seen::Lost { .. }, _) => Some(Fault::Lost { stage }),
        (Seen::Gibberish, _) => Some(Fault::Gibberish { stage }),
        // An answer with records is no failure of DNS, whatever failed after it.
        (Seen::Answer(answer), Subject::Question { name, kind, .. })
            if answer.kind != AnswerKind::Answer =>
        {
            Some(Fault::DnsFailed { name: name.clone(), kind: *kind, answer: answer.kind })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{Answer, ConnectionId, RecordType, Transport};
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
    fn the_first_and_last_failures_are_kept_and_tell_the_fault() {
        let mut outages = Outages::default();
        let key = LedgerKey::Destination("example.org mx".into());
        let state = DestinationState {
            since: Timestamp::EPOCH,
            failures: 1,
            next_trial: Timestamp::from_secs(60),
        };
        for id in 0..30 {
            outages.remember(&key, failed(id));
        }
        let entry = outages.went_down(key.clone(), state);
        let kept = outages.failures(&key);
        let ids = (kept[0].id, kept[KEPT_ATTEMPTS - 1].id);
        assert_eq!((kept.len(), ids), (KEPT_ATTEMPTS, (ConnectionId(0), ConnectionId(29))));
        assert_eq!(fault_of(&kept[0]), Some(Fault::Connect(ConnectFault::Refused)));
        let Some(LedgerValue::Down { failures, .. }) = entry.value else { panic!("it is down") };
        assert_eq!(failures, kept, "the ledger has them too");
        let forgotten = outages.recovered(key.clone()).expect("it was down");
        assert_eq!(forgotten.value, None);
        assert!(outages.recovered(key.clone()).is_none(), "said once");
        assert!(outages.failures(&key).is_empty());
    }

    #[test]
    fn of_several_servers_words_the_most_telling_one_is_told() {
        use AnswerKind::{Bogus, Refused, ServFail, Unreachable};
        let said = |(name, answer): &(&str, AnswerKind)| Observation {
            stage: Stage::DnsMx,
            subject: Subject::Question {
                server: None,
                name: (*name).to_owned(),
                kind: RecordType::Mx,
            },
            seen: Seen::Answer(Answer::empty(*answer, Transport::Udp)),
            ..failed(1).observations.remove(0)
        };
        let other = ("other.example", Bogus);
        for (heard, told) in [
            (vec![("d.example", Bogus), ("d.example", ServFail)], Bogus),
            (vec![("d.example", ServFail), ("d.example", Bogus)], Bogus),
            (vec![("d.example", Refused), ("d.example", Unreachable)], Refused),
            (vec![other, ("d.example", ServFail), ("d.example", Unreachable)], ServFail),
        ] {
            let observations = heard.iter().map(said).collect();
            let connection = Connection { observations, ..failed(1) };
            let (name, kind) = ("d.example".to_owned(), RecordType::Mx);
            let expected = Fault::DnsFailed { name, kind, answer: told };
            assert_eq!(fault_of(&connection), Some(expected), "{heard:?}");
        }
    }

    #[test]
    fn a_destination_knows_what_failed_at_its_host_also_after_a_restart() {
        let host = LedgerKey::NextHop("192.0.2.1:25".parse().expect("an endpoint"));
        let state = DestinationState {
            since: Timestamp::EPOCH,
            failures: 1,
            next_trial: Timestamp::from_secs(60),
        };
        let mut outages = Outages::default();
        outages.restore(host, LedgerValue::Down { state, failures: vec![failed(7)] });
        assert_eq!(outages.failures(&ledger_key("example.org", "mx")), [failed(7)]);
    }
    #[test]
    fn who_waits_for_a_host_that_others_share_has_its_fault() {
        let host: SocketAddr = "192.0.2.1:25".parse().expect("an endpoint");
        let mut outages = Outages::default();
        let waits = ledger_key("other.example", "mx");
        outages.waits_behind(waits.clone(), &[host]);
        assert_eq!(outages.last_failure(&waits), None, "busy is no failure");
        outages.remember(&LedgerKey::NextHop(host), failed(7));
        assert_eq!(outages.last_failure(&waits), Some(&failed(7)));
        let own = Connection { at: Timestamp::from_secs(9), ..failed(8) };
        outages.remember(&waits, own.clone());
        assert_eq!(outages.last_failure(&waits), Some(&own), "the later one");
        outages.recovered(waits.clone());
        assert_eq!(outages.last_failure(&waits), None);
    }
}
