//! The queue of one shard, in memory: what is due next, and where one more connection is worth its while.
//!
//! Sans-IO: the dispatcher keeps it behind a short mutex, asks [`Scheduler::next`], acts, and reports. It knows
//! no addresses, no bodies and no subjects: only queue ids, recipient numbers, destinations and states. It
//! runs ahead of the store: what it answers as ended has left it, and the caller makes that durable.
//!
//! How to drive it: ask `expired` until `None`, `told` until `None`, `next_warning` until `None` (after each answer
//! `warn`), `next` until `None`, `forget` until `None`; then sleep until `next_wakeup` or the next report (every method
//! that takes `&mut self` is one).
//!
//! The life of a connection is that of its ticket: `pull` (before or after connecting), `host_take` before a
//! host is dialled, `host_connected` after its EHLO, `pull` and `settle` for each transaction, and at last
//! exactly one of `connection_ended`, `connection_failed`, `connection_blocked`.

mod acts;
mod agenda;
mod connection;
mod endings;
mod expiry;
mod hosts;
mod insert;
mod limits;
mod links;
mod moved;
mod pull;
mod renew;
mod settle;
mod terms;
mod types;
mod view;
mod warnings;

pub use types::{
    Changed, ConnectTicket, DestinationId, DestinationStatus, DestinationView, Down, Forgotten,
    HostUse, InsertError, Item, MessageView, Next, Pulled, RecipientView, Recovered, TicketId,
    Tried, Waiting, Work,
};

use crate::destination::Destination;
use crate::drain::Draining;
use crate::host::Host;
use crate::message::Message;
use crate::ranks::Ranks;
use crate::settings::Settings;
use connection::Connection;
use posthaste_mail::{QueueId, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use terms::Terms;
use warnings::Warnings;

/// The queue of one shard. Every operation costs O(log n), and O(recipients of the message) where it
/// concerns one.
#[derive(Debug)]
pub struct Scheduler {
    settings: Arc<Settings>,
    running: bool,
    messages: BTreeMap<QueueId, Message>,
    /// Boxed, because a tree that grows at its end leaves half of each node empty.
    destinations: BTreeMap<DestinationId, Box<Destination>>,
    /// Destinations by their key.
    names: BTreeMap<Arc<str>, DestinationId>,
    /// Names of destinations that the operator holds, those with no mail included.
    held: BTreeSet<Box<str>>,
    routes: Vec<Route>,
    connections: BTreeMap<TicketId, Connection>,
    /// Those that had nothing to do.
    idle_connections: BTreeSet<TicketId>,
    hosts: BTreeMap<SocketAddr, Host>,
    /// Destinations to look at again, by time.
    agenda: BTreeSet<(Timestamp, DestinationId)>,
    /// Destinations with due mail and a connection that had nothing to do.
    wake_line: BTreeSet<(u64, DestinationId)>,
    /// Destinations that deserve one more connection.
    connect_line: BTreeSet<(u64, DestinationId)>,
    /// Hosts that are to get their trial, or to let a waiting destination go, by time.
    host_agenda: BTreeSet<(Timestamp, SocketAddr)>,
    /// What may be forgotten, by the time it fell idle.
    idle: BTreeSet<(Timestamp, DestinationId)>,
    idle_hosts: BTreeSet<(Timestamp, SocketAddr)>,
    /// After a start: new connections come at a growing rate until nothing is overdue.
    ramp: Option<Draining>,
    /// Messages that came and left lately, in all.
    rates: crate::ages::Rates,
    /// Acts that waited for the end of an attempt, to be handed out.
    outbox: VecDeque<Changed>,
    /// Where recipients in flight belong since a reload: name and route; they go there when their attempt ends.
    moved: BTreeMap<(QueueId, u32), (Box<str>, Box<str>)>,
    /// Recipients whose end is decided, by when their senders are told. An entry that is out of date is passed over.
    endings: BTreeSet<(Timestamp, QueueId)>,
    warnings: Warnings,
    next_destination: u32,
    next_ticket: u64,
    next_turn: u64,
}

/// The route of mail that no route matches: it gets no connection, waits with `WaitReason::NoRoute`, and expires
/// with the common lifetime, unless [`Scheduler::reroute`] finds it one after a reload.
pub const NO_ROUTE: &str = "";

/// What the destinations of one route share.
#[derive(Debug)]
struct Route {
    name: String,
    /// Its destinations that have mail that can expire, by rank and by the acceptance of the oldest.
    aging: Ranks<DestinationId>,
    terms: Terms,
    /// When its settings last changed: what began before says nothing about what holds now.
    renewed: Option<Timestamp>,
    limits: limits::Limits,
}

impl Scheduler {
    /// An empty queue, not yet running: fill it with [`Self::restore_down`], [`Self::restore_host`] and
    /// [`Self::insert`], then [`Self::start`] it.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings: Arc::new(settings),
            running: false,
            messages: BTreeMap::new(),
            destinations: BTreeMap::new(),
            names: BTreeMap::new(),
            held: BTreeSet::new(),
            routes: Vec::new(),
            connections: BTreeMap::new(),
            idle_connections: BTreeSet::new(),
            hosts: BTreeMap::new(),
            agenda: BTreeSet::new(),
            wake_line: BTreeSet::new(),
            connect_line: BTreeSet::new(),
            host_agenda: BTreeSet::new(),
            idle: BTreeSet::new(),
            idle_hosts: BTreeSet::new(),
            ramp: None,
            rates: crate::ages::Rates::default(),
            outbox: VecDeque::new(),
            moved: BTreeMap::new(),
            endings: BTreeSet::new(),
            warnings: Warnings::default(),
            next_destination: 0,
            next_ticket: 0,
            next_turn: 0,
        }
    }

    /// Takes new settings. Recipients keep their due times; limits, lifetimes and rates hold from now on.
    pub fn set_settings(&mut self, now: Timestamp, settings: Settings) {
        self.settings = Arc::new(settings);
        self.set_limits();
        self.refresh_all(now);
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Deliveries may begin. What is overdue is released at the drain rate: a restart is no stampede.
    pub fn start(&mut self, now: Timestamp) {
        self.running = true;
        self.refresh_all(now);
        for (_, id) in &self.connect_line {
            if let Some(destination) = self.destinations.get_mut(id) {
                destination.drain(now);
            }
        }
        if !self.connect_line.is_empty() {
            self.ramp = Some(Draining::new(now));
        }
    }

    /// No new connection and no new work from now on; what is in flight may end.
    pub const fn stop(&mut self) {
        self.running = false;
    }

    /// Deliveries may be made.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.running
    }

    fn refresh_all(&mut self, now: Timestamp) {
        let all: Vec<DestinationId> = self.destinations.keys().copied().collect();
        for id in all {
            self.refresh(now, id);
        }
    }

    /// The next place in a line.
    const fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}
