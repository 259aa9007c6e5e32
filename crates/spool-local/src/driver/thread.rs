//! The log's own thread: sleeps until a message waits, gathers company for it, commits, tidies up when idle.

use super::{Drive, FileJob, FileWork};
use crate::inbox::{Inbox, Queue};
use crate::local::LocalSpool;
use crate::log::Log;
use crate::pump::Pump;
use parking_lot::{Mutex, MutexGuard};
use posthaste_io::Disk;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The longest a message waits for company (design: spool rule 7).
pub(super) const GATHER: Duration = Duration::from_micros(400);
/// The longest a settlement, or the beginning of a transaction, waits for a message to ride with.
pub(super) const RIDE: Duration = Duration::from_millis(5);

impl<D: Disk + 'static> LocalSpool<D> {
    /// A store whose log has a thread of its own, and a second one that waits for the files of large bodies.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn on_thread(log: Log<D>) -> io::Result<Self> {
        let (shared, inbox) = (Arc::clone(&log.shared), Arc::new(Inbox::new()));
        let watching = Arc::default();
        let pump = Pump::new(log, Arc::clone(&inbox), Arc::clone(&watching));
        let (jobs, work) = mpsc::channel::<FileJob>();
        thread::Builder::new().name("spool-files".into()).spawn(move || {
            for job in work {
                job();
            }
        })?;
        let handle = {
            let inbox = Arc::clone(&inbox);
            thread::Builder::new().name("spool-log".into()).spawn(move || run(pump, &inbox))?
        };
        let drive = Drive::Thread(Mutex::new(Some(handle)));
        Ok(Self { shared, inbox, watching, drive, files: FileWork::Thread(jobs) })
    }
}

impl<D: Disk + 'static> Drop for LocalSpool<D> {
    fn drop(&mut self) {
        self.inbox.halt();
        self.drive.wait_for_end();
    }
}

/// How often an idle log on a full disk looks whether there is room again.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(1);

fn run<D: Disk>(mut pump: Pump<D>, inbox: &Inbox) {
    let mut company = Company::default();
    let mut more = true;
    while wait(inbox, &company, &mut more, &mut pump) {
        company.saw(inbox.lock().accepts);
        pump.work();
        more |= pump.tidy(false);
    }
}

/// Waits until it is time to commit; `false` at the end.
fn wait<D: Disk>(inbox: &Inbox, company: &Company, more: &mut bool, pump: &mut Pump<D>) -> bool {
    loop {
        let mut queue = inbox.lock();
        if queue.halted {
            return false;
        }
        if queue.accepts > 0 || queue.closing {
            gather(&mut queue, inbox, company);
            return !queue.halted && (!queue.closing || !queue.jobs.is_empty());
        }
        if !queue.jobs.is_empty() {
            ride(&mut queue, inbox);
            return !queue.halted;
        }
        if *more {
            drop(queue);
            *more = pump.tidy(true);
            continue;
        }
        if pump.is_short() {
            // Room may come from outside: nothing else would tell.
            if inbox.bell.wait_for(&mut queue, LOOK_FOR_ROOM).timed_out() {
                more_room(queue, more, pump);
            }
            continue;
        }
        inbox.bell.wait(&mut queue);
    }
}

fn more_room<D: Disk>(queue: MutexGuard<'_, Queue>, more: &mut bool, pump: &mut Pump<D>) {
    drop(queue);
    *more = pump.tidy(true);
}

/// Settlements wait for a message to ride with, but not for long.
fn ride(queue: &mut MutexGuard<'_, Queue>, inbox: &Inbox) {
    let until = Instant::now() + RIDE;
    while queue.accepts == 0 && !queue.closing && !queue.halted {
        if inbox.bell.wait_until(queue, until).timed_out() {
            return;
        }
    }
}

/// While fewer wait than usual, more are likely: they share one sync.
fn gather(queue: &mut MutexGuard<'_, Queue>, inbox: &Inbox, company: &Company) {
    let until = Instant::now() + GATHER;
    queue.wanted = company.expected();
    while queue.accepts < queue.wanted && !queue.closing && !queue.halted {
        if inbox.bell.wait_until(queue, until).timed_out() {
            break;
        }
    }
    queue.wanted = 0;
}

/// How many messages usually come together: a moving average, in 16ths.
#[derive(Default)]
pub(super) struct Company {
    sixteenths: usize,
}

impl Company {
    pub(super) fn saw(&mut self, accepts: usize) {
        self.sixteenths = (self.sixteenths * 7 + accepts * 16) / 8;
    }

    /// So many are worth waiting for; 1 when messages come alone, so that nobody waits when it is quiet.
    pub(super) fn expected(&self) -> usize {
        (self.sixteenths / 16 * 3 / 4).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lone_message_never_waits() {
        let mut company = Company::default();
        for _ in 0..100 {
            company.saw(1);
            assert_eq!(company.expected(), 1);
        }
        for _ in 0..100 {
            company.saw(40);
        }
        assert!((20..=40).contains(&company.expected()));
        for _ in 0..40 {
            company.saw(1);
        }
        assert_eq!(company.expected(), 1);
    }
}
