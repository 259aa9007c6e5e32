//! The strategy: cache first, one exchange for many askers, servers raced, aliases followed, and agreement of
//! all servers where a permanent failure hangs on it.
//!
//! Not here: one server's exchange (`exchange`), health and order of servers (`servers`).

use crate::cache::{Cache, Found, Key};
use crate::lookup::{Agreement, Lookup};
use crate::meaning::{MAX_ALIASES, MAX_RECORDS};
use crate::servers::{ServerHealth, Servers};
use crate::settings::Settings;
use parking_lot::Mutex;
use posthaste_evidence::{
    Answer, AnswerKind, Effect, Observation, RecordType, Seen, Stage, Subject, Transport,
};
use posthaste_io::{World, within};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{oneshot, watch};

mod race;

/// Asks DNS. Cheap to clone; clones share cache and servers.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    settings: Settings,
    servers: Servers,
    shared: Mutex<Shared>,
}

/// Under one lock, so that a question is either kept, under way, or new.
#[derive(Default)]
struct Shared {
    cache: Cache,
    /// Who waits for a question that is under way; as many as there are askers.
    flights: BTreeMap<(Key, Agreement), Vec<oneshot::Sender<Arc<Found>>>>,
}

impl Resolver {
    /// A resolver with an empty cache.
    #[must_use]
    pub fn new(world: World, settings: Settings) -> Self {
        let servers = Servers::new(&settings);
        let inner = Inner { world, settings, servers, shared: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The settings it was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Asks for the records of a type. Always answers, within [`Settings::total_limit`]; a name that DNS
    /// cannot hold does not exist, permanently.
    pub async fn ask(&self, name: &str, kind: RecordType, agreement: Agreement) -> Lookup {
        let Ok(name) = crate::name::to_dns(name) else {
            return impossible(name, kind);
        };
        let mut trail = Trail::new(name, kind);
        let limit = self.inner.settings.total_limit;
        let followed = self.follow(&mut trail, agreement);
        if within(&*self.inner.world.clock, limit, followed).await.is_none() {
            trail.fail(AnswerKind::Timeout);
        }
        trail.lookup
    }

    /// What is known of each configured server.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerHealth> {
        self.inner.servers.health()
    }

    /// Ticks when one server answers after all were dead: the moment to try again what waits for DNS.
    #[must_use]
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        self.inner.servers.recoveries()
    }

    /// Forgets every kept answer; answers how many there were.
    pub fn flush(&self) -> usize {
        self.inner.shared.lock().cache.clear()
    }

    /// How many answers are kept.
    #[must_use]
    pub fn cached(&self) -> usize {
        self.inner.shared.lock().cache.len()
    }

    /// Follows the aliases from question to question.
    async fn follow(&self, trail: &mut Trail, agreement: Agreement) {
        let mut name = trail.lookup.name.clone();
        loop {
            let (found, age) = self.find(name, trail.lookup.kind, agreement).await;
            match trail.add(&found, age, self.inner.world.wall()) {
                Some(next) => name = next,
                None => return,
            }
        }
    }

    /// One question: kept, under way, or asked now.
    async fn find(
        &self,
        name: String,
        kind: RecordType,
        agreement: Agreement,
    ) -> (Arc<Found>, Option<Duration>) {
        let key = (name, kind);
        let answer = {
            let mut shared = self.inner.shared.lock();
            let now = self.inner.world.now();
            if let Some((found, age)) = shared.cache.get(&key, agreement, now) {
                return (found, Some(age));
            }
            let (sender, answer) = oneshot::channel();
            let flight = (key.clone(), agreement);
            match shared.flights.get_mut(&flight) {
                Some(waiting) => waiting.push(sender),
                None => {
                    shared.flights.insert(flight, vec![sender]);
                    self.fly(key, agreement);
                }
            }
            answer
        };
        let found = answer.await.unwrap_or_else(|_| Arc::new(Found::nothing(AnswerKind::Timeout)));
        (found, None)
    }

    /// Asks the servers in a task of its own: the first asker may go away, the others still get their answer.
    fn fly(&self, key: Key, agreement: Agreement) {
        let inner = Arc::clone(&self.inner);
        let task = async move {
            let found = match agreement {
                Agreement::First => race::first(&inner, &key).await,
                Agreement::All => race::all(&inner, &key).await,
            };
            inner.land(key, agreement, Arc::new(found));
        };
        self.inner.world.spawn.spawn("dns-question", Box::pin(task));
    }
}

impl Inner {
    /// Keeps an answer and gives it to all who wait for it.
    fn land(&self, key: Key, agreement: Agreement, found: Arc<Found>) {
        let mut shared = self.shared.lock();
        let waiting = shared.flights.remove(&(key.clone(), agreement)).unwrap_or_default();
        shared.cache.put(key, Arc::clone(&found), &self.settings, self.world.now());
        drop(shared);
        for asker in waiting {
            // An asker that has gone away needs no answer.
            let _ = asker.send(Arc::clone(&found));
        }
    }
}

impl Found {
    /// A failure without any server's word.
    fn nothing(kind: AnswerKind) -> Self {
        let answer = Answer::empty(kind, Transport::Udp);
        Self { answer, next: None, agreed: false, observations: Vec::new() }
    }
}

/// The way from alias to alias, gathered into one lookup.
struct Trail {
    lookup: Lookup,
    aliases: usize,
}

impl Trail {
    fn new(name: String, kind: RecordType) -> Self {
        let answer = Answer::empty(AnswerKind::Timeout, Transport::Udp);
        let observations = Vec::new();
        let lookup = Lookup { name, kind, answer, permanent: false, age: None, observations };
        Self { lookup, aliases: 0 }
    }

    /// Adds what was found; answers the name to ask for next.
    fn add(
        &mut self,
        found: &Found,
        age: Option<Duration>,
        now: posthaste_mail::Timestamp,
    ) -> Option<String> {
        self.observe(found, age, now);
        let mut records = std::mem::take(&mut self.lookup.answer.records);
        let first = records.is_empty();
        let ttl = if first { u32::MAX } else { self.lookup.answer.ttl };
        let authentic = first || self.lookup.answer.authentic;
        records.extend(found.answer.records.iter().cloned());
        records.truncate(MAX_RECORDS);
        self.lookup.answer = Answer {
            records,
            ttl: found.answer.ttl.min(ttl),
            authentic: authentic && found.answer.authentic,
            ..found.answer.clone()
        };
        self.lookup.age = self.lookup.age.max(age);
        let negative = matches!(found.answer.kind, AnswerKind::NoData | AnswerKind::NxDomain);
        self.lookup.permanent = negative && found.agreed;
        let next = found.next.clone()?;
        if self.is_circle(&next) {
            self.fail(AnswerKind::Malformed);
            return None;
        }
        Some(next)
    }

    fn observe(&mut self, found: &Found, age: Option<Duration>, now: posthaste_mail::Timestamp) {
        let Some(age) = age else {
            self.lookup.observations.extend(found.observations.iter().cloned());
            return;
        };
        let asked = found.observations.iter().find_map(|o| match &o.subject {
            Subject::Question { name, .. } => Some(name.clone()),
            _ => None,
        });
        let name = asked.unwrap_or_else(|| self.lookup.name.clone());
        let mut answer = found.answer.clone();
        answer.transport = Transport::Cache;
        let passed = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        answer.ttl = answer.ttl.saturating_sub(passed);
        let subject = Subject::Question { server: None, name, kind: self.lookup.kind };
        self.lookup.observations.push(observation(subject, answer, now, Duration::ZERO));
    }

    fn is_circle(&mut self, next: &str) -> bool {
        self.aliases += 1;
        let records = &self.lookup.answer.records;
        self.aliases > MAX_ALIASES
            || records.len() > MAX_ALIASES
            || records.iter().any(|r| r.name == next)
    }

    fn fail(&mut self, kind: AnswerKind) {
        self.lookup.answer.kind = kind;
        self.lookup.permanent = false;
    }
}

/// A name that cannot be put into a question.
fn impossible(name: &str, kind: RecordType) -> Lookup {
    let answer = Answer::empty(AnswerKind::NxDomain, Transport::Cache);
    let name = name.to_lowercase();
    Lookup { name, kind, answer, permanent: true, age: None, observations: Vec::new() }
}

fn observation(
    subject: Subject,
    answer: Answer,
    at: posthaste_mail::Timestamp,
    took: Duration,
) -> Observation {
    let stage = match &subject {
        Subject::Question { kind, .. } => stage_of(*kind),
        _ => Stage::DnsMx,
    };
    let effect = if answer.kind.is_conclusive() { Effect::None } else { Effect::Degrading };
    Observation { at, took, stage, subject, seen: Seen::Answer(answer), effect }
}

const fn stage_of(kind: RecordType) -> Stage {
    match kind {
        RecordType::Mx => Stage::DnsMx,
        RecordType::A | RecordType::Aaaa | RecordType::Cname => Stage::DnsAddr,
        RecordType::Ptr => Stage::DnsPtr,
        RecordType::Txt
        | RecordType::Soa
        | RecordType::Ns
        | RecordType::Ds
        | RecordType::Dnskey
        | RecordType::Rrsig => Stage::DnsTxt,
        RecordType::Tlsa => Stage::DnsTlsa,
    }
}
