//! A second Posthaste beside the relay under test: for stories in which two of a kind meet.

use crate::system::MailSystem;
use posthaste_delivery::Courier;
use posthaste_dispatch::Dispatch;
use posthaste_dns::Resolver;
use posthaste_evidence::Event;
use posthaste_io_sim::Host;
use posthaste_queue::Scheduler;
use posthaste_reception::recipients::{Recipients, Setup};
use posthaste_reception::{Directory, Listener, Network, Reception};
use posthaste_route::Table;
use posthaste_spool::Spool;
use posthaste_spool::memory::MemorySpool;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// The neighbour. It relays for our networks, so that both can send each other whatever they like.
pub struct Neighbour {
    machine: Host,
}

impl Neighbour {
    /// Starts one of this name, at this address, with a domain of its own and these routes.
    ///
    /// # Panics
    /// When the address is taken.
    #[must_use]
    pub fn start(
        system: &MailSystem,
        name: &str,
        address: IpAddr,
        domain: &str,
        routes: Table,
    ) -> Self {
        let machine = system.sim.host(name, &[address]);
        let world = machine.world();
        let spool: Arc<dyn Spool> = Arc::new(MemorySpool::new());
        let delivery = posthaste_delivery::Settings {
            hostname: name.to_owned(),
            own_addresses: vec![address],
            ..Default::default()
        };
        let resolver = Arc::new(Resolver::new(world.clone(), system.dns_settings()));
        let courier = Courier::new(world.clone(), resolver, Arc::new(delivery));
        let sender = posthaste_message::dsn::Sender::named(name);
        let settings = posthaste_dispatch::Settings { sender, ..Default::default() };
        let scheduler = Scheduler::new(posthaste_queue::Settings::default());
        let routes = Arc::new(routes);
        let dispatch =
            Dispatch::new(Arc::clone(&spool), courier, routes, scheduler, Arc::new(settings));
        let at = SocketAddr::new(address, 25);
        let mut accept = posthaste_reception::Settings::new(name);
        accept.listeners = vec![Listener::new("smtp", at)];
        accept.relay_networks = vec!["11.0.0.0/8".parse::<Network>().expect("a network")];
        let reception = Reception::new(world.clone(), spool, accept);
        let domains = vec![(domain.to_owned(), Recipients::Any)];
        let own = Setup { hostname: name.to_owned(), domains, ..Setup::default() };
        reception.set_directory(Arc::new(Directory::new(own)));
        machine.spawn("neighbour", async move {
            dispatch.recover().await.expect("an empty store");
            let listener = world.net.listen(at, 64).await.expect("a free address");
            reception.serve(listener, "smtp").await;
        });
        Self { machine }
    }

    /// Its event log.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.machine.journal().events()
    }
}
