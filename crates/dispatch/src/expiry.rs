//! The clock task: looks again when something falls due, ends what is over, and keeps the ledger tidy.

use crate::content::InHand;
use crate::last::LastTried;
use crate::notice::{About, News, Tidings};
use crate::pace::{SLICE, make_way};
use crate::settings::FRESH_FOR;
use crate::settle::{Pending, change};
use crate::timeline::{Timeline, own_tries};
use crate::{Inner, destination, lock};
use futures_util::future::select;
use posthaste_evidence::{Attempt, Fault, NoticeKind, Outcome, RecipientResult};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::life::{CRASHES_TO_POISON, TransitionKind};
use posthaste_queue::{Changed, Forgotten};
use posthaste_spool::{Acted, Content, History, LedgerKey, Settlement};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the store is told how far the event log is safe, and forgotten things are cleared away.
const TIDY_EVERY: Duration = Duration::from_secs(1);

/// The clock task looks at least so often: the operator may set the wall clock.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Runs until the agent stops.
pub(crate) async fn keep_time(inner: Arc<Inner>) {
    while inner.is_running() {
        inner.ticks.fetch_add(1, Ordering::SeqCst);
        inner.kick();
        let more = inner.end_some().await;
        let rest = inner.warn_some().await;
        if more {
            continue;
        }
        let wanted = inner.rearm();
        let mut timer = inner.world.clock.timer();
        let wait = wanted.map_or(LONGEST_SLEEP, |at| at.since(inner.world.wall())).max(rest);
        timer.as_mut().set(inner.world.now() + wait.min(LONGEST_SLEEP));
        let alarm = std::pin::pin!(inner.alarm().notified());
        select(timer, alarm).await;
    }
}

/// Runs until the agent stops.
pub(crate) async fn tidy(inner: Arc<Inner>) {
    while inner.is_running() {
        inner.spool.events_safe(inner.world.journal.safe_commit());
        let now = inner.world.wall();
        lock(&inner.fresh).sweep(QueueId::first_at(now.minus(FRESH_FOR)));
        let mut ledger = inner.sweep_claims(now);
        loop {
            let forgotten = inner.scheduler().forget(now);
            let key = match forgotten {
                None => break,
                Some(Forgotten::Destination { name, route }) => {
                    destination::ledger_key(&name, &route)
                }
                Some(Forgotten::Host(host)) => LedgerKey::NextHop(host),
            };
            ledger.extend(lock(&inner.outages).recovered(key));
        }
        inner.note_ledger(Vec::new(), ledger);
        posthaste_io::sleep(&*inner.world.clock, TIDY_EVERY).await;
    }
}

impl Inner {
    /// Ends some messages' recipients that are over; durable when this answers. True: there may be more.
    async fn end_some(&self) -> bool {
        let mut pending = Vec::new();
        for _ in 0..SLICE {
            let refused = lock(&self.refused).pop_first().map(|(_, changed)| changed);
            let Some(changed) = refused.or_else(|| self.take_expired()) else {
                self.wait_for_all(pending).await;
                return false;
            };
            for of_message in changed.chunk_by(|a, b| a.message == b.message) {
                pending.extend(self.expire(of_message).await);
                make_way().await;
            }
        }
        self.wait_for_all(pending).await;
        true
    }

    /// What is over has left the scheduler, or waits there for its notice; until the store knows, it counts as settling.
    fn take_expired(&self) -> Option<Vec<Changed>> {
        let now = self.world.wall();
        let (probes, later) = (self.probes(), now.plus(self.settings().probe_wait));
        let tell_at = |message: QueueId, recipient: u32| {
            probes.pending(message, recipient, &Fault::Expired).then_some(later)
        };
        let mut scheduler = self.scheduler();
        let changed = scheduler.expired(now, &tell_at).or_else(|| scheduler.told(now))?;
        let mut settling = lock(&self.settling);
        for of_message in changed.chunk_by(|a, b| a.message == b.message) {
            settling.begin_silent(of_message[0].message);
        }
        Some(changed)
    }

    /// Recipients of one message that the scheduler has let go: their time is over, or the operator's act
    /// waited for this. Their ends and their notice, in one commit.
    async fn expire(&self, changed: &[Changed]) -> Option<Pending> {
        let first = changed.first()?;
        let parked = changed.iter().any(|c| c.transition.state.crashes >= CRASHES_TO_POISON);
        let in_hand = match self.in_hand(first.message).await {
            Ok(Some(in_hand)) if !parked => Some(in_hand),
            // A content that cannot be read, or may have brought the process down, does not keep a message
            // alive: its notice goes without.
            _ => self.envelope_only(first.message).await,
        };
        let Some(in_hand) = in_hand else {
            // It has ended, or the store has quarantined and listed it.
            lock(&self.settling).end(first.message);
            return None;
        };
        // Its end has been begun, and is handed over below.
        self.catch_up(first.message, 1).await;
        let history = self.spool.history(first.message).await.unwrap_or_default();
        let original = self.beginning(&in_hand.content).await;
        let now = self.world.wall();
        let landed = self.landed(changed);
        let about = About { now, envelope: &in_hand.envelope, original: &original };
        let news = changed.iter().filter_map(|change| {
            let remark = landed.text(change.recipient);
            Some(News { remark, ..self.news_of_end(now, &in_hand, &history, change)? })
        });
        let tidings = self.tell_sender(&about, NoticeKind::Failed, news.collect());
        self.end_recipients(now, &in_hand, changed, tidings, landed.acts)
    }

    /// What is told of one that ended without a transaction; `None` when it has not ended, or not badly.
    fn news_of_end(
        &self,
        now: Timestamp,
        in_hand: &InHand,
        history: &History,
        change: &Changed,
    ) -> Option<News> {
        let (recipient, state) = (change.recipient, change.transition.state);
        let (envelope, attempts) = (&in_hand.envelope, state.attempts);
        let mut past = self.timeline(envelope, recipient, history, attempts);
        let kept = change.kept.map(|reason| self.kept(now, envelope, (recipient, &state), reason));
        past.end(kept);
        let fault = match change.transition.kind {
            TransitionKind::Expired => {
                self.counters.expired();
                Fault::Expired
            }
            TransitionKind::Bounced => Fault::Operator,
            // It was never tried, whatever its destination came to.
            TransitionKind::Refused => {
                past = Timeline { attempts, ..Timeline::default() };
                Fault::UnknownRecipient
            }
            // Its probes have ended. What failed it was its own attempt, whatever its destination came to since.
            TransitionKind::Failed => {
                past.last = failed_try(recipient, history).or(past.last);
                let last = past.last.as_ref().and_then(|last| last.result.fault.clone());
                last.unwrap_or(Fault::StoreFault)
            }
            _ => return None,
        };
        Some(News { recipient, fault: Some(fault), past, remark: None, waits: kept })
    }

    /// Without those who were to wait for their notice, and whom the operator has ended since: that has been stored.
    fn still_so(&self, now: Timestamp, changed: &[Changed]) -> Vec<Changed> {
        let scheduler = self.scheduler();
        let waits = |change: &&Changed| {
            let message = scheduler.message(now, change.message);
            let mut recipients = message.into_iter().flat_map(|m| m.recipients);
            recipients.any(|r| r.number == change.recipient && r.state == change.transition.state)
        };
        let is_ending = |c: &Changed| matches!(c.transition.kind, TransitionKind::Ending(_));
        changed.iter().filter(|c| !is_ending(c) || waits(c)).copied().collect()
    }

    fn end_recipients(
        &self,
        now: Timestamp,
        in_hand: &InHand,
        changed: &[Changed],
        tidings: Tidings,
        acts: Vec<Acted>,
    ) -> Option<Pending> {
        // From here to the hand-over nothing waits.
        let changed = &self.still_so(now, changed)[..];
        let settlement = Settlement {
            tenure: self.tenure,
            at: now,
            connections: Vec::new(),
            attempts: refusal(now, changed).into_iter().collect(),
            changes: changed.iter().map(change).collect(),
            notices: tidings.notices,
            withheld: tidings.withheld,
            ledger: Vec::new(),
            acts,
        };
        let id = in_hand.envelope.id;
        if settlement.changes.is_empty() {
            lock(&self.settling).end(id);
            return None;
        }
        let done = self.scheduler().message(now, id).is_none();
        lock(&self.settling).describe(&in_hand.envelope, done);
        Some(self.spool.settle(settlement))
    }

    /// An envelope without its content, for acts that do not need it.
    pub(crate) async fn envelope_only(&self, id: QueueId) -> Option<InHand> {
        let live = self.spool.find(id).await.ok()??;
        let content = Content::Inline(posthaste_mail::Body::default());
        Some(InHand { envelope: Arc::new(live.envelope), content })
    }
}

/// The attempt that failed a recipient for good.
fn failed_try(recipient: u32, history: &History) -> Option<LastTried> {
    own_tries(recipient, history).rev().find(|tried| tried.result.outcome == Outcome::Failed)
}

/// What the logs tell of recipients that were refused when their message was accepted: a try that was none.
fn refusal(now: Timestamp, changed: &[Changed]) -> Option<Attempt> {
    let refused = changed.iter().filter(|c| c.transition.kind == TransitionKind::Refused);
    let results: Vec<_> = refused
        .map(|c| RecipientResult {
            recipient: c.recipient,
            outcome: Outcome::Failed,
            reply: None,
            fault: Some(Fault::UnknownRecipient),
        })
        .collect();
    let message = changed.first()?.message;
    (!results.is_empty()).then_some(Attempt {
        message,
        at: now,
        took: Duration::ZERO,
        connection: None,
        results,
        observations: Vec::new(),
    })
}
