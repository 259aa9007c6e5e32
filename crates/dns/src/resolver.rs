//! The strategy: cache first, one exchange for many askers, servers raced, aliases followed, agreement of all servers
//! where a permanent failure hangs on it, and an old answer when the servers fail or are slow (RFC 8767).
//!
//! Not here: one server's exchange (`exchange`), health and order of servers (`servers`).

use crate::cache::{Cache, Found, Hit, Kept, Key};
use crate::lookup::{Agreement, Lookup};
use crate::record::Decided;
use crate::servers::{ServerHealth, Servers};
use crate::settings::Settings;
use crate::stream::Streams;
use parking_lot::Mutex;
use posthaste_evidence::{
    Answer, AnswerKind, Effect, Observation, Purpose, RecordType, Seen, Stage, Subject, Transport,
};
use posthaste_io::{Instant, TaskHandle, World, within};
use posthaste_mail::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use trail::{Heard, Source, Trail};

mod health;
mod numbers;
mod race;
mod trail;

pub use numbers::Numbers;

/// Who has an answer past its TTL waits so long for a fresh one, and then uses it (RFC 8767 section 5, client response
/// timer); the question goes on and renews the cache.
pub const STALE_AFTER: Duration = Duration::from_millis(1800);
/// From so many waiters on, those that have gone away are looked for, each time their number has doubled.
const CROWD: usize = 64;

/// Asks DNS. Cheap to clone; clones share cache and servers.
#[derive(Clone)]
pub struct Resolver {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    settings: Settings,
    servers: Servers,
    /// Shared with tasks that outlive the resolver by a question.
    streams: Arc<Streams>,
    shared: Mutex<Shared>,
    /// Who asks after the health of dead servers: one for each at most.
    attendants: Mutex<BTreeMap<usize, Box<dyn TaskHandle>>>,
    /// Wakes those of them that rest: no server lives any more.
    hurry: Arc<Notify>,
}

/// Under one lock, so that a question is either kept, under way, or new.
#[derive(Default)]
struct Shared {
    cache: Cache,
    flights: BTreeMap<(Key, Agreement), Flight>,
    numbers: Numbers,
}

/// A question that is under way.
struct Flight {
    began: Instant,
    /// Who waits for it: live askers, and at most as many that have gone away.
    waiting: Vec<oneshot::Sender<Arc<Found>>>,
}

impl Resolver {
    /// A resolver with an empty cache.
    #[must_use]
    pub fn new(world: World, settings: Settings) -> Self {
        let servers = Servers::new(&settings);
        let (shared, attendants) = (Mutex::default(), Mutex::default());
        let streams = Arc::new(Streams::new(settings.tls_trust.clone()));
        let hurry = Arc::default();
        let inner = Inner { world, settings, servers, streams, shared, attendants, hurry };
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
            return trail::impossible(name, kind);
        };
        let mut trail = Trail::new(name, kind);
        let limit = self.inner.settings.total_limit;
        let followed = self.follow(&mut trail, agreement);
        if within(&*self.inner.world.clock, limit, followed).await.is_none() {
            trail.run_out(limit, self.inner.world.wall());
        }
        trail.lookup
    }

    /// What is known of each configured server.
    #[must_use]
    pub fn servers(&self) -> Vec<ServerHealth> {
        self.inner.servers.health(self.inner.world.now())
    }

    /// Ticks when one server answers after all were dead: the moment to try again what waits for DNS.
    #[must_use]
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        self.inner.servers.recoveries()
    }

    /// Forgets every kept answer, or those for a name and all names below it; answers how many there were. A name that
    /// DNS cannot hold has none.
    pub fn flush(&self, name: Option<&str>) -> usize {
        let name = match name.map(crate::name::to_dns) {
            Some(Err(_)) => return 0,
            Some(Ok(name)) => Some(name),
            None => None,
        };
        self.inner.shared.lock().cache.forget(name.as_deref())
    }

    /// Forgets what is kept for this name, of every type, and nothing below it; answers how many answers that were. A name
    /// that DNS cannot hold has none.
    pub fn forget(&self, name: &str) -> usize {
        let Ok(name) = crate::name::to_dns(name) else { return 0 };
        let now = self.inner.world.now();
        self.inner.shared.lock().cache.forget_exactly(&name, now)
    }

    /// How much is kept.
    #[must_use]
    pub fn cached(&self) -> Kept {
        self.inner.shared.lock().cache.kept()
    }

    /// What was asked of this resolver and what came of it, since it was made.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let shared = self.inner.shared.lock();
        Numbers { evicted: shared.cache.kept().evicted, ..shared.numbers }
    }

    /// Follows the aliases from question to question.
    async fn follow(&self, trail: &mut Trail, agreement: Agreement) {
        let mut name = trail.lookup.name.clone();
        loop {
            let heard = self.find((name, trail.lookup.kind), agreement).await;
            match trail.add(&heard, &self.inner.settings, self.inner.world.wall()) {
                Some(next) => name = next,
                None => return,
            }
        }
    }

    /// One question: kept, under way, or asked now.
    async fn find(&self, key: Key, agreement: Agreement) -> Heard {
        let (answer, stale, patience) = {
            let mut shared = self.inner.shared.lock();
            let now = self.inner.world.now();
            shared.numbers.asked += 1;
            let mut stale = None;
            match shared.cache.get(&key, agreement, now) {
                Some(Hit::Fresh(found, age)) => {
                    shared.numbers.kept += 1;
                    return Heard { found, source: Source::Kept { age } };
                }
                Some(Hit::Stale { found, age, instead: instead @ Some(_) }) => {
                    shared.numbers.stale += 1;
                    return Heard { found, source: Source::Stale { age, instead } };
                }
                Some(Hit::Stale { found, age, instead: None }) => stale = Some((found, age)),
                None => {}
            }
            let (began, answer) = self.board(&mut shared, key, agreement, now);
            (answer, stale, (began + STALE_AFTER) - now)
        };
        match stale {
            None => fresh(answer.await.ok()),
            Some(stale) => self.find_before(stale, patience, answer).await,
        }
    }

    /// The fresh answer if it comes soon and is one, else the stale one.
    async fn find_before(
        &self,
        (found, age): (Arc<Found>, Duration),
        patience: Duration,
        answer: oneshot::Receiver<Arc<Found>>,
    ) -> Heard {
        let instead = match patience.is_zero() {
            true => None,
            false => within(&*self.inner.world.clock, patience, answer).await.and_then(Result::ok),
        };
        if let Some(answer) = instead.as_ref().filter(|instead| !gives_way(instead)) {
            return fresh(Some(Arc::clone(answer)));
        }
        self.inner.shared.lock().numbers.stale += 1;
        Heard { found, source: Source::Stale { age, instead } }
    }

    /// Joins the question that is under way, or puts it. Answers when it was put, and where its answer will come.
    fn board(
        &self,
        shared: &mut Shared,
        key: Key,
        agreement: Agreement,
        now: Instant,
    ) -> (Instant, oneshot::Receiver<Arc<Found>>) {
        let (sender, answer) = oneshot::channel();
        let flight = (key, agreement);
        if let Some(flight) = shared.flights.get_mut(&flight) {
            shared.numbers.joined += 1;
            if flight.waiting.len() >= CROWD && flight.waiting.len().is_power_of_two() {
                flight.waiting.retain(|asker| !asker.is_closed());
            }
            flight.waiting.push(sender);
            return (flight.began, answer);
        }
        shared.numbers.put += 1;
        shared.flights.insert(flight.clone(), Flight { began: now, waiting: vec![sender] });
        self.fly(flight.0, agreement);
        (now, answer)
    }

    /// Asks the servers in a task of its own: the first asker may go away, the others still get their answer.
    fn fly(&self, key: Key, agreement: Agreement) {
        let inner = Arc::clone(&self.inner);
        let put = (inner.world.wall(), inner.world.now());
        let task = async move {
            let found = match agreement {
                Agreement::First => race::first(&inner, &key).await,
                Agreement::All => race::all(&inner, &key).await,
            };
            inner.land(key, agreement, Arc::new(found), put);
        };
        self.inner.world.spawn.spawn("dns-question", Box::pin(task));
    }
}

impl Inner {
    /// Keeps an answer, gives it to all who wait for it, and tells the log.
    fn land(
        &self,
        key: Key,
        agreement: Agreement,
        found: Arc<Found>,
        (at, began): (Timestamp, Instant),
    ) {
        let mut shared = self.shared.lock();
        let flight = shared.flights.remove(&(key.clone(), agreement));
        shared.numbers.count(&found.answer);
        let now = self.world.now();
        let beside_old = shared.cache.put(key.clone(), Arc::clone(&found), &self.settings, now);
        drop(shared);
        let waiting = flight.map(|flight| flight.waiting).unwrap_or_default();
        let askers = waiting.len();
        for asker in waiting {
            // An asker that has gone away needs no answer.
            let _ = asker.send(Arc::clone(&found));
        }
        let purpose = match agreement {
            Agreement::First => Purpose::Answer,
            Agreement::All => Purpose::Confirmation,
        };
        let stale = beside_old && gives_way(&found);
        let decided = Decided { key: &key, purpose, at, began, found: &found, stale, askers };
        decided.record(&self.world, &self.settings);
    }
}

impl Found {
    /// A failure without any server's word.
    fn nothing(kind: AnswerKind) -> Self {
        let answer = Answer::empty(kind, Transport::Udp);
        Self { answer, next: None, agreed: false, by: None, observations: Vec::new() }
    }
}

fn fresh(found: Option<Arc<Found>>) -> Heard {
    let found = found.unwrap_or_else(|| Arc::new(Found::nothing(AnswerKind::Timeout)));
    Heard { found, source: Source::Servers }
}

/// The servers failed, and an older answer is better than none. What validation forbids is no failure of a server.
fn gives_way(found: &Found) -> bool {
    let kind = found.answer.kind;
    !kind.is_conclusive() && kind != AnswerKind::Bogus
}

fn observation(subject: Subject, answer: Answer, at: Timestamp, took: Duration) -> Observation {
    let stage = match &subject {
        Subject::Question { kind, .. } => stage_of(*kind),
        _ => Stage::DnsMx,
    };
    let fresh_answer = answer.kind.is_conclusive() && !answer.stale;
    let effect = if fresh_answer { Effect::None } else { Effect::Degrading };
    Observation { at, took, stage, subject, seen: Seen::Answer(answer), effect }
}

pub(crate) const fn stage_of(kind: RecordType) -> Stage {
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
