//! `queue`: destinations with mail; what is done to messages, and each other word behind it, has a file of its own.

mod act;
mod arrival;
mod decisions;
mod destinations;
mod files;
mod kept;
mod messages;
mod show;

use super::daemon;
use crate::cli::{Global, QueueArgs, QueueVerb};
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::Table;
use posthaste_admin::filter::MAX_LENGTH;
use posthaste_evidence::WaitReason;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Entries asked of the daemon at once.
const SLICE: usize = 500;

pub(super) fn run(global: &Global, mut args: QueueArgs, out: &Out) -> Result<ExitCode, Failure> {
    if args.wait_reasons {
        wait_reasons(out);
        return Ok(ExitCode::SUCCESS);
    }
    let client = daemon(global)?;
    let Some(verb) = args.verb.take() else {
        return destinations::run(&client, &args, out).map(|()| ExitCode::SUCCESS);
    };
    if let Some((request, how)) = act::command(&verb) {
        return act::run(&client, request, how, out);
    }
    match verb {
        QueueVerb::Export(args) => return files::export(&client, &args, out),
        QueueVerb::Import(args) => files::import(&client, &args, out),
        QueueVerb::Decisions { number, cancel } => decisions::run(&client, number, cancel, out),
        QueueVerb::Holds => decisions::holds(&client, out),
        QueueVerb::Watch { filter, times } => {
            destinations::watch(&client, &args, &filter.join(" "), times, out)
        }
        QueueVerb::Show { id } => show::run(&client, &id, out),
        QueueVerb::Messages { filter, limit, after } => {
            messages::run(&client, &filter.join(" "), limit, after, out)
        }
        _ => unreachable!("the acts are done above"),
    }
    .map(|()| ExitCode::SUCCESS)
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
