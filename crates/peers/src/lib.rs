//! Scripted mail hosts and DNS servers that run in both worlds: in simulations, in tests on loopback, in demos.
//!
//! They are written apart from the product's own protocol code on purpose: a peer that shared our parser
//! would share its mistakes. Not here: judging what a test saw.

pub mod dns;
pub mod mail;
