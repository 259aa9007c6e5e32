//! What becomes of mail when DNS is broken: every case of groups A (our resolvers) and B (the recipient's domain) of the fault
//! catalogue, as a table, with a real Posthaste between real or scripted DNS servers and a real mail host. In one command:
//! `cargo test -p posthaste --test dns_cases -- --nocapture`.
//!
//! BIND, Knot and Unbound are unpacked by `real_mail/setup`; nothing leaves this machine. Not here: the resolver's own
//! stories (crate `dns`), hours of virtual time (crate `sim`).

#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/loopback.rs"]
mod loopback;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/posthaste.rs"]
mod posthaste;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/sink.rs"]
mod sink;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/tree.rs"]
mod tree;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

mod ask;
mod checks;
mod domains;
mod ends;
mod internet;
mod mta;
mod ours;
mod relay;
mod row;
mod scripted;
mod servers;
mod shows;
mod theirs;

/// What the answers of resolvers alone do not tell, though mail is treated as the table says: what would decide it.
const NOT_SEEN: &[(&str, &str)] = &[
    (
        "A5, A6",
        "silence or SERVFAIL is all there is: whose forwarder or way out is broken, only that machine knows",
    ),
    (
        "A9",
        "an internal copy with an address is a good answer: a reference resolver would have another",
    ),
    (
        "A13",
        "bogus for all signed domains at one resolver: the dates of the signatures against a second clock",
    ),
    ("A15", "REFUSED now and then: a count over time"),
    ("B5", "parked or a mail host that is down: the name servers before and now"),
    (
        "B7, B8, B22, B23",
        "the same silence or SERVFAIL: the domain's servers asked directly, with and without EDNS and by TCP",
    ),
    ("B10, B11, B25", "a good answer came: each server of the zone asked directly"),
    ("B16", "public or ours: a private address is not connected to, whoever wrote it"),
];

/// Held alone by tests whose subject is time, and together by those that only keep the processors busy.
static QUIET: RwLock<()> = RwLock::new(());

/// Nothing else of this program runs until the guard is dropped.
fn alone() -> RwLockWriteGuard<'static, ()> {
    QUIET.write().unwrap_or_else(PoisonError::into_inner)
}

/// Others may run beside it.
fn in_company() -> RwLockReadGuard<'static, ()> {
    QUIET.read().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn the_table_of_cases() {
    let _quiet = alone();
    let mut rows = ours::rows();
    rows.extend(theirs::rows());
    rows.iter().for_each(|row| println!("{row}"));
    println!("Not told by the answers of resolvers alone:");
    NOT_SEEN.iter().for_each(|(cases, why)| println!("    {cases:18}{why}"));
    let cases: Vec<&str> = rows.iter().map(|row| row.case).collect();
    let all = (1..=15).map(|n| format!("A{n}")).chain((1..=28).map(|n| format!("B{n}")));
    assert_eq!(cases, all.collect::<Vec<_>>(), "a row for every case");
    let wrong = rows.iter().filter(|row| !row.wrong.is_empty());
    assert_eq!(wrong.map(|row| row.case).collect::<Vec<_>>(), Vec::<&str>::new());
}
