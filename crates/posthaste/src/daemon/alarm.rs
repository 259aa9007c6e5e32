//! Warns in the log of mail that no route matches: once for each destination, until it has gone.
//!
//! Not here: the numbers of `status` (`desk`).

use posthaste_dispatch::Dispatch;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(5);
/// Destinations that are warned of; more are told by `status`.
const MOST: usize = 1000;

/// Looks for ever.
pub(super) async fn watch(dispatch: Dispatch) {
    let mut warned = BTreeSet::new();
    loop {
        tokio::time::sleep(EVERY).await;
        warned = tell(warned, dispatch.unreachable(MOST));
    }
}

/// Warns of those that are new; answers those that are known now.
fn tell(warned: BTreeSet<String>, now: Vec<String>) -> BTreeSet<String> {
    for destination in now.iter().filter(|name| !warned.contains(*name)) {
        tracing::warn!(
            destination,
            "no route matches: its mail is held; add a [[route]] and reload, or bounce it"
        );
    }
    now.into_iter().collect()
}
