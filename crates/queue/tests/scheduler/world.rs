//! A small world around the scheduler: hosts that are up or down, connections that take time, a dispatcher that
//! does what the documentation says, and a book-keeper that holds the promises after every step.

use posthaste_evidence::{FaultClass, Outcome};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Steps at one instant after which the scheduler is held to be running in circles.
const MAX_STEPS_AT_ONCE: u32 = 200_000;

/// splitmix64: enough for tests, and the same everywhere.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(crate) fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}

/// What a destination's DNS says and how its mail fares.
#[derive(Clone, Default)]
pub(crate) struct Site {
    pub(crate) hosts: Vec<SocketAddr>,
    pub(crate) dns_down: bool,
    pub(crate) no_such_domain: bool,
    /// Chances in percent of each transaction's recipient: deferred, failed, indeterminate.
    pub(crate) deferred: u64,
    pub(crate) failed: u64,
    pub(crate) indeterminate: u64,
    /// The server takes at most so many recipients at once.
    pub(crate) takes: Option<usize>,
}

/// Times that things take.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) connect: Duration,
    pub(crate) transaction: Duration,
    /// How long a connection without work is kept.
    pub(crate) keep: Duration,
}

enum Event {
    Dialled(ConnectTicket),
    Sent(ConnectTicket, Work),
    KeptLongEnough(ConnectTicket, u64),
}

/// Where a recipient has come to, in the book-keeper's eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Delivered,
    Failed,
    Expired,
    Removed,
}

pub(crate) struct World {
    pub(crate) scheduler: Scheduler,
    pub(crate) now: Timestamp,
    pub(crate) sites: BTreeMap<DestinationId, Site>,
    pub(crate) down_hosts: BTreeSet<SocketAddr>,
    pub(crate) pace: Pace,
    pub(crate) random: Random,
    events: BTreeMap<(Timestamp, u64), Event>,
    sequence: u64,
    pub(crate) open: BTreeMap<TicketId, Open>,
    // --- what the book-keeper knows ---
    pub(crate) live: BTreeMap<(QueueId, u32), (DestinationId, RecipientState)>,
    pub(crate) received: BTreeMap<QueueId, Timestamp>,
    pub(crate) ends: BTreeMap<(QueueId, u32), End>,
    pub(crate) in_flight: BTreeMap<(QueueId, u32), TicketId>,
    /// Connections tried: when, for whom, by trial.
    pub(crate) dials: Vec<(Timestamp, DestinationId, bool)>,
    /// Dials of hosts, also failed ones.
    pub(crate) host_dials: Vec<(Timestamp, SocketAddr)>,
    /// Deliveries: when and where.
    pub(crate) deliveries: Vec<(Timestamp, DestinationId)>,
    pub(crate) ledger: BTreeMap<String, DestinationState>,
    pub(crate) host_ledger: BTreeMap<SocketAddr, DestinationState>,
    pub(crate) ledger_writes: u64,
    /// Delay notices: when, about what, and about whom of it.
    pub(crate) warnings: Vec<(Timestamp, QueueId, Vec<u32>)>,
    /// Messages whose senders do not want to know.
    pub(crate) unwanted: BTreeSet<QueueId>,
    /// How long probes into each bad end take; `None`: senders are told at once.
    pub(crate) probes: Option<Duration>,
    /// Destinations that the operator holds.
    pub(crate) held: BTreeSet<String>,
    /// Holds the promises after each so many steps; 0 is never.
    pub(crate) check_every: u64,
    drives: u64,
    next_id: u64,
}

pub(crate) struct Open {
    ticket: ConnectTicket,
    pub(crate) host: Option<SocketAddr>,
    early: Option<Work>,
    idle_round: u64,
}

impl World {
    pub(crate) fn new(settings: Settings) -> Self {
        let ms = Duration::from_millis;
        Self {
            scheduler: Scheduler::new(settings),
            now: START,
            sites: BTreeMap::new(),
            down_hosts: BTreeSet::new(),
            pace: Pace { connect: ms(20), transaction: ms(50), keep: ms(2000) },
            random: Random(7),
            events: BTreeMap::new(),
            sequence: 0,
            open: BTreeMap::new(),
            live: BTreeMap::new(),
            received: BTreeMap::new(),
            ends: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            dials: Vec::new(),
            host_dials: Vec::new(),
            deliveries: Vec::new(),
            ledger: BTreeMap::new(),
            host_ledger: BTreeMap::new(),
            ledger_writes: 0,
            warnings: Vec::new(),
            unwanted: BTreeSet::new(),
            probes: None,
            held: BTreeSet::new(),
            check_every: 0,
            drives: 0,
            next_id: 0,
        }
    }

    /// A running world with the default settings.
    pub(crate) fn running() -> Self {
        let mut world = Self::new(Settings::default());
        world.scheduler.start(world.now);
        world
    }

    /// A destination on one host of its own (or on given ones).
    pub(crate) fn site(&mut self, name: &str, hosts: &[SocketAddr]) -> DestinationId {
        let id = self.scheduler.destination(self.now, name, "default");
        self.sites.entry(id).or_insert(Site { hosts: hosts.to_vec(), ..Site::default() });
        id
    }

    pub(crate) fn mail(&mut self, destination: DestinationId, recipients: u32) -> QueueId {
        let all: Vec<_> = (0..recipients).map(|_| destination).collect();
        self.mail_to(&all)
    }

    /// A message whose recipient number n is at the n-th destination.
    pub(crate) fn mail_to(&mut self, destinations: &[DestinationId]) -> QueueId {
        self.next_id += 1;
        let id = QueueId::from_u64(QueueId::first_at(self.now).as_u64() + self.next_id);
        let state = RecipientState::default();
        let recipients: Vec<_> = (0..).zip(destinations).map(|(n, d)| (n, *d, state)).collect();
        self.insert(id, self.now, &recipients);
        id
    }

    pub(crate) fn insert(
        &mut self,
        id: QueueId,
        received: Timestamp,
        recipients: &[(u32, DestinationId, RecipientState)],
    ) {
        let item = Item { id, received, size: 1000, notice: false, recipients };
        self.scheduler.insert(self.now, &item).expect("the destinations are known");
        self.received.insert(id, received);
        for (number, destination, state) in recipients {
            self.live.insert((id, *number), (*destination, *state));
        }
    }

    /// Runs until the given time, moved by nothing but events and the scheduler's own wake-ups.
    pub(crate) fn run_until(&mut self, end: Timestamp) {
        let mut steps = 0u32;
        loop {
            self.drive();
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let wakeup = self.scheduler.next_wakeup(self.now);
            let Some(next) = event.into_iter().chain(wakeup).min().filter(|at| *at <= end) else {
                break;
            };
            assert!(next >= self.now, "time runs forward");
            steps = if next == self.now { steps + 1 } else { 0 };
            assert!(steps < MAX_STEPS_AT_ONCE, "it runs in circles at {next}");
            self.now = next;
            while let Some(entry) = self.events.first_entry().filter(|e| e.key().0 <= next) {
                let event = entry.remove();
                self.happen(event);
            }
        }
        self.now = end;
        self.drive();
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run_until(self.now.plus(time));
    }

    /// What the dispatcher does between two sleeps.
    pub(crate) fn drive(&mut self) {
        self.book_expired();
        self.book_warnings();
        let mut steps = 0;
        while let Some(next) = self.scheduler.next(self.now) {
            steps += 1;
            assert!(steps < MAX_STEPS_AT_ONCE, "it runs in circles at {}", self.now);
            match next {
                Next::Connect(ticket) => self.connect(ticket),
                Next::Wake(id) => {
                    let ticket = self.open[&id].ticket;
                    self.go_on(ticket);
                }
            }
        }
        self.book_expired();
        while let Some(forgotten) = self.scheduler.forget(self.now) {
            match forgotten {
                Forgotten::Destination { name, .. } => drop(self.ledger.remove(&name)),
                Forgotten::Host(host) => drop(self.host_ledger.remove(&host)),
            }
        }
        self.drives += 1;
        if self.check_every > 0 && self.drives.is_multiple_of(self.check_every) {
            self.check();
        }
    }

    fn book_expired(&mut self) {
        let tell_at = self.probes.map(|time| self.now.plus(time));
        while let Some(changed) = self.scheduler.expired(self.now, &|_, _| tell_at) {
            self.book(&changed);
        }
        while let Some(changed) = self.scheduler.told(self.now) {
            assert!(changed.iter().all(|c| !c.transition.state.life.is_live()));
            self.book(&changed);
        }
    }

    /// Tells the senders; the book-keeper looks over the scheduler's shoulder.
    fn book_warnings(&mut self) {
        while let Some(id) = self.scheduler.next_warning(self.now) {
            assert_eq!(self.scheduler.next_warning(self.now), Some(id), "named until warned");
            let unwanted = self.unwanted.contains(&id);
            let whom = self.scheduler.to_warn(self.now, id);
            let changed = self.scheduler.warn(self.now, id, &|_| !unwanted);
            let told: Vec<u32> = changed.iter().map(|c| c.recipient).collect();
            assert!(unwanted || told == whom, "{told:?} are told, not {whom:?}");
            assert_eq!(changed.is_empty(), unwanted, "{id} was named: somebody waits");
            assert_ne!(self.scheduler.next_warning(self.now), Some(id), "told once");
            let settings = self.scheduler.settings();
            let routes = settings.routes.keys().map(String::as_str).chain([""]);
            let age = self.now.since(self.received[&id]);
            let rounds = routes.map(|route| settings.delay_rule(route).rounds(age)).max();
            let early = changed.iter().all(|c| rounds < Some(c.transition.state.warned));
            assert!(unwanted || !early, "{id} is told at {age:?}");
            for change in &changed {
                let key = (change.message, change.recipient);
                assert_eq!(change.transition.kind, TransitionKind::Warned);
                assert!(!self.in_flight.contains_key(&key), "{key:?} is in flight");
                assert!(change.transition.state.warned > self.live[&key].1.warned);
                assert!(self.live[&key].1.life.waits());
            }
            self.book(&changed);
            if !changed.is_empty() {
                self.warnings.push((self.now, id, changed.iter().map(|c| c.recipient).collect()));
            }
        }
    }

    /// The operator holds a destination, or lets it go on.
    pub(crate) fn hold_destination(&mut self, name: &str, held: bool) {
        match held {
            true => self.held.insert(name.to_owned()),
            false => self.held.remove(name),
        };
        self.scheduler.hold_destination(self.now, name, held);
    }

    fn connect(&mut self, ticket: ConnectTicket) {
        let name = self.name(ticket.destination);
        assert!(!self.held.contains(&name), "{name} is held: no connection");
        self.dials.push((self.now, ticket.destination, ticket.trial));
        // Half of the connections ask for their work before they are dialled.
        let early = if self.random.percent(50) { self.pull(&ticket) } else { None };
        self.open.insert(ticket.id, Open { ticket, host: None, early, idle_round: 0 });
        self.after(self.pace.connect, Event::Dialled(ticket));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Dialled(ticket) => self.dialled(ticket),
            Event::Sent(ticket, work) => self.sent(ticket, &work),
            Event::KeptLongEnough(ticket, round) => {
                if self.open.get(&ticket.id).is_some_and(|o| o.idle_round == round) {
                    self.end(ticket);
                }
            }
        }
    }

    fn dialled(&mut self, ticket: ConnectTicket) {
        let site = self.sites[&ticket.destination].clone();
        if site.no_such_domain {
            let recovered = self.scheduler.destination_failed(self.now, &ticket);
            self.heal(ticket.destination, None, recovered);
            return self.go_on(ticket);
        }
        if site.dns_down {
            return self.fail(ticket, &[]);
        }
        let (mut failed, mut refused) = (Vec::new(), Vec::new());
        for host in &site.hosts {
            match self.scheduler.host_take(self.now, &ticket, *host) {
                HostUse::Usable if self.down_hosts.contains(host) => {
                    self.host_dials.push((self.now, *host));
                    failed.push(*host);
                }
                HostUse::Usable => {
                    self.host_dials.push((self.now, *host));
                    return self.connected(ticket, *host, &failed);
                }
                HostUse::Busy | HostUse::Down { .. } => refused.push(*host),
            }
        }
        if failed.is_empty() {
            self.forget_work(&ticket);
            self.scheduler.connection_blocked(self.now, &ticket, &refused);
            self.open.remove(&ticket.id);
        } else {
            self.fail(ticket, &failed);
        }
    }

    fn connected(&mut self, ticket: ConnectTicket, host: SocketAddr, failed: &[SocketAddr]) {
        for other in failed {
            if let Some(state) = self.scheduler.host_failed(self.now, &ticket, *other) {
                self.host_ledger.insert(*other, state);
                self.ledger_writes += 1;
            }
        }
        let recovered = self.scheduler.host_connected(self.now, &ticket, host);
        self.heal(ticket.destination, Some(host), recovered);
        self.open.get_mut(&ticket.id).expect("it is open").host = Some(host);
        self.go_on(ticket);
    }

    /// The connection asks for work and does it.
    fn go_on(&mut self, ticket: ConnectTicket) {
        let open = self.open.get_mut(&ticket.id).expect("it is open");
        open.idle_round += 1;
        let round = open.idle_round;
        let work = match open.early.take() {
            Some(work) => Pulled::Work(work),
            None => {
                let pulled = self.scheduler.pull(self.now, &ticket, 50);
                let held = self.held.contains(&self.name(ticket.destination));
                assert!(!held || pulled == Pulled::Enough, "held: no work, and no idle line");
                pulled
            }
        };
        match work {
            Pulled::Work(work) => {
                self.note_flight(&ticket, &work);
                self.after(self.pace.transaction, Event::Sent(ticket, work));
            }
            Pulled::Empty | Pulled::Later(_) => {
                self.after(self.pace.keep, Event::KeptLongEnough(ticket, round));
            }
            Pulled::Enough => self.end(ticket),
        }
    }

    fn sent(&mut self, ticket: ConnectTicket, work: &Work) {
        let site = self.sites[&ticket.destination].clone();
        let mut results = Vec::new();
        for (number, _) in work.recipients.iter().take(site.takes.unwrap_or(usize::MAX)) {
            let (outcome, class) = self.outcome(&site);
            let tell_at = self.probes.map(|time| self.now.plus(time));
            results.push(Tried { recipient: *number, outcome, class, tell_at });
            if outcome == Outcome::Delivered {
                self.deliveries.push((self.now, ticket.destination));
            }
        }
        self.forget_work(&ticket);
        let changed = self.scheduler.settle(self.now, &ticket, work.message, &results);
        let decided: Vec<u32> = changed.iter().map(|c| c.recipient).collect();
        let expected: Vec<u32> = results.iter().map(|r| r.recipient).collect();
        assert_eq!(decided, expected, "every result is settled, in order");
        self.book(&changed);
        self.go_on(ticket);
    }

    fn outcome(&mut self, site: &Site) -> (Outcome, FaultClass) {
        if site.no_such_domain {
            return (Outcome::Failed, FaultClass::Destination);
        }
        let roll = self.random.below(100);
        let outcome = if roll < site.deferred {
            Outcome::Deferred
        } else if roll < site.deferred + site.failed {
            Outcome::Failed
        } else if roll < site.deferred + site.failed + site.indeterminate {
            Outcome::Indeterminate
        } else {
            Outcome::Delivered
        };
        (outcome, FaultClass::Message)
    }

    fn fail(&mut self, ticket: ConnectTicket, failed: &[SocketAddr]) {
        self.forget_work(&ticket);
        let down = self.scheduler.connection_failed(self.now, &ticket, failed);
        self.open.remove(&ticket.id);
        if let Some(state) = down.destination {
            let name = self.name(ticket.destination);
            self.ledger.insert(name, state);
            self.ledger_writes += 1;
        }
        for (host, state) in down.hosts {
            self.host_ledger.insert(host, state);
            self.ledger_writes += 1;
        }
    }

    fn heal(&mut self, id: DestinationId, host: Option<SocketAddr>, recovered: Recovered) {
        if recovered.destination {
            let name = self.name(id);
            assert!(self.ledger.remove(&name).is_some(), "only what was down recovers");
        }
        if recovered.host {
            let host = host.expect("a host recovers by a connection");
            assert!(self.host_ledger.remove(&host).is_some(), "only what was down recovers");
        }
    }

    fn end(&mut self, ticket: ConnectTicket) {
        self.forget_work(&ticket);
        self.scheduler.connection_ended(self.now, &ticket);
        self.open.remove(&ticket.id);
    }

    fn pull(&mut self, ticket: &ConnectTicket) -> Option<Work> {
        match self.scheduler.pull(self.now, ticket, 50) {
            Pulled::Work(work) => {
                self.note_flight(ticket, &work);
                Some(work)
            }
            _ => None,
        }
    }

    fn note_flight(&mut self, ticket: &ConnectTicket, work: &Work) {
        assert!(!work.recipients.is_empty());
        for (number, state) in &work.recipients {
            let key = (work.message, *number);
            let (destination, known) = self.live[&key];
            assert_eq!(destination, ticket.destination);
            assert_eq!(known, *state, "the scheduler knows the stored state");
            let before = self.in_flight.insert(key, ticket.id);
            assert!(
                before.is_none_or(|b| b == ticket.id),
                "{key:?} is in two transactions at once"
            );
        }
    }

    fn forget_work(&mut self, ticket: &ConnectTicket) {
        self.in_flight.retain(|_, holder| *holder != ticket.id);
    }

    /// Writes down new states, as the store would.
    pub(crate) fn book(&mut self, changed: &[Changed]) {
        for change in changed {
            let key = (change.message, change.recipient);
            let state = change.transition.state;
            let end = match state.life {
                Life::Delivered => End::Delivered,
                Life::Failed => End::Failed,
                Life::Expired => End::Expired,
                Life::Removed => End::Removed,
                _ => {
                    self.live.get_mut(&key).expect("it was live").1 = state;
                    continue;
                }
            };
            assert!(self.live.remove(&key).is_some(), "{key:?} was live");
            assert!(self.ends.insert(key, end).is_none(), "{key:?} ends once");
        }
    }

    /// The process dies and starts again from what is stored.
    pub(crate) fn crash(&mut self, settings: Settings) {
        let old = std::mem::replace(&mut self.scheduler, Scheduler::new(settings));
        let names: BTreeMap<DestinationId, (String, String)> = self
            .sites
            .keys()
            .filter_map(|id| old.destination_name(*id).map(|n| (*id, (n.0.into(), n.1.into()))))
            .collect();
        let in_hand: BTreeSet<_> = std::mem::take(&mut self.in_flight).into_keys().collect();
        (self.events, self.open) = (BTreeMap::new(), BTreeMap::new());
        let mut renamed = BTreeMap::new();
        for (old, (name, route)) in names {
            renamed.insert(old, self.scheduler.destination(self.now, &name, &route));
        }
        let sites = std::mem::take(&mut self.sites);
        self.sites =
            sites.into_iter().filter_map(|(id, s)| Some((*renamed.get(&id)?, s))).collect();
        for name in &self.held {
            self.scheduler.hold_destination(self.now, name, true);
        }
        for (name, state) in &self.ledger {
            self.scheduler.restore_down(self.now, name, "default", *state);
        }
        for (host, state) in &self.host_ledger {
            self.scheduler.restore_host(self.now, *host, *state);
        }
        self.reinsert(&renamed, &in_hand);
        self.scheduler.start(self.now);
    }

    fn reinsert(
        &mut self,
        renamed: &BTreeMap<DestinationId, DestinationId>,
        in_hand: &BTreeSet<(QueueId, u32)>,
    ) {
        let mut messages = BTreeMap::<QueueId, Vec<(u32, DestinationId, RecipientState)>>::new();
        for (key, (destination, state)) in &mut self.live {
            *destination = renamed[destination];
            if in_hand.contains(key) {
                let schedule = &self.scheduler.settings().schedule;
                let expires = life::expires(self.received[&key.0], schedule.expire_after);
                let rules = life::Rules { schedule, expires, key: 0 };
                *state = life::after_crash(self.now, *state, &rules).state;
            }
            messages.entry(key.0).or_default().push((key.1, *destination, *state));
        }
        for (id, recipients) in messages {
            self.insert(id, self.received[&id], &recipients);
        }
    }

    fn after(&mut self, time: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.now.plus(time), self.sequence), event);
    }

    pub(crate) fn name(&self, id: DestinationId) -> String {
        self.scheduler.destination_name(id).expect("it is known").0.to_owned()
    }
}

/// The n-th host of the world.
pub(crate) fn host(n: u16) -> SocketAddr {
    let [high, low] = n.to_be_bytes();
    SocketAddr::from(([192, 0, high, low], 25))
}
