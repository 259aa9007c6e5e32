//! The thread on a real folder: many at once, reading and collecting meanwhile.

mod support;

use posthaste_io_tokio::RealDisk;
use posthaste_spool::conformance::block_on;
use posthaste_spool::{Spool, testing};
use posthaste_spool_local::{INBOX_OCTETS, LocalSpool, Log};
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::{accept, content, deliver, listed, settings};

#[test]
fn many_at_once_while_garbage_is_collected() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = RealDisk::open(&folder.path().join("spool")).expect("a disk");
    let (log, _) = Log::open(disk.clone(), settings()).expect("opens");
    let spool = Arc::new(LocalSpool::on_thread(log).expect("a thread"));
    let kept: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let spool = &spool;
                scope.spawn(move || one_worker(spool, worker))
            })
            .collect();
        workers.into_iter().flat_map(|w| w.join().expect("no panic")).collect()
    });
    let mut ids: Vec<_> = kept.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    assert_eq!(listed(&*spool), ids);
    assert_eq!(spool.quarantined(), []);
    spool.halt();
    let (again, report) = support::open(disk, settings());
    assert_eq!(report.quarantined, []);
    assert_eq!(listed(&again), ids);
    for (id, crc) in kept {
        assert_eq!(content(&again, id).map(|c| crc32c::crc32c(&c)), Some(crc));
    }
}

/// Accepts, reads back, and delivers all but a few.
fn one_worker(spool: &LocalSpool<RealDisk>, worker: usize) -> Vec<(posthaste_mail::QueueId, u32)> {
    let mut kept = Vec::new();
    for n in 0..150 {
        let mail = accept(spool, (n * 97 + worker * 31) % 9000).expect("accepted");
        let (id, crc) = (mail.envelope.id, mail.envelope.facts.crc);
        assert_eq!(content(spool, id).map(|c| crc32c::crc32c(&c)), Some(crc));
        if n % 10 == worker {
            kept.push((id, crc))
        } else {
            deliver(spool, id)
        }
        for (id, crc) in kept.iter().take(2) {
            assert_eq!(content(spool, *id).map(|c| crc32c::crc32c(&c)), Some(*crc));
        }
    }
    kept
}

#[test]
fn what_does_not_fit_the_inbox_waits_and_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = RealDisk::open(&folder.path().join("spool")).expect("a disk");
    let settings = posthaste_spool_local::Settings { segment_size: 4 << 20, ..settings() };
    let (log, _) = Log::open(disk, settings).expect("opens");
    let spool = LocalSpool::on_thread(log).expect("a thread");
    let size = 200 * 1024;
    let count = INBOX_OCTETS / size + 20;
    let waiting: Vec<_> = (0..count)
        .map(|_| spool.accept(testing::mail(spool.mint(testing::NOON), 1, size)))
        .collect();
    for answer in waiting {
        block_on(answer).expect("accepted");
    }
    assert_eq!(spool.health().messages, count as u64);
    block_on(spool.close());
}

#[test]
fn a_transaction_is_written_down_though_nothing_else_happens() {
    let folder = tempfile::tempdir().expect("a folder");
    let disk = RealDisk::open(&folder.path().join("spool")).expect("a disk");
    let (log, _) = Log::open(disk.clone(), settings()).expect("opens");
    let spool = LocalSpool::on_thread(log).expect("a thread");
    let id = accept(&spool, 2000).expect("accepted").envelope.id;
    // The log rests.
    std::thread::sleep(Duration::from_millis(50));
    let commits = spool.health().commits;
    spool.started(support::started(id));
    // A slow machine may take its time over it; without a clock it would wait for ever.
    let until = Instant::now() + Duration::from_secs(5);
    while spool.health().commits == commits && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    spool.halt();
    let (again, _) = support::open(disk, settings());
    assert_eq!(support::in_hand(&again, id), [0]);
}
