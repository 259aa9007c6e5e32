//! The scheduler, driven as the dispatcher drives it, through time that only its own answers move.

mod acts;
mod limits;
mod model;
mod notices;
mod promises;
mod stories;
mod world;
