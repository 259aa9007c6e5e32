//! `track --session`, `--client`, `--refused`: sessions as a list, or one with its dialogue as it is sent to the other side.

use super::super::{now, text};
use crate::cli::TrackArgs;
use crate::client::{Client, Target};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::table::{Table, relative};
use posthaste_admin::units::print_duration;
use posthaste_mail::{ConnectionId, QueueId};
use serde_json::Value;

/// The dialogue of one session, or of those that carried a message.
pub(super) fn dialogue(
    client: &Client,
    id: &str,
    args: &TrackArgs,
    out: &Out,
) -> Result<(), Failure> {
    let name = match (id.parse::<ConnectionId>(), id.parse::<QueueId>()) {
        (Ok(_), _) => "id",
        (_, Ok(_)) => "message",
        (Err(error), Err(_)) => {
            return Err(Failure::usage(format!("`{id}` is no id of a message, and {error}")));
        }
    };
    let target = Target::new("/v1/sessions").with(name, id);
    let answer = client.get(&target.with("limit", &args.limit.to_string()))?;
    let sessions = answer["sessions"].as_array().map_or(&[][..], Vec::as_slice);
    if sessions.is_empty() {
        let message = format!(
            "{id} is not in the session log; one that lasts is written when it ends, and [log] sessions says which are kept"
        );
        return Err(Failure::new(Exit::NotFound, "not-found", message));
    }
    if out.is_json() {
        out.object(&answer);
        return Ok(());
    }
    for (n, session) in sessions.iter().rev().enumerate() {
        if n > 0 {
            out.line("");
        }
        head(session, out);
        lines(session, out);
    }
    bounds(&answer, out);
    Ok(())
}

/// A list of sessions.
pub(super) fn list(client: &Client, args: &TrackArgs, out: &Out) -> Result<(), Failure> {
    let mut target = Target::new("/v1/sessions").with("limit", &args.limit.to_string());
    if let Some(client) = &args.client {
        target = target.with("client", client);
    }
    if args.refused {
        target = target.with("refused", "true");
    }
    if let Some(age) = args.age {
        target = target.with("age", &print_duration(age));
    }
    if !out.is_json() {
        target = target.with("lines", "false");
    }
    let answer = client.get(&target)?;
    if out.is_json() {
        out.object(&answer);
        return Ok(());
    }
    let mut table = Table::new(&["BEGAN", "SESSION", "PEER", "WITH", "MAIL", "ENDED", "REFUSED"]);
    let now = now();
    for session in answer["sessions"].as_array().into_iter().flatten() {
        let with = if session["direction"] == "in" { "helo" } else { "host" };
        table.row(vec![
            relative(session["at"].as_str(), now),
            text(&session["id"]),
            text(&session["peer"]),
            text(&session[with]),
            text(&session["messages"]),
            text(&session["ended"]),
            refused(session),
        ]);
    }
    table.print(out, "no session fits");
    bounds(&answer, out);
    Ok(())
}

fn bounds(answer: &Value, out: &Out) {
    if answer["complete"] == false {
        let reached = text(&answer["searched_to"]);
        out.remark(&format!("the search ended at {reached}: the log before it was not read"));
    }
}

/// The first thing that was refused, and how many more there were.
fn refused(session: &Value) -> String {
    let count = session["refused"].as_u64().unwrap_or(0);
    let Some(first) = session["refusals"].get(0) else { return String::new() };
    let parts = [text(&first["code"]), text(&first["enhanced"]), text(&first["text"])];
    let said = parts.iter().filter(|part| *part != "-").cloned().collect::<Vec<_>>().join(" ");
    let what = first["command"].as_str().map_or_else(String::new, |command| format!("{command}: "));
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    format!("{what}{said}{more}")
}

/// Everything that the other side needs to find the session in its own log.
fn head(session: &Value, out: &Out) {
    let incoming = session["direction"] == "in";
    let (opened, by) = if incoming { ("from", "to") } else { ("to", "from") };
    let row = |name: &str, value: String| {
        if value != "-" {
            out.line(&format!("{name:<12}{value}"));
        }
    };
    row("session", text(&session["id"]));
    row("began", format!("{} (UTC)", text(&session["at"])));
    row("took", session["took_ms"].as_f64().map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms")));
    let host = session["host"].as_str().map_or_else(String::new, |host| format!(" ({host})"));
    row(opened, format!("{}{host}", text(&session["peer"])));
    row(by, text(&session["local"]));
    row("listener", text(&session["listener"]));
    row("destination", text(&session["destination"]));
    row("helo", text(&session["helo"]));
    row("tls", tls(session));
    row("client", certificate(&session["tls"]["client"]));
    row("ended", text(&session["ended"]));
    for refusal in session["refusals"].as_array().into_iter().flatten() {
        let by = if refusal["by"] == "us" { "by us" } else { "by the other side" };
        let stage = refusal["stage"].as_str().map_or_else(String::new, |s| format!(" at {s}"));
        row(
            "refused",
            format!("{by}{stage}: {} {}", text(&refusal["code"]), text(&refusal["text"])),
        );
    }
    let ids: Vec<String> =
        session["message_ids"].as_array().into_iter().flatten().map(text).collect();
    if !ids.is_empty() {
        row("messages", ids.join(" "));
    }
}

/// How the session was secured, or why it was not.
fn tls(session: &Value) -> String {
    let tls = &session["tls"];
    let Some(protocol) = tls["protocol"].as_str() else {
        let failed = session["tls_failed"].as_str();
        return failed
            .map_or_else(|| "no".to_owned(), |why| format!("no: the handshake failed, {why}"));
    };
    let asked =
        tls["asked"].as_str().map_or_else(String::new, |name| format!(", asked for {name}"));
    format!("{protocol} {}{asked}", text(&tls["cipher"]))
}

/// The certificate that a client showed.
fn certificate(shown: &Value) -> String {
    if shown.is_null() {
        return "-".to_owned();
    }
    let parts = [&shown["subject"], &shown["verified"], &shown["key"]].map(text);
    let [subject, verified, key] = parts;
    format!("{subject}, verification: {verified}, key sha256:{key}")
}

/// Each line with the milliseconds since the beginning, and the side that said it: `C` the client, `S` the server.
fn lines(session: &Value, out: &Out) {
    let incoming = session["direction"] == "in";
    out.line("");
    for line in session["lines"].as_array().into_iter().flatten() {
        let by_client = (line["who"] == "they") == incoming;
        let side = if by_client { "C" } else { "S" };
        let after = line["after_ms"].as_f64().unwrap_or(0.0);
        out.line(&format!("{after:>12.3}  {side}: {}", text(&line["text"])));
    }
}
