//! What the operators' interface needs of the spool itself: what is damaged, and everything in it, to be carried
//! elsewhere.
//!
//! Not here: the queue as the dispatcher sees it (`desk`).

use crate::desk::DeskFault;
use posthaste_io::Task;
use posthaste_mail::QueueId;
use posthaste_spool::store::Quarantined;
use posthaste_spool::{Carried, LedgerEntry};
use std::path::PathBuf;

/// The spool of the running daemon.
pub trait Keeper: Send + Sync {
    /// Its folder.
    fn folder(&self) -> PathBuf;

    /// What cannot be read.
    fn quarantined(&self) -> Vec<Quarantined>;

    /// Live messages with their contents in order of id, after the one given, about `octets` of contents (one message
    /// at least).
    fn carried(&self, after: QueueId, octets: usize) -> Task<'_, Result<Cargo, DeskFault>>;

    /// The whole ledger.
    fn ledger(&self) -> Task<'_, Result<Vec<LedgerEntry>, DeskFault>>;

    /// Accepts what can be read of a quarantined place as new mail: all of it, or one message.
    fn restore(&self, wanted: Wanted) -> Task<'_, Result<Vec<Restored>, RestoreFault>>;
}

/// Some of the messages of a spool.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Cargo {
    /// Each with its content.
    pub messages: Vec<(Carried, Vec<u8>)>,
    /// Messages that could not be read.
    pub damaged: Vec<QueueId>,
    /// Go on after this one; `None` at the end.
    pub next: Option<QueueId>,
}

/// What is to be restored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wanted {
    /// The name of the quarantined place.
    pub name: String,
    /// Only this message of it.
    pub id: Option<QueueId>,
    /// Who asks, as the kernel says: `uid 1000`.
    pub by: Option<String>,
}

/// A message that was restored, or why it was not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Restored {
    /// Its id in the damaged place.
    pub id: QueueId,
    /// Its new id; `None` when it was not restored.
    pub new: Option<QueueId>,
    /// Why it was not, in words.
    pub why_not: Option<String>,
}

/// Nothing was restored.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestoreFault {
    /// There is no such place or message. The operator must name another.
    #[error("{0}")]
    NotFound(String),
    /// It could not be read, or the store did not accept it. The operator must look at the disk.
    #[error("{0}")]
    Failed(String),
}
