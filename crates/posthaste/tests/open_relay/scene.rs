//! A daemon with its next hop and a sink for the rest of the world, in the configurations that the suite is for.

use crate::attempt::Target;
use crate::sink::Sink;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Everybody is a stranger to these. ALL, KNOWN and ASKED stand for how recipients are known.
pub(crate) const CLOSED: &[(&str, &str)] = &[
    ("mx, any recipient", "MX ANY"),
    ("mx, any recipient, delimiter and aliases", "DETAILS MX ANY"),
    ("mx, recipients asked of the next hop", "MX ASKED"),
    ("mx, a list, delimiter and aliases", "DETAILS MX KNOWN"),
    ("mx, a list of everybody", "DETAILS MX WILD"),
    ("relay, strangers by address", "NOBODY RELAY ANY"),
    ("submission without AUTH", "SUBMISSION ANY"),
];

/// Wrong on purpose; of the tricks so many get somewhere at least and at most.
pub(crate) const OPEN: &[(&str, &str, usize, usize)] = &[
    ("OPEN: a relay for the test's network", "EVERYBODY RELAY ANY", 82, 82),
    (
        "OPEN: a next hop that honours %, for a network that may relay",
        "EVERYBODY RELAY ANY CLOSED HONOURS",
        82,
        82,
    ),
    ("OPEN: the victim's domain is among our own", "MX ANY VICTIM", 43, 43),
];

pub(crate) struct Scene {
    folder: tempfile::TempDir,
    daemon: Child,
    port: u16,
    ours: Sink,
    world: Sink,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

impl Scene {
    pub(crate) fn new(words: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let world = Sink::new();
        let ours =
            if words.contains("HONOURS") { Sink::that_sends_on_to(&world) } else { Sink::new() };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = settings(words, port, &ours, &world);
        std::fs::write(folder.path().join("p.toml"), text).unwrap();
        let list = if words.contains("WILD") { "@ours.example\n" } else { "user\n" };
        std::fs::write(folder.path().join("list"), list).unwrap();
        std::fs::write(folder.path().join("aliases"), "sales: user\n").unwrap();
        add_user(folder.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
        command.current_dir(folder.path()).args(["serve", "--config", "p.toml"]);
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let scene = Self { daemon: command.spawn().unwrap(), folder, port, ours, world };
        let ping = posthaste(scene.folder.path(), &["ping", "--wait", "20s"]);
        let log = std::fs::read_to_string(scene.folder.path().join("log")).unwrap();
        assert!(ping.status.success(), "{words}: {ping:?} {log}");
        scene
    }

    pub(crate) fn target(&self) -> Target {
        let file = self.folder.path().join("posthaste-data/tls-self-made.pem");
        Target { port: self.port, certificate: std::fs::read(file).unwrap() }
    }

    pub(crate) const fn ours(&self) -> &Sink {
        &self.ours
    }

    pub(crate) const fn world(&self) -> &Sink {
        &self.world
    }

    /// Waits until everything that was accepted is delivered.
    pub(crate) fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.live_recipients().is_empty() {
            assert!(Instant::now() < deadline, "{:?}", self.live_recipients());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The recipients in the spool of what clients handed in. Notices about it are not theirs, and of many about one
    /// pair of addresses the later ones wait.
    pub(crate) fn live_recipients(&self) -> Vec<String> {
        let told = posthaste(self.folder.path(), &["queue", "messages", "--json"]);
        let told: serde_json::Value = serde_json::from_slice(&told.stdout).unwrap();
        let messages = told["messages"].as_array().unwrap().iter();
        let messages = messages.filter(|message| message["source"]["kind"] != "notice");
        let recipients = messages.flat_map(|m| m["recipients"].as_array().unwrap().iter());
        recipients.map(|r| r["address"].as_str().unwrap().to_owned()).collect()
    }
}

fn settings(words: &str, port: u16, ours: &Sink, world: &Sink) -> String {
    let has = |word: &str| words.split(' ').any(|w| w == word);
    let mut text =
        "hostname = \"mail.ours.example\"\npostmaster = \"user@ours.example\"\n".to_owned();
    if has("DETAILS") {
        text += "recipient_delimiter = \"+\"\naliases = \"aliases\"\n";
    } else {
        text += "aliases = \"aliases\"\n";
    }
    let networks = if has("EVERYBODY") { "127.0.0.0/8" } else { "10.0.0.0/8" };
    text += &format!("relay_networks = \"{networks}\"\n");
    let kind = ["MX", "RELAY", "SUBMISSION"].into_iter().find(|kind| has(kind)).unwrap();
    let kind = kind.to_lowercase();
    text += &format!("[[listener]]\naddress = \"127.0.0.1:{port}\"\nkind = \"{kind}\"\n");
    if !has("SUBMISSION") {
        text += "auth = true\n";
    }
    let recipients = if has("ASKED") {
        "verify"
    } else if has("KNOWN") || has("WILD") {
        "file:list"
    } else {
        "any"
    };
    let victim = if has("VICTIM") { ", \"victim.example\"" } else { "" };
    text +=
        &format!("[[domain]]\nname = [\"ours.example\"{victim}]\nrecipients = \"{recipients}\"\n");
    text += &format!("[[route]]\nto = \"ours.example\"\nvia = \"127.0.0.1:{}\"\n", ours.port());
    if has("CLOSED") {
        text += "[[route]]\nto = \"*\"\nvia = \"fail\"\ntext = \"no\"\n";
    } else {
        text += &format!("[[route]]\nto = \"*\"\nvia = \"127.0.0.1:{}\"\n", world.port());
    }
    text + "[resolver]\nservers = \"127.0.0.1:1\"\nroots = []\n[admin]\naddress = \"off\"\n\
            [limits]\nsessions_per_client = 500\nconnections_per_minute = 0\ntarpit_after = 0\n"
}

/// One with a password that no trick knows.
fn add_user(folder: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    command.current_dir(folder).args(["user", "add", "user", "--generate", "--config", "p.toml"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn posthaste(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_posthaste"));
    command.current_dir(folder).args(arguments).args(["--config", "p.toml"]);
    command.output().unwrap()
}
