//! A release is honest: what a route holds, or no route takes, stays, and the verb says so; a redirection moves it.

use crate::command::{Ran, fed, posthaste};
use crate::daemon::{free_ports, settings, start};
use std::path::Path;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

fn verb(folder: &Path, arguments: &[&str]) -> Ran {
    posthaste(folder, &[arguments, &["--config", "p.toml"]].concat())
}

/// Hands in one message; answers its id.
fn send(folder: &Path, to: &str) -> String {
    let arguments = ["send", "--from", "<>", "--to", to, "--config", "p.toml"];
    let ran = fed(folder, &arguments, "Subject: x\n\nhello\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.stdout.trim().to_owned()
}

/// What its first recipient waits for.
fn reason(folder: &Path, id: &str) -> String {
    let shown = verb(folder, &["queue", "show", id, "--json"]).json();
    shown["recipients"][0]["wait_reason"].as_str().unwrap_or_default().to_owned()
}

fn until(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn what_a_route_holds_is_not_said_to_be_released_and_a_redirection_moves_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [port, dead] = free_ports();
    let routes = format!(
        "[[route]]\nname = \"way out\"\nto = \"out.example\"\nvia = \"127.0.0.1:{dead}\"\n\
         [[route]]\nname = \"quarantine\"\nto = \"kept.example\"\nvia = \"hold\"\n"
    );
    settings(folder, &[port], &routes);
    let top = std::fs::read_to_string(folder.join("p.toml")).unwrap();
    std::fs::write(folder.join("p.toml"), format!("unmatched = \"hold\"\n{top}")).unwrap();
    let _daemon = start(folder);
    let (held, lost) = (send(folder, "bob@kept.example"), send(folder, "eve@nowhere.example"));
    until("held", || reason(folder, &held) == "route-held" && reason(folder, &lost) == "no-route");

    let by_route = "1 recipients stay: their route says via = \"hold\", which no release lifts.";
    let by_none = "1 recipients stay: no route matches them.";
    for (arguments, told) in [
        (&[&*held][..], &[by_route][..]),
        (&["--destination", "kept.example"], &[by_route]),
        (&["--where", "wait_reason = route-held"], &[by_route]),
        (&["--where", "to = eve@nowhere.example"], &[by_none]),
        (&["--all"], &[by_route, by_none]),
    ] {
        let ran = verb(folder, &[&["queue", "release"], arguments].concat());
        let first = ran.stdout.lines().next().unwrap();
        assert!(
            first.starts_with("0 recipients of 0 messages released from an operator's hold"),
            "{arguments:?} {ran:?}"
        );
        for words in told {
            assert!(ran.stdout.contains(words), "{arguments:?} {ran:?}");
        }
        assert_eq!(ran.stdout.lines().count(), 1 + told.len(), "{arguments:?} {ran:?}");
        assert!(ran.stdout.contains("--to-route NAME"), "{ran:?}");
    }

    // An operator's hold on top of it is lifted, and no more than that is claimed.
    assert_eq!(verb(folder, &["queue", "hold", &held]).code, 0);
    until("held twice", || reason(folder, &held) == "held");
    let ran = verb(folder, &["queue", "release", "--where", "wait_reason = held"]);
    assert!(ran.stdout.starts_with("1 recipient of 1 message released from an"), "{ran:?}");
    assert!(ran.stdout.contains(by_route), "{ran:?}");
    let json = verb(folder, &["queue", "release", "--all", "--json"]).json();
    assert_eq!((&json["kept"]["route_held"], &json["kept"]["no_route"]), (&1.into(), &1.into()));

    for id in [&held, &lost] {
        let ran = verb(folder, &["queue", "redirect", id, "--to-route", "way out"]);
        assert!(ran.stdout.starts_with("1 recipient of 1 message redirected"), "{ran:?}");
        assert_eq!(verb(folder, &["queue", "show", id]).code, 4, "it goes on under a new id");
    }
    let at_the_way_out = || {
        let listed = verb(folder, &["queue", "messages", "--json"]).json();
        let all = listed["messages"].as_array().cloned().unwrap_or_default();
        let there = |message: &serde_json::Value| {
            let bob = &message["recipients"][0];
            // Nobody listens there: the first was tried, the second waits with it.
            let down = bob["wait_reason"] == "next-hop-down";
            bob["destination"] == format!("127.0.0.1:{dead}") && down
        };
        all.len() == 2 && all.iter().all(there)
    };
    until("both tried at the other route's host", at_the_way_out);
    let ran = verb(folder, &["queue", "release", "--all"]);
    assert!(ran.stdout.starts_with("0 recipients of 0 messages released (decision"), "{ran:?}");
}
