//! A real Postfix as somebody else's mail host: takes mail for its domains and writes each message to a file.
//!
//! Not here: Postfix as a relay to compare with (`bench/`). Needs root; runs under the users `mail` and `nobody` that
//! every Debian has, so that no account is made. Its whole state is in a temporary folder.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Client;
use crate::process::{Process, until};
use crate::tree;

const START: Duration = Duration::from_secs(30);

/// A Postfix that is up or stopped; stopped for good and removed when dropped.
pub(crate) struct Postfix {
    address: SocketAddr,
    process: Option<Process>,
    dir: TempDir,
}

/// What one Postfix has more than every one here.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// Lines of main.cf that win over those that all have.
    pub(crate) settings: String,
    /// Lines of master.cf.
    pub(crate) services: String,
    /// How Cyrus SASL finds users; Debian's Postfix looks for it below its own settings.
    pub(crate) sasl: String,
}

/// One message in the maildir.
#[derive(Debug, Clone)]
pub(crate) struct Arrived(String);

impl Postfix {
    /// Starts a mail host that calls itself `name`, listens on `address` and takes mail for every user of `domains`.
    pub(crate) fn start(name: &str, address: SocketAddr, domains: &[&str]) -> Self {
        Self::start_with(name, address, domains, &More::default())
    }

    /// The same with what it has more.
    pub(crate) fn start_with(
        name: &str,
        address: SocketAddr,
        domains: &[&str],
        more: &More,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("ours");
        for folder in ["conf/sasl", "spool", "data", "mail"] {
            fs::create_dir_all(root.join(folder)).expect("new");
        }
        for folder in ["data", "mail"] {
            let mail = users_id("mail");
            std::os::unix::fs::chown(root.join(folder), Some(mail), Some(mail))
                .expect("these tests run as root: Postfix starts as root");
        }
        let main = overridden(&main_cf(root, name, domains), &more.settings);
        fs::write(root.join("conf/main.cf"), main).expect("ours");
        fs::write(root.join("conf/master.cf"), master_cf(address) + &more.services).expect("ours");
        fs::write(root.join("conf/sasl/smtpd.conf"), &more.sasl).expect("ours");
        let mut postfix = Self { address, process: None, dir };
        postfix.make_queue_folders();
        postfix.start_again();
        postfix
    }

    /// Where it takes mail.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of its whole state.
    pub(crate) fn directory(&self) -> &Path {
        self.dir.path()
    }

    /// Process id of its master while it is up.
    pub(crate) fn process_id(&self) -> u32 {
        self.process.as_ref().expect("it is up").id()
    }

    /// Ends all its processes: connections are refused from now on. Mail that has arrived stays.
    pub(crate) fn stop(&mut self) {
        self.process = None;
        let silent = until(START, || Client::connect(self.address).is_err());
        assert!(silent, "Postfix still answers after it was stopped:\n{}", self.log());
    }

    /// Starts it with the state it had; returns when it greets.
    pub(crate) fn start_again(&mut self) {
        let mut command = tree::command("usr/lib/postfix/sbin/master");
        command.arg("-d").arg("-c").arg(self.dir.path().join("conf"));
        let mut process = Process::spawn(command, &self.dir.path().join("output"));
        let ready = until(START, || Client::connect(self.address).is_ok() || !process.is_running());
        assert!(ready && process.is_running(), "Postfix does not start:\n{}", self.log());
        self.process = Some(process);
    }

    /// Every message that has arrived so far, in no particular order.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.files()
            .map(|file| fs::read(file).expect("complete once named"))
            .map(|bytes| Arrived(String::from_utf8_lossy(&bytes).into_owned()))
            .collect()
    }

    /// How many messages have arrived so far.
    pub(crate) fn count(&self) -> usize {
        self.files().count()
    }

    /// The maildir, which is made with the first message.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let folder = fs::read_dir(self.dir.path().join("mail/inbox/new")).ok();
        folder.into_iter().flatten().map(|entry| entry.expect("readable").path())
    }

    /// Waits until `count` messages have arrived; panics with the log of Postfix after `patience`.
    pub(crate) fn wait_for(&self, count: usize, patience: Duration) -> Vec<Arrived> {
        let enough = until(patience, || self.count() >= count);
        let arrived = self.arrived();
        assert!(
            enough,
            "{} of {count} messages arrived; Postfix says:\n{}",
            arrived.len(),
            self.log()
        );
        arrived
    }

    /// What Postfix logged.
    pub(crate) fn log(&self) -> String {
        ["output", "maillog"]
            .map(|file| fs::read_to_string(self.dir.path().join(file)).unwrap_or_default())
            .concat()
    }

    fn make_queue_folders(&self) {
        let done = tree::command("usr/sbin/postfix")
            .arg("-c")
            .arg(self.dir.path().join("conf"))
            .arg("check")
            .output()
            .expect("setpriv is part of every Debian");
        assert!(done.status.success(), "postfix check: {done:?}\n{}", self.log());
    }
}

impl Arrived {
    /// The whole file, with LF as line end; Postfix has added its own header fields on top.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// Value of the first header field of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\n\n").next()?;
        head.lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// Everything after the header, with LF as line end.
    pub(crate) fn body(&self) -> &str {
        self.0.split_once("\n\n").map_or("", |(_, body)| body)
    }
}

fn users_id(user: &str) -> u32 {
    let passwd = fs::read_to_string("/etc/passwd").expect("every Debian has it");
    let line = passwd.lines().find(|l| l.split(':').next() == Some(user));
    let id = line.and_then(|l| l.split(':').nth(2)).and_then(|id| id.parse().ok());
    id.unwrap_or_else(|| panic!("user {user} is in every Debian"))
}

fn main_cf(root: &Path, name: &str, domains: &[&str]) -> String {
    let (dir, mail) = (root.display(), users_id("mail"));
    let places = [
        ("command_directory", "usr/sbin"),
        ("daemon_directory", "usr/lib/postfix/sbin"),
        ("shlib_directory", "usr/lib/postfix"),
        ("meta_directory", "etc/postfix"),
        ("sendmail_path", "usr/sbin/sendmail"),
        ("mailq_path", "usr/bin/mailq"),
        ("newaliases_path", "usr/bin/newaliases"),
    ];
    let places: String =
        places.iter().map(|(key, inside)| format!("{key} = {}\n", tree::path(inside))).collect();
    let domains = domains.join(" ");
    format!(
        "compatibility_level = 3.6\n\
         queue_directory = {dir}/spool\ndata_directory = {dir}/data\n{places}\
         import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ LANG=C LD_LIBRARY_PATH\n\
         mail_owner = mail\nsetgid_group = operator\n\
         maillog_file = {dir}/maillog\nmaillog_file_prefixes = {dir}\n\
         myhostname = {name}\nmydestination =\nlocal_recipient_maps =\nalias_maps =\nalias_database =\n\
         inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmynetworks =\n\
         virtual_mailbox_domains = {domains}\nvirtual_mailbox_base = {dir}/mail\n\
         virtual_mailbox_maps = static:inbox/\nvirtual_minimum_uid = 1\n\
         virtual_uid_maps = static:{mail}\nvirtual_gid_maps = static:{mail}\n\
         smtpd_relay_restrictions = reject_unauth_destination\n\
         smtpd_peername_lookup = no\nsmtp_dns_support_level = disabled\n\
         smtpd_client_connection_count_limit = 0\nin_flow_delay = 0\n"
    )
}

/// `base` without the settings that are in `over`, and then these.
fn overridden(base: &str, over: &str) -> String {
    let name = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let names: Vec<_> = over.lines().map(name).collect();
    let kept = base.lines().filter(|line| !names.contains(&name(line)));
    kept.chain(over.lines()).map(|line| format!("{line}\n")).collect()
}

/// The services of a mail host that only receives.
fn master_cf(address: SocketAddr) -> String {
    format!(
        "{address} inet n - n - 60 smtpd\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
         rewrite unix - - n - - trivial-rewrite\n\
         bounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\n\
         proxymap unix - - n - - proxymap\nerror unix - - n - - error\nretry unix - - n - - error\n\
         discard unix - - n - - discard\nvirtual unix - n n - - virtual\nanvil unix - - n - 1 anvil\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
