//! Settings have changed: what waited on the old ones is due now, and what was begun with them says nothing about
//! the new ones.
//!
//! Not here: what has changed (`dispatch`), the operator's retry (`acts`).

use super::{DestinationId, Scheduler, TicketId};
use crate::drain::Draining;
use posthaste_mail::Timestamp;
use std::net::SocketAddr;

impl Scheduler {
    /// How hosts of a route are reached has changed: a connection of it that began before and fails now counts
    /// for nothing, and is made again at once.
    pub fn renew_route(&mut self, now: Timestamp, route: &str) {
        let route = self.route(route) as usize;
        self.routes[route].renewed = Some(now);
    }

    /// A destination gets its trial now, if it is down, and so do the hosts it waits for.
    pub fn renew_destination(&mut self, now: Timestamp, id: DestinationId) {
        self.slow_down(now);
        self.try_now(now, id);
    }

    /// A host that is down gets its trial now.
    pub fn renew_host(&mut self, now: Timestamp, host: SocketAddr) {
        let Some(outage) = self.hosts.get_mut(&host).and_then(|h| h.outage.as_mut()) else {
            return;
        };
        outage.state.next_trial = outage.state.next_trial.min(now);
        self.slow_down(now);
        self.appoint(host, Some(now));
    }

    /// What has fallen due at a destination at one stroke is let go at the bounded rate.
    pub fn release_slowly(&mut self, now: Timestamp, id: DestinationId) {
        if let Some(destination) = self.destinations.get_mut(&id)
            && destination.active().is_none_or(|a| a.draining.is_none())
        {
            destination.drain(now);
        }
        self.slow_down(now);
        self.refresh(now, id);
    }

    /// New connections come at a growing rate until nothing is overdue, as after a start.
    fn slow_down(&mut self, now: Timestamp) {
        self.ramp.get_or_insert_with(|| Draining::new(now));
    }

    /// The connection began with settings that no longer hold.
    pub(super) fn is_stale(&self, ticket: TicketId) -> bool {
        let Some(connection) = self.connections.get(&ticket) else { return false };
        let destination = self.destinations.get(&connection.destination);
        let route = destination.and_then(|d| self.routes.get(d.route as usize));
        route.and_then(|r| r.renewed).is_some_and(|at| connection.started <= at)
    }

    /// A connection that counts for nothing has ended.
    pub(super) fn try_again(&mut self, now: Timestamp, id: DestinationId, ticket: TicketId) {
        if let Some(outage) = self.destinations.get_mut(&id).and_then(|d| d.outage_mut())
            && outage.trial == Some(ticket)
        {
            outage.trial = None;
            outage.state.next_trial = outage.state.next_trial.min(now);
        }
        self.refresh(now, id);
    }
}
