//! The store's troubles: a full disk refuses mail and nothing else; what cannot be read waits.

use crate::words::*;
use posthaste_evidence::Outcome::{Deferred, Delivered};
use posthaste_evidence::{Fault, Outcome};
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_sim::{Letter, MailSystem, Plan, Store};
use posthaste_spool::Refused;

const HOST: &str = "mx0.d.test";

/// Hands a message in that is refused; answers the reply.
fn refused(system: &MailSystem, number: u32, octets: usize) -> String {
    let before = system.ledger.all().len();
    system.send(number, "writer@sender.test", &strings(&["late@d.test"]), octets);
    let told = |s: &MailSystem| s.ledger.all().len() > before;
    assert!(system.run_until(MINUTE, SECOND, told));
    let handed = system.ledger.all().pop().expect("it was told");
    assert!(!handed.acknowledged, "{handed:?}");
    handed.refusal.expect("the client was told why")
}

#[test]
fn a_store_that_does_not_accept_is_said_and_deliveries_go_on() {
    for (reason, code) in [(Refused::Full, "452 4.3.1"), (Refused::Unhealthy, "451 4.3.")] {
        for octets in [100, 400_000] {
            let system = up(Plan::domain("d.test", 1));
            let no = Action::Reply("550 5.1.1 no".into());
            let script = Script::default().on(Step::Rcpt, "bad", no);
            peer(&system, HOST).set(script.always(Step::Dot, Action::Delay(5 * SECOND)));
            send(&system, 1, &["good@d.test", "bad@d.test"]);
            system.memory().refuse(Some(reason));
            let reply = refused(&system, 2, octets);
            assert!(reply.starts_with(code), "{reason:?} {octets}: {reply}");
            until_quiet(&system, MINUTE);
            assert_eq!(taken(&system, HOST), ["good@d.test"]);
            assert_eq!(the_notice(&system).about, ["bad@d.test"], "notices use the reserve");
            system.memory().refuse(None);
            send(&system, 3, &["again@d.test"]);
            until_quiet(&system, MINUTE);
        }
    }
}

#[test]
fn a_message_that_cannot_be_read_waits_and_others_go() {
    let mut plan = Plan::domain("d.test", 1);
    plan.dispatch.fresh_budget = 0;
    let system = up(plan);
    system.reading.fail_fetch(true);
    send(&system, 1, &["r@d.test"]);
    system.pass(10 * SECOND);
    assert_eq!(outcomes(&system, "r@d.test"), [Deferred]);
    assert_eq!(tries(&system, "r@d.test")[0].fault, Some(Fault::StoreFault));
    system.reading.fail_fetch(false);
    send(&system, 2, &["other@d.test"]);
    system.pass(10 * SECOND);
    assert_eq!(outcomes(&system, "other@d.test"), [Delivered]);
    until_quiet(&system, HOUR);
    assert_eq!(outcomes(&system, "r@d.test"), [Deferred, Delivered]);
}

#[test]
fn a_disk_that_does_not_answer_at_all_loses_nothing() {
    let mut plan = Plan::domain("d.test", 1);
    plan.dispatch.fresh_budget = 0;
    let system = up(plan);
    system.reading.fail_all(true);
    send(&system, 1, &["r@d.test"]);
    system.pass(10 * MINUTE);
    assert!(peer(&system, HOST).arrived() == 0);
    system.reading.fail_all(false);
    assert_eq!(posthaste_sim::check::nothing_is_stuck(&system), Vec::<String>::new());
    until_quiet(&system, 2 * HOUR);
    assert_eq!(outcomes(&system, "r@d.test"), [Outcome::Delivered]);
}

#[test]
fn a_spilled_body_that_breaks_off_is_not_delivered_in_part() {
    let system = up(Plan::domain("d.test", 1));
    peer(&system, HOST).set(Script::default().first(1, Step::Data, Action::Delay(5 * SECOND)));
    hand_in(
        &system,
        posthaste_sim::Letter::new(1, "writer@sender.test", &strings(&["r@d.test"]), 1_500_000),
    );
    system.reading.fail_ranges(true);
    system.pass(MINUTE);
    assert_eq!(outcomes(&system, "r@d.test"), [Deferred]);
    assert!(peer(&system, HOST).arrivals().is_empty());
    system.reading.fail_ranges(false);
    until_quiet(&system, HOUR);
    let arrival = peer(&system, HOST).arrivals().remove(0);
    assert!(arrival.content.len() > 1_400_000);
}

#[test]
fn mail_that_cannot_be_read_when_its_time_is_over_still_gets_its_notice() {
    let mut plan = Plan::domain("d.test", 1);
    plan.dispatch.fresh_budget = 0;
    plan.queue.schedule.expire_after = HOUR;
    let system = up(plan);
    system.reading.fail_fetch(true);
    send(&system, 1, &["r@d.test"]);
    system.pass(HOUR + SECOND);
    system.reading.fail_fetch(false);
    until_quiet(&system, HOUR);
    assert_eq!(the_notice(&system).about, ["r@d.test"]);
}

#[test]
fn a_large_body_that_the_disk_has_changed_does_not_arrive() {
    let plan = Plan { store: Store::Local, ..Plan::domain("d.test", 1) };
    let system = up(plan);
    let host = Script::default().always(Step::Greeting, Action::Reply("421 not now".into()));
    peer(&system, HOST).set(host);
    hand_in(&system, Letter::new(1, "writer@sender.test", &strings(&["r@d.test"]), 600_000));
    system.pass(SECOND);
    let disk = system.relay.disk();
    let files = posthaste_io::Disk::list(&disk).expect("a readable folder");
    let (body, _) = files.iter().find(|(name, _)| name.starts_with("body-")).expect("spilled");
    disk.rot(body, 300_000, 1);
    peer(&system, HOST).set(Script::default());
    system.pass(HOUR);
    assert!(taken(&system, HOST).is_empty(), "nothing took its final dot");
    assert_eq!(system.live().len(), 1, "it is kept, and says why");
    let tried = tries(&system, "r@d.test");
    assert!(tried.iter().all(|result| result.outcome == Outcome::Deferred));
    let unread = tried.iter().filter(|result| result.fault == Some(Fault::StoreFault));
    assert_eq!(unread.count(), 1, "it is held: the next attempt would find the same");
    assert_eq!(system.live()[0].states[0].life, posthaste_queue::life::Life::Held);
}
