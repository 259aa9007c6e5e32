//! Makes the indexes of sealed logs, on a thread of its own that gives way to everything else.
//!
//! Not here: what an index is (`posthaste_admin::track`), sealing (`io-tokio`).

use posthaste_admin::track::build_indexes;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// How often sealed files without an index are looked for.
const EVERY: Duration = Duration::from_secs(30);
/// As nice as a process can be.
const LOWEST: i32 = 19;

/// Begins; it ends with the process. Without it searches read whole files: slower, and as right.
pub(super) fn keep(folder: PathBuf) {
    let work = move || {
        // On Linux this is the thread's own priority; where it cannot be lowered the work is done all the same.
        let _ = rustix::process::setpriority_process(None, LOWEST);
        let mut told = false;
        loop {
            match build_indexes(&folder) {
                Ok(_) => told = false,
                Err(error) => tell_once(&error, &mut told),
            }
            std::thread::sleep(EVERY);
        }
    };
    let started = std::thread::Builder::new().name("log-index".to_owned()).spawn(work);
    if let Err(error) = started {
        tracing::warn!("the thread that indexes the logs cannot be started: {error}");
    }
}

fn tell_once(error: &io::Error, told: &mut bool) {
    if !std::mem::replace(told, true) {
        tracing::warn!("the logs cannot be indexed, searches take longer: {error}");
    }
}
