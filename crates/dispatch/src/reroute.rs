//! After a reload of the rules: mail that waits goes where the new rules send it, and there it is due now.
//!
//! Not here: which route matches (`route`), and the moving (`queue`).

use crate::{Inner, destination, renew};
use posthaste_mail::QueueId;
use posthaste_queue::{Changed, DestinationId, Life};
use posthaste_spool::Live;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages read at once.
const PAGE: usize = 200;

/// Looks at every live message once, and counts the recipients that move. Those in flight stay where they are; a
/// store that does not answer leaves the rest on their old routes, until they are looked at again by the next reload
/// or start.
pub(crate) async fn run(inner: &Arc<Inner>, renewed: &renew::Changed, count: &AtomicU64) {
    let mut after = QueueId::MIN;
    while let Ok(page) = inner.spool.live(after, PAGE).await {
        let act = || {
            let mut changed = Vec::new();
            for live in &page.items {
                let moved = inner.reroute(live, renewed, &mut changed);
                count.fetch_add(moved, Ordering::Relaxed);
            }
            changed
        };
        inner.store_act(act).await;
        inner.kick();
        match page.next {
            Some(next) => after = next,
            None => return,
        }
    }
}

impl Inner {
    /// Moves the recipients of one message; answers how many that could be tried have moved and were not counted as
    /// those that waited on a route that has changed.
    fn reroute(&self, live: &Live, renewed: &renew::Changed, changed: &mut Vec<Changed>) -> u64 {
        let now = self.world.wall();
        let routes = self.routes();
        let id = live.envelope.id;
        let mut scheduler = self.scheduler();
        let Some(before) = scheduler.message(now, id) else { return 0 };
        let recipients = (0u32..).zip(&live.states);
        let to: BTreeMap<u32, DestinationId> = recipients
            .filter(|(_, state)| state.life.is_live())
            .map(|(number, _)| {
                let to = destination::of(&routes, &live.envelope, number);
                (number, scheduler.destination(now, &to.name, &to.route))
            })
            .collect();
        let list: Vec<_> = to.iter().map(|(number, to)| (*number, *to)).collect();
        scheduler.reroute(now, id, &list).expect("destinations are named under the same lock");
        let mut count = 0;
        for recipient in before.recipients {
            let Some(to) = to.get(&recipient.number).filter(|to| **to != recipient.destination)
            else {
                continue;
            };
            // Its schedule was that of another way.
            changed.extend(scheduler.retry_message(now, id, Some(recipient.number)));
            scheduler.release_slowly(now, *to);
            let from = scheduler.destination_name(recipient.destination);
            if from.is_some_and(|(_, route)| renewed.is_of_path(route)) {
                continue;
            }
            count += u64::from(recipient.state.life == Life::Queued);
        }
        count
    }
}
