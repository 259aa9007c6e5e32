//! `kill -9` between a failure and its notice, 20 times: exactly one notice each.
//!
//! The sender's host takes nothing before the kill, so that each kill lies between the two. Of a message no more than one
//! kill is ever survived: what was in hand at two is parked as poison, which is right, and another story.

use crate::hosts::Hosts;
use crate::{Client, ZONES, free_port, route, settings, start, wait_for};
use posthaste_peers::mail::{Action, MailHost, Script, Step};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

const KILLS: usize = 20;

/// The names of the notices that give back the message of this number, and how many copies came in all.
fn notices(host: &MailHost, number: usize) -> (BTreeSet<String>, usize) {
    let subject = format!("\nSubject: killed {number}\r\n");
    let about = |arrival: &posthaste_peers::mail::Arrival| {
        let text = String::from_utf8_lossy(&arrival.content).into_owned();
        text.contains(&subject).then(|| arrival.header("Message-ID").expect("it has a name"))
    };
    let names: Vec<String> = host.arrivals().iter().filter_map(about).collect();
    (names.iter().cloned().collect(), names.len())
}

fn hand_in(port: u16, number: usize) {
    let message = format!("From: <ann@sender.test>\r\nSubject: killed {number}\r\n\r\nhello");
    let to = format!("nobody-{number}@no.test");
    Client::connect(port).send(("ann@sender.test", ""), (&to, ""), &message);
}

/// The host has said no to this message.
fn is_refused(host: &MailHost, number: usize) -> bool {
    let dialogue = host.dialogue();
    let name = format!("<nobody-{number}@no.test>");
    let asked = dialogue.iter().position(|line| line.contains(&name));
    asked.is_some_and(|at| dialogue[at..].iter().any(|line| line.starts_with("S: 550")))
}

/// How many notices the event log tells of.
fn logged(folder: &Path) -> usize {
    let files = fs::read_dir(folder.join("posthaste-data/events")).unwrap();
    let texts = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default());
    texts.map(|text| text.matches("\"event\":\"notice\"").count()).sum()
}

#[test]
fn exactly_one_notice_each_after_20_kills_between_failure_and_notice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hosts = Hosts::new();
    let no = Action::Reply("550 5.1.1 nobody has that name".into());
    let (refusing, no) = hosts.start("no.test", Script::default().always(Step::Rcpt, no));
    let (sender, at) = hosts.start("sender.test", Script::default());
    let closed = || Script::default().always(Step::Mail, Action::Silence);
    let port = free_port();
    let routes = route("no.test", no, "") + &route("*", at, "");
    fs::write(folder.join("p.toml"), settings(port, &routes, "")).unwrap();
    let mut daemon = start(folder, ZONES[0]);
    let mut unstored = 0;
    for number in 0..KILLS {
        sender.set(closed());
        hand_in(port, number);
        let end = Instant::now() + Duration::from_secs(30);
        while !is_refused(&refusing, number) {
            assert!(Instant::now() < end, "{number} is never refused");
            yield_now();
        }
        // From the very moment, over the commit, to while the notice waits for the sender's host.
        sleep(Duration::from_micros(200) * u32::try_from(number * number).unwrap());
        daemon.kill();
        assert_eq!(notices(&sender, number).1, 0, "it waits for its host");
        unstored += usize::from(logged(folder) == number);
        sender.set(Script::default());
        daemon = start(folder, ZONES[number % ZONES.len()]);
        wait_for("the notice", || notices(&sender, number).1 > 0);
    }
    drop(daemon);
    let daemon = start(folder, ZONES[0]);
    // Nothing comes later.
    sleep(Duration::from_secs(1));
    drop(daemon);
    let mut copies = 0;
    for number in 0..KILLS {
        let (names, arrived) = notices(&sender, number);
        assert_eq!(names.len(), 1, "{number}: {names:?}");
        copies += arrived - 1;
    }
    assert_eq!(logged(folder), KILLS, "the event log tells of each once");
    println!(
        "{KILLS} kills between failure and notice, {unstored} of them before the event log knew: one notice each; \
         {copies} second copies of notices in doubt"
    );
}
