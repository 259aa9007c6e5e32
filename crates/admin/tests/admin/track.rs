//! The event log searched: messages that are queued and messages that are gone.

use crate::sample::NOW;
use posthaste_admin::filter::{TRACKED, parse};
use posthaste_admin::track::{FILE_NAME, Question, Tracked, build_indexes, search};
use posthaste_mail::QueueId;
use std::path::Path;

const LOG: &str = r#"
{"v":1,"at":"2026-11-21T06:00:00.000Z","commit":1,"id":"0000000000001","event":"received","from":"ann@sender.example","to":["bob@b.example","eve@e.example"],"size":1234,"client":"127.0.0.1","listener":"relay","message_id":"<1@sender.example>"}
{"v":1,"at":"2026-11-21T06:00:01.000Z","event":"safe","commit":1,"from":0}
{"v":1,"at":"2026-11-21T06:00:02.000Z","commit":2,"id":"0000000000001","event":"delivered","to":"bob@b.example","host":"mx.b.example","address":"192.0.2.1:25","reply":{"code":250,"enhanced":"2.0.0","text":"taken"}}
{"v":1,"at":"2026-11-21T06:00:03.000Z","commit":2,"id":"0000000000001","event":"deferred","to":"eve@e.example","host":"mx.e.example","address":"[2001:db8::1]:25","reply":{"code":450,"enhanced":"4.2.0","text":"greylisted"},"fault":{"kind":"reply","stage":"rcpt","status":"4.2.0","permanent":false},"next":"2026-11-21T06:05:00.000Z"}
{"v":1,"at":"2026-11-21T06:01:00.000Z","commit":3,"id":"0000000000002","event":"received","from":"","to":["joe@j.example"],"size":10,"listener":"relay"}
not a line of the log
{"v":1,"at":"2026-11-21T06:01:01.000Z","commit":4,"id":"0000000000002","event":"failed","to":"joe@j.example","fault":{"kind":"no_such_domain","stage":"dns-mx","status":"5.4.4","permanent":true,"name":"j.example"}}
{"v":1,"at":"2026-11-21T06:01:01.000Z","commit":4,"id":"0000000000002","event":"done"}
{"v":1,"at":"2026-11-21T06:05:00.000Z","commit":5,"id":"0000000000001","event":"delivered","to":"eve@e.example","host":"mx.e.example","address":"[2001:db8::1]:25","reply":{"code":250,"text":"ok"}}
{"v":1,"at":"2026-11-21T06:05:00.000Z","commit":5,"id":"0000000000001","event":"done"}
{"v":1,"at":"2026-11-21T06:06:00.000Z","commit":6,"id":"0000000000003","event":"received","from":"ann@sender.example","to":["bob@b.example"],"size":99,"listener":"relay"}
{"v":1,"at":"2026-11-21T06:07:00.000Z","commit":7,"id":"00000000"#;

fn ask(folder: &Path, question: &Question, limit: usize) -> Tracked {
    search(folder, question, limit, NOW).unwrap()
}

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), LOG).unwrap();
    folder
}

#[test]
fn a_message_that_has_left_is_told_whole() {
    let folder = written();
    let found = ask(folder.path(), &Question::Id(QueueId::from_u64(1)), 100);
    assert!(found.complete);
    let [message] = &found.messages[..] else { panic!("one: {found:?}") };
    assert!(message.done);
    assert_eq!(message.reverse_path.as_deref(), Some("ann@sender.example"));
    assert_eq!(message.events.len(), 5);
    assert_eq!(message.events[0]["event"], "received");
    let [bob, eve] = &message.recipients[..] else { panic!("two") };
    assert_eq!((bob.status.as_str(), bob.attempts), ("delivered", 1));
    assert_eq!((eve.status.as_str(), eve.attempts), ("delivered", 2));
    assert_eq!(eve.ip.as_deref(), Some("2001:db8::1"));
    assert_eq!(eve.last_error, None);
}

#[test]
fn filters_see_the_whole_story_newest_first() {
    let folder = written();
    for (filter, expected) in [
        ("from = ann@sender.example", &["0000000000003", "0000000000001"][..]),
        ("domain = e.example", &["0000000000001"]),
        ("status = queued", &["0000000000003"]),
        (
            "status = failed and last_error contains \"the domain j.example does not exist\"",
            &["0000000000002"],
        ),
        ("source_ip = 127.0.0.1", &["0000000000001"]),
        ("size > 1kB", &["0000000000001"]),
        ("received >= 2026-11-21T06:01:00Z", &["0000000000003", "0000000000002"]),
        ("attempts = 2", &["0000000000001"]),
        ("from = \"\"", &["0000000000002"]),
    ] {
        let question = Question::Fits(Some(parse(filter, TRACKED).unwrap()));
        let found = ask(folder.path(), &question, 100);
        let ids: Vec<_> = found.messages.iter().map(|m| m.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter}");
        assert!(found.complete);
    }
}

#[test]
fn mail_that_ended_otherwise_than_by_a_try_is_told_too() {
    const LOG: &str = r#"
{"v":1,"at":"2026-11-21T06:00:00.000Z","commit":1,"id":"0000000000001","event":"received","from":"a@x","to":["b@gone","c@y"],"size":1,"listener":"relay","subject":"Grüße aus Köln","user":"ann"}
{"v":1,"at":"2026-11-21T06:00:01.000Z","commit":2,"id":"0000000000001","event":"discarded","to":"b@gone","fault":{"kind":"route_discards","stage":"route","status":"2.0.0","permanent":true,"name":"hole"}}
{"v":1,"at":"2026-11-21T06:00:02.000Z","commit":3,"id":"0000000000001","event":"operator","to":"c@y","act":"bounce","by":"uid 0","reason":"not wanted","decision":1}
{"v":1,"at":"2026-11-21T06:00:02.000Z","commit":3,"id":"0000000000001","event":"done"}
"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(FILE_NAME), LOG).unwrap();
    for filter in ["status = discarded", "subject contains köln", "source_user = ann"] {
        let question = Question::Fits(Some(parse(filter, TRACKED).unwrap()));
        let found = ask(folder.path(), &question, 9);
        let [message] = &found.messages[..] else { panic!("{filter}: {found:?}") };
        let [discarded, bounced] = &message.recipients[..] else { panic!("two") };
        assert_eq!((discarded.status.as_str(), discarded.attempts), ("discarded", 0));
        assert_eq!(bounced.status, "failed");
        assert_eq!(bounced.last_error.as_deref(), Some("bounced by uid 0: not wanted"));
        assert_eq!(bounced.at.as_deref(), Some("2026-11-21T06:00:02.000Z"));
    }
    // What the log does not know is no mail without it.
    for filter in ["wait_reason = held", "priority = high", "cause = x"] {
        let error = parse(filter, TRACKED).unwrap_err().what;
        assert!(error.contains("is not known here; fields are id, from"), "{error}");
    }
}

#[test]
fn enough_is_enough() {
    let folder = written();
    let found = ask(folder.path(), &Question::Fits(None), 1);
    assert_eq!(found.messages.len(), 1);
    assert_eq!(found.messages[0].id, "0000000000003");
    assert_eq!(found.searched_to.unwrap().0.rfc3339(), "2026-11-21T06:06:00.000Z");
}

#[test]
fn a_message_whose_acceptance_is_no_longer_in_the_log_is_still_told() {
    let folder = tempfile::tempdir().unwrap();
    let tail: Vec<&str> = LOG.lines().skip(4).collect();
    std::fs::write(folder.path().join(FILE_NAME), tail.join("\n")).unwrap();
    let found = ask(folder.path(), &Question::Id(QueueId::from_u64(1)), 100);
    assert_eq!(found.messages[0].recipients[0].status, "delivered");
    assert_eq!(found.messages[0].reverse_path, None);
}

#[test]
fn no_log_yet_is_an_empty_answer() {
    let folder = tempfile::tempdir().unwrap();
    let found = ask(folder.path(), &Question::Fits(None), 10);
    assert!(found.complete && found.messages.is_empty());
}

/// Lines of a decision stand between those of the messages it concerns, and are about no one message.
const DECIDED: &str = r#"{"v":1,"at":"2026-11-21T06:00:00.000Z","commit":1,"id":"0000000000001","event":"received","from":"ann@sender.example","to":["bob@b.example","eve@e.example"],"size":1234,"client":"127.0.0.1","listener":"relay"}
{"v":1,"at":"2026-11-21T06:00:01.000Z","commit":2,"event":"decision","act":"hold","by":"uid 0","reason":"moved","decision":4,"state":"begun","target":"domain = b.example","messages":0,"recipients":0}
{"v":1,"at":"2026-11-21T06:00:01.000Z","commit":3,"id":"0000000000001","event":"operator","to":"bob@b.example","act":"hold","by":"uid 0","reason":"moved","decision":4}
{"v":1,"at":"2026-11-21T06:00:02.000Z","commit":3,"event":"decision","act":"hold","by":"uid 0","reason":"moved","decision":4,"state":"done","target":"domain = b.example","messages":1,"recipients":1}
"#;

const RELEASED: &str = r#"{"v":1,"at":"2026-11-21T06:00:03.000Z","commit":4,"event":"decision","act":"release","by":"uid 7","decision":5,"state":"begun","target":"domain = b.example","messages":0,"recipients":0}
{"v":1,"at":"2026-11-21T06:00:03.000Z","commit":5,"id":"0000000000001","event":"operator","to":"bob@b.example","act":"release","by":"uid 7","decision":5}
"#;

#[test]
fn what_a_decision_did_is_told_of_each_message_and_its_own_lines_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let sealed = folder.path().join("events-20261121T061000.000Z.jsonl");
    for (log, bob) in [(DECIDED.to_owned(), "held"), (DECIDED.to_owned() + RELEASED, "queued")] {
        std::fs::write(&sealed, &log).unwrap();
        for indexed in [false, true] {
            assert_eq!(indexed, indexed && build_indexes(folder.path()).unwrap() == 1);
            let filters = [
                format!("status = {bob} and to = bob@b.example and from = ann@sender.example"),
                "domain = b.example".to_owned(),
                format!("status = {bob}"),
            ];
            let fits = filters.iter().map(|f| Question::Fits(Some(parse(f, TRACKED).unwrap())));
            for question in fits.chain([Question::Id(QueueId::from_u64(1))]) {
                let found = ask(folder.path(), &question, 100);
                assert!(found.complete, "{question:?}");
                let [message] = &found.messages[..] else { panic!("{question:?}: {found:?}") };
                let told: Vec<_> = message.recipients.iter().map(|r| r.status.as_str()).collect();
                assert_eq!(told, [bob, "queued"], "{question:?}");
                let hold = &message.events[1];
                let of = |name: &str| &hold[name];
                assert_eq!((of("act"), of("by")), (&"hold".into(), &"uid 0".into()));
                assert_eq!((of("reason"), of("decision")), (&"moved".into(), &4.into()));
                assert!(message.events.iter().all(|event| event["event"] != "decision"));
            }
        }
    }
}
