//! The resolver before scripted servers on loopback: stories of servers that fail, lie, hang and disagree.

#![allow(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use posthaste_dns::{Agreement, Lookup, Resolver, Settings};
use posthaste_evidence::observation::Effect;
use posthaste_evidence::{AnswerKind, RecordData, RecordType, Seen, Stage, Subject, Transport};
use posthaste_io::World;
use posthaste_io_tokio::NullJournal;
use posthaste_peers::dns::{Behaviour, DnsServer, Zone};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const ZONE: &str = "
example.org       MX 10 mx1.example.org
example.org       MX 20 mx2.example.org
mx1.example.org   A 192.0.2.1
mx1.example.org   AAAA 2001:db8::1
alias.example.org CNAME other.example.org
other.example.org CNAME example.org
circle-a.example  CNAME circle-b.example
circle-b.example  CNAME circle-a.example
dangling.example  CNAME nowhere.example
null.example      MX 0 .
";

// Long enough for a machine that does much else at the same time.
const TRY: Duration = Duration::from_millis(1_000);
const RACE: Duration = Duration::from_millis(200);

/// Some servers, a resolver that uses them, and the world they live in.
struct Lab {
    servers: Vec<DnsServer>,
    addresses: Vec<SocketAddr>,
    resolver: Resolver,
    world: World,
}

impl Lab {
    async fn new(count: usize) -> Self {
        let world = posthaste_io_tokio::world(Arc::new(NullJournal));
        let mut servers = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..count {
            let server = DnsServer::new(Zone::parse(ZONE).unwrap());
            let loopback = "127.0.0.1:0".parse().unwrap();
            addresses.push(server.start(&world, loopback).await.unwrap());
            servers.push(server);
        }
        let resolver = Resolver::new(world.clone(), settings(&addresses));
        Self { servers, addresses, resolver, world }
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Lookup {
        self.resolver.ask(name, kind, Agreement::First).await
    }

    async fn confirm(&self, name: &str, kind: RecordType) -> Lookup {
        self.resolver.ask(name, kind, Agreement::All).await
    }

    fn behave(&self, place: usize, behaviour: Behaviour) {
        self.servers[place].behave("*", None, behaviour);
    }

    fn asked(&self, place: usize) -> usize {
        self.servers[place].asked().len()
    }

    /// Forgets what is known of the servers, too.
    fn fresh(&mut self) {
        self.resolver = Resolver::new(self.world.clone(), settings(&self.addresses));
    }
}

fn settings(servers: &[SocketAddr]) -> Settings {
    Settings {
        servers: servers.iter().map(|&server| server.into()).collect(),
        try_limit: TRY,
        race_after: RACE,
        total_limit: Duration::from_secs(8),
        ..Settings::default()
    }
}

fn run<F: Future<Output = ()>>(story: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(story);
}

/// What each server said: its place, or `None` for the cache.
fn said(lab: &Lab, lookup: &Lookup) -> Vec<(Option<usize>, AnswerKind)> {
    let one = |o: &posthaste_evidence::Observation| {
        let Subject::Question { server, .. } = &o.subject else { panic!("{o:?}") };
        let place = server.map(|s| lab.addresses.iter().position(|a| *a == s).unwrap());
        match &o.seen {
            Seen::Answer(answer) => (place, answer.kind),
            Seen::TimedOut { .. } => (place, AnswerKind::Timeout),
            other => panic!("{other:?}"),
        }
    };
    lookup.observations.iter().map(one).collect()
}

#[test]
fn an_answer_comes_with_the_server_that_gave_it_and_then_from_the_cache() {
    run(async {
        let lab = Lab::new(2).await;
        let lookup = lab.ask("EXAMPLE.org.", RecordType::Mx).await;
        assert_eq!((lookup.name.as_str(), lookup.verdict()), ("example.org", AnswerKind::Answer));
        assert_eq!(lookup.answer.records.len(), 2);
        assert_eq!(lookup.answer.transport, Transport::Udp);
        assert_eq!((lookup.permanent, lookup.age, lookup.answer.ttl), (false, None, 300));
        assert_eq!(said(&lab, &lookup), [(Some(0), AnswerKind::Answer)]);
        let seen = &lookup.observations[0];
        assert_eq!((seen.stage, seen.effect), (Stage::DnsMx, Effect::None));
        assert!(seen.took > Duration::ZERO);

        let again = lab.ask("example.org", RecordType::Mx).await;
        assert!(again.age.is_some());
        assert_eq!(said(&lab, &again), [(None, AnswerKind::Answer)]);
        assert!(matches!(&again.observations[0].seen,
            Seen::Answer(a) if a.transport == Transport::Cache));
        assert_eq!((lab.asked(0), lab.asked(1)), (1, 0));
        assert_eq!(lab.resolver.flush(None), 1);
        lab.ask("example.org", RecordType::Mx).await;
        assert_eq!(lab.asked(0), 2);
    });
}

#[test]
fn a_server_that_fails_hands_the_question_to_the_next() {
    run(async {
        let mut lab = Lab::new(2).await;
        let extended = |code| Behaviour::Extended { rcode: 2, code, text: "why".into() };
        for (behaviour, kind) in [
            (Behaviour::Rcode(2), AnswerKind::ServFail),
            (Behaviour::Rcode(5), AnswerKind::Refused),
            (Behaviour::Rcode(9), AnswerKind::OtherRcode(9)),
            (Behaviour::Rcode(4), AnswerKind::NotImp),
            (Behaviour::Rcode(1), AnswerKind::FormErr),
            (Behaviour::Lame, AnswerKind::Lame),
            (Behaviour::Malformed, AnswerKind::Malformed),
            (extended(7), AnswerKind::Bogus),
            (extended(22), AnswerKind::ServFail),
        ] {
            lab.fresh();
            lab.servers[0].recover();
            lab.behave(0, behaviour.clone());
            let lookup = lab.ask("example.org", RecordType::Mx).await;
            assert_eq!(lookup.verdict(), AnswerKind::Answer, "{behaviour:?}");
            let expected = [(Some(0), kind), (Some(1), AnswerKind::Answer)];
            assert_eq!(said(&lab, &lookup), expected, "{behaviour:?}");
            assert_eq!(lookup.observations[0].effect, Effect::Degrading);
            if let Behaviour::Extended { code, text, .. } = behaviour {
                assert!(matches!(&lookup.observations[0].seen,
                    Seen::Answer(a) if a.extended == [(code, text.clone())]));
            }
        }
    });
}

#[test]
fn a_silent_server_costs_one_slow_question_and_is_tried_again_later() {
    run(async {
        let lab = Lab::new(2).await;
        lab.behave(0, Behaviour::Drop);
        let began = lab.world.now();
        let lookup = lab.ask("example.org", RecordType::Mx).await;
        let took = lab.world.now() - began;
        assert!(took >= RACE && took < TRY, "raced, not waited for: {took:?}");
        let expected = [(Some(0), AnswerKind::Timeout), (Some(1), AnswerKind::Answer)];
        assert_eq!(said(&lab, &lookup), expected);
        assert!(matches!(lookup.observations[0].seen, Seen::TimedOut { after } if after >= RACE));

        let began = lab.world.now();
        let lookup = lab.ask("mx1.example.org", RecordType::A).await;
        assert!(lab.world.now() - began < RACE, "the good one is asked first now");
        assert_eq!(said(&lab, &lookup), [(Some(1), AnswerKind::Answer)]);
        // Silent to this name, and then to the question whether it is there.
        posthaste_io::sleep(&*lab.world.clock, 2 * TRY + RACE).await;
        let health = lab.resolver.servers();
        assert_eq!((health[0].failed(), health[0].answered, health[0].is_dead()), (2, 0, true));
        assert_eq!((health[1].failed(), health[1].answered, health[1].is_dead()), (0, 2, false));
        assert!(health[1].smoothed.is_some());
    });
}

#[test]
fn a_closed_port_is_unreachable_at_once() {
    run(async {
        let mut lab = Lab::new(2).await;
        let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        lab.addresses[0] = listener.local_addr().unwrap();
        drop(listener);
        lab.fresh();
        let began = lab.world.now();
        let lookup = lab.ask("example.org", RecordType::Mx).await;
        assert!(lab.world.now() - began < RACE);
        let expected = [(Some(0), AnswerKind::Unreachable), (Some(1), AnswerKind::Answer)];
        assert_eq!(said(&lab, &lookup), expected);
    });
}

#[test]
fn when_all_fail_the_most_telling_failure_stands_and_is_kept_briefly() {
    run(async {
        let lab = Lab::new(3).await;
        lab.behave(0, Behaviour::Drop);
        lab.behave(1, Behaviour::Rcode(2));
        lab.behave(2, Behaviour::Rcode(5));
        let lookup = lab.ask("example.org", RecordType::Mx).await;
        assert_eq!((lookup.verdict(), lookup.permanent), (AnswerKind::ServFail, false));
        assert!(lookup.answer.records.is_empty());
        let about_it = lab.servers[0].asked().into_iter().filter(|asked| !asked.name.is_empty());
        assert_eq!(about_it.count(), 2, "a datagram may have been lost: asked twice");
        assert_eq!((lab.asked(1), lab.asked(2)), (1, 1));
        assert_eq!(said(&lab, &lookup).len(), 4);
        let again = lab.ask("example.org", RecordType::Mx).await;
        assert_eq!((again.verdict(), again.age.is_some()), (AnswerKind::ServFail, true));
        assert!(!lab.confirm("example.org", RecordType::Mx).await.permanent);
    });
}

#[test]
fn without_servers_every_question_fails_and_none_hangs() {
    run(async {
        let lab = Lab::new(0).await;
        for lookup in [
            lab.ask("example.org", RecordType::Mx).await,
            lab.confirm("example.net", RecordType::Mx).await,
        ] {
            assert_eq!(lookup.verdict(), AnswerKind::Unreachable);
            assert!(!lookup.permanent && lookup.observations.is_empty());
        }
    });
}

#[test]
fn a_missing_name_is_permanent_only_when_every_server_says_so() {
    run(async {
        let lab = Lab::new(2).await;
        let first = lab.ask("nowhere.example", RecordType::Mx).await;
        assert_eq!((first.verdict(), first.permanent), (AnswerKind::NxDomain, false));
        let all = lab.confirm("nowhere.example", RecordType::Mx).await;
        assert_eq!((all.verdict(), all.permanent), (AnswerKind::NxDomain, true));
        assert_eq!(all.observations.len(), 2);
        let kept = lab.ask("nowhere.example", RecordType::Mx).await;
        assert!(kept.permanent && kept.age.is_some());
        let empty = lab.confirm("mx1.example.org", RecordType::Mx).await;
        assert_eq!((empty.verdict(), empty.permanent), (AnswerKind::NoData, true));
    });
}

#[test]
fn servers_that_disagree_or_stay_silent_make_nothing_permanent() {
    run(async {
        let mut lab = Lab::new(2).await;
        for (behaviour, verdict) in [
            (Behaviour::Drop, AnswerKind::NxDomain),
            (Behaviour::Rcode(2), AnswerKind::NxDomain),
            (Behaviour::Rcode(5), AnswerKind::NxDomain),
            (Behaviour::NoData, AnswerKind::NoData),
        ] {
            lab.fresh();
            lab.servers[1].recover();
            lab.behave(1, behaviour.clone());
            let lookup = lab.confirm("nowhere.example", RecordType::Mx).await;
            assert_eq!((lookup.verdict(), lookup.permanent), (verdict, false), "{behaviour:?}");
            let told = said(&lab, &lookup);
            assert!(told.iter().any(|(place, _)| *place == Some(1)), "{behaviour:?} {told:?}");
        }
        lab.fresh();
        lab.servers[1].recover();
        lab.servers[0].behave("example.org", None, Behaviour::Rcode(3));
        let first = lab.ask("example.org", RecordType::Mx).await;
        assert_eq!(first.verdict(), AnswerKind::NxDomain);
        let all = lab.confirm("example.org", RecordType::Mx).await;
        assert_eq!(all.verdict(), AnswerKind::Answer, "one that has records outweighs all");
    });
}

#[test]
fn one_server_alone_is_every_server() {
    run(async {
        let lab = Lab::new(1).await;
        assert!(lab.confirm("nowhere.example", RecordType::Mx).await.permanent);
        assert!(lab.ask("null.example", RecordType::A).await.permanent);
        assert_eq!(lab.asked(0), 2);
    });
}

#[test]
fn a_cut_answer_is_fetched_by_tcp() {
    run(async {
        let mut lab = Lab::new(2).await;
        lab.behave(0, Behaviour::Truncate);
        let lookup = lab.ask("example.org", RecordType::Mx).await;
        assert_eq!((lookup.verdict(), lookup.answer.truncated), (AnswerKind::Answer, true));
        assert_eq!((lookup.answer.transport, lookup.answer.records.len()), (Transport::Tcp, 2));
        let how: Vec<bool> = lab.servers[0].asked().iter().map(|a| a.tcp).collect();
        assert_eq!(how, [false, true]);

        lab.fresh();
        lab.behave(0, Behaviour::TruncateForEver);
        let lookup = lab.ask("example.org", RecordType::Mx).await;
        let expected = [(Some(0), AnswerKind::Unreachable), (Some(1), AnswerKind::Answer)];
        assert_eq!(said(&lab, &lookup), expected);
        assert!(matches!(&lookup.observations[0].seen, Seen::Answer(a) if a.truncated));
    });
}

#[test]
fn forged_answers_are_ignored_and_waiting_goes_on() {
    run(async {
        let lab = Lab::new(1).await;
        lab.behave(0, Behaviour::ForgedFirst);
        let lookup = lab.ask("mx1.example.org", RecordType::A).await;
        assert_eq!(lookup.answer.records[0].data, RecordData::A([192, 0, 2, 1].into()));
        assert_eq!(lookup.answer.records.len(), 1);
    });
}

#[test]
fn edns_is_given_up_where_it_is_not_understood() {
    run(async {
        let lab = Lab::new(1).await;
        lab.behave(0, Behaviour::NoEdns);
        assert_eq!(lab.ask("example.org", RecordType::Mx).await.verdict(), AnswerKind::Answer);
        let edns: Vec<bool> = lab.servers[0].asked().iter().map(|a| a.edns).collect();
        assert_eq!(edns, [true, false]);
    });
}

#[test]
fn aliases_are_followed_inside_an_answer_and_across_questions() {
    run(async {
        let mut lab = Lab::new(1).await;
        for (behaviour, questions) in [(Behaviour::Answer, 1), (Behaviour::AliasOnly, 3)] {
            lab.fresh();
            lab.behave(0, behaviour.clone());
            let before = lab.asked(0);
            let lookup = lab.ask("alias.example.org", RecordType::Mx).await;
            assert_eq!(lookup.verdict(), AnswerKind::Answer, "{behaviour:?}");
            let names: Vec<&str> = lookup.answer.records.iter().map(|r| r.name.as_str()).collect();
            let expected = ["alias.example.org", "other.example.org", "example.org", "example.org"];
            assert_eq!(names, expected, "{behaviour:?}");
            assert_eq!(lab.asked(0) - before, questions, "{behaviour:?}");
            assert_eq!(lookup.observations.len(), questions);

            let dangling = lab.confirm("dangling.example", RecordType::A).await;
            assert_eq!(dangling.verdict(), AnswerKind::NxDomain, "{behaviour:?}");
            assert!(dangling.permanent);
            let before = lab.asked(0);
            let circle = lab.ask("circle-a.example", RecordType::A).await;
            assert!(lab.asked(0) - before <= 2 && circle.observations.len() <= 2, "seen at once");
            assert_eq!(circle.verdict(), AnswerKind::Malformed, "{behaviour:?}");
            assert_eq!(circle.answer.records.len(), 2, "the circle is shown: {behaviour:?}");
            assert!(!circle.permanent);
        }
    });
}

#[test]
fn a_very_long_chain_of_aliases_ends() {
    run(async {
        let lab = Lab::new(1).await;
        let links = |n: u32| -> String {
            (0..n).map(|i| format!("n{i}.example CNAME n{}.example\n", i + 1)).collect()
        };
        for behaviour in [Behaviour::Answer, Behaviour::AliasOnly] {
            lab.behave(0, behaviour);
            for (count, verdict) in
                [(7, AnswerKind::Answer), (8, AnswerKind::Answer), (40, AnswerKind::Malformed)]
            {
                let text = format!("{}n{count}.example A 192.0.2.1", links(count));
                lab.servers[0].set_zone(Zone::parse(&text).unwrap());
                lab.resolver.flush(None);
                let before = lab.asked(0);
                let lookup = lab.ask("n0.example", RecordType::A).await;
                assert_eq!(lookup.verdict(), verdict, "{count}");
                assert!(lab.asked(0) - before <= 9);
            }
        }
    });
}

#[test]
fn of_ten_thousand_mx_records_the_best_are_kept() {
    run(async {
        let lab = Lab::new(1).await;
        let mut zone = Zone::default();
        for i in 0..10_000u16 {
            let data = RecordData::Mx { preference: 10_000 - i, exchange: format!("m{i}") };
            zone.add("many.example", 60, data);
        }
        for i in 0..1_000u16 {
            let data = RecordData::Mx { preference: 10_000 - i, exchange: format!("m{i}") };
            zone.add("some.example", 60, data);
        }
        zone.add("some.example", 60, RecordData::Mx { preference: 1, exchange: "m".into() });
        lab.servers[0].set_zone(zone);
        let lookup = lab.ask("some.example", RecordType::Mx).await;
        assert_eq!(lookup.answer.records.len(), 64);
        assert!(
            lookup
                .answer
                .records
                .iter()
                .any(|r| r.data == RecordData::Mx { preference: 1, exchange: "m".into() })
        );
        let flood = lab.ask("many.example", RecordType::Mx).await;
        assert_eq!(flood.verdict(), AnswerKind::Malformed, "more than a message can hold");
    });
}

#[test]
fn a_broken_aaaa_does_not_touch_a() {
    run(async {
        let lab = Lab::new(1).await;
        lab.servers[0].behave("mx1.example.org", Some(RecordType::Aaaa), Behaviour::Drop);
        let began = lab.world.now();
        let a = lab.ask("mx1.example.org", RecordType::A).await;
        assert_eq!(a.verdict(), AnswerKind::Answer);
        assert!(lab.world.now() - began < TRY);
        let aaaa = lab.ask("mx1.example.org", RecordType::Aaaa).await;
        assert_eq!((aaaa.verdict(), aaaa.permanent), (AnswerKind::Timeout, false));
    });
}

#[test]
fn many_askers_share_one_exchange_even_when_the_first_one_leaves() {
    run(async {
        let lab = Lab::new(1).await;
        lab.behave(0, Behaviour::Delay(Duration::from_millis(100)));
        let world = lab.world.clone();
        let leaver = lab.resolver.clone();
        let hasty = posthaste_io::within(
            &*world.clock,
            Duration::from_millis(20),
            leaver.ask("example.org", RecordType::Mx, Agreement::First),
        );
        assert!(hasty.await.is_none());
        let asks = (0..50).map(|_| lab.ask("example.org", RecordType::Mx));
        for lookup in futures_util::future::join_all(asks).await {
            assert_eq!(lookup.verdict(), AnswerKind::Answer);
        }
        assert_eq!(lab.asked(0), 1);
    });
}

#[test]
fn the_whole_is_bounded_in_time() {
    run(async {
        let mut lab = Lab::new(3).await;
        for place in 0..3 {
            lab.behave(place, Behaviour::Drop);
        }
        let began = lab.world.now();
        assert_eq!(lab.ask("example.org", RecordType::Mx).await.verdict(), AnswerKind::Timeout);
        assert!(lab.world.now() - began < TRY * 3);
        let short = Duration::from_millis(150);
        let settings = Settings { total_limit: short, ..settings(&lab.addresses) };
        lab.resolver = Resolver::new(lab.world.clone(), settings);
        let began = lab.world.now();
        let lookup = lab.ask("example.org", RecordType::Mx).await;
        assert_eq!((lookup.verdict(), lookup.permanent), (AnswerKind::Timeout, false));
        assert_eq!(lookup.observations.len(), 1, "that time ran out is told");
        assert!(lab.world.now() - began < TRY);
    });
}

#[test]
fn a_name_that_cannot_be_does_not_exist() {
    run(async {
        let lab = Lab::new(1).await;
        for name in ["a..b".to_owned(), format!("{}.example", "a".repeat(64))] {
            let lookup = lab.ask(&name, RecordType::Mx).await;
            assert_eq!((lookup.verdict(), lookup.permanent), (AnswerKind::NxDomain, true));
            assert!(lookup.observations.is_empty());
        }
        assert_eq!(lab.asked(0), 0);
    });
}
