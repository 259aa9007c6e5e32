//! What the resolver answers: the verdict on a question, and what each server said.

use posthaste_evidence::{Answer, AnswerKind, Edns, Observation, RecordType, Seen};
use std::time::Duration;

/// How many servers must be heard before a missing name or type is believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Agreement {
    /// The first conclusive answer of any server will do.
    First,
    /// A permanent failure hangs on it: when the answer is negative, every configured server is asked.
    All,
}

/// Where an answer came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// The cache, within its TTL.
    Cache,
    /// Servers were asked.
    Network,
    /// Servers were asked, and only one of the fallback list answered.
    Fallback,
    /// The cache, past its TTL, because the servers fail or are slow (RFC 8767).
    Stale,
    /// Nobody was asked: DNS cannot hold such a name, or the hosts file has it.
    Nobody,
}

/// The verdict on one question.
#[derive(Clone, PartialEq, Debug)]
pub struct Lookup {
    /// The name asked for, as an A-label in lower case, without final dot.
    pub name: String,
    /// The type asked for.
    pub kind: RecordType,
    /// What it comes to: the conclusive answer, or the best that any server said. Its records begin with
    /// the aliases that were followed.
    pub answer: Answer,
    /// The answer is negative, and every configured server says the same. Never true of failures.
    pub permanent: bool,
    /// Every answer on the way, from alias to alias, was validated by a server that is trusted to say so (AD from
    /// loopback or a server marked as trusted, RFC 6698 section 10.1). What an untrusted server claims is told by
    /// [`Answer::authentic`] in its observation only. Never true of an answer past its TTL.
    pub secure: bool,
    /// Where the answer came from; with aliases: the one furthest from a fresh answer of the first servers.
    pub origin: Origin,
    /// How old the answer is when it came from the cache.
    pub age: Option<Duration>,
    /// One for each server asked, in the order of their answers; from the cache: one, without server. Beside a
    /// stale answer also what the servers said instead.
    pub observations: Vec<Observation>,
}

impl Lookup {
    /// What it comes to.
    #[must_use]
    pub const fn verdict(&self) -> AnswerKind {
        self.answer.kind
    }

    /// What the servers say now, when the answer is past its TTL: the most telling failure of any, and a timeout when
    /// they have not said anything.
    #[must_use]
    pub fn instead(&self) -> AnswerKind {
        let failed = self.observations.iter().filter_map(|o| match &o.seen {
            Seen::Answer(said) if !said.stale && said.edns != Edns::LeftOutToSee => Some(said.kind),
            _ => None,
        });
        let failed = failed.filter(|kind| !kind.is_conclusive());
        failed.max_by_key(|kind| kind.telling()).unwrap_or(AnswerKind::Timeout)
    }
}
