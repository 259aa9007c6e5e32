//! The unpacked Debian packages under `.e2e/` at the root of the repository, and how to run a program of theirs.
//!
//! Not here: fetching them (`setup`).

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where `setup` unpacks to.
pub(crate) fn root() -> PathBuf {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cache = repository.join(".e2e");
    assert!(
        cache.join("ready").exists(),
        "the real servers are absent: run crates/posthaste/tests/real_mail/setup as root first"
    );
    cache.join("tree").canonicalize().expect("setup makes the tree before it writes `ready`")
}

/// A path inside the unpacked packages, as text for a configuration file.
pub(crate) fn path(inside: &str) -> String {
    root().join(inside).display().to_string()
}

/// Where the unpacked programs find the libraries they were shipped with.
pub(crate) fn library_path() -> String {
    let multiarch = |lib: &str| {
        let entries = std::fs::read_dir(root().join(lib)).into_iter().flatten();
        let mut paths = entries.filter_map(|entry| entry.ok().map(|e| e.path()));
        paths.find(|path| path.to_string_lossy().ends_with("-linux-gnu"))
    };
    let shipped = multiarch("usr/lib").expect("bind9-libs has a multiarch folder");
    let folders = [Some(root().join("usr/lib/postfix")), Some(shipped), multiarch("lib")];
    folders.into_iter().flatten().map(|f| f.display().to_string()).collect::<Vec<_>>().join(":")
}

/// A command that runs an unpacked program. Sent SIGTERM by the kernel when the thread that spawned it ends, however
/// that happens: a test that is killed leaves no server behind.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "TERM"])
        .arg(root().join(program))
        .env("LD_LIBRARY_PATH", library_path());
    command
}
