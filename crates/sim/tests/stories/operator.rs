//! What the operator does: retry, in every state, durable, and never a second copy by it.

use crate::words::*;
use posthaste_evidence::Act;
use posthaste_evidence::Outcome::{Deferred, Delivered};
use posthaste_io_sim::{Crash, Link};
use posthaste_mail::QueueId;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_sim::{MailSystem, Plan};
use posthaste_spool::Stage;
use posthaste_spool::decision::Which;

const HOST: &str = "mx0.d.test";

/// Asks for it, and answers how many recipients it concerned.
fn retry(system: &MailSystem, which: Which) -> u64 {
    order(system, Act::Retry, which);
    system.pass(SECOND);
    let decisions = system.dispatch().decisions();
    let last = decisions.last().expect("it was ordered");
    assert_eq!(last.decision.stage, Stage::Done);
    last.decision.recipients
}

fn ids(system: &MailSystem) -> Vec<QueueId> {
    system.live().into_iter().map(|l| l.envelope.id).collect()
}

fn busy_once() -> Script {
    Script::default().first(1, Step::Rcpt, Action::Reply("450 4.2.1 later".into()))
}

fn the_destination() -> Which {
    Which::Destination("d.test".into())
}

#[test]
fn a_deferred_message_is_tried_at_once_and_its_schedule_starts_over() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(busy_once());
    send(&system, 1, &["r@d.test"]);
    system.pass(5 * SECOND);
    assert_eq!(retry(&system, Which::Messages(ids(&system))), 1);
    assert!(until_quiet(&system, MINUTE) < AT_ONCE);
    assert_eq!(outcomes(&system, "r@d.test"), [Deferred, Delivered]);
}

#[test]
fn a_retry_in_flight_changes_nothing() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().first(1, Step::Dot, Action::Delay(20 * SECOND)));
    send(&system, 1, &["r@d.test"]);
    system.pass(5 * SECOND);
    assert_eq!(retry(&system, Which::Messages(ids(&system))), 0);
    until_quiet(&system, MINUTE);
    system.pass(MINUTE);
    assert_eq!(taken(&system, HOST), ["r@d.test"]);
    assert_eq!(told(&system, "done"), 1);
}

#[test]
fn a_dead_destination_gets_its_trial_at_once_by_a_message_or_by_itself() {
    for by_message in [true, false] {
        let system = up(Plan::domain("d.test", 1));
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Refuse);
        send(&system, 0, &["r0@d.test"]);
        system.pass(SECOND);
        send_many(&system, 1, 5, "d.test");
        system.pass(HOUR);
        let trials = system.dispatch().counters().unreached;
        let what =
            || if by_message { Which::Messages(vec![ids(&system)[2]]) } else { the_destination() };
        retry(&system, what());
        system.pass(SECOND);
        assert_eq!(system.dispatch().counters().unreached, trials + 1);
        system.sim.partition(&system.relay, &system.host(HOST).0, Link::Up);
        retry(&system, what());
        assert!(until_quiet(&system, MINUTE) < 3 * SECOND);
        assert_eq!(peer(&system, HOST).arrived(), 6);
    }
}

#[test]
fn a_retry_of_many_is_one_act_and_survives_a_crash() {
    let mut system = up(Plan::domain("d.test", 1));
    let busy = Script::default().always(Step::Rcpt, Action::Reply("450 4.2.1 later".into()));
    peer(&system, HOST).set(busy);
    send_many(&system, 1, 250, "d.test");
    system.pass(40 * MINUTE);
    system.sim.partition(&system.relay, &system.host(HOST).0, Link::Drop);
    let count = retry(&system, the_destination());
    assert!(count > 240, "all but those in flight: {count}");
    system.crash(Crash::kill());
    system.pass(SECOND);
    system.sim.partition(&system.relay, &system.host(HOST).0, Link::Up);
    peer(&system, HOST).set(Script::default());
    system.restart();
    let took = until_quiet(&system, HOUR);
    assert!(took < MINUTE, "due before the crash, due after it: {took:?}");
    assert_eq!(peer(&system, HOST).arrived(), 250);
}
