//! One slice of a decision: some messages, changed in the queue under one lock and stored with one commit, which also
//! says how far the decision has come.

use super::landed::Ordered;
use crate::content::InHand;
use crate::notice::{About, News, Tidings};
use crate::settle::{Pending, change};
use crate::{Inner, lock};
use posthaste_evidence::{Act, Fault, NoticeKind, Order, Outcome};
use posthaste_mail::{Envelope, QueueId, Timestamp};
use posthaste_queue::{Changed, Life, Scheduler, Waiting};
use posthaste_spool::{Acted, Decision, Live, NewPlace, SettleFault, Settlement, Stage, Target};
use std::sync::Arc;

/// Messages changed with one commit.
pub(super) const SLICE: usize = 200;
/// Messages changed with one commit where each needs its content read.
pub(super) const HEAVY_SLICE: usize = 20;

/// What is done to each.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) act: Act,
    pub(super) to: Option<NewPlace>,
    pub(super) text: Option<Arc<str>>,
    pub(super) order: Arc<Order>,
    /// One message named by itself: only so a retry lets go on what is parked as poison, which may have brought the
    /// process down.
    named: bool,
}

impl Job {
    pub(super) fn of(decision: &Decision) -> Self {
        Self {
            act: decision.act,
            to: decision.to.clone(),
            text: decision.text.as_deref().map(Into::into),
            order: Arc::new(decision.order.clone()),
            named: matches!(&decision.target, Target::Messages(ids) if ids.len() == 1),
        }
    }

    /// Each message needs its content.
    pub(super) const fn is_heavy(&self) -> bool {
        matches!(self.act, Act::Bounce | Act::Redirect)
    }
}

/// Recipients of one message that are to be acted on.
pub(super) struct Chosen {
    pub(super) envelope: Arc<Envelope>,
    /// Live ones, in order of number; never empty.
    pub(super) recipients: Vec<u32>,
    /// They are all that is live.
    whole: bool,
    poison: bool,
}

impl Chosen {
    /// All live recipients.
    pub(super) fn all(live: Live) -> Option<Self> {
        let numbers = (0u32..).zip(&live.states).filter(|(_, state)| state.life.is_live());
        let numbers = numbers.map(|(number, _)| number).collect();
        Self::some(live, numbers)
    }

    /// These live recipients; `None` when there is none.
    pub(super) fn some(live: Live, recipients: Vec<u32>) -> Option<Self> {
        let alive = live.states.iter().filter(|state| state.life.is_live()).count();
        let poison = live.states.iter().any(|state| state.life == Life::Poison);
        let whole = alive == recipients.len();
        let chosen = Self { envelope: Arc::new(live.envelope), recipients, whole, poison };
        (!chosen.recipients.is_empty()).then_some(chosen)
    }
}

/// What a slice has come to.
#[derive(Default)]
pub(super) struct Sliced {
    pub(super) messages: u64,
    pub(super) recipients: u64,
    /// They were in flight, or on their way into the queue or out of it.
    pub(super) in_flight: Vec<(QueueId, u32)>,
}

/// What one message was when its turn came.
struct Turn {
    changed: Vec<Changed>,
    in_flight: Vec<u32>,
}

impl Inner {
    /// Acts on them, durably when this answers. `cursor`: how far the decision has come with it.
    pub(super) async fn act_on(
        &self,
        job: &Job,
        chosen: Vec<Chosen>,
        cursor: Option<QueueId>,
    ) -> Result<Sliced, SettleFault> {
        match job.act {
            Act::Redirect => self.redirect(job, chosen, cursor).await,
            Act::Bounce => self.bounce(job, chosen, cursor).await,
            _ => self.act_lightly(job, chosen, cursor).await,
        }
    }

    async fn act_lightly(
        &self,
        job: &Job,
        chosen: Vec<Chosen>,
        cursor: Option<QueueId>,
    ) -> Result<Sliced, SettleFault> {
        let (mut sliced, mut all) = (Sliced::default(), Vec::new());
        let pending = {
            let _in_order = self.order.keep();
            for one in &chosen {
                let turn = self.take_turn(job, one);
                sliced.add(one, &turn);
                all.extend(turn.changed);
            }
            let acts = all.iter().map(|changed| job.acted(changed, None)).collect();
            self.hand_over_slice(job, &sliced, &all, acts, Tidings::default(), cursor)
        };
        self.wait_for_slice(pending).await?;
        Ok(sliced)
    }

    /// Bounces: the queue lets them go, then their notices are made, then all is stored.
    async fn bounce(
        &self,
        job: &Job,
        chosen: Vec<Chosen>,
        cursor: Option<QueueId>,
    ) -> Result<Sliced, SettleFault> {
        let (mut sliced, mut all, mut tidings) =
            (Sliced::default(), Vec::new(), Tidings::default());
        for one in &chosen {
            let turn = self.take_turn(job, one);
            sliced.add(one, &turn);
            if !turn.changed.is_empty() {
                tidings.add(self.bounce_notices(job, one, &turn.changed).await);
            }
            all.extend(turn.changed);
        }
        let acts = all.iter().map(|changed| job.acted(changed, None)).collect();
        self.store_slice(job, &sliced, &all, acts, tidings, cursor).await?;
        Ok(sliced)
    }

    async fn bounce_notices(&self, job: &Job, one: &Chosen, changed: &[Changed]) -> Tidings {
        let id = one.envelope.id;
        self.catch_up(id, 1).await;
        let in_hand = match self.in_hand(id).await {
            // What may have brought the process down is not read again.
            Ok(Some(in_hand)) if !one.poison => in_hand,
            _ => InHand {
                envelope: Arc::clone(&one.envelope),
                content: posthaste_spool::Content::Inline(posthaste_mail::Body::default()),
            },
        };
        let history = self.spool.history(id).await.unwrap_or_default();
        let original = self.beginning(&in_hand.content).await;
        let news = changed.iter().map(|change| {
            let (number, attempts) = (change.recipient, change.transition.state.attempts);
            News {
                recipient: number,
                fault: Some(Fault::Operator),
                past: self.timeline(&one.envelope, number, &history, attempts),
                remark: job.text.clone(),
                waits: None,
            }
        });
        let now = self.world.wall();
        let about = About { now, envelope: &one.envelope, original: &original };
        self.tell_sender(&about, NoticeKind::Failed, news.collect())
    }

    /// One message in the queue: what waits is changed, what is in flight is marked.
    fn take_turn(&self, job: &Job, one: &Chosen) -> Turn {
        let (now, id) = (self.world.wall(), one.envelope.id);
        let mut scheduler = self.scheduler();
        let in_flight = flying(&scheduler, now, one);
        for &number in &in_flight {
            self.mark(job, &mut scheduler, (id, number));
        }
        let waiting: Vec<Option<u32>> = match one.whole && in_flight.is_empty() {
            true => vec![None],
            false => {
                let waits = one.recipients.iter().filter(|n| !in_flight.contains(n));
                waits.map(|n| Some(*n)).collect()
            }
        };
        let failing = failing(&scheduler, now, id);
        let mut changed = Vec::new();
        for recipient in waiting {
            changed.extend(act(job.act, &mut scheduler, now, id, recipient));
            if job.act == Act::Retry && job.named && one.poison {
                changed.extend(scheduler.release(now, id, recipient));
            }
        }
        if !changed.is_empty() {
            let done = scheduler.message(now, id).is_none();
            lock(&self.settling).begin(&one.envelope, done);
        }
        drop(scheduler);
        if job.act == Act::Bounce {
            let fresh = changed.iter().filter(|c| !failing.contains(&c.recipient));
            fresh.for_each(|_| self.counters.outcome(Outcome::Failed));
        }
        Turn { changed, in_flight }
    }

    fn mark(&self, job: &Job, scheduler: &mut Scheduler, key: (QueueId, u32)) {
        let now = self.world.wall();
        let nothing = match job.act {
            // It is being tried; and who goes elsewhere is looked at again when the attempt has ended.
            Act::Retry | Act::Redirect => return,
            Act::Release => {
                self.take_back(key);
                scheduler.release(now, key.0, Some(key.1))
            }
            _ => {
                let (act, order, text) = (job.act, Arc::clone(&job.order), job.text.clone());
                // Nobody there yet, or no more: nothing would take it away again.
                if scheduler.wait_reason(now, key.0, key.1).is_some() {
                    self.note_ordered(key, Ordered { act, order, text });
                }
                self::act(act, scheduler, now, key.0, Some(key.1))
            }
        };
        debug_assert!(nothing.is_empty(), "it is in flight under the same lock");
    }

    /// Stores a slice, and with it how far the decision has come.
    pub(super) async fn store_slice(
        &self,
        job: &Job,
        sliced: &Sliced,
        changed: &[Changed],
        acts: Vec<Acted>,
        tidings: Tidings,
        cursor: Option<QueueId>,
    ) -> Result<(), SettleFault> {
        let pending = self.hand_over_slice(job, sliced, changed, acts, tidings, cursor);
        self.wait_for_slice(pending).await
    }

    fn hand_over_slice(
        &self,
        job: &Job,
        sliced: &Sliced,
        changed: &[Changed],
        acts: Vec<Acted>,
        tidings: Tidings,
        cursor: Option<QueueId>,
    ) -> Pending {
        self.store_caught();
        let number = job.order.decision.unwrap_or_default();
        // The lock spans the hand-over to the store: entries of one decision come there in order.
        let mut book = lock(&self.operator.book);
        if let Some(decision) = book.decisions.get_mut(&number) {
            decision.messages += sliced.messages;
            decision.recipients += sliced.recipients;
            if !matches!(job.act, Act::Retry | Act::Release) {
                decision.in_flight.extend(&sliced.in_flight);
            }
            decision.cursor = cursor.unwrap_or(decision.cursor).max(decision.cursor);
        }
        // Of one that was called off meanwhile the end has been written, and is told once.
        let going = book.decisions.get(&number).is_some_and(|d| d.stage == Stage::Going);
        let ledger = if going { book.entries(number) } else { Vec::new() };
        let changes = changed.iter().map(change).collect();
        let Tidings { notices, withheld } = tidings;
        let rest = self.settlement(ledger);
        self.spool.settle(Settlement { changes, acts, notices, withheld, ..rest })
    }

    async fn wait_for_slice(&self, pending: Pending) -> Result<(), SettleFault> {
        let settled = pending.await;
        if settled.is_err() {
            self.fatal.notify_one();
        }
        self.operator.moved_on();
        settled.map(|_| ())
    }
}

impl Job {
    pub(super) fn acted(&self, changed: &Changed, into: Option<QueueId>) -> Acted {
        Acted {
            message: changed.message,
            recipient: changed.recipient,
            act: self.act,
            order: Arc::clone(&self.order),
            into,
        }
    }
}

impl Sliced {
    fn add(&mut self, one: &Chosen, turn: &Turn) {
        self.count(one, &turn.changed, &turn.in_flight);
    }

    pub(super) fn count(&mut self, one: &Chosen, changed: &[Changed], in_flight: &[u32]) {
        self.messages += u64::from(!changed.is_empty());
        self.recipients += changed.len() as u64;
        self.in_flight.extend(in_flight.iter().map(|number| (one.envelope.id, *number)));
    }
}

/// Those that are in an attempt, or that the queue does not have although the store does: a settlement is under way,
/// or the queue has yet to be told of them.
pub(super) fn flying(scheduler: &Scheduler, now: Timestamp, one: &Chosen) -> Vec<u32> {
    let view = scheduler.message(now, one.envelope.id);
    let waits = |number: u32| {
        let recipients = view.iter().flat_map(|view| &view.recipients);
        let mut its = recipients.filter(|r| r.number == number);
        its.any(|r| r.waiting != Waiting::InFlight)
    };
    one.recipients.iter().copied().filter(|number| !waits(*number)).collect()
}

/// Those that have failed and were counted; their sender is not told yet.
fn failing(scheduler: &Scheduler, now: Timestamp, id: QueueId) -> Vec<u32> {
    let view = scheduler.message(now, id);
    let recipients = view.iter().flat_map(|view| &view.recipients);
    recipients.filter(|r| r.state.life == Life::Failing).map(|r| r.number).collect()
}

fn act(
    act: Act,
    scheduler: &mut Scheduler,
    now: Timestamp,
    id: QueueId,
    recipient: Option<u32>,
) -> Vec<Changed> {
    match act {
        Act::Hold => scheduler.hold(now, id, recipient),
        Act::Release => scheduler.release(now, id, recipient),
        Act::Remove | Act::Redirect => scheduler.remove(now, id, recipient),
        Act::Bounce => scheduler.bounce(now, id, recipient),
        Act::Retry => retry(scheduler, now, id, recipient),
    }
}

/// Due now; and where they wait for the trial of a destination, that is due as well.
fn retry(
    scheduler: &mut Scheduler,
    now: Timestamp,
    id: QueueId,
    recipient: Option<u32>,
) -> Vec<Changed> {
    let Some(view) = scheduler.message(now, id) else { return Vec::new() };
    let its = view.recipients.iter().filter(|r| recipient.is_none_or(|n| n == r.number));
    let mut destinations: Vec<_> = its.map(|r| r.destination).collect();
    destinations.sort_unstable();
    destinations.dedup();
    for destination in destinations {
        let none = scheduler.retry_destination(now, destination, 0);
        debug_assert!(none.is_empty(), "only the trial was asked for");
    }
    scheduler.retry_message(now, id, recipient)
}
