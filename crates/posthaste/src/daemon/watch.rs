//! Looks at the spool: says in the log when it stops accepting mail and when it accepts again, and has kept what it
//! finds damaged.
//!
//! Not here: refusing mail (`reception`), the reserve (`spool-local`), keeping and telling damage (`keeper`).

use super::Daemon;
use posthaste_spool::Health;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the spool is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Runs until the daemon stops.
pub(super) async fn watch(daemon: Daemon) {
    let mut accepted = true;
    while !daemon.state.stopping.load(Ordering::SeqCst) {
        daemon.keep_damage().await;
        let health = daemon.spool.health();
        if health.accepting != accepted {
            accepted = health.accepting;
            tell(&health);
        }
        tokio::time::sleep(EVERY).await;
    }
}

impl Daemon {
    /// Copies octets: not on the agents' threads.
    pub(super) async fn keep_damage(&self) {
        let stock = self.stock.clone();
        let looking = tokio::task::spawn_blocking(move || stock.keep_damage());
        if let Err(gone) = looking.await {
            tracing::error!("damaged places of the spool cannot be kept: {gone}");
        }
    }
}

fn tell(health: &Health) {
    let free = health.free_octets;
    if health.accepting {
        tracing::info!(free, "mail is accepted again");
    } else if health.read_only {
        tracing::error!(
            "mail is answered 451: the spool is read-only after repeated failures of its disk"
        );
    } else if health.full {
        tracing::warn!(
            free,
            "mail is answered 452: the disk of the spool is full up to the reserve that deliveries \
             need; make room, mail is then accepted by itself"
        );
    }
    // Else it is closed, or has failed: the end of the daemon tells.
}
