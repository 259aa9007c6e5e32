//! Every kind of notice in both languages, as two readers of others take it: Python's `email` with flufl.bounce, and
//! Perl's Mail::DeliveryStatus::BounceParser; from daemons that believe to be in Berlin and in New York.

use crate::hosts::Hosts;
use crate::{Client, HOSTNAME, ZONES, free_port, route, settings, start, verb, wait_for};
use posthaste_peers::mail::{Action, Arrival, Script, Step};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// Hours are seconds here.
const MORE: &str = "clock_scale = 3600";
const NOTICE: &str = "[notice]\nall_clear = true\n";
const WITHOUT_DSN: [&str; 3] = ["8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"];
const LANGUAGES: [&str; 2] = ["en", "de"];

/// A course that mail takes: the local part and domain it goes to, parameters of RCPT, and what comes of it.
const COURSES: [(&str, &str, &[&str]); 6] = [
    ("nobody@no.test", "", &["failed"]),
    ("full@never.test", "", &["delayed", "failed"]),
    ("busy@late.test", "", &["delayed", "all-clear"]),
    ("bob@plain.test", " NOTIFY=SUCCESS ORCPT=rfc822;robert@plain.test", &["relayed"]),
    ("bob@store.test", " NOTIFY=SUCCESS,FAILURE", &["delivered"]),
    ("zoë@no.test", " ORCPT=utf-8;zo\\x{EB}@no.test", &["failed"]),
];

/// Status, the reply behind Diagnostic-Code, Original-Recipient and the least of attempts in a notice of a course.
fn expected(kind: &str, to: &str) -> (&'static str, &'static str, Option<&'static str>, u32) {
    match (kind, to) {
        ("failed", "full@never.test") => ("4.2.2", "452 4.2.2 mailbox full", None, 2),
        ("delayed", "full@never.test") => ("4.2.2", "452 4.2.2 mailbox full", None, 1),
        ("delayed", _) => ("4.2.1", "450 4.2.1 mailbox busy", None, 1),
        ("failed", "zoë@no.test") => {
            ("5.1.1", "550 5.1.1 nobody has that name", Some("utf-8; zoë@no.test"), 1)
        }
        ("failed", _) => ("5.1.1", "550 5.1.1 nobody has that name", None, 1),
        ("relayed", _) => ("2.0.0", "250 2.0.0 taken", Some("rfc822; robert@plain.test"), 1),
        ("all-clear", _) => ("2.0.0", "250 2.0.0 taken", None, 2),
        _ => ("2.0.0", "250 2.0.0 taken", None, 1),
    }
}

fn hand_in(port: u16) {
    let mut client = Client::connect(port);
    for language in LANGUAGES {
        for (to, notify, _) in COURSES {
            let beyond = !to.is_ascii();
            let from = if beyond { "jörg@sender.test" } else { "ann@sender.test" };
            let mail =
                format!("{} ENVID=env-{language} RET=HDRS", if beyond { " SMTPUTF8" } else { "" });
            let message = format!(
                "From: <{from}>\r\nTo: <{to}>\r\nSubject: Grüße {language} {to}\r\n\
                 Message-ID: <{language}-1@sender.test>\r\nContent-Language: {language}\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\nhello"
            );
            client.send((from, &mail), (to, notify), &message);
        }
    }
}

fn script(reply: &str) -> Script {
    Script::default().always(Step::Rcpt, Action::Reply(reply.into()))
}

/// The name of a notice: its kind, the language, and whom it is about. What it gives back says so.
fn name_of(arrival: &Arrival) -> String {
    // The header goes back quoted-printable to a sender whose address is ASCII, else in 8 bits.
    let text = String::from_utf8_lossy(&arrival.content).replace("Gr=C3=BC=C3=9Fe", "Grüße");
    let field = |name: &str| {
        let found = text.lines().rev().find_map(|line| line.strip_prefix(name));
        found.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_owned()
    };
    let (kind, about) = (field("X-Posthaste-Notice:"), field("Subject: Grüße "));
    let (language, to) = about.split_once(' ').unwrap();
    format!("{kind}.{language}.{to}")
}

/// Lines of JSON that a reader answers, by the message's name.
fn read(folder: &Path, reader: &str) -> BTreeMap<String, Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = here.join("../../.e2e/notices/tree");
    assert!(tree.exists(), "run crates/posthaste/tests/notices/setup first");
    let program = if reader.ends_with("py") { "/usr/bin/python3" } else { "/usr/bin/perl" };
    let mut command = Command::new(program);
    command
        .env("PYTHONPATH", tree.join("usr/lib/python3/dist-packages"))
        .env("PERL5LIB", tree.join("usr/share/perl5"));
    let script = here.join("tests/notices").join(reader);
    let output = command.arg(script).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let objects = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.map(|object| (object["name"].as_str().unwrap().to_owned(), object)).collect()
}

/// What came of all courses in both languages, as files `KIND.LANGUAGE.RECIPIENT.eml`.
fn live_through(folder: &Path, zone: &str) -> usize {
    let hosts = Hosts::new();
    let (_no, no) = hosts.start("no.test", script("550 5.1.1 nobody has that name"));
    let (_never, never) = hosts.start("never.test", script("452 4.2.2 mailbox full"));
    let (late, late_at) = hosts.start("late.test", script("450 4.2.1 mailbox busy"));
    let plain = Script::default().offering(&WITHOUT_DSN);
    let (_plain, plain) = hosts.start("plain.test", plain);
    let (_store, store) = hosts.start("store.test", Script::lmtp().offering(&WITHOUT_DSN));
    let (sender, at) = hosts.start("sender.test", Script::default());
    let port = free_port();
    let routes = [
        route("no.test", no, ""),
        route("never.test", never, "expire_after = \"7h\""),
        route("late.test", late_at, ""),
        route("plain.test", plain, ""),
        route("store.test", store, "protocol = \"lmtp\""),
        route("*", at, ""),
    ];
    fs::write(folder.join("p.toml"), settings(port, &routes.concat(), MORE) + NOTICE).unwrap();
    let _daemon = start(folder, zone);
    hand_in(port);
    let of_kind = |kind: &str| {
        let names: Vec<_> = sender.arrivals().iter().map(name_of).collect();
        names.iter().filter(|name| name.starts_with(kind)).count()
    };
    wait_for("delays", || of_kind("delayed") == 4);
    late.set(Script::default().offering(&WITHOUT_DSN));
    let retried = verb(folder, &["queue", "retry", "--where", "domain = late.test"]);
    assert!(retried.status.success(), "{retried:?}");
    let all = COURSES.iter().map(|(_, _, kinds)| kinds.len() * LANGUAGES.len()).sum();
    wait_for("all notices", || sender.arrivals().len() >= all);
    let out = folder.join("notices");
    fs::create_dir(&out).unwrap();
    for arrival in sender.arrivals() {
        fs::write(out.join(name_of(&arrival) + ".eml"), &arrival.content).unwrap();
    }
    if let Ok(keep) = std::env::var("KEEP_NOTICES") {
        let copied = Command::new("cp").arg("-r").arg(&out).arg(keep).status().unwrap();
        assert!(copied.success());
    }
    sender.arrivals().len()
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn every_kind_in_both_languages_is_understood_by_readers_of_others_wherever_the_daemon_is() {
    let in_zone = |zone| std::thread::spawn(move || understood_in(zone));
    for story in ZONES.map(in_zone) {
        story.join().unwrap();
    }
}

fn understood_in(zone: &str) {
    // It is a zone that this machine knows: `date` says another hour there.
    let local = Command::new("date").arg("+%z").env("TZ", zone).output().unwrap().stdout;
    assert_ne!(local, b"+0000\n", "no {zone} here: tzdata is missing");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let began = now();
    let arrived = live_through(folder, zone);
    let lived = began..now() + 1;
    let python = read(&folder.join("notices"), "read.py");
    let perl = read(&folder.join("notices"), "read.pl");
    assert_eq!((python.len(), perl.len()), (arrived, arrived), "no two are of one name");
    for language in LANGUAGES {
        for (to, _, kinds) in COURSES {
            for kind in kinds {
                let name = format!("{kind}.{language}.{to}");
                let object =
                    python.get(&name).unwrap_or_else(|| panic!("{name}: {:?}", python.keys()));
                understood(language, to, object);
                machine_part(kind, language, to, object);
                in_utc(&lived, object);
                as_bounces(kind, to, object, &perl[&name]);
            }
        }
    }
}

/// The clock on the wall is hours off; what is told, to programs and to people, is in UTC.
fn in_utc(lived: &Range<i64>, object: &Value) {
    let name = &object["name"];
    for field in object["times"].as_array().unwrap() {
        let (moment, offset) = (field[1].as_i64().unwrap(), &field[2]);
        assert_eq!(offset, 0, "{name}: {field}");
        // Seven hours are seven seconds here, and five days two minutes.
        let ahead = if field[0] == "Will-Retry-Until" { 130 } else { 0 };
        assert!((lived.start..lived.end + ahead).contains(&moment), "{name}: {field} {lived:?}");
    }
    let spoken = object["spoken"].as_array().unwrap();
    assert!(spoken.len() >= 4, "text and HTML say when it came and was tried: {name} {spoken:?}");
    for moment in spoken {
        let moment = moment.as_i64().unwrap();
        assert!((lived.start..lived.end + 130).contains(&moment), "{name}: {moment} {lived:?}");
    }
    let sent = object["sent"].as_str().unwrap();
    for text in ["text", "html"].map(|part| object[part].as_str().unwrap()) {
        let says = |zone| text.contains(&format!("{sent}{zone}"));
        assert!(says(" UTC") || says(" Uhr (UTC)"), "{name}: not sent at {sent}: {text}");
    }
}

/// What Python's `email` finds.
fn understood(language: &str, to: &str, object: &Value) {
    let name = &object["name"];
    assert_eq!(object["defects"], json!([]), "{name}");
    assert_eq!(
        (&object["kind"], &object["report_type"]),
        (&json!("multipart/report"), &json!("delivery-status"))
    );
    assert_eq!(object["from"], format!("MAILER-DAEMON@{HOSTNAME}"));
    assert_eq!((&object["auto"], &object["language"]), (&json!("auto-replied"), &json!(language)));
    let subject = object["subject"].as_str().unwrap();
    assert!(subject.ends_with(&format!(": Grüße {language} {to}")), "{subject}");
    let human = object["text"].as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let html = object["html"].as_str().unwrap();
    for text in [&human, html] {
        assert!(
            text.contains(to) && text.contains(&format!("Grüße {language} {to}")),
            "{name}: {text}"
        );
    }
    let own = if language == "de" {
        "Diagnoseinformationen für Administratoren"
    } else {
        "Diagnostic information for administrators"
    };
    assert!(human.contains(own) && html.contains(own), "{name}: {human}");
    assert!(!html.contains("http:") && !html.contains("https:"), "{name}: nothing is fetched");
    assert!(object["returned"].as_str().unwrap().contains("Message-ID"), "{name}: {object}");
    let parts = if to.is_ascii() {
        json!(["multipart/alternative", "message/delivery-status", "text/rfc822-headers"])
    } else {
        json!(["multipart/alternative", "message/global-delivery-status", "message/global-headers"])
    };
    assert_eq!(object["parts"], parts, "{name}");
}

/// All fields for programs, as a reader of headers has them: none is missing, none is there besides, in the order of RFC
/// 3464. Of times only that they are there.
fn machine_part(kind: &str, language: &str, to: &str, object: &Value) {
    let blocks = object["status"].as_array().unwrap();
    assert_eq!(blocks.len(), 2, "{object}");
    let fields = |block: &Value| serde_json::from_value::<Vec<(String, String)>>(block.clone());
    let (message, mut recipient) = (fields(&blocks[0]).unwrap(), fields(&blocks[1]).unwrap());
    let (status, reply, original, attempts) = expected(kind, to);
    let is = |field: &str, value: &str| (field.to_owned(), value.to_owned());
    let same = |fields: &[(String, String)], name: &str| -> (String, String) {
        let found = fields.iter().find(|(field, _)| field == name);
        found.cloned().unwrap_or_else(|| panic!("{name} in {kind} {to}: {fields:?}"))
    };
    let of_message = [
        is("Original-Envelope-Id", &format!("env-{language}")),
        is("Reporting-MTA", &format!("dns; {HOSTNAME}")),
        same(&message, "Arrival-Date"),
        same(&message, "X-Posthaste-Queue-ID"),
        is("X-Posthaste-Notice", kind),
    ];
    assert_eq!(message, of_message);
    if (kind, to) == ("failed", "full@never.test") {
        // Its status tells of the obstacle.
        assert_eq!(recipient.pop(), Some(is("X-Posthaste-Ended", "expired")));
    }
    let (field, tries) = recipient.pop().unwrap();
    assert_eq!(field, "X-Posthaste-Attempts");
    assert!(tries.parse::<u32>().unwrap() >= attempts, "{kind} {to}: {tries}");
    let address = if to.is_ascii() { "rfc822" } else { "utf-8" };
    let action = if kind == "all-clear" { "relayed" } else { kind };
    let mut of_recipient = vec![
        is("Final-Recipient", &format!("{address}; {to}")),
        is("Action", action),
        is("Status", status),
        is("Remote-MTA", "dns; [127.0.0.1]"),
        is("Diagnostic-Code", &format!("smtp; {reply}")),
        same(&recipient, "Last-Attempt-Date"),
    ];
    if let Some(original) = original {
        of_recipient.insert(0, is("Original-Recipient", original));
    }
    if kind == "delayed" {
        of_recipient.push(same(&recipient, "Will-Retry-Until"));
    }
    assert_eq!(recipient, of_recipient, "{kind} {to}");
}

/// What programs that look for bounces make of it: failures are permanent, delays are not, the rest is no bounce.
fn as_bounces(kind: &str, to: &str, python: &Value, perl: &Value) {
    // Neither knows message/global-delivery-status (RFC 6533).
    if !to.is_ascii() {
        return;
    }
    let one = |is: bool| if is { json!([to]) } else { json!([]) };
    assert_eq!(python["permanent"], one(kind == "failed"), "{python}");
    assert_eq!(python["temporary"], one(kind == "delayed"), "{python}");
    assert_eq!(perl["bounce"], json!(u8::from(kind == "failed")), "{perl}");
    let reports = perl["reports"].as_array().unwrap();
    assert_eq!(reports.len(), usize::from(kind == "failed"), "{perl}");
    for report in reports {
        let (status, reply, ..) = expected(kind, to);
        assert_eq!((&report["email"], &report["status"]), (&json!(to), &json!(status)));
        assert_eq!(report["reason"], format!("smtp; {reply}"));
        let why = if to == "nobody@no.test" { "user_unknown" } else { "over_quota" };
        assert_eq!(report["std_reason"], why, "{report}");
    }
}
