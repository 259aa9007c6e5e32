//! Next-hop hosts: their connections, their rests and trials, and the destinations that wait for them.

use super::{ConnectTicket, DestinationId, HostUse, Recovered, Scheduler, TicketId};
use crate::drain::Draining;
use crate::host::{Host, HostOutage};
use crate::life::DestinationState;
use crate::schedule::key_of_name;
use posthaste_evidence::FaultClass;
use posthaste_mail::Timestamp;
use std::net::SocketAddr;

impl Scheduler {
    /// Where a host stands for a new connection.
    #[must_use]
    pub fn host_usable(&self, now: Timestamp, host: SocketAddr) -> HostUse {
        self.hosts.get(&host).map_or(HostUse::Usable, |h| h.usable(now, self.host_limit()))
    }

    /// Takes a connection of the host before it is dialled. Taken only when the answer is
    /// [`HostUse::Usable`]. Of a host that rests, the first to ask after its trial is due gets it, as the one
    /// trial.
    pub fn host_take(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        host: SocketAddr,
    ) -> HostUse {
        let limit = self.host_limit();
        let Some(connection) = self.connections.get_mut(&ticket.id) else { return HostUse::Busy };
        if connection.taken.contains(&host) {
            return HostUse::Usable;
        }
        let entry = self.hosts.entry(host).or_default();
        let answer = entry.usable(now, limit);
        if answer == HostUse::Usable {
            entry.connections += 1;
            if let Some(outage) = &mut entry.outage {
                outage.trial = Some(ticket.id);
            }
            connection.taken.push(host);
        }
        self.note_idle_host(now, host);
        answer
    }

    /// The dialled host lost a race, or was not needed: its connection is free again.
    pub fn host_give(&mut self, now: Timestamp, ticket: &ConnectTicket, host: SocketAddr) {
        if self.untake(ticket.id, host) {
            self.free_host(now, host, ticket.id, false);
        }
    }

    /// One host failed; the connection goes on with the next one. Answers the host's new state when this
    /// failure counts: no other connection to it stands or stood meanwhile, and it was not down already.
    pub fn host_failed(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        host: SocketAddr,
    ) -> Option<DestinationState> {
        let connection = self.connections.get_mut(&ticket.id)?;
        if connection.failed.contains(&host) {
            return None;
        }
        connection.failed.push(host);
        let started = connection.started;
        let seed = key_of_name(self.settings.seed, host.to_string().as_bytes());
        let entry = self.hosts.entry(host).or_default();
        let state = entry.count_failure(started, ticket.id).map(|mut state| {
            let schedule = &self.settings.schedule;
            state.since = if state.failures == 1 { now } else { state.since };
            state.next_trial = schedule.due(now, FaultClass::Destination, state.failures, seed);
            entry.outage = Some(HostOutage { state, trial: None });
            if let Some(draining) = entry.draining.take() {
                self.host_agenda.remove(&(draining.next, host));
            }
            state
        });
        self.host_give(now, ticket, host);
        self.note_idle_host(now, host);
        state
    }

    /// The connection is ready for MAIL (greeting, EHLO, STARTTLS and AUTH are done); other hosts it took are
    /// given back.
    pub fn host_connected(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        host: SocketAddr,
    ) -> Recovered {
        let taken = self.untake(ticket.id, host);
        let Some(connection) = self.connections.get_mut(&ticket.id) else {
            return Recovered::default();
        };
        if connection.host.is_some() {
            return Recovered::default();
        }
        connection.host = Some(host);
        let id = connection.destination;
        for other in std::mem::take(&mut connection.taken) {
            self.free_host(now, other, ticket.id, false);
        }
        let entry = self.hosts.entry(host).or_default();
        entry.connections += u32::from(!taken);
        entry.established += 1;
        entry.last_success = Some(now);
        let was_down = entry.outage.take().is_some();
        let own = self.recover(now, id);
        if let Some(destination) = self.destinations.get_mut(&id) {
            let active = destination.active_mut();
            active.established += 1;
            active.last_success = Some(now);
        }
        if was_down {
            self.let_all_go(now, host);
        }
        self.note_idle_host(now, host);
        self.refresh(now, id);
        Recovered { destination: own, host: was_down }
    }

    /// A connection to the host is over; who waits for it may try.
    pub(super) fn free_host(
        &mut self,
        now: Timestamp,
        host: SocketAddr,
        ticket: TicketId,
        established: bool,
    ) {
        let Some(entry) = self.hosts.get_mut(&host) else { return };
        entry.connections -= 1;
        entry.established -= u32::from(established);
        if let Some(outage) = entry.outage.as_mut().filter(|o| o.trial == Some(ticket)) {
            // A trial that neither stood nor failed: the next to ask is the trial.
            outage.trial = None;
        }
        if entry.outage.is_none() && entry.draining.is_none() {
            let free = self.host_limit().saturating_sub(self.hosts[&host].connections);
            for _ in 0..free {
                if !self.let_first_go(now, host) {
                    break;
                }
            }
        }
        self.note_idle_host(now, host);
    }

    /// The host's turn on the agenda: lets one destination go.
    pub(super) fn let_one_go(&mut self, now: Timestamp, host: SocketAddr) {
        let Some(entry) = self.hosts.get_mut(&host) else { return };
        let Some(mut draining) = entry.draining.take() else { return };
        self.let_first_go(now, host);
        if let Some(entry) = self.hosts.get_mut(&host).filter(|h| !h.waiting.is_empty()) {
            draining.take(now, &self.settings.drain);
            self.host_agenda.insert((draining.next, host));
            entry.draining = Some(draining);
        }
        self.note_idle_host(now, host);
    }

    /// The destination no longer waits for hosts.
    pub(super) fn stop_waiting(&mut self, now: Timestamp, id: DestinationId) {
        let Some(destination) = self.destinations.get_mut(&id) else { return };
        if destination.active().is_none() {
            return;
        }
        let active = destination.active_mut();
        active.rest = None;
        let Some(wait) = active.hop_wait.take() else { return };
        for host in wait.hosts {
            if let Some(entry) = self.hosts.get_mut(&host) {
                entry.waiting.remove(&(wait.turn, id));
                self.note_idle_host(now, host);
            }
        }
    }

    /// It answers again: those that wait are let go at the bounded rate.
    fn let_all_go(&mut self, now: Timestamp, host: SocketAddr) {
        let Some(entry) = self.hosts.get_mut(&host) else { return };
        if !entry.waiting.is_empty() {
            entry.draining = Some(Draining::new(now));
            self.host_agenda.insert((now, host));
        }
    }

    fn let_first_go(&mut self, now: Timestamp, host: SocketAddr) -> bool {
        let first = self.hosts.get(&host).and_then(|h| h.waiting.first().copied());
        let Some((_, id)) = first else { return false };
        let waits_for_trial =
            self.destinations.get(&id).and_then(|d| d.outage()).is_some_and(|o| o.own);
        if waits_for_trial {
            self.stop_waiting(now, id);
        } else {
            self.recover(now, id);
        }
        self.refresh(now, id);
        true
    }

    fn untake(&mut self, ticket: TicketId, host: SocketAddr) -> bool {
        let Some(connection) = self.connections.get_mut(&ticket) else { return false };
        let place = connection.taken.iter().position(|h| *h == host);
        place.map(|place| connection.taken.swap_remove(place)).is_some()
    }

    fn host_limit(&self) -> u32 {
        u32::from(self.settings.limits.host.max(1))
    }
}

impl Host {
    /// One more failure, where it counts; the caller fills in the times.
    fn count_failure(&self, started: Timestamp, ticket: TicketId) -> Option<DestinationState> {
        if let Some(outage) = &self.outage {
            let counts = outage.trial == Some(ticket);
            let failures = outage.state.failures.saturating_add(1);
            return counts.then_some(DestinationState { failures, ..outage.state });
        }
        let works = self.established > 0 || self.last_success.is_some_and(|at| at >= started);
        let first = DestinationState { since: started, failures: 1, next_trial: started };
        (!works).then_some(first)
    }
}
