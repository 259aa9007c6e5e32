//! The store's news: accepted mail enters the scheduler, durable settlements enter the event log.
//!
//! Called on the store's own thread, in order of commits; nothing here may wait.

use crate::destination;
use crate::{Inner, lock};
use posthaste_mail::{QueueId, SourceKind};
use posthaste_queue::{Changed, InsertError, Item, RecipientState, life};
use posthaste_spool::{Lsn, NewMail, Settlement, Watcher, events};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// What the store is given: it does not keep the dispatcher alive.
pub(crate) struct Ear(pub(crate) Weak<Inner>);

impl Watcher for Ear {
    fn accepted(&self, commit: Lsn, mails: Vec<Arc<NewMail>>) {
        let Some(inner) = self.0.upgrade() else { return };
        inner.first_commit.fetch_min(commit.0, Ordering::SeqCst);
        inner.counters.accepted(mails.len());
        for mail in &mails {
            inner.world.journal.append(events::received(&mail.envelope, commit));
        }
        {
            let mut fresh = lock(&inner.fresh);
            for mail in &mails {
                fresh.keep(mail);
            }
        }
        inner.queue(&mails);
        if inner.is_running() {
            inner.kick();
        }
    }

    fn settled(&self, commit: Lsn, settlement: &Settlement) {
        let Some(inner) = self.0.upgrade() else { return };
        for kind in settlement.notices.iter().filter_map(|notice| notice.kind) {
            inner.counters.notice(kind);
        }
        for (_, why) in &settlement.withheld {
            inner.counters.withheld(*why);
        }
        let mut settling = lock(&inner.settling);
        let made = events::settled(settlement, commit, &*settling, |id| settling.ends(id));
        let messages: BTreeSet<_> = settlement
            .changes
            .iter()
            .map(|c| c.message)
            .chain(settlement.attempts.iter().map(|a| a.message))
            .collect();
        for id in messages {
            settling.end(id);
        }
        drop(settling);
        for event in made {
            inner.world.journal.append(event);
        }
    }

    fn failed(&self) {
        if let Some(inner) = self.0.upgrade() {
            inner.fatal.notify_one();
        }
    }
}

impl Inner {
    /// Queues accepted mail, the whole group under one lock.
    fn queue(&self, mails: &[Arc<NewMail>]) {
        // Filters ask the scheduler too: they are held against mail before its lock is taken.
        let mut caught = self.catch_all(mails);
        let now = self.world.wall();
        let routes = self.routes();
        let mut scheduler = self.scheduler();
        for mail in mails {
            let envelope = &mail.envelope;
            let held = caught.remove(&envelope.id);
            let states = held.as_ref().map_or(&mail.states, |caught| &caught.states);
            let mut recipients = Vec::with_capacity(envelope.recipients.len());
            for (number, state) in (0u32..).zip(states) {
                let to = destination::of(&routes, envelope, number);
                let id = scheduler.destination(now, &to.name, &to.route);
                recipients.push((number, id, *state));
            }
            let item = Item {
                id: envelope.id,
                received: envelope.lives_since(),
                size: envelope.facts.size,
                notice: envelope.source.kind == SourceKind::Notice,
                recipients: &recipients,
            };
            match scheduler.insert(now, &item) {
                Ok(()) => {
                    self.note_refused(envelope.id, states);
                    held.into_iter().for_each(|caught| self.note_caught(caught));
                }
                // Recovery has read it from the store already.
                Err(InsertError::Duplicate) => {}
                Err(InsertError::UnknownDestination) => {
                    unreachable!("destinations are named under the same lock")
                }
            }
        }
    }

    /// The clock task is to end those that were refused when this message was accepted. Called under the scheduler's
    /// lock, so that no attempt for the others counts as the message's last.
    pub(crate) fn note_refused(&self, message: QueueId, states: &[RecipientState]) {
        let ends = (0u32..).zip(states);
        let ends = ends.filter_map(|(recipient, state)| Some((recipient, life::refuse(*state)?)));
        let changed: Vec<Changed> = ends
            .map(|(recipient, transition)| Changed::new(message, recipient, transition))
            .collect();
        if changed.is_empty() {
            return;
        }
        // Recovery reads what was accepted since the start as well.
        if lock(&self.refused).insert(message, changed).is_none() {
            lock(&self.settling).begin_silent(message);
        }
        self.alarm().notify_one();
    }
}
