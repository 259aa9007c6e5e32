//! One attempt: resolve, connect, greet, transfer, and an observation of every step.
//!
//! Floor 4: sees the machine only through `posthaste_io::World`. A probe is the same code, stopped early.
//! Not here: when to try (`queue`), and what an outcome means for a message (`dispatch`).

mod broken_tls;
pub mod courier;
mod family;
pub mod hosts;
pub mod line;
mod login;
pub mod lookup;
pub mod needs;
pub mod probe;
mod race;
pub mod reach;
mod record;
pub mod resolvers;
pub mod secrets;
mod secure;
pub mod settings;
mod talk;
pub mod transfer;

pub use courier::Courier;
pub use hosts::{AllHosts, Hosts, Turn};
pub use line::Line;
pub use needs::Needs;
pub use probe::Probed;
pub use reach::{Reached, Target, Unreached};
pub use resolvers::Resolvers;
pub use secrets::{NoSecrets, Secrets};
pub use settings::Settings;
pub use transfer::{Parcel, Transfer};
