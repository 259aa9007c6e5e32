//! Postfix's test server `smtp-sink`: a mail host that can be told to misbehave, and writes down what it took.
//!
//! Not here: what Posthaste should make of it (`odd_servers`). smtp-sink(1) has the options.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use crate::loopback;
use crate::process::{Process, until};
use crate::tree;

const START: Duration = Duration::from_secs(10);

/// A running server; stopped and its mail removed when dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    _process: Process,
    dir: TempDir,
}

/// One message as it came over the wire, transparency undone.
#[derive(Debug, Clone)]
pub(crate) struct Dumped {
    /// `<path> PARAMETERS` of MAIL.
    pub(crate) mail: String,
    /// `<path> PARAMETERS` of each RCPT, in order.
    pub(crate) recipients: Vec<String>,
    /// The address that the connection came from.
    pub(crate) client: String,
    /// What the client called itself.
    pub(crate) helo: String,
    /// `SMTP`, `ESMTP` or `LMTP`.
    pub(crate) protocol: String,
    /// Header and body with LF as line end, our trace field included.
    pub(crate) content: Vec<u8>,
}

impl Sink {
    /// Listens on an address of its own, port 25, with these options; returns when it does.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::start_at(25, options)
    }

    /// The same on another port.
    pub(crate) fn start_at(port: u16, options: &[&str]) -> Self {
        let address = loopback::address(port);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mail = dir.path().join("mail");
        fs::create_dir(&mail).expect("new");
        for folder in [dir.path(), &mail] {
            std::os::unix::fs::chown(folder, Some(MAIL_USER), None)
                .expect("these tests run as root: servers use port 25");
        }
        let mut command = tree::command("usr/sbin/smtp-sink");
        command.args(["-v", "-u", "mail", "-d"]).arg(mail.join("%s.")).args(options);
        command.arg(format!("inet:{address}")).arg("100");
        let mut process = Process::spawn(command, &dir.path().join("log"));
        // Asked without a connection: some options count them.
        let up = until(START, || loopback::listens(address) || !process.is_running());
        let running = process.is_running();
        let sink = Self { address, _process: process, dir };
        assert!(up && running, "smtp-sink {options:?} does not start:\n{}", sink.log());
        sink
    }

    /// Where it takes mail.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every message taken so far, whole or under way, in no particular order.
    pub(crate) fn messages(&self) -> Vec<Dumped> {
        files(&self.dir.path().join("mail")).iter().map(|bytes| dumped(bytes)).collect()
    }

    /// How many messages were taken so far.
    pub(crate) fn count(&self) -> usize {
        fs::read_dir(self.dir.path().join("mail")).expect("ours").count()
    }

    /// The commands it saw.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.dir.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// The same on every Debian.
const MAIL_USER: u32 = 8;

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(folder).expect("ours");
    entries.filter_map(|entry| fs::read(entry.ok()?.path()).ok()).collect()
}

/// Fields of its own come first, then `Received:` of three lines, then what came over the wire, then an empty line.
fn dumped(bytes: &[u8]) -> Dumped {
    let mut taken = Dumped {
        mail: String::new(),
        recipients: vec![],
        client: String::new(),
        helo: String::new(),
        protocol: String::new(),
        content: vec![],
    };
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        match line.split_once(": ") {
            Some(("X-Mail-Args", args)) => taken.mail = args.to_owned(),
            Some(("X-Rcpt-Args", args)) => taken.recipients.push(args.to_owned()),
            Some(("X-Client-Addr", address)) => taken.client = address.to_owned(),
            Some(("X-Helo-Args", name)) => taken.helo = name.to_owned(),
            Some(("X-Client-Proto", protocol)) => taken.protocol = protocol.to_owned(),
            Some(("Received", _)) => break,
            _ => {}
        }
    }
    let folded = rest.split_inclusive(|b| *b == b'\n').take_while(|line| line.starts_with(b"\t"));
    let folded: usize = folded.map(<[u8]>::len).sum();
    rest = &rest[folded..];
    taken.content = rest.strip_suffix(b"\n").unwrap_or(rest).to_vec();
    taken
}
