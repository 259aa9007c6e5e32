//! The founding story with a happy end: every resolver is dead, mail for many domains piles up, a live one is put into
//! the file, SIGHUP: all of it leaves, with no restart and no `retry`.
//!
//! Not here: resolvers that answer nonsense (crate `sim`). The figures:
//! `cargo test -p posthaste --test real_mail resolvers -- --nocapture`.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::dns::Dns;
use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::sink::Sink;

const MESSAGES: usize = 1000;
const DOMAINS: usize = 50;
const HOSTS: usize = 3;
/// What the operator is promised after the live server is in the file.
const PROMISED: Duration = Duration::from_secs(60);

#[test]
fn mail_that_waits_for_dead_resolvers_leaves_when_a_live_one_is_put_in() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sinks: Vec<_> = (0..HOSTS).map(|_| Sink::start(&[])).collect();
    let listener = loopback::address(2525);
    let silent = UdpSocket::bind(loopback::address(53)).expect("an address of its own");
    let dead = [silent.local_addr().expect("bound"), loopback::address(53)]; // silent; nobody there
    let mut posthaste = Posthaste::start(&settings(dir.path(), listener, &dead), dir.path());

    hand_in(listener);
    let waits = until(PROMISED, || all_wait_for_dns(&posthaste));
    assert!(waits, "{:#}\n{}", posthaste.json(&["queue"]), posthaste.log());
    assert_eq!(taken(&sinks), 0);

    let dns = Dns::start(&[("many.test", &zone(&sinks))]);
    let file = dir.path().join("posthaste.toml");
    fs::write(file, settings(dir.path(), listener, &[dns.address()])).expect("ours");
    let begun = Instant::now();
    posthaste.hang_up();
    let left = until(PROMISED, || taken(&sinks) >= MESSAGES);
    let took = begun.elapsed();
    println!(
        "{} of {MESSAGES} messages left within {:.1} s of SIGHUP",
        taken(&sinks),
        took.as_secs_f64()
    );
    assert!(left, "{:#}\n{}", posthaste.json(&["queue"]), posthaste.log());
    let waiting = |d: &serde_json::Value| d["messages"].as_u64();
    let none = || queued(&posthaste).iter().filter_map(waiting).sum::<u64>() == 0;
    assert!(until(Duration::from_secs(10), none), "{:#}", posthaste.json(&["queue"]));
    assert_eq!(taken(&sinks), MESSAGES, "once each");
}

fn hand_in(listener: SocketAddr) {
    let mut client = Client::connect(listener).expect("it is up");
    for n in 0..MESSAGES {
        let (message, to) =
            (format!("Subject: {n}\r\n\r\nwaits\r\n"), format!("bob@d{}.many.test", n % DOMAINS));
        let reply = client.send("a@sender.test", &[&to], &message).expect("a reply");
        assert!(reply.starts_with("250 "), "{reply}");
    }
}

/// The destinations, as `queue` lists them.
fn queued(posthaste: &Posthaste) -> Vec<serde_json::Value> {
    posthaste.json(&["queue"])["destinations"].as_array().expect("a list").clone()
}

fn all_wait_for_dns(posthaste: &Posthaste) -> bool {
    let destinations = queued(posthaste);
    let stage = |d: &serde_json::Value| d["last_error"]["stage"].as_str().map(str::to_owned);
    let by_dns = |d: &serde_json::Value| stage(d).is_some_and(|stage| stage.starts_with("dns"));
    destinations.len() == DOMAINS && destinations.iter().all(by_dns)
}

fn taken(sinks: &[Sink]) -> usize {
    sinks.iter().map(Sink::count).sum()
}

/// Each domain has two of the mail hosts.
fn zone(sinks: &[Sink]) -> String {
    let hosts = sinks.iter().enumerate();
    let mut records: String =
        hosts.map(|(n, sink)| format!("mx{n} IN A {}\n", sink.address().ip())).collect();
    for n in 0..DOMAINS {
        records += &format!("d{n} IN MX 10 mx{}\nd{n} IN MX 20 mx{}\n", n % HOSTS, (n + 1) % HOSTS);
    }
    records
}

/// Without the reload, nothing would be tried again within the hour.
fn settings(dir: &Path, listener: SocketAddr, servers: &[SocketAddr]) -> String {
    let servers: Vec<_> = servers.iter().map(|server| format!("\"{server}\"")).collect();
    let step = "{ times = 4, every = \"1h\" }";
    format!(
        "hostname = \"mta.sender.test\"\ndata = \"{data}\"\n\
         [[listener]]\naddress = \"{listener}\"\n\
         [[route]]\nto = [\"*\"]\nvia = \"mx\"\nallow_private = true\n\
         [resolver]\nservers = [{servers}]\nroots = []\ntry_limit = \"1s\"\ntotal_limit = \"3s\"\n\
         [retry]\nglitch = {step}\ntransient = {step}\n\
         [admin]\naddress = \"off\"\n",
        data = dir.join("data").display(),
        servers = servers.join(", "),
    )
}
