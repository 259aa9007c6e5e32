//! The task that carries decisions out, slice by slice, oldest decision first. Each slice is one commit, so that a
//! crash repeats at most what it had not stored; deliveries go on meanwhile.

use super::Mesh;
use super::slice::{Chosen, HEAVY_SLICE, Job, SLICE};
use crate::{Dispatch, Inner, destination, lock};
use futures_util::future::select;
use posthaste_evidence::Act;
use posthaste_mail::QueueId;
use posthaste_queue::{Life, RecipientState};
use posthaste_spool::{Decision, History, Live, Stage, Target};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How often those in flight are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The longest sleep without work.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Pages of messages looked at before it is stored how far a decision has come.
const MAX_PAGES: usize = 10;
/// The most recipients in flight that a decision carries along; beyond that it waits for them.
const MAX_IN_FLIGHT: usize = 10_000;

/// Runs until the agent stops.
pub(crate) async fn run(inner: Arc<Inner>) {
    while inner.is_running() {
        inner.store_caught();
        let mut moved = false;
        for number in inner.going() {
            moved |= inner.advance(number).await;
        }
        let waits = !inner.going().is_empty();
        if moved {
            inner.kick();
            continue;
        }
        let limit = if waits { LOOK_AGAIN } else { LONGEST_SLEEP };
        let timer = posthaste_io::sleep(&*inner.world.clock, limit);
        select(pin!(inner.operator.work.notified()), pin!(timer)).await;
    }
}

/// What a decision chooses by.
enum Choice {
    Mesh(Arc<dyn Mesh>),
    Destination(String),
    All,
}

impl Inner {
    fn going(&self) -> Vec<u64> {
        let book = lock(&self.operator.book);
        let going = book.decisions.iter().filter(|(_, d)| d.stage == Stage::Going);
        going.map(|(number, _)| *number).collect()
    }

    /// At the start, before deliveries begin: what was in flight when the turn of a decision came, and was there when
    /// the process ended, has landed. No new attempt may come before the act.
    pub(crate) async fn act_on_landed(&self) {
        for number in self.going() {
            while let Some(view) = self.decision_view(number)
                && self.look_again(number, &view.decision).await
            {}
        }
    }

    /// One slice of a decision; false when nothing could be done now.
    async fn advance(&self, number: u64) -> bool {
        let Some(view) = self.decision_view(number) else { return false };
        let decision = view.decision;
        if decision.cursor < decision.last && decision.in_flight.len() < MAX_IN_FLIGHT {
            return self.next_slice(number, &decision).await;
        }
        let landed = self.look_again(number, &decision).await;
        let rest = self.decision_view(number).map(|view| view.decision);
        if rest.is_some_and(|d| d.cursor >= d.last && d.in_flight.is_empty()) {
            self.conclude(number).await;
            return true;
        }
        landed
    }

    async fn next_slice(&self, number: u64, decision: &Decision) -> bool {
        let choice = match self.choice(&decision.target) {
            Ok(choice) => choice,
            Err(wrong) => return self.stop_decision(number, wrong).await,
        };
        let job = Job::of(decision);
        let limit = if job.is_heavy() { HEAVY_SLICE } else { SLICE };
        let (mut chosen, mut cursor) = (Vec::new(), decision.cursor);
        // What does not fit is passed over without a commit for each page of it.
        for _ in 0..MAX_PAGES {
            // The disk does not answer now: it is asked again.
            let Some((page, end)) = self.page(decision, cursor).await else { return false };
            cursor = end;
            for live in page.into_iter().filter(|live| live.envelope.id <= decision.last) {
                let (id, numbers) =
                    (live.envelope.id, self.numbers(&choice, decision.act, &live).await);
                chosen.extend(Chosen::some(live, numbers));
                if chosen.len() >= limit {
                    cursor = id;
                    break;
                }
            }
            if chosen.len() >= limit || cursor >= decision.last {
                break;
            }
        }
        self.act_on(&job, chosen, Some(cursor)).await.is_ok()
    }

    /// The next messages after `cursor`, and how far the decision has come with them.
    async fn page(&self, decision: &Decision, cursor: QueueId) -> Option<(Vec<Live>, QueueId)> {
        if let Target::Messages(ids) = &decision.target {
            let next = ids.iter().filter(|id| **id > cursor).take(SLICE);
            let next: Vec<QueueId> = next.copied().collect();
            let end = if next.len() < SLICE { decision.last } else { next[SLICE - 1] };
            let mut page = Vec::new();
            for id in next {
                page.extend(self.spool.find(id).await.ok()?);
            }
            return Some((page, end));
        }
        let page = self.spool.live(cursor, SLICE).await.ok()?;
        let next = page.next.filter(|next| *next < decision.last);
        Some((page.items, next.unwrap_or(decision.last)))
    }

    /// Those of a message's live recipients that the act concerns and that are chosen.
    async fn numbers(&self, choice: &Choice, act: Act, live: &Live) -> Vec<u32> {
        let concerned = |state: &RecipientState| match act {
            Act::Retry | Act::Hold => state.life == Life::Queued,
            Act::Release => matches!(state.life, Life::Held | Life::Poison),
            _ => state.life.is_live(),
        };
        // A hold that waits for the end of an attempt can be taken back.
        let any = |state: &RecipientState| {
            concerned(state) || act == Act::Release && state.life.is_live()
        };
        let states = (0u32..).zip(&live.states);
        let numbers: Vec<u32> = states.filter(|(_, s)| any(s)).map(|(n, _)| n).collect();
        match choice {
            _ if numbers.is_empty() => numbers,
            Choice::All => numbers,
            Choice::Destination(name) => {
                let routes = self.routes();
                let there = |n: &u32| destination::of(&routes, &live.envelope, *n).name == *name;
                numbers.into_iter().filter(there).collect()
            }
            Choice::Mesh(mesh) => {
                let history = match mesh.needs_history() {
                    true => self.spool.history(live.envelope.id).await.unwrap_or_default(),
                    false => History::default(),
                };
                let Some(inner) = self.itself.upgrade() else { return Vec::new() };
                let fitting = mesh.fitting(&Dispatch { inner }, live, &history);
                numbers.into_iter().filter(|n| fitting.contains(n)).collect()
            }
        }
    }

    fn choice(&self, target: &Target) -> Result<Choice, String> {
        Ok(match target {
            Target::Filter(text) => Choice::Mesh(self.sieve().read(text)?),
            Target::Destination(name) => Choice::Destination(name.clone()),
            Target::Messages(_) | Target::All => Choice::All,
        })
    }

    /// Those that were in flight when their turn came: what is not any more is acted on, or has ended. True when
    /// there are fewer now.
    async fn look_again(&self, number: u64, decision: &Decision) -> bool {
        if decision.in_flight.is_empty() {
            return false;
        }
        let job = Job::of(decision);
        let mut chosen = Vec::new();
        for of_message in decision.in_flight.chunk_by(|a, b| a.0 == b.0).take(SLICE) {
            let Ok(found) = self.spool.find(of_message[0].0).await else { return false };
            let Some(live) = found else { continue };
            let alive = |number: &u32| {
                live.states.get(*number as usize).is_some_and(|state| state.life.is_live())
            };
            let numbers: Vec<u32> = of_message.iter().map(|(_, n)| *n).filter(alive).collect();
            chosen.extend(Chosen::some(live, numbers));
        }
        let looked: Vec<QueueId> = {
            let mut book = lock(&self.operator.book);
            let Some(decision) = book.decisions.get_mut(&number) else { return false };
            let groups = decision.in_flight.chunk_by(|a, b| a.0 == b.0).take(SLICE);
            let looked: Vec<QueueId> = groups.map(|group| group[0].0).collect();
            // What still is in flight is put down again by the slice.
            decision.in_flight.retain(|(id, _)| !looked.contains(id));
            looked
        };
        let before = looked.len();
        match self.act_on(&job, chosen, None).await {
            Ok(sliced) => sliced.in_flight.len() < before || sliced.recipients > 0,
            Err(_) => false,
        }
    }

    /// It is over when nothing is left to look at.
    pub(super) async fn conclude(&self, number: u64) {
        let pending = {
            let mut book = lock(&self.operator.book);
            let Some(decision) = book.decisions.get_mut(&number) else { return };
            let open = decision.cursor < decision.last || !decision.in_flight.is_empty();
            if open || decision.stage != Stage::Going {
                return;
            }
            decision.stage = Stage::Done;
            decision.since = self.world.wall();
            let entries = book.entries(number);
            self.spool.settle(self.settlement(entries))
        };
        if pending.await.is_err() {
            self.fatal.notify_one();
        }
        self.operator.moved_on();
    }

    /// It has no meaning for this version: kept for the operator to see, never guessed.
    async fn stop_decision(&self, number: u64, wrong: String) -> bool {
        let pending = {
            let mut book = lock(&self.operator.book);
            let Some(decision) = book.decisions.get_mut(&number) else { return false };
            decision.stage = Stage::Stopped;
            decision.fault = Some(wrong);
            decision.since = self.world.wall();
            let entries = book.entries(number);
            self.spool.settle(self.settlement(entries))
        };
        if pending.await.is_err() {
            self.fatal.notify_one();
        }
        self.operator.moved_on();
        false
    }
}
