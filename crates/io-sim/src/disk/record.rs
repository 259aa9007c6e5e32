//! A recording of all that reached a disk, from which any power cut can be replayed.

use super::cut::{self, Cut, Sector};
use super::state::{Op, State};
use super::{Limits, SimDisk};

/// A copy of the state is kept every so many operations, so that a cut replays few.
const CHECKPOINT_EVERY: usize = 64;

/// The operations of a disk in order. Plain data: cuts may be replayed from many threads.
#[derive(Clone)]
pub struct Recording {
    ops: Vec<Op>,
    checkpoints: Vec<State>,
    limits: Limits,
}

impl Recording {
    pub(super) fn new(start: State, limits: Limits) -> Self {
        Self { ops: Vec::new(), checkpoints: vec![start], limits }
    }

    /// Notes an operation and, where due, the state after it.
    pub(super) fn push(&mut self, op: Op, after: &State) {
        self.ops.push(op);
        if self.ops.len().is_multiple_of(CHECKPOINT_EVERY) {
            self.checkpoints.push(after.clone());
        }
    }

    /// How many operations there are; a cut may come after 0 to `len` of them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ops.len()
    }

    /// True when nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The operations, to find interesting cut points.
    #[must_use]
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// A new disk with what is left when the power goes after the first `at` operations (at most `len`),
    /// and `seed` chooses what of the unsynced changes landed. It has the recorded disk's capacity and no faults.
    #[must_use]
    pub fn cut(&self, at: usize, seed: u64) -> SimDisk {
        self.cut_by(at, Cut::Seeded(seed))
    }

    /// As [`Recording::cut`], with the way of the cut given.
    #[must_use]
    pub fn cut_by(&self, at: usize, how: Cut) -> SimDisk {
        self.cut_in(at, how, self.limits.sector)
    }

    /// As [`Recording::cut_by`] with another sector than the disk's.
    #[must_use]
    pub fn cut_in(&self, at: usize, how: Cut, sector: Sector) -> SimDisk {
        SimDisk::from_state(cut::cut(&self.state_at(at), how, sector), self.limits)
    }

    fn state_at(&self, at: usize) -> State {
        let at = at.min(self.ops.len());
        let checkpoint = at / CHECKPOINT_EVERY;
        let mut state = self.checkpoints[checkpoint].clone();
        for op in &self.ops[checkpoint * CHECKPOINT_EVERY..at] {
            state.apply(op);
        }
        state
    }
}
