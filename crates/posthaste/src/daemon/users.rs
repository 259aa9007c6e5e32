//! The users' file while the daemon runs: it is looked at every few seconds. One that is wrong changes nothing.
//!
//! Not here: what is in it (`crate::users`), who asks (`reception`).

use super::Daemon;
use crate::recipients::Stamp;
use crate::users::keeper::Keeper;
use crate::users::store;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(3);

/// At the start: a file that is wrong lets nobody in, while all other mail flows.
pub(super) fn first(keeper: &Keeper, path: &Path) {
    if let Err(error) = take(keeper, path) {
        tracing::error!("nobody can log in: {error}");
    }
}

fn take(keeper: &Keeper, path: &Path) -> Result<(), store::StoreError> {
    let book = store::read(path)?;
    if store::is_open_to_others(path) {
        let place = path.display();
        tracing::warn!("{place} can be read by others: passwords can be tried with it; chmod 600");
    }
    let had_users = keeper.has_users();
    let users = keeper.take(&book);
    if had_users && users == 0 {
        let place = path.display();
        let what = if path.exists() { "holds nobody who may log in" } else { "is not there" };
        tracing::warn!("{place} {what} any more: all logins are refused from now on");
    }
    if users > 0 {
        tracing::info!(users, "users are read");
    }
    Ok(())
}

/// Runs as long as the daemon. A file that has changed is read when it looked the same twice: somebody may still be writing.
pub(super) async fn watch(daemon: Daemon) {
    let mut taken = look(&daemon).await;
    let mut last = taken.clone();
    loop {
        tokio::time::sleep(EVERY).await;
        let now = look(&daemon).await;
        if now != taken && now == last {
            reread(&daemon, &now.0).await;
            taken.clone_from(&now);
        }
        last = now;
    }
}

async fn look(daemon: &Daemon) -> (PathBuf, Option<Stamp>) {
    let path = daemon.settings().users.clone();
    let looked = path.clone();
    let stamp = tokio::task::spawn_blocking(move || Stamp::look(&looked)).await;
    (path, stamp.ok().flatten())
}

async fn reread(daemon: &Daemon, path: &Path) {
    let (keeper, path) = (Arc::clone(&daemon.users), path.to_owned());
    let read = tokio::task::spawn_blocking(move || take(&keeper, &path)).await;
    if let Ok(Err(error)) = read {
        tracing::error!("the old users hold: {error}");
    }
}
