//! With a daemon: a fake desk behind a real control socket.

use crate::command::{Ran, fed, posthaste, with_variable};
use crate::desk::FakeDesk;
use posthaste_admin::http::{bind_unix, serve_unix};
use posthaste_admin::{Admin, Settings};
use posthaste_evidence::Act;
use posthaste_mail::QueueId;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const LOG: &str = r#"{"v":1,"at":"2026-11-21T06:00:00.000Z","commit":1,"id":"0000000000009","event":"received","from":"ann@sender.example","to":["bob@b.example"],"size":12,"listener":"relay"}
{"v":1,"at":"2026-11-21T06:00:02.000Z","commit":2,"id":"0000000000009","event":"failed","to":"bob@b.example","host":"mx.b.example","address":"192.0.2.1:25","reply":{"code":550,"enhanced":"5.1.1","text":"no such user"}}
"#;

/// A daemon with 3 messages, as far as the verbs can tell.
struct Fake {
    desk: Arc<FakeDesk>,
    folder: TempDir,
    runtime: Runtime,
    end: Mutex<Option<oneshot::Sender<()>>>,
}

impl Fake {
    fn start(desk: FakeDesk) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("posthaste-data");
        std::fs::create_dir_all(&data).unwrap();
        std::fs::write(data.join("events.jsonl"), LOG).unwrap();
        std::fs::write(data.join("sessions.jsonl"), SESSIONS).unwrap();
        let desk = Arc::new(desk);
        let settings = Settings { events: data.clone() };
        let admin = Admin::new(Arc::clone(&desk) as _, settings);
        let runtime = Runtime::new().unwrap();
        let (end, ended) = oneshot::channel();
        runtime.block_on(async {
            let unix = bind_unix(&data.join("control.sock")).unwrap();
            tokio::spawn(serve_unix(unix, admin, async move { drop(ended.await) }));
        });
        Self { desk, folder, runtime, end: Mutex::new(Some(end)) }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        posthaste(self.folder.path(), arguments)
    }
}

fn three() -> Fake {
    Fake::start(FakeDesk::with_messages(3))
}

fn id(number: u64) -> String {
    QueueId::from_u64(number).to_string()
}

#[test]
fn ping_is_0_only_when_ready() {
    let fake = three();
    let ran = fake.run(&["ping"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "ready\n"));
    assert_eq!(fake.run(&["ping", "--json"]).json()["ready"], true);
    let starting = Fake::start(FakeDesk { not_ready: true, ..FakeDesk::default() });
    let ran = starting.run(&["ping", "--wait", "100ms"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("still reading its spool"), "{}", ran.stderr);
}

#[test]
fn the_daemon_is_found_by_every_way() {
    let fake = three();
    let elsewhere = tempfile::tempdir().unwrap();
    let data = fake.folder.path().join("posthaste-data");
    let socket = data.join("control.sock").display().to_string();
    let settings = fake.folder.path().join("p.toml");
    std::fs::write(&settings, "").unwrap();
    let settings = settings.display().to_string();
    assert_eq!(posthaste(elsewhere.path(), &["--socket", &socket, "ping"]).code, 0);
    assert_eq!(posthaste(elsewhere.path(), &["ping", "--config", &settings]).code, 0);
    let by_variable =
        |name, value: &str| with_variable(elsewhere.path(), &["ping"], name, value).code;
    assert_eq!(by_variable("POSTHASTE_SOCKET", &socket), 0);
    assert_eq!(by_variable("POSTHASTE_CONFIG", &settings), 0);
    assert_eq!(by_variable("POSTHASTE_SOCKET", ""), 3);
}

#[test]
fn the_queue_is_a_table_or_json() {
    let fake = three();
    let ran = fake.run(&["queue"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let heading = "DESTINATION  STATUS  ALL  <5m  <20m  <80m  <5h  <21h  OLDER  OLDEST  ";
    assert!(lines[0].starts_with(heading), "{}", lines[0]);
    assert!(lines[1].starts_with("ALL 3                6    -    6     -  "), "{}", lines[1]);
    assert!(lines[2].starts_with("a.example    retry   2    -    2     -  "), "{}", lines[2]);
    assert!(lines[2].ends_with("no connection: refused"), "{}", lines[2]);
    assert!(lines.iter().all(|line| line.chars().count() <= 118));
    assert!(!ran.stdout.contains('\u{1b}'), "no colour");
    let json = fake.run(&["queue", "--json", "destination", "like", "*.test"]).json();
    assert_eq!(json["destinations"][0]["name"], "c.test");
    assert_eq!(fake.run(&["queue", "route = none"]).stdout, "no destination fits\n");
}

#[test]
fn destinations_are_shown_in_full_summed_up_and_watched() {
    let fake = three();
    let full = fake.run(&["queue", "--verbose", "destination = a.example"]);
    for line in [
        "a.example  over route default\n",
        "  messages     2 (3 recipients, 0 held), 1 deferred\n",
        "  ages         <10min 2\n",
        "  rates        0.05 in, 0.017 out a second; velocity -0.033",
    ] {
        assert!(full.stdout.contains(line), "{line}: {}", full.stdout);
    }
    let json = fake.run(&["queue", "--json"]).json();
    let one = &json["destinations"][0];
    assert_eq!((&one["ages"]["10"], &one["ages"]["older"]), (&2.into(), &0.into()), "{one}");
    assert_eq!((&one["deferred"], &one["rate_in"]), (&1.into(), &0.05.into()), "{one}");
    for (by, value, count) in
        [("route", "default", 3), ("status", "retry", 3), ("domain", "a.example", 1)]
    {
        let groups = fake.run(&["queue", "--by", by, "--json"]).json();
        let group = groups["groups"].as_array().unwrap().iter().find(|g| g["value"] == value);
        assert_eq!(group.unwrap()["destinations"], count, "{groups}");
    }
    let ran = fake.run(&["queue", "--by", "error"]);
    assert!(ran.stdout.starts_with("MESSAGES  DEFERRED  HELD  DESTINATIONS  OLDEST"), "{ran:?}");
    assert!(ran.stdout.contains("no connection: refused\n"), "{ran:?}");
    let ran = fake.run(&["queue", "watch", "--times", "1"]);
    assert!(ran.code == 0 && ran.stdout.starts_with("posthaste queue, "), "{ran:?}");
    assert!(ran.stdout.contains("\na.example    retry   2"), "{ran:?}");
}

#[test]
fn messages_are_listed_filtered_and_cut() {
    let fake = Fake::start(FakeDesk::with_messages(1200));
    let all = fake.run(&["queue", "messages", "--json", "--limit", "5000"]).json();
    assert_eq!(all["messages"].as_array().unwrap().len(), 1200);
    assert_eq!(all["next"], serde_json::Value::Null);
    let cut = fake.run(&["queue", "messages", "--json", "--limit", "700"]).json();
    assert_eq!(cut["messages"].as_array().unwrap().len(), 700);
    let next = cut["next"].as_str().unwrap();
    let rest = fake.run(&["queue", "messages", "--json", "--after", next]).json();
    assert_eq!(rest["messages"].as_array().unwrap().len(), 500);
    let ran = fake.run(&["queue", "messages", "subject = \"Invoice 7\""]);
    assert_eq!(ran.stdout.lines().count(), 2, "{}", ran.stdout);
    assert!(ran.stdout.contains(&id(7)) && ran.stdout.contains("450 4.2.0 greylisted"));
    assert_eq!(fake.run(&["queue", "messages", "held = yes"]).stdout, "no message fits\n");
}

#[test]
fn a_wrong_filter_is_2_and_points_at_its_column() {
    let ran = three().run(&["queue", "messages", "age > 5 fortnights"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("column 7: unknown unit `fortnights`"), "{}", ran.stderr);
    let ran = three().run(&["--json", "queue", "retry", "--where", "form = x"]);
    assert_eq!((ran.code, &ran.error()["at"]), (2, &"column 1".into()));
}

#[test]
fn one_message_is_shown_with_every_attempt() {
    let fake = three();
    let ran = fake.run(&["queue", "show", &id(1).to_lowercase()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for words in ["Invoice 1", "dns-mx", "MX e.example asked of 127.0.0.1:53", "blocking"] {
        assert!(ran.stdout.contains(words), "{words} is not in\n{}", ran.stdout);
    }
    let json = fake.run(&["queue", "show", &id(1), "--json"]).json();
    assert_eq!(json["attempts"][0]["observations"].as_array().unwrap().len(), 3);
    assert_eq!(fake.run(&["queue", "show", &id(99)]).code, 4);
    assert_eq!(fake.run(&["queue", "show", "nonsense"]).code, 2);
}

#[test]
fn an_act_is_counted_or_done_and_told_with_its_decision() {
    let fake = three();
    let ordered = || std::mem::take(&mut *fake.desk.ordered.lock().unwrap());
    let ran = fake.run(&["queue", "retry", "--all", "--dry-run"]);
    assert_eq!(ran.stdout, "3 recipients of 3 messages would be due now\n");
    assert!(ordered().is_empty());
    let told = |done: &str| format!("2 recipients of 1 message {done} (decision 7)\n");
    for (arguments, act, done) in [
        (&["retry", &id(2)][..], Act::Retry, "due now"),
        (&["hold", "--where", "size > 1kB"], Act::Hold, "held"),
        (&["release", "--hold", "3", "--reason", "over"], Act::Release, "released"),
        (&["remove", "--destination", "a.example"], Act::Remove, "removed"),
        (&["remove", &id(1), "--notice"], Act::Bounce, "bounced"),
        (&["bounce", "--all", "--text", "sorry"], Act::Bounce, "bounced"),
        (&["redirect", &id(1), "--to-route", "other"], Act::Redirect, "redirected"),
    ] {
        let ran = fake.run(&[&["queue"], arguments].concat());
        // A destination's name may be that of several routes, which is told after it.
        let said = ran.stdout.starts_with(&told(done));
        assert!(ran.code == 0 && said, "{arguments:?} {ran:?}");
        assert_eq!(ordered().remove(0).act, act, "{arguments:?}");
    }
    let json = fake.run(&["queue", "hold", "--where", "size > 1kB", "--json"]).json();
    assert!(json.get("warning").is_none(), "{json}");
    assert_eq!((&json["decision"], &json["stage"]), (&7.into(), &"done".into()));
    assert_eq!(fake.run(&["queue", "retry", &id(99)]).code, 4);
    let some = fake.run(&["queue", "hold", &id(1), &id(99)]);
    assert_eq!((some.code, some.stderr), (4, format!("not in the queue: {}\n", id(99))));
    assert_eq!(fake.run(&["queue", "hold", "nonsense"]).code, 2);
    assert_eq!(fake.run(&["queue", "messages", "--limit", "0"]).code, 2);
}

#[test]
fn a_hold_by_what_is_not_known_on_arrival_says_that_later_mail_passes() {
    let fake = three();
    let told = |arguments: &[&str]| fake.run(&[&["queue"], arguments].concat());
    let filter = "to like *@e* and age > 1h";
    let passes = "warning: mail that comes later is looked at when it arrives, and then `age` is 0: this holds what \
                  is in the queue now, and no later mail by that field\n";
    for dry in [&["--dry-run"][..], &[]] {
        let ran = told(&[&["hold", "--where", filter], dry].concat());
        assert_eq!((ran.code, ran.stderr.as_str()), (0, passes), "{dry:?}");
        let json = told(&[&["hold", "--where", filter, "--json"], dry].concat()).json();
        assert_eq!(format!("warning: {}\n", json["warning"].as_str().unwrap()), passes);
    }
    let ran = told(&["hold", "--where", "attempts > 3 or not last_error contains full"]);
    let both = "`attempts` is 0 and `last_error` is not known: this holds what is in the queue now, and no later mail \
                by those fields";
    assert!(ran.stderr.contains(both), "{ran:?}");
    for quiet in [&["hold", "--where", "size > 1kB"], &["retry", "--where", "age > 1h"]] {
        assert_eq!(told(quiet).stderr, "", "{quiet:?}");
    }
}

#[test]
fn decisions_and_holds_are_tables() {
    let fake = three();
    assert_eq!(fake.run(&["queue", "decisions"]).stdout, "nothing has been decided\n");
    fake.run(&["queue", "hold", "--where", "size > 1kB", "--reason", "a test"]);
    let ran = fake.run(&["queue", "decisions"]);
    assert!(ran.stdout.contains("size > 1kB") && ran.stdout.contains("a test"), "{}", ran.stdout);
    assert_eq!(fake.run(&["queue", "decisions", "8"]).code, 4);
    let ran = fake.run(&["queue", "holds"]);
    assert!(ran.stdout.contains("domain = b.example"), "{}", ran.stdout);
    assert_eq!(fake.run(&["queue", "holds", "--json"]).json()["holds"][0]["hold"], 3);
}

#[test]
fn messages_go_out_to_files_and_come_in_again() {
    let fake = three();
    let ran = fake.run(&["queue", "export", &id(1)]);
    assert!(ran.stdout.starts_with("X-Sender: <ann@sender.example>\r\nX-Receiver: <Eve@E"));
    let folder = fake.folder.path().join("out");
    std::fs::write(fake.folder.path().join("file"), "").unwrap();
    let ran = fake.run(&["queue", "export", &id(1), "--to-folder", "file/out"]);
    assert!(ran.code == 1 && ran.stderr.starts_with("file/out: "), "{ran:?}");
    let ran = fake.run(&["queue", "export", "--where", "size > 1kB", "--to-folder", "out"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "3 messages are in out\n"));
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 3);
    assert_eq!(fake.run(&["queue", "export", &id(1), &id(2)]).code, 2, "where to?");
    assert_eq!(fake.run(&["queue", "export", &id(99)]).code, 4);
    let name = format!("out/{}.eml", id(1));
    let ran = fake.run(&["queue", "import", &name, "--dry-run"]);
    assert_eq!((ran.code, ran.stdout), (0, format!("good  {name}\n")));
    assert!(fake.desk.submitted.lock().unwrap().is_empty());
    let ran = fake.run(&["queue", "import", &name, "--json"]);
    assert_eq!(ran.json()["messages"][0]["id"], id(43));
    assert_eq!(fake.desk.submitted.lock().unwrap().len(), 1);
    std::fs::write(fake.folder.path().join("bad.eml"), "Subject: x\n\n").unwrap();
    let ran = fake.run(&["queue", "import", "bad.eml"]);
    assert!(ran.code == 1 && ran.stderr.starts_with("bad.eml: there is no X-Sender"), "{ran:?}");
}

#[test]
fn a_message_is_sent_from_a_file_or_standard_input() {
    let fake = three();
    let message = "Subject: x\n\nhello\n";
    let arguments =
        ["send", "--from", "ann@sender.example", "--to", "bob@b.example", "--to", "eve@e.example"];
    let ran = fed(fake.folder.path(), &arguments, message);
    assert_eq!((ran.code, ran.stdout), (0, format!("{}\n", id(42))));
    std::fs::write(fake.folder.path().join("m.eml"), message).unwrap();
    let ran = fake.run(&["send", "m.eml", "--from", "<>", "--to", "bob@b.example", "--json"]);
    assert_eq!(ran.json()["id"], id(42));
    let submitted = fake.desk.submitted.lock().unwrap();
    assert_eq!((submitted[0].to.len(), &submitted[0].content[..]), (2, message.as_bytes()));
    assert!(submitted[1].from.is_null());
    drop(submitted);
    let ran = fake.run(&["send", "absent.eml", "--from", "<>", "--to", "bob@b.example"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("cannot read absent.eml: "), "{}", ran.stderr);
    let ran = fed(fake.folder.path(), &["send", "--from", "<>", "--to", "nobody"], message);
    assert_eq!(ran.code, 2, "{ran:?}");
    let full = Fake::start(FakeDesk { full: true, ..FakeDesk::default() });
    let ran = fed(full.folder.path(), &["send", "--from", "<>", "--to", "a@b.example"], message);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("the disk is full"), "{}", ran.stderr);
}

#[test]
fn a_route_is_explained() {
    let fake = three();
    let ran = fake.run(&["route", "eve@e.example"]);
    assert_eq!(ran.code, 0);
    assert!(
        ran.stdout.contains(
            "mx.e.example  10          192.0.2.1  25    verify: e.example *.e.example, by tls_roots"
        ),
        "{}",
        ran.stdout
    );
    assert_eq!(fake.run(&["route", "eve"]).code, 2);
    let json = fake.run(&["route", "eve@e.example", "--from", "<>", "--json"]).json();
    assert_eq!(json["destination"], "e.example");
}

/// The session log.
const SESSIONS: &str = r#"{"v":1,"at":"2026-11-21T06:10:00.000Z","session":"out-C000001","direction":"out","peer":"192.0.2.99:25","local":"192.0.2.25:4000","destination":"y.example","route":"default","host":"mx.y.example","took_ms":1.5,"helo":"us.example","tls":null,"ended":"quit","refused":1,"refusals":[{"by":"them","stage":"rcpt","command":null,"code":550,"enhanced":"5.1.1","text":"no"}],"messages":1,"ids":["0000000000001"],"lines":[[0.5,"<","220 mx.y.example"],[1.0,">","EHLO us.example"]]}
{"v":1,"at":"2026-11-21T06:20:00.000Z","session":"in-38FWW52800002","direction":"in","peer":"[2001:db8::7]:4000","local":"[::1]:25","listener":"relay","took_ms":1.0,"helo":"c.example","tls":null,"ended":"quit","refused":0,"messages":0,"lines":[]}
"#;

#[test]
fn sessions_are_shown_by_what_is_known_of_them() {
    let fake = three();
    let ran = fake.run(&["track", "--session", "out-c000001"]);
    for part in [
        "session     out-C000001\n",
        "began       2026-11-21T06:10:00.000Z (UTC)\n",
        "to          192.0.2.99:25 (mx.y.example)\n",
        "refused     by the other side at rcpt: 550 no\n",
        "       0.500  S: 220 mx.y.example\n",
        "       1.000  C: EHLO us.example\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    let by_message = fake.run(&["track", "--session", "0000000000001", "--json"]).json();
    assert_eq!(by_message["sessions"][0]["lines"][1]["who"], "we");
    let ran = fake.run(&["track", "--refused"]);
    assert!(ran.stdout.contains("out-C000001") && ran.stdout.contains("550 5.1.1 no"), "{ran:?}");
    assert!(!ran.stdout.contains("in-38FWW52800002"), "{ran:?}");
    let ran = fake.run(&["track", "--client", "2001:db8::/32"]);
    assert!(ran.stdout.contains("c.example") && ran.stdout.lines().count() == 2, "{ran:?}");
    assert_eq!(fake.run(&["track", "--client", "192.0.2.1"]).stdout, "no session fits\n");
    assert_eq!(fake.run(&["track", "--session", "out-9"]).code, 4);
    for wrong in [&["track"][..], &["track", "--session", "x"], &["track", "--client", "x"]] {
        assert_eq!(fake.run(wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn a_message_that_has_left_is_tracked() {
    let fake = three();
    let ran = fake.run(&["track", &id(9)]);
    assert!(ran.stdout.contains("550 5.1.1 no such user"), "{ran:?}");
    let ran = fake.run(&["track", "status = failed"]);
    assert!(ran.stdout.contains("mx.b.example"), "{ran:?}");
    let json = fake.run(&["track", "from", "=", "ann@sender.example", "--json"]).json();
    assert_eq!(json["messages"][0]["recipients"][0]["status"], "failed");
    assert_eq!(fake.run(&["track", &id(8)]).code, 4);
    assert_eq!(fake.run(&["track", "from = nobody"]).stdout, "no message fits\n");
    let ran = fake.run(&["track", "nothing"]);
    assert_eq!(ran.code, 2);
    let said = "column 1: `nothing` is neither an id nor a filter: ";
    assert!(ran.stderr.starts_with(said), "{}", ran.stderr);
}

#[test]
fn status_is_ten_lines_or_fewer() {
    let ran = three().run(&["status"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.lines().count() <= 10);
    assert!(ran.stdout.contains("mail.example") && ran.stdout.contains("3 messages"));
}

#[test]
fn reload_tells_what_waits_for_a_restart_or_what_is_wrong() {
    let ran = three().run(&["reload"]);
    let said = "reloaded; 3 recipients waited for this and are due now\n\
                `data` has changed and holds after a restart\n";
    assert_eq!(ran.stdout, said);
    let bad = Fake::start(FakeDesk { bad_config: true, ..FakeDesk::default() });
    let ran = bad.run(&["reload"]);
    assert_eq!((ran.code, ran.stderr.contains("p.toml:1:1")), (2, true), "{ran:?}");
}

#[test]
fn stop_waits_for_the_end() {
    let fake = three();
    let ran = fake.run(&["stop", "--wait", "100ms"]);
    assert_eq!(ran.code, 1, "the fake stays: {ran:?}");
    assert!(*fake.desk.stopped.lock().unwrap());
    let end = fake.end.lock().unwrap().take().unwrap();
    let later = fake.runtime.spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        drop(end);
    });
    let ran = fake.run(&["stop"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "stopped\n"));
    fake.runtime.block_on(later).unwrap();
}
