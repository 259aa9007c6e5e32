//! What the resolver answers: the verdict on a question, and what each server said.

use posthaste_evidence::{Answer, AnswerKind, Observation, RecordType};
use std::time::Duration;

/// How many servers must be heard before a missing name or type is believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Agreement {
    /// The first conclusive answer of any server will do.
    First,
    /// A permanent failure hangs on it: when the answer is negative, every configured server is asked.
    All,
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
    /// How old the answer is when it came from the cache.
    pub age: Option<Duration>,
    /// One for each server asked, in the order of their answers; from the cache: one, without server.
    pub observations: Vec<Observation>,
}

impl Lookup {
    /// What it comes to.
    #[must_use]
    pub const fn verdict(&self) -> AnswerKind {
        self.answer.kind
    }
}
