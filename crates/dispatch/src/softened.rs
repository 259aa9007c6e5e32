//! After a reload that turns `soft_fail` off: what it deferred instead of failing is due now, to fail or to be delivered.
//!
//! Not here: the deferring itself (`settle`).

use crate::Inner;
use posthaste_evidence::{Fault, Outcome};
use posthaste_mail::QueueId;
use posthaste_queue::{Changed, Life};
use posthaste_spool::{History, Live};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages read at once.
const PAGE: usize = 200;

/// Looks at every live message that was tried, and counts the recipients that are due by it. A store that does not
/// answer leaves the rest to their own times.
pub(crate) async fn run(inner: &Arc<Inner>, count: &AtomicU64) {
    let mut after = QueueId::MIN;
    while let Ok(page) = inner.spool.live(after, PAGE).await {
        let mut read = Vec::new();
        for live in &page.items {
            let tried = |state: &posthaste_queue::RecipientState| {
                state.life == Life::Queued && state.failures > 0
            };
            if !live.states.iter().any(tried) {
                continue;
            }
            if let Ok(history) = inner.spool.history(live.envelope.id).await {
                read.push((live, history));
            }
        }
        let act = || {
            let mut changed = Vec::new();
            for (live, history) in &read {
                inner.harden(live, history, &mut changed);
            }
            changed
        };
        count.fetch_add(inner.store_act(act).await, Ordering::Relaxed);
        inner.kick();
        match page.next {
            Some(next) => after = next,
            None => return,
        }
    }
}

impl Inner {
    fn harden(&self, live: &Live, history: &History, changed: &mut Vec<Changed>) {
        let (now, id) = (self.world.wall(), live.envelope.id);
        let mut scheduler = self.scheduler();
        let Some(message) = scheduler.message(now, id) else { return };
        for recipient in message.recipients {
            // Who is due already, by a change of its route, is counted there.
            let waits = recipient.state.life == Life::Queued && recipient.state.due > now;
            if !waits || !was_softened(recipient.number, history) {
                continue;
            }
            changed.extend(scheduler.retry_message(now, id, Some(recipient.number)));
            scheduler.release_slowly(now, recipient.destination);
        }
    }
}

/// Its last attempt would have failed it.
fn was_softened(recipient: u32, history: &History) -> bool {
    let results = history.attempts.iter().rev().flat_map(|attempt| &attempt.results);
    let mut last = results.filter(|result| result.recipient == recipient);
    last.next().is_some_and(|result| {
        result.outcome == Outcome::Deferred
            && result.fault.as_ref().is_some_and(Fault::is_permanent)
    })
}
