//! TLS with next hops: broken, demanded, silent; what is remembered, and for how long.

use crate::words::*;
use posthaste_evidence::{Fault, TlsFault};
use posthaste_io_sim::Handshake;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_route::{Pattern, Route, SmartHost, Table, TlsPolicy};
use posthaste_sim::{MailSystem, Plan};
use std::time::Duration;

const HOST: &str = "relay.test";
const ADDRESS: &str = "11.9.0.1";

/// All mail goes to one host that offers STARTTLS.
fn system(tls: TlsPolicy, handshake: Handshake) -> (MailSystem, Plan) {
    let mut plan = Plan::default().host(HOST, &[ADDRESS]);
    let hosts = vec![SmartHost { host: ADDRESS.into(), port: 25 }];
    let route = Route { tls, ..Route::by_hosts("out", vec![Pattern::Any], hosts) };
    plan.routes = Table::new(vec![route]);
    let system = up(plan.clone());
    peer(&system, HOST).set(Script::default().offering(&["PIPELINING", "STARTTLS"]));
    shakes(&system, handshake);
    (system, plan)
}

fn shakes(system: &MailSystem, handshake: Handshake) {
    system.sim.tls(format!("{ADDRESS}:25").parse().expect("an address"), handshake);
}

/// Sends one message to its end; how many connections the host had for it, and how long it took.
fn one(system: &MailSystem, number: u32) -> (u64, Duration) {
    let before = peer(system, HOST).connections();
    send(system, number, &["r@d.test"]);
    let took = until_quiet(system, 10 * MINUTE);
    let had = peer(system, HOST).connections() - before;
    // Beyond the life of any line that is kept.
    system.pass(6 * MINUTE);
    (had, took)
}

#[test]
fn broken_tls_costs_one_connection_an_hour_and_no_mail_waits() {
    let broken = || Handshake::Fails(TlsFault::Alert(40));
    let (system, plan) = system(TlsPolicy::Opportunistic, broken());
    let (had, took) = one(&system, 1);
    assert_eq!(had, 2, "again in clear");
    assert!(took < 2 * AT_ONCE, "{took:?}");
    assert_eq!(one(&system, 2).0, 1, "TLS is not tried");
    system.pass(HOUR);
    assert_eq!(one(&system, 3).0, 2, "its rest is over");
    assert_eq!(one(&system, 4).0, 1);
    let _nothing_waits = system.reload(&plan);
    assert_eq!(one(&system, 5).0, 2, "a reload forgets");
    system.pass(HOUR);
    shakes(&system, Handshake::good(&[ADDRESS]));
    assert_eq!(one(&system, 6).0, 1, "it works");
    assert_eq!(taken(&system, HOST).len(), 6);
}

#[test]
fn a_host_that_takes_nothing_in_clear_is_tried_with_tls_again_at_the_next_attempt() {
    let (system, _) = system(TlsPolicy::Opportunistic, Handshake::Fails(TlsFault::Alert(40)));
    let wants = Action::Reply("530 5.7.0 Must issue a STARTTLS command first".into());
    let script = Script::default().offering(&["STARTTLS"]).always(Step::Mail, wants);
    peer(&system, HOST).set(script);
    send(&system, 1, &["r@d.test"]);
    let mut had = Vec::new();
    for _ in 0..3 * 3600 {
        system.pass(SECOND);
        let now = peer(&system, HOST).connections();
        if had.last() != Some(&now) {
            had.push(now);
        }
    }
    // Each attempt both ways, long before an hour's rest would be over.
    assert!(had.len() > 3 && had[1..].iter().all(|count| count % 2 == 0), "{had:?}");
    peer(&system, HOST).set(Script::default().offering(&["STARTTLS"]));
    shakes(&system, Handshake::good(&[ADDRESS]));
    until_quiet(&system, 4 * HOUR);
    assert_eq!(taken(&system, HOST), ["r@d.test"]);
}

#[test]
fn a_handshake_that_never_ends_is_waited_for_a_minute_and_once() {
    let (system, _) = system(TlsPolicy::Opportunistic, Handshake::Silence);
    let (had, took) = one(&system, 1);
    assert_eq!(had, 2);
    assert!(took > MINUTE && took < MINUTE + 3 * SECOND, "{took:?}");
    let (had, took) = one(&system, 2);
    assert!(had == 1 && took < AT_ONCE, "{took:?}");
}

#[test]
fn a_refusal_of_starttls_keeps_the_connection() {
    let (system, _) = system(TlsPolicy::Opportunistic, Handshake::Silence);
    let refusal = Action::Reply("454 4.7.0 not now".into());
    let script = Script::default().offering(&["STARTTLS"]).always(Step::StartTls, refusal);
    peer(&system, HOST).set(script);
    let (had, took) = one(&system, 1);
    assert!(had == 1 && took < AT_ONCE, "{had} {took:?}");
}

#[test]
fn what_demands_tls_waits_for_it() {
    let fails = TlsFault::NothingInCommon;
    let (system, _) = system(TlsPolicy::Require, Handshake::Fails(fails.clone()));
    send(&system, 1, &["r@d.test"]);
    system.pass(2 * HOUR);
    assert_eq!(taken(&system, HOST), Vec::<String>::new());
    assert_eq!(system.live().len(), 1);
    let failures = system.dispatch().failures(&format!("{ADDRESS}:25"), "out");
    let last = failures.last().expect("it was tried");
    assert_eq!(posthaste_dispatch::fault_of(last), Some(Fault::Tls(fails)));
    shakes(&system, Handshake::good(&["somebody.else.test"]));
    until_quiet(&system, 4 * HOUR);
    assert_eq!(taken(&system, HOST), ["r@d.test"]);
}
