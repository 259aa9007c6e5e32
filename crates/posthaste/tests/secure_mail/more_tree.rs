//! What `setup` of this folder unpacked under `.e2e/secure`, and how its programs are run.
//!
//! Not here: what `real_mail/setup` unpacked (`base`).

use std::path::PathBuf;
use std::process::Command;

use crate::tree as base;

/// Where `setup` unpacks to.
pub(crate) fn root() -> PathBuf {
    let cache = base::root().join("../secure");
    assert!(
        cache.join("ready").exists(),
        "Exim with AUTH and the scanners are absent: run crates/posthaste/tests/secure_mail/setup as root first"
    );
    cache.join("tree").canonicalize().expect("setup makes the tree before it writes `ready`")
}

/// The folder of libraries of this machine's kind.
pub(crate) fn libraries() -> PathBuf {
    let entries = std::fs::read_dir(root().join("usr/lib")).into_iter().flatten();
    let mut paths = entries.filter_map(|entry| entry.ok().map(|e| e.path()));
    paths
        .find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
        .expect("Cyrus SASL has a multiarch folder")
}

/// Where programs find the libraries they were shipped with.
pub(crate) fn library_path() -> String {
    format!("{}:{}", libraries().display(), base::library_path())
}

/// Where Cyrus SASL finds its mechanisms.
pub(crate) fn sasl_path() -> String {
    libraries().join("sasl2").display().to_string()
}

/// A command that runs an unpacked program.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(root().join(program));
    command.env("LD_LIBRARY_PATH", library_path()).env("SASL_PATH", sasl_path());
    command
}
