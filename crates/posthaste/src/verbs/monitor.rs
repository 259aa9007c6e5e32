//! `status --monitor`: one line and an exit status as monitoring plug-ins give them (Monitoring Plugins Development
//! Guidelines): 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
//!
//! A daemon that does not answer is CRITICAL: mail stands still. UNKNOWN is left for what is wrong with the asking: a
//! settings file that cannot be read, a socket of another user.

use crate::cli::{Global, MonitorArgs};
use crate::client::{Client, Target};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::place;
use crate::verbs::counted;
use jiff::Timestamp;
use posthaste_admin::units::print_rough;
use posthaste_evidence::NoticeKind;
use serde_json::{Value, json};
use std::process::ExitCode;
use std::time::Duration;

/// What a monitoring system shows, the gravest last but for UNKNOWN.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum State {
    Ok,
    Warning,
    Critical,
    Unknown,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What is said, the gravest first.
struct Findings(Vec<(State, String)>);

pub(super) fn run(global: &Global, limits: &MonitorArgs, out: &Out) -> ExitCode {
    let asked = place::socket(global)
        .and_then(Client::new)
        .and_then(|client| client.get(&Target::new("/v1/status")));
    let (state, text, data) = match &asked {
        Ok(status) => judge(status, limits, super::now()),
        Err(failure) => (of_failure(failure), first_line(failure), String::new()),
    };
    if out.is_json() {
        out.object(&json!({ "v": 1, "state": state.name(), "code": state as u8, "text": text }));
    } else {
        let data = if data.is_empty() { data } else { format!(" | {data}") };
        // A bar would begin the performance data.
        out.line(&format!("{} - {}{data}", state.name(), text.replace('|', "/")));
    }
    ExitCode::from(state as u8)
}

const fn of_failure(failure: &Failure) -> State {
    match failure.exit {
        Exit::NoDaemon => State::Critical,
        _ => State::Unknown,
    }
}

fn first_line(failure: &Failure) -> String {
    failure.errors.first().map(|error| error.message.clone()).unwrap_or_default()
}

fn judge(status: &Value, limits: &MonitorArgs, now: Timestamp) -> (State, String, String) {
    let number = |name: &str| status[name].as_u64().unwrap_or(0);
    let oldest = oldest(status, now);
    let mut found = Findings(Vec::new());
    found.of_life(status);
    found.of_queue(number("messages"), oldest, limits);
    found.of_trouble(status);
    found.of_resolvers(status);
    found.of_certificates(status);
    found.0.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    let state = found.0.first().map_or(State::Ok, |(state, _)| *state);
    let mut text: Vec<String> = found.0.into_iter().map(|(_, text)| text).collect();
    if text.is_empty() {
        let soft = if status["soft_fail"] == true { ", soft_fail is on" } else { "" };
        let age = print_rough(oldest);
        let many = counted(&status["messages"], "message");
        text.push(format!("{many}, the oldest {age}{soft}"));
    }
    (state, text.join("; "), performance(status, oldest, limits))
}

impl Findings {
    fn add(&mut self, state: State, text: impl Into<String>) {
        self.0.push((state, text.into()));
    }

    fn of_certificates(&mut self, status: &Value) {
        for certificate in status["certificates"].as_array().into_iter().flatten() {
            let state =
                if certificate["expired"] == true { State::Critical } else { State::Warning };
            self.add(state, super::status::certificate(certificate));
        }
    }

    fn of_life(&mut self, status: &Value) {
        if status["stopping"] == true {
            self.add(State::Warning, "stopping");
        } else if status["ready"] != true {
            self.add(State::Warning, "starting: the spool is being read");
        }
        match status["refusing"].as_str() {
            None => {}
            Some("maintenance") => {
                let reason = status["maintenance"]["reason"].as_str();
                let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                self.add(State::Warning, format!("closed for maintenance{reason}"));
            }
            Some("read-only") => {
                let text = "mail is refused: the spool is read-only after repeated failures";
                self.add(State::Critical, text);
            }
            Some(resource) => self.add(State::Critical, format!("mail is refused: {resource}")),
        }
        for resource in status["pressure"].as_array().into_iter().flatten() {
            let (name, text) = (&resource["resource"], &resource["text"]);
            let said = format!("{}: {}", super::text(name), super::text(text));
            match resource["level"].as_str() {
                Some("refuse") => self.add(State::Critical, said),
                Some("slow") => self.add(State::Warning, format!("mail is slowed, {said}")),
                _ => {}
            }
        }
    }

    fn of_queue(&mut self, messages: u64, oldest: Duration, limits: &MonitorArgs) {
        let age = format!("the oldest message waits {}", print_rough(oldest));
        if oldest >= limits.crit_age {
            self.add(State::Critical, age);
        } else if oldest >= limits.warn_age {
            self.add(State::Warning, age);
        }
        let queue = format!("{} in the queue", counted(&messages.into(), "message"));
        if messages >= limits.crit_queue {
            self.add(State::Critical, queue);
        } else if messages >= limits.warn_queue {
            self.add(State::Warning, queue);
        }
    }

    fn of_trouble(&mut self, status: &Value) {
        for (count, text) in [
            (&status["store"]["quarantined"], "damaged places of the spool in quarantine"),
            (&status["by_status"]["unreachable"], "recipients without a route"),
            (&status["pickup_bad"], "pickup files that cannot be sent"),
            (&status["pickup_stuck"], "pickup files that cannot be taken up"),
            (&status["events_dropped"], "events lost from the event log"),
            (&status["sessions_dropped"], "sessions lost from the session log"),
            (&status["dns_dropped"], "questions lost from the DNS log"),
        ] {
            if let Some(count) = count.as_u64().filter(|count| *count > 0) {
                self.add(State::Warning, format!("{count} {text}"));
            }
        }
    }

    /// While one of those who may be asked lives, mail goes on; without any it waits.
    fn of_resolvers(&mut self, status: &Value) {
        for server in servers(status) {
            let Some(words) = server["text"].as_str() else { continue };
            // Servers of the settings stand in for each other, and so do those of a route.
            let same = |other: &&Value| other["routes"] == server["routes"];
            let alone = servers(status).filter(same).all(|other| other["state"] == "dead");
            let state = if alone { State::Critical } else { State::Warning };
            self.add(state, format!("DNS: {words}"));
        }
    }
}

fn servers(status: &Value) -> impl Iterator<Item = &Value> {
    status["resolvers"].as_array().into_iter().flatten()
}

fn oldest(status: &Value, now: Timestamp) -> Duration {
    let at = status["oldest"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let seconds = at.map_or(0, |at| now.as_second() - at.as_second());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

/// `label=value[unit];warn;crit`, counters with `c`.
fn performance(status: &Value, oldest: Duration, limits: &MonitorArgs) -> String {
    let number = |name: &str| status[name].as_u64().unwrap_or(0);
    let mut data = vec![
        format!("messages={};{};{}", number("messages"), limits.warn_queue, limits.crit_queue),
        format!(
            "oldest={}s;{};{}",
            oldest.as_secs(),
            limits.warn_age.as_secs(),
            limits.crit_age.as_secs()
        ),
    ];
    for name in ["recipients", "in_flight", "held", "destinations_down", "sessions", "connections"]
    {
        data.push(format!("{name}={}", number(name)));
    }
    for name in ["accepted", "delivered", "deferred", "failed"] {
        data.push(format!("{name}={}c", number(name)));
    }
    for (_, name) in NoticeKind::ALL {
        let count = status["notices"][name].as_u64().unwrap_or(0);
        // Programs that draw these do not expect a hyphen in a label.
        data.push(format!("notices_{}={count}c", name.replace('-', "_")));
    }
    let strangers = status["notices_withheld"]["strangers-rate"].as_u64().unwrap_or(0);
    data.push(format!("notices_kept_from_strangers={strangers}c"));
    let mut seen: Vec<&str> = Vec::new();
    for server in servers(status) {
        let Some(address) = server["server"].as_str() else { continue };
        // A server may stand in several lists; monitoring wants each label once.
        if seen.contains(&address) {
            continue;
        }
        seen.push(address);
        let count = |name: &str| server[name].as_u64().unwrap_or(0);
        if let Some(ms) = server["smoothed_ms"].as_f64() {
            data.push(format!("dns_{address}_time={ms:.3}ms"));
        }
        data.push(format!("dns_{address}_asked={}c", count("asked")));
        data.push(format!("dns_{address}_failed={}c", count("failed")));
    }
    data.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> MonitorArgs {
        MonitorArgs {
            monitor: true,
            warn_age: Duration::from_secs(3600),
            crit_age: Duration::from_secs(7200),
            warn_queue: 100,
            crit_queue: 200,
        }
    }

    #[test]
    fn the_gravest_decides_and_all_is_said() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let calm = json!({ "ready": true, "messages": 5, "oldest": "2026-11-21T11:59:00Z" });
        let with = |more: Value| {
            let mut status = calm.clone();
            for (name, value) in more.as_object().expect("an object") {
                status[name] = value.clone();
            }
            let (state, text, _) = judge(&status, &limits(), now);
            format!("{} {text}", state.name())
        };
        for (more, said) in [
            (json!({}), "OK 5 messages, the oldest 1min"),
            (json!({ "soft_fail": true }), "OK 5 messages, the oldest 1min, soft_fail is on"),
            (json!({ "ready": false }), "WARNING starting: the spool is being read"),
            (json!({ "messages": 100 }), "WARNING 100 messages in the queue"),
            (json!({ "messages": 200 }), "CRITICAL 200 messages in the queue"),
            (json!({ "oldest": "2026-11-21T11:00:00Z" }), "WARNING the oldest message waits 1h"),
            (
                json!({ "oldest": "2026-11-21T10:00:00Z", "messages": 150 }),
                "CRITICAL the oldest message waits 2h; 150 messages in the queue",
            ),
            (
                json!({ "refusing": "maintenance", "maintenance": { "reason": "disk" } }),
                "WARNING closed for maintenance (disk)",
            ),
            (
                json!({ "refusing": "disk",
                    "pressure": [{ "resource": "disk", "level": "refuse", "text": "none" }] }),
                "CRITICAL mail is refused: disk; disk: none",
            ),
            (
                json!({ "pressure": [{ "resource": "memory", "level": "slow", "text": "m" }] }),
                "WARNING mail is slowed, memory: m",
            ),
            (
                json!({ "resolvers": [{ "list": "primary", "state": "good", "text": null },
                    { "list": "primary", "state": "dead", "text": "10.0.0.5:53 is dead" }] }),
                "WARNING DNS: 10.0.0.5:53 is dead",
            ),
            (
                json!({ "resolvers": [{ "list": "primary", "state": "dead", "text": "10.0.0.5:53 is dead" },
                    { "list": "route", "routes": ["a"], "state": "good", "text": null }] }),
                "CRITICAL DNS: 10.0.0.5:53 is dead",
            ),
            (
                json!({ "store": { "quarantined": 2 }, "by_status": { "unreachable": 3 } }),
                "WARNING 2 damaged places of the spool in quarantine; 3 recipients without a route",
            ),
        ] {
            assert_eq!(with(more.clone()), said, "{more}");
        }
        let (_, _, data) = judge(&calm, &limits(), now);
        assert!(data.starts_with("messages=5;100;200 oldest=60s;3600;7200 recipients=0"), "{data}");
        let told = json!({ "notices": { "failed": 3, "delayed": 2, "relayed": 1, "all-clear": 4 },
            "notices_withheld": { "strangers-rate": 9 } });
        let (_, _, data) = judge(&told, &limits(), now);
        let counts = "notices_failed=3c notices_delayed=2c notices_delivered=0c notices_relayed=1c \
                      notices_all_clear=4c notices_kept_from_strangers=9c";
        assert!(data.ends_with(counts), "{data}");
    }
}
