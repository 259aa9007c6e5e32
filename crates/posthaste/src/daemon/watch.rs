//! Says in the log when the spool stops accepting mail, when it accepts again, and what it finds damaged.
//!
//! Not here: refusing it (`reception`) and the reserve (`spool-local`).

use super::keeper::Stock;
use posthaste_spool::store::Quarantined;
use posthaste_spool::{Health, Spool};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often the spool is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Runs as long as the daemon. What was damaged at the start has been told already.
pub(super) async fn watch(spool: Arc<dyn Spool>, stock: Stock) {
    let mut accepted = true;
    let mut told: BTreeSet<String> = spool.quarantined().into_iter().map(|q| q.place).collect();
    loop {
        let health = spool.health();
        if health.quarantined != told.len() as u64 {
            tell_damage(&spool.quarantined(), &mut told);
            let stock = stock.clone();
            // Copies octets: not on the agents' threads.
            drop(tokio::task::spawn_blocking(move || stock.keep_damage()));
        }
        if health.accepting != accepted {
            accepted = health.accepting;
            tell(&health);
        }
        tokio::time::sleep(EVERY).await;
    }
}

fn tell_damage(found: &[Quarantined], told: &mut BTreeSet<String>) {
    for damage in found {
        if told.insert(damage.place.clone()) {
            tracing::error!(
                place = damage.place,
                octets = damage.size,
                what = damage.what,
                "a part of the spool cannot be read; it is kept, and the rest goes on"
            );
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
    } else {
        tracing::warn!(
            free,
            "mail is answered 452: the disk of the spool is full up to the reserve that deliveries \
             need; make room, mail is then accepted by itself"
        );
    }
}
