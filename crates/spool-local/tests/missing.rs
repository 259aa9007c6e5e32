//! Parts of the store that are gone or cannot be read: what is left is never taken for all there was.

mod support;

use posthaste_io::{Disk, OpenMode};
use posthaste_io_sim::SimDisk;
use posthaste_io_tokio::RealDisk;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_spool::conformance::block_on;
use posthaste_spool::{Spool, testing};
use posthaste_spool_local::{Log, OpenError, Report};
use std::time::Duration;
use support::{accept, content, deliver, open, settings};

/// Within the envelope of the first message of a fresh store.
const FIRST_ENVELOPE: u64 = 8192 + 64 + 10;
const UNNAMED: &str = "a body that no readable record names";

fn names(disk: &impl Disk, of: &str) -> Vec<String> {
    let files = disk.list().expect("readable");
    files.into_iter().map(|(name, _)| name).filter(|name| name.starts_with(of)).collect()
}

/// A large message, then `small` ones; the process has ended without closing the store.
fn crashed(small: usize) -> (SimDisk, QueueId) {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    let large = accept(&spool, 50_000).expect("accepted").envelope.id;
    for _ in 0..small {
        accept(&spool, 900).expect("accepted");
    }
    drop(spool);
    (disk.process_end(), large)
}

fn refusal(disk: impl Disk + 'static) -> OpenError {
    match Log::open(disk, settings()) {
        Ok((_, report)) => panic!("opened: {report:?}"),
        Err(refusal) => refusal,
    }
}

fn unnamed(report: &Report) -> Vec<&str> {
    let listed = report.quarantined.iter().filter(|q| q.what == UNNAMED);
    listed.map(|q| q.place.as_str()).collect()
}

/// Small messages besides, whether the body stays, and the segments that go.
type Case<'a> = (usize, bool, &'a dyn Fn(&SimDisk) -> Vec<String>);

#[test]
fn no_empty_store_takes_the_place_of_one_whose_records_are_gone() {
    let every = |disk: &SimDisk| names(disk, "segment-");
    let used = |_: &SimDisk| vec!["segment-000001".to_owned()];
    let cases: [Case<'_>; 3] = [(3, true, &every), (3, true, &used), (0, false, &used)];
    for (small, with_body, gone) in cases {
        let (disk, _) = crashed(small);
        let bodies = names(&disk, "body-");
        assert_eq!(bodies.len(), 1);
        for name in gone(&disk) {
            disk.remove(&name).expect("it was there");
        }
        if !with_body {
            disk.remove(&bodies[0]).expect("it was there");
        }
        for _ in 0..2 {
            assert!(matches!(refusal(disk.process_end()), OpenError::RecordsMissing));
            let disk = disk.process_end();
            assert_eq!(names(&disk, "body-").len(), usize::from(with_body));
        }
    }
    // Both headers of the only segment with records.
    let (disk, _) = crashed(3);
    for at in [9, 4096 + 9] {
        disk.rot("segment-000001", at, 1);
    }
    assert!(matches!(refusal(disk), OpenError::RecordsMissing));
}

#[test]
fn a_damaged_record_does_not_cost_its_body() {
    let (mut disk, large) = crashed(3);
    disk.rot("segment-000001", FIRST_ENVELOPE, 1);
    let body = names(&disk, "body-");
    for start in 0..3 {
        let (spool, report) = open(disk.clone(), settings());
        assert_eq!(unnamed(&report), body, "start {start}");
        assert_eq!((report.orphans, names(&disk, "body-")), (0, body.clone()), "start {start}");
        assert_eq!(content(&spool, large), None);
        drop(spool);
        disk = disk.process_end();
    }
}

#[test]
fn a_body_that_has_ended_goes_though_something_else_is_damaged() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    accept(&spool, 900).expect("accepted");
    let large = accept(&spool, 50_000).expect("accepted").envelope.id;
    let name = names(&disk, "body-").remove(0);
    deliver(&spool, large);
    drop(spool);
    let disk = disk.process_end();
    // As if its removal had not become durable.
    disk.open(&name, OpenMode::Create).expect("it is gone");
    disk.rot("segment-000001", FIRST_ENVELOPE, 1);
    let (_, report) = open(disk.clone(), settings());
    assert!(!report.quarantined.is_empty());
    assert_eq!((unnamed(&report).len(), report.orphans, names(&disk, "body-").len()), (0, 1, 0));
}

#[test]
fn the_body_of_a_last_commit_that_cannot_be_read_is_kept_for_a_start() {
    let (disk, _) = crashed(0);
    disk.rot("segment-000001", FIRST_ENVELOPE, 1);
    let body = names(&disk, "body-");
    let (_, report) = open(disk.clone(), settings());
    assert_eq!(report.torn.as_deref(), Some("segment-000001+8192"));
    let kept: Vec<_> = report.kept.iter().map(|q| q.place.clone()).collect();
    assert_eq!((kept, names(&disk, "body-")), (body.clone(), body));
    assert_eq!((report.quarantined, report.orphans), (vec![], 0));
}

#[test]
fn a_body_older_than_the_last_commit_had_a_record() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    accept(&spool, 50_000).expect("accepted");
    let day = |n: u64| testing::NOON.plus(Duration::from_secs(n * 86_400));
    let mail = |now: Timestamp| testing::mail(spool.mint(now), 1, 9_000);
    for n in 0..40 {
        block_on(spool.accept(mail(day(n / 10)))).expect("accepted");
    }
    drop(spool);
    let disk = disk.process_end();
    // One of several segments is gone: nothing but its messages' bodies tells.
    disk.remove("segment-000001").expect("it was there");
    let body = names(&disk, "body-");
    let (_, report) = open(disk.clone(), settings());
    assert_eq!((unnamed(&report), names(&disk, "body-")), (vec![body[0].as_str()], body.clone()));
}

#[test]
fn what_has_the_name_of_a_segment_and_is_none_refuses_to_open() {
    let strays: [fn(&std::path::Path); 3] = [
        |path| std::fs::create_dir(path).expect("made"),
        |path| std::os::unix::fs::symlink("/nowhere/at/all", path).expect("made"),
        |path| std::os::unix::fs::symlink(path.with_extension("moved"), path).expect("made"),
    ];
    for (n, stray) in strays.into_iter().enumerate() {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = RealDisk::open(folder.path()).expect("a disk");
        let (spool, _) = open(disk.clone(), settings());
        accept(&spool, 900).expect("accepted");
        drop(spool);
        let segment = folder.path().join("segment-000001");
        std::fs::rename(&segment, segment.with_extension("moved")).expect("moved");
        stray(&segment);
        let refused = matches!(refusal(disk), OpenError::NotAFile(_) | OpenError::RecordsMissing);
        assert!(refused, "stray {n}");
    }
}

#[test]
fn no_number_overflows() {
    let (disk, _) = crashed(1);
    disk.open("segment-4294967295", OpenMode::Create).expect("made");
    disk.open("segment-99999999999", OpenMode::Create).expect("made");
    assert!(matches!(refusal(disk), OpenError::NoNumber(name) if name == "segment-4294967295"));
}

#[test]
fn damage_found_while_running_is_listed_once() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    let id = accept(&spool, 900).expect("accepted").envelope.id;
    disk.rot("segment-000001", FIRST_ENVELOPE, 1);
    assert_eq!(content(&spool, id), None);
    assert!(block_on(spool.find(id)).is_err());
    assert_eq!(content(&spool, id), None);
    assert_eq!((spool.quarantined().len(), spool.health().quarantined), (1, 1));
}

#[test]
fn a_body_in_a_file_counts_in_the_sizes_and_is_listed_when_its_file_is_gone() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    let before = spool.health();
    let id = accept(&spool, 50_000).expect("accepted").envelope.id;
    let after = spool.health();
    assert!(after.live_octets >= before.live_octets + 50_000, "{after:?}");
    assert!(after.disk_octets >= before.disk_octets + 50_000, "{after:?}");
    let body = names(&disk, "body-").remove(0);
    disk.remove(&body).expect("it is there");
    assert_eq!(content(&spool, id), None);
    let listed = spool.quarantined();
    assert_eq!((listed.len(), &listed[0].place), (1, &body), "{listed:?}");
    block_on(spool.close());
    let closed = spool.health();
    assert!(!closed.accepting && !closed.full, "closed is not full: {closed:?}");
}
