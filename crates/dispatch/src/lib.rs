//! Schedule, deliver, settle: the agent that moves mail out, and what it does at start and at the end.
//!
//! Floor 4. `settle` is the one place where queue, evidence and message meet. Not here: one attempt
//! (`delivery`), decisions about time (`queue`), accepting mail (`reception`).

mod belief;
mod comeback;
mod connection;
mod content;
mod counters;
mod damage;
mod decided;
mod desk;
mod destination;
mod expiry;
mod fresh;
mod hosts;
mod last;
mod notice;
mod operator;
mod order;
mod outages;
mod pace;
mod probe;
mod recovery;
mod renew;
mod reroute;
mod settings;
mod settle;
mod settling;
mod softened;
mod timeline;
mod watcher;

pub use counters::{Counters, Numbers};
pub use decided::decided;
pub use desk::{Explained, MessageStatus};
pub use last::LastTried;
pub use notice::{PreviewFault, Probes, StrangerLimits};
pub use operator::{Mesh, Sieve};
pub use outages::fault_of;
pub use recovery::{Recovered, RecoveryFault};
pub use settings::Settings;

use crate::fresh::Fresh;
use crate::outages::Outages;
use crate::settling::Settling;
use posthaste_delivery::Courier;
use posthaste_evidence::ConnectionId;
use posthaste_io::World;
use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::{Changed, Next, Scheduler, TicketId};
use posthaste_route::Table;
use posthaste_spool::{Settlement, Spool, Tenure};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// The agent. Clones share everything.
#[derive(Clone)]
pub struct Dispatch {
    pub(crate) inner: Arc<Inner>,
}

/// New settings of all that moves mail out.
pub struct Reload {
    /// The dispatcher's own.
    pub settings: Arc<Settings>,
    /// Those of attempts.
    pub delivery: Arc<posthaste_delivery::Settings>,
    /// The operator's rules.
    pub routes: Arc<Table>,
    /// Limits and schedules.
    pub queue: posthaste_queue::Settings,
    /// Those of DNS; routes may name servers of their own.
    pub dns: posthaste_dns::Settings,
}

/// What all parts of the agent share. No lock here is held across a wait, and never two at once but in the
/// order in which they stand.
pub(crate) struct Inner {
    /// For filters, which ask the dispatcher where a recipient stands.
    pub(crate) itself: Weak<Inner>,
    pub(crate) world: World,
    pub(crate) spool: Arc<dyn Spool>,
    pub(crate) courier: Courier,
    pub(crate) tenure: Tenure,
    pub(crate) order: order::Order,
    settings: Mutex<Arc<Settings>>,
    routes: Mutex<Arc<Table>>,
    scheduler: Mutex<Scheduler>,
    /// Content of mail that was just accepted.
    pub(crate) fresh: Mutex<Fresh>,
    /// What went wrong last at destinations and hosts that are down.
    pub(crate) outages: Mutex<Outages>,
    /// Whom of those we do not know notices were sent lately.
    pub(crate) strangers: Mutex<notice::Strangers>,
    /// Of whom whom notices told lately.
    pub(crate) brake: Mutex<notice::Brake>,
    /// Who looks into failures.
    pub(crate) probes: Mutex<Arc<dyn Probes>>,
    /// Wakes idle lines, by ticket.
    lines: Mutex<BTreeMap<TicketId, Arc<Notify>>>,
    /// What the event log needs to know of settlements under way.
    pub(crate) settling: Mutex<Settling>,
    /// Recipients that were refused when their message was accepted, until the clock task ends them.
    pub(crate) refused: Mutex<BTreeMap<QueueId, Vec<Changed>>>,
    /// When the clock task will look next; microseconds.
    armed: AtomicI64,
    alarm: Notify,
    next_connection: AtomicU64,
    /// The first commit that the store announced in this life.
    pub(crate) first_commit: AtomicU64,
    pub(crate) running: AtomicBool,
    /// How often the clock task has looked.
    pub(crate) ticks: AtomicU64,
    /// No new attempts for now.
    pub(crate) paused: AtomicBool,
    /// The time of a stop is nearly over.
    closing: watch::Sender<bool>,
    pub(crate) counters: Counters,
    /// Told when the store fails for good: the process must end.
    pub(crate) fatal: Notify,
    pub(crate) operator: operator::Operator,
    pub(crate) beliefs: belief::Beliefs,
    /// Other resolvers are in use.
    pub(crate) renewed_resolvers: Notify,
}

impl Dispatch {
    /// An agent that does nothing yet: [`Dispatch::recover`] fills and starts it. It registers as the store's
    /// watcher, so mail may be accepted from now on.
    #[must_use]
    pub fn new(
        spool: Arc<dyn Spool>,
        courier: Courier,
        routes: Arc<Table>,
        scheduler: Scheduler,
        settings: Arc<Settings>,
    ) -> Self {
        let tenure = spool.take();
        let inner = Arc::new_cyclic(|itself| Inner {
            itself: itself.clone(),
            world: courier.world().clone(),
            spool: Arc::clone(&spool),
            courier,
            tenure,
            order: order::Order::default(),
            fresh: Mutex::new(Fresh::new(settings.fresh_budget)),
            settings: Mutex::new(settings),
            routes: Mutex::new(routes),
            scheduler: Mutex::new(scheduler),
            outages: Mutex::default(),
            strangers: Mutex::default(),
            brake: Mutex::default(),
            probes: Mutex::new(Arc::new(notice::NoProbes)),
            lines: Mutex::default(),
            settling: Mutex::default(),
            refused: Mutex::default(),
            armed: AtomicI64::new(i64::MAX),
            alarm: Notify::new(),
            next_connection: AtomicU64::new(tenure.epoch << 32),
            first_commit: AtomicU64::new(u64::MAX),
            running: AtomicBool::new(false),
            ticks: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            closing: watch::Sender::new(false),
            counters: Counters::default(),
            fatal: Notify::new(),
            operator: operator::Operator::default(),
            beliefs: belief::Beliefs::default(),
            renewed_resolvers: Notify::new(),
        });
        spool.watch(Arc::new(watcher::Ear(Arc::downgrade(&inner))));
        Self { inner }
    }

    /// Takes new settings; attempts under way keep theirs. What waited on those that have changed is due now,
    /// let go at the bounded rate: answers how many recipients, as far as they are counted within
    /// [`renew::COUNT_WAIT`]; the rest goes on by itself.
    pub async fn reload(&self, fresh: Reload) -> u64 {
        let inner = &self.inner;
        let before = inner.ways();
        let softened = inner.settings().soft_fail;
        *lock(&inner.settings) = fresh.settings;
        *lock(&inner.routes) = Arc::clone(&fresh.routes);
        inner.courier.set_settings(fresh.delivery);
        inner.courier.renew_resolvers(&fresh.dns, &fresh.routes);
        inner.renewed_resolvers.notify_one();
        inner.scheduler().set_settings(inner.world.wall(), fresh.queue);
        let logins = lock(&inner.outages).logins();
        let logins = logins.into_iter().map(|(_, route, _)| route);
        let changed = before.changed(&inner.ways()).with_logins(logins);
        let hardened = softened && !inner.settings().soft_fail;
        inner.kick();
        renew::run(inner, changed, hardened).await
    }

    /// `soft_fail` is on.
    #[must_use]
    pub fn defers_failures(&self) -> bool {
        self.inner.settings().soft_fail
    }

    /// True when mail was delivered to a domain in the last 30 days; `domain` in the form in which DNS is asked for it.
    #[must_use]
    pub fn has_delivered(&self, domain: &str) -> bool {
        self.inner.has_delivered(domain)
    }

    /// The resolvers in use.
    #[must_use]
    pub fn resolvers(&self) -> Arc<posthaste_delivery::Resolvers> {
        self.inner.courier.resolvers()
    }

    /// Ready when the store has failed for good: the process must end and start again from the disk.
    pub async fn failed(&self) {
        self.inner.fatal.notified().await;
    }

    /// What has been counted since the start.
    #[must_use]
    pub fn counters(&self) -> Numbers {
        self.inner.counters.read()
    }

    /// Begins no new attempts until [`Dispatch::resume`]; what is in flight ends, and what expires ends too. Holds
    /// also when it is called before [`Dispatch::recover`].
    pub fn pause(&self) {
        let inner = &self.inner;
        inner.paused.store(true, Ordering::SeqCst);
        inner.scheduler().stop();
        let waiting: Vec<_> = lock(&inner.lines).values().cloned().collect();
        for line in waiting {
            line.notify_one();
        }
    }

    /// Ready when the store has made a commit for it and the clock task has looked: a sign of life that is checked.
    /// A store that has failed answers too; that it has is told by [`Dispatch::failed`].
    pub async fn heartbeat(&self) {
        let inner = &self.inner;
        let commit = inner.spool.settle(Settlement {
            tenure: inner.tenure,
            at: inner.world.wall(),
            connections: Vec::new(),
            attempts: Vec::new(),
            changes: Vec::new(),
            acts: Vec::new(),
            withheld: Vec::new(),
            notices: Vec::new(),
            ledger: Vec::new(),
        });
        // What matters is that it comes back.
        let _whether_it_succeeds_is_told_elsewhere = commit.await;
        let before = inner.ticks.load(Ordering::SeqCst);
        while inner.is_running() && inner.ticks.load(Ordering::SeqCst) == before {
            inner.alarm.notify_one();
            posthaste_io::sleep(&*inner.world.clock, settings::STOP_POLL).await;
        }
    }

    /// No new attempts are begun.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.inner.paused.load(Ordering::SeqCst)
    }

    /// Goes on after [`Dispatch::pause`]: what is overdue is released at the drain rate.
    pub fn resume(&self) {
        let inner = &self.inner;
        inner.paused.store(false, Ordering::SeqCst);
        if inner.is_running() {
            inner.scheduler().start(inner.world.wall());
            inner.kick();
        }
    }

    /// Begins no new work and waits until what is under way has ended, at most `grace`. Transactions that have
    /// not ended shortly before that are cut off and settled as what they are, in doubt after their final dot:
    /// an orderly stop is no crash, and leaves nothing for the next start to wonder about.
    pub async fn stop(&self, grace: Duration) {
        let inner = &self.inner;
        inner.scheduler().stop();
        inner.running.store(false, Ordering::SeqCst);
        let waiting: Vec<_> = lock(&inner.lines).values().cloned().collect();
        for line in waiting {
            line.notify_one();
        }
        let end = inner.world.now() + grace;
        inner.wait_for_connections(grace.saturating_sub(settings::STOP_SETTLES)).await;
        inner.closing.send_replace(true);
        inner.wait_for_connections(end - inner.world.now()).await;
        inner.alarm.notify_one();
    }
}

impl Inner {
    async fn wait_for_connections(&self, limit: Duration) {
        let until = self.world.now() + limit;
        while self.scheduler().connections() > 0 && self.world.now() < until {
            posthaste_io::sleep(&*self.world.clock, settings::STOP_POLL).await;
        }
    }

    /// Ready when the time of a stop is nearly over: nothing more is waited for.
    pub(crate) async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        // The sender lives as long as we do.
        let _ = closing.wait_for(|closing| *closing).await;
    }

    pub(crate) fn scheduler(&self) -> MutexGuard<'_, Scheduler> {
        lock(&self.scheduler)
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.settings))
    }

    pub(crate) fn routes(&self) -> Arc<Table> {
        Arc::clone(&lock(&self.routes))
    }

    pub(crate) fn lines(&self) -> MutexGuard<'_, BTreeMap<TicketId, Arc<Notify>>> {
        lock(&self.lines)
    }

    pub(crate) fn connection_id(&self) -> ConnectionId {
        ConnectionId(self.next_connection.fetch_add(1, Ordering::Relaxed))
    }

    /// Does all that can be done now: wakes idle lines, starts connections, and sees to it that the clock
    /// task looks again in time.
    pub(crate) fn kick(self: &Arc<Self>) {
        let now = self.world.wall();
        loop {
            let next = self.scheduler().next(now);
            match next {
                Some(Next::Connect(ticket)) => {
                    self.lines().insert(ticket.id, Arc::default());
                    let inner = Arc::clone(self);
                    let task = Box::pin(async move { connection::run(inner, ticket).await });
                    self.world.spawn.spawn("connection", task);
                }
                Some(Next::Wake(id)) => {
                    let line = self.lines().get(&id).cloned();
                    if let Some(line) = line {
                        line.notify_one();
                    }
                }
                None => break,
            }
        }
        self.arm(now);
    }

    /// Wakes the clock task when it would look too late.
    pub(crate) fn arm(&self, now: Timestamp) {
        self.arm_for(&self.scheduler(), now);
    }

    /// The same under the scheduler's lock, which [`Self::rearm`] takes too: else the clock task could fall
    /// asleep over a change made between its look and its sleep.
    pub(crate) fn arm_for(&self, scheduler: &Scheduler, now: Timestamp) {
        let wanted = scheduler.next_wakeup(now).map_or(i64::MAX, Timestamp::as_micros);
        if wanted < self.armed.load(Ordering::SeqCst) {
            self.alarm.notify_one();
        }
    }

    /// Until when the clock task may sleep.
    pub(crate) fn rearm(&self) -> Option<Timestamp> {
        let scheduler = self.scheduler();
        let wanted = scheduler.next_wakeup(self.world.wall());
        let micros = wanted.map_or(i64::MAX, Timestamp::as_micros);
        self.armed.store(micros, Ordering::SeqCst);
        wanted
    }

    pub(crate) const fn alarm(&self) -> &Notify {
        &self.alarm
    }
}

/// A panic in one task must not stop all mail: what a lock guards is left whole by every holder.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
