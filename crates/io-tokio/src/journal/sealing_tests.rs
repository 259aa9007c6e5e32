//! Sealing over real files: a kill at any moment around it loses nothing and doubles nothing; what is kept, and what
//! somebody else does to the files.

use super::files::{self, EVENTS, Keep, Roll, SESSIONS};
use super::tests::{delivered, received, wait_until};
use super::*;
use crate::event_line;
use std::collections::BTreeMap;
use std::fs;

/// So small that every sync seals.
fn tiny() -> Settings {
    Settings { roll: Roll { size: 1, ..Settings::default().roll }, ..Settings::default() }
}

/// All files of the event log in order, with their octets.
fn log_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let sealed = files::sealed(folder, EVENTS).unwrap().into_iter().map(|sealed| sealed.path);
    let all = sealed.chain([files::active(folder, EVENTS)]).filter(|path| path.exists());
    all.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

/// How often each event is in the log, whatever the file.
fn counted(folder: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, octets) in log_files(folder) {
        for line in String::from_utf8(octets).unwrap().lines() {
            let line: serde_json::Value = serde_json::from_str(line).expect(line);
            if line.get("id").is_some() {
                let key =
                    format!("{}/{}/{}{}", line["commit"], line["id"], line["event"], line["to"]);
                *counts.entry(key).or_default() += 1;
            }
        }
    }
    counts
}

fn events() -> Vec<Event> {
    let mut events = Vec::new();
    for commit in 1..=6u64 {
        events.push(received(2 * commit - 1, commit));
        events.push(delivered(2 * commit, commit, "b@y"));
        events.push(delivered(2 * commit, commit, "c@y"));
    }
    events
}

#[test]
fn a_large_log_is_sealed_and_the_next_one_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, tiny()).unwrap();
    journal.append(received(1, 1));
    wait_until(|| files::sealed(folder.path(), EVENTS).unwrap().len() == 1);
    journal.append(received(2, 2));
    wait_until(|| files::sealed(folder.path(), EVENTS).unwrap().len() == 2);
    wait_until(|| journal.safe_commit() == 2);
    drop(journal);
    assert_eq!(counted(folder.path()).values().copied().collect::<Vec<_>>(), [1, 1]);
    let journal = FileJournal::open(folder.path(), 2, tiny()).unwrap();
    assert_eq!(journal.safe_commit(), 2);
}

/// Every state that a kill can leave around a seal: the sealed file, and of the new one nothing, an empty file, a part of
/// its mark, the mark, and any part of the lines after it.
#[test]
fn a_kill_at_any_moment_around_a_seal_loses_and_doubles_nothing() {
    let original = tempfile::tempdir().unwrap();
    let all = events();
    let journal = FileJournal::open(original.path(), 0, tiny()).unwrap();
    let (first, rest) = all.split_at(7);
    first.iter().for_each(|event| journal.append(event.clone()));
    wait_until(|| files::sealed(original.path(), EVENTS).unwrap().len() == 1);
    rest.iter().for_each(|event| journal.append(event.clone()));
    // Killed, not ended: what follows is made of the files as they are now.
    wait_until(|| counted(original.path()).len() == all.len());
    let state = log_files(original.path());
    drop(journal);
    let (sealed, active) = (&state[..state.len() - 1], &state[state.len() - 1].1);
    assert_eq!(sealed.len(), 1);
    let mut states: Vec<Option<usize>> = (0..=active.len()).step_by(3).map(Some).collect();
    states.extend([None, Some(active.len())]);
    for cut in states {
        let folder = tempfile::tempdir().unwrap();
        for (path, octets) in sealed {
            fs::write(folder.path().join(path.file_name().unwrap()), octets).unwrap();
        }
        if let Some(cut) = cut {
            fs::write(files::active(folder.path(), EVENTS), &active[..cut]).unwrap();
        }
        // Twice: the second start finds what the first one added, though that was killed as well.
        for start in 0..2 {
            let journal = FileJournal::open(folder.path(), 12, Settings::default()).unwrap();
            let safe = journal.safe_commit();
            let again = all.iter().filter(|event| event.commit > safe);
            again.for_each(|event| journal.append(event.clone()));
            drop(journal);
            let counts = counted(folder.path());
            assert_eq!(counts.len(), all.len(), "cut {cut:?} start {start}: lost");
            assert!(counts.values().all(|&count| count == 1), "cut {cut:?}: doubled {counts:?}");
        }
    }
}

#[test]
fn a_kill_before_the_file_is_sealed_anew_leaves_one_file() {
    // Renamed, and the new file begun by the next start: the sealed file is cut where its last sync was not.
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    events().into_iter().for_each(|event| journal.append(event));
    drop(journal);
    let active = files::active(folder.path(), EVENTS);
    fs::rename(&active, folder.path().join("events-20261121T065304.123Z.jsonl")).unwrap();
    let journal = FileJournal::open(folder.path(), 12, Settings::default()).unwrap();
    let safe = journal.safe_commit();
    events().into_iter().filter(|e| e.commit > safe).for_each(|event| journal.append(event));
    journal.finish();
    assert_eq!(journal.safe_commit(), 12);
    assert!(counted(folder.path()).values().all(|&count| count == 1));
}

#[test]
fn a_file_that_is_moved_or_removed_is_begun_anew() {
    for moved in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
        journal.append(received(1, 1));
        wait_until(|| journal.safe_commit() == 1);
        let active = files::active(folder.path(), EVENTS);
        if moved {
            fs::rename(&active, folder.path().join("mine")).unwrap();
        } else {
            fs::remove_file(&active).unwrap();
        }
        journal.append(received(2, 2));
        wait_until(|| active.exists());
        journal.append(received(3, 3));
        journal.finish();
        let after = fs::read_to_string(&active).unwrap();
        assert!(after.contains("\"commit\":3,\"id\""), "{after}");
        drop(journal);
        let journal = FileJournal::open(folder.path(), 3, Settings::default()).unwrap();
        assert_eq!(journal.safe_commit(), 3);
    }
}

#[test]
fn a_folder_that_is_removed_is_made_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("events");
    let journal = FileJournal::open(&folder, 0, Settings::default()).unwrap();
    journal.append(received(1, 1));
    wait_until(|| journal.safe_commit() == 1);
    fs::remove_dir_all(&folder).unwrap();
    journal.append(received(2, 2));
    let active = files::active(&folder, EVENTS);
    wait_until(|| active.exists());
    journal.append(received(3, 3));
    journal.finish();
    assert!(fs::read_to_string(&active).unwrap().contains("\"commit\":3,\"id\""));
    assert_eq!(journal.dropped(), 0);
}

#[test]
fn what_cannot_be_written_anywhere_is_counted() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("events");
    let journal = FileJournal::open(&folder, 0, Settings::default()).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    journal.append(received(1, 1));
    wait_until(|| {
        journal.append(received(2, 2));
        journal.dropped() > 0
    });
}

#[test]
fn a_file_that_is_emptied_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    journal.append(received(1, 1));
    wait_until(|| journal.safe_commit() == 1);
    let active = files::active(folder.path(), EVENTS);
    fs::File::options().write(true).open(&active).unwrap().set_len(0).unwrap();
    journal.append(received(2, 2));
    wait_until(|| journal.safe_commit() == 2);
    journal.append(received(3, 3));
    journal.finish();
    let text = fs::read_to_string(&active).unwrap();
    assert!(text.lines().last().unwrap().contains("\"safe\""), "{text:?}");
}

#[test]
fn the_oldest_files_go_with_their_indexes_but_never_the_one_that_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| fs::write(folder.path().join(name), vec![b'x'; 1000]).unwrap();
    for hour in 1..=4 {
        write(&format!("events-20261121T0{hour}0000.000Z.jsonl"));
        write(&format!("events-20261121T0{hour}0000.000Z.idx"));
    }
    for other in ["events.jsonl", "events-mine.jsonl", "sessions-20261121T010000.000Z.jsonl"] {
        write(other);
    }
    let keep = |size| Keep { age: Duration::from_secs(3600), size };
    let thin = |size, needed| files::thin_out(folder.path(), EVENTS, keep(size), needed).unwrap();
    assert_eq!(thin(5000, None), 0);
    assert_eq!(thin(3500, None), 2);
    assert!(!folder.path().join("events-20261121T010000.000Z.idx").exists());
    assert_eq!(thin(0, Some("events-20261121T030000.000Z.jsonl")), 0);
    assert_eq!(thin(0, Some("events-20261121T040000.000Z.jsonl")), 1);
    assert_eq!(files::sealed(folder.path(), SESSIONS).unwrap().len(), 1);
    let none = Keep { age: Duration::ZERO, size: u64::MAX };
    assert_eq!(files::thin_out(folder.path(), EVENTS, none, None).unwrap(), 1);
    assert!(folder.path().join("events-mine.jsonl").exists());
}

#[test]
fn sessions_have_a_log_of_their_own() {
    use posthaste_evidence::session::Side;
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, tiny()).unwrap();
    let at = std::net::SocketAddr::from(([192, 0, 2, 7], 4000));
    for n in 1..=3 {
        let side = Side::In { listener: "relay".into() };
        let id = posthaste_mail::ConnectionId(n);
        journal.append_session(Session::new(id, posthaste_mail::Timestamp::EPOCH, at, at, side));
        let written = || {
            let sealed = files::sealed(folder.path(), SESSIONS).unwrap().len() as u64;
            let active = fs::metadata(files::active(folder.path(), SESSIONS));
            sealed + u64::from(active.is_ok_and(|active| active.len() > 0))
        };
        wait_until(|| written() == n);
    }
    journal.finish();
    assert_eq!(journal.dropped_sessions(), 0);
    assert_eq!(event_line(&received(1, 1)).matches("session").count(), 0);
}
