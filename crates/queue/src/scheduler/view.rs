//! Looking into the queue: in slices, with the key to go on after.

use super::agenda::closed_until;
use super::{
    DestinationId, DestinationStatus, DestinationView, MessageView, RecipientView, Scheduler,
    Waiting,
};
use crate::destination::{Active, Destination, Outage, Place, write_key};
use crate::life::{DestinationState, Life, RecipientState};
use crate::message::{Message, Recipient};
use posthaste_evidence::WaitReason;
use posthaste_mail::{QueueId, Timestamp};
use std::collections::BTreeMap;
use std::ops::Bound;

impl Scheduler {
    /// Why a recipient is not done yet; `None` when it is not live here.
    #[must_use]
    pub fn wait_reason(&self, now: Timestamp, id: QueueId, recipient: u32) -> Option<Waiting> {
        let message = self.messages.get(&id)?;
        let recipient = message.recipients().iter().find(|r| r.number == recipient)?;
        Some(self.waiting(now, message, recipient))
    }

    /// Destinations in order of name and route, after the given name and route, at most `limit`.
    #[must_use]
    pub fn destinations(
        &self,
        now: Timestamp,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Vec<DestinationView> {
        let mut key = String::new();
        let start = after.map_or(Bound::Unbounded, |(name, route)| {
            write_key(&mut key, name, route);
            Bound::Excluded(key.as_str())
        });
        let range = self.names.range::<str, _>((start, Bound::Unbounded));
        let in_flight = self.oldest_in_flight();
        let view = |id| {
            let flying: Option<Timestamp> = in_flight.get(&id).copied();
            self.view_with(now, id, flying)
        };
        range.take(limit).filter_map(|(_, id)| view(*id)).collect()
    }

    /// Messages that came, and that left, in the last minute.
    #[must_use]
    pub fn last_minute(&self, now: Timestamp) -> (u32, u32) {
        self.rates.last_minute(now)
    }

    /// When the oldest message was accepted that is in flight, by destination.
    fn oldest_in_flight(&self) -> BTreeMap<DestinationId, Timestamp> {
        let mut oldest = BTreeMap::new();
        for connection in self.connections.values() {
            let Some((id, _)) = &connection.work else { continue };
            let Some(message) = self.messages.get(id) else { continue };
            let known = oldest.entry(connection.destination).or_insert(message.received);
            *known = message.received.min(*known);
        }
        oldest
    }

    /// One destination.
    #[must_use]
    pub fn destination_view(&self, now: Timestamp, id: DestinationId) -> Option<DestinationView> {
        self.view_with(now, id, self.oldest_in_flight().get(&id).copied())
    }

    fn view_with(
        &self,
        now: Timestamp,
        id: DestinationId,
        in_flight: Option<Timestamp>,
    ) -> Option<DestinationView> {
        let destination = self.destinations.get(&id)?;
        let (name, route) = destination.name();
        Some(DestinationView {
            id,
            name: name.to_owned(),
            route: route.to_owned(),
            status: self.status(now, id, destination),
            messages: destination.mail().messages,
            recipients: destination.mail().recipients,
            held: destination.mail().held,
            oldest: destination.mail().oldest().into_iter().chain(in_flight).min(),
            next_attempt: self.next_attempt(now, id, destination),
            connections: destination.connections(),
            down: destination.outage().map(|o| DestinationState {
                next_trial: self.next_trial(destination.active(), o),
                ..o.state
            }),
            ages: destination.mail().minutes.by_age(now),
            deferred: destination.mail().deferred,
            last_minute: destination.active().map_or((0, 0), |a| a.rates.last_minute(now)),
        })
    }

    /// The most connections a destination may have now; others may leave it fewer.
    #[must_use]
    pub fn window(&self, id: DestinationId) -> Option<u32> {
        Some(self.destinations.get(&id)?.window.size(&self.settings.limits))
    }

    /// One message.
    #[must_use]
    pub fn message(&self, now: Timestamp, id: QueueId) -> Option<MessageView> {
        self.messages.get(&id).map(|message| self.message_view(now, id, message))
    }

    /// Messages in order of id, after `after`, at most `limit`.
    #[must_use]
    pub fn messages(&self, now: Timestamp, after: QueueId, limit: usize) -> Vec<MessageView> {
        let range = self.messages.range((Bound::Excluded(after), Bound::Unbounded));
        range.take(limit).map(|(id, message)| self.message_view(now, *id, message)).collect()
    }

    /// Messages in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// True when there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    fn message_view(&self, now: Timestamp, id: QueueId, message: &Message) -> MessageView {
        let mut recipients: Vec<RecipientView> = message
            .recipients()
            .iter()
            .map(|recipient| RecipientView {
                number: recipient.number,
                destination: recipient.destination,
                state: recipient.state(),
                expires: self.expires(message, recipient),
                notice_at: self.notice_at(message, recipient),
                waiting: self.waiting(now, message, recipient),
            })
            .collect();
        recipients.sort_unstable_by_key(|r| r.number);
        MessageView { id, received: message.received, size: message.size(), recipients }
    }

    fn expires(&self, message: &Message, recipient: &Recipient) -> Timestamp {
        self.terms(recipient.destination).expires(message)
    }

    fn waiting(&self, now: Timestamp, message: &Message, recipient: &Recipient) -> Waiting {
        if recipient.is_in_flight() {
            return Waiting::InFlight;
        }
        if let Some(reason) = kept_by(&recipient.state()) {
            return Waiting::Because { reason, until: None };
        }
        let (reason, until) = match recipient.life {
            Life::Failing | Life::Expiring => {
                (WaitReason::NoticePendingProbe, Some(recipient.state().due))
            }
            _ if !self.running => (WaitReason::NotRunning, None),
            _ => self.reason(now, recipient.due(message.received), recipient.destination),
        };
        Waiting::Because { reason, until }
    }

    /// Whose will keeps a destination's mail, if anybody's.
    pub(super) fn kept_at(&self, id: DestinationId) -> Option<WaitReason> {
        let destination = self.destinations.get(&id);
        if destination.is_some_and(|d| d.has_no_route()) {
            return Some(WaitReason::NoRoute);
        }
        if destination.is_some_and(|d| d.held) {
            return Some(WaitReason::DestinationHeld);
        }
        self.is_kept(id).then_some(WaitReason::RouteHeld)
    }

    fn reason(
        &self,
        now: Timestamp,
        due: Timestamp,
        id: DestinationId,
    ) -> (WaitReason, Option<Timestamp>) {
        if let Some(kept) = self.kept_at(id) {
            return (kept, None);
        }
        let destination = self.destinations.get(&id);
        let active = destination.and_then(|d| d.active());
        if let Some(outage) = active.and_then(|a| a.outage.as_ref())
            && (due <= now || due <= outage.state.next_trial)
        {
            return self.down_reason(now, due, active, outage);
        }
        if due > now {
            return (WaitReason::Retry, Some(due));
        }
        if let Some(reason) = active.and_then(|a| active_reason(now, a)) {
            return reason;
        }
        if destination.is_some_and(|d| matches!(d.place, Place::Route(_)))
            && let Some(limits) = self.limits_of(id)
        {
            return limits.reason(now);
        }
        let window = destination.map_or(0, |d| d.window.size(&self.settings.limits));
        if active.is_some_and(|a| a.connections >= window) {
            (WaitReason::DestinationBusy, None)
        } else if self.is_full() {
            (WaitReason::ConnectionsInUse, None)
        } else if let Some(next) = closed_until(self.ramp, now) {
            (WaitReason::Draining, Some(next))
        } else {
            (WaitReason::InLine, None)
        }
    }
}

/// Whose will keeps a recipient by its own state.
pub(super) const fn kept_by(state: &RecipientState) -> Option<WaitReason> {
    match state.life {
        Life::Held => Some(WaitReason::Held),
        Life::Poison => Some(WaitReason::Poison),
        _ => None,
    }
}

impl Scheduler {
    fn down_reason(
        &self,
        now: Timestamp,
        due: Timestamp,
        active: Option<&Active>,
        outage: &Outage,
    ) -> (WaitReason, Option<Timestamp>) {
        let until = |at: Timestamp| outage.trial.is_none().then(|| at.max(due).max(now));
        if outage.own {
            return (WaitReason::DestinationDown, until(outage.state.next_trial));
        }
        let hosts = active.and_then(|a| a.hop_wait.as_ref()).map_or(&[][..], |w| &w.hosts);
        let released = hosts.iter().find_map(|host| self.hosts.get(host)?.draining);
        let until = until(self.next_trial(active, outage));
        match released {
            Some(draining) => (WaitReason::Draining, Some(draining.next.max(now))),
            None => (WaitReason::NextHopDown, until),
        }
    }
}

impl Scheduler {
    fn next_attempt(
        &self,
        now: Timestamp,
        id: DestinationId,
        destination: &Destination,
    ) -> Option<Timestamp> {
        let due = destination.first_due().filter(|_| !self.is_kept(id))?;
        let not_before = destination.active().and_then(|active| match &active.outage {
            Some(outage) => Some(self.next_trial(Some(active), outage)),
            None => active.rest.or(closed_until(active.draining, now)),
        });
        Some(due.max(now).max(not_before.unwrap_or(due)))
    }

    /// When a destination that is down is tried: by itself, or when one of its hosts gets its trial.
    fn next_trial(&self, active: Option<&Active>, outage: &Outage) -> Timestamp {
        let hosts = active.and_then(|a| a.hop_wait.as_ref()).map_or(&[][..], |w| &w.hosts);
        let of_host = |host| Some(self.hosts.get(host)?.outage.as_ref()?.state.next_trial);
        let trials = hosts.iter().filter_map(of_host).filter(|_| !outage.own);
        trials.chain([outage.state.next_trial]).min().unwrap_or(outage.state.next_trial)
    }
}

fn active_reason(now: Timestamp, active: &Active) -> Option<(WaitReason, Option<Timestamp>)> {
    if let Some(until) = active.rest.filter(|until| *until > now) {
        let busy = active.hop_wait.is_some();
        let reason = if busy { WaitReason::NextHopBusy } else { WaitReason::InLine };
        return Some((reason, Some(until)));
    }
    active.draining.map(|draining| (WaitReason::Draining, Some(draining.next.max(now))))
}

impl Scheduler {
    fn status(
        &self,
        now: Timestamp,
        id: DestinationId,
        destination: &Destination,
    ) -> DestinationStatus {
        let all_held = destination.mail().held == destination.mail().recipients;
        if destination.connections() > 0 {
            DestinationStatus::Active
        } else if destination.mail().recipients == 0 {
            DestinationStatus::Idle
        } else if destination.has_no_route() && !all_held {
            DestinationStatus::Unreachable
        } else if all_held || self.is_kept(id) {
            DestinationStatus::Held
        } else if destination.outage().is_some() || !destination.has_due(now) {
            DestinationStatus::Retry
        } else {
            DestinationStatus::Ready
        }
    }
}
