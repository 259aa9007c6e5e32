//! From a recipient's host to the hops to try: drives `route::Plan` with the answers of `dns`.
//!
//! Not here: the algorithm (`route`) and the asking (`dns`).

mod hosts;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use posthaste_dns::{Agreement, Lookup, Resolver};
use posthaste_evidence::{
    Answer, AnswerKind, Edns, Effect, Fault, Observation, RecordType, Seen, Stage, Subject,
    Transport,
};
use posthaste_io::{Instant, Task, World};
use posthaste_mail::{Host, Timestamp};
use posthaste_route::{
    Action, Hop, Missing, Ourselves, Plan, Planned, Question, Route, Step, Usable,
};
use std::ops::Range;
use std::time::Duration;

/// How long a plan that can already be used waits for answers still under way (RFC 8305 section 8).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// The same while the family that decides is not known: A of a host whose AAAA is there.
const FAMILY_DELAY: Duration = Duration::from_millis(250);
/// The same while nothing is known of a host that is better, or as good.
const BETTER_HOST_DELAY: Duration = Duration::from_secs(2);
/// Observations kept of the look-ups of one attempt.
const MAX_OBSERVATIONS: usize = 128;

/// Where to go, or why not, and what DNS said on the way.
pub struct Found {
    /// Hosts in the order to try, or the fault.
    pub hops: Result<Vec<Hop>, Fault>,
    /// In the order of the answers.
    pub observations: Vec<Observation>,
    /// What the fault rests on, when it is that something does not exist.
    pub missing: Option<Missing>,
}

type Asked<'a> = FuturesUnordered<Task<'a, (Question, Lookup)>>;

/// Looks up the next hops for what stands right of a recipient's `@`.
pub async fn find_hops(
    world: &World,
    resolver: &Resolver,
    recipient: Host<'_>,
    route: &Route,
    ourselves: &Ourselves,
) -> Found {
    let named = matches!(route.action, Action::SmartHosts { .. });
    let (mut plan, mut step) = Plan::start(recipient, route, ourselves, world.random.next());
    let mut asked = Asked::new();
    let (mut seen, mut waiting) = (Seeing::default(), Waiting::default());
    let began = world.wall();
    let planned = loop {
        match step {
            Step::Done(planned) => break planned,
            Step::Ask(questions) => {
                for question in questions {
                    asked.push(
                        match named.then(|| hosts::known(world, resolver, &question)).flatten() {
                            Some(known) => Box::pin(std::future::ready((question, known))),
                            None => ask(resolver, question),
                        },
                    );
                }
            }
            Step::Wait => {}
        }
        let Some((question, lookup)) = waiting.next_answer(world, &plan, &mut asked).await else {
            break plan.conclude();
        };
        step = match lookup.answer.stale {
            true => plan.answer_past_ttl(&question, &lookup.answer, lookup.instead()),
            false => plan.answer(&question, &lookup.answer, lookup.permanent),
        };
        seen.heard(question, lookup);
    };
    let waited = world.wall().since(began);
    let Seeing { mut observations, answers } = seen;
    if planned.hops.is_ok() {
        spare(&mut observations, &answers);
    }
    observations.extend(plan.open_questions().map(|q| unanswered(q, began, waited)));
    if let Err(Fault::DnsFailed { name, kind, .. }) = &planned.hops {
        block(&mut observations, &answers, name, *kind);
    }
    finish(world, planned, observations)
}

/// How long is still waited for better answers.
#[derive(Default)]
struct Waiting {
    /// The best plan so far, and when waiting ends. Never put off again.
    until: Option<(Usable, Instant)>,
}

impl Waiting {
    /// The next answer; `None` when none is under way, or when the plan does well without those that are.
    async fn next_answer(
        &mut self,
        world: &World,
        plan: &Plan,
        asked: &mut Asked<'_>,
    ) -> Option<(Question, Lookup)> {
        let Some(until) = self.until(world, plan) else { return asked.next().await };
        let mut timer = world.clock.timer();
        timer.as_mut().set(until);
        match select(asked.next(), timer).await {
            Either::Left((answer, _)) => answer,
            Either::Right(((), _)) => None,
        }
    }

    fn until(&mut self, world: &World, plan: &Plan) -> Option<Instant> {
        let usable = plan.usable();
        let delay = match usable {
            Usable::No => return None,
            Usable::Barely => BETTER_HOST_DELAY,
            Usable::Partly => FAMILY_DELAY,
            Usable::Fully => RESOLUTION_DELAY,
        };
        let fresh = world.now() + delay;
        let until = match self.until {
            Some((before, until)) if before >= usable => until,
            Some((_, until)) => until.min(fresh),
            None => fresh,
        };
        self.until = Some((usable, until));
        Some(until)
    }
}

/// What was answered so far.
#[derive(Default)]
struct Seeing {
    observations: Vec<Observation>,
    /// Each question, what it came to, and how many observations there were before and after it.
    answers: Vec<(Question, AnswerKind, Range<usize>)>,
}

impl Seeing {
    fn heard(&mut self, question: Question, lookup: Lookup) {
        let before = self.observations.len();
        let kind = lookup.answer.kind;
        self.observations.extend(lookup.observations);
        self.answers.push((question, kind, before..self.observations.len()));
    }
}

/// The plan leads somewhere: what is wrong with the other family, or with another host, stood in nobody's way. Nobody
/// waited for it longer than for what the plan needed.
fn spare(observations: &mut [Observation], answers: &[(Question, AnswerKind, Range<usize>)]) {
    let exists = |name: &str| {
        let has = |(q, kind, _): &(Question, AnswerKind, _)| {
            q.name == name && *kind == AnswerKind::Answer
        };
        answers.iter().any(has)
    };
    for (question, kind, seen) in answers {
        let of_host = question.kind != RecordType::Mx;
        // That a name does not exist which has an address of the other family is wrong (RFC 4074 section 4.2).
        let wrong =
            !kind.is_conclusive() || *kind == AnswerKind::NxDomain && exists(&question.name);
        if of_host && wrong {
            observations[seen.clone()].iter_mut().for_each(|o| o.effect = Effect::Cosmetic);
        }
    }
}

/// What failed of this question stood in the way. What else failed decided nothing.
fn block(
    observations: &mut [Observation],
    answers: &[(Question, AnswerKind, Range<usize>)],
    name: &str,
    kind: RecordType,
) {
    let of_it = |(q, ..): &&(Question, AnswerKind, _)| q.name == name && q.kind == kind;
    for (.., seen) in answers.iter().filter(of_it) {
        let told = observations[seen.clone()].iter_mut();
        told.filter(|o| o.effect == Effect::Degrading && decides(o))
            .for_each(|o| o.effect = Effect::Blocking);
    }
}

/// A failure of a server. Not what helps out past its TTL, nor what was asked only to see why a server is silent.
fn decides(observation: &Observation) -> bool {
    match &observation.seen {
        Seen::Answer(said) => !said.stale && said.edns != Edns::LeftOutToSee,
        _ => true,
    }
}

fn ask(resolver: &Resolver, question: Question) -> Task<'_, (Question, Lookup)> {
    let agreement = if question.confirm { Agreement::All } else { Agreement::First };
    Box::pin(async move {
        let lookup = resolver.ask(&question.name, question.kind, agreement).await;
        (question, lookup)
    })
}

fn finish(world: &World, planned: Planned, mut observations: Vec<Observation>) -> Found {
    let now = world.wall();
    observations.extend(planned.noted.into_iter().map(|n| n.observed(now)));
    observations.truncate(MAX_OBSERVATIONS - 1);
    if let Err(fault) = &planned.hops {
        let decided = observations.iter().rposition(|o| is_of(o, fault));
        if let (None, Fault::DnsFailed { name, kind, answer }) = (decided, fault) {
            observations.push(verdict(now, name, *kind, *answer));
        }
        if let Some(decisive) = decided.or(observations.len().checked_sub(1)) {
            observations[decisive].effect = Effect::Blocking;
        }
    }
    Found { hops: planned.hops, observations, missing: planned.missing }
}

/// The answer that a fault of DNS is about.
fn is_of(observation: &Observation, fault: &Fault) -> bool {
    match (&observation.subject, fault) {
        (Subject::Question { name, kind, .. }, Fault::DnsFailed { name: n, kind: k, answer }) => {
            let said = match &observation.seen {
                Seen::Answer(seen) => seen.kind == *answer,
                // Who did not answer is told apart from who answered well and led nowhere.
                _ => *answer == AnswerKind::Timeout,
            };
            name == n && kind == k && said && decides(observation)
        }
        _ => false,
    }
}

/// What the answers come to together, when no single one says it: a chain of aliases that does not end.
fn verdict(at: Timestamp, name: &str, kind: RecordType, answer: AnswerKind) -> Observation {
    Observation {
        at,
        took: Duration::ZERO,
        stage: stage_of(kind),
        subject: Subject::Question { server: None, name: name.to_owned(), kind },
        seen: Seen::Answer(Answer::empty(answer, Transport::Cache)),
        effect: Effect::Blocking,
    }
}

const fn stage_of(kind: RecordType) -> Stage {
    match kind {
        RecordType::Mx => Stage::DnsMx,
        _ => Stage::DnsAddr,
    }
}

/// A question that was not waited for any longer: it cost a moment at most.
fn unanswered(question: &Question, at: Timestamp, after: Duration) -> Observation {
    let stage = stage_of(question.kind);
    let (name, kind) = (question.name.clone(), question.kind);
    Observation {
        at,
        took: after,
        stage,
        subject: Subject::Question { server: None, name, kind },
        seen: Seen::TimedOut { after },
        effect: Effect::Degrading,
    }
}
