//! Why we could not log in at a next hop (RFC 4954), and why the secret for it was not to be had.
//!
//! Nobody's message is at fault here: mail waits until the operator has corrected it.

use crate::observation::Stage;
use posthaste_mail::{EnhancedStatus, Reply};

/// Its cause in the catalogue.
pub const CAUSE: &str = "route.smarthost-auth";

/// Why we could not log in, or were not let in without.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginFault {
    /// The host refuses our user name, our secret or the mechanism for good.
    Refused {
        /// Its words.
        reply: Reply,
    },
    /// The host wants us to log in (RFC 4954 section 6: 530), and no `auth` is configured, or it was not enough.
    Wanted {
        /// Where in the dialogue it said so.
        stage: Stage,
        /// Its words.
        reply: Reply,
    },
    /// The host offers no mechanism that is allowed, or none at all.
    NoCommonMechanism,
    /// The connection is not encrypted, and nobody allowed to log in all the same.
    NeedsTls,
    /// The secret was not to be had.
    Secret(SecretFault),
    /// The host could not prove that it knows our password's keys (RFC 5802 section 3): it may be somebody else.
    ServerUnproven,
    /// What the host sent within the exchange follows no rule.
    Exchange,
}

/// Why the secret was not to be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretFault {
    /// The file cannot be read: the error of the operating system, by number.
    Unreadable(i32),
    /// There is nothing in it.
    Empty,
    /// It is longer than any secret may be.
    TooLong,
    /// It has octets that cannot be sent (NUL), or is no text.
    Unsuitable,
    /// The variable was not set when the daemon started.
    Unset,
    /// The command cannot be run: the error of the operating system, by number.
    NotRun(i32),
    /// The command failed, with this exit status; with a negative one a signal ended it.
    Failed(i32),
    /// The command did not end in time.
    TimedOut,
}

impl SecretFault {
    /// The name in the event log, and the number that belongs to it, where one does.
    #[must_use]
    pub const fn name(self) -> (&'static str, Option<i32>) {
        match self {
            Self::Unreadable(error) => ("unreadable", Some(error)),
            Self::Empty => ("empty", None),
            Self::TooLong => ("too_long", None),
            Self::Unsuitable => ("unsuitable", None),
            Self::Unset => ("unset", None),
            Self::NotRun(error) => ("not_run", Some(error)),
            Self::Failed(status) => ("failed", Some(status)),
            Self::TimedOut => ("timed_out", None),
        }
    }

    /// By its name, and its number or 0.
    #[must_use]
    pub fn named(name: &str, number: i32) -> Option<Self> {
        let all = [
            Self::Unreadable(number),
            Self::Empty,
            Self::TooLong,
            Self::Unsuitable,
            Self::Unset,
            Self::NotRun(number),
            Self::Failed(number),
            Self::TimedOut,
        ];
        all.into_iter().find(|fault| fault.name().0 == name)
    }
}

impl LoginFault {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "credentials_refused",
            Self::Wanted { .. } => "credentials_missing",
            Self::NoCommonMechanism => "no_common_mechanism",
            Self::NeedsTls => "auth_needs_tls",
            Self::Secret(_) => "secret_unavailable",
            Self::ServerUnproven => "server_unproven",
            Self::Exchange => "auth_exchange_broken",
        }
    }

    /// The enhanced status of a notice (RFC 4954 section 6; RFC 3463 section 3.4 for what is wrong here): always temporary.
    #[must_use]
    pub const fn status(&self) -> EnhancedStatus {
        match self {
            Self::Refused { .. } => EnhancedStatus::new(4, 7, 8),
            Self::Wanted { .. } | Self::NoCommonMechanism => EnhancedStatus::new(4, 7, 0),
            Self::NeedsTls => EnhancedStatus::new(4, 7, 11),
            Self::Secret(_) => EnhancedStatus::new(4, 3, 5),
            Self::ServerUnproven | Self::Exchange => EnhancedStatus::new(4, 7, 5),
        }
    }

    /// Where in the attempt it happened.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Wanted { stage, .. } => *stage,
            _ => Stage::Auth,
        }
    }

    /// The host's words, where it had any.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Refused { reply } | Self::Wanted { reply, .. } => Some(reply),
            _ => None,
        }
    }
}
