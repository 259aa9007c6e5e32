//! Where queue, evidence and message meet: what a transaction came to becomes new states, attempts, notices and
//! ledger entries, in one commit.

use crate::content::InHand;
use crate::{Inner, lock};
use posthaste_evidence::{
    Attempt, Connection, ConnectionId, Fault, FaultClass, Handover, Observation, Outcome,
    RecipientResult,
};
use posthaste_io::Task;
use posthaste_mail::{Envelope, QueueId, Timestamp};
use posthaste_queue::{Changed, ConnectTicket, Tried, Work};
use posthaste_spool::{Change, LedgerEntry, Lsn, SettleFault, Settlement};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A settlement that is not durable yet.
pub(crate) type Pending = Task<'static, Result<Lsn, SettleFault>>;

/// What a transaction came to, or the failure to come that far.
pub(crate) struct Told {
    pub(crate) at: Timestamp,
    pub(crate) took: Duration,
    pub(crate) connection: Option<ConnectionId>,
    /// The connection's record, with its first attempt.
    pub(crate) record: Option<Connection>,
    /// The host reached, by name.
    pub(crate) host: Option<String>,
    pub(crate) results: Vec<RecipientResult>,
    pub(crate) observations: Vec<Observation>,
    /// Who owes the sender news of those that the host has taken; `None` when no host was reached.
    pub(crate) handover: Option<Handover>,
}

/// Waits until a settlement is durable. One that is refused means that the store has failed, which ends the
/// process elsewhere: here nothing more may be sent.
pub(crate) async fn wait_for(inner: &Inner, pending: Option<Pending>) {
    if let Some(pending) = pending
        && pending.await.is_err()
    {
        inner.fatal.notify_one();
        std::future::pending::<()>().await;
    }
}

impl Inner {
    /// Settles one transaction: the scheduler first, then the store. The answer waits for durability.
    pub(crate) async fn settle(
        self: &Arc<Self>,
        ticket: &ConnectTicket,
        work: &Work,
        in_hand: &InHand,
        mut told: Told,
        ledger: Vec<LedgerEntry>,
    ) -> Pending {
        if self.settings().soft_fail {
            soften(&mut told.results);
        }
        let before = self.before(work, in_hand, &told).await;
        // From here to the hand-over to the store nothing waits: what the next attempt makes of these
        // recipients then comes after it, in memory and in the store.
        let _in_order = self.order.keep();
        let now = self.world.wall();
        let envelope = &in_hand.envelope;
        let tried = told.results.iter().map(|result| {
            let tell_at = self.tell_at(now, work, envelope, result);
            Tried { tell_at, ..tried(result) }
        });
        let tried: Vec<Tried> = tried.collect();
        let changed = {
            let mut scheduler = self.scheduler();
            let changed = scheduler.settle(now, ticket, work.message, &tried);
            let done = scheduler.message(now, work.message).is_none();
            lock(&self.settling).begin(envelope, done);
            changed
        };
        for result in &told.results {
            self.counters.outcome(result.outcome);
        }
        let landed = self.landed(&changed);
        let tidings = self.tidings(now, in_hand, &before, &told, &changed, &landed);
        lock(&self.fresh).forget(work.message);
        let settlement = Settlement {
            tenure: self.tenure,
            at: now,
            connections: told.record.into_iter().collect(),
            attempts: vec![Attempt {
                message: work.message,
                at: told.at,
                took: told.took,
                connection: told.connection,
                results: told.results,
                observations: told.observations,
            }],
            changes: changed.iter().map(change).collect(),
            notices: tidings.notices,
            withheld: tidings.withheld,
            ledger,
            acts: landed.acts,
        };
        self.spool.settle(settlement)
    }

    /// Hands a settlement about one message to the store. `done`: it ends the message's last recipients.
    pub(crate) fn submit(
        &self,
        envelope: &Arc<Envelope>,
        settlement: Settlement,
        done: bool,
    ) -> Pending {
        lock(&self.settling).begin(envelope, done);
        self.spool.settle(settlement)
    }

    /// What was settled of a message can be read from the store when this answers: an attempt that has just ended is not
    /// durable yet, and notices tell of it. `own`: settlements that the caller has begun itself.
    pub(crate) async fn catch_up(&self, id: QueueId, own: u32) {
        if lock(&self.settling).count(id) <= own {
            return;
        }
        // The store takes settlements in order: when one without content is durable, so are those before it.
        let pending = {
            let _alone = self.order.alone();
            self.spool.settle(self.settlement(Vec::new()))
        };
        if pending.await.is_err() {
            self.fatal.notify_one();
        }
    }

    /// Makes new states that no event tells of and stores them in one commit; answers how many recipients. Handed to
    /// the store without a wait in between: what an attempt makes of them then comes after it, in memory and in the store.
    pub(crate) async fn store_act(&self, act: impl FnOnce() -> Vec<Changed>) -> u64 {
        let (recipients, pending) = {
            let _in_order = self.order.keep();
            let changed = act();
            if changed.is_empty() {
                return 0;
            }
            (changed.len() as u64, self.hand_over_act(&changed))
        };
        if pending.await.is_err() {
            self.fatal.notify_one();
        }
        recipients
    }

    fn hand_over_act(&self, changed: &[Changed]) -> Pending {
        let messages: BTreeSet<QueueId> = changed.iter().map(|c| c.message).collect();
        {
            let mut settling = lock(&self.settling);
            messages.into_iter().for_each(|id| settling.begin_silent(id));
        }
        self.spool.settle(Settlement {
            tenure: self.tenure,
            at: self.world.wall(),
            connections: Vec::new(),
            attempts: Vec::new(),
            changes: changed.iter().map(change).collect(),
            withheld: Vec::new(),
            notices: Vec::new(),
            ledger: Vec::new(),
            acts: Vec::new(),
        })
    }

    /// Hands ledger entries to the store; nobody waits for them.
    pub(crate) fn note_ledger(&self, connections: Vec<Connection>, ledger: Vec<LedgerEntry>) {
        if ledger.is_empty() {
            return;
        }
        drop(self.spool.settle(Settlement {
            tenure: self.tenure,
            at: self.world.wall(),
            connections,
            attempts: Vec::new(),
            changes: Vec::new(),
            withheld: Vec::new(),
            notices: Vec::new(),
            ledger,
            acts: Vec::new(),
        }));
    }
}

/// The same fault for every recipient of a transaction that did not take place.
pub(crate) fn all_alike(work: &Work, outcome: Outcome, fault: &Fault) -> Vec<RecipientResult> {
    let reply = match fault {
        Fault::Reply { reply, .. } => Some(reply.clone()),
        _ => None,
    };
    let result = |&(recipient, _): &(u32, _)| RecipientResult {
        recipient,
        outcome,
        reply: reply.clone(),
        fault: Some(fault.clone()),
    };
    work.recipients.iter().map(result).collect()
}

pub(crate) const fn change(changed: &Changed) -> Change {
    Change {
        message: changed.message,
        recipient: changed.recipient,
        state: changed.transition.state,
    }
}

/// Deferred instead of failed. Reply and fault stay what they were: that they are permanent tells why it waits.
fn soften(results: &mut [RecipientResult]) {
    for result in results.iter_mut().filter(|result| result.outcome == Outcome::Failed) {
        result.outcome = Outcome::Deferred;
    }
}

fn tried(result: &RecipientResult) -> Tried {
    let class = result.fault.as_ref().map_or(FaultClass::Message, Fault::class);
    Tried { recipient: result.recipient, outcome: result.outcome, class, tell_at: None }
}
