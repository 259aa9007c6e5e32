//! The virtual world: a seeded executor, clock, network and disk with faults
