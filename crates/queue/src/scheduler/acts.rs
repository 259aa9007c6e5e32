//! Acts of the operator. Each works in every state; for a recipient in flight it is done when its attempt ends
//! (design: promise 7). `recipient` `None` means every recipient of the message.

use super::{Changed, DestinationId, Scheduler};
use crate::destination::write_key;
use crate::life::{self, RecipientState, Transition, TransitionKind};
use crate::message::{Mark, Recipient};
use posthaste_mail::{QueueId, Timestamp};
use std::ops::Bound;

impl Scheduler {
    /// Queued recipients are due now, their schedule started over. Those in flight are being tried already.
    /// A destination that is down still gets only its trials: see [`Self::retry_destination`].
    pub fn retry_message(
        &mut self,
        now: Timestamp,
        id: QueueId,
        recipient: Option<u32>,
    ) -> Vec<Changed> {
        self.act(now, id, recipient, |recipient| retry(now, recipient))
    }

    /// A destination that is down gets its trial now, and so do the hosts it waits for. Recipients that wait
    /// for a time are due now, at most `limit` messages a call: call until the answer is empty.
    pub fn retry_destination(
        &mut self,
        now: Timestamp,
        id: DestinationId,
        limit: usize,
    ) -> Vec<Changed> {
        self.try_now(now, id);
        let Some(destination) = self.destinations.get(&id) else { return Vec::new() };
        let last_now = (now, QueueId::from_u64(u64::MAX));
        let later = destination.mail().waiting.range((Bound::Excluded(last_now), Bound::Unbounded));
        let messages: Vec<QueueId> = later.take(limit).map(|(_, message)| *message).collect();
        let mut changed = Vec::new();
        for message in messages {
            self.act_at(now, message, id, &mut changed, |recipient| retry(now, recipient));
        }
        changed
    }

    /// Holds. Those in flight are held when their attempt ends in a deferral; they are not in the answer.
    pub fn hold(&mut self, now: Timestamp, id: QueueId, recipient: Option<u32>) -> Vec<Changed> {
        self.act(now, id, recipient, |recipient| match recipient.mark {
            Mark::Waiting => transition(life::hold(now, recipient.state()), TransitionKind::Held),
            Mark::InFlight => {
                recipient.mark = Mark::InFlightThenHold;
                None
            }
            Mark::InFlightThenHold | Mark::InFlightThenRemove | Mark::InFlightThenBounce => None,
        })
    }

    /// Lets held or parked ones go on, due now, their schedule started over. Takes back a hold that waits for
    /// the end of an attempt.
    pub fn release(&mut self, now: Timestamp, id: QueueId, recipient: Option<u32>) -> Vec<Changed> {
        self.act(now, id, recipient, |recipient| match recipient.mark {
            Mark::Waiting => {
                let released = life::release(now, recipient.state());
                transition(released, TransitionKind::RetryAt(now))
            }
            Mark::InFlightThenHold => {
                recipient.mark = Mark::InFlight;
                None
            }
            Mark::InFlight | Mark::InFlightThenRemove | Mark::InFlightThenBounce => None,
        })
    }

    /// Removes. Those in flight are removed when their attempt ends in a deferral; they are not in the answer.
    pub fn remove(&mut self, now: Timestamp, id: QueueId, recipient: Option<u32>) -> Vec<Changed> {
        self.act(now, id, recipient, |recipient| match recipient.mark {
            Mark::Waiting => transition(life::remove(recipient.state()), TransitionKind::Removed),
            _ => {
                recipient.mark = Mark::InFlightThenRemove;
                None
            }
        })
    }

    /// Gives back to the sender: they fail. Those in flight do when their attempt ends in a deferral; they are not
    /// in the answer. A removal that waits for that is not undone.
    pub fn bounce(&mut self, now: Timestamp, id: QueueId, recipient: Option<u32>) -> Vec<Changed> {
        self.act(now, id, recipient, |recipient| match recipient.mark {
            Mark::Waiting => transition(life::bounce(recipient.state()), TransitionKind::Bounced),
            Mark::InFlightThenRemove => None,
            _ => {
                recipient.mark = Mark::InFlightThenBounce;
                None
            }
        })
    }

    /// Holds whole destinations of this name, whatever their route, or lets them go on: one flag, and no message
    /// is touched. Mail that comes later waits too. Attempts under way end as they end.
    pub fn hold_destination(&mut self, now: Timestamp, name: &str, held: bool) {
        let changed = match held {
            true => self.held.insert(name.into()),
            false => self.held.remove(name),
        };
        if !changed {
            return;
        }
        for id in self.named(name) {
            self.stop_waiting(now, id);
            if let Some(destination) = self.destinations.get_mut(&id) {
                destination.held = held;
                if !held {
                    destination.drain(now);
                }
            }
            self.refresh(now, id);
        }
    }

    /// Names of destinations that are held, in order.
    pub fn held_destinations(&self) -> impl Iterator<Item = &str> {
        self.held.iter().map(|name| &**name)
    }

    /// The destinations of a name, one for each route.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<DestinationId> {
        let mut key = String::new();
        write_key(&mut key, name, "");
        let from = self.names.range::<str, _>((Bound::Included(key.as_str()), Bound::Unbounded));
        let same = from.take_while(|(other, _)| other.starts_with(key.as_str()));
        same.map(|(_, id)| *id).collect()
    }

    pub(super) fn act(
        &mut self,
        now: Timestamp,
        id: QueueId,
        number: Option<u32>,
        act: impl Fn(&mut Recipient) -> Option<Transition>,
    ) -> Vec<Changed> {
        let Some(message) = self.messages.get(&id) else { return Vec::new() };
        let mut changed = Vec::new();
        for destination in message.destinations() {
            self.act_at(now, id, destination, &mut changed, |recipient| {
                if number.is_some_and(|n| n != recipient.number) { None } else { act(recipient) }
            });
        }
        changed
    }

    fn act_at(
        &mut self,
        now: Timestamp,
        id: QueueId,
        destination: DestinationId,
        changed: &mut Vec<Changed>,
        act: impl Fn(&mut Recipient) -> Option<Transition>,
    ) {
        self.change(now, id, destination, |message| {
            for recipient in message.at_mut(destination) {
                if let Some(transition) = act(recipient) {
                    recipient.set_state(transition.state);
                    changed.push(Changed::new(id, recipient.number, transition));
                }
            }
        });
    }

    /// A destination that is down gets its trial now. Its mail is left as it is.
    pub fn try_destination(&mut self, now: Timestamp, id: DestinationId) {
        self.try_now(now, id);
    }

    pub(super) fn try_now(&mut self, now: Timestamp, id: DestinationId) {
        let Some(destination) = self.destinations.get_mut(&id) else { return };
        if destination.active().is_none() {
            return;
        }
        if let Some(outage) = destination.outage_mut() {
            outage.state.next_trial = outage.state.next_trial.min(now);
        }
        let active = destination.active_mut();
        active.rest = None;
        let hosts = active.hop_wait.as_ref().map(|w| w.hosts.clone()).unwrap_or_default();
        for host in hosts {
            if let Some(outage) = self.hosts.get_mut(&host).and_then(|h| h.outage.as_mut()) {
                outage.state.next_trial = outage.state.next_trial.min(now);
                self.appoint(host, Some(now));
            }
        }
        self.refresh(now, id);
    }
}

fn retry(now: Timestamp, recipient: &Recipient) -> Option<Transition> {
    if recipient.is_in_flight() {
        return None;
    }
    transition(life::retry_now(now, recipient.state()), TransitionKind::RetryAt(now))
}

fn transition(state: Option<RecipientState>, kind: TransitionKind) -> Option<Transition> {
    state.map(|state| Transition { state, kind })
}
