//! What is remembered of a recipient, and of a destination or next hop that is down. This is what the spool stores.

use crate::schedule::Schedule;
use posthaste_evidence::{FaultClass, Outcome};
use posthaste_mail::Timestamp;
use std::time::Duration;

/// Where a recipient is in its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Life {
    /// Waiting for its next attempt (or in flight, which only memory knows).
    #[default]
    Queued,
    /// The operator holds it.
    Held,
    /// In hand during two crashes: parked until the operator looks.
    Poison,
    /// End: the next hop took it.
    Delivered,
    /// End: it cannot be delivered.
    Failed,
    /// End: its time was over.
    Expired,
    /// End: the operator removed it.
    Removed,
    /// Its message was accepted whole, and it is nobody: it is never tried, and fails as soon as it is looked at.
    Refused,
    /// It cannot be delivered, and is never tried again: it becomes [`Life::Failed`] when the probes into the cause
    /// have ended, at `due` at the latest, so that its sender is told what is known by then.
    Failing,
    /// The same for one whose time is over: it becomes [`Life::Expired`].
    Expiring,
}

impl Life {
    /// True until one of the ends is reached.
    #[must_use]
    pub const fn is_live(self) -> bool {
        self.waits() || self.is_ending() || matches!(self, Self::Refused)
    }

    /// It may be tried some day: what its sender may be told is that it is delayed.
    #[must_use]
    pub const fn waits(self) -> bool {
        matches!(self, Self::Queued | Self::Held | Self::Poison)
    }

    /// Its end is decided, and its sender not yet told.
    #[must_use]
    pub const fn is_ending(self) -> bool {
        matches!(self, Self::Failing | Self::Expiring)
    }
}

/// What is remembered of one recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RecipientState {
    /// Where it is in its life.
    pub life: Life,
    /// Attempts that were made for it and ended in the message's own transaction.
    pub attempts: u32,
    /// How many of them failed since the schedule last started over; the place in the retry schedule.
    pub failures: u32,
    /// When it is tried next; the epoch for at once. Of one that is ending: when its sender is told at the latest. Of one
    /// that is held or parked: since when.
    pub due: Timestamp,
    /// How many crashes of the process found it in hand.
    pub crashes: u8,
    /// Which of its delay notices was the last one: 1 for the first, 0 for none. Those that were passed over, because
    /// nothing ran when they were due, count. At most [`crate::schedule::MAX_ROUNDS`].
    pub warned: u8,
}

/// What is remembered of a destination, or of a next-hop host, that is down (design: spool rule 10):
/// one ledger entry, however many messages wait for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DestinationState {
    /// When the first of its failures in a row happened.
    pub since: Timestamp,
    /// Failures in a row; the place in the retry schedule.
    pub failures: u32,
    /// When the next trial is due.
    pub next_trial: Timestamp,
}

/// Crashes that find a message in hand before it is parked (design: promise 9).
pub const CRASHES_TO_POISON: u8 = 2;

/// What a transition has to know about a recipient besides its state.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The schedule of its route.
    pub schedule: &'a Schedule,
    /// When its time is over.
    pub expires: Timestamp,
    /// Its key for the jitter, from [`crate::schedule::key_of`].
    pub key: u64,
}

/// What one attempt, or an act, made of a recipient.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transition {
    /// The state to be stored.
    pub state: RecipientState,
    /// What it amounts to.
    pub kind: TransitionKind,
}

/// What a transition amounts to; the owner of the message owes a notice for the bad ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransitionKind {
    /// End: the next hop took it.
    Delivered,
    /// It is tried again at this time.
    RetryAt(Timestamp),
    /// End: it cannot be delivered.
    Failed,
    /// End: its time was over.
    Expired,
    /// The operator held it while it was in flight.
    Held,
    /// End: the operator removed it while it was in flight.
    Removed,
    /// End: the operator gave it back to its sender.
    Bounced,
    /// Parked: in hand during two crashes.
    Poison,
    /// End: it was refused when its message was accepted.
    Refused,
    /// Its end is decided; its sender is told at this time, unless the probes end before.
    Ending(Timestamp),
    /// It waits on, and its sender is told so.
    Warned,
}

/// What an attempt that ended now makes of a recipient. A remote [`Outcome::Indeterminate`] is retried like a
/// temporary failure: a second copy is better than none (RFC 1047). With `tell_at`, a bad end is told at that time:
/// the recipient is ending until then.
#[must_use]
pub fn after(
    now: Timestamp,
    state: RecipientState,
    outcome: Outcome,
    class: FaultClass,
    rules: &Rules<'_>,
    tell_at: Option<Timestamp>,
) -> Transition {
    // An attempt that ended proves that the message does not bring the process down.
    let tried = RecipientState { attempts: state.attempts.saturating_add(1), crashes: 0, ..state };
    match outcome {
        Outcome::Delivered => ended(tried, Life::Delivered, TransitionKind::Delivered),
        Outcome::Failed => match tell_at {
            Some(at) => ending(tried, Life::Failing, at),
            None => ended(tried, Life::Failed, TransitionKind::Failed),
        },
        Outcome::Discarded => ended(tried, Life::Removed, TransitionKind::Removed),
        Outcome::Deferred | Outcome::Indeterminate => deferred(now, tried, class, rules, tell_at),
    }
}

/// What a crash makes of a recipient it found in hand: its attempt counts as [`Outcome::Indeterminate`];
/// [`CRASHES_TO_POISON`] of them in a row park it.
#[must_use]
pub fn after_crash(now: Timestamp, state: RecipientState, rules: &Rules<'_>) -> Transition {
    let crashes = state.crashes.saturating_add(1);
    if crashes >= CRASHES_TO_POISON {
        let attempts = state.attempts.saturating_add(1);
        let state = RecipientState { life: Life::Poison, crashes, attempts, due: now, ..state };
        return Transition { state, kind: TransitionKind::Poison };
    }
    let next = after(now, state, Outcome::Indeterminate, FaultClass::Local, rules, None);
    Transition { state: RecipientState { crashes, ..next.state }, kind: next.kind }
}

/// When the time of mail received at `received` is over.
#[must_use]
pub fn expires(received: Timestamp, expire_after: Duration) -> Timestamp {
    received.plus(expire_after)
}

/// The recipient's time is over: it is live, in whatever state, and its end not decided. Whoever makes the notice of
/// one that was parked as poison leaves its content alone.
#[must_use]
pub fn expired(now: Timestamp, state: &RecipientState, expires: Timestamp) -> bool {
    now >= expires && state.life.is_live() && !state.life.is_ending()
}

/// The end of a recipient whose time is over; with `tell_at`, its sender is told at that time.
#[must_use]
pub const fn expire(state: RecipientState, tell_at: Option<Timestamp>) -> Transition {
    match tell_at {
        Some(at) => ending(state, Life::Expiring, at),
        None => ended(state, Life::Expired, TransitionKind::Expired),
    }
}

/// The end of a recipient whose end was decided before, when its sender is told. `None` when it was not.
#[must_use]
pub const fn told(state: RecipientState) -> Option<Transition> {
    match state.life {
        Life::Failing => Some(ended(state, Life::Failed, TransitionKind::Failed)),
        Life::Expiring => Some(ended(state, Life::Expired, TransitionKind::Expired)),
        _ => None,
    }
}

/// The end of a recipient that was refused when its message was accepted. `None` when it was not.
#[must_use]
pub fn refuse(state: RecipientState) -> Option<Transition> {
    let tried = RecipientState { attempts: state.attempts.saturating_add(1), ..state };
    (state.life == Life::Refused).then_some(ended(tried, Life::Failed, TransitionKind::Refused))
}

/// The operator holds it from now on. `None` when it is not queued.
#[must_use]
pub fn hold(now: Timestamp, state: RecipientState) -> Option<RecipientState> {
    (state.life == Life::Queued).then_some(RecipientState { life: Life::Held, due: now, ..state })
}

/// The operator lets it go on, after hold or poison, with its schedule started over. `None` when it is neither.
#[must_use]
pub fn release(now: Timestamp, state: RecipientState) -> Option<RecipientState> {
    let waits = matches!(state.life, Life::Held | Life::Poison);
    waits.then_some(started_over(now, state))
}

/// The operator wants it tried at once, with its schedule started over. `None` when it is not queued.
#[must_use]
pub fn retry_now(now: Timestamp, state: RecipientState) -> Option<RecipientState> {
    (state.life == Life::Queued).then_some(started_over(now, state))
}

/// The operator removes it. `None` when it has ended.
#[must_use]
pub fn remove(state: RecipientState) -> Option<RecipientState> {
    state.life.is_live().then_some(RecipientState { life: Life::Removed, ..state })
}

/// The operator gives it back to its sender: it fails, with the notice that is owed. `None` when it has ended.
#[must_use]
pub fn bounce(state: RecipientState) -> Option<RecipientState> {
    state.life.is_live().then_some(RecipientState { life: Life::Failed, ..state })
}

const fn started_over(now: Timestamp, state: RecipientState) -> RecipientState {
    RecipientState { life: Life::Queued, failures: 0, crashes: 0, due: now, ..state }
}

const fn ended(state: RecipientState, life: Life, kind: TransitionKind) -> Transition {
    Transition { state: RecipientState { life, ..state }, kind }
}

const fn ending(state: RecipientState, life: Life, at: Timestamp) -> Transition {
    let state = RecipientState { life, due: at, ..state };
    Transition { state, kind: TransitionKind::Ending(at) }
}

fn deferred(
    now: Timestamp,
    state: RecipientState,
    class: FaultClass,
    rules: &Rules<'_>,
    tell_at: Option<Timestamp>,
) -> Transition {
    let failures = state.failures.saturating_add(1);
    let state = RecipientState { failures, ..state };
    if now >= rules.expires {
        return expire(state, tell_at);
    }
    let due = rules.schedule.due_before(now, class, failures, rules.key, rules.expires);
    Transition { state: RecipientState { due, ..state }, kind: TransitionKind::RetryAt(due) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn with_rules<T>(expires: Timestamp, act: impl FnOnce(&Rules<'_>) -> T) -> T {
        let schedule = Schedule { jitter: 0, ..Schedule::default() };
        act(&Rules { schedule: &schedule, expires, key: 1 })
    }

    #[test]
    fn an_attempt_decides() {
        use {FaultClass as C, Outcome as O, TransitionKind as K};
        let soon = |minutes: u64| K::RetryAt(NOW.plus(Duration::from_secs(60 * minutes)));
        for (outcome, class, failures, kind) in [
            (O::Delivered, C::Message, 3, K::Delivered),
            (O::Failed, C::Message, 0, K::Failed),
            (O::Failed, C::Destination, 0, K::Failed),
            (O::Discarded, C::Message, 0, K::Removed),
            (O::Deferred, C::Message, 0, soon(5)),
            (O::Indeterminate, C::Message, 0, soon(5)),
            (O::Deferred, C::Local, 6, soon(10)),
            (O::Deferred, C::Destination, 3, soon(1)),
            (O::Deferred, C::Destination, 4, soon(5)),
            (O::Deferred, C::Message, 7, soon(30)),
            (O::Deferred, C::Message, 8, soon(60)),
        ] {
            let before = RecipientState { failures, attempts: 9, crashes: 1, ..Default::default() };
            let got =
                with_rules(Timestamp::FAR_FUTURE, |r| after(NOW, before, outcome, class, r, None));
            assert_eq!(got.kind, kind, "{outcome:?} {class:?} {failures}");
            assert_eq!((got.state.attempts, got.state.crashes), (10, 0));
            if let K::RetryAt(due) = kind {
                assert_eq!((got.state.due, got.state.failures), (due, failures + 1));
                assert_eq!(got.state.life, Life::Queued);
            } else {
                assert!(!got.state.life.is_live());
            }
        }
    }

    #[test]
    fn a_deferral_at_the_end_is_the_end_but_a_delivery_is_one() {
        let state = RecipientState::default();
        for (outcome, life) in [
            (Outcome::Deferred, Life::Expired),
            (Outcome::Indeterminate, Life::Expired),
            (Outcome::Delivered, Life::Delivered),
            (Outcome::Failed, Life::Failed),
        ] {
            let class = FaultClass::Message;
            let got = with_rules(NOW, |r| after(NOW, state, outcome, class, r, None));
            assert_eq!(got.state.life, life);
            // The same, when the sender is told later.
            let later = NOW.plus(Duration::from_secs(60));
            let got = with_rules(NOW, |r| after(NOW, state, outcome, class, r, Some(later)));
            if life == Life::Delivered {
                assert_eq!(got.state.life, life);
                continue;
            }
            assert_eq!((got.kind, got.state.due), (TransitionKind::Ending(later), later));
            assert!(got.state.life.is_live() && !expired(later, &got.state, NOW));
            assert_eq!(told(got.state).map(|t| t.state.life), Some(life));
        }
    }

    #[test]
    fn two_crashes_in_a_row_park_it_and_an_attempt_between_them_acquits_it() {
        with_rules(Timestamp::FAR_FUTURE, |rules| {
            let once = after_crash(NOW, RecipientState::default(), rules);
            assert!(matches!(once.kind, TransitionKind::RetryAt(_)));
            assert_eq!((once.state.crashes, once.state.attempts), (1, 1));
            let twice = after_crash(NOW, once.state, rules);
            assert_eq!((twice.kind, twice.state.life), (TransitionKind::Poison, Life::Poison));
            let acquitted =
                after(NOW, once.state, Outcome::Deferred, FaultClass::Message, rules, None).state;
            assert_eq!(after_crash(NOW, acquitted, rules).state.crashes, 1);
        });
    }

    #[test]
    fn acts_change_only_what_they_may() {
        let state = |life| RecipientState { life, failures: 5, ..Default::default() };
        for (life, held, released, retried, removed, expires) in [
            (Life::Queued, true, false, true, true, true),
            (Life::Held, false, true, false, true, true),
            (Life::Poison, false, true, false, true, true),
            (Life::Delivered, false, false, false, false, false),
            (Life::Failed, false, false, false, false, false),
            (Life::Expired, false, false, false, false, false),
            (Life::Removed, false, false, false, false, false),
            (Life::Refused, false, false, false, true, true),
            (Life::Failing, false, false, false, true, false),
            (Life::Expiring, false, false, false, true, false),
        ] {
            let state = state(life);
            assert_eq!(hold(NOW, state).is_some(), held, "{life:?}");
            assert_eq!(release(NOW, state).is_some(), released, "{life:?}");
            assert_eq!(retry_now(NOW, state).is_some(), retried, "{life:?}");
            assert_eq!(remove(state).is_some(), removed, "{life:?}");
            let refused = refuse(state).map(|t| (t.state.life, t.kind, t.state.attempts));
            let expected = (Life::Failed, TransitionKind::Refused, 1);
            assert_eq!(refused, (life == Life::Refused).then_some(expected), "{life:?}");
            let bounced = bounce(state).map(|s| s.life);
            assert_eq!(bounced, removed.then_some(Life::Failed), "{life:?}");
            assert_eq!(expired(NOW, &state, NOW), expires, "{life:?}");
            assert!(!expired(NOW, &state, NOW.plus(Duration::from_secs(1))));
        }
        let freed = release(NOW, state(Life::Poison)).expect("it was parked");
        assert_eq!((freed.life, freed.failures, freed.due), (Life::Queued, 0, NOW));
    }
}
