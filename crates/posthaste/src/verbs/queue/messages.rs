//! `queue messages [FILTER]`.

use super::{more, slices};
use crate::client::Client;
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Table, age, relative};
use crate::verbs::{last_error, now, text};
use jiff::Timestamp;
use posthaste_admin::units::print_rough_size;
use serde_json::{Value, json};

pub(super) fn run(
    client: &Client,
    filter: &str,
    limit: usize,
    after: Option<String>,
    out: &Out,
) -> Result<(), Failure> {
    let (list, next) = slices(client, "/v1/messages", "messages", filter, limit, after)?;
    if out.is_json() {
        out.object(&json!({ "v": 1, "messages": list, "next": next }));
        return Ok(());
    }
    let heading = ["ID", "AGE", "SIZE", "FROM", "TO", "STATUS", "WAITS FOR", "NEXT", "LAST ERROR"];
    let mut table = Table::new(&heading);
    let now = now();
    list.iter().for_each(|message| rows(message, now, &mut table));
    table.print(out, if filter.is_empty() { "the queue is empty" } else { "no message fits" });
    more(next.as_ref(), out);
    Ok(())
}

/// A row for each recipient that is still here; the message is named in the first.
fn rows(message: &Value, now: Timestamp, table: &mut Table) {
    let reverse_path = message["reverse_path"].as_str().unwrap_or_default();
    let mut head = vec![
        text(&message["id"]),
        age(message["received"].as_str(), now),
        print_rough_size(message["size"].as_u64().unwrap_or(0)),
        if reverse_path.is_empty() { "<>".to_owned() } else { reverse_path.to_owned() },
    ];
    let live = |recipient: &&Value| {
        matches!(recipient["status"].as_str(), Some("queued" | "in-flight" | "held"))
    };
    for recipient in message["recipients"].as_array().into_iter().flatten().filter(live) {
        let mut cells = std::mem::replace(&mut head, vec![String::new(); 4]);
        cells.extend([
            text(&recipient["address"]),
            text(&recipient["status"]),
            text(&recipient["wait_reason"]),
            relative(recipient["next_attempt"].as_str(), now),
            last_error(&recipient["last_error"]),
        ]);
        table.row(cells);
    }
}
