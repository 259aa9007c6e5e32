//! The seam to those who look into a failure: a failure notice waits a little for what they find.
//!
//! Not here: the probes themselves, which come with the diagnosis.

use crate::{Dispatch, lock};
use posthaste_evidence::Fault;
use posthaste_mail::QueueId;
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
}
