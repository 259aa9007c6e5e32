//! The store of one machine: a segment log with group commit.
//!
//! [`Log`] is the log itself: synchronous, one owner, no thread, no clock. [`LocalSpool`] is the store that
//! others see; a driver moves requests into the log: a thread in the real world, a task in the simulator.

mod batch;
mod bodies;
mod check;
mod driver;
mod encode;
mod entry;
mod files;
mod gc;
mod inbox;
mod index;
mod layout;
mod local;
mod log;
mod manifest;
mod open;
mod orphans;
mod place;
mod pump;
mod quarantine;
pub mod restarts;
mod salvage;
mod scan;
mod shared;
mod telling;
pub mod versions;

pub use check::Checked;
pub use driver::Timing;
pub use inbox::INBOX_OCTETS;
pub use local::LocalSpool;
#[doc(hidden)]
pub use log::Sabotage;
pub use log::{Answer, Failed, Group, Log, Request, Settings};
pub use open::{LOST, OpenError, Report};
pub use quarantine::Fate;
pub use salvage::{Left, Salvaged, Stretch};
