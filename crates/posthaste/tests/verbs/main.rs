//! The verbs as an operator or a script meets them: the built binary, its output and its exit status: without a daemon,
//! with a fake one behind a real control socket, and with a real one on loopback.
//!
//! Not here: mail through the daemon (`real_mail`), what the interface answers (crate `admin`).

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod asked;
mod command;
mod daemon;
#[path = "../../../admin/tests/admin/desk.rs"]
mod desk;
mod dns;
mod kept;
mod life;
mod life_memory;
mod notices;
mod offline;
mod parity;
mod privileges;
mod recipients;
#[path = "../../../admin/tests/admin/sample.rs"]
mod sample;
#[path = "../dkim/sink.rs"]
mod sink;
mod spool;
mod tls;
mod tokens;
mod users;
