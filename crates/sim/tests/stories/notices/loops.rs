//! No loop can ever arise: robots that do with notices what nobody should, addresses that bounce to each other, two
//! Posthastes that refuse each other's mail. Whatever goes round in them, they do nothing but answer notices: so
//! what never ends would be ours.
//!
//! Robots that write anew, or in which a notice cannot be recognised, are slowed down: see `robots`.

use crate::words::*;
use posthaste_evidence::{Event, EventKind};
use posthaste_io_sim::Rng;
use posthaste_peers::mail::{Action, Arrival, Script, Step};
use posthaste_reception::recipients::Recipients;
use posthaste_route::{Pattern, Route, SmartHost, Table};
use posthaste_sim::{Letter, MailSystem, Neighbour, Plan, check, notices};
use std::collections::BTreeSet;
use std::sync::Arc;

const OTHER: &str = "11.200.0.1";
const DAEMON: &str = "MAILER-DAEMON@relay.test";
const ROBOTS: [&str; 3] = ["r0@robots.test", "r1@robots.test", "r2@robots.test"];
/// Who never gets anything, each for a reason of its own.
const UNREACHABLE: [&str; 6] = [
    "dead@d.test",
    "late@busy.test",
    "nobody@nowhere.test",
    "ghost@other.test",
    DAEMON,
    "MAILER-DAEMON@other.test",
];
/// What else stands in reverse-paths.
const OTHERS: [&str; 4] = ["writer@sender.test", "r1@robots.test", "postmaster@relay.test", ""];

/// What a robot does with a notice.
#[derive(Clone, Copy, Debug)]
enum Habit {
    /// Answers the address in `From:`, under its own.
    Answers,
    /// Answers as a notice would, from `<>`.
    AnswersFromNull,
    /// Sends it on as it is, under its own address.
    Forwards,
    /// Sends it on as it is, from `<>`.
    Redirects,
    /// Sends it on as it is, and says that we did.
    ForwardsAsDaemon,
    /// Sends it back to where it came from, as it is, under its own address.
    Returns,
}

const HABITS: [Habit; 6] = [
    Habit::Answers,
    Habit::AnswersFromNull,
    Habit::Forwards,
    Habit::Redirects,
    Habit::ForwardsAsDaemon,
    Habit::Returns,
];

/// A robot at work: at an address, with a habit, sending on to another.
#[derive(Clone, Copy, Debug)]
struct Robot {
    address: &'static str,
    habit: Habit,
    on_to: &'static str,
    /// It reaches us from outside of our networks.
    stranger: bool,
}

impl Robot {
    fn reaction(&self, number: u32, notice: &Arrival) -> Letter {
        let back = notice.header("From").unwrap_or_default();
        let back = back.split_once('<').map_or(DAEMON, |(_, rest)| rest.trim_end_matches('>'));
        let (from, to) = match self.habit {
            Habit::Answers | Habit::Returns => (self.address, back),
            Habit::AnswersFromNull => ("", back),
            Habit::Forwards => (self.address, self.on_to),
            Habit::Redirects => ("", self.on_to),
            Habit::ForwardsAsDaemon => (DAEMON, self.on_to),
        };
        let mut letter = Letter::new(number, from, &[to.to_owned()], 100);
        if !matches!(self.habit, Habit::Answers | Habit::AnswersFromNull) {
            letter.content.clone_from(&notice.content);
        }
        letter
    }
}

fn plan() -> Plan {
    let mut plan = Plan::domain("d.test", 1);
    plan.domains.extend(["busy.test", "robots.test", "own.test"].map(|d| (d.to_owned(), 1)));
    let mut plan = plan
        .zone("relay.test MX 10 mail.relay.test\nmail.relay.test A 11.0.0.1")
        .zone("other.test MX 10 mx.other.test\nmx.other.test A 11.200.0.1");
    let around = vec![SmartHost { host: OTHER.into(), port: 25 }];
    let around = Route::by_hosts("around", vec!["loop.test".parse().expect("valid")], around);
    plan.routes = Table::new(vec![around, Route::by_mx("rest", vec![Pattern::Any])]);
    // Strangers may write to all of them.
    let all = [
        "d.test",
        "busy.test",
        "robots.test",
        "own.test",
        "other.test",
        "loop.test",
        "relay.test",
        "nowhere.test",
    ];
    plan.own.domains = all.map(|domain| (domain.to_owned(), Recipients::Any)).to_vec();
    plan.dispatch.own_domains =
        Arc::new(BTreeSet::from(["own.test".to_owned(), "relay.test".to_owned()]));
    plan.dispatch.all_clear = true;
    plan.queue.schedule.delay.repeat = Some(DAY);
    plan.queue.schedule.expire_after = 2 * DAY;
    // When it is tried does not matter here, and takes most of the time.
    plan.queue.schedule.later = vec![6 * HOUR];
    plan
}

fn world() -> (MailSystem, Neighbour) {
    let system = up(plan());
    let no = Action::Reply("550 5.1.1 no such user".into());
    peer(&system, "mx0.d.test").set(Script::default().always(Step::Rcpt, no));
    let busy = Action::Reply("450 4.2.1 mailbox busy".into());
    peer(&system, "mx0.busy.test").set(Script::default().always(Step::Rcpt, busy));
    let back = vec![SmartHost { host: "11.0.0.1".into(), port: 25 }];
    let back = Route::by_hosts("back", vec!["loop.test".parse().expect("valid")], back);
    let routes = Table::new(vec![back, Route::by_mx("rest", vec![Pattern::Any])]);
    let address = OTHER.parse().expect("an address");
    let other = Neighbour::start(&system, "mx.other.test", address, "other.test", routes);
    (system, other)
}

fn made(events: &[Event]) -> Vec<&Event> {
    events.iter().filter(|e| matches!(e.kind, EventKind::Notice { .. })).collect()
}

/// Lets robots react to each notice that has come to them, every half hour.
fn live(system: &MailSystem, robots: &[Robot], days: u32) -> usize {
    let mut number = 1000;
    let mut seen = 0;
    for _ in 0..days * 48 {
        system.pass(30 * MINUTE);
        let host = peer(system, "mx0.robots.test");
        if host.arrived() == seen {
            continue;
        }
        let arrivals = host.arrivals();
        for arrival in arrivals[seen..].iter().filter(|arrival| arrival.from.contains("<>")) {
            let to = arrival.recipients();
            for robot in robots.iter().filter(|robot| to.iter().any(|to| to == robot.address)) {
                number += 1;
                let letter = robot.reaction(number, arrival);
                if robot.stranger {
                    system.hand_in_as_stranger(letter);
                } else {
                    system.hand_in(letter);
                }
            }
        }
        seen = arrivals.len();
        assert!(number < 3000, "{robots:?}: this never ends");
    }
    seen
}

/// Three of the six habits, all of them after two rounds.
fn robots(round: usize, dice: &mut Rng) -> Vec<Robot> {
    let targets = [&UNREACHABLE[..], &ROBOTS[..]].concat();
    let one = |(number, address)| Robot {
        address,
        habit: HABITS[(round * ROBOTS.len() + number) % HABITS.len()],
        on_to: targets[dice.index(targets.len())],
        stranger: dice.chance(1, 2),
    };
    ROBOTS.into_iter().enumerate().map(one).collect()
}

const ROUNDS: usize = 2;

#[test]
fn robots_that_answer_and_forward_notices_come_to_an_end() {
    let mut reactions = 0;
    for seed in 0..ROUNDS {
        let mut dice = Rng::new(seed as u64);
        let (system, other) = world();
        let robots = robots(seed, &mut dice);
        let mut letters = 0;
        for to in UNREACHABLE.into_iter().chain(ROBOTS) {
            for from in ROBOTS.into_iter().chain(OTHERS).chain([to]) {
                letters += 1;
                let wish = ["", "NOTIFY=SUCCESS,FAILURE,DELAY"][dice.index(2)];
                let letter = Letter::new(letters, from, &[to.to_owned()], 100).with("", wish);
                if dice.chance(1, 2) {
                    system.hand_in(letter)
                } else {
                    system.hand_in_as_stranger(letter)
                }
            }
            system.pass(10 * SECOND);
        }
        reactions += live(&system, &robots, 6);
        assert_eq!(notices::honest(&system), check::Verdict::new(), "seed {seed}: {robots:?}");
        let end = system.relay.world().wall().minus(2 * DAY);
        for (who, events) in
            [("we", system.relay.journal().events()), ("the other", other.events())]
        {
            let late = made(&events).iter().filter(|event| event.at > end).count();
            assert_eq!(
                late, 0,
                "seed {seed}: {who} still make notices after four days: {robots:?}"
            );
            let all = made(&events).len();
            // Delays twice, the end, and the same once more for what robots sent on.
            assert!(all < letters as usize * 6, "seed {seed}: {all} notices of {letters} letters");
        }
    }
    assert!(reactions > 20 * ROUNDS, "the robots had something to do: {reactions}");
}

#[test]
fn two_posthastes_that_refuse_each_others_mail_make_one_notice_each() {
    let (system, other) = world();
    // From an address at the other that does not exist, to one here that does not exist, and the other way round.
    system.hand_in(Letter::new(1, "ghost@other.test", &strings(&["dead@d.test"]), 100));
    system.hand_in(Letter::new(2, DAEMON, &strings(&["ghost@other.test"]), 100));
    system.hand_in(Letter::new(3, "round@loop.test", &strings(&["round@loop.test"]), 100));
    system.pass(6 * DAY);
    let (ours, theirs) = (system.relay.journal().events(), other.events());
    assert!(made(&ours).len() <= 3 && made(&theirs).len() <= 3, "{ours:#?} {theirs:#?}");
    assert!(!made(&ours).is_empty());
    assert_eq!(notices::honest(&system), check::Verdict::new());
    assert!(system.live().is_empty());
}

/// A robot that writes something new for every notice, as a stranger: bounded by the rate of strangers.
#[test]
fn a_stranger_who_writes_anew_for_every_notice_is_bounded_by_a_rate() {
    let (system, _other) = world();
    let mut number = 0;
    let mut write = |system: &MailSystem| {
        number += 1;
        let letter = Letter::new(number, ROBOTS[0], &strings(&["dead@d.test"]), 100);
        system.hand_in_as_stranger(letter);
    };
    (0..30).for_each(|_| write(&system));
    let mut seen = 0;
    for _ in 0..6 * 60 {
        system.pass(MINUTE);
        let arrived = peer(&system, "mx0.robots.test").arrived();
        (seen..arrived).for_each(|_| write(&system));
        seen = arrived;
    }
    let events = system.relay.journal().events();
    let all = made(&events).len();
    let limit = plan().dispatch.strangers.per_sender_hour as usize;
    assert!(all <= limit * 7, "{all} notices in six hours");
    let withheld = events.iter().filter(|e| matches!(e.kind, EventKind::NoNotice { .. })).count();
    assert!(withheld > 0 && notices::honest(&system).is_empty(), "{withheld}");
}
