//! `dns servers [--check]`: every DNS server, its state, time and counts; dead ones in words.

use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Table, relative};
use crate::verbs::{counted, now, text};
use jiff::Timestamp;
use posthaste_admin::units::print_rough_size;
use serde_json::Value;
use std::process::ExitCode;

/// A check has found a blocking problem.
const FOUND: u8 = 5;

pub(super) fn run(client: &Client, check: bool, out: &Out) -> Result<ExitCode, Failure> {
    let answer = client.get(&Target::new("/v1/dns/servers"))?;
    let servers = answer["servers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if out.is_json() {
        out.object(&answer);
    } else {
        table(servers, now()).print(out, "no DNS server");
        for line in remarks(servers) {
            out.line(&line);
        }
        for line in answer["caches"].as_array().into_iter().flatten().map(cache) {
            out.line(&line);
        }
    }
    let dead = servers.iter().any(|server| server["state"] == "dead");
    Ok(if check && dead { ExitCode::from(FOUND) } else { ExitCode::SUCCESS })
}

fn table(servers: &[Value], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "SERVER",
        "LIST",
        "STATE",
        "TIME",
        "ASKED",
        "ANSWERED",
        "FAILED",
        "LAST FAILURE",
        "ASKED NEXT",
    ]);
    for server in servers {
        let name = match server["tls"].as_str() {
            Some(tls) => format!("tls://{}#{tls}", text(&server["server"])),
            None => text(&server["server"]),
        };
        let routes = server["routes"].as_array().into_iter().flatten().map(text);
        let routes: Vec<String> = routes.collect();
        let list = format!("{} {}", text(&server["list"]), routes.join(", "));
        let failure = &server["last_failure"];
        let failure = match failure["outcome"].as_str() {
            Some(outcome) => format!("{outcome} {}", relative(failure["at"].as_str(), now)),
            None => "-".to_owned(),
        };
        let time = server["smoothed_ms"].as_f64().map(|ms| format!("{ms:.1} ms"));
        table.row(vec![
            name,
            list.trim_end().to_owned(),
            text(&server["state"]),
            time.unwrap_or_else(|| "-".to_owned()),
            text(&server["asked"]),
            text(&server["answered"]),
            failures(server),
            failure,
            relative(server["next_question"].as_str(), now),
        ]);
    }
    table
}

/// `7 (timed-out 5, refused 2)`
fn failures(server: &Value) -> String {
    let kinds = server["failures"].as_object().into_iter().flatten();
    let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{kind} {count}")).collect();
    match kinds.as_slice() {
        [] => text(&server["failed"]),
        kinds => format!("{} ({})", text(&server["failed"]), kinds.join(", ")),
    }
}

/// What is kept, and how many questions that saved.
fn cache(cache: &Value) -> String {
    let number = |name: &str| cache[name].as_u64().unwrap_or(0);
    let routes = cache["routes"].as_array().into_iter().flatten().map(text);
    let routes: Vec<String> = routes.collect();
    let whose =
        if routes.is_empty() { String::new() } else { format!(" of route {}", routes.join(", ")) };
    let mut line = format!(
        "cache{whose}: {}, {}; {} asked, {} answered from it, {} put to servers",
        counted(&cache["entries"], "answer"),
        print_rough_size(number("octets")),
        number("asked"),
        number("from_cache"),
        number("put"),
    );
    for (count, words) in [
        (number("failed"), "failed"),
        (number("stale"), "answered past their time"),
        (number("from_fallback"), "answered by the fallback servers"),
        (number("evicted"), "answers dropped for want of room"),
    ] {
        if count > 0 {
            line += &format!(", {count} {words}");
        }
    }
    line
}

/// What is wrong, in words.
fn remarks(servers: &[Value]) -> Vec<String> {
    let mut lines: Vec<String> =
        servers.iter().filter_map(|server| server["text"].as_str()).map(str::to_owned).collect();
    for server in servers {
        let remarks = server["remarks"].as_array().into_iter().flatten();
        lines
            .extend(remarks.map(|remark| format!("{}: {}", text(&server["server"]), text(remark))));
    }
    lines.dedup();
    if !lines.is_empty() {
        lines.insert(0, String::new());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dead_server_is_named_in_words() {
        let servers = [
            json!({ "server": "192.0.2.1:53", "list": "primary", "state": "good", "text": null }),
            json!({ "server": "10.0.0.5:53", "list": "primary", "state": "dead",
                "failed": 7, "failures": { "timed-out": 7 }, "text": "10.0.0.5:53 is dead" }),
        ];
        assert_eq!(remarks(&servers), ["", "10.0.0.5:53 is dead"]);
        assert_eq!(failures(&servers[1]), "7 (timed-out 7)");
        assert_eq!(remarks(&servers[..1]), [""; 0]);
    }
}
