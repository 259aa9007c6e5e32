//! Servers that make up an address for every name that does not exist (NXDOMAIN rewriting): mail goes there as to a domain
//! without MX records, and nobody takes it.

use crate::words::*;
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{Doubt, Fault, Seen};
use posthaste_peers::dns::Zone;
use posthaste_sim::{MailSystem, Plan};

const TOP: &str = ". NS root.test\ntest NS root.test\n";
const SENDER: &str = "sender.test MX 10 mx0.sender.test\nmx0.sender.test A 11.0.1.1\n";
/// Nobody listens on port 25 of this machine.
const INVENTED: &str = "*.test A 11.0.0.3";

/// What our server says, and what is so.
fn zones(system: &MailSystem, ours: &str, truth: &str) {
    system.set_zone(truth);
    let ours = format!("{TOP}{SENDER}{ours}");
    system.dns.set_zone(Zone::parse(&ours).expect("a zone"));
}

fn fault(system: &MailSystem, domain: &str) -> Option<Fault> {
    system.dispatch().last_fault(domain, "default")?.result.fault
}

fn waits_for_the_host(system: &MailSystem, domain: &str) {
    assert_eq!((told(system, "failed"), told(system, "expired")), (0, 0));
    assert!(
        matches!(fault(system, domain), Some(Fault::Connect(_))),
        "{:?}",
        fault(system, domain)
    );
}

#[test]
fn a_typing_error_is_told_although_our_servers_invent_an_address_for_it() {
    for (ours, limit) in [(INVENTED, AT_ONCE), ("*.test A 11.9.9.9", MINUTE)] {
        let system = up(Plan::default());
        zones(&system, ours, "");
        send(&system, 1, &["r@typo.test"]);
        let took = until_quiet(&system, 5 * MINUTE);
        assert!(took < limit, "{ours}: {took:?}");
        let notice = the_notice(&system);
        assert_eq!(notice.status, ["5.1.2"], "{ours}");
        assert!(notice.text.contains("The domain typo.test does not exist."), "{}", notice.text);
        // The invented host rests now: others that err need not wait for it.
        send(&system, 2, &["r@tyop.test"]);
        assert!(until_quiet(&system, MINUTE) < AT_ONCE);
        assert_eq!(notices(&system).len(), 2);
    }
}

#[test]
fn a_host_that_is_down_is_waited_for_unless_its_zone_denies_it_and_our_servers_invent() {
    let inside = "d.test A 11.0.0.3";
    for (ours, truth, roots, story) in [
        (inside, inside, true, "no MX, and the host is down"),
        (INVENTED, "d.test A 11.0.0.3", true, "one that exists, where others are invented"),
        (inside, "", true, "known inside only: nothing is invented"),
        (INVENTED, "", false, "nobody can be asked"),
        ("d.test MX 10 mx.test\n*.test A 11.0.0.3", "", true, "an MX record is no invention"),
    ] {
        let system = up(Plan { roots, ..Plan::default() });
        zones(&system, ours, truth);
        send(&system, 1, &["r@d.test"]);
        system.pass(3 * HOUR);
        assert_eq!(system.live().len(), 1, "{story}");
        waits_for_the_host(&system, "d.test");
    }
}

#[test]
fn an_invented_domain_that_was_delivered_to_is_waited_for_a_day() {
    let known = "d.test A 11.1.0.1";
    let system = up(Plan::default().host("d.test", &["11.1.0.1"]));
    system.set_zone(known);
    send(&system, 1, &["first@d.test"]);
    until_quiet(&system, MINUTE);
    assert_eq!(taken(&system, "d.test"), ["first@d.test"]);
    zones(&system, INVENTED, "");
    system.pass(MINUTE * 10);
    send(&system, 2, &["second@d.test"]);
    system.pass(3 * HOUR);
    let name = "d.test".to_owned();
    assert_eq!(fault(&system, "d.test"), Some(Fault::Doubted { name, doubt: Doubt::Vanished }));
    let failures = system.dispatch().failures("d.test", "default");
    let seen = failures.iter().flat_map(|failure| &failure.observations);
    let told_of = seen.filter(|o| o.seen == Seen::Chose(Choice::Invented)).count();
    assert!(told_of > 0, "{failures:#?}");
    system.pass(20 * HOUR + 40 * MINUTE);
    assert_eq!(told(&system, "failed"), 0);
    until_quiet(&system, 3 * HOUR);
    assert_eq!(the_notice(&system).status, ["5.1.2"]);
}

#[test]
fn a_host_that_is_down_has_its_zone_asked_once_a_minute_at_most() {
    let system = up(Plan::default());
    let zone = "d.test A 11.0.0.3";
    zones(&system, zone, zone);
    send_many(&system, 1, 200, "d.test");
    system.pass(30 * MINUTE);
    waits_for_the_host(&system, "d.test");
    let walks = system.root.asked().iter().filter(|a| a.name == "d.test").count();
    assert!((1..=60).contains(&walks), "{walks}");
}
