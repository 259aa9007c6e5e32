//! The seam to those who look into a failure: a failure notice waits a little for what they find.
//!
//! Not here: the probes themselves, which come with the diagnosis.

use crate::{Dispatch, Inner, lock};
use posthaste_evidence::{Fault, NoticeKind, Outcome, RecipientResult};
use posthaste_mail::{Envelope, QueueId, Timestamp};
use posthaste_queue::Work;
use std::sync::Arc;

/// Who looks into failures.
pub trait Probes: Send + Sync {
    /// True while probes into what ended this recipient are under way, or are about to begin. Asked under locks, once
    /// when it ends: must answer at once, and call nothing of the dispatcher.
    ///
    /// `fault` is [`Fault::Expired`] for one whose time ended while it waited.
    fn pending(&self, message: QueueId, recipient: u32, fault: &Fault) -> bool;
}

/// Nobody looks into anything.
pub(crate) struct NoProbes;

impl Probes for NoProbes {
    fn pending(&self, _message: QueueId, _recipient: u32, _fault: &Fault) -> bool {
        false
    }
}

impl Dispatch {
    /// Lends those who look into failures; before [`Dispatch::recover`]. Until then nobody does.
    pub fn set_probes(&self, probes: Arc<dyn Probes>) {
        *lock(&self.inner.probes) = probes;
    }

    /// The probes into the failures of a message have ended: its sender is told now. To be called when `pending` would
    /// answer no again; of a message that nobody waits for, it does nothing.
    pub fn probes_ended(&self, id: QueueId) {
        let now = self.inner.world.wall();
        let mut scheduler = self.inner.scheduler();
        scheduler.tell(now, id);
        self.inner.arm_for(&scheduler, now);
    }
}

impl Inner {
    pub(crate) fn probes(&self) -> Arc<dyn Probes> {
        Arc::clone(&lock(&self.probes))
    }

    /// When the sender is told of a recipient that a transaction ends, if it does; `None` for at once.
    pub(crate) fn tell_at(
        &self,
        now: Timestamp,
        work: &Work,
        envelope: &Envelope,
        result: &RecipientResult,
    ) -> Option<Timestamp> {
        let ends = match result.outcome {
            Outcome::Delivered | Outcome::Discarded => false,
            Outcome::Failed => true,
            Outcome::Deferred | Outcome::Indeterminate => now >= work.expires,
        };
        if !ends || !self.is_owed(NoticeKind::Failed, envelope, result.recipient) {
            return None;
        }
        let fault = result.fault.as_ref().unwrap_or(&Fault::Expired);
        let pending = self.probes().pending(work.message, result.recipient, fault);
        pending.then(|| now.plus(self.settings().probe_wait))
    }
}
