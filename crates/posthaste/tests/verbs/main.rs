//! The verbs as an operator or a script meets them: the built binary, its output and its exit status, without a daemon
//! and with a fake one behind a real control socket.
//!
//! Not here: the daemon (`real_mail`), what the interface answers (crate `admin`).

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

mod asked;
mod command;
#[path = "../../../admin/tests/admin/desk.rs"]
mod desk;
mod offline;
#[path = "../../../admin/tests/admin/sample.rs"]
mod sample;
