//! `queue decisions` and `queue holds`: what operators have decided, and what is held when it comes.

use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Table, age};
use crate::verbs::{now, text};
use bytes::Bytes;
use serde_json::{Value, json};

pub(super) fn run(
    client: &Client,
    number: Option<u64>,
    cancel: bool,
    out: &Out,
) -> Result<(), Failure> {
    let answer = match number {
        Some(number) if cancel => {
            let target = Target::new(&format!("/v1/decisions/{number}/cancel"));
            client.post(&target, Bytes::new())?
        }
        Some(number) => client.get(&Target::new(&format!("/v1/decisions/{number}")))?,
        None => client.get(&Target::new("/v1/decisions"))?,
    };
    if out.is_json() {
        out.object(&answer);
        return Ok(());
    }
    let one = [answer.clone()];
    let all = answer["decisions"].as_array().map_or(&one[..], Vec::as_slice);
    let heading =
        ["NO", "AGE", "ACT", "STAGE", "MESSAGES", "RECIPIENTS", "BY", "WHICH", "REASON", "FAULT"];
    let mut table = Table::new(&heading);
    for decision in all {
        table.row(vec![
            text(&decision["decision"]),
            age(decision["at"].as_str(), now()),
            text(&decision["act"]),
            text(&decision["stage"]),
            text(&decision["messages"]),
            text(&decision["recipients"]),
            text(&decision["by"]),
            which(&decision["target"]),
            text(&decision["reason"]),
            text(&decision["fault"]),
        ]);
    }
    table.print(out, "nothing has been decided");
    Ok(())
}

pub(super) fn holds(client: &Client, out: &Out) -> Result<(), Failure> {
    let answer = client.get(&Target::new("/v1/holds"))?;
    if out.is_json() {
        out.object(&json!({ "v": 1, "holds": answer["holds"] }));
        return Ok(());
    }
    let mut table = Table::new(&["NO", "AGE", "BY", "CAUGHT", "WHICH", "REASON", "FAULT"]);
    for hold in answer["holds"].as_array().into_iter().flatten() {
        table.row(vec![
            text(&hold["hold"]),
            age(hold["at"].as_str(), now()),
            text(&hold["by"]),
            text(&hold["caught"]),
            which(&hold["target"]),
            text(&hold["reason"]),
            text(&hold["fault"]),
        ]);
    }
    table.print(out, "nothing is held when it comes");
    Ok(())
}

fn which(target: &Value) -> String {
    match target["kind"].as_str() {
        Some("destination") => format!("destination {}", text(&target["value"])),
        Some("all") => "all".to_owned(),
        _ => text(&target["value"]),
    }
}
