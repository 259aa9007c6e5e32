//! New states come to the store in the order in which they were made in memory.
//!
//! Each task makes them under the scheduler's lock and hands them over after it, without a wait in between. What is made
//! of a recipient next nearly always takes a host's answer, and so comes later by itself. Delay notices do not: they
//! change what merely waits, at any moment, and an older state that came after theirs would have them told twice.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Taken before any other lock, and never across a wait.
#[derive(Default)]
pub(crate) struct Order(RwLock<()>);

impl Order {
    /// From new states of recipients to their hand-over to the store.
    pub(crate) fn keep(&self) -> RwLockReadGuard<'_, ()> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, while nobody else is between the two.
    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, ()> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
