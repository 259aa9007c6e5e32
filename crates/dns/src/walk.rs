//! From the root, or the configured roots of a closed network, to the servers that know (RFC 1034 section 5.3.3).
//!
//! Evidence for the rare moment before a bounce and for checks; never on the fast path of mail. Not here: asking
//! recursive servers (`resolver`).

pub mod roots;

pub use roots::ROOTS;

use crate::settings::Settings;
use posthaste_evidence::Observation;
use posthaste_io::World;
use std::net::SocketAddr;

/// What the servers of the closest enclosing delegated zone say of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Existence {
    /// One of them knows it, or delegates it.
    Exists {
        /// The zone, in the resolver's form.
        zone: String,
        /// Who says so.
        by: SocketAddr,
    },
    /// One of them says, with authority, that it does not exist.
    Missing {
        /// The zone, in the resolver's form.
        zone: String,
        /// Who says so.
        by: SocketAddr,
    },
    /// None of them could be asked, or there are no roots to begin with.
    Unreachable,
}

/// A walk that has ended.
#[derive(Clone, PartialEq, Debug)]
pub struct Walked {
    /// What it came to.
    pub existence: Existence,
    /// One for each server asked, in the order of their answers.
    pub observations: Vec<Observation>,
}

/// Asks, from the roots of `settings` down, whether `name` exists.
pub async fn existence(_world: &World, _settings: &Settings, _name: &str) -> Walked {
    Walked { existence: Existence::Unreachable, observations: Vec::new() }
}
