//! The promises, held against everything that the book-keeper knows.

use crate::world::World;
use posthaste_mail::QueueId;
use posthaste_queue::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

impl World {
    /// The promises, held against everything there is.
    pub(crate) fn check(&self) {
        self.check_waiting();
        self.check_notices();
        self.check_counts();
        self.check_limits();
    }

    fn check_waiting(&self) {
        for key in self.live.keys() {
            let waiting = self.scheduler.wait_reason(self.now, key.0, key.1);
            let waiting = waiting.unwrap_or_else(|| panic!("{key:?} has no answer"));
            let flies = self.in_flight.contains_key(key);
            assert_eq!(waiting == Waiting::InFlight, flies, "{key:?} {waiting:?}");
        }
    }

    /// Whoever waits longer than he may without a notice has company in flight, or a sender who does not want to know;
    /// and whoever is ending ends at its time.
    fn check_notices(&self) {
        let Settings { schedule, .. } = self.scheduler.settings();
        for ((id, number), (_, state)) in &self.live {
            let running = self.scheduler.is_running();
            assert!(!running || !state.life.is_ending() || state.due >= self.now, "{id} {number}");
            let Some(due) = schedule.delay.due_anyway(state.warned) else { continue };
            let at = self.received[id].plus(due).plus(Duration::from_secs(1));
            let open = state.life.waits() && due < schedule.expire_after && running;
            if at < self.now && open && !self.unwanted.contains(id) {
                let flies = self.in_flight.keys().any(|(other, _)| other == id);
                assert!(flies, "{id} {number} should have been told at {at}, now {}", self.now);
            }
        }
    }

    fn check_counts(&self) {
        let views = self.scheduler.destinations(self.now, None, usize::MAX);
        let mut messages = BTreeMap::<_, BTreeSet<QueueId>>::new();
        let (mut recipients, mut held) = (BTreeMap::<_, u32>::new(), BTreeMap::<_, u32>::new());
        for ((id, _), (destination, state)) in &self.live {
            messages.entry(*destination).or_default().insert(*id);
            *recipients.entry(*destination).or_default() += 1;
            *held.entry(*destination).or_default() +=
                u32::from(matches!(state.life, Life::Held | Life::Poison));
        }
        for view in views {
            let count = messages.get(&view.id).map_or(0, BTreeSet::len);
            assert_eq!(view.messages as usize, count, "{}", view.name);
            assert_eq!(view.recipients, recipients.remove(&view.id).unwrap_or(0));
            assert_eq!(view.held, held.remove(&view.id).unwrap_or(0));
        }
        assert!(recipients.is_empty(), "every destination with mail is listed");
        let all: BTreeSet<QueueId> = self.live.keys().map(|k| k.0).collect();
        assert_eq!(self.scheduler.len(), all.len());
    }

    fn check_limits(&self) {
        let limits = self.scheduler.settings().limits;
        assert!(self.scheduler.connections() <= limits.connections as usize);
        let mut of_host = BTreeMap::<SocketAddr, u32>::new();
        for host in self.open.values().filter_map(|o| o.host) {
            *of_host.entry(host).or_default() += 1;
        }
        assert!(of_host.values().all(|n| *n <= u32::from(limits.host)), "{of_host:?}");
        for view in self.scheduler.destinations(self.now, None, usize::MAX) {
            assert!(view.connections <= u32::from(limits.destination_max), "{view:?}");
        }
    }
}
