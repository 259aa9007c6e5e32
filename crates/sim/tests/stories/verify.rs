//! A domain of ours that verifies: its next hop is asked, not burdened, and nobody unknown gets in.

use crate::words::*;
use posthaste_io_sim::Link;
use posthaste_mail::Mailbox;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_reception::recipients::{Recipients, Setup};
use posthaste_route::{Action as Way, Pattern, Protocol, Route, SmartHost, Table};
use posthaste_sim::{Handed, MailSystem, Plan};

const HOST: &str = "mx0.own.test";

fn plan() -> Plan {
    let own = Setup {
        domains: vec![("own.test".into(), Recipients::Verify)],
        postmaster: Mailbox::parse("writer@sender.test", false).ok(),
        ..Setup::default()
    };
    Plan { own, ..Plan::domain("own.test", 1) }
}

/// Knows ann and bob, and nobody else.
fn two_users() -> Script {
    let usual = Action::Delay(std::time::Duration::ZERO);
    let nobody = Action::Reply("550 5.1.1 nobody of that name".into());
    Script::default()
        .on(Step::Rcpt, "<ann@", usual.clone())
        .on(Step::Rcpt, "<bob@", usual)
        .always(Step::Rcpt, nobody)
}

/// Hands in one message, for this recipient and the postmaster; answers what became of it.
fn offer(system: &MailSystem, number: u32, to: &str) -> Handed {
    let before = system.ledger.all().len();
    system.hand_in(letter(number, &[to, "postmaster@own.test"]));
    let told = |s: &MailSystem| s.ledger.all().len() > before;
    assert!(system.run_until(MINUTE, AT_ONCE / 100, told), "the client is told");
    system.ledger.all().pop().expect("it was told")
}

/// The reply that refused the recipient; `None` when it was accepted.
fn refused(system: &MailSystem, number: u32, to: &str) -> Option<String> {
    let handed = offer(system, number, to);
    assert!(handed.acknowledged, "the postmaster gets it in any case: {handed:?}");
    handed.refusal
}

fn probes(system: &MailSystem) -> u64 {
    let dialogue = peer(system, HOST).dialogue();
    dialogue.iter().filter(|line| line.contains("MAIL FROM:<>")).count() as u64
}

#[test]
fn who_is_unknown_is_refused_at_once_and_nobody_is_asked_for_twice() {
    let system = up(plan());
    peer(&system, HOST).set(two_users());
    for number in 0..3 {
        assert_eq!(refused(&system, number, "ann@own.test"), None);
        let refusal = refused(&system, 10 + number, "eve@own.test").expect("unknown");
        assert!(refusal.starts_with("550 5.1.1 ") && refusal.contains("nobody of that name"));
    }
    until_quiet(&system, MINUTE);
    assert_eq!(taken(&system, HOST), ["ann@own.test"; 3]);
    assert_eq!(probes(&system), 3, "ann, eve, and the control of the domain");
    let dialogue = peer(&system, HOST).dialogue();
    let data = dialogue.iter().filter(|line| line.contains("DATA")).count();
    assert_eq!(data, 3, "of the messages; a probe sends none: {dialogue:?}");
    assert!(system.everybody.lock().expect("no panic").is_empty());
}

#[test]
fn a_store_that_speaks_lmtp_is_asked_like_any_next_hop() {
    let hosts = vec![SmartHost { host: HOST.into(), port: 25 }];
    let mut route = Route::by_hosts("store", vec!["own.test".parse().expect("a pattern")], hosts);
    if let Way::SmartHosts { protocol, .. } = &mut route.action {
        *protocol = Protocol::Lmtp;
    }
    let routes = Table::new(vec![route, Route::by_mx("rest", vec![Pattern::Any])]);
    let system = up(Plan { routes, ..plan() });
    peer(&system, HOST).set(Script { lmtp: true, ..two_users() });
    assert_eq!(refused(&system, 1, "ann@own.test"), None);
    let refusal = refused(&system, 2, "eve@own.test").expect("unknown");
    assert!(refusal.starts_with("550 5.1.1 "), "{refusal}");
    until_quiet(&system, MINUTE);
    assert_eq!(taken(&system, HOST), ["ann@own.test"]);
    let dialogue = peer(&system, HOST).dialogue();
    assert_eq!(dialogue.iter().filter(|line| line.contains("DATA")).count(), 1, "{dialogue:?}");
}

#[test]
fn a_next_hop_that_is_down_puts_off_and_is_not_dialled_for_every_recipient() {
    for way in [Link::Drop, Link::Refuse, Link::Unreachable] {
        let system = up(plan());
        peer(&system, HOST).set(two_users());
        system.sim.partition(&system.relay, &system.host(HOST).0, way);
        for number in 0..10 {
            let refusal = refused(&system, number, &format!("u{number}@own.test")).expect("down");
            assert!(refusal.starts_with("450 4."), "{way:?}: {refusal}");
        }
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Up);
        assert_eq!(peer(&system, HOST).connections(), 0);
        system.pass(45 * SECOND);
        assert_eq!(refused(&system, 20, "bob@own.test"), None, "{way:?}");
        until_quiet(&system, HOUR);
        assert_eq!(taken(&system, HOST), ["bob@own.test"]);
        // What is known holds while it is down again.
        system.sim.partition(&system.relay, &system.host(HOST).0, way);
        assert_eq!(refused(&system, 21, "bob@own.test"), None, "{way:?}");
    }
}

#[test]
fn what_says_nothing_of_the_recipient_puts_off() {
    for (step, words) in [
        (Step::Greeting, "554 5.7.1 not from you"),
        (Step::Mail, "550 5.7.1 no null sender here"),
        (Step::Rcpt, "450 4.2.0 greylisted"),
        (Step::Rcpt, "550 5.7.1 your address is on a list"),
        (Step::Rcpt, "421 4.3.2 closing"),
    ] {
        let system = up(plan());
        peer(&system, HOST).set(Script::default().always(step, Action::Reply(words.into())));
        let refusal = refused(&system, 1, "ann@own.test").expect(words);
        assert!(refusal.starts_with("450 4."), "{words}: {refusal}");
        peer(&system, HOST).set(two_users());
        system.pass(15 * SECOND);
        assert_eq!(refused(&system, 2, "ann@own.test"), None, "{words}");
    }
}

#[test]
fn a_next_hop_that_takes_everybody_is_told_of_once() {
    let system = up(plan());
    for number in 0..5 {
        assert_eq!(refused(&system, number, &format!("u{number}@own.test")), None);
    }
    assert_eq!(*system.everybody.lock().expect("no panic"), ["own.test"]);
    let running = system.running().expect("it is up");
    assert_eq!(running.reception.take_everybody(), ["own.test"]);
    assert_eq!(probes(&system), 6);
}

#[test]
fn the_same_seed_asks_the_same() {
    let run = || {
        let system = up(plan());
        peer(&system, HOST).set(two_users());
        for (number, to) in (0..).zip(["ann@own.test", "eve@own.test", "bob@own.test"]) {
            offer(&system, number, to);
        }
        until_quiet(&system, MINUTE);
        system.sim.hash()
    };
    assert_eq!(run(), run());
}
