//! Acts that wait for the end of an attempt: who wanted them is kept until it lands, for the event log.

use crate::{Inner, lock};
use posthaste_evidence::{Act, Order, Outcome};
use posthaste_mail::QueueId;
use posthaste_queue::{Changed, TransitionKind};
use posthaste_spool::Acted;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An act that waits.
#[derive(Clone)]
pub(super) struct Ordered {
    pub(super) act: Act,
    pub(super) order: Arc<Order>,
    /// What the sender is told besides.
    pub(super) text: Option<Arc<str>>,
}

/// What an attempt's end has brought about of the operator's acts.
#[derive(Default)]
pub(crate) struct Landed {
    pub(crate) acts: Vec<Acted>,
    texts: Vec<(u32, Arc<str>)>,
}

impl Landed {
    /// What the sender of a bounced recipient is told besides.
    pub(crate) fn text(&self, recipient: u32) -> Option<Arc<str>> {
        self.texts.iter().find(|(number, _)| *number == recipient).map(|(_, text)| text.clone())
    }
}

impl Inner {
    /// An act of the operator waits for the end of an attempt with this message.
    pub(crate) fn is_ordered(&self, message: QueueId) -> bool {
        self.operator.has_ordered.load(Ordering::Acquire) && {
            let from = (message, 0);
            lock(&self.operator.ordered).range(from..=(message, u32::MAX)).next().is_some()
        }
    }

    /// An act is to be done when the attempt ends; called under the scheduler's lock.
    pub(super) fn note_ordered(&self, key: (QueueId, u32), ordered: Ordered) {
        let mut all = lock(&self.operator.ordered);
        all.insert(key, ordered);
        self.operator.has_ordered.store(true, Ordering::Release);
    }

    /// What waited for a recipient is taken back.
    pub(super) fn take_back(&self, key: (QueueId, u32)) {
        let mut all = lock(&self.operator.ordered);
        all.remove(&key);
        self.operator.has_ordered.store(!all.is_empty(), Ordering::Release);
    }

    /// What a decision that is called off still waits for.
    pub(super) fn forget_ordered(&self, number: u64) {
        let taken: Vec<(QueueId, u32)> = {
            let all = lock(&self.operator.ordered);
            let its = all.iter().filter(|(_, o)| o.order.decision == Some(number));
            its.map(|(key, _)| *key).collect()
        };
        let now = self.world.wall();
        for key in taken {
            // Only a hold can be taken back; a removal or bounce that waits is as good as done.
            let mut scheduler = self.scheduler();
            let held = lock(&self.operator.ordered).get(&key).is_some_and(|o| o.act == Act::Hold);
            if held {
                drop(scheduler.release(now, key.0, Some(key.1)));
                self.take_back(key);
            }
        }
    }

    /// The acts among new states that an attempt's end, or its not being made, has brought.
    pub(crate) fn landed(&self, changed: &[Changed]) -> Landed {
        let mut landed = Landed::default();
        if !self.operator.has_ordered.load(Ordering::Acquire) {
            return landed;
        }
        for change in changed {
            let key = (change.message, change.recipient);
            let mut all = lock(&self.operator.ordered);
            let Some(Ordered { act, order, text }) = all.remove(&key) else { continue };
            self.operator.has_ordered.store(!all.is_empty(), Ordering::Release);
            drop(all);
            let kind = change.transition.kind;
            // Any other end came first: the attempt's outcome decides.
            let done = matches!(
                kind,
                TransitionKind::Held | TransitionKind::Removed | TransitionKind::Bounced
            );
            if done {
                self.count_landed(&order);
                if kind == TransitionKind::Bounced {
                    self.counters.outcome(Outcome::Failed);
                }
                let (message, recipient) = key;
                landed.texts.extend(text.map(|text| (recipient, text)));
                landed.acts.push(Acted { message, recipient, act, order, into: None });
            }
        }
        if !landed.acts.is_empty() {
            self.operator.work.notify_one();
        }
        landed
    }

    fn count_landed(&self, order: &Order) {
        let Some(number) = order.decision else { return };
        if let Some(decision) = lock(&self.operator.book).decisions.get_mut(&number) {
            decision.recipients += 1;
        }
    }
}
