//! `queue show ID`: one message with every attempt.

use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Table, relative};
use crate::verbs::{last_error, now, text};
use jiff::Timestamp;
use posthaste_admin::units::print_rough_size;
use posthaste_mail::QueueId;
use serde_json::Value;

pub(super) fn run(client: &Client, id: &str, out: &Out) -> Result<(), Failure> {
    let id: QueueId = id.parse().map_err(|e| Failure::usage(format!("`{id}`: {e}")))?;
    let message = client.get(&Target::new(&format!("/v1/messages/{id}")))?;
    if out.is_json() {
        out.object(&message);
        return Ok(());
    }
    head(&message, out);
    recipients(&message, out);
    for attempt in message["attempts"].as_array().into_iter().flatten() {
        show_attempt(attempt, out);
    }
    Ok(())
}

fn head(message: &Value, out: &Out) {
    let now = now();
    let source = &message["source"];
    let size = print_rough_size(message["size"].as_u64().unwrap_or(0));
    let received = relative(message["received"].as_str(), now);
    let expires = relative(message["expires"].as_str(), now);
    out.line(&format!("message    {}, {size}", text(&message["id"])));
    out.line(&format!("received   {} ({received})", text(&message["received"])));
    let from = &message["redirected_from"];
    if let Some(id) = from["id"].as_str() {
        let first = relative(from["received"].as_str(), now);
        let at = text(&from["received"]);
        out.line(&format!(
            "redirected from {id}, received {at} ({first}): it expires as that would"
        ));
    }
    out.line(&format!("expires    {} ({expires})", text(&message["expires"])));
    out.line(&format!("from       <{}>", text(&message["reverse_path"])));
    out.line(&format!("From       {}", text(&message["header_from"])));
    out.line(&format!("Subject    {}", text(&message["subject"])));
    out.line(&format!("Message-ID {}", text(&message["message_id"])));
    let signed = message["signed_by"].as_array().into_iter().flatten();
    let signed = signed.map(|by| format!("d={} s={}", text(&by["domain"]), text(&by["selector"])));
    let signed: Vec<String> = signed.collect();
    if !signed.is_empty() {
        out.line(&format!("signed     DKIM {}", signed.join(", ")));
    }
    let client = ["ip", "helo", "user"].into_iter().filter_map(|name| source[name].as_str());
    let client: Vec<&str> = client.filter(|word| !word.is_empty()).collect();
    out.line(&format!(
        "source     {} over {}  {}",
        text(&source["kind"]),
        text(&source["listener"]),
        client.join(", ")
    ));
    if let Some(session) = source["session"].as_str() {
        out.line(&format!("session    {session}"));
    }
}

fn recipients(message: &Value, out: &Out) {
    let now = now();
    let mut table =
        Table::new(&["TO", "STATUS", "WAITS FOR", "NEXT", "TRIES", "DESTINATION", "LAST ERROR"]);
    for recipient in message["recipients"].as_array().into_iter().flatten() {
        table.row(vec![
            text(&recipient["address"]),
            text(&recipient["status"]),
            text(&recipient["wait_reason"]),
            relative(recipient["next_attempt"].as_str(), now),
            text(&recipient["attempts"]),
            text(&recipient["destination"]),
            last_error(&recipient["last_error"]),
        ]);
    }
    out.line("");
    table.print(out, "no recipients");
    for recipient in message["recipients"].as_array().into_iter().flatten() {
        if let Some(line) = told(recipient, now) {
            out.line(&line);
        }
    }
}

/// What the sender has been told of a recipient that waits, and is told next.
fn told(recipient: &Value, now: Timestamp) -> Option<String> {
    let next = recipient["next_notice"].as_str().map(|at| relative(Some(at), now));
    let said = match (recipient["warned"].as_u64().unwrap_or(0), next) {
        (0, None) => return None,
        (0, Some(next)) => format!("its sender is told of the delay {next}"),
        (1, None) => "its sender has been told of the delay".to_owned(),
        (1, Some(next)) => format!("its sender has been told of the delay, and is again {next}"),
        // Not how often: those that fell due while the daemon stood still are counted, and were not sent.
        (last, None) => format!("its sender has been told of the delay, last by notice {last}"),
        (last, Some(next)) => {
            let told = "its sender has been told of the delay";
            format!("{told}, last by notice {last}, and is again {next}")
        }
    };
    Some(format!("notices    {}: {said}", text(&recipient["address"])))
}

fn show_attempt(attempt: &Value, out: &Out) {
    out.line("");
    out.line(&format!(
        "attempt    {}  {}  {} ({}) from {}, {} ms",
        text(&attempt["at"]),
        text(&attempt["outcome"]),
        text(&attempt["host"]),
        text(&attempt["ip"]),
        text(&attempt["source_ip"]),
        text(&attempt["took_ms"])
    ));
    if let Some(session) = attempt["session"].as_str() {
        out.line(&format!("  in session {session}"));
    }
    if let Some(tls) = attempt["tls"]["text"].as_str() {
        out.line(&format!("  tls {tls}"));
    }
    for result in attempt["recipients"].as_array().into_iter().flatten() {
        let reason = result["reason"].as_str().unwrap_or_default();
        let reply = result["reply"]["text"].as_str().unwrap_or_default();
        let words = if reason.is_empty() { reply } else { reason };
        out.line(&format!("  {} {}  {words}", text(&result["address"]), text(&result["outcome"])));
    }
    let mut table = Table::new(&["  STAGE", "MS", "ABOUT", "OUTCOME", "EFFECT", "DETAIL"]);
    for step in attempt["observations"].as_array().into_iter().flatten() {
        table.row(vec![
            format!("  {}", text(&step["stage"])),
            text(&step["took_ms"]),
            text(&step["subject"]),
            text(&step["outcome"]),
            text(&step["effect"]),
            step["raw"].as_str().unwrap_or_default().to_owned(),
        ]);
    }
    table.print(out, "  nothing was seen");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_sender_was_told_is_told() {
        let now: Timestamp = "2026-11-21T06:00:00Z".parse().expect("a time");
        for (warned, next, said) in [
            (0, None, None),
            (0, Some("2026-11-21T09:00:00Z"), Some("its sender is told of the delay in 3h")),
            (1, None, Some("its sender has been told of the delay")),
            (
                2,
                Some("2026-11-21T07:00:00Z"),
                Some("its sender has been told of the delay, last by notice 2, and is again in 1h"),
            ),
        ] {
            let recipient =
                json!({ "address": "bob@b.example", "warned": warned, "next_notice": next });
            let expected = said.map(|said| format!("notices    bob@b.example: {said}"));
            assert_eq!(told(&recipient, now), expected);
        }
    }
}
