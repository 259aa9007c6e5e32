//! Exim (the "heavy" daemon) with TLS by GnuTLS and with AUTH, as server and as client; a router and a transport of its own
//! for every way.
//!
//! Not here: rooms (`room`).

use std::fs;
use std::time::Duration;

use crate::client::Client;
use crate::more_tree;
use crate::peer::{OLD, Peer, SUBMISSIONS, Scene};
use crate::process::{Process, until};
use crate::room::{Room, User};
use crate::way::{Check, OTHER_NAME, PASSWORD, Security, Seen, USER, WRONG_PASSWORD, Way};

const START: Duration = Duration::from_secs(30);
/// In every Debian.
const MAIL: u32 = 8;
const ONLY_OLD: &str = "NORMAL:-VERS-ALL:+VERS-TLS1.2";

pub(crate) struct Exim {
    _process: Process,
    room: Room,
}

impl Exim {
    pub(crate) fn start(scene: &Scene<'_>) -> Self {
        // Exim looks for its own user when it starts, whatever the settings say.
        let users = [User("root", 0), User("mail", MAIL), User("Debian-exim", MAIL)];
        let furnished = more_tree::root().join("rooms/exim4-daemon-heavy");
        let room = Room::copied(&furnished, &users);
        room.folder("mail", MAIL);
        room.folder("tls", MAIL);
        scene.certify(&room.path("tls"));
        for file in fs::read_dir(room.path("tls")).expect("ours") {
            let file = file.expect("readable").path();
            std::os::unix::fs::chown(file, Some(MAIL), Some(MAIL)).expect("root");
        }
        // The same machine by two names, of which one is in its certificate.
        let hosts = format!("{} {} {OTHER_NAME}\n", scene.target.starttls.ip(), scene.target.name);
        room.write("etc/hosts", &hosts);
        room.write("etc/nsswitch.conf", "hosts: files\n");
        room.write("etc/exim.conf", &settings(scene));
        let command = room.command(&["/usr/sbin/exim4", "-C", "/etc/exim.conf", "-bdf", "-qf1s"]);
        let mut process = Process::spawn(command, &room.path("output"));
        let address = scene.place.plain();
        let ready = until(START, || Client::connect(address).is_ok() || !process.is_running());
        let running = process.is_running();
        let exim = Self { _process: process, room };
        assert!(ready && running, "Exim does not start:\n{}", exim.log());
        exim
    }
}

impl Peer for Exim {
    fn kept(&self) -> Vec<String> {
        self.room
            .maildir("mail/box")
            .map(|file| fs::read(file).expect("complete once named"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// Its trace field does not name who logged in: a field of its own does.
    fn says_of_kept(&self, message: &str) -> Seen {
        let field = message.split("X-Seen: ").nth(1).unwrap_or_default();
        let field = field.lines().next().unwrap_or_default();
        let login = field.split("login=").nth(1).filter(|login| !login.is_empty());
        Seen::read(field, login)
    }

    fn says_of_sent(&self, domain: &str) -> Option<Seen> {
        let log = self.log();
        let end = format!("@{domain} ");
        let line = log.lines().find(|line| line.contains(" => ") && line.contains(&end))?;
        Some(Seen::read(line.split(" X=").nth(1)?.split(' ').next()?, None))
    }

    fn says_of_waiting(&self, domain: &str) -> String {
        let log = self.log();
        let transport =
            format!("T={} ", domain.split('.').next().unwrap_or_default().replace('-', "_"));
        let ids: Vec<_> = log
            .lines()
            .filter(|line| line.contains(&transport))
            .filter_map(|line| line.split(' ').nth(2))
            .collect();
        let is_of_it = |line: &&str| ids.iter().any(|id| line.contains(id));
        log.lines().filter(is_of_it).map(|line| format!("{line}\n")).collect()
    }

    fn log(&self) -> String {
        ["output", "mail/log-main", "mail/log-panic", "mail/log-reject"]
            .map(|file| fs::read_to_string(self.room.path(file)).unwrap_or_default())
            .concat()
    }
}

fn settings(scene: &Scene<'_>) -> String {
    let place = &scene.place;
    let interfaces: Vec<_> = place
        .addresses()
        .iter()
        .map(|address| format!("[{}]:{}", address.ip(), address.port()))
        .collect();
    let (routers, transports): (String, String) =
        scene.ways.iter().map(|way| (router(way, scene), transport(way, scene))).unzip();
    format!(
        "primary_hostname = {name}\n\
         daemon_smtp_ports = 25\nlocal_interfaces = <; {interfaces}\ntls_on_connect_ports = {SUBMISSIONS}:{old_implicit}\n\
         spool_directory = /mail/spool\nlog_file_path = /mail/log-%s\n\
         exim_user = mail\nexim_group = mail\nnever_users =\ndeliver_drop_privilege = true\n\
         keep_environment =\nhost_lookup =\nrfc1413_query_timeout = 0s\n\
         acl_smtp_rcpt = accept\nacl_smtp_data = seen\n\
         tls_certificate = /tls/{name}.crt\ntls_privatekey = /tls/{name}.key\n\
         tls_advertise_hosts = ${{if eq{{$received_port}}{{25}}{{}}{{*}}}}\n\
         tls_require_ciphers = ${{if inlist{{$received_port}}{{{old_starttls}:{old_implicit}}}{{{ONLY_OLD}}}{{NORMAL}}}}\n\
         auth_advertise_hosts = ${{if eq{{$tls_in_cipher}}{{}}{{}}{{*}}}}\n\
         log_selector = +tls_certificate_verified +tls_cipher\n\
         message_size_limit = 40M\nremote_max_parallel = 4\n\
         begin acl\nseen:\n  accept add_header = :at_start:X-Seen: $tls_in_ver $tls_in_cipher login=$authenticated_id\n\
         begin routers\n\
         kept:\n  driver = accept\n  domains = *.{domain}\n  transport = box\n{routers}\
         begin transports\n\
         box:\n  driver = appendfile\n  directory = /mail/box\n  maildir_format\n  \
         envelope_to_add\n  return_path_add\n{transports}\
         begin retry\n* * F,1h,1s\n\
         begin authenticators\n{authenticators}",
        name = place.name,
        domain = place.domain,
        interfaces = interfaces.join(" ; "),
        old_starttls = OLD[0],
        old_implicit = OLD[1],
        authenticators = authenticators(),
    )
}

fn router(way: &Way, scene: &Scene<'_>) -> String {
    let name = if way.check == Check::OtherName { OTHER_NAME } else { scene.target.name };
    format!(
        "{label}:\n  driver = manualroute\n  domains = {domain}\n  transport = {label}\n  \
         route_list = * {name} byname\n  self = send\n",
        label = way.label().replace('-', "_"),
        domain = way.domain(scene.target.domain),
    )
}

fn transport(way: &Way, scene: &Scene<'_>) -> String {
    let roots = if way.check == Check::OtherRoots { "stranger" } else { "trusted" };
    let mut text = format!(
        "{label}:\n  driver = smtp\n  port = {port}\n  allow_localhost\n  hosts_require_tls = *\n  \
         tls_verify_certificates = /tls/{roots}.pem\n",
        label = way.label().replace('-', "_"),
        port = scene.target.address(way).port(),
    );
    text += if way.checks() {
        "  tls_verify_hosts = *\n  tls_verify_cert_hostnames = *\n"
    } else {
        "  tls_try_verify_hosts =\n"
    };
    if way.security == Security::Implicit {
        text += "  protocol = smtps\n";
    }
    if !way.auth.name().is_empty() {
        text += "  hosts_require_auth = *\n";
    }
    if way.old {
        text += &format!("  tls_require_ciphers = {ONLY_OLD}\n");
    }
    text
}

/// The client takes the first mechanism whose condition holds: the transport's name says which is wanted.
fn authenticators() -> String {
    let password =
        format!("${{if match{{$transport_name}}{{_wrong}}{{{WRONG_PASSWORD}}}{{{PASSWORD}}}}}");
    let is_right = |user: &str, secret: &str| {
        format!("${{if and {{{{eq{{{user}}}{{{USER}}}}}{{eq{{{secret}}}{{{PASSWORD}}}}}}}}}")
    };
    format!(
        "plain:\n  driver = plaintext\n  public_name = PLAIN\n  \
         client_condition = ${{if match{{$transport_name}}{{_plain}}}}\n  \
         client_send = ^{USER}^{password}\n  \
         server_prompts = :\n  server_condition = {plain}\n  server_set_id = $auth2\n\
         login:\n  driver = plaintext\n  public_name = LOGIN\n  \
         client_condition = ${{if match{{$transport_name}}{{_login}}}}\n  \
         client_send = : {USER} : {password}\n  \
         server_prompts = <| Username: | Password:\n  server_condition = {login}\n  \
         server_set_id = $auth1\n",
        plain = is_right("$auth2", "$auth3"),
        login = is_right("$auth1", "$auth2"),
    )
}
