//! A check without a daemon: this program asks itself, with the settings.

use crate::cli::Global;
use crate::failure::Failure;
use crate::{config, daemon, place};
use posthaste_admin::view::CheckObject;
use posthaste_dns::walk;
use posthaste_io_tokio::NullJournal;
use serde_json::Value;
use std::sync::Arc;

/// The object that a daemon would answer.
pub(super) fn domain(global: &Global, name: &str, route: Option<&str>) -> Result<Value, Failure> {
    let file = place::config_file(global);
    // Scaled clocks are the daemon's to refuse: nothing here hangs on them.
    let loaded = config::load(file.as_deref(), true)?;
    let lowered = loaded.config.lower(&daemon::machine::look(&loaded.config));
    let (asked, settings) = daemon::dns::as_mail_to(&lowered, name, route)
        .map_err(|fault| Failure::usage(fault.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let report = runtime.block_on(async {
        let world = posthaste_io_tokio::world(Arc::new(NullJournal));
        walk::domain(&world, &settings, name).await
    });
    let report = report.map_err(|bad| Failure::usage(bad.to_string()))?;
    serde_json::to_value(CheckObject::of(&report, &asked))
        .map_err(|error| Failure::failed(format!("the check cannot be shown: {error}")))
}
