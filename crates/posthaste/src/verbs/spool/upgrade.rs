//! `spool upgrade [--dry-run]`: the version of the spool's format. There is one so far: nothing is ever rewritten, and a
//! spool of a newer program is refused.

use super::{data, in_use, look};
use crate::cli::Global;
use crate::failure::Failure;
use crate::out::Out;
use crate::spool;
use posthaste_spool_local::versions::{CURRENT, versions};
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;

pub(super) fn run(
    global: &Global,
    folder: Option<PathBuf>,
    dry_run: bool,
    out: &Out,
) -> Result<ExitCode, Failure> {
    let data = data(global, folder)?;
    let disk = look(&data)?.map_err(|locked| {
        in_use(&locked, "stop the daemon first: a format is not changed under its hands")
    })?;
    let folder = disk.path().display().to_string();
    let found = versions(&disk).map_err(|error| Failure::failed(error.to_string()))?;
    // Also tells whether it can be opened at all; a newer one is refused here.
    spool::open(disk, true)
        .map_err(|error| Failure::failed(format!("cannot open the spool in {folder}: {error}")))?;
    let segments: u64 = found.values().sum();
    if out.is_json() {
        let found: Vec<_> = found
            .iter()
            .map(|(version, segments)| json!({ "version": version, "segments": segments }))
            .collect();
        out.object(&json!({
            "v": 1, "folder": folder, "current": CURRENT, "found": found, "needed": false, "dry_run": dry_run,
        }));
    } else {
        out.line(&format!(
            "{folder}: format {CURRENT}, {segments} segments; it is that of this program: nothing to do"
        ));
    }
    Ok(ExitCode::SUCCESS)
}
