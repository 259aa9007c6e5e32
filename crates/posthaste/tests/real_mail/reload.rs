//! Settings reread a hundred times while twenty thousand messages flow, a fifth of the files broken: nothing is lost,
//! nothing doubled, no session dropped, and the old settings hold whenever the new ones cannot.
//!
//! Not here: what waits becoming due after a change (`resolvers`). The whole number of messages and reloads:
//! `REAL_MAIL_FULL=1 cargo test -p posthaste --test real_mail reloads -- --nocapture`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::Client;
use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::sink::Sink;

const PATIENCE: Duration = Duration::from_secs(60);
/// Clients that send at the same time; the last ones use the listener that comes and goes.
const CLIENTS: usize = 8;
const CLIENTS_OF_THE_SECOND: usize = 2;
/// Every so many messages a client begins a new session.
const PER_SESSION: usize = 40;
/// One reload in so many has a broken file.
const BROKEN_ONE_IN: usize = 5;

struct Size {
    messages: usize,
    reloads: usize,
}

#[test]
fn reloads_under_load_lose_nothing_and_drop_no_session() {
    let size = if std::env::var_os("REAL_MAIL_FULL").is_some() {
        Size { messages: 20_000, reloads: 100 }
    } else {
        Size { messages: 3_000, reloads: 30 }
    };
    let scene = Scene::set();
    let mut posthaste = Posthaste::start(&scene.settings(0), scene.dir.path());
    let load = Load {
        size,
        scene: &scene,
        next: AtomicUsize::new(0),
        acknowledged: AtomicUsize::new(0),
        troubles: Mutex::default(),
    };
    let begun = Instant::now();

    let told = scope(|threads| {
        for n in 0..CLIENTS {
            let load = &load;
            threads.spawn(move || load.client(n));
        }
        reload_all_the_while(&load, &mut posthaste)
    });
    let loaded = begun.elapsed();
    let drained = until(PATIENCE, || scene.count() >= load.acknowledged() && is_empty(&posthaste));
    let copies = scene.copies();
    let doubled = copies.values().filter(|n| **n > 1).count();
    let troubles = load.troubles.lock().expect("nobody panicked").clone();
    println!(
        "{} reloads ({} of broken files) during {} acknowledged messages in {:.1} s: {} lost, {doubled} doubled, {} sessions troubled",
        load.size.reloads,
        told.len(),
        load.acknowledged(),
        loaded.as_secs_f64(),
        load.acknowledged() - copies.len(),
        troubles.len(),
    );
    for (words, times) in &told_how_often(told) {
        println!("{times:3} x {words}");
    }
    assert!(troubles.is_empty(), "{troubles:#?}\n{}", posthaste.log());
    assert!(drained, "{:#}\n{}", posthaste.json(&["queue"]), posthaste.log());
    assert_eq!((copies.len(), doubled), (load.size.messages, 0), "{}", posthaste.log());
}

/// The neighbours of one Posthaste, and the folder of its state.
struct Scene {
    /// The listener that all files have.
    first: SocketAddr,
    /// The listener that every other good file has.
    second: SocketAddr,
    sinks: [Sink; 2],
    dir: TempDir,
}

impl Scene {
    fn set() -> Self {
        Self {
            first: loopback::address(2525),
            second: loopback::address(2525),
            sinks: [Sink::start(&[]), Sink::start(&[])],
            dir: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    /// The good file of the reload `n`: each differs from the one before in its next hop, its listeners and its limits.
    fn settings(&self, n: usize) -> String {
        let second =
            if n.is_multiple_of(2) { self.listener("second", self.second) } else { String::new() };
        format!(
            "hostname = \"mta.sender.test\"\ndata = \"{data}\"\n\
             {first}{second}\
             [[route]]\nto = [\"*\"]\nvia = [\"{hop}\"]\n\
             [limits]\nrecipients = {recipients}\n\
             [delivery]\nper_host = {per_host}\n\
             [resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n\
             [admin]\naddress = \"off\"\n",
            data = self.dir.path().join("data").display(),
            first = self.listener("first", self.first),
            hop = self.sinks[n % 2].address(),
            recipients = 100 + n,
            per_host = 5 + n % 10,
        )
    }

    fn listener(&self, name: &str, address: SocketAddr) -> String {
        format!("[[listener]]\nname = \"{name}\"\naddress = \"{address}\"\n")
    }

    /// Files that cannot be used, and a word of the reason that has to be given.
    fn broken(&self, n: usize) -> (String, &'static str) {
        let good = self.settings(n);
        let strange = "[[listener]]\nname = \"far\"\naddress = \"192.0.2.1:25\"\n"; // not an address of ours
        match n % 6 {
            0 => (good.replace("[limits]", "[limits"), "posthaste.toml:"),
            1 => (good.replace("recipients", "recipient"), "recipients"),
            2 => (good.replace("per_host = ", "per_host = -"), "per_host"),
            3 => (good + strange, "192.0.2.1:25"),
            4 => (good.replace("hostname = ", "hostname = 7 # "), "hostname"),
            _ => (good[..good.len() / 3].to_owned() + "\u{0}", "posthaste.toml:"),
        }
    }

    fn count(&self) -> usize {
        self.sinks.iter().map(Sink::count).sum()
    }

    /// How often each subject arrived.
    fn copies(&self) -> BTreeMap<String, usize> {
        let mut copies = BTreeMap::new();
        for message in self.sinks.iter().flat_map(Sink::messages) {
            let text = String::from_utf8_lossy(&message.content).into_owned();
            let subject = text.lines().find_map(|line| line.strip_prefix("Subject: "));
            *copies.entry(subject.expect("every message has one").to_owned()).or_default() += 1;
        }
        copies
    }
}

/// What the clients share.
struct Load<'a> {
    size: Size,
    scene: &'a Scene,
    /// Of the messages to send.
    next: AtomicUsize,
    acknowledged: AtomicUsize,
    troubles: Mutex<Vec<String>>,
}

impl Load<'_> {
    fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Sends until all is sent. A session that breaks, and a reply that is not 250, is trouble.
    fn client(&self, n: usize) {
        let of_the_first = n < CLIENTS - CLIENTS_OF_THE_SECOND;
        let server = if of_the_first { self.scene.first } else { self.scene.second };
        while self.next.load(Ordering::Relaxed) < self.size.messages {
            if let Err(broken) = self.session(server) {
                let words = format!("client {n} at {server}: {broken}");
                self.troubles.lock().expect("nobody panicked").push(words);
            }
        }
    }

    fn session(&self, server: SocketAddr) -> io::Result<()> {
        let Some(mut client) = self.connect(server)? else { return Ok(()) };
        for _ in 0..PER_SESSION {
            let subject = self.next.fetch_add(1, Ordering::Relaxed);
            if subject >= self.size.messages {
                break;
            }
            let body = "so it goes\r\n".repeat(100);
            let message = format!("Subject: {subject}\r\n\r\n{body}");
            let reply = client.send("a@sender.test", &["bob@remote.test"], &message)?;
            if !reply.starts_with("250 ") {
                return Err(io::Error::other(reply));
            }
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits for a listener that is away for the moment: nobody promised that it is always there. `None` when there is
    /// nothing left to send.
    fn connect(&self, server: SocketAddr) -> io::Result<Option<Client>> {
        while self.next.load(Ordering::Relaxed) < self.size.messages {
            match Client::connect(server) {
                // Refused, or let in by the kernel and never greeted: no session was begun.
                Err(away) if server == self.scene.second && is_away(&away) => {
                    sleep(Duration::from_millis(20));
                }
                other => return other.map(Some),
            }
        }
        Ok(None)
    }
}

fn is_away(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | UnexpectedEof)
}

/// Spreads the reloads over the load. Returns what was said of the broken files.
fn reload_all_the_while(load: &Load<'_>, posthaste: &mut Posthaste) -> Vec<String> {
    let file = load.scene.dir.path().join("posthaste.toml");
    let mut told = Vec::new();
    for n in 1..=load.size.reloads {
        let due = load.size.messages * n / (load.size.reloads + 1);
        assert!(until(PATIENCE, || load.acknowledged() >= due), "the load stands still");
        if n.is_multiple_of(BROKEN_ONE_IN) {
            let hop = next_hop(posthaste);
            let (text, word) = load.scene.broken(n / BROKEN_ONE_IN);
            fs::write(&file, text).expect("ours");
            told.push(refused(posthaste, n, word));
            assert_eq!(next_hop(posthaste), hop, "the old settings hold");
        } else {
            fs::write(&file, load.scene.settings(n)).expect("ours");
            taken(posthaste, n);
            assert_eq!(next_hop(posthaste), load.scene.sinks[n % 2].address().to_string());
        }
    }
    fs::write(&file, load.scene.settings(0)).expect("ours"); // the second listener comes back for good
    taken(posthaste, 0);
    told
}

/// By the verb or by SIGHUP; returns the reason.
fn refused(posthaste: &mut Posthaste, n: usize, word: &str) -> String {
    let reason = if n.is_multiple_of(2) {
        let said = posthaste.verb(&["reload"]);
        assert!(!said.status.success(), "{said:?}");
        String::from_utf8_lossy(&said.stderr).into_owned()
    } else {
        hang_up(posthaste)
    };
    assert!(reason.contains(word), "{word} is not in the reason: {reason}");
    reason
}

fn taken(posthaste: &mut Posthaste, n: usize) {
    if n.is_multiple_of(2) {
        let said = posthaste.verb(&["reload"]);
        assert!(said.status.success(), "{said:?}\n{}", posthaste.log());
    } else {
        let said = hang_up(posthaste);
        assert!(said.contains("settings reread"), "{said}");
    }
}

/// SIGHUP; returns what the log says of it.
fn hang_up(posthaste: &mut Posthaste) -> String {
    let before = reloads_in(&posthaste.log()).len();
    posthaste.hang_up();
    assert!(until(PATIENCE, || reloads_in(&posthaste.log()).len() > before), "SIGHUP did nothing");
    reloads_in(&posthaste.log()).pop().expect("one more than before")
}

fn reloads_in(log: &str) -> Vec<String> {
    let lines = log
        .lines()
        .filter(|line| line.contains("settings reread") || line.contains("old settings"));
    lines.map(str::to_owned).collect()
}

/// Where mail goes by the settings in force, as the daemon says.
fn next_hop(posthaste: &Posthaste) -> String {
    let said = posthaste.json(&["route", "bob@remote.test"]);
    said["via"].as_str().expect("the route has a next hop").to_owned()
}

fn is_empty(posthaste: &Posthaste) -> bool {
    let listed = posthaste.json(&["queue", "messages"]);
    listed["messages"].as_array().is_some_and(Vec::is_empty)
}

fn told_how_often(told: Vec<String>) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for words in told {
        *times.entry(words).or_default() += 1;
    }
    times
}
