//! A client that hands mail in over SMTP and knows exactly what it was told. Written apart from the product's
//! own protocol code.

use posthaste_io::{Dial, Stream, StreamExt, World};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One message handed in, and what became of the hand-over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handed {
    /// Its number; its subject is `m-<number>-`.
    pub number: u32,
    /// Reverse-path.
    pub from: String,
    /// The forward-paths that were accepted.
    pub to: Vec<String>,
    /// The final dot was answered with 250.
    pub acknowledged: bool,
}

/// All that a test has handed in. Clones share it; it outlives every crash.
#[derive(Clone, Default)]
pub struct Ledger {
    handed: Arc<Mutex<Vec<Handed>>>,
}

impl Ledger {
    /// Everything handed in so far.
    #[must_use]
    pub fn all(&self) -> Vec<Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, handed: Handed) {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).push(handed);
    }
}

/// The subject by which a message is known again everywhere.
#[must_use]
pub fn subject(number: u32) -> String {
    format!("m-{number}-")
}

/// Hands one message in; notes what came of it, also when it failed half-way.
pub async fn hand_in(
    world: &World,
    ledger: &Ledger,
    to_server: SocketAddr,
    number: u32,
    from: &str,
    to: &[String],
    octets: usize,
) {
    let mut handed = Handed { number, from: from.to_owned(), to: Vec::new(), acknowledged: false };
    // A connection that breaks is part of the story: what counts is what was acknowledged.
    let _ = converse(world, &mut handed, to_server, to, octets).await;
    ledger.note(handed);
}

async fn converse(
    world: &World,
    handed: &mut Handed,
    to_server: SocketAddr,
    to: &[String],
    octets: usize,
) -> io::Result<()> {
    let dial = Dial { to: to_server, from: None, limit: Duration::from_secs(30) };
    let stream = world.net.dial(dial).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
    let mut line = Line { stream, buffer: Vec::new() };
    line.expect('2').await?;
    line.command("EHLO client.sender.test", '2').await?;
    line.command(&format!("MAIL FROM:<{}>", handed.from), '2').await?;
    for recipient in to {
        if line.command(&format!("RCPT TO:<{recipient}>"), '2').await.is_ok() {
            handed.to.push(recipient.clone());
        }
    }
    line.command("DATA", '3').await?;
    let content = content(handed.number, &handed.from, octets);
    line.stream.write_all(content.as_bytes()).await?;
    line.expect('2').await?;
    handed.acknowledged = true;
    line.command("QUIT", '2').await
}

fn content(number: u32, from: &str, octets: usize) -> String {
    let header = format!(
        "From: <{from}>\r\nSubject: {}\r\nMessage-ID: <{number}@sender.test>\r\n",
        subject(number)
    );
    let line = "x".repeat(70);
    let lines = octets / 72;
    let body: String = std::iter::repeat_n(format!("{line}\r\n"), lines).collect();
    format!("{header}\r\n{body}.. a line with dots\r\n.\r\n")
}

struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Line {
    async fn command(&mut self, command: &str, class: char) -> io::Result<()> {
        self.stream.write_all(format!("{command}\r\n").as_bytes()).await?;
        self.expect(class).await
    }

    /// Reads one reply, and is content when its first digit is `class`.
    async fn expect(&mut self, class: char) -> io::Result<()> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if line.get(3) == Some(&b'-') {
                    continue;
                }
                let met = line.first().copied().map(char::from) == Some(class);
                return if met { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) };
            }
            let mut chunk = [0; 1024];
            let read = self.stream.read(&mut chunk).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..read]);
        }
    }
}
