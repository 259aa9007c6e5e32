//! A connection that is ready for mail transactions: from the greeting to QUIT.
//!
//! Not here: one transaction (`transfer`), choosing the host (`reach`).

use crate::race::Candidate;
use crate::record::Recorder;
use crate::settings::Settings;
use crate::talk::{Break, Heard, Talk, stage_of};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{Connection, Effect, Ended, Fault, Observation, Seen, Stage, Subject};
use posthaste_io::{Instant, Stream, World};
use posthaste_route::{Protocol, Route};
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
    id: posthaste_evidence::ConnectionId,
    record: Option<Connection>,
}

/// A host that has greeted us.
pub(crate) struct Greeted {
    talk: Talk,
}

/// What came of greeting.
pub(crate) struct Greeting {
    /// The host, or why it is of no use.
    pub(crate) result: Result<Greeted, Fault>,
    /// What was seen.
    pub(crate) observations: Vec<Observation>,
}

/// Waits for the greeting and says EHLO, or HELO after EHLO was refused (RFC 5321 section 3.2), or LHLO where the route
/// says so; not beyond the deadline of the whole attempt.
pub(crate) async fn greet(
    world: &World,
    settings: &Settings,
    route: &Route,
    candidate: &Candidate,
    stream: Box<dyn Stream>,
    deadline: Instant,
    recorder: Recorder,
) -> Greeting {
    let session = Session::new(Arc::new(client::Settings {
        protocol: match route.protocol() {
            Protocol::Smtp => client::Protocol::Smtp,
            Protocol::Lmtp => client::Protocol::Lmtp,
        },
        name: route.ehlo.as_ref().unwrap_or(&settings.hostname).clone(),
        pipelining: true,
        timeouts: settings.timeouts,
    }));
    let mut talk = Talk::new(world, stream, session, recorder);
    let mut log = Log { world, candidate, began: world.now(), observations: Vec::new() };
    let mut refusal = None;
    let result = loop {
        match next_before(world, &mut talk, deadline).await {
            Heard::Step(Step::Ready) => break Ok(()),
            Heard::Step(Step::Reply(stage, reply)) => {
                refusal = (!reply.is_positive()).then(|| (stage, reply.shortened()));
                log.reply(stage, &reply);
            }
            Heard::Step(Step::Gibberish(stage, _)) => {
                let stage = stage_of(stage);
                log.see(stage, Seen::Gibberish, Effect::Degrading);
                break Err(Fault::Gibberish { stage });
            }
            Heard::Broken(stage, broken) => {
                let stage = stage_of(stage);
                log.see(stage, broken.seen(), Effect::Degrading);
                break Err(broken.fault(stage));
            }
            Heard::Step(_) => {
                // A polite QUIT may be waiting to be written; nothing hangs on it.
                let _ = talk.flush(world, settings.timeouts.quit).await;
                talk.recorder.end(Ended::Quit);
                break Err(refused(refusal));
            }
        }
    };
    let result = result.map(|()| Greeted { talk });
    Greeting { result, observations: log.observations }
}

/// The next step, or the end of the attempt's time.
async fn next_before(world: &World, talk: &mut Talk, deadline: Instant) -> Heard {
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

struct Log<'a> {
    world: &'a World,
    candidate: &'a Candidate,
    began: Instant,
    observations: Vec<Observation>,
}

impl Log<'_> {
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

    fn see(&mut self, stage: Stage, seen: Seen, effect: Effect) {
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
            id: record.id,
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

    /// What the host offers.
    #[must_use]
    pub const fn capabilities(&self) -> &Capabilities {
        self.talk.session.capabilities()
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
