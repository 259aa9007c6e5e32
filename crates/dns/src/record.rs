//! What goes to the DNS log: one entry for each question put to servers. Nothing is put together unless it is kept.
//!
//! Not here: the form of the log (`io-tokio`), questions that the cache answers (counted by `resolver`).

use crate::cache::{Found, Key};
use crate::exchange::{Exchange, Heard};
use crate::settings::Settings;
use posthaste_evidence::{Answer, DnsQuestion, Effect, Observation, Purpose, Seen, Subject};
use posthaste_io::{Instant, World};
use posthaste_mail::Timestamp;

/// A question that was put to the servers of a resolver, and has been decided.
pub(crate) struct Decided<'a> {
    pub(crate) key: &'a Key,
    pub(crate) purpose: Purpose,
    pub(crate) at: Timestamp,
    pub(crate) began: Instant,
    pub(crate) found: &'a Found,
    /// An answer past its time was used in its stead.
    pub(crate) stale: bool,
    pub(crate) askers: usize,
}

impl Decided<'_> {
    /// Tells the log of it.
    pub(crate) fn record(self, world: &World, settings: &Settings) {
        let Found { answer, by, observations, .. } = self.found;
        if !world.journal.keeps_dns().keeps(answer.kind, observations) {
            return;
        }
        world.journal.append_dns(DnsQuestion {
            at: self.at,
            took: world.now() - self.began,
            purpose: self.purpose,
            name: self.key.0.clone(),
            kind: self.key.1,
            answer: answer.clone(),
            by: *by,
            stale: self.stale,
            secure: answer.authentic && by.is_some_and(|server| settings.trusts(server)),
            askers: u32::try_from(self.askers).unwrap_or(u32::MAX),
            observations: observations.clone(),
        });
    }
}

/// Tells the log of a question that one server was asked for its own sake.
pub(crate) fn exchange(
    world: &World,
    purpose: Purpose,
    exchange: &Exchange,
    began: Instant,
    heard: &Heard,
) {
    let (answer, keep) = (&heard.meaning.answer, world.journal.keeps_dns());
    if !keep.keeps(answer.kind, &[]) {
        return;
    }
    let took = world.now() - began;
    let (at, server) = (world.wall().minus(took), exchange.server.address);
    let observation = observed(exchange, answer.clone(), at, took);
    world.journal.append_dns(DnsQuestion {
        at,
        took,
        purpose,
        name: exchange.name.clone(),
        kind: exchange.kind,
        answer: answer.clone(),
        by: Some(server),
        stale: false,
        secure: false,
        askers: 0,
        observations: vec![observation],
    });
}

fn observed(
    exchange: &Exchange,
    answer: Answer,
    at: Timestamp,
    took: std::time::Duration,
) -> Observation {
    let server = Some(exchange.server.address);
    let effect = if answer.kind.is_conclusive() { Effect::None } else { Effect::Degrading };
    Observation {
        at,
        took,
        stage: crate::resolver::stage_of(exchange.kind),
        subject: Subject::Question { server, name: exchange.name.clone(), kind: exchange.kind },
        seen: Seen::Answer(answer),
        effect,
    }
}
