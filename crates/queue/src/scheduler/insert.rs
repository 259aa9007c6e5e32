//! Filling the queue: destinations are interned, messages put in line, outages restored.

use super::terms::Terms;
use super::{DestinationId, InsertError, Item, Route, Scheduler};
use crate::destination::{Destination, Outage, write_key};
use crate::feedback::Window;
use crate::host::HostOutage;
use crate::life::{DestinationState, Life};
use crate::message::{Message, Recipient};
use crate::ranks::Ranks;
use posthaste_mail::Timestamp;
use std::net::SocketAddr;
use std::sync::Arc;

impl Scheduler {
    /// Interns a destination: next-hop domain in lower case, and the route's name. Neither has a NUL.
    pub fn destination(&mut self, now: Timestamp, name: &str, route: &str) -> DestinationId {
        let mut key = String::with_capacity(name.len() + route.len() + 1);
        write_key(&mut key, name, route);
        if let Some(id) = self.names.get(key.as_str()).copied() {
            self.touch(now, id);
            return id;
        }
        let id = self.fresh_destination_id();
        let key: Arc<str> = key.into();
        let route = self.route(route);
        let window = Window::new(&self.settings.limits);
        self.names.insert(Arc::clone(&key), id);
        let mut destination = Destination::new(key, route, window);
        destination.held = self.held.contains(name);
        self.destinations.insert(id, Box::new(destination));
        self.refresh(now, id);
        id
    }

    /// The next-hop domain and the route of a destination.
    #[must_use]
    pub fn destination_name(&self, id: DestinationId) -> Option<(&str, &str)> {
        self.destinations.get(&id).map(|d| d.name())
    }

    /// Queues a message. Recipients that were refused are not tried, and stay out: the caller ends them.
    ///
    /// # Errors
    /// [`InsertError`]; nothing is queued then.
    pub fn insert(&mut self, now: Timestamp, item: &Item<'_>) -> Result<(), InsertError> {
        if self.messages.contains_key(&item.id) {
            return Err(InsertError::Duplicate);
        }
        let tried = |life: Life| life.is_live() && life != Life::Refused;
        let live = item.recipients.iter().filter(|(.., state)| tried(state.life));
        let mut recipients = Vec::with_capacity(item.recipients.len());
        for (number, destination, state) in live {
            if !self.destinations.contains_key(destination) {
                return Err(InsertError::UnknownDestination);
            }
            recipients.push(Recipient::new(*number, *destination, *state));
        }
        let message = Message::new(item.received, item.size, item.notice, recipients);
        if message.is_empty() {
            return Ok(());
        }
        let destinations = message.destinations();
        self.note_restored(item.id, &message);
        self.messages.insert(item.id, message);
        self.rates.came(now);
        for destination in destinations {
            self.link(item.id, destination);
            if let Some(entry) = self.destinations.get_mut(&destination) {
                entry.active_mut().rates.came(now);
            }
            self.refresh(now, destination);
        }
        Ok(())
    }

    /// A destination was down when the process ended.
    pub fn restore_down(
        &mut self,
        now: Timestamp,
        name: &str,
        route: &str,
        state: DestinationState,
    ) -> DestinationId {
        let id = self.destination(now, name, route);
        if let Some(destination) = self.destinations.get_mut(&id) {
            destination.active_mut().outage = Some(Outage { state, own: true, trial: None });
        }
        self.refresh(now, id);
        id
    }

    /// A next-hop host was down when the process ended.
    pub fn restore_host(&mut self, now: Timestamp, host: SocketAddr, state: DestinationState) {
        self.hosts.entry(host).or_default().outage = Some(HostOutage { state, trial: None });
        self.appoint(host, Some(state.next_trial));
        self.note_idle_host(now, host);
    }

    /// Ids come round after four thousand million; those in use are passed over.
    fn fresh_destination_id(&mut self) -> DestinationId {
        loop {
            let id = DestinationId(self.next_destination);
            self.next_destination = self.next_destination.wrapping_add(1);
            if !self.destinations.contains_key(&id) {
                return id;
            }
        }
    }

    /// The number of a route. Routes are few (they are configured), so that a scan is the fastest search.
    pub(super) fn route(&mut self, name: &str) -> u32 {
        let place = self.routes.iter().position(|r| r.name == name).unwrap_or_else(|| {
            self.routes.push(Route {
                name: name.to_owned(),
                aging: Ranks::new(),
                renewed: None,
                terms: Terms::of(&self.settings, name),
                limits: super::limits::Limits::of(&self.settings, name),
            });
            self.routes.len() - 1
        });
        u32::try_from(place).expect("routes are configured by hand")
    }
}
