//! What all destinations of one route share: a number of connections, messages a minute, or a hold.
//!
//! Destinations that want more than their route allows stand in its line, and are let go in turn: one for each
//! connection that is free, and one for each message that the rate allows.

use super::terms::Terms;
use super::{ConnectTicket, DestinationId, Scheduler};
use crate::settings::{RouteSettings, Settings};
use posthaste_evidence::WaitReason;
use posthaste_mail::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// The limits of one route, and who waits for them.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// Its mail is not tried.
    pub(super) hold: bool,
    /// The most connections.
    most: Option<u32>,
    /// From one message to the next.
    pace: Option<Duration>,
    /// Connections open or being opened.
    open: u32,
    /// When the next message may begin.
    next: Timestamp,
    /// Destinations that wait for one of these, by their turn.
    pub(super) line: BTreeSet<(u64, DestinationId)>,
}

impl Limits {
    pub(super) fn of(settings: &Settings, route: &str) -> Self {
        let mut limits = Self { next: Timestamp::EPOCH, ..Self::default() };
        limits.set(settings.routes.get(route));
        limits
    }

    pub(super) fn set(&mut self, settings: Option<&RouteSettings>) {
        let none = RouteSettings::default();
        let settings = settings.unwrap_or(&none);
        self.hold = settings.hold;
        self.most = settings.connections.map(|most| most.max(1));
        self.pace = settings.messages_per_minute.map(|messages| MINUTE / messages.max(1));
        if self.pace.is_none() {
            self.next = Timestamp::EPOCH;
        }
    }

    /// It has all its connections.
    pub(super) fn is_full(&self) -> bool {
        self.most.is_some_and(|most| self.open >= most)
    }

    pub(super) const fn is_paced(&self) -> bool {
        self.pace.is_some()
    }

    /// Takes the next message's turn, if it is free.
    fn take(&mut self, now: Timestamp) -> bool {
        let Some(pace) = self.pace else { return true };
        if self.next > now {
            return false;
        }
        // Turns that nobody took are not made up for.
        self.next = self.next.max(now).plus(pace);
        true
    }

    /// The turn taken last was not needed.
    fn give_back(&mut self) {
        if let Some(pace) = self.pace {
            self.next = self.next.minus(pace);
        }
    }

    /// When somebody in the line may be let go.
    pub(super) fn opens(&self) -> Option<Timestamp> {
        (!self.line.is_empty() && !self.is_full()).then_some(self.next)
    }

    /// Why a destination stands in the line.
    pub(super) fn reason(&self, now: Timestamp) -> (WaitReason, Option<Timestamp>) {
        match self.is_full() {
            true => (WaitReason::RouteBusy, None),
            false => (WaitReason::RouteRate, Some(self.next.max(now))),
        }
    }
}

impl Scheduler {
    /// Its mail is not to be tried at all, whatever is due.
    pub(super) fn is_kept(&self, id: DestinationId) -> bool {
        let Some(destination) = self.destinations.get(&id) else { return false };
        let route = self.routes.get(destination.route as usize);
        destination.has_no_route() || destination.held || route.is_some_and(|r| r.limits.hold)
    }

    /// The limits of a destination's route.
    pub(super) fn limits_of(&self, id: DestinationId) -> Option<&Limits> {
        let route = self.destinations.get(&id)?.route;
        self.routes.get(route as usize).map(|r| &r.limits)
    }

    pub(super) fn limits_mut(&mut self, id: DestinationId) -> Option<&mut Limits> {
        let route = self.destinations.get(&id)?.route;
        self.routes.get_mut(route as usize).map(|r| &mut r.limits)
    }

    /// Leave for one message is asked for by a connection of this destination: its own, given when it was let go
    /// from the line, or the next turn of the rate. `Err` says when there is one.
    pub(super) fn take_turn(&mut self, now: Timestamp, id: DestinationId) -> Result<(), Timestamp> {
        if !self.limits_of(id).is_some_and(Limits::is_paced) {
            return Ok(());
        }
        if let Some(destination) = self.destinations.get_mut(&id)
            && std::mem::take(&mut destination.active_mut().granted)
        {
            return Ok(());
        }
        let Some(limits) = self.limits_mut(id) else { return Ok(()) };
        // Those in the line come first.
        if limits.line.is_empty() && limits.take(now) { Ok(()) } else { Err(limits.next.max(now)) }
    }

    /// The message pulled last on this connection is not sent to any host: its turn in the rate of the route is the
    /// next one's. Answered before the message is settled.
    pub fn turn_not_needed(&mut self, ticket: &ConnectTicket) {
        if let Some(limits) = self.limits_mut(ticket.destination) {
            limits.give_back();
        }
    }

    /// A connection of it is opened.
    pub(super) fn route_opened(&mut self, id: DestinationId) {
        if let Some(limits) = self.limits_mut(id) {
            limits.open += 1;
        }
    }

    /// A connection of it has ended.
    pub(super) fn route_closed(&mut self, id: DestinationId) {
        if let Some(limits) = self.limits_mut(id) {
            limits.open = limits.open.saturating_sub(1);
        }
    }

    /// Lets those in the lines go that may.
    pub(super) fn let_routes_go(&mut self, now: Timestamp) {
        for route in 0..self.routes.len() {
            let limits = &mut self.routes[route].limits;
            if limits.line.is_empty() {
                continue;
            }
            let free =
                limits.most.map_or(usize::MAX, |most| most.saturating_sub(limits.open) as usize);
            for _ in 0..free {
                let limits = &mut self.routes[route].limits;
                let Some((_, id)) = limits.line.first().copied() else { break };
                let paced = limits.is_paced();
                if !limits.take(now) {
                    break;
                }
                if let Some(destination) = self.destinations.get_mut(&id).filter(|_| paced) {
                    destination.active_mut().granted = true;
                }
                self.refresh(now, id);
            }
        }
    }

    /// When a line opens next.
    pub(super) fn next_route(&self) -> Option<Timestamp> {
        self.routes.iter().filter_map(|r| r.limits.opens()).min()
    }

    /// Destinations with mail that no route matches, those with the oldest first, at most `limit`.
    #[must_use]
    pub fn unreachable(&self, limit: usize) -> Vec<&str> {
        let none = self.routes.iter().find(|r| r.name == super::NO_ROUTE);
        let ranks = none.into_iter().flat_map(|route| route.aging.iter());
        let mut oldest: Vec<_> =
            ranks.flat_map(|(_, rank)| rank.iter().take(limit)).copied().collect();
        oldest.sort_unstable();
        let mut seen = BTreeSet::new();
        oldest.retain(|(_, id)| seen.insert(*id));
        oldest.truncate(limit);
        oldest.iter().filter_map(|(_, id)| Some(self.destinations.get(id)?.name().0)).collect()
    }

    pub(super) fn set_limits(&mut self) {
        for route in &mut self.routes {
            route.limits.set(self.settings.routes.get(&route.name));
            route.terms = Terms::of(&self.settings, &route.name);
        }
    }
}
