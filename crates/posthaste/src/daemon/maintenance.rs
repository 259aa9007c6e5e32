//! Maintenance: no mail is accepted, what is queued is delivered (or held too). It outlives a restart: a file beside the
//! spool says so, written before anything changes.
//!
//! Not here: telling clients (`reception`), the verb (`verbs::maintenance`).

use super::Daemon;
use anyhow::{Context as _, Result};
use posthaste_admin::desk::{Maintenance, MaintenanceFault, MaintenanceWish};
use posthaste_io_tokio::Folder;
use posthaste_mail::Timestamp;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// The file, in the folder of all data.
const NOTE: &str = "maintenance";
const UNFINISHED: &str = "maintenance.new";

/// What the file says.
#[derive(Serialize, Deserialize)]
struct Noted {
    v: u32,
    /// Microseconds since the epoch.
    since: i64,
    reason: Option<String>,
    hold: bool,
}

/// What the last run left.
///
/// # Errors
/// A file that cannot be understood: opening by mistake would be worse than not starting.
pub(super) fn noted(data: &Path) -> Result<Option<Maintenance>> {
    let path = data.join(NOTE);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let noted: Noted = serde_json::from_str(&text).with_context(|| {
        let path = path.display();
        format!("{path} does not say what maintenance it means; remove it, then it is over")
    })?;
    let since = Timestamp::from_micros(noted.since);
    Ok(Some(Maintenance { since, reason: noted.reason, hold: noted.hold }))
}

/// Durable when it returns.
fn note(data: &Path, now: Option<&Maintenance>) -> io::Result<()> {
    match now {
        Some(now) => {
            let noted = Noted {
                v: 1,
                since: now.since.as_micros(),
                reason: now.reason.clone(),
                hold: now.hold,
            };
            let folder = Folder::open(data)?;
            let mut file = folder.fresh(OsStr::new(UNFINISHED))?;
            file.write_all(serde_json::to_string(&noted)?.as_bytes())?;
            file.sync_all()?;
            folder.rename(OsStr::new(UNFINISHED), OsStr::new(NOTE))?;
        }
        None => match fs::remove_file(data.join(NOTE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        },
    }
    File::open(data)?.sync_all()
}

impl Daemon {
    /// Before the doors open: what the last run left holds.
    pub(super) fn go_on_with(&self, noted: Option<Maintenance>) {
        if let Some(maintenance) = &noted {
            tracing::warn!(
                reason = maintenance.reason,
                hold = maintenance.hold,
                "closed for maintenance since before the start; `posthaste maintenance off` ends it"
            );
        }
        self.act_on(noted.as_ref());
        *self.life.maintenance() = noted;
    }

    /// Begins, changes or ends it.
    pub(super) async fn maintain(
        &self,
        wanted: Option<MaintenanceWish>,
    ) -> Result<Option<Maintenance>, MaintenanceFault> {
        let daemon = self.clone();
        // The disk may be slow, and two at once must not cross.
        let done = tokio::task::spawn_blocking(move || daemon.maintain_now(wanted)).await;
        done.unwrap_or_else(|gone| Err(MaintenanceFault(gone.to_string())))
    }

    fn maintain_now(
        &self,
        wanted: Option<MaintenanceWish>,
    ) -> Result<Option<Maintenance>, MaintenanceFault> {
        let mut held = self.life.maintenance();
        let since = held.as_ref().map_or_else(|| self.world.wall(), |held| held.since);
        let now = wanted.map(|wish| Maintenance { since, reason: wish.reason, hold: wish.hold });
        note(&self.started_with.data, now.as_ref())
            .map_err(|error| MaintenanceFault(error.to_string()))?;
        self.act_on(now.as_ref());
        match &now {
            Some(now) => {
                tracing::warn!(reason = now.reason, hold = now.hold, "closed for maintenance");
            }
            None if held.is_some() => tracing::info!("maintenance is over"),
            None => {}
        }
        held.clone_from(&now);
        Ok(now)
    }

    fn act_on(&self, now: Option<&Maintenance>) {
        self.reception.set_maintenance(now.is_some());
        match now {
            Some(now) if now.hold => self.dispatch.pause(),
            _ if self.dispatch.is_paused() => self.dispatch.resume(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_found_again_and_nonsense_is_told() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(noted(folder.path()).unwrap(), None);
        let since = Timestamp::from_micros(7_000_000);
        let now = Maintenance { since, reason: Some("new disk".into()), hold: true };
        note(folder.path(), Some(&now)).unwrap();
        assert_eq!(noted(folder.path()).unwrap(), Some(now));
        note(folder.path(), None).unwrap();
        note(folder.path(), None).unwrap();
        assert_eq!(noted(folder.path()).unwrap(), None);
        fs::write(folder.path().join(NOTE), "later").unwrap();
        let said = format!("{:#}", noted(folder.path()).unwrap_err());
        assert!(said.contains("remove it, then it is over"), "{said}");
    }
}
