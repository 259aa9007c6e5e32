//! Postfix's `smtp-source` with odd options as the client: what Posthaste takes, and what it passes on, as a table.
//!
//! Not here: clients that no option of smtp-source makes (crates `smtp`, `sim`). The table, as seen:
//! `cargo test -p posthaste --test real_mail odd_clients -- --nocapture`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::sink::{Dumped, Sink};
use crate::tree;

const PATIENCE: Duration = Duration::from_secs(60);

/// One run of smtp-source and what has to come of it.
struct Row {
    options: &'static [&'static str],
    content: Content,
    expected: Expected,
}

/// What is sent: what smtp-source makes up, or a file of lines.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Content {
    /// `-l` octets, CRLF not always among them, in lines that begin with their number's last digit.
    Counted(usize),
    Own,
    HeaderOnly,
    BodyOnly,
    Dots,
    EightBit,
    LongLines,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Expected {
    /// So many messages with so many recipients each, octet for octet. More than a hundred recipients leave in
    /// transactions of a hundred.
    Taken(usize, usize),
    /// Nothing; smtp-source ends and shows the reply, which begins with this.
    Refused(&'static str),
}

use Content::{BodyOnly, Counted, Dots, EightBit, HeaderOnly, LongLines, Own};
use Expected::{Refused, Taken};

const fn row(options: &'static [&'static str], content: Content, expected: Expected) -> Row {
    Row { options, content, expected }
}

const TABLE: &[Row] = &[
    // Sessions and transactions.
    row(&[], Own, Taken(1, 1)),
    row(&["-c", "-v", "-4"], Own, Taken(1, 1)),
    row(&["-m", "50"], Own, Taken(50, 1)),
    row(&["-d", "-m", "50"], Own, Taken(50, 1)),
    row(&["-s", "20", "-m", "200"], Own, Taken(200, 1)),
    row(&["-s", "20", "-d", "-m", "200"], Own, Taken(200, 1)),
    row(&["-s", "5", "-m", "10", "-w", "1"], Own, Taken(10, 1)),
    row(&["-s", "5", "-m", "10", "-R", "1"], Own, Taken(10, 1)),
    row(&["-A", "-C", "3"], Own, Taken(1, 1)),
    row(&["-o"], Own, Refused("503 5.5.1 send EHLO first")),
    row(&["-L"], Own, Refused("500 5.5.2")),
    // Paths.
    row(&["-r", "50"], Own, Taken(1, 50)),
    row(&["-r", "1000"], Own, Taken(1, 1000)),
    row(&["-r", "1001"], Own, Refused("452 4.5.3")),
    row(&["-A", "-r", "1001"], Own, Taken(1, 1000)),
    row(&["-N", "-m", "20", "-r", "5"], Own, Taken(20, 5)),
    row(&["-f", ""], Own, Taken(1, 1)),
    row(&["-f", "\"two words\"@sender.test"], Own, Taken(1, 1)),
    row(&["-f", "without-a-domain"], Own, Refused("501 5.1.7")),
    row(&["-M", "[127.0.0.1]"], Own, Taken(1, 1)),
    row(&["-M", "under_score.test"], Own, Taken(1, 1)),
    // Content.
    row(&["-S", "a subject"], Own, Taken(1, 1)),
    row(&["-l", "1"], Counted(1), Taken(1, 1)),
    row(&["-l", "3000000"], Counted(3_000_000), Taken(1, 1)),
    row(&["-l", "1000000", "-T", "1024"], Counted(1_000_000), Taken(1, 1)),
    row(&["-l", "40000000"], Own, Refused("552 5.3.4")),
    row(&[], HeaderOnly, Taken(1, 1)),
    row(&[], BodyOnly, Taken(1, 1)),
    row(&[], Dots, Taken(1, 1)),
    row(&[], EightBit, Taken(1, 1)),
    row(&["-d", "-m", "3"], LongLines, Taken(3, 1)),
];

#[test]
fn odd_clients_are_served_or_told_why_not() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let sinks: Vec<_> = TABLE.iter().map(|_| Sink::start(&[])).collect();
    let listener = loopback::address(2525);
    let posthaste = Posthaste::start(&settings(dir.path(), listener, &sinks), dir.path());

    let mut wrong = Vec::new();
    let ran: Vec<_> = std::thread::scope(|threads| {
        let run = |n| run(&TABLE[n], n, listener, dir.path());
        let started: Vec<_> = (0..TABLE.len()).map(|n| threads.spawn(move || run(n))).collect();
        started.into_iter().map(|run| run.join().expect("it does not panic")).collect()
    });
    assert!(until(PATIENCE, || is_empty(&posthaste)), "{}", posthaste.log());
    for (n, ((row, sink), output)) in TABLE.iter().zip(&sinks).zip(ran).enumerate() {
        let taken = sink.messages();
        let said = String::from_utf8_lossy(&output.stderr);
        let line = format!(
            "{n:2} smtp-source {:30} {:18} {}, taken {} for {}  {}",
            row.options.join(" "),
            format!("{:?}", row.content),
            output.status,
            taken.len(),
            taken.iter().map(|m| m.recipients.len()).sum::<usize>(),
            said.lines().last().unwrap_or_default(),
        );
        println!("{line}");
        if !is_right(row, n, &taken, &output) {
            wrong.push(format!("{line}\n   expected {:?}\n{}", row.expected, first(&taken)));
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), posthaste.log());
}

fn is_right(row: &Row, n: usize, taken: &[Dumped], output: &Output) -> bool {
    match row.expected {
        Taken(messages, recipients) => {
            let split = recipients.div_ceil(100); // what RFC 5321 asks every server to take
            output.status.success()
                && taken.len() == messages * split
                && taken.iter().all(|m| m.recipients.len() == recipients / split)
                && taken.iter().flat_map(|m| &m.recipients).all(|r| is_for(r, n))
                && taken.iter().all(|m| arrived_whole(row.content, &m.content))
        }
        Refused(reply) => {
            let said = String::from_utf8_lossy(&output.stderr);
            !output.status.success()
                && taken.is_empty()
                && said.contains(&format!("rejected: {reply}"))
        }
    }
}

/// Numbers may stand before the local part.
fn is_for(recipient: &str, row: usize) -> bool {
    recipient.ends_with(&format!("bob@row{row}.test>"))
}

/// Lines over 998 octets are folded on the way out, as Postfix does it: a line end and a blank are put in.
fn unfolded(taken: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(taken);
    assert!(text.lines().all(|line| line.len() <= 998), "the longest line that SMTP carries");
    text.replace("\n x", "x").into_bytes()
}

fn arrived_whole(sent: Content, taken: &[u8]) -> bool {
    if let Some(lines) = lines(sent) {
        let taken = if sent == LongLines { unfolded(taken) } else { taken.to_vec() };
        let sent = [b"\n", &lines[..], b"\n"].concat(); // smtp-source ends the data with one more line end
        return taken.starts_with(b"Received: ") && taken.ends_with(&sent);
    }
    let text = String::from_utf8_lossy(taken);
    let Some((header, body)) = text.split_once("\n\n") else { return false };
    let header_is_there = ["Received: ", "\nFrom: <", "\nTo: <", "\nMessage-Id: <"];
    let body_is_there = match sent {
        Counted(octets) => counted(body).abs_diff(octets) <= 2,
        _ => body == "La de da de da 1.\nLa de da de da 2.\nLa de da de da 3.\nLa de da de da 4.\n",
    };
    header_is_there.iter().all(|part| header.contains(part)) && body_is_there
}

/// Octets of the lines on the wire, each of which begins with the last digit of its number; except the last line.
fn counted(body: &str) -> usize {
    let count = body.lines().count();
    let numbers = (1..count).map(|n| (n % 10).to_string());
    let in_order = body.lines().zip(numbers).all(|(line, number)| line.starts_with(&number));
    if in_order { body.len() + count } else { 0 }
}

/// The beginning of the first message, for the reader of a failure.
fn first(taken: &[Dumped]) -> String {
    taken.first().map_or_else(String::new, |m| {
        let text = String::from_utf8_lossy(&m.content)
            .lines()
            .map(|line| format!("{} {line:.80}\n", line.len()))
            .collect::<String>();
        format!("{} {:?}\n{text}", m.mail, m.recipients)
    })
}

fn is_empty(posthaste: &Posthaste) -> bool {
    let listed = posthaste.json(&["queue", "messages"]);
    listed["messages"].as_array().is_some_and(Vec::is_empty)
}

fn run(row: &Row, n: usize, listener: SocketAddr, dir: &Path) -> Output {
    let mut command = tree::command("usr/sbin/smtp-source");
    command.args(["-t", &format!("bob@row{n}.test"), "-f", "a@sender.test"]);
    command.args(["-M", "client.test"]).args(row.options);
    if let Some(lines) = lines(row.content) {
        let file = dir.join(format!("content{n}"));
        fs::write(&file, lines).expect("ours");
        command.arg("-F").arg(file);
    }
    command.arg(format!("inet:{listener}")).output().expect("setup unpacks it")
}

fn lines(content: Content) -> Option<Vec<u8>> {
    Some(match content {
        Own | Counted(_) => return None,
        HeaderOnly => b"Subject: no body\n".to_vec(),
        BodyOnly => b"no header at all\n".to_vec(),
        Dots => b"Subject: dots\n\n.\n..\n.leading\n...\n".to_vec(),
        EightBit => b"Subject: gr\xfcn\n\n\xff\xfe\x80 gr\xc3\xbcn\n".to_vec(),
        LongLines => {
            let lines = [998, 999, 1000, 5000, 100_000].map(|n| "x".repeat(n) + "\n").concat();
            format!("Subject: long lines\n\n{lines}.\n").into_bytes()
        }
    })
}

fn settings(dir: &Path, listener: SocketAddr, sinks: &[Sink]) -> String {
    let mut text = format!(
        "hostname = \"mta.sender.test\"\ndata = \"{}\"\n\
         [[listener]]\naddress = \"{listener}\"\n\
         [resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n\
         [admin]\naddress = \"off\"\n",
        dir.join("data").display(),
    );
    for (n, sink) in sinks.iter().enumerate() {
        text += &format!("[[route]]\nto = [\"row{n}.test\"]\nvia = [\"{}\"]\n", sink.address());
    }
    text
}
