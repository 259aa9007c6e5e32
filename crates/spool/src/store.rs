//! The trait of a store. One conformance suite (`conformance`) holds every implementation to it.

use crate::LedgerKey;
use crate::model::{
    History, LedgerEntry, LedgerValue, Live, Lsn, NewMail, Page, Settlement, SpilledBody, Started,
    Stored, Tenure,
};
use bytes::Bytes;
use posthaste_evidence::Event;
use posthaste_io::Task;
use posthaste_mail::{QueueId, Timestamp};
use std::sync::Arc;

/// A durable store of messages and their recipients' states.
///
/// Calls that change something take effect in the order in which they are *called*, not polled: a returned
/// future only waits for durability and may be dropped.
pub trait Spool: Send + Sync {
    /// A new id, greater than every id this store has ever given or holds.
    fn mint(&self, now: Timestamp) -> QueueId;

    /// Makes a message durable. `Ok` means that it survives a power cut.
    fn accept(&self, mail: NewMail) -> Task<'static, Result<Accepted, Refused>>;

    /// Starts a file for a body that is too large for a commit, or for the memory there is.
    fn spill(&self, id: QueueId) -> Task<'_, Result<Box<dyn Spill>, Refused>>;

    /// Removes a content that was written by [`Spool::spill`] and that no message will name after all. Never of one
    /// that was given to [`Spool::accept`] or [`Spool::settle`].
    fn discard(&self, body: SpilledBody);

    /// Notes that a transaction begins. Rides along with the next commit; nobody waits for it.
    fn started(&self, started: Started);

    /// Applies a settlement whole. `Ok` means durable. Does not wake the log: waits at most a few milliseconds
    /// for company.
    fn settle(&self, settlement: Settlement) -> Task<'static, Result<Lsn, SettleFault>>;

    /// Takes ownership; the local store answers its only shard.
    fn take(&self) -> Tenure;

    /// Registers who is told of accepted mail (once, before any is accepted).
    fn watch(&self, watcher: Arc<dyn Watcher>);

    /// Live messages in order of id, after `after`, at most `limit` (and at most a megabyte of records).
    fn live(&self, after: QueueId, limit: usize) -> Task<'_, Result<Page<Live>, ReadFault>>;

    /// One live message's envelope and states.
    fn find(&self, id: QueueId) -> Task<'_, Result<Option<Live>, ReadFault>>;

    /// A live message with its content, to deliver or export.
    fn fetch(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, ReadFault>>;

    /// Part of a spilled body; shorter only at its end. `length` at most 1 MiB.
    fn range(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<Bytes, ReadFault>>;

    /// What is remembered of a live message's attempts.
    fn history(&self, id: QueueId) -> Task<'_, Result<History, ReadFault>>;

    /// The whole ledger, in order of key.
    fn ledger(&self) -> Task<'_, Result<Vec<(LedgerKey, LedgerValue)>, ReadFault>>;

    /// The events of commits after `commit` that the store still holds, in order: what a crash may have taken
    /// from the event log.
    fn events_since(&self, commit: u64) -> Task<'_, Result<Vec<Event>, ReadFault>>;

    /// The event log is safe up to this commit: older records need not be kept for it.
    fn events_safe(&self, commit: u64);

    /// Records that could not be read, and what was done about them.
    fn quarantined(&self) -> Vec<Quarantined>;

    /// Who read the content of a live message found that it is not what was accepted: it is listed. A store that
    /// cannot be damaged has nothing to do.
    fn list_damaged(&self, _id: QueueId) {}

    /// How it is.
    fn health(&self) -> Health;

    /// Commits all that waits, then refuses everything. Ready when durable.
    fn close(&self) -> Task<'_, ()>;
}

/// Writes a large body to a file of its own. Dropped before `finish`, it leaves nothing behind.
pub trait Spill: Send {
    /// Adds to the end.
    fn write(&mut self, chunk: Bytes) -> Task<'_, Result<(), Refused>>;
    /// Makes it durable under its final name; the commit that names it must follow.
    fn finish(self: Box<Self>) -> Task<'static, Result<SpilledBody, Refused>>;
}

/// Who is told of accepted mail: the scheduler's side of the hand-over.
pub trait Watcher: Send + Sync {
    /// A commit made these durable. Called in order of commits, before the `accept` calls are answered;
    /// notices of settlements are among them.
    fn accepted(&self, commit: Lsn, mails: Vec<Arc<NewMail>>);
    /// A commit with this settlement is durable.
    fn settled(&self, commit: Lsn, settlement: &Settlement);
    /// The store has failed for good (design: spool rule 4): the process must end and start again.
    fn failed(&self);
}

/// A message is durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// In this commit.
    pub commit: Lsn,
}

/// Mail cannot be accepted now; the client is told to come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The disk is full up to the reserve. The operator must make room.
    #[error("the disk is full up to the reserve")]
    Full,
    /// The store is read-only, closing or has failed. The operator must look at the log.
    #[error("the store does not accept mail now")]
    Unhealthy,
    /// The message is larger than a store can hold. The sender must send less.
    #[error("the message is too large for the store")]
    TooBig,
}

/// A settlement was not applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettleFault {
    /// Somebody else owns the shard now.
    #[error("the shard has another owner")]
    Fenced,
    /// The store has failed, or is closed.
    #[error("the store has failed")]
    StoreFault,
}

/// Something could not be read. What is damaged is quarantined and listed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ReadFault {
    /// The record is damaged.
    #[error("the record of {0} is damaged")]
    Damaged(QueueId),
    /// The disk does not answer.
    #[error("the disk does not answer: {0}")]
    Disk(String),
}

/// A part of the store that could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quarantined {
    /// Where: file and offset.
    pub place: String,
    /// Octets.
    pub size: u64,
    /// What was wrong.
    pub what: &'static str,
}

/// How a store is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// Live messages.
    pub messages: u64,
    /// Octets of live records, and of bodies in files of their own.
    pub live_octets: u64,
    /// Octets on disk, those bodies included.
    pub disk_octets: u64,
    /// Octets that may still be written.
    pub free_octets: u64,
    /// Commits since the start.
    pub commits: u64,
    /// It accepts mail.
    pub accepting: bool,
    /// It is filled up to the reserve, and does not accept mail for that.
    pub full: bool,
    /// It came up read-only after repeated failures.
    pub read_only: bool,
    /// Damaged places found.
    pub quarantined: u64,
}

/// A ledger entry that forgets a key.
#[must_use]
pub const fn forget(key: LedgerKey) -> LedgerEntry {
    LedgerEntry { key, value: None }
}
