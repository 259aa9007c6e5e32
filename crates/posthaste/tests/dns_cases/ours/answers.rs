//! Resolvers that answer, and wrongly: refusing, stale, of another view, for sale, of another year, or too busy.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use posthaste_peers::dns::Behaviour;

use super::lab::{About, Expected, Lab, PATIENCE, SECOND_SERVER, delivered_at_once, run};
use crate::ask::ask;
use crate::loopback;
use crate::mta::{Fate, Mta};
use crate::relay::{self, Relay};
use crate::row::{Names, Row, concluded};
use crate::scripted::Scripted;
use crate::servers::Server;
use crate::sink::Sink;

const A: u16 = 1;
const SOA: u16 = 6;
const MX: u16 = 15;
const ANSWER: Duration = Duration::from_secs(3);
/// A walk from the root, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

pub(super) fn refused(lab: &Lab) -> Row {
    let internal = "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 5\n@ IN NS ns\nns IN A 127.0.0.1\n";
    let closed = "dnssec-validation no; allow-recursion { none; };";
    let mut bind = Server::bind(Some(lab.root()), closed, "", &[("internal.test", internal)]);
    let at = bind.address();
    let own_zone = ask(at, "internal.test", SOA, false, ANSWER);
    let mta = Mta::start(&[at], lab.root(), "");
    let about = About {
        case: "A4",
        broken: "the resolver refuses us recursion; its own zones are answered",
        servers: "BIND, then Unbound",
    };
    let names = Names(vec![(at, "BIND")]);
    let mut healed = None;
    let expected = Expected::Waits("refused");
    let mut row =
        run(about, &mta, &names, ("a4.many.test", expected), "a4-after.many.test", || {
            bind.stop();
            healed = Some(lab.unbound_at(at));
        });
    check(&mut row, own_zone.is_some_and(|s| s.rcode == 0), "its own zone is answered");
    row
}

pub(super) fn stale_cache(lab: &Lab) -> Row {
    let (old, new) = (Scripted::of(&[]), Scripted::of(&[]));
    let zone = |server: &Scripted| {
        let ip = server.address.ip();
        format!(
            "a7.moved SOA ns0.a7.moved 1 60\na7.moved 86400 NS ns0.a7.moved\nns0.a7.moved 86400 A {ip}\n\
             a7.moved MX 10 mx.a7.moved\nmx.a7.moved A {}\n",
            lab.mail
        )
    };
    old.set(&[("a7.moved", &zone(&old))]);
    new.set(&[("a7.moved", &zone(&new))]);
    delegate(lab, &old);
    let (unbound, bind) = (lab.unbound(), lab.bind());
    let primed = ask(unbound.address(), "a7.moved", SOA, false, ANSWER);
    old.server.behave("*", None, Behaviour::Drop);
    delegate(lab, &new);

    let mta = Mta::start(&[unbound.address(), bind.address()], lab.root(), "");
    let names = Names(vec![(unbound.address(), "Unbound"), (bind.address(), "BIND")]);
    let about = About {
        case: "A7",
        broken: "the first resolver keeps the domain's old servers, which are off",
        servers: "Unbound with an old delegation, BIND without, scripted servers of the domain",
    };
    let expected = Expected::Delivered(SECOND_SERVER);
    let mut row = run(about, &mta, &names, ("a7.moved", expected), "a7-after.many.test", || {});
    check(&mut row, primed.is_some_and(|s| s.rcode == 0), "the old servers were known");
    row.control = row.control.replace("fault off", "another domain");
    row
}

fn delegate(lab: &Lab, to: &Scripted) {
    let text = format!(
        "moved SOA ns.moved 1 1\nmoved NS ns.moved\na7.moved 86400 NS ns0.a7.moved\nns0.a7.moved 86400 A {}\n",
        to.address.ip()
    );
    lab.net.moved.set(&[("moved", &text)]);
}

pub(super) fn negative_cache(lab: &Lab) -> Row {
    let (unbound, bind) = (lab.unbound(), lab.bind());
    let before = ask(unbound.address(), "new.young.test", MX, false, ANSWER);
    lab.add_to_young("new.young.test");
    let mta = Mta::start(&[unbound.address(), bind.address()], lab.root(), "");
    let names = Names(vec![(unbound.address(), "Unbound"), (bind.address(), "BIND")]);
    let about = About {
        case: "A8",
        broken: "the first resolver remembers that the domain did not exist yet",
        servers: "Unbound with NXDOMAIN in its cache, BIND, a scripted server of the domain",
    };
    let expected = Expected::Delivered(SECOND_SERVER);
    let mut row =
        run(about, &mta, &names, ("new.young.test", expected), "a8-after.many.test", || {});
    check(&mut row, before.is_some_and(|s| s.rcode == 3), "it did not exist");
    let still = ask(unbound.address(), "new.young.test", MX, false, ANSWER);
    check(&mut row, still.is_some_and(|s| s.rcode == 3), "the first resolver still says so");
    row.control = row.control.replace("fault off", "another domain");
    row
}

/// Without an address inside, all servers are asked before mail is returned, and the other one knows the MX. With one,
/// mail goes there, as the view says: nothing in its answers tells a resolver that others see something else.
pub(super) fn split_horizon(lab: &Lab) -> Row {
    let inside = Sink::start(&[]);
    let view = format!(
        "{}  local-zone: \"partner.test.\" static\n  local-data: \"partner.test. TXT inside\"\n  \
         local-zone: \"shadow.many.test.\" static\n  local-data: \"shadow.many.test. A {}\"\n",
        lab.net.anchor_of_unbound(),
        inside.address().ip()
    );
    let (unbound, bind) = (Server::unbound(lab.root(), &view), lab.bind());
    let mta = Mta::start(&[unbound.address(), bind.address()], lab.root(), "");
    let names = Names(vec![(unbound.address(), "Unbound"), (bind.address(), "BIND")]);
    let about = About {
        case: "A9",
        broken: "the first resolver has an internal copy of the domain, without MX",
        servers: "Unbound with local data, BIND",
    };
    let expected = Expected::Delivered(SECOND_SERVER);
    let mut row = run(about, &mta, &names, ("partner.test", expected), "a9-after.many.test", || {});
    let internal = ask(unbound.address(), "partner.test", MX, false, ANSWER);
    check(&mut row, internal.is_some_and(|s| (s.rcode, s.answers) == (0, 0)), "NODATA inside");
    let shadowed = mta.end(&mta.send("shadow.many.test").0, PATIENCE);
    check(
        &mut row,
        delivered_at_once(shadowed.as_ref()) && inside.count() == 1,
        "mail goes inside",
    );
    row.concluded += " by the MX that BIND knows; with an address in the copy mail goes there";
    row.control = row.control.replace("fault off", "another domain");
    row
}

/// Nobody is at the address sold. The servers of the tree, by walking, deny the domain; a random name is sold, too.
pub(super) fn rewriting(lab: &Lab) -> Row {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("sold");
    let sold = loopback::address(25).ip();
    let zone = format!(
        "$TTL 60\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A {sold}\n* IN A {sold}\n"
    );
    std::fs::write(&file, zone).expect("ours");
    let clause = format!("zone \".\" {{ type redirect; file \"{}\"; }};", file.display());
    let bind = Server::bind(Some(lab.root()), "dnssec-validation no;", &clause, &[]);
    let at = bind.address();
    let mta = Mta::start(&[at], lab.root(), "");
    let about = About {
        case: "A10",
        broken: "the resolver sells typing errors: what does not exist has an address",
        servers: "BIND with a redirect zone",
    };
    let names = Names(vec![(at, "BIND")]);
    let expected = Expected::Returned(AT_ONCE, "5.1.2");
    let mut row = run(about, &mta, &names, ("typo.test", expected), "a10-after.many.test", || {});
    let random = ask(at, "kq7x0z3w.test", A, false, ANSWER);
    check(&mut row, random.is_some_and(|s| s.answers == 1), "a random name has an address");
    row.control = row.control.replace("fault off", "a domain that exists");
    row
}

pub(super) fn clock_skew(lab: &Lab) -> Row {
    // 400 days ahead of what the signatures are valid for.
    let skewed =
        format!("{}  val-override-date: \"20990101000000\"\n", lab.net.anchor_of_unbound());
    let mut unbound = Server::unbound(lab.root(), &skewed);
    let at = unbound.address();
    let mta = Mta::start(&[at], lab.root(), "");
    let plain = mta.end(&mta.send("a13-plain.many.test").0, PATIENCE);
    let unchecked = ask(at, "good.secure", MX, true, ANSWER);
    let about = About {
        case: "A13",
        broken: "the validating resolver's clock is years off",
        servers: "Unbound with another date, BIND and Knot with signed zones",
    };
    let names = Names(vec![(at, "Unbound")]);
    let mut healed = None;
    let expected = Expected::Waits("bogus");
    let mut row =
        run(about, &mta, &names, ("good.secure", expected), "a13-after.many.test", || {
            unbound.stop();
            healed = Some(lab.unbound_at(at));
        });
    check(&mut row, unchecked.is_some_and(|s| s.answers == 1), "with CD it answers");
    check(&mut row, delivered_at_once(plain.as_ref()), "an unsigned domain is delivered to");
    row
}

/// `missing.test.many.test` would take the mail.
pub(super) fn search_list(lab: &Lab) -> Row {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("resolv.conf");
    let unbound = lab.unbound();
    let at = unbound.address();
    let text = format!("nameserver {}\nsearch many.test\noptions ndots:5\n", at.ip());
    std::fs::write(&file, text).expect("ours");
    let settings = format!("servers = \"system\"\nresolv_conf = \"{}\"", file.display());
    let mta = Mta::with(&settings, lab.root(), "");
    let captured = ask(at, "missing.test.many.test", MX, false, ANSWER);
    let own = mta.end(&mta.send("missing.test").0, PATIENCE);
    let other = mta.end(&mta.send("partner.test").0, PATIENCE);
    let names = Names(vec![(at, "Unbound")]);
    let mut row = Row {
        case: "A14",
        broken: "resolv.conf searches a domain whose wildcard takes all mail",
        servers: "Unbound and Knot",
        asked: crate::row::asked(own.as_ref(), &names),
        concluded: concluded(own.as_ref()),
        held_up: crate::row::held_up(own.as_ref()),
        control: format!("partner.test {}", crate::row::held_up(other.as_ref())),
        check: String::new(),
        wrong: Vec::new(),
    };
    check(&mut row, captured.is_some_and(|s| s.answers == 1), "the wildcard has an MX for it");
    let returned = own.is_some_and(|o| o.fate == Fate::Failed && o.status == "5.1.2");
    check(&mut row, returned, "the domain does not exist, whatever the search list has");
    check(&mut row, delivered_at_once(other.as_ref()), "a domain that exists is delivered to");
    row
}

/// Asked more than 20 times a second, it refuses.
pub(super) fn rate_limited(lab: &Lab) -> Row {
    const DOMAINS: usize = 40;
    let unbound = lab.unbound();
    let relay = Relay::new(unbound.address(), true, Arc::new(above(20)));
    let at = relay.address();
    let mta = Mta::start(&[at], lab.root(), "");
    let sent: Vec<_> = (0..DOMAINS).map(|n| mta.send(&format!("a15-{n}.many.test")).0).collect();
    let first: Vec<_> = sent.iter().map(|id| mta.outcome(id, PATIENCE)).collect();
    let count = |fate| first.iter().flatten().filter(|o| o.fate == fate).count();
    let (delivered, waits, failed) =
        (count(Fate::Delivered), count(Fate::Waits), count(Fate::Failed));
    let refused = first.iter().flatten().find(|o| o.said.iter().any(|s| s.outcome == "refused"));
    let asked = crate::row::asked(refused, &Names(vec![(at, "relay")]));
    for id in &sent {
        // Failures are kept for a moment; a few questions at a time are answered.
        if mta.outcome(id, PATIENCE).is_some_and(|o| o.fate == Fate::Waits) {
            mta.posthaste.verb(&["queue", "retry", id]);
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    let ends: Vec<_> = sent.iter().map(|id| mta.end(id, PATIENCE)).collect();
    let mut row = Row {
        case: "A15",
        broken: "the resolver refuses more than 20 questions a second",
        servers: "Unbound behind a relay",
        asked,
        concluded: format!(
            "{delivered} of {DOMAINS} domains delivered at attempt 1, {waits} wait, {failed} returned; e.g. {}",
            concluded(refused)
        ),
        held_up: "until the next attempt".to_owned(),
        control: format!(
            "{} delivered when asked slowly",
            ends.iter().flatten().filter(|o| o.fate == Fate::Delivered).count()
        ),
        check: String::new(),
        wrong: Vec::new(),
    };
    check(&mut row, failed == 0 && waits > 0 && delivered > 0, "some wait, none is returned");
    check(
        &mut row,
        ends.iter().all(|end| end.as_ref().is_some_and(|o| o.fate == Fate::Delivered)),
        "all are delivered in the end",
    );
    row
}

fn above(limit: u32) -> impl Fn(relay::Question) -> relay::Fate + Send + Sync {
    let second = Mutex::new((Instant::now(), 0));
    move |_| {
        let mut second = second.lock().expect("nobody panics while holding it");
        if second.0.elapsed() > Duration::from_secs(1) {
            *second = (Instant::now(), 0);
        }
        second.1 += 1;
        if second.1 > limit { relay::Fate::Rcode(5) } else { relay::Fate::Pass }
    }
}

fn check(row: &mut Row, holds: bool, what: &str) {
    if !holds {
        row.wrong.push(format!("not so: {what}"));
    }
}
