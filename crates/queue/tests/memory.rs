//! A million messages have to fit: what they cost is measured on this very process.
//!
//! Alone in its binary, so that no other test's memory is counted.
#![cfg(target_os = "linux")]

use posthaste_mail::{QueueId, Timestamp};
use posthaste_queue::{DestinationId, Item, RecipientState, Scheduler, Settings};
use std::time::Duration;

const COUNT: u64 = 100_000;
const PAGE: u64 = 4096;
/// Design: the fast path.
const OCTETS_PER_MESSAGE: u64 = 300;
const OCTETS_PER_DESTINATION: u64 = 256;

/// Octets of this process in memory.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux has it");
    let pages = statm.split(' ').nth(1).expect("its second number is resident");
    pages.parse::<u64>().expect("a number") * PAGE
}

fn fill(scheduler: &mut Scheduler, now: Timestamp, destinations: &[DestinationId]) {
    for (n, destination) in (0..COUNT).zip(destinations.iter().cycle()) {
        let recipients = [(0, *destination, RecipientState::default())];
        let id = QueueId::from_u64(QueueId::first_at(now).as_u64() + n);
        let item = Item { id, received: now, size: 10_000, notice: false, recipients: &recipients };
        scheduler.insert(now, &item).expect("the destinations are known");
    }
}

#[test]
fn messages_and_idle_destinations_are_small() {
    let now = Timestamp::from_secs(1_800_000_000);
    let mut scheduler = Scheduler::new(Settings::default());
    let before = resident();
    let all: Vec<DestinationId> = (0..COUNT)
        .map(|n| scheduler.destination(now, &format!("mail-{n}.some-domain.example"), "default"))
        .collect();
    let with_destinations = resident();
    fill(&mut scheduler, now, &all[..1000]);
    let with_messages = resident();
    let per_destination = (with_destinations - before) / COUNT;
    let per_message = (with_messages - with_destinations) / COUNT;
    println!("{per_destination} octets per idle destination, {per_message} per message");
    assert!(per_destination <= OCTETS_PER_DESTINATION, "{per_destination}");
    assert!(per_message <= OCTETS_PER_MESSAGE, "{per_message}");

    // unused ones are forgotten
    scheduler.start(now);
    let later = now.plus(Duration::from_secs(601));
    while scheduler.forget(later).is_some() {}
    assert_eq!(scheduler.destinations(later, None, usize::MAX).len(), 1000);
}
