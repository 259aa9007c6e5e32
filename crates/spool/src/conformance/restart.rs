//! Stories with the end of the process in them.

use super::accepting::spill;
use super::{Fixture, accept, change, listed, read_whole, settle, settlement};
use crate::testing::{self, NOON};
use crate::{Content, INLINE_LIMIT, NewMail, Refused, SettleFault, Spool, Started};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::life::Life;

pub(super) async fn nothing_acknowledged_is_forgotten(f: &mut dyn Fixture) {
    let spool = f.spool();
    let small = accept(&*spool, 2, 3000).await;
    let id = spool.mint(NOON);
    let content = testing::content(id, INLINE_LIMIT + 1);
    let body = spill(&*spool, id, &content).await;
    let envelope = testing::envelope(id, 1, &content);
    let large =
        NewMail { envelope, content: Content::Spilled(body), states: vec![Default::default()] };
    spool.accept(large.clone()).await.expect("accepted");
    f.crash();
    let spool = f.spool();
    for mail in [&small, &large] {
        let id = mail.envelope.id;
        let live = spool.find(id).await.expect("readable").expect("there");
        assert_eq!((&live.envelope, &live.states), (&mail.envelope, &mail.states));
        let stored = spool.fetch(id).await.expect("readable").expect("there");
        let whole = read_whole(&*spool, &stored).await;
        assert_eq!(crc32c::crc32c(&whole), mail.envelope.facts.crc);
    }
    assert_eq!(listed(&*spool, 1).await, [small.envelope.id, large.envelope.id]);
}

pub(super) async fn what_has_ended_stays_gone(f: &mut dyn Fixture) {
    let spool = f.spool();
    let kept = accept(&*spool, 1, 100).await.envelope.id;
    let ended = accept(&*spool, 1, 100).await.envelope.id;
    let mut s = settlement(&*spool);
    s.changes = vec![change(ended, 0, Life::Delivered)];
    settle(&*spool, s).await;
    for _ in 0..3 {
        f.crash();
        assert_eq!(listed(&*f.spool(), 5).await, [kept]);
    }
}

pub(super) async fn epochs_grow(f: &mut dyn Fixture) {
    let mut last = f.spool().take();
    assert!(last.epoch > 0);
    for _ in 0..3 {
        f.crash();
        let tenure = f.spool().take();
        assert!(tenure.epoch > last.epoch);
        assert_eq!(tenure.shard, last.shard);
        last = tenure;
    }
}

pub(super) async fn ids_are_never_given_again(f: &mut dyn Fixture) {
    let spool = f.spool();
    let accepted = accept(&*spool, 1, 10).await.envelope.id;
    let given = spool.mint(NOON);
    f.crash();
    let early = Timestamp::from_secs(1);
    let next = f.spool().mint(early);
    assert!(next > accepted && next > given);
    let spool = f.spool();
    let mut s = settlement(&*spool);
    s.changes = vec![change(accepted, 0, Life::Delivered)];
    settle(&*spool, s).await;
    f.crash();
    assert!(f.spool().mint(early) > next);
}

/// Says that a transaction has begun, and lets a commit carry it.
async fn start(spool: &dyn Spool, message: QueueId, recipients: Vec<u32>) {
    spool.started(Started { message, recipients, peer: Some(testing::peer()) });
    settle(spool, settlement(spool)).await;
}

pub(super) async fn what_was_in_hand_is_known(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 3, 100).await.envelope.id;
    let waiting = accept(&*spool, 1, 100).await.envelope.id;
    start(&*spool, id, vec![0, 2]).await;
    let live = spool.find(id).await.expect("readable").expect("there");
    assert_eq!(live.in_hand, [], "not before the process ends");
    for _ in 0..2 {
        f.crash();
        let spool = f.spool();
        let live = spool.find(id).await.expect("readable").expect("there");
        assert_eq!((live.in_hand, live.in_hand_with), (vec![0, 2], Some(testing::peer())));
        let other = spool.find(waiting).await.expect("readable").expect("there");
        assert_eq!((other.in_hand, other.in_hand_with), (vec![], None));
    }
}

pub(super) async fn what_was_settled_is_not_in_hand(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = accept(&*spool, 3, 100).await.envelope.id;
    start(&*spool, id, vec![0, 1]).await;
    let mut s = settlement(&*spool);
    s.changes = vec![change(id, 0, Life::Delivered)];
    settle(&*spool, s).await;
    f.crash();
    let spool = f.spool();
    let live = spool.find(id).await.expect("readable").expect("there");
    assert_eq!(live.in_hand, [1]);
    let mut s = settlement(&*spool);
    s.attempts = vec![testing::delivered(id, 1, 5)];
    s.changes = vec![change(id, 1, Life::Queued)];
    settle(&*spool, s).await;
    let live = spool.find(id).await.expect("readable").expect("there");
    assert_eq!((live.in_hand, live.in_hand_with), (vec![], None));
    f.crash();
    let live = f.spool().find(id).await.expect("readable").expect("there");
    assert_eq!((live.in_hand, live.in_hand_with), (vec![], None));
}

pub(super) async fn a_closed_store_refuses_and_keeps(f: &mut dyn Fixture) {
    let spool = f.spool();
    let mail = testing::mail(spool.mint(NOON), 1, 100);
    let waiting = spool.accept(mail.clone());
    spool.close().await;
    waiting.await.expect("what waited was committed");
    let late = spool.accept(testing::mail(spool.mint(NOON), 1, 100)).await;
    assert_eq!(late.map(|_| ()), Err(Refused::Unhealthy));
    assert_eq!(spool.settle(settlement(&*spool)).await, Err(SettleFault::StoreFault));
    assert!(!spool.health().accepting);
    f.crash();
    assert_eq!(listed(&*f.spool(), 5).await, [mail.envelope.id]);
}

pub(super) async fn many_restarts_change_nothing(f: &mut dyn Fixture) {
    let mut ids = Vec::new();
    for round in 0..6 {
        let spool = f.spool();
        ids.push(accept(&*spool, 1, 2000 * round).await.envelope.id);
        f.crash();
        f.crash();
        assert_eq!(listed(&*f.spool(), 2).await, ids);
    }
    assert_eq!(f.spool().quarantined(), []);
}
