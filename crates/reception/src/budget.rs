//! The memory that message bodies on their way in may take, of all sessions together.
//!
//! Nobody ever waits for it: who gets nothing writes to a file (design: spool rule 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The budget.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    used: AtomicUsize,
}

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Arc<Budget>,
    octets: usize,
}

impl Budget {
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), octets: 0 }
    }

    /// Octets in use.
    pub(crate) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

impl Share {
    /// Takes more, unless all shares together would go over `limit`.
    pub(crate) fn grow(&mut self, octets: usize, limit: usize) -> bool {
        let before = self.budget.used.fetch_add(octets, Ordering::Relaxed);
        if before.saturating_add(octets) > limit {
            self.budget.used.fetch_sub(octets, Ordering::Relaxed);
            return false;
        }
        self.octets += octets;
        true
    }

    /// Gives all back.
    pub(crate) fn release(&mut self) {
        let octets = std::mem::take(&mut self.octets);
        self.budget.used.fetch_sub(octets, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_come_back() {
        let budget = Arc::new(Budget::default());
        let mut first = budget.share();
        let mut second = budget.share();
        assert!(first.grow(60, 100) && !second.grow(50, 100) && second.grow(40, 100));
        assert!(!first.grow(1, 100) && first.grow(0, 100));
        drop(first);
        assert_eq!(budget.used(), 40);
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
