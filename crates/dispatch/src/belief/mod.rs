//! Before mail fails because DNS says that something does not exist: who confirms it, what is remembered of it, and
//! that one domain is asked about once, however many messages wait for it.
//!
//! Never on the fast path: an attempt that finds hosts comes here only to note a domain's first delivery of the day.
//! Not here: the rule (`queue::belief`), which answers led here (`route`).

mod witness;

use crate::{Inner, lock};
use posthaste_delivery::Unreached;
use posthaste_dns::Resolver;
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Doubt, Effect, Fault, Observation, Outcome, RecordType, Seen, Stage, Subject,
};
use posthaste_io::Instant;
use posthaste_mail::{Host, Timestamp};
use posthaste_queue::belief::{self, Decision, Finding};
use posthaste_queue::{Claim, Delivered};
use posthaste_route::{Action, Missing, Route};
use posthaste_spool::{LedgerEntry, LedgerKey, LedgerValue, store};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Domains that are asked about at the same time.
const AT_ONCE: usize = 4;
/// Claims remembered; of more, the one repeated longest ago is forgotten.
const MAX_CLAIMS: usize = 10_000;
/// Domains whose last hearing is remembered before old ones are cleared away.
const MAX_HEARINGS: usize = 1_000;
/// How often claims that are over are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// What is known of domains that are said to be missing, and of those that mail was delivered to.
pub(crate) struct Beliefs {
    book: Mutex<Book>,
    /// Who hears witnesses now.
    hearing: tokio::sync::Semaphore,
}

#[derive(Default)]
struct Book {
    claims: BTreeMap<String, Claim>,
    delivered: Delivered,
    hearings: BTreeMap<String, Hearing>,
    swept: Option<Timestamp>,
}

/// The last hearing about one domain; while one is under way, others wait for it.
type Hearing = Arc<tokio::sync::Mutex<Option<Heard>>>;

/// What came of a hearing.
#[derive(Clone)]
struct Heard {
    at: Instant,
    resolver: Arc<Resolver>,
    finding: Finding,
    decision: Decision,
    observations: Vec<Observation>,
}

impl Default for Beliefs {
    fn default() -> Self {
        Self { book: Mutex::default(), hearing: tokio::sync::Semaphore::new(AT_ONCE) }
    }
}

/// A destination that DNS says is missing, and what was decided about it.
pub(crate) struct Ruling {
    /// The destination is not to be tried before, when it is not given up.
    pub(crate) not_before: Timestamp,
    /// To be stored.
    pub(crate) ledger: Option<LedgerEntry>,
}

impl Inner {
    /// Has what DNS says confirmed, or not: the fault becomes permanent or temporary accordingly, and the evidence is
    /// added. `None` when the fault is not of that kind.
    pub(crate) async fn rule(&self, route: &Route, unreached: &mut Unreached) -> Option<Ruling> {
        let missing = unreached.missing.take()?;
        let destination = unreached.connection.destination.clone();
        let domain = dns_name(route, &destination)?;
        let finding = match missing {
            Missing::Domain => Finding::Domain,
            Missing::Records => Finding::Records,
            Missing::Targets(_) => Finding::Targets,
        };
        let resolvers = self.courier.resolvers();
        let resolver = resolvers.of(route);
        let (heard, ledger) = self.hear(&domain, finding, &missing, resolver).await;
        let observations = &mut unreached.connection.observations;
        observations.extend(heard.observations);
        let now = self.world.wall();
        let name = destination;
        let not_before = match heard.decision {
            Decision::Believe => {
                unreached.fault = match finding {
                    Finding::Domain => Fault::NoSuchDomain { name },
                    Finding::Records | Finding::Targets => Fault::NoHosts { name },
                };
                now
            }
            Decision::Wait { doubt, not_before } => {
                observations.push(doubted(now, &domain, doubt));
                unreached.fault = Fault::Doubted { name, doubt };
                // What is kept would only be said again.
                resolver.flush(Some(&domain));
                for host in missing.hosts() {
                    resolver.flush(Some(host));
                }
                not_before
            }
        };
        Some(Ruling { not_before, ledger })
    }

    /// Hears witnesses, unless somebody did a moment ago.
    async fn hear(
        &self,
        domain: &str,
        finding: Finding,
        missing: &Missing,
        resolver: &Arc<Resolver>,
    ) -> (Heard, Option<LedgerEntry>) {
        let (beliefs, patience) = (&self.beliefs, self.settings().patience);
        let every = patience.asked_every;
        let hearing = lock(&beliefs.book).hearing(domain, self.world.now(), every);
        let mut last = hearing.lock().await;
        let now = self.world.now();
        let fresh = |h: &&Heard| {
            h.finding == finding && now - h.at < every && Arc::ptr_eq(&h.resolver, resolver)
        };
        if let Some(heard) = last.as_ref().filter(fresh) {
            return (heard.clone(), None);
        }
        let (word, observations) = {
            // The semaphore is never closed.
            let _turn = beliefs.hearing.acquire().await;
            let known: Vec<String> =
                lock(&beliefs.book).delivered.names().map(str::to_owned).collect();
            witness::hear(&self.world, resolver, domain, missing, &known).await
        };
        let (decision, ledger) =
            lock(&beliefs.book).decide(self.world.wall(), &patience, domain, finding, &word);
        let (at, resolver) = (self.world.now(), Arc::clone(resolver));
        let heard = Heard { at, resolver, finding, decision, observations };
        *last = Some(heard.clone());
        (heard, ledger)
    }

    /// DNS led to hosts of a destination: nothing of what was said against it holds.
    pub(crate) fn exists(&self, route: &Route, destination: &str) -> Option<LedgerEntry> {
        let mut book = lock(&self.beliefs.book);
        if book.claims.is_empty() {
            return None;
        }
        let domain = dns_name(route, destination)?;
        book.claims.remove(&domain).map(|_| store::forget(LedgerKey::Missing(domain)))
    }

    /// Mail was delivered to a destination: the entry for the ledger, the first time today.
    pub(crate) fn delivered(&self, route: &Route, destination: &str) -> Option<LedgerEntry> {
        let domain = dns_name(route, destination)?;
        let noted = lock(&self.beliefs.book).delivered.note(&domain, self.world.wall());
        let (part, stored) = noted?;
        let key = LedgerKey::Delivered(part);
        Some(LedgerEntry { key, value: Some(LedgerValue::Delivered(stored)) })
    }

    /// What the ledger had at the start; the rest is given back.
    pub(crate) fn restore_beliefs(
        &self,
        entries: Vec<(LedgerKey, LedgerValue)>,
    ) -> Vec<(LedgerKey, LedgerValue)> {
        let now = self.world.wall();
        let mut book = lock(&self.beliefs.book);
        let mut rest = Vec::new();
        for entry in entries {
            match entry {
                (LedgerKey::Missing(domain), LedgerValue::Missing(claim)) => {
                    book.claims.insert(domain, claim);
                }
                (LedgerKey::Delivered(part), LedgerValue::Delivered(stored)) => {
                    book.delivered.restore(part, stored, now);
                }
                other => rest.push(other),
            }
        }
        rest
    }

    /// Forgets claims that nobody has repeated for long: their entries for the ledger.
    pub(crate) fn sweep_claims(&self, now: Timestamp) -> Vec<LedgerEntry> {
        let mut book = lock(&self.beliefs.book);
        if book.claims.is_empty() || book.swept.is_some_and(|at| now.since(at) < SWEEP_EVERY) {
            return Vec::new();
        }
        book.swept = Some(now);
        let over = book.claims.extract_if(.., |_, claim| claim.is_over(now));
        over.map(|(domain, _)| store::forget(LedgerKey::Missing(domain))).collect()
    }
}

impl Book {
    fn hearing(&mut self, domain: &str, now: Instant, every: Duration) -> Hearing {
        if self.hearings.len() >= MAX_HEARINGS {
            // One that others wait for is kept: it decides for them.
            self.hearings.retain(|_, hearing| {
                let last = hearing.try_lock();
                let old = |h: &Heard| now - h.at >= every;
                last.is_err() || last.is_ok_and(|h| h.as_ref().is_some_and(|h| !old(h)))
            });
        }
        Arc::clone(self.hearings.entry(domain.to_owned()).or_default())
    }

    fn decide(
        &mut self,
        now: Timestamp,
        patience: &belief::Patience,
        domain: &str,
        finding: Finding,
        word: &belief::Word,
    ) -> (Decision, Option<LedgerEntry>) {
        let delivered = self.delivered.has(domain, now);
        let before = self.claims.get(domain);
        let (decision, claim) = belief::decide(now, patience, finding, word, delivered, before);
        if before == claim.as_ref() {
            return (decision, None);
        }
        let key = LedgerKey::Missing(domain.to_owned());
        let Some(claim) = claim else {
            self.claims.remove(domain);
            return (decision, Some(store::forget(key)));
        };
        self.claims.insert(domain.to_owned(), claim.clone());
        if self.claims.len() > MAX_CLAIMS {
            let oldest = self.claims.iter().min_by_key(|(_, c)| c.last).map(|(d, _)| d.clone());
            // Its entry in the ledger goes when it is found to be over at a later start.
            oldest.and_then(|domain| self.claims.remove(&domain));
        }
        (decision, Some(LedgerEntry { key, value: Some(LedgerValue::Missing(claim)) }))
    }
}

/// The domain that DNS is asked for, where a destination is one.
fn dns_name(route: &Route, destination: &str) -> Option<String> {
    let by_mx = matches!(route.action, Action::Mx { .. });
    let is_name = matches!(crate::destination::host_of(destination), Host::Name(_));
    (by_mx && is_name).then(|| posthaste_dns::to_dns(destination).ok())?
}

fn doubted(at: Timestamp, domain: &str, doubt: Doubt) -> Observation {
    let (name, kind) = (domain.to_owned(), RecordType::Mx);
    Observation {
        at,
        took: Duration::ZERO,
        stage: Stage::DnsMx,
        subject: Subject::Question { server: None, name, kind },
        seen: Seen::Chose(Choice::from(doubt)),
        effect: Effect::Blocking,
    }
}

/// Something was delivered.
pub(crate) fn any_delivered(results: &[posthaste_evidence::RecipientResult]) -> bool {
    results.iter().any(|result| result.outcome == Outcome::Delivered)
}
