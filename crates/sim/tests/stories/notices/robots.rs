//! Robots of our own networks that answer each notice at once with mail that fails again, in shapes in which it cannot be
//! known for what it is: they turn slowly, and nothing is lost (`loops` has those that come to an end).

use super::OWN;
use crate::words::*;
use posthaste_evidence::{Event, EventKind};
use posthaste_mail::Mailbox;
use posthaste_peers::mail::{Action, Arrival, Script, Step};
use posthaste_reception::recipients::Recipients;
use posthaste_sim::{Letter, MailSystem, Plan, check, notices};

const ROBOT: &str = "robot@robots.test";
const GONE: &str = "gone@d.test";
/// What a robot makes of a notice.
type Shape = fn(u32, &Arrival) -> Letter;

/// As the brake has it: so many at once, then six an hour.
const BURST: usize = 20;
const HOURS: u32 = 5;

fn world(plan: Plan) -> MailSystem {
    let mut plan = plan;
    plan.domains.push(("robots.test".to_owned(), 1));
    let system = up(plan);
    let no = Action::Reply("550 5.1.1 no such user".into());
    peer(&system, "mx0.d.test").set(Script::default().always(Step::Rcpt, no));
    system
}

fn made(system: &MailSystem) -> Vec<Event> {
    let mut events = system.relay.journal().events();
    events.retain(|event| matches!(event.kind, EventKind::Notice { .. }));
    events
}

/// One letter of the robot fails; then it reacts to each notice within a minute.
fn live(system: &MailSystem, to: &str, react: impl Fn(u32, &Arrival) -> Letter) {
    system.hand_in(Letter::new(1, ROBOT, &strings(&[to]), 100));
    let (mut seen, mut number) = (0, 1);
    for _ in 0..HOURS * 60 {
        system.pass(MINUTE);
        let arrivals = peer(system, "mx0.robots.test").arrivals();
        for arrival in &arrivals[seen..] {
            number += 1;
            system.hand_in(react(number, arrival));
        }
        seen = arrivals.len();
    }
}

fn anew(number: u32, _: &Arrival) -> Letter {
    Letter::new(number, ROBOT, &strings(&[GONE]), 100)
}

fn attached(number: u32, notice: &Arrival) -> Letter {
    let head = format!(
        "From: <{ROBOT}>\r\nSubject: m-{number}-\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; \
         boundary=b{number}\r\n\r\n--b{number}\r\nContent-Type: message/rfc822\r\n\r\n"
    );
    let end = format!("\r\n--b{number}--\r\n");
    let mut letter = anew(number, notice);
    letter.content = [head.as_bytes(), &notice.content, end.as_bytes()].concat();
    letter
}

/// As Content-Type no longer says it, but nobody can mistake the rest.
fn relabelled(number: u32, notice: &Arrival) -> Letter {
    let mut letter = anew(number, notice);
    letter.content = [b"X-", &*notice.content].concat();
    let text = String::from_utf8_lossy(&letter.content).into_owned();
    letter.content = text.replacen("multipart/report;", "multipart/mixed;", 1).into_bytes();
    letter
}

fn commented(number: u32, notice: &Arrival) -> Letter {
    let mut letter = anew(number, notice);
    let text = String::from_utf8_lossy(&notice.content).into_owned();
    letter.content = text.replacen("multipart/report;", "multipart/report (fw);", 1).into_bytes();
    assert_ne!(letter.content, notice.content);
    letter
}

fn answer(number: u32, notice: &Arrival) -> Letter {
    let back = notice.header("From").expect("a notice has one");
    let back = back.split_once('<').expect("an address").1.trim_end_matches('>').to_owned();
    Letter::new(number, ROBOT, &[back], 100)
}

#[test]
fn what_cannot_be_known_for_a_loop_turns_six_times_an_hour() {
    let shapes: [(&str, Shape); 3] =
        [("anew", anew), ("attached", attached), ("relabelled", relabelled)];
    for (name, shape) in shapes {
        let system = world(Plan::domain("d.test", 1));
        live(&system, GONE, shape);
        let made = made(&system);
        let most = BURST + 6 * HOURS as usize;
        assert!((most - 4..=most + 1).contains(&made.len()), "{name}: {}", made.len());
        let last_hour = system.relay.world().wall().minus(HOUR);
        let late = made.iter().filter(|event| event.at > last_hour).count();
        assert!((5..=7).contains(&late), "{name}: {late}");
        assert_eq!(notices::honest(&system), check::Verdict::new(), "{name}");
    }
}

#[test]
fn a_comment_hides_no_report() {
    let system = world(Plan::domain("d.test", 1));
    live(&system, GONE, commented);
    assert_eq!(made(&system).len(), 1);
}

/// The address of our notices is an alias, whose target takes no mail.
#[test]
fn answers_to_notices_are_known_behind_an_alias() {
    let mut plan = Plan::domain("d.test", 1);
    plan.own.domains = vec![("own.test".to_owned(), Recipients::Any)];
    plan.own.postmaster = Some(Mailbox::parse(GONE, false).expect("valid"));
    plan.dispatch.sender.from = "postmaster@own.test".into();
    let system = world(plan);
    live(&system, GONE, answer);
    assert_eq!(made(&system).len(), 1);
    assert_eq!(notices::honest(&system), check::Verdict::new());
}

/// Many letters to one address: the first are told of at once, the others within half a day, each of them.
#[test]
fn a_braked_notice_waits_in_the_queue_and_is_sent() {
    let system = world(Plan::domain("d.test", 1));
    let letters = 100;
    for number in 1..=letters {
        system.hand_in(Letter::new(number, ROBOT, &strings(&[GONE]), 100));
    }
    system.pass(5 * MINUTE);
    let host = peer(&system, "mx0.robots.test");
    assert_eq!((host.arrived(), made(&system).len()), (BURST, letters as usize));
    let waiting: Vec<_> = system.live();
    assert_eq!(waiting.len(), letters as usize - BURST);
    system.pass(HOUR);
    assert!((BURST + 6..=BURST + 7).contains(&host.arrived()), "{}", host.arrived());
    system.pass(12 * HOUR);
    assert_eq!(host.arrived(), letters as usize, "nothing is lost");
    assert!(system.live().is_empty());
    assert_eq!(notices::honest(&system), check::Verdict::new());
}

#[test]
fn who_writes_to_many_is_told_at_once() {
    let system = world(Plan::domain("d.test", 1));
    for number in 1..=300 {
        system.hand_in(Letter::new(number, ROBOT, &[format!("r{number}@d.test")], 100));
    }
    system.pass(10 * MINUTE);
    assert_eq!(peer(&system, "mx0.robots.test").arrived(), 300);
    assert!(system.live().is_empty());
}

fn strangers_may_write() -> Plan {
    let mut plan = Plan::domain("d.test", 1);
    let all = ["d.test", "taken.test", "own.test", "robots.test"];
    plan.own.domains = all.map(|domain| (domain.to_owned(), Recipients::Any)).to_vec();
    plan.dispatch.own_domains = std::sync::Arc::new([OWN.to_owned()].into());
    plan.domains.extend(["taken.test", OWN].map(|domain| (domain.to_owned(), 1)));
    plan
}

#[test]
fn whoever_forges_a_user_of_ours_sends_him_no_more_notices_than_a_stranger() {
    let system = world(strangers_may_write());
    for number in 1..=200 {
        let to = [format!("r{number}@d.test")];
        system.hand_in_as_stranger(Letter::new(number, "boss@own.test", &to, 100));
    }
    system.pass(10 * MINUTE);
    let limit = strangers_may_write().dispatch.strangers.per_sender_hour as usize;
    let told = peer(&system, "mx0.own.test").arrived();
    assert!((limit..=limit + 3).contains(&told), "{told}");
    assert_eq!(notices::honest(&system), check::Verdict::new());
}

#[test]
fn success_that_strangers_ask_for_takes_nothing_from_failures() {
    let system = world(strangers_may_write());
    let without_dsn = ["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES"];
    peer(&system, "mx0.taken.test").set(Script::default().offering(&without_dsn));
    for number in 1..=150 {
        let from = format!("v{number}@own.test");
        let letter = Letter::new(number, &from, &strings(&["a@taken.test"]), 100);
        system.hand_in_as_stranger(letter.with("", "NOTIFY=SUCCESS"));
        system.pass(SECOND);
        if number % 10 == 0 {
            let from = format!("h{number}@robots.test");
            system.hand_in_as_stranger(Letter::new(1000 + number, &from, &strings(&[GONE]), 100));
        }
    }
    system.pass(10 * MINUTE);
    let victims = peer(&system, "mx0.own.test").arrived();
    let accepted = peer(&system, "mx0.taken.test").arrived();
    // A quarter of a hundred a minute, and as many at once.
    assert!(accepted > 120 && (80..=90).contains(&victims), "{victims} of {accepted}");
    assert_eq!(peer(&system, "mx0.robots.test").arrived(), 15, "all of them are told");
}
