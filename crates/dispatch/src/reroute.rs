//! After a reload of the routes: mail that waits goes where the new routes send it.
//!
//! Not here: which route matches (`route`), and the moving (`queue`).

use crate::{Inner, destination};
use posthaste_mail::QueueId;
use posthaste_spool::Live;
use std::sync::Arc;

/// Messages read at once.
const PAGE: usize = 200;

/// Looks at every live message once. Those in flight stay where they are; a store that does not answer leaves
/// the rest on their old routes, until they are looked at again by the next reload or start.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut after = QueueId::MIN;
    while let Ok(page) = inner.spool.live(after, PAGE).await {
        page.items.iter().for_each(|live| inner.reroute(live));
        inner.kick();
        match page.next {
            Some(next) => after = next,
            None => return,
        }
    }
}

impl Inner {
    fn reroute(&self, live: &Live) {
        let now = self.world.wall();
        let routes = self.routes();
        let mut scheduler = self.scheduler();
        let recipients = (0u32..).zip(&live.states);
        let to: Vec<_> = recipients
            .filter(|(_, state)| state.life.is_live())
            .map(|(number, _)| {
                let to = destination::of(&routes, &live.envelope, number);
                (number, scheduler.destination(now, &to.name, &to.route))
            })
            .collect();
        scheduler
            .reroute(now, live.envelope.id, &to)
            .expect("destinations are named under the same lock");
    }
}
