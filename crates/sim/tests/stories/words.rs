//! What every story says and asks.

use posthaste_evidence::{Act, EventKind, Fault, NoticeKind, Outcome};
use posthaste_mail::Timestamp;
use posthaste_peers::mail::MailHost;
use posthaste_sim::{Letter, MailSystem, Plan};
use posthaste_spool::Decision;
use posthaste_spool::decision::{Command, OrderFault, Which};
use std::time::Duration;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// What "at once" is: look-ups, connections and dialogues over links of up to 100 ms there and back.
pub(crate) const AT_ONCE: Duration = Duration::from_millis(1900);

/// One try of a recipient, as the event log tells it.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) at: Timestamp,
    pub(crate) outcome: Outcome,
    pub(crate) fault: Option<Fault>,
    pub(crate) next: Option<Timestamp>,
}

/// A failure notice that the sender's host took.
#[derive(Debug)]
pub(crate) struct Notice {
    pub(crate) about: Vec<String>,
    pub(crate) status: Vec<String>,
    pub(crate) text: String,
}

/// A system that is up.
pub(crate) fn up(plan: Plan) -> MailSystem {
    let system = MailSystem::new(1, plan);
    assert!(system.run_until(SECOND, Duration::from_millis(10), MailSystem::is_ready));
    system
}

/// Hands in one message for all of these.
pub(crate) fn send(system: &MailSystem, number: u32, to: &[&str]) {
    hand_in(system, letter(number, to));
}

/// A small letter of the sender's.
pub(crate) fn letter(number: u32, to: &[&str]) -> Letter {
    Letter::new(number, "writer@sender.test", &strings(to), 100)
}

/// Hands it in, and waits for the client to be told.
pub(crate) fn hand_in(system: &MailSystem, letter: Letter) {
    let before = system.ledger.all().len();
    system.hand_in(letter);
    let told = |s: &MailSystem| s.ledger.all().len() > before;
    assert!(system.run_until(MINUTE, Duration::from_millis(5), told), "the client is told");
    let handed = system.ledger.all().pop().expect("it was told");
    assert!(handed.acknowledged, "{handed:?}");
}

/// Hands in `count` messages of one recipient each, from as many clients at once.
pub(crate) fn send_many(system: &MailSystem, from: u32, count: u32, domain: &str) {
    let before = system.ledger.all().len();
    for number in from..from + count {
        system.send(number, "writer@sender.test", &[format!("r{number}@{domain}")], 100);
    }
    let told = |s: &MailSystem| s.ledger.all().len() == before + count as usize;
    assert!(system.run_until(MINUTE, Duration::from_millis(5), told), "the clients are told");
    assert!(system.ledger.all().iter().all(|h| h.acknowledged));
}

/// Runs until no recipient is live and all is said; answers how long that took. Looks often at first.
pub(crate) fn until_quiet(system: &MailSystem, limit: Duration) -> Duration {
    let began = system.sim.now();
    let quiet = |s: &MailSystem| s.is_ready() && s.live().is_empty();
    let soon = limit.min(Duration::from_secs(10));
    if !system.run_until(soon, Duration::from_millis(20), quiet) {
        let every = (limit / 500).max(SECOND);
        let met = system.run_until(limit, every, quiet);
        assert!(met, "no end after {limit:?}: {:#?}", system.relay.journal().events());
    }
    system.sim.now() - began
}

/// Tries of a recipient so far.
pub(crate) fn tries(system: &MailSystem, recipient: &str) -> Vec<Tried> {
    let tried = |event: posthaste_evidence::Event| match event.kind {
        EventKind::Tried { to, outcome, fault, next, .. } if to == recipient => {
            Some(Tried { at: event.at, outcome, fault, next })
        }
        _ => None,
    };
    system.relay.journal().events().into_iter().filter_map(tried).collect()
}

/// What the tries of a recipient came to.
pub(crate) fn outcomes(system: &MailSystem, recipient: &str) -> Vec<Outcome> {
    tries(system, recipient).into_iter().map(|t| t.outcome).collect()
}

/// How often an event of this name was told; of notices those of failures.
pub(crate) fn told(system: &MailSystem, name: &str) -> usize {
    let is_other = |kind: &EventKind| matches!(kind, EventKind::Notice { kind, .. } if *kind != NoticeKind::Failed);
    let events = system.relay.journal().events();
    events.iter().filter(|e| e.kind.name() == name && !is_other(&e.kind)).count()
}

/// The scripted host of this name.
pub(crate) fn peer<'a>(system: &'a MailSystem, name: &str) -> &'a MailHost {
    &system.host(name).1
}

/// All forward-paths that a host took, in order.
pub(crate) fn taken(system: &MailSystem, host: &str) -> Vec<String> {
    peer(system, host)
        .arrivals()
        .iter()
        .flat_map(posthaste_peers::mail::Arrival::recipients)
        .collect()
}

/// The failure notices that the sender's host took.
pub(crate) fn notices(system: &MailSystem) -> Vec<Notice> {
    let arrivals = peer(system, "mx0.sender.test").arrivals();
    let notice = |arrival: posthaste_peers::mail::Arrival| {
        assert!(arrival.from.starts_with("FROM:<>"), "only notices come here");
        let read = posthaste_sim::notices::read(&arrival).expect("a notice");
        read.about.iter().all(|word| word.action == "failed").then(|| Notice {
            about: read.about.iter().map(|word| word.recipient.clone()).collect(),
            status: read.about.iter().map(|word| word.status.clone()).collect(),
            text: read.whole,
        })
    };
    arrivals.into_iter().filter_map(notice).collect()
}

/// The one notice there is.
pub(crate) fn the_notice(system: &MailSystem) -> Notice {
    let mut all = notices(system);
    assert_eq!(all.len(), 1, "one notice: {all:#?}");
    all.remove(0)
}

/// The distances between these moments.
pub(crate) fn distances(moments: &[Timestamp]) -> Vec<Duration> {
    moments.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

/// Holds distances to a schedule in minutes, spread by up to a fifth either way and the time a try takes.
pub(crate) fn follows(distances: &[Duration], minutes: &[u32], slack: Duration) {
    assert!(distances.len() >= minutes.len(), "too few: {distances:?}");
    for (place, (distance, minutes)) in distances.iter().zip(minutes).enumerate() {
        let due = MINUTE * *minutes;
        let fits = *distance >= due * 8 / 10 && *distance <= due * 12 / 10 + slack;
        assert!(fits, "step {place} of {distances:?} is not {minutes} min");
    }
}

pub(crate) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The operator's command, from `uid 0`.
pub(crate) fn command(act: Act, which: Which) -> Command {
    Command { act, which, to: None, text: None, by: "uid 0".into(), reason: None }
}

/// Gives a command that is taken; answers how its decision stands at once.
pub(crate) fn order(system: &MailSystem, act: Act, which: Which) -> Decision {
    give(system, command(act, which)).expect("it is taken")
}

/// Gives a command.
pub(crate) fn give(system: &MailSystem, command: Command) -> Result<Decision, OrderFault> {
    let dispatch = system.dispatch();
    let given = async move { dispatch.order(command).await };
    system.sim.block_on(&system.relay, given).map(|(view, _)| view.decision)
}
