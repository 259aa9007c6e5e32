//! Servers raced for one question: the next one is asked when one fails or is slow, until one answer is
//! conclusive; or all are asked, until all have said the same.
//!
//! Every exchange is a task of its own: one that lost the race still ends, and teaches how its server does.

use super::{Inner, observation, stage_of};
use crate::cache::{Found, Key};
use crate::exchange::Exchange;
use crate::meaning::Meaning;
use posthaste_evidence::{AnswerKind, Effect, Observation, Seen, Subject};
use posthaste_io::{Instant, within};
use posthaste_mail::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// How often a server that does not answer is asked the same question: a datagram may be lost.
const TRIES: usize = 2;

/// The first conclusive answer.
pub(super) async fn first(inner: &Arc<Inner>, key: &Key) -> Found {
    let mut race = Race::new(inner, key);
    let order = inner.servers.order(inner.world.now());
    race.line = order.line.into();
    race.ask_next();
    for probe in order.probes {
        race.line.retain(|&place| place != probe);
        race.ask(probe);
        race.probes.push(probe);
    }
    while !race.is_over() {
        match race.next_word(inner.settings.race_after).await {
            Some(said) if said.meaning.answer.kind.is_conclusive() => return race.won_by(said),
            Some(said) => {
                race.lost(said);
                race.ask_next();
            }
            None => race.pass_by(),
        }
    }
    race.best_failure()
}

/// What all servers say: an answer with records as soon as one has it, else what they agree on.
pub(super) async fn all(inner: &Arc<Inner>, key: &Key) -> Found {
    let mut race = Race::new(inner, key);
    for place in inner.servers.order(inner.world.now()).line {
        race.ask(place);
    }
    let mut negative: Vec<Said> = Vec::new();
    let longest = inner.settings.try_limit;
    while !race.is_over() {
        match race.next_word(longest).await {
            Some(said) if said.meaning.answer.kind == AnswerKind::Answer => {
                return race.won_by(said);
            }
            Some(said) if said.meaning.answer.kind.is_conclusive() => {
                race.hear(&said);
                negative.push(said);
            }
            Some(said) => {
                race.lost(said);
                race.ask_again();
            }
            None => {}
        }
    }
    race.agreed_on(negative)
}

/// One question under way.
struct Race<'a> {
    inner: &'a Arc<Inner>,
    key: &'a Key,
    began: Instant,
    /// Servers still to ask.
    line: VecDeque<usize>,
    /// Servers asked that have not answered, in the order asked.
    running: Vec<usize>,
    /// Those asked only to see whether they are back.
    probes: Vec<usize>,
    /// How often each was asked.
    tries: BTreeMap<usize, usize>,
    failures: Vec<Said>,
    observations: Vec<Observation>,
    words: (UnboundedSender<Said>, UnboundedReceiver<Said>),
}

/// What came of one exchange.
struct Said {
    place: usize,
    meaning: Meaning,
    observation: Observation,
}

impl<'a> Race<'a> {
    fn new(inner: &'a Arc<Inner>, key: &'a Key) -> Self {
        Self {
            inner,
            key,
            began: inner.world.now(),
            line: VecDeque::new(),
            running: Vec::new(),
            probes: Vec::new(),
            tries: BTreeMap::new(),
            failures: Vec::new(),
            observations: Vec::new(),
            words: unbounded_channel(),
        }
    }

    /// Nobody is left who might still answer. Every exchange ends by itself; the limit is for one that does not.
    fn is_over(&self) -> bool {
        let too_long = self.inner.world.now() - self.began > self.inner.settings.total_limit;
        self.running.is_empty() || too_long
    }

    fn ask_next(&mut self) {
        match self.line.pop_front() {
            Some(place) => self.ask(place),
            None if self.running.is_empty() => self.ask_again(),
            None => {}
        }
    }

    /// Asks once more those that did not answer.
    fn ask_again(&mut self) {
        let silent = |s: &&Said| s.meaning.answer.kind == AnswerKind::Timeout;
        let silent: Vec<usize> = self.failures.iter().filter(silent).map(|s| s.place).collect();
        for place in silent {
            if self.tries.get(&place).is_some_and(|&n| n < TRIES) && !self.running.contains(&place)
            {
                self.ask(place);
            }
        }
    }

    fn ask(&mut self, place: usize) {
        let Some(server) = self.inner.servers.asking(place) else { return };
        let (name, kind) = self.key.clone();
        let until = self.inner.world.now() + self.inner.settings.try_limit;
        let exchange = Exchange::new(server, name, kind, until);
        *self.tries.entry(place).or_default() += 1;
        self.running.push(place);
        let inner = Arc::clone(self.inner);
        let words = self.words.0.clone();
        let task = async move {
            let said = said(&inner, place, &exchange).await;
            // Nobody listens any more when another server was faster.
            let _ = words.send(said);
        };
        self.inner.world.spawn.spawn("dns-exchange", Box::pin(task));
    }

    async fn next_word(&mut self, wait: Duration) -> Option<Said> {
        let word = within(&*self.inner.world.clock, wait, self.words.1.recv()).await??;
        self.running.retain(|&place| place != word.place);
        Some(word)
    }

    /// The servers that run are slow: the next one is asked as well.
    fn pass_by(&mut self) {
        if !self.line.is_empty() {
            for &place in &self.running {
                self.inner.servers.passed_by(place);
            }
        }
        if let Some(place) = self.line.pop_front() {
            self.ask(place);
        }
    }

    fn hear(&mut self, said: &Said) {
        self.observations.push(said.observation.clone());
    }

    fn lost(&mut self, said: Said) {
        self.hear(&said);
        self.failures.push(said);
    }

    fn won_by(mut self, said: Said) -> Found {
        self.observe_silent();
        self.hear(&said);
        let agreed = self.configured() == 1;
        let by = server_of(&said);
        let Meaning { answer, next, .. } = said.meaning;
        Found { answer, next, agreed, by, observations: self.observations }
    }

    /// Those that were asked for the answer's sake, and had not answered when another one did.
    fn observe_silent(&mut self) {
        let now = self.inner.world.now();
        let health = self.inner.servers.health();
        for place in self.running.iter().filter(|place| !self.probes.contains(place)) {
            let Some(server) = health.get(*place).map(|h| h.address) else { continue };
            let waited = now - self.began;
            self.observations.push(Observation {
                at: self.inner.world.wall().minus(waited),
                took: waited,
                stage: stage_of(self.key.1),
                subject: self.subject(server),
                seen: Seen::TimedOut { after: waited },
                effect: Effect::Degrading,
            });
        }
    }

    fn subject(&self, server: std::net::SocketAddr) -> Subject {
        Subject::Question { server: Some(server), name: self.key.0.clone(), kind: self.key.1 }
    }

    fn best_failure(self) -> Found {
        let best = self.failures.into_iter().max_by_key(|s| telling(s.meaning.answer.kind));
        let Some(said) = best else {
            let nothing = Found::nothing(AnswerKind::Unreachable);
            return Found { observations: self.observations, ..nothing };
        };
        let by = server_of(&said);
        let Meaning { answer, next, .. } = said.meaning;
        Found { answer, next, agreed: false, by, observations: self.observations }
    }

    /// All servers have spoken, none with records.
    fn agreed_on(self, negative: Vec<Said>) -> Found {
        let kinds = |kind| negative.iter().filter(|s| s.meaning.answer.kind == kind).count();
        let (missing, empty) = (kinds(AnswerKind::NxDomain), kinds(AnswerKind::NoData));
        let agreed = missing.max(empty) == self.configured();
        // One that knows the name outweighs one that does not.
        let kind = if empty > 0 { AnswerKind::NoData } else { AnswerKind::NxDomain };
        match negative.into_iter().find(|s| s.meaning.answer.kind == kind) {
            Some(said) => {
                let by = server_of(&said);
                let Meaning { answer, next, .. } = said.meaning;
                Found { answer, next, agreed, by, observations: self.observations }
            }
            None => self.best_failure(),
        }
    }

    fn configured(&self) -> usize {
        self.inner.servers.health().len()
    }
}

async fn said(inner: &Inner, place: usize, exchange: &Exchange) -> Said {
    let (at, began): (Timestamp, Instant) = (inner.world.wall(), inner.world.now());
    let meaning = exchange.ask(&inner.world).await;
    let now = inner.world.now();
    inner.servers.learn(place, &meaning, now - began, (now, inner.world.wall()));
    let subject = Subject::Question {
        server: Some(exchange.server.address),
        name: exchange.name.clone(),
        kind: exchange.kind,
    };
    let observation = observation(subject, meaning.answer.clone(), at, now - began);
    Said { place, meaning, observation }
}

/// Whose word it is.
const fn server_of(said: &Said) -> Option<std::net::SocketAddr> {
    match &said.observation.subject {
        Subject::Question { server, .. } => *server,
        _ => None,
    }
}

/// How much a failure tells of the name asked for; the most telling one stands for all.
const fn telling(kind: AnswerKind) -> u8 {
    match kind {
        AnswerKind::Answer | AnswerKind::NoData | AnswerKind::NxDomain => 10,
        AnswerKind::Bogus => 9,
        AnswerKind::ServFail => 8,
        AnswerKind::Refused => 7,
        AnswerKind::Lame => 6,
        AnswerKind::OtherRcode(_) => 5,
        AnswerKind::NotImp => 4,
        AnswerKind::FormErr => 3,
        AnswerKind::Malformed => 2,
        AnswerKind::Timeout => 1,
        AnswerKind::Unreachable => 0,
    }
}
