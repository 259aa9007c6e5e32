//! Whole sessions, octet by octet: dialogues, refusals, limits, disconnects, and what the store then holds.

mod content;
mod crowded;
mod dialogue;
mod endings;
mod limits;
mod local;
mod mutated;
mod recipients;
mod recorded;
mod scarce;
mod signed;
mod store;
mod strangers;
mod submit;
mod tls;
mod users;
mod world;

use posthaste_reception::recipients::{Recipients, Setup};
use posthaste_reception::{Directory, Listener, Reception, Settings};
use posthaste_spool::Spool;
use std::sync::Arc;
use std::time::Duration;
use store::SlowStore;
use world::{Client, Port, TestWorld};

/// A client in a relay network.
const FRIEND: &str = "127.0.0.1";
/// Any other client.
const STRANGER: &str = "192.0.2.9";

/// A reception with its world, its store and one door.
struct House {
    world: TestWorld,
    store: Arc<SlowStore>,
    reception: Reception,
    port: Port,
}

impl House {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let world = TestWorld::default();
        let store = Arc::new(SlowStore::default());
        let spool: Arc<dyn Spool> = Arc::clone(&store) as _;
        let reception = Reception::new(world.world(), spool, settings(change));
        reception.set_directory(any_of(&["example.org"]));
        let house = Self { world, store, reception, port: Port::default() };
        house.open_door();
        house
    }

    fn open_door(&self) {
        let (reception, port) = (self.reception.clone(), self.port.clone());
        let door = async move {
            reception.serve(Box::new(port), "relay").await;
        };
        drop(self.world.world().spawn.spawn("door", Box::pin(door)));
        self.world.run();
    }

    /// A client that has read the greeting.
    fn client(&self, from: &str) -> Client {
        let client = self.port.connect(from);
        assert!(self.heard(&client).starts_with("220 mx.example.org ESMTP"));
        client
    }

    /// A program of user 33 on this machine that has read the greeting.
    fn local_client(&self) -> Client {
        let client = self.local_program(33);
        assert!(self.heard(&client).starts_with("220 mx.example.org ESMTP"));
        client
    }

    /// A program of this user on this machine.
    fn local_program(&self, user: u32) -> Client {
        let (reception, port) = (self.reception.clone(), Port::default());
        let client = port.connect_locally(user);
        let door = async move {
            reception.serve_local(Box::new(port)).await;
        };
        drop(self.world.world().spawn.spawn("local door", Box::pin(door)));
        client
    }

    /// Sends, lets everything happen, and answers what the server said.
    fn say(&self, client: &Client, octets: impl AsRef<[u8]>) -> String {
        client.send(octets);
        self.heard(client)
    }

    fn heard(&self, client: &Client) -> String {
        self.world.run();
        client.heard()
    }

    fn wait(&self, seconds: u64) {
        self.world.advance(Duration::from_secs(seconds));
        self.world.run();
    }

    /// The contents of all accepted messages.
    fn stored(&self) -> Vec<String> {
        let text = |(_, content): (_, Vec<u8>)| String::from_utf8_lossy(&content).into_owned();
        self.store.messages().into_iter().map(text).collect()
    }
}

/// Domains of ours that take anybody.
fn any_of(domains: &[&str]) -> Arc<Directory> {
    let any = |domain: &&str| ((*domain).to_owned(), Recipients::Any);
    let domains = domains.iter().map(any).collect();
    let hostname = "mx.example.org".to_owned();
    Arc::new(Directory::new(Setup { hostname, domains, ..Setup::default() }))
}

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::new("mx.example.org");
    settings.listeners.push(Listener::new("relay", "127.0.0.1:25".parse().expect("an endpoint")));
    change(&mut settings);
    settings
}

/// The codes of the replies, one per reply.
fn codes(replies: &str) -> Vec<&str> {
    replies.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|l| &l[..3]).collect()
}

/// From EHLO to DATA, for a friend.
const UP_TO_DATA: &str = "EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n\
    RCPT TO:<b@remote.example>\r\nDATA\r\n";
