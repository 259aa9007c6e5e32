//! What goes out of one spool comes into another, all of it; and what is damaged is kept and restored once.

use super::import::{Imported, import};
use super::parcel::{Arrived, Sink};
use super::quarantine::{Quarantine, State, prepare, restore};
use super::{FOLDER, cargo, ledger, open};
use posthaste_admin::keeper::Wanted;
use posthaste_io_tokio::RealDisk;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::{DestinationState, Life, RecipientState};
use posthaste_spool::conformance::block_on;
use posthaste_spool::testing::{self, NOON};
use posthaste_spool::{
    Carried, Change, LedgerEntry, LedgerKey, LedgerValue, NewMail, Settlement, Spool, Started,
};
use posthaste_spool_local::LocalSpool;
use std::path::Path;
use std::time::Duration;

/// Small and seeded (Steele's mix), so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % limit
    }

    fn small(&mut self, limit: u32) -> u32 {
        u32::try_from(self.below(limit.into())).expect("below it")
    }
}

fn spool(data: &Path) -> LocalSpool<RealDisk> {
    let disk = RealDisk::open(&data.join(FOLDER)).expect("it is free");
    LocalSpool::in_place(open(disk, false).expect("opens").0)
}

fn settlement(spool: &dyn Spool) -> Settlement {
    Settlement {
        tenure: spool.take(),
        at: NOON,
        connections: vec![],
        acts: vec![],
        attempts: vec![],
        changes: vec![],
        withheld: Vec::new(),
        notices: vec![],
        ledger: vec![],
    }
}

/// A message of any kind: recipients in every state of life, small, empty or with a file of its own.
fn any_mail(spool: &dyn Spool, dice: &mut Dice) -> NewMail {
    let recipients = usize::try_from(1 + dice.below(5)).expect("small");
    let size = match dice.below(8) {
        0 => 0,
        1 => 300_000 + dice.below(900_000),
        _ => dice.below(9_000),
    };
    let size = usize::try_from(size).expect("small");
    let mut mail = testing::mail(spool.mint(NOON), recipients, size);
    let lives =
        [Life::Queued, Life::Held, Life::Poison, Life::Delivered, Life::Failed, Life::Failing];
    for state in &mut mail.states {
        *state = RecipientState {
            life: lives[usize::try_from(dice.below(6)).expect("small")],
            attempts: dice.small(9),
            failures: dice.small(9),
            due: NOON.plus(Duration::from_micros(dice.below(1 << 40))),
            crashes: u8::try_from(dice.below(3)).expect("small"),
            warned: u8::try_from(dice.below(3)).expect("small"),
        };
    }
    mail.states[0].life = Life::Queued;
    mail
}

/// A life: attempts, transactions under way, things that are down.
fn fill(data: &Path, seed: u64) {
    let mut dice = Dice(seed);
    let spool = spool(data);
    for connection in 1..=12 {
        let mail = any_mail(&spool, &mut dice);
        let message = mail.envelope.id;
        block_on(spool.accept(mail)).expect("accepted");
        for attempt in 0..dice.below(4) {
            let connection = connection * 10 + attempt;
            let due = NOON.plus(Duration::from_secs(attempt));
            let state = RecipientState { attempts: 7, due, ..RecipientState::default() };
            let s = Settlement {
                connections: vec![testing::connection(connection)],
                attempts: vec![testing::deferred(message, connection)],
                changes: vec![Change { message, recipient: 0, state }],
                ..settlement(&spool)
            };
            block_on(spool.settle(s)).expect("settled");
        }
        if dice.below(4) == 0 {
            spool.started(Started { message, recipients: vec![0], peer: Some(testing::peer()) });
        }
    }
    let down = DestinationState { since: NOON, failures: 3, next_trial: NOON };
    let value = LedgerValue::Down { state: down, failures: vec![testing::connection(5)] };
    let key = LedgerKey::Destination(format!("d{seed}.example mx"));
    let ledger = vec![LedgerEntry { key, value: Some(value) }];
    block_on(spool.settle(Settlement { ledger, ..settlement(&spool) })).expect("settled");
    block_on(spool.close());
}

/// Everything in it, as an export sees it.
fn all(data: &Path) -> (Vec<(Carried, Vec<u8>)>, Vec<LedgerEntry>) {
    let disk = RealDisk::look(&data.join(FOLDER)).expect("there");
    let spool = LocalSpool::in_place(open(disk, true).expect("opens").0);
    let (mut messages, mut after) = (Vec::new(), Some(QueueId::MIN));
    while let Some(from) = after {
        let some = block_on(cargo(&spool, from, 100_000)).expect("readable");
        assert_eq!(some.damaged, []);
        messages.extend(some.messages);
        after = some.next;
    }
    (messages, block_on(ledger(&spool)).expect("readable"))
}

fn export(data: &Path, mut sink: Sink<'_>) {
    let (messages, ledger) = all(data);
    for (carried, content) in &messages {
        sink.put(carried, content).expect("room");
    }
    sink.finish(messages.len() as u64, &ledger, NOON).expect("room");
}

fn take_in(arrived: &Arrived, data: &Path) -> Imported {
    let disk = RealDisk::open(&data.join(FOLDER)).expect("it is free");
    let mut log = open(disk, false).expect("opens").0;
    let imported = import(&mut log, arrived, Timestamp::from_secs(1_900_000_000)).expect("room");
    log.close().expect("the disk works");
    imported
}

#[test]
fn a_round_trip_loses_nothing_by_folder_and_by_line() {
    for seed in 0..4 {
        let place = tempfile::tempdir().expect("a folder");
        let [from, folder, to] = ["from", "export", "to"].map(|name| place.path().join(name));
        std::fs::create_dir(&from).expect("made");
        std::fs::create_dir(&to).expect("made");
        fill(&from, seed);
        let (messages, ledger) = all(&from);
        assert_eq!((messages.len(), ledger.len()), (12, 1));
        let arrived = if seed % 2 == 0 {
            export(&from, Sink::folder(&folder).expect("made"));
            Arrived::folder(&folder).expect("complete")
        } else {
            let mut octets = Vec::new();
            export(&from, Sink::lines(&mut octets));
            Arrived::lines(&String::from_utf8(octets).expect("JSON")).expect("complete")
        };
        let imported = take_in(&arrived, &to);
        assert_eq!(imported, Imported { messages: 12, ..Imported::default() });
        assert_eq!(all(&to), (messages, ledger), "seed {seed}");
        let again = take_in(&arrived, &to);
        assert_eq!(again, Imported { here: 12, ..Imported::default() }, "passed over");
        assert_eq!(all(&to), all(&from), "seed {seed}");
    }
}

#[test]
fn ids_that_are_taken_are_replaced_and_nothing_is_overwritten() {
    let place = tempfile::tempdir().expect("a folder");
    let [from, folder, to] = ["from", "export", "to"].map(|name| place.path().join(name));
    std::fs::create_dir(&from).expect("made");
    std::fs::create_dir(&to).expect("made");
    // The same ids: they are made of the time and a number.
    fill(&from, 1);
    fill(&to, 2);
    let (theirs, _) = all(&from);
    let (ours, _) = all(&to);
    assert_eq!(theirs[0].0.live.envelope.id, ours[0].0.live.envelope.id);
    export(&from, Sink::folder(&folder).expect("made"));
    let imported = take_in(&Arrived::folder(&folder).expect("complete"), &to);
    assert_eq!((imported.messages, imported.renamed.len()), (12, 12));
    let (both, ledger) = all(&to);
    assert_eq!((both.len(), ledger.len()), (24, 2));
    assert_eq!(both[..12], ours[..], "they are as they were");
    for ((was, content), (old, new)) in theirs.iter().zip(&imported.renamed) {
        assert_eq!(was.live.envelope.id, *old);
        let (is, here) = both.iter().find(|(c, _)| c.live.envelope.id == *new).expect("here");
        assert_eq!((&is.live.states, here), (&was.live.states, content));
        assert_eq!(is.history.attempts.len(), was.history.attempts.len());
        assert!(is.history.attempts.iter().all(|attempt| attempt.message == *new));
    }
}

#[test]
fn what_is_no_whole_export_is_refused_and_says_why() {
    let place = tempfile::tempdir().expect("a folder");
    let [from, folder, to] = ["from", "export", "to"].map(|name| place.path().join(name));
    std::fs::create_dir(&from).expect("made");
    std::fs::create_dir(&to).expect("made");
    fill(&from, 3);
    export(&from, Sink::folder(&folder).expect("made"));
    let refusal = |sink: anyhow::Result<Sink<'_>>| sink.err().map(|error| error.to_string());
    assert!(refusal(Sink::folder(&folder)).is_some_and(|error| error.contains("not empty")));
    let (messages, _) = all(&from);
    let name = |n: usize| messages[n].0.live.envelope.id;
    // One cut, one changed, one without its content, one that is no JSON.
    let eml = |n| folder.join(format!("{}.eml", name(n)));
    let mut octets = std::fs::read(eml(0)).expect("there");
    octets.push(b'x');
    std::fs::write(eml(0), octets).expect("room");
    std::fs::remove_file(eml(1)).expect("there");
    std::fs::write(folder.join(format!("{}.json", name(2))), "{").expect("room");
    let imported = take_in(&Arrived::folder(&folder).expect("complete"), &to);
    assert_eq!((imported.messages, imported.bad.len()), (9, 3));
    assert!(imported.bad[0].1.contains("changed or cut"), "{:?}", imported.bad);
    std::fs::remove_file(folder.join(format!("{}.json", name(3)))).expect("there");
    let error = Arrived::folder(&folder).err().expect("incomplete").to_string();
    assert_eq!(error, "the export has 11 messages and says that it has 12");
    std::fs::remove_file(folder.join("spool.json")).expect("there");
    assert!(
        Arrived::folder(&folder).err().expect("cut").to_string().contains("no complete export")
    );
    assert!(Arrived::lines("{\"v\":1}\n").is_err() && Arrived::lines("").is_err());
    assert!(Arrived::lines("{\"v\":2,\"complete\":true}").is_err());
}

/// Three messages in three commits; then the octet at a place of the first segment is turned.
fn damaged(data: &Path, at: usize) -> Vec<QueueId> {
    let before = spool(data);
    let mails = [700, 400_000, 1_900].map(|size| testing::mail(before.mint(NOON), 2, size));
    let ids = mails.iter().map(|mail| mail.envelope.id).collect();
    for mail in mails {
        block_on(before.accept(mail)).expect("accepted");
    }
    drop(before);
    let segment = data.join(FOLDER).join("segment-000001");
    let mut octets = std::fs::read(&segment).expect("there");
    octets[at] ^= 1;
    std::fs::write(segment, octets).expect("room");
    ids
}

fn restored(data: &Path, name: &str) -> Vec<(Option<QueueId>, Option<String>)> {
    let (quarantine, spool) = (Quarantine::of(data), spool(data));
    let wanted = Wanted { name: name.to_owned(), id: None, by: None };
    let prepared = prepare(&quarantine, &spool, &wanted).expect("there");
    let done = block_on(restore(&quarantine, &spool, prepared, None)).expect("accepted");
    done.into_iter().map(|one| (one.new, one.why_not)).collect()
}

#[test]
fn damaged_places_are_kept_over_starts_and_restored_once() {
    // Of the first commit its directory's checksum; of the second likewise: its message has a file of its own.
    for (commit, at) in [(0, 8192 + 61), (1, 8192 + 4096 + 61)] {
        let place = tempfile::tempdir().expect("a folder");
        let data = place.path();
        let ids = damaged(data, at);
        let quarantine = Quarantine::of(data);
        assert!(quarantine.keep(spool(data).damaged()).expect("room") > 0);
        assert_eq!(quarantine.keep(spool(data).damaged()).expect("room"), 0, "listed once");
        let notes = quarantine.list(false).expect("readable");
        let note = notes.iter().find(|note| note.place.contains('+')).expect("a commit");
        let found = quarantine.messages(note).expect("readable");
        assert_eq!((found.len(), found[0].id, found[0].state), (1, ids[commit], State::Whole));

        let done = restored(data, &note.name);
        let new = done[0].0.expect("restored");
        let again = restored(data, &note.name);
        assert!(again[0].1.as_ref().expect("not twice").contains("it was restored as"));
        let (here, _) = all(data);
        let one = here.iter().find(|(c, _)| c.live.envelope.id == new).expect("here");
        assert_eq!((here.len(), &one.1), (3, &found[0].content));
        assert!(one.0.live.envelope.received > NOON, "as new mail");

        quarantine.remove(note).expect("room");
        assert_eq!(quarantine.keep(spool(data).damaged()).expect("room"), 0, "not again");
        assert!(quarantine.list(false).expect("readable").iter().all(|n| n.name != note.name));
    }
}

#[test]
fn what_is_left_of_a_message_can_be_had_but_not_restored() {
    let place = tempfile::tempdir().expect("a folder");
    let data = place.path();
    damaged(data, 8192 + 64 + 500);
    let quarantine = Quarantine::of(data);
    quarantine.keep(spool(data).damaged()).expect("room");
    let note = quarantine.list(false).expect("readable").remove(0);
    let found = quarantine.messages(&note).expect("readable");
    assert_eq!((found.len(), found[0].state, found[0].content.len()), (1, State::Damaged, 700));
    let why = restored(data, &note.name)[0].1.clone().expect("not whole");
    assert!(why.starts_with("damaged content"), "{why}");
    assert_eq!(all(data).0.len(), 2);
}
