//! Those who are asked whether something really does not exist: the zone's own servers by walking, else every
//! configured server by itself, with the two controls that show whether it tells names apart (`queue::belief`).
//!
//! Each configured server gets a resolver of its own, without a cache: neither another server's word nor an earlier one
//! of its own may pass for what it says now.

use super::silence::Silence;
use crate::lock;
use futures_util::future::join_all;
use posthaste_dns::walk::{self, Existence};
use posthaste_dns::{Agreement, Lookup, Resolver, Settings};
use posthaste_evidence::{AnswerKind, NameServer, Observation, RecordType};
use posthaste_io::World;
use posthaste_queue::belief::Word;
use posthaste_route::Missing;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// The longest that all witnesses together may take; those not heard by then are silent.
const LIMIT: Duration = Duration::from_secs(60);
/// Domains that mail was delivered to, of which, or of the top levels above them, a server must know one.
const MAX_KNOWN: usize = 4;
/// Names beside which a random label is tried.
const MAX_RANDOM: usize = 3;
/// Observations kept of all witnesses.
const MAX_OBSERVATIONS: usize = 96;

/// What one configured server says.
enum Testimony {
    /// All of it is missing, and it tells names apart.
    Missing { ttl: u32, nxdomain: Vec<String> },
    /// It says the same of every name.
    Indiscriminate,
    /// It knows something, or did not answer everything.
    Undecided,
}

/// Who is asked about what.
pub(super) struct Asked<'a> {
    pub(super) world: &'a World,
    pub(super) resolver: &'a Resolver,
    pub(super) silence: &'a Mutex<Silence>,
    pub(super) domain: &'a str,
}

impl Asked<'_> {
    /// Hears them. `known`: domains that mail was delivered to.
    pub(super) async fn hear(
        &self,
        missing: &Missing,
        known: &[String],
    ) -> (Word, Vec<Observation>) {
        let mut observations = Vec::new();
        let heard = self.all(missing, known, &mut observations);
        let word = posthaste_io::within(&*self.world.clock, LIMIT, heard).await;
        observations.truncate(MAX_OBSERVATIONS);
        (word.unwrap_or(Word::Undecided), observations)
    }

    /// Hears those who show that an address was made up: the zone's servers, by walking, deny the domain, and the
    /// configured servers have an address for a random name beside it, too. Without the second, they may have an inner
    /// view of it.
    pub(super) async fn invented(&self) -> (Word, Vec<Observation>) {
        let mut observations = Vec::new();
        let heard = async {
            let word = self.walked(&Missing::Domain, &mut observations).await;
            match word.unwrap_or(Word::Undecided) {
                Word::Missing => {}
                word => return word,
            }
            let top = self.domain.rsplit('.').next().unwrap_or_default();
            let random = format!("{}.{top}", random_label(self.world.random.next()));
            let lookup = self.resolver.ask(&random, RecordType::A, Agreement::First).await;
            let invents = lookup.verdict() == AnswerKind::Answer;
            observations.extend(lookup.observations);
            if invents { Word::Missing } else { Word::Undecided }
        };
        let word = posthaste_io::within(&*self.world.clock, LIMIT, heard).await;
        observations.truncate(MAX_OBSERVATIONS);
        (word.unwrap_or(Word::Undecided), observations)
    }

    async fn all(
        &self,
        missing: &Missing,
        known: &[String],
        observations: &mut Vec<Observation>,
    ) -> Word {
        let (world, domain, settings) = (self.world, self.domain, self.resolver.settings());
        let walked = match self.walked(missing, observations).await {
            Ok(word) => return word,
            Err(existing) => existing,
        };
        let questions = questions(domain, missing);
        let controls = Controls::choose(world, domain, missing, known);
        let asked = settings.servers.iter().map(|s| ask(world, settings, s, &questions, &controls));
        let mut by: Vec<SocketAddr> = Vec::new();
        let (mut negative_ttl, mut undecided, mut indiscriminate) = (0, false, false);
        for (server, (testimony, seen)) in settings.servers.iter().zip(join_all(asked).await) {
            observations.extend(seen);
            match testimony {
                Testimony::Missing { nxdomain, .. }
                    if nxdomain.iter().any(|n| walked.contains(n)) =>
                {
                    return Word::Exists;
                }
                Testimony::Missing { ttl, .. } => {
                    by.push(server.address);
                    negative_ttl = negative_ttl.max(ttl);
                }
                Testimony::Indiscriminate => indiscriminate = true,
                Testimony::Undecided => undecided = true,
            }
        }
        match (indiscriminate, undecided || by.is_empty()) {
            (true, _) => Word::Indiscriminate,
            (false, true) => Word::Undecided,
            (false, false) => {
                Word::Everybody { by, negative_ttl: Duration::from_secs(u64::from(negative_ttl)) }
            }
        }
    }

    /// What walking says; when that does not decide, the names that do exist.
    async fn walked(
        &self,
        missing: &Missing,
        observations: &mut Vec<Observation>,
    ) -> Result<Word, BTreeSet<String>> {
        let names: Vec<&str> = match missing {
            Missing::Domain | Missing::Records => vec![self.domain],
            Missing::Targets(hosts) => hosts.iter().map(String::as_str).collect(),
        };
        let mut existing = BTreeSet::new();
        for name in names {
            match self.walk(name, observations).await {
                Existence::Missing { .. } => {}
                Existence::Exists { .. } if *missing == Missing::Domain => return Ok(Word::Exists),
                Existence::Exists { .. } => {
                    existing.insert(name.to_owned());
                }
                Existence::Unreachable => return Err(existing),
            }
        }
        if existing.is_empty() { Ok(Word::Missing) } else { Err(existing) }
    }

    /// Walks to a name, unless those on the way were silent a moment ago.
    async fn walk(&self, name: &str, observations: &mut Vec<Observation>) -> Existence {
        let settings = self.resolver.settings();
        if lock(self.silence).covers(&settings.roots, name, self.world.now()) {
            return Existence::Unreachable;
        }
        let walked = walk::existence(self.world, settings, name).await;
        observations.extend(walked.observations);
        if let Some(zone) = walked.silent {
            lock(self.silence).note(&settings.roots, zone, self.world.now());
        }
        walked.existence
    }
}

/// What must be missing for the finding to hold.
fn questions(domain: &str, missing: &Missing) -> Vec<(String, RecordType)> {
    let both = |name: &str| [RecordType::A, RecordType::Aaaa].map(|kind| (name.to_owned(), kind));
    match missing {
        Missing::Domain => vec![(domain.to_owned(), RecordType::Mx)],
        Missing::Records => {
            let mx = (domain.to_owned(), RecordType::Mx);
            std::iter::once(mx).chain(both(domain)).collect()
        }
        Missing::Targets(hosts) => hosts.iter().flat_map(|host| both(host)).collect(),
    }
}

/// The names that show whether a server tells names apart.
struct Controls {
    /// Beside which name, and the label itself.
    random: Vec<(String, String)>,
    /// These exist.
    known: Vec<(String, RecordType)>,
}

impl Controls {
    fn choose(world: &World, domain: &str, missing: &Missing, known: &[String]) -> Self {
        let names: Vec<&str> = match missing {
            Missing::Domain | Missing::Records => vec![domain],
            Missing::Targets(hosts) => hosts.iter().map(String::as_str).collect(),
        };
        let random = names.iter().take(MAX_RANDOM).map(|name| {
            let label = random_label(world.random.next());
            let beside = name
                .split_once('.')
                .map_or(label.clone(), |(_, parent)| format!("{label}.{parent}"));
            ((*name).to_owned(), beside)
        });
        let random = random.collect();
        let other = |name: &&String| name.as_str() != domain;
        let delivered = known.iter().filter(other).map(|name| (name.clone(), RecordType::Mx));
        let mut known: Vec<_> = delivered.take(MAX_KNOWN).collect();
        // A domain that mail was delivered to may be gone by now; the top level above it is not.
        let tops: BTreeSet<&str> = std::iter::once(domain)
            .chain(known.iter().map(|(name, _)| name.as_str()))
            .map(|name| name.rsplit('.').next().unwrap_or_default())
            .collect();
        let tops: Vec<_> = tops.iter().map(|top| ((*top).to_owned(), RecordType::Ns)).collect();
        if known.is_empty() {
            known.push((String::new(), RecordType::Ns));
        }
        known.extend(tops);
        Self { random, known }
    }
}

/// 16 letters that nobody has as a name.
fn random_label(lot: u64) -> String {
    let letter = |n: u32| char::from(b'a' + ((lot >> (4 * n)) & 15) as u8);
    (0..16).map(letter).collect()
}

async fn ask(
    world: &World,
    settings: &Settings,
    server: &NameServer,
    questions: &[(String, RecordType)],
    controls: &Controls,
) -> (Testimony, Vec<Observation>) {
    let alone = Settings {
        servers: vec![server.clone()],
        fallback: Vec::new(),
        stale_for: Duration::ZERO,
        ..settings.clone()
    };
    let resolver = Resolver::new(world.clone(), alone);
    let random = controls.random.iter().map(|(_, name)| (name.clone(), RecordType::A));
    let asked: Vec<(String, RecordType)> =
        questions.iter().cloned().chain(random).chain(controls.known.iter().cloned()).collect();
    let answers = asked.iter().map(|(name, kind)| resolver.ask(name, *kind, Agreement::First));
    let mut answers = join_all(answers).await;
    let known = answers.split_off(questions.len() + controls.random.len());
    let random = answers.split_off(questions.len());
    let testimony = judge(&answers, controls, &random, &known);
    let observations = answers.into_iter().chain(random).chain(known);
    (testimony, observations.flat_map(|lookup| lookup.observations).collect())
}

fn judge(
    answers: &[Lookup],
    controls: &Controls,
    random: &[Lookup],
    known: &[Lookup],
) -> Testimony {
    let said = |lookup: &Lookup| lookup.verdict();
    let silent = |lookup: &Lookup| !lookup.verdict().is_conclusive();
    if answers.iter().any(silent) || answers.iter().any(|l| said(l) == AnswerKind::Answer) {
        return Testimony::Undecided;
    }
    let missing = |l: &&Lookup| said(l) == AnswerKind::NxDomain;
    let nxdomain: Vec<String> = answers.iter().filter(missing).map(|l| l.name.clone()).collect();
    for ((beside, _), lookup) in controls.random.iter().zip(random) {
        match said(lookup) {
            AnswerKind::NxDomain => {}
            _ if !nxdomain.contains(beside) => {}
            kind if kind.is_conclusive() => return Testimony::Indiscriminate,
            _ => return Testimony::Undecided,
        }
    }
    // A name without MX records is known as well.
    if !known.iter().any(|l| matches!(said(l), AnswerKind::Answer | AnswerKind::NoData)) {
        let all_heard = !known.iter().any(silent);
        return if all_heard { Testimony::Indiscriminate } else { Testimony::Undecided };
    }
    let ttl = answers.iter().map(|l| l.answer.ttl).max().unwrap_or(0);
    Testimony::Missing { ttl, nxdomain }
}
