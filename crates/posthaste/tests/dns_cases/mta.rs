//! A real Posthaste before the DNS of a row, and a real mail host behind it: what became of one message, when, and what the
//! daemon recorded of its DNS questions.
//!
//! Not here: which conclusion is right (`ours`, `theirs`).

use std::collections::BTreeSet;
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

/// A session is in the log when it has ended, which may be a while after its last message.
const LOGGED: Duration = Duration::from_secs(20);
/// A question that is never answered is given up well within this.
const FAMILIES: Duration = Duration::from_secs(25);

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
            lost: if fate == Fate::Delivered { self.lost(id, domain) } else { None },
        })
    }

    /// How much later than its DNS allowed the first session for this message began, as the daemon's own logs have it:
    /// from the first question to the session, less what the servers took for the answers that were used. A slow machine
    /// makes those slower, and this hardly. `None`: it had no session, or its host was known before.
    fn lost(&self, id: &str, domain: &str) -> Option<Duration> {
        let mut lost = None;
        until(LOGGED, || {
            lost = self.logged_loss(id, domain);
            lost.is_some() || {
                std::thread::sleep(BETWEEN);
                false
            }
        });
        lost
    }

    fn logged_loss(&self, id: &str, domain: &str) -> Option<Duration> {
        let session = self.logged("sessions.jsonl").into_iter().find(|session| {
            let mut ids = session["ids"].as_array().into_iter().flatten();
            session["direction"] == "out" && ids.any(|i| i == id)
        })?;
        let questions = self.questions(domain);
        let of = |kind: &'static str| questions.iter().filter(move |q| q["type"] == kind);
        let first = of("MX").filter_map(at).min()?;
        let host = of("A").filter_map(took_by_its_server).max().unwrap_or_default();
        let used = of("MX").next_back().and_then(took_by_its_server)? + host;
        // A session may have begun with an earlier message.
        let begun = at(&session)?.max(of("MX").filter_map(until_when).max()?);
        let gone = Duration::try_from(begun.duration_since(first)).ok()?;
        Some(gone.saturating_sub(used))
    }

    /// Looks again at what DNS said of a message when there are lines for A and AAAA of the mail host: one that is never
    /// answered is told of when it is given up, after the mail has left. Answers whether there are.
    pub(crate) fn with_both_families(&self, outcome: &mut Outcome, domain: &str) -> bool {
        until(FAMILIES, || {
            let questions = self.questions(domain);
            let has = |kind: &&str| questions.iter().any(|q| q["type"] == **kind);
            outcome.said = self.dns_log(domain);
            ["A", "AAAA"].iter().all(has) || {
                std::thread::sleep(BETWEEN);
                false
            }
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
            lost: None,
        })
    }

    /// What the DNS log has of a domain and its mail hosts: a line for each question and each server's answer.
    pub(crate) fn dns_log(&self, domain: &str) -> Vec<Seen> {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut seen = Vec::new();
        for line in self.questions(domain) {
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

    /// The lines of the DNS log about a domain, names below it, and the mail hosts that its answers name.
    fn questions(&self, domain: &str) -> Vec<Value> {
        let lines = self.logged("dns.jsonl");
        let name = |line: &Value| line["name"].as_str().unwrap_or_default().to_owned();
        let below = format!(".{domain}");
        let is_own = |line: &Value| name(line) == domain || name(line).ends_with(&below);
        let own = lines.iter().filter(|line| is_own(line));
        let said = own.flat_map(|line| line["servers"].as_array().into_iter().flatten());
        let records = said.flat_map(|said| said["first"].as_array().into_iter().flatten());
        let last = |record: &Value| Some(record.as_str()?.rsplit(' ').next()?.to_owned());
        let hosts: Vec<String> = records.filter_map(last).collect();
        let fits = |line: &Value| is_own(line) || hosts.contains(&format!("{}.", name(line)));
        lines.iter().filter(|line| fits(line)).cloned().collect()
    }

    /// The lines of one of the daemon's logs.
    fn logged(&self, file: &str) -> Vec<Value> {
        let file = self.dir.path().join("data/events").join(file);
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// What `check domain` finds: cause and effect, each once.
    pub(crate) fn check(&self, domain: &str) -> BTreeSet<(String, String)> {
        let check = self.json(&["check", "domain", domain]).unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let findings = check["findings"].as_array().into_iter().flatten();
        findings.map(|found| (word(&found["cause"]), word(&found["effect"]))).collect()
    }

    /// What a verb answers with `--json`, if it does.
    pub(crate) fn json(&self, words: &[&str]) -> Option<Value> {
        let output = self.posthaste.verb(&[words, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).ok()
    }
}

/// When a question was decided.
fn until_when(question: &Value) -> Option<jiff::Timestamp> {
    let took = Duration::from_secs_f64(question["took_ms"].as_f64()? / 1000.0);
    at(question)?.checked_add(took).ok()
}

fn at(event: &Value) -> Option<jiff::Timestamp> {
    event["at"].as_str()?.parse().ok()
}

/// What the server whose answer was used took for it.
fn took_by_its_server(question: &Value) -> Option<Duration> {
    let used =
        |said: &&Value| said["server"] == question["by"] && said["outcome"] == question["verdict"];
    let said = question["servers"].as_array()?.iter().rfind(used)?;
    Some(Duration::from_secs_f64(said["ms"].as_f64()? / 1000.0))
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
    /// How much later than its DNS allowed it left; `None`: not known.
    pub(crate) lost: Option<Duration>,
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
