//! A thousand random stories; the promises hold in each, and a seed tells the same story twice.

use posthaste_sim::{Store, chaos};

/// How many seeds one run tells; more with `SEEDS=n`.
fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// Two threads share the work: these stories are the longest tests of the house.
fn tell(store: &Store, seeds: impl Iterator<Item = u64>) {
    let (mut acknowledged, mut crashes, mut told_of) = (0, 0, 0);
    for seed in seeds {
        let told = chaos::tell(seed, store.clone());
        assert!(told.broken.is_empty(), "seed {seed}: {:#?}", told.broken);
        acknowledged += told.acknowledged;
        crashes += told.crashes;
        told_of += 1;
    }
    let summary = format!("{told_of} seeds, {acknowledged} messages, {crashes} crashes");
    eprintln!("{store:?}: {summary}");
    assert!(acknowledged > told_of, "the stories are about something");
}

#[test]
fn the_promises_hold_in_every_story_with_even_seeds() {
    tell(&Store::Local, (0..seeds()).step_by(2));
}

#[test]
fn the_promises_hold_in_every_story_with_odd_seeds() {
    tell(&Store::Local, (1..seeds()).step_by(2));
}

#[test]
fn the_promises_hold_with_the_store_in_memory() {
    tell(&Store::Memory, 0..seeds() / 10);
}

#[test]
fn a_disk_that_lies_about_its_sync_is_found_out() {
    let broken = (0..60).flat_map(|seed| chaos::tell(seed, Store::Lying).broken);
    assert!(broken.into_iter().any(|b| b.starts_with("promise 1")), "the checkers are blind");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 17, 40] {
        for store in [Store::Memory, Store::Local] {
            let once = chaos::tell(seed, store.clone());
            let again = chaos::tell(seed, store.clone());
            assert_eq!(once.hash, again.hash, "seed {seed}, {store:?}");
        }
    }
}
