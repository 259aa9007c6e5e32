//! The doors to the world: clock, randomness, network, tasks, journal and disk as traits
