//! Signatures (DKIM) as the rest of the world checks them: a real daemon signs what it accepts, dkimpy verifies what arrives;
//! and what `dkim check` says when DNS has the key, has none, or has another one.
//!
//! Not here: canonical forms and vectors (`posthaste_message::dkim`). `setup` beside this file unpacks dkimpy.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod messages;
mod published;
mod sink;

use messages::{DOMAIN, is_large, message};
use serde_json::{Value, json};
use sink::Sink;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const BINARY: &str = env!("CARGO_BIN_EXE_posthaste");
const PATIENCE: Duration = Duration::from_secs(120);
/// Messages over SMTP, and by the verb.
const MESSAGES: usize = 1_000;
const BY_VERB: usize = 25;

struct Daemon(Child);

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

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

fn start(folder: &Path) -> Daemon {
    let mut command = Command::new(BINARY);
    command.current_dir(folder).args(["serve", "--config", "p.toml"]).stdin(Stdio::null());
    let log = fs::File::create(folder.join("log")).unwrap();
    let daemon = Daemon(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    let ready = verb(folder, &["ping", "--wait", "20s"]);
    assert!(ready.status.success(), "{ready:?} {:?}", fs::read_to_string(folder.join("log")));
    daemon
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn settings(port: u16, resolver: &str, via: &str, more: &str) -> String {
    format!(
        "hostname = \"mta.{DOMAIN}\"\n[[listener]]\naddress = \"127.0.0.1:{port}\"\n\
         [resolver]\nservers = \"{resolver}\"\nroots = []\ntry_limit = \"500ms\"\ntries = 1\n\
         [admin]\naddress = \"off\"\n[[route]]\nto = \"*\"\nvia = \"{via}\"\n{more}"
    )
}

/// Makes keys of both kinds; answers the settings that use them, and the records that DNS would have.
fn make_keys(folder: &Path, domain: &str) -> (String, Vec<(String, String)>) {
    let made =
        json_of(&verb(folder, &["dkim", "new", domain, "--both", "--selector", "s1", "--json"]));
    let keys = made["keys"].as_array().expect("two keys").iter();
    let text = |key: &Value, name: &str| key[name].as_str().unwrap().to_owned();
    let records = keys.map(|key| (text(key, "name"), text(key, "record"))).collect();
    (made["settings"].as_str().unwrap().to_owned(), records)
}

/// An SMTP session of a client that waits for each reply.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> Self {
        let mut client = Self(BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap()));
        client.hear("220");
        client.say(b"EHLO client.sender.test\r\n", "250");
        client
    }

    fn say(&mut self, octets: &[u8], expected: &str) {
        self.0.get_mut().write_all(octets).unwrap();
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

    fn send(&mut self, message: &[u8], to: &str, in_chunks: bool) {
        self.say(b"MAIL FROM:<ann@sender.test> BODY=8BITMIME SMTPUTF8\r\n", "250");
        self.say(format!("RCPT TO:<{to}>\r\n").as_bytes(), "250");
        if in_chunks {
            let middle = message.len() / 3;
            self.say(
                &[format!("BDAT {middle}\r\n").as_bytes(), &message[..middle]].concat(),
                "250",
            );
            let rest = message.len() - middle;
            self.say(
                &[format!("BDAT {rest} LAST\r\n").as_bytes(), &message[middle..]].concat(),
                "250",
            );
            return;
        }
        self.say(b"DATA\r\n", "354");
        let mut wire = Vec::with_capacity(message.len() + 1000);
        for line in message.split_inclusive(|octet| *octet == b'\n') {
            if line.starts_with(b".") {
                wire.push(b'.');
            }
            wire.extend_from_slice(line);
        }
        wire.extend_from_slice(b".\r\n");
        self.say(&wire, "250");
    }
}

/// What dkimpy says of every message in a folder.
fn verified(folder: &Path, records: &[(String, String)]) -> Vec<Value> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = here.join("../../.e2e/dkim/tree");
    assert!(tree.exists(), "run crates/posthaste/tests/dkim/setup first");
    let lib = tree.join("usr/lib");
    let libraries = fs::read_dir(&lib).unwrap().map(|e| e.unwrap().path());
    let libraries: Vec<PathBuf> =
        libraries.filter(|p| p.to_string_lossy().ends_with("-linux-gnu")).collect();
    let names: serde_json::Map<String, Value> =
        records.iter().map(|(name, text)| (name.clone(), json!(text))).collect();
    let file = folder.join("records.json");
    fs::write(&file, Value::Object(names).to_string()).unwrap();
    let mut command = Command::new("/usr/bin/python3");
    command
        .env("PYTHONPATH", lib.join("python3/dist-packages"))
        .env("LD_LIBRARY_PATH", &libraries[0]);
    let output =
        command.arg(here.join("tests/dkim/verify.py")).arg(folder).arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_thousand_messages_of_all_shapes_are_valid_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arrived = folder.join("arrived");
    fs::create_dir(&arrived).unwrap();
    let sink = Sink::start(&arrived);
    let port = free_port();
    let via = sink.address().to_string();
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", &via, "")).unwrap();
    let (mut keys, mut records) = make_keys(folder, DOMAIN);
    let (of_host, more) = make_keys(folder, &format!("mta.{DOMAIN}"));
    keys.push_str(&of_host);
    records.extend(more);
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", &via, &keys)).unwrap();
    let _daemon = start(folder);

    let mut client = Client::connect(port);
    let mut large = 0;
    for number in 0..MESSAGES {
        let message = message(number);
        large += usize::from(is_large(&message));
        client.send(&message, "rcpt@remote.test", number % 7 == 0);
    }
    assert!(large >= 10, "{large} go to files");
    for number in 0..BY_VERB {
        let text = format!("Subject: by hand {number}\nTo: r@remote.test\n\n.\n text  \n\n \n");
        fs::write(folder.join("message"), text).unwrap();
        let sent = verb(
            folder,
            &["send", "message", "--from", "ann@sender.test", "--to", "r@remote.test"],
        );
        assert!(sent.status.success(), "{sent:?}");
    }
    // One that nobody takes: the notice is ours, and signed with the key of the host.
    client.send(&message(11), "nobody@remote.test", false);
    let all = MESSAGES + BY_VERB + 1;
    sink.wait_for(all, PATIENCE);

    let answers = verified(&arrived, &records);
    assert_eq!(answers.len(), all);
    let both = json!([true, true]);
    let bad: Vec<&Value> = answers.iter().filter(|answer| answer["valid"] != both).collect();
    assert!(
        bad.is_empty(),
        "{} of {all} are not valid for dkimpy, such as {:?}",
        bad.len(),
        &bad[..bad.len().min(5)]
    );
    let none = json!([false, false]);
    let still =
        |what: &str| answers.iter().filter(|a| !a[what].is_null() && a[what] != none).count();
    assert_eq!(
        (still("altered_body"), still("altered_header")),
        (0, 0),
        "an altered octet is seen"
    );
    let altered = answers.iter().filter(|a| !a["altered_body"].is_null()).count();
    assert!(altered > 700, "{altered} bodies had something to alter");
    let notices = fs::read_dir(&arrived).unwrap().filter_map(|e| fs::read(e.unwrap().path()).ok());
    let notices = notices.filter(|m| String::from_utf8_lossy(m).contains("multipart/report"));
    let of_host = format!("d=mta.{DOMAIN};");
    assert_eq!(notices.filter(|m| String::from_utf8_lossy(m).contains(&of_host)).count(), 1);
    println!(
        "{all} messages, {large} of them in files, both algorithms: all valid for dkimpy; {altered} altered bodies and all altered headers: none"
    );
}

#[test]
fn strangers_are_not_signed_and_a_waiting_message_tells_who_signed_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let port = free_port();
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", "hold", "")).unwrap();
    let (keys, _) = make_keys(folder, DOMAIN);
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", "hold", &keys)).unwrap();
    let daemon = start(folder);
    Client::connect(port).send(&message(3), "r@remote.test", false);
    let listed = json_of(&verb(folder, &["queue", "messages", "--json"]));
    let id = listed["messages"][0]["id"].as_str().expect("it waits").to_owned();
    let shown = verb(folder, &["queue", "show", &id]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let expected = format!("signed     DKIM d={DOMAIN} s=s1, d={DOMAIN} s=s1-ed");
    assert!(shown.contains(&expected), "{shown}");
    drop(daemon);

    // The same message from a client that is none of ours, to a domain of ours.
    let own = format!(
        "relay_networks = []\npostmaster = \"p@own.test\"\n{}[[domain]]\nname = \"own.test\"\nrecipients = \"any\"\n",
        settings(port, "127.0.0.1:1", "hold", &keys)
    );
    fs::write(folder.join("p.toml"), own).unwrap();
    let _daemon = start(folder);
    Client::connect(port).send(&message(3), "r@own.test", false);
    let listed = json_of(&verb(folder, &["queue", "messages", "to = r@own.test", "--json"]));
    assert_eq!(listed["messages"][0]["signed_by"], json!([]), "{listed}");
}

#[test]
fn what_programs_hand_in_is_signed_whether_the_daemon_runs_or_takes_it_up_later() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let arrived = folder.join("arrived");
    fs::create_dir(&arrived).unwrap();
    let sink = Sink::start(&arrived);
    let port = free_port();
    let via = sink.address().to_string();
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", &via, "")).unwrap();
    let (keys, records) = make_keys(folder, DOMAIN);
    fs::write(folder.join("p.toml"), settings(port, "127.0.0.1:1", &via, &keys)).unwrap();
    let sendmail = folder.join("sendmail");
    std::os::unix::fs::symlink(BINARY, &sendmail).unwrap();
    let hand_in = |subject: &str| {
        let mut command = Command::new(&sendmail);
        command.current_dir(folder).env("POSTHASTE_CONFIG", folder.join("p.toml"));
        command.args(["-f", "ann@sender.test", "r@remote.test"]).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Neither From: nor Date:, and a body that canonical forms differ on.
        let text = format!("Subject: {subject}\nTo: r@remote.test\n\n.dot\n  two  blanks \n\n\n");
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{subject}");
    };
    let daemon = start(folder);
    hand_in("taken at once");
    drop(daemon);
    hand_in("left in the pickup folder");
    let _daemon = start(folder);
    sink.wait_for(2, PATIENCE);
    let answers = verified(&arrived, &records);
    assert!(answers.iter().all(|answer| answer["valid"] == json!([true, true])), "{answers:?}");
    assert_eq!(answers.len(), 2);
    let status = json_of(&verb(folder, &["status", "--json"]));
    assert_eq!((&status["signed"], &status["unsigned"]), (&json!(1), &json!(0)), "{status}");
    let said = String::from_utf8(verb(folder, &["status"]).stdout).unwrap();
    assert!(said.contains("; 1 signed\n"), "{said}");
}
