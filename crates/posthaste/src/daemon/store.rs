//! Opens the spool of this machine and says what the start found.
//!
//! Not here: the store itself (`spool-local`).

use anyhow::{Context as _, Result};
use posthaste_io_tokio::RealDisk;
use posthaste_spool_local::{LocalSpool, Log, Report, Settings};
use std::path::Path;
use std::sync::Arc;

/// The folder of the spool within that of all data.
const FOLDER: &str = "spool";

/// Opens the spool, or says who has it or what is wrong with it. It is never replaced by an empty one.
pub(super) fn open(data: &Path) -> Result<Arc<LocalSpool<RealDisk>>> {
    let folder = data.join(FOLDER);
    let disk = RealDisk::open(&folder)?;
    let salt = posthaste_io_tokio::unpredictable();
    let settings = Settings { salt, ..Settings::default() };
    let (log, report) = Log::open(disk, settings)
        .with_context(|| format!("cannot open the spool in {}", folder.display()))?;
    tell(&folder, &report);
    let spool = LocalSpool::on_thread(log).context("cannot start the spool's thread")?;
    Ok(Arc::new(spool))
}

fn tell(folder: &Path, report: &Report) {
    tracing::info!(
        folder = %folder.display(),
        messages = report.messages,
        segments = report.segments,
        scanned = report.scanned,
        torn = report.torn,
        orphans = report.orphans,
        "the spool is open"
    );
    for place in &report.quarantined {
        tracing::error!(
            place = place.place,
            octets = place.size,
            what = place.what,
            "a part of the spool cannot be read; it is kept, and the rest goes on"
        );
    }
}
