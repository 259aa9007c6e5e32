//! Posthaste with its doors, users and ways out, and what it says of a message.
//!
//! Not here: how the daemon is run (`posthaste`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::authority::Authority;
use crate::loopback;
use crate::peer::{SMTP, SUBMISSION, SUBMISSIONS};
use crate::posthaste::Posthaste;
use crate::process::until;
use crate::way::{PASSWORD, SCRAM_USER, Seen, Target, USER};

pub(crate) const NAME: &str = "mail.posthaste.test";
pub(crate) const DOMAIN: &str = "posthaste.test";
/// How long a session that carried a message may idle before it ends and is logged.
const SESSION: Duration = Duration::from_secs(30);
/// For the test itself, without TLS.
const RELAY: u16 = 2525;

/// A daemon with two users, and all its doors.
pub(crate) struct Ours {
    pub(crate) daemon: Posthaste,
    pub(crate) target: Target,
    pub(crate) relay: SocketAddr,
    dir: TempDir,
}

impl Ours {
    /// Starts it with these routes (TOML) and these own domains besides.
    pub(crate) fn start(
        authority: &Authority,
        own: &[String],
        more: impl Fn(&Path) -> String,
    ) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        authority.certify(NAME, dir.path());
        fs::write(dir.path().join("trusted.pem"), authority.pem()).expect("ours");
        let ip = loopback::address(0).ip();
        let at = |port| SocketAddr::from((ip, port));
        let settings = settings(dir.path(), &at, own) + &more(dir.path());
        // Users are looked at every few seconds: these are there when it starts.
        fs::write(dir.path().join("posthaste.toml"), &settings).expect("ours");
        fs::create_dir(dir.path().join("data")).expect("ours");
        add_user(dir.path(), USER, &[]);
        add_user(dir.path(), SCRAM_USER, &["--scram"]);
        let daemon = Posthaste::start(&settings, dir.path());
        let (starttls, implicit, open) = (at(SUBMISSION), at(SUBMISSIONS), at(SMTP));
        let target = Target {
            name: NAME,
            domain: DOMAIN,
            starttls,
            implicit,
            open,
            old: [starttls, implicit],
        };
        Self { daemon, target, relay: at(RELAY), dir }
    }

    /// Its folder: the certificate's place, and that of secrets.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Who handed in what, as tracking tells: users by recipients.
    pub(crate) fn logins(&self) -> BTreeMap<String, &'static str> {
        let mut all = BTreeMap::new();
        for user in [USER, SCRAM_USER] {
            let filter = format!("source_user = {user}");
            let found = self.daemon.json(&["track", &filter, "--limit", "1000"]);
            for message in found["messages"].as_array().into_iter().flatten() {
                for recipient in message["recipients"].as_array().into_iter().flatten() {
                    all.insert(recipient["address"].as_str().unwrap_or_default().to_owned(), user);
                }
            }
        }
        all
    }

    /// Ids of messages.
    fn tracked(&self, filter: &str) -> Vec<String> {
        let found = self.daemon.json(&["track", filter]);
        let messages = found["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().filter_map(|message| message["id"].as_str().map(str::to_owned)).collect()
    }

    /// What the session log tells of how the one message to this address went; it is written when the session ends.
    pub(crate) fn says_of_sent(&self, to: &str) -> Option<Seen> {
        let mut seen = None;
        let _ = until(SESSION, || {
            seen = self.sessions_of(to).iter().find_map(|session| {
                let tls = &session["tls"];
                let is_out = session["direction"] == "out" && session["messages"] != 0;
                (is_out && tls.is_object()).then(|| Seen::read(&tls.to_string(), None))
            });
            seen.is_some()
        });
        seen
    }

    fn sessions_of(&self, to: &str) -> Vec<Value> {
        let ids = self.tracked(&format!("to = \"{to}\""));
        let Some(id) = ids.first() else { return Vec::new() };
        let output = self.daemon.verb(&["track", "--session", id, "--json"]);
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        answer["sessions"].as_array().cloned().unwrap_or_default()
    }

    /// What the queue tells of the message to this address; empty when it is not there.
    pub(crate) fn waits(&self, to: &str) -> String {
        let listed = self.daemon.json(&["queue", "messages", &format!("to = \"{to}\"")]);
        let messages = listed["messages"].as_array().cloned().unwrap_or_default();
        let Some(id) = messages.first().and_then(|message| message["id"].as_str()) else {
            return String::new();
        };
        self.daemon.json(&["queue", "show", id]).to_string()
    }
}

fn add_user(folder: &Path, name: &str, options: &[&str]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    command.args(["user", "add", name, "--password-stdin", "--sender", "*"]).args(options);
    command.arg("--config").arg(folder.join("posthaste.toml"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo built it");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(format!("{PASSWORD}\n").as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("ours");
    assert!(output.status.success(), "{output:?}");
}

fn settings(dir: &Path, at: &dyn Fn(u16) -> SocketAddr, own: &[String]) -> String {
    let step = "{ times = 600, every = \"1s\" }";
    let folder = dir.display();
    let mut text = format!(
        "hostname = \"{NAME}\"\ndata = \"{folder}/data\"\npostmaster = \"a@sender.test\"\n\
         [resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n\
         [limits]\nfailed_logins_per_minute = 0\nuser_messages_per_minute = 0\n\
         connections_per_minute = 0\nsessions_per_client = 200\nsessions_per_network = 200\nsessions_per_user = 200\n\
         [retry]\nglitch = {step}\ntransient = {step}\n\
         [admin]\naddress = \"off\"\n\
         [[certificate]]\nchain = \"{folder}/{NAME}.crt\"\nkey = \"{folder}/{NAME}.key\"\n\
         [[listener]]\nname = \"relay\"\naddress = \"{}\"\nkind = \"relay\"\ntls = \"off\"\n\
         [[listener]]\nname = \"mx\"\naddress = \"{}\"\nkind = \"mx\"\n\
         [[listener]]\nname = \"submission\"\naddress = \"{}\"\nkind = \"submission\"\n\
         [[listener]]\nname = \"submissions\"\naddress = \"{}\"\nkind = \"submission\"\ntls = \"implicit\"\n",
        at(RELAY),
        at(SMTP),
        at(SUBMISSION),
        at(SUBMISSIONS)
    );
    if !own.is_empty() {
        let _ = writeln!(text, "[[domain]]\nname = {own:?}\nrecipients = \"any\"");
    }
    text
}

/// What our trace field says of how a message came, and with which protocol.
pub(crate) fn says_of_taken(message: &str) -> (Seen, String) {
    let (before, after) = message.split_once(&format!("by {NAME} ")).unwrap_or_default();
    let from = before.rsplit("Received:").next().unwrap_or_default();
    let protocol = after.split("with ").nth(1).and_then(|rest| rest.split_whitespace().next());
    (Seen::read(from, None), protocol.unwrap_or_default().to_owned())
}

/// Writes a file that only its owner may read.
pub(crate) fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).expect("ours");
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
}
