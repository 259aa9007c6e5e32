//! Rereading the settings while mail flows. A file that is wrong changes nothing.

use super::{Daemon, machine};
use crate::config::{self, Lowered};
use posthaste_admin::desk::{ReloadFault, Reloaded};
use posthaste_dispatch::Reload;
use posthaste_dns::Resolver;
use std::sync::{Arc, PoisonError};

/// Rereads the file the daemon was started with.
pub(super) async fn reload(daemon: &Daemon) -> Result<Reloaded, ReloadFault> {
    let (file, scale) = (daemon.file.clone(), daemon.allow_clock_scale);
    let read = tokio::task::spawn_blocking(move || config::load(file.as_deref(), scale));
    let loaded = match read.await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(wrong)) => return Err(ReloadFault(wrong.to_string())),
        Err(gone) => return Err(ReloadFault(gone.to_string())),
    };
    let fresh = Arc::new(loaded.config.lower(&machine::look()));
    let old = {
        let mut held = daemon.lowered.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, Arc::clone(&fresh))
    };
    let resolver = (old.dns != fresh.dns)
        .then(|| Arc::new(Resolver::new(daemon.world.clone(), fresh.dns.clone())));
    daemon.dispatch.reload(Reload {
        settings: Arc::clone(&fresh.dispatch),
        delivery: Arc::clone(&fresh.delivery),
        routes: Arc::clone(&fresh.routes),
        queue: fresh.queue.clone(),
        resolver,
    });
    daemon.reception.reload(fresh.reception.clone());
    Ok(Reloaded { after_restart: after_restart(&old, &fresh) })
}

/// Settings that are taken up by the next start only.
fn after_restart(old: &Lowered, fresh: &Lowered) -> Vec<String> {
    let mut later = Vec::new();
    if old.reception.listeners != fresh.reception.listeners {
        later.push("listener".to_owned());
    }
    if old.admin != fresh.admin {
        later.push("admin".to_owned());
    }
    later
}
