//! Every DNS server is dead for a while, and then back: nothing is bounced, and nothing waits for its retry step.

use crate::words::*;
use posthaste_io_sim::Link;
use posthaste_sim::{MailSystem, Plan};
use std::time::Duration;

/// Domains with one mail host each. `two`: a second DNS server, which never lived.
fn many_domains(count: usize, two: bool) -> Plan {
    let mut plan = Plan::default();
    for n in 0..count {
        plan.domains.push((format!("d{n}.test"), 1));
    }
    if two {
        plan.resolvers =
            ["11.99.0.1", "11.0.0.3"].map(|ip| ip.parse().expect("an address")).to_vec();
    }
    plan
}

fn dns(system: &MailSystem, link: Link) {
    system.sim.partition(&system.relay, &system.dns_host, link);
}

/// Mail for each domain, handed in one after the other over this time.
fn send_over(system: &MailSystem, from: u32, domains: u32, each: u32, time: Duration) {
    for number in 0..domains * each {
        let to = [format!("r{}@d{}.test", from + number, number % domains)];
        system.send(from + number, "writer@sender.test", &to, 100);
        system.pass(time / (domains * each));
    }
    let told = |s: &MailSystem| s.ledger.all().len() >= (domains * each) as usize;
    assert!(system.run_until(MINUTE, SECOND / 10, told), "the clients are told");
}

#[test]
fn ten_minutes_without_any_dns_server_cost_no_mail_and_a_minute_after_their_return_all_is_gone() {
    for (link, two, domains, each) in [
        (Link::Drop, false, 1, 1),
        (Link::Drop, true, 40, 5),
        (Link::Refuse, false, 40, 5),
        (Link::Unreachable, false, 3, 1),
    ] {
        let system = up(many_domains(domains as usize, two));
        dns(&system, link);
        send_over(&system, 0, domains, each, 8 * MINUTE);
        system.pass(2 * MINUTE);
        let waiting = system.live().len();
        assert_eq!(waiting, (domains * each) as usize, "{link:?}: nothing got out");
        dns(&system, Link::Up);
        let took = until_quiet(&system, 10 * MINUTE);
        assert!(took < MINUTE, "{link:?}, {domains} domains: {took:?}");
        assert!(notices(&system).is_empty(), "{link:?}: nothing is bounced");
        let arrived: usize =
            (0..domains).map(|n| peer(&system, &format!("mx0.d{n}.test")).arrived()).sum();
        assert_eq!(arrived, waiting, "{link:?}");
    }
}

#[test]
fn an_outage_of_hours_ends_as_soon_and_a_host_that_is_down_is_not_tried_for_it() {
    let system = up(many_domains(10, false));
    system.sim.partition(&system.relay, &system.host("mx0.d0.test").0, Link::Refuse);
    send(&system, 500, &["r@d0.test"]);
    system.pass(20 * SECOND);
    dns(&system, Link::Drop);
    send_over(&system, 0, 10, 1, MINUTE);
    system.pass(3 * HOUR);
    let before = system.dispatch().counters().unreached;
    dns(&system, Link::Up);
    let one_left = |s: &MailSystem| s.live().len() == 2;
    assert!(system.run_until(MINUTE, SECOND, one_left), "{} left", system.live().len());
    system.pass(MINUTE);
    let more = system.dispatch().counters().unreached - before;
    assert!(more <= 3, "{more} connections did not come about");
}
