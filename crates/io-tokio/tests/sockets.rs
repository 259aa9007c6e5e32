//! The real world against real sockets on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_evidence::ConnectFault;
use posthaste_io::{Datagram, Dial, DialError, Stream, StreamExt, Unanswered, World, sleep};
use posthaste_io_tokio::NullJournal;
use std::io::{ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(20);

/// Runs a story on a runtime of two threads.
fn on_runtime<F: Future<Output = ()> + Send + 'static>(story: impl FnOnce(World) -> F) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let context = runtime.enter();
    let world = posthaste_io_tokio::world(Arc::new(NullJournal));
    drop(context);
    runtime.block_on(story(world));
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

async fn dial(world: &World, to: SocketAddr) -> Result<Box<dyn Stream>, ConnectFault> {
    let dial = Dial { to, from: None, limit: LIMIT };
    world.net.dial(dial).await.map_err(|DialError(fault)| fault)
}

/// A pair of connected streams: dialled, accepted.
async fn pair(world: &World, on: &str) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let listener = world.net.listen(at(on), 8).await.unwrap();
    let dialled = dial(world, listener.local()).await.unwrap();
    (dialled, listener.accept().await.unwrap())
}

async fn read_all(stream: &mut dyn Stream) -> std::io::Result<Vec<u8>> {
    let (mut all, mut buf) = (Vec::new(), vec![0; 10_000]);
    loop {
        match stream.read(&mut buf).await? {
            0 => return Ok(all),
            count => all.extend_from_slice(&buf[..count]),
        }
    }
}

#[test]
fn octets_go_both_ways_and_ends_are_seen() {
    on_runtime(|world| async move {
        for on in ["127.0.0.1:0", "[::1]:0"] {
            let (mut client, mut server) = pair(&world, on).await;
            assert_eq!((client.peer(), client.local()), (server.local(), server.peer()));
            assert!(client.vitals().is_none(), "no safe door to TCP_INFO");
            server.write_all(b"220 hello\r\n").await.unwrap();
            let parts = [&b"EHLO "[..], b"", b"x", b"\r\n"];
            client.write_all_vectored(&mut parts.map(IoSlice::new)).await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(read_all(&mut *server).await.unwrap(), b"EHLO x\r\n");
            server.write_all(b"221\r\n").await.unwrap();
            drop(server);
            assert_eq!(read_all(&mut *client).await.unwrap(), b"220 hello\r\n221\r\n");
        }
    });
}

#[test]
fn many_octets_and_many_slices_arrive_in_order() {
    on_runtime(|world| async move {
        let (mut client, mut server) = pair(&world, "127.0.0.1:0").await;
        let octets: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
        let sent = octets.clone();
        let spawned = world.spawn.spawn(
            "writer",
            Box::pin(async move {
                let mut slices: Vec<_> = sent.chunks(1000).map(IoSlice::new).collect();
                assert!(slices.len() > 1024, "more than one system call takes");
                client.write_all_vectored(&mut slices).await.unwrap();
            }),
        );
        assert!(read_all(&mut *server).await.unwrap() == octets);
        sleep(&*world.clock, Duration::from_millis(20)).await;
        assert!(spawned.is_finished());
    });
}

#[test]
fn nodelay_is_on_at_both_ends() {
    // Small writes go out at once: with Nagle's algorithm each second one would wait for a delayed ACK (40 ms).
    on_runtime(|world| async move {
        let (mut client, mut server) = pair(&world, "127.0.0.1:0").await;
        let begin = world.now();
        let mut one = [0];
        for _ in 0..50 {
            for _ in 0..2 {
                server.write_all(b"x").await.unwrap();
            }
            client.read(&mut one).await.unwrap();
            client.read(&mut one).await.unwrap();
            for _ in 0..2 {
                client.write_all(b"x").await.unwrap();
            }
            server.read(&mut one).await.unwrap();
            server.read(&mut one).await.unwrap();
        }
        assert!(world.now() - begin < Duration::from_millis(1500), "{:?}", world.now() - begin);
    });
}

#[test]
fn connections_fail_for_what_they_fail() {
    on_runtime(|world| async move {
        let listener = world.net.listen(at("127.0.0.1:0"), 8).await.unwrap();
        let to = listener.local();
        drop(listener);
        assert_eq!(dial(&world, to).await.err(), Some(ConnectFault::Refused));
        for from in ["192.0.2.1", "::1"] {
            let from = Some(from.parse().unwrap());
            let fault = world.net.dial(Dial { to, from, limit: LIMIT }).await.err();
            assert_eq!(fault, Some(DialError(ConnectFault::SourceUnavailable)));
        }
        // A listener with a full backlog does not answer SYNs.
        let deaf = world.net.listen(at("127.0.0.1:0"), 0).await.unwrap();
        let (to, mut held, mut fault) = (deaf.local(), Vec::new(), None);
        while held.len() < 8 && fault.is_none() {
            let limit = Duration::from_millis(200);
            match world.net.dial(Dial { to, from: None, limit }).await {
                Ok(stream) => held.push(stream),
                Err(DialError(why)) => fault = Some(why),
            }
        }
        assert_eq!(fault, Some(ConnectFault::TimedOut));
    });
}

#[test]
fn the_source_address_is_the_one_asked_for() {
    on_runtime(|world| async move {
        let listener = world.net.listen(at("127.0.0.1:0"), 8).await.unwrap();
        let from = at("127.0.0.9:0").ip();
        let dial = Dial { to: listener.local(), from: Some(from), limit: LIMIT };
        let client = world.net.dial(dial).await.unwrap();
        let server = listener.accept().await.unwrap();
        assert_eq!((server.peer(), server.peer().ip()), (client.local(), from));
    });
}

#[test]
fn listeners_share_nothing_but_what_they_should() {
    on_runtime(|world| async move {
        let v6 = world.net.listen(at("[::]:0"), 8).await.unwrap();
        let port = v6.local().port();
        let v4 = world.net.listen(SocketAddr::new(at("0.0.0.0:0").ip(), port), 8).await;
        let v4 = v4.expect("an IPv6 listener leaves the IPv4 port free");
        let twice = world.net.listen(v4.local(), 8).await.err().unwrap();
        assert_eq!(twice.kind(), ErrorKind::AddrInUse);
        let client = dial(&world, SocketAddr::new(at("127.0.0.1:0").ip(), port)).await.unwrap();
        let mut server = v4.accept().await.unwrap();
        assert_eq!(server.local(), client.peer(), "known though the listener has no address");
        drop(client);
        assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
        // The address can be bound again though the connection lingers in TIME-WAIT.
        drop(server);
        let local = v4.local();
        drop(v4);
        world.net.listen(local, 8).await.unwrap();
    });
}

#[test]
fn a_reset_is_an_error_of_that_stream_only() {
    on_runtime(|world| async move {
        let listener = world.net.listen(at("127.0.0.1:0"), 8).await.unwrap();
        let reset = tokio::net::TcpStream::connect(listener.local()).await.unwrap();
        reset.set_zero_linger().unwrap();
        drop(reset);
        let mut gone = listener.accept().await.unwrap();
        let error = gone.read(&mut [0; 1]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let _client = dial(&world, listener.local()).await.unwrap();
        listener.accept().await.unwrap();
    });
}

fn question(to: SocketAddr, limit: Duration) -> Datagram {
    let accept = Arc::new(|answer: &[u8]| answer == b"right");
    Datagram { to, payload: b"question".to_vec(), limit, accept }
}

/// A datagram server on a port that is free a moment before.
fn answer_on(world: &World) -> SocketAddr {
    let local = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let answers = Arc::new(|asked: &[u8], _| {
        assert_eq!(asked, b"question");
        let late = Duration::from_millis(100);
        vec![(Duration::ZERO, b"wrong".to_vec()), (late, b"right".to_vec())]
    });
    let serving = world.clone();
    let task = async move {
        let error = serving.net.serve_datagrams(local, answers).await;
        panic!("the datagram server ended: {error}");
    };
    world.spawn.spawn("datagrams", Box::pin(task));
    local
}

#[test]
fn datagrams_wait_for_the_right_answer_within_the_limit() {
    on_runtime(|world| async move {
        let server = answer_on(&world);
        sleep(&*world.clock, Duration::from_millis(50)).await;
        assert_eq!(world.net.datagram(question(server, LIMIT)).await, Ok(b"right".to_vec()));
        let short = Duration::from_millis(30);
        let answer = world.net.datagram(question(server, short)).await;
        assert_eq!(answer, Err(Unanswered::TimedOut));
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let answer = world.net.datagram(question(nobody, LIMIT)).await;
        assert_eq!(answer, Err(Unanswered::Unreachable(ConnectFault::Refused)));
    });
}

#[test]
fn questions_leave_from_fresh_ports() {
    on_runtime(|world| async move {
        let seen: Arc<std::sync::Mutex<std::collections::BTreeSet<u16>>> = Arc::default();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let (server, sees) = (socket.local_addr().unwrap(), Arc::clone(&seen));
        let answers = std::thread::spawn(move || {
            for _ in 0..40 {
                let (_, from) = socket.recv_from(&mut [0; 64]).unwrap();
                sees.lock().unwrap().insert(from.port());
                socket.send_to(b"right", from).unwrap();
            }
        });
        for _ in 0..40 {
            world.net.datagram(question(server, LIMIT)).await.unwrap();
        }
        answers.join().unwrap();
        let ports: Vec<u16> = seen.lock().unwrap().iter().copied().collect();
        assert!(ports.len() > 35, "{ports:?}");
        let (first, last) = (ports[0], ports[ports.len() - 1]);
        assert!(last - first > 100, "not one after the other: {ports:?}");
    });
}

#[test]
fn aborted_tasks_end() {
    on_runtime(|world| async move {
        let held = Arc::new(());
        let inside = Arc::clone(&held);
        let forever = Box::pin(async move {
            let _inside = inside;
            std::future::pending::<()>().await;
        });
        let task = world.spawn.spawn("forever", forever);
        sleep(&*world.clock, Duration::from_millis(20)).await;
        assert!(!task.is_finished());
        task.abort();
        sleep(&*world.clock, Duration::from_millis(50)).await;
        assert!(task.is_finished());
        assert_eq!(Arc::strong_count(&held), 1);
    });
}
