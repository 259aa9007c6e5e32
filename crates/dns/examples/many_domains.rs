//! Asks for the mail of many domains, MX and then the address of the host it names, with so many under way at a time:
//! `many_domains ours|plain SERVER DOMAINS UNDER_WAY [entries=N] [octets=N] [log=FOLDER]`.
//!
//! `ours` asks through the resolver as the daemon has it, on one thread; `plain` is the least client there can be: one
//! socket, no cache, replies looked at no further than their header. Each line on standard input is a round over all
//! domains, told as a JSON line. The domains are `dN.bench.test`, their hosts `mx.dN.hosts.test`.
//!
//! Not here: the servers, and what the figures are compared with (`bench/dns`).

#![allow(clippy::unwrap_used, reason = "an example may panic")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what it is there for, its arguments, and a clock where there is no world"
)]

use posthaste_dns::{Agreement, Resolver, Settings};
use posthaste_evidence::{AnswerKind, KeepDns, RecordData, RecordType};
use posthaste_io::Journal;
use posthaste_io_tokio::{FileJournal, NullJournal, journal};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The allocator of the daemon.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Clock ticks a second, as Linux tells CPU time.
const TICKS: f64 = 100.0;
/// A question of the plain client that is not answered is put again after this long.
const AGAIN: Duration = Duration::from_secs(1);
const MX: u16 = 15;
const A: u16 = 1;

struct Load {
    server: SocketAddr,
    domains: u32,
    under_way: u16,
}

/// What a round came to.
#[derive(Default)]
struct Round {
    questions: u32,
    errors: u32,
    /// Further fields of the JSON line.
    more: String,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [how, server, domains, under_way, options @ ..] = &words[..] else {
        panic!("ours|plain SERVER DOMAINS UNDER_WAY [entries=N] [octets=N] [log=FOLDER]");
    };
    let load = Load {
        server: server.parse().unwrap(),
        domains: domains.parse().unwrap(),
        under_way: under_way.parse().unwrap(),
    };
    match how.as_str() {
        "ours" => {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ours = runtime.block_on(async { Ours::new(load, options) });
            rounds(|| runtime.block_on(ours.round()));
            ours.finish();
        }
        "plain" => {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(load.server).unwrap();
            socket.set_read_timeout(Some(AGAIN / 4)).unwrap();
            rounds(|| Plain::new(&load, &socket).round());
        }
        other => panic!("ours or plain, not {other}"),
    }
}

fn rounds(mut one: impl FnMut() -> Round) {
    for _ in std::io::stdin().lines() {
        let (began, cpu) = (Instant::now(), cpu_seconds());
        let Round { questions, errors, more } = one();
        let (took, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let memory = resident();
        println!(
            "{{\"questions\":{questions},\"errors\":{errors},\"seconds\":{took:.3},\"cpu_s\":{cpu:.2},\
             \"rss_kb\":{memory}{more}}}"
        );
    }
}

/// The resolver, and what it tells its log.
struct Ours {
    load: Load,
    resolver: Resolver,
    journal: Option<Arc<FileJournal>>,
}

impl Ours {
    fn new(load: Load, options: &[String]) -> Self {
        let mut settings = Settings { servers: vec![load.server.into()], ..Settings::default() };
        let mut log = None;
        for option in options {
            match option.split_once('=') {
                Some(("entries", most)) => settings.cache_entries = most.parse().unwrap(),
                Some(("octets", most)) => settings.cache_octets = most.parse().unwrap(),
                Some(("log", folder)) => log = Some(folder),
                _ => panic!("entries=N, octets=N or log=FOLDER, not {option}"),
            }
        }
        let keep = journal::Settings { dns: KeepDns::All, ..journal::Settings::default() };
        let journal =
            log.map(|folder| Arc::new(FileJournal::open(folder.as_ref(), 0, keep).unwrap()));
        let world = posthaste_io_tokio::world(match &journal {
            Some(journal) => Arc::clone(journal) as Arc<dyn Journal>,
            None => Arc::new(NullJournal),
        });
        Self { load, resolver: Resolver::new(world, settings), journal }
    }

    async fn round(&self) -> Round {
        let (before, next) = (self.resolver.numbers(), Arc::new(AtomicU32::new(0)));
        let askers: Vec<_> = (0..self.load.under_way)
            .map(|_| {
                let (resolver, next) = (self.resolver.clone(), Arc::clone(&next));
                tokio::spawn(ask_in_turn(resolver, next, self.load.domains))
            })
            .collect();
        let mut round = Round::default();
        for asker in askers {
            let (questions, errors) = asker.await.unwrap();
            round.questions += questions;
            round.errors += errors;
        }
        let (kept, now) = (self.resolver.cached(), self.resolver.numbers());
        let dropped = self.journal.as_ref().map_or(0, |journal| journal.dropped_dns());
        round.more = format!(
            ",\"entries\":{},\"octets\":{},\"hits\":{},\"put\":{},\"dropped_log_lines\":{dropped}",
            kept.entries,
            kept.octets,
            now.kept - before.kept,
            now.put - before.put
        );
        round
    }

    fn finish(&self) {
        if let Some(journal) = &self.journal {
            journal.finish();
        }
    }
}

/// Takes the next domain until there is none; answers how many questions it asked, and how many of them failed.
async fn ask_in_turn(resolver: Resolver, next: Arc<AtomicU32>, domains: u32) -> (u32, u32) {
    let (mut questions, mut errors) = (0, 0);
    loop {
        let domain = next.fetch_add(1, Ordering::Relaxed);
        if domain >= domains {
            return (questions, errors);
        }
        let mx = resolver.ask(&mail_domain(domain), RecordType::Mx, Agreement::First).await;
        let hosts = mx.answer.records.iter().filter_map(|record| match &record.data {
            RecordData::Mx { exchange, .. } => Some(exchange),
            _ => None,
        });
        questions += 1;
        errors += u32::from(mx.verdict() != AnswerKind::Answer);
        for host in hosts {
            let address = resolver.ask(host, RecordType::A, Agreement::First).await;
            questions += 1;
            errors += u32::from(address.verdict() != AnswerKind::Answer);
        }
    }
}

/// A round of the plain client: each place has one question under way.
struct Plain<'a> {
    load: &'a Load,
    socket: &'a UdpSocket,
    places: Vec<Option<Asked>>,
    next: u32,
    serial: u16,
    round: Round,
    again: u32,
}

struct Asked {
    domain: u32,
    kind: u16,
    id: u16,
    at: Instant,
}

impl<'a> Plain<'a> {
    fn new(load: &'a Load, socket: &'a UdpSocket) -> Self {
        let places = (0..load.under_way).map(|_| None).collect();
        Self { load, socket, places, next: 0, serial: 0, round: Round::default(), again: 0 }
    }

    fn round(mut self) -> Round {
        for place in 0..self.places.len() {
            self.next_domain(place);
        }
        let mut reply = [0; 4096];
        while self.places.iter().any(Option::is_some) {
            match self.socket.recv(&mut reply) {
                Ok(length) => self.hear(&reply[..length]),
                Err(_) => self.ask_again(),
            }
        }
        self.round.more = format!(",\"again\":{}", self.again);
        self.round
    }

    fn next_domain(&mut self, place: usize) {
        self.places[place] = None;
        if self.next < self.load.domains {
            let domain = self.next;
            self.next += 1;
            self.ask(place, domain, MX);
        }
    }

    fn ask(&mut self, place: usize, domain: u32, kind: u16) {
        self.serial = self.serial.wrapping_add(1);
        let places = u16::try_from(self.places.len()).unwrap();
        let place_in_id = u16::try_from(place).unwrap();
        // The id tells the place; what is late for it has another one.
        let id = (self.serial % (u16::MAX / places)) * places + place_in_id;
        self.places[place] = Some(Asked { domain, kind, id, at: Instant::now() });
        let name = if kind == MX { mail_domain(domain) } else { mail_host(domain) };
        // What cannot be sent is put again like what is lost.
        let _ = self.socket.send(&question(id, &name, kind));
    }

    fn hear(&mut self, reply: &[u8]) {
        let Some(header) = reply.first_chunk::<12>() else { return };
        let id = u16::from_be_bytes([header[0], header[1]]);
        let place = usize::from(id) % self.places.len();
        let Some(asked) = self.places[place].as_ref().filter(|asked| asked.id == id) else {
            return;
        };
        let (domain, kind) = (asked.domain, asked.kind);
        let answered = header[3] & 0x0f == 0 && u16::from_be_bytes([header[6], header[7]]) > 0;
        self.round.questions += 1;
        self.round.errors += u32::from(!answered);
        match kind {
            MX => self.ask(place, domain, A),
            _ => self.next_domain(place),
        }
    }

    fn ask_again(&mut self) {
        for place in 0..self.places.len() {
            let late = self.places[place].as_ref().filter(|asked| asked.at.elapsed() > AGAIN);
            if let Some(&Asked { domain, kind, .. }) = late {
                self.again += 1;
                self.ask(place, domain, kind);
            }
        }
    }
}

/// RD and AD set, EDNS with 1232 octets, as the resolver asks.
fn question(id: u16, name: &str, kind: u16) -> Vec<u8> {
    let mut octets = id.to_be_bytes().to_vec();
    octets.extend([0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.split('.') {
        octets.push(u8::try_from(label.len()).unwrap());
        octets.extend(label.bytes());
    }
    octets.push(0);
    octets.extend(kind.to_be_bytes());
    octets.extend([0, 1, 0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
    octets
}

fn mail_domain(number: u32) -> String {
    format!("d{number}.bench.test")
}

fn mail_host(number: u32) -> String {
    format!("mx.d{number}.hosts.test")
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = text.rsplit(')').next().unwrap();
    let ticks: f64 =
        after.split_whitespace().skip(11).take(2).map(|n| n.parse::<f64>().unwrap()).sum();
    ticks / TICKS
}

/// What this process has in memory, KiB.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
