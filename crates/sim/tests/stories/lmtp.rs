//! A mail store that is handed mail over LMTP (RFC 2033): every recipient has an outcome of its own.

use crate::words::*;
use posthaste_evidence::Outcome::{self, Deferred, Delivered, Failed, Indeterminate};
use posthaste_evidence::{Fault, Stage};
use posthaste_peers::mail::{Action, Rule, Script, Step};
use posthaste_route::{Action as Way, Pattern, Protocol, Route, SmartHost, Table};
use posthaste_sim::{MailSystem, Plan};

/// The host of the store.
const STORE: &str = "store";

/// Mail for `d.test` goes to the store, all else by MX.
fn store(script: Script) -> MailSystem {
    let mut plan = Plan::default().host(STORE, &["11.9.0.1"]);
    let hosts = vec![SmartHost { host: "11.9.0.1".into(), port: 25 }];
    let mut route = Route::by_hosts(STORE, vec!["d.test".parse().expect("a pattern")], hosts);
    if let Way::SmartHosts { protocol, .. } = &mut route.action {
        *protocol = Protocol::Lmtp;
    }
    plan.routes = Table::new(vec![route, Route::by_mx("rest", vec![Pattern::Any])]);
    let system = up(plan);
    peer(&system, STORE).set(script);
    system
}

/// At the final dot, once, for this recipient.
fn once(recipient: &str, action: Action) -> Rule {
    Rule { at: Step::Dot, containing: recipient.to_owned(), times: Some(1), action }
}

/// Commands that the store saw with this verb.
fn said(system: &MailSystem, verb: &str) -> usize {
    let prefix = format!("C: {verb}");
    peer(system, STORE).dialogue().iter().filter(|line| line.starts_with(&prefix)).count()
}

#[test]
fn every_recipient_has_its_own_outcome_and_only_the_deferred_one_is_tried_again() {
    let script = Script::lmtp()
        .rule(once("full@d.test", Action::Reply("452 4.2.2 over quota".into())))
        .on(Step::Dot, "gone@d.test", Action::Reply("550 5.2.1 mailbox disabled".into()))
        .on(Step::Rcpt, "nobody@d.test", Action::Reply("550 5.1.1 no such user".into()));
    let system = store(script);
    send(&system, 1, &["full@d.test", "a@d.test", "nobody@d.test", "gone@d.test", "b@d.test"]);
    until_quiet(&system, HOUR);

    let all: [(&str, &[Outcome]); 5] = [
        ("a@d.test", &[Delivered]),
        ("b@d.test", &[Delivered]),
        ("full@d.test", &[Deferred, Delivered]),
        ("gone@d.test", &[Failed]),
        ("nobody@d.test", &[Failed]),
    ];
    for (recipient, expected) in all {
        assert_eq!(outcomes(&system, recipient), expected, "{recipient}");
    }
    assert_eq!(taken(&system, STORE), ["a@d.test", "b@d.test", "full@d.test"], "no second copy");
    let fault = |to: &str| tries(&system, to).remove(0).fault.expect("it was refused");
    assert_eq!(fault("gone@d.test").stage(), Stage::Eod);
    assert_eq!(fault("nobody@d.test").stage(), Stage::Rcpt);
    let notice = the_notice(&system);
    assert_eq!(notice.about, ["nobody@d.test", "gone@d.test"]);
    assert_eq!(notice.status, ["5.1.1", "5.2.1"]);
    assert!(notice.text.contains("mailbox disabled"), "{}", notice.text);
    // The first message of five, and the one that was tried again.
    assert_eq!((said(&system, "RCPT"), said(&system, "MAIL")), (6, 2));
    assert_eq!((said(&system, "EHLO"), said(&system, "HELO")), (0, 0));
    assert!(said(&system, "LHLO") > 0);
}

#[test]
fn a_link_lost_amid_the_replies_leaves_those_answered_as_they_are() {
    for (action, copies) in [(Action::Close, 1), (Action::TakeAndClose, 2)] {
        let system = store(Script::lmtp().rule(once("b@d.test", action)));
        send(&system, 1, &["a@d.test", "b@d.test", "c@d.test"]);
        until_quiet(&system, HOUR);
        assert_eq!(outcomes(&system, "a@d.test"), [Delivered]);
        for in_doubt in ["b@d.test", "c@d.test"] {
            assert_eq!(outcomes(&system, in_doubt), [Indeterminate, Delivered], "{in_doubt}");
        }
        let taken = taken(&system, STORE);
        let of = |who: &str| taken.iter().filter(|to| *to == who).count();
        assert_eq!((of("a@d.test"), of("b@d.test"), of("c@d.test")), (1, copies, 1));
        assert!(notices(&system).is_empty());
    }
}

#[test]
fn a_store_that_stops_in_the_middle_of_its_replies_is_waited_for_and_the_rest_is_in_doubt() {
    let system = store(Script::lmtp().rule(once("b@d.test", Action::Silence)));
    send(&system, 1, &["a@d.test", "b@d.test"]);
    until_quiet(&system, HOUR);
    assert_eq!(outcomes(&system, "a@d.test"), [Delivered]);
    assert_eq!(outcomes(&system, "b@d.test"), [Indeterminate, Delivered]);
    let fault = tries(&system, "b@d.test").remove(0).fault;
    assert!(matches!(fault, Some(Fault::TimedOut { stage: Stage::Eod, .. })), "{fault:?}");
}

#[test]
fn nobody_accepted_means_no_data_and_no_lone_dot() {
    let refuse = Action::Reply("450 4.2.1 mailbox busy".into());
    let script = Script::lmtp().rule(Rule {
        at: Step::Rcpt,
        containing: String::new(),
        times: Some(2),
        action: refuse,
    });
    let system = store(script);
    send(&system, 1, &["a@d.test", "b@d.test"]);
    system.pass(MINUTE);
    assert_eq!(outcomes(&system, "a@d.test"), [Deferred]);
    assert_eq!(said(&system, "DATA"), 0);
    until_quiet(&system, HOUR);
    assert_eq!(taken(&system, STORE).len(), 2);
}

#[test]
fn a_host_that_speaks_only_smtp_is_told_apart_by_its_refusal_of_lhlo() {
    let system = store(Script::default());
    send(&system, 1, &["a@d.test"]);
    until_quiet(&system, HOUR);
    let fault = tries(&system, "a@d.test").remove(0).fault.expect("it failed");
    assert_eq!(fault.stage(), Stage::Lhlo, "{fault:?}");
    assert_eq!((said(&system, "EHLO"), said(&system, "HELO")), (0, 0), "no falling back");
    assert_eq!(the_notice(&system).about, ["a@d.test"]);
}
