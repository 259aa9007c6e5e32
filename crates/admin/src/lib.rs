//! The HTTP interface of a running Posthaste: on the unix socket for the operator's verbs, read-only on TCP.
//!
//! Not here: anything that changes mail, the command line (`posthaste`).

pub mod filter;
pub mod units;
