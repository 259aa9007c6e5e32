//! Which libraries of others each floor may see, and that each is declared once with its reason.

use std::collections::BTreeSet;
use std::fs;

use crate::workspace::{WORKSPACE, root, text};
use crate::{Agents, Doors, Floor, Pure, Words, crates_on};

/// Runtimes, sockets, clocks and chance: never in the code of the pure floors, however far down.
const NOT_PURE: &[&str] = &[
    "async-std",
    "chrono",
    "fastrand",
    "futures",
    "futures-executor",
    "getrandom",
    "hyper",
    "instant",
    "mio",
    "parking_lot",
    "rand",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "tracing",
];

/// What agents and doors may not name themselves: the world reaches them through `io` only.
const NOT_THROUGH_THE_DOORS: &[&str] = &[
    "async-std",
    "chrono",
    "fastrand",
    "futures",
    "futures-executor",
    "getrandom",
    "hyper",
    "instant",
    "mio",
    "rand",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "time",
];

/// Features that would let a clock or a runtime in: library, feature, and the floors that must not ask for it.
const NOT_ASKED_FOR: &[(&str, &str, &[Floor])] = &[
    ("jiff", "std", &[Words, Pure, Doors, Agents]),
    ("jiff", "tz-system", &[Words, Pure, Doors, Agents]),
    ("hickory-proto", "tokio", &[Words, Pure, Doors, Agents]),
    ("futures-util", "channel", &[Words, Pure]),
    ("futures-util", "async-await-macro", &[Words, Pure, Doors, Agents]), // its `select!` is unbiased
];

#[test]
fn pure_crates_reach_no_runtime_clock_or_chance() {
    for name in present(&[Words, Pure]) {
        let reach = WORKSPACE.reach(name);
        let wrong: Vec<_> = NOT_PURE.iter().filter(|library| reach.contains(*library)).collect();
        assert!(wrong.is_empty(), "{name} reaches {wrong:?}");
    }
}

#[test]
fn the_reach_of_a_crate_is_seen() {
    let reach = WORKSPACE.reach("posthaste");
    for library in ["tokio", "mio", "serde_core", "posthaste-mail"] {
        assert!(reach.contains(library), "{library} is in the binary");
    }
    assert!(!reach.contains("tempfile"), "only tests have it");
}

#[test]
fn agents_and_doors_meet_the_world_only_through_io() {
    for name in present(&[Doors, Agents]) {
        for dependency in WORKSPACE.dependencies(name).iter().filter(|d| !d.only_tests) {
            assert!(!NOT_THROUGH_THE_DOORS.contains(&dependency.name), "{name} -> {dependency:?}");
        }
    }
}

#[test]
fn of_tokio_agents_and_doors_have_sync_only() {
    for name in present(&[Doors, Agents]) {
        let tokios = WORKSPACE.dependencies(name);
        for tokio in tokios.iter().filter(|d| d.name == "tokio" && !d.only_tests) {
            assert!(!tokio.default_features, "{name}: {tokio:?}");
            assert!(tokio.features.iter().all(|f| *f == "sync"), "{name}: {tokio:?}");
        }
    }
}

#[test]
fn no_feature_lets_a_clock_or_runtime_in() {
    for (library, feature, floors) in NOT_ASKED_FOR {
        for name in present(floors) {
            for dependency in WORKSPACE.dependencies(name).iter().filter(|d| d.name == *library) {
                let lacks = !dependency.features.contains(feature);
                assert!(lacks && !dependency.default_features, "{name}: {dependency:?}");
            }
        }
    }
    for name in present(&[Words, Pure, Doors, Agents]) {
        let switches = WORKSPACE.members()[name]["features"].to_string();
        assert!(!switches.contains("tokio/"), "{name} switches tokio on in {switches}");
    }
}

#[test]
fn libraries_are_declared_once_with_their_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has one");
    let section = manifest.split("[workspace.dependencies]\n").nth(1).expect("it is there");
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    for line in
        lines.filter(|l| !l.is_empty() && !l.starts_with('#') && !l.starts_with("posthaste-"))
    {
        let reason = line.split_once('#').map_or("", |(_, reason)| reason.trim());
        assert!(reason.split(' ').count() >= 2, "why do we need this? {line}");
    }
}

#[test]
fn crates_take_their_libraries_from_the_workspace() {
    for (name, package) in WORKSPACE.members() {
        let manifest = fs::read_to_string(text(&package["manifest_path"])).expect("cargo read it");
        let manifest: toml::Table = manifest.parse().expect("cargo parsed it");
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let listed = manifest.get(section).and_then(|s| s.as_table()).into_iter().flatten();
            for (library, how) in listed {
                let inherited = how.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(inherited, "{name}: {library} is declared in the crate, not the workspace");
            }
        }
        assert!(!manifest.contains_key("target"), "{name}: one platform, no [target] section");
    }
}

/// The crates on these floors that exist already.
fn present(floors: &[Floor]) -> BTreeSet<&'static str> {
    let members = WORKSPACE.members();
    crates_on(floors).filter(|name| members.contains_key(name)).collect()
}
