//! Health questions: a silent server is asked at once whether it is there, and a dead one now and then whether it is
//! back, by one task of its own.
//!
//! That task ends when the server answers anything, to whomever, or when the resolver is gone.

use super::Inner;
use crate::exchange::{Exchange, Heard, Manner};
use crate::servers::{CHECK_LIMIT, Lesson, Turns};
use posthaste_evidence::Purpose;
use posthaste_io::{Instant, World, within};
use std::sync::{Arc, Weak};
use tokio::sync::Notify;

impl Inner {
    /// Learns what a server's exchange came to, and does what follows from it.
    pub(super) fn learn(self: &Arc<Self>, place: usize, lesson: &Lesson<'_>) {
        let now = (self.world.now(), self.world.wall());
        let changed = self.servers.learn(place, lesson, now);
        self.follow_up(place, changed);
    }

    fn follow_up(self: &Arc<Self>, place: usize, (turns, recovered): (Turns, bool)) {
        if recovered {
            // What was kept of the outage must not outlive it.
            self.shared.lock().cache.forget_failures(self.world.now());
            self.servers.tell_recovery();
        }
        self.attend(place, turns);
    }

    /// Starts asking after the health of a server that was silent, or has died just now.
    pub(super) fn attend(self: &Arc<Self>, place: usize, turns: Turns) {
        if turns.doubted {
            self.check(place);
        }
        let Some(death) = turns.died else { return };
        if self.servers.all_dead() {
            self.hurry.notify_waiters();
        }
        let world = self.world.clone();
        let (inner, hurry) = (Arc::downgrade(self), Arc::clone(&self.hurry));
        let task = async move {
            while rest(&world, &inner, &hurry, place, death).await {
                let Some((exchange, manner, began)) = question(&inner, place, death) else {
                    return;
                };
                let Some(streams) = inner.upgrade().map(|inner| Arc::clone(&inner.streams)) else {
                    return;
                };
                let heard = exchange.hear_over(&world, &streams).await;
                if !taught(&inner, place, &exchange, manner, began, &heard) {
                    return;
                }
            }
        };
        let attendant = self.world.spawn.spawn("dns-health", Box::pin(task));
        if let Some(old) = self.attendants.lock().insert(place, attendant) {
            // It sleeps since the server was back for a moment, and would do nothing more.
            old.abort();
        }
    }

    /// Asks a silent server what hangs on no name.
    fn check(self: &Arc<Self>, place: usize) {
        let inner = Arc::clone(self);
        let task = async move {
            let began = inner.world.now();
            let asked = inner.servers.check_question(place, began);
            let Some((server, manner, question)) = asked else { return };
            let connects = manner.tcp_only || server.tls.is_some();
            let limit = inner.settings.try_limit;
            let until = began + if connects { limit } else { limit.min(CHECK_LIMIT) };
            let (name, kind) = question.clone();
            let exchange = Exchange { server, name, kind, until, manner };
            let heard = exchange.hear_over(&inner.world, &inner.streams).await;
            let (question, heard) = (&question, &heard);
            let lesson = Lesson { question, manner, began, heard, contradicted: false };
            let now = (inner.world.now(), inner.world.wall());
            inner.follow_up(place, inner.servers.checked(place, &lesson, now));
            crate::record::exchange(&inner.world, Purpose::Health, &exchange, began, heard);
        };
        self.world.spawn.spawn("dns-check", Box::pin(task));
    }
}

/// Waits until its next health question is due: earlier than it was, when the last server that lived dies meanwhile.
/// False when the server is back, or the resolver is gone.
async fn rest(
    world: &World,
    inner: &Weak<Inner>,
    hurry: &Notify,
    place: usize,
    death: u64,
) -> bool {
    let due = |hurried| {
        let inner = inner.upgrade()?;
        let (lot, at) = (world.random.next(), world.wall());
        match hurried {
            false => inner.servers.rest(place, death, lot, at),
            true => inner.servers.hurry(place, death, lot, at),
        }
    };
    let mut hurried = hurry.notified();
    let mut wait = due(false);
    while let Some(limit) = wait {
        if within(&*world.clock, limit, hurried).await.is_none() {
            return true;
        }
        hurried = hurry.notified();
        wait = due(true);
    }
    false
}

fn question(inner: &Weak<Inner>, place: usize, death: u64) -> Option<(Exchange, Manner, Instant)> {
    let inner = inner.upgrade()?;
    let began = inner.world.now();
    let (server, manner, (name, kind)) = inner.servers.health_question(place, death, began)?;
    let until = began + inner.settings.try_limit;
    Some((Exchange { server, name, kind, until, manner }, manner, began))
}

/// False when the resolver is gone.
fn taught(
    inner: &Weak<Inner>,
    place: usize,
    exchange: &Exchange,
    manner: Manner,
    began: Instant,
    heard: &Heard,
) -> bool {
    let Some(inner) = inner.upgrade() else { return false };
    let question = (exchange.name.clone(), exchange.kind);
    let lesson = Lesson { question: &question, manner, began, heard, contradicted: false };
    inner.learn(place, &lesson);
    crate::record::exchange(&inner.world, Purpose::Health, exchange, began, heard);
    true
}
