//! A thousand random stories; the promises hold in each, and a seed tells the same story twice.

use posthaste_sim::{Store, chaos};

/// How many seeds one run tells; more with `SEEDS=n`.
fn seeds() -> u64 {
    std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(100)
}

#[test]
fn the_promises_hold_in_every_story() {
    let (mut acknowledged, mut crashes) = (0, 0);
    for seed in 0..seeds() {
        let told = chaos::tell(seed, Store::Memory);
        assert!(told.broken.is_empty(), "seed {seed}: {:#?}", told.broken);
        acknowledged += told.acknowledged;
        crashes += told.crashes;
    }
    println!("{} seeds: {acknowledged} messages acknowledged, {crashes} crashes", seeds());
    assert!(acknowledged as u64 > seeds(), "the stories are about something");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in [3, 17, 40] {
        let once = chaos::tell(seed, Store::Memory);
        assert_eq!(once.hash, chaos::tell(seed, Store::Memory).hash, "seed {seed}");
    }
}
