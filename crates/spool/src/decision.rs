//! The operator's decisions as data: what is wanted, and what the ledger keeps of it and of holds of mail to come.
//!
//! Not here: how a decision is carried out (`dispatch`), and what a filter means (`admin`).

use posthaste_evidence::{Act, Order};
use posthaste_mail::{QueueId, Timestamp};
use std::fmt;

/// An act on many messages: one ledger entry, carried out in slices, taken up again after a crash.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What is done.
    pub act: Act,
    /// To which messages.
    pub target: Target,
    /// Of a redirection: where to.
    pub to: Option<NewPlace>,
    /// Of a bounce: what the sender is told, at most 512 octets.
    pub text: Option<String>,
    /// Who wanted it, and why; with its own number.
    pub order: Order,
    /// When it was taken.
    pub at: Timestamp,
    /// The newest message that was in the queue then: later ones are not concerned.
    pub last: QueueId,
    /// Messages up to this one have been looked at.
    pub cursor: QueueId,
    /// Messages acted on.
    pub messages: u64,
    /// Recipients acted on.
    pub recipients: u64,
    /// Recipients that were in flight when their turn came: they are looked at again when their attempt has ended.
    pub in_flight: Vec<(QueueId, u32)>,
    /// How far it has come.
    pub stage: Stage,
    /// Why it does not go on, in words for the operator.
    pub fault: Option<String>,
    /// When it came to its stage.
    pub since: Timestamp,
}

/// Which messages a decision is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// These.
    Messages(Vec<QueueId>),
    /// Recipients that fit a filter, kept as it was written.
    Filter(String),
    /// Recipients at a destination of this name.
    Destination(String),
    /// Everybody.
    All,
}

/// Where a redirection sends mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NewPlace {
    /// To another address.
    Address(String),
    /// Over the route of this name, whatever the rules say.
    Route(String),
}

/// How far a decision has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// It is being carried out.
    Going,
    /// Every message has been looked at, and nothing is in flight any more.
    Done,
    /// The operator called it off.
    Cancelled,
    /// It cannot be carried out by this version: its filter has no meaning here. Kept for the operator to see.
    Stopped,
}

impl Stage {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Going => "going",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Stopped => "stopped",
        }
    }
}

/// Mail that is held when it comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hold {
    /// Which mail: [`Target::Filter`] or [`Target::Destination`].
    pub target: Target,
    /// Who wanted it, and why; with its own number.
    pub order: Order,
    /// Since when.
    pub at: Timestamp,
    /// Recipients it has held at their arrival; of a destination's hold always 0.
    pub caught: u64,
}

/// The most messages that one command names.
pub const MAX_NAMED: usize = 1000;
/// The longest reason, and the longest text to a sender, octets.
pub const MAX_WORDS: usize = 512;

/// What the operator wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Command {
    /// What is to be done.
    pub act: Act,
    /// To whom.
    pub which: Which,
    /// Of a redirection: where to.
    pub to: Option<NewPlace>,
    /// Of a bounce: what the sender is told besides.
    pub text: Option<String>,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// Whom a command is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// These messages, at most [`MAX_NAMED`].
    Messages(Vec<QueueId>),
    /// Recipients that fit a filter.
    Filter(String),
    /// Recipients at destinations of this name.
    Destination(String),
    /// Everybody.
    All,
    /// Of a release: what the hold of this number concerns.
    Hold(u64),
}

/// A command was not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderFault {
    /// The command itself is wrong; whoever gave it must correct it.
    #[error("{0}")]
    Wrong(String),
    /// There is no message or hold of that name.
    #[error("{0}")]
    NotHere(String),
    /// The queue cannot be changed now.
    #[error(
        "the queue cannot be changed now: the spool is still being read, is read-only, or the daemon stops"
    )]
    NotNow,
    /// The store has failed.
    #[error("the store has failed")]
    Store,
}

/// A decision and its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DecisionView {
    /// Its number.
    pub number: u64,
    /// How it stands.
    pub decision: Decision,
}

/// A hold of mail that is still to come, and its number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HoldView {
    /// Its number: that of the decision that made it.
    pub number: u64,
    /// What is held.
    pub hold: Hold,
    /// Why it does not work: its filter has no meaning for this version.
    pub fault: Option<String>,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(ids) if ids.len() > 3 => write!(f, "{} messages", ids.len()),
            Self::Messages(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                f.write_str(&ids.join(" "))
            }
            Self::Filter(filter) => f.write_str(filter),
            Self::Destination(name) => write!(f, "destination {name}"),
            Self::All => f.write_str("all"),
        }
    }
}
