//! Next-hop hosts: their connections, their rests and trials, and the destinations that wait for them.

use super::{ConnectTicket, DestinationId, HostUse, Recovered, Scheduler, TicketId};
use crate::drain::Draining;
use crate::host::{Host, HostOutage};
use crate::life::DestinationState;
use crate::schedule::key_of_name;
use posthaste_evidence::FaultClass;
use posthaste_mail::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the release of waiting destinations pauses while the host has all its connections.
const BUSY_LOOK: Duration = Duration::from_millis(100);

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
        if self.is_stale(ticket.id) {
            self.host_give(now, ticket, host);
            return None;
        }
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
            entry.draining = None;
            state
        });
        if let Some(state) = state {
            self.appoint(host, Some(state.next_trial));
        }
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
        let recovered = self.host_stood(now, ticket, host);
        let Some(id) = self.connections.get(&ticket.id).map(|c| c.destination) else {
            return recovered;
        };
        let destination = self.recover(now, id);
        self.refresh(now, id);
        Recovered { destination, ..recovered }
    }

    /// The same, but the destination failed last because the host wanted us to log in at MAIL: whether it is up again
    /// shows in the transaction. Then call [`Scheduler::destination_works`]; else `connection_failed`.
    pub fn host_stood(
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
        if let Some(destination) = self.destinations.get_mut(&id) {
            let active = destination.active_mut();
            active.established += 1;
            active.last_success = Some(now);
        }
        if was_down {
            self.begin_release(now, host);
        }
        self.note_idle_host(now, host);
        self.refresh(now, id);
        Recovered { destination: false, host: was_down }
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
            self.let_first_go(now, host);
        }
        self.note_idle_host(now, host);
    }

    /// The host's time on the agenda has come.
    pub(super) fn keep_appointment(&mut self, now: Timestamp, host: SocketAddr) {
        let Some(entry) = self.hosts.get_mut(&host) else { return };
        entry.appointment = None;
        if let Some(outage) = &entry.outage {
            if outage.trial.is_none() {
                self.call_trial(now, host);
            }
        } else if let Some(draining) = entry.draining.take() {
            self.release_one(now, host, draining);
        }
    }

    /// Puts a host on the agenda, or takes it off.
    pub(super) fn appoint(&mut self, host: SocketAddr, at: Option<Timestamp>) {
        let Some(entry) = self.hosts.get_mut(&host) else { return };
        if let Some(before) = std::mem::replace(&mut entry.appointment, at) {
            self.host_agenda.remove(&(before, host));
        }
        if let Some(at) = at {
            self.host_agenda.insert((at, host));
        }
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

    /// Of the destinations that wait for a host that is down, the one with the oldest mail makes the trial.
    fn call_trial(&mut self, now: Timestamp, host: SocketAddr) {
        let waiting = self.hosts.get(&host).into_iter().flat_map(|h| &h.waiting);
        let oldest = waiting
            .filter_map(|(_, id)| {
                let destination = self.destinations.get(id).filter(|_| !self.is_kept(*id))?;
                destination.outage().filter(|o| o.trial.is_none())?;
                Some((destination.first_due().filter(|due| *due <= now)?, *id))
            })
            .min();
        let Some((_, id)) = oldest else { return };
        self.try_soon(now, id);
        self.refresh(now, id);
    }

    /// A destination that is down may make its trial now.
    fn try_soon(&mut self, now: Timestamp, id: DestinationId) {
        if let Some(outage) = self.destinations.get_mut(&id).and_then(|d| d.outage_mut()) {
            outage.state.next_trial = outage.state.next_trial.min(now);
        }
    }

    /// It answers again: those that wait are let go at the bounded rate.
    fn begin_release(&mut self, now: Timestamp, host: SocketAddr) {
        let waits = self.hosts.get_mut(&host).filter(|h| !h.waiting.is_empty());
        let at = waits.map(|entry| {
            entry.draining = Some(Draining::new(now));
            now
        });
        self.appoint(host, at);
    }

    fn release_one(&mut self, now: Timestamp, host: SocketAddr, mut draining: Draining) {
        let busy = self.host_usable(now, host) == HostUse::Busy;
        if !busy {
            self.let_first_go(now, host);
        }
        if let Some(entry) = self.hosts.get_mut(&host).filter(|h| !h.waiting.is_empty()) {
            draining.take(now, &self.settings.drain);
            if busy {
                // Who is let go now would only find it busy.
                draining.next = draining.next.max(now.plus(BUSY_LOOK));
            }
            entry.draining = Some(draining);
            self.appoint(host, Some(draining.next));
        }
        self.note_idle_host(now, host);
    }

    fn let_first_go(&mut self, now: Timestamp, host: SocketAddr) {
        let first = self.hosts.get(&host).and_then(|h| h.waiting.first().copied());
        let Some((_, id)) = first else { return };
        let down_itself =
            self.destinations.get(&id).and_then(|d| d.outage()).is_some_and(|o| o.own);
        if down_itself {
            self.stop_waiting(now, id);
            self.try_soon(now, id);
        } else {
            self.recover(now, id);
        }
        self.refresh(now, id);
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
