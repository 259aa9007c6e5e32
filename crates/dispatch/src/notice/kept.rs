//! What waits though no attempt stands in its way: above all what somebody's will keeps, and since when, as far as that is
//! known. The time after that is nobody else's fault.

use crate::timeline::Timeline;
use crate::{Inner, destination};
use posthaste_evidence::WaitReason;
use posthaste_mail::{Envelope, Timestamp};
use posthaste_queue::{RecipientState, Waiting};

/// Why a recipient waits, or waited when its time was over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waits {
    /// Why.
    pub(crate) reason: WaitReason,
    /// Of what somebody's will keeps: since when. `None` where that is not known.
    pub(crate) since: Option<Timestamp>,
}

impl Inner {
    /// Why a recipient waits, where no attempt of its own or trial of its destination tells.
    pub(super) fn waits(
        &self,
        now: Timestamp,
        envelope: &Envelope,
        (recipient, state): (u32, &RecipientState),
        past: &Timeline,
    ) -> Option<Waits> {
        let waiting = self.scheduler().wait_reason(now, envelope.id, recipient)?;
        match waiting {
            Waiting::Because { reason, .. } if past.last.is_none() || is_kept(reason) => {
                Some(self.kept(now, envelope, (recipient, state), reason))
            }
            _ => None,
        }
    }

    /// Since when somebody's will keeps a recipient: its own state knows of a hold of its own, and the hold of a
    /// destination of that. Nobody knows since when a route's mail waits.
    pub(crate) fn kept(
        &self,
        now: Timestamp,
        envelope: &Envelope,
        (recipient, state): (u32, &RecipientState),
        reason: WaitReason,
    ) -> Waits {
        let since = match reason {
            WaitReason::Held | WaitReason::Poison => Some(state.due),
            WaitReason::DestinationHeld => {
                self.held_since(&destination::of(&self.routes(), envelope, recipient).name)
            }
            _ => None,
        };
        let began = envelope.lives_since();
        Waits { reason, since: since.map(|at| at.max(began)).filter(|at| *at <= now) }
    }
}

impl Timeline {
    /// Without the trials of its destination that did not concern it, since it was kept by then.
    pub(crate) fn end(&mut self, waits: Option<Waits>) {
        let Some(since) = waits.and_then(|waits| waits.since) else { return };
        let before = self.tries.len();
        self.tries.retain(|tried| tried.at <= since);
        let dropped = u32::try_from(before - self.tries.len()).unwrap_or(u32::MAX);
        self.attempts = self.attempts.saturating_sub(dropped);
        if self.last.as_ref().is_some_and(|last| last.at > since) {
            self.last = self.tries.last().cloned();
        }
    }
}

/// Somebody's will keeps it, whatever the last attempt came to.
pub(super) const fn is_kept(reason: WaitReason) -> bool {
    matches!(
        reason,
        WaitReason::Held
            | WaitReason::DestinationHeld
            | WaitReason::RouteHeld
            | WaitReason::Poison
            | WaitReason::NoRoute
    )
}
