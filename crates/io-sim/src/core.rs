//! The heart of a simulation: virtual time, the one ordered queue of what will happen, chance, and the hash.
//!
//! Not here: tasks (`exec`), and what the happenings mean to the network (`net`).

use crate::hash::Hash;
use crate::host::HostState;
use crate::net::{self, NetState};
use crate::rng::Rng;
use parking_lot::Mutex;
use posthaste_io::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// What a run may take before it counts as hanging.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Polls of tasks and happenings in all.
    pub steps: u64,
    /// Virtual time in all.
    pub time: Duration,
}

impl Default for Limits {
    /// 20 million steps, 60 days.
    fn default() -> Self {
        Self { steps: 20_000_000, time: Duration::from_secs(60 * 24 * 3600) }
    }
}

/// The last decisions that are told when a run fails.
const TOLD: usize = 40;

pub(crate) struct Core {
    pub(crate) seed: u64,
    pub(crate) exec: crate::exec::Exec,
    pub(crate) state: Mutex<State>,
}

pub(crate) struct State {
    seed: u64,
    pub(crate) now: Instant,
    pub(crate) rng: Rng,
    pub(crate) hosts: Vec<HostState>,
    pub(crate) net: NetState,
    hash: Hash,
    queue: BTreeMap<Moment, Happening>,
    next_order: u64,
    steps: u64,
    limits: Limits,
    told: VecDeque<(Instant, u64, &'static str)>,
}

/// A place in the queue: time, then the order of asking.
pub(crate) type Moment = (Instant, u64);

/// What will happen.
pub(crate) enum Happening {
    /// A timer fires.
    Wake(Waker),
    /// Something of the network arrives.
    Net(net::Arrival),
    /// The event log of a host is synced.
    JournalSync { host: usize, life: u32 },
}

impl Core {
    pub(crate) fn new(seed: u64, limits: Limits) -> Arc<Self> {
        let mut rng = Rng::new(seed);
        let net = NetState::new(rng.fork());
        let state = State {
            seed,
            now: Instant::default(),
            rng,
            hosts: Vec::new(),
            net,
            hash: Hash::from(seed),
            queue: BTreeMap::new(),
            next_order: 0,
            steps: 0,
            limits,
            told: VecDeque::new(),
        };
        let exec = crate::exec::Exec::default();
        Arc::new(Self { seed, exec, state: Mutex::new(state) })
    }

    /// When the next thing happens.
    pub(crate) fn next_moment(&self) -> Option<Instant> {
        self.state.lock().queue.keys().next().map(|(at, _)| *at)
    }

    /// Lets time pass in which nothing happens.
    pub(crate) fn pass_until(&self, at: Instant) {
        self.state.lock().now = at;
    }

    /// Lets everything happen that comes next, at one moment.
    pub(crate) fn advance(self: &Arc<Self>) {
        let mut due = Vec::new();
        {
            let mut state = self.state.lock();
            let Some(&(at, _)) = state.queue.keys().next() else { return };
            state.now = at;
            while let Some(entry) = state.queue.first_entry().filter(|e| e.key().0 == at) {
                due.push(entry.remove_entry());
            }
        }
        for ((_, order), happening) in due {
            self.state.lock().step(order);
            self.happen(happening);
        }
    }

    fn happen(self: &Arc<Self>, happening: Happening) {
        match happening {
            Happening::Wake(waker) => waker.wake(),
            Happening::Net(arrival) => net::arrive(self, arrival),
            Happening::JournalSync { host, life } => {
                let mut state = self.state.lock();
                let here = &state.hosts[host];
                if here.life == life && here.journal.sync() {
                    state.after(crate::journal::SYNC_EVERY, Happening::JournalSync { host, life });
                }
            }
        }
    }

    /// The seed, the time and the last decisions, for the report of a failure.
    pub(crate) fn story(&self) -> String {
        let state = self.state.lock();
        let mut story = format!("seed {} at {:?}, step {}", self.seed, state.now, state.steps);
        for (at, id, what) in &state.told {
            story.push_str(&format!("\n  {:>12} us {id} {what}", at.0 / 1000));
        }
        story
    }
}

impl State {
    /// Puts a happening into the queue, `wait` from now.
    pub(crate) fn after(&mut self, wait: Duration, happening: Happening) -> Moment {
        self.at(self.now + wait, happening)
    }

    /// Puts a happening into the queue, not before now.
    pub(crate) fn at(&mut self, at: Instant, happening: Happening) -> Moment {
        let moment = (at.max(self.now), self.next_order);
        self.next_order += 1;
        self.queue.insert(moment, happening);
        moment
    }

    /// Puts another waker in the place of a timer; false when it has fired.
    pub(crate) fn rewake(&mut self, moment: Moment, waker: &Waker) -> bool {
        match self.queue.get_mut(&moment) {
            Some(Happening::Wake(old)) => {
                old.clone_from(waker);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn cancel(&mut self, moment: Moment) {
        self.queue.remove(&moment);
    }

    /// Counts a step and takes it into the hash.
    ///
    /// # Panics
    /// When the run hangs: more steps or virtual time than its limits.
    pub(crate) fn step(&mut self, what: u64) {
        self.steps += 1;
        let now = self.now.0;
        self.hash.word(now).word(what);
        let over_time = self.now - Instant::default() > self.limits.time;
        assert!(
            self.steps <= self.limits.steps && !over_time,
            "the simulation hangs, seed {}: {} steps, {:?}; limits {:?}",
            self.seed,
            self.steps,
            self.now - Instant::default(),
            self.limits
        );
    }

    /// Takes a fact into the hash.
    pub(crate) fn note(&mut self, fact: u64) {
        self.hash.word(fact);
    }

    pub(crate) fn note_bytes(&mut self, bytes: &[u8]) {
        self.hash.bytes(bytes);
    }

    /// Keeps a decision for the report of a failure.
    pub(crate) fn tell(&mut self, id: u64, what: &'static str) {
        if self.told.len() == TOLD {
            self.told.pop_front();
        }
        self.told.push_back((self.now, id, what));
    }

    pub(crate) fn hash(&self) -> u64 {
        let mut hash = self.hash;
        for host in &self.hosts {
            hash.word(host.disk.digest());
        }
        hash.value()
    }
}
