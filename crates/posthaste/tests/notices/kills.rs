//! `kill -9` between a failure and its notice, 20 times: exactly one notice each.

use crate::hosts::Hosts;
use crate::{Client, free_port, route, settings, start, verb, wait_for};
use posthaste_peers::mail::{Action, MailHost, Script, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

const KILLS: usize = 20;

/// The names of the notices that came, by the subject of the message that they give back.
fn notices(host: &MailHost) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for arrival in host.arrivals() {
        let text = String::from_utf8_lossy(&arrival.content).into_owned();
        let name = arrival.header("Message-ID").expect("it has a name");
        let subject = text.lines().find_map(|line| line.strip_prefix("Subject: killed "));
        all.entry(subject.expect("it gives back the message").to_owned()).or_default().insert(name);
    }
    all
}

fn hand_in(port: u16, name: &str) {
    let message = format!("From: <ann@sender.test>\r\nSubject: killed {name}\r\n\r\nhello");
    Client::connect(port).send(("ann@sender.test", ""), ("nobody@no.test", ""), &message);
}

#[test]
fn exactly_one_notice_each_after_20_kills_between_failure_and_notice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hosts = Hosts::new();
    let no = Action::Reply("550 5.1.1 nobody has that name".into());
    let (_refusing, no) = hosts.start("no.test", Script::default().always(Step::Rcpt, no));
    let (sender, at) = hosts.start("sender.test", Script::default());
    let port = free_port();
    let routes = route("no.test", no, "") + &route("*", at, "");
    fs::write(folder.join("p.toml"), settings(port, &routes, "")).unwrap();

    // How long it takes from the acknowledgement to the notice, undisturbed.
    let mut daemon = start(folder);
    let began = Instant::now();
    hand_in(port, "not");
    wait_for("a first notice", || !sender.arrivals().is_empty());
    let usual = began.elapsed().clamp(Duration::from_millis(10), Duration::from_millis(400));

    let mut before = 0;
    for number in 0..KILLS {
        hand_in(port, &number.to_string());
        sleep(usual * u32::try_from(number).unwrap() / u32::try_from(KILLS).unwrap());
        before += usize::from(!notices(&sender).contains_key(&number.to_string()));
        daemon.kill();
        daemon = start(folder);
    }
    wait_for("all notices", || notices(&sender).len() == KILLS + 1);
    // What was in doubt may come again; nothing else may.
    sleep(Duration::from_secs(1));
    let status = String::from_utf8(verb(folder, &["status"]).stdout).unwrap();
    let twice: Vec<_> =
        notices(&sender).into_iter().filter(|(_, names)| names.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:#?} {status}");
    assert!(before > 2, "{before} of {KILLS} kills came before the notice: none was tested");
    let copies = sender.arrivals().len() - KILLS - 1;
    println!(
        "{KILLS} kills, {before} before the notice was there: one notice each; {copies} second copies of notices in doubt"
    );
}
