//! A disk that fails, fills up, or may not be written.

mod support;

use posthaste_io_sim::disk::{DiskFault, Limits};
use posthaste_io_sim::{Cut, SimDisk};
use posthaste_spool::conformance::block_on;
use posthaste_spool::{Lsn, NewMail, Refused, SettleFault, Settlement, Spool, Watcher, testing};
use posthaste_spool_local::{LocalSpool, Log, OpenError, Settings};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{accept, content, deliver, listed, open, settings, settlement};

#[derive(Default)]
struct Counting {
    accepted: AtomicU32,
    failed: AtomicU32,
}

impl Watcher for Counting {
    fn accepted(&self, _: Lsn, mails: Vec<Arc<NewMail>>) {
        self.accepted.fetch_add(u32::try_from(mails.len()).expect("few"), Ordering::Relaxed);
    }
    fn settled(&self, _: Lsn, _: &Settlement) {}
    fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_failed_sync_is_never_retried_and_nothing_of_it_is_acknowledged() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    let watcher = Arc::new(Counting::default());
    spool.watch(Arc::clone(&watcher) as _);
    let kept = accept(&spool, 2000).expect("accepted");
    disk.inject(DiskFault::SyncFails { name: None, after: 0 });
    assert_eq!(accept(&spool, 2000).map(|_| ()), Err(Refused::Unhealthy));
    let syncs = disk.stats().syncs;
    assert_eq!(accept(&spool, 2000).map(|_| ()), Err(Refused::Unhealthy));
    assert_eq!(block_on(spool.settle(settlement(&spool))), Err(SettleFault::StoreFault));
    block_on(spool.close());
    assert_eq!(disk.stats().syncs, syncs, "the disk is left alone");
    assert!(!spool.health().accepting);
    assert_eq!(watcher.accepted.load(Ordering::Relaxed), 1);
    assert_eq!(watcher.failed.load(Ordering::Relaxed), 1, "told once");

    let (again, report) = open(disk.power_cut(Cut::Lost), settings());
    assert_eq!(report.quarantined, []);
    assert_eq!(listed(&again), [kept.envelope.id]);
}

#[test]
fn a_failed_write_fails_the_store() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    disk.inject(DiskFault::WriteFails { name: None, after: 0 });
    assert_eq!(accept(&spool, 10).map(|_| ()), Err(Refused::Unhealthy));
    assert_eq!(accept(&spool, 10).map(|_| ()), Err(Refused::Unhealthy));
}

#[test]
fn a_full_disk_refuses_mail_but_never_stops_delivery() {
    let limits = Limits { capacity: 1 << 20, ..Limits::default() };
    let disk = SimDisk::with(limits);
    let (spool, _) = open(disk.clone(), settings());
    let mut ids = Vec::new();
    // A refusal makes garbage collection look for room; full is what stays full.
    let mut refusals = 0;
    while refusals < 10 {
        match accept(&spool, 7000) {
            Ok(mail) => ids.push(mail.envelope.id),
            Err(refused) => {
                assert_eq!(refused, Refused::Full);
                refusals += 1;
            }
        }
    }
    assert!(ids.len() > 60, "most of the disk is used: {}", ids.len());
    assert!(!spool.health().accepting);
    assert_eq!(accept(&spool, 40_000).map(|_| ()), Err(Refused::Full), "nor a large one");
    // Somebody else takes the rest of the disk: the reserve is allocated already.
    disk.set_capacity(0);
    for id in &ids[..20] {
        let mut s = settlement(&spool);
        s.attempts = vec![testing::deferred(*id, 1)];
        block_on(spool.settle(s)).expect("the reserve is for settlements");
    }
    for id in &ids {
        deliver(&spool, *id);
    }
    assert_eq!(listed(&spool), []);
    disk.set_capacity(1 << 20);
    drop(spool);
    let (spool, _) = open(disk.process_end(), settings());
    let again = (0..3).find_map(|_| accept(&spool, 7000).ok());
    assert!(again.is_some(), "garbage collection has made room");
    assert!(spool.health().accepting);
}

#[test]
fn a_store_without_room_for_a_fresh_segment_says_so() {
    let disk = SimDisk::with(Limits { capacity: 16 * 1024, ..Limits::default() });
    assert!(matches!(Log::open(disk, settings()), Err(OpenError::Full)));
}

#[test]
fn read_only_reads_and_changes_nothing() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    let small = accept(&spool, 3000).expect("accepted");
    let large = accept(&spool, 30_000).expect("accepted");
    drop(spool);
    let disk = disk.process_end();
    let before = disk.digest();
    let (spool, report) = open(disk.clone(), Settings { read_only: true, ..settings() });
    assert_eq!(report.messages, 2);
    for mail in [&small, &large] {
        let whole = content(&spool, mail.envelope.id).expect("readable");
        assert_eq!(crc32c::crc32c(&whole), mail.envelope.facts.crc);
    }
    assert_eq!(accept(&spool, 10).map(|_| ()), Err(Refused::Unhealthy));
    assert_eq!(block_on(spool.settle(settlement(&spool))), Err(SettleFault::StoreFault));
    assert!(block_on(spool.spill(spool.mint(testing::NOON))).is_err());
    assert!(spool.health().read_only && !spool.health().accepting);
    drop(spool);
    assert_eq!(disk.digest(), before, "not one operation");
}

#[test]
fn space_stays_within_one_and_a_half_of_what_lives() {
    let mut disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), settings()).expect("opens");
    let mut ids = std::collections::VecDeque::new();
    for _ in 0..30 {
        let spool = LocalSpool::in_place(log);
        for n in 0..40 {
            let id = accept(&spool, 500 + n * 200).expect("accepted").envelope.id;
            // One in ten stays for long: it must not keep a whole segment.
            if n % 10 == 0 { ids.push_back(id) } else { deliver(&spool, id) }
        }
        if ids.len() > 100 {
            ids.drain(..4).for_each(|id| deliver(&spool, id));
        }
        block_on(spool.close());
        drop(spool);
        disk = disk.process_end();
        log = Log::open(disk.clone(), settings()).expect("opens").0;
        log.gc_all().expect("the disk works");
    }
    let spool = LocalSpool::in_place(log);
    let health = spool.health();
    let slack = 10 * 64 * 1024;
    assert!(
        health.disk_octets <= health.live_octets * 3 / 2 + slack,
        "{} on disk for {} live",
        health.disk_octets,
        health.live_octets
    );
    assert_eq!(listed(&spool).len(), ids.len());
}

#[test]
fn large_bodies_go_when_their_message_has_gone_and_orphans_at_the_start() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    let mail = accept(&spool, 50_000).expect("accepted");
    let bodies = |disk: &SimDisk| {
        let files = posthaste_io::Disk::list(disk).expect("readable");
        files.into_iter().filter(|(name, _)| name.contains("body")).count()
    };
    assert_eq!(bodies(&disk), 1);
    deliver(&spool, mail.envelope.id);
    assert_eq!(bodies(&disk), 0);
    // Spilled, but never accepted; and never finished.
    let mut spill = block_on(spool.spill(spool.mint(testing::NOON))).expect("room");
    block_on(spill.write(vec![7; 70_000].into())).expect("written");
    block_on(spill.finish()).expect("durable");
    let half = block_on(spool.spill(spool.mint(testing::NOON))).expect("room");
    assert_eq!(bodies(&disk), 2);
    std::mem::forget(half);
    drop(spool);
    let disk = disk.process_end();
    let (_, report) = open(disk.clone(), settings());
    assert_eq!((report.orphans, bodies(&disk)), (2, 0));
}
