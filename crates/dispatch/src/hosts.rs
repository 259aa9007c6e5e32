//! Delivery's questions about hosts, answered by the scheduler for one ticket.

use crate::Inner;
use posthaste_delivery::{Hosts, Turn};
use posthaste_queue::{ConnectTicket, DestinationState, HostUse};
use std::net::SocketAddr;
use std::sync::Mutex;

/// The scheduler's say about hosts, for one connection.
pub(crate) struct TicketHosts<'a> {
    inner: &'a Inner,
    ticket: ConnectTicket,
    /// Hosts that went down on the way, for the ledger.
    down: Mutex<Vec<(SocketAddr, DestinationState)>>,
}

impl<'a> TicketHosts<'a> {
    pub(crate) const fn new(inner: &'a Inner, ticket: ConnectTicket) -> Self {
        Self { inner, ticket, down: Mutex::new(Vec::new()) }
    }

    /// The hosts that went down since last asked.
    pub(crate) fn take_down(&self) -> Vec<(SocketAddr, DestinationState)> {
        std::mem::take(&mut crate::lock(&self.down))
    }
}

impl Hosts for TicketHosts<'_> {
    fn take(&self, host: SocketAddr) -> Turn {
        let now = self.inner.world.wall();
        match self.inner.scheduler().host_take(now, &self.ticket, host) {
            HostUse::Usable => Turn::Go,
            HostUse::Busy => Turn::Busy,
            HostUse::Down { .. } => Turn::Resting,
        }
    }

    fn give(&self, host: SocketAddr) {
        let now = self.inner.world.wall();
        let mut scheduler = self.inner.scheduler();
        scheduler.host_give(now, &self.ticket, host);
        // Another destination may have waited for it.
        self.inner.arm_for(&scheduler, now);
    }

    fn failed(&self, host: SocketAddr) {
        let now = self.inner.world.wall();
        let state = {
            let mut scheduler = self.inner.scheduler();
            let state = scheduler.host_failed(now, &self.ticket, host);
            self.inner.arm_for(&scheduler, now);
            state
        };
        if let Some(state) = state {
            crate::lock(&self.down).push((host, state));
        }
    }
}
