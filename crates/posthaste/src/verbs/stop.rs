//! `stop`: the daemon finishes what is under way and ends.

use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::out::Out;
use bytes::Bytes;
use posthaste_admin::units::print_duration;
use posthaste_io_tokio::{DiskOpenError, RealDisk};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

pub(super) fn run(client: &Client, wait: Duration, out: &Out) -> Result<(), Failure> {
    // Where it cannot be asked, the socket alone says that it has ended.
    let spool = client.get(&Target::new("/v1/spool")).ok();
    let spool = spool.and_then(|answer| answer["folder"].as_str().map(PathBuf::from));
    client.post(&Target::new("/v1/stop"), Bytes::new())?;
    let until = Instant::now() + wait;
    while client.is_alive() || spool.as_deref().is_some_and(is_in_use) {
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

/// The socket closes before the spool is let go: who works on the spool next finds it free.
fn is_in_use(spool: &Path) -> bool {
    matches!(RealDisk::look(spool), Err(DiskOpenError::Locked { .. }))
}
