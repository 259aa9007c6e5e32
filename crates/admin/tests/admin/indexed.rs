//! Searches by index find what searches without one find, whatever became of the index; and sessions are found.

use crate::sample::NOW;
use posthaste_admin::filter::{MESSAGE, parse};
use posthaste_admin::track::sessions::{self, Asked};
use posthaste_admin::track::{Question, build_indexes, search};
use posthaste_mail::QueueId;
use proptest::prelude::*;
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// Few names, so that many messages share them.
const PEOPLE: [&str; 4] =
    ["ann@a.example", "Bob@B.example", "\u{fc}ml@\u{fc}.example", "eve\\\"@e.example"];

#[derive(Clone, Debug)]
struct Line {
    message: u64,
    kind: u8,
    person: usize,
    client: u8,
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (1u64..30, 0u8..4, 0usize..PEOPLE.len(), 1u8..5);
    let line =
        line.prop_map(|(message, kind, person, client)| Line { message, kind, person, client });
    prop::collection::vec(line, 1..400).prop_map(|mut lines| {
        // A message is accepted once, and before anything else becomes of it.
        let mut accepted = std::collections::BTreeSet::new();
        for line in &mut lines {
            line.kind = match (accepted.insert(line.message), line.kind) {
                (true, _) => 0,
                (false, 0) => 1,
                (false, kind) => kind,
            };
        }
        lines
    })
}

/// A log of several files; each line is padded, so that there are several blocks.
fn write_log(folder: &Path, lines: &[Line], files: usize) {
    let per_file = lines.len().div_ceil(files);
    for (n, chunk) in lines.chunks(per_file).enumerate() {
        let mut text = String::new();
        for (second, line) in chunk.iter().enumerate() {
            let at = format!("2026-11-21T06:{n:02}:{:02}.000Z", second % 60);
            let id = QueueId::from_u64(line.message);
            let person = PEOPLE[line.person].replace('\\', "\\\\").replace('"', "\\\"");
            let pad = "x".repeat(900);
            let head = format!("{{\"v\":1,\"at\":\"{at}\",\"commit\":1,\"id\":\"{id}\",");
            let _ = match line.kind {
                0 => writeln!(
                    text,
                    "{head}\"event\":\"received\",\"from\":\"{person}\",\"to\":[\"{person}\"],\"client\":\"192.0.2.{}\",\"message_id\":\"<{}@x>\",\"pad\":\"{pad}\"}}",
                    line.client, line.message
                ),
                1 => writeln!(
                    text,
                    "{head}\"event\":\"delivered\",\"to\":\"{person}\",\"pad\":\"{pad}\"}}"
                ),
                2 => writeln!(text, "{head}\"event\":\"done\"}}"),
                _ => writeln!(text, "torn {pad}"),
            };
        }
        let name = if n + 1 == files {
            "events.jsonl".to_owned()
        } else {
            format!("events-20261121T06{n:02}00.000Z.jsonl")
        };
        fs::write(folder.join(name), text).unwrap();
    }
}

fn found(folder: &Path, question: &Question) -> Vec<String> {
    let found = search(folder, question, 1000, NOW).unwrap();
    assert!(found.complete);
    found.messages.iter().map(|m| serde_json::to_string(m).unwrap()).collect()
}

fn questions() -> Vec<Question> {
    let filters = [
        "to = ann@a.example",
        "to = BOB@b.EXAMPLE",
        "to = \"\u{dc}ML@\u{fc}.example\"",
        "to = \"eve\\\\\\\"@e.example\"",
        "domain = b.example",
        "from = ann@a.example or source_ip = 192.0.2.1",
        "source_ip = 192.0.2.3 and status = queued",
        "message_id = \"<7@x>\"",
        "to = ann@a.example and from = bob@b.example",
        "source_ip = 192.0.2.2 and domain = a.example and to = bob@b.example",
        "(to = ann@a.example or from = bob@b.example) and (domain = e.example or source_ip = 192.0.2.4)",
        "(to = ann@a.example and source_ip = 192.0.2.1) or (to = bob@b.example and source_ip = 192.0.2.2)",
        "id = 000000000000A",
        "to = nobody@x.example",
        "to = ann@a.example and received >= 2026-11-21T06:01:00Z",
    ];
    let fits = filters.iter().map(|f| Question::Fits(Some(parse(f, MESSAGE).unwrap())));
    fits.chain((1..30).map(|n| Question::Id(QueueId::from_u64(n)))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// The index never hides a line that reading everything finds, however damaged it is.
    #[test]
    fn an_index_hides_nothing(lines in lines(), files in 2usize..5, damage in any::<(usize, u8)>()) {
        let folder = tempfile::tempdir().unwrap();
        write_log(folder.path(), &lines, files);
        let questions = questions();
        let expected: Vec<_> = questions.iter().map(|q| found(folder.path(), q)).collect();
        prop_assert!(build_indexes(folder.path()).unwrap() >= 1);
        prop_assert_eq!(build_indexes(folder.path()).unwrap(), 0, "they are there");
        for (question, expected) in questions.iter().zip(&expected) {
            prop_assert!(&found(folder.path(), question) == expected, "{:?}", question);
        }
        let index = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path());
        let index = index.filter(|p| p.extension().is_some_and(|e| e == "idx")).min().unwrap();
        let mut octets = fs::read(&index).unwrap();
        let at = damage.0 % octets.len();
        octets[at] ^= damage.1.max(1);
        fs::write(&index, octets).unwrap();
        for (question, expected) in questions.iter().zip(&expected) {
            prop_assert!(&found(folder.path(), question) == expected, "at {}: {:?}", at, question);
        }
    }
}

#[test]
fn an_index_of_another_log_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("events-20261121T060000.000Z.jsonl");
    fs::write(&log, "{\"v\":1,\"at\":\"2026-11-21T06:00:00.000Z\",\"id\":\"0000000000001\",\"event\":\"done\"}\n").unwrap();
    assert_eq!(build_indexes(folder.path()).unwrap(), 1);
    let mut longer = fs::read(&log).unwrap();
    longer.extend_from_within(..);
    fs::write(&log, longer).unwrap();
    assert_eq!(build_indexes(folder.path()).unwrap(), 1);
    fs::remove_file(log.with_extension("idx")).unwrap();
    assert_eq!(build_indexes(folder.path()).unwrap(), 1);
}

const SESSIONS: &str = r#"{"v":1,"at":"2026-11-21T06:00:00.000Z","session":"in-38FWW52800000","direction":"in","peer":"192.0.2.7:4000","local":"192.0.2.25:25","listener":"relay","took_ms":12.5,"helo":"c","tls":null,"ended":"quit","refused":0,"messages":1,"ids":["0000000000001"],"lines":[[0.1,">","220 mx"],[1.2,"<","EHLO c"]]}
{"v":1,"at":"2026-11-21T06:10:00.000Z","session":"out-C000001","direction":"out","peer":"192.0.2.99:25","local":"192.0.2.25:4000","destination":"y.example","route":"default","host":"mx.y.example","took_ms":1.0,"helo":"us","tls":null,"ended":"quit","refused":1,"refusals":[{"by":"them","stage":"rcpt","command":null,"code":550,"enhanced":"5.1.1","text":"no"}],"messages":1,"ids":["0000000000001"],"lines":[]}
torn
{"v":1,"at":"2026-11-21T06:20:00.000Z","session":"in-38FWW52800002","direction":"in","peer":"[2001:db8::7]:4000","local":"[::1]:25","listener":"relay","took_ms":1.0,"helo":null,"tls":null,"ended":"turned-away","refused":1,"messages":0,"lines":[]}
"#;

#[test]
fn sessions_are_found_by_what_is_known_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let (first, last) = SESSIONS.split_at(SESSIONS.find("torn").unwrap());
    fs::write(folder.path().join("sessions-20261121T061500.000Z.jsonl"), first).unwrap();
    fs::write(folder.path().join("sessions.jsonl"), last).unwrap();
    for indexed in [false, true] {
        if indexed {
            assert_eq!(build_indexes(folder.path()).unwrap(), 1);
        }
        let ask = |asked: Asked| {
            let found = sessions::search(folder.path(), &asked, 100).unwrap();
            assert!(found.complete);
            let ids = found.sessions.iter().map(|s| s["id"].as_str().unwrap().to_owned());
            ids.collect::<Vec<_>>()
        };
        let (client, server, turned) = ("in-38FWW52800000", "out-C000001", "in-38FWW52800002");
        let network = |text: &str| Some(text.parse().unwrap());
        for (asked, expected) in [
            (Asked::default(), &[turned, server, client][..]),
            (Asked { id: Some(client.parse().unwrap()), ..Asked::default() }, &[client]),
            (Asked { message: Some(QueueId::from_u64(1)), ..Asked::default() }, &[server, client]),
            (Asked { client: network("192.0.2.7"), ..Asked::default() }, &[client]),
            (Asked { client: network("192.0.2.0/24"), ..Asked::default() }, &[server, client]),
            (Asked { client: network("2001:db8::/32"), ..Asked::default() }, &[turned]),
            (Asked { client: network("192.0.0.0/15"), ..Asked::default() }, &[server, client]),
            (Asked { client: network("192.0.2.96/28"), ..Asked::default() }, &[server]),
            (Asked { client: network("::/0"), ..Asked::default() }, &[turned]),
            (Asked { refused: true, ..Asked::default() }, &[turned, server]),
            (
                Asked { refused: true, client: network("192.0.2.0/24"), ..Asked::default() },
                &[server],
            ),
            (Asked { refused: true, client: network("192.0.2.7"), ..Asked::default() }, &[]),
            (Asked { since: Some(NOW), ..Asked::default() }, &[]),
        ] {
            assert_eq!(ask(asked.clone()), expected, "indexed {indexed}: {asked:?}");
        }
        let asked = Asked { id: Some(client.parse().unwrap()), lines: true, ..Asked::default() };
        let found = sessions::search(folder.path(), &asked, 1).unwrap();
        let lines = &found.sessions[0]["lines"];
        assert_eq!((&lines[1]["who"], &lines[1]["text"]), (&"they".into(), &"EHLO c".into()));
        assert_eq!(found.sessions[0]["refusals"], serde_json::json!([]));
    }
}
