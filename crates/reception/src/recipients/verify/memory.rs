//! What next hops have said, for how long it holds, and who is being asked. Plain data under one short lock.
//!
//! Bounded: the answers by their number, questions by their own limit, next hops and domains by the configuration.

use super::Answer;
use posthaste_evidence::Fault;
use posthaste_io::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

#[derive(Default)]
pub(super) struct Memory {
    entries: BTreeMap<Arc<str>, Entry>,
    /// Which entry ends when, the first first.
    ends: BTreeSet<(Instant, Arc<str>)>,
    asked: BTreeMap<Arc<str>, watch::Receiver<Option<Answer>>>,
    next_hops: BTreeMap<String, NextHop>,
    /// Domains put to the control, and whether they take everybody.
    controls: BTreeMap<String, bool>,
    /// Counts how often everything was forgotten: late answers to what was asked before do not count.
    generation: u64,
}

struct Entry {
    answer: Answer,
    until: Instant,
    refresh: Instant,
}

#[derive(Default)]
struct NextHop {
    place: Option<Place>,
    rests: Option<(Instant, Fault)>,
}

/// The turns of questions to one next hop.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) turns: Arc<Semaphore>,
    size: usize,
}

/// What is remembered of an address.
pub(super) struct Held {
    pub(super) answer: Answer,
    /// It nears its end: ask again.
    pub(super) refresh: bool,
}

impl Memory {
    pub(super) fn get(&mut self, key: &str, now: Instant) -> Option<Held> {
        let entry = self.entries.get(key)?;
        if entry.until <= now {
            self.remove(key);
            return None;
        }
        Some(Held { answer: entry.answer.clone(), refresh: entry.refresh <= now })
    }

    pub(super) fn remember(
        &mut self,
        key: Arc<str>,
        answer: Answer,
        until: Instant,
        refresh: Instant,
        most: usize,
    ) {
        self.remove(&key);
        while self.entries.len() >= most.max(1) {
            let Some((_, first)) = self.ends.pop_first() else { break };
            self.entries.remove(&first);
        }
        self.ends.insert((until, Arc::clone(&key)));
        self.entries.insert(key, Entry { answer, until, refresh });
    }

    /// Asking again has failed: an answer that still holds is kept, and refreshed later. False when none holds.
    pub(super) fn postpone(&mut self, key: &str, now: Instant, refresh: Instant) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.until > now && entry.answer == Answer::Exists => {
                entry.refresh = refresh;
                true
            }
            _ => false,
        }
    }

    fn remove(&mut self, key: &str) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.ends.remove(&(entry.until, key));
        }
    }

    pub(super) fn forget(&mut self) {
        self.entries.clear();
        self.ends.clear();
        self.next_hops.clear();
        self.controls.clear();
        self.asked.clear();
        self.generation += 1;
    }

    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    /// The question under way for this address; one whose task is gone is none.
    pub(super) fn asked(&self, key: &str) -> Option<watch::Receiver<Option<Answer>>> {
        self.asked.get(key).filter(|told| told.has_changed().is_ok()).cloned()
    }

    pub(super) fn ask(&mut self, key: Arc<str>, told: watch::Receiver<Option<Answer>>) {
        self.asked.insert(key, told);
    }

    pub(super) fn answered(&mut self, key: &str) {
        self.asked.remove(key);
    }

    pub(super) fn questions(&self) -> usize {
        self.asked.len()
    }

    pub(super) fn place(&mut self, next_hop: &str, size: usize) -> Place {
        let known = self.next_hops.entry(next_hop.to_owned()).or_default();
        match &known.place {
            Some(place) if place.size == size => place.clone(),
            _ => {
                let place = Place { turns: Arc::new(Semaphore::new(size.max(1))), size };
                known.place.insert(place).clone()
            }
        }
    }

    /// Why a next hop is left alone now.
    pub(super) fn resting(&self, next_hop: &str, now: Instant) -> Option<Fault> {
        let (until, fault) = self.next_hops.get(next_hop)?.rests.as_ref()?;
        (*until > now).then(|| fault.clone())
    }

    pub(super) fn rest(&mut self, next_hop: &str, until: Instant, fault: Fault) {
        self.next_hops.entry(next_hop.to_owned()).or_default().rests = Some((until, fault));
    }

    /// True when the domain has not been put to the control yet; from now on it has.
    pub(super) fn begin_control(&mut self, domain: &str) -> bool {
        if self.controls.contains_key(domain) {
            return false;
        }
        self.controls.insert(domain.to_owned(), false);
        true
    }

    /// What the control came to; when it did not decide, there will be another. True when everybody is taken.
    pub(super) fn controlled(
        &mut self,
        domain: &str,
        generation: u64,
        decided: bool,
        everybody: bool,
    ) -> bool {
        if generation != self.generation {
            return false;
        }
        if decided {
            self.controls.insert(domain.to_owned(), everybody);
        } else {
            self.controls.remove(domain);
        }
        everybody
    }

    pub(super) fn take_everybody(&self) -> Vec<String> {
        let everybody = self.controls.iter().filter(|(_, everybody)| **everybody);
        everybody.map(|(domain, _)| domain.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOUR: Duration = Duration::from_secs(3600);

    fn remember(memory: &mut Memory, key: &str, until: Instant) {
        memory.remember(key.into(), Answer::Exists, until, until, 3);
    }

    #[test]
    fn what_ends_first_makes_room() {
        let mut memory = Memory::default();
        let now = Instant(0);
        for (key, hours) in [("a", 3), ("b", 1), ("c", 2), ("a", 5), ("d", 4)] {
            remember(&mut memory, key, now + HOUR * hours);
        }
        let held = |memory: &mut Memory, key| memory.get(key, now).is_some();
        assert!(!held(&mut memory, "b"), "it would have ended first");
        assert!(["a", "c", "d"].into_iter().all(|key| held(&mut memory, key)));
        assert!(memory.get("c", now + HOUR * 2).is_none(), "its time is over");
        assert_eq!((memory.entries.len(), memory.ends.len()), (2, 2));
    }

    #[test]
    fn a_forgotten_memory_takes_no_late_answers() {
        let mut memory = Memory::default();
        assert!(memory.begin_control("d.example") && !memory.begin_control("d.example"));
        let before = memory.generation();
        memory.forget();
        assert!(!memory.controlled("d.example", before, true, true));
        assert!(memory.take_everybody().is_empty() && memory.begin_control("d.example"));
    }
}
