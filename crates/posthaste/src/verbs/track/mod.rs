//! `track ID|FILTER`: what became of a message, also after it has left; and what was said in sessions ([`sessions`]).

mod sessions;

use super::text;
use crate::cli::TrackArgs;
use crate::client::{Client, Target};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::table::Table;
use posthaste_mail::QueueId;
use serde_json::Value;

pub(super) fn run(client: &Client, args: &TrackArgs, out: &Out) -> Result<(), Failure> {
    match &args.session {
        Some(id) => sessions::dialogue(client, id, args, out),
        None if args.question.is_empty() => sessions::list(client, args, out),
        None => messages(client, &args.question.join(" "), args.limit, out),
    }
}

fn messages(client: &Client, question: &str, limit: u16, out: &Out) -> Result<(), Failure> {
    let by_id = question.parse::<QueueId>().is_ok();
    let name = if by_id { "id" } else { "filter" };
    let target = Target::new("/v1/track").with(name, question).with("limit", &limit.to_string());
    let answer = client.get(&target).map_err(|failure| neither(question, failure))?;
    let messages = answer["messages"].as_array().cloned().unwrap_or_default();
    if messages.is_empty() && by_id {
        let message = format!("{question} is not in the event log");
        return Err(Failure::new(Exit::NotFound, "not-found", message));
    }
    if out.is_json() {
        out.object(&answer);
        return Ok(());
    }
    if by_id {
        messages.iter().for_each(|message| story(message, out));
    } else {
        list(&messages, out);
    }
    if answer["complete"] == false {
        let reached = text(&answer["searched_to"]);
        out.remark(&format!("the search ended at {reached}: the log before it was not read"));
    }
    Ok(())
}

/// Whoever mistypes an id is not helped by the grammar of filters alone.
fn neither(question: &str, mut failure: Failure) -> Failure {
    if let Some(error) = failure.errors.iter_mut().find(|error| error.code == "bad-filter") {
        error.message = format!("`{question}` is neither an id nor a filter: {}", error.message);
    }
    failure
}

fn list(messages: &[Value], out: &Out) {
    let mut table = Table::new(&["RECEIVED", "ID", "FROM", "TO", "STATUS", "HOST", "LAST ERROR"]);
    for message in messages {
        for recipient in message["recipients"].as_array().into_iter().flatten() {
            table.row(vec![
                text(&message["received"]),
                text(&message["id"]),
                path(&message["reverse_path"]),
                text(&recipient["address"]),
                text(&recipient["status"]),
                text(&recipient["host"]),
                recipient["last_error"].as_str().unwrap_or_default().to_owned(),
            ]);
        }
    }
    table.print(out, "no message fits");
}

fn story(message: &Value, out: &Out) {
    out.line(&format!(
        "{}  from {}  size {}  over {}",
        text(&message["id"]),
        path(&message["reverse_path"]),
        text(&message["size"]),
        text(&message["listener"])
    ));
    let mut table = Table::new(&["WHEN", "WHAT", "TO", "HOST", "DETAIL"]);
    for event in message["events"].as_array().into_iter().flatten() {
        let to = match &event["to"] {
            Value::Array(all) => all.iter().map(text).collect::<Vec<_>>().join(", "),
            other => text(other),
        };
        table.row(vec![
            text(&event["at"]),
            text(&event["event"]),
            to,
            text(&event["host"]),
            words(event),
        ]);
    }
    table.print(out, "no events");
}

/// What a line of the log says besides: the reply, the fault, when it is tried again, the notice, the act.
fn words(event: &Value) -> String {
    let mut parts = vec![posthaste_admin::track::said(event).unwrap_or_default()];
    let labels = [
        ("next", "tried again"),
        ("kind", "tells:"),
        ("notice", "is"),
        ("why", "because:"),
        ("act", "to"),
        ("by", "by"),
        ("reason", "because:"),
        ("into", "as"),
        ("redirected_from", "redirected from"),
        ("session", "in session"),
    ];
    for (name, label) in labels {
        if let Some(value) = event[name].as_str() {
            parts.push(format!("{label} {value}"));
        }
        if let Some(number) = event["decision"].as_u64().filter(|_| name == "by") {
            parts.push(format!("decision {number}"));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("; ")
}

fn path(reverse_path: &Value) -> String {
    match reverse_path.as_str() {
        Some("") => "<>".to_owned(),
        _ => text(reverse_path),
    }
}
