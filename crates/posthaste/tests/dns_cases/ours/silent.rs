//! Resolvers that do not answer: dead, stopped, cut off, or deaf to some questions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::lab::{About, Expected, Lab, SECOND_SERVER, run};
use crate::loopback;
use crate::mta::Mta;
use crate::relay::{Fate, Relay};
use crate::row::{Names, Row};
use crate::servers::{Server, Silent};

const AAAA: u16 = 28;
const MX: u16 = 15;

pub(super) fn all_dead(lab: &Lab) -> Row {
    let dead = [Silent::new(), Silent::new()];
    let at = [dead[0].address(), dead[1].address()];
    let mta = Mta::start(&at, lab.root(), "");
    let names = Names(vec![(at[0], "first"), (at[1], "second")]);
    let about = About {
        case: "A1",
        broken: "both resolvers are gone",
        servers: "two silent ports, then Unbound",
    };
    let mut healed = None;
    run(
        about,
        &mta,
        &names,
        ("a1.many.test", Expected::Waits("timed-out")),
        "a1-after.many.test",
        || {
            drop(dead);
            healed = Some(lab.unbound_at(at[0]));
        },
    )
}

pub(super) fn one_dead(lab: &Lab) -> Row {
    let (dead, good) = (Silent::new(), lab.unbound());
    let mta = Mta::start(&[dead.address(), good.address()], lab.root(), "");
    let names = Names(vec![(dead.address(), "first"), (good.address(), "Unbound")]);
    let about = About {
        case: "A2",
        broken: "the first resolver is gone, the second works",
        servers: "a silent port, Unbound",
    };
    let expected = Expected::Delivered(SECOND_SERVER);
    let mut row = run(about, &mta, &names, ("a2.many.test", expected), "a2-after.many.test", || {});
    row.control = row.control.replace("fault off", "the next message, fault still on");
    row
}

pub(super) fn service_down(lab: &Lab) -> Row {
    let (closed, good) = (loopback::address(53), lab.unbound());
    let mta = Mta::start(&[closed, good.address()], lab.root(), "");
    let names = Names(vec![(closed, "first"), (good.address(), "Unbound")]);
    let about = About {
        case: "A3",
        broken: "nobody listens at the first resolver (ECONNREFUSED)",
        servers: "a closed port, Unbound",
    };
    let expected = Expected::Delivered(Duration::from_millis(250));
    let mut healed = None;
    run(about, &mta, &names, ("a3.many.test", expected), "a3-after.many.test", || {
        healed = Some(lab.unbound_at(closed));
    })
}

pub(super) fn forwarder_dead(lab: &Lab) -> Row {
    let dead = Silent::new();
    let forwards = format!("dnssec-validation no; forward only; forwarders {{ {}; }};", dead.ip());
    let internal = "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 5\n@ IN NS ns\nns IN A 127.0.0.1\n";
    let mut bind = Server::bind(Some(lab.root()), &forwards, "", &[("internal.test", internal)]);
    let at = bind.address();
    let mta = Mta::start(&[at], lab.root(), "");
    let about = About {
        case: "A5",
        broken: "the resolver's forwarder is dead; internal names work",
        servers: "BIND",
    };
    let internal = crate::ask::ask(at, "internal.test", 6, false, Duration::from_secs(2));
    let mut healed = None;
    let mut row = run(
        about,
        &mta,
        &Names(vec![(at, "BIND")]),
        ("a5.many.test", Expected::Waits("timed-out")),
        "a5-after.many.test",
        || {
            bind.stop();
            healed = Some(lab.unbound_at(at));
        },
    );
    if internal.is_none_or(|said| said.rcode != 0) {
        row.wrong.push(format!("the internal zone: {internal:?}"));
    }
    row
}

pub(super) fn egress_blocked(lab: &Lab) -> Row {
    let dead = Silent::new();
    let mut blocked = Server::unbound(dead.address(), "");
    let at = blocked.address();
    let mta = Mta::start(&[at], lab.root(), "");
    let about = About {
        case: "A6",
        broken: "the resolver reaches no root server",
        servers: "Unbound before a silent root",
    };
    let mut healed = None;
    run(
        about,
        &mta,
        &Names(vec![(at, "Unbound")]),
        ("a6.many.test", Expected::Waits("timed-out")),
        "a6-after.many.test",
        || {
            blocked.stop();
            healed = Some(lab.unbound_at(at));
        },
    )
}

pub(super) fn aaaa_dropped(lab: &Lab) -> Row {
    let unbound = lab.unbound();
    let (on, relay) = switched(&unbound, true, AAAA, Fate::Drop);
    let mta = Mta::start(&[relay.address()], lab.root(), "");
    let about = About {
        case: "A11",
        broken: "the way to the resolver loses AAAA questions",
        servers: "Unbound behind a relay",
    };
    let names = Names(vec![(relay.address(), "relay")]);
    let expected = Expected::DeliveredOfTwo(Duration::from_millis(300));
    run(about, &mta, &names, ("a11.many.test", expected), "a11-after.many.test", || {
        on.store(false, Ordering::Relaxed);
    })
}

pub(super) fn tcp_blocked(lab: &Lab) -> Row {
    let unbound = lab.unbound();
    let (on, relay) = switched(&unbound, false, MX, Fate::Cut);
    let mta = Mta::start(&[relay.address()], lab.root(), "");
    let about = About {
        case: "A12",
        broken: "large answers are cut, and TCP to the resolver is refused",
        servers: "Unbound behind a relay without TCP",
    };
    let names = Names(vec![(relay.address(), "relay")]);
    let expected = Expected::Waits("unreachable");
    run(about, &mta, &names, ("large.test", expected), "a12-after.many.test", || {
        on.store(false, Ordering::Relaxed);
    })
}

/// A relay before a server that treats one type of question so, while it is switched on.
fn switched(server: &Server, tcp: bool, kind: u16, fate: Fate) -> (Arc<AtomicBool>, Relay) {
    let on = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&on);
    let rule = move |q: crate::relay::Question| {
        if q.kind == kind && switch.load(Ordering::Relaxed) { fate } else { Fate::Pass }
    };
    (on, Relay::new(server.address(), tcp, Arc::new(rule)))
}
