//! What a store keeps, as plain data.

use bytes::Bytes;
use posthaste_evidence::{Act, Attempt, Connection, NoticeKind, Order, Withheld};
use posthaste_mail::{Body, Envelope, QueueId, Timestamp};
use posthaste_queue::{DestinationState, RecipientState};
use std::net::SocketAddr;
use std::sync::Arc;

/// The number of a commit: grows by at least one with each, never reused within a spool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lsn(pub u64);

/// Ownership of a shard of the spool, fenced by an epoch. The local store has one shard; its epoch is the
/// number of opens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tenure {
    /// Which shard.
    pub shard: u16,
    /// Whose turn: a settlement with an older epoch is refused.
    pub epoch: u64,
}

/// The content of a message.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory, goes into the commit itself; at most [`INLINE_LIMIT`] octets.
    Inline(Body),
    /// Already written and synced to a file of its own; the commit names it.
    Spilled(SpilledBody),
}

/// The largest body that goes into a commit, octets (design: spool rule 6).
pub const INLINE_LIMIT: usize = 256 * 1024;

/// A body in a file of its own, made by [`crate::Spill::finish`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpilledBody {
    /// The message it belongs to.
    pub id: QueueId,
    /// Octets in all, those of [`Self::head`] included.
    pub size: u64,
    /// What stands before the octets of the file: what is known only when the last of them has come, such as a
    /// signature. Small; it goes into the commit.
    pub head: Bytes,
}

impl SpilledBody {
    /// A body that is all in its file.
    #[must_use]
    pub const fn new(id: QueueId, size: u64) -> Self {
        Self { id, size, head: Bytes::new() }
    }

    /// Octets in the file.
    #[must_use]
    pub const fn in_file(&self) -> u64 {
        self.size - self.head.len() as u64
    }

    /// Puts octets in front of all others; only before the body is given to a store.
    pub fn prepend(&mut self, octets: &[u8]) {
        self.size += octets.len() as u64;
        self.head = [octets, &self.head].concat().into();
    }

    /// Of a range that begins at `offset`, the octets that are in the head, and where the rest begins in the file.
    #[must_use]
    pub fn split(&self, offset: u64, length: usize) -> (Bytes, u64) {
        let head = self.head.len();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(head);
        let to = from.saturating_add(length).min(head);
        (self.head.slice(from..to), offset.saturating_sub(head as u64))
    }
}

/// A message to accept.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// Its envelope; the id was minted by this store.
    pub envelope: Envelope,
    /// Its content, trace header first.
    pub content: Content,
    /// The states of its recipients, in the envelope's order; usually all due at once.
    pub states: Vec<RecipientState>,
}

/// A live message as the store has it: no content, no attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its envelope.
    pub envelope: Envelope,
    /// The states of its recipients, in the envelope's order, ended ones included.
    pub states: Vec<RecipientState>,
    /// Recipients that were in hand (`Started` without a settlement after it) when the store was opened.
    pub in_hand: Vec<u32>,
    /// The peer of that transaction.
    pub in_hand_with: Option<SocketAddr>,
}

/// A message to deliver.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// Its content; a spilled one is read in ranges with [`crate::Spool::range`].
    pub content: Content,
}

/// A transaction has begun: were the process to die now, its outcome would be unknown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Started {
    /// The message.
    pub message: QueueId,
    /// The recipients in the transaction.
    pub recipients: Vec<u32>,
    /// With whom.
    pub peer: Option<SocketAddr>,
}

/// A recipient's new state. A message whose every recipient has ended leaves the store in the same commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Change {
    /// The message.
    pub message: QueueId,
    /// The recipient's number in the envelope.
    pub recipient: u32,
    /// Its state from now on.
    pub state: RecipientState,
}

impl Change {
    /// Takes the new state. An end is final: what was decided before it, and comes late, changes nothing.
    pub const fn apply_to(state: &mut RecipientState, new: RecipientState) {
        if state.life.is_live() || !new.life.is_live() {
            *state = new;
        }
    }
}

/// What one or more attempts came to: applied whole, in one commit.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Who settles.
    pub tenure: Tenure,
    /// When it was decided: the time of its events, but for those of attempts.
    pub at: Timestamp,
    /// Connections that attempts name, each given once.
    pub connections: Vec<Connection>,
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// The new states.
    pub changes: Vec<Change>,
    /// Notices that the new states owe.
    pub notices: Vec<Notice>,
    /// Messages of whose recipients' new states nobody is told, and why: one entry for each reason.
    pub withheld: Vec<(QueueId, Withheld)>,
    /// Facts that are no message's.
    pub ledger: Vec<LedgerEntry>,
    /// What the operator did to whom, so that the event log can tell; the new states are among the changes.
    pub acts: Vec<Acted>,
}

/// One act of the operator on one recipient.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acted {
    /// The message.
    pub message: QueueId,
    /// The recipient's number in the envelope.
    pub recipient: u32,
    /// What was done.
    pub act: Act,
    /// Who wanted it, and why.
    pub order: Arc<Order>,
    /// The new message it goes on as, which is among the notices.
    pub into: Option<QueueId>,
}

/// A new message that a settlement causes, and what it tells of, so that the event log can join the two: a notice,
/// or a redirected message (which an [`Acted`] names).
#[derive(Clone, Debug)]
pub struct Notice {
    /// The message it is about.
    pub about: QueueId,
    /// What it tells; `None` for a redirected message.
    pub kind: Option<NoticeKind>,
    /// The notice itself.
    pub mail: NewMail,
}

/// A small durable fact; `None` forgets it.
#[derive(Clone, PartialEq, Debug)]
pub struct LedgerEntry {
    /// What about.
    pub key: LedgerKey,
    /// What.
    pub value: Option<LedgerValue>,
}

/// What a ledger entry is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum LedgerKey {
    /// A destination, by its name (next-hop domain and route).
    Destination(String),
    /// A next-hop host shared by destinations, by its endpoint.
    NextHop(SocketAddr),
    /// A decision of the operator over many messages, by its number.
    Decision(u64),
    /// A hold that concerns mail that is still to come, by its number (out of those of decisions).
    Hold(u64),
    /// A domain that DNS says is missing, by its name.
    Missing(String),
    /// Domains that mail was delivered to, by the part they are in ([`posthaste_queue::delivered`]).
    Delivered(u16),
}

/// What the ledger says.
#[derive(Clone, PartialEq, Debug)]
pub enum LedgerValue {
    /// It is down.
    Down {
        /// Since when, and when the next trial is due.
        state: DestinationState,
        /// Connections that failed, oldest first, at most [`KEPT_ATTEMPTS`].
        failures: Vec<Connection>,
    },
    /// How far a decision has come.
    Decision(Box<crate::Decision>),
    /// What is held.
    Hold(crate::Hold),
    /// What was said of it, and when.
    Missing(posthaste_queue::Claim),
    /// Which, and when.
    Delivered(posthaste_queue::delivered::Part),
}

/// Attempts (or failed connections) remembered per message and per destination (design: spool rules 9 and 10). When there
/// were more, those in the middle of what was alike are forgotten: see [`crate::thin`].
pub const KEPT_ATTEMPTS: usize = 20;

/// The attempts of one message that are still remembered, oldest first, and their connections.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct History {
    /// At most [`KEPT_ATTEMPTS`].
    pub attempts: Vec<Attempt>,
    /// The connections they name, as far as they are remembered.
    pub connections: Vec<Connection>,
}

/// Part of a listing.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// In order of id.
    pub items: Vec<T>,
    /// Go on after this id; `None` at the end.
    pub next: Option<QueueId>,
}

/// A range of a body, in order.
pub type Chunk = Bytes;
