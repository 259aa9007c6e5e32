//! Many clients on the simulated network: latencies, short reads, clients that vanish, a service that shuts down.
//! Whatever the seed: what was acknowledged is stored once and whole, and what is stored was sent.

use posthaste_io::{Dial, Stream, StreamExt, World};
use posthaste_io_sim::{Host, Sim};
use posthaste_mail::QueueId;
use posthaste_reception::{Listener, Reception, Settings};
use posthaste_spool::memory::MemorySpool;
use posthaste_spool::{Content, Spool};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CLIENTS: u64 = 8;
const MESSAGES: u64 = 5;
const SEEDS: u64 = 60;
const LIMIT: Duration = Duration::from_secs(60);

/// What the clients know: marks of messages acknowledged, marks of messages begun.
#[derive(Default)]
struct Known {
    acknowledged: BTreeSet<String>,
    begun: BTreeSet<String>,
}

fn door() -> SocketAddr {
    "192.0.2.1:25".parse().expect("an endpoint")
}

fn settings() -> Settings {
    let mut settings = Settings::new("mx.example.org");
    settings.relay_networks.push("198.51.100.0/24".parse().expect("a network"));
    settings.listeners.push(Listener::new("relay", door()));
    settings.limits.receive_budget = 40_000;
    settings
}

/// One client: sends its messages over one connection, unless it vanishes at some octet before.
async fn client(world: World, number: u64, known: Arc<Mutex<Known>>) -> Option<()> {
    let dial = Dial { to: door(), from: None, limit: LIMIT };
    let mut stream = world.net.dial(dial).await.ok()?;
    let mut vanish = world.random.below(200_000);
    expect(&mut *stream, "220").await?;
    say(&mut *stream, "EHLO client\r\n", &mut vanish).await?;
    expect(&mut *stream, "250").await?;
    for message in 0..MESSAGES {
        let mark = format!("mark-{number}-{message}");
        known.lock().expect("no panic").begun.insert(mark.clone());
        let envelope = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
        say(&mut *stream, envelope, &mut vanish).await?;
        for code in ["250", "250", "354"] {
            expect(&mut *stream, code).await?;
        }
        let lines = usize::try_from(world.random.below(400)).expect("small");
        let body = "..........stuffed and long enough to make many packets\r\n".repeat(lines);
        let content = format!("Subject: {mark}\r\n\r\n{body}end of {mark}\r\n.\r\n");
        say(&mut *stream, &content, &mut vanish).await?;
        expect(&mut *stream, "250").await?;
        known.lock().expect("no panic").acknowledged.insert(mark);
    }
    say(&mut *stream, "QUIT\r\n", &mut vanish).await
}

/// `None` when the client has vanished, or the connection has.
async fn say(stream: &mut dyn Stream, text: &str, vanish: &mut u64) -> Option<()> {
    let octets = &text.as_bytes()[..text.len().min(usize::try_from(*vanish).unwrap_or(usize::MAX))];
    stream.write_all(octets).await.ok()?;
    *vanish -= octets.len() as u64;
    (octets.len() == text.len()).then_some(())
}

/// Reads one reply; `None` unless it has this code.
async fn expect(stream: &mut dyn Stream, code: &str) -> Option<()> {
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut octet = [0];
            if stream.read(&mut octet).await.ok()? == 0 {
                return None;
            }
            line.push(octet[0]);
        }
        if line.get(3) == Some(&b' ') {
            return line.starts_with(code.as_bytes()).then_some(());
        }
    }
}

/// Runs one seed; answers its hash, and how many messages were acknowledged and stored.
fn run(seed: u64) -> (u64, usize, usize) {
    let sim = Sim::new(seed);
    let server = sim.host("server", &[door().ip()]);
    let spool = Arc::new(MemorySpool::new());
    let reception =
        Reception::new(server.world(), Arc::clone(&spool) as Arc<dyn Spool>, settings());
    let (serving, world) = (reception.clone(), server.world());
    server.spawn("door", async move {
        let listener = world.net.listen(door(), 64).await.expect("free");
        serving.serve(listener, "relay").await;
    });
    let known = Arc::new(Mutex::new(Known::default()));
    let near = sim.host("near", &["198.51.100.1".parse().expect("an address")]);
    for number in 0..CLIENTS {
        let (world, known) = (near.world(), Arc::clone(&known));
        near.spawn("client", async move {
            client(world, number, known).await;
        });
    }
    drain_some_time(&sim, &server, &reception);
    assert_eq!(reception.open_sessions(), 0, "seed {seed}");
    let known = known.lock().expect("no panic");
    let stored = stored(&sim, &server, spool);
    let marks: BTreeSet<String> = stored.iter().cloned().collect();
    assert_eq!(marks.len(), stored.len(), "seed {seed}: none twice");
    assert!(known.acknowledged.is_subset(&marks), "seed {seed}: none lost");
    assert!(marks.is_subset(&known.begun), "seed {seed}: none invented");
    assert_eq!(reception.counts().messages, stored.len() as u64, "seed {seed}");
    (sim.hash(), known.acknowledged.len(), stored.len())
}

/// Shuts the service down after a while, often in the middle of everything.
fn drain_some_time(sim: &Sim, server: &Host, reception: &Reception) {
    let (world, reception) = (server.world(), reception.clone());
    sim.block_on(server, async move {
        let after = Duration::from_millis(world.random.below(3_000));
        posthaste_io::sleep(&*world.clock, after).await;
        reception.drain(Duration::from_secs(10)).await;
        posthaste_io::sleep(&*world.clock, Duration::from_secs(1)).await;
    });
}

/// The marks of all stored messages, each of which must be whole.
fn stored(sim: &Sim, server: &Host, spool: Arc<MemorySpool>) -> Vec<String> {
    sim.block_on(server, async move {
        let page = spool.live(QueueId::MIN, 10_000).await.expect("memory can be read");
        let mut marks = Vec::new();
        for live in page.items {
            let mark = live.envelope.summary.subject.expect("every message has one");
            let stored = spool.fetch(live.envelope.id).await.expect("readable").expect("there");
            let content = match stored.content {
                Content::Inline(body) => body.to_vec(),
                Content::Spilled(body) => {
                    let size = usize::try_from(body.size).expect("small");
                    spool.range(&body, 0, size).await.expect("readable").to_vec()
                }
            };
            assert_eq!(content.len() as u64, live.envelope.facts.size);
            assert!(content.ends_with(format!("end of {mark}\r\n").as_bytes()), "{mark} is whole");
            marks.push(mark);
        }
        marks
    })
}

#[test]
fn no_acknowledged_message_is_lost_whatever_happens() {
    let (mut acknowledged, mut stored) = (0, 0);
    for seed in 0..SEEDS {
        let (_, told, kept) = run(seed);
        acknowledged += told;
        stored += kept;
    }
    let all = usize::try_from(SEEDS * CLIENTS * MESSAGES).expect("small");
    assert!(acknowledged > all / 10 && stored < all, "{acknowledged} of {stored} of {all}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [1, 7, 99] {
        assert_eq!(run(seed), run(seed));
    }
}
