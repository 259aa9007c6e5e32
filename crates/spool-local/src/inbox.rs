//! Where requests wait for the owner of the log: bounded in octets, in the order in which they were made.

use crate::log::Request;
use parking_lot::{Condvar, Mutex, MutexGuard};
use posthaste_spool::{Accepted, Lsn, Refused, SettleFault};
use std::sync::Arc;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};

/// Octets of content that may wait; when they are spent, sessions stop reading (design: spool rule 7).
pub const INBOX_OCTETS: usize = 32 << 20;
/// Permits count kibibytes, so that they fit the semaphore.
const PERMIT: usize = 1024;

/// Where requests wait.
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    room: Arc<Semaphore>,
    /// For a driver that is a thread.
    pub(crate) bell: Condvar,
    /// For a driver that is a task.
    pub(crate) notify: Notify,
}

/// What waits.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) jobs: Vec<Job>,
    /// How many of them are messages.
    pub(crate) accepts: usize,
    /// So many messages make it worth waking a driver that gathers; 0 as much as 1.
    pub(crate) wanted: usize,
    /// Nothing more is taken in; what is here is still done.
    pub(crate) closing: bool,
    /// The process is over: nothing is done.
    pub(crate) halted: bool,
}

/// Something to do, and who waits for it.
pub(crate) enum Job {
    Commit { request: Request, reply: Reply, _room: Option<OwnedSemaphorePermit> },
    Close(oneshot::Sender<()>),
}

/// Who waits.
pub(crate) enum Reply {
    Accepted(oneshot::Sender<Result<Accepted, Refused>>),
    Settled(oneshot::Sender<Result<Lsn, SettleFault>>),
    Nobody,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            room: Arc::new(Semaphore::new(INBOX_OCTETS / PERMIT)),
            bell: Condvar::new(),
            notify: Notify::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }

    /// Room for a message of so many octets, if there is some at once.
    pub(crate) fn room_now(&self, octets: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_many_owned(permits(octets)).ok()
    }

    /// Waits for room.
    pub(crate) async fn room(room: Arc<Semaphore>, octets: usize) -> Option<OwnedSemaphorePermit> {
        room.acquire_many_owned(permits(octets)).await.ok()
    }

    pub(crate) fn semaphore(&self) -> Arc<Semaphore> {
        Arc::clone(&self.room)
    }

    /// Adds a job; when the store is closing, its reply is dropped and whoever waits learns of it.
    pub(crate) fn push(&self, job: Job) {
        let mut queue = self.queue.lock();
        if queue.closing || queue.halted {
            return;
        }
        let accept = matches!(&job, Job::Commit { request: Request::Accept(_), .. });
        queue.closing |= matches!(&job, Job::Close(_));
        queue.accepts += usize::from(accept);
        queue.jobs.push(job);
        // The first job starts a clock, also one that nobody waits for: a transaction that is not written down is
        // not known after a crash. After it only messages wake the log, and while it gathers company, only the last
        // one that it hopes for: each needless waking costs more than the message's own work here.
        let enough = accept && queue.accepts >= queue.wanted;
        let wakes = enough || queue.closing || queue.jobs.len() == 1;
        drop(queue);
        if wakes {
            self.ring();
        }
    }

    pub(crate) fn ring(&self) {
        self.bell.notify_one();
        self.notify.notify_one();
    }

    /// Takes all that waits.
    pub(crate) fn take(&self) -> Vec<Job> {
        let mut queue = self.queue.lock();
        queue.accepts = 0;
        std::mem::take(&mut queue.jobs)
    }

    /// Nothing is done any more: whoever waits learns of it.
    pub(crate) fn halt(&self) {
        let mut queue = self.queue.lock();
        queue.halted = true;
        queue.accepts = 0;
        let jobs = std::mem::take(&mut queue.jobs);
        drop(queue);
        drop(jobs);
        self.ring();
    }
}

fn permits(octets: usize) -> u32 {
    let kibibytes = octets.div_ceil(PERMIT).clamp(1, INBOX_OCTETS / PERMIT);
    u32::try_from(kibibytes).expect("the inbox is smaller than 4 TiB")
}
