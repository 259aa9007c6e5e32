//! What can be set about the queue, with the defaults of the design.

use crate::schedule::{DelayRule, Schedule};
use std::collections::BTreeMap;
use std::time::Duration;

/// Everything that can be set about the queue. One `Arc` of it is taken at a time; a reload replaces it whole.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// The retry schedule of every route that has none of its own.
    pub schedule: Schedule,
    /// What a route, by its name, has otherwise.
    pub routes: BTreeMap<String, RouteSettings>,
    /// Limits of connections.
    pub limits: Limits,
    /// How a backlog is released.
    pub drain: Drain,
    /// Mixed into the jitter, so that two machines with the same mail do not retry together.
    pub seed: u64,
    /// How long our own notices are tried, where their route does not give up before.
    pub notice_lifetime: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            schedule: Schedule::default(),
            routes: BTreeMap::new(),
            limits: Limits::default(),
            drain: Drain::default(),
            seed: 0,
            notice_lifetime: Duration::from_secs(86_400),
        }
    }
}

/// What one route has otherwise than all others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RouteSettings {
    /// Its own schedule.
    pub schedule: Option<Schedule>,
    /// Its own lifetime; wins over the schedule's.
    pub expire_after: Option<Duration>,
    /// When a sender is first told of a delay, zero for never; wins over the schedule's.
    pub delay_after: Option<Duration>,
    /// Connections over all its destinations; `None` for no limit of its own.
    pub connections: Option<u32>,
    /// Messages begun a minute over all its destinations, evenly spread; `None` for no limit.
    pub messages_per_minute: Option<u32>,
    /// Its mail waits, and is not tried.
    pub hold: bool,
}

impl Settings {
    /// The schedule of a route: the route's own where it says so, else the common one.
    #[must_use]
    pub fn schedule_for(&self, route: &str) -> &Schedule {
        self.routes.get(route).and_then(|r| r.schedule.as_ref()).unwrap_or(&self.schedule)
    }

    /// How long mail of a route may take from its acceptance.
    #[must_use]
    pub fn expire_after(&self, route: &str) -> Duration {
        let own = self.routes.get(route).and_then(|r| r.expire_after);
        own.unwrap_or_else(|| self.schedule_for(route).expire_after)
    }

    /// The same, for one of our own notices where `notice` says so.
    #[must_use]
    pub fn lifetime(&self, route: &str, notice: bool) -> Duration {
        let lifetime = self.expire_after(route);
        if notice { lifetime.min(self.notice_lifetime) } else { lifetime }
    }

    /// When a sender is told that its mail on a route is delayed.
    #[must_use]
    pub fn delay_rule(&self, route: &str) -> DelayRule {
        let rule = self.schedule_for(route).delay;
        let own = self.routes.get(route).and_then(|r| r.delay_after);
        DelayRule { after: own.unwrap_or(rule.after), ..rule }
    }
}

/// Limits of connections and transactions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Connections a destination starts with, `destination_min` to `destination_max`.
    pub destination_start: u16,
    /// Connections a destination always may have, 1 or more.
    pub destination_min: u16,
    /// Connections a destination may grow to.
    pub destination_max: u16,
    /// Connections to one next-hop host, shared by all destinations on it.
    pub host: u16,
    /// Outgoing connections in all.
    pub connections: u32,
    /// Transactions over one connection before it is closed.
    pub messages_per_connection: u32,
    /// How long one connection is used before it is closed.
    pub connection_time: Duration,
    /// How long a destination without mail, or a host without destinations, is remembered.
    pub forget_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            destination_start: 5,
            destination_min: 1,
            destination_max: 40,
            host: 20,
            connections: 1000,
            messages_per_connection: 100,
            connection_time: Duration::from_secs(300),
            forget_after: Duration::from_secs(600),
        }
    }
}

/// How the backlog of a destination that answers again (or of a restart) is released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drain {
    /// Messages per second in the first second; at least 1.
    pub first_rate: u32,
    /// The rate doubles each second up to this; at least `first_rate`.
    pub top_rate: u32,
}

impl Default for Drain {
    fn default() -> Self {
        Self { first_rate: 10, top_rate: 1000 }
    }
}
