//! `status`: what is going on, in ten lines.

use super::{counted, last_error, now, text};
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{age, relative};
use posthaste_admin::units::{print_rough, print_rough_size};
use posthaste_evidence::NoticeKind;
use serde_json::Value;
use std::time::Duration;

pub(super) fn run(client: &Client, out: &Out) -> Result<(), Failure> {
    let status = client.get(&Target::new("/v1/status"))?;
    if out.is_json() {
        out.object(&status);
    } else {
        lines(&status).iter().for_each(|line| out.line(line));
    }
    Ok(())
}

fn lines(status: &Value) -> Vec<String> {
    let of = |name: &str| text(&status[name]);
    let uptime = print_rough(Duration::from_secs(status["uptime"].as_u64().unwrap_or(0)));
    let state = match (status["ready"].as_bool(), status["stopping"].as_bool()) {
        (_, Some(true)) => "stopping",
        (Some(true), _) => "ready",
        _ => "starting",
    };
    let by = |name: &str| text(&status["by_status"][name]);
    let minute = |name: &str| text(&status["last_minute"][name]);
    vec![
        format!("{}  posthaste {}  {state}, up {uptime}", of("hostname"), of("version")),
        accepting_line(status),
        format!(
            "queue      {}, {} ({} in flight, {} held), the oldest {}{}",
            counted(&status["messages"], "message"),
            counted(&status["recipients"], "recipient"),
            of("in_flight"),
            of("held"),
            age(status["oldest"].as_str(), now()),
            match status["pickup_waiting"].as_u64() {
                None | Some(0) => String::new(),
                Some(waiting) => format!("; {waiting} in the pickup folder"),
            }
        ),
        format!(
            "places     {}: {} active, {} ready, {} retry, {} held, {} unreachable; {} down",
            counted(&status["destinations"], "destination"),
            by("active"),
            by("ready"),
            by("retry"),
            by("held"),
            by("no_route"),
            of("destinations_down")
        ),
        worst_line(&status["worst"]),
        format!(
            "last min   {} accepted, {} delivered, {} deferred, {} failed; so far {}, {}, {}, {}{}",
            minute("accepted"),
            minute("delivered"),
            minute("deferred"),
            minute("failed"),
            of("accepted"),
            of("delivered"),
            of("deferred"),
            of("failed"),
            signatures(status) + &notices(status)
        ),
        format!(
            "open       {} of {} sessions in, {} of {} connections out; {} refused by limits{}",
            of("sessions"),
            of("sessions_limit"),
            of("connections"),
            of("connections_limit"),
            of("refused_by_limits"),
            strangers(status)
        ),
        clients_line(status),
        store_line(status),
        format!("to do      {}", to_do(status).join("; ")),
    ]
}

/// Of messages with DKIM, where there are any.
fn signatures(status: &Value) -> String {
    let counted = |key: &str, said: &str| match status[key].as_u64() {
        None | Some(0) => String::new(),
        Some(count) => format!("; {count} {said}"),
    };
    counted("signed", "signed") + &counted("unsigned", "could not be signed")
}

/// What senders were told, where they were told anything; and how many strangers were not, as there were too many.
fn notices(status: &Value) -> String {
    let made = |kind: &str| {
        let count = status["notices"][kind].as_u64().filter(|count| *count > 0)?;
        Some((count, format!("{count} {kind}")))
    };
    let told: Vec<_> = NoticeKind::ALL.iter().filter_map(|(_, kind)| made(kind)).collect();
    let all: u64 = told.iter().map(|(count, _)| count).sum();
    let words: Vec<String> = told.into_iter().map(|(_, words)| words).collect();
    let told = match all {
        0 => String::new(),
        _ => format!("; {} ({})", counted(&all.into(), "notice"), words.join(", ")),
    };
    match status["notices_withheld"]["strangers-rate"].as_u64() {
        None | Some(0) => told,
        Some(count) => format!("{told}; {count} withheld from strangers"),
    }
}

/// How clients came in since the start: under TLS, and who they are.
fn clients_line(status: &Value) -> String {
    let injected = match status["injected"].as_u64() {
        None | Some(0) => String::new(),
        Some(_) => {
            format!(
                ", {} with plain text put behind STARTTLS",
                counted(&status["injected"], "session")
            )
        }
    };
    format!(
        "clients    {} under TLS, {}{injected}; {}, {} so far",
        counted(&status["sessions_secured"], "session"),
        counted(&status["handshakes_failed"], "failed handshake"),
        counted(&status["logins"], "login"),
        counted(&status["failed_logins"], "failed login"),
    )
}

/// What else became of strangers, where anything did.
fn strangers(status: &Value) -> String {
    let words = [
        ("made_room", "made room"),
        ("refused_networks", "refused by network"),
        ("tarpitted", "refusals delayed"),
        ("refused_proxies", "refused proxies"),
    ];
    let told = words.iter().filter_map(|(key, words)| {
        let count = status["strangers"][*key].as_u64().filter(|count| *count > 0)?;
        Some(format!(", {count} {words}"))
    });
    told.collect()
}

fn accepting_line(status: &Value) -> String {
    let soft =
        if status["soft_fail"] == true { "; soft_fail is on: nothing fails for good" } else { "" };
    let slow: Vec<&str> = at_level(status, "slow").filter_map(|r| r["resource"].as_str()).collect();
    let said = match status["refusing"].as_str() {
        Some("maintenance") => {
            let maintenance = &status["maintenance"];
            let reason = maintenance["reason"].as_str().map(|r| format!(" ({r})"));
            let held = if maintenance["hold"] == true { ", and nothing is delivered" } else { "" };
            let since = age(maintenance["since"].as_str(), now());
            format!("NO: maintenance for {since}{}{held}", reason.unwrap_or_default())
        }
        Some("read-only") => "NO: the spool is READ-ONLY after repeated failures".to_owned(),
        Some(resource) => format!("NO: {resource} is used up, clients are told to come back"),
        None if status["accepting"] == false => "NO".to_owned(),
        None if slow.is_empty() => "yes".to_owned(),
        None => format!("slowly: {} is getting scarce", slow.join(", ")),
    };
    format!("accepting  {said}{soft}")
}

fn worst_line(worst: &Value) -> String {
    if worst.is_null() {
        return "waiting    nowhere after a failure".to_owned();
    }
    let error = &worst["last_error"];
    let said = if error.is_null() { String::new() } else { format!(": {}", last_error(error)) };
    format!(
        "waiting    {}: {}, next try {}{said}",
        text(&worst["name"]),
        counted(&worst["recipients"], "recipient"),
        relative(worst["next_attempt"].as_str(), now())
    )
}

fn store_line(status: &Value) -> String {
    let store = &status["store"];
    let size = |name: &str| print_rough_size(store[name].as_u64().unwrap_or(0));
    let measured = status["pressure"].as_array().into_iter().flatten();
    let measured = measured.filter(|r| r["resource"] != "queue");
    let measured = measured
        .map(|r| format!("{} {}", text(&r["resource"]), text(&r["text"])))
        .collect::<Vec<_>>();
    let rest =
        if measured.is_empty() { String::new() } else { format!("; {}", measured.join("; ")) };
    format!("spool      {} live, {} on disk{rest}", size("live_octets"), size("disk_octets"))
}

fn at_level<'s>(status: &'s Value, level: &'static str) -> impl Iterator<Item = &'s Value> {
    status["pressure"].as_array().into_iter().flatten().filter(move |r| r["level"] == level)
}

/// A certificate that has expired or soon will.
pub(super) fn certificate(certificate: &Value) -> String {
    let what = if certificate["expired"] == true { "has expired at" } else { "expires at" };
    let (file, end) = (text(&certificate["file"]), text(&certificate["not_after"]));
    format!("the certificate in {file} {what} {end}: renew it")
}

/// What needs a person, the gravest first.
fn to_do(status: &Value) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(status["certificates"].as_array().into_iter().flatten().map(certificate));
    if status["store"]["read_only"] == true {
        all.push("look at the disk of the spool and the log, then start again".to_owned());
    }
    for resource in at_level(status, "refuse") {
        all.push(match resource["resource"].as_str() {
            Some("disk") => "make room on the disk of the spool".to_owned(),
            Some("memory") => "give the process more memory, or find what takes it".to_owned(),
            Some("files") => "allow more descriptors (ulimit -n, LimitNOFILE)".to_owned(),
            _ => "find out why the queue grows: `posthaste queue`".to_owned(),
        });
    }
    for (count, what, rest) in [
        (
            &status["store"]["quarantined"],
            "damaged place",
            "of the spool: `posthaste spool quarantine list`",
        ),
        (&status["by_status"]["unreachable"], "recipient", "without a route: `posthaste queue`"),
        (
            &status["smarthosts_closed"],
            "smarthost",
            "not letting us in: `posthaste queue` says which `auth` to correct",
        ),
        (&status["pickup_stuck"], "pickup file", "cannot be taken up: the log says why"),
        (&status["events_dropped"], "event", "lost: the event log's disk is slow or full"),
        (&status["sessions_dropped"], "session", "not logged: the log's disk is slow or full"),
        (&status["dns_dropped"], "DNS question", "not logged: the log's disk is slow or full"),
        (
            &status["decisions_stopped"],
            "decision",
            "stopped: see `posthaste queue decisions`, act anew, cancel what stopped",
        ),
        (
            &status["holds_broken"],
            "hold",
            "without effect: see `posthaste queue holds`, hold anew, release the old one",
        ),
    ] {
        if count.as_u64().is_some_and(|count| count > 0) {
            all.push(format!("{} {rest}", counted(count, what)));
        }
    }
    for server in status["resolvers"].as_array().into_iter().flatten() {
        if let Some(words) = server["text"].as_str() {
            all.push(format!("see to a DNS server: {words}"));
        }
    }
    if status["pickup_bad"].as_u64().is_some_and(|bad| bad > 0) {
        let (bad, folder) = (counted(&status["pickup_bad"], "file"), text(&status["pickup"]));
        all.push(format!("{bad} in {folder} cannot be sent: *.bad.why beside them say why"));
    }
    if !status["maintenance"].is_null() {
        all.push("`posthaste maintenance off` when it is over".to_owned());
    }
    if all.is_empty() {
        all.push("nothing".to_owned());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn there_are_ten_lines_in_every_state() {
        let pressure =
            json!([{ "resource": "disk", "level": "refuse", "text": "3MB of 64MB free" }]);
        for (status, words) in [
            (json!({}), "to do      nothing"),
            (json!({ "accepting": true }), "accepting  yes"),
            (
                json!({ "refusing": "disk", "pressure": pressure }),
                "to do      make room on the disk of the spool",
            ),
            (
                json!({ "refusing": "maintenance", "maintenance": { "reason": "new disk" } }),
                "accepting  NO: maintenance for - (new disk)",
            ),
            (
                json!({ "soft_fail": true, "accepting": true }),
                "accepting  yes; soft_fail is on: nothing fails for good",
            ),
            (
                json!({ "dns_dropped": 2 }),
                "to do      2 DNS questions not logged: the log's disk is slow or full",
            ),
            (
                json!({ "sessions_dropped": 3, "events_dropped": 0 }),
                "to do      3 sessions not logged: the log's disk is slow or full",
            ),
            (
                json!({ "pickup_bad": 2, "pickup": "/x/pickup" }),
                "to do      2 files in /x/pickup cannot be sent: *.bad.why beside them say why",
            ),
            (
                json!({ "worst": { "name": "b.example", "recipients": 7,
                    "last_error": { "text": "no connection: refused" } } }),
                "waiting    b.example: 7 recipients, next try -: no connection: refused",
            ),
            (
                json!({ "notices": { "failed": 1, "delayed": 2, "relayed": 0 },
                    "notices_withheld": { "strangers-rate": 7, "not-asked": 3 } }),
                "last min   - accepted, - delivered, - deferred, - failed; so far -, -, -, -; 3 notices (1 failed, \
                 2 delayed); 7 withheld from strangers",
            ),
            (
                json!({ "messages": 1, "recipients": 2 }),
                "queue      1 message, 2 recipients (- in flight, - held), the oldest -",
            ),
            (
                json!({ "sessions_secured": 7, "handshakes_failed": 1, "logins": 0,
                    "failed_logins": 2 }),
                "clients    7 sessions under TLS, 1 failed handshake; 0 logins, 2 failed logins so far",
            ),
            (
                json!({ "sessions_secured": 1, "handshakes_failed": 0, "injected": 1, "logins": 3,
                    "failed_logins": 0 }),
                "clients    1 session under TLS, 0 failed handshakes, 1 session with plain text put behind STARTTLS; \
                 3 logins, 0 failed logins so far",
            ),
            (
                json!({ "resolvers": [{ "text": null }, { "text": "10.0.0.5:53 is dead" }] }),
                "to do      see to a DNS server: 10.0.0.5:53 is dead",
            ),
            (
                json!({ "holds_broken": 1 }),
                "to do      1 hold without effect: see `posthaste queue holds`, hold anew, release the old one",
            ),
        ] {
            let lines = lines(&status);
            assert_eq!(lines.len(), 10);
            assert!(lines.iter().any(|line| line == words), "{words}\nis not in\n{lines:#?}");
        }
    }
}
