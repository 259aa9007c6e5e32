//! Stories of settling.

use super::{Fixture, accept, change, listed, older, read_whole, settle, settlement};
use crate::testing::{self, NOON};
use crate::{
    Change, KEPT_ATTEMPTS, LedgerEntry, LedgerKey, LedgerValue, Notice, SettleFault, Settlement,
    Spool,
};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::life::Life;
use posthaste_queue::{DestinationState, RecipientState};

/// A deferral of the first recipient over this connection, the `n`th.
fn deferral(spool: &dyn Spool, message: QueueId, connection: u64, n: u32) -> Settlement {
    let due = NOON.plus(std::time::Duration::from_secs(u64::from(n) * 60));
    let state = RecipientState { attempts: n, failures: n, due, ..RecipientState::default() };
    Settlement {
        attempts: vec![testing::deferred(message, connection)],
        changes: vec![Change { message, recipient: 0, state }],
        ..settlement(spool)
    }
}

pub(super) async fn a_deferral_changes_the_state_and_is_remembered(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 2, 500).await.envelope.id;
    let mut s = deferral(&*spool, id, 3, 1);
    s.connections = vec![testing::connection(3)];
    let state = s.changes[0].state;
    settle(&*spool, s).await;
    for reopened in [false, true] {
        if reopened {
            f.crash();
        }
        let spool = f.spool();
        let live = spool.find(id).await.expect("readable").expect("there");
        assert_eq!(live.states, [state, RecipientState::default()]);
        let history = spool.history(id).await.expect("readable");
        assert_eq!(history.attempts, [testing::deferred(id, 3)]);
        assert_eq!(history.connections, [testing::connection(3)]);
    }
}

pub(super) async fn twenty_attempts_are_remembered_the_first_and_the_last_among_them(
    f: &mut dyn Fixture,
) {
    let spool = f.spool();
    let id = accept(&*spool, 1, 500).await.envelope.id;
    let count = 3 * u32::try_from(KEPT_ATTEMPTS).expect("small");
    for n in 1..=count {
        let mut s = deferral(&*spool, id, u64::from(n), n);
        s.connections = vec![testing::connection(u64::from(n))];
        settle(&*spool, s).await;
    }
    for reopened in [false, true] {
        if reopened {
            f.crash();
        }
        let history = f.spool().history(id).await.expect("readable");
        let kept: Vec<_> =
            history.attempts.iter().filter_map(|a| a.connection).map(|c| c.0).collect();
        let last = u64::from(count);
        assert_eq!((kept.len(), kept[0]), (KEPT_ATTEMPTS, 1), "{kept:?}");
        assert_eq!(kept[KEPT_ATTEMPTS - 5..], (last - 4..=last).collect::<Vec<_>>());
        assert_eq!(history.connections.len(), KEPT_ATTEMPTS);
    }
}

pub(super) async fn a_message_leaves_with_its_last_recipient(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 2, 500).await.envelope.id;
    for (recipient, life, left) in [(1, Life::Delivered, true), (0, Life::Failed, false)] {
        let mut s = settlement(&*spool);
        s.changes = vec![change(id, recipient, life)];
        settle(&*spool, s).await;
        assert_eq!(spool.find(id).await.expect("readable").is_some(), left);
        assert_eq!(spool.fetch(id).await.expect("readable").is_some(), left);
    }
    assert_eq!(listed(&*spool, 5).await, []);
    assert_eq!(spool.health().messages, 0);
}

pub(super) async fn a_notice_comes_with_its_settlement(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 1, 500).await.envelope.id;
    let notice = testing::mail(spool.mint(NOON), 1, 2000);
    let mut s = settlement(&*spool);
    s.changes = vec![change(id, 0, Life::Failed)];
    s.notices = vec![Notice {
        about: id,
        kind: Some(posthaste_evidence::NoticeKind::Failed),
        mail: notice.clone(),
    }];
    settle(&*spool, s).await;
    for reopened in [false, true] {
        if reopened {
            f.crash();
        }
        let spool = f.spool();
        assert_eq!(listed(&*spool, 5).await, [notice.envelope.id]);
        let stored = spool.fetch(notice.envelope.id).await.expect("readable").expect("there");
        let content = testing::content(notice.envelope.id, 2000);
        assert_eq!(read_whole(&*spool, &stored).await, content);
    }
}

pub(super) async fn an_end_is_final(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 2, 500).await.envelope.id;
    for life in [Life::Delivered, Life::Queued, Life::Failing] {
        let mut s = settlement(&*spool);
        s.changes = vec![change(id, 1, life)];
        settle(&*spool, s).await;
    }
    f.crash();
    let live = f.spool().find(id).await.expect("readable").expect("there");
    assert_eq!(live.states[1].life, Life::Delivered);
}

pub(super) async fn delays_and_ends_that_wait_are_kept(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 4, 500).await.envelope.id;
    let due = NOON.plus(std::time::Duration::from_secs(60));
    let lives = [Life::Queued, Life::Held, Life::Failing, Life::Expiring];
    let state = |(n, life)| RecipientState { life, due, warned: n, ..RecipientState::default() };
    let states: Vec<_> = (250..).zip(lives).map(state).collect();
    let mut s = settlement(&*spool);
    let change = |(recipient, state): (u32, &RecipientState)| Change {
        message: id,
        recipient,
        state: *state,
    };
    s.changes = (0..).zip(&states).map(change).collect();
    settle(&*spool, s).await;
    for reopened in [false, true] {
        if reopened {
            f.crash();
        }
        let live = f.spool().find(id).await.expect("readable").expect("there");
        assert_eq!(live.states, states);
    }
}

pub(super) async fn settlements_of_strangers_change_nothing_else(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 1, 500).await.envelope.id;
    let stranger = spool.mint(NOON);
    let key = LedgerKey::NextHop(testing::peer());
    let mut s = deferral(&*spool, stranger, 3, 1);
    s.changes.push(change(id, 7, Life::Failed));
    s.ledger = vec![LedgerEntry { key: key.clone(), value: Some(down(1)) }];
    settle(&*spool, s).await;
    assert_eq!(listed(&*spool, 5).await, [id]);
    let live = spool.find(id).await.expect("readable").expect("there");
    assert_eq!(live.states, [RecipientState::default()]);
    assert_eq!(spool.ledger().await.expect("readable"), [(key, down(1))]);
}

/// A ledger value with `failures` failures.
pub(super) fn down(failures: u32) -> LedgerValue {
    let next_trial = Timestamp::from_secs(i64::from(failures) * 60);
    LedgerValue::Down {
        state: DestinationState { since: NOON, failures, next_trial },
        failures: (0..u64::from(failures)).map(testing::connection).collect(),
    }
}

pub(super) async fn the_ledger_replaces_and_forgets(f: &mut dyn Fixture) {
    let spool = f.spool();
    let destination = |name: &str| LedgerKey::Destination(name.into());
    let entries = |entries: Vec<(LedgerKey, Option<LedgerValue>)>| Settlement {
        ledger: entries.into_iter().map(|(key, value)| LedgerEntry { key, value }).collect(),
        ..settlement(&*spool)
    };
    let hop = LedgerKey::NextHop(testing::peer());
    settle(
        &*spool,
        entries(vec![
            (hop.clone(), Some(down(2))),
            (destination("b"), Some(down(1))),
            (destination("a"), Some(down(1))),
        ]),
    )
    .await;
    settle(&*spool, entries(vec![(destination("a"), Some(down(3))), (destination("b"), None)]))
        .await;
    settle(&*spool, entries(vec![(destination("never known"), None)])).await;
    for reopened in [false, true] {
        if reopened {
            f.crash();
        }
        let ledger = f.spool().ledger().await.expect("readable");
        assert_eq!(ledger, [(destination("a"), down(3)), (hop.clone(), down(2))]);
    }
}

pub(super) async fn an_older_epoch_is_refused(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 1, 500).await.envelope.id;
    let mut s = settlement(&*spool);
    s.tenure = older(s.tenure);
    s.changes = vec![change(id, 0, Life::Removed)];
    assert_eq!(spool.settle(s).await, Err(SettleFault::Fenced));
    assert_eq!(listed(&*spool, 5).await, [id]);
}

pub(super) async fn an_operator_can_hold_and_remove(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 1, 500).await.envelope.id;
    let mut s = settlement(&*spool);
    s.changes = vec![change(id, 0, Life::Held)];
    settle(&*spool, s).await;
    f.crash();
    let spool = f.spool();
    let live = spool.find(id).await.expect("readable").expect("there");
    assert_eq!(live.states[0].life, Life::Held);
    let mut s = settlement(&*spool);
    s.changes = vec![change(id, 0, Life::Removed)];
    settle(&*spool, s).await;
    assert_eq!(listed(&*spool, 5).await, []);
}
