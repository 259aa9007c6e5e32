//! A real Exim: somebody else's mail host, and a client that hands everything else to Posthaste.
//!
//! Not here: what is expected (`neighbours`). It runs as the user `mail` in a room of its own.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use crate::client::Client;
use crate::process::{Process, until};
use crate::room::{Room, User};

const START: Duration = Duration::from_secs(30);
/// In every Debian.
const MAIL: u32 = 8;

/// A running Exim; stopped and removed when dropped.
pub(crate) struct Exim {
    _process: Process,
    room: Room,
}

impl Exim {
    /// Keeps mail for `domain` and relays all other mail to `smarthost`.
    pub(crate) fn start(address: SocketAddr, domain: &str, smarthost: SocketAddr) -> Self {
        // Exim looks for its own user when it starts, whatever the settings say.
        let users = [User("root", 0), User("mail", MAIL), User("Debian-exim", MAIL)];
        let room = Room::of("exim4-daemon-light", &users);
        room.folder("mail", MAIL);
        room.write("etc/exim.conf", &settings(address, domain, smarthost));
        let command = room.command(&["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-bdf", "-q1s"]);
        let mut process = Process::spawn(command, &room.path("output"));
        let ready = until(START, || Client::connect(address).is_ok() || !process.is_running());
        let running = process.is_running();
        let exim = Self { _process: process, room };
        assert!(ready && running, "Exim does not start:\n{}", exim.log());
        exim
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
        ["output", "mail/log-main", "mail/log-panic", "mail/log-reject"]
            .map(|file| fs::read_to_string(self.room.path(file)).unwrap_or_default())
            .concat()
    }
}

fn settings(address: SocketAddr, domain: &str, smarthost: SocketAddr) -> String {
    let (ip, port) = (address.ip(), address.port());
    let (hop, hop_port) = (smarthost.ip(), smarthost.port());
    format!(
        "primary_hostname = mx.{domain}\n\
         daemon_smtp_ports = {port}\nlocal_interfaces = <; [{ip}]:{port}\n\
         spool_directory = /mail/spool\nlog_file_path = /mail/log-%s\n\
         exim_user = mail\nexim_group = mail\nnever_users =\ndeliver_drop_privilege = true\n\
         keep_environment =\n\
         acl_smtp_rcpt = accept\nacl_smtp_data = accept\n\
         host_lookup =\nrfc1413_query_timeout = 0s\ntls_advertise_hosts =\n\
         dsn_advertise_hosts = *\nchunking_advertise_hosts = *\nsmtputf8_advertise_hosts = *\n\
         message_size_limit = 40M\nremote_max_parallel = 1\n\
         begin routers\n\
         kept:\n  driver = accept\n  domains = {domain}\n  transport = box\n\
         relayed:\n  driver = manualroute\n  transport = onward\n  route_list = * {hop}\n  self = send\n\
         begin transports\n\
         box:\n  driver = appendfile\n  directory = /mail/box\n  maildir_format\n  \
         envelope_to_add\n  return_path_add\n\
         onward:\n  driver = smtp\n  port = {hop_port}\n  hosts_try_chunking = *\n  \
         message_linelength_limit = 1000000\n  allow_localhost\n\
         begin retry\n* * F,1h,1s\n"
    )
}
