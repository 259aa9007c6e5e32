//! What is to be done now, and when to ask again.
//!
//! Each destination stands in at most one place: on the agenda for a time, in one of two lines, or nowhere when
//! an event must come first. `refresh` puts it there after every change; the lines are served in turn, so that
//! no destination starves another.

use super::connection::Connection;
use super::{ConnectTicket, DestinationId, Next, Scheduler, TicketId};
use crate::destination::{Destination, Outage, Place};
use crate::drain::Draining;
use posthaste_mail::Timestamp;

/// What a destination needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Need {
    /// Nothing until something happens.
    Event,
    /// A look at this time.
    Time(Timestamp),
    /// One of its idle connections is to pull.
    Wake,
    /// Its turn in its route.
    Route,
    /// One more connection.
    Connect,
}

impl Scheduler {
    /// What is to be done now; ask until `None`.
    pub fn next(&mut self, now: Timestamp) -> Option<Next> {
        if !self.running {
            return None;
        }
        self.forget_quietly(now);
        self.advance(now);
        if let Some((_, id)) = self.wake_line.first().copied() {
            return Some(Next::Wake(self.wake_one(now, id)));
        }
        let id = loop {
            let Some((_, id)) = self.connect_line.first().copied() else {
                self.ramp = None;
                return None;
            };
            if !self.limits_of(id).is_some_and(|limits| limits.is_full()) {
                break id;
            }
            // Others of its route were quicker: it stands in that line now.
            self.served(now, id);
        };
        if self.is_full() {
            return self.thin_out();
        }
        if self.ramp.is_some_and(|ramp| !ramp.is_open(now)) {
            return None;
        }
        if let Some(ramp) = &mut self.ramp {
            ramp.take(now, &self.settings.drain);
        }
        Some(Next::Connect(self.allow_connection(now, id)))
    }

    /// When to ask again, unless something is reported before. `None`: nothing waits for a time.
    #[must_use]
    pub fn next_wakeup(&self, now: Timestamp) -> Option<Timestamp> {
        if !self.outbox.is_empty() {
            return Some(now);
        }
        if !self.running {
            return None;
        }
        let line = if !self.wake_line.is_empty() {
            Some(now)
        } else if self.connect_line.is_empty() {
            None
        } else if self.is_full() {
            (!self.idle_connections.is_empty()).then_some(now)
        } else {
            Some(self.ramp.map_or(now, |ramp| ramp.next))
        };
        let agenda = self.agenda.first().map(|(at, _)| *at);
        let hosts = self.host_agenda.first().map(|(at, _)| *at);
        let ends = [self.next_expiry(), self.next_told(), self.warning_time(now)];
        let lines = [line, agenda, hosts, self.next_route()].into_iter().chain(ends);
        let first = lines.flatten().min();
        first.map(|at| at.max(now))
    }

    /// All outgoing connections are in use.
    pub(super) fn is_full(&self) -> bool {
        self.connections.len() >= self.settings.limits.connections as usize
    }

    /// Finds a destination's place anew. To be called after every change to it.
    pub(super) fn refresh(&mut self, now: Timestamp, id: DestinationId) {
        let Some(destination) = self.destinations.get_mut(&id) else { return };
        destination.tidy(now);
        let place = destination.place;
        let idle = destination.is_idle();
        let next = match (self.need(now, id), place) {
            (Need::Event, Place::Idle(_)) if idle => place,
            (Need::Event, _) if idle => Place::Idle(now),
            (Need::Event, _) => Place::Off,
            (Need::Time(at), _) => Place::Agenda(at),
            (Need::Wake, Place::Wake(_))
            | (Need::Connect, Place::Connect(_))
            | (Need::Route, Place::Route(_)) => place,
            (Need::Route, _) => Place::Route(self.turn()),
            (Need::Wake, _) => Place::Wake(self.turn()),
            (Need::Connect, _) => Place::Connect(self.turn()),
        };
        if next != place {
            self.leave(id, place);
            self.enter(id, next);
        }
    }

    /// What it needs, as far as its route allows it.
    fn need(&self, now: Timestamp, id: DestinationId) -> Need {
        let destination = &self.destinations[&id];
        if self.is_kept(id) {
            return Need::Event;
        }
        let need = self.own_need(now, destination);
        let Some(limits) = self.limits_of(id) else { return need };
        let granted = destination.active().is_some_and(|a| a.granted);
        let waits = limits.is_paced() && !granted;
        match need {
            Need::Connect if waits || limits.is_full() => Need::Route,
            Need::Wake if waits => Need::Route,
            need => need,
        }
    }

    fn own_need(&self, now: Timestamp, destination: &Destination) -> Need {
        let Some(first) = destination.first_due() else { return Need::Event };
        let Some(active) = destination.active() else {
            return if first <= now { Need::Connect } else { Need::Time(first) };
        };
        if let Some(outage) = &active.outage {
            return trial_need(now, outage, first);
        }
        if let Some(until) = active.rest {
            return Need::Time(until);
        }
        // Those that will pull soon take the first ones.
        let Some((due, _)) = destination.mail().waiting.iter().nth(active.hungry as usize) else {
            return Need::Event;
        };
        if *due > now {
            return Need::Time(*due);
        }
        match active.draining {
            Some(_) if active.hungry > 0 => return Need::Event,
            Some(draining) if !draining.is_open(now) => return Need::Time(draining.next),
            _ => {}
        }
        if !active.idle.is_empty() {
            Need::Wake
        } else if active.connections >= destination.window.size(&self.settings.limits) {
            Need::Event
        } else {
            Need::Connect
        }
    }

    /// Takes from the agendas what time has brought.
    fn advance(&mut self, now: Timestamp) {
        self.let_routes_go(now);
        while let Some((at, id)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.leave(id, Place::Agenda(at));
            self.refresh(now, id);
        }
        while let Some((at, host)) = self.host_agenda.first().copied().filter(|(at, _)| *at <= now)
        {
            self.host_agenda.remove(&(at, host));
            self.keep_appointment(now, host);
        }
    }

    /// All connections are in use and somebody waits for one: an idle one is to pull, and will be told to end.
    fn thin_out(&mut self) -> Option<Next> {
        let ticket = self.idle_connections.first().copied()?;
        self.set_hungry(ticket);
        Some(Next::Wake(ticket))
    }

    /// An idle connection would keep others waiting.
    pub(super) fn is_crowded(&self, connection: &Connection) -> bool {
        let host = connection.host.and_then(|host| self.hosts.get(&host));
        self.is_full() && !self.connect_line.is_empty()
            || host.is_some_and(|host| {
                host.waiting.iter().any(|(_, other)| *other != connection.destination)
            })
    }

    fn wake_one(&mut self, now: Timestamp, id: DestinationId) -> TicketId {
        let destination = self.destinations.get_mut(&id).expect("in line means known");
        // The last to fall idle: the others may time out undisturbed.
        let ticket = destination.active_mut().idle.last().copied();
        let ticket = ticket.expect("in this line only with an idle connection");
        self.set_hungry(ticket);
        self.served(now, id);
        ticket
    }

    fn allow_connection(&mut self, now: Timestamp, id: DestinationId) -> ConnectTicket {
        self.next_ticket += 1;
        let ticket = TicketId(self.next_ticket);
        let destination = self.destinations.get_mut(&id).expect("in line means known");
        let trial = destination.outage().is_some();
        if let Some(outage) = destination.outage_mut() {
            outage.trial = Some(ticket);
        }
        let active = destination.active_mut();
        active.connections += 1;
        active.hungry += 1;
        self.connections.insert(ticket, Connection::new(id, now));
        self.route_opened(id);
        self.served(now, id);
        ConnectTicket { id: ticket, destination: id, trial }
    }

    /// It was served: should it need more, it queues up again.
    fn served(&mut self, now: Timestamp, id: DestinationId) {
        if let Some(place) = self.destinations.get(&id).map(|d| d.place) {
            self.leave(id, place);
        }
        self.refresh(now, id);
    }

    fn leave(&mut self, id: DestinationId, place: Place) {
        match place {
            Place::Off => {}
            Place::Idle(since) => {
                self.idle.remove(&(since, id));
            }
            Place::Agenda(at) => {
                self.agenda.remove(&(at, id));
            }
            Place::Wake(turn) => {
                self.wake_line.remove(&(turn, id));
            }
            Place::Route(turn) => {
                if let Some(limits) = self.limits_mut(id) {
                    limits.line.remove(&(turn, id));
                }
            }
            Place::Connect(turn) => {
                self.connect_line.remove(&(turn, id));
            }
        }
        self.set_place(id, Place::Off);
    }

    fn enter(&mut self, id: DestinationId, place: Place) {
        match place {
            Place::Off => {}
            Place::Idle(since) => {
                self.idle.insert((since, id));
            }
            Place::Agenda(at) => {
                self.agenda.insert((at, id));
            }
            Place::Wake(turn) => {
                self.wake_line.insert((turn, id));
            }
            Place::Route(turn) => {
                if let Some(limits) = self.limits_mut(id) {
                    limits.line.insert((turn, id));
                }
            }
            Place::Connect(turn) => {
                self.connect_line.insert((turn, id));
            }
        }
        self.set_place(id, place);
    }

    fn set_place(&mut self, id: DestinationId, place: Place) {
        if let Some(destination) = self.destinations.get_mut(&id) {
            destination.place = place;
        }
    }

    /// It was named: it may be forgotten later.
    pub(super) fn touch(&mut self, now: Timestamp, id: DestinationId) {
        if let Some(place @ Place::Idle(_)) = self.destinations.get(&id).map(|d| d.place) {
            self.leave(id, place);
            self.enter(id, Place::Idle(now));
        }
    }

    /// Takes a destination off every list, before it is forgotten.
    pub(super) fn take_off(&mut self, id: DestinationId) {
        if let Some(place) = self.destinations.get(&id).map(|d| d.place) {
            self.leave(id, place);
        }
    }
}

/// When the next turn of a release is free, unless one is free now.
pub(super) fn closed_until(draining: Option<Draining>, now: Timestamp) -> Option<Timestamp> {
    draining.filter(|d| !d.is_open(now)).map(|d| d.next)
}

fn trial_need(now: Timestamp, outage: &Outage, first: Timestamp) -> Need {
    let at = outage.state.next_trial.max(first);
    if outage.trial.is_some() {
        Need::Event
    } else if at <= now {
        Need::Connect
    } else {
        Need::Time(at)
    }
}
