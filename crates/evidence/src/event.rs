//! What the event log records of a message: one line for each step of its life.

use crate::act::Order;
use crate::attempt::Outcome;
use crate::fault::Fault;
use crate::notice::{NoticeKind, Withheld};
use posthaste_mail::{ConnectionId, QueueId, Reply, Timestamp};
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;

/// The most of a subject that the event log has, octets.
pub const MAX_SUBJECT: usize = 256;

/// One line of the event log.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// When it happened.
    pub at: Timestamp,
    /// The spool commit that made it durable; 0 for events that have none. A restart uses it to write
    /// again exactly the lines that a crash took.
    pub commit: u64,
    /// The message.
    pub message: QueueId,
    /// What happened.
    pub kind: EventKind,
}

/// What can happen to a message.
#[derive(Clone, PartialEq, Debug)]
pub enum EventKind {
    /// It was accepted and is durable.
    Received {
        /// Reverse-path; empty for `<>`.
        from: String,
        /// Forward-paths.
        to: Vec<String>,
        /// Octets.
        size: u64,
        /// The client's address, or `None` when handed in locally.
        client: Option<std::net::IpAddr>,
        /// The listener's name.
        listener: String,
        /// `Message-ID:`.
        message_id: Option<String>,
        /// The session it came in.
        session: Option<ConnectionId>,
        /// `Subject:`, decoded and cut to [`MAX_SUBJECT`].
        subject: Option<String>,
        /// The authenticated user, or who handed it in on this machine.
        user: Option<String>,
        /// The message that an operator redirected into this one.
        redirected_from: Option<QueueId>,
    },
    /// One recipient's try ended.
    Tried {
        /// The forward-path.
        to: String,
        /// What it came to.
        outcome: Outcome,
        /// The host's name and endpoint, when one was reached.
        host: Option<(String, SocketAddr)>,
        /// The reply that decided.
        reply: Option<Reply>,
        /// Why it was not delivered.
        fault: Option<Fault>,
        /// When it is tried again.
        next: Option<Timestamp>,
        /// The session it was tried in.
        session: Option<ConnectionId>,
    },
    /// A recipient's time is over.
    Expired {
        /// The forward-path.
        to: String,
    },
    /// A notice was made.
    Notice {
        /// The notice's own id.
        id: QueueId,
        /// What it tells.
        kind: NoticeKind,
    },
    /// A bad end is told to nobody.
    NoNotice {
        /// Why; `None` where an older version stored no reason.
        why: Option<Withheld>,
    },
    /// The operator acted.
    Operator {
        /// The forward-path, or `None` for all.
        to: Option<String>,
        /// The act's name.
        act: &'static str,
        /// Who wanted it, and why; `None` where it was not recorded.
        order: Option<Arc<Order>>,
        /// The new message it goes on as.
        into: Option<QueueId>,
    },
    /// It was in hand during two crashes and is parked.
    Poison,
    /// All recipients reached their end; the message has left the spool.
    Done,
    /// A decision over many messages, or a hold of a destination: a line of its own, about no one message.
    Decision {
        /// What it is about, and how far it has come: `begun`, `resumed`, `done`, `cancelled`, `stopped`.
        state: &'static str,
        /// The act's name.
        act: &'static str,
        /// Which messages, as the operator wrote it.
        target: String,
        /// Who wanted it, and why; with its number.
        order: Arc<Order>,
        /// Messages acted on so far.
        messages: u64,
        /// Recipients acted on so far.
        recipients: u64,
    },
}

/// What tells an event from every other: commit, message, name (or act), recipient (or notice, or why
/// there is none).
pub type EventIdentity<'a> = (u64, QueueId, &'static str, Cow<'a, str>);

impl Event {
    /// The fields that are the same when the event is made again from the spool after a crash.
    #[must_use]
    pub fn identity(&self) -> EventIdentity<'_> {
        let detail = match &self.kind {
            EventKind::Tried { to, .. } | EventKind::Expired { to } => Cow::from(to.as_str()),
            EventKind::Operator { to, .. } => Cow::from(to.as_deref().unwrap_or("")),
            EventKind::Notice { id, .. } => Cow::from(id.to_string()),
            EventKind::NoNotice { why } => Cow::from(why.map_or("", Withheld::name)),
            EventKind::Received { .. } | EventKind::Poison | EventKind::Done => Cow::from(""),
            EventKind::Decision { order, .. } => {
                Cow::from(order.decision.unwrap_or_default().to_string())
            }
        };
        let name = match &self.kind {
            EventKind::Operator { act, .. } => act,
            EventKind::Decision { state, .. } => state,
            kind => kind.name(),
        };
        (self.commit, self.message, name, detail)
    }
}

impl EventKind {
    /// The name in the event log: a try is named by its outcome.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received { .. } => "received",
            Self::Tried { outcome, .. } => outcome.name(),
            Self::Expired { .. } => "expired",
            Self::Notice { .. } => "notice",
            Self::NoNotice { .. } => "no_notice",
            Self::Operator { .. } => "operator",
            Self::Poison => "poison",
            Self::Done => "done",
            Self::Decision { .. } => "decision",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_one_commit_are_told_apart() {
        let event = |message, kind| Event {
            at: Timestamp::EPOCH,
            commit: 7,
            message: QueueId::from_u64(message),
            kind,
        };
        let tried = |to: &str, outcome| EventKind::Tried {
            to: to.to_owned(),
            outcome,
            host: None,
            reply: None,
            fault: None,
            next: None,
            session: None,
        };
        let events = [
            event(1, tried("a@x", Outcome::Delivered)),
            event(1, tried("b@x", Outcome::Delivered)),
            event(1, tried("b@x", Outcome::Failed)),
            event(2, tried("b@x", Outcome::Failed)),
            event(2, EventKind::Operator { to: None, act: "remove", order: None, into: None }),
            event(2, EventKind::Notice { id: QueueId::from_u64(3), kind: NoticeKind::Failed }),
            event(2, EventKind::Notice { id: QueueId::from_u64(4), kind: NoticeKind::Failed }),
            event(2, EventKind::NoNotice { why: Some(Withheld::NotAsked) }),
            event(2, EventKind::NoNotice { why: Some(Withheld::StrangersRate) }),
            event(2, EventKind::Done),
        ];
        for (i, one) in events.iter().enumerate() {
            for (j, other) in events.iter().enumerate() {
                assert_eq!(one.identity() == other.identity(), i == j, "{i} {j}");
            }
            let later = Event { at: Timestamp::from_secs(9), ..one.clone() };
            assert_eq!(later.identity(), one.identity(), "time is no part of it");
        }
    }
}
