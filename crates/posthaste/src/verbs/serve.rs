//! `serve`: the daemon, until a signal or `stop` ends it.

use crate::cli::Global;
use crate::failure::Failure;
use crate::{config, daemon, logs, place};
use std::process::ExitCode;
use std::time::Duration;

/// How long blocking work (a file being read) may hold up the end of the process.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Answers the exit status of the daemon: 0, or that of a store that has failed.
pub(super) fn run(global: &Global) -> Result<ExitCode, Failure> {
    let file = place::config_file(global);
    let loaded = config::load(file.as_deref(), global.allow_clock_scale)?;
    logs::start(&loaded.config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(daemon::run(loaded, global.allow_clock_scale));
    runtime.shutdown_timeout(LAST_WORK);
    Ok(ended?)
}
