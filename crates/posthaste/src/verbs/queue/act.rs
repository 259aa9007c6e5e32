//! `queue retry|hold|release|remove|bounce|redirect`: one command, its decision, and how far that comes.

use super::arrival;
use super::kept::{Chosen, Kept};
use crate::cli::{ActArgs, BounceArgs, QueueVerb, RedirectArgs, ReleaseArgs, RemoveArgs, Which};
use crate::client::{Client, Target};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::verbs::counted;
use bytes::Bytes;
use serde_json::{Value, json};
use std::process::ExitCode;

/// How long one request waits for a decision, seconds.
const WAIT: u64 = 10;

/// The verb as a command; `None` for a verb that is no act.
pub(super) fn command(verb: &QueueVerb) -> Option<(Value, &ActArgs)> {
    let (act, args, more) = match verb {
        QueueVerb::Retry(args) => ("retry", args, json!({})),
        QueueVerb::Hold(args) => ("hold", args, json!({})),
        QueueVerb::Release(ReleaseArgs { act, hold }) => ("release", act, json!({ "hold": hold })),
        QueueVerb::Remove(RemoveArgs { act, notice, .. }) => {
            ("remove", act, json!({ "notice": notice }))
        }
        QueueVerb::Bounce(BounceArgs { act, text }) => ("bounce", act, json!({ "text": text })),
        QueueVerb::Redirect(RedirectArgs { act, to_address, to_route }) => {
            ("redirect", act, json!({ "to_address": to_address, "to_route": to_route }))
        }
        _ => return None,
    };
    let mut request = more;
    request["act"] = json!(act);
    request["reason"] = json!(args.reason);
    request["dry_run"] = json!(args.dry_run);
    if args.no_wait {
        request["wait"] = json!(0);
    }
    which(&args.which, &mut request);
    Some((request, args))
}

fn which(which: &Which, request: &mut Value) {
    request["ids"] = json!(which.ids);
    request["where"] = json!(which.filter);
    request["destination"] = json!(which.destination);
    request["all"] = json!(which.all);
}

pub(super) fn run(
    client: &Client,
    request: Value,
    args: &ActArgs,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let warning = match &args.which.filter {
        Some(filter) if request["act"] == "hold" => arrival::warning(filter),
        _ => None,
    };
    if let Some(warning) = &warning {
        out.remark(&format!("warning: {warning}"));
    }
    if args.dry_run {
        return count(client, request, warning, out);
    }
    let released = request["act"] == "release";
    let chosen = released.then(|| Chosen::before(client, &args.which)).transpose()?;
    let mut decision = post(client, &request)?;
    let missing = decision["missing"].clone();
    let number = decision["decision"].to_string();
    while !args.no_wait && decision["stage"] == "going" && decision["searched"] != true {
        let many = many(&decision["messages"], &decision["recipients"]);
        out.remark(&format!("decision {number}: {many}"));
        let target = Target::new(&format!("/v1/decisions/{number}"));
        decision = client.get(&target.with("wait", &WAIT.to_string()))?;
    }
    decision["missing"] = missing;
    let after = |chosen| Kept::after(client, &args.which, chosen, &decision);
    let kept = chosen.as_ref().map(after).transpose()?;
    if let Some(warning) = warning {
        decision["warning"] = json!(warning);
    }
    if out.is_json() {
        if let Some(kept) = &kept {
            decision["kept"] = kept.json();
        }
        out.object(&decision);
    } else {
        tell(&decision, kept.as_ref(), out);
    }
    gone(&decision["missing"], out)
}

fn tell(decision: &Value, kept: Option<&Kept>, out: &Out) {
    let number = &decision["decision"];
    let messages = &decision["messages"];
    let many = many(messages, &decision["recipients"]);
    let act = decision["act"].as_str().unwrap_or_default();
    let done = past(act);
    let target = &decision["target"];
    let name = target["value"].as_str().unwrap_or_default();
    let whole = target["kind"] == "destination" && *messages == 0;
    match kept.filter(|kept| !kept.is_none()) {
        Some(kept) => {
            out.line(&format!("{many} released from an operator's hold (decision {number})"));
            kept.tell(out);
        }
        None if whole && matches!(act, "hold" | "release") => {
            out.line(&format!(
                "the destination {name} is {done}, by every route (decision {number})"
            ));
            return;
        }
        None => out.line(&format!("{many} {done} (decision {number})")),
    }
    if target["kind"] == "destination" && act != "release" {
        out.line(&every_route(Some(name)));
    }
    match decision["in_flight"].as_u64() {
        Some(flying @ 1..) => {
            out.line(&format!("{flying} in flight: their turn comes when their attempt has ended"));
        }
        _ if decision["stage"] == "going" => {
            out.line(&format!("it goes on; see `queue decisions {number}`"));
        }
        _ => {}
    }
    if let Some(fault) = decision["fault"].as_str() {
        out.line(&format!("it cannot go on: {fault}"));
    }
}

fn many(messages: &Value, recipients: &Value) -> String {
    format!("{} of {}", counted(recipients, "recipient"), counted(messages, "message"))
}

/// A name alone means all destinations of that name.
fn every_route(name: Option<&str>) -> String {
    let name = name.unwrap_or_default();
    format!("that is all for {name}, by every route; for one route: --where \"route = NAME\"")
}

fn past(act: &str) -> &'static str {
    match act {
        "retry" => "due now",
        "hold" => "held",
        "release" => "released",
        "remove" => "removed",
        "bounce" => "bounced",
        _ => "redirected",
    }
}

fn count(
    client: &Client,
    mut request: Value,
    warning: Option<String>,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let (mut messages, mut recipients) = (0, 0);
    let missing = loop {
        let answer = post(client, &request)?;
        messages += answer["messages"].as_u64().unwrap_or(0);
        recipients += answer["recipients"].as_u64().unwrap_or(0);
        match &answer["next"] {
            Value::String(next) => request["after"] = json!(next),
            _ => break answer["missing"].clone(),
        }
    };
    if out.is_json() {
        let mut counted = json!({
            "v": 1, "dry_run": true, "messages": messages, "recipients": recipients, "missing": missing,
        });
        if let Some(warning) = warning {
            counted["warning"] = json!(warning);
        }
        out.object(&counted);
    } else {
        let act = past(request["act"].as_str().unwrap_or_default());
        let many = many(&json!(messages), &json!(recipients));
        out.line(&format!("{many} would be {act}"));
        if !request["destination"].is_null() {
            out.line(&every_route(request["destination"].as_str()));
        }
    }
    gone(&missing, out)
}

/// The exit status when some of the messages named are not here.
fn gone(missing: &Value, out: &Out) -> Result<ExitCode, Failure> {
    let names: Vec<&str> =
        missing.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    out.remark(&format!("not in the queue: {}", names.join(" ")));
    Ok(Exit::NotFound.into())
}

fn post(client: &Client, request: &Value) -> Result<Value, Failure> {
    client.post(&Target::new("/v1/acts"), Bytes::from(request.to_string()))
}
