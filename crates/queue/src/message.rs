//! A queued message and its live recipients, as compact as they go: millions of them are in memory at once.

use crate::life::{Life, RecipientState};
use crate::ranks::NEVER;
use crate::schedule::MAX_ROUNDS;
use crate::scheduler::DestinationId;
use posthaste_mail::Timestamp;
use std::ops::Range;

/// A message with at least one live recipient.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) received: Timestamp,
    /// Octets; the highest bit marks one of our own notices.
    size: u64,
    /// Live ones only, by destination and number.
    recipients: Vec<Recipient>,
}

/// Marks a notice in the size.
const NOTICE: u64 = 1 << 63;

/// A live recipient.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipient {
    due: Timestamp,
    pub(crate) number: u32,
    pub(crate) destination: DestinationId,
    attempts: u32,
    failures: u32,
    pub(crate) life: Life,
    crashes: u8,
    warned: u8,
    /// Which delay notice its sender was last told, or did not want to be told: at least `warned`.
    pub(crate) passed: u8,
    pub(crate) mark: Mark,
}

/// Whether it is in flight, and what is to be done when its attempt ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    Waiting,
    InFlight,
    InFlightThenHold,
    InFlightThenRemove,
    InFlightThenBounce,
}

/// The recipients of one message at one destination, summed up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Group {
    pub(crate) live: u32,
    pub(crate) held: u32,
    /// Some of them have failed before.
    pub(crate) deferred: bool,
    /// The earliest due of those that wait.
    pub(crate) due: Option<Timestamp>,
    /// The least of the delay notices passed by those that would expire now if their time were over; `None` when none
    /// would. Of our own notices [`crate::ranks::NEVER`].
    pub(crate) passed: Option<u8>,
}

impl Message {
    pub(crate) fn new(
        received: Timestamp,
        size: u64,
        notice: bool,
        mut recipients: Vec<Recipient>,
    ) -> Self {
        recipients.sort_unstable_by_key(|r| (r.destination, r.number));
        recipients.shrink_to_fit();
        Self { received, size: (size & !NOTICE) | if notice { NOTICE } else { 0 }, recipients }
    }

    /// Octets.
    pub(crate) const fn size(&self) -> u64 {
        self.size & !NOTICE
    }

    /// It is one of our own notices.
    pub(crate) const fn is_notice(&self) -> bool {
        self.size & NOTICE != 0
    }

    pub(crate) fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.recipients.is_empty()
    }

    pub(crate) fn recipients_mut(&mut self) -> &mut [Recipient] {
        &mut self.recipients
    }

    /// The destinations it has live recipients at, in order.
    pub(crate) fn destinations(&self) -> Vec<DestinationId> {
        let mut all: Vec<_> = self.recipients.iter().map(|r| r.destination).collect();
        all.dedup();
        all
    }

    pub(crate) fn at(&self, destination: DestinationId) -> &[Recipient] {
        &self.recipients[self.range(destination)]
    }

    pub(crate) fn at_mut(&mut self, destination: DestinationId) -> &mut [Recipient] {
        let range = self.range(destination);
        &mut self.recipients[range]
    }

    /// Gives waiting recipients, by number, other destinations; answers how many changed theirs. Those that are ending
    /// stay where they were tried.
    pub(crate) fn reroute(&mut self, to: &[(u32, DestinationId)]) -> usize {
        let mut moved = 0;
        for recipient in self.recipients.iter_mut().filter(|r| r.is_waiting()) {
            let Some((_, to)) = to.iter().find(|(number, _)| *number == recipient.number) else {
                continue;
            };
            moved += usize::from(recipient.destination != *to);
            recipient.destination = *to;
        }
        self.recipients.sort_unstable_by_key(|r| (r.destination, r.number));
        moved
    }

    /// Drops those that have ended.
    pub(crate) fn sweep(&mut self) {
        self.recipients.retain(|r| r.life.is_live());
    }

    pub(crate) fn group(&self, destination: DestinationId) -> Group {
        let mut group = Group::default();
        for recipient in self.at(destination).iter().filter(|r| r.life.is_live()) {
            group.live += 1;
            group.held += u32::from(matches!(recipient.life, Life::Held | Life::Poison));
            group.deferred |= recipient.failures > 0;
            if recipient.is_waiting() {
                let passed = if self.is_notice() { NEVER } else { recipient.passed };
                group.passed = Some(group.passed.map_or(passed, |p| p.min(passed)));
                if recipient.life == Life::Queued {
                    let due = recipient.due(self.received);
                    group.due = Some(group.due.map_or(due, |d| d.min(due)));
                }
            }
        }
        group
    }

    fn range(&self, destination: DestinationId) -> Range<usize> {
        let start = self.recipients.partition_point(|r| r.destination < destination);
        let end = self.recipients.partition_point(|r| r.destination <= destination);
        start..end
    }
}

impl Recipient {
    pub(crate) fn new(number: u32, destination: DestinationId, state: RecipientState) -> Self {
        Self {
            due: state.due,
            number,
            destination,
            attempts: state.attempts,
            failures: state.failures,
            life: state.life,
            crashes: state.crashes,
            warned: state.warned,
            passed: passed(state),
            mark: Mark::Waiting,
        }
    }

    /// It waits, for its turn or for the operator, and its end is open.
    pub(crate) fn is_waiting(&self) -> bool {
        self.mark == Mark::Waiting && self.life.waits()
    }

    /// Its place in time. Fresh mail counts from its acceptance, so that neither fresh mail nor old starves the
    /// other.
    pub(crate) fn due(&self, received: Timestamp) -> Timestamp {
        self.due.max(received)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.mark != Mark::Waiting
    }

    /// It waits, and its time has come.
    pub(crate) fn is_due(&self, now: Timestamp, received: Timestamp) -> bool {
        self.mark == Mark::Waiting && self.life == Life::Queued && self.due(received) <= now
    }

    pub(crate) const fn state(&self) -> RecipientState {
        RecipientState {
            life: self.life,
            attempts: self.attempts,
            failures: self.failures,
            due: self.due,
            crashes: self.crashes,
            warned: self.warned,
        }
    }

    pub(crate) fn set_state(&mut self, state: RecipientState) {
        self.life = state.life;
        self.attempts = state.attempts;
        self.failures = state.failures;
        self.due = state.due;
        self.crashes = state.crashes;
        self.warned = state.warned;
        self.passed = self.passed.max(passed(state));
    }
}

fn passed(state: RecipientState) -> u8 {
    state.warned.min(MAX_ROUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_what_waits_at_one_destination() {
        let (here, there) = (DestinationId(1), DestinationId(2));
        let state = |due| RecipientState { due: Timestamp::from_secs(due), ..Default::default() };
        let mut held = Recipient::new(2, here, state(1));
        held.life = Life::Held;
        let mut flying = Recipient::new(0, here, state(1));
        flying.mark = Mark::InFlight;
        let recipients = vec![
            flying,
            Recipient::new(1, there, state(1)),
            held,
            Recipient::new(3, here, state(90)),
        ];
        let message = Message::new(Timestamp::from_secs(5), 1, false, recipients);
        assert_eq!(message.destinations(), [here, there]);
        let due = Some(Timestamp::from_secs(90));
        assert_eq!(
            message.group(here),
            Group { live: 3, held: 1, deferred: false, due, passed: Some(0) }
        );
        // not before it was received
        assert_eq!(message.group(there).due, Some(Timestamp::from_secs(5)));
        assert_eq!(message.group(DestinationId(3)), Group::default());
    }

    #[test]
    fn a_recipient_is_small() {
        assert!(size_of::<Recipient>() <= 40, "{}", size_of::<Recipient>());
        assert!(size_of::<Message>() <= 40, "{}", size_of::<Message>());
    }
}
