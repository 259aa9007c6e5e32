//! One walk under way: what it may still cost, whom it may ask, and what it has seen.
//!
//! Not here: which question comes next (`descent`, `domain`).

use super::limits::{AT_ONCE, Limit, Limits, TRY, TRY_RESOLVER};
use super::reading::{self, Step};
use super::zones::{Host, Zone};
use crate::exchange::{Exchange, Heard, Manner};
use crate::meaning::MAX_RECORDS;
use crate::resolver::stage_of;
use crate::settings::{DNS_PORT, Settings};
use crate::stream::Streams;
use crate::wire::Flags;
use parking_lot::Mutex;
use posthaste_evidence::{
    Answer, AnswerKind, Edns, Effect, NameServer, Observation, Purpose, Record, RecordType, Seen,
    Subject,
};
use posthaste_io::{Instant, World};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A walk.
pub(super) struct Walker {
    pub(super) world: World,
    pub(super) roots: Vec<SocketAddr>,
    /// The roots are private themselves: a closed network, where private addresses are what there is.
    pub(super) closed: bool,
    until: Instant,
    /// To recursive servers of ours that are asked by TLS.
    streams: Streams,
    per_server: usize,
    shared: Mutex<Shared>,
}

struct Shared {
    left: usize,
    hosts_left: usize,
    /// Questions put to each authoritative server.
    asked: BTreeMap<SocketAddr, usize>,
    ended_by: BTreeSet<Limit>,
    observations: Vec<Observation>,
    doors: BTreeMap<SocketAddr, Arc<Semaphore>>,
    zones: BTreeMap<String, Arc<Zone>>,
    hosts: BTreeMap<String, Arc<Host>>,
}

/// A question to one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) to: SocketAddr,
    /// The zone it is asked as a server of.
    pub(super) zone: &'a str,
    pub(super) name: &'a str,
    pub(super) kind: RecordType,
    pub(super) manner: Manner,
    /// It is this recursive server of ours.
    pub(super) ours: Option<&'a NameServer>,
}

/// What one server said.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) by: SocketAddr,
    pub(super) step: Step,
    pub(super) heard: Heard,
    /// Where its observation is.
    pub(super) seen: usize,
}

/// Without recursion and without DNSSEC: as a resolver that does not validate asks.
pub(super) const PLAIN: Manner = Manner {
    flags: Flags { recursion: false, authentic: false, checking_disabled: false, dnssec_ok: false },
    edns: Edns::Offered,
    folds_case: false,
    tcp_only: false,
};

impl<'a> Question<'a> {
    /// As a resolver that does not validate asks a server of `zone`.
    pub(super) const fn plain(
        to: SocketAddr,
        zone: &'a str,
        name: &'a str,
        kind: RecordType,
    ) -> Self {
        Self { to, zone, name, kind, manner: PLAIN, ours: None }
    }
}

impl Walker {
    pub(super) fn new(world: &World, settings: &Settings, limits: Limits) -> Self {
        let shared = Shared {
            left: limits.questions,
            hosts_left: limits.hosts,
            asked: BTreeMap::new(),
            ended_by: BTreeSet::new(),
            observations: Vec::new(),
            doors: BTreeMap::new(),
            zones: BTreeMap::new(),
            hosts: BTreeMap::new(),
        };
        Self {
            world: world.clone(),
            roots: settings.roots.clone(),
            closed: settings.roots.iter().any(|root| posthaste_route::is_private(root.ip())),
            until: world.now() + limits.time,
            streams: Streams::new(settings.tls_trust.clone()),
            per_server: limits.per_server,
            shared: Mutex::new(shared),
        }
    }

    /// Where a server at this address is asked; `None` when it must not be: whoever writes a zone does not
    /// choose which private addresses we send packets to.
    pub(super) fn endpoint(&self, ip: IpAddr) -> Option<SocketAddr> {
        let nobody = ip.is_unspecified() || ip.is_multicast();
        let allowed = !nobody && (self.closed || !posthaste_route::is_private(ip));
        allowed.then(|| SocketAddr::new(ip, DNS_PORT))
    }

    /// Asks one server; `None` when the walk is over.
    pub(super) async fn ask(&self, question: Question<'_>) -> Option<Said> {
        let door = self.door(question.to);
        let _turn = door.acquire().await.ok()?;
        let began = self.world.now();
        let mut pending = self.begin(question, began)?;
        let limit = if question.ours.is_some() { TRY_RESOLVER } else { TRY };
        let exchange = Exchange {
            server: question.ours.cloned().unwrap_or_else(|| question.to.into()),
            name: question.name.to_owned(),
            kind: question.kind,
            until: (began + limit).min(self.until),
            manner: question.manner,
        };
        let heard = exchange.hear_over(&self.world, &self.streams).await;
        crate::record::exchange(&self.world, Purpose::Walk, &exchange, began, &heard);
        let step = if question.ours.is_some() {
            of_resolver(heard.meaning.answer.kind)
        } else {
            reading::read(&heard, question.zone, question.name)
        };
        let answer = told(&heard, &step, question);
        pending.end(answer);
        Some(Said { by: question.to, step, heard, seen: pending.at })
    }

    /// Notes the question as one that nobody has answered yet.
    fn begin(&self, question: Question<'_>, began: Instant) -> Option<Pending<'_>> {
        let mut shared = self.shared.lock();
        if began >= self.until {
            shared.ended_by.insert(Limit::Time);
            return None;
        }
        let Some(left) = shared.left.checked_sub(1) else {
            shared.ended_by.insert(Limit::Questions);
            return None;
        };
        let asked = shared.asked.entry(question.to).or_default();
        if *asked >= self.per_server && question.ours.is_none() {
            shared.ended_by.insert(Limit::PerServer);
            return None;
        }
        *asked += 1;
        shared.left = left;
        let at = shared.observations.len();
        let subject = Subject::Question {
            server: Some(question.to),
            name: question.name.to_owned(),
            kind: question.kind,
        };
        shared.observations.push(Observation {
            at: self.world.wall(),
            took: std::time::Duration::ZERO,
            stage: stage_of(question.kind),
            subject,
            seen: Seen::TimedOut { after: std::time::Duration::ZERO },
            effect: Effect::Cosmetic,
        });
        drop(shared);
        Some(Pending { walker: self, at, began, ended: false })
    }

    fn door(&self, to: SocketAddr) -> Arc<Semaphore> {
        let mut shared = self.shared.lock();
        let door = shared.doors.entry(to).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
        Arc::clone(door)
    }

    /// One more name server's address may be looked up.
    pub(super) fn may_look_up(&self) -> bool {
        let mut shared = self.shared.lock();
        match shared.hosts_left.checked_sub(1) {
            Some(left) => {
                shared.hosts_left = left;
                true
            }
            None => {
                shared.ended_by.insert(Limit::Hosts);
                false
            }
        }
    }

    /// A limit cuts the walk short.
    pub(super) fn meets(&self, limit: Limit) {
        self.shared.lock().ended_by.insert(limit);
    }

    pub(super) fn known_zone(&self, name: &str) -> Option<Arc<Zone>> {
        self.shared.lock().zones.get(name).cloned()
    }

    pub(super) fn learn_zone(&self, zone: &Arc<Zone>) {
        self.shared.lock().zones.insert(zone.name.clone(), Arc::clone(zone));
    }

    pub(super) fn known_host(&self, name: &str) -> Option<Arc<Host>> {
        self.shared.lock().hosts.get(name).cloned()
    }

    pub(super) fn learn_host(&self, name: &str, host: &Arc<Host>) {
        self.shared.lock().hosts.insert(name.to_owned(), Arc::clone(host));
    }

    /// What an observation is about.
    pub(super) fn subject_at(&self, place: usize) -> Option<Subject> {
        self.shared.lock().observations.get(place).map(|o| o.subject.clone())
    }

    /// Who was asked.
    pub(super) fn asked_at(&self, place: usize) -> Option<SocketAddr> {
        match self.subject_at(place)? {
            Subject::Question { server, .. } => server,
            _ => None,
        }
    }

    /// What an answer amounts to; `None` when there was none.
    pub(super) fn kind_at(&self, place: Option<usize>) -> Option<AnswerKind> {
        let shared = self.shared.lock();
        match place.and_then(|at| shared.observations.get(at)).map(|o| &o.seen) {
            Some(Seen::Answer(answer)) => Some(answer.kind),
            _ => None,
        }
    }

    /// There was an answer, and it says something about the name.
    pub(super) fn has_spoken(&self, place: Option<usize>) -> bool {
        self.kind_at(place).is_some_and(AnswerKind::is_conclusive)
    }

    /// The records of an answer.
    pub(super) fn records_at(&self, place: Option<usize>) -> Vec<Record> {
        let shared = self.shared.lock();
        match place.and_then(|at| shared.observations.get(at)).map(|o| &o.seen) {
            Some(Seen::Answer(answer)) => answer.records.to_vec(),
            _ => Vec::new(),
        }
    }

    /// What was seen, and what cut the walk short.
    pub(super) fn finish(self) -> (Vec<Observation>, Vec<Limit>) {
        let shared = self.shared.into_inner();
        (shared.observations, shared.ended_by.into_iter().collect())
    }
}

/// A question under way. When it is given up because another server was faster, its observation says for how long
/// it was waited for.
struct Pending<'a> {
    walker: &'a Walker,
    at: usize,
    began: Instant,
    ended: bool,
}

impl Pending<'_> {
    fn end(&mut self, answer: Answer) {
        let effect = if answer.kind.is_conclusive() { Effect::None } else { Effect::Degrading };
        self.note(Seen::Answer(answer), effect);
        self.ended = true;
    }

    fn note(&self, seen: Seen, effect: Effect) {
        let took = self.walker.world.now() - self.began;
        let mut shared = self.walker.shared.lock();
        if let Some(observation) = shared.observations.get_mut(self.at) {
            observation.took = took;
            observation.seen = seen;
            observation.effect = effect;
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let after = self.walker.world.now() - self.began;
            self.note(Seen::TimedOut { after }, Effect::Cosmetic);
        }
    }
}

/// A recursive server's answer leads nowhere: it ends the way or fails.
const fn of_resolver(kind: AnswerKind) -> Step {
    match kind {
        AnswerKind::Answer => Step::Answer,
        AnswerKind::NoData => Step::NoData,
        AnswerKind::NxDomain => Step::NxDomain,
        other => Step::Failed(other),
    }
}

/// The answer as evidence: what the step makes of it, and the records that say so, signatures included.
fn told(heard: &Heard, step: &Step, question: Question<'_>) -> Answer {
    let mut answer = heard.meaning.answer.clone();
    let Some(reply) = &heard.reply else { return answer };
    let foreign =
        question.ours.is_none() && reading::has_foreign_soa(reply, question.zone, question.name);
    answer.kind = match step {
        Step::Referral(_) | Step::Answer => AnswerKind::Answer,
        Step::NoData if foreign => AnswerKind::Malformed,
        Step::NoData => AnswerKind::NoData,
        Step::NxDomain => AnswerKind::NxDomain,
        Step::Failed(kind) => *kind,
    };
    let side = reply.answers.is_empty() || matches!(step, Step::Referral(_));
    let main = if side { &reply.authorities } else { &reply.answers };
    let glue = matches!(step, Step::Referral(_)).then_some(&reply.additionals);
    let records = main.iter().chain(glue.into_iter().flatten()).take(MAX_RECORDS);
    answer.records = records.cloned().collect();
    answer
}
