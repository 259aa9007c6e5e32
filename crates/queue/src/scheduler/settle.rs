//! A transaction has ended: new states, and what the destination learns from it.

use super::links::delayed_act;
use super::{Changed, ConnectTicket, DestinationId, Scheduler, Tried};
use crate::life::{self, Rules, Transition, TransitionKind};
use crate::message::{Mark, Recipient};
use crate::schedule::key_of;
use posthaste_evidence::{FaultClass, Outcome};
use posthaste_mail::{QueueId, Timestamp};
use std::sync::Arc;

impl Scheduler {
    /// The transaction ended. Answers the new states, in the order of the results, to be stored. Recipients
    /// without a result go back untouched (a server took only some of them: RFC 5321 section 4.5.3.1.10);
    /// when nobody has a result, all are deferred. Results for others than those in flight here are ignored.
    pub fn settle(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        message: QueueId,
        results: &[Tried],
    ) -> Vec<Changed> {
        let Some(connection) = self.connections.get_mut(&ticket.id) else { return Vec::new() };
        let destination = connection.destination;
        let Some((_, numbers)) = connection.work.take_if(|(id, _)| *id == message) else {
            return Vec::new();
        };
        let results = relevant(results, &numbers);
        connection.fruitful = true;
        self.learn(now, ticket, destination, &results);
        self.set_hungry(ticket.id);
        let mut changed = self.apply(now, destination, message, &results);
        self.note_endings(&changed);
        self.attempt_failed(now, destination, message, &changed);
        self.move_settled(now, message, &mut changed);
        let left: Vec<u32> =
            numbers.into_iter().filter(|n| results.iter().all(|r| r.recipient != *n)).collect();
        if left.is_empty() {
            self.refresh(now, destination);
        } else {
            self.unmark(now, message, destination, &left);
        }
        changed
    }

    fn apply(
        &mut self,
        now: Timestamp,
        destination: DestinationId,
        id: QueueId,
        results: &[Tried],
    ) -> Vec<Changed> {
        let settings = Arc::clone(&self.settings);
        let Some(entry) = self.destinations.get(&destination) else { return Vec::new() };
        let route = entry.name().1;
        let schedule = settings.schedule_for(route);
        let terms = self.terms(destination);
        let changed = self.change(now, id, destination, |message| {
            let expires = terms.expires(message);
            let mut changed = Vec::with_capacity(results.len());
            for result in results {
                let key = key_of(settings.seed, id.as_u64(), result.recipient);
                let rules = Rules { schedule, expires, key };
                let recipients = message.at_mut(destination);
                let Ok(place) = recipients.binary_search_by_key(&result.recipient, |r| r.number)
                else {
                    continue;
                };
                let land = land(now, &mut recipients[place], result, &rules);
                changed.extend(land.map(|t| Changed::new(id, result.recipient, t)));
            }
            changed
        });
        changed.unwrap_or_default()
    }

    /// Concurrency feedback: a transaction in which the peer took part shows that destination and host work.
    fn learn(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        id: DestinationId,
        results: &[Tried],
    ) {
        let Some(host) = self.connections.get(&ticket.id).and_then(|c| c.host) else { return };
        let delivered = results.iter().any(|r| r.outcome == Outcome::Delivered);
        if !delivered && results.iter().all(|r| r.class != FaultClass::Message) {
            return;
        }
        if let Some(destination) = self.destinations.get_mut(&id) {
            destination.active_mut().last_success = Some(now);
            if delivered {
                destination.window.succeeded(&self.settings.limits);
            }
        }
        if let Some(host) = self.hosts.get_mut(&host) {
            host.last_success = Some(now);
        }
    }
}

/// The results that concern what is in flight; when there is none, everybody is deferred: a transaction that
/// decides nothing must not come again at once.
fn relevant(results: &[Tried], numbers: &[u32]) -> Vec<Tried> {
    let mut relevant: Vec<Tried> =
        results.iter().filter(|r| numbers.binary_search(&r.recipient).is_ok()).copied().collect();
    if relevant.is_empty() {
        let deferred = |recipient: &u32| Tried {
            recipient: *recipient,
            outcome: Outcome::Deferred,
            class: FaultClass::Local,
            tell_at: None,
        };
        relevant.extend(numbers.iter().map(deferred));
    }
    relevant
}

/// Ends the flight of one recipient: the outcome decides first, then the act that waited for it.
fn land(
    now: Timestamp,
    recipient: &mut Recipient,
    result: &Tried,
    rules: &Rules<'_>,
) -> Option<Transition> {
    if !recipient.is_in_flight() {
        return None;
    }
    let mark = std::mem::replace(&mut recipient.mark, Mark::Waiting);
    let (state, tell_at) = (recipient.state(), result.tell_at);
    let mut transition = life::after(now, state, result.outcome, result.class, rules, tell_at);
    if matches!(transition.kind, TransitionKind::RetryAt(_)) {
        transition = delayed_act(now, mark, transition.state).unwrap_or(transition);
    }
    recipient.set_state(transition.state);
    Some(transition)
}
