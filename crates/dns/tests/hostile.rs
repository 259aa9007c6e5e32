//! One exchange before servers that mean ill, or are broken: bounded work, a bounded wait, and a clear end.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::exchange::{Exchange, Heard, framed, read_framed};
use posthaste_dns::wire::Flags;
use posthaste_evidence::{AnswerKind, RecordType, Transport};
use posthaste_io::{Stream, StreamExt, World, sleep};
use posthaste_io_sim::{Host, Sim, Weather};
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const TRY: Duration = Duration::from_secs(3);
const THEM: [u8; 4] = [192, 0, 2, 1];

struct Lab {
    sim: Sim,
    us: Host,
    them: Host,
}

impl Lab {
    fn new() -> Self {
        let sim = Sim::new(3);
        sim.weather(Weather { latency: SECOND / 1_000..SECOND / 100, ..Weather::default() });
        let them = sim.host("them", &[IpAddr::from(THEM)]);
        let us = sim.host("us", &[IpAddr::from([192, 0, 2, 25])]);
        Self { sim, us, them }
    }

    /// Datagrams are answered in this way.
    fn by_udp(&self, answer: impl Fn(&[u8]) -> Vec<(Duration, Vec<u8>)> + Send + Sync + 'static) {
        let world = self.them.world();
        let task_world = world.clone();
        let task = async move {
            task_world
                .net
                .serve_datagrams(at(), Arc::new(move |asked: &[u8], _| answer(asked)))
                .await;
        };
        world.spawn.spawn("datagrams", Box::pin(task));
        self.wait(SECOND);
    }

    /// Connections are talked to in this way, after datagrams have been answered with TC.
    fn by_tcp(&self, talk: Talk) {
        self.by_udp(|asked| vec![(Duration::ZERO, cut(asked))]);
        let world = self.them.world();
        let task_world = world.clone();
        let task = async move {
            let listener = task_world.net.listen(at(), 16).await.unwrap();
            while let Ok(stream) = listener.accept().await {
                let world = task_world.clone();
                let talking = talk(world, stream);
                task_world.spawn.spawn("talk", talking);
            }
        };
        world.spawn.spawn("connections", Box::pin(task));
        self.wait(SECOND);
    }

    fn ask(&self, flags: Flags) -> (Heard, Duration) {
        let (world, began) = (self.us.world(), self.sim.now());
        let exchange =
            Exchange::new(at(), "mail.example", RecordType::Mx, began + TRY).with_flags(flags);
        let heard = self.sim.block_on(&self.us, async move { exchange.hear(&world).await });
        (heard, self.sim.now() - began)
    }

    /// What it comes to by TCP, after TC; and how long that takes.
    fn told(&self) -> (AnswerKind, Duration) {
        let (heard, took) = self.ask(Flags::default());
        let answer = heard.meaning.answer;
        assert!(answer.truncated && answer.transport == Transport::Tcp, "{answer:?}");
        (answer.kind, took)
    }

    fn wait(&self, time: Duration) {
        let world = self.us.world();
        self.sim.block_on(&self.us, async move { sleep(&*world.clock, time).await });
    }
}

type Talk = fn(World, Box<dyn Stream>) -> posthaste_io::Task<'static, ()>;

/// Makes a broken reply to a question.
type Break = fn(&[u8]) -> Vec<u8>;

fn at() -> SocketAddr {
    SocketAddr::new(THEM.into(), 53)
}

/// The reply without records, EDNS left out.
fn empty(asked: &[u8]) -> Vec<u8> {
    let mut reply = asked[..question_end(asked)].to_vec();
    (reply[2], reply[3], reply[11]) = (0x81, 0x80, 0);
    reply
}

fn cut(asked: &[u8]) -> Vec<u8> {
    let mut reply = empty(asked);
    reply[2] |= 0x02;
    reply
}

/// The reply with this MX record so often.
fn many(asked: &[u8], count: u16) -> Vec<u8> {
    let mut reply = empty(asked);
    reply[6..8].copy_from_slice(&count.to_be_bytes());
    for _ in 0..count {
        reply.extend([0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 9, 0, 4, 0, 7, 0xc0, 12]);
    }
    reply
}

fn question_end(asked: &[u8]) -> usize {
    12 + asked[12..].iter().position(|&octet| octet == 0).unwrap() + 5
}

#[test]
fn a_flood_of_forged_datagrams_neither_ends_nor_hides_the_reply() {
    let lab = Lab::new();
    lab.by_udp(|asked| {
        let forged = |n: u32| {
            let mut reply = many(asked, 1);
            match n % 4 {
                0 => reply[0] ^= 0x55,
                1 => reply[13] = b'#',
                2 => reply[2] = 0x01,
                _ => reply.truncate(usize::try_from(n % 20).unwrap()),
            }
            (Duration::from_micros(u64::from(n)), reply)
        };
        let mut all: Vec<_> = (0..10_000).map(forged).collect();
        all.push((SECOND, many(asked, 1)));
        all
    });
    let (heard, took) = lab.ask(Flags::default());
    assert_eq!(heard.meaning.answer.kind, AnswerKind::Answer);
    assert_eq!(heard.strangers, 10_000);
    assert!(took < 2 * SECOND, "{took:?}");
}

#[test]
fn a_guess_in_another_case_waits_for_the_right_one() {
    let lab = Lab::new();
    lab.by_udp(|asked| {
        let mut guess = many(asked, 2);
        let end = question_end(asked) - 4;
        guess[12..end].make_ascii_lowercase();
        // Whoever guesses does not see the case; the server is a little later.
        vec![(Duration::ZERO, guess), (SECOND / 10, many(asked, 1))]
    });
    let (heard, took) = lab.ask(Flags::default());
    assert_eq!(heard.meaning.answer.records.len(), 1, "the server's");
    assert!((heard.strangers, heard.folds_case) == (1, false), "{heard:?}");
    assert!(took < SECOND / 2);
}

#[test]
fn the_case_of_a_question_is_as_chance_has_it_and_the_reply_must_keep_it() {
    let lab = Lab::new();
    let cases = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let seen = Arc::clone(&cases);
    lab.by_udp(move |asked| {
        seen.lock().push(asked[12..26].to_vec());
        vec![(Duration::ZERO, many(asked, 1))]
    });
    for _ in 0..20 {
        let (heard, _) = lab.ask(Flags::default());
        assert_eq!(heard.meaning.answer.records[0].name, "mail.example", "told in one form");
    }
    let mut cases = cases.lock().clone();
    assert!(cases.iter().all(|case| case.eq_ignore_ascii_case(b"\x04mail\x07example\0")));
    cases.sort();
    cases.dedup();
    assert!(cases.len() > 15, "eleven letters: {}", cases.len());
}

#[test]
fn a_bare_error_is_taken_when_nothing_better_comes() {
    let lab = Lab::new();
    let bare = |asked: &[u8], rcode| {
        let id = [asked[0], asked[1]];
        (Duration::ZERO, [&id[..], &[0x81, rcode, 0, 0, 0, 0, 0, 0, 0, 0]].concat())
    };
    lab.by_udp(move |asked| {
        // Without EDNS the additional section is empty.
        if asked[11] == 0 { vec![(Duration::ZERO, many(asked, 1))] } else { vec![bare(asked, 1)] }
    });
    let (heard, took) = lab.ask(Flags::default());
    assert_eq!(heard.meaning.answer.kind, AnswerKind::Answer);
    assert!(took > SECOND / 5 && took < SECOND / 2, "{took:?}");

    let lab = Lab::new();
    lab.by_udp(move |asked| vec![bare(asked, 5), (SECOND / 10, many(asked, 1))]);
    let (heard, _) = lab.ask(Flags::default());
    assert_eq!(heard.meaning.answer.kind, AnswerKind::Answer, "a forged refusal is no refusal");
}

#[test]
fn broken_messages_are_malformed_at_once() {
    let loops = |asked: &[u8]| {
        let mut reply = many(asked, 1);
        let at = question_end(asked);
        let here = u16::try_from(at).unwrap() | 0xc000;
        reply[at..at + 2].copy_from_slice(&here.to_be_bytes());
        reply
    };
    let short = |asked: &[u8]| {
        let mut reply = many(asked, 3);
        reply.truncate(reply.len() - 20);
        reply
    };
    let lying = |asked: &[u8]| {
        let mut reply = many(asked, 1);
        reply[6] = 0xff;
        reply
    };
    let breaks: [Break; 3] = [loops, short, lying];
    for broken in breaks {
        let lab = Lab::new();
        lab.by_udp(move |asked| vec![(Duration::ZERO, broken(asked))]);
        let (heard, took) = lab.ask(Flags::default());
        assert_eq!(heard.meaning.answer.kind, AnswerKind::Malformed);
        assert!(heard.reply.is_none() && heard.meaning.speaks_against_server());
        assert!(took < SECOND / 10);
    }
}

#[test]
fn the_largest_datagram_is_read_and_cut_to_what_is_kept() {
    let lab = Lab::new();
    lab.by_udp(|asked| vec![(Duration::ZERO, many(asked, 4_000))]);
    let (heard, _) = lab.ask(Flags::default());
    assert_eq!(heard.meaning.answer.kind, AnswerKind::Answer);
    assert_eq!(heard.meaning.answer.records.len(), 64);
}

#[test]
fn streams_that_mean_ill_end_in_time() {
    let silent: Talk = |world, stream| {
        Box::pin(async move {
            sleep(&*world.clock, 3_600 * SECOND).await;
            drop(stream);
        })
    };
    let trickling: Talk = |world, mut stream| {
        Box::pin(async move {
            let asked = read_framed(&mut *stream).await.unwrap();
            for octet in framed(&many(&asked, 1)) {
                if stream.write_all(&[octet]).await.is_err() {
                    return;
                }
                sleep(&*world.clock, SECOND).await;
            }
        })
    };
    let garbage: Talk = |world, mut stream| {
        Box::pin(async move {
            let noise: Vec<u8> = (0..200_000u32).map(|n| (n * 7 % 251) as u8).collect();
            let _ = stream.write_all(&noise).await;
            sleep(&*world.clock, 60 * SECOND).await;
        })
    };
    let strangers: Talk = |_, mut stream| {
        Box::pin(async move {
            let asked = read_framed(&mut *stream).await.unwrap();
            let mut other = many(&asked, 1);
            other[0] ^= 0x55;
            while stream.write_all(&framed(&other)).await.is_ok() {}
        })
    };
    let closing: Talk = |_, mut stream| {
        Box::pin(async move {
            let _ = read_framed(&mut *stream).await;
        })
    };
    let half: Talk = |_, mut stream| {
        Box::pin(async move {
            let asked = read_framed(&mut *stream).await.unwrap();
            let reply = framed(&many(&asked, 100));
            let _ = stream.write_all(&reply[..reply.len() / 2]).await;
        })
    };
    for (story, talk, kind) in [
        ("silent", silent, AnswerKind::Timeout),
        ("one octet a second", trickling, AnswerKind::Timeout),
        ("garbage", garbage, AnswerKind::Malformed),
        ("endless strangers", strangers, AnswerKind::Malformed),
        ("closed", closing, AnswerKind::Unreachable),
        ("closed inside", half, AnswerKind::Unreachable),
    ] {
        let lab = Lab::new();
        lab.by_tcp(talk);
        let (told, took) = lab.told();
        assert_eq!(told, kind, "{story}");
        assert!(took <= TRY, "{story}: {took:?}");
    }
}

#[test]
fn the_largest_message_by_tcp_is_read() {
    let lab = Lab::new();
    lab.by_tcp(|_, mut stream| {
        Box::pin(async move {
            let asked = read_framed(&mut *stream).await.unwrap();
            let mut reply = many(&asked, 4_093);
            reply.resize(65_535, 0);
            let _ = stream.write_all(&framed(&reply)).await;
        })
    });
    let (heard, _) = lab.ask(Flags::default());
    assert_eq!(heard.meaning.answer.kind, AnswerKind::Answer);
    assert_eq!(heard.meaning.answer.records.len(), 64);
}

#[test]
fn flags_reach_the_server_and_all_sections_come_back() {
    let lab = Lab::new();
    let text = "mail.example MX 10 mx.example\nexample NS ns.example";
    let server = DnsServer::new(Zone::parse(text).unwrap());
    let (world, running) = (lab.them.world(), server.clone());
    lab.sim.block_on(&lab.them, async move { running.start(&world, at()).await }).unwrap();
    for flags in [Flags::default(), Flags::WALKING] {
        let (heard, _) = lab.ask(flags);
        assert_eq!(heard.meaning.answer.kind, AnswerKind::Answer);
        let asked = server.asked().pop().unwrap();
        let came = Flags {
            recursion: asked.recursion,
            authentic: flags.authentic,
            checking_disabled: asked.unchecked,
            dnssec_ok: asked.dnssec,
        };
        assert_eq!(came, flags);
        assert!(heard.reply.unwrap().edns);
    }
    server.behave("*", None, Behaviour::Lame);
    let (heard, _) = lab.ask(Flags::WALKING);
    assert_eq!(heard.reply.unwrap().authorities.len(), 1);
    server.behave("*", None, Behaviour::NoData);
    let (heard, _) = lab.ask(Flags::WALKING);
    assert_eq!(heard.reply.unwrap().authorities.len(), 1, "the SOA");
}
