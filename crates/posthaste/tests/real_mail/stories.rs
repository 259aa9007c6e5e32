//! What an administrator expects of a mail transport, told with real neighbours.
//!
//! client -> Posthaste -> the mail host that a real DNS server names -> files of a real Postfix. Not here: odd replies
//! and odd networks (crate `sim`), power cuts (crate `spool-local`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::thread::{scope, sleep};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::{Client, curl, swaks};
use crate::dns::Dns;
use crate::loopback;
use crate::postfix::{Arrived, Postfix};
use crate::posthaste::{self, Posthaste};
use crate::process::until;

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn mail_reaches_the_mail_host_that_dns_names() {
    let scene = Scene::set();
    let posthaste = scene.posthaste();

    let said = curl(
        scene.listener,
        "a@sender.test",
        &["bob@remote.test"],
        "Subject: curl\r\n\r\nhello\r\n",
    )
    .expect("a client on loopback may relay");
    swaks(scene.listener, "a@sender.test", &["eve@remote.test"], "Subject: swaks\n\n.dot\n")
        .expect("a client on loopback may relay");

    let arrived = scene.postfix.wait_for(2, PATIENCE);
    let by_curl = by_subject(&arrived, "curl");
    assert_eq!(by_curl.header("Delivered-To"), Some("bob@remote.test"));
    assert_eq!(by_curl.header("Return-Path"), Some("<a@sender.test>"));
    assert_eq!(by_curl.body(), "hello\n");
    assert!(
        by_curl.text().contains("by mta.sender.test"),
        "a trace line of ours: {}",
        by_curl.text()
    );
    assert!(by_curl.text().contains(&queued_as(&said)), "the id of the 250 is in the trace line");
    // swaks itself ends the data with one more line end.
    assert_eq!(by_subject(&arrived, "swaks").body().trim_end(), ".dot");
    assert!(until(PATIENCE, || queue_is_empty(&posthaste)), "{}", posthaste.log());
}

#[test]
fn a_stopped_mail_host_defers_mail_until_it_is_back() {
    let mut scene = Scene::set();
    let posthaste = scene.posthaste();
    scene.postfix.stop();

    let id = scene.submit("late");
    wait_for_attempts(&posthaste, &id, 2);
    let shown = posthaste.json(&["queue", "show", &id]);
    let recipient = &shown["recipients"][0];
    assert_eq!(recipient["address"], "bob@remote.test");
    assert_eq!(recipient["status"], "queued");
    assert_eq!(recipient["last_error"]["stage"], "connect", "{shown:#}");
    assert!(recipient["wait_reason"].is_string() || recipient["next_attempt"].is_string());

    scene.postfix.start_again();
    by_subject(&scene.postfix.wait_for(1, PATIENCE), "late");
    assert!(until(PATIENCE, || queue_is_empty(&posthaste)), "{}", posthaste.log());
}

#[test]
fn deferred_mail_and_its_attempts_survive_kill_9() {
    let mut scene = Scene::set();
    let mut posthaste = scene.posthaste();
    scene.postfix.stop();
    let id = scene.submit("late");
    wait_for_attempts(&posthaste, &id, 2);

    posthaste.kill9();
    posthaste.start_again();
    let kept = attempts(&posthaste, &id);
    assert!(kept >= 2, "{kept} attempts after the restart");

    scene.postfix.start_again();
    by_subject(&scene.postfix.wait_for(1, PATIENCE), "late");
    assert!(until(PATIENCE, || queue_is_empty(&posthaste)), "{}", posthaste.log());
    assert_eq!(scene.postfix.arrived().len(), 1, "delivered once");
}

#[test]
fn sigterm_keeps_deferred_mail() {
    let mut scene = Scene::set();
    let mut posthaste = scene.posthaste();
    scene.postfix.stop();
    scene.submit("kept");

    posthaste.terminate();
    assert!(!posthaste.is_running());
    scene.postfix.start_again();
    posthaste.start_again();
    by_subject(&scene.postfix.wait_for(1, PATIENCE), "kept");
}

#[test]
fn twenty_kills_while_accepting_and_delivering_lose_nothing() {
    const KILLS: u32 = 20;
    let scene = Scene::set();
    let mut posthaste = scene.posthaste();
    let mut acknowledged = BTreeSet::new();
    let mut open_transactions = 0;

    for round in 0..KILLS {
        let first_ms = 60 + 37 * u64::from(round % 8); // kills fall into different phases of the work
        let acknowledged_now = scope(|threads| {
            let senders: Vec<_> = (0..SENDERS)
                .map(|n| threads.spawn(move || send_until_broken(scene.listener, round, n)))
                .collect();
            sleep(Duration::from_millis(first_ms));
            posthaste.freeze();
            open_transactions += connections_to(scene.postfix.address());
            posthaste.kill9();
            senders
                .into_iter()
                .flat_map(|s| s.join().expect("senders do not panic"))
                .collect::<Vec<_>>()
        });
        acknowledged.extend(acknowledged_now);
        posthaste.start_again();
    }

    let complete = until(2 * PATIENCE, || {
        scene.postfix.count() >= acknowledged.len() && queue_is_empty(&posthaste)
    });
    let copies = count_by_subject(&scene.postfix.arrived());
    let lost: Vec<_> = acknowledged.iter().filter(|s| !copies.contains_key(*s)).collect();
    let duplicates: usize = copies.values().map(|n| n - 1).sum();
    println!(
        "{KILLS} kills: {} acknowledged, {} lost, {duplicates} duplicates, {open_transactions} transactions open at the kills",
        acknowledged.len(),
        lost.len(),
    );
    assert!(
        acknowledged.len() > KILLS as usize,
        "the kills must fall into work, not into idleness"
    );
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}\n{}", posthaste.log());
    assert!(complete, "still queued after {:?}:\n{}", 2 * PATIENCE, posthaste.log());
    assert!(duplicates <= open_transactions, "{duplicates} duplicates, {open_transactions} open");
}

#[test]
fn the_configurations_that_we_show_are_right() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let readme = fs::read_to_string(root.join("README.md")).expect("readable");
    let shown = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let bench = fs::read_to_string(root.join("bench/posthaste.toml")).expect("readable");
    for (name, text) in [("README.md", shown.expect("an example")), ("bench", bench.as_str())] {
        let file = dir.path().join("posthaste.toml");
        fs::write(&file, text).expect("ours");
        let checked = posthaste::check(&file);
        assert!(checked.status.success(), "{name}: {checked:?}");
    }
}

const SENDERS: u32 = 4;
const MESSAGES_PER_SENDER: u32 = 40;

/// The neighbours of one Posthaste, and the folder of its state.
struct Scene {
    dns: Dns,
    postfix: Postfix,
    listener: SocketAddr,
    dir: TempDir,
}

impl Scene {
    /// `remote.test` has one mail host, a Postfix that is up.
    fn set() -> Self {
        let mail_host = loopback::address(25);
        let zone = format!("@ IN MX 10 mx\nmx IN A {}\n", mail_host.ip());
        Self {
            dns: Dns::start(&[("remote.test", &zone)]),
            postfix: Postfix::start("mx.remote.test", mail_host, &["remote.test"]),
            listener: loopback::address(2525),
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    fn posthaste(&self) -> Posthaste {
        Posthaste::start(&self.settings(), self.dir.path())
    }

    /// Retries every second: these stories wait for real clocks.
    fn settings(&self) -> String {
        let step = "{ times = 60, every = \"1s\" }";
        format!(
            "hostname = \"mta.sender.test\"\n\
             data = \"{data}\"\n\
             [[listener]]\naddress = \"{listener}\"\n\
             [[route]]\nto = [\"*\"]\nvia = \"mx\"\nallow_private = true\n\
             [resolver]\nservers = [\"{dns}\"]\nroots = []\n\
             [retry]\nglitch = {step}\ntransient = {step}\nlater = [\"1s\"]\njitter = 0.0\n\
             [admin]\naddress = \"off\"\n",
            data = self.dir.path().join("data").display(),
            listener = self.listener,
            dns = self.dns.address(),
        )
    }

    /// Hands in one message for bob@remote.test and returns its id.
    fn submit(&self, subject: &str) -> String {
        let message = format!("Subject: {subject}\n\nhello\n");
        let said = curl(self.listener, "a@sender.test", &["bob@remote.test"], &message);
        queued_as(&said.expect("a client on loopback may relay"))
    }
}

/// The id in `250 2.0.0 queued as <id>`.
pub(crate) fn queued_as(said: &str) -> String {
    let (_, id) = said.split_once("queued as ").unwrap_or_else(|| panic!("no id: {said}"));
    id.split_whitespace().next().expect("an id follows").to_owned()
}

fn by_subject<'a>(arrived: &'a [Arrived], subject: &str) -> &'a Arrived {
    arrived
        .iter()
        .find(|m| m.header("Subject") == Some(subject))
        .unwrap_or_else(|| panic!("{subject} is not among {arrived:?}"))
}

fn count_by_subject(arrived: &[Arrived]) -> BTreeMap<String, usize> {
    let mut copies = BTreeMap::new();
    for message in arrived {
        *copies.entry(message.header("Subject").unwrap_or_default().to_owned()).or_default() += 1;
    }
    copies
}

fn attempts(posthaste: &Posthaste, id: &str) -> usize {
    let shown = posthaste.json(&["queue", "show", id]);
    shown["attempts"].as_array().map_or(0, Vec::len)
}

fn wait_for_attempts(posthaste: &Posthaste, id: &str, count: usize) {
    let enough = until(PATIENCE, || attempts(posthaste, id) >= count);
    assert!(enough, "{:#}\n{}", posthaste.json(&["queue", "show", id]), posthaste.log());
}

fn queue_is_empty(posthaste: &Posthaste) -> bool {
    let listed = posthaste.json(&["queue", "messages"]);
    listed["messages"].as_array().is_some_and(Vec::is_empty)
}

/// Sends one message after the other until the daemon is killed. Returns the subjects that a 250 acknowledged.
fn send_until_broken(listener: SocketAddr, round: u32, sender: u32) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(mut client) = Client::connect(listener) else {
        return acknowledged;
    };
    let body = "0123456789 and so on\r\n".repeat(100);
    for n in 0..MESSAGES_PER_SENDER {
        let subject = format!("{round}-{sender}-{n}");
        let message = format!("Subject: {subject}\r\n\r\n{body}");
        match client.send("a@sender.test", &["bob@remote.test"], &message) {
            Ok(reply) if reply.starts_with("250 ") => acknowledged.push(subject),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    acknowledged
}

/// TCP connections whose far end is `server`, as the kernel lists them: each may hold one open transaction.
fn connections_to(server: SocketAddr) -> usize {
    let IpAddr::V4(ip) = server.ip() else { panic!("these tests use IPv4") };
    let far_end = format!("{:08X}:{:04X}", u32::from_le_bytes(ip.octets()), server.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    table.lines().filter(|line| line.split_whitespace().nth(2) == Some(&far_end)).count()
}

#[test]
fn the_kernels_table_of_connections_is_read_right() {
    let listener = std::net::TcpListener::bind(loopback::address(0)).expect("loopback");
    let address = listener.local_addr().expect("bound");
    assert_eq!(connections_to(address), 0);
    let _one = std::net::TcpStream::connect(address).expect("it listens");
    let _two = std::net::TcpStream::connect(address).expect("it listens");
    assert_eq!(connections_to(address), 2);
}
