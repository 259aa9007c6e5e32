//! What the queue viewer asks: bounded answers from the scheduler and the store.

use crate::{Dispatch, destination, lock};
use posthaste_evidence::{Connection, Fault, NoticeKind};
use posthaste_mail::{Envelope, QueueId, SourceKind, Timestamp};
use posthaste_message::dsn::rules;
use posthaste_queue::{DestinationState, DestinationView, MessageView, RecipientState, Waiting};
use posthaste_route::{Facts, Route};
use posthaste_spool::LedgerKey;
use std::net::SocketAddr;

/// Where a message stands, as far as memory knows; the rest is the store's.
pub type MessageStatus = MessageView;

/// Where mail for an address would go, and why not now.
#[derive(Clone, Debug)]
pub struct Explained {
    /// The destination's name.
    pub destination: String,
    /// The rule that matches; `None` when none does.
    pub route: Option<Route>,
    /// The destination as the queue has it; `None` when there is no mail for it and it is not down.
    pub queue: Option<DestinationView>,
    /// The most connections that the destination may have now.
    pub window: Option<u32>,
}

impl Dispatch {
    /// The wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.inner.world.wall()
    }

    /// Destinations in order of name and route.
    #[must_use]
    pub fn destinations(&self, after: Option<(&str, &str)>, limit: usize) -> Vec<DestinationView> {
        let inner = &self.inner;
        inner.scheduler().destinations(inner.world.wall(), after, limit)
    }

    /// Where one message stands; `None` when it is not in the queue.
    #[must_use]
    pub fn message(&self, id: QueueId) -> Option<MessageStatus> {
        let inner = &self.inner;
        inner.scheduler().message(inner.world.wall(), id)
    }

    /// Why a recipient is not done yet.
    #[must_use]
    pub fn waiting(&self, id: QueueId, recipient: u32) -> Option<Waiting> {
        let inner = &self.inner;
        inner.scheduler().wait_reason(inner.world.wall(), id, recipient)
    }

    /// The names of the destination a recipient belongs to: next-hop domain and route.
    ///
    /// # Panics
    /// When the message has no recipient of that number.
    #[must_use]
    pub fn destination_of(&self, envelope: &Envelope, number: u32) -> (String, String) {
        let to = destination::of(&self.inner.routes(), envelope, number);
        (to.name, to.route)
    }

    /// The connections that failed last at a destination that is down, oldest first.
    #[must_use]
    pub fn failures(&self, name: &str, route: &str) -> Vec<Connection> {
        let key = destination::ledger_key(name, route);
        lock(&self.inner.outages).failures(&key).to_vec()
    }

    /// Since when a next-hop host is down.
    #[must_use]
    pub fn host_down(&self, host: SocketAddr) -> Option<DestinationState> {
        lock(&self.inner.outages).state(&LedgerKey::NextHop(host))
    }

    /// Where such mail would go.
    #[must_use]
    pub fn explain_route(&self, facts: &Facts<'_>) -> Explained {
        let inner = &self.inner;
        let routes = inner.routes();
        let to = destination::of_facts(&routes, facts);
        let now = inner.world.wall();
        let mut scheduler = inner.scheduler();
        let id = scheduler.destination(now, &to.name, &to.route);
        let (queue, window) = (scheduler.destination_view(now, id), scheduler.window(id));
        let is_there = |v: &DestinationView| v.recipients + v.connections > 0 || v.down.is_some();
        let queue = queue.filter(is_there);
        let route = routes.find(facts).map(|(_, route)| route.clone());
        Explained { destination: to.name, route, queue, window }
    }

    /// Destinations with mail that no route matches, those with the oldest first.
    #[must_use]
    pub fn unreachable(&self, limit: usize) -> Vec<String> {
        let scheduler = self.inner.scheduler();
        scheduler.unreachable(limit).into_iter().map(str::to_owned).collect()
    }

    /// Destinations whose mail waits because we cannot log in at their hosts: destination and fault, with the route to
    /// correct.
    #[must_use]
    pub fn not_let_in(&self) -> Vec<(String, Fault)> {
        let logins = lock(&self.inner.outages).logins();
        let told = |(destination, route, fault)| (destination, Fault::Login { route, fault });
        logins.into_iter().map(told).collect()
    }

    /// A settlement of this message is on its way to the disk.
    #[must_use]
    pub fn is_settling(&self, id: QueueId) -> bool {
        lock(&self.inner.settling).has(id)
    }

    /// Messages in the queue, and connections open or being opened.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let scheduler = self.inner.scheduler();
        (scheduler.len(), scheduler.connections())
    }

    /// Messages that came into the queue, and that left it, in the last minute.
    #[must_use]
    pub fn last_minute(&self) -> (u32, u32) {
        let inner = &self.inner;
        inner.scheduler().last_minute(inner.world.wall())
    }

    /// When a message expires by this route.
    #[must_use]
    pub fn expires(&self, envelope: &Envelope, route: &str) -> Timestamp {
        let notice = envelope.source.kind == SourceKind::Notice;
        let scheduler = self.inner.scheduler();
        envelope.lives_since().plus(scheduler.settings().lifetime(route, notice))
    }

    /// When the sender is told next, at the earliest, that this recipient still waits. `None`: not, or not again.
    #[must_use]
    pub fn next_notice(
        &self,
        envelope: &Envelope,
        number: u32,
        state: &RecipientState,
    ) -> Option<Timestamp> {
        let settings = self.inner.settings();
        let ground = rules::Ground {
            ours: rules::is_ours(envelope, |domain| settings.own_domains.contains(domain)),
            from: &settings.sender.from,
            delimiter: settings.delimiter,
            is_report: false,
        };
        let waits = state.life.is_live() && !state.life.is_ending();
        if !waits || rules::owed(NoticeKind::Delayed, envelope, number, &ground).is_err() {
            return None;
        }
        let (_, route) = self.destination_of(envelope, number);
        let due = self.inner.scheduler().settings().delay_rule(&route).due(state.warned)?;
        let at = envelope.lives_since().plus(due);
        (at < self.expires(envelope, &route)).then_some(at)
    }
}
