//! History thins instead of forgetting: how it began, how it went on and how it is now are kept, and what goes is the
//! middle of what was alike.
//!
//! One step at a time, each from nothing but what is kept: what is thinned early and often is the same as what is
//! thinned once, so that a store may do it whenever it reads.

use crate::KEPT_ATTEMPTS;
use posthaste_evidence::Attempt;
use std::collections::BTreeMap;

/// The last of a history that are never dropped.
const LAST_KEPT: usize = 5;

/// Remembers one more thing, and drops one when there are too many, `most` being at least 6. Things of one `series` are
/// looked at together, in order; a run is what is `like` its predecessor in its series. Out of the run with the most to
/// spare goes the middle: never its first, and none of the last of all. Should there be no run, the second of all goes.
pub fn remember<T>(
    kept: &mut Vec<T>,
    one: T,
    most: usize,
    series: impl Fn(&T) -> u64,
    like: impl Fn(&T, &T) -> bool,
) {
    kept.push(one);
    if kept.len() > most {
        let spared = kept.len().saturating_sub(LAST_KEPT);
        kept.remove(to_drop(&kept[..spared], series, like));
    }
}

/// Remembers one more attempt of a message; those for the same recipients are a series, and alike when they came to the
/// same for each.
pub fn remember_attempt(kept: &mut Vec<Attempt>, one: Attempt) {
    remember(kept, one, KEPT_ATTEMPTS, first_recipient, are_alike);
}

/// The place of what is told least by, among these.
fn to_drop<T>(items: &[T], series: impl Fn(&T) -> u64, like: impl Fn(&T, &T) -> bool) -> usize {
    // By series: the last one seen, and the run it belongs to. By run: those that are not its first.
    let mut open: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    let mut runs: Vec<Vec<usize>> = Vec::new();
    for (place, item) in items.iter().enumerate() {
        let run = match open.get(&series(item)) {
            Some((before, run)) if like(&items[*before], item) => {
                runs[*run].push(place);
                *run
            }
            _ => {
                runs.push(Vec::new());
                runs.len() - 1
            }
        };
        open.insert(series(item), (place, run));
    }
    // Of equal ones the oldest.
    let longest = runs.iter().rev().max_by_key(|run| run.len());
    let middle = longest.and_then(|run| run.get(run.len() / 2));
    middle.copied().unwrap_or_else(|| usize::from(items.len() > 1))
}

fn first_recipient(attempt: &Attempt) -> u64 {
    attempt.results.iter().map(|result| u64::from(result.recipient)).min().unwrap_or(u64::MAX)
}

fn are_alike(one: &Attempt, other: &Attempt) -> bool {
    one.results.len() == other.results.len()
        && one.results.iter().zip(&other.results).all(|(a, b)| {
            let faults = match (&a.fault, &b.fault) {
                (Some(a), Some(b)) => a.is_like(b),
                (a, b) => a.is_none() && b.is_none(),
            };
            a.recipient == b.recipient && a.outcome == b.outcome && faults
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Things are numbers: the thousands are the series, the hundreds what they are.
    fn fold(kept: &mut Vec<u32>, items: impl IntoIterator<Item = u32>) {
        for one in items {
            remember(kept, one, 20, |n| u64::from(n / 1000), |a, b| a / 100 == b / 100);
        }
    }

    fn thinned(items: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut kept = Vec::new();
        fold(&mut kept, items);
        kept
    }

    #[test]
    fn beginning_and_end_of_each_run_stay() {
        let few: Vec<u32> = (0..20).collect();
        assert_eq!(thinned(few.clone()), few);
        let one_run = thinned(0..99);
        assert_eq!((one_run[0], one_run.len(), &one_run[15..]), (0, 20, &[94, 95, 96, 97, 98][..]));
        // An early fault that was short is not lost, however long the next one lasts.
        let two = thinned((0..2).chain(100..199).chain([201]));
        assert_eq!((&two[..3], two.last()), (&[0, 1, 100][..], Some(&201)));
        // Two recipients in turn are two series.
        let in_turn = thinned((0..50).flat_map(|n| [n, 1000 + n]));
        assert!(in_turn.contains(&0) && in_turn.contains(&1000));
        assert_eq!(in_turn[18..], [49, 1049]);
        // Nothing alike: the first stays, and the last ones.
        let wild = thinned((0..99).map(|n| n * 100 % 1000 + n / 10 * 1000));
        assert_eq!((wild.len(), wild[0]), (20, 0));
    }

    proptest! {
        #[test]
        fn early_and_often_is_the_same_as_once(
            items in prop::collection::vec(0u32..3000, 0..90), cut in 0usize..90
        ) {
            let cut = cut.min(items.len());
            let mut early = thinned(items[..cut].iter().copied());
            fold(&mut early, items[cut..].iter().copied());
            let once = thinned(items.iter().copied());
            prop_assert_eq!(&early, &once);
            // What is kept, thinned again, stays.
            prop_assert_eq!(thinned(once.iter().copied()), once.clone());
            let last = items.len().saturating_sub(5);
            prop_assert!(once.ends_with(&items[last..]));
            prop_assert_eq!(once.first(), items.first());
        }
    }
}
