//! The event log over real files: what a crash leaves, and that nothing is lost or doubled by it.

use super::*;
use crate::event_line;
use posthaste_evidence::Outcome;
use posthaste_mail::{QueueId, Timestamp};
use std::io::Write;

pub(super) fn received(commit: u64, message: u64) -> Event {
    let kind = EventKind::Received {
        from: "a@x".into(),
        to: vec!["b@y".into(), "c@y".into()],
        size: 1,
        client: None,
        listener: "relay".into(),
        message_id: Some("<1@x>".into()),
        session: None,
        subject: None,
        user: None,
        redirected_from: None,
    };
    Event { at: Timestamp::EPOCH, commit, message: QueueId::from_u64(message), kind }
}

pub(super) fn delivered(commit: u64, message: u64, to: &str) -> Event {
    let (to, outcome) = (to.to_owned(), Outcome::Delivered);
    let kind = EventKind::Tried {
        to,
        outcome,
        host: None,
        reply: None,
        fault: None,
        next: None,
        session: None,
    };
    Event { at: Timestamp::EPOCH, commit, message: QueueId::from_u64(message), kind }
}

/// The events in the file as `commit/message/event`, without the log's own lines.
fn lines(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(FILE_NAME)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect(line))
        .filter(|line| line.get("id").is_some())
        .map(|line| {
            let message: QueueId = line["id"].as_str().unwrap().parse().unwrap();
            let (commit, event) = (&line["commit"], line["event"].as_str().unwrap());
            let to = line["to"].as_str().unwrap_or("");
            format!("{commit}/{}/{event}{to}", message.as_u64())
        })
        .collect()
}

pub(super) fn wait_until(mut met: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !met() {
        assert!(begin.elapsed() < Duration::from_secs(20), "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_finished_log_has_nothing_open() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    for commit in 1..=3 {
        journal.append(received(commit, commit));
        journal.append(delivered(commit, commit, "b@y"));
    }
    journal.finish();
    assert_eq!((journal.safe_commit(), journal.dropped()), (3, 0));
    journal.append(received(4, 4));
    assert_eq!(journal.dropped(), 1, "after the end nothing is taken");
    drop(journal);
    assert_eq!(lines(folder.path()).len(), 6);

    let journal = FileJournal::open(folder.path(), 3, Settings::default()).unwrap();
    assert_eq!(journal.safe_commit(), 3);
    journal.append(received(3, 3));
    journal.append(received(4, 4));
    drop(journal);
    let all = lines(folder.path());
    assert_eq!((all.len(), all[6].as_str()), (7, "4/4/received"));
}

#[test]
fn a_commit_is_safe_one_sync_after_it_was_appended() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    journal.append(received(1, 1));
    wait_until(|| lines(folder.path()).len() == 1);
    assert_eq!(journal.safe_commit(), 0, "its other events may still come");
    journal.append(delivered(1, 1, "b@y"));
    wait_until(|| journal.safe_commit() == 1);
    assert_eq!(lines(folder.path()).len(), 2);
}

/// A log as a crash left it: 1 is safe, of 2 and 3 some lines survived, the last is torn.
fn crashed(folder: &Path) {
    let journal = FileJournal::open(folder, 0, Settings::default()).unwrap();
    journal.append(received(1, 1));
    journal.finish();
    drop(journal);
    let journal = FileJournal::open(folder, 1, Settings::default()).unwrap();
    journal.append(received(3, 3));
    journal.append(delivered(2, 1, "b@y"));
    drop(journal);
    let torn = event_line(&delivered(2, 1, "c@y"));
    let mut file = std::fs::File::options().append(true).open(folder.join(FILE_NAME)).unwrap();
    file.write_all(&torn.as_bytes()[..40]).unwrap();
}

#[test]
fn after_a_crash_no_event_is_lost_and_none_doubled() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path());
    for start in 0..2 {
        let journal = FileJournal::open(folder.path(), 3, Settings::default()).unwrap();
        assert_eq!(journal.safe_commit(), 1, "start {start}");
        for event in [
            received(1, 1),
            delivered(2, 1, "b@y"),
            delivered(2, 1, "c@y"),
            received(3, 3),
            received(3, 4),
        ] {
            journal.append(event);
        }
        // The second start finds the first one's additions and adds nothing, though it crashed as well.
        drop(journal);
        let mut all = lines(folder.path());
        all.sort();
        let expected = [
            "1/1/received",
            "2/1/deliveredb@y",
            "2/1/deliveredc@y",
            "3/3/received",
            "3/4/received",
        ];
        assert_eq!(all, expected, "start {start}");
    }
}

#[test]
fn a_crash_may_cut_anywhere_after_the_last_sync() {
    let original = tempfile::tempdir().unwrap();
    crashed(original.path());
    let octets = std::fs::read(original.path().join(FILE_NAME)).unwrap();
    let synced = 1 + octets.windows(7).rposition(|w| w == b"\"from\":").unwrap();
    let synced = synced + octets[synced..].iter().position(|&b| b == b'\n').unwrap() + 1;
    let events = [received(1, 1), delivered(2, 1, "b@y"), delivered(2, 1, "c@y"), received(3, 3)];
    for cut in (synced..=octets.len()).step_by(5) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), &octets[..cut]).unwrap();
        let journal = FileJournal::open(folder.path(), 3, Settings::default()).unwrap();
        assert_eq!(journal.safe_commit(), 1, "cut at {cut}");
        events.iter().for_each(|event| journal.append(event.clone()));
        journal.finish();
        let mut all = lines(folder.path());
        all.sort();
        let expected = ["1/1/received", "2/1/deliveredb@y", "2/1/deliveredc@y", "3/3/received"];
        assert_eq!(all, expected, "cut at {cut}");
    }
}

#[test]
fn a_log_of_another_spool_counts_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    crashed(folder.path());
    let journal = FileJournal::open(folder.path(), 2, Settings::default()).unwrap();
    assert_eq!(journal.safe_commit(), 0);
    journal.append(received(1, 1));
    journal.finish();
    assert_eq!(lines(folder.path()).iter().filter(|l| *l == "1/1/received").count(), 2);
    assert_eq!(journal.safe_commit(), 1);
}

#[test]
fn what_does_not_fit_is_dropped_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    let total = 3 * MAX_EVENTS as u64;
    for message in 0..total {
        journal.append(received(0, message));
    }
    journal.finish();
    let dropped = journal.dropped();
    assert!(dropped > 0, "the writer cannot be that quick");
    let text = std::fs::read_to_string(folder.path().join(FILE_NAME)).unwrap();
    let told: u64 = text
        .lines()
        .filter(|line| line.contains("\"event\":\"dropped\""))
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["count"].as_u64())
        .sum::<Option<u64>>()
        .unwrap();
    let written = text.lines().filter(|line| line.contains("\"received\"")).count() as u64;
    assert_eq!((told, written + dropped), (dropped, total));
}

#[test]
fn a_long_log_is_read_back_to_its_last_mark() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    journal.append(received(1, 1));
    journal.finish();
    drop(journal);
    let journal = FileJournal::open(folder.path(), 1, Settings::default()).unwrap();
    let count = 12_000;
    (0..count).for_each(|message| journal.append(received(2, message)));
    drop(journal);
    assert!(std::fs::metadata(folder.path().join(FILE_NAME)).unwrap().len() > 2_000_000);
    let journal = FileJournal::open(folder.path(), 2, Settings::default()).unwrap();
    assert_eq!(journal.safe_commit(), 1);
    (0..=count).for_each(|message| journal.append(received(2, message)));
    drop(journal);
    assert_eq!(lines(folder.path()).len() as u64, 1 + count + 1);
}

#[test]
fn one_writer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    let error = FileJournal::open(folder.path(), 0, Settings::default()).err().unwrap();
    assert!(matches!(error, JournalError::Locked { .. }), "{error}");
}
