//! Spools that earlier versions wrote: each of them opens, and holds what it held.
//!
//! A release adds the folder of its version: `cargo test -p posthaste-spool-local --test golden -- --ignored`
//! writes it when it is not there. Folders of earlier versions are never touched.

mod support;

use posthaste_evidence::{Connection, EventKind, NoticeKind, Withheld};
use posthaste_io::{Disk, DiskFile, OpenMode};
use posthaste_io_sim::SimDisk;
use posthaste_mail::QueueId;
use posthaste_queue::life::Life;
use posthaste_queue::{DestinationState, RecipientState};
use posthaste_spool::conformance::block_on;
use posthaste_spool::testing::{self, NOON};
use posthaste_spool::{
    Change, LedgerEntry, LedgerKey, LedgerValue, Live, Notice, Settlement, Spool, Started,
};
use posthaste_spool_local::{LocalSpool, Log, Settings};
use std::fmt::Write as _;
use std::fs;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use support::{accept, content, deliver, settlement};

/// What befell a spool.
type Story = fn(&dyn Spool);

/// What the store of this version is compared with.
const EXPECTED: &str = "expected.txt";

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn settings() -> Settings {
    Settings { segment_size: 28 * 1024, spares: 0, salt: 12_345, ..Settings::default() }
}

#[test]
fn every_version_s_spool_opens_and_holds_what_it_held() {
    let mut versions = 0;
    for folder in fs::read_dir(golden()).expect("there are golden spools") {
        let folder = folder.expect("readable").path();
        let disk = load(&folder);
        let (log, report) = Log::open(disk, settings()).expect("opens");
        assert_eq!(report.quarantined, [], "{folder:?}");
        assert_eq!((report.scanned, report.segments > 2), (1, true), "indexes and an open end");
        let told = tell(&LocalSpool::in_place(log));
        let expected = fs::read_to_string(folder.join(EXPECTED)).expect("readable");
        assert_eq!(told, expected, "{folder:?}");
        versions += 1;
    }
    assert!(versions >= 1);
}

fn load(folder: &Path) -> SimDisk {
    let disk = SimDisk::new();
    for file in fs::read_dir(folder).expect("readable") {
        let path = file.expect("readable").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        if name != EXPECTED {
            let file = disk.open(name, OpenMode::Create).expect("new");
            let octets = fs::read(&path).expect("readable");
            file.write_at(0, &[IoSlice::new(&octets)]).expect("room");
        }
    }
    disk
}

/// What the store holds, a line each, in words that stay the same when records gain fields.
fn tell<D: Disk + 'static>(spool: &LocalSpool<D>) -> String {
    let mut told = String::new();
    for live in block_on(spool.live(QueueId::MIN, 1000)).expect("readable").items {
        tell_message(&mut told, spool, &live);
    }
    for (key, value) in block_on(spool.ledger()).expect("readable") {
        let LedgerValue::Down { state, failures } = value else {
            panic!("{key:?}: the first format had outages only")
        };
        let key = match key {
            LedgerKey::Destination(name) => name,
            LedgerKey::NextHop(endpoint) => endpoint.to_string(),
            _ => unreachable!("they have other values"),
        };
        let DestinationState { since, failures: count, next_trial } = state;
        let _ = writeln!(told, "{key} is down since {since}, {count} failures, next {next_trial}");
        failures.iter().for_each(|connection| tell_connection(&mut told, connection));
    }
    for event in block_on(spool.events_since(0)).expect("readable") {
        let what = match &event.kind {
            EventKind::Received { from, to, size, .. } => format!("received {from} {to:?} {size}"),
            EventKind::Tried { to, outcome, host, .. } => {
                format!("tried {to} {} {host:?}", outcome.name())
            }
            EventKind::Expired { to } => format!("expired {to}"),
            EventKind::Notice { id, kind: NoticeKind::Failed } => format!("notice {id}"),
            EventKind::Notice { id, kind } => format!("{} notice {id}", kind.name()),
            EventKind::NoNotice { why } => {
                format!("no notice{}", why.map_or(String::new(), |why| format!(": {}", why.name())))
            }
            EventKind::Operator { to, act, .. } => format!("{act} {to:?}"),
            EventKind::Decision { .. } => unreachable!("the first format had none"),
            EventKind::Poison => "poison".into(),
            EventKind::Done => "done".into(),
        };
        let _ = writeln!(told, "commit {} {} {} {what}", event.commit, event.at, event.message);
    }
    told
}

fn tell_message<D: Disk + 'static>(told: &mut String, spool: &LocalSpool<D>, live: &Live) {
    let envelope = &live.envelope;
    let whole = content(spool, envelope.id).expect("whole");
    assert_eq!(crc32c::crc32c(&whole), envelope.facts.crc);
    let to: Vec<_> = envelope.recipients.iter().map(|r| r.mailbox.as_str()).collect();
    let _ = writeln!(
        told,
        "{} at {} from {} to {to:?}, {:?}, {} octets, crc {:08x}",
        envelope.id,
        envelope.received,
        envelope.reverse_path,
        envelope.summary.subject,
        whole.len(),
        envelope.facts.crc
    );
    for state in &live.states {
        let RecipientState { life, attempts, failures, due, crashes, warned } = state;
        let held = Life::Held == *life;
        let _ = write!(told, "  held {held}, {attempts} {failures} {crashes}, due {due}");
        if life.is_ending() || *warned > 0 {
            let _ = write!(told, ", {life:?}, notices {warned}");
        }
        told.push('\n');
    }
    let _ = writeln!(told, "  in hand {:?} with {:?}", live.in_hand, live.in_hand_with);
    let history = block_on(spool.history(envelope.id)).expect("readable");
    for attempt in &history.attempts {
        let connection = attempt.connection.map(|id| id.0);
        let seen = attempt.observations.len();
        let _ = writeln!(told, "  tried at {} over {connection:?}, {seen} seen", attempt.at);
        for result in &attempt.results {
            let reply = result.reply.as_ref().map(ToString::to_string);
            let fault = result.fault.as_ref().map(|f| (f.stage().name(), f.status().to_string()));
            let (recipient, outcome) = (result.recipient, result.outcome.name());
            let _ = writeln!(told, "    {recipient} {outcome}: {reply:?} {fault:?}");
        }
        for seen in &attempt.observations {
            let _ = writeln!(told, "    {} {}", seen.stage.name(), seen.effect.name());
        }
    }
    history.connections.iter().for_each(|connection| tell_connection(told, connection));
}

fn tell_connection(told: &mut String, connection: &Connection) {
    let Connection { id, destination, host, peer, at, observations, .. } = connection;
    let seen = observations.len();
    let _ = writeln!(
        told,
        "  connection {} to {destination}, {host:?} {peer:?} at {at}, {seen} seen",
        id.0
    );
}

#[test]
#[ignore = "writes the golden spool of this version"]
fn write_this_version_s_spool() {
    let version = env!("CARGO_PKG_VERSION").rsplit_once('.').expect("a version").0;
    let notices = format!("{version}-notices");
    let lives: [(&str, Story); 2] = [(version, live_a_life), (&notices, tell_senders)];
    for (name, life) in lives {
        let folder = golden().join(name);
        if !folder.exists() {
            write_spool(&folder, life);
        }
        let expected = folder.join(EXPECTED);
        // A golden spool is never changed.
        if !expected.exists() {
            let (log, _) = Log::open(load(&folder), settings()).expect("opens");
            fs::write(expected, tell(&LocalSpool::in_place(log))).expect("room");
        }
    }
}

fn write_spool(folder: &Path, life: Story) {
    let disk = SimDisk::new();
    let (log, _) = Log::open(disk.clone(), settings()).expect("opens");
    let spool = LocalSpool::in_place(log);
    life(&spool);
    drop(spool);
    fs::create_dir_all(folder).expect("room");
    let disk = disk.process_end();
    for (name, length) in disk.list().expect("readable") {
        let mut octets = vec![0; usize::try_from(length).expect("small")];
        let file = disk.open(&name, OpenMode::Read).expect("there");
        file.read_at(0, &mut octets).expect("readable");
        fs::write(folder.join(name), octets).expect("room");
    }
}

/// Delays, ends that wait for probes, every kind of notice and every reason for none: what came after the first
/// format.
fn tell_senders(spool: &dyn Spool) {
    for (step, (kind, _)) in (0..).zip(NoticeKind::ALL) {
        let mail = testing::mail(spool.mint(NOON), 6, 100);
        block_on(spool.accept(mail.clone())).expect("accepted");
        let about = mail.envelope.id;
        let due = NOON.plus(std::time::Duration::from_secs(60 * step));
        let lives = [Life::Queued, Life::Held, Life::Failing, Life::Expiring, Life::Poison];
        let state =
            |life| RecipientState { life, attempts: 3, failures: 2, due, crashes: 1, warned: 0 };
        let states = (0..).zip(lives).map(|(recipient, life)| {
            let warned = if recipient < 2 { u8::try_from(3 * step).expect("few") } else { 0 };
            Change { message: about, recipient, state: RecipientState { warned, ..state(life) } }
        });
        let s = Settlement {
            changes: states.collect(),
            notices: vec![Notice {
                about,
                kind: Some(kind),
                mail: testing::mail(spool.mint(NOON), 1, 900),
            }],
            withheld: Withheld::ALL.iter().map(|(why, _)| (about, *why)).collect(),
            ..settlement(spool)
        };
        block_on(spool.settle(s)).expect("settled");
    }
    // So much that segments are sealed.
    for _ in 0..12 {
        accept(spool, 3_000).expect("accepted");
    }
}

/// A little of everything.
fn live_a_life(spool: &dyn Spool) {
    let mut mails: Vec<_> = (0..7).map(|n| accept(spool, 150 * n).expect("accepted")).collect();
    let large = accept(spool, 7_200).expect("accepted").envelope.id;
    let several = testing::mail(spool.mint(NOON), 3, 700);
    block_on(spool.accept(several.clone())).expect("accepted");
    for mail in mails.drain(..3) {
        deliver(spool, mail.envelope.id);
    }
    let due = NOON.plus(std::time::Duration::from_secs(300));
    for connection in 1..3 {
        let state = RecipientState { attempts: 2, failures: 2, due, ..RecipientState::default() };
        let mut attempt = testing::deferred(several.envelope.id, connection);
        if connection == 1 {
            attempt.observations.extend(testing::every_observation());
        }
        let s = Settlement {
            connections: vec![testing::connection(connection)],
            attempts: vec![attempt, testing::deferred(large, connection)],
            changes: vec![Change { message: several.envelope.id, recipient: 1, state }],
            ..settlement(spool)
        };
        block_on(spool.settle(s)).expect("settled");
    }
    for (mail, fault) in mails.iter().zip(testing::every_fault()) {
        let id = mail.envelope.id;
        let mut attempt = testing::deferred(id, 1);
        attempt.results[0].fault = Some(fault);
        let state = RecipientState { life: Life::Held, crashes: 1, ..RecipientState::default() };
        let changes = vec![Change { message: id, recipient: 0, state }];
        let s = Settlement { attempts: vec![attempt], changes, ..settlement(spool) };
        block_on(spool.settle(s)).expect("settled");
    }
    let failed = mails.remove(0).envelope.id;
    let notice = Notice {
        about: failed,
        kind: Some(posthaste_evidence::NoticeKind::Failed),
        mail: testing::mail(spool.mint(NOON), 1, 2_000),
    };
    let state = RecipientState { life: Life::Expired, ..RecipientState::default() };
    let down = DestinationState { since: NOON, failures: 7, next_trial: due };
    let value = LedgerValue::Down { state: down, failures: vec![testing::connection(77)] };
    let keys = [LedgerKey::Destination("example.net".into()), LedgerKey::NextHop(testing::peer())];
    let s = Settlement {
        changes: vec![Change { message: failed, recipient: 0, state }],
        notices: vec![notice],
        ledger: keys.map(|key| LedgerEntry { key, value: Some(value.clone()) }).to_vec(),
        ..settlement(spool)
    };
    block_on(spool.settle(s)).expect("settled");
    let message = several.envelope.id;
    spool.started(Started { message, recipients: vec![0, 2], peer: Some(testing::peer()) });
    let key = LedgerKey::NextHop(testing::peer());
    let s = Settlement { ledger: vec![LedgerEntry { key, value: None }], ..settlement(spool) };
    block_on(spool.settle(s)).expect("settled");
}
