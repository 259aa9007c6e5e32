//! Posthaste: one binary, the daemon and the operator's verbs
mod config;
fn main() {
    let _ = config::load(None, false);
}
