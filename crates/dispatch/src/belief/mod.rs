//! Before mail fails because DNS says that something does not exist: who confirms it, what is remembered of it, and
//! that one domain is asked about once, however many messages wait for it.
//!
//! Never on the fast path: an attempt that finds hosts comes here only to note a domain's first delivery of the day.
//! Not here: the rule (`queue::belief`), which answers led here (`route`).

mod hearing;
mod silence;
mod witness;

use crate::{Inner, lock};
use hearing::{About, Case, Hearings};
use posthaste_delivery::Unreached;
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Doubt, Effect, Fault, Observation, Outcome, RecordType, Seen, Stage, Subject,
};
use posthaste_io::Instant;
use posthaste_mail::{Host, Timestamp};
use posthaste_queue::belief::{self, Decision, Elapsed, Finding};
use posthaste_queue::{Claim, Delivered};
use posthaste_route::{Action, Route};
use posthaste_spool::{LedgerEntry, LedgerKey, LedgerValue, store};
use silence::Silence;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Claims remembered; of more, the one repeated longest ago is forgotten.
const MAX_CLAIMS: usize = 10_000;
/// How often claims that are over are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// What is known of domains that are said to be missing, and of those that mail was delivered to.
#[derive(Default)]
pub(crate) struct Beliefs {
    book: Mutex<Book>,
    hearings: Mutex<Hearings>,
    silence: Mutex<Silence>,
}

#[derive(Default)]
struct Book {
    claims: BTreeMap<String, Held>,
    delivered: Delivered,
    swept: Option<Timestamp>,
    /// Those that were too many at the start, not yet taken from the ledger.
    surplus: Vec<String>,
}

/// A claim, and when it and its proof were first made, unless in an earlier run of the daemon.
struct Held {
    claim: Claim,
    since: Option<Instant>,
    proven: Option<Instant>,
}

/// What was decided about a destination that DNS says is missing, or may have invented.
pub(crate) struct Ruling {
    /// The fault was replaced. The destination is not to be tried before, when it is not given up.
    pub(crate) not_before: Option<Timestamp>,
}

impl Inner {
    /// Has what DNS says confirmed, or not: the fault becomes permanent or temporary accordingly, and the evidence is
    /// added. `None` when what was unreached gives no reason to ask.
    pub(crate) async fn rule(
        self: &Arc<Self>,
        route: &Route,
        unreached: &mut Unreached,
    ) -> Option<Ruling> {
        let about = match unreached.missing.take() {
            Some(missing) => About::Missing(missing),
            None if may_be_invented(unreached) => About::Address,
            None => return None,
        };
        let name = &unreached.connection.destination;
        let domain = dns_name(route, name)?;
        let destination = (name.clone(), route.name.clone());
        let resolver = Arc::clone(self.courier.resolvers().of(route));
        let case = Case { domain, about, resolver, destination };
        let (decision, observations) = self.hear(case.clone()).await;
        let Case { domain, about, resolver, .. } = case;
        let About::Missing(missing) = &about else {
            let not_before = self.ruled_on_address(unreached, &domain, decision, observations);
            return Some(Ruling { not_before });
        };
        unreached.connection.observations.extend(observations);
        let not_before = Some(self.decided(unreached, &domain, about.finding(), decision));
        if !unreached.fault.is_permanent() {
            // What is kept would only be said again.
            resolver.forget(&domain);
            for host in missing.hosts() {
                resolver.forget(host);
            }
        }
        Some(Ruling { not_before })
    }

    /// Nobody is at the address of a domain without MX records, and it was asked whether there is such a domain at all.
    /// Only when its zone denies it, and the configured servers invent addresses, does that change anything.
    fn ruled_on_address(
        &self,
        unreached: &mut Unreached,
        domain: &str,
        decision: Decision,
        heard: Vec<Observation>,
    ) -> Option<Timestamp> {
        let denied =
            matches!(decision, Decision::Believe | Decision::Wait { doubt: Doubt::Vanished, .. });
        denied.then(|| {
            let observations = &mut unreached.connection.observations;
            observations.extend(heard);
            observations.push(chosen(self.world.wall(), domain, Choice::Invented));
            self.decided(unreached, domain, Finding::Domain, decision)
        })
    }

    /// Puts what was decided in the place of the fault. Answers when the destination may be tried again.
    fn decided(
        &self,
        unreached: &mut Unreached,
        domain: &str,
        finding: Finding,
        decision: Decision,
    ) -> Timestamp {
        let (now, name) = (self.world.wall(), unreached.connection.destination.clone());
        match decision {
            Decision::Believe => {
                unreached.fault = match finding {
                    Finding::Domain => Fault::NoSuchDomain { name },
                    Finding::Records | Finding::Targets => Fault::NoHosts { name },
                };
                now
            }
            Decision::Wait { doubt, not_before } => {
                let doubted = chosen(now, domain, Choice::from(doubt));
                unreached.connection.observations.push(doubted);
                unreached.fault = Fault::Doubted { name, doubt };
                not_before
            }
        }
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
                    book.claims.insert(domain, Held { claim, since: None, proven: None });
                }
                (LedgerKey::Delivered(part), LedgerValue::Delivered(stored)) => {
                    book.delivered.restore(part, stored, now);
                }
                other => rest.push(other),
            }
        }
        let surplus = book.shrink();
        book.surplus.extend(surplus);
        rest
    }

    /// Forgets claims that nobody has repeated for long, and those that were too many: their entries for the ledger.
    pub(crate) fn sweep_claims(&self, now: Timestamp) -> Vec<LedgerEntry> {
        let mut book = lock(&self.beliefs.book);
        if book.claims.is_empty()
            || book.surplus.is_empty() && book.swept.is_some_and(|at| now.since(at) < SWEEP_EVERY)
        {
            return Vec::new();
        }
        book.swept = Some(now);
        let surplus = std::mem::take(&mut book.surplus);
        let over = book.claims.extract_if(.., |_, held| held.claim.is_over(now));
        let domains = surplus.into_iter().chain(over.map(|(domain, _)| domain));
        domains.map(|domain| store::forget(LedgerKey::Missing(domain))).collect()
    }
}

impl Book {
    /// What follows from a word at a time of both clocks, and what the ledger is to have.
    fn decide(
        &mut self,
        (wall, now): (Timestamp, Instant),
        patience: &belief::Patience,
        domain: &str,
        finding: Finding,
        word: &belief::Word,
    ) -> (Decision, Vec<LedgerEntry>) {
        let delivered = self.delivered.has(domain, wall);
        let held = self.claims.get(domain);
        let before = held.map(|held| &held.claim);
        let passed = |at: Option<Instant>| at.map(|at| now - at);
        let elapsed = held.map_or_else(Elapsed::default, |held| Elapsed {
            claim: passed(held.since),
            proof: passed(held.proven),
        });
        let (decision, claim) =
            belief::decide(wall, patience, finding, word, delivered, before, elapsed);
        if before == claim.as_ref() {
            return (decision, Vec::new());
        }
        let key = LedgerKey::Missing(domain.to_owned());
        let Some(claim) = claim else {
            self.claims.remove(domain);
            return (decision, vec![store::forget(key)]);
        };
        // What is the same as before keeps its time.
        let since =
            held.filter(|h| h.claim.since == claim.since && h.claim.finding == claim.finding);
        let proven = held.filter(|h| h.claim.proof.is_some() && h.claim.proof == claim.proof);
        let since = since.map_or(Some(now), |h| h.since);
        let proven = proven.map_or(Some(now), |h| h.proven);
        self.claims.insert(domain.to_owned(), Held { claim: claim.clone(), since, proven });
        let surplus = self.shrink().into_iter().map(|d| store::forget(LedgerKey::Missing(d)));
        let entry = LedgerEntry { key, value: Some(LedgerValue::Missing(claim)) };
        (decision, std::iter::once(entry).chain(surplus).collect())
    }

    /// Forgets those repeated longest ago of more than [`MAX_CLAIMS`]: these.
    fn shrink(&mut self) -> Vec<String> {
        let over = self.claims.len().saturating_sub(MAX_CLAIMS);
        if over == 0 {
            return Vec::new();
        }
        let mut oldest: Vec<_> = self.claims.iter().map(|(d, held)| (held.claim.last, d)).collect();
        oldest.select_nth_unstable(over - 1);
        let oldest: Vec<String> = oldest[..over].iter().map(|(_, d)| (*d).clone()).collect();
        oldest.iter().for_each(|domain| drop(self.claims.remove(domain)));
        oldest
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

#[cfg(test)]
mod tests {
    use super::*;
    use belief::{Patience, Word};

    #[test]
    fn claims_that_are_too_many_leave_the_ledger_too() {
        let mut book = Book::default();
        let patience = Patience::default();
        let word = Word::Everybody { by: Vec::new(), negative_ttl: Duration::ZERO };
        let begin = Timestamp::from_secs(1_800_000_000);
        let mut decide = |n: usize| {
            let passed = Duration::from_secs(n as u64);
            let now = (begin.plus(passed), Instant(0) + passed);
            book.decide(now, &patience, &format!("d{n}.test"), Finding::Domain, &word).1
        };
        for n in 0..MAX_CLAIMS {
            assert_eq!(decide(n).len(), 1, "its own entry");
        }
        let entries = decide(MAX_CLAIMS);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[1], store::forget(LedgerKey::Missing("d0.test".into())));
        assert_eq!(book.claims.len(), MAX_CLAIMS);
        // As a start finds them when an earlier version left more.
        for n in 0..5 {
            let claim = Claim { finding: Finding::Domain, since: begin, last: begin, proof: None };
            book.claims.insert(format!("old{n}.test"), Held { claim, since: None, proven: None });
        }
        let mut surplus = book.shrink();
        surplus.sort();
        assert_eq!(surplus, ["old0.test", "old1.test", "old2.test", "old3.test", "old4.test"]);
    }
}
