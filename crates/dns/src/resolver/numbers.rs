//! What a resolver has counted since it was made.

use posthaste_evidence::{Answer, AnswerKind};

/// Counts of questions. What the servers did with them is told by [`crate::ServerHealth`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Numbers {
    /// Questions asked of the resolver; each alias that is followed asks another one.
    pub asked: u64,
    /// Those answered by the cache, within the TTL.
    pub kept: u64,
    /// Those that joined the same question of another asker, already under way.
    pub joined: u64,
    /// Those answered past the TTL, because the servers failed or were slow.
    pub stale: u64,
    /// Questions put to the servers.
    pub put: u64,
    /// Of these, ended with records.
    pub positive: u64,
    /// Of these, ended with the word that the name or the type is missing.
    pub negative: u64,
    /// Of these, ended without an answer.
    pub failed: u64,
    /// Of these, answered by a server of the fallback list.
    pub fallback: u64,
    /// Answers dropped from the cache for want of room.
    pub evicted: u64,
}

impl Numbers {
    /// A question that was put has ended.
    pub(super) const fn count(&mut self, answer: &Answer) {
        match answer.kind {
            AnswerKind::Answer => self.positive += 1,
            AnswerKind::NoData | AnswerKind::NxDomain => self.negative += 1,
            _ => self.failed += 1,
        }
        if answer.fallback {
            self.fallback += 1;
        }
    }
}
