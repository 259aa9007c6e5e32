//! The life of a connection: from its ticket to one of its ends, and what each end means for the destination.

use super::{ConnectTicket, DestinationId, Down, Recovered, Scheduler, TicketId};
use crate::destination::{HopWait, Outage};
use crate::feedback::Window;
use crate::host::Host;
use crate::life::DestinationState;
use crate::schedule::key_of_name;
use posthaste_evidence::FaultClass;
use posthaste_mail::{QueueId, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

/// How long a destination gets no new connection after one that came to nothing without its being down.
const FRUITLESS_REST: Duration = Duration::from_secs(1);
/// How long a destination waits for a busy host, when nothing frees it before.
const BUSY_REST: Duration = Duration::from_secs(10);

/// A connection that was allowed.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) destination: DestinationId,
    pub(super) started: Timestamp,
    pub(super) phase: Phase,
    /// The host it stands with.
    pub(super) host: Option<SocketAddr>,
    /// Hosts taken besides, being dialled.
    pub(super) taken: Vec<SocketAddr>,
    /// Hosts that failed it and were counted.
    pub(super) failed: Vec<SocketAddr>,
    /// Transactions begun.
    pub(super) transactions: u32,
    /// What is in flight on it: the message and the numbers of its recipients, in order.
    pub(super) work: Option<(QueueId, Vec<u32>)>,
    /// Something was settled over it.
    pub(super) fruitful: bool,
}

/// What a connection is doing, as far as the scheduler must know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It will pull soon.
    Hungry,
    /// It has work.
    Busy,
    /// It had nothing to do when it last asked.
    Idle,
}

impl Connection {
    pub(super) const fn new(destination: DestinationId, started: Timestamp) -> Self {
        Self {
            destination,
            started,
            phase: Phase::Hungry,
            host: None,
            taken: Vec::new(),
            failed: Vec::new(),
            transactions: 0,
            work: None,
            fruitful: false,
        }
    }
}

impl Scheduler {
    /// The destination gave a permanent answer (no such domain, null MX, refused by every host): it is not
    /// down. Settle its messages with `Outcome::Failed` through `pull` and `settle`, then end the connection.
    pub fn destination_failed(&mut self, now: Timestamp, ticket: &ConnectTicket) -> Recovered {
        let Some(id) = self.connections.get(&ticket.id).map(|c| c.destination) else {
            return Recovered::default();
        };
        let destination = self.recover(now, id);
        self.refresh(now, id);
        Recovered { destination, host: false }
    }

    /// A transaction has shown that the destination is up again, after [`Scheduler::host_stood`]. True when it was down
    /// itself.
    pub fn destination_works(&mut self, now: Timestamp, ticket: &ConnectTicket) -> bool {
        self.destination_failed(now, ticket).destination
    }

    /// No connection came about (a fault of [`FaultClass::Destination`] that is not permanent). `failed`: the
    /// hosts that were dialled and failed, those already given to `host_failed` included. The ticket is spent;
    /// pulled work goes back untouched.
    ///
    /// The destination goes down unless another connection of it stands or stood meanwhile. When all that was
    /// dialled is down, it waits for those hosts, and only they are answered.
    pub fn connection_failed(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        failed: &[SocketAddr],
    ) -> Down {
        let mut down = Down::default();
        for host in failed {
            let state = self.host_failed(now, ticket, *host);
            down.hosts.extend(state.map(|state| (*host, state)));
        }
        let stale = self.is_stale(ticket.id);
        let Some(connection) = self.spend(now, ticket.id) else { return down };
        let id = connection.destination;
        if stale {
            self.try_again(now, id, ticket.id);
            return down;
        }
        let Some(destination) = self.destinations.get_mut(&id) else { return down };
        destination.window.failed(&self.settings.limits);
        let active = destination.active_mut();
        // A connection that stood before it failed is no witness for the destination.
        let works = active.established > 0
            || connection.host.is_none()
                && active.last_success.is_some_and(|at| at >= connection.started);
        match active.outage {
            None if works => active.rest = Some(now.plus(FRUITLESS_REST)),
            Some(outage) if outage.trial != Some(ticket.id) => {}
            _ => {
                down.destination = self.go_down(now, id, failed);
                self.destination_failed_at(now, id);
            }
        }
        self.refresh(now, id);
        down
    }

    /// A trial of a destination that is down proves nothing before this time. Answers its state, when that has changed.
    pub fn postpone(
        &mut self,
        now: Timestamp,
        id: DestinationId,
        until: Timestamp,
    ) -> Option<DestinationState> {
        let outage = self.destinations.get(&id)?.outage().copied();
        let outage = outage.filter(|o| o.own && o.state.next_trial < until)?;
        let state = DestinationState { next_trial: until, ..outage.state };
        self.set_outage(id, Outage { state, ..outage });
        self.refresh(now, id);
        Some(state)
    }

    /// No host was dialled, because every host of the destination is busy or rests (the answers of
    /// `host_take`). The ticket is spent; pulled work goes back untouched.
    pub fn connection_blocked(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        hosts: &[SocketAddr],
    ) {
        let Some(connection) = self.spend(now, ticket.id) else { return };
        let id = connection.destination;
        let Some(until) = self.all_down_until(now, hosts) else {
            self.give_up_trial(now, id, ticket.id);
            self.wait_for_hosts(now, id, hosts, Some(now.plus(BUSY_REST)));
            return;
        };
        let foreign = self.destinations[&id]
            .outage()
            .is_some_and(|o| o.trial.is_some() && o.trial != Some(ticket.id));
        if !foreign {
            self.wait_for_down_hosts(now, id, until);
            self.destination_failed_at(now, id);
        }
        self.wait_for_hosts(now, id, hosts, None);
    }

    /// The connection is closed. The ticket is spent; pulled work goes back untouched.
    pub fn connection_ended(&mut self, now: Timestamp, ticket: &ConnectTicket) {
        let Some(connection) = self.spend(now, ticket.id) else { return };
        let id = connection.destination;
        self.give_up_trial(now, id, ticket.id);
        let in_vain = connection.host.is_none() || connection.work.is_some();
        if in_vain
            && !connection.fruitful
            && let Some(destination) = self.destinations.get_mut(&id)
            && destination.has_due(now)
        {
            destination.active_mut().rest = Some(now.plus(FRUITLESS_REST));
        }
        self.refresh(now, id);
    }

    /// Connections open or being opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Puts a connection into the phase in which it will pull soon.
    pub(super) fn set_hungry(&mut self, ticket: TicketId) {
        self.set_phase(ticket, Phase::Hungry);
    }

    pub(super) fn set_phase(&mut self, ticket: TicketId, phase: Phase) {
        let Some(connection) = self.connections.get_mut(&ticket) else { return };
        let before = std::mem::replace(&mut connection.phase, phase);
        let Some(destination) = self.destinations.get_mut(&connection.destination) else { return };
        let active = destination.active_mut();
        match before {
            Phase::Hungry => active.hungry -= 1,
            Phase::Idle => {
                active.idle.remove(&ticket);
                self.idle_connections.remove(&ticket);
            }
            Phase::Busy => {}
        }
        match phase {
            Phase::Hungry => active.hungry += 1,
            Phase::Idle => {
                active.idle.insert(ticket);
                self.idle_connections.insert(ticket);
            }
            Phase::Busy => {}
        }
    }

    /// Ends an outage of a destination, and its waiting for hosts. True when it was down itself.
    pub(super) fn recover(&mut self, now: Timestamp, id: DestinationId) -> bool {
        self.stop_waiting(now, id);
        let Some(destination) = self.destinations.get_mut(&id) else { return false };
        let Some(outage) = destination.outage_mut().copied() else { return false };
        destination.active_mut().outage = None;
        destination.window = Window::new(&self.settings.limits);
        destination.drain(now);
        outage.own
    }

    /// Takes a connection out of all counts; its work goes back.
    fn spend(&mut self, now: Timestamp, ticket: TicketId) -> Option<Connection> {
        self.set_phase(ticket, Phase::Busy);
        let mut connection = self.connections.remove(&ticket)?;
        if let Some((message, numbers)) = &connection.work {
            self.unmark(now, *message, connection.destination, numbers);
        }
        for host in std::mem::take(&mut connection.taken) {
            self.free_host(now, host, ticket, false);
        }
        if let Some(host) = connection.host {
            self.free_host(now, host, ticket, true);
        }
        if let Some(destination) = self.destinations.get_mut(&connection.destination) {
            let active = destination.active_mut();
            active.connections -= 1;
            active.established -= u32::from(connection.host.is_some());
        }
        self.route_closed(connection.destination);
        Some(connection)
    }

    /// One more failure in a row. Answers the state to be written, unless only its hosts are down.
    fn go_down(
        &mut self,
        now: Timestamp,
        id: DestinationId,
        failed: &[SocketAddr],
    ) -> Option<DestinationState> {
        let hosts_until = self.all_down_until(now, failed);
        let before = self.destinations.get(&id)?.outage().copied();
        let own = before.is_some_and(|o| o.own) || hosts_until.is_none();
        let mut state = self.next_state(now, id, before.as_ref());
        if let Some(until) = hosts_until {
            state.next_trial = after_hosts(now, until, state.next_trial);
        }
        self.set_outage(id, Outage { state, own, trial: None });
        if hosts_until.is_some() {
            self.wait_for_hosts(now, id, failed, None);
        }
        own.then_some(state)
    }

    fn wait_for_down_hosts(&mut self, now: Timestamp, id: DestinationId, until: Timestamp) {
        let before = self.destinations.get(&id).and_then(|d| d.outage().copied());
        let next = self.next_state(now, id, before.as_ref());
        let next_trial = after_hosts(now, until, next.next_trial);
        let outage = match before {
            // What it did itself is not made worse by its hosts.
            Some(o) if o.own => {
                Outage { state: DestinationState { next_trial, ..o.state }, own: true, trial: None }
            }
            _ => Outage { state: DestinationState { next_trial, ..next }, own: false, trial: None },
        };
        self.set_outage(id, outage);
    }

    fn set_outage(&mut self, id: DestinationId, outage: Outage) {
        if let Some(destination) = self.destinations.get_mut(&id) {
            let active = destination.active_mut();
            active.outage = Some(outage);
            active.draining = None;
        }
    }

    /// The state after one more failure.
    fn next_state(
        &self,
        now: Timestamp,
        id: DestinationId,
        before: Option<&Outage>,
    ) -> DestinationState {
        let destination = &self.destinations[&id];
        let failures = before.map_or(0, |o| o.state.failures).saturating_add(1);
        let key = key_of_name(self.settings.seed, destination.key().as_bytes());
        let schedule = self.settings.schedule_for(destination.name().1);
        DestinationState {
            since: before.map_or(now, |o| o.state.since),
            failures,
            next_trial: schedule.due(now, FaultClass::Destination, failures, key),
        }
    }

    /// A trial that neither stood nor failed counts for nothing, but the next one comes a step later all the
    /// same.
    fn give_up_trial(&mut self, now: Timestamp, id: DestinationId, ticket: TicketId) {
        let Some(outage) = self.destinations.get(&id).and_then(|d| d.outage().copied()) else {
            return;
        };
        if outage.trial == Some(ticket) {
            let next_trial = self.next_state(now, id, Some(&outage)).next_trial;
            let state = DestinationState { next_trial, ..outage.state };
            self.set_outage(id, Outage { state, trial: None, ..outage });
        }
    }

    /// Until when all of these hosts rest; `None` when one of them does not, or there is none.
    fn all_down_until(&self, now: Timestamp, hosts: &[SocketAddr]) -> Option<Timestamp> {
        let until = |host: &SocketAddr| {
            let outage = self.hosts.get(host).and_then(|h: &Host| h.outage.as_ref());
            outage.filter(|o| o.trial.is_some() || o.state.next_trial > now)
        };
        let rests: Option<Vec<_>> =
            hosts.iter().map(|host| until(host).map(|o| o.state.next_trial)).collect();
        rests?.into_iter().min()
    }

    fn wait_for_hosts(
        &mut self,
        now: Timestamp,
        id: DestinationId,
        hosts: &[SocketAddr],
        rest: Option<Timestamp>,
    ) {
        self.stop_waiting(now, id);
        if self.is_kept(id) {
            // It would take the place of one that may be tried.
            self.refresh(now, id);
            return;
        }
        let turn = self.turn();
        for host in hosts {
            self.hosts.entry(*host).or_default().waiting.insert((turn, id));
            self.note_idle_host(now, *host);
        }
        if let Some(destination) = self.destinations.get_mut(&id) {
            let active = destination.active_mut();
            active.hop_wait = Some(HopWait { turn, hosts: hosts.to_vec() });
            active.rest = rest;
        }
        self.refresh(now, id);
    }
}

/// When a destination whose hosts rest until a time looks again by itself, should DNS then name other hosts: a
/// step of its own after their trial, for which one destination is called. Else all would come together.
fn after_hosts(now: Timestamp, until: Timestamp, own: Timestamp) -> Timestamp {
    until.max(now).plus(own.since(now))
}
