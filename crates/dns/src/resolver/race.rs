//! Servers raced for one question: the next one is asked when one fails or is slow, until one answer is
//! conclusive; or all are asked, until all have said the same.
//!
//! Those that live come first, then the fallback list, then dead ones when nobody lives; then the silent ones once
//! more, and once without EDNS. Every exchange is a task of its own: one that lost the race still ends, and teaches
//! how its server does.
//!
//! Not here: the order of servers (`servers`), one exchange (`exchange`), the cache (`resolver`).

use super::{Inner, observation, stage_of};
use crate::cache::{Found, Key};
use crate::exchange::Exchange;
use crate::meaning::Meaning;
use crate::servers::{Lesson, Order};
use posthaste_evidence::{AnswerKind, Edns, Effect, Observation, Seen, Subject};
use posthaste_io::{Instant, within};
use posthaste_mail::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// The first conclusive answer.
pub(super) async fn first(inner: &Arc<Inner>, key: &Key) -> Found {
    let order = inner.servers.order(inner.world.now());
    let mut race = Race::new(inner, key, order);
    race.ask_next();
    for shadow in std::mem::take(&mut race.order.shadows) {
        race.shadows.insert(shadow);
        race.ask(shadow, Try::Usual);
    }
    while !race.is_over() {
        match race.next_word(inner.settings.race_after).await {
            Some(said) if said.is_conclusive() && said.how == Try::ToSee => race.spare = Some(said),
            Some(said) if said.is_conclusive() => return race.won_by(said),
            Some(said) => {
                race.lost(said);
                race.ask_next();
            }
            None if race.spare.is_some() => break,
            None => race.pass_by(),
        }
    }
    match race.spare.take() {
        Some(said) => race.won_by(said),
        None => race.best_failure(),
    }
}

/// What all servers say: an answer with records as soon as one has it, else what they agree on. The fallback list is
/// asked when none of the others knows anything.
pub(super) async fn all(inner: &Arc<Inner>, key: &Key) -> Found {
    let order = inner.servers.order(inner.world.now());
    let mut race = Race::new(inner, key, order);
    for place in 0..inner.servers.primaries() {
        race.ask(place, Try::Usual);
    }
    race.line.clear();
    let mut negative: Vec<Said> = Vec::new();
    let longest = inner.settings.try_limit;
    if race.running.is_empty() {
        race.ask_fallback();
    }
    while !race.is_over() {
        match race.next_word(longest).await {
            Some(said) if said.meaning.answer.kind == AnswerKind::Answer => {
                return race.won_by(said);
            }
            Some(said) if said.is_conclusive() => {
                race.hear(&said);
                negative.push(said);
            }
            Some(said) => {
                race.lost(said);
                race.ask_again();
                if negative.is_empty() && race.running.is_empty() {
                    race.ask_fallback();
                }
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
    /// Who may still be asked after those in line.
    order: Order,
    /// Dead before the question came: asked once at most.
    known_dead: Vec<usize>,
    /// Servers to ask next.
    line: VecDeque<usize>,
    /// Servers asked that have not answered, in the order asked, and since when.
    running: Vec<(usize, Try, Instant)>,
    /// Those asked only to see whether they are as good again.
    shadows: BTreeSet<usize>,
    /// How often each was asked as usual.
    tries: BTreeMap<usize, usize>,
    /// Those asked without EDNS, to see whether that is why they are silent.
    seen_to: BTreeSet<usize>,
    failures: Vec<Said>,
    /// A conclusive answer to a question without EDNS: it is used when no other one comes.
    spare: Option<Said>,
    /// Somebody has answered conclusively. Exchanges that end later look at it.
    won: Arc<AtomicBool>,
    observations: Vec<Observation>,
    words: (UnboundedSender<Said>, UnboundedReceiver<Said>),
}

/// Why a server is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Try {
    /// For its answer.
    Usual,
    /// It is silent: without EDNS, to see whether that is why.
    ToSee,
}

/// What came of one exchange.
struct Said {
    place: usize,
    how: Try,
    meaning: Meaning,
    observation: Observation,
}

impl Said {
    const fn is_conclusive(&self) -> bool {
        self.meaning.answer.kind.is_conclusive()
    }
}

impl<'a> Race<'a> {
    fn new(inner: &'a Arc<Inner>, key: &'a Key, mut order: Order) -> Self {
        Self {
            inner,
            key,
            began: inner.world.now(),
            known_dead: order.dead.clone(),
            line: std::mem::take(&mut order.line).into(),
            order,
            running: Vec::new(),
            shadows: BTreeSet::new(),
            tries: BTreeMap::new(),
            seen_to: BTreeSet::new(),
            failures: Vec::new(),
            spare: None,
            won: Arc::default(),
            // Kept with the answer: a place for one is enough nearly always.
            observations: Vec::with_capacity(1),
            words: unbounded_channel(),
        }
    }

    /// Nobody is left who might still answer. Every exchange ends by itself; the limit is for one that does not.
    fn is_over(&self) -> bool {
        let too_long = self.inner.world.now() - self.began > self.inner.settings.total_limit;
        self.running.is_empty() || too_long
    }

    /// The next in line. When there is none, and nobody is waited for: the fallback list, then the dead ones when
    /// nobody lives, then once more those that were silent.
    fn ask_next(&mut self) {
        if self.running.iter().all(|(place, ..)| self.shadows.contains(place)) {
            // From now on they are waited for like any other.
            self.shadows.clear();
        }
        if self.line.is_empty() && self.running.is_empty() {
            self.line = self.fallback().into();
            if self.line.is_empty() && self.inner.servers.all_silent() {
                self.line = std::mem::take(&mut self.order.dead).into();
            }
        }
        match self.line.pop_front() {
            Some(place) => self.ask(place, Try::Usual),
            None if self.running.is_empty() => self.ask_again(),
            None => {}
        }
    }

    /// Every one of the fallback list, once.
    fn ask_fallback(&mut self) {
        for place in self.fallback() {
            self.ask(place, Try::Usual);
        }
    }

    /// The fallback list, once. What one server found forged is not looked for at another that might not look.
    fn fallback(&mut self) -> Vec<usize> {
        let bogus = |s: &Said| s.meaning.answer.kind == AnswerKind::Bogus;
        if self.failures.iter().any(bogus) {
            return Vec::new();
        }
        let mut fallback = std::mem::take(&mut self.order.fallback);
        fallback.retain(|place| !self.tries.contains_key(place));
        fallback
    }

    /// Asks once more those that did not answer; and beside it, once, without EDNS, when nobody said anything.
    fn ask_again(&mut self) {
        let mute = |s: &Said| {
            matches!(s.meaning.answer.kind, AnswerKind::Timeout | AnswerKind::Unreachable)
        };
        let all_mute = self.failures.iter().all(mute);
        let silent = |s: &&Said| s.meaning.answer.kind == AnswerKind::Timeout;
        let silent: BTreeSet<usize> =
            self.failures.iter().filter(silent).map(|s| s.place).collect();
        for place in silent {
            let runs = self.running.iter().any(|(running, ..)| *running == place);
            if runs || self.known_dead.contains(&place) {
                continue;
            }
            if self.tries.get(&place).is_some_and(|&n| n < self.inner.settings.tries) {
                self.ask(place, Try::Usual);
            }
            if all_mute {
                self.ask_to_see(place);
            }
        }
    }

    fn ask_to_see(&mut self, place: usize) {
        if self.seen_to.insert(place) {
            self.ask(place, Try::ToSee);
        }
    }

    fn ask(&mut self, place: usize, how: Try) {
        let began = self.inner.world.now();
        let Some((server, mut manner)) = self.inner.servers.asking(place, began) else { return };
        match how {
            Try::ToSee => manner.edns = Edns::LeftOutToSee,
            Try::Usual => {
                let tries = self.tries.entry(place).or_default();
                // Silence may be about the case, too: somebody behind this server does not bear it.
                manner.folds_case |= *tries > 0;
                *tries += 1;
            }
        }
        let (name, kind) = self.key.clone();
        let until = began + self.inner.settings.try_limit;
        let exchange = Exchange { server, name, kind, until, manner };
        self.running.push((place, how, began));
        let (inner, won) = (Arc::clone(self.inner), Arc::clone(&self.won));
        let words = self.words.0.clone();
        let task = async move {
            let said = said(&inner, place, how, exchange, &won).await;
            // Nobody listens any more when another server was faster.
            let _ = words.send(said);
        };
        self.inner.world.spawn.spawn("dns-exchange", Box::pin(task));
    }

    async fn next_word(&mut self, wait: Duration) -> Option<Said> {
        let word = within(&*self.inner.world.clock, wait, self.words.1.recv()).await??;
        self.running.retain(|&(place, how, _)| (place, how) != (word.place, word.how));
        Some(word)
    }

    /// The servers that run are slow: the next one is asked as well, and those known to be deaf to EDNS without it.
    fn pass_by(&mut self) {
        let now = self.inner.world.now();
        let deaf = |place: &usize| self.inner.servers.drops_edns(*place, now);
        let deaf: Vec<usize> = self.running.iter().map(|(place, ..)| *place).filter(deaf).collect();
        for place in deaf {
            self.ask_to_see(place);
        }
        let Some(next) = self.line.pop_front() else { return };
        for &(place, ..) in &self.running {
            self.inner.servers.passed_by(place);
        }
        self.ask(next, Try::Usual);
    }

    fn hear(&mut self, said: &Said) {
        self.observations.push(said.observation.clone());
    }

    fn lost(&mut self, said: Said) {
        self.hear(&said);
        self.failures.push(said);
    }

    fn won_by(mut self, said: Said) -> Found {
        self.won.store(true, Ordering::Relaxed);
        self.contradict();
        self.observe_silent();
        self.hear(&said);
        let servers = &self.inner.servers;
        let agreed = servers.primaries() == 1 && !servers.is_fallback(said.place);
        let by = server_of(&said);
        let Meaning { answer, next, .. } = said.meaning;
        Found { answer, next, agreed, by, observations: self.observations }
    }

    /// Those that failed where another one had the answer failed by themselves.
    fn contradict(&self) {
        let at = self.inner.world.wall();
        for said in &self.failures {
            let kind = said.meaning.answer.kind;
            let its_own = said.meaning.speaks_against_server() || about_names(kind);
            if its_own && !said.meaning.answer.truncated {
                let turns = self.inner.servers.contradict(said.place, kind, self.key, at);
                self.inner.attend(said.place, turns);
            }
        }
    }

    /// Those that were asked for the answer's sake, and had not answered when another one did.
    fn observe_silent(&mut self) {
        let now = self.inner.world.now();
        for &(place, how, began) in &self.running {
            if self.shadows.contains(&place) || how == Try::ToSee {
                continue;
            }
            let Some(server) = self.inner.servers.address(place) else { continue };
            let waited = now - began;
            // Who was asked only just now did nothing wrong.
            let slow = waited >= self.inner.settings.race_after;
            self.observations.push(Observation {
                at: self.inner.world.wall().minus(waited),
                took: waited,
                stage: stage_of(self.key.1),
                subject: self.subject(server),
                seen: Seen::TimedOut { after: waited },
                effect: if slow { Effect::Degrading } else { Effect::None },
            });
        }
    }

    fn subject(&self, server: std::net::SocketAddr) -> Subject {
        Subject::Question { server: Some(server), name: self.key.0.clone(), kind: self.key.1 }
    }

    fn best_failure(self) -> Found {
        let best = self
            .failures
            .into_iter()
            .max_by_key(|s| (s.how == Try::Usual, s.meaning.answer.kind.telling()));
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
        let counts = |s: &&Said| !self.inner.servers.is_fallback(s.place);
        let kinds =
            |kind| negative.iter().filter(counts).filter(|s| s.meaning.answer.kind == kind).count();
        let (missing, empty) = (kinds(AnswerKind::NxDomain), kinds(AnswerKind::NoData));
        let agreed = missing.max(empty) == self.inner.servers.primaries();
        let knows = negative.iter().any(|s| s.meaning.answer.kind == AnswerKind::NoData);
        // One that knows the name outweighs one that does not.
        let kind = if knows { AnswerKind::NoData } else { AnswerKind::NxDomain };
        match negative.into_iter().find(|s| s.meaning.answer.kind == kind) {
            Some(said) => {
                let by = server_of(&said);
                let Meaning { answer, next, .. } = said.meaning;
                Found { answer, next, agreed, by, observations: self.observations }
            }
            None => self.best_failure(),
        }
    }
}

async fn said(
    inner: &Arc<Inner>,
    place: usize,
    how: Try,
    exchange: Exchange,
    won: &AtomicBool,
) -> Said {
    let (at, began): (Timestamp, Instant) = (inner.world.wall(), inner.world.now());
    let mut heard = exchange.hear_over(&inner.world, &inner.streams).await;
    heard.meaning.answer.fallback = inner.servers.is_fallback(place);
    let took = inner.world.now() - began;
    let subject = Subject::Question {
        server: Some(exchange.server.address),
        name: exchange.name.clone(),
        kind: exchange.kind,
    };
    let question = (exchange.name, exchange.kind);
    let contradicted = won.load(Ordering::Relaxed);
    let manner = exchange.manner;
    inner.learn(place, &Lesson { question: &question, manner, began, heard: &heard, contradicted });
    let observation = observation(subject, heard.meaning.answer.clone(), at, took);
    Said { place, how, meaning: heard.meaning, observation }
}

/// A failure that is a name's, unless another server has an answer.
const fn about_names(kind: AnswerKind) -> bool {
    matches!(kind, AnswerKind::ServFail | AnswerKind::OtherRcode(_))
}

/// Whose word it is.
const fn server_of(said: &Said) -> Option<std::net::SocketAddr> {
    match &said.observation.subject {
        Subject::Question { server, .. } => *server,
        _ => None,
    }
}
