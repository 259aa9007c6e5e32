//! The suite of all stores, over the log on a simulated disk and over the thread on a real folder.

use posthaste_io_sim::{Cut, SimDisk};
use posthaste_io_tokio::RealDisk;
use posthaste_spool::Spool;
use posthaste_spool::conformance::{self, Fixture};
use posthaste_spool_local::{LocalSpool, Log, Settings};
use std::sync::Arc;

fn settings() -> Settings {
    Settings { segment_size: 64 * 1024, salt: 7, ..Settings::default() }
}

/// Driven by the caller; every crash is a power cut that leaves nothing unsynced.
struct Simulated {
    disk: SimDisk,
    spool: Arc<LocalSpool<SimDisk>>,
}

impl Simulated {
    fn new() -> Self {
        let disk = SimDisk::new();
        let spool = Self::open(&disk);
        Self { disk, spool }
    }

    fn open(disk: &SimDisk) -> Arc<LocalSpool<SimDisk>> {
        let (log, report) = Log::open(disk.clone(), settings()).expect("opens");
        assert_eq!(report.quarantined, []);
        Arc::new(LocalSpool::in_place(log))
    }
}

impl Fixture for Simulated {
    fn spool(&self) -> Arc<dyn Spool> {
        Arc::clone(&self.spool) as _
    }

    fn crash(&mut self) {
        self.disk = self.disk.power_cut(Cut::Lost);
        self.spool.halt();
        self.spool = Self::open(&self.disk);
    }
}

#[test]
fn the_log_is_a_store() {
    conformance::run(|_| Box::new(Simulated::new()));
}

/// Driven by its thread, on a real folder; a crash is the end of the thread.
struct Threaded {
    _folder: tempfile::TempDir,
    disk: RealDisk,
    spool: Arc<LocalSpool<RealDisk>>,
}

impl Threaded {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = RealDisk::open(&folder.path().join("spool")).expect("a disk");
        let spool = Self::open(&disk);
        Self { _folder: folder, disk, spool }
    }

    fn open(disk: &RealDisk) -> Arc<LocalSpool<RealDisk>> {
        let (log, _) = Log::open(disk.clone(), settings()).expect("opens");
        Arc::new(LocalSpool::on_thread(log).expect("a thread"))
    }
}

impl Fixture for Threaded {
    fn spool(&self) -> Arc<dyn Spool> {
        Arc::clone(&self.spool) as _
    }

    fn crash(&mut self) {
        self.spool.halt();
        self.spool = Self::open(&self.disk);
    }
}

#[test]
fn the_thread_on_a_real_folder_is_a_store() {
    conformance::run(|_| Box::new(Threaded::new()));
}
