//! A real Posthaste before the DNS of a row, and a real mail host behind it: what became of one message, when, and what the
//! daemon recorded of its DNS questions.
//!
//! Not here: which conclusion is right (`ours`, `theirs`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::loopback;
use crate::posthaste::Posthaste;
use crate::process::until;

/// Between two looks: each is a process, and shares the processor with what is measured.
const BETWEEN: Duration = Duration::from_millis(100);

/// A daemon with its settings; ended when dropped.
pub(crate) struct Mta {
    pub(crate) posthaste: Posthaste,
    listener: SocketAddr,
    dir: TempDir,
}

impl Mta {
    /// Asks these resolvers, and walks from this root; `more` goes before the listener in the settings.
    pub(crate) fn start(resolvers: &[SocketAddr], root: SocketAddr, more: &str) -> Self {
        let servers: Vec<_> = resolvers.iter().map(|at| format!("\"{at}\"")).collect();
        Self::with(&format!("servers = [{}]", servers.join(", ")), root, more)
    }

    /// The same with these settings of the resolver.
    pub(crate) fn with(resolver: &str, root: SocketAddr, more: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let listener = loopback::address(2525);
        let step = "{ times = 4, every = \"1h\" }";
        let settings = format!(
            "hostname = \"mta.sender.test\"\ndata = \"{data}\"\n{more}\n\
             [[listener]]\naddress = \"{listener}\"\n\
             [[route]]\nto = [\"*\"]\nvia = \"mx\"\nallow_private = true\n\
             [resolver]\n{resolver}\nroots = [\"{root}\"]\n\
             [retry]\nglitch = {step}\ntransient = {step}\n\
             [delivery]\nper_host = 200\n\
             [admin]\naddress = \"off\"\n",
            data = dir.path().join("data").display(),
        );
        let posthaste = Posthaste::start(&settings, dir.path());
        Self { posthaste, listener, dir }
    }

    /// Hands in one message to `bob` at this domain; answers its id and when it was accepted.
    pub(crate) fn send(&self, domain: &str) -> (String, Instant) {
        let mut client = Client::connect(self.listener).expect("it is up");
        let to = format!("bob@{domain}");
        let reply =
            client.send("a@sender.test", &[&to], "Subject: x\r\n\r\nx\r\n").expect("a reply");
        let accepted = Instant::now();
        let (_, id) = reply.rsplit_once("queued as ").unwrap_or_else(|| panic!("{reply}"));
        (id.trim().to_owned(), accepted)
    }

    /// What became of the message: its end, or the fault of its first attempt. `None`: neither within `patience`.
    pub(crate) fn outcome(&self, id: &str, patience: Duration) -> Option<Outcome> {
        let mut outcome = None;
        until(patience, || {
            outcome = self.ended(id).or_else(|| self.deferred(id));
            outcome.is_some() || {
                std::thread::sleep(BETWEEN);
                false
            }
        });
        outcome
    }

    /// Its end alone.
    pub(crate) fn end(&self, id: &str, patience: Duration) -> Option<Outcome> {
        let mut outcome = None;
        until(patience, || {
            outcome = self.ended(id);
            outcome.is_some() || {
                std::thread::sleep(BETWEEN);
                false
            }
        });
        outcome
    }

    fn ended(&self, id: &str) -> Option<Outcome> {
        let tracked = self.json(&["track", id])?;
        let events = tracked["messages"][0]["events"].as_array()?;
        let find = |name: &str| events.iter().find(|e| e["event"] == name);
        let received = at(find("received")?)?;
        let recipient = &tracked["messages"][0]["recipients"][0];
        let attempts = recipient["attempts"].as_u64()?.try_into().ok()?;
        let (fate, end) = match (find("delivered"), find("failed")) {
            (Some(end), _) => (Fate::Delivered, end),
            (None, Some(end)) => (Fate::Failed, end),
            (None, None) => return None,
        };
        let to = find("received")?["to"][0].as_str()?.to_owned();
        let (_, domain) = to.rsplit_once('@')?;
        let fault = &end["fault"];
        let word = |name: &str| fault[name].as_str().unwrap_or_default().to_owned();
        let took = at(end)?.duration_since(received);
        Some(Outcome {
            fate,
            kind: word("kind"),
            status: word("status"),
            text: recipient["last_error"].as_str().unwrap_or_default().to_owned(),
            took: took.try_into().expect("time goes on"),
            attempts,
            said: self.dns_log(domain),
        })
    }

    fn deferred(&self, id: &str) -> Option<Outcome> {
        let shown = self.json(&["queue", "show", id])?;
        let recipient = &shown["recipients"][0];
        let error = &recipient["last_error"];
        if error.is_null() || recipient["status"] == "in-flight" {
            return None;
        }
        let attempts = shown["attempts"].as_array()?;
        let seen = attempts.iter().filter_map(|a| a["observations"].as_array()).flatten();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let said = seen
            .map(|o| Seen {
                stage: word(&o["stage"]),
                subject: word(&o["subject"]),
                outcome: word(&o["outcome"]),
                raw: word(&o["raw"]),
            })
            .collect();
        let took = jiff::SignedDuration::from_millis(attempts.first()?["took_ms"].as_i64()?);
        Some(Outcome {
            fate: Fate::Waits,
            kind: word(&error["stage"]),
            status: word(&error["enhanced"]),
            text: word(&error["text"]),
            took: took.try_into().expect("time goes on"),
            attempts: attempts.len(),
            said,
        })
    }

    /// What the DNS log has of a domain and its mail hosts: a line for each question and each server's answer.
    pub(crate) fn dns_log(&self, domain: &str) -> Vec<Seen> {
        let file = self.dir.path().join("data/events/dns.jsonl");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let about = |line: &Value| {
            let name = word(&line["name"]);
            name == domain || name.ends_with(&format!(".{domain}"))
        };
        let mut seen = Vec::new();
        for line in lines.filter(about) {
            for said in line["servers"].as_array().into_iter().flatten() {
                let (name, kind) = (word(&line["name"]), word(&line["type"]));
                seen.push(Seen {
                    stage: "dns".to_owned(),
                    subject: format!("{kind} {name} asked of {}", word(&said["server"])),
                    outcome: word(&said["outcome"]),
                    raw: format!("{} ms", said["ms"]),
                });
            }
        }
        seen
    }

    /// What a verb answers with `--json`, if it does.
    pub(crate) fn json(&self, words: &[&str]) -> Option<Value> {
        let output = self.posthaste.verb(&[words, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).ok()
    }
}

fn at(event: &Value) -> Option<jiff::Timestamp> {
    event["at"].as_str()?.parse().ok()
}

/// How a message ended, or that it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    Delivered,
    /// Tried, and to be tried again.
    Waits,
    /// Returned to its sender.
    Failed,
}

/// What became of one message.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) fate: Fate,
    /// The kind of the fault; for one that waits: the stage.
    pub(crate) kind: String,
    /// Enhanced status.
    pub(crate) status: String,
    pub(crate) text: String,
    /// From its acceptance to its end; for one that waits: what its attempt took.
    pub(crate) took: Duration,
    pub(crate) attempts: usize,
    /// What was observed: as the message has it while it waits, then as the DNS log has it.
    pub(crate) said: Vec<Seen>,
}

/// An observation as `queue show` has it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) stage: String,
    pub(crate) subject: String,
    pub(crate) outcome: String,
    pub(crate) raw: String,
}
