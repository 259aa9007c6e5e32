//! The rules of the house, held by a test: who may import whom, which libraries each floor may see, licences, style.
//!
//! Not here: what clippy and rustfmt check by themselves (length of functions, width of lines). The floors are explained
//! in ARCHITECTURE.md; this table is the one that counts.

#[path = "house/forbidden.rs"]
mod forbidden;
#[path = "house/imports.rs"]
mod imports;
#[path = "house/libraries.rs"]
mod libraries;
#[path = "house/licences.rs"]
mod licences;
#[path = "house/roots.rs"]
mod roots;
#[path = "house/style.rs"]
mod style;
#[path = "house/workspace.rs"]
mod workspace;

/// A storey of the house: its crates import from lower floors only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Floor {
    /// Words and data.
    Words = 0,
    /// Decisions without I/O.
    Pure = 1,
    /// Traits through which agents see the world.
    Doors = 2,
    /// Implementations of the doors.
    BehindTheDoors = 3,
    /// What acts, seeing the world through the doors only.
    Agents = 4,
    /// The binary and what it shows.
    Front = 5,
    /// What proves the rest.
    Proof = 6,
}

use Floor::{Agents, BehindTheDoors, Doors, Front, Proof, Pure, Words};

/// Every crate and its floor. A crate `name` lives in `crates/name` and is the package `posthaste-name`.
const HOUSE: &[(Floor, &[&str])] = &[
    (Words, &["mail", "evidence"]),
    (Pure, &["smtp", "message", "route", "queue", "diagnosis"]),
    (Doors, &["io", "spool"]),
    (BehindTheDoors, &["io-tokio", "io-sim", "spool-local", "spool-postgres"]),
    (Agents, &["dns", "reception", "delivery", "dispatch", "peers"]),
    (Front, &["admin", "posthaste"]),
    (Proof, &["sim", "lab"]),
];

/// Imports within one floor: the complete list.
const SIDEWAYS: &[(&str, &str)] = &[
    ("evidence", "mail"),
    ("spool", "io"), // a store answers with the doors' `Task` and stands on their `Disk`
    ("delivery", "dns"),
    ("dispatch", "delivery"),
    ("dispatch", "dns"),
    ("posthaste", "admin"),
];

/// Imports that only the tests of a crate have and that its code may not: the complete list.
const IN_TESTS_ONLY: &[(&str, &str)] =
    &[("dns", "peers"), ("spool-local", "io-sim"), ("spool-local", "io-tokio")];

fn floor_of(crate_name: &str) -> Option<Floor> {
    HOUSE.iter().find(|(_, crates)| crates.contains(&crate_name)).map(|(floor, _)| *floor)
}

fn crates_on(floors: &[Floor]) -> impl Iterator<Item = &'static str> {
    HOUSE
        .iter()
        .filter(|(floor, _)| floors.contains(floor))
        .flat_map(|(_, crates)| *crates)
        .copied()
}
