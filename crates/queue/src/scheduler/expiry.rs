//! What is over: recipients whose time has passed, destinations and hosts that nobody asks for any more.

use super::view::kept_by;
use super::{Changed, DestinationId, Forgotten, Route, Scheduler};
use crate::life;
use crate::message::Mark;
use crate::ranks::Rank;
use posthaste_mail::{QueueId, Timestamp};
use std::net::SocketAddr;

/// Idle destinations and hosts forgotten in one call of `next`.
const QUIET_BATCH: usize = 16;

impl Scheduler {
    /// Recipients of one message whose time is over and that are not in flight: they have left the queue. Or
    /// acts of the operator (on any messages) that waited for the end of an attempt which then was not made.
    /// Ask until `None`.
    ///
    /// Held recipients expire too, and those parked as poison. `tell_at`: when the sender of a recipient is told,
    /// should probes go into the cause: it is ending until then, and stays; see [`Self::told`]. Not asked of those
    /// that somebody's will kept: there is nothing to find out.
    pub fn expired(
        &mut self,
        now: Timestamp,
        tell_at: &dyn Fn(QueueId, u32) -> Option<Timestamp>,
    ) -> Option<Vec<Changed>> {
        if !self.outbox.is_empty() {
            return Some(self.outbox.drain(..).collect());
        }
        if !self.running {
            return None;
        }
        let id = self.first_expired(now)?;
        let destinations = self.messages.get(&id)?.destinations();
        let mut changed = Vec::new();
        for destination in destinations {
            self.expire_at(now, id, destination, tell_at, &mut changed);
        }
        self.note_endings(&changed);
        Some(changed)
    }

    /// Forgets one thing that was down and that nobody has asked for, for `Limits::forget_after`; the ledger
    /// is to forget it too. Ask until `None`, now and then.
    pub fn forget(&mut self, now: Timestamp) -> Option<Forgotten> {
        loop {
            if let Some(id) = self.stale_destination(now) {
                let was_down = self.destinations[&id].outage().is_some_and(|o| o.own);
                let (name, route) = self.destinations[&id].name();
                let forgotten =
                    Forgotten::Destination { name: name.to_owned(), route: route.to_owned() };
                self.drop_destination(now, id);
                if was_down {
                    return Some(forgotten);
                }
            } else {
                let host = self.stale_host(now)?;
                let was_down = self.hosts[&host].outage.is_some();
                self.drop_host(host);
                if was_down {
                    return Some(Forgotten::Host(host));
                }
            }
        }
    }

    /// Forgets what the ledger does not know, a little at a time.
    pub(super) fn forget_quietly(&mut self, now: Timestamp) {
        for _ in 0..QUIET_BATCH {
            match self.stale_destination(now) {
                Some(id) if self.destinations[&id].outage().is_none_or(|o| !o.own) => {
                    self.drop_destination(now, id);
                }
                _ => break,
            }
        }
        for _ in 0..QUIET_BATCH {
            match self.stale_host(now) {
                Some(host) if self.hosts[&host].outage.is_none() => self.drop_host(host),
                _ => break,
            }
        }
    }

    /// When the next recipient expires.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.routes.iter().filter_map(route_expiry).map(|(at, _)| at).min()
    }

    /// Keeps the list of idle hosts in step.
    pub(super) fn note_idle_host(&mut self, now: Timestamp, address: SocketAddr) {
        let Some(host) = self.hosts.get_mut(&address) else { return };
        match (host.is_idle(), host.idle_since) {
            (true, None) => {
                host.idle_since = Some(now);
                self.idle_hosts.insert((now, address));
            }
            (false, Some(since)) => {
                host.idle_since = None;
                self.idle_hosts.remove(&(since, address));
            }
            _ => {}
        }
    }

    fn first_expired(&self, now: Timestamp) -> Option<QueueId> {
        let first = |route| route_expiry(route).filter(|(at, _)| *at <= now);
        let (_, destination) = self.routes.iter().find_map(first)?;
        let entry = self.destinations.get(&destination)?;
        let terms = self.terms(destination);
        let of_rank = |(rank, members): (u8, &Rank<QueueId>)| {
            let (received, id) = members.first()?;
            Some((life::expires(*received, terms.lifetime(rank)), *id))
        };
        entry.mail().aging.iter().filter_map(of_rank).min().map(|(_, id)| id)
    }

    fn expire_at(
        &mut self,
        now: Timestamp,
        id: QueueId,
        destination: DestinationId,
        tell_at: &dyn Fn(QueueId, u32) -> Option<Timestamp>,
        changed: &mut Vec<Changed>,
    ) {
        let terms = self.terms(destination);
        let kept_here = self.kept_at(destination);
        self.change(now, id, destination, |message| {
            let expires = terms.expires(message);
            for recipient in message.at_mut(destination) {
                let state = recipient.state();
                if recipient.mark == Mark::Waiting && life::expired(now, &state, expires) {
                    let kept = kept_by(&state).or(kept_here);
                    let later = if kept.is_none() { tell_at(id, recipient.number) } else { None };
                    let transition = life::expire(state, later);
                    recipient.set_state(transition.state);
                    changed
                        .push(Changed { kept, ..Changed::new(id, recipient.number, transition) });
                }
            }
        });
    }

    fn stale_destination(&self, now: Timestamp) -> Option<DestinationId> {
        let (since, id) = self.idle.first()?;
        (now.since(*since) >= self.settings.limits.forget_after).then_some(*id)
    }

    fn stale_host(&self, now: Timestamp) -> Option<SocketAddr> {
        let (since, host) = self.idle_hosts.first()?;
        (now.since(*since) >= self.settings.limits.forget_after).then_some(*host)
    }

    fn drop_destination(&mut self, now: Timestamp, id: DestinationId) {
        self.stop_waiting(now, id);
        self.take_off(id);
        if let Some(destination) = self.destinations.remove(&id) {
            self.names.remove(destination.key());
        }
    }

    fn drop_host(&mut self, address: SocketAddr) {
        self.appoint(address, None);
        let Some(host) = self.hosts.remove(&address) else { return };
        if let Some(since) = host.idle_since {
            self.idle_hosts.remove(&(since, address));
        }
    }
}

/// When the first recipient of a route expires, and where.
fn route_expiry(route: &Route) -> Option<(Timestamp, DestinationId)> {
    let of_rank = |(rank, members): (u8, &Rank<DestinationId>)| {
        let (received, destination) = members.first()?;
        Some((life::expires(*received, route.terms.lifetime(rank)), *destination))
    };
    route.aging.iter().filter_map(of_rank).min()
}
