//! The way from alias to alias, gathered into one look-up.
//!
//! Not here: finding the answers (`resolver`).

use super::{STALE_AFTER, observation, stage_of};
use crate::cache::Found;
use crate::lookup::{Lookup, Origin};
use crate::meaning::{MAX_ALIASES, MAX_RECORDS};
use crate::settings::Settings;
use posthaste_evidence::{
    Answer, AnswerKind, Effect, Observation, RecordType, Seen, Subject, Transport,
};
use posthaste_mail::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// The TTL of an answer past its time, seconds (RFC 8767 section 4).
pub(super) const STALE_TTL: u32 = 30;

/// What one question came to, and from where.
pub(super) struct Heard {
    pub(super) found: Arc<Found>,
    pub(super) source: Source,
}

/// From where an answer came.
pub(super) enum Source {
    Servers,
    Kept {
        age: Duration,
    },
    Stale {
        age: Duration,
        /// What the servers said; `None` when they had not said anything in time.
        instead: Option<Arc<Found>>,
    },
}

/// The way from alias to alias.
pub(super) struct Trail {
    pub(super) lookup: Lookup,
    aliases: usize,
}

impl Trail {
    pub(super) fn new(name: String, kind: RecordType) -> Self {
        let lookup = Lookup {
            name,
            kind,
            answer: Answer::empty(AnswerKind::Timeout, Transport::Udp),
            permanent: false,
            secure: false,
            origin: Origin::Cache,
            age: None,
            observations: Vec::new(),
        };
        Self { lookup, aliases: 0 }
    }

    /// Adds what was found; answers the name to ask for next.
    pub(super) fn add(
        &mut self,
        heard: &Heard,
        settings: &Settings,
        now: Timestamp,
    ) -> Option<String> {
        let found = &*heard.found;
        self.observe(heard, now);
        let first = self.aliases == 0;
        let before = &self.lookup.answer;
        let stale = matches!(heard.source, Source::Stale { .. });
        let ttl = if stale { STALE_TTL } else { found.answer.ttl };
        self.lookup.answer = Answer {
            ttl: if first { ttl } else { ttl.min(before.ttl) },
            authentic: found.answer.authentic && (first || before.authentic),
            stale: stale || before.stale,
            records: match first {
                true => found.answer.records.clone(),
                false => {
                    let both = before.records.iter().chain(&found.answer.records);
                    both.take(MAX_RECORDS).cloned().collect()
                }
            },
            ..found.answer.clone()
        };
        let trusted = found.answer.authentic && found.by.is_some_and(|by| settings.trusts(by));
        self.lookup.secure = trusted && !stale && (first || self.lookup.secure);
        self.lookup.origin = self.lookup.origin.max(origin(heard));
        let age = match heard.source {
            Source::Servers => None,
            Source::Kept { age } | Source::Stale { age, .. } => Some(age),
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

    /// It did not end well.
    pub(super) const fn fail(&mut self, kind: AnswerKind) {
        self.lookup.answer.kind = kind;
        self.lookup.permanent = false;
        self.lookup.secure = false;
    }

    /// The time for the whole of it is over: what is still under way is not told server by server.
    pub(super) fn run_out(&mut self, after: Duration, now: Timestamp) {
        self.fail(AnswerKind::Timeout);
        let (name, kind) = (self.lookup.name.clone(), self.lookup.kind);
        self.lookup.observations.push(Observation {
            at: now.minus(after),
            took: after,
            stage: stage_of(kind),
            subject: Subject::Question { server: None, name, kind },
            seen: Seen::TimedOut { after },
            effect: Effect::Degrading,
        });
    }

    fn observe(&mut self, heard: &Heard, now: Timestamp) {
        let name = || self.asked(&heard.found);
        let subject = || Subject::Question { server: None, name: name(), kind: self.lookup.kind };
        let mut told: Vec<Observation> = match &heard.source {
            Source::Servers => heard.found.observations.clone(),
            Source::Kept { .. } => Vec::new(),
            Source::Stale { instead: Some(failed), .. } => failed.observations.clone(),
            Source::Stale { instead: None, .. } => vec![Observation {
                at: now.minus(STALE_AFTER),
                took: STALE_AFTER,
                stage: stage_of(self.lookup.kind),
                subject: subject(),
                seen: Seen::TimedOut { after: STALE_AFTER },
                effect: Effect::Degrading,
            }],
        };
        let (age, stale) = match heard.source {
            Source::Servers => (None, false),
            Source::Kept { age } => (Some(age), false),
            Source::Stale { age, .. } => (Some(age), true),
        };
        if let Some(age) = age {
            let mut answer = heard.found.answer.clone();
            let passed = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
            answer.ttl = if stale { STALE_TTL } else { answer.ttl.saturating_sub(passed) };
            (answer.transport, answer.stale) = (Transport::Cache, stale);
            told.push(observation(subject(), answer, now, Duration::ZERO));
        }
        match self.lookup.observations.is_empty() {
            true => self.lookup.observations = told,
            false => self.lookup.observations.append(&mut told),
        }
    }

    /// The name that was asked for: the first one, or an alias.
    fn asked(&self, found: &Found) -> String {
        let asked = found.observations.iter().find_map(|o| match &o.subject {
            Subject::Question { name, .. } => Some(name),
            _ => None,
        });
        asked.unwrap_or(&self.lookup.name).clone()
    }

    fn is_circle(&mut self, next: &str) -> bool {
        self.aliases += 1;
        let records = &self.lookup.answer.records;
        self.aliases > MAX_ALIASES
            || records.len() > MAX_ALIASES
            || records.iter().any(|r| r.name == next)
    }
}

fn origin(heard: &Heard) -> Origin {
    match heard.source {
        Source::Kept { .. } => Origin::Cache,
        Source::Stale { .. } => Origin::Stale,
        Source::Servers if heard.found.answer.fallback => Origin::Fallback,
        Source::Servers => Origin::Network,
    }
}

/// A name that cannot be put into a question.
pub(super) fn impossible(name: &str, kind: RecordType) -> Lookup {
    Lookup {
        name: name.to_lowercase(),
        kind,
        answer: Answer::empty(AnswerKind::NxDomain, Transport::Cache),
        permanent: true,
        secure: false,
        origin: Origin::Nobody,
        age: None,
        observations: Vec::new(),
    }
}
