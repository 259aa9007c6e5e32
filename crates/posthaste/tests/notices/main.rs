//! Notices of a real daemon: every kind in both languages as two readers of others understand it, and 20 times `kill -9`
//! between a failure and its notice.
//!
//! Not here: when notices are due, and who is told what (crate `sim`, stories of notices); their words (`posthaste_message`).
//! `setup` beside this file unpacks the readers; `pictures` shows notices as programs for people do.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod hosts;
mod kills;
mod readers;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");
const HOSTNAME: &str = "mta.notices.test";
/// Where the daemon believes to be. What it tells is in UTC all the same.
const ZONES: [&str; 2] = ["Europe/Berlin", "America/New_York"];
const PATIENCE: Duration = Duration::from_secs(60);

struct Daemon(Child);

impl Daemon {
    /// `kill -9`: nothing is said, nothing is closed.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A verb with the settings of this folder.
fn verb(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).args(words).args(["--config", "p.toml"]);
    command.output().expect("cargo built it")
}

/// A daemon of this folder whose environment names a time zone.
fn start(folder: &Path, zone: &str) -> Daemon {
    let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new(BINARY);
    command.current_dir(folder).args(["--allow-clock-scale", "serve", "--config", "p.toml"]);
    command.env("TZ", zone).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let daemon = Daemon(command.spawn().unwrap());
    let ready = verb(folder, &["ping", "--wait", "20s"]);
    assert!(ready.status.success(), "{ready:?} {:?}", fs::read_to_string(folder.join("log")));
    daemon
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Settings with one door and these routes; nothing leaves loopback.
fn settings(port: u16, routes: &str, more: &str) -> String {
    format!(
        "hostname = \"{HOSTNAME}\"\n{more}\n[[listener]]\naddress = \"127.0.0.1:{port}\"\n\
         [resolver]\nservers = \"127.0.0.1:1\"\nroots = []\ntry_limit = \"200ms\"\ntries = 1\n\
         [admin]\naddress = \"off\"\n{routes}"
    )
}

/// A rule that sends mail for this domain to one host.
fn route(domain: &str, host: std::net::SocketAddr, more: &str) -> String {
    format!("[[route]]\nto = \"{domain}\"\nvia = \"{host}\"\n{more}\n")
}

/// Waits until it is so.
fn wait_for(what: &str, mut met: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !met() {
        assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// An SMTP session of a client that waits for each reply.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap()));
        client.hear("220");
        client.say("EHLO client.sender.test\r\n", "250");
        client
    }

    fn say(&mut self, line: &str, expected: &str) {
        self.0.get_mut().write_all(line.as_bytes()).unwrap();
        self.hear(expected);
    }

    fn hear(&mut self, expected: &str) {
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            assert!(line.starts_with(expected), "{line} where {expected} was expected");
            if line.as_bytes().get(3) == Some(&b' ') {
                return;
            }
        }
    }

    /// Parameters of MAIL and RCPT with a blank in front; the message with CRLF line ends and no line that is a dot.
    fn send(&mut self, from: (&str, &str), to: (&str, &str), message: &str) {
        self.say(&format!("MAIL FROM:<{}>{}\r\n", from.0, from.1), "250");
        self.say(&format!("RCPT TO:<{}>{}\r\n", to.0, to.1), "250");
        self.say("DATA\r\n", "354");
        self.say(&format!("{message}\r\n.\r\n"), "250");
    }
}
