//! Notices as an administrator meets them: looked at before anybody gets one, worded anew, sent by a real daemon, tracked.
//!
//! Not here: their wording (`posthaste_message`), who is owed one (`posthaste_dispatch`).

use crate::command::{Ran, fed, posthaste};
use crate::daemon::{Daemon, free_ports, settings};
use crate::privileges::Scene;
use crate::sink::Sink;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);
const SAMPLES: [&str; 6] = ["failed", "expired", "delayed", "delivered", "relayed", "all-clear"];

fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn verb(folder: &Path, arguments: &[&str]) -> Ran {
    posthaste(folder, &[arguments, &["--config", "p.toml"]].concat())
}

/// A daemon whose clocks are as fast as its file says.
fn start_scaled(folder: &Path) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    command.current_dir(folder).args(["serve", "--config", "p.toml", "--allow-clock-scale"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Daemon(command.spawn().unwrap());
    let ran = verb(folder, &["ping", "--wait", "20s"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    daemon
}

fn send(folder: &Path, from: &str, to: &str, header: &str) -> String {
    let arguments = ["send", "--from", from, "--to", to, "--config", "p.toml"];
    let ran = fed(folder, &arguments, &format!("{header}Subject: the minutes\n\nhello\n"));
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.trim().to_owned()
}

#[test]
fn a_sample_of_each_kind_and_language_needs_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("p.toml"), "hostname = \"mx.example.org\"\n").unwrap();
    let mut seen = Vec::new();
    for kind in SAMPLES {
        for lang in ["en", "de"] {
            let ran = verb(folder, &["notice", "preview", "--sample", kind, "--lang", lang]);
            assert_eq!(ran.code, 0, "{ran:?}");
            let lines: Vec<&str> = ran.stdout.lines().collect();
            assert!(lines[0].ends_with("<MAILER-DAEMON@mx.example.org>"), "{ran:?}");
            assert!(lines[1].starts_with("To: ") && lines[2].starts_with("Subject: "), "{ran:?}");
            assert!(lines.len() > 8 && !ran.stdout.contains('{'), "{ran:?}");
            assert!(!seen.contains(&ran.stdout), "{kind} {lang} says what another says");
            seen.push(ran.stdout);
        }
    }
    let part =
        |part: &str| verb(folder, &["notice", "preview", "--sample", "failed", "--part", part]);
    assert!(part("html").stdout.contains("</html>"), "{:?}", part("html"));
    assert!(part("status").stdout.starts_with("Reporting-MTA: dns; mx.example.org\n"));
    assert!(part("all").stdout.contains("report-type=delivery-status"));
    let json =
        verb(folder, &["notice", "preview", "--sample", "delayed", "--lang", "de", "--json"]);
    let json = json.json();
    assert_eq!((&json["v"], &json["kind"]), (&1.into(), &"delayed".into()));
    assert!(json["id"].is_null());
    assert_eq!(json["language"], "de");
    for name in ["from", "to", "subject", "text", "html", "status", "message"] {
        assert!(!json[name].as_str().unwrap().is_empty(), "{name}: {json}");
    }
}

/// What is read in docs/notices.md, word for word.
#[test]
fn the_guide_shows_what_is_printed_and_its_commands_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("p.toml"), "hostname = \"mail.example.org\"\n").unwrap();
    let guide = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/notices.md");
    let guide = fs::read_to_string(guide).unwrap();
    let (_, excerpt) = guide.split_once("```\nFrom: ").unwrap();
    let (excerpt, _) = excerpt.split_once("```\n").unwrap();
    let ran = verb(folder, &["notice", "preview", "--sample", "delayed"]);
    let printed = ran.stdout.strip_prefix("From: ").unwrap();
    for (shown, line) in excerpt.lines().zip(printed.lines()) {
        let is_time = shown.starts_with("Sent: ") && line.starts_with("Sent: ");
        assert!(shown == line || is_time, "the guide has {shown:?} for {line:?} of\n{printed}");
    }
    let commands = guide.lines().filter_map(|line| line.strip_prefix("    posthaste notice "));
    let commands = commands.filter(|line| line.contains("--sample") || line.starts_with("texts"));
    let mut run = 0;
    for line in commands {
        let words: Vec<&str> =
            line.split_whitespace().take_while(|w| !w.contains(['#', '>'])).collect();
        let ran = verb(folder, &[&["notice"], &words[..]].concat());
        assert_eq!(ran.code, 0, "{line}: {ran:?}");
        run += 1;
    }
    assert!(run >= 4, "{run}");
}

#[test]
fn wrong_questions_are_answered_with_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("p.toml"), "hostname = \"mx.example.org\"\n[notice]\nhtml = false\n")
        .unwrap();
    for (arguments, code, said) in [
        (
            &["--sample", "failed", "--lang", "tlh"][..],
            2,
            "there are no texts in `tlh`; there are: de, en",
        ),
        (&["--sample", "bounce"], 2, "failed, expired, delayed, delivered, relayed, all-clear"),
        (&[], 2, "--sample"),
        (&["soon"], 2, "`soon`"),
        (&["0000000000001"], 3, "no daemon"),
        (&["--sample", "failed", "--part", "html"], 1, "html = false"),
    ] {
        let ran = verb(folder, &[&["notice", "preview"], arguments].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {ran:?}");
    }
    let ran = verb(folder, &["notice", "texts", "--lang", "tlh"]);
    assert!(ran.code == 2 && ran.stderr.contains("there are: de, en"), "{ran:?}");
}

#[test]
fn own_words_are_in_the_sample_and_a_translation_begins_with_ours() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("notices")).unwrap();
    let own = "[explain]\nclosing = \"Helpdesk: 1234\"\n";
    fs::write(folder.join("notices/en.toml"), own).unwrap();
    // Whoever translates begins with what we print; here nothing is translated yet.
    let ours = verb(folder, &["notice", "texts"]).stdout;
    assert!(ours.contains("[plural]") && ours.contains("closing = \"\""), "{ours}");
    fs::write(folder.join("notices/nl.toml"), ours.replace("Delivery delayed", "Vertraagd"))
        .unwrap();
    let rules = "hostname = \"mx.example.org\"\n[notice]\ntexts = \"notices\"\nlanguage = \"nl\"\n";
    fs::write(folder.join("p.toml"), rules).unwrap();
    let ran = verb(folder, &["config", "check"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let sample =
        |lang: &str| verb(folder, &["notice", "preview", "--sample", "delayed", "--lang", lang]);
    assert!(
        sample("en").stdout.contains("Helpdesk: 1234") && !sample("de").stdout.contains("1234")
    );
    assert!(sample("nl").stdout.contains("Subject: Vertraagd"), "{:?}", sample("nl"));
    let usual = verb(folder, &["notice", "preview", "--sample", "delayed"]);
    assert!(usual.stdout.contains("Subject: Vertraagd"), "the language of the settings: {usual:?}");

    fs::write(folder.join("notices/nl.toml"), "[head]\nfailed = \"x\"\n").unwrap();
    let ran = verb(folder, &["config", "check"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.starts_with("p.toml:3:9: `notice.texts`: notices/nl.toml:1:1: "), "{ran:?}");
}

#[test]
fn a_delay_notice_arrives_and_the_queue_tells_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let inbox = folder.join("inbox");
    fs::create_dir(&inbox).unwrap();
    let sink = Sink::start(&inbox);
    let [port, dead] = free_ports();
    // An hour is 2 seconds: senders are told after 2, again each 4, and mail is given up after 4 minutes.
    let rules = format!(
        "[notice]\ndelay_after = \"1h\"\ndelay_repeat = \"2h\"\n\
         [[route]]\nto = \"a.example\"\nvia = \"{}\"\n\
         [[route]]\nname = \"quiet\"\nto = \"quiet.example\"\nvia = \"127.0.0.1:{dead}\"\ndelay_after = \"off\"\n\
         [[route]]\nto = \"*\"\nvia = \"127.0.0.1:{dead}\"\n",
        sink.address()
    );
    settings(folder, &[port], &rules);
    let text = fs::read_to_string(folder.join("p.toml")).unwrap();
    fs::write(folder.join("p.toml"), format!("clock_scale = 1800\n{text}")).unwrap();
    let _daemon = start_scaled(folder);
    let quiet = send(folder, "eve@a.example", "bob@quiet.example", "");
    let id = send(folder, "ann@a.example", "bob@b.example", "Content-Language: de\n");
    let preview = verb(folder, &["notice", "preview", &id]);
    assert_eq!(preview.code, 0, "{preview:?}");
    assert!(preview.stdout.contains("the minutes") && preview.stdout.contains("bob@b.example"));

    sink.wait_for(2, PATIENCE);
    let notice = fs::read_to_string(inbox.join("00000.eml")).unwrap();
    for words in
        ["To: <ann@a.example>", "report-type=delivery-status", "Action: delayed", "bob@b.example"]
    {
        assert!(notice.contains(words), "{words} is not in\n{notice}");
    }
    let shown = || verb(folder, &["queue", "show", &id, "--json"]).json();
    until("told twice, and it is known", || shown()["recipients"][0]["warned"].as_u64() >= Some(2));
    assert!(shown()["recipients"][0]["next_notice"].is_string(), "{}", shown());
    let told = verb(folder, &["queue", "show", &id]).stdout;
    assert!(told.contains("told of the delay"), "{told}");
    let silent = verb(folder, &["queue", "show", &quiet, "--json"]).json();
    assert!(silent["recipients"][0]["next_notice"].is_null(), "{silent}");
    assert_eq!(silent["recipients"][0]["warned"], 0, "{silent}");
    until("the log has it", || {
        verb(folder, &["track", &id]).stdout.contains("tells: delayed; is ")
    });
    let status = verb(folder, &["status", "--json"]).json();
    assert!(status["notices"]["delayed"].as_u64() >= Some(2), "{status}");
    assert_eq!(status["notices"]["failed"], 0);
    assert!(verb(folder, &["status"]).stdout.contains(" delayed)"), "{status}");

    let refused = send(folder, "<>", "bob@b.example", "");
    let ran = verb(folder, &["notice", "preview", &refused]);
    assert!(ran.code == 2 && ran.stderr.contains("it has no sender who could be told"), "{ran:?}");
    let gone = verb(folder, &["notice", "preview", "0000000000001"]);
    assert_eq!(gone.code, 4, "{gone:?}");
}

#[test]
fn a_reload_takes_new_texts_and_a_wrong_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir(folder.join("notices")).unwrap();
    let write = |text: &str| fs::write(folder.join("notices/en.toml"), text).unwrap();
    write("[explain]\nclosing = \"First words.\"\n");
    let [port, dead] = free_ports();
    let rules = format!(
        "[notice]\ntexts = \"notices\"\n[[route]]\nto = \"*\"\nvia = \"127.0.0.1:{dead}\"\n"
    );
    settings(folder, &[port], &rules);
    let _daemon = crate::daemon::start(folder);
    let id = send(folder, "ann@a.example", "bob@b.example", "");
    let preview = || verb(folder, &["notice", "preview", &id, "--kind", "failed"]).stdout;
    assert!(preview().contains("First words."), "{}", preview());
    write("[explain]\nclosing = \"{nobody} knows\"\n");
    let ran = verb(folder, &["reload"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("notices/en.toml:2:11: "), "{ran:?}");
    assert!(preview().contains("First words."), "the old ones hold");
    write("[explain]\nclosing = \"New words.\"\n");
    assert_eq!(verb(folder, &["reload"]).code, 0);
    assert!(preview().contains("New words."), "{}", preview());
    let ran = verb(folder, &["notice", "preview", &id, "--lang", "tlh"]);
    assert!(ran.code == 2 && ran.stderr.contains("there are: de, en"), "{ran:?}");
}

#[test]
fn a_daemon_that_gave_up_root_reads_new_texts_and_the_check_foresees_what_it_could_not() {
    let scene = Scene::new();
    let file = scene.path("notices/en.toml");
    fs::create_dir(scene.path("notices")).unwrap();
    fs::write(&file, "[explain]\nclosing = \"First.\"\n").unwrap();
    fs::set_permissions(scene.path("notices"), Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    scene.settings("user = \"nobody\"", "[notice]\ntexts = \"notices\"\n");
    let warned = || {
        let said = scene.verb(&["config", "check"]).stderr;
        let of_texts = said.lines().filter(|line| line.contains("notices"));
        of_texts.map(str::to_owned).collect::<Vec<_>>()
    };
    let said = warned();
    assert_eq!(said.len(), 3, "the folder, the way through it, the file: {said:#?}");
    for said in &said {
        // What it says to run is run.
        let (_, command) = said.split_once("; run: ").unwrap();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", command]).current_dir(scene.path(""));
        assert!(shell.status().unwrap().success(), "{command}");
    }
    assert_eq!(warned(), Vec::<String>::new());
    let daemon = scene.start();
    fs::write(&file, "[explain]\nclosing = \"Second.\"\n").unwrap();
    fs::write(scene.path("notices/de.toml"), "[explain]\nclosing = \"Zweitens.\"\n").unwrap();
    let ran = scene.verb(&["reload"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    fs::write(&file, "[explain]\nclosing = 3\n").unwrap();
    let ran = scene.verb(&["reload"]);
    assert!(ran.code == 2 && ran.stderr.contains("notices/en.toml:2:11: "), "{ran:?}");
    daemon.stop(&scene);
}
