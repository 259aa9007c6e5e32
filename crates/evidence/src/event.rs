//! What the event log records of a message: one line for each step of its life.

use crate::attempt::Outcome;
use crate::fault::Fault;
use posthaste_mail::{QueueId, Reply, Timestamp};
use std::net::SocketAddr;

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
    },
    /// A recipient's time is over.
    Expired {
        /// The forward-path.
        to: String,
    },
    /// A failure notice was made.
    Notice {
        /// The notice's own id.
        id: QueueId,
    },
    /// No notice was owed: the reverse-path is null, or NOTIFY said so.
    NoNotice,
    /// The operator acted.
    Operator {
        /// The forward-path, or `None` for all.
        to: Option<String>,
        /// The act's name.
        act: &'static str,
    },
    /// It was in hand during two crashes and is parked.
    Poison,
    /// All recipients reached their end; the message has left the spool.
    Done,
}
