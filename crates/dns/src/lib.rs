//! DNS for a mail transport: a resolver that remembers which server said what.
//!
//! Its rooms, from the wire up: [`wire`] (codec), [`meaning`] (what a reply amounts to), [`stream`] (kept connections by
//! TLS), [`exchange`] (one question to one server), [`servers`] (their health and order), [`cache`], [`resolver`]
//! (strategy), [`questions`] (names of addresses, lists, certificates), [`walk`] (from the root to who knows).
//! Every server asked leaves an observation, successes too.
//!
//! Not here: what follows from the answers for mail (`route`), reading `/etc/resolv.conf` (the binary's; its
//! text is understood by [`ResolvConf`]), DNSSEC validation.

pub mod cache;
pub mod exchange;
pub mod hosts;
pub mod lookup;
pub mod meaning;
pub mod name;
pub mod questions;
mod record;
pub mod resolv_conf;
pub mod resolver;
pub mod servers;
pub mod settings;
pub mod signed;
pub mod stream;
pub mod walk;
pub mod wire;

pub use cache::Kept;
pub use hosts::Hosts;
pub use lookup::{Agreement, Lookup, Origin};
pub use name::{BadName, to_dns};
pub use resolv_conf::ResolvConf;
pub use resolver::{Numbers, Resolver};
pub use servers::{EdnsSupport, ServerHealth, ServerState};
pub use settings::Settings;
