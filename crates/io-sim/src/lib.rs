//! The virtual world: a seeded executor, clock, network, journal and disk with faults.

pub mod disk;
mod hash;
pub mod rng;

pub use disk::{Cut, DiskFault, Recording, SimDisk, SimFile};
pub use rng::Rng;
