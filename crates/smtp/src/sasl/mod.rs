//! The mechanisms of AUTH (RFC 4954), both sides of each, without I/O: what is sent and what an answer means.
//!
//! Nonces and clocks are the caller's. Not here: the AUTH command and its place in a session (`server`, `client`), who the
//! users are, how passwords are stored.

pub mod client;
pub mod scram;
pub mod server;

pub use posthaste_mail::Mechanism;
