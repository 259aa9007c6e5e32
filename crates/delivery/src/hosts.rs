//! Who may be connected to now: delivery asks before it dials, and tells what came of it.

use std::net::SocketAddr;

/// The answer for one host.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    /// Dial it.
    Go,
    /// It has all the connections it is allowed.
    Busy,
    /// It failed a moment ago and rests.
    Resting,
}

/// The keeper of next-hop hosts, shared by all destinations: the scheduler, through `dispatch`.
pub trait Hosts: Send + Sync {
    /// Asked just before a host is dialled; after [`Turn::Go`] one of the other calls follows.
    fn take(&self, host: SocketAddr) -> Turn;
    /// It lost a race, or was not needed after all.
    fn give(&self, host: SocketAddr);
    /// No connection, or no usable greeting.
    fn failed(&self, host: SocketAddr);
}

/// Lets everything be dialled; for probes and tests.
#[derive(Clone, Copy, Debug)]
pub struct AllHosts;

impl Hosts for AllHosts {
    fn take(&self, _host: SocketAddr) -> Turn {
        Turn::Go
    }

    fn give(&self, _host: SocketAddr) {}

    fn failed(&self, _host: SocketAddr) {}
}
