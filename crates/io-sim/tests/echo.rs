//! An example of agents on the simulator: an echo server and its client, which know nothing but a `World`;
//! and what the seed decides about them.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_io::{Dial, Listener, Stream, StreamExt, World};
use posthaste_io_sim::{Run, Sim, Weather};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SERVER: &str = "192.0.2.1";
const CLIENT: &str = "192.0.2.2";
const LIMIT: Duration = Duration::from_secs(30);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn port() -> SocketAddr {
    SocketAddr::new(ip(SERVER), 7)
}

/// Serves every connection in a task of its own.
async fn serve(world: World, listener: Box<dyn Listener>) {
    while let Ok(stream) = listener.accept().await {
        world.spawn.spawn("echo", Box::pin(echo(stream)));
    }
}

async fn echo(mut stream: Box<dyn Stream>) {
    let mut buf = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buf).await {
        if stream.write_all(&buf[..count]).await.is_err() {
            return;
        }
    }
    // The client may be gone; nobody is left to tell.
    let _ = stream.shutdown().await;
}

async fn call(world: World, words: Vec<u8>) -> io::Result<Vec<u8>> {
    let dial = Dial { to: port(), from: None, limit: LIMIT };
    let mut stream = world.net.dial(dial).await.map_err(io::Error::other)?;
    stream.write_all(&words).await?;
    stream.shutdown().await?;
    let (mut heard, mut buf) = (Vec::new(), [0; 700]);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(heard),
            count => heard.extend_from_slice(&buf[..count]),
        }
    }
}

/// Ten clients at once; answers the order in which they ended, the hash, and the time it took.
fn ten_calls(seed: u64) -> (Vec<usize>, u64, u64) {
    let sim = Sim::new(seed);
    let (server, client) = (sim.host("server", &[ip(SERVER)]), sim.host("client", &[ip(CLIENT)]));
    let world = server.world();
    server.spawn("server", async move {
        let listener = world.net.listen(port(), 16).await.unwrap();
        serve(world, listener).await;
    });
    let (order, done) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
    for number in 0..10 {
        let (world, order, done) = (client.world(), Arc::clone(&order), Arc::clone(&done));
        client.spawn("client", async move {
            let words = vec![b'a' + u8::try_from(number).unwrap(); 1000 * (number + 1)];
            posthaste_io::sleep(&*world.clock, Duration::from_millis(1)).await;
            assert_eq!(call(world, words.clone()).await.unwrap(), words);
            let order: &std::sync::Mutex<Vec<usize>> = &order;
            order.lock().unwrap().push(number);
            done.fetch_add(1, Ordering::Relaxed);
        });
    }
    let run = sim.run_until(LIMIT, || done.load(Ordering::Relaxed) == 10);
    assert_eq!(run, Run::Met, "{}", sim.story());
    let order = order.lock().unwrap().clone();
    (order, sim.hash(), sim.now().0)
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..20 {
        assert_eq!(ten_calls(seed), ten_calls(seed), "seed {seed}");
    }
}

#[test]
fn other_seeds_give_other_runs() {
    let runs: Vec<_> = (0..20).map(ten_calls).collect();
    assert_eq!(runs.iter().map(|(_, hash, _)| hash).collect::<BTreeSet<_>>().len(), 20);
    assert!(runs.iter().map(|(order, ..)| order).collect::<BTreeSet<_>>().len() > 5);
}

#[test]
fn a_large_echo_fits_through_small_buffers() {
    for seed in 0..5 {
        let sim = Sim::new(seed);
        sim.weather(Weather { jitter_percent: 300, ..Weather::default() });
        let server = sim.host("server", &[ip(SERVER)]);
        let client = sim.host("client", &[ip(CLIENT)]);
        let world = server.world();
        server.spawn("server", async move {
            let listener = world.net.listen(port(), 16).await.unwrap();
            serve(world, listener).await;
        });
        // Less than both directions' buffers together: this client does not read while it writes.
        let words: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let world = client.world();
        let expected = words.clone();
        let heard = sim.block_on(&client, async move {
            posthaste_io::sleep(&*world.clock, Duration::from_millis(1)).await;
            call(world, words).await
        });
        assert_eq!(heard.unwrap(), expected, "seed {seed}");
    }
}
