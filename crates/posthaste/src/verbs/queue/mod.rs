//! `queue`: destinations with mail; what is done to messages, and each other word behind it, has a file of its own.

mod act;
mod decisions;
mod files;
mod messages;
mod show;

use super::{daemon, last_error, now, text};
use crate::cli::{Global, QueueArgs, QueueVerb};
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Table, age, relative};
use posthaste_admin::filter::MAX_LENGTH;
use posthaste_evidence::WaitReason;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Entries asked of the daemon at once.
const SLICE: usize = 500;

pub(super) fn run(global: &Global, args: QueueArgs, out: &Out) -> Result<ExitCode, Failure> {
    if args.wait_reasons {
        wait_reasons(out);
        return Ok(ExitCode::SUCCESS);
    }
    let client = daemon(global)?;
    if let Some((request, how)) = args.verb.as_ref().and_then(act::command) {
        return act::run(&client, request, how, out);
    }
    match args.verb {
        Some(QueueVerb::Export(args)) => return files::export(&client, &args, out),
        Some(QueueVerb::Import(args)) => files::import(&client, &args, out),
        Some(QueueVerb::Decisions { number, cancel }) => {
            decisions::run(&client, number, cancel, out)
        }
        Some(QueueVerb::Holds) => decisions::holds(&client, out),
        None => destinations(&client, &args.filter.join(" "), args.limit, out),
        Some(QueueVerb::Show { id }) => show::run(&client, &id, out),
        Some(QueueVerb::Messages { filter, limit, after }) => {
            messages::run(&client, &filter.join(" "), limit, after, out)
        }
        Some(_) => unreachable!("the acts are done above"),
    }
    .map(|()| ExitCode::SUCCESS)
}

fn destinations(client: &Client, filter: &str, limit: usize, out: &Out) -> Result<(), Failure> {
    let (list, next) = slices(client, "/v1/queue", "destinations", filter, limit, None)?;
    if out.is_json() {
        out.object(&json!({ "v": 1, "destinations": list, "next": next }));
        return Ok(());
    }
    let now = now();
    let mut table = Table::new(&[
        "DESTINATION",
        "ROUTE",
        "STATUS",
        "MESSAGES",
        "OLDEST",
        "NEXT",
        "OPEN",
        "LAST ERROR",
    ]);
    // Destinations that are only remembered are shown to those who ask for them.
    let shown = list.iter().filter(|d| !filter.is_empty() || d["status"] != "idle");
    for destination in shown {
        table.row(vec![
            text(&destination["name"]),
            text(&destination["route"]),
            text(&destination["status"]),
            text(&destination["messages"]),
            age(destination["oldest"].as_str(), now),
            relative(destination["next_attempt"].as_str(), now),
            text(&destination["connections"]),
            last_error(&destination["last_error"]),
        ]);
    }
    table.print(out, if filter.is_empty() { "the queue is empty" } else { "no destination fits" });
    more(next.as_ref(), out);
    Ok(())
}

/// Asks slice by slice until `limit` entries are there or the end is reached; answers where to go on.
fn slices(
    client: &Client,
    path: &str,
    name: &str,
    filter: &str,
    limit: usize,
    mut after: Option<String>,
) -> Result<(Vec<Value>, Option<String>), Failure> {
    if filter.len() > MAX_LENGTH {
        let message = format!("a filter is at most {MAX_LENGTH} octets long");
        return Err(Failure::usage(message));
    }
    let mut list = Vec::new();
    loop {
        let wanted = (limit - list.len()).min(SLICE);
        if wanted == 0 {
            return Ok((list, after));
        }
        let target = Target::new(path)
            .with("filter", filter)
            .with("limit", &wanted.to_string())
            .with_some("after", after.as_deref());
        let mut answer = client.get(&target)?;
        if let Value::Array(items) = answer[name].take() {
            list.extend(items);
        }
        match answer["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok((list, None)),
        }
    }
}

fn more(next: Option<&String>, out: &Out) {
    if next.is_some() {
        out.remark("there are more; give a filter or a higher --limit");
    }
}

fn wait_reasons(out: &Out) {
    if out.is_json() {
        let reasons: Vec<Value> = WaitReason::ALL
            .iter()
            .map(|(_, name, meaning)| json!({ "name": name, "meaning": meaning }))
            .collect();
        out.object(&json!({ "v": 1, "wait_reasons": reasons }));
        return;
    }
    let mut table = Table::new(&["REASON", "MEANING"]);
    for (_, name, meaning) in WaitReason::ALL {
        table.row(vec![name.to_owned(), meaning.to_owned()]);
    }
    table.print(out, "");
}
