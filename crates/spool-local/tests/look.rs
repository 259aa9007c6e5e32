//! What looks at a store without changing it: the check, the list of lost segments, versions, and what is salvaged of
//! damaged groups.

mod support;

use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_io_sim::{Rng, SimDisk};
use posthaste_mail::QueueId;
use posthaste_spool::store::Quarantined;
use posthaste_spool::testing::{self, NOON};
use posthaste_spool::{Content, ReadFault, SpilledBody, Spool};
use posthaste_spool_local::versions::{CURRENT, versions};
use posthaste_spool_local::{
    Answer, Checked, Fate, Group, Left, Log, OpenError, Report, Request, Settings,
};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use support::{accept, content, deliver, open, settings};

/// Live mail, ended mail, a large body; in several segments, closed.
fn closed() -> SimDisk {
    let disk = SimDisk::new();
    let (spool, _) = open(disk.clone(), settings());
    for n in 0..40 {
        let mail = accept(&spool, 900 + 200 * n).expect("accepted");
        if n % 3 == 0 {
            deliver(&spool, mail.envelope.id);
        }
    }
    accept(&spool, 30_000).expect("accepted");
    posthaste_spool::conformance::block_on(spool.close());
    drop(spool);
    disk.process_end()
}

fn octets(disk: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    let read = |(name, length): (String, u64)| {
        let mut octets = vec![0; usize::try_from(length).expect("small")];
        let file = disk.open(&name, OpenMode::Read).expect("there");
        file.read_at(0, &mut octets).expect("readable");
        (name, octets)
    };
    disk.list().expect("readable").into_iter().map(read).collect()
}

fn check(disk: &SimDisk) -> (Report, Checked) {
    let before = octets(disk);
    let read_only = Settings { read_only: true, ..settings() };
    let (log, report) = Log::open(disk.clone(), read_only).expect("opens");
    let checked = log.check().expect("the disk answers");
    drop(log);
    assert_eq!(octets(disk), before, "a check changes nothing");
    (report, checked)
}

#[test]
fn a_whole_store_is_found_whole() {
    let (report, checked) = check(&closed());
    assert_eq!((report.quarantined, report.torn, report.unclaimed), (vec![], None, vec![]));
    let Checked { segments, without_index, groups, messages, large, ledger, .. } = checked;
    assert!(segments > 3 && groups > 50, "{segments} {groups}");
    assert_eq!((without_index, messages, large, ledger), (0, 27, 1, 0));
    assert_eq!(checked.damaged, []);
}

#[test]
fn every_turned_octet_that_something_needs_is_found() {
    let original = closed();
    let files = original.list().expect("readable");
    let mut rng = Rng::new(3);
    let (mut found, mut needed) = (0, 0);
    for _ in 0..150 {
        original.start_recording();
        let disk = original.stop_recording().cut_by(0, posthaste_io_sim::Cut::Landed);
        let (name, length) = &files[rng.index(files.len())];
        let at = rng.below(*length);
        let was = octets(&disk)[name][usize::try_from(at).expect("small")];
        disk.rot(name, at, 1 << rng.below(8));
        let (report, checked) = check(&disk);
        let listed = !checked.damaged.is_empty() || report.torn.is_some();
        found += usize::from(listed);
        // What was written is not zero, most of it; headers are there twice, indexes are not needed.
        let in_use = name.starts_with("body-") || (name.starts_with("segment-") && was != 0);
        needed += usize::from(in_use && at > 8192 && at < length - 4096);
    }
    assert!(needed > 30 && found * 10 >= needed * 9, "{found} of {needed}");
}

#[test]
fn a_body_that_has_changed_or_gone_is_found() {
    let disk = closed();
    let body = octets(&disk).into_keys().find(|name| name.starts_with("body-")).expect("one");
    disk.rot(&body, 17_000, 4);
    let (_, checked) = check(&disk);
    let place = body.replace("body-", "message ");
    let listed: Vec<_> = checked.damaged.iter().map(|q| (q.place.as_str(), q.what)).collect();
    assert_eq!(listed, [(place.as_str(), "its content is not what was accepted")]);
    disk.remove(&body).expect("there");
    let (_, checked) = check(&disk);
    assert_eq!(checked.damaged[0].place, body);
}

#[test]
fn what_an_open_would_remove_is_told() {
    let disk = closed();
    disk.open("body-0000000000001", OpenMode::Create).expect("new");
    let stray = QueueId::first_at(NOON).next();
    disk.open(&format!("body-{stray}"), OpenMode::Create).expect("new");
    disk.open("unfinished-segment-000099", OpenMode::Create).expect("new");
    let (report, _) = check(&disk);
    let listed: Vec<_> = report.quarantined.iter().map(|q| q.place.as_str()).collect();
    assert_eq!(listed, ["body-0000000000001"], "older than a day: it had a record");
    let told = [format!("body-{stray}"), "unfinished-segment-000099".into()];
    assert_eq!(report.unclaimed, told);
    let (_, report) = open(disk, settings());
    assert_eq!((report.orphans, report.unclaimed), (2, vec![]));
}

#[test]
fn a_disk_that_does_not_answer_is_an_error_and_no_damage() {
    let disk = closed();
    let read_only = Settings { read_only: true, ..settings() };
    let (log, _) = Log::open(disk.clone(), read_only).expect("opens");
    let _dead = disk.process_end();
    assert!(matches!(log.check(), Err(ReadFault::Disk(_))));
}

/// The file of the segment that was taken last.
fn newest(disk: &SimDisk) -> String {
    let (log, _) =
        Log::open(disk.clone(), Settings { read_only: true, ..settings() }).expect("opens");
    log.segments().pop().expect("one")
}

const GONE: &str = "the segment was here and is gone";

#[test]
fn a_lost_segment_is_noticed_also_the_newest_until_it_is_back_or_given_up() {
    for of in ["newest", "oldest"] {
        let disk = closed();
        let name = if of == "newest" { newest(&disk) } else { "segment-000001".to_owned() };
        let kept = octets(&disk)[&name].clone();
        disk.remove(&name).expect("there");
        let lost = |report: &Report| {
            let gone = report.quarantined.iter().filter(|q| q.what == GONE);
            gone.map(|q| q.place.clone()).collect::<Vec<_>>()
        };
        let (report, _) = check(&disk);
        assert_eq!(lost(&report), std::slice::from_ref(&name), "{of}");
        let mut disk = disk;
        for start in 0..3 {
            let (spool, report) = open(disk.clone(), settings());
            assert_eq!(lost(&report), std::slice::from_ref(&name), "{of}, start {start}");
            accept(&spool, 900).expect("the rest flows");
            drop(spool);
            disk = disk.process_end();
        }
        assert!(!octets(&disk).contains_key(&name), "its number is not given to another one");
        let (mut log, _) = Log::open(disk.clone(), settings()).expect("opens");
        if of == "newest" {
            let file = disk.open(&name, OpenMode::Create).expect("its place is free");
            file.write_at(0, &[IoSlice::new(&kept)]).expect("room");
        } else {
            log.forget_lost().expect("the disk works");
        }
        drop(log);
        let (_, report) = open(disk.process_end(), settings());
        assert_eq!(lost(&report), Vec::<String>::new(), "{of}");
    }
}

#[test]
fn a_store_of_a_newer_version_is_refused_and_not_touched() {
    let disk = closed();
    assert_eq!(versions(&disk).expect("readable").into_keys().collect::<Vec<_>>(), [CURRENT]);
    for name in ["segment-000002", &newest(&disk)] {
        let mut header = octets(&disk)[name][..64].to_vec();
        header[4] = 2;
        let crc = crc32c::crc32c(&header[..60]).to_le_bytes();
        header[60..].copy_from_slice(&crc);
        let file = disk.open(name, OpenMode::Write).expect("there");
        file.write_at(4096, &[IoSlice::new(&header)]).expect("room");
    }
    let before = octets(&disk);
    assert_eq!(versions(&disk).expect("readable")[&2], 2);
    for read_only in [true, false] {
        let opened = Log::open(disk.clone(), Settings { read_only, ..settings() });
        let Err(OpenError::Newer { file, version }) = opened else { panic!("opened") };
        assert_eq!((file.as_str(), version), ("segment-000002", 2));
    }
    assert_eq!(octets(&disk), before);
}

fn listed_at(damage: &Quarantined, place: &str) -> bool {
    damage.place == place
}

/// Three messages in one group, the second with a file of its own.
fn three_in_a_group() -> (SimDisk, Vec<QueueId>) {
    let disk = SimDisk::new();
    let (mut log, _) = Log::open(disk.clone(), settings()).expect("opens");
    let sizes = [700, 30_000, 1_900];
    let mails = sizes.map(|size| Arc::new(testing::mail(log.mint(NOON), 2, size)));
    let ids = mails.iter().map(|mail| mail.envelope.id).collect();
    let mut group = Group { requests: mails.map(Request::Accept).to_vec(), ..Group::default() };
    log.commit(&mut group).expect("the disk works");
    assert!(group.answers.iter().all(|a| matches!(a, Answer::Accepted(Ok(_)))));
    let mut after = Group::default();
    after.requests.push(Request::Accept(Arc::new(testing::mail(log.mint(NOON), 1, 100))));
    log.commit(&mut after).expect("the disk works");
    drop(log);
    (disk.process_end(), ids)
}

#[test]
fn messages_are_salvaged_out_of_a_damaged_group() {
    let (probe, _) = three_in_a_group();
    let segment = &octets(&probe)["segment-000001"];
    let length = u32::from_le_bytes(segment[8192 + 24..][..4].try_into().expect("four"));
    let end = 8192 + u64::from(length);
    // Where, what is left of the three: envelope and content, and how many states.
    let cases = [
        ("its header", 8192 + 20, ["whole", "file", "whole"], 0),
        ("its directory", end - 9, ["whole", "file", "whole"], 0),
        ("the first envelope", 8192 + 70, ["-whole", "file", "whole"], 2),
        ("the first content", 8192 + 64 + 600, ["damaged", "file", "whole"], 2),
        ("the last content", end - 700, ["whole", "file", "damaged"], 2),
    ];
    for (place, at, wanted, states) in cases {
        let (disk, ids) = three_in_a_group();
        disk.rot("segment-000001", at, 1);
        let (log, report) = Log::open(disk, settings()).expect("opens");
        assert_eq!(report.messages, 1, "{place}: only the group after it is read");
        let damaged = log.damaged();
        let listed = |(q, _): &&(_, _)| listed_at(q, "segment-000001+8192");
        let (_, stretch) = damaged.iter().find(listed).expect(place);
        let stretch = stretch.as_ref().expect(place);
        let found = stretch.salvage();
        let told: Vec<_> = found
            .iter()
            .map(|one| {
                let content = match &one.content {
                    Left::Whole(_) => "whole",
                    Left::Damaged(_) => "damaged",
                    Left::InFile { size: 30_000, .. } => "file",
                    Left::InFile { .. } | Left::Nothing => "nothing",
                };
                format!("{}{content}", if one.envelope.is_some() { "" } else { "-" })
            })
            .collect();
        assert_eq!(told, wanted, "{place}");
        assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), ids, "{place}");
        for one in &found {
            assert_eq!(one.states.len(), states, "{place}");
            let Left::Whole(octets) = &one.content else { continue };
            assert_eq!(octets[..], testing::content(one.id, octets.len()), "{place}");
        }
        let fates = log.fates(&ids.iter().copied().collect());
        let gone = |fate: &Fate| *fate == Fate::Mentioned;
        assert!(fates.values().all(gone), "{place}: {fates:?}");
    }
}

#[test]
fn what_stands_before_a_file_is_salvaged_with_its_envelope() {
    let head = "DKIM-Signature: v=1; d=a.example;\r\n\tb=abc\r\nDKIM-Signature: v=1\r\n";
    let signed = || {
        let disk = SimDisk::new();
        let (mut log, _) = Log::open(disk.clone(), settings()).expect("opens");
        let mut mails = [700, 30_000, 1_900].map(|size| testing::mail(log.mint(NOON), 2, size));
        let mut body = SpilledBody::new(mails[1].envelope.id, 30_000);
        let file = disk.open(&format!("body-{}", body.id), OpenMode::Create).expect("new");
        let octets = testing::content(body.id, 30_000);
        file.write_at(0, &[IoSlice::new(&octets)]).expect("the disk works");
        body.prepend(head.as_bytes());
        mails[1].envelope.facts.size = body.size;
        mails[1].content = Content::Spilled(body);
        let mut group = Group::default();
        group.requests.extend(mails.map(|mail| Request::Accept(Arc::new(mail))));
        log.commit(&mut group).expect("the disk works");
        assert!(group.answers.iter().all(|a| matches!(a, Answer::Accepted(Ok(_)))));
        // With a valid group behind it, it is damage and no torn end.
        let mut after = Group::default();
        after.requests.push(Request::Accept(Arc::new(testing::mail(log.mint(NOON), 1, 100))));
        log.commit(&mut after).expect("the disk works");
        drop(log);
        disk.process_end()
    };
    let segment = &octets(&signed())["segment-000001"];
    let length = u32::from_le_bytes(segment[8192 + 24..][..4].try_into().expect("four"));
    let end = 8192 + u64::from(length);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    // By the group's directory, and by search.
    for (place, at) in [
        ("the first content", 8192 + 64 + 600),
        ("its header", 8192 + 20),
        ("its directory", end - 9),
    ] {
        let disk = signed();
        disk.rot("segment-000001", at, 1);
        let (log, _) = Log::open(disk, settings()).expect("opens");
        let damaged = log.damaged();
        let stretch = damaged.iter().find_map(|(_, stretch)| stretch.as_ref()).expect(place);
        let found = stretch.salvage();
        let Left::InFile { size, head: left } = &found[1].content else {
            panic!("{place}: {:?}", found[1].content)
        };
        assert_eq!((*size, text(left)), (30_000, head.to_owned()), "{place}");
        assert!(matches!(found[2].content, Left::Whole(_)), "{place}");
    }
}

#[test]
fn random_octets_are_salvaged_without_a_panic() {
    let mut rng = Rng::new(8);
    let (disk, _) = three_in_a_group();
    let all = octets(&disk)["segment-000001"][8192..20_480].to_vec();
    for _ in 0..200 {
        let mut octets = all.clone();
        for _ in 0..=rng.below(200) {
            let at = rng.index(octets.len());
            octets[at] = rng.below(256) as u8;
        }
        octets.truncate(rng.index(octets.len()));
        let (seed, octets) = (rng.below(1 << 32) as u32, octets.into());
        let stretch = posthaste_spool_local::Stretch { sequence: 1, seed, offset: 8192, octets };
        drop(stretch.salvage());
    }
}

#[test]
fn fates_tell_what_has_left_from_what_is_here() {
    let disk = SimDisk::new();
    let (spool, _) = open(disk, settings());
    let left = accept(&spool, 900).expect("accepted").envelope.id;
    let live = accept(&spool, 900).expect("accepted").envelope.id;
    deliver(&spool, left);
    let never = spool.mint(NOON);
    let fates = spool.fates(&[left, live, never].into());
    assert_eq!(fates, BTreeMap::from([(left, Fate::Left), (live, Fate::Live)]));
    assert!(content(&spool, live).is_some());
}
