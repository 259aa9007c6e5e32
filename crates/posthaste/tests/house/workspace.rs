//! What cargo knows about the workspace: its members, what they depend on and what that depends on.
//!
//! Not here: any rule.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;

/// Read once for all tests.
pub(crate) static WORKSPACE: LazyLock<Workspace> = LazyLock::new(Workspace::read);

/// `cargo metadata` for the machine that builds: every package that may be compiled here, tests included. It also lists
/// the few that only a switched-off feature of a library would bring (`a?/b` in its manifest); see [`compiled`].
pub(crate) struct Workspace {
    metadata: Value,
}

/// One line under `[dependencies]`, `[dev-dependencies]` or `[build-dependencies]`, with what the workspace adds.
#[derive(Debug)]
pub(crate) struct Dependency<'a> {
    pub(crate) name: &'a str,
    pub(crate) only_tests: bool,
    pub(crate) features: Vec<&'a str>,
    pub(crate) default_features: bool,
}

/// Name and version of every package that is really compiled, tests and build scripts included.
pub(crate) fn compiled() -> Vec<(String, String)> {
    let arguments =
        ["tree", "--locked", "--workspace", "--edges", "normal,build,dev", "--prefix", "none"];
    let tree = output(env!("CARGO"), &[&arguments[..], &["--format", "{p}"]].concat());
    let packages = tree.lines().filter_map(|line| line.split_once(" v"));
    packages
        .map(|(name, rest)| (name, rest.split(' ').next().unwrap_or_default()))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect()
}

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    path.canonicalize().expect("crates live two levels below the root")
}

/// `posthaste-mail` is the crate `mail`; the binary is `posthaste` in both worlds; others are not ours.
pub(crate) fn own_name(package: &str) -> Option<&str> {
    if package == "posthaste" { Some(package) } else { package.strip_prefix("posthaste-") }
}

impl Workspace {
    fn read() -> Self {
        let host = output("rustc", &["-vV"]);
        let host =
            host.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc -vV names it");
        let arguments =
            ["metadata", "--format-version", "1", "--locked", "--filter-platform", host];
        let metadata = output(env!("CARGO"), &arguments);
        Self { metadata: serde_json::from_str(&metadata).expect("cargo metadata prints JSON") }
    }

    /// Every package that may be compiled, ours included.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &Value> {
        self.metadata["packages"].as_array().expect("format version 1").iter()
    }

    /// Our own packages by crate name.
    pub(crate) fn members(&self) -> BTreeMap<&str, &Value> {
        let local = self.packages().filter(|p| p["source"].is_null());
        local.map(|p| (own_name(text(&p["name"])).expect("ours are called posthaste"), p)).collect()
    }

    /// What one of our crates says it depends on.
    pub(crate) fn dependencies(&self, crate_name: &str) -> Vec<Dependency<'_>> {
        let listed = self.members()[crate_name]["dependencies"].as_array().expect("a list");
        listed
            .iter()
            .map(|d| Dependency {
                name: text(&d["name"]),
                only_tests: d["kind"] == "dev",
                features: d["features"].as_array().expect("a list").iter().map(text).collect(),
                default_features: d["uses_default_features"] == true,
            })
            .collect()
    }

    /// Names of all packages that end up in the code of one of our crates, near and far.
    pub(crate) fn reach(&self, crate_name: &str) -> BTreeSet<&str> {
        let nodes: BTreeMap<&str, &Value> = self.metadata["resolve"]["nodes"]
            .as_array()
            .expect("a resolved graph")
            .iter()
            .map(|node| (text(&node["id"]), node))
            .collect();
        let names: BTreeMap<&str, &str> =
            self.packages().map(|p| (text(&p["id"]), text(&p["name"]))).collect();
        let mut seen = BTreeSet::new();
        let mut next = vec![text(&self.members()[crate_name]["id"])];
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            let edges = nodes[id]["deps"].as_array().expect("a list");
            let linked = edges.iter().filter(|edge| is_linked(edge));
            next.extend(linked.map(|edge| text(&edge["pkg"])));
        }
        seen.into_iter().map(|id| names[id]).collect()
    }
}

/// An edge that is neither for tests nor for build scripts only.
fn is_linked(edge: &Value) -> bool {
    edge["dep_kinds"].as_array().expect("a list").iter().any(|kind| kind["kind"].is_null())
}

/// A string of the metadata.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("cargo metadata has a string here")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|e| panic!("cannot start {program}: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}
