//! What several suites need.

#![allow(dead_code, reason = "each suite uses its part")]

use posthaste_io::Disk;
use posthaste_mail::QueueId;
use posthaste_queue::RecipientState;
use posthaste_queue::life::Life;
use posthaste_spool::conformance::block_on;
use posthaste_spool::testing::{self, NOON};
use posthaste_spool::{Change, Content, NewMail, Refused, Settlement, Spool, Started};
use posthaste_spool_local::{LocalSpool, Log, Report, Settings};

/// Small segments, as the design wants them in tests.
pub(crate) fn settings() -> Settings {
    Settings { segment_size: 64 * 1024, events_hold: 0, salt: 7, ..Settings::default() }
}

pub(crate) fn open<D: Disk + 'static>(disk: D, settings: Settings) -> (LocalSpool<D>, Report) {
    let (log, report) = Log::open(disk, settings).expect("opens");
    (LocalSpool::in_place(log), report)
}

pub(crate) fn settlement(spool: &dyn Spool) -> Settlement {
    Settlement {
        tenure: spool.take(),
        at: NOON,
        connections: vec![],
        attempts: vec![],
        changes: vec![],
        withheld: Vec::new(),
        notices: vec![],
        ledger: vec![],
        acts: Vec::new(),
    }
}

pub(crate) fn accept(spool: &dyn Spool, size: usize) -> Result<NewMail, Refused> {
    let mail = testing::mail(spool.mint(NOON), 1, size);
    block_on(spool.accept(mail.clone())).map(|_| mail)
}

/// The message leaves.
pub(crate) fn deliver(spool: &dyn Spool, message: QueueId) {
    let state = RecipientState { life: Life::Delivered, attempts: 1, ..RecipientState::default() };
    let mut s = settlement(spool);
    s.attempts = vec![testing::delivered(message, 0, 1)];
    s.changes = vec![Change { message, recipient: 0, state }];
    block_on(spool.settle(s)).expect("settled");
}

/// The content of a message, if it can be read.
pub(crate) fn content(spool: &dyn Spool, id: QueueId) -> Option<Vec<u8>> {
    let stored = block_on(spool.fetch(id)).ok()??;
    match stored.content {
        Content::Inline(body) => Some(body.to_vec()),
        Content::Spilled(body) => {
            let mut whole = Vec::new();
            while (whole.len() as u64) < body.size {
                whole.extend(block_on(spool.range(&body, whole.len() as u64, 1 << 20)).ok()?);
            }
            Some(whole)
        }
    }
}

pub(crate) fn listed(spool: &dyn Spool) -> Vec<QueueId> {
    let page = block_on(spool.live(QueueId::MIN, 100_000)).expect("readable");
    page.items.into_iter().map(|live| live.envelope.id).collect()
}

/// The first recipient of a message is in a transaction.
pub(crate) fn started(message: QueueId) -> Started {
    Started { message, recipients: vec![0], peer: None }
}

/// Its recipients that were in a transaction when the store was opened.
pub(crate) fn in_hand(spool: &dyn Spool, message: QueueId) -> Vec<u32> {
    block_on(spool.find(message)).expect("readable").expect("live").in_hand
}
