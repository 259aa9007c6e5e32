//! [`LocalSpool`]: the store as others see it. It puts requests into the inbox of whoever drives the log, and
//! reads in place.

use crate::bodies::BodyFile;
use crate::check::CHANGED;
use crate::driver::{Drive, FileWork};
use crate::inbox::{Inbox, Job, Reply};
use crate::log::{Request, is_full};
use crate::pump::Watching;
use crate::shared::Shared;
use bytes::Bytes;
use posthaste_evidence::Event;
use posthaste_io::{Disk, Task};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_spool::store::Quarantined;
use posthaste_spool::{
    Accepted, Content, Health, History, LedgerKey, LedgerValue, Live, Lsn, NewMail, Page,
    ReadFault, Refused, SettleFault, Settlement, Spill, SpilledBody, Spool, Started, Stored,
    Tenure, Watcher,
};
use std::future::ready;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;

/// The store of one machine.
pub struct LocalSpool<D: Disk + 'static> {
    pub(crate) shared: Arc<Shared<D>>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) watching: Arc<Watching>,
    pub(crate) drive: Drive<D>,
    pub(crate) files: FileWork,
}

impl<D: Disk + 'static> LocalSpool<D> {
    /// Ends it as the end of the process would: what waits is dropped, nothing is repaired. For tests.
    pub fn halt(&self) {
        self.inbox.halt();
        self.drive.wait_for_end();
        self.shared.vital.end();
    }

    /// Segments that were recycled although events of them may be missing in the event log.
    #[must_use]
    pub fn events_given_up(&self) -> u64 {
        self.shared.vital.events_given_up.load(Ordering::Relaxed)
    }

    /// The number of the last commit, 0 before the first: what the event log of another spool is told by.
    #[must_use]
    pub fn last_commit(&self) -> u64 {
        self.shared.index.lock().last_commit
    }

    fn push(&self, job: Job) {
        self.inbox.push(job);
        self.drive.in_place();
    }

    fn accepts(&self) -> Result<(), Refused> {
        let vital = &self.shared.vital;
        if vital.read_only.load(Ordering::Relaxed) { Err(Refused::Unhealthy) } else { Ok(()) }
    }
}

fn inline_octets(mail: &NewMail) -> usize {
    match &mail.content {
        Content::Inline(body) => body.len(),
        Content::Spilled(body) => body.head.len(),
    }
}

impl<D: Disk + 'static> Spool for LocalSpool<D> {
    fn mint(&self, now: Timestamp) -> QueueId {
        self.shared.mint(now)
    }

    fn accept(&self, mail: NewMail) -> Task<'static, Result<Accepted, Refused>> {
        let octets = inline_octets(&mail);
        let (sender, receiver) = oneshot::channel();
        let request = Request::Accept(Arc::new(mail));
        let job = |room| Job::Commit { request, reply: Reply::Accepted(sender), _room: room };
        if let Some(room) = self.inbox.room_now(octets) {
            self.push(job(Some(room)));
            return Box::pin(async move { receiver.await.unwrap_or(Err(Refused::Unhealthy)) });
        }
        let inbox = Arc::clone(&self.inbox);
        Box::pin(async move {
            let room = Inbox::room(inbox.semaphore(), octets).await;
            inbox.push(job(room));
            receiver.await.unwrap_or(Err(Refused::Unhealthy))
        })
    }

    fn spill(&self, id: QueueId) -> Task<'_, Result<Box<dyn Spill>, Refused>> {
        let healthy = self.shared.vital.accepting.load(Ordering::Relaxed);
        let refused = match self.accepts() {
            Ok(()) if healthy => None,
            Ok(()) if self.inbox.lock().closing || self.inbox.lock().halted => {
                Some(Refused::Unhealthy)
            }
            Ok(()) => Some(Refused::Full),
            Err(refused) => Some(refused),
        };
        if let Some(refused) = refused {
            return Box::pin(ready(Err(refused)));
        }
        let file = BodyFile::create(Arc::clone(&self.shared), id).map_err(|e| refusal(&e));
        let files = self.files.clone();
        Box::pin(ready(file.map(|file| Box::new(LocalSpill { file, files }) as Box<dyn Spill>)))
    }

    fn discard(&self, body: SpilledBody) {
        self.shared.remove_body(body.id);
    }

    fn started(&self, started: Started) {
        let request = Request::Started(started);
        self.inbox.push(Job::Commit { request, reply: Reply::Nobody, _room: None });
    }

    fn settle(&self, settlement: Settlement) -> Task<'static, Result<Lsn, SettleFault>> {
        let (sender, receiver) = oneshot::channel();
        let request = Request::Settle(Arc::new(settlement));
        self.push(Job::Commit { request, reply: Reply::Settled(sender), _room: None });
        Box::pin(async move { receiver.await.unwrap_or(Err(SettleFault::StoreFault)) })
    }

    fn take(&self) -> Tenure {
        Tenure { shard: 0, epoch: self.shared.epoch.load(Ordering::Relaxed) }
    }

    fn watch(&self, watcher: Arc<dyn Watcher>) {
        *self.watching.lock() = Some(watcher);
    }

    fn live(&self, after: QueueId, limit: usize) -> Task<'_, Result<Page<Live>, ReadFault>> {
        Box::pin(ready(self.shared.live(after, limit)))
    }

    fn find(&self, id: QueueId) -> Task<'_, Result<Option<Live>, ReadFault>> {
        Box::pin(ready(self.shared.find(id)))
    }

    fn fetch(&self, id: QueueId) -> Task<'_, Result<Option<Stored>, ReadFault>> {
        Box::pin(ready(self.shared.fetch(id)))
    }

    fn range(
        &self,
        body: &SpilledBody,
        offset: u64,
        length: usize,
    ) -> Task<'_, Result<Bytes, ReadFault>> {
        Box::pin(ready(self.shared.range(body, offset, length)))
    }

    fn history(&self, id: QueueId) -> Task<'_, Result<History, ReadFault>> {
        Box::pin(ready(self.shared.history(id)))
    }

    fn ledger(&self) -> Task<'_, Result<Vec<(LedgerKey, LedgerValue)>, ReadFault>> {
        Box::pin(ready(self.shared.ledger()))
    }

    fn events_since(&self, commit: u64) -> Task<'_, Result<Vec<Event>, ReadFault>> {
        Box::pin(ready(Ok(self.shared.events_since(commit))))
    }

    fn events_safe(&self, commit: u64) {
        self.shared.vital.events_safe.fetch_max(commit, Ordering::Relaxed);
    }

    fn quarantined(&self) -> Vec<Quarantined> {
        self.shared.index.lock().quarantined.clone()
    }

    fn list_damaged(&self, id: QueueId) {
        self.shared.index.lock().list_content(id, CHANGED);
    }

    fn health(&self) -> Health {
        self.shared.health()
    }

    fn close(&self) -> Task<'_, ()> {
        let (sender, receiver) = oneshot::channel();
        self.push(Job::Close(sender));
        Box::pin(async move {
            // Dropped unanswered: it was closed before, or has ended.
            let _ = receiver.await;
        })
    }
}

fn refusal(error: &io::Error) -> Refused {
    if is_full(error) { Refused::Full } else { Refused::Unhealthy }
}

struct LocalSpill<D: Disk + 'static> {
    file: BodyFile<D>,
    files: FileWork,
}

impl<D: Disk + 'static> Spill for LocalSpill<D> {
    fn write(&mut self, chunk: Bytes) -> Task<'_, Result<(), Refused>> {
        Box::pin(ready(self.file.write(&[chunk]).map_err(|e| refusal(&e))))
    }

    fn finish(self: Box<Self>) -> Task<'static, Result<SpilledBody, Refused>> {
        let Self { file, files } = *self;
        let (sender, receiver) = oneshot::channel();
        // Waits for the disk: not on the caller's thread.
        files.run(Box::new(move || {
            let _ = sender.send(file.finish().map_err(|e| refusal(&e)));
        }));
        Box::pin(async move { receiver.await.unwrap_or(Err(Refused::Unhealthy)) })
    }
}
