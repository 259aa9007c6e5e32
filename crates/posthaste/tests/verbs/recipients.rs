//! A real daemon and our own domains: lists and aliases that change on the disk, and a next hop that is asked.

use crate::command::{Ran, fed, posthaste};
use crate::daemon::{free_ports, session, settings, start};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

const P: [&str; 2] = ["--config", "p.toml"];
/// Files are looked at every few seconds, and twice.
const SOON: Duration = Duration::from_secs(20);

fn own(folder: &Path, port: u16, next_hop: u16) {
    let more = format!(
        "[[domain]]\nname = [\"list.example\", \"münchen.example\"]\nrecipients = \"file:list\"\n\
         [[domain]]\nname = \"ask.example\"\nrecipients = \"verify\"\n\
         [verify]\nunreachable_for = \"1s\"\n\
         [[route]]\nto = \"*\"\nvia = \"127.0.0.1:{next_hop}\"\n"
    );
    settings(folder, &[port], &more);
    let text = std::fs::read_to_string(folder.join("p.toml")).unwrap();
    let top = "postmaster = \"admin@list.example\"\naliases = \"aliases\"\nrelay_networks = []\n";
    std::fs::write(folder.join("p.toml"), format!("{top}{text}")).unwrap();
}

fn replace(folder: &Path, file: &str, text: impl AsRef<[u8]>) {
    std::fs::write(folder.join("new"), text).unwrap();
    std::fs::rename(folder.join("new"), folder.join(file)).unwrap();
}

/// The last reply to RCPT for this address, to a stranger.
fn rcpt(port: u16, address: &str) -> String {
    let mut session = session(port).expect("it greets");
    let mut last = String::new();
    for command in ["HELO x", "MAIL FROM:<>", &format!("RCPT TO:<{address}>")] {
        session.get_mut().write_all(format!("{command}\r\n").as_bytes()).unwrap();
        last.clear();
        session.read_line(&mut last).unwrap();
    }
    last
}

/// Waits until the reply begins so.
fn becomes(port: u16, address: &str, expected: &str) {
    let deadline = Instant::now() + SOON;
    loop {
        let said = rcpt(port, address);
        if said.starts_with(expected) {
            return;
        }
        assert!(Instant::now() < deadline, "{address}: {said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A next hop that knows ann; it ends with the test's process.
fn next_hop(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap()));
        }
    });
}

fn serve(stream: TcpStream) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.get_mut().write_all(b"220 next.example\r\n").ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let reply: &[u8] = match line.get(..4)? {
            "RCPT" if line.contains("<ann@") => b"250 ok\r\n",
            "RCPT" => b"550 5.1.1 no mailbox here by that name\r\n",
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.get_mut().write_all(reply).ok()?;
    }
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    posthaste(folder, &[arguments, &P].concat())
}

#[test]
fn files_that_change_hold_by_themselves_and_wrong_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [port, hop] = free_ports();
    own(folder, port, hop);
    replace(folder, "list", "bob@list.example\nadmin\n");
    replace(folder, "aliases", "sales: bob\n");
    let _daemon = start(folder);
    for (address, expected) in [
        ("bob@list.example", "250 "),
        ("BOB@List.Example", "250 "),
        ("sales@list.example", "250 "),
        ("sales@xn--mnchen-3ya.example", "250 "),
        ("postmaster", "250 "),
        ("postmaster@ask.example", "250 "),
        ("abuse@xn--mnchen-3ya.example", "250 "),
        ("bob@xn--mnchen-3ya.example", "550 5.1.1 "),
        ("eve@list.example", "550 5.1.1 "),
        ("eve@elsewhere.example", "550 5.7.1 "),
    ] {
        let said = rcpt(port, address);
        assert!(said.starts_with(expected), "{address}: {said}");
    }

    replace(folder, "list", "bob@list.example\nadmin\neve@list.example\n");
    becomes(port, "eve@list.example", "250 ");
    replace(folder, "aliases", "sales: bob, eve\nstaff: sales\n");
    becomes(port, "staff@list.example", "250 ");

    // Both wrong, and found so by `reload`, by `config check`, and by whoever looks at them by himself.
    replace(folder, "list", b"eve@list.example\nbo\0b\n\xff\n");
    replace(folder, "aliases", format!("a: b\nb: c\nc: a\nx: |/bin/sh\n{}", "y".repeat(10 << 20)));
    std::thread::sleep(Duration::from_secs(8));
    assert!(rcpt(port, "staff@list.example").starts_with("250 "), "the old ones hold");
    for verb in [&["reload"][..], &["config", "check"]] {
        let ran = run(folder, verb);
        assert_eq!(ran.code, 2, "{ran:?}");
        for place in [
            "list:2: it contains NUL",
            "list:3: it is not UTF-8",
            "aliases:4: `|/bin/sh` would run a program",
            "aliases:5: the line is longer",
        ] {
            assert!(ran.stderr.contains(place), "{place}: {}", ran.stderr);
        }
    }
    replace(folder, "list", "admin\neve@list.example\n");
    replace(folder, "aliases", "a: b\nb: a\n");
    let ran = run(folder, &["config", "check"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("aliases:1: aliases lead in a circle: a -> b -> a\n"), "{ran:?}");
    replace(folder, "aliases", "staff: eve\nsales: nobody\n");
    let ran = run(folder, &["config", "check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "p.toml: good\n"), "{ran:?}");
    let doubt =
        "line 2: `sales` leads to nobody@list.example, which is not on the list of its domain";
    assert!(ran.stderr.contains(&format!("warning: {doubt}")), "{}", ran.stderr);
    let checked = run(folder, &["config", "check", "--json"]).json();
    assert_eq!(checked["warnings"][0]["message"], doubt);
    assert_eq!(run(folder, &["reload"]).code, 0);
    assert!(rcpt(port, "bob@list.example").starts_with("550 "));
}

#[test]
fn a_daemon_does_not_start_with_files_that_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let [port, hop] = free_ports();
    own(folder.path(), port, hop);
    replace(folder.path(), "list", "bob\nb b\n");
    let ran = run(folder.path(), &["serve"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("list:2: one address or local part on a line"), "{}", ran.stderr);
    assert!(ran.stderr.contains("aliases: cannot be read: No such file"), "{}", ran.stderr);
}

#[test]
fn a_next_hop_is_asked_and_what_is_handed_in_goes_to_whom_it_is_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let [port, hop] = free_ports();
    own(folder, port, hop);
    replace(folder, "list", "admin\n");
    replace(folder, "aliases", "all: ann@ask.example, eve@elsewhere.example\n");
    let _daemon = start(folder);
    let said = rcpt(port, "ann@ask.example");
    assert!(said.starts_with("450 4.4.1 "), "{said}");
    let route = |address: &str| {
        let ran = run(folder, &["route", address]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let line =
            ran.stdout.lines().find(|line| line.starts_with("recipient ")).map(str::to_owned);
        line.unwrap_or_else(|| panic!("{ran:?}"))
    };
    next_hop(hop);
    becomes(port, "ann@ask.example", "250 ");
    let said = rcpt(port, "eve@ask.example");
    assert!(
        said.starts_with("550 5.1.1 ") && said.contains("no mailbox here by that name"),
        "{said}"
    );
    for (address, expected) in [
        ("ann@ask.example", "accepted: its next hop takes it"),
        ("all@ask.example", "accepted for ann@ask.example, eve@elsewhere.example"),
        ("root@a.example", "accepted for admin@list.example"),
        ("admin@list.example", "accepted: on the list of its domain"),
        ("x@list.example", "not accepted: 550 5.1.1 Recipient unknown"),
        ("x@elsewhere.example", "none of ours: accepted from who may relay"),
    ] {
        assert!(route(address).ends_with(expected), "{}", route(address));
    }
    let send = ["send", "--from", "<>", "--to", "x@list.example"];
    let ran = fed(folder, &[&send[..], &P].concat(), "Subject: x\n\nhello\n");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("x@list.example: recipient unknown"), "{}", ran.stderr);
}
