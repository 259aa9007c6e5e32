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

/// What a hearing is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// What DNS says is missing.
    Missing(Finding),
    /// An address that DNS says the domain has, where nobody is.
    Address,
}

/// What came of a hearing.
#[derive(Clone)]
struct Heard {
    at: Instant,
    resolver: Arc<Resolver>,
    about: About,
    decision: Decision,
    observations: Vec<Observation>,
}

impl Default for Beliefs {
    fn default() -> Self {
        Self { book: Mutex::default(), hearing: tokio::sync::Semaphore::new(AT_ONCE) }
    }
}

/// What was decided about a destination that DNS says is missing, or may have invented.
pub(crate) struct Ruling {
    /// The fault was replaced. The destination is not to be tried before, when it is not given up.
    pub(crate) not_before: Option<Timestamp>,
    /// To be stored.
    pub(crate) ledger: Option<LedgerEntry>,
}

impl Inner {
    /// Has what DNS says confirmed, or not: the fault becomes permanent or temporary accordingly, and the evidence is
    /// added. `None` when what was unreached gives no reason to ask.
    pub(crate) async fn rule(&self, route: &Route, unreached: &mut Unreached) -> Option<Ruling> {
        let missing = match unreached.missing.take() {
            Some(missing) => missing,
            None if may_be_invented(unreached) => {
                return self.rule_on_address(route, unreached).await;
            }
            None => return None,
        };
        let domain = dns_name(route, &unreached.connection.destination)?;
        let finding = match missing {
            Missing::Domain => Finding::Domain,
            Missing::Records => Finding::Records,
            Missing::Targets(_) => Finding::Targets,
        };
        let resolvers = self.courier.resolvers();
        let resolver = resolvers.of(route);
        let (heard, ledger) = self.hear(&domain, finding, &missing, resolver).await;
        unreached.connection.observations.extend(heard.observations);
        let not_before = self.decided(unreached, &domain, finding, heard.decision);
        if unreached.fault.is_permanent() {
            return Some(Ruling { not_before, ledger });
        }
        // What is kept would only be said again.
        resolver.forget(&domain);
        for host in missing.hosts() {
            resolver.forget(host);
        }
        Some(Ruling { not_before, ledger })
    }

    /// Nobody is at the address of a domain without MX records: asks whether there is such a domain at all. Only when
    /// its zone denies it, and the configured servers invent addresses, does that change anything.
    async fn rule_on_address(&self, route: &Route, unreached: &mut Unreached) -> Option<Ruling> {
        let domain = dns_name(route, &unreached.connection.destination)?;
        let resolvers = self.courier.resolvers();
        let (heard, ledger) = self.hear_of_address(&domain, resolvers.of(route)).await?;
        let denied = matches!(
            heard.decision,
            Decision::Believe | Decision::Wait { doubt: Doubt::Vanished, .. }
        );
        if !denied {
            return Some(Ruling { not_before: None, ledger });
        }
        let observations = &mut unreached.connection.observations;
        observations.extend(heard.observations);
        observations.push(chosen(self.world.wall(), &domain, Choice::Invented));
        let not_before = self.decided(unreached, &domain, Finding::Domain, heard.decision);
        Some(Ruling { not_before, ledger })
    }

    /// Puts what was decided in the place of the fault. Answers when the destination may be tried again.
    fn decided(
        &self,
        unreached: &mut Unreached,
        domain: &str,
        finding: Finding,
        decision: Decision,
    ) -> Option<Timestamp> {
        let (now, name) = (self.world.wall(), unreached.connection.destination.clone());
        match decision {
            Decision::Believe => {
                unreached.fault = match finding {
                    Finding::Domain => Fault::NoSuchDomain { name },
                    Finding::Records | Finding::Targets => Fault::NoHosts { name },
                };
                Some(now)
            }
            Decision::Wait { doubt, not_before } => {
                let doubted = chosen(now, domain, Choice::from(doubt));
                unreached.connection.observations.push(doubted);
                unreached.fault = Fault::Doubted { name, doubt };
                Some(not_before)
            }
        }
    }

    /// Hears witnesses, unless somebody did a moment ago.
    async fn hear(
        &self,
        domain: &str,
        finding: Finding,
        missing: &Missing,
        resolver: &Arc<Resolver>,
    ) -> (Heard, Option<LedgerEntry>) {
        let (beliefs, about) = (&self.beliefs, About::Missing(finding));
        let hearing = self.hearing(domain);
        let mut last = hearing.lock().await;
        if let Some(heard) = self.fresh(last.as_ref(), about, resolver) {
            return (heard, None);
        }
        let (word, observations) = {
            // The semaphore is never closed.
            let _turn = beliefs.hearing.acquire().await;
            let known: Vec<String> =
                lock(&beliefs.book).delivered.names().map(str::to_owned).collect();
            witness::hear(&self.world, resolver, domain, missing, &known).await
        };
        let (heard, ledger) = self.judge(domain, about, resolver, &word, observations);
        *last = Some(heard.clone());
        (heard, ledger)
    }

    /// The same about an address. `None` when too many are heard already: a network that is down must not make every
    /// destination wait for its turn here.
    async fn hear_of_address(
        &self,
        domain: &str,
        resolver: &Arc<Resolver>,
    ) -> Option<(Heard, Option<LedgerEntry>)> {
        let hearing = self.hearing(domain);
        let mut last = hearing.lock().await;
        if let Some(heard) = self.fresh(last.as_ref(), About::Address, resolver) {
            return Some((heard, None));
        }
        let turn = self.beliefs.hearing.try_acquire().ok()?;
        let (word, observations) = witness::invented(&self.world, resolver, domain).await;
        drop(turn);
        let (heard, ledger) = self.judge(domain, About::Address, resolver, &word, observations);
        *last = Some(heard.clone());
        Some((heard, ledger))
    }

    fn hearing(&self, domain: &str) -> Hearing {
        let every = self.settings().patience.asked_every;
        lock(&self.beliefs.book).hearing(domain, self.world.now(), every)
    }

    /// What was heard a moment ago about the same.
    fn fresh(&self, last: Option<&Heard>, about: About, resolver: &Arc<Resolver>) -> Option<Heard> {
        let (now, every) = (self.world.now(), self.settings().patience.asked_every);
        let fresh = |h: &&Heard| {
            h.about == about && now - h.at < every && Arc::ptr_eq(&h.resolver, resolver)
        };
        last.filter(fresh).cloned()
    }

    fn judge(
        &self,
        domain: &str,
        about: About,
        resolver: &Arc<Resolver>,
        word: &belief::Word,
        observations: Vec<Observation>,
    ) -> (Heard, Option<LedgerEntry>) {
        let finding = match about {
            About::Missing(finding) => finding,
            About::Address => Finding::Domain,
        };
        let patience = self.settings().patience;
        let (decision, ledger) =
            lock(&self.beliefs.book).decide(self.world.wall(), &patience, domain, finding, word);
        let (at, resolver) = (self.world.now(), Arc::clone(resolver));
        (Heard { at, resolver, about, decision, observations }, ledger)
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

    /// Mail was delivered to a domain in the last 30 days.
    pub(crate) fn has_delivered(&self, domain: &str) -> bool {
        lock(&self.beliefs.book).delivered.has(domain, self.world.wall())
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

/// Nobody is where DNS says that a domain without MX records is.
fn may_be_invented(unreached: &Unreached) -> bool {
    let seen = |choice| {
        let observations = &unreached.connection.observations;
        observations.iter().any(|o| o.seen == Seen::Chose(choice))
    };
    let connected = |o: &Observation| matches!(o.seen, Seen::Connected { .. });
    matches!(unreached.fault, Fault::Connect(_))
        && seen(Choice::ImplicitMx)
        && (!unreached.failed.is_empty() || seen(Choice::HostRestsNow))
        && !unreached.connection.observations.iter().any(connected)
}

fn chosen(at: Timestamp, domain: &str, choice: Choice) -> Observation {
    let (name, kind) = (domain.to_owned(), RecordType::Mx);
    Observation {
        at,
        took: Duration::ZERO,
        stage: Stage::DnsMx,
        subject: Subject::Question { server: None, name, kind },
        seen: Seen::Chose(choice),
        effect: Effect::Blocking,
    }
}

/// Something was delivered.
pub(crate) fn any_delivered(results: &[posthaste_evidence::RecipientResult]) -> bool {
    results.iter().any(|result| result.outcome == Outcome::Delivered)
}
