//! One exchange over real sockets of loopback: what the kernel says, and what it keeps from us.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::exchange::{Exchange, GRACE, Heard};
use posthaste_dns::{Agreement, Resolver, Settings};
use posthaste_evidence::{AnswerKind, RecordType, Transport};
use posthaste_io::{World, sleep};
use posthaste_io_tokio::NullJournal;
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

// Long enough for a machine that does much else at the same time.
const TRY: Duration = Duration::from_millis(1_500);
const SOON: Duration = Duration::from_millis(700);

fn run<F: Future<Output = ()>>(story: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(story);
}

fn server() -> DnsServer {
    DnsServer::new(Zone::parse("example.org MX 10 mx.example.org").unwrap())
}

fn world() -> World {
    posthaste_io_tokio::world(Arc::new(NullJournal))
}

fn loopback() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// An address where nobody listens, neither by UDP nor by TCP.
fn closed() -> SocketAddr {
    std::net::UdpSocket::bind(loopback()).unwrap().local_addr().unwrap()
}

async fn ask(world: &World, at: SocketAddr, tcp_only: bool) -> (Heard, Duration) {
    let began = world.now();
    let mut exchange = Exchange::new(at, "example.org", RecordType::Mx, began + TRY);
    exchange.manner.tcp_only = tcp_only;
    let heard = exchange.hear(world).await;
    (heard, world.now() - began)
}

/// What becomes of a question to a server that behaves so: kind, transport, TC seen, and whether soon.
async fn told(behaviour: Behaviour) -> (AnswerKind, Transport, bool, bool) {
    let (world, server) = (world(), server());
    let at = server.start(&world, loopback()).await.unwrap();
    server.behave("*", None, behaviour);
    let (heard, took) = ask(&world, at, false).await;
    let answer = heard.meaning.answer;
    (answer.kind, answer.transport, answer.truncated, took < SOON)
}

#[test]
fn a_closed_port_is_known_at_once() {
    run(async {
        let world = world();
        for tcp_only in [false, true] {
            let (heard, took) = ask(&world, closed(), tcp_only).await;
            assert_eq!(heard.meaning.answer.kind, AnswerKind::Unreachable, "{tcp_only}");
            assert!(took < SOON, "{took:?}");
        }
        let (server, at) = (server(), closed());
        server.start_udp(&world, at).await.unwrap();
        server.behave("*", None, Behaviour::Truncate);
        let (heard, took) = ask(&world, at, false).await;
        let answer = heard.meaning.answer;
        assert_eq!((answer.kind, answer.truncated), (AnswerKind::Unreachable, true));
        assert!(answer.transport == Transport::Tcp && took < SOON, "{took:?}");
    });
}

#[test]
fn every_end_is_told_apart() {
    use AnswerKind as K;
    use Transport::{Tcp, Udp};
    run(async {
        for (behaviour, expected) in [
            (Behaviour::Answer, (K::Answer, Udp, false, true)),
            (Behaviour::Drop, (K::Timeout, Udp, false, false)),
            (Behaviour::DropEdns, (K::Timeout, Udp, false, false)),
            (Behaviour::WrongId, (K::Timeout, Udp, false, false)),
            (Behaviour::OtherSource, (K::Timeout, Udp, false, false)),
            (Behaviour::LowerCase, (K::Answer, Udp, false, true)),
            (Behaviour::NoEdns, (K::Answer, Udp, false, true)),
            (Behaviour::Malformed, (K::Malformed, Udp, false, true)),
            (Behaviour::Cut(40), (K::Malformed, Udp, false, true)),
            (Behaviour::Truncate, (K::Answer, Tcp, true, true)),
            (Behaviour::TruncateForEver, (K::Unreachable, Tcp, true, true)),
            (Behaviour::TruncateThenSilence, (K::Timeout, Tcp, true, false)),
            (Behaviour::Flood(2_000), (K::Answer, Tcp, true, true)),
            (Behaviour::Flood(60_000), (K::Malformed, Tcp, true, true)),
        ] {
            assert_eq!(told(behaviour.clone()).await, expected, "{behaviour:?}");
        }
    });
}

#[test]
fn what_is_not_the_reply_is_counted_and_what_the_kernel_drops_is_not() {
    run(async {
        let (world, server) = (world(), server());
        let at = server.start(&world, loopback()).await.unwrap();
        for (behaviour, strangers) in [
            (Behaviour::ForgedFirst, 2),
            (Behaviour::WrongId, 1),
            (Behaviour::OtherSource, 0),
            (Behaviour::Answer, 0),
        ] {
            server.behave("*", None, behaviour.clone());
            let (heard, _) = ask(&world, at, false).await;
            assert_eq!(heard.strangers, strangers, "{behaviour:?}");
        }
        server.behave("*", None, Behaviour::LowerCase);
        let (heard, took) = ask(&world, at, false).await;
        assert!(heard.folds_case && heard.strangers == 0 && took >= GRACE);
    });
}

#[test]
fn a_server_that_is_back_is_found_by_its_first_health_question() {
    run(async {
        let (world, first, second) = (world(), server(), server());
        let mut servers = Vec::new();
        for server in [&first, &second] {
            servers.push(server.start(&world, loopback()).await.unwrap().into());
        }
        let resolver = Resolver::new(world.clone(), Settings { servers, ..Settings::default() });
        first.behave("*", None, Behaviour::Rcode(5));
        let lookup = resolver.ask("example.org", RecordType::Mx, Agreement::First).await;
        assert_eq!(lookup.verdict(), AnswerKind::Answer);
        assert!(resolver.servers()[0].is_dead());
        first.recover();
        sleep(&*world.clock, Duration::from_millis(6_500)).await;
        assert!(!resolver.servers()[0].is_dead());
        assert_eq!(first.asked().len(), 2);
    });
}
