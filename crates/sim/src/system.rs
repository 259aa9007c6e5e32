//! One mail system: a relay under test, a client, a DNS server, mail hosts for some domains.

use crate::client::{self, Ledger, Letter};
use crate::next_hops::NextHops;
use crate::probing::Probing;
use crate::reading::{Reading, Unread};
use crate::secrets::Secrets;
use crate::sieve::Addresses;
use posthaste_delivery::Courier;
use posthaste_dispatch::Dispatch;
use posthaste_dns::Resolver;
use posthaste_evidence::EventKind;
use posthaste_io_sim::{Crash, Host, Run, Sim, SimDisk};
use posthaste_mail::QueueId;
use posthaste_peers::dns::{DnsServer, Zone};
use posthaste_peers::mail::MailHost;
use posthaste_queue::{Scheduler, Waiting};
use posthaste_reception::recipients::Setup;
use posthaste_reception::{Directory, Listener, Network, Reception};
use posthaste_route::Table;
use posthaste_spool::memory::MemorySpool;
use posthaste_spool::{Live, Spool};
use posthaste_spool_local::{LocalSpool, Log, Timing};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const RELAY: &str = "11.0.0.1";
const RELAY_V6: &str = "2600:1::1";
const CLIENT: &str = "11.0.0.2";
/// Outside of our networks.
const STRANGER: &str = "11.250.0.1";
const DNS: &str = "11.0.0.3";
const ROOT: &str = "11.0.0.4";
/// What a recursive server finds above all domains.
const TOP: &str = ". NS root.test\ntest NS root.test\n";

/// What a system looks like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Domains, each with its number of mail hosts (equal steps of preference).
    pub domains: Vec<(String, usize)>,
    /// Mail hosts besides, with their addresses; the zone below leads to them.
    pub hosts: Vec<(String, Vec<IpAddr>)>,
    /// What DNS knows besides.
    pub zone: String,
    /// Limits, schedule and lifetimes of the queue.
    pub queue: posthaste_queue::Settings,
    /// How attempts are made.
    pub delivery: posthaste_delivery::Settings,
    /// How mail is moved out.
    pub dispatch: posthaste_dispatch::Settings,
    /// The operator's rules.
    pub routes: Table,
    /// The store.
    pub store: Store,
    /// Addresses of the DNS servers that are asked; empty for the one that works.
    pub resolvers: Vec<IpAddr>,
    /// The root can be walked from: its server has all of the zone.
    pub roots: bool,
    /// Our own domains.
    pub own: Setup,
}

impl Default for Plan {
    /// No domain but the sender's.
    fn default() -> Self {
        let hostname = "relay.test".to_owned();
        Self {
            domains: Vec::new(),
            hosts: Vec::new(),
            zone: String::new(),
            queue: posthaste_queue::Settings::default(),
            delivery: posthaste_delivery::Settings {
                hostname: hostname.clone(),
                own_addresses: vec![ip(RELAY)],
                ..Default::default()
            },
            dispatch: posthaste_dispatch::Settings {
                sender: posthaste_message::dsn::Sender::named(&hostname),
                ..Default::default()
            },
            routes: Table::default(),
            store: Store::Memory,
            resolvers: Vec::new(),
            roots: true,
            own: Setup::default(),
        }
    }
}

impl Plan {
    /// One domain with this number of mail hosts, `mx0` the best of them.
    #[must_use]
    pub fn domain(name: &str, hosts: usize) -> Self {
        Self { domains: vec![(name.to_owned(), hosts)], ..Self::default() }
    }

    /// Another mail host.
    #[must_use]
    pub fn host(mut self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| ip(text)).collect();
        self.hosts.push((name.to_owned(), addresses));
        self
    }

    /// More for DNS to know, as [`Zone::parse`] reads it.
    #[must_use]
    pub fn zone(mut self, text: &str) -> Self {
        self.zone.push_str(text);
        self.zone.push('\n');
        self
    }
}

/// Which store the relay has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In memory; survives crashes as if every write were durable at once.
    Memory,
    /// The segment log of one machine on the relay's simulated disk: a power cut takes what was not synced.
    Local,
    /// The same on a disk that says `synced` and is not: the checkers must notice.
    Lying,
}

/// Segments small enough that stories recycle them, large enough for a body that goes into a commit.
const SEGMENT: u32 = 1 << 20;

/// A mail system under test.
pub struct MailSystem {
    /// The simulation.
    pub sim: Sim,
    /// The relay's machine.
    pub relay: Host,
    /// The DNS server's machine.
    pub dns_host: Host,
    /// The DNS server.
    pub dns: DnsServer,
    /// The server of the root, and of all below it.
    pub root: DnsServer,
    /// Its machine.
    pub root_host: Host,
    /// What was handed in.
    pub ledger: Ledger,
    /// What reads of the store fail.
    pub reading: Reading,
    /// Whether failures are looked into.
    pub probing: Probing,
    client: Host,
    stranger: Host,
    hosts: BTreeMap<String, (Host, MailHost)>,
    plan: Plan,
    memory: Arc<MemorySpool>,
    running: Arc<Mutex<Option<Running>>>,
    in_hand: BTreeMap<String, usize>,
    /// Passwords and tokens by what stands in the route: a file's path, a variable, a program.
    pub secrets: Secrets,
    /// Domains that were said to take everybody.
    pub everybody: Arc<Mutex<Vec<String>>>,
}

/// The agents of the relay's present life.
#[derive(Clone)]
pub struct Running {
    /// The store.
    pub spool: Arc<dyn Spool>,
    /// The dispatcher.
    pub dispatch: Dispatch,
    /// The reception.
    pub reception: Reception,
    /// Recovery is done, and the listener stands.
    pub ready: bool,
}

impl MailSystem {
    /// Builds a system and starts all of it. The sender's domain `sender.test` has one mail host.
    #[must_use]
    pub fn new(seed: u64, plan: Plan) -> Self {
        let sim = Sim::new(seed);
        let relay = sim.host("relay", &[ip(RELAY), ip(RELAY_V6)]);
        let client = sim.host("client", &[ip(CLIENT)]);
        let stranger = sim.host("stranger", &[ip(STRANGER)]);
        let dns_host = sim.host("dns", &[ip(DNS)]);
        let mut plan = plan;
        plan.domains.push(("sender.test".into(), 1));
        let (zone, all) = layout(&plan);
        let root = DnsServer::authoritative(vec![root_zone(&zone)]);
        let zone = recursive_zone(&zone);
        let mut hosts = BTreeMap::new();
        for (name, addresses) in all {
            let machine = sim.host(&name, &addresses);
            let host = MailHost::new(&name);
            for address in addresses {
                let (server, world) = (host.clone(), machine.world());
                machine.spawn("mail host", async move {
                    server
                        .serve(world, SocketAddr::new(address, 25))
                        .await
                        .expect("a free address");
                });
            }
            hosts.insert(name, (machine, host));
        }
        let dns = DnsServer::new(zone);
        let root_host = sim.host("root", &[ip(ROOT)]);
        for (server, machine, at) in [(&dns, &dns_host, DNS), (&root, &root_host, ROOT)] {
            let (server, world) = (server.clone(), machine.world());
            machine.spawn("dns", async move {
                server.start(&world, SocketAddr::new(ip(at), 53)).await.expect("a free address");
            });
        }
        let (ledger, running) = (Ledger::default(), Arc::default());
        let memory = Arc::new(MemorySpool::new());
        let mut system = Self {
            sim,
            relay,
            dns_host,
            dns,
            root,
            root_host,
            ledger,
            reading: Reading::default(),
            probing: Probing::default(),
            client,
            stranger,
            hosts,
            plan,
            memory,
            running,
            in_hand: BTreeMap::new(),
            secrets: Secrets::default(),
            everybody: Arc::default(),
        };
        system.start();
        system
    }

    /// A mail host by name.
    ///
    /// # Panics
    /// When the plan has none of that name.
    #[must_use]
    pub fn host(&self, name: &str) -> &(Host, MailHost) {
        self.hosts.get(name).unwrap_or_else(|| panic!("no mail host {name}"))
    }

    /// All mail hosts.
    pub fn hosts(&self) -> impl Iterator<Item = (&String, &(Host, MailHost))> {
        self.hosts.iter()
    }

    /// The relay's agents, when it is up.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The dispatcher of the relay's present life.
    ///
    /// # Panics
    /// When the relay is down.
    #[must_use]
    pub fn dispatch(&self) -> Dispatch {
        self.running().expect("the relay is up").dispatch
    }

    /// True when the relay accepts and delivers.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.running().is_some_and(|r| r.ready)
    }

    /// Changes what DNS knows, besides the plan's mail hosts, from now on: the recursive server and the root.
    pub fn set_zone(&self, text: &str) {
        let (hosts, _) = layout(&Plan { zone: format!("{text}\n"), ..self.plan.clone() });
        self.dns.set_zone(recursive_zone(&hosts));
        self.root.set_zones(vec![root_zone(&hosts)]);
    }

    /// Brings the relay down.
    pub fn crash(&mut self, crash: Crash) {
        self.note_in_hand();
        self.relay.crash(crash);
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// At how many crashes a recipient was in hand: in an attempt, or settled but not yet durably.
    #[must_use]
    pub fn in_hand_at_crashes(&self, recipient: &str) -> usize {
        self.in_hand.get(recipient).copied().unwrap_or(0)
    }

    fn note_in_hand(&mut self) {
        let Some(Running { dispatch, .. }) = self.running() else { return };
        for event in self.relay.journal().events() {
            let EventKind::Received { to, .. } = event.kind else { continue };
            for (number, recipient) in (0u32..).zip(to) {
                let flying = dispatch.waiting(event.message, number) == Some(Waiting::InFlight);
                if flying || dispatch.is_settling(event.message) {
                    *self.in_hand.entry(recipient).or_default() += 1;
                }
            }
        }
    }

    /// Starts the relay again.
    pub fn restart(&mut self) {
        let _ = self.relay.restart();
        self.start();
    }

    /// Ends the relay in order: nothing new begins, what is under way may end within `grace`. Answers how long
    /// that took.
    ///
    /// # Panics
    /// When the relay is down.
    pub fn stop(&mut self, grace: Duration) -> Duration {
        let Running { spool, dispatch, .. } = self.running().expect("the relay is up");
        let began = self.sim.now();
        self.sim.block_on(&self.relay, async move {
            dispatch.stop(grace).await;
            spool.close().await;
        });
        let took = self.sim.now() - began;
        self.crash(Crash::kill());
        took
    }

    /// Gives the running relay the routes and settings of a plan; answers how many recipients are due now.
    ///
    /// # Panics
    /// When the relay is down.
    #[must_use]
    pub fn reload(&self, plan: &Plan) -> u64 {
        let dispatch = self.dispatch();
        let reload = posthaste_dispatch::Reload {
            settings: Arc::new(plan.dispatch.clone()),
            delivery: Arc::new(plan.delivery.clone()),
            routes: Arc::new(plan.routes.clone()),
            queue: plan.queue.clone(),
            dns: dns_settings(plan),
        };
        self.sim.block_on(&self.relay, async move { dispatch.reload(reload).await })
    }

    /// How DNS is asked here.
    #[must_use]
    pub fn dns_settings(&self) -> posthaste_dns::Settings {
        dns_settings(&self.plan)
    }

    /// The store of the relay's present life, to be told to refuse.
    #[must_use]
    pub fn memory(&self) -> &MemorySpool {
        &self.memory
    }

    /// Hands a message in, from a task of the client's.
    pub fn send(&self, number: u32, from: &str, to: &[String], octets: usize) {
        self.hand_in(Letter::new(number, from, to, octets));
    }

    /// Hands a message in, from a task of the client's.
    pub fn hand_in(&self, letter: Letter) {
        self.hand_in_from(&self.client, letter);
    }

    /// Hands a message in from outside of our networks, where only our own domains are served.
    pub fn hand_in_as_stranger(&self, letter: Letter) {
        self.hand_in_from(&self.stranger, letter);
    }

    /// Hands a message in from this machine.
    pub fn hand_in_from(&self, machine: &Host, letter: Letter) {
        let (world, ledger) = (machine.world(), self.ledger.clone());
        machine.spawn("hand in", async move {
            let server = SocketAddr::new(ip(RELAY), 25);
            client::hand_in(&world, &ledger, server, &letter).await;
        });
    }

    /// Lets time pass, also when the relay is down and nothing else would happen.
    pub fn pass(&self, time: Duration) {
        let world = self.client.world();
        self.sim.block_on(&self.client, async move {
            posthaste_io::sleep(&*world.clock, time).await;
        });
    }

    /// Runs until the condition, asked every `every` of virtual time.
    pub fn run_until(
        &self,
        limit: Duration,
        every: Duration,
        mut met: impl FnMut(&Self) -> bool,
    ) -> bool {
        let end = self.sim.now() + limit;
        while self.sim.now() < end {
            if met(self) {
                return true;
            }
            let until = self.sim.now() + every;
            let ended = self.sim.run_until(every, || false);
            // Nothing more will happen by itself: time passes all the same.
            if matches!(ended, Run::Stuck(_)) && self.sim.now() < until {
                return met(self);
            }
        }
        met(self)
    }

    /// Live messages as the store has them.
    ///
    /// # Panics
    /// When the relay is down.
    #[must_use]
    pub fn live(&self) -> Vec<Live> {
        let spool = self.running().expect("the relay is up").spool;
        self.sim.block_on(&self.relay, async move {
            let (mut all, mut after) = (Vec::new(), QueueId::MIN);
            loop {
                let page = spool.live(after, 1000).await.expect("a readable store");
                all.extend(page.items);
                match page.next {
                    Some(next) => after = next,
                    None => return all,
                }
            }
        })
    }

    fn open_log(&self) -> Log<SimDisk> {
        let settings = || posthaste_spool_local::Settings {
            segment_size: SEGMENT,
            salt: self.sim.seed(),
            ..Default::default()
        };
        let lying = self.plan.store == Store::Lying;
        if lying {
            self.relay.disk().lie_about_sync(|_| true);
        }
        match Log::open(self.relay.disk(), settings()) {
            Ok((log, _)) => log,
            // It refuses what a lie has left, rightly; here an administrator starts over, and mail is gone.
            Err(_) if lying => {
                self.relay.set_disk(SimDisk::new());
                Log::open(self.relay.disk(), settings()).expect("an empty disk").0
            }
            Err(error) => panic!("a readable store: {error}"),
        }
    }

    fn open_store(&mut self) -> Arc<dyn Spool> {
        match self.plan.store {
            Store::Memory => {
                self.memory = Arc::new(self.memory.reopen());
                let store = Arc::clone(&self.memory) as Arc<dyn Spool>;
                Arc::new(Unread { store, reading: self.reading.clone() })
            }
            Store::Local | Store::Lying => {
                let log = self.open_log();
                let world = self.relay.world();
                let (spool, task) = LocalSpool::on_world(log, &world, Timing::default());
                self.relay.spawn("spool", task);
                Arc::new(spool)
            }
        }
    }

    fn start(&mut self) {
        let spool = self.open_store();
        let world = self.relay.world();
        let plan = &self.plan;
        let dns = dns_settings(plan);
        let resolver = Arc::new(Resolver::new(world.clone(), dns.clone()));
        let courier = Courier::new(world.clone(), resolver, Arc::new(plan.delivery.clone()))
            .with_secrets(Arc::new(self.secrets.clone()));
        courier.renew_resolvers(&dns, &plan.routes);
        let dispatch = Dispatch::new(
            Arc::clone(&spool),
            courier,
            Arc::new(plan.routes.clone()),
            Scheduler::new(plan.queue.clone()),
            Arc::new(plan.dispatch.clone()),
        );
        dispatch.set_sieve(Arc::new(Addresses));
        dispatch.set_probes(Arc::new(self.probing.clone()));
        let at = SocketAddr::new(ip(RELAY), 25);
        let mut accept = posthaste_reception::Settings::new("relay.test");
        accept.listeners = vec![Listener::new("smtp", at)];
        accept.relay_networks = vec!["11.0.0.0/24".parse::<Network>().expect("a network")];
        let reception = Reception::new(world.clone(), Arc::clone(&spool), accept);
        let own = Setup { hostname: "relay.test".into(), ..plan.own.clone() };
        reception.set_directory(Arc::new(Directory::new(own)));
        reception
            .set_verifier(Arc::new(NextHops::new(dispatch.clone(), Arc::clone(&self.everybody))));
        let running = Arc::clone(&self.running);
        let set = move |value| *running.lock().unwrap_or_else(PoisonError::into_inner) = value;
        let present = Running { spool, dispatch, reception, ready: false };
        set(Some(present.clone()));
        self.relay.spawn("start", async move {
            present.dispatch.recover().await.expect("a readable store");
            let listener = world.net.listen(at, 64).await.expect("a free address");
            set(Some(Running { ready: true, ..present.clone() }));
            present.reception.serve(listener, "smtp").await;
        });
    }
}

fn dns_settings(plan: &Plan) -> posthaste_dns::Settings {
    let works = [ip(DNS)];
    let servers = if plan.resolvers.is_empty() { &works[..] } else { &plan.resolvers };
    let servers = servers.iter().map(|server| SocketAddr::new(*server, 53).into()).collect();
    let roots = if plan.roots { vec![SocketAddr::new(ip(ROOT), 53)] } else { Vec::new() };
    posthaste_dns::Settings { servers, roots, ..Default::default() }
}

/// The zone as a recursive server finds it.
fn recursive_zone(text: &str) -> Zone {
    let text = format!("{TOP}{text}");
    Zone::parse(&text).unwrap_or_else(|e| panic!("{e:?} in\n{text}"))
}

/// The same, as the server of the root has it.
fn root_zone(text: &str) -> Zone {
    Zone::parse_at(".", text).unwrap_or_else(|e| panic!("{e:?} in\n{text}"))
}

/// The whole zone, and all mail hosts with their addresses.
fn layout(plan: &Plan) -> (String, Vec<(String, Vec<IpAddr>)>) {
    let (mut zone, mut hosts) = (plan.zone.clone(), plan.hosts.clone());
    for (d, (domain, count)) in plan.domains.iter().enumerate() {
        for h in 0..*count {
            let name = format!("mx{h}.{domain}");
            let address = format!("11.0.{}.{}", d + 1, h + 1);
            let preference = 10 * (h + 1);
            zone.push_str(&format!("{domain} MX {preference} {name}\n{name} A {address}\n"));
            hosts.push((name, vec![ip(&address)]));
        }
    }
    (zone, hosts)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
