//! `ping [--wait 10s]`: succeeds when all listeners are bound, recovery is done and mail is accepted.

use crate::cli::Global;
use crate::client::Client;
use crate::failure::Failure;
use crate::out::Out;
use crate::place;
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(50);

pub(super) fn run(global: &Global, wait: Option<Duration>, out: &Out) -> Result<(), Failure> {
    let until = Instant::now() + wait.unwrap_or_default();
    loop {
        // The socket itself may come only while we wait.
        let answer = place::socket(global).and_then(Client::new).and_then(|client| client.ping());
        let outcome = answer.and_then(ready);
        match outcome {
            Ok(answer) => {
                if out.is_json() {
                    out.object(&answer);
                } else {
                    out.line("ready");
                }
                return Ok(());
            }
            Err(failure) if Instant::now() >= until => return Err(failure),
            Err(_) => sleep(POLL),
        }
    }
}

fn ready(answer: Value) -> Result<Value, Failure> {
    let is = |name: &str| answer[name].as_bool().unwrap_or(false);
    if is("ready") {
        let Some(why) = answer["refusing"].as_str() else { return Ok(answer) };
        let message = format!("ready, but no mail is accepted: {why}; see `posthaste status`");
        return Err(Failure::failed(message));
    }
    Err(Failure::failed(if is("stopping") {
        "not ready: the daemon is stopping"
    } else if is("listening") {
        "not ready: the daemon is still reading its spool; try `ping --wait 10s`"
    } else {
        "not ready: not all listeners are bound; try `ping --wait 10s`, or see the daemon's log"
    }))
}
