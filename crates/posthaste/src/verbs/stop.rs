//! `stop`: the daemon finishes what is under way and ends.

use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use bytes::Bytes;
use posthaste_admin::units::print_duration;
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

pub(super) fn run(client: &Client, wait: Duration, out: &Out) -> Result<(), Failure> {
    client.post(&Target::new("/v1/stop"), Bytes::new())?;
    let until = Instant::now() + wait;
    while client.is_alive() {
        if Instant::now() >= until {
            let waited = print_duration(wait);
            let message = format!("the daemon is stopping, but has not ended within {waited}");
            return Err(Failure::failed(message));
        }
        sleep(POLL);
    }
    if out.is_json() {
        out.object(&json!({ "v": 1, "stopped": true }));
    } else {
        out.line("stopped");
    }
    Ok(())
}
