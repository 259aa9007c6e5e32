//! The start: what the store holds becomes the queue again. Needs no DNS, causes no stampede, forgets nothing.

use crate::destination::{self, Destination};
use crate::settle::Pending;
use crate::{Dispatch, Inner, comeback, expiry, lock, operator};
use posthaste_evidence::{Attempt, Fault, Outcome, RecipientResult};
use posthaste_mail::{QueueId, SourceKind, Timestamp};
use posthaste_queue::life::{Rules, TransitionKind, after_crash};
use posthaste_queue::{InsertError, Item, RecipientState, schedule};
use posthaste_spool::{Change, LedgerKey, LedgerValue, Live, ReadFault, Settlement};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Messages read at once.
const PAGE: usize = 500;

/// What a start found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// Live messages.
    pub messages: u64,
    /// Recipients that were in hand when the process ended: their outcome is unknown.
    pub in_doubt: u64,
    /// Of them parked, because it was not the first time.
    pub poison: u64,
    /// Destinations and hosts that were down.
    pub down: u64,
    /// Events that were written again.
    pub events: u64,
}

/// The start failed; the operator must look at the store.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryFault {
    /// Something could not be read.
    #[error("the spool cannot be read: {0}")]
    Read(#[from] ReadFault),
    /// The corrections could not be stored.
    #[error("the spool does not take settlements")]
    Settle,
}

impl Dispatch {
    /// Reads the store, starts deliveries and the clock. Mail may be accepted before and meanwhile.
    ///
    /// # Errors
    /// [`RecoveryFault`]; deliveries have not begun then.
    pub async fn recover(&self) -> Result<Recovered, RecoveryFault> {
        let inner = &self.inner;
        let mut found = Recovered::default();
        inner.rewrite_events(&mut found).await?;
        inner.restore_ledger(&mut found).await?;
        inner.restore_messages(&mut found).await?;
        inner.act_on_landed().await;
        if !inner.paused.load(Ordering::SeqCst) {
            inner.scheduler().start(inner.world.wall());
        }
        inner.running.store(true, Ordering::SeqCst);
        let clock = Arc::clone(inner);
        inner.world.spawn.spawn("clock", Box::pin(expiry::keep_time(clock)));
        let decisions = Arc::clone(inner);
        inner.world.spawn.spawn("decisions", Box::pin(operator::run(decisions)));
        let comeback = Arc::clone(inner);
        inner.world.spawn.spawn("comeback", Box::pin(comeback::run(comeback)));
        let tidy = Arc::clone(inner);
        inner.world.spawn.spawn("tidy", Box::pin(expiry::tidy(tidy)));
        Ok(found)
    }

    /// Reads a store that takes no settlements: the queue can be looked at; nothing is delivered, and what was in
    /// hand stays in doubt until a later start.
    ///
    /// # Errors
    /// [`RecoveryFault`]
    pub async fn recover_read_only(&self) -> Result<Recovered, RecoveryFault> {
        let inner = &self.inner;
        let mut found = Recovered::default();
        inner.restore_ledger(&mut found).await?;
        let mut after = QueueId::MIN;
        loop {
            let page = inner.spool.live(after, PAGE).await?;
            for live in page.items {
                found.messages += 1;
                found.in_doubt += live.in_hand.len() as u64;
                inner.requeue(inner.world.wall(), &live, || {});
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(found),
            }
        }
    }
}

impl Inner {
    /// The lines of the event log that a crash took.
    async fn rewrite_events(&self, found: &mut Recovered) -> Result<(), RecoveryFault> {
        let missing = self.spool.events_since(self.world.journal.safe_commit()).await?;
        // Of mail that was accepted meanwhile the watcher has told.
        let told = self.first_commit.load(Ordering::SeqCst);
        for event in missing.into_iter().filter(|e| e.commit < told) {
            found.events += 1;
            self.world.journal.append(event);
        }
        Ok(())
    }

    async fn restore_ledger(&self, found: &mut Recovered) -> Result<(), RecoveryFault> {
        let now = self.world.wall();
        let (outages, rest): (Vec<_>, Vec<_>) = (self.spool.ledger().await?.into_iter())
            .partition(|(_, value)| matches!(value, LedgerValue::Down { .. }));
        self.restore_operator(self.restore_beliefs(rest));
        for (key, value) in outages {
            let LedgerValue::Down { state, .. } = &value else { continue };
            let state = *state;
            match &key {
                LedgerKey::Destination(name) => {
                    let Some(Destination { name, route }) = destination::from_ledger(name) else {
                        continue;
                    };
                    self.scheduler().restore_down(now, &name, &route, state);
                }
                LedgerKey::NextHop(host) => self.scheduler().restore_host(now, *host, state),
                _ => continue,
            }
            found.down += 1;
            lock(&self.outages).restore(key, value);
        }
        Ok(())
    }

    async fn restore_messages(&self, found: &mut Recovered) -> Result<(), RecoveryFault> {
        let mut after = QueueId::MIN;
        loop {
            let page = self.spool.live(after, PAGE).await?;
            let mut corrections = Vec::new();
            for live in page.items {
                found.messages += 1;
                corrections.extend(self.restore(live, found));
            }
            for pending in corrections {
                pending.await.map_err(|_| RecoveryFault::Settle)?;
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(()),
            }
        }
    }

    /// Queues one message. What was in hand is in doubt: the settlement that says so.
    fn restore(&self, mut live: Live, found: &mut Recovered) -> Option<Pending> {
        let now = self.world.wall();
        let in_hand = std::mem::take(&mut live.in_hand);
        let mut changes = Vec::new();
        for number in in_hand {
            let Some(state) = live.states.get_mut(number as usize) else { continue };
            if !state.life.is_live() {
                continue;
            }
            found.in_doubt += 1;
            *state = self.doubt(now, &live.envelope, number, *state, found);
            changes.push(Change { message: live.envelope.id, recipient: number, state: *state });
        }
        let caught = if self.has_rules() { self.catch(&live) } else { None };
        if let Some(caught) = &caught {
            live.states.clone_from(&caught.states);
        }
        self.requeue(now, &live, || caught.into_iter().for_each(|caught| self.note_caught(caught)));
        if changes.is_empty() {
            return None;
        }
        Some(self.settle_doubt(now, live, changes))
    }

    fn doubt(
        &self,
        now: Timestamp,
        envelope: &posthaste_mail::Envelope,
        number: u32,
        state: RecipientState,
        found: &mut Recovered,
    ) -> RecipientState {
        let scheduler = self.scheduler();
        let settings = scheduler.settings();
        let route = destination::of(&self.routes(), envelope, number).route;
        let rules = Rules {
            schedule: settings.schedule_for(&route),
            // Should its time be over, the clock task ends it, with the notice that is owed.
            expires: Timestamp::FAR_FUTURE,
            key: schedule::key_of(settings.seed, envelope.id.as_u64(), number),
        };
        let transition = after_crash(now, state, &rules);
        if transition.kind == TransitionKind::Poison {
            found.poison += 1;
        }
        // Our own end is no fault of the destination's: no reason to wait.
        let due = match transition.kind {
            TransitionKind::RetryAt(_) => now,
            _ => transition.state.due,
        };
        RecipientState { due, ..transition.state }
    }

    /// Queues a message; `note` is called under the same lock.
    fn requeue(&self, now: Timestamp, live: &Live, note: impl FnOnce()) {
        let routes = self.routes();
        let mut scheduler = self.scheduler();
        let mut recipients = Vec::with_capacity(live.states.len());
        for (number, state) in (0u32..).zip(&live.states) {
            if state.life.is_live() {
                let to = destination::of(&routes, &live.envelope, number);
                let id = scheduler.destination(now, &to.name, &to.route);
                recipients.push((number, id, *state));
            }
        }
        let item = Item {
            id: live.envelope.id,
            received: live.envelope.lives_since(),
            size: live.envelope.facts.size,
            notice: live.envelope.source.kind == SourceKind::Notice,
            recipients: &recipients,
        };
        match scheduler.insert(now, &item) {
            Ok(()) => {
                self.note_refused(live.envelope.id, &live.states);
                note();
            }
            // It was accepted after the start, and its watcher was quicker.
            Err(InsertError::Duplicate) => {}
            Err(InsertError::UnknownDestination) => {
                unreachable!("destinations are named under the same lock")
            }
        }
    }

    fn settle_doubt(&self, now: Timestamp, live: Live, changes: Vec<Change>) -> Pending {
        let result = |change: &Change| RecipientResult {
            recipient: change.recipient,
            outcome: Outcome::Indeterminate,
            reply: None,
            fault: Some(Fault::Interrupted),
        };
        let attempt = Attempt {
            message: live.envelope.id,
            at: now,
            took: Duration::ZERO,
            connection: None,
            results: changes.iter().map(result).collect(),
            observations: Vec::new(),
        };
        let settlement = Settlement {
            tenure: self.tenure,
            at: now,
            connections: Vec::new(),
            attempts: vec![attempt],
            changes,
            withheld: Vec::new(),
            notices: Vec::new(),
            ledger: Vec::new(),
            acts: Vec::new(),
        };
        self.submit(&Arc::new(live.envelope), settlement, false)
    }
}
