//! A real OpenSMTPD: somebody else's mail host, and a client that hands everything else to Posthaste.
//!
//! Not here: what is expected (`neighbours`). It starts as root in a room of its own, with the users that it insists on.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::Client;
use crate::process::{Process, until};
use crate::room::{Room, User};

const START: Duration = Duration::from_secs(30);
/// In every Debian.
const MAIL: u32 = 8;
const QUEUE: u32 = 3;

/// A running OpenSMTPD; stopped and removed when dropped.
pub(crate) struct OpenSmtpd {
    _process: Process,
    room: Room,
}

impl OpenSmtpd {
    /// Keeps mail for `domain` and relays all other mail to `smarthost`.
    pub(crate) fn start(address: SocketAddr, domain: &str, smarthost: SocketAddr) -> Self {
        let users =
            [User("root", 0), User("mail", MAIL), User("opensmtpd", 2), User("opensmtpq", QUEUE)];
        let room = Room::of("opensmtpd", &users);
        room.folder("mail", MAIL);
        for folder in ["var/lib/opensmtpd/empty", "var/run", "tmp"] {
            room.folder(folder, 0);
        }
        room.write("etc/mailname", &format!("mx.{domain}\n"));
        // It asks for the names of its clients; nobody answers there, at once.
        room.write("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        room.write("etc/hosts", "127.0.0.1 localhost\n");
        room.write("etc/smtpd.conf", &settings(address, domain, smarthost));
        let command = room.command(&["/usr/sbin/smtpd", "-dv", "-f", "/etc/smtpd.conf"]);
        let mut process = Process::spawn(command, &room.path("output"));
        let ready = until(START, || Client::connect(address).is_ok() || !process.is_running());
        let running = process.is_running();
        let server = Self { _process: process, room };
        assert!(ready && running, "OpenSMTPD does not start:\n{}", server.log());
        server
    }

    /// Every message it keeps.
    pub(crate) fn arrived(&self) -> Vec<Vec<u8>> {
        self.room
            .maildir("mail/box")
            .map(|file| fs::read(file).expect("complete once named"))
            .collect()
    }

    /// How many messages it keeps.
    pub(crate) fn count(&self) -> usize {
        self.room.maildir("mail/box").count()
    }

    /// What it logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.room.path("output")).unwrap_or_default()
    }
}

fn settings(address: SocketAddr, domain: &str, smarthost: SocketAddr) -> String {
    format!(
        "smtp max-message-size 40M\n\
         table boxes {{ \"@\" = \"mail\" }}\n\
         listen on {ip} port {port} hostname mx.{domain}\n\
         action \"keep\" maildir \"/mail/box\" virtual <boxes>\n\
         action \"relay\" relay host smtp://{smarthost}\n\
         match from any for domain \"{domain}\" action \"keep\"\n\
         match from any for any action \"relay\"\n",
        ip = address.ip(),
        port = address.port(),
    )
}
