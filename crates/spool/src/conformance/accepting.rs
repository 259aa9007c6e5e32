//! Stories of accepting and reading.

use super::{Fixture, accept, listed, read_whole, settle, settlement};
use crate::testing::{self, NOON};
use crate::{Content, INLINE_LIMIT, NewMail, SpilledBody, Spool};
use bytes::Bytes;
use posthaste_mail::{Body, QueueId, Timestamp};

pub(super) async fn ids_grow_whatever_the_clock_does(f: &mut dyn Fixture) {
    let spool = f.spool();
    let mut last = QueueId::MIN;
    for micros in [5_000_000, 5_000_000, 4_000_000, 0, 9_000_000, i64::MIN, 9_000_001] {
        let id = spool.mint(Timestamp::from_micros(micros));
        assert!(id > last);
        last = id;
    }
}

pub(super) async fn accepted_mail_is_there_whole(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = spool.mint(NOON);
    let mut mail = testing::mail(id, 3, 0);
    let mut body = Body::default();
    for chunk in [&b"Received: by us\r\n"[..], b"Subject: x\r\n\r\n", b"one\r\n", b"two\r\n"] {
        body.push(Bytes::from_static(chunk));
    }
    let whole = body.to_vec();
    mail.content = Content::Inline(body);
    spool.accept(mail.clone()).await.expect("accepted");

    let live = spool.find(id).await.expect("readable").expect("there");
    assert_eq!((live.envelope, live.states), (mail.envelope.clone(), mail.states.clone()));
    assert_eq!((live.in_hand.len(), live.in_hand_with), (0, None));
    let stored = spool.fetch(id).await.expect("readable").expect("there");
    assert_eq!(*stored.envelope, mail.envelope);
    assert_eq!(read_whole(&*spool, &stored).await, whole);
    let history = spool.history(id).await.expect("readable");
    assert_eq!(history.attempts.len() + history.connections.len(), 0);

    let empty = accept(&*spool, 1, 0).await;
    let stored = spool.fetch(empty.envelope.id).await.expect("readable").expect("there");
    assert_eq!(read_whole(&*spool, &stored).await, b"");
    let largest = accept(&*spool, 1, INLINE_LIMIT).await;
    let stored = spool.fetch(largest.envelope.id).await.expect("readable").expect("there");
    let content = testing::content(largest.envelope.id, INLINE_LIMIT);
    assert!(read_whole(&*spool, &stored).await == content, "the largest inline body is intact");
}

/// Spills `content` in parts of 64 KiB.
pub(super) async fn spill(spool: &dyn Spool, id: QueueId, content: &[u8]) -> SpilledBody {
    let mut spill = spool.spill(id).await.expect("room");
    for part in content.chunks(64 * 1024) {
        spill.write(Bytes::copy_from_slice(part)).await.expect("written");
    }
    spill.finish().await.expect("durable")
}

pub(super) async fn large_bodies_come_in_ranges(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = spool.mint(NOON);
    let content = testing::content(id, INLINE_LIMIT + 12_345);
    let body = spill(&*spool, id, &content).await;
    assert_eq!(body, SpilledBody::new(id, content.len() as u64));
    let envelope = testing::envelope(id, 1, &content);
    let states = vec![Default::default()];
    let mail = NewMail { envelope, content: Content::Spilled(body.clone()), states };
    spool.accept(mail).await.expect("accepted");
    let stored = spool.fetch(id).await.expect("readable").expect("there");
    assert!(matches!(&stored.content, Content::Spilled(b) if *b == body));
    assert!(read_whole(&*spool, &stored).await == content, "the spilled body is intact");
    let end = spool.range(&body, body.size - 3, 10).await.expect("readable");
    assert_eq!(end, &content[content.len() - 3..]);
    assert!(spool.range(&body, body.size + 5, 10).await.expect("readable").is_empty());
}

/// What is known only when the last octet is in the file stands before it all the same, also after a restart.
pub(super) async fn a_large_body_may_have_a_head(f: &mut dyn Fixture) {
    let id = f.spool().mint(NOON);
    let content = testing::content(id, INLINE_LIMIT + 777);
    let (head, file) = content.split_at(700);
    let mut body = spill(&*f.spool(), id, file).await;
    body.prepend(&head[300..]);
    body.prepend(&head[..300]);
    assert_eq!((body.size, body.in_file()), (content.len() as u64, file.len() as u64));
    let envelope = testing::envelope(id, 1, &content);
    let states = vec![Default::default()];
    let mail = NewMail { envelope, content: Content::Spilled(body.clone()), states };
    f.spool().accept(mail).await.expect("accepted");
    for again in [false, true] {
        if again {
            f.crash();
        }
        let spool = f.spool();
        let stored = spool.fetch(id).await.expect("readable").expect("there");
        assert!(matches!(&stored.content, Content::Spilled(b) if *b == body));
        assert!(read_whole(&*spool, &stored).await == content, "head and file are one");
        for (offset, length) in [(0, 10), (690, 30), (700, 5), (699, 1), (3, 5000)] {
            let range = spool.range(&body, offset, length).await.expect("readable");
            let from = usize::try_from(offset).expect("small");
            assert_eq!(range, content[from..from + length], "{offset}+{length}");
        }
        assert_eq!(spool.quarantined(), [], "the file is as long as it should be");
    }
}

pub(super) async fn an_abandoned_spill_leaves_nothing(f: &mut dyn Fixture) {
    let spool = f.spool();
    let id = spool.mint(NOON);
    let mut abandoned = spool.spill(id).await.expect("room");
    abandoned.write(Bytes::from_static(b"half a mess")).await.expect("written");
    drop(abandoned);
    assert_eq!(listed(&*spool, 10).await, []);
    let body = spill(&*spool, id, b"whole").await;
    assert_eq!(body.size, 5);
}

pub(super) async fn listings_are_pages_in_order_of_id(f: &mut dyn Fixture) {
    let spool = f.spool();
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(accept(&*spool, 1, 50).await.envelope.id);
    }
    for limit in [1, 3, 7, 100] {
        assert_eq!(listed(&*spool, limit).await, ids, "pages of {limit}");
    }
    let page = spool.live(ids[2], 2).await.expect("readable");
    assert_eq!(page.items.iter().map(|l| l.envelope.id).collect::<Vec<_>>(), ids[3..5]);
    assert_eq!(page.next, Some(ids[4]));
}

pub(super) async fn a_thousand_recipients(f: &mut dyn Fixture) {
    let spool = f.spool();
    let mail = accept(&*spool, 1000, 100).await;
    let id = mail.envelope.id;
    let mut s = settlement(&*spool);
    s.changes =
        (0..999).map(|n| super::change(id, n, posthaste_queue::life::Life::Delivered)).collect();
    settle(&*spool, s).await;
    let live = spool.find(id).await.expect("readable").expect("one is still waiting");
    assert_eq!(live.envelope, mail.envelope);
    assert_eq!(live.states.iter().filter(|s| s.life.is_live()).count(), 1);
    assert_eq!(live.states[999], Default::default());
}

pub(super) async fn unknown_messages_are_nobody(f: &mut dyn Fixture) {
    let spool = f.spool();
    let nobody = spool.mint(NOON);
    assert_eq!(spool.find(nobody).await.expect("readable"), None);
    assert!(spool.fetch(nobody).await.expect("readable").is_none());
    assert_eq!(spool.history(nobody).await.expect("readable"), Default::default());
    assert_eq!(listed(&*spool, 5).await, []);
    assert_eq!(spool.ledger().await.expect("readable"), []);
    assert_eq!(spool.quarantined(), []);
}

pub(super) async fn a_full_inbox_still_answers_everyone(f: &mut dyn Fixture) {
    let spool = f.spool();
    let mails: Vec<_> = (0..50).map(|_| testing::mail(spool.mint(NOON), 1, 9000)).collect();
    let waiting: Vec<_> = mails.iter().map(|mail| spool.accept(mail.clone())).collect();
    for answer in waiting.into_iter().rev() {
        answer.await.expect("accepted");
    }
    let ids: Vec<_> = mails.iter().map(|mail| mail.envelope.id).collect();
    assert_eq!(listed(&*spool, 100).await, ids);
}

pub(super) async fn health_counts(f: &mut dyn Fixture) {
    let spool = f.spool();
    accept(&*spool, 1, 10).await;
    accept(&*spool, 2, 10).await;
    let health = spool.health();
    assert_eq!((health.messages, health.accepting, health.read_only), (2, true, false));
    assert!(health.commits >= 1);
    assert_eq!(health.quarantined, 0);
}
