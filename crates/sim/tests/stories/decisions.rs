//! What the operator does to many messages, or to those that are still to come: in every state, told in the event log,
//! taken up again after a crash, and each message once.

use crate::words::*;
use posthaste_evidence::{Act, EventKind};
use posthaste_io_sim::{Crash, Link};
use posthaste_mail::QueueId;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::{Life, Waiting};
use posthaste_sim::{MailSystem, Plan, Store};
use posthaste_spool::decision::{OrderFault, Which};
use posthaste_spool::{NewPlace, Stage};
use std::collections::BTreeMap;
use std::time::Duration;

const HOST: &str = "mx0.d.test";

fn filter(text: &str) -> Which {
    Which::Filter(text.into())
}

fn only(system: &MailSystem) -> QueueId {
    let live = system.live();
    assert_eq!(live.len(), 1);
    live[0].envelope.id
}

fn lives(system: &MailSystem) -> Vec<Life> {
    system.live().iter().flat_map(|live| &live.states).map(|state| state.life).collect()
}

/// Acts that the event log tells: by recipient, the act and who wanted it.
fn acts(system: &MailSystem) -> BTreeMap<String, Vec<(&'static str, String)>> {
    let mut acts: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for event in system.relay.journal().events() {
        if let EventKind::Operator { to, act, order, .. } = event.kind {
            let by = order.map_or_else(String::new, |order| order.by.clone());
            acts.entry(to.unwrap_or_default()).or_default().push((act, by));
        }
    }
    acts
}

fn stage(system: &MailSystem) -> Stage {
    system.dispatch().decisions().last().expect("there is one").decision.stage
}

/// A system whose mail for `d.test` waits: nothing answers there.
fn waiting(store: Store) -> MailSystem {
    let system = up(Plan { store, ..Plan::domain("d.test", 1).host("mx.e.test", &["11.9.0.1"]) });
    system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
    system
}

#[test]
fn what_is_in_flight_is_acted_on_when_its_attempt_ends_and_the_outcome_goes_first() {
    for (reply, delivered) in [("250 2.0.0 ok", true), ("450 4.2.1 later", false)] {
        for act in [Act::Hold, Act::Remove, Act::Bounce, Act::Redirect] {
            let plan = Plan::domain("d.test", 1);
            let system =
                up(Plan { domains: vec![("d.test".into(), 1), ("e.test".into(), 1)], ..plan });
            let slow = Script::default().always(Step::Dot, Action::Delay(20 * SECOND));
            let slow = slow.always(Step::Mail, Action::Delay(10 * SECOND));
            let script = if delivered {
                slow
            } else {
                let refuse = Action::Reply(reply.into());
                Script::default()
                    .always(Step::Mail, Action::Delay(10 * SECOND))
                    .always(Step::Rcpt, refuse)
            };
            peer(&system, HOST).set(script);
            send(&system, 1, &["r@d.test"]);
            system.pass(5 * SECOND);
            let id = only(&system);
            assert_eq!(system.dispatch().waiting(id, 0), Some(Waiting::InFlight));
            let to = (act == Act::Redirect).then(|| NewPlace::Address("x@e.test".into()));
            let ordered = give(
                &system,
                posthaste_spool::decision::Command {
                    to,
                    ..command(act, Which::Messages(vec![id]))
                },
            );
            let decision = ordered.expect("it is taken");
            assert_eq!((decision.stage, decision.in_flight.len()), (Stage::Going, 1), "{act:?}");
            system.pass(MINUTE);
            assert_eq!(stage(&system), Stage::Done, "{act:?}");
            let ended = taken(&system, HOST).len();
            assert_eq!(ended, usize::from(delivered), "{act:?}");
            let told = acts(&system).remove("r@d.test").unwrap_or_default();
            if delivered {
                assert!(told.is_empty() && system.live().is_empty(), "{act:?} {told:?}");
                continue;
            }
            assert_eq!(told, [(act.name(), "uid 0".to_owned())], "{act:?}");
            let held = if act == Act::Hold { vec![Life::Held] } else { vec![] };
            assert_eq!(lives(&system), held, "{act:?}");
            let notices = notices(&system).len();
            assert_eq!(notices, usize::from(act == Act::Bounce), "{act:?}");
            let redirected = usize::from(act == Act::Redirect);
            assert_eq!(taken(&system, "mx0.e.test").len(), redirected, "{act:?}");
        }
    }
}

#[test]
fn a_bounce_tells_the_sender_who_did_it_and_what_he_says() {
    let system = waiting(Store::Memory);
    send(&system, 1, &["r@d.test", "s@d.test"]);
    system.pass(MINUTE);
    let text = Some("the project is over".to_owned());
    let which = filter("r@d.test");
    let given =
        give(&system, posthaste_spool::decision::Command { text, ..command(Act::Bounce, which) });
    given.expect("it is taken");
    system.pass(MINUTE);
    let notice = the_notice(&system);
    assert_eq!((notice.about, notice.status), (vec!["r@d.test".into()], vec!["5.7.1".into()]));
    assert!(notice.text.contains("the project is over"), "{}", notice.text);
    assert_eq!(lives(&system), [Life::Failed, Life::Queued], "the other recipient waits on");
    let decision = &system.dispatch().decisions()[0].decision;
    assert_eq!((decision.stage, decision.recipients), (Stage::Done, 1));
}

#[test]
fn a_decision_over_many_is_taken_up_after_a_crash_and_acts_on_each_once() {
    const COUNT: u32 = 900;
    let mut between_slices = 0;
    for (seed, pause) in [(1, 3), (2, 9), (3, 25), (4, 60)] {
        let mut system = waiting(Store::Local);
        send_many(&system, 0, COUNT, "d.test");
        system.pass(MINUTE + seed * SECOND);
        let before = system.live().len();
        order(&system, Act::Hold, filter("d.test"));
        system.pass(Duration::from_millis(pause));
        system.crash(Crash::kill());
        system.restart();
        system.pass(5 * SECOND);
        assert_eq!(stage(&system), Stage::Done);
        assert_eq!(lives(&system), vec![Life::Held; before]);
        let acts = acts(&system);
        assert_eq!(acts.len(), COUNT as usize);
        for (to, told) in acts {
            assert_eq!(told, [("hold", "uid 0".to_owned())], "{to} after {pause} ms");
        }
        let decision = &system.dispatch().decisions()[0].decision;
        assert_eq!(decision.recipients, u64::from(COUNT));
        between_slices += usize::from(
            resumed_with(&system)
                .is_some_and(|recipients| 0 < recipients && recipients < u64::from(COUNT)),
        );
    }
    assert!(between_slices > 0, "no crash came when some slices were durable and some were not");
}

/// How many recipients a decision had acted on, durably, when it was taken up again.
fn resumed_with(system: &MailSystem) -> Option<u64> {
    system.relay.journal().events().into_iter().find_map(|event| match event.kind {
        EventKind::Decision { state: "resumed", recipients, .. } => Some(recipients),
        _ => None,
    })
}

#[test]
fn a_hold_catches_later_mail_also_after_a_restart_until_it_is_released() {
    for store in [Store::Memory, Store::Local] {
        let mut system = up(Plan { store, ..Plan::domain("d.test", 1) });
        order(&system, Act::Hold, filter("held@"));
        send(&system, 1, &["held@d.test", "free@d.test"]);
        system.pass(10 * SECOND);
        assert_eq!(lives(&system), [Life::Held, Life::Delivered]);
        system.crash(Crash::kill());
        system.restart();
        system.pass(SECOND);
        send(&system, 2, &["held@d.test"]);
        // What a crash takes between its arrival and its being held is caught again.
        system.crash(Crash::kill());
        system.restart();
        system.pass(10 * SECOND);
        assert_eq!(taken(&system, HOST), ["free@d.test"]);
        let hold = system.dispatch().holds().remove(0);
        assert_eq!(hold.hold.order.by, "uid 0");
        // One message alone is let go; a restart does not hold it again.
        let first = system.live()[0].envelope.id;
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
        order(&system, Act::Release, Which::Messages(vec![first]));
        system.pass(SECOND);
        system.crash(Crash::kill());
        system.restart();
        system.pass(SECOND);
        assert_eq!(system.live()[0].states[0].life, Life::Queued);
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Up);
        order(&system, Act::Release, filter("held@"));
        assert!(system.dispatch().holds().is_empty());
        send(&system, 3, &["held@d.test"]);
        until_quiet(&system, HOUR);
        assert_eq!(taken(&system, HOST).len(), 4);
    }
}

#[test]
fn a_held_destination_is_one_entry_and_stays_held() {
    let mut system = up(Plan { store: Store::Local, ..Plan::domain("d.test", 1) });
    order(&system, Act::Hold, Which::Destination("D.test".into()));
    send(&system, 1, &["r@d.test"]);
    system.pass(HOUR);
    system.crash(Crash::kill());
    system.restart();
    system.pass(HOUR);
    assert_eq!(lives(&system), [Life::Queued], "no message is touched");
    assert!(taken(&system, HOST).is_empty());
    assert_eq!(system.dispatch().holds().len(), 1);
    let decision = order(&system, Act::Release, Which::Destination("d.test".into()));
    assert_eq!(decision.stage, Stage::Done);
    until_quiet(&system, MINUTE);
    assert_eq!((taken(&system, HOST).len(), system.dispatch().holds().len()), (1, 0));
}

#[test]
fn a_redirected_message_is_never_lost_and_never_two() {
    for pause in [0, 1, 2, 3, 4, 5, 6, 8, 12, 20, 60] {
        let plan = Plan { store: Store::Local, ..Plan::domain("d.test", 1) };
        let domains = vec![("d.test".into(), 1), ("e.test".into(), 1)];
        let mut system = up(Plan { domains, ..plan });
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
        system.sim.partition(&system.relay, &system.host("mx0.e.test").0, Link::Refuse);
        send(&system, 1, &["r@d.test", "s@d.test"]);
        system.pass(MINUTE);
        let dispatch = system.dispatch();
        let to = Some(NewPlace::Address("x@e.test".into()));
        let redirect =
            posthaste_spool::decision::Command { to, ..command(Act::Redirect, filter("r@d.test")) };
        system.relay.spawn("operator", async move { drop(dispatch.order(redirect).await) });
        system.pass(Duration::from_millis(pause));
        system.crash(Crash::kill());
        system.restart();
        system.pass(5 * SECOND);
        let live = system.live();
        let queued = |to: &str| {
            let all = live.iter().flat_map(|l| l.envelope.recipients.iter().zip(&l.states));
            all.filter(|(r, s)| r.mailbox.as_str() == to && s.life.is_live()).count()
        };
        let (old, new) = (queued("r@d.test"), queued("x@e.test"));
        assert_eq!(old + new, 1, "after {pause} ms: {old} {new}");
        assert_eq!(queued("s@d.test"), 1);
        if new == 1 {
            let at = live.iter().find(|l| l.envelope.recipients[0].mailbox.as_str() == "x@e.test");
            let envelope = &at.expect("it is there").envelope;
            assert_eq!(envelope.recipients[0].orcpt.as_deref(), Some("rfc822;r@d.test"));
            assert_eq!(envelope.summary.subject.as_deref(), Some("m-1-"));
            let from = envelope.redirected_from.expect("the disk has it");
            assert!(from.id != envelope.id && from.received < envelope.received);
        }
        for host in [HOST, "mx0.e.test"] {
            system.sim.partition(&system.relay, &system.host(host).0, Link::Up);
        }
        until_quiet(&system, HOUR);
        assert_eq!(taken(&system, HOST).len() + taken(&system, "mx0.e.test").len(), 2);
    }
}

#[test]
fn a_decision_can_be_called_off_and_a_wrong_command_does_nothing() {
    let system = waiting(Store::Memory);
    send(&system, 1, &["r@d.test"]);
    for (which, told) in [
        (filter("?"), "column 1"),
        (Which::Messages(vec![]), "name 1 to"),
        (Which::Messages(vec![QueueId::from_u64(7)]), "not in the queue"),
        (Which::Hold(9), "a hold can only be released"),
    ] {
        let fault = give(&system, command(Act::Hold, which)).expect_err("it is wrong").to_string();
        assert!(fault.starts_with(told), "{fault}");
    }
    let nowhere = give(&system, command(Act::Redirect, Which::All));
    assert!(matches!(nowhere, Err(OrderFault::Wrong(_))), "{nowhere:?}");
    assert!(system.dispatch().decisions().iter().all(|d| d.decision.stage != Stage::Going));
    order(&system, Act::Remove, Which::All);
    let number = system.dispatch().decisions().last().expect("it was given").number;
    let dispatch = system.dispatch();
    let cancelled =
        system.sim.block_on(&system.relay, async move { dispatch.cancel(number).await });
    system.pass(MINUTE);
    match cancelled {
        Some(view) => assert_eq!(view.decision.stage, Stage::Cancelled),
        None => assert!(system.live().is_empty(), "it was over before"),
    }
}

#[test]
fn what_was_in_flight_at_a_crash_is_acted_on_before_it_is_tried_again() {
    for store in [Store::Memory, Store::Local] {
        for act in [Act::Hold, Act::Remove, Act::Bounce, Act::Redirect] {
            let domains = ["d.test", "e.test", "f.test"].map(|name| (name.into(), 1)).to_vec();
            let mut system = up(Plan { domains, store: store.clone(), ..Plan::default() });
            let hosts = [HOST, "mx0.f.test"];
            for host in hosts {
                peer(&system, host).set(Script::default().always(Step::Mail, Action::Silence));
            }
            send_many(&system, 0, 5, "d.test");
            send_many(&system, 5, 5, "f.test");
            system.pass(5 * SECOND);
            let to = (act == Act::Redirect).then(|| NewPlace::Address("x@e.test".into()));
            // The commit of the first leaves time for an attempt before the turn of the second.
            for domain in ["d.test", "f.test"] {
                let which = filter(domain);
                let to = to.clone();
                let command = posthaste_spool::decision::Command { to, ..command(act, which) };
                give(&system, command).expect("it is taken");
            }
            system.pass(5 * SECOND);
            let decisions = system.dispatch().decisions();
            assert!(decisions.iter().all(|view| !view.decision.in_flight.is_empty()), "{act:?}");
            system.crash(Crash::kill());
            hosts.iter().for_each(|host| peer(&system, host).set(Script::default()));
            system.restart();
            system.pass(MINUTE);
            for host in hosts {
                assert!(taken(&system, host).is_empty(), "{act:?} {store:?} {host}");
            }
            for view in system.dispatch().decisions() {
                assert_eq!((view.decision.stage, view.decision.recipients), (Stage::Done, 5));
            }
            let redirected = if act == Act::Redirect { 10 } else { 0 };
            assert_eq!(taken(&system, "mx0.e.test").len(), redirected);
        }
    }
}

#[test]
fn a_redirection_that_waits_for_an_attempt_copies_a_large_content_once() {
    let domains = vec![("d.test".into(), 1), ("e.test".into(), 1)];
    let system = up(Plan { domains, store: Store::Local, ..Plan::default() });
    let refuse = Action::Reply("451 4.3.0 later".into());
    let slow = Script::default().always(Step::Mail, Action::Delay(20 * SECOND));
    peer(&system, HOST).set(slow.always(Step::Rcpt, refuse));
    let letter = posthaste_sim::Letter::new(1, "a@sender.test", &strings(&["r@d.test"]), 400_000);
    hand_in(&system, letter);
    system.pass(3 * SECOND);
    let to = Some(NewPlace::Address("x@e.test".into()));
    let redirect = posthaste_spool::decision::Command { to, ..command(Act::Redirect, Which::All) };
    give(&system, redirect).expect("it is taken");
    let bodies = || {
        let files = posthaste_io::Disk::list(&system.relay.disk()).expect("a folder");
        files.iter().filter(|(name, _)| name.starts_with("body-")).count()
    };
    for _ in 0..10 {
        system.pass(SECOND);
        assert_eq!(bodies(), 1, "nothing is copied while it is in flight");
    }
    until_quiet(&system, MINUTE);
    assert_eq!(taken(&system, "mx0.e.test"), ["x@e.test"]);
    system.pass(SECOND);
    assert_eq!(bodies(), 0);
}

#[test]
fn what_becomes_of_a_decision_is_told_once_whenever_a_crash_comes() {
    for seed in 0..12 {
        let mut system =
            MailSystem::new(seed, Plan { store: Store::Local, ..Plan::domain("d.test", 1) });
        assert!(system.run_until(SECOND, SECOND / 100, MailSystem::is_ready));
        order(&system, Act::Hold, Which::Destination("d.test".into()));
        send(&system, 1, &["r@d.test"]);
        order(&system, Act::Hold, filter("d.test"));
        system.pass(SECOND / 10);
        let name = Which::Messages(vec![only(&system)]);
        order(&system, Act::Remove, name);
        for _ in 0..3 {
            system.crash(Crash::kill());
            system.restart();
            system.pass(SECOND / 10);
        }
        system.pass(5 * SECOND);
        let mut states = Vec::new();
        for event in system.relay.journal().events() {
            if let EventKind::Decision { state, order, .. } = event.kind {
                states.push((order.decision.unwrap_or_default(), state));
            }
        }
        states.sort_unstable();
        assert_eq!(states, [(1, "done"), (2, "begun"), (2, "done"), (3, "done")], "seed {seed}");
    }
}

#[test]
fn a_release_is_whole_or_not_at_all_whenever_a_crash_comes() {
    let mut halves = [0, 0];
    for pause in 0..24 {
        for which in [filter("d.test"), Which::Destination("d.test".into())] {
            let mut system = up(Plan { store: Store::Local, ..Plan::domain("d.test", 1) });
            order(&system, Act::Hold, which.clone());
            send(&system, 1, &["r@d.test"]);
            system.pass(SECOND);
            let dispatch = system.dispatch();
            let release = command(Act::Release, which.clone());
            system.relay.spawn("operator", async move { drop(dispatch.order(release).await) });
            system.pass(Duration::from_micros(250 * pause));
            system.crash(Crash::kill());
            system.restart();
            system.pass(MINUTE);
            let holds = system.dispatch().holds().len();
            let decided = system.dispatch().decisions().len() == 2;
            assert_eq!(holds, usize::from(!decided), "{which:?} after {pause} steps");
            assert_eq!(taken(&system, HOST).len(), usize::from(decided), "{which:?} {pause}");
            halves[usize::from(decided)] += 1;
        }
    }
    assert!(halves.iter().all(|count| *count > 0), "{halves:?}");
}

#[test]
fn a_redirected_message_names_the_first_one_and_lives_no_longer() {
    let domains = vec![("d.test".into(), 1), ("e.test".into(), 1)];
    let system = up(Plan { domains, ..Plan::domain("d.test", 1) });
    system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
    system.sim.partition(&system.relay, &system.host("mx0.e.test").0, Link::Refuse);
    send(&system, 1, &["r@d.test"]);
    system.pass(MINUTE);
    let first = system.live().remove(0).envelope;
    for (old, new) in [("r@d.test", "x@e.test"), ("x@e.test", "y@e.test")] {
        let before = only(&system);
        let to = Some(NewPlace::Address(new.into()));
        let redirect =
            posthaste_spool::decision::Command { to, ..command(Act::Redirect, filter(old)) };
        give(&system, redirect).expect("it is taken");
        system.pass(MINUTE * 60);
        let copy = system.live().remove(0).envelope;
        let from = copy.redirected_from.expect("it was redirected");
        assert_eq!((from.id, from.received), (before, first.received));
        assert!(copy.received > first.received);
    }
    let copy = system.live().remove(0).envelope;
    let expires = system.dispatch().expires(&copy, "default");
    assert_eq!(copy.lives_since(), first.received);
    system.pass(expires.since(system.relay.world().wall()) + MINUTE * 60);
    assert!(system.live().iter().all(|live| live.envelope.id != copy.id), "it has expired");
}
