//! What a cached look-up costs, and what the DNS log costs a question: `keeping_cost FOLDER [QUESTIONS]`.
//!
//! A scripted server on loopback answers in the same process; the difference between the runs is the log's, its thread
//! included. The log is written into FOLDER.

#![allow(clippy::unwrap_used, reason = "an example may panic")]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "what it is there for, and its arguments"
)]

use posthaste_dns::{Agreement, Resolver, Settings};
use posthaste_evidence::{AnswerKind, KeepDns, RecordType};
use posthaste_io::{Journal, World};
use posthaste_io_tokio::{FileJournal, journal};
use posthaste_peers::dns::{DnsServer, Zone};
use std::path::Path;
use std::sync::Arc;

const ZONE: &str = "*.many.test MX 10 mx1.test\n*.many.test MX 20 mx2.test\nd.test MX 10 mx1.test\n\
                    d.test MX 20 mx2.test\nmx1.test A 192.0.2.80";
/// Clock ticks a second, as Linux tells CPU time.
const TICKS: u64 = 100;

fn main() {
    let mut words = std::env::args().skip(1);
    let folder = words.next().expect("a folder for the log");
    let questions: u32 = words.next().map_or(20_000, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for keep in [KeepDns::Off, KeepDns::All, KeepDns::Off, KeepDns::All] {
        runtime.block_on(run(Path::new(&folder), keep, questions));
    }
}

async fn run(folder: &Path, dns: KeepDns, questions: u32) {
    let settings = journal::Settings { dns, ..journal::Settings::default() };
    let journal = Arc::new(FileJournal::open(folder, 0, settings).unwrap());
    let world = posthaste_io_tokio::world(Arc::clone(&journal) as Arc<dyn Journal>);
    let server = DnsServer::new(Zone::parse(ZONE).unwrap());
    let at = server.start(&world, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let settings = Settings { servers: vec![at.into()], ..Settings::default() };
    let resolver = Resolver::new(world.clone(), settings);
    let (began, cpu) = (world.now(), cpu_ticks());
    for i in 0..questions {
        let name = format!("n{i}.many.test");
        let lookup = resolver.ask(&name, RecordType::Mx, Agreement::First).await;
        assert_eq!(lookup.verdict(), AnswerKind::Answer);
    }
    let took = world.now() - began;
    journal.finish();
    let micros = (cpu_ticks() - cpu) * 1_000_000 / TICKS / u64::from(questions);
    let each = took / questions;
    let dropped = journal.dropped_dns();
    println!("log {dns:?}: {each:?} and {micros} µs of CPU a question, {dropped} dropped");
    println!("  kept: {:?}", resolver.cached());
    cached(&world, &resolver).await;
}

async fn cached(world: &World, resolver: &Resolver) {
    const TIMES: u32 = 200_000;
    resolver.ask("d.test", RecordType::Mx, Agreement::First).await;
    let began = world.now();
    for _ in 0..TIMES {
        let lookup = resolver.ask("d.test", RecordType::Mx, Agreement::First).await;
        assert!(lookup.age.is_some());
    }
    println!("  a cached look-up: {:?}", (world.now() - began) / TIMES);
}

/// User and system time of this process.
fn cpu_ticks() -> u64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after = text.rsplit(')').next().unwrap();
    let mut words = after.split_whitespace().skip(11);
    let mut ticks = || words.next().unwrap().parse::<u64>().unwrap();
    ticks() + ticks()
}
