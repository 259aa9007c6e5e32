//! What an attempt leaves to be looked at: who said it, and what it did.

use crate::words::*;
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{Connection, Effect, Observation, Seen, Stage, Subject};
use posthaste_io_sim::Link;
use posthaste_peers::mail::{Action, Rule, Script, Step};
use posthaste_sim::{MailSystem, Plan};
use posthaste_spool::{History, LedgerValue};

const HOST: &str = "mx0.d.test";

fn one_host(script: Script) -> MailSystem {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(script);
    system
}

fn reply(text: &str) -> Action {
    Action::Reply(text.into())
}

fn rule(containing: &str, times: Option<u32>, text: &str) -> Rule {
    Rule { at: Step::Rcpt, containing: containing.into(), times, action: reply(text) }
}

/// What is remembered of the only live message.
fn history(system: &MailSystem) -> History {
    let live = system.live().remove(0);
    let spool = system.running().expect("the relay is up").spool;
    let asked = async move { spool.history(live.envelope.id).await.expect("readable") };
    system.sim.block_on(&system.relay, asked)
}

fn observations(system: &MailSystem) -> Vec<Observation> {
    history(system).attempts.into_iter().flat_map(|attempt| attempt.observations).collect()
}

#[test]
fn what_the_host_says_or_does_not_say_is_the_hosts() {
    for (step, action) in [
        (Step::Mail, reply("451 4.3.0 later")),
        (Step::Data, reply("451 4.3.0 later")),
        (Step::Dot, reply("451 4.3.0 later")),
        (Step::Mail, Action::Close),
        (Step::Data, Action::Close),
        (Step::Dot, Action::Close),
        (Step::Mail, Action::Silence),
        (Step::Data, reply("what?")),
    ] {
        let system = one_host(Script::default().first(1, step, action.clone()));
        let long = format!("{}\r\n", "z".repeat(2000));
        hand_in(&system, letter(1, &["r@d.test"]).saying(long.as_bytes()));
        let tried = |s: &MailSystem| !tries(s, "r@d.test").is_empty();
        assert!(system.run_until(HOUR, SECOND, tried), "{step:?} {action:?}");
        let history = history(&system);
        let connection = &history.connections[0];
        assert_eq!(connection.host.as_deref(), Some(HOST));
        let seen = &history.attempts[0].observations;
        let blocking = seen.iter().find(|o| o.effect == Effect::Blocking);
        assert_eq!(blocking.map(|o| &o.subject), Some(&Subject::Peer), "{step:?} {action:?}");
        for o in seen {
            let expected = match (&o.seen, o.stage) {
                (Seen::Chose(Choice::FoldedLongLines), _) => Subject::Here,
                (Seen::Reply(_), Stage::Rcpt) => Subject::Recipient(0),
                _ => Subject::Peer,
            };
            assert_eq!(o.subject, expected, "{step:?} {action:?}: {o:?}");
        }
    }
}

#[test]
fn a_recipient_left_for_the_next_transaction_is_a_delay_and_no_refusal() {
    let full = "452 4.5.3 too many recipients";
    for rules in [
        vec![rule("c@", Some(1), full), rule("later@", None, "451 4.7.1 wait")],
        vec![rule("c@", Some(1), full), rule("c@", None, "451 4.7.1 wait")],
    ] {
        let script = rules.iter().cloned().fold(Script::default(), Script::rule);
        let system = one_host(script);
        send(&system, 1, &["a@d.test", "c@d.test", "later@d.test"]);
        system.pass(20 * SECOND);
        let effects = |code| {
            let said = |o: &Observation| matches!(&o.seen, Seen::Reply(r) if r.code == code);
            let said = observations(&system).into_iter().filter(said);
            said.map(|o| o.effect).collect::<Vec<_>>()
        };
        assert_eq!(effects(452), [Effect::Degrading], "{rules:?}");
        assert_eq!(effects(451), [Effect::Blocking], "{rules:?}");
    }
}

/// How the destination's last trial went.
fn last_failure(system: &MailSystem) -> Connection {
    let spool = system.running().expect("the relay is up").spool;
    let asked = async move { spool.ledger().await.expect("readable") };
    let ledger = system.sim.block_on(&system.relay, asked);
    let failures = ledger.into_iter().flat_map(|(_, value)| match value {
        LedgerValue::Down { failures, .. } => failures,
        other => panic!("{other:?}"),
    });
    failures.last().expect("a destination that is down")
}

#[test]
fn a_connection_that_failed_names_the_host_tried_last() {
    let system = up(Plan::domain("d.test", 2));
    for host in [HOST, "mx1.d.test"] {
        system.sim.partition(&system.relay, &system.host(host).0, Link::Refuse);
    }
    send(&system, 1, &["r@d.test"]);
    system.pass(20 * SECOND);
    let failure = last_failure(&system);
    let dialled = |o: &&Observation| matches!(o.seen, Seen::ConnectFailed(_));
    let last = failure.observations.iter().rev().find(dialled).expect("hosts were dialled");
    let (name, address) = (failure.host.clone().unwrap_or_default(), failure.peer);
    assert_eq!(last.subject, Subject::Host { name, address });

    let system = one_host(Script::default().rule(Rule {
        at: Step::Greeting,
        containing: String::new(),
        times: None,
        action: reply("421 4.3.2 not now"),
    }));
    send(&system, 1, &["r@d.test"]);
    system.pass(20 * SECOND);
    assert_eq!(last_failure(&system).host.as_deref(), Some(HOST));
}
