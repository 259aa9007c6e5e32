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
    /// The sender wants to be told when it fails: there is one, and NOTIFY does not leave it out.
    pub asks: bool,
    /// The final dot was answered with 250.
    pub acknowledged: bool,
    /// The last reply that was not what was hoped for.
    pub refusal: Option<String>,
}

/// A message to hand in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Letter {
    /// Its number; its subject is `m-<number>-`.
    pub number: u32,
    /// Reverse-path; empty for `<>`.
    pub from: String,
    /// Parameters of MAIL, such as `SMTPUTF8`.
    pub mail_parameters: String,
    /// Forward-paths.
    pub to: Vec<String>,
    /// Parameters of every RCPT, such as `NOTIFY=NEVER`.
    pub rcpt_parameters: String,
    /// Header and body, with CRLF line ends, not yet stuffed.
    pub content: Vec<u8>,
}

impl Letter {
    /// A message of about `octets`.
    #[must_use]
    pub fn new(number: u32, from: &str, to: &[String], octets: usize) -> Self {
        let body = "x".repeat(70) + "\r\n";
        let body = body.repeat(octets / 72) + ".. a line with dots\r\n";
        let letter = Self {
            number,
            from: from.to_owned(),
            mail_parameters: String::new(),
            to: to.to_vec(),
            rcpt_parameters: String::new(),
            content: Vec::new(),
        };
        letter.saying(body.as_bytes())
    }

    /// With this body under the usual header.
    #[must_use]
    pub fn saying(mut self, body: &[u8]) -> Self {
        let Self { number, from, .. } = &self;
        let subject = subject(*number);
        let header = format!(
            "From: <{from}>\r\nSubject: {subject}\r\nMessage-ID: <{number}@sender.test>\r\n\r\n"
        );
        self.content = [header.as_bytes(), body].concat();
        self
    }

    /// With parameters of MAIL and of RCPT.
    #[must_use]
    pub fn with(mut self, mail: &str, rcpt: &str) -> Self {
        (self.mail_parameters, self.rcpt_parameters) = (mail.to_owned(), rcpt.to_owned());
        self
    }

    /// RFC 3461 section 4.1, RFC 5321 section 6.1.
    fn asks(&self) -> bool {
        let notify = self.rcpt_parameters.split_once("NOTIFY=");
        !self.from.is_empty() && notify.is_none_or(|(_, wishes)| wishes.contains("FAILURE"))
    }
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
pub async fn hand_in(world: &World, ledger: &Ledger, server: SocketAddr, letter: &Letter) {
    let mut handed = Handed {
        number: letter.number,
        from: letter.from.clone(),
        to: Vec::new(),
        asks: letter.asks(),
        acknowledged: false,
        refusal: None,
    };
    // A connection that breaks is part of the story: what counts is what was acknowledged.
    let _ = converse(world, &mut handed, server, letter).await;
    ledger.note(handed);
}

async fn converse(
    world: &World,
    handed: &mut Handed,
    server: SocketAddr,
    letter: &Letter,
) -> io::Result<()> {
    let dial = Dial { to: server, from: None, limit: Duration::from_secs(30) };
    let stream = world.net.dial(dial).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
    let mut line = Line { stream, buffer: Vec::new(), refusal: None };
    let ended = line.hand_over(handed, letter).await;
    handed.refusal = line.refusal.take();
    ended
}

/// RFC 5321 section 4.5.2.
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 16);
    for line in content.split_inclusive(|&b| b == b'\n') {
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
    }
    out.extend_from_slice(b".\r\n");
    out
}

struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    refusal: Option<String>,
}

impl Line {
    async fn hand_over(&mut self, handed: &mut Handed, letter: &Letter) -> io::Result<()> {
        self.expect('2').await?;
        self.command("EHLO client.sender.test", '2').await?;
        let mail = format!("MAIL FROM:<{}> {}", letter.from, letter.mail_parameters);
        self.command(mail.trim_end(), '2').await?;
        for recipient in &letter.to {
            let rcpt = format!("RCPT TO:<{recipient}> {}", letter.rcpt_parameters);
            if self.command(rcpt.trim_end(), '2').await.is_ok() {
                handed.to.push(recipient.clone());
            }
        }
        self.command("DATA", '3').await?;
        self.stream.write_all(&stuffed(&letter.content)).await?;
        self.expect('2').await?;
        handed.acknowledged = true;
        self.command("QUIT", '2').await
    }

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
                if met {
                    return Ok(());
                }
                self.refusal = Some(String::from_utf8_lossy(&line).trim_end().to_owned());
                return Err(io::ErrorKind::InvalidData.into());
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
