//! The resolver in the simulator: what it keeps, for how long and how much of it, and the questions that are made of
//! several.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

mod lab;
mod log;
mod many;
mod questions;
mod secure;
mod stale;
