//! Holds on filters: rules that mail is held against when it comes.
//!
//! Without a rule a message costs one look at a flag. What is caught enters the queue held; the runner gives it to the
//! store at once after. A message that a crash takes in between is caught again at the start.

use super::Mesh;
use super::book::{Held, hold_entry};
use crate::{Dispatch, Inner, lock};
use posthaste_evidence::{Act, Order};
use posthaste_mail::{Envelope, QueueId, Timestamp};
use posthaste_queue::{Life, RecipientState};
use posthaste_spool::{Acted, Change, History, Live, NewMail, Settlement, Target};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A rule in force.
pub(super) struct Rule {
    number: u64,
    mesh: Arc<dyn Mesh>,
    order: Arc<Order>,
    at: Timestamp,
}

/// A message that a rule has held at its arrival.
pub(crate) struct Caught {
    envelope: Arc<Envelope>,
    /// All states, as they are with it.
    pub(crate) states: Vec<RecipientState>,
    /// Who was held, by which hold and by whose order.
    recipients: Vec<(u32, u64, Arc<Order>)>,
}

impl Dispatch {
    /// Lends the grammar of filters; before [`Dispatch::recover`].
    pub fn set_sieve(&self, sieve: Arc<dyn super::Sieve>) {
        *lock(&self.inner.operator.sieve) = sieve;
    }
}

impl Inner {
    /// Reads the rules anew from the holds there are.
    pub(super) fn renew_rules(&self) {
        let sieve = self.sieve();
        let mut rules = Vec::new();
        {
            let mut book = lock(&self.operator.book);
            for (&number, Held { hold, fault }) in &mut book.holds {
                let Target::Filter(filter) = &hold.target else { continue };
                let (order, at) = (Arc::new(hold.order.clone()), hold.at);
                match sieve.read(filter) {
                    Ok(mesh) => rules.push(Rule { number, mesh, order, at }),
                    Err(wrong) => *fault = Some(wrong),
                }
            }
        }
        self.operator.has_rules.store(!rules.is_empty(), Ordering::SeqCst);
        *lock(&self.operator.rules) = Arc::new(rules);
    }

    /// Rules are in force.
    pub(crate) fn has_rules(&self) -> bool {
        self.operator.has_rules.load(Ordering::SeqCst)
    }

    /// Of mail that has just come, what rules hold; nothing without a rule.
    pub(crate) fn catch_all(&self, mails: &[Arc<NewMail>]) -> BTreeMap<QueueId, Caught> {
        if !self.has_rules() {
            return BTreeMap::new();
        }
        let live = |mail: &NewMail| Live {
            envelope: mail.envelope.clone(),
            states: mail.states.clone(),
            in_hand: Vec::new(),
            in_hand_with: None,
        };
        let caught = mails.iter().filter_map(|mail| self.catch(&live(mail)));
        caught.map(|caught| (caught.envelope.id, caught)).collect()
    }

    /// What a rule wants held of a message that has just come, to be told to [`Self::note_caught`].
    pub(crate) fn catch(&self, live: &Live) -> Option<Caught> {
        let rules = Arc::clone(&lock(&self.operator.rules));
        let dispatch = Dispatch { inner: self.itself.upgrade()? };
        let mut caught = Caught {
            envelope: Arc::new(live.envelope.clone()),
            states: live.states.clone(),
            recipients: Vec::new(),
        };
        for rule in rules.iter().filter(|rule| live.envelope.received >= rule.at) {
            for number in rule.mesh.fitting(&dispatch, live, &History::default()) {
                let Some(state) = caught.states.get_mut(number as usize) else { continue };
                // One that another rule has held already is fresh no more.
                if is_fresh(state, live.envelope.received) {
                    *state = RecipientState { life: Life::Held, ..*state };
                    caught.recipients.push((number, rule.number, Arc::clone(&rule.order)));
                }
            }
        }
        (!caught.recipients.is_empty()).then_some(caught)
    }

    /// It is queued held: the store is to know. Called under the scheduler's lock.
    pub(crate) fn note_caught(&self, caught: Caught) {
        lock(&self.settling).begin(&caught.envelope, false);
        lock(&self.operator.caught).push(caught);
        self.operator.work.notify_one();
    }

    /// Gives what was caught to the store. Called before every act, so that what undoes a hold comes after it.
    pub(super) fn store_caught(&self) {
        let all = std::mem::take(&mut *lock(&self.operator.caught));
        if all.is_empty() {
            return;
        }
        let (mut changes, mut acts) = (Vec::new(), Vec::new());
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        for Caught { envelope, states, recipients } in all {
            let message: QueueId = envelope.id;
            for (recipient, rule, order) in recipients {
                let state = states[recipient as usize];
                *counts.entry(rule).or_default() += 1;
                changes.push(Change { message, recipient, state });
                acts.push(Acted { message, recipient, act: Act::Hold, order, into: None });
            }
        }
        let mut ledger = Vec::new();
        for (number, count) in counts {
            if let Some(held) = lock(&self.operator.book).holds.get_mut(&number) {
                held.hold.caught += count;
                ledger.push(hold_entry(number, &held.hold));
            }
        }
        drop(self.spool.settle(Settlement { changes, acts, ..self.settlement(ledger) }));
    }
}

/// It has only just come: nobody has tried it, or released it.
fn is_fresh(state: &RecipientState, received: Timestamp) -> bool {
    state.life == Life::Queued && state.attempts == 0 && state.due <= received
}
