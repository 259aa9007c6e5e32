//! The log as a task of a world: in the simulator, where time is virtual and so is the time a sync takes.

use super::thread::{Company, GATHER, RIDE};
use super::{Drive, FileWork};
use crate::inbox::Inbox;
use crate::local::LocalSpool;
use crate::log::Log;
use crate::pump::Pump;
use posthaste_io::clock::within;
use posthaste_io::{Clock, Disk, Task, World, sleep};
use std::sync::Arc;
use std::time::Duration;

/// How long things take in a world whose disk takes no time itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// From the beginning of a commit until it is durable.
    pub commit: Duration,
    /// Between two steps of garbage collection.
    pub rest: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { commit: Duration::from_micros(500), rest: Duration::from_millis(1) }
    }
}

impl<D: Disk + 'static> LocalSpool<D> {
    /// A store whose log is driven by the task that is answered with it; the caller spawns that task.
    #[must_use]
    pub fn on_world(log: Log<D>, world: &World, timing: Timing) -> (Self, Task<'static, ()>) {
        let (shared, inbox) = (Arc::clone(&log.shared), Arc::new(Inbox::new()));
        let watching = Arc::default();
        let pump = Pump::new(log, Arc::clone(&inbox), Arc::clone(&watching));
        let task = Box::pin(run(pump, Arc::clone(&inbox), Arc::clone(&world.clock), timing));
        let drive = Drive::Task;
        (Self { shared, inbox, watching, drive, files: FileWork::InPlace }, task)
    }
}

async fn run<D: Disk>(mut pump: Pump<D>, inbox: Arc<Inbox>, clock: Arc<dyn Clock>, timing: Timing) {
    let mut company = Company::default();
    let mut more = true;
    loop {
        let (accepts, waits, closing, over) = {
            let queue = inbox.lock();
            let over = queue.halted || (queue.closing && queue.jobs.is_empty());
            (queue.accepts, !queue.jobs.is_empty(), queue.closing, over)
        };
        if over {
            return;
        }
        if accepts > 0 || closing {
            gather(&inbox, &*clock, company.expected()).await;
        } else if waits {
            ride(&inbox, &*clock).await;
        } else if more {
            more = pump.tidy(true);
            sleep(&*clock, timing.rest).await;
            continue;
        } else {
            inbox.notify.notified().await;
            continue;
        }
        company.saw(inbox.lock().accepts);
        sleep(&*clock, timing.commit).await;
        pump.work();
        more |= pump.tidy(false);
    }
}

async fn gather(inbox: &Inbox, clock: &dyn Clock, expected: usize) {
    wait_for(inbox, clock, GATHER, |inbox| inbox.lock().accepts >= expected).await;
}

async fn ride(inbox: &Inbox, clock: &dyn Clock) {
    wait_for(inbox, clock, RIDE, |inbox| inbox.lock().accepts > 0).await;
}

async fn wait_for(
    inbox: &Inbox,
    clock: &dyn Clock,
    limit: Duration,
    enough: impl Fn(&Inbox) -> bool,
) {
    let company = async {
        while !enough(inbox) && !inbox.lock().closing && !inbox.lock().halted {
            inbox.notify.notified().await;
        }
    };
    within(clock, limit, company).await;
}
