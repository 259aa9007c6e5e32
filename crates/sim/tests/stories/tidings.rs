//! What the dispatcher tells senders besides failures, and what the operator's acts make of it: delays, all-clears,
//! failures that wait for probes, strangers, previews. To whom each kind is owed is held in `notices`.

use crate::words::*;
use posthaste_dispatch::{PreviewFault, Probes};
use posthaste_evidence::{Act, Fault, NoticeKind, WaitReason};
use posthaste_mail::QueueId;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_queue::Waiting;
use posthaste_sim::{Letter, MailSystem, Plan, notices as read};
use posthaste_spool::NewPlace;
use posthaste_spool::decision::{Command, Which};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const HOST: &str = "mx0.d.test";

fn busy(step: Step) -> Script {
    Script::default().always(step, Action::Reply("450 4.2.1 mailbox busy".into()))
}

fn no() -> Script {
    Script::default().always(Step::Rcpt, Action::Reply("550 5.1.1 no such user".into()))
}

/// Action and recipients of every notice that came, in order.
fn told_of(system: &MailSystem) -> Vec<(String, Vec<String>)> {
    let all = read::read_all(system);
    let words = all.into_iter().map(|notice| {
        let action = notice.about.first().map(|word| word.action.clone()).unwrap_or_default();
        (action, notice.about.into_iter().map(|word| word.recipient).collect())
    });
    words.collect()
}

fn actions(system: &MailSystem) -> Vec<String> {
    told_of(system).into_iter().map(|(action, _)| action).collect()
}

fn ids(system: &MailSystem) -> Vec<QueueId> {
    system.live().into_iter().map(|live| live.envelope.id).collect()
}

#[test]
fn who_was_told_of_a_delay_is_told_that_it_is_over_and_nobody_else() {
    for all_clear in [true, false] {
        let mut plan = Plan::domain("d.test", 1);
        plan.dispatch.all_clear = all_clear;
        let system = up(plan);
        peer(&system, HOST).set(busy(Step::Rcpt));
        hand_in(&system, letter(1, &["a@d.test"]));
        hand_in(&system, letter(2, &["c@d.test"]).with("", "NOTIFY=FAILURE"));
        system.pass(5 * HOUR);
        assert_eq!(told_of(&system), [("delayed".into(), strings(&["a@d.test"]))]);
        hand_in(&system, letter(3, &["d@d.test"]));
        peer(&system, HOST).set(Script::default());
        until_quiet(&system, 2 * HOUR);
        let numbers = system.dispatch().counters();
        let [failed, delayed, delivered, relayed, cleared] = numbers.notices_of;
        let clears = u64::from(all_clear);
        assert_eq!((failed, delayed, delivered + relayed, cleared), (0, 1, 0, clears));
        assert_eq!(told_of(&system).len(), 1 + usize::from(all_clear), "{:?}", told_of(&system));
    }
}

#[test]
fn who_asked_for_success_gets_that_and_no_all_clear_beside_it() {
    let mut plan = Plan::domain("d.test", 1);
    plan.dispatch.all_clear = true;
    let system = up(plan);
    peer(&system, HOST).set(busy(Step::Rcpt));
    hand_in(&system, letter(1, &["a@d.test"]).with("", "NOTIFY=SUCCESS,DELAY"));
    system.pass(5 * HOUR);
    peer(&system, HOST).set(Script::default());
    until_quiet(&system, 2 * HOUR);
    let [_, delayed, delivered, relayed, cleared] = system.dispatch().counters().notices_of;
    assert_eq!((delayed, delivered + relayed, cleared), (1, 0, 0), "the host has the duty");
}

#[test]
fn redirected_mail_is_not_told_of_again_at_once() {
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.push(("e.test".into(), 1));
    let system = up(plan);
    for host in [HOST, "mx0.e.test"] {
        peer(&system, host).set(busy(Step::Rcpt));
    }
    send(&system, 1, &["a@d.test", "b@d.test"]);
    system.pass(5 * HOUR);
    assert_eq!(actions(&system), ["delayed"]);
    let to = Some(NewPlace::Address("x@e.test".into()));
    let which = Which::Messages(ids(&system));
    give(&system, Command { to, ..command(Act::Redirect, which) }).expect("it is taken");
    system.pass(5 * HOUR);
    assert_eq!(system.live().len(), 1);
    assert_eq!(actions(&system), ["delayed"], "they have heard");
}

#[test]
fn a_hundred_messages_are_told_of_each_once_also_after_a_crash() {
    let mut system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(busy(Step::Rcpt));
    send_many(&system, 1, 100, "d.test");
    system.pass(4 * HOUR);
    system.run_until(HOUR, SECOND / 100, |s| s.dispatch().counters().notices >= 30);
    system.crash(posthaste_io_sim::Crash::kill());
    system.restart();
    system.pass(2 * HOUR);
    let mut told: Vec<_> = told_of(&system).into_iter().flat_map(|(_, about)| about).collect();
    told.sort();
    told.dedup();
    assert_eq!((told.len(), told_of(&system).len()), (100, 100));
    // Their time is over at once as well.
    until_quiet(&system, 6 * DAY);
    let failed = actions(&system).into_iter().filter(|action| action == "failed").count();
    assert_eq!((failed, system.dispatch().counters().expired), (100, 100));
}

/// Probes that go on until the test says that they have ended.
#[derive(Default)]
struct Endless(AtomicBool);

impl Probes for Endless {
    fn pending(&self, _: QueueId, _: u32, fault: &Fault) -> bool {
        assert!(matches!(fault, Fault::Reply { .. } | Fault::Expired), "{fault:?}");
        !self.0.load(Ordering::Relaxed)
    }
}

/// A message that has failed, while probes go on.
fn pending(plan: Plan, letter: Letter) -> (MailSystem, QueueId) {
    let system = MailSystem::new(1, plan);
    system.dispatch().set_probes(Arc::new(Endless::default()));
    assert!(system.run_until(SECOND, SECOND / 100, MailSystem::is_ready));
    peer(&system, HOST).set(no());
    hand_in(&system, letter);
    system.pass(5 * SECOND);
    let id = ids(&system)[0];
    (system, id)
}

#[test]
fn a_failure_waits_for_its_probes_and_not_longer_than_it_may() {
    for early in [true, false] {
        let (system, id) = pending(Plan::domain("d.test", 1), letter(1, &["a@d.test"]));
        let waiting = system.dispatch().waiting(id, 0);
        let reason = WaitReason::NoticePendingProbe;
        let is_so = |w| matches!(w, Waiting::Because { reason: r, until: Some(_) } if r == reason);
        assert!(waiting.is_some_and(is_so), "{waiting:?}");
        assert!(notices(&system).is_empty());
        if early {
            system.dispatch().probes_ended(id);
        }
        let took = until_quiet(&system, 2 * MINUTE);
        assert_eq!(took < 2 * AT_ONCE, early, "{took:?}");
        assert!(took < MINUTE, "{took:?}");
        assert_eq!(read::read_all(&system)[0].about[0].status, "5.1.1");
        assert_eq!((told(&system, "notice"), told(&system, "done")), (1, 2));
    }
}

#[test]
fn who_is_owed_nothing_waits_for_no_probes() {
    let system = MailSystem::new(1, Plan::domain("d.test", 1));
    system.dispatch().set_probes(Arc::new(Endless::default()));
    assert!(system.run_until(SECOND, SECOND / 100, MailSystem::is_ready));
    peer(&system, HOST).set(no());
    hand_in(&system, letter(1, &["a@d.test"]).with("", "NOTIFY=NEVER"));
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(told(&system, "no_notice"), 1);
}

#[test]
fn the_operator_ends_it_at_once() {
    for (act, told_about) in [(Act::Remove, 0), (Act::Bounce, 1)] {
        let (system, id) = pending(Plan::domain("d.test", 1), letter(1, &["a@d.test"]));
        let text = (act == Act::Bounce).then(|| "We know of it.".to_owned());
        let which = Which::Messages(vec![id]);
        give(&system, Command { text, ..command(act, which) }).expect("it is taken");
        assert!(until_quiet(&system, MINUTE) < 2 * AT_ONCE, "{act:?}");
        system.pass(2 * MINUTE);
        assert_eq!(notices(&system).len(), told_about, "{act:?}");
        assert_eq!(system.dispatch().counters().failed, 1, "it failed once, {act:?}");
        let said = notices(&system).iter().all(|notice| notice.text.contains("We know of it."));
        assert!(said, "{act:?}");
    }
}

#[test]
fn a_preview_is_what_would_be_said_and_nothing_comes_of_it() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(busy(Step::Rcpt));
    hand_in(&system, letter(1, &["a@d.test"]));
    hand_in(&system, letter(2, &["b@d.test"]).with("", "NOTIFY=NEVER"));
    system.pass(HOUR);
    let live = system.live();
    let of = |to: &str| {
        let its = live.iter().find(|l| l.envelope.recipients[0].mailbox.as_str() == to);
        its.expect("it is there").envelope.id
    };
    let preview = |id, kind, language: Option<&'static str>| {
        let dispatch = system.dispatch();
        let shown = async move { dispatch.preview(id, kind, language).await };
        system.sim.block_on(&system.relay, shown)
    };
    for (kind, action) in [(NoticeKind::Failed, "failed"), (NoticeKind::Delayed, "delayed")] {
        let shown = preview(of("a@d.test"), kind, None).expect("it is owed");
        let text = String::from_utf8_lossy(&shown.octets).into_owned();
        assert!(text.contains(&format!("Action: {action}")), "{text}");
        assert!(text.contains("450 4.2.1 mailbox busy"), "{text}");
    }
    for (id, kind, expected) in [
        (of("b@d.test"), NoticeKind::Failed, "not-asked"),
        (of("a@d.test"), NoticeKind::Delivered, "not-asked"),
    ] {
        let fault = preview(id, kind, None).expect_err("nobody is told");
        assert!(matches!(fault, PreviewFault::Withheld(why) if why.name() == expected));
    }
    let fault = preview(QueueId::MIN, NoticeKind::Failed, None);
    assert!(matches!(fault, Err(PreviewFault::Unknown)));
    // The viewer shows as many attempts as the notice would.
    let waits = live.iter().find(|l| l.envelope.id == of("a@d.test")).expect("it is there");
    let trials = system.dispatch().trials(&waits.envelope, 0);
    let shown = preview(of("a@d.test"), NoticeKind::Delayed, None).expect("it is owed");
    let text = String::from_utf8_lossy(&shown.octets).into_owned();
    let count = format!("X-Posthaste-Attempts: {}\r\n", waits.states[0].attempts + trials);
    assert!(text.contains(&count), "{count}: {text}");
    assert_eq!(system.dispatch().counters().notices, 0);
    assert!(notices(&system).is_empty());
}
