//! Delay notices: whose mail waits for too long is told so, a few messages at a time, so that a hundred thousand at once
//! hold up nothing else.
//!
//! Not here: when they are due, and for whom (`queue`).

use super::{About, News, Tidings, ground};
use crate::pace::{SLICE, make_way};
use crate::settle::{Pending, change};
use crate::{Inner, lock};
use posthaste_evidence::NoticeKind;
use posthaste_mail::{Envelope, QueueId, Timestamp};
use posthaste_message::dsn::rules;
use posthaste_queue::{Changed, RecipientState};
use posthaste_spool::{History, Live, Settlement};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long the clock task rests while the disk has no room for delay notices.
const FULL_REST: Duration = Duration::from_secs(1);

/// What a sender may be told of a message that waits.
struct Delayed<'a> {
    about: About<'a>,
    live: &'a Live,
    history: &'a History,
    /// Numbers of the recipients of whom it wants to know.
    wants: &'a BTreeSet<u32>,
}

impl Inner {
    /// Tells the senders of some messages that these are delayed; durable when this answers. What is left keeps the
    /// clock task awake, which may sleep for this long all the same. On a disk that is filled up to the reserve the
    /// room is for ends: a delay can be told later.
    pub(crate) async fn warn_some(&self) -> Duration {
        if self.scheduler().next_warning(self.world.wall()).is_none() {
            return Duration::ZERO;
        }
        if self.spool.health().full {
            return FULL_REST;
        }
        let mut pending = Vec::new();
        for _ in 0..SLICE {
            let next = self.scheduler().next_warning(self.world.wall());
            let Some(id) = next else { break };
            pending.extend(self.warn(id).await);
            make_way().await;
        }
        self.wait_for_all(pending).await;
        Duration::ZERO
    }

    /// One message. What nobody wants to know is passed over in memory.
    async fn warn(&self, id: QueueId) -> Option<Pending> {
        self.catch_up(id, 0).await;
        let found = self.spool.find(id).await.ok().flatten();
        let Some(live) = found.filter(|live| !self.wanted(live, &[]).is_empty()) else {
            self.pass_over(id);
            return None;
        };
        let (in_hand, original) = self.to_quote(&live).await;
        let now = self.world.wall();
        let about = About { now, envelope: &in_hand.envelope, original: &original };
        let wants = self.wanted(&live, &super::header(&about));
        if wants.is_empty() {
            self.pass_over(id);
            return None;
        }
        let history = self.spool.history(id).await.unwrap_or_default();
        let delayed = Delayed { about, live: &live, history: &history, wants: &wants };
        // Composed before the queue counts them as told, since that takes its time.
        let told = self.expected(&delayed);
        let tidings = self.delay_notices(&delayed, &told);
        self.hand_over(&in_hand.envelope, &delayed, told, tidings)
    }

    /// Counts them as told and gives that to the store, while nobody else changes what waits.
    fn hand_over(
        &self,
        envelope: &Arc<Envelope>,
        delayed: &Delayed<'_>,
        mut told: Vec<u32>,
        mut tidings: Tidings,
    ) -> Option<Pending> {
        let _alone = self.order.alone();
        let changed = self.count_as_told(envelope, delayed.wants);
        if changed.is_empty() {
            return None;
        }
        if !changed.iter().map(|change| change.recipient).eq(told.iter().copied()) {
            // Somebody took off or landed meanwhile.
            told = changed.iter().map(|change| change.recipient).collect();
            tidings = self.delay_notices(delayed, &told);
        }
        Some(self.store_warnings(delayed.about.now, &changed, tidings))
    }

    fn count_as_told(&self, envelope: &Arc<Envelope>, wants: &BTreeSet<u32>) -> Vec<Changed> {
        let mut scheduler = self.scheduler();
        let now = self.world.wall();
        let changed = scheduler.warn(now, envelope.id, &|number| wants.contains(&number));
        if !changed.is_empty() {
            lock(&self.settling).begin(envelope, false);
        }
        changed
    }

    fn pass_over(&self, id: QueueId) {
        let none = self.scheduler().warn(self.world.wall(), id, &|_| false);
        debug_assert!(none.is_empty(), "nobody wants to know");
    }

    /// The live recipients of whose delay the sender wants to know, and may. `header`: as far as it is at hand.
    fn wanted(&self, live: &Live, header: &[u8]) -> BTreeSet<u32> {
        let settings = self.settings();
        let envelope = &live.envelope;
        let ground = ground(&settings, envelope, header);
        let live = (0u32..).zip(&live.states).filter(|(_, state)| state.life.is_live());
        let owed = live
            .map(|(number, _)| number)
            .filter(|number| rules::owed(NoticeKind::Delayed, envelope, *number, &ground).is_ok());
        owed.collect()
    }

    /// Those of whom the queue says that it is time.
    fn expected(&self, delayed: &Delayed<'_>) -> Vec<u32> {
        let (now, id) = (delayed.about.now, delayed.live.envelope.id);
        let mut due = self.scheduler().to_warn(now, id);
        due.retain(|number| delayed.wants.contains(number));
        due
    }

    fn delay_notices(&self, delayed: &Delayed<'_>, told: &[u32]) -> Tidings {
        let envelope = &delayed.live.envelope;
        let news = told.iter().map(|&number| {
            let state = delayed.live.states.get(number as usize).copied().unwrap_or_default();
            self.waiting_news(delayed.about.now, envelope, (number, &state), delayed.history)
        });
        self.tell_sender(&delayed.about, NoticeKind::Delayed, news.collect())
    }

    /// What is known of a recipient that waits.
    pub(super) fn waiting_news(
        &self,
        now: Timestamp,
        envelope: &Envelope,
        (recipient, state): (u32, &RecipientState),
        history: &History,
    ) -> News {
        let mut past = self.timeline(envelope, recipient, history, state.attempts);
        let waits = self.waits(now, envelope, (recipient, state), &past);
        past.end(waits);
        let fault = past.last.as_ref().and_then(|last| last.result.fault.clone());
        News { recipient, fault, past, remark: None, waits }
    }

    fn store_warnings(&self, now: Timestamp, changed: &[Changed], tidings: Tidings) -> Pending {
        self.spool.settle(Settlement {
            tenure: self.tenure,
            at: now,
            connections: Vec::new(),
            attempts: Vec::new(),
            changes: changed.iter().map(change).collect(),
            withheld: tidings.withheld,
            notices: tidings.notices,
            ledger: Vec::new(),
            acts: Vec::new(),
        })
    }
}
