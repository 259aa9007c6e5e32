//! Destinations and next hops that are down: one trial per step, one ledger entry, every wait explained, and a
//! backlog that drains at a bounded, growing rate.

use crate::words::*;
use posthaste_evidence::WaitReason;
use posthaste_io_sim::Link;
use posthaste_peers::dns::Behaviour;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::Waiting;
use posthaste_sim::{MailSystem, Plan};
use posthaste_spool::{LedgerKey, Spool as _};

const HOST: &str = "mx0.d.test";
/// Trials due within half an hour after the first failure: 4 x 1 min, then every 5 min, give or take a fifth.
const STEPS_OF_HALF_AN_HOUR: std::ops::RangeInclusive<u64> = 8..=11;

fn link(system: &MailSystem, host: &str, link: Link) {
    system.sim.partition(&system.relay, &system.host(host).0, link);
}

fn unreached(system: &MailSystem) -> u64 {
    system.dispatch().counters().unreached
}

/// Every recipient that is live says why it waits; and which reasons there are.
fn reasons(system: &MailSystem) -> Vec<WaitReason> {
    let dispatch = system.dispatch();
    let mut reasons = Vec::new();
    for live in system.live() {
        for (number, state) in (0u32..).zip(&live.states).filter(|(_, s)| s.life.is_live()) {
            let id = live.envelope.id;
            match dispatch.waiting(id, number) {
                Some(Waiting::Because { reason, .. }) => reasons.push(reason),
                Some(Waiting::InFlight) => {}
                None => assert!(dispatch.is_settling(id), "{id}/{number}, {state:?}, is stuck"),
            }
        }
    }
    reasons.sort_unstable();
    reasons.dedup();
    reasons
}

#[test]
fn a_dead_destination_costs_one_trial_per_step_however_many_wait() {
    for way in [Link::Drop, Link::Refuse, Link::Unreachable] {
        let system = up(Plan::domain("d.test", 1));
        link(&system, HOST, way);
        send(&system, 0, &["first@d.test"]);
        system.pass(25 * SECOND);
        assert_eq!(unreached(&system), 1);
        send_many(&system, 1, 200, "d.test");
        let commits = system.memory().health().commits;
        for _ in 0..30 {
            system.pass(MINUTE);
            for reason in reasons(&system) {
                let fits = matches!(reason, WaitReason::DestinationDown | WaitReason::NextHopDown);
                assert!(fits, "{way:?}: {reason:?}");
            }
        }
        let trials = unreached(&system) - 1;
        assert!(STEPS_OF_HALF_AN_HOUR.contains(&trials), "{way:?}: {trials}");
        let written = system.memory().health().commits - commits;
        assert!(written <= 2 * trials, "{way:?}: {written} commits for {trials} trials");
        assert_eq!(told(&system, "deferred"), 0, "no try of any message's own");
    }
}

#[test]
fn all_at_once_into_silence_costs_no_more_than_the_first_connections() {
    let system = up(Plan::domain("d.test", 1));
    link(&system, HOST, Link::Drop);
    send_many(&system, 1, 200, "d.test");
    system.pass(30 * MINUTE);
    let trials = unreached(&system);
    assert!(trials <= 5 + STEPS_OF_HALF_AN_HOUR.end(), "{trials}");
}

#[test]
fn a_destination_whose_host_greets_badly_is_down_like_any_other() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().always(Step::Greeting, Action::Close));
    send(&system, 0, &["first@d.test"]);
    system.pass(SECOND);
    send_many(&system, 1, 50, "d.test");
    system.pass(30 * MINUTE);
    let connections = peer(&system, HOST).connections() - 1;
    assert!(STEPS_OF_HALF_AN_HOUR.contains(&connections), "{connections}");
}

#[test]
fn a_destination_whose_dns_is_broken_costs_one_question_per_step() {
    let system = up(Plan::domain("d.test", 1));
    system.dns.behave("*", None, Behaviour::Rcode(2));
    send(&system, 0, &["first@d.test"]);
    system.pass(SECOND);
    send_many(&system, 1, 50, "d.test");
    system.pass(30 * MINUTE);
    let trials = unreached(&system) - 1;
    assert!(STEPS_OF_HALF_AN_HOUR.contains(&trials), "{trials}");
    assert_eq!(reasons(&system), [WaitReason::DestinationDown]);
}

#[test]
fn the_backlog_drains_at_a_bounded_growing_rate() {
    let mut plan = Plan::domain("d.test", 1);
    plan.queue.drain = posthaste_queue::Drain { first_rate: 5, top_rate: 40 };
    let system = up(plan);
    link(&system, HOST, Link::Refuse);
    send(&system, 0, &["first@d.test"]);
    system.pass(SECOND);
    send_many(&system, 1, 200, "d.test");
    system.pass(10 * MINUTE);
    link(&system, HOST, Link::Up);
    let back = |s: &MailSystem| peer(s, HOST).arrived() > 0;
    assert!(system.run_until(HOUR, std::time::Duration::from_millis(100), back));
    let mut arrived = vec![peer(&system, HOST).arrived()];
    let mut draining = false;
    while !system.live().is_empty() {
        draining |= reasons(&system).contains(&WaitReason::Draining);
        system.pass(SECOND);
        arrived.push(peer(&system, HOST).arrived());
        assert!(arrived.len() < 30, "{arrived:?}");
    }
    let rates: Vec<usize> = arrived.windows(2).map(|w| w[1] - w[0]).collect();
    assert!(rates[0] <= 11, "{rates:?}");
    assert!(rates.iter().all(|rate| *rate <= 41), "{rates:?}");
    assert!(rates[2] > rates[0] && draining, "{rates:?}");
    assert_eq!(peer(&system, HOST).arrived(), 201);
}

#[test]
fn a_backlog_is_released_by_the_clock_also_while_every_connection_is_busy() {
    let mut plan = Plan::domain("d.test", 1);
    plan.queue.drain = posthaste_queue::Drain { first_rate: 5, top_rate: 5 };
    let system = up(plan);
    link(&system, HOST, Link::Refuse);
    send(&system, 0, &["first@d.test"]);
    system.pass(SECOND);
    send_many(&system, 1, 20, "d.test");
    peer(&system, HOST).set(Script::default().always(Step::Dot, Action::Delay(30 * SECOND)));
    link(&system, HOST, Link::Up);
    let back = |s: &MailSystem| peer(s, HOST).mails() > 0;
    assert!(system.run_until(HOUR, std::time::Duration::from_millis(100), back));
    system.pass(3 * SECOND);
    assert_eq!(peer(&system, HOST).mails(), 5, "as many as it may have connections at first");
    until_quiet(&system, HOUR);
}

fn shared(domains: u32) -> Plan {
    let mut plan =
        Plan::default().host("shared.test", &["11.1.0.1"]).zone("shared.test A 11.1.0.1");
    for domain in 0..domains {
        plan = plan.zone(&format!("s{domain}.test MX 10 shared.test"));
    }
    plan
}

#[test]
fn a_dead_host_of_many_domains_gets_one_trial_per_step_in_all() {
    let system = up(shared(40));
    link(&system, "shared.test", Link::Drop);
    send(&system, 0, &["first@s0.test"]);
    system.pass(25 * SECOND);
    assert_eq!(unreached(&system), 1);
    for domain in 1..40 {
        send(&system, domain, &[&format!("r@s{domain}.test")]);
    }
    system.pass(30 * MINUTE);
    let host = "11.1.0.1:25".parse().unwrap();
    let dispatch = system.dispatch();
    let failures = dispatch.host_down(host).expect("it is down").failures - 1;
    assert!(STEPS_OF_HALF_AN_HOUR.contains(&u64::from(failures)), "{failures}");
    assert_eq!(reasons(&system), [WaitReason::NextHopDown]);
    link(&system, "shared.test", Link::Up);
    let took = until_quiet(&system, HOUR);
    assert!(took < 13 * MINUTE, "{took:?}");
    assert_eq!(peer(&system, "shared.test").arrived(), 40);
}

#[test]
fn a_trial_that_works_ends_the_ledger_entry() {
    let system = up(Plan::domain("d.test", 1));
    link(&system, HOST, Link::Refuse);
    send(&system, 0, &["r@d.test"]);
    system.pass(10 * MINUTE);
    let ledger = |s: &MailSystem| {
        let spool = s.running().unwrap().spool;
        let entries = s.sim.block_on(&s.relay, async move { spool.ledger().await.unwrap() });
        // That mail was delivered is remembered besides.
        entries.iter().filter(|(key, _)| !matches!(key, LedgerKey::Delivered(_))).count()
    };
    assert!(ledger(&system) > 0);
    link(&system, HOST, Link::Up);
    until_quiet(&system, HOUR);
    system.pass(SECOND);
    assert_eq!(ledger(&system), 0);
}
