//! One try to deliver, immutable: its observations in order and the outcome per recipient.

use crate::fault::Fault;
use crate::observation::Observation;
pub use posthaste_mail::ConnectionId;
use posthaste_mail::{QueueId, Reply, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

/// What a try came to for one recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The next hop took responsibility.
    Delivered,
    /// Not now; tried again later.
    Deferred,
    /// Never.
    Failed,
    /// The link, or our own process, died between the final dot and the durable settle:
    /// a second copy is possible (RFC 1047).
    Indeterminate,
    /// Thrown away by the operator's rule: nobody is told, but the event log.
    Discarded,
}

impl Outcome {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
            Self::Indeterminate => "indeterminate",
            Self::Discarded => "discarded",
        }
    }
}

/// What belongs to a connection and not to one message: DNS, connect, greeting, EHLO, TLS. Stored once.
#[derive(Clone, PartialEq, Debug)]
pub struct Connection {
    /// Its name.
    pub id: ConnectionId,
    /// The destination it was opened for.
    pub destination: String,
    /// The route chosen.
    pub route: String,
    /// When the work on it began.
    pub at: Timestamp,
    /// Until it stood or failed.
    pub took: Duration,
    /// The host's name; of a connection that failed, the one tried last; `None` when none was tried.
    pub host: Option<String>,
    /// That host's endpoint.
    pub peer: Option<SocketAddr>,
    /// Our end.
    pub local: Option<SocketAddr>,
    /// What was seen, in order, at most 256.
    pub observations: Vec<Observation>,
}

/// One transaction with one next hop, or the failure to come that far.
#[derive(Clone, PartialEq, Debug)]
pub struct Attempt {
    /// The message.
    pub message: QueueId,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The connection it used; `None` when no connection work was done.
    pub connection: Option<ConnectionId>,
    /// Per recipient.
    pub results: Vec<RecipientResult>,
    /// From MAIL on; what came before is the connection's.
    pub observations: Vec<Observation>,
}

/// What the attempt came to for one recipient.
#[derive(Clone, PartialEq, Debug)]
pub struct RecipientResult {
    /// Its number in the envelope.
    pub recipient: u32,
    /// What it came to.
    pub outcome: Outcome,
    /// The reply that decided, when a peer's did (text cut at 512 octets).
    pub reply: Option<Reply>,
    /// Why it was not delivered.
    pub fault: Option<Fault>,
}
