//! One session of a stranger's with one trick.

use crate::tricks::{How, Trick};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest wait for a reply: refusals may wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the server said to it.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// A recipient that the trick is about was accepted.
    pub(crate) taken: bool,
    /// The reply that tells most.
    pub(crate) said: String,
    /// To octets: the code of each reply, one after the other, from the greeting to the end.
    pub(crate) codes: String,
}

/// Where a session goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) port: u16,
    /// The server's certificate, in PEM.
    pub(crate) certificate: Vec<u8>,
}

enum Link {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Broken,
}

/// A session, its replies read one by one.
struct Session {
    link: Link,
    rest: String,
}

impl Session {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { link: Link::Clear(stream), rest: String::new() }
    }

    fn send(&mut self, octets: &[u8]) {
        // A server that has closed refuses too.
        let _ = match &mut self.link {
            Link::Clear(stream) => stream.write_all(octets),
            Link::Tls(stream) => stream.write_all(octets),
            Link::Broken => Ok(()),
        };
    }

    /// False at the end of the stream.
    fn more(&mut self) -> bool {
        let mut octets = [0; 4096];
        let read = match &mut self.link {
            Link::Clear(stream) => stream.read(&mut octets),
            Link::Tls(stream) => stream.read(&mut octets),
            Link::Broken => Ok(0),
        };
        match read {
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

    /// The handshake, to its end.
    fn secure(&mut self, certificate: &[u8]) {
        let Link::Clear(stream) = std::mem::replace(&mut self.link, Link::Broken) else { return };
        let mut roots = RootCertStore::empty();
        for own in CertificateDer::pem_slice_iter(certificate) {
            roots.add(own.unwrap()).unwrap();
        }
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("mail.ours.example").unwrap();
        let client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut stream = StreamOwned::new(client, stream);
        stream.sock.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.conn.complete_io(&mut stream.sock).expect("the handshake succeeds");
        stream.sock.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        self.link = Link::Tls(Box::new(stream));
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

    /// All that is said until the server closes.
    fn all(&mut self) -> Vec<String> {
        if let Link::Clear(stream) = &self.link {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let deadline = Instant::now() + PATIENCE;
        while self.more() {
            assert!(Instant::now() < deadline, "it does not close: {:?}", self.rest);
        }
        std::mem::take(&mut self.rest).lines().map(str::to_owned).collect()
    }
}

/// Plays the trick with a message that bears the mark.
pub(crate) fn run(target: &Target, trick: &Trick, mark: &str) -> Seen {
    let mut session = Session::open(target.port);
    match &trick.how {
        How::Address { before, mail, rcpt } => {
            address(&mut session, target, (before, mail, rcpt), mark)
        }
        How::Octets(octets, _) => {
            let octets = String::from_utf8_lossy(octets).replace("MARK", mark);
            raw(&mut session, octets.as_bytes())
        }
        How::Early(octets, _) => {
            session.send(octets);
            let envelope = "EHLO stranger.example\r\nMAIL FROM:<a@stranger.example>\r\n\
                            RCPT TO:<user@victim.example>\r\n";
            raw(&mut session, envelope.as_bytes())
        }
    }
}

fn address(
    session: &mut Session,
    target: &Target,
    (before, mail, rcpt): (&[&str], &str, &str),
    mark: &str,
) -> Seen {
    session.reply();
    if !before.iter().any(|line| line.starts_with("EHLO") || line.starts_with("HELO")) {
        session.say("EHLO stranger.example");
    }
    for line in before {
        let said = session.say(line);
        if *line == "STARTTLS" && said.starts_with("220") {
            session.secure(&target.certificate);
        }
    }
    let said = session.say(&format!("MAIL FROM:{mail}"));
    if !said.starts_with("250") {
        return Seen { said, ..Seen::default() };
    }
    let said = session.say(&format!("RCPT TO:{rcpt}"));
    let taken = said.starts_with("250");
    if taken && session.say("DATA").starts_with("354") {
        session.say(&format!("Subject: {mark}\r\n\r\nhello\r\n."));
    }
    session.say("QUIT");
    Seen { taken, said, ..Seen::default() }
}

/// Any number of replies may come: what the victim's recipient was told cannot be told from others, so that the sinks
/// decide; a second message in one is seen by its reply.
fn raw(session: &mut Session, octets: &[u8]) -> Seen {
    session.send(octets);
    session.send(b"\r\n.\r\nQUIT\r\n");
    let said = session.all();
    let refusal = said.iter().rfind(|line| line.starts_with(['4', '5']));
    let last = refusal.or(said.last()).cloned().unwrap_or_default();
    let taken = said.iter().filter(|line| line.contains("queued as")).count() > 1;
    let last_lines = said.iter().filter(|line| line.as_bytes().get(3) == Some(&b' '));
    let codes: Vec<&str> = last_lines.filter_map(|line| line.get(..3)).collect();
    Seen { taken, said: last, codes: codes.join(" ") }
}
