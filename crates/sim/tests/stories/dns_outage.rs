//! Every DNS server is dead for a while, and then back: nothing is bounced, and nothing waits for its retry step. And
//! what looks like it: one domain whose own servers are silent.

use crate::words::*;
use posthaste_evidence::KeepDns;
use posthaste_io_sim::Link;
use posthaste_peers::dns::Behaviour;
use posthaste_sim::{MailSystem, Plan};
use std::ops::Range;
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
fn send_over(system: &MailSystem, from: u32, domains: Range<u32>, each: u32, time: Duration) {
    let count = domains.len() * each as usize;
    let before = system.ledger.all().len();
    for (number, domain) in (from..).zip(std::iter::repeat_n(domains, each as usize).flatten()) {
        let to = [format!("r{number}@d{domain}.test")];
        system.send(number, "writer@sender.test", &to, 100);
        system.pass(time / u32::try_from(count).expect("few"));
    }
    let told = |s: &MailSystem| s.ledger.all().len() >= before + count;
    assert!(system.run_until(MINUTE, SECOND / 10, told), "the clients are told");
}

/// Messages that the hosts of these domains took.
fn arrived(system: &MailSystem, domains: Range<u32>) -> usize {
    domains.map(|n| peer(system, &format!("mx0.d{n}.test")).arrived()).sum()
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
        send_over(&system, 0, 0..domains, each, 8 * MINUTE);
        system.pass(2 * MINUTE);
        let waiting = system.live().len();
        assert_eq!(waiting, (domains * each) as usize, "{link:?}: nothing got out");
        dns(&system, Link::Up);
        let took = until_quiet(&system, 10 * MINUTE);
        assert!(took < MINUTE, "{link:?}, {domains} domains: {took:?}");
        assert!(notices(&system).is_empty(), "{link:?}: nothing is bounced");
        assert_eq!(arrived(&system, 0..domains), waiting, "{link:?}");
    }
}

#[test]
fn names_known_before_the_outage_are_delivered_to_all_through_it_and_strangers_wait() {
    const KNOWN: u32 = 5;
    const STRANGERS: u32 = 20;
    /// Records live five minutes: from then on answers past their time are used (RFC 8767).
    const MINUTES: u32 = 10;
    for link in [Link::Drop, Link::Refuse, Link::Unreachable] {
        let system = up(many_domains((KNOWN + STRANGERS) as usize, false));
        system.relay.journal().keep_dns(KeepDns::All);
        send_over(&system, 0, 0..KNOWN, 1, SECOND);
        until_quiet(&system, MINUTE);
        dns(&system, link);
        let began = system.sim.now();
        for minute in 0..MINUTES {
            let strangers = KNOWN + 2 * minute..KNOWN + 2 * minute + 2;
            send_over(&system, 1_000 + minute * 100, strangers, 1, SECOND);
            send_over(&system, 1_050 + minute * 100, 0..KNOWN, 1, SECOND);
            let known = (KNOWN * (minute + 2)) as usize;
            let gone = |s: &MailSystem| arrived(s, 0..KNOWN) == known;
            assert!(system.run_until(5 * SECOND, SECOND / 10, gone), "{link:?}, minute {minute}");
            let next = began + MINUTE * (minute + 1);
            system.pass(Duration::from_nanos(next.0 - system.sim.now().0));
            assert_eq!(system.live().len(), 2 * (minute as usize + 1), "the strangers wait");
        }
        let stale = system.relay.journal().questions().iter().filter(|q| q.stale).count();
        assert!(stale >= 2 * KNOWN as usize, "{link:?}: {stale} answers past their time");
        dns(&system, Link::Up);
        let took = until_quiet(&system, 10 * MINUTE);
        assert!(took < MINUTE, "{link:?}: {took:?}");
        assert_eq!(arrived(&system, KNOWN..KNOWN + STRANGERS), STRANGERS as usize, "{link:?}");
        assert!(notices(&system).is_empty(), "{link:?}: nothing is bounced");
    }
}

#[test]
fn an_outage_of_hours_ends_as_soon_and_a_host_that_is_down_is_not_tried_for_it() {
    let system = up(many_domains(10, false));
    system.sim.partition(&system.relay, &system.host("mx0.d0.test").0, Link::Refuse);
    send(&system, 500, &["r@d0.test"]);
    system.pass(20 * SECOND);
    dns(&system, Link::Drop);
    send_over(&system, 0, 0..10, 1, MINUTE);
    system.pass(3 * HOUR);
    let before = system.dispatch().counters().unreached;
    dns(&system, Link::Up);
    let one_left = |s: &MailSystem| s.live().len() == 2;
    assert!(system.run_until(MINUTE, SECOND, one_left), "{} left", system.live().len());
    system.pass(MINUTE);
    let more = system.dispatch().counters().unreached - before;
    assert!(more <= 3, "{more} connections did not come about");
}

#[test]
fn a_domain_whose_servers_are_silent_is_tried_by_its_schedule_and_no_other_mail_with_it() {
    for two in [false, true] {
        let mut plan = many_domains(2, false);
        if two {
            plan.resolvers = vec!["11.0.0.3".parse().expect("an address"); 2];
        }
        let system = up(plan);
        system.dns.behave("d0.test", None, Behaviour::Drop);
        system.sim.partition(&system.relay, &system.host("mx0.d1.test").0, Link::Refuse);
        send(&system, 0, &["r@d0.test"]);
        send(&system, 1, &["r@d1.test"]);
        system.pass(30 * MINUTE);
        for recipient in ["r@d0.test", "r@d1.test"] {
            let tried = tries(&system, recipient);
            let steps = tried.windows(2).map(|pair| pair[1].at.since(pair[0].at));
            let early: Vec<Duration> = steps.filter(|step| *step < 45 * SECOND).collect();
            assert!(early.is_empty(), "{recipient}: {early:?} after the one before");
        }
        let trials = system.dispatch().counters().unreached;
        assert!((16..=24).contains(&trials), "{trials} for two domains in half an hour");
    }
}
