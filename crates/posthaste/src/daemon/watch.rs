//! Says in the log when the spool stops accepting mail, and when it accepts again.
//!
//! Not here: refusing it (`reception`) and the reserve (`spool-local`).

use posthaste_spool::{Health, Spool};
use std::sync::Arc;
use std::time::Duration;

/// How often the spool is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Runs as long as the daemon.
pub(super) async fn watch(spool: Arc<dyn Spool>) {
    let mut accepted = true;
    loop {
        let health = spool.health();
        if health.accepting != accepted {
            accepted = health.accepting;
            tell(&health);
        }
        tokio::time::sleep(EVERY).await;
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
    } else {
        tracing::warn!(
            free,
            "mail is answered 452: the disk of the spool is full up to the reserve that deliveries \
             need; make room, mail is then accepted by itself"
        );
    }
}
