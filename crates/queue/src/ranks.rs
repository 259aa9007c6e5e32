//! Members in order of acceptance, apart by how many delay notices they have passed: so that who expires first, and who
//! is to be told first, is found without an order by time for each.
//!
//! Nearly all have passed none: the others cost nothing until there are some.

use posthaste_mail::Timestamp;
use std::collections::BTreeSet;

/// The rank of those that have no delay notices: our own notices.
pub(crate) const NEVER: u8 = u8::MAX;

/// Of one rank.
pub(crate) type Rank<T> = BTreeSet<(Timestamp, T)>;

/// By rank, then by acceptance.
#[derive(Debug)]
pub(crate) struct Ranks<T> {
    untold: Rank<T>,
    /// The others, in no order; none is empty.
    told: Vec<(u8, Rank<T>)>,
}

impl<T: Ord + Copy> Ranks<T> {
    pub(crate) const fn new() -> Self {
        Self { untold: Rank::new(), told: Vec::new() }
    }

    pub(crate) fn insert(&mut self, rank: u8, received: Timestamp, member: T) {
        let of_rank = match self.told.iter().position(|(other, _)| *other == rank) {
            _ if rank == 0 => &mut self.untold,
            Some(place) => &mut self.told[place].1,
            None => {
                self.told.push((rank, Rank::new()));
                &mut self.told.last_mut().expect("pushed").1
            }
        };
        of_rank.insert((received, member));
    }

    pub(crate) fn remove(&mut self, rank: u8, received: Timestamp, member: T) {
        if rank == 0 {
            self.untold.remove(&(received, member));
        } else if let Some(place) = self.told.iter().position(|(other, _)| *other == rank) {
            self.told[place].1.remove(&(received, member));
            if self.told[place].1.is_empty() {
                self.told.swap_remove(place);
            }
        }
    }

    /// The ranks that have members.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u8, &Rank<T>)> {
        let told = self.told.iter().map(|(rank, members)| (*rank, members));
        let untold = (!self.untold.is_empty()).then_some((0, &self.untold));
        untold.into_iter().chain(told)
    }

    /// Some have passed a notice, or have none to come.
    pub(crate) const fn has_told(&self) -> bool {
        !self.told.is_empty()
    }

    /// The first of each rank but the lowest, and when it was accepted.
    pub(crate) fn firsts_told(&self) -> impl Iterator<Item = (u8, Timestamp)> {
        let first = |(rank, members): &(u8, Rank<T>)| Some((*rank, members.first()?.0));
        self.told.iter().filter_map(first)
    }

    pub(crate) fn of(&self, rank: u8) -> Option<&Rank<T>> {
        match rank {
            0 => Some(&self.untold),
            _ => self.told.iter().find(|(other, _)| *other == rank).map(|(_, members)| members),
        }
    }

    /// When the first of a rank was accepted.
    pub(crate) fn first(&self, rank: u8) -> Option<Timestamp> {
        self.of(rank)?.first().map(|(received, _)| *received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rank_has_an_order_of_its_own() {
        let at = Timestamp::from_secs;
        let mut ranks = Ranks::new();
        for (rank, received, member) in [(0, 5, 'a'), (0, 3, 'b'), (2, 1, 'c'), (NEVER, 2, 'd')] {
            ranks.insert(rank, at(received), member);
        }
        let firsts: Vec<_> = ranks.iter().map(|(rank, _)| (rank, ranks.first(rank))).collect();
        assert_eq!(firsts, [(0, Some(at(3))), (2, Some(at(1))), (NEVER, Some(at(2)))]);
        ranks.remove(2, at(1), 'c');
        ranks.remove(2, at(1), 'c');
        assert_eq!((ranks.first(2), ranks.iter().count()), (None, 2));
        ranks.remove(0, at(3), 'b');
        ranks.remove(0, at(5), 'a');
        assert_eq!((ranks.first(0), ranks.iter().count()), (None, 1));
    }
}
