//! What the ledger keeps of the operator's decisions over many messages, and of holds of mail still to come.
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
    /// Of a removal: failure notices are made where they are owed.
    pub notice: bool,
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
