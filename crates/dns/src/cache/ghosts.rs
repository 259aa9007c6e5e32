//! Names that were dropped a moment ago: one that comes again at once was worth keeping.
//!
//! A few octets each, and bounded. Names are told apart by a hash: two that share one cost no more than a place in the
//! wrong line.

use super::Key;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// The last keys dropped.
#[derive(Debug, Default)]
pub(super) struct Ghosts {
    known: BTreeSet<u64>,
    line: VecDeque<u64>,
}

impl Ghosts {
    /// Remembers a key; of more than `most` the oldest are forgotten.
    pub(super) fn add(&mut self, key: &Key, most: usize) {
        let hash = hash(key);
        if self.known.insert(hash) {
            self.line.push_back(hash);
        }
        while self.line.len() > most {
            let Some(oldest) = self.line.pop_front() else { return };
            self.known.remove(&oldest);
        }
    }

    /// Whether a key was dropped a moment ago.
    pub(super) fn has(&self, key: &Key) -> bool {
        self.known.contains(&hash(key))
    }
}

fn hash(key: &Key) -> u64 {
    // Without chance, so that one seed is one run.
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::RecordType;

    #[test]
    fn the_last_ones_are_known() {
        let mut ghosts = Ghosts::default();
        let key = |i: u32| (format!("n{i}"), RecordType::A);
        for i in (0..1000).chain(990..1000) {
            ghosts.add(&key(i), 10);
            assert_eq!(ghosts.known.len(), ghosts.line.len());
        }
        for i in 0..1000 {
            assert_eq!(ghosts.has(&key(i)), i >= 990, "{i}");
        }
    }
}
