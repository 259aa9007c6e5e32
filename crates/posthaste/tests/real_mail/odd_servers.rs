//! Postfix's `smtp-sink` with odd options as the next hop: what Posthaste does with each of them, as a table.
//!
//! Not here: servers that no option of smtp-sink makes (crate `sim`). The table, as seen:
//! `cargo test -p posthaste --test real_mail odd_servers -- --nocapture`.

mod table;

use std::net::SocketAddr;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::sink::{Dumped, Sink};
use crate::stories::queued_as;
use table::{Content, Expected, TABLE};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn odd_servers_get_the_mail_or_leave_evidence() {
    let scene = Scene::set(TABLE.iter().map(|row| row.options));
    let mut client = Client::connect(scene.listener).expect("it is up");
    let ids: Vec<_> = TABLE
        .iter()
        .enumerate()
        .map(|(n, row)| {
            let (from, to) = (format!("row{n}@sender.test"), format!("bob@row{n}.test"));
            let reply = client.send(&from, &[&to], &content(row.content)).expect("a reply");
            queued_as(&reply)
        })
        .collect();

    let mut wrong = Vec::new();
    for (n, (row, id)) in TABLE.iter().zip(&ids).enumerate() {
        until(PATIENCE, || fate(&scene.posthaste, id).is_some());
        let fate = fate(&scene.posthaste, id);
        let taken = scene.sinks[n].messages();
        let line = format!(
            "{n:2} smtp-sink {:44} {:15} taken {}  {}",
            row.options.join(" ").escape_debug().to_string(),
            format!("{:?}", row.content),
            taken.len(),
            fate.as_ref().map_or("nothing within a minute".to_owned(), ToString::to_string),
        );
        println!("{line}");
        let right = fate.is_some_and(|fate| fate.0 == row.expected)
            && (row.expected != Expected::Delivered || arrived_whole(&taken, n, row.content));
        if !right {
            wrong.push(format!("{line}\n   expected {:?}\n{}", row.expected, scene.sinks[n].log()));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), scene.posthaste.log());
    every_failure_made_its_notice(&scene);
}

#[test]
fn a_server_with_one_seat_takes_all_mail() {
    const MESSAGES: usize = 60;
    let scene = Scene::set([&["-m", "1"][..]].into_iter());
    let mut client = Client::connect(scene.listener).expect("it is up");
    for _ in 0..MESSAGES {
        let message = content(Content::Small);
        queued_as(&client.send("a@sender.test", &["bob@row0.test"], &message).expect("a reply"));
    }
    let all = until(PATIENCE, || scene.sinks[0].count() == MESSAGES && scene.is_quiet());
    assert!(all, "{} of {MESSAGES}\n{}", scene.sinks[0].count(), scene.posthaste.log());
}

#[test]
fn a_server_that_hangs_up_when_idle_costs_no_delivery() {
    let scene = Scene::set([&["-t", "4"][..]].into_iter());
    for n in 1..=2 {
        let mut client = Client::connect(scene.listener).expect("it is up");
        let reply = client.send("a@sender.test", &["bob@row0.test"], &content(Content::Small));
        let id = queued_as(&reply.expect("a reply"));
        assert!(until(PATIENCE, || scene.is_quiet()), "{}", scene.posthaste.log());
        until(PATIENCE, || fate(&scene.posthaste, &id).is_some());
        let tracked = scene.posthaste.json(&["track", &id]);
        let attempts = &tracked["messages"][0]["recipients"][0]["attempts"];
        assert_eq!((scene.sinks[0].count(), attempts.as_u64()), (n, Some(1)), "{tracked:#}");
        sleep(Duration::from_secs(5)); // longer than the server waits for a command
    }
}

/// What became of the one recipient, and the words for it.
struct Fate(Expected, String);

impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}", self.0, self.1)
    }
}

/// `None` while the first attempt lasts.
fn fate(posthaste: &Posthaste, id: &str) -> Option<Fate> {
    let shown = posthaste.verb(&["queue", "show", id, "--json"]);
    if shown.status.code() == Some(4) {
        let tracked = posthaste.verb(&["track", id, "--json"]); // the event log is a second behind
        return ended(&serde_json::from_slice(&tracked.stdout).ok()?);
    }
    let shown: Value = serde_json::from_slice(&shown.stdout).ok()?;
    let recipient = &shown["recipients"][0];
    let error = &recipient["last_error"];
    if error.is_null() || recipient["status"] == "in-flight" {
        return None;
    }
    let stage = error["stage"].as_str().expect("every error has its stage");
    let told = format!("{} {}", recipient["wait_reason"], error["text"]);
    assert!(recipient["next_attempt"].is_string(), "deferred mail has a time: {shown:#}");
    Some(Fate(Expected::deferred(stage, code(&error["code"])), told))
}

fn ended(tracked: &Value) -> Option<Fate> {
    let events = tracked["messages"][0]["events"].as_array()?;
    let last =
        events.iter().rfind(|e| matches!(e["event"].as_str(), Some("delivered" | "failed")))?;
    if last["event"] == "delivered" {
        return Some(Fate(Expected::Delivered, last["reply"]["text"].to_string()));
    }
    let stage = last["fault"]["stage"].as_str().expect("every fault has its stage");
    let reply = &last["reply"];
    Some(Fate(Expected::failed(stage, code(&reply["code"])), reply["text"].to_string()))
}

fn code(value: &Value) -> u16 {
    value.as_u64().map_or(0, |code| u16::try_from(code).expect("replies have three digits"))
}

/// One copy, for the right recipient, octet for octet below our trace field.
fn arrived_whole(taken: &[Dumped], row: usize, sent: Content) -> bool {
    let [one] = taken else { return false };
    let sent = content(sent).replace("\r\n", "\n");
    let traced = one.content.starts_with(b"Received: ");
    let addressed = one.mail.starts_with(&format!("<row{row}@sender.test>"))
        && one.recipients.len() == 1
        && one.recipients[0].starts_with(&format!("<bob@row{row}.test>"));
    traced && addressed && one.content.ends_with(format!("\n{sent}").as_bytes())
}

fn every_failure_made_its_notice(scene: &Scene) {
    let failed: Vec<_> = (0..TABLE.len())
        .filter(|n| matches!(TABLE[*n].expected, Expected::Failed(..)))
        .map(|n| format!("<row{n}@sender.test>"))
        .collect();
    until(PATIENCE, || scene.senders.count() >= failed.len() && scene.senders_are_done());
    let notices = scene.senders.messages();
    assert_eq!(notices.len(), failed.len(), "a notice for each failure and no other");
    for sender in failed {
        let notice = notices.iter().find(|n| n.recipients[0].starts_with(&sender));
        let notice = notice.unwrap_or_else(|| panic!("no notice for {sender}"));
        assert!(notice.mail.starts_with("<>"), "{notice:?}");
        let text = String::from_utf8_lossy(&notice.content).into_owned();
        for part in
            ["Action: failed", "Status: 5.", "Diagnostic-Code: smtp; 5", "Remote-MTA: dns; "]
        {
            assert!(text.contains(part), "{part} is missing:\n{text}");
        }
    }
}

/// Posthaste with a route to one odd server for each domain `row<n>.test`, and one for the senders' notices.
struct Scene {
    posthaste: Posthaste,
    listener: SocketAddr,
    sinks: Vec<Sink>,
    senders: Sink,
    _dir: TempDir,
}

impl Scene {
    fn set(options: impl Iterator<Item = &'static [&'static str]>) -> Self {
        let sinks: Vec<_> = options.map(Sink::start).collect();
        let senders = Sink::start(&[]);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let listener = loopback::address(2525);
        let config = settings(dir.path(), listener, &sinks, senders.address());
        let posthaste = Posthaste::start(&config, dir.path());
        Self { posthaste, listener, sinks, senders, _dir: dir }
    }

    /// Nothing is queued.
    fn is_quiet(&self) -> bool {
        let listed = self.posthaste.json(&["queue", "messages"]);
        listed["messages"].as_array().is_some_and(Vec::is_empty)
    }

    /// No notice is on its way.
    fn senders_are_done(&self) -> bool {
        let listed = self.posthaste.json(&["queue", "messages", "domain = sender.test"]);
        listed["messages"].as_array().is_some_and(Vec::is_empty)
    }
}

/// One attempt within the time of the test: what is seen is what the first attempt came to.
fn settings(dir: &Path, listener: SocketAddr, sinks: &[Sink], senders: SocketAddr) -> String {
    let step = "{ times = 1, every = \"1h\" }";
    let mut text = format!(
        "hostname = \"mta.sender.test\"\ndata = \"{}\"\n\
         [[listener]]\naddress = \"{listener}\"\n\
         [resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n\
         [admin]\naddress = \"off\"\n\
         [retry]\nglitch = {step}\ntransient = {step}\n\
         [[route]]\nto = [\"sender.test\"]\nvia = [\"{senders}\"]\n",
        dir.join("data").display(),
    );
    for (n, sink) in sinks.iter().enumerate() {
        text += &format!("[[route]]\nto = [\"row{n}.test\"]\nvia = [\"{}\"]\n", sink.address());
    }
    text
}

fn content(content: Content) -> String {
    let body = match content {
        Content::Small => "hello\r\n.\r\n..dots\r\n".to_owned(),
        Content::EightBit => "gr\u{fc}n\r\n".to_owned(),
        Content::ThreeMegabytes => "0123456789 and so on until the line is long\r\n".repeat(70_000),
    };
    format!("Subject: odd\r\n\r\n{body}")
}
