//! Stories of watchers and of the event log.

use super::{Diary, Entry, Fixture, by_message, change, settle, settlement};
use crate::events::{self, Lookup};
use crate::testing::{self, NOON};
use crate::{
    Acted, Decision, LedgerEntry, LedgerKey, LedgerValue, Lsn, Notice, Settlement, Spool, Stage,
    Target,
};
use posthaste_evidence::{Act, ConnectionId, Event, NoticeKind, Order, Withheld};
use posthaste_mail::QueueId;
use posthaste_queue::life::Life;
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) async fn watchers_hear_in_order_before_the_caller(f: &mut dyn Fixture) {
    let spool = f.spool();
    let diary = Arc::new(Diary::default());
    spool.watch(Arc::clone(&diary) as _);
    let mails: Vec<_> = (0..20).map(|_| testing::mail(spool.mint(NOON), 1, 300)).collect();
    let waiting: Vec<_> = mails.iter().map(|mail| spool.accept(mail.clone())).collect();
    for (mail, answer) in mails.iter().zip(waiting) {
        let commit = answer.await.expect("accepted").commit;
        let entry = Entry::Accepted(commit, mail.envelope.id);
        assert!(diary.entries().contains(&entry), "told before the caller");
    }
    let told: Vec<_> = diary.entries();
    let ids: Vec<_> = told
        .iter()
        .map(|entry| match entry {
            Entry::Accepted(commit, id) => (*commit, *id),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(ids.is_sorted_by_key(|(commit, _)| *commit));
    assert_eq!(ids.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids_of(&mails));
}

fn ids_of(mails: &[crate::NewMail]) -> Vec<QueueId> {
    mails.iter().map(|mail| mail.envelope.id).collect()
}

pub(super) async fn watchers_hear_of_notices_and_settlements(f: &mut dyn Fixture) {
    let spool = f.spool();
    let diary = Arc::new(Diary::default());
    spool.watch(Arc::clone(&diary) as _);
    let id = super::accept(&*spool, 1, 10).await.envelope.id;
    let notice = testing::mail(spool.mint(NOON), 1, 10);
    let mut s = settlement(&*spool);
    s.changes = vec![change(id, 0, Life::Failed)];
    s.notices = vec![Notice { about: id, kind: Some(NoticeKind::Failed), mail: notice.clone() }];
    let changes = s.changes.clone();
    let commit = settle(&*spool, s).await;
    let told = diary.entries();
    assert_eq!(
        told[1..],
        [Entry::Accepted(commit, notice.envelope.id), Entry::Settled(commit, changes)]
    );
}

struct Sample;

impl Lookup for Sample {
    fn forward_path(&self, _: QueueId, recipient: u32) -> Option<String> {
        Some(format!("r{recipient}@example.org"))
    }

    fn host(&self, connection: ConnectionId) -> Option<(String, SocketAddr)> {
        events::host_of(&testing::connection(connection.0))
    }
}

fn held(message: QueueId) -> Acted {
    let reason = Some("quarantine".to_owned());
    let order = Order { by: "uid 0".into(), reason, decision: Some(3) };
    Acted { message, recipient: 0, act: Act::Hold, order: order.into(), into: None }
}

/// A decision that has begun, goes on, is over.
fn decided(stage: Stage, cursor: u64) -> LedgerEntry {
    let order = Order { by: "uid 0".into(), reason: Some("because".into()), decision: Some(3) };
    let decision = Decision {
        act: Act::Hold,
        target: Target::All,
        to: None,
        text: None,
        order,
        at: NOON,
        last: QueueId::from_u64(7),
        cursor: QueueId::from_u64(cursor),
        messages: cursor,
        recipients: cursor,
        in_flight: Vec::new(),
        stage,
        fault: None,
        since: NOON.plus(std::time::Duration::from_secs(cursor)),
    };
    let value = Some(LedgerValue::Decision(Box::new(decision)));
    LedgerEntry { key: LedgerKey::Decision(3), value }
}

/// Accepts, defers, holds, begins and ends a decision, fails with a notice, delivers; answers the events as the dispatcher makes them.
async fn eventful(spool: &dyn Spool) -> Vec<Event> {
    let mut told = Vec::new();
    let [first, second] =
        [testing::mail(spool.mint(NOON), 2, 9), testing::mail(spool.mint(NOON), 1, 9)];
    for mail in [&first, &second] {
        let commit = spool.accept(mail.clone()).await.expect("accepted").commit;
        told.push(events::received(&mail.envelope, commit));
    }
    let (one, two) = (first.envelope.id, second.envelope.id);
    let notice = testing::mail(spool.mint(NOON), 1, 9);
    let settlements = [
        Settlement {
            connections: vec![testing::connection(1)],
            attempts: vec![testing::deferred(one, 1)],
            changes: vec![change(one, 0, Life::Queued)],
            ..settlement(spool)
        },
        Settlement {
            attempts: vec![testing::delivered(one, 1, 1), testing::delivered(two, 0, 1)],
            changes: vec![change(one, 1, Life::Delivered), change(two, 0, Life::Delivered)],
            ..settlement(spool)
        },
        Settlement {
            changes: vec![change(one, 0, Life::Held)],
            acts: vec![held(one)],
            ..settlement(spool)
        },
        Settlement { ledger: vec![decided(Stage::Going, 0)], ..settlement(spool) },
        Settlement { ledger: vec![decided(Stage::Going, 7)], ..settlement(spool) },
        Settlement { ledger: vec![decided(Stage::Done, 7)], ..settlement(spool) },
        Settlement {
            changes: vec![change(one, 0, Life::Held)],
            notices: vec![Notice {
                about: one,
                kind: Some(NoticeKind::Delayed),
                mail: testing::mail(spool.mint(NOON), 1, 9),
            }],
            ..settlement(spool)
        },
        Settlement { changes: vec![change(one, 0, Life::Expiring)], ..settlement(spool) },
        Settlement {
            changes: vec![change(one, 0, Life::Expired)],
            notices: vec![Notice {
                about: one,
                kind: Some(NoticeKind::Failed),
                mail: notice.clone(),
            }],
            withheld: vec![(one, Withheld::NotAsked), (one, Withheld::StrangersRate)],
            ..settlement(spool)
        },
    ];
    for (step, s) in settlements.into_iter().enumerate() {
        let commit = settle(spool, s.clone()).await;
        let done = |id| (step == 1 && id == two) || (step == 8 && id == one);
        told.extend(events::settled(&s, commit, &Sample, done));
        for notice in &s.notices {
            told.push(events::received(&notice.mail.envelope, commit));
        }
    }
    told
}

pub(super) async fn events_can_be_made_again(f: &mut dyn Fixture) {
    let spool = f.spool();
    let told = by_message(eventful(&*spool).await);
    let decisions = told.iter().filter(|e| e.kind.name() == "decision");
    assert_eq!(decisions.count(), 2, "its beginning and its end");
    for since in [0, told[0].commit, told[told.len() - 1].commit] {
        let again = spool.events_since(since).await.expect("readable");
        assert!(again.is_sorted_by_key(|event| event.commit));
        let later: Vec<_> = told.iter().filter(|e| e.commit > since).cloned().collect();
        assert_eq!(by_message(again), later, "after {since}");
    }
}

pub(super) async fn events_survive_a_crash(f: &mut dyn Fixture) {
    let told = by_message(eventful(&*f.spool()).await);
    let safe = Lsn(told[1].commit);
    f.spool().events_safe(safe.0);
    f.crash();
    f.crash();
    let again = f.spool().events_since(safe.0).await.expect("readable");
    let later: Vec<_> = told.into_iter().filter(|e| e.commit > safe.0).collect();
    assert_eq!(by_message(again), later);
}
