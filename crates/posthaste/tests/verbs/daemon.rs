//! A real daemon on loopback: its settings reread under an open session, and what it says of a dead next hop.
//!
//! Not here: mail that arrives (`real_mail`).

use crate::command::{fed, posthaste};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Daemon(pub(crate) Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn start(folder: &Path) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    command.current_dir(folder).args(["serve", "--config", "p.toml"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let daemon = Daemon(command.spawn().unwrap());
    let ran = posthaste(folder, &["ping", "--config", "p.toml", "--wait", "20s"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    daemon
}

pub(crate) fn settings(folder: &Path, ports: &[u16], more: &str) {
    let mut text = "hostname = \"a.example\"\n".to_owned();
    for (i, port) in ports.iter().enumerate() {
        text +=
            &format!("[[listener]]\nname = \"door {i} {port}\"\naddress = \"127.0.0.1:{port}\"\n");
    }
    text += "[resolver]\nservers = \"127.0.0.1:1\"\nroots = []\n[admin]\naddress = \"off\"\n";
    std::fs::write(folder.join("p.toml"), text + more).unwrap();
}

pub(crate) fn free_ports() -> [u16; 2] {
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

/// A session, its greeting read.
pub(crate) fn session(port: u16) -> Option<BufReader<TcpStream>> {
    let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut session = BufReader::new(stream);
    let mut line = String::new();
    session.read_line(&mut line).ok()?;
    line.starts_with("220 ").then_some(session)
}

#[test]
fn doors_open_and_close_and_what_needs_a_restart_is_told_every_time() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [old, new] = free_ports();
    settings(folder, &[old], "");
    let _daemon = start(folder);
    let mut before = session(old).expect("it greets");

    settings(folder, &[new], "[log]\nlevel = \"debug\"\n");
    for _ in 0..2 {
        let ran = posthaste(folder, &["reload", "--config", "p.toml"]);
        let said = "reloaded\n`log` has changed and holds after a restart\n";
        assert_eq!((ran.code, ran.stdout.as_str()), (0, said), "{ran:?}");
    }
    assert!(session(new).is_some());
    assert!(session(old).is_none());
    before.get_mut().write_all(b"NOOP\r\n").unwrap();
    let mut line = String::new();
    before.read_line(&mut line).unwrap();
    assert!(line.starts_with("250 "), "a session outlives its door: {line}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    settings(folder, &[taken.local_addr().unwrap().port()], "");
    let ran = posthaste(folder, &["reload", "--config", "p.toml"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.starts_with("cannot listen on 127.0.0.1:"), "{}", ran.stderr);
    assert!(session(new).is_some(), "the old settings hold");
}

#[test]
fn the_trials_of_a_dead_next_hop_count_for_the_message_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [port, dead] = free_ports();
    let route = format!("[[route]]\nto = \"*\"\nvia = \"127.0.0.1:{dead}\"\n");
    settings(folder, &[port], &route);
    let _daemon = start(folder);
    let arguments = ["send", "--from", "<>", "--to", "bob@b.example", "--config", "p.toml"];
    let ran = fed(folder, &arguments, "Subject: x\n\nhello\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    let id = ran.stdout.trim();
    let deadline = Instant::now() + Duration::from_secs(20);
    let message = loop {
        let message = posthaste(folder, &["queue", "show", id, "--json", "--config", "p.toml"]);
        let message = message.json();
        if !message["attempts"].as_array().unwrap().is_empty() {
            break message;
        }
        assert!(Instant::now() < deadline, "{message}");
        std::thread::sleep(Duration::from_millis(50));
    };
    let bob = &message["recipients"][0];
    assert_eq!((&bob["attempts"], &bob["outcome"]), (&1.into(), &"deferred".into()), "{message}");
    let listed =
        posthaste(folder, &["queue", "messages", "attempts = 1", "--json", "--config", "p.toml"]);
    assert_eq!(listed.json()["messages"][0]["recipients"][0]["outcome"], "deferred");
    let status = posthaste(folder, &["status", "--json", "--config", "p.toml"]).json();
    assert_eq!(status["oldest"], message["received"]);
}

#[test]
fn of_mail_that_a_decision_held_track_tells_who_held_it_and_which_decision() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [port, dead] = free_ports();
    settings(folder, &[port], &format!("[[route]]\nto = \"*\"\nvia = \"127.0.0.1:{dead}\"\n"));
    let _daemon = start(folder);
    let send = || {
        let arguments =
            ["send", "--from", "ann@a.example", "--to", "bob@b.example", "--config", "p.toml"];
        fed(folder, &arguments, "Subject: x\n\nhello\n").stdout.trim().to_owned()
    };
    let before = send();
    let hold = ["queue", "hold", "--where", "domain = b.example", "--reason", "moving"];
    let ran = posthaste(folder, &[&hold[..], &["--json", "--config", "p.toml"]].concat());
    let decision = ran.json()["decision"].as_u64().unwrap_or_else(|| panic!("{ran:?}"));
    let after = send();
    for id in [before, after] {
        let deadline = Instant::now() + Duration::from_secs(20);
        let told = loop {
            let told = posthaste(folder, &["track", &id, "--json", "--config", "p.toml"]);
            // The log is written a moment after the act.
            if told.code == 0 && told.json()["messages"][0]["recipients"][0]["status"] == "held" {
                break told.json();
            }
            assert!(Instant::now() < deadline, "{told:?}");
            std::thread::sleep(Duration::from_millis(50));
        };
        let events = told["messages"][0]["events"].as_array().unwrap();
        let hold = events.iter().find(|event| event["act"] == "hold").expect("it is told");
        assert_eq!((&hold["decision"], &hold["reason"]), (&decision.into(), &"moving".into()));
        let by = hold["by"].as_str().unwrap();
        let said = format!("to hold; by {by}; decision {decision}; because: moving");
        let ran = posthaste(folder, &["track", &id, "--config", "p.toml"]);
        assert!(by.starts_with("uid ") && ran.stdout.contains(&said), "{ran:?}");
    }
    let found = ["track", "status = held and domain = b.example and from = ann@a.example"];
    let found = posthaste(folder, &[&found[..], &["--json", "--config", "p.toml"]].concat()).json();
    assert_eq!(found["messages"].as_array().unwrap().len(), 2, "{found}");
}

#[test]
fn route_says_what_a_route_does_and_which_limits_hold() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [port, next] = free_ports();
    let password = folder.join("password");
    std::fs::write(&password, "hunter2hunter2\n").unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&password, closed).unwrap();
    let rules = format!(
        "[[route]]\nto = \"gone.test\"\nvia = \"discard\"\n\
         [[route]]\nto = \"closed.test\"\nvia = \"fail\"\ntext = \"moved away\"\n\
         [[route]]\nto = \"kept.test\"\nvia = \"hold\"\n\
         [[route]]\nto = \"small.test\"\nvia = \"127.0.0.1:{next}\"\nmessage_size = \"1kB\"\n\
         connections = 3\nmessages_per_minute = 60\nehlo = \"us.example\"\n\
         [[route]]\nto = \"wrapped.test\"\nvia = \"127.0.0.1:465\"\ntls = \"require\"\n\
         [[route]]\nto = \"safe.test\"\nvia = \"127.0.0.1:{next}\"\ntls = \"verify\"\n\
         tls_names = [\"*.safe.test\", \"hostname\"]\n\
         auth = {{ user = \"me\", password_file = \"{}\" }}\n",
        password.display()
    );
    settings(folder, &[port], &rules);
    let text = std::fs::read_to_string(folder.join("p.toml")).unwrap();
    std::fs::write(folder.join("p.toml"), format!("unmatched = \"hold\"\n{text}")).unwrap();
    let _daemon = start(folder);
    for (address, more, line) in [
        ("a@gone.test", "1", "does         discards it, and tells nobody"),
        ("a@closed.test", "1", "does         fails it: 5.7.1 "),
        ("a@closed.test", "1", "moved away"),
        ("a@kept.test", "1", "does         holds it until the rules change, 5d at most"),
        ("a@else.test", "1", "does         holds it until a route matches, 5d at most"),
        ("a@small.test", "1", "60 messages a minute, messages up to 1"),
        ("a@small.test", "1", "3 over all of the route"),
        ("a@small.test", "1", "EHLO us.example"),
        ("a@small.test", "1", "  opportunistic\n"),
        ("a@small.test", "2000", "not sent     5.3.4 "),
        ("a@wrapped.test", "1", "  require, from the first octet\n"),
        ("a@safe.test", "1", "  verify: *.safe.test 127.0.0.1\n"),
        ("a@safe.test", "1", "logs in      as me, by SCRAM-SHA-256, PLAIN, LOGIN\n"),
    ] {
        let ran = posthaste(folder, &["route", address, "--size", more, "--config", "p.toml"]);
        assert!(ran.code == 0 && ran.stdout.contains(line), "{address} {line}: {ran:?}");
        assert!(more != "1" || !ran.stdout.contains("not sent"), "{ran:?}");
        assert!(!ran.stdout.contains("hunter2"), "{ran:?}");
    }
    let asked = ["route", "a@gone.test", "--listener", "nolist", "--config", "p.toml"];
    let ran = posthaste(folder, &asked);
    assert!(ran.code == 2 && ran.stderr.contains("local, pickup, notice"), "{ran:?}");
}
