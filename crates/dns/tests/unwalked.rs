//! A check of a domain by our own recursive servers alone: there are no roots, or nobody answers on the way down.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::Settings;
use posthaste_dns::walk::{DomainReport, domain};
use posthaste_evidence::{NameServer, Seen, Transport};
use posthaste_io_sim::{Handshake, Host, Sim};
use posthaste_peers::dns::{DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};

const RESOLVERS: [&str; 2] = ["192.0.2.1", "192.0.2.2"];
const SHOP: &str = ". NS a.root.test\nshop.test MX 10 mx.shop.test\nmx.shop.test A 203.0.113.80";

struct Lab {
    sim: Sim,
    us: Host,
    settings: Settings,
    resolvers: [DnsServer; 2],
}

impl Lab {
    fn new() -> Self {
        let sim = Sim::new(5);
        let at = |ip: &str, port| SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port);
        let resolvers = RESOLVERS.map(|ip| {
            let host = sim.host(ip, &[ip.parse().unwrap()]);
            let server = DnsServer::new(Zone::parse(SHOP).unwrap());
            for port in [53, 853] {
                let (world, running) = (host.world(), server.clone());
                sim.block_on(&host, async move { running.start(&world, at(ip, port)).await })
                    .unwrap();
            }
            server
        });
        let servers = RESOLVERS.map(|ip| at(ip, 53).into()).to_vec();
        let settings = Settings { servers, ..Settings::default() };
        let us = sim.host("us", &["192.0.2.25".parse().unwrap()]);
        Self { sim, us, settings, resolvers }
    }

    fn check(&self) -> DomainReport {
        let (world, settings) = (self.us.world(), self.settings.clone());
        let report = self
            .sim
            .block_on(&self.us, async move { domain(&world, &settings, "shop.test").await });
        report.unwrap()
    }
}

#[test]
fn a_resolver_that_is_asked_by_tls_is_asked_by_tls() {
    let mut lab = Lab::new();
    let at = SocketAddr::new(RESOLVERS[0].parse().unwrap(), 853);
    lab.sim.tls(at, Handshake::good(&["dns.test"]));
    lab.settings.servers = vec![NameServer { tls: Some("dns.test".into()), ..at.into() }];
    let report = lab.check();
    let mx = report.seen.resolvers[0].mx.unwrap();
    let Seen::Answer(answer) = &report.observations[mx].seen else { panic!("{report:?}") };
    assert_eq!(answer.transport, Transport::Tls);
    assert_eq!(report.findings, []);
    assert!(lab.resolvers[0].asked().iter().all(|asked| asked.tcp), "never in a datagram");
}
