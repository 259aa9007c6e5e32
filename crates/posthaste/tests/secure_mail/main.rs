//! TLS and AUTH between Posthaste and others, both ways: Postfix (OpenSSL, Cyrus SASL), Exim (GnuTLS) and OpenSMTPD
//! (OpenSSL), mail programs for every AUTH mechanism, and a scan of the listener. All of it, with its tables:
//! `cargo test -p posthaste --test secure_mail -- --nocapture`.
//!
//! `setup` beside this file and `real_mail/setup` fetch the programs; nothing leaves this machine. Not here: downgrades
//! and broken handshakes (crates `delivery` and `io-tokio`), the mechanisms themselves (crate `smtp`).

#[path = "../real_mail/postfix.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod base_postfix;
#[path = "../real_mail/client.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod client;
#[path = "../real_mail/loopback.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod loopback;
#[path = "../real_mail/posthaste.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod posthaste;
#[path = "../real_mail/process.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod process;
#[path = "../real_mail/room.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod room;
#[path = "../real_mail/sink.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod sink;
#[path = "../real_mail/tree.rs"]
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
mod tree;

use tree as base_tree;

mod among_peers;
mod authority;
mod exim;
mod inbound;
mod more_tree;
mod opensmtpd;
mod ours;
mod outbound;
mod peer;
mod postfix;
mod programs;
mod scan;
mod way;
