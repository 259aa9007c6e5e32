//! Hearings about domains: each in a task of its own, so that no connection waits long for servers that are slow or
//! silent, and mail for other domains goes on meanwhile.
//!
//! An attempt waits [`PROMPT`] for a hearing that begins at once, which is enough for servers that answer: a mistyped
//! domain is returned at its first attempt. Otherwise the attempt ends as one about which nothing is confirmed; when
//! the hearing has ended, the destination is due again, or waits until a second proof counts, and its next attempt
//! finds what was heard. Not here: whom to ask (`witness`), the rule (`queue::belief`).

use super::witness;
use crate::{Inner, destination, lock};
use futures_util::future::{Either, select};
use posthaste_dns::Resolver;
use posthaste_evidence::{Doubt, Observation};
use posthaste_io::Instant;
use posthaste_mail::Timestamp;
use posthaste_queue::belief::{Decision, Finding, Patience, Word};
use posthaste_route::Missing;
use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Domains that are asked about at the same time.
const AT_ONCE: usize = 16;
/// Domains that are asked about, wait for their turn, or whose last hearing is remembered.
const MAX_HEARINGS: usize = 2_000;
/// An attempt waits so long for a hearing that begins at once.
const PROMPT: Duration = Duration::from_secs(2);
/// What is believed is kept so many times longer than what is not, for the attempt on whose behalf it was heard: that
/// has to wait for its turn.
const BELIEVED_FOR: u32 = 5;

/// All hearings.
pub(super) struct Hearings {
    places: Arc<Semaphore>,
    by_domain: BTreeMap<String, Hearing>,
}

/// About one domain.
#[derive(Default)]
struct Hearing {
    last: Option<Heard>,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    /// When it began, if it had a place at once.
    began: Option<Instant>,
    /// Nothing is ever sent: the sender goes when the hearing ends.
    end: watch::Receiver<()>,
}

/// Somebody wants to know something.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) domain: String,
    pub(super) about: About,
    pub(super) resolver: Arc<Resolver>,
    /// The destination's name and route.
    pub(super) destination: (String, String),
}

/// What a hearing is about.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum About {
    /// What DNS says is missing.
    Missing(Missing),
    /// An address that DNS says the domain has, where nobody is.
    Address,
}

/// What came of a hearing.
#[derive(Clone)]
pub(super) struct Heard {
    at: Instant,
    resolver: Arc<Resolver>,
    about: About,
    pub(super) decision: Decision,
    pub(super) observations: Vec<Observation>,
}

/// What an attempt may do.
enum Turn {
    Heard(Heard),
    Await(watch::Receiver<()>, Duration),
    Begin(Option<OwnedSemaphorePermit>, watch::Sender<()>),
    /// There is no room, or no place soon.
    Later(Decision),
}

impl Default for Hearings {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), by_domain: BTreeMap::new() }
    }
}

impl About {
    pub(super) const fn finding(&self) -> Finding {
        match self {
            Self::Missing(Missing::Domain) | Self::Address => Finding::Domain,
            Self::Missing(Missing::Records) => Finding::Records,
            Self::Missing(Missing::Targets(_)) => Finding::Targets,
        }
    }

    /// The same question; which of its hosts were named first does not matter.
    fn is_like(&self, other: &Self) -> bool {
        let is_address = |about: &Self| *about == Self::Address;
        is_address(self) == is_address(other) && self.finding() == other.finding()
    }
}

impl Heard {
    fn fits(&self, case: &Case) -> bool {
        self.about.is_like(&case.about) && Arc::ptr_eq(&self.resolver, &case.resolver)
    }

    fn is_fresh(&self, now: Instant, every: Duration) -> bool {
        let kept = if self.decision == Decision::Believe { every * BELIEVED_FOR } else { every };
        now - self.at < kept
    }
}

impl Hearing {
    fn is_under_way(&self) -> bool {
        self.under_way.as_ref().is_some_and(|u| u.end.has_changed().is_ok())
    }

    /// Nothing is known now; why it was doubted the last time is still the best guess.
    fn unheard(&self, case: &Case, now: Timestamp) -> Decision {
        let last = self.last.as_ref().filter(|heard| heard.fits(case)).map(|heard| heard.decision);
        let doubt = match last {
            Some(Decision::Wait { doubt, .. }) => doubt,
            _ => Doubt::Unconfirmed,
        };
        Decision::Wait { doubt, not_before: now }
    }
}

impl Hearings {
    fn turn(&mut self, case: &Case, now: Instant, wall: Timestamp, every: Duration) -> Turn {
        if !self.by_domain.contains_key(&case.domain) && !self.has_room(now, every) {
            let (doubt, not_before) = (Doubt::Unconfirmed, wall.plus(every));
            return Turn::Later(Decision::Wait { doubt, not_before });
        }
        let hearing = self.by_domain.entry(case.domain.clone()).or_default();
        let fresh = |h: &&Heard| h.fits(case) && h.is_fresh(now, every);
        if let Some(heard) = hearing.last.as_ref().filter(fresh) {
            return Turn::Heard(heard.clone());
        }
        if hearing.is_under_way()
            && let Some(under_way) = &hearing.under_way
        {
            let left = under_way.began.map_or(Duration::ZERO, |at| (at + PROMPT) - now);
            return match left.is_zero() {
                true => Turn::Later(hearing.unheard(case, wall)),
                false => Turn::Await(under_way.end.clone(), left),
            };
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok();
        let (sender, end) = watch::channel(());
        hearing.under_way = Some(UnderWay { began: place.is_some().then_some(now), end });
        Turn::Begin(place, sender)
    }

    fn has_room(&mut self, now: Instant, every: Duration) -> bool {
        if self.by_domain.len() >= MAX_HEARINGS {
            self.by_domain.retain(|_, hearing| {
                hearing.is_under_way()
                    || hearing.last.as_ref().is_some_and(|heard| heard.is_fresh(now, every))
            });
        }
        self.by_domain.len() < MAX_HEARINGS
    }

    /// It has ended; `None` when it was given up.
    fn ended(&mut self, domain: &str, heard: Option<Heard>) {
        if let Some(hearing) = self.by_domain.get_mut(domain) {
            hearing.under_way = None;
            hearing.last = heard.or(hearing.last.take());
        }
    }
}

impl Inner {
    /// What witnesses say, unless somebody heard them a moment ago. Takes no longer than [`PROMPT`].
    pub(super) async fn hear(self: &Arc<Self>, case: Case) -> (Decision, Vec<Observation>) {
        let every = self.settings().patience.asked_every;
        let turn = |case| {
            let (now, wall) = (self.world.now(), self.world.wall());
            lock(&self.beliefs.hearings).turn(case, now, wall, every)
        };
        let (mut end, limit) = match turn(&case) {
            Turn::Heard(heard) => return (heard.decision, heard.observations),
            Turn::Later(decision) => return (decision, Vec::new()),
            Turn::Await(end, left) => (end, left),
            Turn::Begin(place, sender) => {
                let (limit, end) =
                    (if place.is_some() { PROMPT } else { Duration::ZERO }, sender.subscribe());
                let task = Arc::clone(self).hold(case.clone(), place, sender);
                self.world.spawn.spawn("hearing", Box::pin(task));
                (end, limit)
            }
        };
        if !limit.is_zero() {
            // That the sender is gone is the answer.
            let _ = posthaste_io::within(&*self.world.clock, limit, end.changed()).await;
        }
        let (now, wall) = (self.world.now(), self.world.wall());
        let hearings = lock(&self.beliefs.hearings);
        let hearing = hearings.by_domain.get(&case.domain);
        let fits = |heard: &&Heard| heard.fits(&case) && heard.is_fresh(now, every);
        match hearing.and_then(|hearing| hearing.last.as_ref()).filter(fits) {
            Some(heard) => (heard.decision, heard.observations.clone()),
            None => {
                let unheard = hearing.map(|hearing| hearing.unheard(&case, wall));
                let nothing =
                    Decision::Wait { doubt: Doubt::Unconfirmed, not_before: wall.plus(every) };
                (unheard.unwrap_or(nothing), Vec::new())
            }
        }
    }

    /// Holds a hearing to its end.
    async fn hold(
        self: Arc<Self>,
        case: Case,
        place: Option<OwnedSemaphorePermit>,
        sender: watch::Sender<()>,
    ) {
        let began = place.is_some().then(|| self.world.now());
        let heard = {
            let closed = pin!(self.closed());
            match select(pin!(self.witnesses(&case, place)), closed).await {
                Either::Left((heard, _)) => Some(heard),
                Either::Right(((), _)) => None,
            }
        };
        let decision = heard.as_ref().map(|heard| heard.decision);
        lock(&self.beliefs.hearings).ended(&case.domain, heard);
        drop(sender);
        let prompt = began.is_some_and(|at| self.world.now() - at < PROMPT);
        if let Some(decision) = decision.filter(|_| !prompt) {
            self.tell(&case, decision);
        }
    }

    async fn witnesses(&self, case: &Case, place: Option<OwnedSemaphorePermit>) -> Heard {
        let (beliefs, resolver) = (&self.beliefs, &case.resolver);
        let _place = match place {
            Some(place) => Some(place),
            None => {
                let places = Arc::clone(&lock(&beliefs.hearings).places);
                // The semaphore is never closed.
                places.acquire_owned().await.ok()
            }
        };
        let asked = witness::Asked {
            world: &self.world,
            resolver,
            silence: &beliefs.silence,
            domain: &case.domain,
        };
        let (word, observations) = match &case.about {
            About::Missing(missing) => asked.hear(missing, &self.known()).await,
            About::Address => asked.invented().await,
        };
        let decision = self.judge(&case.domain, case.about.finding(), &word);
        let (at, about) = (self.world.now(), case.about.clone());
        Heard { at, resolver: Arc::clone(resolver), about, decision, observations }
    }

    /// Names of domains that mail was delivered to.
    fn known(&self) -> Vec<String> {
        lock(&self.beliefs.book).delivered.names().map(str::to_owned).collect()
    }

    /// Decides, and stores what is to be remembered.
    fn judge(&self, domain: &str, finding: Finding, word: &Word) -> Decision {
        let patience: Patience = self.settings().patience;
        let now = (self.world.wall(), self.world.now());
        let mut book = lock(&self.beliefs.book);
        let (decision, ledger) = book.decide(now, &patience, domain, finding, word);
        drop(book);
        self.note_ledger(Vec::new(), ledger);
        decision
    }

    /// The attempt that wanted to know has ended: its destination is tried again now, or when that will prove something.
    fn tell(self: &Arc<Self>, case: &Case, decision: Decision) {
        let (name, route) = &case.destination;
        let now = self.world.wall();
        let state = {
            let mut scheduler = self.scheduler();
            let id = scheduler.destination(now, name, route);
            match decision {
                Decision::Believe => {
                    scheduler.try_destination(now, id);
                    None
                }
                Decision::Wait { not_before, .. } => scheduler.postpone(now, id, not_before),
            }
        };
        if let Some(state) = state {
            let key = destination::ledger_key(name, route);
            let entry = lock(&self.outages).went_down(key, state);
            self.note_ledger(Vec::new(), vec![entry]);
        }
        self.kick();
    }
}
