//! The decisions and holds there are, as the ledger has them.

use crate::{Dispatch, Inner, lock};
use posthaste_evidence::{Event, EventKind};
use posthaste_mail::{QueueId, Timestamp};
use posthaste_spool::decision::{DecisionView, HoldView};
use posthaste_spool::{
    Decision, Hold, LedgerEntry, LedgerKey, LedgerValue, Settlement, Stage, Target,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Decisions that are over and still listed; the oldest go first.
const KEEP_FINISHED: usize = 50;

/// A hold in memory.
pub(super) struct Held {
    pub(super) hold: Hold,
    pub(super) fault: Option<String>,
}

/// All of them.
#[derive(Default)]
pub(super) struct Book {
    last: u64,
    pub(super) decisions: BTreeMap<u64, Decision>,
    pub(super) holds: BTreeMap<u64, Held>,
}

impl Book {
    /// A new number.
    pub(super) const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn hold(&mut self, number: u64, hold: Hold) {
        self.last = self.last.max(number);
        self.holds.insert(number, Held { hold, fault: None });
    }

    /// As the ledger had it at the start.
    pub(super) fn restore(&mut self, number: u64, decision: Decision) {
        self.last = self.last.max(number);
        self.decisions.insert(number, decision);
    }

    /// Holds with this target.
    pub(super) fn holds_of(&self, target: &Target) -> Vec<u64> {
        let same = self.holds.iter().filter(|(_, held)| held.hold.target == *target);
        same.map(|(number, _)| *number).collect()
    }

    /// The ledger's entry of a decision as it stands, and those of old ones that are forgotten now.
    pub(super) fn entries(&mut self, number: u64) -> Vec<LedgerEntry> {
        let mut entries = Vec::new();
        if let Some(decision) = self.decisions.get(&number) {
            let value = Some(LedgerValue::Decision(Box::new(decision.clone())));
            entries.push(LedgerEntry { key: LedgerKey::Decision(number), value });
        }
        // What has stopped stays until it is cancelled.
        let done = |stage| !matches!(stage, Stage::Going | Stage::Stopped);
        let over = self.decisions.iter().filter(|(_, d)| done(d.stage));
        let over: Vec<u64> = over.map(|(number, _)| *number).collect();
        for old in &over[..over.len().saturating_sub(KEEP_FINISHED)] {
            self.decisions.remove(old);
            entries.push(posthaste_spool::store::forget(LedgerKey::Decision(*old)));
        }
        entries
    }
}

/// The ledger's entry of a hold.
pub(super) fn hold_entry(number: u64, hold: &Hold) -> LedgerEntry {
    LedgerEntry { key: LedgerKey::Hold(number), value: Some(LedgerValue::Hold(hold.clone())) }
}

impl Dispatch {
    /// Decisions under way, and the last ones that are over, in order of number.
    #[must_use]
    pub fn decisions(&self) -> Vec<DecisionView> {
        let book = lock(&self.inner.operator.book);
        let view = |(number, decision): (&u64, &Decision)| DecisionView {
            number: *number,
            decision: decision.clone(),
        };
        book.decisions.iter().map(view).collect()
    }

    /// What is held when it comes, in order of number.
    #[must_use]
    pub fn holds(&self) -> Vec<HoldView> {
        let book = lock(&self.inner.operator.book);
        let view = |(number, held): (&u64, &Held)| HoldView {
            number: *number,
            hold: held.hold.clone(),
            fault: held.fault.clone(),
        };
        book.holds.iter().map(view).collect()
    }

    /// Calls a decision off: what it has done stays done. One that has stopped is done with by it. `None` when there is
    /// none of that number, or it is over.
    pub async fn cancel(&self, number: u64) -> Option<DecisionView> {
        let inner = &self.inner;
        let pending = {
            let mut book = lock(&inner.operator.book);
            let decision = book.decisions.get_mut(&number)?;
            if !matches!(decision.stage, Stage::Going | Stage::Stopped) {
                return None;
            }
            decision.stage = Stage::Cancelled;
            decision.since = inner.world.wall();
            let entries = book.entries(number);
            inner.spool.settle(inner.settlement(entries))
        };
        inner.forget_ordered(number);
        if pending.await.is_err() {
            inner.fatal.notify_one();
        }
        inner.operator.moved_on();
        inner.decision_view(number)
    }
}

impl Inner {
    pub(super) fn decision_view(&self, number: u64) -> Option<DecisionView> {
        let decision = lock(&self.operator.book).decisions.get(&number).cloned()?;
        Some(DecisionView { number, decision })
    }

    /// Since when all mail for destinations of a name is held.
    pub(crate) fn held_since(&self, destination: &str) -> Option<Timestamp> {
        let book = lock(&self.operator.book);
        let holds = book.holds.values().map(|held| &held.hold);
        let here =
            |hold: &&Hold| matches!(&hold.target, Target::Destination(d) if d == destination);
        holds.filter(here).map(|hold| hold.at).min()
    }

    /// A settlement of nothing but ledger entries.
    pub(crate) fn settlement(&self, ledger: Vec<LedgerEntry>) -> Settlement {
        Settlement {
            tenure: self.tenure,
            at: self.world.wall(),
            connections: Vec::new(),
            attempts: Vec::new(),
            changes: Vec::new(),
            withheld: Vec::new(),
            notices: Vec::new(),
            ledger,
            acts: Vec::new(),
        }
    }

    /// That a decision is taken up again has a line of its own in the event log. All else that becomes of it is told
    /// of its entry in the ledger, also after a crash.
    fn tell_resumed(&self, decision: &Decision) {
        let kind = EventKind::Decision {
            state: "resumed",
            act: decision.act.name(),
            target: decision.target.to_string(),
            order: Arc::new(decision.order.clone()),
            messages: decision.messages,
            recipients: decision.recipients,
        };
        let at = self.world.wall();
        self.world.journal.append(Event { at, commit: 0, message: QueueId::MIN, kind });
    }

    /// As the ledger had them at the start. Filters are read again, and one that cannot be is kept and shown.
    pub(crate) fn restore_operator(&self, entries: Vec<(LedgerKey, LedgerValue)>) {
        let now = self.world.wall();
        for (key, value) in entries {
            match (key, value) {
                (LedgerKey::Decision(number), LedgerValue::Decision(decision)) => {
                    if decision.stage == Stage::Going {
                        self.tell_resumed(&decision);
                    }
                    lock(&self.operator.book).restore(number, *decision);
                }
                (LedgerKey::Hold(number), LedgerValue::Hold(hold)) => {
                    if let Target::Destination(name) = &hold.target {
                        self.scheduler().hold_destination(now, name, true);
                    }
                    lock(&self.operator.book).hold(number, hold);
                }
                _ => {}
            }
        }
        self.renew_rules();
    }
}
