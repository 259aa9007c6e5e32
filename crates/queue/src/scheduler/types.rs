//! The words in which the scheduler is asked and answers.

use crate::ages::Ages;
use crate::life::{DestinationState, RecipientState, Transition};
use posthaste_evidence::{FaultClass, Outcome, WaitReason};
use posthaste_mail::{QueueId, Timestamp};
use std::net::SocketAddr;

/// A destination (next-hop domain and route), interned. Valid while it has mail, connections or an outage, and
/// for [`crate::Limits::forget_after`] after it was last named; never given to another one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DestinationId(pub(crate) u32);

/// Names one connection that the scheduler allowed; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TicketId(pub(crate) u64);

/// Leave to open one connection. It counts against the limits until `connection_ended` or `connection_failed`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectTicket {
    /// Its name.
    pub id: TicketId,
    /// For whom.
    pub destination: DestinationId,
    /// The one trial of a destination that is down: only one message is given until it stands.
    pub trial: bool,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Next {
    /// Open a connection.
    Connect(ConnectTicket),
    /// This connection was answered [`Pulled::Empty`] or [`Pulled::Later`]: it is to pull again now.
    Wake(TicketId),
}

/// A message to be queued.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The message.
    pub id: QueueId,
    /// When it was accepted.
    pub received: Timestamp,
    /// Octets.
    pub size: u64,
    /// It is one of our own notices: nobody is told of its delay, and it is given up sooner.
    pub notice: bool,
    /// Number in the envelope, destination and state; those that have ended are skipped.
    pub recipients: &'a [(u32, DestinationId, RecipientState)],
}

/// A message was not queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InsertError {
    /// The caller kept an id too long: name the destination again.
    #[error("the destination has been forgotten")]
    UnknownDestination,
    /// It is queued already.
    #[error("the message is queued already")]
    Duplicate,
}

/// What a connection is given to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pulled {
    /// This transaction; its recipients are in flight until `settle`, `put_back` or the end of the connection.
    Work(Work),
    /// Nothing is due. The connection may be kept: [`Next::Wake`] tells when there is.
    Empty,
    /// There is mail, but it is released at a bounded rate: [`Next::Wake`] tells at about this time.
    Later(Timestamp),
    /// The connection has served its number of messages or its time, or is needed elsewhere: end it.
    Enough,
}

/// One transaction to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Work {
    /// The message.
    pub message: QueueId,
    /// Its octets.
    pub size: u64,
    /// When it was accepted.
    pub received: Timestamp,
    /// When its time is over.
    pub expires: Timestamp,
    /// Number and state of its recipients, in order of number; never empty.
    pub recipients: Vec<(u32, RecipientState)>,
}

/// What came of a transaction for one recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tried {
    /// Its number in the envelope.
    pub recipient: u32,
    /// What it came to.
    pub outcome: Outcome,
    /// What the fault counts against; for Delivered it does not matter.
    pub class: FaultClass,
    /// When its sender is told, should it end badly by this: probes go into the cause. `None`: at once.
    pub tell_at: Option<Timestamp>,
}

/// Where a host stands for a new connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HostUse {
    /// It may be tried.
    Usable,
    /// It has all the connections it is allowed.
    Busy,
    /// It failed and rests.
    Down {
        /// Until its next trial.
        until: Timestamp,
    },
}

/// What went down, or stayed down, by a failure: ledger entries to be written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Down {
    /// The destination's new state; `None` when it is not down itself (other connections of it work, or its
    /// hosts are down and it waits for them).
    pub destination: Option<DestinationState>,
    /// Hosts and their new states.
    pub hosts: Vec<(SocketAddr, DestinationState)>,
}

/// What works again: ledger entries to be removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// The destination was down.
    pub destination: bool,
    /// The host was down.
    pub host: bool,
}

/// Something that was down and that nobody asks for any more: its ledger entry is to be removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Forgotten {
    /// A destination.
    Destination {
        /// Next-hop domain.
        name: String,
        /// Route.
        route: String,
    },
    /// A next-hop host.
    Host(SocketAddr),
}

/// A recipient's new state, to be stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Changed {
    /// The message.
    pub message: QueueId,
    /// The recipient's number in the envelope.
    pub recipient: u32,
    /// Its state and what it amounts to.
    pub transition: Transition,
    /// Of one whose time was over: whose will kept it until then, if anybody's.
    pub kept: Option<WaitReason>,
}

impl Changed {
    /// It was kept by nobody.
    #[must_use]
    pub const fn new(message: QueueId, recipient: u32, transition: Transition) -> Self {
        Self { message, recipient, transition, kept: None }
    }
}

/// Why a live recipient is not done yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    /// An attempt is under way.
    InFlight,
    /// It waits.
    Because {
        /// Why.
        reason: WaitReason,
        /// Until when, where a time is known.
        until: Option<Timestamp>,
    },
}

/// A destination for the queue viewer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DestinationView {
    /// Its id.
    pub id: DestinationId,
    /// Next-hop domain.
    pub name: String,
    /// Route.
    pub route: String,
    /// How it is.
    pub status: DestinationStatus,
    /// Messages with live recipients here.
    pub messages: u32,
    /// Live recipients.
    pub recipients: u32,
    /// Of them held or parked.
    pub held: u32,
    /// When its oldest message was accepted, waiting, held or in flight; `None` when there is none.
    pub oldest: Option<Timestamp>,
    /// When something is tried next; `None` when nothing waits for a time.
    pub next_attempt: Option<Timestamp>,
    /// Connections open or being opened.
    pub connections: u32,
    /// Its outage, its own or that of all its next hops.
    pub down: Option<DestinationState>,
    /// Messages by age, those held and in flight included.
    pub ages: Ages,
    /// Messages of which some recipient has failed before.
    pub deferred: u32,
    /// Messages that came, and that left it, in the last minute.
    pub last_minute: (u32, u32),
}

/// How a destination is; the names are those of the outside interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DestinationStatus {
    /// It has connections.
    Active,
    /// Mail is due and waits for a connection.
    Ready,
    /// Mail waits for its time, or the destination for its trial.
    Retry,
    /// All its mail is held or parked.
    Held,
    /// It has no mail.
    Idle,
    /// No route matches its mail.
    Unreachable,
}

impl DestinationStatus {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Ready => "ready",
            Self::Retry => "retry",
            Self::Held => "held",
            Self::Idle => "idle",
            Self::Unreachable => "unreachable",
        }
    }
}

/// A queued message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageView {
    /// The message.
    pub id: QueueId,
    /// When it was accepted.
    pub received: Timestamp,
    /// Octets.
    pub size: u64,
    /// Its live recipients, in order of number.
    pub recipients: Vec<RecipientView>,
}

/// A live recipient of a queued message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecipientView {
    /// Its number in the envelope.
    pub number: u32,
    /// Where it goes.
    pub destination: DestinationId,
    /// Its state.
    pub state: RecipientState,
    /// When its time is over.
    pub expires: Timestamp,
    /// When its next delay notice is due, should it wait so long (or, with [`crate::DelayRule::at_failure`], the next
    /// failure after this time). `None` when none is to come, and for our own notices.
    pub notice_at: Option<Timestamp>,
    /// Why it is not done yet.
    pub waiting: Waiting,
}
