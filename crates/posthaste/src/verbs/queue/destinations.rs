//! `queue`: destinations by the age of their mail; one by one in full; summed up; and all of it again and again.

use super::{more, slices};
use crate::cli::{By, QueueArgs};
use crate::client::Client;
use crate::failure::Failure;
use crate::out::Out;
use crate::table::{Table, age, relative};
use crate::verbs::{last_error, now, text};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::time::Duration;

/// The age classes of the table: its heading, and those of the interface that it sums up.
const COLUMNS: [(&str, &[&str]); 6] = [
    ("<5m", &["5"]),
    ("<20m", &["10", "20"]),
    ("<80m", &["40", "80"]),
    ("<5h", &["160", "320"]),
    ("<21h", &["640", "1280"]),
    ("OLDER", &["older"]),
];
/// The widest table, columns of a terminal.
const WIDTH: usize = 118;
/// The widest name of a destination in it.
const NAME: usize = 30;
/// The widest name of a route in it.
const ROUTE: usize = 16;
/// Between two looks of `queue watch`.
const EVERY: Duration = Duration::from_secs(2);

pub(super) fn run(client: &Client, args: &QueueArgs, out: &Out) -> Result<(), Failure> {
    show(client, args, &args.filter.join(" "), out)
}

/// Until it is interrupted, or so many times.
pub(super) fn watch(
    client: &Client,
    args: &QueueArgs,
    filter: &str,
    times: Option<u32>,
    out: &Out,
) -> Result<(), Failure> {
    let mut left = times;
    loop {
        if !out.is_json() {
            // To the upper left corner, and clear what is below: ECMA-48. Elsewhere each look follows the last.
            if std::io::stdout().is_terminal() {
                out.text("\u{1b}[H\u{1b}[J");
            }
            let at = now().round(jiff::Unit::Second).unwrap_or_else(|_| now());
            out.line(&format!("posthaste queue, {at}, every {} s; ctrl-C ends", EVERY.as_secs()));
        }
        show(client, args, filter, out)?;
        left = left.map(|left| left.saturating_sub(1));
        if left == Some(0) {
            return Ok(());
        }
        std::thread::sleep(EVERY);
    }
}

fn show(client: &Client, args: &QueueArgs, filter: &str, out: &Out) -> Result<(), Failure> {
    let (list, next) = slices(client, "/v1/queue", "destinations", filter, args.limit, None)?;
    if let Some(by) = args.by {
        groups(&list, by, out);
    } else if out.is_json() {
        out.object(&json!({ "v": 1, "destinations": list, "next": next }));
        return Ok(());
    } else {
        // Destinations that are only remembered are shown to those who ask for them.
        let shown = |d: &&Value| !filter.is_empty() || d["status"] != "idle";
        let shown: Vec<&Value> = list.iter().filter(shown).collect();
        let empty = if filter.is_empty() { "the queue is empty" } else { "no destination fits" };
        if shown.is_empty() {
            out.line(empty);
        } else if args.verbose {
            shown.iter().for_each(|destination| in_full(destination, out));
        } else {
            by_age(&shown, out);
        }
    }
    more(next.as_ref(), out);
    Ok(())
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn by_age(list: &[&Value], out: &Out) {
    let now = now();
    // Where two rows have one name, the route tells them apart.
    let names: BTreeSet<&str> = list.iter().filter_map(|d| d["name"].as_str()).collect();
    let by_route = names.len() < list.len();
    let heading = ["DESTINATION"].into_iter().chain(by_route.then_some("ROUTE"));
    let heading = heading.chain(["STATUS", "ALL"]).chain(COLUMNS.map(|(heading, _)| heading));
    let heading: Vec<&str> = heading.chain(["OLDEST", "NEXT", "LAST ERROR"]).collect();
    let mut table = Table::new(&heading);
    if list.len() > 1 {
        let all: u64 = list.iter().map(|d| number(&d["messages"])).sum();
        let mut row = vec![format!("ALL {}", list.len())];
        row.extend(by_route.then(String::new));
        row.extend([String::new(), all.to_string()]);
        row.extend(COLUMNS.map(|(_, classes)| {
            dash(list.iter().map(|destination| aged(destination, classes)).sum())
        }));
        row.push(age(oldest(list.iter().copied()), now));
        table.row(row);
    }
    for destination in list {
        let mut row = vec![cut(&text(&destination["name"]), NAME)];
        row.extend(by_route.then(|| cut(&text(&destination["route"]), ROUTE)));
        row.extend([text(&destination["status"]), text(&destination["messages"])]);
        row.extend(COLUMNS.map(|(_, classes)| dash(aged(destination, classes))));
        row.push(age(destination["oldest"].as_str(), now));
        row.push(relative(destination["next_attempt"].as_str(), now));
        row.push(last_error(&destination["last_error"]));
        table.row(row);
    }
    table.print_within(out, WIDTH);
}

fn aged(destination: &Value, classes: &[&str]) -> u64 {
    classes.iter().map(|class| number(&destination["ages"][class])).sum()
}

/// Nothing is easier to overlook than a column of zeros.
fn dash(count: u64) -> String {
    if count == 0 { "-".to_owned() } else { count.to_string() }
}

fn cut(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    name.chars().take(width - 1).chain(['…']).collect()
}

/// Times of one form, in UTC: their texts are in their order.
fn oldest<'v>(list: impl Iterator<Item = &'v Value>) -> Option<&'v str> {
    list.filter_map(|destination| destination["oldest"].as_str()).min()
}

fn in_full(destination: &Value, out: &Out) {
    let now = now();
    let of = |name: &str| text(&destination[name]);
    let time = |name: &str| moment(&destination[name], now);
    out.line(&format!("{}  over route {}", of("name"), of("route")));
    out.line(&format!("  status       {}, {} connections", of("status"), of("connections")));
    out.line(&format!(
        "  messages     {} ({} recipients, {} held), {} deferred",
        of("messages"),
        of("recipients"),
        of("held"),
        of("deferred")
    ));
    let ages = destination["ages"].as_object().into_iter().flatten();
    let ages = ages.filter(|(_, count)| number(count) > 0);
    let words = |class: &str| match class {
        "older" => "older".to_owned(),
        minutes => format!("<{minutes}min"),
    };
    let mut ages: Vec<(u64, String)> = ages
        .map(|(class, count)| {
            (class.parse().unwrap_or(u64::MAX), format!("{} {count}", words(class)))
        })
        .collect();
    ages.sort();
    let ages: Vec<String> = ages.into_iter().map(|(_, words)| words).collect();
    out.line(&format!("  ages         {}", ages.join(", ")));
    out.line(&format!("  oldest       {}", time("oldest")));
    out.line(&format!(
        "  rates        {} in, {} out a second; velocity {}",
        of("rate_in"),
        of("rate_out"),
        of("velocity")
    ));
    out.line(&format!("  next         {}", time("next_attempt")));
    out.line(&format!(
        "  retries      {}, the first {}, the last {}",
        of("retry_count"),
        time("first_retry"),
        time("last_retry")
    ));
    out.line(&format!("  last error   {}", last_error(&destination["last_error"])));
}

fn moment(time: &Value, now: Timestamp) -> String {
    match time.as_str() {
        Some(at) => format!("{at} ({})", relative(Some(at), now)),
        None => "-".to_owned(),
    }
}

/// What destinations have in common, summed up.
#[derive(Default)]
struct Group<'v> {
    destinations: u64,
    messages: u64,
    deferred: u64,
    held: u64,
    oldest: Option<&'v str>,
    rates: [f64; 2],
}

fn groups(list: &[Value], by: By, out: &Out) {
    let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
    for destination in list.iter().filter(|d| d["status"] != "idle") {
        let group = groups.entry(key(destination, by)).or_default();
        group.destinations += 1;
        group.messages += number(&destination["messages"]);
        group.deferred += number(&destination["deferred"]);
        group.held += number(&destination["held"]);
        let oldest = destination["oldest"].as_str();
        group.oldest = group.oldest.into_iter().chain(oldest).min();
        let rate = |name: &str| destination[name].as_f64().unwrap_or(0.0);
        group.rates = [group.rates[0] + rate("rate_in"), group.rates[1] + rate("rate_out")];
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.messages));
    if out.is_json() {
        let groups: Vec<Value> = groups
            .iter()
            .map(|(value, g)| {
                json!({
                    "value": value, "destinations": g.destinations, "messages": g.messages,
                    "deferred": g.deferred, "held": g.held, "oldest": g.oldest,
                    "rate_in": g.rates[0], "rate_out": g.rates[1], "velocity": g.rates[1] - g.rates[0],
                })
            })
            .collect();
        out.object(&json!({ "v": 1, "by": by.name(), "groups": groups }));
        return;
    }
    let heading = by.name().to_uppercase();
    let columns =
        ["MESSAGES", "DEFERRED", "HELD", "DESTINATIONS", "OLDEST", "IN/S", "OUT/S", &heading];
    let mut table = Table::new(&columns);
    for (value, g) in &groups {
        table.row(vec![
            g.messages.to_string(),
            g.deferred.to_string(),
            g.held.to_string(),
            g.destinations.to_string(),
            age(g.oldest, now()),
            format!("{:.2}", g.rates[0]),
            format!("{:.2}", g.rates[1]),
            value.clone(),
        ]);
    }
    table.print(out, "the queue is empty");
}

fn key(destination: &Value, by: By) -> String {
    match by {
        By::Route => text(&destination["route"]),
        By::Status => text(&destination["status"]),
        By::Domain => text(&destination["name"]),
        By::Error => match last_error(&destination["last_error"]) {
            none if none.is_empty() => "no error".to_owned(),
            error => error,
        },
    }
}
