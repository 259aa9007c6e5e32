//! Messages whose content the disk has changed: held, so that they wait for a person and are not tried for days.
//!
//! Not here: listing what is damaged (`spool`), and telling it (the daemon).

use crate::Inner;
use crate::content::InHand;
use posthaste_evidence::{Fault, RecipientResult};
use posthaste_mail::Envelope;
use posthaste_queue::Work;
use posthaste_spool::{Content, ReadFault, SpilledBody};

/// Octets of a body read at once.
const STRIDE: usize = 1 << 20;

impl Inner {
    /// The recipients of an attempt that failed for our own store are held when their body is damaged. A disk that
    /// does not answer may answer later.
    pub(crate) async fn hold_if_damaged(
        &self,
        work: &Work,
        in_hand: &InHand,
        results: &[RecipientResult],
    ) {
        let Content::Spilled(body) = &in_hand.content else { return };
        if results.iter().any(|result| result.fault == Some(Fault::StoreFault))
            && self.is_damaged(body, &in_hand.envelope).await
        {
            self.spool.list_damaged(work.message);
            self.hold_damaged(work);
        }
    }

    /// Holds what is in hand: the deferral that follows leaves it held.
    pub(crate) fn hold_damaged(&self, work: &Work) {
        let now = self.world.wall();
        let mut scheduler = self.scheduler();
        for (recipient, _) in &work.recipients {
            // Of those in flight there are no new states yet.
            drop(scheduler.hold(now, work.message, Some(*recipient)));
        }
    }

    async fn is_damaged(&self, body: &SpilledBody, envelope: &Envelope) -> bool {
        let (mut offset, mut crc) = (0, 0);
        while offset < body.size {
            match self.spool.range(body, offset, STRIDE).await {
                Ok(range) if range.is_empty() => return true,
                Ok(range) => {
                    crc = crc32c::crc32c_append(crc, &range);
                    offset += range.len() as u64;
                }
                Err(ReadFault::Damaged(_)) => return true,
                Err(ReadFault::Disk(_)) => return false,
            }
        }
        crc != envelope.facts.crc
    }
}
