//! Power cuts: the writes of a seeded workload are recorded, and the power is cut at thousands of points; every
//! prefix, and every loss, reordering and tearing that a disk is allowed between two syncs. What the store then
//! finds must be what the workload had been promised, neither less nor half of anything.
//!
//! The suite is itself under test: with a sync left out, or a rule of the log broken, it must find the fault.

mod check;
mod lying;
mod model;
mod workload;

use check::Recorded;
use lying::Lie;
use posthaste_spool_local::Sabotage;
use workload::Plan;

/// Cut points of the whole suite.
const CUTS: usize = 2_400;

fn plan(seed: u64) -> Plan {
    Plan { seed, steps: 260, lie: Lie::Nothing, sabotage: None }
}

#[test]
fn what_was_promised_survives_every_cut() {
    assert_eq!(survive_all(&[1, 2, 3, 4], 260, CUTS), CUTS);
}

/// Hours of it, for those who change the log: `cargo test --release -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn a_long_hunt_finds_nothing() {
    let seeds: Vec<u64> = (100..200).collect();
    survive_all(&seeds, 700, 100_000);
}

/// On two threads; answers how many cuts were replayed.
fn survive_all(seeds: &[u64], steps: usize, cuts: usize) -> usize {
    let each = cuts / seeds.len();
    std::thread::scope(|scope| {
        let halves = seeds.chunks(seeds.len().div_ceil(2)).map(|half| {
            scope.spawn(move || half.iter().map(|seed| survive(*seed, steps, each)).sum::<usize>())
        });
        let running: Vec<_> = halves.collect();
        running.into_iter().map(|half| half.join().expect("no violation")).sum()
    })
}

/// Replays so many cuts spread over a run; answers how many.
fn survive(seed: u64, steps: usize, cuts: usize) -> usize {
    let recorded = Recorded::of(&Plan { steps, ..plan(seed) });
    assert!(recorded.recycled > 10, "the workload recycles segments: {}", recorded.recycled);
    for n in 0..cuts {
        if let Err(violation) = recorded.check_cut(n, cuts) {
            panic!("seed {seed}, cut {n} of {cuts}: {violation}");
        }
    }
    cuts
}

/// True when some cut of some run shows that a promise was broken.
#[allow(clippy::print_stdout, reason = "what was found out is worth seeing")]
fn is_found_out(broken: impl Fn(u64) -> Plan) -> bool {
    (1..=6).any(|seed| {
        let recorded = Recorded::of(&broken(seed));
        (0..400).any(|n| match recorded.check_cut(n, 400) {
            Err(violation) => {
                println!("seed {seed}: {violation}");
                true
            }
            Ok(()) => false,
        })
    })
}

#[test]
fn a_missing_sync_before_the_acknowledgement_is_found_out() {
    assert!(is_found_out(|seed| Plan { lie: Lie::GroupSync, ..plan(seed) }));
}

#[test]
fn a_missing_sync_of_a_recycled_header_is_found_out() {
    assert!(is_found_out(|seed| Plan { lie: Lie::HeaderSync, ..plan(seed) }));
}

#[test]
fn a_missing_sync_of_the_folder_is_found_out() {
    assert!(is_found_out(|seed| Plan { lie: Lie::FolderSync, ..plan(seed) }));
}

#[test]
fn a_missing_sync_of_a_large_body_is_found_out() {
    assert!(is_found_out(|seed| Plan { lie: Lie::BodySync, ..plan(seed) }));
}

#[test]
fn trust_in_what_the_last_run_left_is_found_out() {
    let sabotage = Some(Sabotage::TrustTheTail);
    assert!(is_found_out(|seed| Plan { sabotage, ..plan(seed) }));
}

#[test]
fn a_broken_tombstone_rule_is_found_out() {
    let sabotage = Some(Sabotage::NoTombstoneRule);
    assert!(is_found_out(|seed| Plan { sabotage, ..plan(seed) }));
}
