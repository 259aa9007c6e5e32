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

mod ask;
mod domains;
mod internet;
mod mta;
mod ours;
mod relay;
mod row;
mod scripted;
mod servers;
mod shows;
mod theirs;

#[test]
fn the_table_of_cases() {
    let mut rows = ours::rows();
    rows.extend(theirs::rows());
    rows.iter().for_each(|row| println!("{row}"));
    let wrong = rows.iter().filter(|row| !row.wrong.is_empty());
    assert_eq!(wrong.map(|row| row.case).collect::<Vec<_>>(), Vec::<&str>::new());
}
