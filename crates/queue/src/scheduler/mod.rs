//! The queue of one shard, in memory: what is due next, and where one more connection is worth its while.
//!
//! Sans-IO: the dispatcher keeps it behind a short mutex, asks `next`, acts, and reports. It knows no
//! addresses, no bodies and no subjects: only queue ids, recipient numbers, destinations and states.
//!
//! How the dispatcher drives it: `while let Some(next) = scheduler.next(now)`, then
//! `while let Some(changes) = scheduler.expired(now)`, then sleep until `next_wakeup` or the next report.
//! A connection is a ticket: `pull` (before or after connecting), `host_take` before dialling a host,
//! `host_connected` after EHLO, `settle` after each transaction, at last `connection_ended`;
//! or `connection_failed`, `connection_blocked` in place of it.

mod types;

pub use types::{
    Changed, ConnectTicket, DestinationId, DestinationStatus, DestinationView, Down, Forgotten,
    HostUse, InsertError, Item, MessageView, Next, Pulled, RecipientView, Recovered, TicketId,
    Tried, Waiting, Work,
};

use crate::life::DestinationState;
use crate::settings::Settings;
use posthaste_mail::{QueueId, Timestamp};
use std::net::SocketAddr;

/// The queue of one shard.
pub struct Scheduler {
    settings: Settings,
}

impl Scheduler {
    /// An empty queue, not yet running: fill it with [`Self::restore_down`], [`Self::restore_host`] and
    /// [`Self::insert`], then [`Self::start`] it.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
    /// Takes new settings. Recipients keep their due times; limits, lifetimes and rates hold from now on.
    pub fn set_settings(&mut self, now: Timestamp, settings: Settings) {
        let _ = now;
        self.settings = settings;
    }
    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
    /// Deliveries may begin. What is overdue is released at the drain rate: a restart is no stampede.
    pub fn start(&mut self, now: Timestamp) {
        unimplemented!("{now}")
    }
    /// No new connection and no new work from now on; what is in flight may end.
    pub fn stop(&mut self) {
        unimplemented!()
    }

    // --- filling ---
    /// Interns a destination: next-hop domain in lower case, and the route's name.
    pub fn destination(&mut self, now: Timestamp, name: &str, route: &str) -> DestinationId {
        unimplemented!("{now}{name}{route}")
    }
    /// The next-hop domain and the route of a destination.
    #[must_use]
    pub fn destination_name(&self, id: DestinationId) -> Option<(&str, &str)> {
        unimplemented!("{id:?}")
    }
    /// Queues a message.
    ///
    /// # Errors
    /// [`InsertError`]; nothing is queued then.
    pub fn insert(&mut self, now: Timestamp, item: &Item<'_>) -> Result<(), InsertError> {
        unimplemented!("{now}{item:?}")
    }
    /// A destination was down when the process ended.
    pub fn restore_down(
        &mut self,
        now: Timestamp,
        name: &str,
        route: &str,
        state: DestinationState,
    ) {
        unimplemented!("{now}{name}{route}{state:?}")
    }
    /// A next-hop host was down when the process ended.
    pub fn restore_host(&mut self, now: Timestamp, host: SocketAddr, state: DestinationState) {
        unimplemented!("{now}{host}{state:?}")
    }

    // --- driving ---
    /// What is to be done now; ask until `None`.
    pub fn next(&mut self, now: Timestamp) -> Option<Next> {
        unimplemented!("{now}")
    }
    /// When to ask again, unless something is reported before. `None`: nothing waits for a time.
    #[must_use]
    pub fn next_wakeup(&self, now: Timestamp) -> Option<Timestamp> {
        unimplemented!("{now}")
    }
    /// Recipients of one message whose time is over and that are not in flight; they have left the queue.
    /// Ask until `None`. One message may come more than once, for different routes.
    pub fn expired(&mut self, now: Timestamp) -> Option<Vec<Changed>> {
        unimplemented!("{now}")
    }
    /// Forgets one thing that nobody needs any more, where the ledger has to forget it too. Ask until `None`, now and then.
    pub fn forget(&mut self, now: Timestamp) -> Option<Forgotten> {
        unimplemented!("{now}")
    }

    // --- a connection ---
    /// The next message for this connection with its due recipients at the destination, at most `max_recipients`.
    pub fn pull(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        max_recipients: usize,
    ) -> Pulled {
        unimplemented!("{now}{ticket:?}{max_recipients}")
    }
    /// The pulled work goes back untouched.
    pub fn put_back(&mut self, now: Timestamp, ticket: &ConnectTicket) {
        unimplemented!("{now}{ticket:?}")
    }
    /// The transaction ended. Answers the new states, in the order of the results, to be stored. Recipients
    /// without a result go back untouched (a server took only some of them: RFC 5321 section 4.5.3.1.10);
    /// when nobody has a result, all are deferred.
    pub fn settle(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        message: QueueId,
        results: &[Tried],
    ) -> Vec<Changed> {
        unimplemented!("{now}{ticket:?}{message}{results:?}")
    }
    /// Where a host stands for a new connection.
    #[must_use]
    pub fn host_usable(&self, now: Timestamp, host: SocketAddr) -> HostUse {
        unimplemented!("{now}{host}")
    }
    /// Takes a connection of the host before it is dialled. Taken only when the answer is [`HostUse::Usable`].
    /// Of a host that rests, the first to ask after its trial is due gets it, as the one trial.
    pub fn host_take(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        host: SocketAddr,
    ) -> HostUse {
        unimplemented!("{now}{ticket:?}{host}")
    }
    /// The dialled host lost a race, or was not needed: its connection is free again.
    pub fn host_give(&mut self, now: Timestamp, ticket: &ConnectTicket, host: SocketAddr) {
        unimplemented!("{now}{ticket:?}{host}")
    }
    /// One host failed; the connection goes on with the next one. Answers the host's new state when it is down.
    pub fn host_failed(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        host: SocketAddr,
    ) -> Option<DestinationState> {
        unimplemented!("{now}{ticket:?}{host}")
    }
    /// The connection stands, greeting and EHLO done: other hosts taken are given back.
    pub fn host_connected(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        host: SocketAddr,
    ) -> Recovered {
        unimplemented!("{now}{ticket:?}{host}")
    }
    /// The destination gave a permanent answer (no such domain, null MX, refused by all hosts): it is not down.
    /// Settle its messages with `Outcome::Failed` through `pull` and `settle`, then end the connection.
    pub fn destination_failed(&mut self, now: Timestamp, ticket: &ConnectTicket) -> Recovered {
        unimplemented!("{now}{ticket:?}")
    }
    /// No connection came about (a fault of `FaultClass::Destination` that is not permanent). `failed`: hosts
    /// that were dialled and failed, those already given to `host_failed` included. The ticket is spent; pulled work went back untouched.
    pub fn connection_failed(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        failed: &[SocketAddr],
    ) -> Down {
        unimplemented!("{now}{ticket:?}{failed:?}")
    }
    /// No connection was tried, because every host of the destination is busy or rests (the answers of
    /// `host_take`). The ticket is spent; pulled work went back untouched.
    pub fn connection_blocked(
        &mut self,
        now: Timestamp,
        ticket: &ConnectTicket,
        hosts: &[SocketAddr],
    ) {
        unimplemented!("{now}{ticket:?}{hosts:?}")
    }
    /// The connection is closed. The ticket is spent; pulled work went back untouched.
    pub fn connection_ended(&mut self, now: Timestamp, ticket: &ConnectTicket) {
        unimplemented!("{now}{ticket:?}")
    }

    // --- acts of the operator; `recipient` `None` means all of the message ---
    /// Queued recipients are due now. Those in flight are being tried already.
    pub fn retry_message(
        &mut self,
        now: Timestamp,
        id: QueueId,
        recipient: Option<u32>,
    ) -> Vec<Changed> {
        unimplemented!("{now}{id}{recipient:?}")
    }
    /// A destination that is down gets its trial now (and so do its hosts), and queued recipients that wait for a time are due
    /// now, at most `limit` messages a call: call until the answer is empty.
    pub fn retry_destination(
        &mut self,
        now: Timestamp,
        id: DestinationId,
        limit: usize,
    ) -> Vec<Changed> {
        unimplemented!("{now}{id:?}{limit}")
    }
    /// Holds. Those in flight are held when their attempt ends in a deferral; they are not in the answer.
    pub fn hold(&mut self, now: Timestamp, id: QueueId, recipient: Option<u32>) -> Vec<Changed> {
        unimplemented!("{now}{id}{recipient:?}")
    }
    /// Lets held or parked ones go on, due now.
    pub fn release(&mut self, now: Timestamp, id: QueueId, recipient: Option<u32>) -> Vec<Changed> {
        unimplemented!("{now}{id}{recipient:?}")
    }
    /// Removes. Those in flight are removed when their attempt ends in a deferral; they are not in the answer.
    pub fn remove(&mut self, now: Timestamp, id: QueueId, recipient: Option<u32>) -> Vec<Changed> {
        unimplemented!("{now}{id}{recipient:?}")
    }

    // --- looking ---
    /// Why a recipient is not done yet; `None` when it is not live here.
    #[must_use]
    pub fn wait_reason(&self, now: Timestamp, id: QueueId, recipient: u32) -> Option<Waiting> {
        unimplemented!("{now}{id}{recipient}")
    }
    /// Destinations in order of name and route, after the given name and route, at most `limit`.
    #[must_use]
    pub fn destinations(
        &self,
        now: Timestamp,
        after: Option<(&str, &str)>,
        limit: usize,
    ) -> Vec<DestinationView> {
        unimplemented!("{now}{after:?}{limit}")
    }
    /// One destination.
    #[must_use]
    pub fn destination_view(&self, now: Timestamp, id: DestinationId) -> Option<DestinationView> {
        unimplemented!("{now}{id:?}")
    }
    /// One message.
    #[must_use]
    pub fn message(&self, now: Timestamp, id: QueueId) -> Option<MessageView> {
        unimplemented!("{now}{id}")
    }
    /// Messages in order of id, after `after`, at most `limit`.
    #[must_use]
    pub fn messages(&self, now: Timestamp, after: QueueId, limit: usize) -> Vec<MessageView> {
        unimplemented!("{now}{after}{limit}")
    }
    /// Messages in the queue.
    #[must_use]
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// True when there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Connections open or being opened.
    #[must_use]
    pub fn connections(&self) -> usize {
        unimplemented!()
    }
}
