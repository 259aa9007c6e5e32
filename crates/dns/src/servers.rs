//! The configured servers: in which order they are asked, which are dead, and what is known of each.
//!
//! The configured order counts among servers that are about as quick (see [`NEAR_FACTOR`]); much slower ones, and
//! those that fail now and then, come after them. A server that fails for good is dead: mail asks it no more while
//! another one lives, and health questions (`resolver::health`) tell when it is back. Servers of the fallback list
//! are asked when all others have failed.
//!
//! Not here: asking (`resolver`).

mod health;
mod state;

pub use health::{EdnsSupport, MAX_KINDS, ServerHealth, ServerState};
pub use state::{
    CHECK_LIMIT, DROPPED_FOR, FIRST_REST, FOLDED_FOR, JITTER, LONGEST_REST, LONGEST_REST_OF_ALL,
    PLAIN_FOR,
};

use crate::cache::Key;
use crate::exchange::{Heard, Manner};
use crate::settings::Settings;
use parking_lot::Mutex;
use posthaste_evidence::{AnswerKind, NameServer};
use posthaste_io::Instant;
use posthaste_mail::Timestamp;
use state::State;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;

/// The most servers used of each list.
pub const MAX_SERVERS: usize = 16;
/// Servers up to so many times as slow as the best one are its equals: the configured order counts.
pub const NEAR_FACTOR: u32 = 2;
/// Servers slower than the best one by no more than this are its equals, too.
pub const NEAR_SPAN: Duration = Duration::from_millis(20);
/// A server that lost its place by being slow is asked beside the one that has it, every so often: nobody waits for
/// it, and it may have its place again.
pub const SHADOW_EVERY: Duration = Duration::from_secs(10);

/// The servers' order and health.
#[derive(Debug)]
pub struct Servers {
    states: Mutex<States>,
    tcp_only: bool,
    rotate: bool,
    /// How many are no fallback: the first ones.
    primaries: usize,
    /// Ticks when one answers after all were dead.
    recoveries: watch::Sender<u64>,
}

#[derive(Debug)]
struct States {
    list: Vec<State>,
    /// Who begins, when servers of equal standing take turns.
    turn: usize,
}

/// Who is to be asked.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Order {
    /// Places of the servers that live, the best first. While it is asked of each of them whether it is there, those of
    /// the fallback list go before them.
    pub line: Vec<usize>,
    /// Those of the fallback list that live: for when all of `line` have failed.
    pub fallback: Vec<usize>,
    /// Those that are dead, the fallback ones last: for when nobody lives.
    pub dead: Vec<usize>,
    /// Asked beside the first one, to see whether they are as good again. None is in `line`.
    pub shadows: Vec<usize>,
}

/// What an exchange with a server came to.
#[derive(Clone, Copy, Debug)]
pub struct Lesson<'a> {
    /// The question.
    pub question: &'a Key,
    /// How it was asked.
    pub manner: Manner,
    /// When.
    pub began: Instant,
    /// What came.
    pub heard: &'a Heard,
    /// Another server has answered the same question conclusively.
    pub contradicted: bool,
}

/// What a lesson changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Turns {
    /// The server is dead, from now: its health is to be asked after. The number of this death.
    pub died: Option<u64>,
    /// It was dead, and is back.
    pub revived: bool,
    /// It was silent, which may be the name's fault: it is to be asked now whether it is there
    /// ([`Servers::check_question`]).
    pub doubted: bool,
}

impl Servers {
    /// The servers of the settings, of each list the first [`MAX_SERVERS`].
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let primaries = settings.servers.iter().take(MAX_SERVERS);
        let fallback = settings.fallback.iter().take(MAX_SERVERS);
        let list: Vec<State> = primaries
            .map(|server| State::new(server.clone(), false))
            .chain(fallback.map(|server| State::new(server.clone(), true)))
            .collect();
        Self {
            states: Mutex::new(States { list, turn: 0 }),
            tcp_only: settings.tcp_only,
            rotate: settings.rotate,
            primaries: settings.servers.len().min(MAX_SERVERS),
            recoveries: watch::Sender::new(0),
        }
    }

    /// What is known of each, in the order configured, the fallback list last.
    #[must_use]
    pub fn health(&self, now: Instant) -> Vec<ServerHealth> {
        let states = self.states.lock();
        let lists = [0..self.primaries, self.primaries..states.list.len()];
        let orders = lists.map(|places| states.ranked(places.collect(), 0));
        let mut slow: Vec<usize> = Vec::new();
        for (order, near) in orders {
            slow.extend(order.into_iter().skip(near));
        }
        let seen = |(place, s): (usize, &State)| s.seen(slow.contains(&place), now);
        states.list.iter().enumerate().map(seen).collect()
    }

    /// How many servers every one of which must say the same to be believed: the fallback list is not among them.
    #[must_use]
    pub const fn primaries(&self) -> usize {
        self.primaries
    }

    /// Where a server is asked.
    #[must_use]
    pub fn address(&self, place: usize) -> Option<SocketAddr> {
        self.states.lock().list.get(place).map(|state| state.server.address)
    }

    /// It belongs to the fallback list.
    #[must_use]
    pub const fn is_fallback(&self, place: usize) -> bool {
        place >= self.primaries
    }

    /// Ticks when one answers after all were dead.
    #[must_use]
    pub fn recoveries(&self) -> watch::Receiver<u64> {
        self.recoveries.subscribe()
    }

    /// Tells those who listen to [`Servers::recoveries`].
    pub fn tell_recovery(&self) {
        self.recoveries.send_modify(|ticks| *ticks += 1);
    }

    /// Who is to be asked now.
    #[must_use]
    pub fn order(&self, now: Instant) -> Order {
        let mut states = self.states.lock();
        let turn = if self.rotate { states.turn } else { 0 };
        states.turn = states.turn.wrapping_add(1);
        let (line, near) = states.ranked((0..self.primaries).collect(), turn);
        let all = self.primaries..states.list.len();
        let (fallback, _) = states.ranked(all.collect(), turn);
        let dead = (0..states.list.len()).filter(|&place| states.list[place].dead.is_some());
        let mut order = Order { dead: dead.collect(), line, fallback, shadows: Vec::new() };
        let Some(&first) = order.line.first() else { return order };
        if order.line.iter().all(|&place| states.list[place].doubt.is_some()) {
            order.line.splice(0..0, order.fallback.iter().copied());
            return order;
        }
        let due = |place: &&usize| {
            let state = &states.list[**place];
            let rested = state.last_asked.is_none_or(|at| now - at >= SHADOW_EVERY);
            **place < first && rested
        };
        order.shadows = order.line[near..].iter().filter(due).copied().collect();
        order.line.retain(|place| !order.shadows.contains(place));
        order
    }

    /// True when no server is alive, the fallback list included.
    #[must_use]
    pub fn all_dead(&self) -> bool {
        self.states.lock().all_dead()
    }

    /// True when no server is known to speak: each is dead, or was silent and is being asked whether it is there.
    #[must_use]
    pub fn all_silent(&self) -> bool {
        let states = self.states.lock();
        states.list.iter().all(|state| state.dead.is_some() || state.doubt.is_some())
    }

    /// How a server is asked, which is asked now.
    #[must_use]
    pub fn asking(&self, place: usize, now: Instant) -> Option<(NameServer, Manner)> {
        let mut states = self.states.lock();
        let state = states.list.get_mut(place)?;
        let manner = state.asking(self.tcp_only, now);
        Some((state.server.clone(), manner))
    }

    /// Another server is asked because this one is slow.
    pub fn passed_by(&self, place: usize) {
        if let Some(state) = self.states.lock().list.get_mut(place) {
            state.suspect = true;
        }
    }

    /// It was silent with EDNS and answered without, not long ago.
    #[must_use]
    pub fn drops_edns(&self, place: usize, now: Instant) -> bool {
        self.states.lock().list.get(place).is_some_and(|state| state.drops_edns(now))
    }

    /// What a server's exchange came to. Answers what it changed, and whether all were dead until now.
    #[must_use]
    pub fn learn(
        &self,
        place: usize,
        lesson: &Lesson<'_>,
        now: (Instant, Timestamp),
    ) -> (Turns, bool) {
        self.change(place, |state| state.learn(lesson, now))
    }

    /// Another server answered conclusively what this one failed with `kind`.
    #[must_use]
    pub fn contradict(
        &self,
        place: usize,
        kind: AnswerKind,
        question: &Key,
        at: Timestamp,
    ) -> Turns {
        self.change(place, |state| state.contradict(kind, question, at)).0
    }

    /// How long a dead server rests before its next health question; `None` when it is back since.
    #[must_use]
    pub fn rest(&self, place: usize, death: u64, jitter: u64, at: Timestamp) -> Option<Duration> {
        let mut states = self.states.lock();
        let longest = if states.all_dead() { LONGEST_REST_OF_ALL } else { LONGEST_REST };
        states.list.get_mut(place)?.rest(death, longest, jitter, at)
    }

    /// How long a dead server rests at most from now on, since no other one lives any more; `None` when it is back.
    #[must_use]
    pub fn hurry(&self, place: usize, death: u64, jitter: u64, at: Timestamp) -> Option<Duration> {
        self.states.lock().list.get_mut(place)?.hurry(death, jitter, at)
    }

    /// The question that shows whether a dead server is back, which is asked now; `None` when it is.
    #[must_use]
    pub fn health_question(
        &self,
        place: usize,
        death: u64,
        now: Instant,
    ) -> Option<(NameServer, Manner, Key)> {
        let mut states = self.states.lock();
        let state = states.list.get_mut(place)?;
        let question = state.health_question(death)?;
        let manner = state.asking_health(self.tcp_only, now);
        Some((state.server.clone(), manner, question))
    }

    /// The question that shows whether a silent server is there, which is asked now: it hangs on no name.
    #[must_use]
    pub fn check_question(&self, place: usize, now: Instant) -> Option<(NameServer, Manner, Key)> {
        let mut states = self.states.lock();
        let state = states.list.get_mut(place)?;
        let manner = state.asking_health(self.tcp_only, now);
        Some((state.server.clone(), manner, state::neutral()))
    }

    /// What the answer to [`Servers::check_question`] came to, like [`Servers::learn`].
    #[must_use]
    pub fn checked(
        &self,
        place: usize,
        lesson: &Lesson<'_>,
        now: (Instant, Timestamp),
    ) -> (Turns, bool) {
        self.change(place, |state| state.checked(lesson, now))
    }

    fn change(&self, place: usize, change: impl FnOnce(&mut State) -> Turns) -> (Turns, bool) {
        let mut states = self.states.lock();
        let all_dead = states.all_dead();
        let turns = states.list.get_mut(place).map(change).unwrap_or_default();
        (turns, all_dead && turns.revived)
    }
}

impl States {
    fn all_dead(&self) -> bool {
        self.list.iter().all(|state| state.dead.is_some())
    }

    /// The living ones of these places, the best first, and how many of them are equals of the best.
    fn ranked(&self, places: Vec<usize>, turn: usize) -> (Vec<usize>, usize) {
        let alive: Vec<usize> =
            places.into_iter().filter(|&p| self.list[p].dead.is_none()).collect();
        let costs = alive.iter().filter(|&&p| !self.list[p].suspect);
        let best = costs.filter_map(|&p| self.list[p].cost()).min();
        let is_near = |place: &usize| {
            let state = &self.list[*place];
            // Of whom nothing is known, nothing bad is known.
            let near = |cost| best.is_none_or(|b| cost <= (b * NEAR_FACTOR).max(b + NEAR_SPAN));
            !state.suspect && state.cost().is_none_or(near)
        };
        let (mut line, mut slow): (Vec<usize>, Vec<usize>) = alive.into_iter().partition(is_near);
        let near = line.len();
        if near > 0 {
            line.rotate_left(turn % near);
        }
        slow.sort_by_key(|&place| {
            let state = &self.list[place];
            (state.suspect, state.cost(), place)
        });
        line.append(&mut slow);
        (line, near)
    }
}

#[cfg(test)]
mod tests;
