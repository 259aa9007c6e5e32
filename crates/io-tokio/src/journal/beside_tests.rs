//! The DNS log over real files: a file of its own, sealed, off by a setting, bounded, and never in the way.

use super::tests::wait_until;
use super::*;
use files::QUESTIONS;
use posthaste_evidence::{AnswerKind, Purpose, RecordType, Transport};
use posthaste_mail::Timestamp;
use std::fs;

fn question(name: &str, kind: AnswerKind) -> DnsQuestion {
    DnsQuestion {
        at: Timestamp::EPOCH,
        took: Duration::from_millis(20),
        purpose: Purpose::Answer,
        name: name.to_owned(),
        kind: RecordType::Mx,
        answer: Answer::empty(kind, Transport::Udp),
        by: None,
        stale: false,
        secure: false,
        askers: 1,
        observations: Vec::new(),
    }
}

fn written(folder: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> =
        files::sealed(folder, QUESTIONS).unwrap().into_iter().map(|file| file.path).collect();
    files.push(files::active(folder, QUESTIONS));
    let text: String = files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn questions_have_a_log_of_their_own_that_is_sealed_and_thinned_out() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        roll: Roll { size: 300, age: Duration::from_secs(3600) },
        keep_dns: Keep { age: Duration::from_secs(3600), size: 1_500 },
        ..Settings::default()
    };
    let journal = FileJournal::open(folder.path(), 0, settings).unwrap();
    assert!(!files::active(folder.path(), QUESTIONS).exists(), "made by the first question");
    for n in 0..20 {
        journal.append_dns(question(&format!("n{n}.test"), AnswerKind::NxDomain));
        let last = format!("\"n{n}.test\"");
        wait_until(|| written(folder.path()).iter().any(|line| line.contains(&last)));
    }
    journal.finish();
    let lines = written(folder.path());
    assert!(lines.len() < 20, "the first ones are gone");
    assert!(lines.iter().all(|line| line.contains("\"verdict\":\"nxdomain\"")));
    assert_eq!((journal.dropped_dns(), journal.dropped(), journal.dropped_sessions()), (0, 0, 0));
    drop(journal);
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    journal.append_dns(question("again.test", AnswerKind::Answer));
    journal.finish();
    assert_eq!(written(folder.path()).len(), lines.len() + 1, "gone on with");
    journal.append_dns(question("late.test", AnswerKind::Answer));
    assert_eq!(journal.dropped_dns(), 1);
}

#[test]
fn the_setting_can_change_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let journal = FileJournal::open(folder.path(), 0, Settings::default()).unwrap();
    assert_eq!(journal.keeps_dns(), KeepDns::All, "on by default");
    for dns in [KeepDns::Off, KeepDns::Failed, KeepDns::All] {
        journal.reload(Settings { dns, ..Settings::default() });
        assert_eq!(journal.keeps_dns(), dns);
    }
    assert_eq!(NullJournal.keeps_dns(), KeepDns::Off);
}

#[test]
fn what_does_not_fit_is_counted_and_nobody_waits() {
    let mut waiting = Waiting::default();
    let most = (3, 1_000);
    assert_eq!(
        [300, 300, 500, 300, 100].map(|o| waiting.add((), o, most)),
        [true, true, false, true, false]
    );
    assert_eq!(waiting.take().len(), 3);
    assert!(waiting.add((), 1_000, most) && !waiting.add((), 1, most));
    // What strangers can make large is weighed as large.
    let text = RecordData::Txt("x".repeat(4096));
    let record = Record { name: "n".into(), ttl: 1, data: text };
    let mut large = question("n.test", AnswerKind::Answer);
    let answer = Answer { records: vec![record; 64].into(), ..large.answer.clone() };
    large.observations = vec![Observation {
        at: Timestamp::EPOCH,
        took: Duration::ZERO,
        stage: posthaste_evidence::Stage::DnsTxt,
        subject: posthaste_evidence::Subject::Here,
        seen: Seen::Answer(answer),
        effect: posthaste_evidence::Effect::None,
    }];
    assert!(weight_dns(&large) > 64 * 4096);
}

#[test]
fn a_folder_that_is_gone_costs_lines_and_nothing_else() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("events");
    let journal = FileJournal::open(&folder, 0, Settings::default()).unwrap();
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    wait_until(|| {
        journal.append_dns(question("a.test", AnswerKind::Answer));
        journal.dropped_dns() > 0
    });
}
