//! Octets that are not what was written: never a panic, always listed, and the rest flows.

mod support;

use posthaste_io::Disk;
use posthaste_io_sim::{Rng, SimDisk};
use posthaste_spool::Spool;
use posthaste_spool::conformance::block_on;
use posthaste_spool_local::{Log, Settings};
use std::collections::BTreeMap;
use support::{accept, content, deliver, open, settings};

/// A closed store with a dozen segments: live mail, ended mail, a large body.
fn closed(clean: bool) -> (SimDisk, BTreeMap<posthaste_mail::QueueId, u32>) {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    let mut live = BTreeMap::new();
    for n in 0..60 {
        let mail = accept(&spool, 1000 + 150 * n).expect("accepted");
        if n % 3 == 0 {
            deliver(&spool, mail.envelope.id);
        } else {
            live.insert(mail.envelope.id, mail.envelope.facts.crc);
        }
    }
    let large = accept(&spool, 30_000).expect("accepted");
    live.insert(large.envelope.id, large.envelope.facts.crc);
    if clean {
        block_on(spool.close());
    }
    drop(spool);
    (disk.process_end(), live)
}

/// A copy of the disk, as a machine without memory of the original finds it.
fn copy(disk: &SimDisk) -> SimDisk {
    disk.start_recording();
    disk.stop_recording().cut_by(0, posthaste_io_sim::Cut::Landed)
}

#[test]
fn one_turned_octet_costs_at_most_one_commit_and_is_listed() {
    for clean in [true, false] {
        let (original, live) = closed(clean);
        let files = original.list().expect("readable");
        let octets: u64 = files.iter().map(|(_, length)| length).sum();
        let mut rng = Rng::new(5);
        for _ in 0..300 {
            let disk = copy(&original);
            let mut at = rng.below(octets);
            let (name, _) = files
                .iter()
                .find(|(_, length)| {
                    let inside = at < *length;
                    if !inside {
                        at -= length;
                    }
                    inside
                })
                .expect("within one of them");
            disk.rot(name, at, 1 << rng.below(8));
            check(disk, &live, clean, &format!("{name}+{at}"));
        }
    }
}

/// Everything that is not listed as damaged is there and whole; what has ended stays gone.
fn check(disk: SimDisk, live: &BTreeMap<posthaste_mail::QueueId, u32>, clean: bool, place: &str) {
    let (mut log, _) = Log::open(disk.clone(), settings()).expect(place);
    log.gc_all().expect(place);
    let spool = posthaste_spool_local::LocalSpool::in_place(log);
    let mut lost = 0;
    for (id, crc) in live {
        let whole = content(&spool, *id);
        if whole.as_deref().map(crc32c::crc32c) != Some(*crc) {
            lost += 1;
        }
    }
    let listed = spool.quarantined();
    // The octets of a large body are checked by those who read it, against the envelope.
    let unnoticed = usize::from(place.starts_with("body-"));
    // After a crash, a damaged last commit cannot be told from one that was never finished.
    let torn = usize::from(!clean);
    assert!(lost <= 1, "{place}: {lost} lost");
    assert!(lost <= listed.len() + unnoticed + torn, "{place}: {lost} lost, {listed:?}");
    let ended = support::listed(&spool).into_iter().filter(|id| !live.contains_key(id)).count();
    // A damaged tombstone may let its message live again; it is listed, and only a second copy.
    assert!(ended <= listed.len() + torn, "{place}: {ended} are back, {listed:?}");
}

#[test]
fn a_missing_index_costs_time_and_nothing_else() {
    let (disk, live) = closed(true);
    let segments: Vec<_> = disk
        .list()
        .expect("readable")
        .into_iter()
        .filter(|(n, _)| n.starts_with("segment"))
        .collect();
    for (name, length) in &segments {
        disk.rot(name, length - 1, 0xff);
    }
    let (spool, report) = open(disk, settings());
    assert!(report.scanned >= 5, "{report:?}");
    assert_eq!(report.quarantined, []);
    assert_eq!(support::listed(&spool).len(), live.len());
}

#[test]
fn wild_damage_never_panics() {
    let (original, _) = closed(true);
    let files = original.list().expect("readable");
    let mut rng = Rng::new(11);
    for _ in 0..60 {
        let disk = copy(&original);
        for _ in 0..=rng.below(60) {
            let (name, length) = &files[rng.index(files.len())];
            let start = rng.below(*length);
            for at in start..start + rng.below(40) {
                disk.rot(name, at, rng.below(255) as u8 + 1);
            }
        }
        let read_only = rng.chance(1, 4);
        let (log, _) = Log::open(disk, Settings { read_only, ..settings() }).expect("opens");
        let spool = posthaste_spool_local::LocalSpool::in_place(log);
        for id in support::listed(&spool) {
            let _ = content(&spool, id);
            let _ = block_on(spool.history(id));
        }
        let _ = block_on(spool.events_since(0));
        let _ = block_on(spool.ledger());
        if !read_only {
            accept(&spool, 5000).expect("the rest flows");
        }
    }
}
