//! One suite that every store passes: a table of named cases, each a little story.
//!
//! A [`Fixture`] makes a fresh store and can end its process and open it again. Cases are futures, so that a
//! store in the simulator can be driven by its executor; [`run`] drives them with a loop of its own.

mod accepting;
mod restart;
mod settling;
mod telling;

use crate::{
    Change, Content, Lsn, NewMail, Settlement, Spool, Stored, Tenure, Watcher, testing::NOON,
};
use posthaste_evidence::Event;
use posthaste_io::Task;
use posthaste_mail::QueueId;
use posthaste_queue::RecipientState;
use posthaste_queue::life::Life;
use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A store under test.
pub trait Fixture: Send {
    /// The open store.
    fn spool(&self) -> Arc<dyn Spool>;
    /// Ends the process without any farewell, and opens the store again.
    fn crash(&mut self);
}

/// One story.
pub struct Case {
    /// What must hold, as a sentence with underscores.
    pub name: &'static str,
    /// Panics when it does not.
    pub run: for<'a> fn(&'a mut dyn Fixture) -> Task<'a, ()>,
}

macro_rules! cases {
    ($($module:ident: $($name:ident),+;)+) => {
        /// Every story.
        pub const CASES: &[Case] = &[
            $($(Case {
                name: stringify!($name),
                run: |fixture| Box::pin($module::$name(fixture)),
            },)+)+
        ];
    };
}

cases! {
    accepting:
        ids_grow_whatever_the_clock_does, accepted_mail_is_there_whole, large_bodies_come_in_ranges, a_large_body_may_have_a_head,
        an_abandoned_spill_leaves_nothing, listings_are_pages_in_order_of_id, a_thousand_recipients,
        unknown_messages_are_nobody, a_full_inbox_still_answers_everyone, health_counts;
    settling:
        a_deferral_changes_the_state_and_is_remembered,
        an_end_is_final, delays_and_ends_that_wait_are_kept,
        twenty_attempts_are_remembered_the_first_and_the_last_among_them,
        a_message_leaves_with_its_last_recipient, a_notice_comes_with_its_settlement,
        settlements_of_strangers_change_nothing_else, the_ledger_replaces_and_forgets,
        an_older_epoch_is_refused, an_operator_can_hold_and_remove;
    restart:
        nothing_acknowledged_is_forgotten, what_has_ended_stays_gone, epochs_grow,
        ids_are_never_given_again, what_was_in_hand_is_known, what_was_settled_is_not_in_hand,
        a_closed_store_refuses_and_keeps, many_restarts_change_nothing;
    telling:
        watchers_hear_in_order_before_the_caller, watchers_hear_of_notices_and_settlements,
        events_can_be_made_again, events_survive_a_crash;
}

/// Runs every case on a fresh store, which `make` is asked for by the name of the case.
///
/// # Panics
/// When the store fails a case.
pub fn run(make: impl Fn(&'static str) -> Box<dyn Fixture>) {
    for case in CASES {
        let mut fixture = make(case.name);
        block_on((case.run)(fixture.as_mut()));
    }
}

/// Polls a future to its end on this thread, resting while it waits.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        bell.wait();
    }
}

#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    fn wait(&self) {
        let mut rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        while !*rung {
            rung = self.ringing.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.ringing.notify_one();
    }
}

/// An empty settlement by the present owner.
fn settlement(spool: &dyn Spool) -> Settlement {
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

fn change(message: QueueId, recipient: u32, life: Life) -> Change {
    let state = RecipientState { life, attempts: 1, ..RecipientState::default() };
    Change { message, recipient, state }
}

/// Accepts a message of `size` octets and waits for it.
async fn accept(spool: &dyn Spool, recipients: usize, size: usize) -> NewMail {
    let mail = crate::testing::mail(spool.mint(NOON), recipients, size);
    spool.accept(mail.clone()).await.expect("accepted");
    mail
}

async fn settle(spool: &dyn Spool, settlement: Settlement) -> Lsn {
    spool.settle(settlement).await.expect("settled")
}

/// The whole content of a stored message, spilled or not.
async fn read_whole(spool: &dyn Spool, stored: &Stored) -> Vec<u8> {
    match &stored.content {
        Content::Inline(body) => body.to_vec(),
        Content::Spilled(body) => {
            let mut whole = Vec::new();
            while (whole.len() as u64) < body.size {
                let part = spool.range(body, whole.len() as u64, 1 << 20).await.expect("readable");
                assert!(!part.is_empty(), "a range before the end has octets");
                whole.extend_from_slice(&part);
            }
            whole
        }
    }
}

/// The ids of all live messages, by pages of `limit`.
async fn listed(spool: &dyn Spool, limit: usize) -> Vec<QueueId> {
    let (mut ids, mut after) = (Vec::new(), Some(QueueId::MIN));
    while let Some(from) = after {
        let page = spool.live(from, limit).await.expect("readable");
        assert!(page.items.len() <= limit);
        ids.extend(page.items.iter().map(|live| live.envelope.id));
        after = page.next;
    }
    ids
}

/// What a watcher was told, in order.
#[derive(Default)]
struct Diary {
    entries: Mutex<Vec<Entry>>,
}

#[derive(Clone, PartialEq, Debug)]
enum Entry {
    Accepted(Lsn, QueueId),
    Settled(Lsn, Vec<Change>),
    Failed,
}

impl Diary {
    fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, entry: Entry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

impl Watcher for Diary {
    fn accepted(&self, commit: Lsn, mails: Vec<Arc<NewMail>>) {
        for mail in mails {
            self.add(Entry::Accepted(commit, mail.envelope.id));
        }
    }

    fn settled(&self, commit: Lsn, settlement: &Settlement) {
        self.add(Entry::Settled(commit, settlement.changes.clone()));
    }

    fn failed(&self) {
        self.add(Entry::Failed);
    }
}

/// Events without the order of messages within a commit, which is the store's affair.
fn by_message(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by_key(|event| (event.commit, event.message));
    events
}

const fn older(tenure: Tenure) -> Tenure {
    Tenure { epoch: tenure.epoch - 1, ..tenure }
}
