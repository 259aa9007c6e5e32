//! `spool` with and without a daemon: checked, exported, imported elsewhere, mended.

use crate::command::{Ran, fed, posthaste};
use crate::daemon::{free_ports, settings, start};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

const P: [&str; 2] = ["--config", "p.toml"];

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    posthaste(folder, &[arguments, &P].concat())
}

/// Three messages for a next hop that is not there, in a spool that no daemon has any more.
fn three(folder: &Path) -> Vec<String> {
    let [port, dead] = free_ports();
    settings(folder, &[port], &format!("[[route]]\nto = \"*\"\nvia = \"127.0.0.1:{dead}\"\n"));
    let daemon = start(folder);
    let ids = ["one", "two", "three"].map(|subject| {
        let arguments = ["send", "--from", "ann@a.example", "--to", "bob@b.example"];
        let ran =
            fed(folder, &[&arguments[..], &P].concat(), &format!("Subject: {subject}\n\nhello\n"));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.trim().to_owned()
    });
    let ran = run(folder, &["spool", "check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("a daemon: this is what it has found\n"), "{ran:?}");
    assert!(ran.stdout.contains("accepting, 3 messages, 0 damaged places\n"), "{ran:?}");
    let ran = run(folder, &["spool", "import", "nowhere-yet"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let ran = run(folder, &["spool", "upgrade"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("is in use by process ") && ran.stderr.contains("stop the daemon"));
    let running = run(folder, &["spool", "export", "running"]);
    assert_eq!((running.code, running.stdout.as_str()), (0, "3 messages are in running\n"));
    assert!(running.stderr.contains("goes on delivering"), "{running:?}");
    assert_eq!(run(folder, &["stop"]).code, 0);
    drop(daemon);
    ids.to_vec()
}

fn octets(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: std::path::PathBuf| {
        (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
    };
    files.map(named).collect()
}

#[test]
fn a_spool_is_checked_exported_and_imported_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ids = three(folder);
    let spool = folder.join("posthaste-data/spool");
    let before = octets(&spool);
    let ran = run(folder, &["spool", "check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("/spool: clean\n"), "{ran:?}");
    assert!(ran.stdout.contains("messages   3 whole"), "{ran:?}");
    let checked = run(folder, &["spool", "check", "--json", "posthaste-data"]).json();
    assert_eq!((&checked["clean"], &checked["messages"]), (&true.into(), &3.into()), "{checked}");
    let ran = run(folder, &["spool", "upgrade", "--dry-run"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains(": format 1, ") && ran.stdout.contains("nothing to do"), "{ran:?}");
    let ran = run(folder, &["spool", "export", "stopped"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "3 messages are in stopped\n"), "{ran:?}");
    let lines = run(folder, &["spool", "export", "-"]);
    assert_eq!((lines.code, lines.stdout.lines().count()), (0, 4), "{lines:?}");
    assert_eq!(octets(&spool), before, "nothing of it has changed");

    let eml = std::fs::read_to_string(folder.join(format!("stopped/{}.eml", ids[0]))).unwrap();
    let front =
        "X-Sender: <ann@a.example>\r\nX-Receiver: <bob@b.example>\r\nX-CreatedBy: Posthaste\r\n";
    assert!(eml.starts_with(front) && eml[front.len()..].starts_with("Received: "), "{eml}");
    assert!(eml.ends_with("\r\nSubject: one\r\n\r\nhello\r\n"), "{eml}");
    for (from, input) in [("stopped", ""), ("running", ""), ("-", lines.stdout.as_str())] {
        let elsewhere = tempfile::tempdir_in(folder).unwrap();
        let data = elsewhere.path().join("data").display().to_string();
        let ran = fed(folder, &["spool", "import", from, "--data", &data], input);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        assert!(ran.stdout.starts_with("3 messages are durable in "), "{ran:?}");
        let ran = posthaste(folder, &["spool", "check", &data, "--json"]);
        assert_eq!(ran.json()["messages"], 3, "{ran:?}");
    }
    // A daemon goes on with what was imported, ids and attempts as they were.
    std::fs::rename(folder.join("posthaste-data"), folder.join("old")).unwrap();
    assert_eq!(run(folder, &["spool", "import", "stopped"]).code, 0);
    let _daemon = start(folder);
    let shown = run(folder, &["queue", "show", &ids[1], "--json"]).json();
    assert_eq!(shown["subject"], "two", "{shown}");
    let bob = &shown["recipients"][0];
    assert_eq!(
        (&bob["status"], &bob["last_error"]["stage"]),
        (&"queued".into(), &"connect".into())
    );
}

/// Within the directory of the first commit: its last octets, of which the header says the length.
fn damage(spool: &Path) {
    let segment = spool.join("segment-000001");
    let mut octets = std::fs::read(&segment).unwrap();
    let length = u32::from_le_bytes(octets[8192 + 24..8192 + 28].try_into().unwrap()) as usize;
    octets[8192 + length - 3] ^= 1;
    std::fs::write(segment, octets).unwrap();
}

#[test]
fn a_damaged_message_is_set_aside_shown_exported_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ids = three(folder);
    let spool = folder.join("posthaste-data/spool");
    damage(&spool);
    // As after a crash: with an index at the end of a segment, a start does not read its commits.
    let segment = spool.join("segment-000001");
    let mut octets = std::fs::read(&segment).unwrap();
    let end = octets.len();
    octets[end - 1] ^= 1;
    std::fs::write(&segment, octets).unwrap();

    let ran = run(folder, &["spool", "check"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    assert!(ran.stdout.contains("NOT CLEAN") && ran.stdout.contains("segment-000001+8192"));
    let ran = run(folder, &["spool", "quarantine", "list"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "nothing is in quarantine\n"));

    let daemon = start(folder);
    let ran = run(folder, &["spool", "check"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    let list = run(folder, &["spool", "quarantine", "list", "--json"]).json();
    let name = list["quarantined"][0]["name"].as_str().unwrap_or_else(|| panic!("{list}"));
    let shown = run(folder, &["spool", "quarantine", "show", name]);
    assert!(shown.stdout.contains(&ids[0]) && shown.stdout.contains("  whole  "), "{shown:?}");
    let ran = run(folder, &["spool", "quarantine", "export", name, "found"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let eml = std::fs::read_to_string(folder.join(format!("found/{}.eml", ids[0]))).unwrap();
    assert!(eml.starts_with("X-Sender: <ann@a.example>\r\n") && eml.contains("Subject: one"));
    let ran = run(folder, &["spool", "quarantine", "restore", "no-such"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    let ran = run(folder, &["spool", "quarantine", "restore", name, "--json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let new = ran.json()["restored"][0]["new"].as_str().unwrap().to_owned();
    let message = run(folder, &["queue", "show", &new, "--json"]).json();
    assert_eq!(message["subject"], "one", "{message}");
    let again = run(folder, &["spool", "quarantine", "restore", name]);
    assert!(again.code == 1 && again.stdout.contains("it was restored as"), "{again:?}");
    assert_eq!(run(folder, &["spool", "quarantine", "remove", name]).code, 0);
    assert_eq!(run(folder, &["stop"]).code, 0);
    drop(daemon);
    let ran = run(folder, &["spool", "quarantine", "list"]);
    assert_eq!(ran.stdout, "nothing is in quarantine\n", "{ran:?}");
    let ran = run(folder, &["spool", "quarantine", "list", "--all"]);
    assert!(ran.stdout.contains("removed"), "{ran:?}");
}

#[test]
fn what_cannot_be_read_is_1_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for arguments in [
        &["spool", "check"][..],
        &["spool", "upgrade"],
        &["spool", "export", "x"],
        &["spool", "import", "x"],
    ] {
        let ran = posthaste(folder, arguments);
        assert_eq!(ran.code, 1, "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("No such file"), "{arguments:?}: {ran:?}");
    }
    assert!(!folder.join("posthaste-data").exists(), "nothing was made");
}

/// Turns an octet of each of these in the first segment: of contents, not of what the records say.
fn turn(spool: &Path, words: &[&str]) {
    let segment = spool.join("segment-000001");
    let mut octets = std::fs::read(&segment).unwrap();
    for word in words {
        let mut all = octets.windows(word.len());
        let at = all.rposition(|found| found == word.as_bytes());
        octets[at.unwrap_or_else(|| panic!("no {word}"))] ^= 1;
    }
    std::fs::write(segment, octets).unwrap();
}

/// Asks until the answer is as wanted.
fn until(folder: &Path, arguments: &[&str], wanted: impl Fn(&Ran) -> bool) -> Ran {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ran = run(folder, arguments);
        if wanted(&ran) {
            return ran;
        }
        assert!(Instant::now() < deadline, "{ran:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_message_whose_content_is_damaged_is_held_kept_and_told_until_somebody_has_dealt_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let ids = three(folder);
    let data = folder.join("posthaste-data");
    turn(&data.join("spool"), &["Subject: two"]);
    let ran = run(folder, &["spool", "check"]);
    assert!(ran.code == 5 && ran.stderr.contains("a content when its message is tried"), "{ran:?}");

    // Found before the first look at the spool: nothing is asked of a next hop.
    let toml = std::fs::read_to_string(folder.join("p.toml")).unwrap();
    let route = toml.find("via = ").unwrap();
    std::fs::write(folder.join("p.toml"), format!("{}via = \"discard\"\n", &toml[..route]))
        .unwrap();
    let daemon = start(folder);
    for id in &ids {
        // The others may have gone by themselves.
        run(folder, &["queue", "retry", id]);
    }
    let held = ["queue", "show", &ids[1], "--json"];
    let status = |ran: &Ran| ran.json()["recipients"][0]["status"].clone();
    let ran = until(folder, &held, |ran| status(ran) == "held");
    let why = &ran.json()["recipients"][0]["last_error"]["text"];
    assert_eq!(why, "the message could not be read from the store", "{ran:?}");
    let rest = until(folder, &["queue", "messages", "--json"], |ran| {
        ran.json()["messages"].as_array().map_or(0, Vec::len) == 1
    });
    assert_eq!(rest.json()["messages"][0]["id"], ids[1], "the rest goes on: {rest:?}");
    let list = ["spool", "quarantine", "list", "--json"];
    let kept = |ran: &Ran| ran.json()["quarantined"].as_array().map_or(0, Vec::len);
    let ran = until(folder, &list, |ran| kept(ran) == 1);
    let name = ran.json()["quarantined"][0]["name"].as_str().unwrap().to_owned();
    let shown = run(folder, &["spool", "quarantine", "show", &name]);
    assert!(shown.stdout.contains(&ids[1]), "{shown:?}");
    let told = "1 damaged place of the spool: `posthaste spool quarantine list`";
    let alarmed = |moment: &str| {
        let ran = until(folder, &["status"], |ran| ran.stdout.contains(told));
        assert_eq!(ran.code, 0, "{moment}: {ran:?}");
        let ran = run(folder, &["status", "--monitor"]);
        assert!(ran.code == 1 && ran.stdout.contains("1 damaged places"), "{moment}: {ran:?}");
        let ran = run(folder, &["spool", "check"]);
        assert!(ran.code == 5 && ran.stdout.contains("1 damaged places"), "{moment}: {ran:?}");
    };
    alarmed("found");
    assert_eq!(run(folder, &["stop"]).code, 0);
    drop(daemon);
    let ran = run(folder, &["spool", "check"]);
    assert_eq!(ran.code, 5, "nobody has it: {ran:?}");

    let daemon = start(folder);
    alarmed("after a restart");
    assert_eq!(status(&run(folder, &held)), "held");
    assert_eq!(run(folder, &["spool", "quarantine", "remove", &name]).code, 0);
    let ran = until(folder, &["status"], |ran| !ran.stdout.contains("damaged place"));
    assert!(ran.stdout.contains("to do      nothing"), "{ran:?}");
    assert_eq!(run(folder, &["stop"]).code, 0);
    drop(daemon);
    let left: Vec<_> = octets(&data.join("quarantine")).into_keys().collect();
    assert!(left.iter().all(|name| !name.ends_with(".unfinished")), "{left:?}");
}
