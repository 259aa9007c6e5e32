//! A connection that is ready for mail transactions: from the greeting to QUIT.
//!
//! Not here: one transaction (`transfer`), choosing the host (`reach`).

use crate::login::Desk;
use crate::race::Candidate;
use crate::record::Recorder;
use crate::secrets::Secrets;
use crate::secure::{Failed, Means, handshake};
use crate::settings::Settings;
use crate::talk::{Break, Heard, Talk, stage_of};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Connection, Effect, Ended, Fault, Handover, LoginFault, Observation, Seen, Stage, Subject,
    TlsFacts, TlsFault,
};
use posthaste_io::{Instant, Secure, Secured, Stream, World};
use posthaste_route::{Action, Protocol, Route};
use posthaste_smtp::client::{self, Capabilities, Session, Step};
use std::net::SocketAddr;
use std::sync::Arc;

/// A connection to a host that has taken our EHLO, HELO or LHLO.
pub struct Line {
    pub(crate) world: World,
    pub(crate) settings: Arc<Settings>,
    pub(crate) talk: Talk,
    /// Transactions begun on it.
    pub(crate) served: u32,
    host: String,
    peer: SocketAddr,
    /// In clear because TLS with it failed a while ago.
    pub(crate) tls_rests: bool,
    id: posthaste_evidence::ConnectionId,
    record: Option<Connection>,
    /// When the operator named the host, how it was reached: that it wants us to log in is then ours to correct.
    fixed: Option<Box<Connection>>,
}

/// A host that has greeted us.
pub(crate) struct Greeted {
    talk: Talk,
    /// The operator named the host.
    fixed: bool,
    /// TLS with it was tried before, and is not now.
    tls_rests: bool,
}

/// What came of greeting.
pub(crate) struct Greeting {
    /// The host, or why it is of no use.
    pub(crate) result: Result<Greeted, Failed>,
    /// What was seen.
    pub(crate) observations: Vec<Observation>,
}

/// How a host is to be greeted.
pub(crate) struct Opening<'a> {
    pub(crate) world: &'a World,
    pub(crate) settings: &'a Settings,
    pub(crate) route: &'a Route,
    pub(crate) candidate: &'a Candidate,
    /// Where a password comes from, should the route log in.
    pub(crate) secrets: &'a dyn Secrets,
    /// How its octets go.
    pub(crate) means: Means,
    /// The end of the attempt's time.
    pub(crate) deadline: Instant,
}

/// Waits for the greeting and says EHLO, or HELO after EHLO was refused (RFC 5321 section 3.2), or LHLO where the route
/// says so; secures the connection and says it again (RFC 3207 section 4.2); not beyond the deadline of the whole attempt.
pub(crate) async fn greet(
    opening: &Opening<'_>,
    stream: Box<dyn Stream>,
    recorder: Recorder,
) -> Greeting {
    let Opening { world, candidate, .. } = *opening;
    let mut log = Log { world, candidate, began: world.now(), observations: Vec::new() };
    let result = opening.open(stream, recorder, &mut log).await;
    let fixed = matches!(opening.route.action, Action::SmartHosts { .. });
    let tls_rests = opening.means == Means::Clear && candidate.requirement.wants_tls();
    let result = result.map(|talk| Greeted { talk, fixed, tls_rests });
    Greeting { result, observations: log.observations }
}

/// What the host made of STARTTLS.
enum StartTls {
    Taken,
    Refused(posthaste_mail::Reply),
}

impl Opening<'_> {
    async fn open(
        &self,
        stream: Box<dyn Stream>,
        mut recorder: Recorder,
        log: &mut Log<'_>,
    ) -> Result<Talk, Failed> {
        let implicit = self.means == Means::Implicit;
        let stream = match implicit {
            true => self.secure(stream, &mut recorder, log).await?,
            false => stream,
        };
        let mut talk = Talk::new(self.world, stream, self.session(), recorder);
        talk.secured = implicit;
        self.hello(&mut talk, log).await?;
        if self.means == Means::StartTls {
            talk = self.start_tls(talk, log).await?;
        }
        self.desk().log_in(&mut talk, log).await?;
        Ok(talk)
    }

    fn desk(&self) -> Desk<'_> {
        Desk {
            world: self.world,
            secrets: self.secrets,
            route: self.route,
            host: self.candidate.address.ip(),
            deadline: self.deadline,
            quit: self.settings.timeouts.quit,
        }
    }

    fn session(&self) -> Session {
        let (route, settings) = (self.route, self.settings);
        Session::new(Arc::new(client::Settings {
            protocol: match route.protocol() {
                Protocol::Smtp => client::Protocol::Smtp,
                Protocol::Lmtp => client::Protocol::Lmtp,
            },
            name: route.ehlo.as_ref().unwrap_or(&settings.hostname).clone(),
            pipelining: true,
            timeouts: settings.timeouts,
        }))
    }

    /// From the greeting, or from the handshake, to the reply to EHLO.
    async fn hello(&self, talk: &mut Talk, log: &mut Log<'_>) -> Result<(), Fault> {
        let mut refusal = None;
        loop {
            match next_before(self.world, talk, self.deadline).await {
                Heard::Step(Step::Ready) => return Ok(()),
                Heard::Step(Step::Reply(stage, reply)) => {
                    refusal = (!reply.is_positive()).then(|| (stage, reply.shortened()));
                    log.reply(stage, &reply);
                }
                Heard::Step(Step::Gibberish(stage, _)) => return Err(log.gibberish(stage)),
                Heard::Broken(stage, broken) => return Err(log.broken(stage, broken)),
                Heard::Step(_) => {
                    self.leave(talk).await;
                    return Err(refused(refusal));
                }
            }
        }
    }

    /// A polite QUIT may be waiting to be written; nothing hangs on it.
    async fn leave(&self, talk: &mut Talk) {
        let _ = talk.flush(self.world, self.settings.timeouts.quit).await;
        talk.recorder.end(Ended::Quit);
    }

    /// STARTTLS, where the host offers it (RFC 3207). What the requirement does not allow is a fault.
    async fn start_tls(&self, mut talk: Talk, log: &mut Log<'_>) -> Result<Talk, Failed> {
        let may_go_on = self.candidate.requirement.allows_clear();
        let effect = if may_go_on { Effect::Cosmetic } else { Effect::Degrading };
        if !talk.session.capabilities().starttls {
            log.see(Stage::Starttls, Seen::Chose(Choice::StartTlsNotOffered), effect);
            return self.in_clear(talk, Fault::TlsNotOffered).await;
        }
        talk.session.start_tls();
        match self.ask(&mut talk, log).await? {
            StartTls::Refused(reply) => {
                if may_go_on {
                    log.see(
                        Stage::Starttls,
                        Seen::Chose(Choice::StartTlsRefused),
                        Effect::Degrading,
                    );
                }
                self.in_clear(talk, Fault::TlsRefused { reply }).await
            }
            StartTls::Taken => {
                let how = self.handshake();
                let (mut talk, facts) = match talk.secure(self.world, how).await {
                    Ok(secured) => secured,
                    Err(fault) => return Err(log.tls_failed(fault)),
                };
                log.secured(facts);
                let greeted = self.hello(&mut talk, log).await;
                greeted.map_err(Failed::after_handshake)?;
                Ok(talk)
            }
        }
    }

    /// The host is greeted and the line is in clear: well, where that is allowed.
    async fn in_clear(&self, mut talk: Talk, fault: Fault) -> Result<Talk, Failed> {
        if self.candidate.requirement.allows_clear() {
            return Ok(talk);
        }
        if matches!(talk.session.stage(), client::Stage::Idle) {
            talk.session.quit();
            self.leave(&mut talk).await;
        }
        Err(Failed { fault, tls: Some(TlsFault::NotTls) })
    }

    async fn ask(&self, talk: &mut Talk, log: &mut Log<'_>) -> Result<StartTls, Failed> {
        let mut refusal = None;
        loop {
            match next_before(self.world, talk, self.deadline).await {
                Heard::Step(Step::Reply(stage, reply)) => {
                    refusal = (!reply.is_positive()).then(|| reply.shortened());
                    log.reply(stage, &reply);
                }
                Heard::Step(Step::Secure) => return Ok(StartTls::Taken),
                Heard::Step(Step::Injected) => return Err(log.tls_failed(TlsFault::Injected)),
                Heard::Step(Step::Gibberish(..)) => return Err(log.tls_failed(TlsFault::Broken)),
                Heard::Broken(_, broken) => return Err(log.tls_failed(broken.of_tls())),
                Heard::Step(step) => {
                    return match (refusal, step) {
                        (Some(reply), Step::Ready) => Ok(StartTls::Refused(reply)),
                        // It closes the connection with these words (421): another one may go well.
                        (Some(reply), _) => Err(Failed {
                            fault: Fault::TlsRefused { reply },
                            tls: Some(TlsFault::Lost { reset: false }),
                        }),
                        (None, _) => Err(log.tls_failed(TlsFault::Lost { reset: false })),
                    };
                }
            }
        }
    }

    /// TLS with the first octet.
    async fn secure(
        &self,
        stream: Box<dyn Stream>,
        recorder: &mut Recorder,
        log: &mut Log<'_>,
    ) -> Result<Box<dyn Stream>, Failed> {
        let how = self.handshake();
        let name = how.name.clone();
        match self.world.net.secure(stream, how).await {
            Ok(Secured { stream, facts }) => {
                recorder.secured(&facts, &name);
                log.secured(facts);
                Ok(stream)
            }
            Err(fault) => Err(log.tls_failed(fault)),
        }
    }

    fn handshake(&self) -> Secure {
        let limit = self.settings.timeouts.handshake.min(self.deadline - self.world.now());
        handshake(&self.candidate.requirement, limit)
    }
}

/// The next step, or the end of the attempt's time.
pub(crate) async fn next_before(world: &World, talk: &mut Talk, deadline: Instant) -> Heard {
    let left = deadline - world.now();
    match posthaste_io::within(&*world.clock, left, talk.next(world)).await {
        Some(heard) => heard,
        None => Heard::Broken(talk.session.stage(), Break::TimedOut(left)),
    }
}

fn refused(refusal: Option<(client::Stage, posthaste_mail::Reply)>) -> Fault {
    match refusal {
        Some((stage, reply)) => Fault::Reply { stage: stage_of(stage), reply },
        None => Fault::Lost { stage: Stage::Ehlo },
    }
}

pub(crate) struct Log<'a> {
    world: &'a World,
    candidate: &'a Candidate,
    began: Instant,
    observations: Vec<Observation>,
}

impl Log<'_> {
    fn secured(&mut self, facts: TlsFacts) {
        self.see(Stage::Tls, Seen::Tls(Box::new(facts.kept())), Effect::None);
    }

    /// The observation keeps the certificate, the fault does not.
    fn tls_failed(&mut self, fault: TlsFault) -> Failed {
        self.see(Stage::Tls, Seen::TlsFailed(Box::new(fault.clone().kept())), Effect::Degrading);
        fault.into()
    }

    /// What cannot be a reply came in its place.
    pub(crate) fn gibberish(&mut self, stage: client::Stage) -> Fault {
        let stage = stage_of(stage);
        self.see(stage, Seen::Gibberish, Effect::Degrading);
        Fault::Gibberish { stage }
    }

    /// The conversation broke.
    pub(crate) fn broken(&mut self, stage: client::Stage, broken: Break) -> Fault {
        let stage = stage_of(stage);
        self.see(stage, broken.seen(), Effect::Degrading);
        broken.fault(stage)
    }

    fn reply(&mut self, stage: client::Stage, reply: &posthaste_mail::Reply) {
        let fell_back = stage == client::Stage::Helo && reply.is_positive();
        let effect = if reply.is_positive() { Effect::None } else { Effect::Degrading };
        let offers = matches!(stage, client::Stage::Ehlo | client::Stage::Lhlo);
        let seen = if offers && reply.is_positive() {
            Seen::Capabilities(Capabilities::read(reply).keywords)
        } else {
            Seen::Reply(reply.shortened())
        };
        self.see(stage_of(stage), seen, effect);
        if fell_back {
            self.see(Stage::Ehlo, Seen::Chose(Choice::FellBackToHelo), Effect::Cosmetic);
        }
    }

    pub(crate) fn see(&mut self, stage: Stage, seen: Seen, effect: Effect) {
        let now = self.world.now();
        let took = now - self.began;
        self.began = now;
        let (name, address) = (self.candidate.host.clone(), Some(self.candidate.address));
        self.observations.push(Observation {
            at: self.world.wall().minus(took),
            took,
            stage,
            subject: Subject::Host { name, address },
            seen,
            effect,
        });
    }
}

impl Greeted {
    /// It goes under TLS.
    pub(crate) const fn is_secured(&self) -> bool {
        self.talk.secured
    }

    pub(crate) const fn capabilities(&self) -> &Capabilities {
        self.talk.session.capabilities()
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.talk.local()
    }

    /// Says good-bye to a host that is not needed.
    pub(crate) async fn quit(mut self, world: &World, settings: &Settings) {
        self.talk.session.quit();
        self.talk.recorder.end(Ended::Quit);
        let _ = self.talk.flush(world, settings.timeouts.quit).await;
    }
}

impl Line {
    pub(crate) fn new(
        world: World,
        settings: Arc<Settings>,
        greeted: Greeted,
        record: Connection,
    ) -> Self {
        Self {
            world,
            settings,
            talk: greeted.talk,
            served: 0,
            host: record.host.clone().unwrap_or_default(),
            peer: record.peer.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0))),
            tls_rests: greeted.tls_rests,
            id: record.id,
            fixed: greeted
                .fixed
                .then(|| Box::new(Connection { observations: Vec::new(), ..record.clone() })),
            record: Some(record),
        }
    }

    /// The host's name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host's endpoint.
    #[must_use]
    pub const fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The connection's name.
    #[must_use]
    pub const fn id(&self) -> posthaste_evidence::ConnectionId {
        self.id
    }

    /// The route to correct, should the host want us to log in.
    pub(crate) fn fixed(&self) -> Option<&str> {
        self.fixed.as_ref().map(|reached| reached.route.as_str())
    }

    /// The host took nothing from us in this transaction, and wants us to log in: the record of a connection that came to
    /// nothing, for its destination.
    #[must_use]
    pub fn barred(&self, fault: &LoginFault) -> Option<Connection> {
        let mut record = (**self.fixed.as_ref()?).clone();
        record.at = self.world.wall();
        record.observations.push(Observation {
            at: record.at,
            took: std::time::Duration::ZERO,
            stage: fault.stage(),
            subject: Subject::Host { name: self.host.clone(), address: Some(self.peer) },
            seen: Seen::LoginFailed(fault.clone()),
            effect: Effect::Blocking,
        });
        Some(record)
    }

    /// What the host offers.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        self.talk.session.capabilities()
    }

    /// What becomes of DSN parameters in a transaction on it (RFC 3461 section 5.2). A host that was greeted with HELO offers
    /// nothing.
    #[must_use]
    pub fn handover(&self) -> Handover {
        match (self.capabilities().dsn, self.talk.session.protocol()) {
            (true, _) => Handover::PassedOn,
            (false, client::Protocol::Smtp) => Handover::Relayed,
            (false, client::Protocol::Lmtp) => Handover::Final,
        }
    }

    /// The record of how it came about; given once, to be stored with the first attempt.
    pub const fn take_record(&mut self) -> Option<Connection> {
        self.record.take()
    }

    /// Says QUIT and waits a moment for the answer. A line that broke needs none.
    pub async fn quit(mut self) {
        if !matches!(self.talk.session.stage(), client::Stage::Idle) {
            return;
        }
        if !matches!(self.talk.next(&self.world).await, Heard::Step(Step::Ready)) {
            return;
        }
        self.talk.session.quit();
        self.talk.recorder.end(Ended::Quit);
        let _ = self.talk.next(&self.world).await;
    }
}
