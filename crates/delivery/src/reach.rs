//! The first half of an attempt: from a destination to a connection that is ready for MAIL.
//!
//! Every step leaves an observation in the [`Connection`] record, successes too. Not here: the mail
//! transaction (`line`), and what a failure means for the queue (`dispatch`).

use crate::courier::Courier;
use crate::hosts::{Hosts, Turn};
use crate::line::{self, Line};
use crate::lookup::{Found, find_hops};
use crate::needs::Needs;
use crate::race::{Candidate, Dialled, Race};
use crate::record::Recorder;
use crate::secure::{Failed, Means};
use crate::settings::Settings;
use posthaste_dns::{Resolver, ServerHealth, ServerState};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    ConnectFault, Connection, ConnectionId, Effect, Fault, FaultClass, Observation, Seen, Session,
    Side, Stage, Subject, TlsFault, TlsLevel, Transport,
};
use posthaste_io::{Dial, Instant, Stream};
use posthaste_mail::Host;
use posthaste_route::{Hop, Missing, Requirement, Route, endpoints, requirement};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Where to go.
pub struct Target<'a> {
    /// Names the connection.
    pub id: ConnectionId,
    /// The destination's name: what stands right of a recipient's `@`, or the smarthosts' list.
    pub destination: &'a str,
    /// The same as a host; for smarthosts it does not matter.
    pub host: Host<'a>,
    /// How.
    pub route: &'a Route,
    /// What the host must offer.
    pub needs: Needs,
}

/// What came of trying to reach a destination.
pub enum Reached {
    /// A host is ready for MAIL.
    Line(Box<Line>),
    /// None is.
    Nobody(Box<Unreached>),
}

/// No host was ready for MAIL.
#[derive(Debug)]
pub struct Unreached {
    /// What was seen.
    pub connection: Connection,
    /// Why; permanent only when every host was asked and every one said so.
    pub fault: Fault,
    /// What a fault of DNS rests on, when it is that something does not exist: unconfirmed.
    pub missing: Option<Missing>,
    /// Hosts that were dialled and are of no use to anybody now.
    pub failed: Vec<SocketAddr>,
    /// Hosts that answered well, but do not offer what this message needs.
    pub unfit: Vec<SocketAddr>,
    /// Hosts that are well, and with which the connection is not as secure as this route demands. To others they are of use.
    pub insecure: Vec<SocketAddr>,
    /// Hosts that answered well, but did not let us in.
    pub barred: Vec<SocketAddr>,
    /// Hosts that were not dialled, because they rest or are busy. When nothing was dialled at all, the
    /// fault says nothing new.
    pub blocked: Vec<SocketAddr>,
}

impl Unreached {
    /// Not one host was dialled, because all rest or are busy.
    #[must_use]
    pub const fn only_blocked(&self) -> bool {
        self.failed.is_empty()
            && self.unfit.is_empty()
            && self.insecure.is_empty()
            && self.barred.is_empty()
            && !self.blocked.is_empty()
    }

    /// Every message to this destination would have met the same; else it concerns this message alone.
    #[must_use]
    pub fn concerns_everybody(&self) -> bool {
        self.unfit.is_empty() && self.fault.class() == FaultClass::Destination
    }
}

/// What has been gathered on the way.
pub(crate) struct Way<'a> {
    courier: &'a Courier,
    pub(crate) settings: Arc<Settings>,
    hosts: &'a dyn Hosts,
    connection: Connection,
    began: Instant,
    /// The host that was dialled last, of those whose dialling has ended.
    tried: Option<Candidate>,
    missing: Option<Missing>,
    faults: Vec<Fault>,
    failed: Vec<SocketAddr>,
    unfit: Vec<SocketAddr>,
    insecure: Vec<SocketAddr>,
    barred: Vec<SocketAddr>,
    blocked: Vec<SocketAddr>,
}

/// Observations kept of one connection's making.
const MAX_OBSERVATIONS: usize = 256;

impl Courier {
    /// Finds a host of the destination that is ready for MAIL.
    pub async fn reach(&self, target: &Target<'_>, hosts: &dyn Hosts) -> Reached {
        let mut way = Way::new(self, target, hosts);
        let ourselves = self.ourselves();
        let resolvers = self.resolvers();
        let resolver = resolvers.of(target.route);
        let found = find_hops(&self.world, resolver, target.host, target.route, &ourselves).await;
        let Found { hops, observations, missing } = found;
        way.connection.observations = observations;
        way.missing = missing;
        match hops {
            Ok(hops) => {
                let reached = way.try_hosts(&hops, target).await;
                if let Reached::Nobody(unreached) = &reached {
                    ask_anew(resolver, unreached);
                }
                reached
            }
            Err(fault) => way.give_up(Some(fault)),
        }
    }
}

impl<'a> Way<'a> {
    fn new(courier: &'a Courier, target: &Target<'_>, hosts: &'a dyn Hosts) -> Self {
        let connection = Connection {
            id: target.id,
            destination: target.destination.to_owned(),
            route: target.route.name.clone(),
            at: courier.world.wall(),
            took: std::time::Duration::ZERO,
            host: None,
            peer: None,
            local: None,
            observations: Vec::new(),
        };
        Self {
            courier,
            settings: courier.settings(),
            hosts,
            connection,
            began: courier.world.now(),
            tried: None,
            missing: None,
            faults: Vec::new(),
            failed: Vec::new(),
            unfit: Vec::new(),
            insecure: Vec::new(),
            barred: Vec::new(),
            blocked: Vec::new(),
        }
    }

    async fn try_hosts(mut self, hops: &[Hop], target: &Target<'_>) -> Reached {
        let candidates = self.candidates(hops, target);
        let courier = self.courier;
        let mut race =
            Race::new(&courier.world, self.hosts, candidates, self.settings.connect_limit);
        let deadline = self.began + self.settings.attempt_limit;
        let clock = &*courier.world.clock;
        // The outer `None`: the time of the attempt is over.
        while let Some(Some(dialled)) =
            posthaste_io::within(clock, deadline - courier.world.now(), race.next()).await
        {
            match dialled {
                Dialled::Skipped(candidate, turn) => self.skipped(&candidate, turn),
                Dialled::Failed(candidate, began, fault) => {
                    self.not_dialled(&candidate, began, fault)
                }
                Dialled::Stream(candidate, began, stream) => {
                    self.dialled(&candidate, began, &*stream);
                    if let Some(line) = self.greet(&candidate, stream, target, deadline).await {
                        drop(race);
                        return Reached::Line(Box::new(self.ready(candidate, line)));
                    }
                }
            }
        }
        drop(race);
        self.give_up(None)
    }

    /// The addresses in order: those of a resting family last.
    fn candidates(&mut self, hops: &[Hop], target: &Target<'_>) -> Vec<Candidate> {
        let route = target.route;
        let asked = |hop| Arc::new(requirement(route, hop, target.host, Vec::new()));
        let requirements: Vec<Arc<Requirement>> = hops.iter().map(asked).collect();
        let now = self.courier.world.now();
        let mut awake = Vec::new();
        let mut resting = Vec::new();
        let mut last_preference = None;
        for endpoint in endpoints(hops) {
            let hop = &hops[endpoint.hop];
            let worse = last_preference.is_some_and(|p| p != hop.preference);
            last_preference = Some(hop.preference);
            let candidate = Candidate {
                host: hop.host.clone(),
                address: endpoint.address,
                from: self.source_for(route, endpoint.address.ip()),
                stagger: if worse { self.settings.stagger_worse } else { self.settings.stagger },
                requirement: Arc::clone(&requirements[endpoint.hop]),
            };
            if self.courier.families().rests(now, endpoint.address) {
                self.chose(&candidate, Choice::FamilyRestsNow, Effect::Degrading);
                resting.push(candidate);
            } else {
                awake.push(candidate);
            }
        }
        awake.append(&mut resting);
        awake.truncate(self.settings.hosts_per_attempt);
        awake
    }

    /// From where to connect: sources of the same family share the load.
    fn source_for(&self, route: &Route, to: IpAddr) -> Option<IpAddr> {
        match route.sources.len() {
            0 => None,
            1 => route.source_for(to, 0),
            _ => route.source_for(to, self.courier.world.random.next()),
        }
    }

    fn skipped(&mut self, candidate: &Candidate, turn: Turn) {
        self.blocked.push(candidate.address);
        if turn == Turn::Resting {
            self.chose(candidate, Choice::HostRestsNow, Effect::Degrading);
        }
    }

    fn not_dialled(&mut self, candidate: &Candidate, began: Instant, fault: ConnectFault) {
        let now = self.courier.world.now();
        self.tried = Some(candidate.clone());
        self.see(candidate, Stage::Connect, began, Seen::ConnectFailed(fault), Effect::Degrading);
        if matches!(fault, ConnectFault::TimedOut | ConnectFault::NetworkUnreachable) {
            self.courier.families().failed(now, candidate.address);
        }
        if !matches!(fault, ConnectFault::LocalResources | ConnectFault::SourceUnavailable) {
            self.hosts.failed(candidate.address);
            self.failed.push(candidate.address);
        } else {
            self.hosts.give(candidate.address);
        }
        self.faults.push(Fault::Connect(fault));
    }

    fn dialled(&mut self, candidate: &Candidate, began: Instant, stream: &dyn Stream) {
        self.tried = Some(candidate.clone());
        let seen = Seen::Connected { local: stream.local() };
        self.see(candidate, Stage::Connect, began, seen, Effect::None);
        self.courier.families().worked(candidate.address);
    }

    /// Greeting and EHLO; `None` when this host is of no use for this.
    async fn greet(
        &mut self,
        candidate: &Candidate,
        stream: Box<dyn Stream>,
        target: &Target<'_>,
        deadline: Instant,
    ) -> Option<line::Greeted> {
        let world = &self.courier.world;
        self.demanded(candidate);
        let means = self.means(candidate);
        let line = match self.open(candidate, stream, target, means, deadline).await {
            Ok(line) => line,
            Err(Failed { tls: Some(fault), .. }) if candidate.requirement.allows_clear() => {
                self.again_in_clear(candidate, target, &fault, deadline).await?
            }
            Err(failed) => return self.not_greeted(candidate, failed),
        };
        let Some((fault, choice)) = target.needs.unmet(line.capabilities()) else {
            return Some(line);
        };
        self.chose(candidate, choice, Effect::Degrading);
        self.hosts.give(candidate.address);
        self.unfit.push(candidate.address);
        self.faults.push(fault);
        line.quit(world, &self.settings).await;
        None
    }

    /// What is demanded of the host, where it is not the usual.
    fn demanded(&mut self, candidate: &Candidate) {
        let demand = candidate.requirement.demand;
        if demand.level != TlsLevel::Opportunistic {
            let began = self.courier.world.now();
            self.see(candidate, Stage::Starttls, began, Seen::TlsDemanded(demand), Effect::None);
        }
    }

    /// How the octets go: where TLS failed a while ago and clear is allowed, in clear.
    fn means(&mut self, candidate: &Candidate) -> Means {
        let means = Means::of(&candidate.requirement);
        let now = self.courier.world.now();
        let may_rest = means == Means::StartTls && candidate.requirement.allows_clear();
        if may_rest && self.courier.broken_tls().rests(now, candidate.address) {
            self.chose(candidate, Choice::TlsRestsNow, Effect::Degrading);
            return Means::Clear;
        }
        means
    }

    async fn open(
        &mut self,
        candidate: &Candidate,
        stream: Box<dyn Stream>,
        target: &Target<'_>,
        means: Means,
        deadline: Instant,
    ) -> Result<line::Greeted, Failed> {
        let recorder = self.record(candidate, &*stream, target);
        let opening = line::Opening {
            world: &self.courier.world,
            settings: &self.settings,
            route: target.route,
            candidate,
            secrets: self.courier.secrets(),
            means,
            deadline,
        };
        let greeted = line::greet(&opening, stream, recorder).await;
        self.connection.observations.extend(greeted.observations);
        if greeted.result.as_ref().is_ok_and(line::Greeted::is_secured) {
            self.courier.broken_tls().forget(candidate.address);
        }
        greeted.result
    }

    fn not_greeted(&mut self, candidate: &Candidate, failed: Failed) -> Option<line::Greeted> {
        if matches!(failed.fault, Fault::Login { .. }) {
            // It is well, and may let another route in.
            self.hosts.give(candidate.address);
            self.barred.push(candidate.address);
        } else if failed.tls.is_some() {
            // It may do for a route that demands less.
            self.hosts.give(candidate.address);
            self.insecure.push(candidate.address);
        } else {
            self.hosts.failed(candidate.address);
            self.failed.push(candidate.address);
        }
        self.faults.push(failed.fault);
        None
    }

    /// TLS failed, and clear is allowed: once more to the same host.
    async fn again_in_clear(
        &mut self,
        candidate: &Candidate,
        target: &Target<'_>,
        fault: &TlsFault,
        deadline: Instant,
    ) -> Option<line::Greeted> {
        let world = &self.courier.world;
        if *fault != TlsFault::BadName {
            self.courier.broken_tls().failed(world.now(), candidate.address);
        }
        self.chose(candidate, Choice::ClearAfterBrokenTls, Effect::Degrading);
        let began = world.now();
        let limit = self.settings.connect_limit.min(deadline - began);
        let dial = Dial { to: candidate.address, from: candidate.from, limit };
        let stream = match world.net.dial(dial).await {
            Ok(stream) => stream,
            Err(error) => {
                self.not_dialled(candidate, began, error.0);
                return None;
            }
        };
        self.dialled(candidate, began, &*stream);
        match self.open(candidate, stream, target, Means::Clear, deadline).await {
            Ok(line) => Some(line),
            Err(failed) => self.not_greeted(candidate, failed),
        }
    }

    /// Every host that is connected to has its session, those that are of no use included.
    fn record(&self, candidate: &Candidate, stream: &dyn Stream, target: &Target<'_>) -> Recorder {
        let world = &self.courier.world;
        Recorder::new(world, self.settings.sessions, || {
            let side = Side::Out {
                destination: target.destination.to_owned(),
                route: target.route.name.clone(),
                host: candidate.host.clone(),
            };
            let (peer, local) = (candidate.address, stream.local());
            let helo = target.route.ehlo.clone().or_else(|| Some(self.settings.hostname.clone()));
            Session { helo, ..Session::new(target.id, world.wall(), peer, local, side) }
        })
    }

    fn ready(mut self, candidate: Candidate, greeted: line::Greeted) -> Line {
        self.connection.took = self.courier.world.now() - self.began;
        self.connection.host = Some(candidate.host);
        self.connection.peer = Some(candidate.address);
        self.connection.local = Some(greeted.local());
        self.connection.observations.truncate(MAX_OBSERVATIONS);
        Line::new(self.courier.world.clone(), self.settings, greeted, self.connection)
    }

    fn give_up(mut self, fault: Option<Fault>) -> Reached {
        self.connection.took = self.courier.world.now() - self.began;
        if let Some(last) = self.tried.take() {
            self.connection.host = Some(last.host);
            self.connection.peer = Some(last.address);
        }
        for observation in &mut self.connection.observations {
            let failed = observation.effect == Effect::Degrading;
            // Where DNS led to hosts, nothing of DNS decided; where it did not, what decided is marked.
            let of_dns = matches!(observation.stage, Stage::DnsMx | Stage::DnsAddr);
            if failed && observation.stage.is_before_mail() && !of_dns {
                observation.effect = Effect::Blocking;
            }
        }
        self.connection.observations.truncate(MAX_OBSERVATIONS);
        let fault = fault.unwrap_or_else(|| decisive(self.faults, &self.blocked));
        let Self { connection, missing, failed, unfit, insecure, barred, blocked, .. } = self;
        Reached::Nobody(Box::new(Unreached {
            connection,
            fault,
            missing,
            failed,
            unfit,
            insecure,
            barred,
            blocked,
        }))
    }

    fn chose(&mut self, candidate: &Candidate, choice: Choice, effect: Effect) {
        let began = self.courier.world.now();
        let stage = match choice {
            Choice::HostRestsNow | Choice::FamilyRestsNow => Stage::Connect,
            Choice::TlsRestsNow => Stage::Starttls,
            Choice::ClearAfterBrokenTls => Stage::Tls,
            _ => Stage::Ehlo,
        };
        self.see(candidate, stage, began, Seen::Chose(choice), effect);
    }

    fn see(
        &mut self,
        candidate: &Candidate,
        stage: Stage,
        began: Instant,
        seen: Seen,
        effect: Effect,
    ) {
        let took = self.courier.world.now() - began;
        let (name, address) = (candidate.host.clone(), Some(candidate.address));
        self.connection.observations.push(Observation {
            at: self.courier.world.wall().minus(took),
            took,
            stage,
            subject: Subject::Host { name, address },
            seen,
            effect,
        });
    }
}

/// Nobody was there: addresses that were kept may be old ones (the domain is moving), and are not used a second time.
/// While no server answers they are all there is.
fn ask_anew(resolver: &Resolver, unreached: &Unreached) {
    let alive = |server: &ServerHealth| !matches!(server.state, ServerState::Dead { .. });
    if unreached.failed.is_empty() || !resolver.servers().iter().any(alive) {
        return;
    }
    for observation in &unreached.connection.observations {
        if let (Subject::Question { name, .. }, Seen::Answer(answer)) =
            (&observation.subject, &observation.seen)
            && answer.transport == Transport::Cache
            && !answer.stale
        {
            resolver.forget(name);
        }
    }
}

/// The fault that decides: a temporary one if there is any (the first, since the best host comes first); a
/// permanent one only when every host said so.
fn decisive(faults: Vec<Fault>, blocked: &[SocketAddr]) -> Fault {
    let temporary = faults.iter().position(|f| !f.is_permanent());
    match temporary {
        Some(first) => faults.into_iter().nth(first),
        None if blocked.is_empty() => largest_limit(faults),
        None => None,
    }
    .unwrap_or(Fault::Connect(ConnectFault::TimedOut))
}

/// Of several permanent faults the first; of announced size limits the largest.
fn largest_limit(faults: Vec<Fault>) -> Option<Fault> {
    let limit = faults.iter().filter_map(|f| match f {
        Fault::OverPeersSize { limit } => Some(*limit),
        _ => None,
    });
    match limit.max() {
        Some(limit) => Some(Fault::OverPeersSize { limit }),
        None => faults.into_iter().next(),
    }
}
