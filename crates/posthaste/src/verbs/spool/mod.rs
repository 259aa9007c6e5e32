//! `spool`: the spool as operators handle it; each verb has a file of its own.

mod carry;
mod check;
mod quarantine;
mod upgrade;

use crate::cli::{Global, SpoolVerb};
use crate::config;
use crate::failure::Failure;
use crate::out::Out;
use crate::place;
use crate::spool::folder_of;
use posthaste_io_tokio::{DiskOpenError, RealDisk};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A check has found something (the outside interface, *Exit status*).
const FOUND: u8 = 5;

pub(super) fn run(global: &Global, verb: SpoolVerb, out: &Out) -> Result<ExitCode, Failure> {
    match verb {
        SpoolVerb::Check { folder } => check::run(global, folder, out),
        SpoolVerb::Quarantine(verb) => quarantine::run(global, verb, out),
        SpoolVerb::Export { to, data } => carry::export(global, &to, data, out),
        SpoolVerb::Import { from, data } => carry::import(global, &from, data, out),
        SpoolVerb::Upgrade { folder, dry_run } => upgrade::run(global, folder, dry_run, out),
    }
}

/// The folder of all data: the one given, else that of the settings.
fn data(global: &Global, given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    if let Some(given) = given {
        return Ok(given);
    }
    let file = place::config_file(global);
    // Scaled clocks are the daemon's to refuse: they do not move the folder.
    Ok(config::load(file.as_deref(), true)?.config.data)
}

/// A spool that is there, to look at: `None` while somebody has it.
fn look(data: &Path) -> Result<Result<RealDisk, DiskOpenError>, Failure> {
    match RealDisk::look(&folder_of(data)) {
        Err(locked @ DiskOpenError::Locked { .. }) => Ok(Err(locked)),
        Err(error) => Err(Failure::failed(format!("there is no spool to read: {error}"))),
        Ok(disk) => Ok(Ok(disk)),
    }
}

/// Somebody has the spool and cannot be asked.
fn in_use(locked: &DiskOpenError, and: &str) -> Failure {
    Failure::failed(format!("{locked}; {and}"))
}
