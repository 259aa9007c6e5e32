//! Scripted servers, a resolver, and virtual time.

use posthaste_dns::{Agreement, Lookup, Resolver, Settings};
use posthaste_evidence::{NameServer, RecordType};
use posthaste_io::sleep;
use posthaste_io_sim::{Host, Link, Sim, Weather};
use posthaste_peers::dns::{DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Servers at 192.0.2.1 and so on, and a resolver that asks the first two.
pub(crate) struct Lab {
    pub(crate) sim: Sim,
    pub(crate) servers: Vec<DnsServer>,
    pub(crate) us: Host,
    pub(crate) resolver: Resolver,
}

pub(crate) fn address(place: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, place], 53))
}

pub(crate) fn servers(places: &[u8]) -> Vec<NameServer> {
    places.iter().map(|place| address(*place).into()).collect()
}

impl Lab {
    pub(crate) fn new(zone: &str) -> Self {
        Self::with(zone, Settings { servers: servers(&[1, 2]), ..Settings::default() })
    }

    pub(crate) fn with(zone: &str, settings: Settings) -> Self {
        let sim = Sim::new(7);
        sim.weather(Weather {
            latency: Duration::from_millis(1)..Duration::from_millis(20),
            ..Weather::default()
        });
        let start = |place: u8| {
            let host = sim.host(&format!("dns{place}"), &[address(place).ip()]);
            let server = DnsServer::new(Zone::parse(zone).unwrap());
            let (world, running) = (host.world(), server.clone());
            let at = address(place);
            sim.block_on(&host, async move { running.start(&world, at).await }).unwrap();
            server
        };
        let servers = (1..=3).map(start).collect();
        let us = sim.host("us", &[IpAddr::from([192, 0, 2, 25])]);
        let resolver = Resolver::new(us.world(), settings);
        Self { sim, servers, us, resolver }
    }

    /// Asks, and tells how long it took.
    pub(crate) fn ask(&self, name: &str, kind: RecordType) -> (Lookup, Duration) {
        let (resolver, name, began) = (self.resolver.clone(), name.to_owned(), self.sim.now());
        let ask = async move { resolver.ask(&name, kind, Agreement::First).await };
        let lookup = self.sim.block_on(&self.us, ask);
        (lookup, self.sim.now() - began)
    }

    /// Asks until all of it has been said, in whichever form.
    pub(crate) fn run<T, F>(&self, story: impl FnOnce(Resolver) -> F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.sim.block_on(&self.us, story(self.resolver.clone()))
    }

    pub(crate) fn wait(&self, time: Duration) {
        let world = self.us.world();
        self.sim.block_on(&self.us, async move { sleep(&*world.clock, time).await });
    }

    /// Whether the way to the servers is open.
    pub(crate) fn link(&self, link: Link) {
        for place in 1..=3 {
            self.sim.link(&self.us, address(place).ip(), link);
        }
    }

    /// Questions that came to any server.
    pub(crate) fn asked(&self) -> usize {
        self.servers.iter().map(|server| server.asked().len()).sum()
    }
}
