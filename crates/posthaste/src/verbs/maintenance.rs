//! `maintenance on|off|status`: closes the doors, and tells when what is queued has been delivered.

use super::text;
use crate::cli::MaintenanceVerb;
use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use crate::table::age;
use bytes::Bytes;
use posthaste_admin::units::print_duration;
use serde_json::{Value, json};
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(200);

pub(super) fn run(client: &Client, verb: MaintenanceVerb, out: &Out) -> Result<(), Failure> {
    let target = Target::new("/v1/maintenance");
    let ask = |wish: Value| client.post(&target, Bytes::from(wish.to_string()));
    let answer = match verb {
        MaintenanceVerb::On { reason, hold, wait } => {
            let answer = ask(json!({ "on": true, "reason": reason, "hold": hold }))?;
            match wait {
                Some(wait) => drain(client, wait)?,
                None => answer,
            }
        }
        MaintenanceVerb::Off => ask(json!({ "on": false }))?,
        MaintenanceVerb::Status => client.get(&target)?,
    };
    if out.is_json() {
        out.object(&answer);
    } else {
        out.line(&line(&answer));
    }
    Ok(())
}

/// Waits until the queue is empty and no session is left.
fn drain(client: &Client, wait: Duration) -> Result<Value, Failure> {
    let until = Instant::now() + wait;
    loop {
        let answer = client.get(&Target::new("/v1/maintenance"))?;
        let left = |name: &str| answer[name].as_u64().unwrap_or(0);
        if left("messages") == 0 && left("sessions") == 0 {
            return Ok(answer);
        }
        if Instant::now() >= until {
            let message = format!(
                "closed for maintenance, but after {} {} messages and {} sessions are left",
                print_duration(wait),
                left("messages"),
                left("sessions")
            );
            return Err(Failure::failed(message));
        }
        sleep(POLL);
    }
}

fn line(answer: &Value) -> String {
    let queue = format!(
        "{} messages in the queue, {} sessions",
        text(&answer["messages"]),
        text(&answer["sessions"])
    );
    let maintenance = &answer["maintenance"];
    if maintenance.is_null() {
        return format!("no maintenance; {queue}");
    }
    let reason = maintenance["reason"].as_str().map(|r| format!(" ({r})")).unwrap_or_default();
    let held = if maintenance["hold"] == true { ", nothing is delivered" } else { "" };
    let since = age(maintenance["since"].as_str(), super::now());
    format!("closed for maintenance for {since}{reason}{held}; {queue}")
}
