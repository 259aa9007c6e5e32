//! `user add|passwd|list|remove|disable|enable`: texts, JSON, exit statuses, where passwords come from, a file that is
//! damaged, and many who write at once.
//!
//! Not here: logging in (`logins`), the file itself (`users` of the binary).

use crate::command::{Ran, fed, posthaste};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

const P: [&str; 2] = ["--config", "p.toml"];
const NO_DAEMON: &str = "no daemon runs with these settings; the next one will see it\n";

fn settings(folder: &Path) {
    fs::write(folder.join("p.toml"), "hostname = \"a.example\"\n").unwrap();
}

fn user(folder: &Path, words: &[&str], input: &str) -> Ran {
    fed(folder, &[&["user"], words, &P].concat(), input)
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("posthaste-data/users")
}

fn listed(folder: &Path) -> Vec<Value> {
    user(folder, &["list", "--json"], "").json()["users"].as_array().unwrap().clone()
}

#[test]
fn a_user_lives_from_add_to_remove() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    settings(folder);
    let said = |words: &[&str], input: &str| {
        let ran = user(folder, words, input);
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
        assert!(!format!("{ran:?}").contains("sesame"), "{ran:?}");
        (ran.stdout, ran.stderr)
    };
    let (stdout, _) = said(&["list"], "");
    assert!(stdout.starts_with("no users in ") && stdout.ends_with("posthaste-data/users\n"));
    let no_daemon = |text: &str| (text.to_owned(), NO_DAEMON.to_owned());
    assert_eq!(
        said(&["add", "Ann@a.example", "--password-stdin"], "open sesame\r\nsecond line\n"),
        no_daemon("Ann@a.example is added\n")
    );
    let mode = fs::metadata(file(folder)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    fs::write(folder.join("secret"), "shut sesame\n").unwrap();
    let printer = "add printer --scram --password-file secret --sender scans@a.example --sender @b.example \
                   --messages-per-minute 1 --recipients-per-day 50";
    let printer: Vec<&str> = printer.split_ascii_whitespace().collect();
    assert_eq!(said(&printer, ""), no_daemon("printer is added\n"));
    let (table, _) = said(&["list"], "");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect())
        .collect();
    assert_eq!(
        rows,
        [
            vec!["USER", "PASSWORD", "STATE", "LIMITS", "SENDS AS"],
            vec!["Ann@a.example", "argon2id", "enabled", "as for all", "Ann@a.example"],
            vec![
                "printer",
                "scram-sha-256",
                "enabled",
                "1 message a minute, 50 recipients a day",
                "scans@a.example, @b.example"
            ],
        ],
        "{table}"
    );
    // Names are the same in either case; a password that is changed stays in its form unless it is said.
    assert_eq!(
        said(&["passwd", "ann@A.example", "--password-stdin"], "another sesame\n"),
        no_daemon("ann@A.example has another password\n")
    );
    assert_eq!(said(&["disable", "printer"], ""), no_daemon("printer cannot log in any more\n"));
    let both = listed(folder);
    assert_eq!(both[0]["password"], "argon2id");
    assert_eq!(
        both[1],
        json!({
            "name": "printer", "password": "scram-sha-256", "senders": ["scans@a.example", "@b.example"],
            "messages_per_minute": 1, "recipients_per_minute": null, "recipients_per_day": 50, "disabled": true,
        })
    );
    assert_eq!(said(&["enable", "printer"], ""), no_daemon("printer can log in\n"));
    assert_eq!(listed(folder)[1]["disabled"], false);
    said(&["passwd", "ann@a.example", "--scram", "--password-stdin"], "third sesame\n");
    assert_eq!(listed(folder)[0]["password"], "scram-sha-256");
    assert_eq!(said(&["remove", "PRINTER"], ""), no_daemon("PRINTER is removed\n"));
    assert_eq!(listed(folder).len(), 1);
    let kept = fs::read_to_string(file(folder)).unwrap();
    assert!(!kept.contains("sesame"), "{kept}");
}

#[test]
fn json_and_nothing_else_and_a_password_that_is_made_is_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    settings(folder);
    let ran = user(folder, &["add", "ann", "--generate", "--json"], "");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let added = ran.json();
    assert_eq!((&added["v"], &added["daemon"]), (&json!(1), &json!(false)));
    let made = added["user"]["generated"].as_str().unwrap().to_owned();
    assert_eq!((made.len(), made.split('-').count()), (24, 5), "{made}");
    assert!(!fs::read_to_string(file(folder)).unwrap().contains(&made));
    let ran = user(folder, &["passwd", "ann", "--generate"], "");
    let made: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!((ran.code, made.len(), made[1]), (0, 2, "ann has another password"), "{ran:?}");
    assert_eq!(listed(folder)[0].get("generated"), None);
    for words in [["remove", "ann"], ["disable", "ann"], ["remove", "bob"]] {
        let ran = user(folder, &[&words[..], &["--json"]].concat(), "");
        if words == ["remove", "ann"] {
            assert_eq!(ran.json()["user"]["name"], "ann", "{ran:?}");
        } else {
            assert_eq!((ran.code, ran.error()["code"].as_str()), (4, Some("not-found")), "{ran:?}");
        }
    }
}

#[test]
fn what_is_wrong_is_told_with_what_to_do_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    settings(folder);
    assert_eq!(user(folder, &["add", "ann", "--password-stdin"], "open sesame\n").code, 0);
    let before = fs::read_to_string(file(folder)).unwrap();
    let stdin = "--password-stdin";
    let long = "x".repeat(321);
    let cases: [(&[&str], &str, i32, &str); 17] = [
        (
            &["add", "ANN", stdin],
            "open sesame\n",
            1,
            "there is a user ANN already; `posthaste user passwd ANN` changes the password",
        ),
        (&["add", "bob", stdin], "short\n", 2, "the password is too short: at least 8 characters"),
        (&["add", "bob", stdin], "", 2, "the password is empty"),
        (&["add", "bob", stdin], "tab\tin a password\n", 2, "has a control character"),
        (
            &["add", "bob"],
            "open sesame\n",
            2,
            "give --password-stdin, --password-file FILE or --generate",
        ),
        (&["add", "bob", "--password-file", "none"], "", 1, "cannot read none"),
        (&["add", "bob", "--password-file", "."], "", 1, "cannot read ."),
        (&["add", "bob", stdin, "--generate"], "", 2, "cannot be used with"),
        (&["add", "bob", "open sesame"], "", 2, "unexpected argument"),
        (&["add", "", stdin], "open sesame\n", 2, "a value is required"),
        (
            &["add", "b b", stdin],
            "open sesame\n",
            2,
            "\"b b\" is no name of a user: 1 to 320 octets, no blanks",
        ),
        (&["add", "b\nb", stdin], "open sesame\n", 2, "\"b\\nb\" is no name of a user"),
        (&["add", &long, stdin], "open sesame\n", 2, "is no name of a user: 1 to 320 octets"),
        (
            &["add", "bob", stdin, "--sender", "a b"],
            "open sesame\n",
            2,
            "\"a b\" is no sender; write an address",
        ),
        (&["passwd", "bob", stdin], "open sesame\n", 4, "there is no user bob in "),
        (&["remove", "bob"], "", 4, "there is no user bob in "),
        (&["enable", "bob"], "", 4, "there is no user bob in "),
    ];
    for (words, input, code, expected) in cases {
        let ran = user(folder, words, input);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{words:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{words:?}: {ran:?}");
        assert_eq!(fs::read_to_string(file(folder)).unwrap(), before, "{words:?}");
    }
}

#[test]
fn a_damaged_file_is_named_with_its_line_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    settings(folder);
    assert_eq!(user(folder, &["add", "ann", "--password-stdin"], "open sesame\n").code, 0);
    let good = fs::read_to_string(file(folder)).unwrap();
    let damaged = format!("# ours\n{good}{}", &good[..good.len() / 2]);
    fs::write(file(folder), &damaged).unwrap();
    let place = "posthaste-data/users: line 3: it is no JSON, near column ";
    for words in [
        &["list"][..],
        &["add", "bob", "--generate"],
        &["passwd", "ann", "--generate"],
        &["disable", "ann"],
        &["remove", "ann"],
    ] {
        let ran = user(folder, words, "");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{words:?}: {ran:?}");
        assert!(ran.stderr.contains(place) && !ran.stderr.contains("$argon2id"), "{ran:?}");
        let error = user(folder, &[words, &["--json"]].concat(), "").error();
        assert_eq!(error["code"], "bad-users", "{words:?}");
        assert_eq!(fs::read_to_string(file(folder)).unwrap(), damaged, "{words:?}");
    }
    let checked = posthaste(folder, &["config", "check", "p.toml"]);
    assert_eq!(checked.code, 2, "{checked:?}");
    assert!(checked.stderr.contains(place), "{checked:?}");
}

#[test]
fn many_verbs_at_once_lose_nobody_and_one_name_is_added_once() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    settings(folder);
    let begin = |name: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
        command.current_dir(folder).args(["user", "add", name, "--generate"]).args(P);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let names: Vec<String> = (0..6).map(|n| format!("user{n}")).collect();
    let mut others: Vec<_> = names.iter().map(|name| begin(name)).collect();
    let mut same: Vec<_> = (0..4).map(|_| begin("same")).collect();
    assert!(others.iter_mut().all(|child| child.wait().unwrap().success()));
    let added = same.iter_mut().filter_map(|child| child.wait().unwrap().success().then_some(()));
    assert_eq!(added.count(), 1);
    let mut there: Vec<_> =
        listed(folder).iter().map(|user| user["name"].as_str().unwrap().to_owned()).collect();
    there.sort();
    assert_eq!(there, [&["same".to_owned()], names.as_slice()].concat());
}
