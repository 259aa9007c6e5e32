//! DNS over TLS in the simulator: one connection for many questions, answers in any order, servers that hang up, and
//! certificates that are not believed. Real handshakes are tested where the real world is.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use futures_util::future::join_all;
use hickory_proto::rr::Name;
use parking_lot::Mutex;
use posthaste_dns::exchange::{framed, read_framed};
use posthaste_dns::stream::{IDLE_LIMIT, MAX_IN_FLIGHT, Streams, Trouble};
use posthaste_dns::wire::{Flags, question};
use posthaste_dns::{Agreement, Resolver, Settings};
use posthaste_evidence::{
    AnswerKind, ConnectFault, NameServer, RecordType, Seen, TlsFault, Transport, Untrusted,
};
use posthaste_io::{StreamExt, Trust, World, sleep};
use posthaste_io_sim::{Handshake, Host, Link, Sim, Weather};
use posthaste_peers::dns::{DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const SERVER: [u8; 4] = [192, 0, 2, 1];
const US: [u8; 4] = [192, 0, 2, 25];
const SECOND: Duration = Duration::from_secs(1);
const NAME: &str = "dns.test";

fn at() -> SocketAddr {
    SocketAddr::new(SERVER.into(), 853)
}

fn over_tls() -> NameServer {
    NameServer { tls: Some(NAME.into()), ..at().into() }
}

/// What a server does with its connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    /// It answers all it hears at once, the last question first.
    Backwards,
    /// It closes after this many answers.
    Closes(usize),
    /// It takes questions and says nothing.
    Silent,
    /// It answers what nobody asked.
    Strange,
}

struct Lab {
    sim: Sim,
    server: Host,
    us: Host,
    connections: Arc<Mutex<usize>>,
}

impl Lab {
    fn new(way: Way) -> Self {
        let sim = Sim::new(3);
        let latency = Duration::from_millis(1)..Duration::from_millis(20);
        sim.weather(Weather { latency, ..Weather::default() });
        let server = sim.host("server", &[IpAddr::from(SERVER)]);
        let us = sim.host("us", &[IpAddr::from(US)]);
        sim.tls(at(), Handshake::good(&[NAME]));
        let connections = Arc::new(Mutex::new(0));
        let (world, counted) = (server.world(), Arc::clone(&connections));
        server.spawn("server", serve(world, way, counted));
        let lab = Self { sim, server, us, connections };
        lab.run(|world| async move { sleep(&*world.clock, SECOND).await });
        lab
    }

    fn run<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        story: impl FnOnce(World) -> F,
    ) -> T {
        self.sim.block_on(&self.us, story(self.us.world()))
    }
}

async fn serve(world: World, way: Way, connections: Arc<Mutex<usize>>) {
    let listener = world.net.listen(at(), 64).await.unwrap();
    loop {
        let mut stream = listener.accept().await.unwrap();
        *connections.lock() += 1;
        let clock = Arc::clone(&world.clock);
        let talk = async move {
            let mut answered = 0;
            let mut held = Vec::new();
            while let Ok(mut asked) = read_framed(&mut *stream).await {
                // QR, RD, RA; NXDOMAIN.
                (asked[2], asked[3]) = (0x81, 0x83);
                match way {
                    Way::Silent => {}
                    Way::Strange => {
                        asked[0] ^= 0x55;
                        for _ in 0..100 {
                            let _ = stream.write_all(&framed(&asked)).await;
                        }
                    }
                    Way::Closes(most) => {
                        let _ = stream.write_all(&framed(&asked)).await;
                        answered += 1;
                        if answered == most {
                            return;
                        }
                    }
                    Way::Backwards => {
                        held.push(asked);
                        if held.len() == 10 {
                            sleep(&*clock, Duration::from_millis(5)).await;
                            for reply in held.drain(..).rev() {
                                let _ = stream.write_all(&framed(&reply)).await;
                            }
                        }
                    }
                }
            }
        };
        world.spawn.spawn("talk", Box::pin(talk));
    }
}

fn asked(id: u16) -> Vec<u8> {
    let name = Name::from_ascii(format!("d{id}.test.")).unwrap();
    question(id, &name, RecordType::Mx, true, Flags::default())
}

async fn ask(world: &World, streams: &Streams, id: u16) -> Result<Vec<u8>, Trouble> {
    streams.ask(world, &over_tls(), &asked(id), world.now() + 3 * SECOND).await
}

#[test]
fn a_thousand_questions_go_over_one_connection_and_answers_come_in_any_order() {
    let lab = Lab::new(Way::Backwards);
    let streams = Arc::new(Streams::default());
    let kept = Arc::clone(&streams);
    let replies = lab.run(|world| async move {
        join_all((0..1000).map(|id| {
            let (world, streams) = (world.clone(), Arc::clone(&kept));
            async move { ask(&world, &streams, id).await }
        }))
        .await
    });
    const { assert!(1000 > MAX_IN_FLIGHT, "more than may be under way at once") };
    for (id, reply) in (0u16..).zip(replies) {
        assert_eq!(reply.unwrap()[..2], id.to_be_bytes(), "each has its own");
    }
    assert_eq!((*lab.connections.lock(), streams.open()), (1, 1));
    lab.run(|world| async move { sleep(&*world.clock, IDLE_LIMIT + SECOND).await });
    assert_eq!(streams.open(), 0, "nobody asks, and it is closed");
}

#[test]
fn a_question_that_meets_the_end_of_a_connection_is_put_once_more() {
    let lab = Lab::new(Way::Closes(3));
    let streams = Arc::new(Streams::default());
    lab.run(|world| async move {
        for id in 0..30 {
            assert!(ask(&world, &streams, id).await.is_ok(), "question {id}");
        }
    });
    assert_eq!(*lab.connections.lock(), 10);
}

#[test]
fn no_server_holds_a_question_longer_than_it_may_take() {
    for (way, expected) in [(Way::Silent, Trouble::TimedOut), (Way::Strange, Trouble::Malformed)] {
        let lab = Lab::new(way);
        let (said, took) = lab.run(|world| async move {
            let (streams, began) = (Streams::default(), world.now());
            (ask(&world, &streams, 1).await, world.now() - began)
        });
        assert_eq!(said, Err(expected), "{way:?}");
        assert!(took <= 3 * SECOND, "{way:?}: {took:?}");
    }
    for (link, expected) in
        [(Link::Refuse, Trouble::Connect(ConnectFault::Refused)), (Link::Drop, Trouble::TimedOut)]
    {
        let lab = Lab::new(Way::Backwards);
        lab.sim.partition(&lab.us, &lab.server, link);
        let said = lab.run(|world| async move { ask(&world, &Streams::default(), 1).await });
        let late = said == Err(Trouble::Connect(ConnectFault::TimedOut)) && link == Link::Drop;
        assert!(late || said == Err(expected), "{link:?}: {said:?}");
    }
}

#[test]
fn a_connection_that_dies_silently_costs_one_question() {
    let lab = Lab::new(Way::Closes(1000));
    let streams = Arc::new(Streams::default());
    let kept = Arc::clone(&streams);
    lab.run(|world| async move { ask(&world, &kept, 1).await }).unwrap();
    lab.sim.partition(&lab.us, &lab.server, Link::Drop);
    let kept = Arc::clone(&streams);
    let lost = lab.run(|world| async move { ask(&world, &kept, 2).await });
    assert_eq!(lost, Err(Trouble::TimedOut));
    lab.sim.partition(&lab.us, &lab.server, Link::Up);
    let took = lab.run(|world| async move {
        let began = world.now();
        ask(&world, &streams, 3).await.unwrap();
        world.now() - began
    });
    assert!(took < SECOND, "on a connection of its own: {took:?}");
}

/// A resolver whose only server is asked by TLS, and the server, which would answer in clear as well.
fn resolver(handshake: Option<Handshake>) -> (Sim, Host, DnsServer, Resolver) {
    let sim = Sim::new(5);
    let host = sim.host("server", &[IpAddr::from(SERVER)]);
    let us = sim.host("us", &[IpAddr::from(US)]);
    let server =
        DnsServer::new(Zone::parse("a.test MX 10 mx.a.test\nb.test MX 10 mx.b.test").unwrap());
    for port in [53, 853] {
        let (world, running) = (host.world(), server.clone());
        let at = SocketAddr::new(SERVER.into(), port);
        sim.block_on(&host, async move { running.start(&world, at).await }).unwrap();
    }
    if let Some(handshake) = handshake {
        sim.tls(at(), handshake);
    }
    let settings = Settings { servers: vec![over_tls()], ..Settings::default() };
    let resolver = Resolver::new(us.world(), settings);
    (sim, us, server, resolver)
}

#[test]
fn a_server_is_asked_by_tls_and_its_observation_says_so() {
    let (sim, us, server, resolver) = resolver(Some(Handshake::good(&[NAME])));
    let lookup =
        sim.block_on(
            &us,
            async move { resolver.ask("a.test", RecordType::Mx, Agreement::First).await },
        );
    assert_eq!((lookup.verdict(), lookup.answer.transport), (AnswerKind::Answer, Transport::Tls));
    assert!(server.asked().iter().all(|asked| asked.tcp), "never in a datagram");
}

#[test]
fn a_certificate_that_is_not_believed_is_the_fact_that_is_told_and_nothing_goes_out_in_clear() {
    let old = |not_after| match Handshake::good(&[NAME]) {
        Handshake::Shows { certificate, .. } => Handshake::Shows {
            certificate: posthaste_evidence::Certificate { not_after, ..certificate },
            trusted: true,
        },
        other => other,
    };
    let stranger = match Handshake::good(&[NAME]) {
        Handshake::Shows { certificate, .. } => Handshake::Shows { certificate, trusted: false },
        other => other,
    };
    let epoch = posthaste_mail::Timestamp::EPOCH;
    for (handshake, expected) in [
        (Some(Handshake::good(&["other.test"])), "wrong-name"),
        (Some(old(epoch)), "expired"),
        (Some(stranger), "unknown-issuer"),
        (Some(Handshake::Fails(TlsFault::Alert(40))), "alert"),
        (None, "not-tls"),
    ] {
        let (sim, us, server, resolver) = resolver(handshake);
        let lookup = sim.block_on(&us, async move {
            resolver.ask("a.test", RecordType::Mx, Agreement::First).await
        });
        assert_eq!(lookup.verdict(), AnswerKind::Unreachable, "{expected}");
        let said = |seen: &Seen| match seen {
            Seen::Answer(answer) => answer.tls.as_ref().map(TlsFault::name),
            _ => None,
        };
        let told: Vec<_> = lookup.observations.iter().filter_map(|o| said(&o.seen)).collect();
        assert!(!told.is_empty() && told.iter().all(|name| *name == expected), "{told:?}");
        if let Some(TlsFault::Untrusted { why: Untrusted::WrongName, certificate }) =
            lookup.answer.tls
        {
            assert_eq!(certificate.unwrap().names, ["other.test"]);
        }
        assert!(server.asked().is_empty(), "{expected}: {:?}", server.asked());
    }
}

#[test]
fn a_pinned_key_stands_for_the_authorities() {
    let lab = Lab::new(Way::Closes(9));
    for (key, expected) in [(1, None), (2, Some("not-pinned"))] {
        let trust = Trust::Pinned(Arc::from([[key; 32]]));
        let said = lab.run(|world| async move { ask(&world, &Streams::new(trust), 1).await });
        let fault = said.err().and_then(Trouble::tls);
        assert_eq!(fault.as_ref().map(TlsFault::name), expected);
    }
}
