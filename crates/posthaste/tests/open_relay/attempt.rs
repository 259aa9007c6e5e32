//! One session of a stranger's with one trick.

use crate::tricks::{How, Trick};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The longest wait for a reply: refusals may wait.
const PATIENCE: Duration = Duration::from_secs(20);
/// After octets that may have any number of replies, so much silence means that there are no more.
const QUIET: Duration = Duration::from_millis(250);

/// What the server said to it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// A recipient that the trick is about was accepted.
    pub(crate) taken: bool,
    /// The reply that tells most.
    pub(crate) said: String,
}

/// A session, its replies read one by one.
struct Session {
    stream: TcpStream,
    rest: String,
}

impl Session {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { stream, rest: String::new() }
    }

    fn send(&mut self, octets: &[u8]) {
        // A server that has closed refuses too.
        let _ = self.stream.write_all(octets);
    }

    /// False at the end of the stream.
    fn more(&mut self) -> bool {
        let mut octets = [0; 4096];
        match self.stream.read(&mut octets) {
            Ok(0) => false,
            Ok(read) => {
                self.rest += &String::from_utf8_lossy(&octets[..read]);
                true
            }
            Err(e) => {
                matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
            }
        }
    }

    /// The next reply's last line; empty when the server closed.
    fn reply(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            while let Some((line, rest)) = self.rest.split_once("\r\n") {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.rest = rest;
                if line.as_bytes().get(3) == Some(&b' ') {
                    return line;
                }
            }
            if !self.more() {
                return String::new();
            }
            assert!(Instant::now() < deadline, "no reply: {:?}", self.rest);
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// All that is said until it is quiet.
    fn all(&mut self) -> Vec<String> {
        let mut heard = Instant::now();
        let mut before = self.rest.len();
        while heard.elapsed() < QUIET && self.more() {
            if self.rest.len() != before {
                (heard, before) = (Instant::now(), self.rest.len());
            }
        }
        std::mem::take(&mut self.rest).lines().map(str::to_owned).collect()
    }
}

/// Plays the trick with a message that bears the mark.
pub(crate) fn run(port: u16, trick: &Trick, mark: &str) -> Seen {
    let mut session = Session::open(port);
    match &trick.how {
        How::Address { before, mail, rcpt } => address(&mut session, before, mail, rcpt, mark),
        How::Octets(octets) => {
            let octets = String::from_utf8_lossy(octets).replace("MARK", mark);
            session.reply();
            raw(&mut session, octets.as_bytes())
        }
        How::Early(octets) => {
            session.send(octets);
            let envelope = "EHLO stranger.example\r\nMAIL FROM:<a@stranger.example>\r\n\
                            RCPT TO:<user@victim.example>\r\n";
            raw(&mut session, envelope.as_bytes())
        }
    }
}

fn address(session: &mut Session, before: &[&str], mail: &str, rcpt: &str, mark: &str) -> Seen {
    session.reply();
    if !before.iter().any(|line| line.starts_with("EHLO") || line.starts_with("HELO")) {
        session.say("EHLO stranger.example");
    }
    for line in before {
        session.say(line);
    }
    let said = session.say(&format!("MAIL FROM:{mail}"));
    if !said.starts_with("250") {
        return Seen { taken: false, said };
    }
    let said = session.say(&format!("RCPT TO:{rcpt}"));
    let taken = said.starts_with("250");
    if taken && session.say("DATA").starts_with("354") {
        session.say(&format!("Subject: {mark}\r\n\r\nhello\r\n."));
    }
    session.say("QUIT");
    Seen { taken, said }
}

/// Any number of replies may come: what the victim's recipient was told cannot be told from others, so that the sinks
/// decide; a second message in one is seen by its reply.
fn raw(session: &mut Session, octets: &[u8]) -> Seen {
    session.send(octets);
    let said = session.all();
    session.send(b"\r\n.\r\nQUIT\r\n");
    let _rest = session.all();
    let refusal = said.iter().rfind(|line| line.starts_with(['4', '5']));
    let last = refusal.or(said.last()).cloned().unwrap_or_default();
    let taken = said.iter().filter(|line| line.contains("queued as")).count() > 1;
    Seen { taken, said: last }
}
