//! Without a daemon: exit status, the settings checked and shown, the example file.

use crate::command::{posthaste, with_variable};
use serde_json::json;
use std::fs;
use std::path::Path;

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../posthaste.example.toml");

#[test]
fn wrong_usage_is_2_and_says_what_is_right() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["qeue"][..],
        &[],
        &["queue", "retry"],
        &["queue", "retry", "--all", "0000000000001"],
        &["send", "--to", "a@b.example"],
        &["ping", "--wait", "soon"],
        &["track"],
        &["--no-such-option", "ping"],
    ] {
        let ran = posthaste(folder.path(), arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
        assert!(ran.stdout.is_empty() && ran.stderr.contains("--help"), "{ran:?}");
    }
    let ran = posthaste(folder.path(), &["qeue"]);
    assert!(ran.stderr.contains("'queue'"), "a suggestion: {}", ran.stderr);
    let ran = posthaste(folder.path(), &["--json", "ping", "--wait", "soon"]);
    assert_eq!((ran.code, &ran.error()["code"]), (2, &"usage".into()));
}

#[test]
fn help_and_version_are_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let ran = posthaste(folder.path(), &["--version"]);
    assert_eq!((ran.code, ran.stdout.starts_with("posthaste ")), (0, true));
    let ran = posthaste(folder.path(), &["--help"]);
    for verb in [
        "serve", "ping", "status", "reload", "stop", "config", "send", "queue", "route", "dns",
        "track",
    ] {
        assert!(ran.stdout.contains(&format!("\n  {verb} ")), "{verb}: {}", ran.stdout);
    }
}

#[test]
fn a_file_where_a_folder_belongs_is_found_by_the_check() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("taken"), "").unwrap();
    for (text, at) in
        [("data = \"taken\"\n", "p.toml:1:8: "), ("[log]\nevents = \"taken\"\n", "p.toml:2:10: ")]
    {
        fs::write(folder.path().join("p.toml"), text).unwrap();
        let ran = posthaste(folder.path(), &["config", "check", "p.toml"]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.stderr.starts_with(at) && ran.stderr.contains("taken is a file"), "{ran:?}");
    }
}

#[test]
fn no_daemon_is_3() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("p.toml");
    fs::write(&settings, "data = \"here\"\n").unwrap();
    let message = ["send", "--from", "a@b.example", "--to", "c@d.example"];
    for arguments in [
        &["ping"][..],
        &["ping", "--wait", "50ms"],
        &["status"],
        &["queue"],
        &["queue", "messages"],
        &["queue", "show", "0000000000001"],
        &["queue", "retry", "--all"],
        &["route", "a@b.example"],
        &["track", "0000000000001"],
        &["reload"],
        &["stop"],
        &message,
        &["--socket", "absent.sock", "ping"],
        &["--config", "p.toml", "ping"],
    ] {
        let ran = posthaste(folder.path(), arguments);
        assert_eq!(ran.code, 3, "{arguments:?}: {ran:?}");
        assert!(ran.stdout.is_empty() && ran.stderr.contains("no daemon"), "{ran:?}");
    }
    let ran = posthaste(folder.path(), &["--json", "status"]);
    assert_eq!((ran.code, &ran.error()["code"]), (3, &"no-daemon".into()));
    let ran = posthaste(folder.path(), &["--config", "p.toml", "ping"]);
    assert!(ran.stderr.contains("here/control.sock"), "{}", ran.stderr);
}

#[test]
fn wait_reasons_need_no_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let ran = posthaste(folder.path(), &["queue", "--wait-reasons"]);
    assert_eq!(ran.code, 0);
    assert!(ran.stdout.contains("\ndestination-down"), "{}", ran.stdout);
    let ran = posthaste(folder.path(), &["queue", "--wait-reasons", "--json"]);
    assert_eq!(ran.json()["wait_reasons"].as_array().unwrap().len(), 17);
}

#[test]
fn a_wrong_file_is_2_with_every_error_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = "hostnme = \"x\"\n\n[limits]\nrecipients = \"many\"\n[retry]\njitter = 2\n";
    fs::write(folder.path().join("p.toml"), text).unwrap();
    let expected = "p.toml:1:1: unknown setting `hostnme`; did you mean `hostname`?\n\
                    p.toml:4:14: `limits.recipients`: expected a whole number, found a string\n\
                    p.toml:6:10: `retry.jitter` must be from 0.0 to 0.9\n";
    for arguments in [
        &["config", "check", "p.toml"][..],
        &["config", "show", "p.toml"],
        &["--config", "p.toml", "config", "check"],
        &["--config", "p.toml", "status"],
    ] {
        let ran = posthaste(folder.path(), arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (2, expected), "{arguments:?}");
        assert!(ran.stdout.is_empty());
    }
    let ran = with_variable(folder.path(), &["config", "check"], "POSTHASTE_CONFIG", "p.toml");
    assert_eq!((ran.code, ran.stderr.as_str()), (2, expected));
    let ran = posthaste(folder.path(), &["--json", "config", "check", "p.toml"]);
    assert_eq!((ran.code, &ran.error()["at"]), (2, &"p.toml:1:1".into()));
    let ran = posthaste(folder.path(), &["config", "check", "absent.toml"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("cannot read absent.toml: "), "{}", ran.stderr);
}

#[test]
fn a_scaled_clock_must_be_allowed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), "clock_scale = 60\n").unwrap();
    assert_eq!(posthaste(folder.path(), &["config", "check", "p.toml"]).code, 2);
    let allowed = ["--allow-clock-scale", "config", "check", "p.toml"];
    assert_eq!(posthaste(folder.path(), &allowed).code, 0);
}

#[test]
fn the_settings_in_force_are_shown_with_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("p.toml"), "hostname = \"mail.example.org\"\n").unwrap();
    let ran = posthaste(folder.path(), &["config", "show", "p.toml"]);
    assert_eq!(ran.code, 0);
    let first = ran.stdout.lines().next().unwrap();
    assert!(first.starts_with("hostname = \"mail.example.org\" "), "{first}");
    assert!(first.ends_with("# p.toml:1"), "{first}");
    assert!(ran.stdout.contains("\n[limits]\nmessage_size = \"36MiB\" "), "{}", ran.stdout);
    let ran = posthaste(folder.path(), &["config", "show", "--json"]);
    let settings = ran.json()["settings"].clone();
    let find = |key: &str| settings.as_array().unwrap().iter().find(|s| s["key"] == key).unwrap();
    assert_eq!(find("data")["origin"], "default");
    for (key, value) in [
        ("data", json!("posthaste-data")),
        ("recipients", json!(1000)),
        ("jitter", json!(0.2)),
        ("allow_private", json!(false)),
        ("to", json!(["*"])),
        ("glitch", json!({ "times": 4, "every": "1 min" })),
        ("bare_newline", json!(null)),
    ] {
        assert_eq!(find(key)["value"], value, "{key}");
    }
}

#[test]
fn the_example_is_good_and_tells_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let ran = posthaste(folder.path(), &["config", "check", EXAMPLE]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    // What is commented out is said to be the default: with all of it set, nothing may change.
    let text = fs::read_to_string(EXAMPLE).unwrap();
    let set: String = text.lines().map(|line| format!("{}\n", uncommented(line))).collect();
    fs::write(folder.path().join("all.toml"), &set).unwrap();
    fs::copy(EXAMPLE, folder.path().join("some.toml")).unwrap();
    let values = |file: &str| {
        let ran = posthaste(folder.path(), &["config", "show", "--json", file]);
        assert_eq!(ran.code, 0, "{file}: {}", ran.stderr);
        let settings = ran.json()["settings"].clone();
        let setting = |s: &serde_json::Value| {
            format!("{} {} {} = {}", s["section"], s["number"], s["key"], s["value"])
        };
        settings.as_array().unwrap().iter().map(setting).collect::<Vec<_>>()
    };
    // Of these the comments show an example, not the default.
    let examples = [
        "expire_after",
        "own_addresses",
        "source",
        "later",
        "name",
        "[route.retry]",
        "aliases",
        "recipient_delimiter",
        "memory_limit",
        "[process]\" 0 \"user",
        "[process]\" 0 \"group",
        "\"try_limit\"",
        "\"tries\"",
        "\"rotate\"",
        "\"tcp_only\"",
    ];
    let of_routes = [
        "from",
        "listener",
        "user",
        "ehlo",
        "resolvers",
        "connections",
        "messages_per_minute",
        "message_size",
    ];
    let of_route = |key: &str| format!("\"[[route]]\" 1 \"{key}\"");
    let of_routes: Vec<String> = of_routes.iter().map(|key| of_route(key)).collect();
    let plain = |all: Vec<String>| -> Vec<String> {
        let of_route = |line: &String| of_routes.iter().any(|key| line.starts_with(key));
        let example = |line: &String| !examples.iter().any(|e| line.contains(e)) && !of_route(line);
        all.into_iter().filter(example).collect()
    };
    let (some, all) = (plain(values("some.toml")), plain(values("all.toml")));
    assert!(some.len() > 50, "{some:#?}");
    for line in &some {
        assert!(all.contains(line), "{line} is not what the comment says\n{set}");
    }
}

/// `# key = value   # remark` without its first sign, where it is a setting.
fn uncommented(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else { return line };
    let key = rest.split(" = ").next().unwrap_or_default();
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    if rest.contains(" = ") && !key.is_empty() && key.chars().all(is_key) { rest } else { line }
}

#[test]
fn the_example_names_every_setting() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(Path::new(EXAMPLE)).unwrap();
    let ran = posthaste(folder.path(), &["config", "show", "--json"]);
    for setting in ran.json()["settings"].as_array().unwrap() {
        let key = setting["key"].as_str().unwrap();
        // For tests only.
        if key != "clock_scale" {
            assert!(text.contains(&format!("{key} = ")), "{key} is not in the example");
        }
    }
}
