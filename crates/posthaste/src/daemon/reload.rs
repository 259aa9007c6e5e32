//! Rereading the settings while mail flows. A file that is wrong, or an address that cannot be had, changes nothing.

use super::{Daemon, certificates};
use crate::config::{self, Config, Level, LogFormat, Lowered};
use posthaste_admin::desk::{ReloadFault, Reloaded};
use posthaste_dispatch::Reload;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::timeout;

/// The longest that reading the settings, or the files they name, may take.
const LONGEST_READ: Duration = Duration::from_secs(60);

/// Rereads the file the daemon was started with, and says in the log what came of it.
pub(super) async fn reload(daemon: &Daemon) -> Result<Reloaded, ReloadFault> {
    let asking = daemon;
    asking.manager.reloading();
    let daemon = daemon.clone();
    // A task of its own: who asked may go away, and half a reload must not be left.
    let done = tokio::spawn(async move { reread(&daemon).await }).await;
    let result = done.unwrap_or_else(|gone| Err(ReloadFault(gone.to_string())));
    // Also when the old settings hold: the service manager waits for it.
    asking.manager.ready(&asking.status_line());
    match &result {
        Ok(reloaded) if reloaded.after_restart.is_empty() => {
            tracing::info!(due_now = reloaded.due_now, "settings reread");
        }
        Ok(reloaded) => {
            let later = reloaded.after_restart.join(", ");
            tracing::warn!(
                after_restart = later,
                due_now = reloaded.due_now,
                "settings reread; some hold after a restart only"
            );
        }
        Err(fault) => tracing::error!("the old settings hold: {fault}"),
    }
    result
}

async fn reread(daemon: &Daemon) -> Result<Reloaded, ReloadFault> {
    let (file, scale) = (daemon.file.clone(), daemon.allow_clock_scale);
    let mut doors = daemon.doors.lock().await;
    let read = tokio::task::spawn_blocking(move || config::load(file.as_deref(), scale));
    let loaded = match timeout(LONGEST_READ, read).await.map_err(|_| too_slow())? {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(wrong)) => return Err(ReloadFault(wrong.to_string())),
        Err(gone) => return Err(ReloadFault(gone.to_string())),
    };
    let recipients = timeout(LONGEST_READ, daemon.read_recipients(&loaded.config)).await;
    let recipients = recipients.map_err(|_| too_slow())?;
    let recipients = recipients.map_err(|faults| ReloadFault(faults.to_string()))?;
    let certified = timeout(LONGEST_READ, certificates::read(&loaded.config)).await;
    let certified = certified.map_err(|_| too_slow())?;
    let certified = certified.map_err(|faults| ReloadFault(faults.to_string()))?;
    let machine = daemon.system.look(&loaded.config);
    let fresh = Arc::new(loaded.config.lower(&machine));
    let listeners = &fresh.reception.listeners;
    let (beside, after) = doors.missing(listeners);
    let bound = doors.bind(&daemon.world, &beside).await;
    let bound = bound.map_err(|error| ReloadFault(format!("{error:#}")))?;
    loaded.tell_warnings();
    daemon.take_recipients(recipients);
    daemon.take_certificates(certified);
    daemon.journal.reload(loaded.config.log.files);
    daemon.system.hold(&loaded.config, &machine);
    let due_now = take(daemon, &fresh).await;
    doors.open(&daemon.reception, bound);
    doors.close_others(listeners).await;
    let mut after_restart = after_restart(&daemon.started_with, &loaded.config);
    let commands = loaded.config.token_commands();
    if !commands.iter().all(|command| daemon.vault.can_run(command)) {
        after_restart.push("route.auth.token_command".to_owned());
    }
    match doors.bind(&daemon.world, &after).await {
        Ok(bound) => doors.open(&daemon.reception, bound),
        // Its port was ours a moment ago; the next reload tries again.
        Err(error) => {
            tracing::error!("{error:#}");
            after_restart.push("listener".to_owned());
        }
    }
    Ok(Reloaded { after_restart, due_now })
}

fn too_slow() -> ReloadFault {
    let seconds = LONGEST_READ.as_secs();
    ReloadFault(format!(
        "the settings, or a file they name, could not be read within {seconds} s; is its disk there?"
    ))
}

/// Gives every agent its new settings. Answers how many recipients waited on what has changed.
pub(super) async fn take(daemon: &Daemon, fresh: &Arc<Lowered>) -> u64 {
    let old = {
        let mut held = daemon.lowered.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *held, Arc::clone(fresh))
    };
    daemon.reception.reload(fresh.reception.clone());
    if old.routes != fresh.routes {
        daemon.reception.forget_verified();
    }
    daemon.vault.forget();
    let reload = Reload {
        settings: Arc::clone(&fresh.dispatch),
        delivery: Arc::clone(&fresh.delivery),
        routes: Arc::clone(&fresh.routes),
        queue: fresh.queue.clone(),
        dns: fresh.dns.clone(),
    };
    daemon.dispatch.reload(reload).await
}

/// Settings that differ from those the process runs with until it ends, however often they are reread.
fn after_restart(running: &Config, fresh: &Config) -> Vec<String> {
    let differ = [
        ("data", running.data != fresh.data),
        ("admin", {
            let kept =
                |config: &Config| (within(config, &config.admin.socket), config.admin.address);
            kept(running) != kept(fresh)
        }),
        ("log", until_the_end(running) != until_the_end(fresh)),
        ("submission", {
            let places = |config: &Config| {
                let submission = &config.submission;
                [within(config, &submission.socket), within(config, &submission.pickup)]
            };
            places(running) != places(fresh)
        }),
    ];
    differ.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
}

/// Of the logs only what was opened at the start.
fn until_the_end(config: &Config) -> (Place, Level, LogFormat) {
    let log = &config.log;
    (within(config, &log.events), log.level, log.format)
}

/// A place as it is set: what lies in `data` moves with it, and is told with it.
#[derive(PartialEq, Eq)]
enum Place {
    InData(PathBuf),
    At(PathBuf),
}

fn within(config: &Config, path: &Path) -> Place {
    match path.strip_prefix(&config.data) {
        Ok(rest) => Place::InData(rest.to_owned()),
        Err(_) => Place::At(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(folder: &Path, text: &str) -> Config {
        let file = folder.join("p.toml");
        std::fs::write(&file, text).expect("the folder is ours");
        config::load(Some(&file), false).unwrap_or_else(|e| panic!("{e}")).config
    }

    #[test]
    fn what_holds_until_the_end_is_told_by_what_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let running = config(folder.path(), "");
        for (text, expected) in [
            ("", &[][..]),
            ("[[listener]]\naddress = \"127.0.0.1:1\"\n[limits]\nrecipients = 500", &[]),
            ("[log]\nlevel = \"debug\"", &["log"]),
            ("[log]\nsessions = \"refused\"\nkeep = \"7d\"", &[]),
            ("[admin]\naddress = \"off\"", &["admin"]),
            // The control socket and the event log lie in it: told once.
            ("data = \"elsewhere\"", &["data"]),
            ("data = \"elsewhere\"\n[admin]\nsocket = \"c.sock\"", &["data", "admin"]),
            ("[log]\nevents = \"posthaste-data/other\"", &["log"]),
        ] {
            assert_eq!(after_restart(&running, &config(folder.path(), text)), expected, "{text}");
        }
    }
}
