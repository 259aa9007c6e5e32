//! OpenSMTPD with TLS and AUTH: two submission ports with a table of users, and an action of its own for every way.
//!
//! It runs with `openssl3.c`, without which Debian's cannot be a TLS server. Not here: rooms (`room`). It has no setting for the version of TLS of one listener or relay, and cannot be told of
//! another authority than the machine's.

use std::fs;
use std::time::Duration;

use crate::base_tree;
use crate::client::Client;
use crate::more_tree;
use crate::peer::{Peer, Scene};
use crate::process::{Process, until};
use crate::room::{Room, User};
use crate::way::{Check, OTHER_NAME, PASSWORD, Security, Seen, USER, WRONG_PASSWORD, Way};

const START: Duration = Duration::from_secs(30);
/// In every Debian.
const MAIL: u32 = 8;
const QUEUE: u32 = 3;

pub(crate) struct OpenSmtpd {
    _process: Process,
    room: Room,
}

impl OpenSmtpd {
    pub(crate) fn start(scene: &Scene<'_>) -> Self {
        let users =
            [User("root", 0), User("mail", MAIL), User("opensmtpd", 2), User("opensmtpq", QUEUE)];
        let room = Room::copied(&base_tree::root().join("rooms/opensmtpd"), &users);
        room.folder("mail", MAIL);
        for folder in ["var/lib/opensmtpd/empty", "var/run", "tmp", "etc/ssl/certs"] {
            room.folder(folder, 0);
        }
        scene.certify(&room.path("tls"));
        scene.authority.certify_rsa(scene.place.name, &room.path("tls"));
        room.write("etc/ssl/certs/ca-certificates.crt", &scene.authority.pem());
        room.write("etc/mailname", &format!("{}\n", scene.place.name));
        // It asks for the names of its clients; nobody answers there, at once.
        room.write("etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n");
        let target = scene.target;
        let hosts =
            format!("127.0.0.1 localhost\n{} {} {OTHER_NAME}\n", target.starttls.ip(), target.name);
        room.write("etc/hosts", &hosts);
        room.write("etc/smtpd.conf", &settings(scene));
        let shim = room.path("openssl3.so");
        fs::copy(more_tree::root().join("openssl3.so"), shim).expect("setup made it");
        let smtpd = "LD_PRELOAD=/openssl3.so exec /usr/sbin/smtpd -dv -f /etc/smtpd.conf";
        let command = room.command(&["/bin/sh", "-c", smtpd]);
        let mut process = Process::spawn(command, &room.path("output"));
        let address = scene.place.plain();
        let ready = until(START, || Client::connect(address).is_ok() || !process.is_running());
        let running = process.is_running();
        let server = Self { _process: process, room };
        assert!(ready && running, "OpenSMTPD does not start:\n{}", server.log());
        server
    }
}

impl Peer for OpenSmtpd {
    fn kept(&self) -> Vec<String> {
        self.room
            .maildir("mail/box")
            .map(|file| fs::read(file).expect("complete once named"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// Its trace field names all, after a field or two of the delivery's.
    fn says_of_kept(&self, message: &str) -> Seen {
        let field = message.split("Received:").nth(1).unwrap_or_default();
        let login = field.split(" user=").nth(1).and_then(|rest| rest.split_whitespace().next());
        Seen::read(field, login)
    }

    /// Lines of one session bear its number, the first word.
    fn says_of_sent(&self, domain: &str) -> Option<Seen> {
        let log = self.log();
        let to = format!("@{domain}>");
        let sent = log.lines().find(|line| {
            line.contains(" mta delivery ") && line.contains(&to) && line.contains("result=\"Ok\"")
        })?;
        let session = sent.split_whitespace().next()?;
        let secured =
            log.lines().find(|line| line.starts_with(session) && line.contains(" mta tls "))?;
        Some(Seen::read(secured, None))
    }

    /// All that it says: each such way has an OpenSMTPD of its own.
    fn says_of_waiting(&self, _: &str) -> String {
        self.log()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.room.path("output")).unwrap_or_default()
    }
}

fn settings(scene: &Scene<'_>) -> String {
    let place = &scene.place;
    let (name, domain, target) = (place.name, place.domain, place.target());
    let actions: String = scene.ways.iter().map(|way| action(way, scene)).collect();
    format!(
        "smtp max-message-size 40M\n\
         pki own cert \"/tls/{name}.crt\"\npki own key \"/tls/{name}.key\"\n\
         table boxes {{ \"@\" = \"mail\" }}\n\
         table users {{ \"{USER}\" = \"{hash}\" }}\n\
         table secrets {{ \"right\" = \"{USER}:{PASSWORD}\", \"wrong\" = \"{USER}:{WRONG_PASSWORD}\" }}\n\
         listen on {ip} port 25 hostname {name}\n\
         listen on {ip} port {submission} hostname {name} tls-require pki own auth-optional <users> received-auth\n\
         listen on {ip} port {submissions} hostname {name} smtps pki own auth-optional <users> received-auth\n\
         action \"keep\" maildir \"/mail/box\" virtual <boxes>\n\
         match from any for domain \"*.{domain}\" action \"keep\"\n{actions}",
        ip = place.ip,
        submission = target.starttls.port(),
        submissions = target.implicit.port(),
        hash = hash(),
    )
}

fn action(way: &Way, scene: &Scene<'_>) -> String {
    let label = way.label();
    let protocol = if way.security == Security::Implicit { "smtps" } else { "smtp+tls" };
    let name = if way.check == Check::OtherName { OTHER_NAME } else { scene.target.name };
    let (secret, auth) = match (way.auth.name(), way.right_password) {
        ("", _) => ("", ""),
        (_, true) => ("right@", " auth <secrets>"),
        (_, false) => ("wrong@", " auth <secrets>"),
    };
    let checked = if way.checks() { "" } else { " tls no-verify" };
    format!(
        "action \"{label}\" relay host \"{protocol}://{secret}{name}:{port}\"{auth}{checked}\n\
         match from any for domain \"{domain}\" action \"{label}\"\n",
        port = scene.target.address(way).port(),
        domain = way.domain(scene.target.domain),
    )
}

/// As crypt(3) keeps a password.
fn hash() -> String {
    let output = std::process::Command::new("openssl")
        .args(["passwd", "-6", "-salt", "ofthistest", PASSWORD])
        .output()
        .expect("setup saw to openssl");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
