//! Those who are asked whether something really does not exist: the zone's own servers by walking, else every
//! configured server by itself, with the two controls that show whether it tells names apart (`queue::belief`).
//!
//! Each configured server gets a resolver of its own, without a cache: neither another server's word nor an earlier one
//! of its own may pass for what it says now.

use futures_util::future::join_all;
use posthaste_dns::walk::{self, Existence};
use posthaste_dns::{Agreement, Lookup, Resolver, Settings};
use posthaste_evidence::{AnswerKind, NameServer, Observation, RecordType};
use posthaste_io::World;
use posthaste_queue::belief::Word;
use posthaste_route::Missing;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// The longest that all witnesses together may take; those not heard by then are silent.
const LIMIT: Duration = Duration::from_secs(60);
/// Names that are known to exist, of which a server must know one.
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

/// Hears them. `known`: domains that mail was delivered to.
pub(super) async fn hear(
    world: &World,
    resolver: &Resolver,
    domain: &str,
    missing: &Missing,
    known: &[String],
) -> (Word, Vec<Observation>) {
    let mut observations = Vec::new();
    let heard = all(world, resolver, domain, missing, known, &mut observations);
    let word = posthaste_io::within(&*world.clock, LIMIT, heard).await.unwrap_or(Word::Undecided);
    observations.truncate(MAX_OBSERVATIONS);
    (word, observations)
}

/// Hears those who show that an address was made up: the zone's servers, by walking, deny the domain, and the configured
/// servers have an address for a random name beside it, too. Without the second, they may have an inner view of it.
pub(super) async fn invented(
    world: &World,
    resolver: &Resolver,
    domain: &str,
) -> (Word, Vec<Observation>) {
    let mut observations = Vec::new();
    let heard = async {
        let missing = Missing::Domain;
        let word = walked(world, resolver.settings(), domain, &missing, &mut observations).await;
        match word.unwrap_or(Word::Undecided) {
            Word::Missing => {}
            word => return word,
        }
        let top = domain.rsplit('.').next().unwrap_or_default();
        let random = format!("{}.{top}", random_label(world.random.next()));
        let lookup = resolver.ask(&random, RecordType::A, Agreement::First).await;
        let invents = lookup.verdict() == AnswerKind::Answer;
        observations.extend(lookup.observations);
        if invents { Word::Missing } else { Word::Undecided }
    };
    let word = posthaste_io::within(&*world.clock, LIMIT, heard).await.unwrap_or(Word::Undecided);
    observations.truncate(MAX_OBSERVATIONS);
    (word, observations)
}

async fn all(
    world: &World,
    resolver: &Resolver,
    domain: &str,
    missing: &Missing,
    known: &[String],
    observations: &mut Vec<Observation>,
) -> Word {
    let settings = resolver.settings();
    let walked = match walked(world, settings, domain, missing, observations).await {
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
            Testimony::Missing { nxdomain, .. } if nxdomain.iter().any(|n| walked.contains(n)) => {
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
    world: &World,
    settings: &Settings,
    domain: &str,
    missing: &Missing,
    observations: &mut Vec<Observation>,
) -> Result<Word, BTreeSet<String>> {
    let names: Vec<&str> = match missing {
        Missing::Domain | Missing::Records => vec![domain],
        Missing::Targets(hosts) => hosts.iter().map(String::as_str).collect(),
    };
    let mut existing = BTreeSet::new();
    let mut unknown = false;
    for name in names {
        let walked = walk::existence(world, settings, name).await;
        observations.extend(walked.observations);
        match walked.existence {
            Existence::Missing { .. } => {}
            Existence::Exists { .. } if *missing == Missing::Domain => return Ok(Word::Exists),
            Existence::Exists { .. } => {
                existing.insert(name.to_owned());
            }
            Existence::Unreachable => {
                unknown = true;
                break;
            }
        }
    }
    if existing.is_empty() && !unknown { Ok(Word::Missing) } else { Err(existing) }
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
        if known.is_empty() {
            let top = domain.rsplit('.').next().unwrap_or_default();
            known.push((top.to_owned(), RecordType::Ns));
            known.push((String::new(), RecordType::Ns));
        }
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
    if !known.iter().any(|l| said(l) == AnswerKind::Answer) {
        let all_heard = !known.iter().any(silent);
        return if all_heard { Testimony::Indiscriminate } else { Testimony::Undecided };
    }
    let ttl = answers.iter().map(|l| l.answer.ttl).max().unwrap_or(0);
    Testimony::Missing { ttl, nxdomain }
}
