//! The scripted DNS servers of `peers` at addresses of this machine: authoritative servers that misbehave, behind real
//! resolvers.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use posthaste_io::World;
use posthaste_io_tokio::NullJournal;
use posthaste_peers::dns::{DnsServer, Zone};
use tokio::runtime::Runtime;

use crate::loopback;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a thread and a poll set")
});

/// A scripted server and where it is.
pub(crate) struct Scripted {
    pub(crate) server: DnsServer,
    pub(crate) address: SocketAddr,
}

impl Scripted {
    /// The authoritative server of these zones at an address of its own.
    pub(crate) fn of(zones: &[(&str, &str)]) -> Self {
        let address = loopback::address(53);
        let server = DnsServer::authoritative(parsed(zones));
        RUNTIME.block_on(server.start(&world(), address)).expect("an address of its own");
        Self { server, address }
    }

    /// The same, and connections are refused.
    pub(crate) fn without_tcp(zones: &[(&str, &str)]) -> Self {
        let address = loopback::address(53);
        let server = DnsServer::authoritative(parsed(zones));
        RUNTIME.block_on(server.start_udp(&world(), address)).expect("an address of its own");
        Self { server, address }
    }

    /// Has these zones from now on.
    pub(crate) fn set(&self, zones: &[(&str, &str)]) {
        self.server.set_zones(parsed(zones));
    }
}

fn world() -> World {
    let _inside = RUNTIME.enter();
    posthaste_io_tokio::world(Arc::new(NullJournal))
}

fn parsed(zones: &[(&str, &str)]) -> Vec<Zone> {
    let parse = |(apex, text): &(&str, &str)| {
        Zone::parse_at(apex, text).unwrap_or_else(|e| panic!("zone {apex}, line {}", e.line))
    };
    zones.iter().map(parse).collect()
}
