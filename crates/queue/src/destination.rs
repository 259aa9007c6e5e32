//! A destination (next-hop domain and route): its mail in order of time, its connections, its outage.

use crate::ages::{Minutes, Rates};
use crate::drain::Draining;
use crate::feedback::Window;
use crate::life::DestinationState;
use crate::ranks::Ranks;
use crate::scheduler::TicketId;
use posthaste_mail::{QueueId, Timestamp};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

/// Stands between name and route in a key; sorts before every character of a name.
const BETWEEN: char = '\0';

/// A destination. What only a busy or troubled one needs is boxed: most are idle most of the time.
#[derive(Debug)]
pub(crate) struct Destination {
    key: Arc<str>,
    /// Its place among the routes of the scheduler.
    pub(crate) route: u32,
    pub(crate) window: Window,
    pub(crate) place: Place,
    /// The operator holds it: nothing is tried.
    pub(crate) held: bool,
    mail: Option<Box<Mail>>,
    active: Option<Box<Active>>,
}

/// Its mail.
#[derive(Debug)]
pub(crate) struct Mail {
    /// Messages with live recipients here.
    pub(crate) messages: u32,
    /// Live recipients, and those of them that are held or parked.
    pub(crate) recipients: u32,
    pub(crate) held: u32,
    /// Messages with live recipients that have failed before.
    pub(crate) deferred: u32,
    /// When its messages were accepted.
    pub(crate) minutes: Minutes,
    /// Messages with waiting recipients here, by their earliest due.
    pub(crate) waiting: BTreeSet<(Timestamp, QueueId)>,
    /// Messages with recipients here that can expire, by the delay notices they have passed and by acceptance.
    pub(crate) aging: Ranks<QueueId>,
    /// Under which acceptance its route knows it in the rank of those that have passed none.
    pub(crate) untold: Option<Timestamp>,
    /// The same in other ranks.
    pub(crate) told: Vec<(u8, Timestamp)>,
}

static NO_MAIL: Mail = Mail::new();

/// Where the scheduler will look at it again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Nowhere: an event must come first.
    Off,
    /// In the list of what may be forgotten, since this time: it has neither mail nor connections.
    Idle(Timestamp),
    /// At a time.
    Agenda(Timestamp),
    /// In the line of those with an idle connection to wake.
    Wake(u64),
    /// In the line of its route, for a connection or for its turn.
    Route(u64),
    /// In the line of those that deserve one more connection.
    Connect(u64),
}

/// Connections and troubles.
#[derive(Debug, Default)]
pub(crate) struct Active {
    /// Open, or being opened.
    pub(crate) connections: u32,
    /// Of them those that will pull soon.
    pub(crate) hungry: u32,
    /// Of them those that stand.
    pub(crate) established: u32,
    /// Those that had nothing to do.
    pub(crate) idle: BTreeSet<TicketId>,
    /// When the peer last did its part in a transaction or a greeting.
    pub(crate) last_success: Option<Timestamp>,
    pub(crate) outage: Option<Outage>,
    /// No new connection before this time.
    pub(crate) rest: Option<Timestamp>,
    /// It waits for one of these hosts.
    pub(crate) hop_wait: Option<HopWait>,
    pub(crate) draining: Option<Draining>,
    /// Messages that came and left lately.
    pub(crate) rates: Rates,
    /// It has leave for one message, given by the rate of its route.
    pub(crate) granted: bool,
}

/// It is down: only trials.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outage {
    pub(crate) state: DestinationState,
    /// It failed itself; otherwise all its next hops are down.
    pub(crate) own: bool,
    /// The trial under way.
    pub(crate) trial: Option<TicketId>,
}

/// Hosts it waits for, and its place in their lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HopWait {
    pub(crate) turn: u64,
    pub(crate) hosts: Vec<SocketAddr>,
}

/// Writes the key of a name and a route into `key`.
pub(crate) fn write_key(key: &mut String, name: &str, route: &str) {
    key.clear();
    key.push_str(name);
    key.push(BETWEEN);
    key.push_str(route);
}

impl Destination {
    pub(crate) const fn new(key: Arc<str>, route: u32, window: Window) -> Self {
        let place = Place::Off;
        Self { key, route, window, place, held: false, mail: None, active: None }
    }

    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Next-hop domain and route.
    pub(crate) fn name(&self) -> (&str, &str) {
        self.key.split_once(BETWEEN).expect("every key is written by write_key")
    }

    /// No route matches it.
    pub(crate) fn has_no_route(&self) -> bool {
        self.key.ends_with(BETWEEN)
    }

    pub(crate) fn mail(&self) -> &Mail {
        self.mail.as_deref().unwrap_or(&NO_MAIL)
    }

    pub(crate) fn mail_mut(&mut self) -> &mut Mail {
        self.mail.get_or_insert_with(|| Box::new(Mail::new()))
    }

    pub(crate) fn active(&self) -> Option<&Active> {
        self.active.as_deref()
    }

    pub(crate) fn active_mut(&mut self) -> &mut Active {
        self.active.get_or_insert_default()
    }

    pub(crate) fn outage(&self) -> Option<&Outage> {
        self.active()?.outage.as_ref()
    }

    pub(crate) fn outage_mut(&mut self) -> Option<&mut Outage> {
        self.active.as_mut()?.outage.as_mut()
    }

    /// Neither mail nor connections.
    pub(crate) fn is_idle(&self) -> bool {
        self.mail().messages == 0 && self.connections() == 0
    }

    pub(crate) fn connections(&self) -> u32 {
        self.active().map_or(0, |a| a.connections)
    }

    /// When the message that is due first is due.
    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        self.mail().waiting.first().map(|(due, _)| *due)
    }

    /// Mail is due (for mail without a route that means nothing).
    pub(crate) fn has_due(&self, now: Timestamp) -> bool {
        self.first_due().is_some_and(|due| due <= now)
    }

    /// Starts to release the backlog at the bounded rate, when there is one.
    pub(crate) fn drain(&mut self, now: Timestamp) {
        if self.has_due(now) {
            self.active_mut().draining = Some(Draining::new(now));
        }
    }

    /// Drops what time has ended, and the boxes when nothing is left in them.
    pub(crate) fn tidy(&mut self, now: Timestamp) {
        if self.mail().messages == 0 {
            self.mail = None;
        }
        let caught_up = !self.has_due(now);
        let Some(active) = self.active.as_mut() else { return };
        active.granted &= !caught_up;
        if active.rest.is_some_and(|until| until <= now) {
            active.rest = None;
        }
        if caught_up {
            active.draining = None;
        }
        if active.is_unused() && active.rates.is_quiet(now) {
            self.active = None;
        }
    }
}

impl Mail {
    const fn new() -> Self {
        Self {
            messages: 0,
            recipients: 0,
            held: 0,
            deferred: 0,
            minutes: Minutes::new(),
            waiting: BTreeSet::new(),
            aging: Ranks::new(),
            untold: None,
            told: Vec::new(),
        }
    }

    /// When the oldest message with recipients that can expire was accepted.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.told.iter().map(|(_, received)| *received).chain(self.untold).min()
    }
}

impl Active {
    fn is_unused(&self) -> bool {
        self.connections == 0
            && self.outage.is_none()
            && self.rest.is_none()
            && self.hop_wait.is_none()
            && self.draining.is_none()
            && !self.granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;

    #[test]
    fn an_idle_destination_is_small() {
        // what it costs in all is measured in tests/memory.rs
        assert!(size_of::<Destination>() <= 64, "{}", size_of::<Destination>());
    }

    #[test]
    fn keys_sort_by_name_then_route() {
        let key = |name, route| {
            let mut key = String::new();
            write_key(&mut key, name, route);
            key
        };
        assert!(key("a", "z") < key("a.b", "a") && key("a", "") < key("a", "b"));
        let destination =
            Destination::new(key("a.b", "r").into(), 0, Window::new(&Limits::default()));
        assert_eq!(destination.name(), ("a.b", "r"));
    }
}
