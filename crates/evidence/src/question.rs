//! What the DNS log records: one question put to servers, and what each of them answered.
//!
//! Data only. Questions that the cache answers are counted by the resolver and not recorded. Not here: who records
//! (`dns`), where it is written (`io::Journal`).

use crate::dns::{Answer, AnswerKind, RecordType};
use crate::observation::{Effect, Observation};
use posthaste_mail::Timestamp;
use std::net::SocketAddr;
use std::time::Duration;

/// Which questions are recorded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum KeepDns {
    /// Every one.
    All,
    /// Those that failed, and those in which a server failed or was passed by.
    Failed,
    /// None.
    #[default]
    Off,
}

/// What a question was put for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Somebody wants the answer.
    Answer,
    /// A missing name or type is to be confirmed by every server.
    Confirmation,
    /// To see whether a server is back.
    Health,
    /// A walk from the root, to the servers of a zone.
    Walk,
}

/// One question put to servers, whole.
#[derive(Clone, PartialEq, Debug)]
pub struct DnsQuestion {
    /// When it was put.
    pub at: Timestamp,
    /// Until it was decided.
    pub took: Duration,
    /// What for.
    pub purpose: Purpose,
    /// The name, in the resolver's form.
    pub name: String,
    /// The type.
    pub kind: RecordType,
    /// What it came to.
    pub answer: Answer,
    /// Whose answer that is; `None` for a failure without any server's word.
    pub by: Option<SocketAddr>,
    /// The servers failed, and those who asked get an answer past its time instead (RFC 8767).
    pub stale: bool,
    /// A trusted server says that it validated the answer.
    pub secure: bool,
    /// How many waited for it.
    pub askers: u32,
    /// One for each server asked.
    pub observations: Vec<Observation>,
}

impl KeepDns {
    /// Whether anything must be recorded at all.
    #[must_use]
    pub const fn records(self) -> bool {
        !matches!(self, Self::Off)
    }

    /// Whether a question that came to this is kept.
    #[must_use]
    pub fn keeps(self, verdict: AnswerKind, observations: &[Observation]) -> bool {
        match self {
            Self::All => true,
            Self::Failed => {
                !verdict.is_conclusive() || observations.iter().any(|o| o.effect != Effect::None)
            }
            Self::Off => false,
        }
    }
}

impl Purpose {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Confirmation => "confirmation",
            Self::Health => "health",
            Self::Walk => "walk",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Seen, Stage, Subject};

    #[test]
    fn what_is_kept_follows_the_setting() {
        let observed = |effect| Observation {
            at: Timestamp::EPOCH,
            took: Duration::ZERO,
            stage: Stage::DnsMx,
            subject: Subject::Here,
            seen: Seen::Done,
            effect,
        };
        let (calm, failed) = ([observed(Effect::None)], [observed(Effect::Degrading)]);
        for (keep, expected) in [
            (KeepDns::All, [true, true, true]),
            (KeepDns::Failed, [false, true, true]),
            (KeepDns::Off, [false, false, false]),
        ] {
            let kept = [
                keep.keeps(AnswerKind::NxDomain, &calm),
                keep.keeps(AnswerKind::Answer, &failed),
                keep.keeps(AnswerKind::ServFail, &[]),
            ];
            assert_eq!((kept, keep.records()), (expected, keep != KeepDns::Off), "{keep:?}");
        }
        assert_eq!(KeepDns::default(), KeepDns::Off);
    }
}
