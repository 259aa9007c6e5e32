//! Servers that die, come back, refuse, or speak an older DNS, in the simulator: what a question costs, who is asked
//! next, and what is told of each server.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::{
    Agreement, EdnsSupport, Lookup, Resolver, ServerHealth, ServerState, Settings,
};
use posthaste_evidence::{
    Answer, AnswerKind, Edns, Effect, Observation, RecordType, Seen, Subject,
};
use posthaste_io::{Instant, sleep};
use posthaste_io_sim::{Host, Link, Sim, Weather};
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

mod all_dead;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
/// The slowest way there and back, with the little that a step takes here.
const ROUND_TRIP: Duration = Duration::from_millis(25);
/// Doubled rests, the longest one of a minute, each up to a tenth longer.
const LONGEST_REST: Duration = Duration::from_secs(66);

struct Lab {
    sim: Sim,
    servers: Vec<DnsServer>,
    us: Host,
    resolver: Option<Resolver>,
    /// So that each question is about another name.
    questions: usize,
}

impl Lab {
    /// So many servers; of them the last ones are the fallback list.
    fn new(count: u8, fallback: usize) -> Self {
        Self::with(count, fallback, Settings::default())
    }

    fn with(count: u8, fallback: usize, settings: Settings) -> Self {
        let sim = Sim::new(7);
        let latency = Duration::from_millis(1)..Duration::from_millis(10);
        sim.weather(Weather { latency, ..Weather::default() });
        let start = |place: u8| {
            let host = sim.host(&format!("dns{place}"), &[ip(place)]);
            let zone = "*.test MX 10 mx.test\nmx.test A 192.0.2.80";
            let server = DnsServer::new(Zone::parse(zone).unwrap());
            let (world, running) = (host.world(), server.clone());
            let at = SocketAddr::new(ip(place), 53);
            sim.block_on(&host, async move { running.start(&world, at).await }).unwrap();
            server
        };
        let servers: Vec<DnsServer> = (0..count).map(start).collect();
        let us = sim.host("us", &[IpAddr::from([192, 0, 2, 25])]);
        let mut named: Vec<_> =
            (0..count).map(|place| SocketAddr::new(ip(place), 53).into()).collect();
        let fallback = named.split_off(named.len() - fallback);
        let settings = Settings { servers: named, fallback, ..settings };
        let resolver = Some(Resolver::new(us.world(), settings));
        Self { sim, servers, us, resolver, questions: 0 }
    }

    fn resolver(&self) -> &Resolver {
        self.resolver.as_ref().unwrap()
    }

    /// A question that is not in the cache; what came of it, and how long that took.
    fn ask(&mut self) -> (Lookup, Duration) {
        self.questions += 1;
        let name = format!("d{}.test", self.questions);
        self.ask_for(&name, Agreement::First)
    }

    fn ask_for(&self, name: &str, agreement: Agreement) -> (Lookup, Duration) {
        let (resolver, name, began) = (self.resolver().clone(), name.to_owned(), self.sim.now());
        let ask = async move { resolver.ask(&name, RecordType::Mx, agreement).await };
        let lookup = self.sim.block_on(&self.us, ask);
        (lookup, self.sim.now() - began)
    }

    /// So many questions, one a second; the longest time one took, and whether all were answered.
    fn ask_many(&mut self, count: usize) -> (Duration, bool) {
        let (mut longest, mut all) = (Duration::ZERO, true);
        for _ in 0..count {
            self.wait(SECOND);
            let (lookup, took) = self.ask();
            longest = longest.max(took);
            all &= lookup.verdict() == AnswerKind::Answer;
        }
        (longest, all)
    }

    fn wait(&self, time: Duration) {
        let world = self.us.world();
        self.sim.block_on(&self.us, async move { sleep(&*world.clock, time).await });
    }

    fn link(&self, place: u8, link: Link) {
        self.sim.link(&self.us, ip(place), link);
    }

    fn behave(&self, place: usize, behaviour: Behaviour) {
        self.servers[place].behave("*", None, behaviour);
    }

    fn asked(&self, place: usize) -> usize {
        self.servers[place].asked().len()
    }

    fn health(&self, place: usize) -> ServerHealth {
        self.resolver().servers()[place].clone()
    }

    fn recoveries(&self) -> u64 {
        *self.resolver().recoveries().borrow()
    }
}

fn ip(place: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, place + 1])
}

/// What each server said: its place, and what its answer amounts to.
fn said(lookup: &Lookup) -> Vec<(u8, AnswerKind)> {
    let one = |o: &Observation| {
        let Subject::Question { server: Some(server), .. } = &o.subject else { panic!("{o:?}") };
        let IpAddr::V4(ip) = server.ip() else { panic!("{o:?}") };
        let kind = match &o.seen {
            Seen::Answer(answer) => answer.kind,
            Seen::TimedOut { .. } => AnswerKind::Timeout,
            other => panic!("{other:?}"),
        };
        (ip.octets()[3] - 1, kind)
    };
    lookup.observations.iter().map(one).collect()
}

/// The answers that were seen.
fn answers(lookup: &Lookup) -> Vec<&Answer> {
    let mut answers = Vec::new();
    for observation in &lookup.observations {
        if let Seen::Answer(answer) = &observation.seen {
            answers.push(answer);
        }
    }
    answers
}

#[test]
fn a_black_hole_first_in_line_makes_one_question_late() {
    let mut lab = Lab::new(2, 0);
    lab.behave(0, Behaviour::Drop);
    let (lookup, took) = lab.ask();
    assert_eq!(said(&lookup), [(0, AnswerKind::Timeout), (1, AnswerKind::Answer)]);
    assert!(took <= 500 * MS, "{took:?}");
    let began = lab.sim.now();
    let (longest, all) = lab.ask_many(100);
    assert!(all && longest <= ROUND_TRIP, "the following are not late at all: {longest:?}");
    let health = lab.health(0);
    let ServerState::Dead { since, cause } = health.state else { panic!("{health:?}") };
    assert_eq!(cause, AnswerKind::Timeout);
    assert!(health.next_health.unwrap() > since && health.last_success.is_none());
    assert_eq!((lab.health(1).state, lab.health(1).failed()), (ServerState::Good, 0));
    // The one for mail, the one whether it is there, and those after rests of 5, 10, 20 and 40 s.
    let asked =
        2 + [9, 22, 45, 88].iter().filter(|at| **at * SECOND < lab.sim.now() - began).count();
    assert_eq!(lab.asked(0), asked, "{:?}", lab.sim.now() - began);
}

#[test]
fn who_loses_a_race_is_told_by_its_own_time_and_not_blamed_for_being_asked_late() {
    let mut lab = Lab::new(2, 0);
    lab.behave(0, Behaviour::Delay(400 * MS));
    lab.behave(1, Behaviour::Delay(200 * MS));
    let (lookup, took) = lab.ask();
    assert!(took >= 400 * MS && took < 400 * MS + 2 * ROUND_TRIP, "{took:?}");
    let lost = &lookup.observations[0];
    let Seen::TimedOut { after } = lost.seen else { panic!("{lost:?}") };
    assert!(after > 70 * MS && after < 150 * MS, "it was asked after 300 ms: {after:?}");
    assert_eq!((after, lost.effect), (lost.took, Effect::None));
    assert_eq!(said(&lookup), [(1, AnswerKind::Timeout), (0, AnswerKind::Answer)]);
    // Who was waited for as long as anybody is, is told as slow.
    let mut lab = Lab::new(2, 0);
    lab.behave(0, Behaviour::Delay(SECOND));
    let (lookup, _) = lab.ask();
    let lost = &lookup.observations[0];
    assert!(matches!(lost.seen, Seen::TimedOut { after } if after >= 300 * MS), "{lost:?}");
    assert_eq!((said(&lookup)[0].0, lost.effect), (0, Effect::Degrading));
}

#[test]
fn under_load_a_black_hole_makes_nobody_later_than_the_race() {
    let lab = Lab::new(2, 0);
    let answered = |from: u32, to: u32| {
        let (resolver, world) = (lab.resolver().clone(), lab.us.world());
        let longest = lab.sim.block_on(&lab.us, async move {
            let asks = (from..to).map(|i| {
                let (resolver, world) = (resolver.clone(), world.clone());
                async move {
                    sleep(&*world.clock, (i - from) * 5 * MS).await;
                    let began = world.now();
                    let name = format!("d{i}.test");
                    let lookup = resolver.ask(&name, RecordType::Mx, Agreement::First).await;
                    assert_eq!(lookup.verdict(), AnswerKind::Answer);
                    (world.now() - began, lookup.observations.len())
                }
            });
            futures_util::future::join_all(asks).await
        });
        let late = longest.iter().filter(|(took, _)| *took > ROUND_TRIP).count();
        (longest.into_iter().map(|(took, _)| took).max().unwrap(), late)
    };
    assert_eq!(answered(0, 1_000).1, 0, "200 a second");
    lab.behave(0, Behaviour::Drop);
    let (longest, late) = answered(1_000, 3_000);
    assert!(longest <= 500 * MS, "{longest:?}");
    // Those that were put before the first one had waited for 300 ms.
    assert!(late <= 70, "{late}");
    assert!(lab.health(0).is_dead());
    assert_eq!(answered(3_000, 4_000).1, 0);
}

#[test]
fn health_questions_back_off_to_a_minute_and_end_with_the_answer() {
    let mut lab = Lab::new(2, 0);
    lab.behave(0, Behaviour::Drop);
    let _ = lab.ask();
    lab.wait(4 * SECOND);
    let (mut asked, mut at) = (lab.asked(0), Vec::new());
    let began = lab.sim.now();
    while lab.sim.now() - began < 400 * SECOND {
        lab.wait(100 * MS);
        if lab.asked(0) > asked {
            asked = lab.asked(0);
            at.push(lab.sim.now());
        }
    }
    // Each question is silence for three seconds, then comes the rest.
    let rest = |from: Instant, to: Instant| (to - from).saturating_sub(3 * SECOND);
    let rests: Vec<Duration> = at.windows(2).map(|pair| rest(pair[0], pair[1])).collect();
    for (rest, expected) in rests.iter().zip([10, 20, 40, 60, 60]) {
        let span = expected * SECOND / 10 + 200 * MS;
        let fits = *rest > expected * SECOND - span && *rest < expected * SECOND + span;
        assert!(fits, "{expected} {rests:?}");
    }
    assert!(rests.len() >= 5, "{rests:?}");
    let exact = |rest: &Duration| rest.as_millis() % 1_000 < 200;
    assert!(!rests.iter().all(exact), "with some jitter: {rests:?}");

    lab.servers[0].recover();
    lab.wait(LONGEST_REST + 100 * MS);
    assert_eq!(lab.health(0).state, ServerState::Good);
    let asked = lab.asked(0);
    lab.wait(300 * SECOND);
    assert_eq!(lab.asked(0), asked, "nobody asks after its health any more");
    assert_eq!(said(&lab.ask().0), [(0, AnswerKind::Answer)], "it is the first again");
}

#[test]
fn nobody_asks_for_a_resolver_that_is_gone() {
    let mut lab = Lab::new(2, 0);
    lab.behave(0, Behaviour::Drop);
    let _ = lab.ask();
    lab.wait(10 * SECOND);
    assert!(lab.asked(0) > 1);
    lab.resolver = None;
    let asked = lab.asked(0);
    lab.wait(600 * SECOND);
    assert_eq!(lab.asked(0), asked);
}

#[test]
fn a_stopped_service_costs_nothing() {
    let mut lab = Lab::new(2, 0);
    lab.link(0, Link::Refuse);
    let (lookup, took) = lab.ask();
    assert_eq!(said(&lookup), [(0, AnswerKind::Unreachable), (1, AnswerKind::Answer)]);
    assert!(took <= 2 * ROUND_TRIP, "no wait for what is known at once: {took:?}");
    assert_eq!(said(&lab.ask().0), [(1, AnswerKind::Answer)]);
    lab.link(0, Link::Up);
    lab.wait(6 * SECOND);
    assert_eq!(said(&lab.ask().0), [(0, AnswerKind::Answer)], "back after the first rest");
}

#[test]
fn the_fallback_list_is_for_when_all_others_fail() {
    let mut lab = Lab::new(3, 1);
    assert!(lab.health(2).fallback && !lab.health(1).fallback);
    assert!(lab.ask_many(20).1);
    assert_eq!(lab.asked(2), 0);
    for place in [0, 1] {
        lab.link(place, Link::Drop);
    }
    let (lookup, took) = lab.ask();
    let silence = AnswerKind::Timeout;
    assert_eq!(said(&lookup), [(0, silence), (1, silence), (2, AnswerKind::Answer)]);
    assert!(lookup.answer.fallback && took > 3 * SECOND && took < 4 * SECOND, "{took:?}");
    let (lookup, took) = lab.ask();
    assert_eq!(said(&lookup), [(2, AnswerKind::Answer)]);
    assert!(took <= ROUND_TRIP && answers(&lookup)[0].fallback, "known to be dead: {took:?}");
    assert_eq!(lab.recoveries(), 0, "one lives");
    lab.link(1, Link::Up);
    lab.wait(LONGEST_REST);
    let (lookup, _) = lab.ask();
    assert_eq!(said(&lookup), [(1, AnswerKind::Answer)], "their return ends it");
    assert!(!lookup.answer.fallback);
}

#[test]
fn a_slow_one_is_heard_before_the_fallback_list_is_asked() {
    let mut lab = Lab::new(3, 1);
    lab.behave(0, Behaviour::Delay(SECOND / 10));
    assert!(lab.ask_many(20).1);
    assert_eq!(said(&lab.ask().0), [(0, AnswerKind::Answer)], "nobody is known to be quicker");
    lab.behave(0, Behaviour::Delay(SECOND));
    assert!(lab.ask_many(3).1);
    lab.behave(0, Behaviour::Delay(SECOND / 10));
    assert!(lab.ask_many(12).1);
    assert_eq!((lab.health(0).state, lab.health(1).state), (ServerState::Slow, ServerState::Good));
    lab.behave(1, Behaviour::Rcode(2));
    // Long enough for the slow one to be asked beside the first one, not after it.
    for _ in 0..12 {
        lab.wait(11 * SECOND);
        let (lookup, took) = lab.ask();
        assert_eq!(said(&lookup), [(1, AnswerKind::ServFail), (0, AnswerKind::Answer)]);
        assert!(took < 300 * MS, "{took:?}");
        if lab.health(1).is_dead() {
            break;
        }
    }
    assert!(lab.health(1).is_dead());
    assert_eq!(lab.asked(2), 0);
}

#[test]
fn what_fails_everywhere_is_asked_of_the_fallback_list_but_not_what_is_bogus() {
    let bogus = Behaviour::Extended { rcode: 2, code: 6, text: String::new() };
    for (behaviour, verdict, asked) in [
        (Behaviour::Rcode(2), AnswerKind::Answer, 1),
        (Behaviour::Rcode(5), AnswerKind::Answer, 1),
        (bogus, AnswerKind::Bogus, 0),
        (Behaviour::Rcode(3), AnswerKind::NxDomain, 0),
    ] {
        for agreement in [Agreement::First, Agreement::All] {
            let lab = Lab::new(3, 1);
            lab.behave(0, behaviour.clone());
            lab.behave(1, behaviour.clone());
            let (lookup, _) = lab.ask_for("x.test", agreement);
            assert_eq!(lookup.verdict(), verdict, "{behaviour:?} {agreement:?}");
            assert_eq!(lab.asked(2), asked, "{behaviour:?} {agreement:?}");
        }
    }
    let lab = Lab::new(2, 1);
    lab.behave(0, Behaviour::Rcode(2));
    lab.behave(1, Behaviour::Rcode(3));
    let (lookup, _) = lab.ask_for("x.test", Agreement::All);
    assert_eq!((lookup.verdict(), lookup.permanent), (AnswerKind::NxDomain, false));
}

#[test]
fn a_server_without_edns_costs_one_more_question_an_hour() {
    let mut lab = Lab::new(1, 0);
    lab.behave(0, Behaviour::NoEdns);
    let edns = |lab: &Lab| -> Vec<bool> {
        lab.servers[0].asked().iter().map(|asked| asked.edns).collect()
    };
    for _ in 0..3 {
        let (lookup, _) = lab.ask();
        assert_eq!((lookup.verdict(), lookup.answer.edns), (AnswerKind::Answer, Edns::LeftOut));
    }
    assert_eq!(edns(&lab), [true, false, false, false]);
    assert_eq!(lab.health(0).edns, EdnsSupport::NotUnderstood);
    lab.servers[0].recover();
    lab.wait(3_601 * SECOND);
    assert_eq!(lab.ask().0.answer.edns, Edns::Offered);
    assert_eq!(lab.health(0).edns, EdnsSupport::Offered);
    assert_eq!(edns(&lab)[4..], [true]);
}

#[test]
fn silence_may_be_about_edns_and_that_is_found_out_and_told() {
    let mut lab = Lab::new(1, 0);
    lab.behave(0, Behaviour::DropEdns);
    let (lookup, took) = lab.ask();
    assert_eq!((lookup.verdict(), lookup.answer.edns), (AnswerKind::Answer, Edns::LeftOutToSee));
    assert_eq!(said(&lookup)[0], (0, AnswerKind::Timeout), "and what it costs is told");
    assert!(took < 4 * SECOND, "{took:?}");
    assert_eq!(lab.health(0).edns, EdnsSupport::Dropped);
    lab.wait(4 * SECOND);
    let (longest, all) = lab.ask_many(30);
    assert!(all && longest < 700 * MS, "known now: {longest:?}");
    assert!(lab.servers[0].asked().iter().filter(|a| a.edns).count() > 30, "still offered");
    lab.servers[0].recover();
    let (longest, all) = lab.ask_many(3);
    assert!(all && longest <= ROUND_TRIP, "{longest:?}");
    assert_eq!(lab.health(0).edns, EdnsSupport::Offered);

    let mut lab = Lab::new(2, 0);
    lab.behave(0, Behaviour::DropEdns);
    let (lookup, took) = lab.ask();
    assert_eq!(lookup.answer.edns, Edns::Offered);
    assert!(took <= 500 * MS, "another server answers: nothing is tried");
    assert!(lab.servers[0].asked().iter().all(|asked| asked.edns));
}

#[test]
fn a_server_that_does_not_keep_case_is_asked_in_lower_case() {
    let mut lab = Lab::new(1, 0);
    lab.behave(0, Behaviour::LowerCase);
    let (lookup, took) = lab.ask_for("a-name-with-letters.test", Agreement::First);
    assert_eq!(lookup.verdict(), AnswerKind::Answer);
    assert!(took > 200 * MS && took < 300 * MS, "a better one is waited for: {took:?}");
    assert!(!lab.health(0).keeps_case);
    assert_eq!(lab.asked(0), 2);
    let (longest, all) = lab.ask_many(20);
    assert!(all && longest <= ROUND_TRIP, "{longest:?}");
    assert_eq!(lab.asked(0), 22);
    assert_eq!((lab.health(0).spoofed, lab.health(0).failed()), (0, 0));
}

#[test]
fn forged_replies_never_end_the_wait_and_are_counted() {
    let mut lab = Lab::new(1, 0);
    lab.behave(0, Behaviour::ForgedFirst);
    let (longest, all) = lab.ask_many(10);
    assert!(all && longest < 100 * MS);
    assert_eq!(lab.health(0).spoofed, 20, "two before each answer");
    assert_eq!(lab.health(0).state, ServerState::Good);
    lab.behave(0, Behaviour::WrongId);
    let (lookup, took) = lab.ask();
    assert_eq!(lookup.verdict(), AnswerKind::Timeout);
    assert!(took >= 6 * SECOND && took < 7 * SECOND, "{took:?}");
    assert_eq!(
        lab.health(0).spoofed,
        24,
        "one to each question, that whether it is there included"
    );
}

#[test]
fn who_fails_at_everything_others_know_loses_its_place() {
    for (rcode, cause, questions) in
        [(2, AnswerKind::ServFail, 3), (5, AnswerKind::Refused, 1), (4, AnswerKind::NotImp, 1)]
    {
        let mut lab = Lab::new(2, 0);
        lab.behave(0, Behaviour::Rcode(rcode));
        for _ in 0..questions {
            let (lookup, took) = lab.ask();
            assert_eq!(said(&lookup), [(0, cause), (1, AnswerKind::Answer)]);
            assert!(took <= 3 * ROUND_TRIP);
        }
        assert_eq!(said(&lab.ask().0), [(1, AnswerKind::Answer)], "{cause:?}");
        let health = lab.health(0);
        assert!(matches!(health.state, ServerState::Dead { cause: c, .. } if c == cause));
        lab.wait(60 * SECOND);
        assert!(lab.health(0).is_dead());
        lab.servers[0].recover();
        lab.wait(LONGEST_REST);
        assert_eq!(said(&lab.ask().0), [(0, AnswerKind::Answer)], "{cause:?}");
    }
}

#[test]
fn one_bad_name_does_not_cost_a_server_its_place() {
    let mut lab = Lab::new(2, 0);
    lab.servers[0].behave("bad.test", None, Behaviour::Rcode(2));
    lab.servers[1].behave("bad.test", None, Behaviour::Drop);
    for _ in 0..20 {
        let (_, took) = lab.ask_for("bad.test", Agreement::First);
        assert!(took < 7 * SECOND);
        let (longest, all) = lab.ask_many(30);
        assert!(all && longest <= ROUND_TRIP, "{longest:?}");
    }
    assert_eq!(lab.health(0).state, ServerState::Good);
    assert_eq!(lab.recoveries(), 0);
}

#[test]
fn a_name_whose_servers_are_silent_is_no_death_of_ours() {
    let mut lab = Lab::new(2, 0);
    for server in &lab.servers {
        server.behave("void.test", None, Behaviour::Drop);
    }
    let any_dead =
        |lab: &Lab| lab.resolver().servers().iter().any(posthaste_dns::ServerHealth::is_dead);
    for _ in 0..5 {
        for agreement in [Agreement::First, Agreement::All] {
            let (lookup, took) = lab.ask_for("void.test", agreement);
            assert_eq!(lookup.verdict(), AnswerKind::Timeout);
            assert!(took < 7 * SECOND && !any_dead(&lab), "{took:?}");
            // Also while they are asked whether they are there, and after.
            for _ in 0..30 {
                lab.wait(SECOND / 5);
                assert!(!any_dead(&lab));
            }
        }
        let (lookup, took) = lab.ask();
        assert_eq!(said(&lookup), [(0, AnswerKind::Answer)], "the order is as it was");
        assert!(took <= ROUND_TRIP, "others are asked at once: {took:?}");
    }
    assert_eq!(lab.recoveries(), 0);
    // One that refuses to tell the servers of the root is there all the same.
    lab.servers[0].behave("", None, Behaviour::Rcode(5));
    for _ in 0..5 {
        let _ = lab.ask_for("void.test", Agreement::First);
        lab.wait(6 * SECOND);
        assert!(!any_dead(&lab));
    }
    // Silence to everything is a death, however it began.
    lab.behave(0, Behaviour::Drop);
    let _ = lab.ask_for("void.test", Agreement::First);
    lab.wait(2 * SECOND);
    assert!(lab.health(0).is_dead() && !lab.health(1).is_dead());
}

#[test]
fn tcp_alone_is_used_when_so_set_and_a_deaf_one_is_told() {
    let settings = Settings { tcp_only: true, ..Settings::default() };
    let mut lab = Lab::with(1, 0, settings);
    let (lookup, _) = lab.ask();
    assert_eq!((lookup.verdict(), lookup.answer.truncated), (AnswerKind::Answer, false));
    assert!(lab.servers[0].asked().iter().all(|asked| asked.tcp));
    assert_eq!(lab.health(0).tcp, 1);

    let mut lab = Lab::new(1, 0);
    lab.behave(0, Behaviour::TruncateThenSilence);
    let (lookup, took) = lab.ask();
    let answer = &lookup.answer;
    assert_eq!((answer.kind, answer.truncated), (AnswerKind::Timeout, true));
    assert!(took < 7 * SECOND, "{took:?}");
    assert!(!lab.health(0).is_dead(), "it says something, by UDP");
}

#[test]
fn tries_are_as_many_as_set() {
    for tries in [1, 2, 3] {
        let mut lab = Lab::with(1, 0, Settings { tries, ..Settings::default() });
        lab.behave(0, Behaviour::Drop);
        let (lookup, took) = lab.ask();
        assert_eq!(lookup.verdict(), AnswerKind::Timeout);
        assert_eq!(
            lookup.answer.edns,
            Edns::Offered,
            "what was asked as a test stands for nothing"
        );
        let how: Vec<Edns> = answers(&lookup).iter().map(|answer| answer.edns).collect();
        let to_see = how.iter().filter(|edns| **edns == Edns::LeftOutToSee).count();
        assert_eq!((how.len(), to_see), (tries + 1, 1), "and one without EDNS");
        let limit = 3 * SECOND * u32::try_from(tries.max(2)).unwrap() + SECOND;
        assert!(took < limit, "{tries} {took:?}");
    }
}

#[test]
fn servers_of_equal_standing_take_turns() {
    let mut lab = Lab::with(3, 0, Settings { rotate: true, ..Settings::default() });
    assert!(lab.ask_many(30).1);
    assert_eq!([0, 1, 2].map(|place| lab.asked(place)), [10, 10, 10]);
    lab.link(1, Link::Refuse);
    assert!(lab.ask_many(30).1);
    assert!(lab.asked(0) > 20 && lab.asked(2) > 20 && lab.asked(1) < 12);
}
