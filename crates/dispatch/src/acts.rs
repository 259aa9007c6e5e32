//! What an operator may do to the queue. Durable, and counted before it is done when asked for.

use crate::settle::change;
use crate::{Dispatch, Inner, lock};
use posthaste_mail::QueueId;
use posthaste_queue::{Changed, Life};
use posthaste_spool::Settlement;
use std::collections::BTreeSet;

/// What to try now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Retry {
    /// These messages. One that is parked as poison goes on only when it is named by itself: it may have
    /// brought the process down.
    Messages(Vec<QueueId>),
    /// All mail of a destination, and the destination itself if it is down.
    Destination {
        /// Its name.
        name: String,
        /// Its route.
        route: String,
    },
}

/// Messages changed under one lock.
const SLICE: usize = 200;

impl Dispatch {
    /// Makes waiting recipients due now, with their schedule started over. Answers how many recipients.
    pub async fn retry(&self, what: &Retry) -> u64 {
        let inner = &self.inner;
        let mut count = 0;
        match what {
            Retry::Messages(ids) => {
                for &id in ids {
                    let changed = inner.retry_message(id, ids.len() == 1);
                    count += inner.store_act(changed).await;
                }
            }
            Retry::Destination { name, route } => {
                let now = inner.world.wall();
                let id = inner.scheduler().destination(now, name, route);
                loop {
                    let changed = inner.scheduler().retry_destination(now, id, SLICE);
                    if changed.is_empty() {
                        break;
                    }
                    count += inner.store_act(changed).await;
                }
            }
        }
        inner.kick();
        count
    }
}

impl Inner {
    /// Due now; and where it waits for the trial of a destination, that is due as well.
    fn retry_message(&self, id: QueueId, named: bool) -> Vec<Changed> {
        let now = self.world.wall();
        let mut scheduler = self.scheduler();
        let Some(view) = scheduler.message(now, id) else { return Vec::new() };
        let mut destinations: Vec<_> = view.recipients.iter().map(|r| r.destination).collect();
        destinations.sort_unstable();
        destinations.dedup();
        for destination in destinations {
            let none = scheduler.retry_destination(now, destination, 0);
            debug_assert!(none.is_empty(), "only the trial was asked for");
        }
        let mut changed = scheduler.retry_message(now, id, None);
        let parked = view.recipients.iter().filter(|r| named && r.state.life == Life::Poison);
        for recipient in parked {
            changed.extend(scheduler.release(now, id, Some(recipient.number)));
        }
        changed
    }

    /// Stores new states in one commit; answers how many recipients. Handed to the store without a wait in
    /// between: what an attempt makes of them then comes after it, in memory and in the store.
    pub(crate) async fn store_act(&self, changed: Vec<Changed>) -> u64 {
        if changed.is_empty() {
            return 0;
        }
        let messages: BTreeSet<QueueId> = changed.iter().map(|c| c.message).collect();
        {
            let mut settling = lock(&self.settling);
            messages.into_iter().for_each(|id| settling.begin_silent(id));
        }
        let pending = self.spool.settle(Settlement {
            tenure: self.tenure,
            at: self.world.wall(),
            connections: Vec::new(),
            attempts: Vec::new(),
            changes: changed.iter().map(change).collect(),
            notices: Vec::new(),
            ledger: Vec::new(),
            acts: Vec::new(),
        });
        if pending.await.is_err() {
            self.fatal.notify_one();
        }
        changed.len() as u64
    }
}
