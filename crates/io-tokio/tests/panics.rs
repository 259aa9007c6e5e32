//! A task that panics ends the process; shown in a process of its own.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_io_tokio::NullJournal;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

const CHILD: &str = "POSTHASTE_TEST_PANICS";

#[test]
fn a_panicking_task_ends_the_process_loudly() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = posthaste_io_tokio::world(Arc::new(NullJournal));
            world.spawn.spawn("doomed", Box::pin(async { panic!("a fault of the code") }));
            tokio::time::sleep(Duration::from_secs(30)).await;
        });
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_panicking_task_ends_the_process_loudly", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && output.status.code().is_none(), "ended by a signal");
    assert!(said.contains("a fault of the code") && said.contains("task doomed"), "{said}");
}
