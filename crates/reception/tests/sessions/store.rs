//! A store whose commits can be held back, as a disk may do: what is not durable yet must not be acknowledged.

use bytes::Bytes;
use posthaste_evidence::Event;
use posthaste_io::Task;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_spool::memory::MemorySpool;
use posthaste_spool::store::Quarantined;
use posthaste_spool::{
    Accepted, Content, Health, History, LedgerKey, LedgerValue, Live, Lsn, NewMail, Page,
    ReadFault, Refused, SettleFault, Settlement, Spill, SpilledBody, Spool, Started, Stored,
    Tenure, Watcher,
};
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

#[derive(Default)]
pub(crate) struct SlowStore {
    pub(crate) inner: MemorySpool,
    gate: Arc<Mutex<Gate>>,
}

#[derive(Default)]
struct Gate {
    shut: bool,
    /// So many may pass although it is shut.
    passes: usize,
    waiting: Vec<Waker>,
}

impl SlowStore {
    /// Commits do not become durable until [`SlowStore::go_on`].
    pub(crate) fn hold(&self) {
        self.gate.lock().expect("no test panics with it").shut = true;
    }

    pub(crate) fn go_on(&self) {
        let mut gate = self.gate.lock().expect("no test panics with it");
        gate.shut = false;
        gate.waiting.drain(..).for_each(Waker::wake);
    }

    /// This many commits become durable, and no more.
    pub(crate) fn let_through(&self, count: usize) {
        let mut gate = self.gate.lock().expect("no test panics with it");
        gate.passes = count;
        gate.waiting.drain(..).for_each(Waker::wake);
    }

    /// Every live message with its content.
    pub(crate) fn messages(&self) -> Vec<(Live, Vec<u8>)> {
        let page = now(self.inner.live(QueueId::MIN, 100_000)).expect("memory can be read");
        let content = |live: &Live| {
            let stored = now(self.inner.fetch(live.envelope.id)).expect("readable").expect("there");
            match stored.content {
                Content::Inline(body) => body.to_vec(),
                Content::Spilled(body) => {
                    let length = usize::try_from(body.size).expect("small");
                    now(self.inner.range(&body, 0, length)).expect("readable").to_vec()
                }
            }
        };
        page.items.into_iter().map(|live| (live.clone(), content(&live))).collect()
    }

    pub(crate) fn is_spilled(&self, id: QueueId) -> bool {
        let stored = now(self.inner.fetch(id)).expect("readable").expect("there");
        matches!(stored.content, Content::Spilled(_))
    }
}

/// The value of a future that does not wait.
fn now<T>(mut task: Task<'_, T>) -> T {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    match task.as_mut().poll(&mut cx) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("memory does not wait"),
    }
}

impl Spool for SlowStore {
    fn mint(&self, now: Timestamp) -> QueueId {
        self.inner.mint(now)
    }

    fn accept(&self, mail: NewMail) -> Task<'static, Result<Accepted, Refused>> {
        let durable = self.inner.accept(mail);
        let gate = Arc::clone(&self.gate);
        Box::pin(async move {
            poll_fn(|cx| {
                let mut gate = gate.lock().expect("no test panics with it");
                if !gate.shut || gate.passes > 0 {
                    gate.passes = gate.passes.saturating_sub(1);
                    return Poll::Ready(());
                }
                gate.waiting.push(cx.waker().clone());
                Poll::Pending
            })
            .await;
            durable.await
        })
    }

    fn spill(&self, id: QueueId) -> Task<'_, Result<Box<dyn Spill>, Refused>> {
        self.inner.spill(id)
    }

    fn discard(&self, body: SpilledBody) {
        self.inner.discard(body);
    }

    fn started(&self, started: Started) {
        self.inner.started(started);
    }

    fn settle(&self, settlement: Settlement) -> Task<'static, Result<Lsn, SettleFault>> {
        self.inner.settle(settlement)
    }

    fn take(&self) -> Tenure {
        self.inner.take()
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        self.inner.watch(watcher);
    }

    fn live(&self, after: QueueId, limit: usize) -> Task<'_, Result<Page<Live>, ReadFault>> {
        self.inner.live(after, limit)
    }

    fn find(&self, id: QueueId) -> Task<'_, Result<Option<Live>, ReadFault>> {
        self.inner.find(id)
    }

    fn fetch(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, ReadFault>> {
        self.inner.fetch(id)
    }

    fn range(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<Bytes, ReadFault>> {
        self.inner.range(body, offset, length)
    }

    fn history(&self, id: QueueId) -> Task<'_, Result<History, ReadFault>> {
        self.inner.history(id)
    }

    fn ledger(&self) -> Task<'_, Result<Vec<(LedgerKey, LedgerValue)>, ReadFault>> {
        self.inner.ledger()
    }

    fn events_since(&self, commit: u64) -> Task<'_, Result<Vec<Event>, ReadFault>> {
        self.inner.events_since(commit)
    }

    fn events_safe(&self, commit: u64) {
        self.inner.events_safe(commit);
    }

    fn quarantined(&self) -> Vec<Quarantined> {
        self.inner.quarantined()
    }

    fn health(&self) -> Health {
        self.inner.health()
    }

    fn close(&self) -> Task<'_, ()> {
        self.inner.close()
    }
}
