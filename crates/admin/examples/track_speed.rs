//! How long `track` takes in large logs of events and of sessions: writes them, indexes them, and asks.
//!
//! `cargo run --release -p posthaste-admin --example track_speed -- FOLDER [EVENTS]` (10,000,000 events unless told, about
//! 4.5 GB, kept for the next run). For cold figures drop the machine's page cache between the index and the questions.

#![expect(clippy::print_stdout, reason = "figures for people")]

use posthaste_admin::filter::{MESSAGE, parse};
use posthaste_admin::track::sessions::{self, Asked};
use posthaste_admin::track::{Question, build_indexes, search};
use posthaste_mail::{QueueId, Timestamp};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Octets of a sealed file.
const FILE: u64 = 64 * 1024 * 1024;
/// Events of one message: received, delivered, done.
const PER_MESSAGE: u64 = 3;
/// A client of every tenth message.
const BUSY: &str = "192.0.2.1";
/// One of so many sessions has a refusal.
const REFUSED: u64 = 997;
const START: Timestamp = Timestamp::from_secs(1_790_000_000);
/// Between two messages.
const STEP: Duration = Duration::from_millis(200);

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or_else(|| io::Error::other("which folder?"))?;
    let events = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(10_000_000u64);
    let (folder, messages) = (Path::new(&folder), events / PER_MESSAGE);
    if !folder.join("events.jsonl").exists() {
        let begin = Instant::now();
        write_log(folder, "events", messages, one)?;
        write_log(folder, "sessions", messages, session)?;
        println!("written in {:.1} s", begin.elapsed().as_secs_f64());
    }
    let begin = Instant::now();
    let made = build_indexes(folder)?;
    println!("{made} indexes made in {:.1} s", begin.elapsed().as_secs_f64());
    for ending in ["jsonl", "idx"] {
        println!("{ending}: {:.1} MB", size_of_all(folder, ending)? as f64 / 1e6);
    }
    for part in [1, 50, 99] {
        ask(folder, messages * part / 100)?;
    }
    let now = minted(messages);
    for filter in [
        "to = nobody@nowhere.example".to_owned(),
        "domain = d77.example and age < 1h".to_owned(),
        format!("source_ip = {BUSY}"),
        format!("source_ip = {BUSY} and from = {}", sender(77)),
        format!("source_ip = {BUSY} and domain = {}", recipient_domain(77)),
        format!("from = {} and status = failed", sender(77)),
    ] {
        told(folder, &filter, &fits(&filter), now)?;
    }
    ask_sessions(folder, messages / 2)
}

/// The questions about one message.
fn ask(folder: &Path, n: u64) -> io::Result<()> {
    let now = minted(n + 1_000_000);
    let id = QueueId::first_at(minted(n));
    told(folder, &format!("id of message {n}"), &Question::Id(id), now)?;
    let texts = [
        format!("to = {}", recipient(n)),
        format!("message_id = \"{}\"", message_id(n)),
        format!("source_ip = {}", ip(n)),
        format!("from = {} and domain = {}", sender(n), recipient_domain(n)),
    ];
    for text in texts {
        told(folder, &text, &fits(&text), now)?;
    }
    Ok(())
}

/// The questions about sessions.
fn ask_sessions(folder: &Path, n: u64) -> io::Result<()> {
    let client = |text: &str| Asked { client: text.parse().ok(), ..Asked::default() };
    let id = QueueId::first_at(minted(n));
    for (what, asked) in [
        (format!("--session {id}"), Asked { message: Some(id), ..Asked::default() }),
        (format!("--client {}", ip(n)), client(&ip(n))),
        ("--client 10.2.199.0/24".to_owned(), client("10.2.199.0/24")),
        ("--client 10.77.0.0/16 (none)".to_owned(), client("10.77.0.0/16")),
        (format!("--client {BUSY}"), client(BUSY)),
        ("--refused".to_owned(), Asked { refused: true, ..Asked::default() }),
        (format!("--client {BUSY} --refused"), Asked { refused: true, ..client(BUSY) }),
        (format!("--client {} --refused", ip(n)), Asked { refused: true, ..client(&ip(n)) }),
    ] {
        let begin = Instant::now();
        let found = sessions::search(folder, &asked, 100)?;
        let took = begin.elapsed().as_secs_f64() * 1000.0;
        let (count, complete) = (found.sessions.len(), found.complete);
        println!("{took:9.1} ms  {count:3} found, complete {complete}: {what}");
    }
    Ok(())
}

fn fits(filter: &str) -> Question {
    Question::Fits(Some(parse(filter, MESSAGE).expect("written above")))
}

fn told(folder: &Path, what: &str, question: &Question, now: Timestamp) -> io::Result<()> {
    let begin = Instant::now();
    let found = search(folder, question, 100, now)?;
    let took = begin.elapsed().as_secs_f64() * 1000.0;
    let (count, complete) = (found.messages.len(), found.complete);
    println!("{took:9.1} ms  {count:3} found, complete {complete}: {what}");
    Ok(())
}

fn write_log(
    folder: &Path,
    stem: &str,
    messages: u64,
    one: fn(u64, &mut String) -> std::fmt::Result,
) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{stem}.jsonl"));
    let mut out = BufWriter::with_capacity(1 << 20, fs::File::create(&path)?);
    let (mut written, mut text) = (0, String::new());
    for n in 0..messages {
        text.clear();
        one(n, &mut text).map_err(io::Error::other)?;
        out.write_all(text.as_bytes())?;
        written += text.len() as u64;
        if written >= FILE && n + 1 < messages {
            out.flush()?;
            let time = minted(n).rfc3339().replace(['-', ':'], "");
            fs::rename(&path, folder.join(format!("{stem}-{time}.jsonl")))?;
            out = BufWriter::with_capacity(1 << 20, fs::File::create(&path)?);
            written = 0;
        }
    }
    out.flush()
}

fn one(n: u64, text: &mut String) -> std::fmt::Result {
    let (at, id) = (minted(n), QueueId::first_at(minted(n)));
    let (from, to, message_id, client) = (sender(n), recipient(n), message_id(n), ip(n));
    let domain = recipient_domain(n);
    let later = at.plus(Duration::from_millis(140)).rfc3339();
    let (at, commit) = (at.rfc3339(), 2 * n);
    writeln!(
        text,
        "{{\"v\":1,\"at\":\"{at}\",\"commit\":{commit},\"id\":\"{id}\",\"event\":\"received\",\"from\":\"{from}\",\"to\":[\"{to}\"],\"size\":{},\"client\":\"{client}\",\"listener\":\"relay\",\"message_id\":\"{message_id}\",\"session\":\"in-{id}\"}}",
        2000 + n % 90_000
    )?;
    let commit = commit + 1;
    writeln!(
        text,
        "{{\"v\":1,\"at\":\"{later}\",\"commit\":{commit},\"id\":\"{id}\",\"event\":\"delivered\",\"to\":\"{to}\",\"host\":\"mx1.{domain}\",\"address\":\"198.51.{}.{}:25\",\"reply\":{{\"code\":250,\"enhanced\":\"2.0.0\",\"text\":\"Ok: queued as 4bXk{n:x}\"}},\"session\":\"out-C{:06}\"}}",
        n % 256,
        n % 250,
        n / 7 % 1_000_000
    )?;
    writeln!(
        text,
        "{{\"v\":1,\"at\":\"{later}\",\"commit\":{commit},\"id\":\"{id}\",\"event\":\"done\"}}"
    )
}

fn session(n: u64, text: &mut String) -> std::fmt::Result {
    let (at, id, ip) = (minted(n), QueueId::first_at(minted(n)), ip(n));
    let (at, from, to) = (at.rfc3339(), sender(n), recipient(n));
    let refused = u64::from(n.is_multiple_of(REFUSED));
    writeln!(
        text,
        "{{\"v\":1,\"at\":\"{at}\",\"session\":\"in-{id}\",\"direction\":\"in\",\"peer\":\"{ip}:4000\",\"local\":\"10.0.0.1:25\",\"listener\":\"relay\",\"took_ms\":12.5,\"helo\":\"c.example\",\"tls\":null,\"ended\":\"quit\",\"refused\":{refused},\"messages\":1,\"ids\":[\"{id}\"],\"lines\":[[0.1,\">\",\"220 mx\"],[1.2,\"<\",\"EHLO c.example\"],[1.3,\">\",\"250 mx\"],[2.1,\"<\",\"MAIL FROM:<{from}>\"],[2.2,\">\",\"250 2.1.0 ok\"],[3.0,\"<\",\"RCPT TO:<{to}>\"],[3.1,\">\",\"250 2.1.5 ok\"],[4.0,\"<\",\"DATA\"],[4.1,\">\",\"354 go on\"],[9.0,\">\",\"250 2.0.0 queued as {id}\"],[9.9,\"<\",\"QUIT\"]]}}"
    )
}

fn minted(n: u64) -> Timestamp {
    START.plus(STEP * u32::try_from(n).unwrap_or(u32::MAX))
}

fn sender(n: u64) -> String {
    format!("user{}@sender{}.example", n % 5000, n % 20)
}

fn recipient_domain(n: u64) -> String {
    format!("d{}.example", n.wrapping_mul(0x9e37_79b9) % 40_000)
}

fn recipient(n: u64) -> String {
    format!("person{}@{}", n.wrapping_mul(0x85eb_ca6b) % 2_000_000, recipient_domain(n))
}

fn message_id(n: u64) -> String {
    format!("<{:016x}.{n}@sender{}.example>", n.wrapping_mul(0x9e37_79b9_7f4a_7c15), n % 20)
}

fn ip(n: u64) -> String {
    if n.is_multiple_of(10) {
        return BUSY.to_owned();
    }
    format!("10.{}.{}.{}", n % 3, n / 3 % 200, n / 600 % 250)
}

fn size_of_all(folder: &Path, ending: &str) -> io::Result<u64> {
    let mut all = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|e| e == ending) {
            all += entry.metadata()?.len();
        }
    }
    Ok(all)
}
