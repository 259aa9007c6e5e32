//! `status`: what is going on, in ten lines.

use super::{now, text};
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::age;
use posthaste_admin::units::{print_rough, print_rough_size};
use serde_json::Value;
use std::time::Duration;

pub(super) fn run(client: &Client, out: &Out) -> Result<(), Failure> {
    let status = client.get(&Target::new("/v1/status"))?;
    if out.is_json() {
        out.object(&status);
    } else {
        lines(&status).iter().for_each(|line| out.line(line));
    }
    Ok(())
}

fn lines(status: &Value) -> Vec<String> {
    let of = |name: &str| text(&status[name]);
    let uptime = print_rough(Duration::from_secs(status["uptime"].as_u64().unwrap_or(0)));
    let state = match (status["ready"].as_bool(), status["stopping"].as_bool()) {
        (_, Some(true)) => "stopping",
        (Some(true), _) => "ready",
        _ => "starting",
    };
    let mut lines = vec![
        format!("{}  posthaste {}  {state}, up {uptime}", of("hostname"), of("version")),
        format!(
            "queue      {} messages, {} recipients, the oldest {}",
            of("messages"),
            of("recipients"),
            age(status["oldest"].as_str(), now())
        ),
        format!("           {} in flight, {} held", of("in_flight"), of("held")),
        format!("places     {} destinations, {} down", of("destinations"), of("destinations_down")),
        format!("open       {} connections out, {} sessions in", of("connections"), of("sessions")),
        format!(
            "so far     {} accepted, {} delivered, {} deferred, {} failed",
            of("accepted"),
            of("delivered"),
            of("deferred"),
            of("failed")
        ),
        store_line(&status["store"]),
        format!("event log  {} events dropped", of("events_dropped")),
    ];
    lines.extend(pickup_line(status));
    lines
}

/// Only when there is something in the folder.
fn pickup_line(status: &Value) -> Option<String> {
    let count = |name: &str| status[name].as_u64().unwrap_or(0);
    let (waiting, bad) = (count("pickup_waiting"), count("pickup_bad"));
    let bad_ones = match bad {
        0 => String::new(),
        bad => format!(", {bad} that CANNOT BE SENT (*.bad): the log says why"),
    };
    (waiting + bad > 0).then(|| format!("pickup     {waiting} waiting{bad_ones}"))
}

fn store_line(store: &Value) -> String {
    let size = |name: &str| print_rough_size(store[name].as_u64().unwrap_or(0));
    let state = match (store["read_only"].as_bool(), store["accepting"].as_bool()) {
        (Some(true), _) => "READ-ONLY after repeated failures: see the log",
        (_, Some(true)) => "accepting",
        _ => "NOT ACCEPTING mail",
    };
    let damaged = match store["quarantined"].as_u64().unwrap_or(0) {
        0 => String::new(),
        count => format!(", {count} DAMAGED records in quarantine"),
    };
    format!(
        "spool      {state}, {} live, {} on disk, {} free{damaged}",
        size("live_octets"),
        size("disk_octets"),
        size("free_octets")
    )
}
