//! Who may import whom among our own crates.

use crate::workspace::{WORKSPACE, own_name, root, text};
use crate::{Agents, BehindTheDoors, Floor, IN_TESTS_ONLY, SIDEWAYS, floor_of};

#[test]
fn every_crate_has_its_floor_and_its_folder() {
    for (name, package) in WORKSPACE.members() {
        assert!(floor_of(name).is_some(), "{name} is on no floor: add it to HOUSE");
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        assert_eq!(text(&package["manifest_path"]), manifest.to_string_lossy(), "{name}");
    }
}

#[test]
fn imports_go_down_or_are_listed() {
    let mut wrong = Vec::new();
    for (name, _) in WORKSPACE.members() {
        for dependency in WORKSPACE.dependencies(name) {
            let Some(imported) = own_name(dependency.name) else { continue };
            if !may_import(name, imported, dependency.only_tests) {
                let tests = if dependency.only_tests { " in tests" } else { "" };
                wrong.push(format!("{name} -> {imported}{tests}"));
            }
        }
    }
    assert!(wrong.is_empty(), "not allowed by the house: {wrong:#?}");
}

#[test]
fn the_rule_itself() {
    let cases = [
        ("smtp", "mail", false, true),
        ("smtp", "message", false, false),
        ("queue", "smtp", true, false),
        ("mail", "evidence", false, false),
        ("evidence", "mail", false, true),
        ("spool", "queue", false, true),
        ("queue", "spool", false, false),
        ("io", "spool", false, false),
        ("dispatch", "dns", false, true),
        ("dns", "delivery", false, false),
        ("delivery", "io-tokio", false, false),
        ("delivery", "io-sim", true, true),
        ("spool-local", "io-sim", true, false),
        ("posthaste", "admin", false, true),
        ("admin", "posthaste", false, false),
        ("sim", "dispatch", false, true),
    ];
    for (from, to, only_tests, allowed) in cases {
        let in_list = IN_TESTS_ONLY.contains(&(from, to)) && only_tests;
        assert_eq!(may_import(from, to, only_tests), allowed || in_list, "{from} -> {to}");
    }
}

fn may_import(from: &str, to: &str, only_tests: bool) -> bool {
    let (Some(importer), Some(imported)) = (floor_of(from), floor_of(to)) else { return false };
    let down = imported < importer && !is_past_the_doors(importer, imported, only_tests);
    down || SIDEWAYS.contains(&(from, to)) || (only_tests && IN_TESTS_ONLY.contains(&(from, to)))
}

/// Agents see the world through the doors: what stands behind them is chosen by the front, the proof and their tests.
fn is_past_the_doors(importer: Floor, imported: Floor, only_tests: bool) -> bool {
    imported == BehindTheDoors && importer == Agents && !only_tests
}
