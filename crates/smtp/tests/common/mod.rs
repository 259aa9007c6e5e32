//! What the tests of the sessions share: a receiver and a sender reduced to their decisions, and dialogue scripts.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "tests may unwrap")]

pub mod receiver;
pub mod script;
pub mod sender;
