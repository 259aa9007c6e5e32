//! Keeps what is derived in step with the messages: each destination's orders and counts, each route's oldest.
//!
//! Whoever changes the recipients of a message at a destination does it between `unlink` and `link`.

use super::{Changed, DestinationId, Scheduler};
use crate::life::{self, RecipientState, Transition, TransitionKind};
use crate::message::{Mark, Message, Recipient};
use posthaste_mail::{QueueId, Timestamp};

impl Scheduler {
    /// Changes the recipients of a message at one destination. `None` when there is no such message.
    pub(super) fn change<T>(
        &mut self,
        now: Timestamp,
        id: QueueId,
        destination: DestinationId,
        change: impl FnOnce(&mut Message) -> T,
    ) -> Option<T> {
        let here =
            |queue: &Self| queue.messages.get(&id).is_some_and(|m| !m.at(destination).is_empty());
        let was_here = here(self);
        let answer = self.change_at(now, id, &[destination], change);
        if was_here
            && !here(self)
            && let Some(entry) = self.destinations.get_mut(&destination)
        {
            entry.active_mut().rates.left(now);
        }
        answer
    }

    /// Changes the recipients of a message at some destinations.
    pub(super) fn change_at<T>(
        &mut self,
        now: Timestamp,
        id: QueueId,
        destinations: &[DestinationId],
        change: impl FnOnce(&mut Message) -> T,
    ) -> Option<T> {
        for destination in destinations {
            self.unlink(id, *destination);
        }
        let message = self.messages.get_mut(&id)?;
        let answer = change(message);
        message.sweep();
        let ended = message.is_empty();
        self.warnings.changed(id, message);
        for destination in destinations {
            self.link(id, *destination);
        }
        if ended {
            self.messages.remove(&id);
            self.rates.left(now);
        }
        for destination in destinations {
            self.refresh(now, *destination);
        }
        Some(answer)
    }

    /// Puts what a message has at a destination into its orders and counts.
    pub(super) fn link(&mut self, id: QueueId, destination: DestinationId) {
        let Some(message) = self.messages.get(&id) else { return };
        let Some(entry) = self.destinations.get_mut(&destination) else { return };
        let entry = entry.mail_mut();
        let group = message.group(destination);
        entry.messages += u32::from(group.live > 0);
        entry.recipients += group.live;
        entry.held += group.held;
        entry.deferred += u32::from(group.deferred);
        if group.live > 0 {
            entry.minutes.add(message.received);
        }
        if let Some(due) = group.due {
            entry.waiting.insert((due, id));
        }
        if let Some(passed) = group.passed {
            entry.aging.insert(passed, message.received, id);
        }
        self.index_oldest(destination);
    }

    /// Recipients that were in flight wait again, untouched; acts that waited for the end of the attempt are
    /// done now and handed out by [`Self::expired`]. `numbers` is in order.
    pub(super) fn unmark(
        &mut self,
        now: Timestamp,
        id: QueueId,
        destination: DestinationId,
        numbers: &[u32],
    ) {
        let acted = self.change(now, id, destination, |message| {
            let mut acted = Vec::new();
            for recipient in message.at_mut(destination) {
                if numbers.binary_search(&recipient.number).is_ok() {
                    let number = recipient.number;
                    acted.extend(land(now, recipient).map(|t| Changed::new(id, number, t)));
                }
            }
            acted
        });
        self.outbox.extend(acted.into_iter().flatten());
        // They were due: nothing of their states has to be stored.
        drop(self.move_landed(now, id, numbers));
    }

    fn unlink(&mut self, id: QueueId, destination: DestinationId) {
        let Some(message) = self.messages.get(&id) else { return };
        let Some(entry) = self.destinations.get_mut(&destination) else { return };
        let entry = entry.mail_mut();
        let group = message.group(destination);
        entry.messages -= u32::from(group.live > 0);
        entry.recipients -= group.live;
        entry.held -= group.held;
        entry.deferred -= u32::from(group.deferred);
        if group.live > 0 {
            entry.minutes.remove(message.received);
        }
        if let Some(due) = group.due {
            entry.waiting.remove(&(due, id));
        }
        if let Some(passed) = group.passed {
            entry.aging.remove(passed, message.received, id);
        }
    }

    fn index_oldest(&mut self, destination: DestinationId) {
        let Some(entry) = self.destinations.get_mut(&destination) else { return };
        let route = entry.route as usize;
        let mail = entry.mail_mut();
        let aging = &mut self.routes[route].aging;
        let oldest = mail.aging.first(0);
        let before = std::mem::replace(&mut mail.untold, oldest);
        if before != oldest {
            if let Some(before) = before {
                aging.remove(0, before, destination);
            }
            if let Some(received) = oldest {
                aging.insert(0, received, destination);
            }
        }
        if mail.told.is_empty() && !mail.aging.has_told() {
            return;
        }
        for (rank, before) in mail.told.drain(..) {
            aging.remove(rank, before, destination);
        }
        for (rank, oldest) in mail.aging.firsts_told() {
            aging.insert(rank, oldest, destination);
            mail.told.push((rank, oldest));
        }
    }
}

/// Ends the flight of a recipient whose attempt changed nothing; answers the act that waited for it.
fn land(now: Timestamp, recipient: &mut Recipient) -> Option<Transition> {
    let mark = std::mem::replace(&mut recipient.mark, Mark::Waiting);
    let transition = delayed_act(now, mark, recipient.state())?;
    recipient.set_state(transition.state);
    Some(transition)
}

/// What the operator wanted done when the attempt ends, if anything.
pub(super) fn delayed_act(now: Timestamp, mark: Mark, state: RecipientState) -> Option<Transition> {
    match mark {
        Mark::InFlightThenHold => {
            life::hold(now, state).map(|state| Transition { state, kind: TransitionKind::Held })
        }
        Mark::InFlightThenRemove => {
            life::remove(state).map(|state| Transition { state, kind: TransitionKind::Removed })
        }
        Mark::InFlightThenBounce => {
            life::bounce(state).map(|state| Transition { state, kind: TransitionKind::Bounced })
        }
        Mark::InFlight | Mark::Waiting => None,
    }
}
