//! Connections and datagrams in bad weather.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_evidence::{ConnectFault, TlsFault, Untrusted};
use posthaste_io::{
    Datagram, Demand, Dial, DialError, Secure, Stream, StreamExt, Trust, Unanswered, World, sleep,
};
use posthaste_io_sim::{BUFFER, Crash, Handshake, Host, Link, PeersSee, Sim, Weather};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

struct Net {
    sim: Sim,
    server: Host,
    client: Host,
}

fn net(seed: u64) -> Net {
    let sim = Sim::new(seed);
    let server = sim.host("server", &[ip("192.0.2.1"), ip("2001:db8::1")]);
    let client = sim.host("client", &[ip("192.0.2.2"), ip("192.0.2.3")]);
    Net { sim, server, client }
}

async fn dial(world: &World, to: &str) -> Result<Box<dyn Stream>, ConnectFault> {
    let dial = Dial { to: at(to), from: None, limit: LIMIT };
    world.net.dial(dial).await.map_err(|DialError(fault)| fault)
}

/// Starts a server that gives its one connection to `story`.
fn serve<F: Future<Output = ()> + Send + 'static>(
    host: &Host,
    story: impl FnOnce(World, Box<dyn Stream>) -> F + Send + 'static,
) {
    let world = host.world();
    host.spawn("server", async move {
        let listener = world.net.listen(at("0.0.0.0:25"), 1).await.unwrap();
        let stream = listener.accept().await.unwrap();
        story(world, stream).await;
    });
}

async fn hold(world: World, stream: Box<dyn Stream>, time: Duration) {
    sleep(&*world.clock, time).await;
    drop(stream);
}

impl Net {
    /// Runs the client's story after the server's had the time to listen.
    fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        story: impl FnOnce(World) -> F + Send + 'static,
    ) -> T {
        let world = self.client.world();
        self.sim.block_on(&self.client, async move {
            sleep(&*world.clock, Duration::from_millis(1)).await;
            story(world).await
        })
    }
}

#[test]
fn dialling_fails_as_networks_do() {
    for (link, expected, at_least, at_most) in [
        (Link::Up, ConnectFault::Refused, 0, 1),
        (Link::Refuse, ConnectFault::Refused, 0, 1),
        (Link::Unreachable, ConnectFault::HostUnreachable, 0, 1),
        (Link::NoRoute, ConnectFault::NetworkUnreachable, 0, 0),
        (Link::Drop, ConnectFault::TimedOut, 30, 30),
    ] {
        let net = net(1);
        net.sim.partition(&net.client, &net.server, link);
        let fault = net.run(|world| async move {
            let begin = world.now();
            let fault = dial(&world, "192.0.2.1:25").await.err();
            (fault, (world.now() - begin).as_secs())
        });
        assert_eq!(fault.0, Some(expected), "{link:?}");
        assert!((at_least..=at_most).contains(&fault.1), "{link:?} took {} s", fault.1);
    }
}

#[test]
fn addresses_decide_too() {
    let net = net(1);
    net.sim.link(&net.client, ip("198.51.100.9"), Link::Refuse);
    let faults = net.run(|world| async move {
        let mut faults = Vec::new();
        for to in ["192.0.2.9:25", "198.51.100.9:25", "[2001:db8::1]:25", "127.0.0.1:25"] {
            faults.push(dial(&world, to).await.err());
        }
        for from in ["192.0.2.1", "2001:db8::1"] {
            let from = Some(ip(from));
            let dial = Dial { to: at("192.0.2.1:25"), from, limit: LIMIT };
            faults.push(world.net.dial(dial).await.err().map(|e| e.0));
        }
        faults
    });
    use ConnectFault as F;
    let expected = [
        F::TimedOut,
        F::Refused,
        F::NetworkUnreachable,
        F::Refused,
        F::SourceUnavailable,
        F::SourceUnavailable,
    ];
    assert_eq!(faults, expected.map(Some));
}

#[test]
fn both_ends_know_their_addresses() {
    let net = net(1);
    serve(&net.server, |_, stream| async move {
        assert_eq!(stream.local(), at("192.0.2.1:25"));
        assert_eq!(stream.peer().ip(), ip("192.0.2.3"));
    });
    net.run(|world| async move {
        let from = Some(ip("192.0.2.3"));
        let dial = Dial { to: at("192.0.2.1:25"), from, limit: LIMIT };
        let mut stream = world.net.dial(dial).await.unwrap();
        assert_eq!((stream.peer(), stream.local().ip()), (at("192.0.2.1:25"), ip("192.0.2.3")));
        assert!(stream.vitals().unwrap().rtt > Duration::ZERO);
        assert_eq!(stream.read(&mut [0; 9]).await.unwrap(), 0);
    });
}

#[test]
fn a_half_closed_connection_still_carries_the_other_way() {
    let net = net(2);
    serve(&net.server, |world, mut stream| async move {
        let mut buf = [0; 9];
        while stream.read(&mut buf).await.unwrap() > 0 {}
        sleep(&*world.clock, seconds(60)).await;
        stream.write_all(b"late").await.unwrap();
    });
    let heard = net.run(|world| async move {
        let mut stream = dial(&world, "192.0.2.1:25").await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let again = stream.write_all(b"x").await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::BrokenPipe);
        let (mut heard, mut buf) = (Vec::new(), [0; 9]);
        while let Ok(count @ 1..) = stream.read(&mut buf).await {
            heard.extend_from_slice(&buf[..count]);
        }
        heard
    });
    assert_eq!(heard, b"late");
}

#[test]
fn unread_octets_turn_a_close_into_a_reset() {
    let net = net(3);
    serve(&net.server, |world, mut stream| async move {
        stream.read(&mut [0; 1]).await.unwrap();
        sleep(&*world.clock, seconds(1)).await;
    });
    let error = net.run(|world| async move {
        let mut stream = dial(&world, "192.0.2.1:25").await.unwrap();
        stream.write_all(b"more than one octet").await.unwrap();
        let read = stream.read(&mut [0; 9]).await.unwrap_err().kind();
        (read, stream.write_all(b"x").await.unwrap_err().kind())
    });
    assert_eq!(error, (ErrorKind::ConnectionReset, ErrorKind::ConnectionReset));
}

#[test]
fn a_writer_waits_for_a_reader() {
    let net = net(4);
    serve(&net.server, |world, mut stream| async move {
        sleep(&*world.clock, seconds(3600)).await;
        let mut buf = [0; 4096];
        while stream.read(&mut buf).await.unwrap() > 0 {}
    });
    let blocked = net.run(|world| async move {
        let mut stream = dial(&world, "192.0.2.1:25").await.unwrap();
        let begin = world.now();
        stream.write_all(&vec![1; BUFFER]).await.unwrap();
        let at_once = world.now() - begin;
        stream.write_all(b"one more").await.unwrap();
        (at_once, world.now() - begin)
    });
    assert!(blocked.0 < seconds(1) && blocked.1 > seconds(3590), "{blocked:?}");
}

#[test]
fn a_full_backlog_keeps_silent() {
    let net = net(5);
    serve(&net.server, |world, stream| hold(world, stream, seconds(1000)));
    let faults = net.run(|world| async move {
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(dial(&world, "192.0.2.1:25").await);
        }
        held.into_iter().map(Result::err).collect::<Vec<_>>()
    });
    assert_eq!(faults, [None, None, Some(ConnectFault::TimedOut)]);
}

/// The client writes into a cut line; answers what it came to and when.
fn write_over(heal_after: Option<Duration>, link: Link) -> (Result<Vec<u8>, ErrorKind>, u64) {
    let net = net(6);
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let hears = Arc::clone(&heard);
    serve(&net.server, |_, mut stream| async move {
        let mut buf = [0; 64];
        while let Ok(count @ 1..) = stream.read(&mut buf).await {
            hears.lock().unwrap().extend_from_slice(&buf[..count]);
        }
    });
    let mut stream = net.run(|world| async move { dial(&world, "192.0.2.1:25").await.unwrap() });
    net.sim.partition(&net.client, &net.server, link);
    let begin = net.sim.now();
    let wrote = net.client.clone();
    let ended: Arc<Mutex<Option<Result<(), ErrorKind>>>> = Arc::default();
    let end = Arc::clone(&ended);
    wrote.spawn("writer", async move {
        stream.write_all(b"one ").await.unwrap();
        stream.write_all(b"two").await.unwrap();
        stream.shutdown().await.unwrap();
        let closed = stream.read(&mut [0; 1]).await;
        *end.lock().unwrap() = Some(closed.map(drop).map_err(|e| e.kind()));
    });
    if let Some(after) = heal_after {
        net.sim.run_until(after, || false);
        assert!(heard.lock().unwrap().is_empty());
        net.sim.partition(&net.client, &net.server, Link::Up);
    }
    net.sim.run_until(seconds(10_000), || ended.lock().unwrap().is_some());
    let took = (net.sim.now() - begin).as_secs();
    let ended = ended.lock().unwrap().unwrap_or_else(|| panic!("{}", net.sim.story()));
    let heard = heard.lock().unwrap().clone();
    (ended.map(|()| heard), took)
}

#[test]
fn a_partition_stalls_and_heals_or_ends_after_a_quarter_of_an_hour() {
    for link in [Link::Drop, Link::Unreachable] {
        let (healed, took) = write_over(Some(seconds(300)), link);
        assert_eq!(healed, Ok(b"one two".to_vec()));
        assert!((300..310).contains(&took), "{took}");
        let (ended, took) = write_over(None, link);
        assert_eq!((ended, took), (Err(ErrorKind::TimedOut), 900));
    }
    assert_eq!(write_over(None, Link::Refuse), (Err(ErrorKind::ConnectionReset), 0));
}

#[test]
fn a_crash_is_seen_by_peers_as_it_was_asked_for() {
    for (crash, expected) in [
        (Crash { peers: PeersSee::Reset, ..Crash::kill() }, Some(Err(ErrorKind::ConnectionReset))),
        (Crash::kill(), Some(Ok(0))),
        (Crash::power(1), None),
    ] {
        let net = net(7);
        serve(&net.server, |world, stream| hold(world, stream, LIMIT));
        let mut stream =
            net.run(|world| async move { dial(&world, "192.0.2.1:25").await.unwrap() });
        net.server.crash(crash);
        let seen: Arc<Mutex<Option<Result<usize, ErrorKind>>>> = Arc::default();
        let sees = Arc::clone(&seen);
        net.client.spawn("reader", async move {
            let read = stream.read(&mut [0; 9]).await.map_err(|e| e.kind());
            *sees.lock().unwrap() = Some(read);
        });
        net.sim.run_until(seconds(2000), || false);
        assert_eq!(*seen.lock().unwrap(), expected, "{crash:?}");
        let dialled = net.run(|world| async move { dial(&world, "192.0.2.1:25").await.err() });
        let silent = crash.peers == PeersSee::Silence;
        let fault = if silent { ConnectFault::TimedOut } else { ConnectFault::Refused };
        assert_eq!(dialled, Some(fault));
    }
}

#[test]
fn a_restarted_host_resets_what_it_does_not_know() {
    let net = net(8);
    serve(&net.server, |world, stream| hold(world, stream, LIMIT));
    let mut stream = net.run(|world| async move { dial(&world, "192.0.2.1:25").await.unwrap() });
    net.server.crash(Crash::power(1));
    let server = net.server.clone();
    let error = net.run(move |world| async move {
        stream.write_all(b"are you there?").await.unwrap();
        sleep(&*world.clock, seconds(100)).await;
        drop(server.restart());
        stream.read(&mut [0; 9]).await.unwrap_err().kind()
    });
    assert_eq!(error, ErrorKind::ConnectionReset);
}

fn question(to: &str, limit: Duration) -> Datagram {
    let accept = Arc::new(|answer: &[u8]| answer.starts_with(b"yes"));
    Datagram { to: at(to), payload: b"well?".to_vec(), limit, accept }
}

#[test]
fn datagrams_are_answered_ignored_lost_or_refused() {
    let net = net(9);
    let world = net.server.world();
    net.server.spawn("dns", async move {
        let answers = Arc::new(|question: &[u8], from: SocketAddr| {
            assert_eq!((question, from.ip()), (&b"well?"[..], ip("192.0.2.2")));
            vec![(Duration::ZERO, b"no".to_vec()), (seconds(1), b"yes!".to_vec())]
        });
        world.net.serve_datagrams(at("192.0.2.1:53"), answers).await;
    });
    let ask = |to: &'static str, limit| {
        net.run(move |world| async move { world.net.datagram(question(to, limit)).await })
    };
    assert_eq!(ask("192.0.2.1:53", seconds(5)), Ok(b"yes!".to_vec()));
    assert_eq!(ask("192.0.2.1:53", Duration::from_millis(500)), Err(Unanswered::TimedOut));
    let unreachable = |fault| Err(Unanswered::Unreachable(fault));
    assert_eq!(ask("192.0.2.1:54", seconds(5)), unreachable(ConnectFault::Refused));
    assert_eq!(ask("192.0.2.77:53", seconds(5)), Err(Unanswered::TimedOut));
    assert_eq!(ask("[2001:db8::1]:53", seconds(5)), unreachable(ConnectFault::NetworkUnreachable));
    net.sim.link(&net.client, ip("192.0.2.1"), Link::Unreachable);
    assert_eq!(ask("192.0.2.1:53", seconds(5)), unreachable(ConnectFault::HostUnreachable));
    net.sim.link(&net.client, ip("192.0.2.1"), Link::Up);
    net.server.crash(Crash::power(1));
    assert_eq!(ask("192.0.2.1:53", seconds(5)), Err(Unanswered::TimedOut));
    drop(net.server.restart());
    assert_eq!(ask("192.0.2.1:53", seconds(5)), unreachable(ConnectFault::Refused));
}

#[test]
fn datagrams_get_lost_as_often_as_the_weather_says() {
    let net = net(10);
    net.sim.weather(Weather { datagram_loss: 200, datagram_twice: 200, ..Weather::default() });
    let world = net.server.world();
    net.server.spawn("dns", async move {
        let answers = Arc::new(|_: &[u8], _| vec![(Duration::ZERO, b"yes".to_vec())]);
        world.net.serve_datagrams(at("0.0.0.0:53"), answers).await;
    });
    let lost = net.run(|world| async move {
        let mut lost = 0;
        for _ in 0..500 {
            let answer = world.net.datagram(question("192.0.2.1:53", seconds(1))).await;
            lost += usize::from(answer.is_err());
        }
        lost
    });
    // Question and answer get through with 0.8 each (a second copy helps a little): about 36 % fail.
    assert!((110..210).contains(&lost), "{lost}");
}

#[test]
fn a_handshake_takes_the_course_that_was_set_for_the_server() {
    let limit = seconds(5);
    let how = |trust, demand| Secure {
        name: "a.test".into(),
        names: Vec::new(),
        trust,
        demand,
        alpn: vec![],
        limit,
    };
    let verified = || how(Trust::System, Demand::Verified);
    let pinned = |key| how(Trust::Pinned(Arc::from([[key; 32]])), Demand::Verified);
    let untrusted = || match Handshake::good(&["a.test"]) {
        Handshake::Shows { certificate, .. } => Handshake::Shows { certificate, trusted: false },
        other => other,
    };
    let failed = |why| Err(format!("{why:?}"));
    for (handshake, how, expected) in [
        (Some(Handshake::good(&["a.test"])), verified(), Ok(Ok(()))),
        (Some(Handshake::good(&["b.test"])), verified(), failed(Untrusted::WrongName)),
        (Some(untrusted()), verified(), failed(Untrusted::UnknownIssuer)),
        (
            Some(untrusted()),
            how(Trust::System, Demand::Encrypted),
            Ok(Err(Untrusted::UnknownIssuer)),
        ),
        (Some(untrusted()), pinned(1), Ok(Ok(()))),
        (Some(untrusted()), pinned(2), failed(Untrusted::NotPinned)),
        (Some(Handshake::Fails(TlsFault::Alert(40))), verified(), Err("Alert(40)".into())),
        (Some(Handshake::Silence), verified(), Err("TimedOut".into())),
        (None, verified(), Err("NotTls".into())),
    ] {
        let net = net(8);
        if let Some(handshake) = handshake {
            net.sim.tls(at("192.0.2.1:25"), handshake);
        }
        serve(&net.server, |_, mut stream| async move {
            let mut buf = [0; 64];
            while let Ok(count @ 1..) = stream.read(&mut buf).await {
                let _ = stream.write_all(&buf[..count]).await;
            }
        });
        let said = net.run(|world| async move {
            let stream = dial(&world, "192.0.2.1:25").await.unwrap();
            let mut secured = world.net.secure(stream, how).await?;
            secured.stream.write_all(b"x").await.unwrap();
            assert_eq!(secured.stream.read(&mut [0; 9]).await.unwrap(), 1);
            Ok(secured.facts.verified)
        });
        let said = said.map_err(|fault: TlsFault| match fault {
            TlsFault::Untrusted { why, .. } => format!("{why:?}"),
            other => format!("{other:?}"),
        });
        assert_eq!(said, expected);
    }
}
