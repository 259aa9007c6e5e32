//! Events made of commits: in normal running by the dispatcher, after a crash by the store, and equal both ways.
//!
//! Replies are cut as the record format cuts them, so that an event does not depend on whether it was made
//! from memory or from the disk. Not here: the text of an event, and where events go (`io::Journal`).

use crate::{LedgerEntry, LedgerValue, Lsn, Settled, Settlement, Stage};
use posthaste_evidence::event::MAX_SUBJECT;
use posthaste_evidence::{
    Attempt, Connection, ConnectionId, Event, EventKind, Fault, NoticeKind, Outcome,
    RecipientResult,
};
use posthaste_mail::{Envelope, Mailbox, QueueId, Timestamp};
use posthaste_queue::RecipientState;
use posthaste_queue::life::Life;
use std::net::SocketAddr;
use std::sync::Arc;

/// What a settlement does not say itself.
pub trait Lookup {
    /// The forward-path of a recipient.
    fn forward_path(&self, message: QueueId, recipient: u32) -> Option<String>;
    /// The host and endpoint of a connection.
    fn host(&self, connection: ConnectionId) -> Option<(String, SocketAddr)>;
}

/// The event of an accepted message.
#[must_use]
pub fn received(envelope: &Envelope, commit: Lsn) -> Event {
    let from = envelope.reverse_path.mailbox().map_or("", Mailbox::as_str);
    let kind = EventKind::Received {
        from: from.to_owned(),
        to: envelope.recipients.iter().map(|r| r.mailbox.as_str().to_owned()).collect(),
        size: envelope.facts.size,
        client: envelope.source.ip,
        listener: envelope.source.listener.clone(),
        message_id: envelope.summary.message_id.clone(),
        session: envelope.source.session,
        subject: envelope.summary.subject.as_deref().map(cut_subject),
        user: envelope.source.user.clone(),
        redirected_from: envelope.redirected_from.map(|from| from.id),
    };
    Event { at: envelope.received, commit: commit.0, message: envelope.id, kind }
}

fn cut_subject(subject: &str) -> String {
    subject[..subject.floor_char_boundary(MAX_SUBJECT)].to_owned()
}

/// The events of a settlement: message by message, in the order in which they first appear in it, then those of
/// decisions. `done` answers whether a message left the store with it.
#[must_use]
pub fn settled(
    settlement: &Settlement,
    commit: Lsn,
    lookup: &dyn Lookup,
    done: impl Fn(QueueId) -> bool,
) -> Vec<Event> {
    let lookup = WithConnections { given: &settlement.connections, rest: lookup };
    let parts = Settled::by_message(settlement, done);
    let of_messages = parts.iter().flat_map(|part| of_message(part, commit, &lookup));
    of_messages.chain(settlement.ledger.iter().filter_map(|e| of_ledger(e, commit))).collect()
}

/// The event of a decision that has begun or is over; how far it has come between is none, and neither is what is
/// down.
#[must_use]
pub fn of_ledger(entry: &LedgerEntry, commit: Lsn) -> Option<Event> {
    let Some(LedgerValue::Decision(decision)) = &entry.value else { return None };
    let state = match decision.stage {
        Stage::Going if decision.cursor == QueueId::MIN => "begun",
        Stage::Going => return None,
        over => over.name(),
    };
    let kind = EventKind::Decision {
        state,
        act: decision.act.name(),
        target: decision.target.to_string(),
        order: Arc::new(decision.order.clone()),
        messages: decision.messages,
        recipients: decision.recipients,
    };
    Some(Event { at: decision.since, commit: commit.0, message: QueueId::MIN, kind })
}

/// The events of what one settlement did to one message.
#[must_use]
pub fn of_message(part: &Settled, commit: Lsn, lookup: &dyn Lookup) -> Vec<Event> {
    let event = |at, kind| Event { at, commit: commit.0, message: part.message, kind };
    let mut events = Vec::new();
    for attempt in &part.attempts {
        let at = attempt.at.plus(attempt.took);
        for result in &attempt.results {
            events.push(event(at, tried(part, attempt, result, lookup)));
        }
    }
    for acted in &part.acts {
        let kind = EventKind::Operator {
            to: Some(forward_path(part, acted.recipient, lookup)),
            act: acted.act.name(),
            order: Some(Arc::clone(&acted.order)),
            into: acted.into,
        };
        events.push(event(part.at, kind));
    }
    for (recipient, state) in &part.changes {
        let to = || forward_path(part, *recipient, lookup);
        let kind = match state.life {
            Life::Expired => EventKind::Expired { to: to() },
            // Nothing befell it: its sender is told that it waits.
            Life::Held | Life::Poison if is_delay(part) => continue,
            Life::Removed | Life::Held if part.acted_on(*recipient) => continue,
            // A rule did it, and the try says so.
            Life::Removed if is_discarded(part, *recipient) => continue,
            Life::Removed => unordered(to(), "remove"),
            Life::Held => unordered(to(), "hold"),
            Life::Poison => EventKind::Poison,
            Life::Queued | Life::Delivered | Life::Failed | Life::Refused => continue,
            // The attempt says that it failed, and the end that it expired.
            Life::Failing | Life::Expiring => continue,
        };
        events.push(event(part.at, kind));
    }
    for (id, kind) in &part.notices {
        let notice = kind.map(|kind| EventKind::Notice { id: *id, kind });
        events.extend(notice.map(|kind| event(part.at, kind)));
    }
    for why in &part.withheld {
        events.push(event(part.at, EventKind::NoNotice { why: Some(*why) }));
    }
    if is_silent(part) {
        events.push(event(part.at, EventKind::NoNotice { why: None }));
    }
    if part.done {
        events.push(event(part.at, EventKind::Done));
    }
    events
}

/// An act of whom nothing was recorded: what an older version stored.
const fn unordered(to: String, act: &'static str) -> EventKind {
    EventKind::Operator { to: Some(to), act, order: None, into: None }
}

/// The sender is told of a delay, and that is all.
fn is_delay(part: &Settled) -> bool {
    part.notices.iter().any(|(_, kind)| *kind == Some(NoticeKind::Delayed))
}

fn is_discarded(part: &Settled, recipient: u32) -> bool {
    let mut results = part.attempts.iter().flat_map(|attempt| &attempt.results);
    results.any(|r| r.recipient == recipient && r.outcome == Outcome::Discarded)
}

/// Somebody ended badly, and nothing says what his sender was told: what an older version stored.
fn is_silent(part: &Settled) -> bool {
    let ended = |state: &RecipientState| matches!(state.life, Life::Failed | Life::Expired);
    part.notices.is_empty()
        && part.withheld.is_empty()
        && part.changes.iter().any(|(_, state)| ended(state))
}

fn tried(
    part: &Settled,
    attempt: &Attempt,
    result: &RecipientResult,
    lookup: &dyn Lookup,
) -> EventKind {
    EventKind::Tried {
        to: forward_path(part, result.recipient, lookup),
        outcome: result.outcome,
        host: attempt.connection.and_then(|id| lookup.host(id)),
        reply: result.reply.as_ref().map(posthaste_mail::Reply::shortened),
        fault: result.fault.clone().map(shortened),
        next: next_try(part, result.recipient),
        session: attempt.connection,
    }
}

fn shortened(fault: Fault) -> Fault {
    match fault {
        Fault::Reply { stage, reply } => Fault::Reply { stage, reply: reply.shortened() },
        other => other,
    }
}

fn next_try(part: &Settled, recipient: u32) -> Option<Timestamp> {
    let (_, state) = part.changes.iter().find(|(number, _)| *number == recipient)?;
    (state.life == Life::Queued).then_some(state.due)
}

fn forward_path(part: &Settled, recipient: u32, lookup: &dyn Lookup) -> String {
    lookup.forward_path(part.message, recipient).unwrap_or_default()
}

/// The host and endpoint that events name for a connection, when one was reached.
#[must_use]
pub fn host_of(connection: &Connection) -> Option<(String, SocketAddr)> {
    Some((connection.host.clone()?, connection.peer?))
}

struct WithConnections<'a> {
    given: &'a [Connection],
    rest: &'a dyn Lookup,
}

impl Lookup for WithConnections<'_> {
    fn forward_path(&self, message: QueueId, recipient: u32) -> Option<String> {
        self.rest.forward_path(message, recipient)
    }

    fn host(&self, connection: ConnectionId) -> Option<(String, SocketAddr)> {
        match self.given.iter().find(|given| given.id == connection) {
            Some(given) => host_of(given),
            None => self.rest.host(connection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, NOON};
    use crate::{Change, Notice, Record, Tenure};
    use posthaste_evidence::{Outcome, Withheld};

    struct World;

    impl Lookup for World {
        fn forward_path(&self, _: QueueId, recipient: u32) -> Option<String> {
            Some(format!("r{recipient}@example.org"))
        }
        fn host(&self, _: ConnectionId) -> Option<(String, SocketAddr)> {
            Some(("mx.example.org".into(), testing::peer()))
        }
    }

    fn expiry(id: QueueId) -> Settlement {
        let expired = RecipientState { life: Life::Expired, ..RecipientState::default() };
        let later = RecipientState { due: NOON, failures: 1, ..RecipientState::default() };
        Settlement {
            tenure: Tenure { shard: 0, epoch: 1 },
            at: NOON,
            connections: vec![testing::connection(3)],
            attempts: vec![testing::deferred(id, 3)],
            changes: vec![
                Change { message: id, recipient: 0, state: later },
                Change { message: id, recipient: 1, state: expired },
            ],
            withheld: Vec::new(),
            notices: vec![Notice {
                about: id,
                kind: Some(NoticeKind::Failed),
                mail: testing::mail(id.next(), 1, 10),
            }],
            ledger: vec![],
            acts: vec![],
        }
    }

    #[test]
    fn tells_the_story_in_order() {
        let id = QueueId::from_u64(9);
        let events = settled(&expiry(id), Lsn(4), &World, |_| true);
        let kinds: Vec<_> = events.iter().map(|e| &e.kind).collect();
        let [
            EventKind::Tried { to, outcome, host, next, .. },
            EventKind::Expired { .. },
            rest @ ..,
        ] = &kinds[..]
        else {
            panic!("{kinds:?}")
        };
        assert_eq!((to.as_str(), *outcome), ("r0@example.org", Outcome::Deferred));
        assert_eq!((host.is_some(), *next), (true, Some(NOON)));
        assert_eq!(
            rest,
            [&EventKind::Notice { id: id.next(), kind: NoticeKind::Failed }, &EventKind::Done]
        );
        assert!(events.iter().all(|e| (e.commit, e.message) == (4, id)));
    }

    #[test]
    fn an_end_without_notice_says_so() {
        let id = QueueId::from_u64(9);
        let settlement = Settlement { notices: vec![], ..expiry(id) };
        let events = settled(&settlement, Lsn(4), &World, |_| false);
        assert!(events.iter().any(|e| e.kind == EventKind::NoNotice { why: None }));
        assert!(!events.iter().any(|e| e.kind == EventKind::Done));
    }

    #[test]
    fn each_reason_to_tell_nobody_is_said() {
        let id = QueueId::from_u64(9);
        let withheld = vec![(id, Withheld::NotAsked), (id, Withheld::StrangersRate)];
        let settlement = Settlement { withheld, ..expiry(id) };
        let events = names(&settled(&settlement, Lsn(4), &World, |_| false));
        let expected = ["deferred", "expired", "notice failed", "not-asked", "strangers-rate"];
        assert_eq!(events, expected);
    }

    #[test]
    fn a_bad_end_is_told_once_and_a_delay_is_no_act() {
        let id = QueueId::from_u64(9);
        let after = |lives: &[Life], kind: Option<NoticeKind>| {
            let mut s = expiry(id);
            s.attempts.clear();
            let state = |life| RecipientState { life, warned: 1, ..RecipientState::default() };
            s.changes = (0..)
                .zip(lives)
                .map(|(recipient, life)| Change { message: id, recipient, state: state(*life) })
                .collect();
            s.notices.retain_mut(|notice| {
                notice.kind = kind;
                kind.is_some()
            });
            names(&settled(&s, Lsn(4), &World, |_| false))
        };
        let delayed = [Life::Queued, Life::Held, Life::Poison];
        assert_eq!(after(&delayed, Some(NoticeKind::Delayed)), ["notice delayed"]);
        assert_eq!(after(&[Life::Failing, Life::Expiring], None), [""; 0]);
        let ended = after(&[Life::Failed, Life::Expired], Some(NoticeKind::Failed));
        assert_eq!(ended, ["expired", "notice failed"]);
        let found = after(&[Life::Delivered], Some(NoticeKind::AllClear));
        assert_eq!(found, ["notice all-clear"]);
    }

    fn names(events: &[Event]) -> Vec<String> {
        let name = |event: &Event| match &event.kind {
            EventKind::Notice { kind, .. } => format!("notice {}", kind.name()),
            EventKind::NoNotice { why: Some(why) } => why.name().to_owned(),
            kind => kind.name().to_owned(),
        };
        events.iter().map(name).collect()
    }

    #[test]
    fn are_the_same_from_memory_and_from_the_disk() {
        let id = QueueId::from_u64(9);
        let mut told = expiry(id);
        told.notices[0].kind = Some(NoticeKind::Delayed);
        told.withheld = vec![(id, Withheld::NullPath)];
        for (settlement, done) in [(expiry(id), false), (expiry(id), true), (told, false)] {
            let events = settled(&settlement, Lsn(4), &World, |_| done);
            let stored = Settled::by_message(&settlement, |_| done);
            let read: Vec<_> = stored
                .iter()
                .map(|part| Settled::decode(&part.encode()).expect("decodes"))
                .flat_map(|part| of_message(&part, Lsn(4), &World))
                .collect();
            assert_eq!(read, events);
        }
    }
}
