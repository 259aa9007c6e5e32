//! `serve`: the daemon, until a signal or `stop` ends it.

use crate::cli::Global;
use crate::daemon::{Inherited, privileges};
use crate::failure::Failure;
use crate::recipients::Books;
use crate::token_broker::Broker;
use crate::{config, daemon, logs, place, recipients};
use std::process::ExitCode;
use std::time::Duration;

/// How long blocking work (a file being read) may hold up the end of the process.
const LAST_WORK: Duration = Duration::from_secs(1);

/// Answers the exit status of the daemon: 0, or that of a store that has failed.
pub(super) fn run(global: &Global) -> Result<ExitCode, Failure> {
    let file = place::config_file(global);
    let read = || config::load(file.as_deref(), global.allow_clock_scale).map_err(Failure::from);
    let loaded = read()?;
    logs::start(&loaded.config.log);
    let mut inherited = Inherited::found()?;
    let standing = privileges::shed(&loaded.config, &mut inherited)?;
    let loaded = match standing.became() {
        None => loaded,
        // What only root can read would be missed at the first reload: it is missed now.
        Some(user) => {
            read().map_err(|failure| failure.add(&format!("read as the user `{user}`")))?
        }
    };
    // Before the right to run programs is given up.
    let broker = Broker::start(loaded.config.token_commands());
    let broker = broker.map_err(|error| {
        Failure::failed(format!("the process that runs token commands cannot be started: {error}"))
    })?;
    let standing = privileges::confine(standing, &loaded.config, file.as_deref());
    let opened = recipients::open(&loaded.config.own, &Books::default())?;
    loaded.tell_warnings();
    let begun = daemon::Begun { inherited, standing, broker };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(workers()).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let ended = runtime.block_on(daemon::run(loaded, opened, begun, global.allow_clock_scale));
    runtime.shutdown_timeout(LAST_WORK);
    Ok(ended?)
}

/// Half the processors, at least one: the other half has the spool's thread and the kernel's share of every
/// packet and every sync. More workers steal work from each other and cost an eighth more processor time per
/// message at the same rate (`bench/run`, two processors). `TOKIO_WORKER_THREADS` is not consulted.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| processors.get().div_ceil(2))
}
