//! Randomness from the operating system, fetched in blocks.

use parking_lot::Mutex;
use posthaste_io::Random;

/// Octets fetched at once: one system call for 64 numbers.
const BLOCK: usize = 512;

/// The operating system's generator (getrandom).
pub(crate) struct OsRandom {
    block: Mutex<Block>,
}

struct Block {
    octets: [u8; BLOCK],
    used: usize,
}

impl OsRandom {
    pub(crate) fn new() -> Self {
        Self { block: Mutex::new(Block { octets: [0; BLOCK], used: BLOCK }) }
    }
}

impl Random for OsRandom {
    fn next(&self) -> u64 {
        let mut block = self.block.lock();
        if block.used == BLOCK {
            fill(&mut block.octets);
            block.used = 0;
        }
        let at = block.used;
        block.used += 8;
        let taken = &mut block.octets[at..at + 8];
        let number = taken.try_into().map(u64::from_ne_bytes).expect("eight octets were taken");
        // What has been given out is not kept: a core dump must not tell DNS ids in use.
        taken.fill(0);
        number
    }
}

fn fill(octets: &mut [u8]) {
    let mut done = 0;
    while done < octets.len() {
        match rustix::rand::getrandom(&mut octets[done..], rustix::rand::GetRandomFlags::empty()) {
            Ok(got) => done += got,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the operating system gives no random numbers: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_do_not_repeat_across_blocks_or_sources() {
        let (one, other) = (OsRandom::new(), OsRandom::new());
        let numbers: BTreeSet<u64> = (0..500).flat_map(|_| [one.next(), other.next()]).collect();
        assert_eq!(numbers.len(), 1000);
        assert!((0..1000).all(|_| one.below(3) < 3));
    }
}
