//! Recipients whose end is decided and whose sender is not told yet: probes go into the cause, and the notice is to say
//! what is known by then.
//!
//! Not here: which failures are looked into, and what is found (`dispatch`).

use super::{Changed, Scheduler};
use crate::life::{self, TransitionKind};
use crate::message::Message;
use posthaste_mail::{QueueId, Timestamp};

impl Scheduler {
    /// Recipients of one message that were ending and whose time has come: they have ended, and their sender is to be
    /// told. Ask until `None`.
    pub fn told(&mut self, now: Timestamp) -> Option<Vec<Changed>> {
        if !self.running {
            return None;
        }
        while let Some((at, id)) = self.endings.first().copied().filter(|(at, _)| *at <= now) {
            self.endings.remove(&(at, id));
            let changed = self.end_told(now, id);
            if !changed.is_empty() {
                return Some(changed);
            }
        }
        None
    }

    /// The probes into the failures of a message have ended: whoever of it is ending is told of now.
    pub fn tell(&mut self, now: Timestamp, id: QueueId) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        let mut ending = false;
        for recipient in message.recipients_mut().iter_mut().filter(|r| r.life.is_ending()) {
            let mut state = recipient.state();
            state.due = state.due.min(now);
            recipient.set_state(state);
            ending = true;
        }
        if ending {
            self.endings.insert((now, id));
        }
    }

    /// When the next sender is told.
    pub(super) fn next_told(&self) -> Option<Timestamp> {
        self.endings.first().map(|(at, _)| *at)
    }

    /// Some of these are ending now.
    pub(super) fn note_endings(&mut self, changed: &[Changed]) {
        for one in changed {
            if let TransitionKind::Ending(at) = one.transition.kind {
                self.endings.insert((at, one.message));
            }
        }
    }

    /// A message comes back after a start.
    pub(super) fn note_restored(&mut self, id: QueueId, message: &Message) {
        for recipient in message.recipients().iter().filter(|r| r.life.is_ending()) {
            self.endings.insert((recipient.state().due, id));
        }
    }

    fn end_told(&mut self, now: Timestamp, id: QueueId) -> Vec<Changed> {
        self.act(now, id, None, |recipient| {
            life::told(recipient.state()).filter(|_| recipient.state().due <= now)
        })
    }
}
