//! Senders are told that their mail is delayed: which message is next, and who of it.
//!
//! Nothing is kept for a message that is merely waiting: the orders by acceptance of its destinations and routes say
//! when it is due (`ranks`). What is kept concerns those whose time has come: [`Warnings`].
//!
//! Not here: whether a sender wants to know, and the notice (`dispatch`).

use super::terms::Terms;
use super::{Changed, DestinationId, Scheduler};
use crate::life::{RecipientState, Transition, TransitionKind};
use crate::message::{Message, Recipient};
use crate::ranks::Rank;
use posthaste_mail::{QueueId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Whose time has come, and who waits for something that the orders by acceptance do not know.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    /// Messages of which these recipients were in flight when their notice fell due: it waits for their attempts, and
    /// not for those that begin later.
    flights: BTreeMap<QueueId, Vec<u32>>,
    /// Messages that are due by what happened to them: an attempt after their time failed, or the flights that their
    /// notice waited for have ended.
    ready: BTreeSet<QueueId>,
    /// Destinations of which an attempt before MAIL failed last at this time, with mail whose time had come by then.
    failed: BTreeMap<DestinationId, Timestamp>,
}

impl Warnings {
    /// A message has changed: flights may have ended.
    pub(super) fn changed(&mut self, id: QueueId, message: &Message) {
        if self.flights.is_empty() && self.ready.is_empty() {
            return;
        }
        if message.is_empty() {
            self.flights.remove(&id);
            self.ready.remove(&id);
        } else if let Some(flights) = self.flights.get_mut(&id) {
            let recipients = message.recipients();
            flights.retain(|n| recipients.iter().any(|r| r.number == *n && r.is_in_flight()));
            if flights.is_empty() {
                self.flights.remove(&id);
                self.ready.insert(id);
            }
        }
    }
}

impl Scheduler {
    /// A message with waiting recipients of whose delay its sender is to be told now; none of them was in flight when
    /// that fell due, or these attempts have ended. It stays named until [`Self::warn`]. Ask `expired` first.
    pub fn next_warning(&mut self, now: Timestamp) -> Option<QueueId> {
        if !self.running {
            return None;
        }
        self.next_ready(now).or_else(|| self.next_failed(now)).or_else(|| self.next_aged(now))
    }

    /// Whom of a message [`Self::warn`] would take now, by number and in that order: the notice can be made of them
    /// before. They may be tried meanwhile: ask again under the lock under which `warn` is called, and hand its answer
    /// to the store under that lock too, so that it comes before what the next attempt makes of them.
    #[must_use]
    pub fn to_warn(&self, now: Timestamp, id: QueueId) -> Vec<u32> {
        self.due_for_warning(now, id).into_iter().map(|(number, _)| number).collect()
    }

    /// The sender of a message is told that it is delayed: all its waiting recipients that have not been told this
    /// time, also those of destinations whose own time is later, but not of routes without delay notices. `wants` says
    /// for a recipient's number whether the sender wants to know of it: these are answered, in order of number, to be
    /// stored; the others are passed over in memory only. See [`Self::to_warn`].
    pub fn warn(
        &mut self,
        now: Timestamp,
        id: QueueId,
        wants: &dyn Fn(u32) -> bool,
    ) -> Vec<Changed> {
        self.warnings.ready.remove(&id);
        self.warnings.flights.remove(&id);
        let due = self.due_for_warning(now, id);
        let Some(message) = self.messages.get(&id).filter(|_| !due.is_empty()) else {
            return Vec::new();
        };
        let destinations = message.destinations();
        let changed = self.change_at(now, id, &destinations, |message| {
            let mut changed = Vec::with_capacity(due.len());
            for recipient in message.recipients_mut() {
                let Ok(place) = due.binary_search_by_key(&recipient.number, |due| due.0) else {
                    continue;
                };
                let (number, round) = due[place];
                recipient.passed = round;
                if wants(number) {
                    changed.push(warned(id, recipient, round));
                }
            }
            changed.sort_unstable_by_key(|c| c.recipient);
            changed
        });
        changed.unwrap_or_default()
    }

    /// Waiting recipients of a message that are told now, in order of number, each with the notice that it is. Nobody
    /// when none is due.
    fn due_for_warning(&self, now: Timestamp, id: QueueId) -> Vec<(u32, u8)> {
        let Some(message) = self.messages.get(&id) else { return Vec::new() };
        let due = self.owed(now, message).filter(|(r, _)| r.is_waiting());
        let Some(round) = due.map(|(_, round)| round).max() else { return Vec::new() };
        let open: BTreeMap<DestinationId, u8> = message
            .destinations()
            .into_iter()
            .map(|id| (id, self.terms(id)))
            .filter(|(_, terms)| terms.delay.is_on() && terms.expires(message) > now)
            .map(|(id, terms)| (id, if terms.delay.repeats().is_some() { round } else { 1 }))
            .collect();
        let waiting = message.recipients().iter().filter(|r| r.is_waiting());
        let to_warn = waiting.filter_map(|recipient| {
            let round = *open.get(&recipient.destination)?;
            (recipient.passed < round).then_some((recipient.number, round))
        });
        let mut all: Vec<(u32, u8)> = to_warn.collect();
        all.sort_unstable();
        all
    }

    /// When [`Self::next_warning`] has something to say.
    pub(super) fn warning_time(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.warnings.ready.is_empty() || !self.warnings.failed.is_empty() {
            return Some(now);
        }
        let mut first: Option<Timestamp> = None;
        for route in &self.routes {
            for (rank, destinations) in route.aging.iter() {
                let Some(due) = route.terms.told_anyway_after(rank) else { continue };
                let from = route.terms.not_over(now);
                for (received, id) in destinations.range((from, DestinationId(0))..) {
                    if first.is_some_and(|first| first <= received.plus(due)) {
                        break;
                    }
                    let own = self.first_of(*id, rank, from, Timestamp::FAR_FUTURE);
                    let own = own.map(|(received, _)| received.plus(due));
                    first = first.into_iter().chain(own).min();
                }
            }
        }
        first
    }

    /// A transaction for recipients of a message ended, and these are their new states: with
    /// [`crate::DelayRule::at_failure`], those that were deferred show that it is time.
    pub(super) fn attempt_failed(
        &mut self,
        now: Timestamp,
        destination: DestinationId,
        id: QueueId,
        changed: &[Changed],
    ) {
        let terms = self.terms(destination);
        let deferred = |c: &Changed| matches!(c.transition.kind, TransitionKind::RetryAt(_));
        if !terms.delay.at_failure || !changed.iter().any(deferred) {
            return;
        }
        let Some(message) = self.messages.get(&id) else { return };
        let is_owed = message.at(destination).iter().any(|r| {
            let landed = || changed.iter().any(|c| deferred(c) && c.recipient == r.number);
            r.is_waiting() && r.passed < terms.rounds(message, now) && landed()
        });
        if is_owed && !self.waits_for_flights(now, id) {
            self.warnings.ready.insert(id);
        }
    }

    /// An attempt for a destination failed before MAIL, which concerns all its mail.
    pub(super) fn destination_failed_at(&mut self, now: Timestamp, id: DestinationId) {
        let terms = self.terms(id);
        if !terms.delay.at_failure {
            return;
        }
        self.warnings.failed.insert(id, now);
        if self.first_failed(now, id, now).is_none() {
            self.warnings.failed.remove(&id);
        }
    }

    fn next_ready(&mut self, now: Timestamp) -> Option<QueueId> {
        while let Some(id) = self.warnings.ready.first().copied() {
            let message = self.messages.get(&id);
            if message.is_some_and(|m| self.owed(now, m).any(|(r, _)| r.is_waiting())) {
                return Some(id);
            }
            self.warnings.ready.remove(&id);
        }
        None
    }

    fn next_failed(&mut self, now: Timestamp) -> Option<QueueId> {
        while let Some((destination, at)) = self.warnings.failed.first_key_value() {
            let (destination, at) = (*destination, *at);
            match self.first_failed(now, destination, at) {
                Some(id) if self.waits_for_flights(now, id) => {}
                Some(id) => return Some(id),
                None => {
                    self.warnings.failed.remove(&destination);
                }
            }
        }
        None
    }

    /// A message of a destination whose time had come when an attempt for it failed.
    fn first_failed(&self, now: Timestamp, id: DestinationId, at: Timestamp) -> Option<QueueId> {
        let terms = self.terms(id);
        let from = terms.not_over(now);
        let of_rank = |(rank, _): (u8, &Rank<QueueId>)| {
            let until = at.minus(terms.told_after(rank)?);
            self.first_of(id, rank, from, until).map(|(_, message)| message)
        };
        self.destinations.get(&id)?.mail().aging.iter().find_map(of_rank)
    }

    fn next_aged(&mut self, now: Timestamp) -> Option<QueueId> {
        loop {
            let id = self.first_aged(now)?;
            if !self.waits_for_flights(now, id) {
                return Some(id);
            }
        }
    }

    fn first_aged(&self, now: Timestamp) -> Option<QueueId> {
        for route in &self.routes {
            for (rank, destinations) in route.aging.iter() {
                let Some(due) = route.terms.told_anyway_after(rank) else { continue };
                let (from, until) = (route.terms.not_over(now), now.minus(due));
                for (received, id) in destinations.range((from, DestinationId(0))..) {
                    if *received > until {
                        break;
                    }
                    if let Some((_, message)) = self.first_of(*id, rank, from, until) {
                        return Some(message);
                    }
                }
            }
        }
        None
    }

    /// The oldest message of one rank at a destination, accepted between these times, that waits for no flight.
    fn first_of(
        &self,
        id: DestinationId,
        rank: u8,
        from: Timestamp,
        until: Timestamp,
    ) -> Option<(Timestamp, QueueId)> {
        let members = self.destinations.get(&id)?.mail().aging.of(rank)?;
        let range = members.range((from, QueueId::MIN)..);
        let mut free = range.filter(|(_, id)| !self.warnings.flights.contains_key(id));
        free.next().filter(|(received, _)| *received <= until).copied()
    }

    /// Recipients whose notice is due now, in flight or waiting, and which one it is.
    fn owed<'a>(
        &'a self,
        now: Timestamp,
        message: &'a Message,
    ) -> impl Iterator<Item = (&'a Recipient, u8)> {
        message.recipients().iter().filter(|r| r.life.waits()).filter_map(move |recipient| {
            let rounds = self.terms(recipient.destination).rounds(message, now);
            (recipient.passed < rounds).then_some((recipient, rounds))
        })
    }

    /// Recipients whose notice is due are in flight: it waits for their attempts.
    fn waits_for_flights(&mut self, now: Timestamp, id: QueueId) -> bool {
        let Some(message) = self.messages.get(&id) else { return false };
        let flying = self.owed(now, message).filter(|(r, _)| r.is_in_flight());
        let flights: Vec<u32> = flying.map(|(r, _)| r.number).collect();
        let waits = !flights.is_empty();
        if waits {
            self.warnings.flights.insert(id, flights);
        }
        waits
    }
}

impl Terms {
    /// Mail accepted since then can still be told of.
    fn not_over(&self, now: Timestamp) -> Timestamp {
        now.minus(self.lifetime(0)).plus(Duration::from_micros(1))
    }
}

fn warned(id: QueueId, recipient: &mut Recipient, round: u8) -> Changed {
    let state = RecipientState { warned: round, ..recipient.state() };
    recipient.set_state(state);
    Changed::new(id, recipient.number, Transition { state, kind: TransitionKind::Warned })
}
