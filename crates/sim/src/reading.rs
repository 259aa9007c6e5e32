//! A store whose disk can be told not to answer reads; writes go through.

use posthaste_evidence::Event;
use posthaste_io::Task;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_spool::store::Quarantined;
use posthaste_spool::{
    Accepted, Health, History, LedgerKey, LedgerValue, Live, Lsn, NewMail, Page, ReadFault,
    Refused, SettleFault, Settlement, Spill, SpilledBody, Spool, Started, Stored, Tenure, Watcher,
};
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What reads of the store fail. Clones share it; all work at first.
#[derive(Clone, Default)]
pub struct Reading {
    faults: Arc<Faults>,
}

#[derive(Default)]
struct Faults {
    fetch: AtomicBool,
    envelopes: AtomicBool,
    ranges: AtomicBool,
}

/// A store behind such a disk.
pub(crate) struct Unread {
    pub(crate) store: Arc<dyn Spool>,
    pub(crate) reading: Reading,
}

impl Reading {
    /// Whole messages cannot be read, or can again.
    pub fn fail_fetch(&self, fail: bool) {
        self.faults.fetch.store(fail, Ordering::Relaxed);
    }

    /// Parts of spilled bodies cannot be read, or can again.
    pub fn fail_ranges(&self, fail: bool) {
        self.faults.ranges.store(fail, Ordering::Relaxed);
    }

    /// Neither messages nor their envelopes nor histories can be read, or can again.
    pub fn fail_all(&self, fail: bool) {
        self.fail_fetch(fail);
        self.fail_ranges(fail);
        self.faults.envelopes.store(fail, Ordering::Relaxed);
    }

    fn unless<'a, T: Send + 'a>(
        fails: &AtomicBool,
        work: Task<'a, Result<T, ReadFault>>,
    ) -> Task<'a, Result<T, ReadFault>> {
        if fails.load(Ordering::Relaxed) {
            return Box::pin(ready(Err(ReadFault::Disk("told not to answer".into()))));
        }
        work
    }
}

impl Spool for Unread {
    fn mint(&self, now: Timestamp) -> QueueId {
        self.store.mint(now)
    }

    fn accept(&self, mail: NewMail) -> Task<'static, Result<Accepted, Refused>> {
        self.store.accept(mail)
    }

    fn spill(&self, id: QueueId) -> Task<'_, Result<Box<dyn Spill>, Refused>> {
        self.store.spill(id)
    }

    fn discard(&self, body: SpilledBody) {
        self.store.discard(body);
    }

    fn started(&self, started: Started) {
        self.store.started(started);
    }

    fn settle(&self, settlement: Settlement) -> Task<'static, Result<Lsn, SettleFault>> {
        self.store.settle(settlement)
    }

    fn take(&self) -> Tenure {
        self.store.take()
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.store.watch(watcher);
    }

    fn live(&self, after: QueueId, limit: usize) -> Task<'_, Result<Page<Live>, ReadFault>> {
        self.store.live(after, limit)
    }

    fn find(&self, id: QueueId) -> Task<'_, Result<Option<Live>, ReadFault>> {
        Reading::unless(&self.reading.faults.envelopes, self.store.find(id))
    }

    fn fetch(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, ReadFault>> {
        Reading::unless(&self.reading.faults.fetch, self.store.fetch(id))
    }

    fn range(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<bytes::Bytes, ReadFault>> {
        Reading::unless(&self.reading.faults.ranges, self.store.range(body, offset, length))
    }

    fn history(&self, id: QueueId) -> Task<'_, Result<History, ReadFault>> {
        Reading::unless(&self.reading.faults.envelopes, self.store.history(id))
    }

    fn ledger(&self) -> Task<'_, Result<Vec<(LedgerKey, LedgerValue)>, ReadFault>> {
        self.store.ledger()
    }

    fn events_since(&self, commit: u64) -> Task<'_, Result<Vec<Event>, ReadFault>> {
        self.store.events_since(commit)
    }

    fn events_safe(&self, commit: u64) {
        self.store.events_safe(commit);
    }

    fn quarantined(&self) -> Vec<Quarantined> {
        self.store.quarantined()
    }

    fn list_damaged(&self, id: QueueId) {
        self.store.list_damaged(id);
    }

    fn health(&self) -> Health {
        self.store.health()
    }

    fn close(&self) -> Task<'_, ()> {
        self.store.close()
    }
}
