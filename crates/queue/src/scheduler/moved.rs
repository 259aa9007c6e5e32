//! After a reload of the routes: recipients go to other destinations, those in flight when their attempt has ended.
//!
//! Not here: which destination a recipient belongs to (`dispatch`), what changed settings make due (`renew`).

use super::{Changed, DestinationId, InsertError, Scheduler};
use crate::life::TransitionKind;
use posthaste_mail::{QueueId, Timestamp};

impl Scheduler {
    /// Recipients of a message go elsewhere, after a reload of the routes: number and new destination. States
    /// stay as they are. Those in flight go when their attempt has ended, and are due there at once. Answers how
    /// many moved now.
    ///
    /// # Errors
    /// [`InsertError::UnknownDestination`]; nobody is moved then.
    pub fn reroute(
        &mut self,
        now: Timestamp,
        id: QueueId,
        recipients: &[(u32, DestinationId)],
    ) -> Result<usize, InsertError> {
        if recipients.iter().any(|(_, to)| !self.destinations.contains_key(to)) {
            return Err(InsertError::UnknownDestination);
        }
        self.note_moves(id, recipients);
        let Some(message) = self.messages.get(&id) else { return Ok(0) };
        let mut involved = message.destinations();
        involved.extend(recipients.iter().map(|(_, to)| *to));
        involved.sort_unstable();
        involved.dedup();
        Ok(self.change_at(now, id, &involved, |message| message.reroute(recipients)).unwrap_or(0))
    }

    /// Attempts for these recipients have ended: those that belong elsewhere by now go there. Answers their new
    /// states: another way has a schedule of its own.
    pub(super) fn move_landed(
        &mut self,
        now: Timestamp,
        id: QueueId,
        numbers: &[u32],
    ) -> Vec<Changed> {
        let mut changed = Vec::new();
        if self.moved.is_empty() {
            return changed;
        }
        for &number in numbers {
            let Some((name, route)) = self.moved.remove(&(id, number)) else { continue };
            let to = self.destination(now, &name, &route);
            if self.reroute(now, id, &[(number, to)]) == Ok(1) {
                changed.extend(self.retry_message(now, id, Some(number)));
            }
        }
        changed
    }

    /// The same for those that have new states already: what is due at another time is due now.
    pub(super) fn move_settled(&mut self, now: Timestamp, id: QueueId, changed: &mut [Changed]) {
        let numbers: Vec<u32> = changed.iter().map(|c| c.recipient).collect();
        for moved in self.move_landed(now, id, &numbers) {
            let mut same = changed.iter_mut().filter(|c| c.recipient == moved.recipient);
            if let Some(before) = same.next()
                && matches!(before.transition.kind, TransitionKind::RetryAt(_))
            {
                *before = moved;
            }
        }
    }

    /// Where those in flight belong by the latest reload; names, because an id may be forgotten until they land.
    fn note_moves(&mut self, id: QueueId, recipients: &[(u32, DestinationId)]) {
        let Some(message) = self.messages.get(&id) else { return };
        for recipient in message.recipients().iter().filter(|r| r.is_in_flight()) {
            let mut its = recipients.iter().filter(|(number, _)| *number == recipient.number);
            let Some((number, to)) = its.next() else { continue };
            if *to == recipient.destination {
                self.moved.remove(&(id, *number));
            } else {
                let (name, route) = self.destinations[to].name();
                self.moved.insert((id, *number), (name.into(), route.into()));
            }
        }
    }
}
