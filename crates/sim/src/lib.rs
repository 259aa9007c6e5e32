//! Whole mail systems in virtual time: the agents as they are, on `io-sim`, with scripted peers around them.
//!
//! Rooms: [`system`] builds and breaks one, [`client`] hands mail in, [`check`] holds the outcome to the
//! promises of the design, [`notices`] holds what senders are told to the rules, [`chaos`] makes a random story of a seed. The checkers look from outside only: at
//! what clients were told, what peers took, what the event log and the store say.

pub mod chaos;
pub mod check;
pub mod client;
pub mod mime;
pub mod neighbour;
mod next_hops;
pub mod notices;
pub mod probing;
pub mod reading;
mod secrets;
mod sieve;
pub mod system;

pub use check::Verdict;
pub use client::{Handed, Ledger, Letter};
pub use neighbour::Neighbour;
pub use probing::Probing;
pub use reading::Reading;
pub use system::{MailSystem, Plan, Store};
