//! Who drives the log: a thread in the real world, a task in the simulator, the caller itself in tools and tests.

mod task;
mod thread;

pub use task::Timing;

use crate::inbox::Inbox;
use crate::local::LocalSpool;
use crate::log::Log;
use crate::pump::Pump;
use parking_lot::Mutex;
use posthaste_io::Disk;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

/// Steps that a caller who drives the log spends on making room.
const TIDY_STEPS: usize = 64;

/// Who drives the log.
pub(crate) enum Drive<D: Disk> {
    Thread(Mutex<Option<JoinHandle<()>>>),
    Task,
    InPlace(Box<Mutex<Pump<D>>>),
}

impl<D: Disk> Drive<D> {
    /// Lets the caller do what waits, when it is the driver.
    pub(crate) fn in_place(&self) {
        if let Self::InPlace(pump) = self {
            let mut pump = pump.lock();
            pump.work();
            for _ in 0..TIDY_STEPS {
                if !pump.tidy(false) || !pump.is_short() {
                    break;
                }
            }
        }
    }

    pub(crate) fn wait_for_end(&self) {
        let Self::Thread(handle) = self else { return };
        if let Some(handle) = handle.lock().take() {
            // A panic of the log's thread has been reported by the panic itself.
            let _ = handle.join();
        }
    }
}

/// Work on files that waits for the disk.
pub(crate) type FileJob = Box<dyn FnOnce() + Send>;

/// Who does it.
#[derive(Clone)]
pub(crate) enum FileWork {
    InPlace,
    Thread(mpsc::Sender<FileJob>),
}

impl FileWork {
    pub(crate) fn run(&self, job: FileJob) {
        match self {
            Self::InPlace => job(),
            // A job that cannot be sent is dropped, and whoever waits for it learns of that.
            Self::Thread(jobs) => drop(jobs.send(job)),
        }
    }
}

impl<D: Disk + 'static> LocalSpool<D> {
    /// A store whose log is driven by its callers, each call to its end: for tools, and for tests that want no
    /// thread. A watcher must not call back.
    #[must_use]
    pub fn in_place(log: Log<D>) -> Self {
        let (shared, inbox) = (Arc::clone(&log.shared), Arc::new(Inbox::new()));
        let watching = Arc::default();
        let pump = Pump::new(log, Arc::clone(&inbox), Arc::clone(&watching));
        let drive = Drive::InPlace(Box::new(Mutex::new(pump)));
        Self { shared, inbox, watching, drive, files: FileWork::InPlace }
    }
}
