//! No unsafe code of our own, anywhere: it is forbidden, so that no file can allow it to itself.
//!
//! Where something unsafe is needed, a library has it and gives a safe door: sockets from systemd (`listenfd`), users
//! (`nix`), the allocator (`mimalloc`), landlock and seccomp. Exceptions would be listed here, each with its reason.

use std::fs;

use crate::workspace::{WORKSPACE, root};

/// Crates that may have unsafe code, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[];

#[test]
fn unsafe_code_is_forbidden_in_every_crate() {
    let lint = &manifest("Cargo.toml")["workspace"]["lints"]["rust"]["unsafe_code"];
    assert_eq!(lint.as_str(), Some("forbid"), "`deny` could be allowed again in a file");
    for name in WORKSPACE.members().keys() {
        let lints = manifest(&format!("crates/{name}/Cargo.toml"));
        let inherits = lints.get("lints").and_then(|lints| lints.get("workspace"));
        let excepted = EXCEPTIONS.iter().any(|(excepted, _)| excepted == name);
        let kept = inherits.and_then(toml::Value::as_bool) == Some(true);
        assert!(kept != excepted, "crates/{name}/Cargo.toml: [lints] workspace = true");
    }
}

fn manifest(path: &str) -> toml::Table {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.parse().unwrap_or_else(|e| panic!("{path}: {e}"))
}
