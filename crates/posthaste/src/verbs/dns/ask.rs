//! `dns ask NAME [TYPE]`: a question asked as the daemon asks it, and what every server said.

use crate::cli::DnsAskArgs;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::Table;
use crate::verbs::text;
use posthaste_admin::units::print_rough;
use serde_json::Value;
use std::time::Duration;

pub(super) fn run(client: &Client, asked: &DnsAskArgs, out: &Out) -> Result<(), Failure> {
    let target = Target::new("/v1/dns/ask")
        .with("name", &asked.name)
        .with_some("type", asked.kind.as_deref())
        .with_some("route", asked.route.as_deref())
        .with_some("server", asked.server.as_deref())
        .with_some("fresh", asked.fresh.then_some("true"));
    let answer = client.get(&target)?;
    if out.is_json() {
        out.object(&answer);
        return Ok(());
    }
    for line in lines(&answer) {
        out.line(&line);
    }
    let mut table =
        Table::new(&["SERVER", "QUESTION", "OUTCOME", "BY", "TIME", "FLAGS", "TTL", "DETAIL"]);
    for question in questions(&answer) {
        for said in question["answers"].as_array().into_iter().flatten() {
            table.row(row(question, said));
        }
    }
    out.line("");
    table.print(out, "nobody was asked");
    Ok(())
}

fn questions(answer: &Value) -> impl Iterator<Item = &Value> {
    answer["questions"].as_array().into_iter().flatten()
}

/// The verdict of each question, and its records.
fn lines(answer: &Value) -> Vec<String> {
    let mut lines = vec![format!("asked by {}", text(&answer["asked"]))];
    for question in questions(answer) {
        let mut line = format!(
            "{} {}: {}",
            text(&question["type"]),
            text(&question["name"]),
            text(&question["outcome"])
        );
        line.push_str(&from(question));
        if question["agreed"] == true {
            line.push_str(", every server says so");
        }
        if question["secure"] == true {
            line.push_str(", validated by a trusted server");
        }
        lines.push(line);
        let records = question["records"].as_array().into_iter().flatten();
        lines.extend(records.map(|record| format!("    {}", text(record))));
    }
    match answer["naming"].as_str() {
        Some("confirmed") => lines.push("a name of the address leads back to it".to_owned()),
        Some("mismatch") => lines.push("no name of the address leads back to it".to_owned()),
        Some("no-ptr") => lines.push("the address has no name".to_owned()),
        Some(_) => lines.push("whether a name leads back to it cannot be told now".to_owned()),
        None => {}
    }
    lines
}

/// Where the answer came from, when not from the servers just now.
fn from(question: &Value) -> String {
    let span = |name: &str| print_rough(Duration::from_secs(question[name].as_u64().unwrap_or(0)));
    match question["from"].as_str() {
        Some("cache") => format!(", kept for {}, for {} more", span("age"), span("ttl")),
        Some("stale") => format!(", kept for {} and past its time", span("age")),
        Some("fallback") => ", from the fallback servers".to_owned(),
        _ => String::new(),
    }
}

fn row(question: &Value, said: &Value) -> Vec<String> {
    let flags = [("authoritative", "AA"), ("authentic", "AD"), ("truncated", "TC")];
    let flags = flags.iter().filter(|(field, _)| said[*field] == true).map(|(_, flag)| *flag);
    let flags: Vec<&str> = flags.collect();
    let extended = said["extended"].as_array().into_iter().flatten().map(|error| {
        let name = error["name"].as_str().map(|name| format!(" {name}")).unwrap_or_default();
        let words = error["text"].as_str().filter(|words| !words.is_empty());
        let words = words.map(|words| format!(" \"{words}\"")).unwrap_or_default();
        format!("EDE {}{name}{words}", text(&error["code"]))
    });
    let extended: Vec<String> = extended.collect();
    let detail = if extended.is_empty() { text(&said["raw"]) } else { extended.join("; ") };
    vec![
        text(&said["server"]),
        format!("{} {}", text(&question["type"]), text(&said["name"])),
        text(&said["outcome"]),
        text(&said["transport"]),
        format!("{} ms", text(&said["took_ms"])),
        if flags.is_empty() { "-".to_owned() } else { flags.join(" ") },
        text(&said["ttl"]),
        detail,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_says_where_it_came_from_and_what_was_wrong() {
        let answer = json!({ "asked": "[resolver]", "naming": null, "questions": [{
            "type": "MX", "name": "b.example", "outcome": "answer", "from": "cache", "age": 60, "ttl": 240,
            "agreed": false, "secure": false, "records": ["b.example 300 MX 10 mx.b.example"], "answers": [],
        }] });
        assert_eq!(
            lines(&answer),
            [
                "asked by [resolver]",
                "MX b.example: answer, kept for 1min, for 4min more",
                "    b.example 300 MX 10 mx.b.example"
            ]
        );
        let said = json!({ "server": "192.0.2.1:53", "name": "b.example", "outcome": "servfail", "transport": "udp",
            "took_ms": 4, "authoritative": false, "authentic": false, "truncated": true, "ttl": 0,
            "extended": [{ "code": 22, "name": "No Reachable Authority", "text": "at b.example" }], "raw": "SERVFAIL" });
        let row = row(&answer["questions"][0], &said);
        assert_eq!(row[5], "TC");
        assert_eq!(row[7], "EDE 22 No Reachable Authority \"at b.example\"");
    }
}
