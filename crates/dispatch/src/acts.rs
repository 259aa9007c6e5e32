//! What an operator may do to the queue. Durable, and counted before it is done when asked for.

use crate::settle::{Pending, change};
use crate::{Dispatch, Inner};
use posthaste_mail::QueueId;
use posthaste_queue::Changed;
use posthaste_spool::Settlement;
use std::sync::Arc;

/// What to try now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Retry {
    /// These messages.
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
                    let changed = inner.retry_message(id);
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
    fn retry_message(&self, id: QueueId) -> Vec<Changed> {
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
        scheduler.retry_message(now, id, None)
    }

    /// Stores new states, message by message; answers how many recipients.
    async fn store_act(&self, changed: Vec<Changed>) -> u64 {
        let mut waiting: Vec<Pending> = Vec::new();
        for of_message in changed.chunk_by(|a, b| a.message == b.message) {
            let Some(in_hand) = self.envelope_only(of_message[0].message).await else { continue };
            let settlement = Settlement {
                tenure: self.tenure,
                at: self.world.wall(),
                connections: Vec::new(),
                attempts: Vec::new(),
                changes: of_message.iter().map(change).collect(),
                notices: Vec::new(),
                ledger: Vec::new(),
            };
            waiting.push(self.submit(&Arc::clone(&in_hand.envelope), settlement, false));
        }
        for pending in waiting {
            if pending.await.is_err() {
                self.fatal.notify_one();
            }
        }
        changed.len() as u64
    }
}
