//! Posthaste: one binary, the daemon and the operator's verbs
fn main() {}
