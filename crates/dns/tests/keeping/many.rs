//! Many askers, many names: one question, bounded memory.

use crate::lab::{Lab, SECOND, servers};
use futures_util::future::join_all;
use posthaste_dns::{Agreement, Settings};
use posthaste_evidence::{AnswerKind, RecordType};
use posthaste_io::within;
use posthaste_peers::dns::Behaviour;
use std::time::Duration;

const ZONE: &str = "*.many.test MX 10 mx.test\nmx.test A 192.0.2.80\nhot.test A 192.0.2.81\n\
                    *.below.hot.test A 192.0.2.82\n*.fat.test TXT x";

#[test]
fn ten_thousand_askers_are_one_question() {
    let lab = Lab::new(ZONE);
    lab.servers[0].behave("*", None, Behaviour::Delay(Duration::from_millis(200)));
    let lookups = lab.run(|resolver| async move {
        let ask = || resolver.ask("mx.test", RecordType::A, Agreement::First);
        join_all((0..10_000).map(|_| ask())).await
    });
    assert_eq!(lookups.len(), 10_000);
    assert!(lookups.iter().all(|l| l.verdict() == AnswerKind::Answer && l.age.is_none()));
    assert_eq!(lab.asked(), 1);
    let numbers = lab.resolver.numbers();
    assert_eq!((numbers.asked, numbers.put, numbers.joined), (10_000, 1, 9_999));
    assert_eq!((numbers.positive, numbers.negative, numbers.failed), (1, 0, 0));
    lab.ask("mx.test", RecordType::A);
    assert_eq!(lab.resolver.numbers().kept, 1);
}

#[test]
fn askers_that_went_away_are_not_waited_for() {
    let lab = Lab::new(ZONE);
    let world = lab.us.world();
    lab.servers.iter().for_each(|server| server.behave("*", None, Behaviour::Drop));
    // Within the six seconds of one question thousands ask and leave.
    let (failed, left) = lab.run(|resolver| async move {
        let last = resolver.ask("mx.test", RecordType::A, Agreement::First);
        let leave = async {
            let mut left = 0;
            for _ in 0..5_000 {
                let asked = resolver.ask("mx.test", RecordType::A, Agreement::First);
                let limit = Duration::from_millis(1);
                left += u32::from(within(&*world.clock, limit, asked).await.is_none());
            }
            left
        };
        futures_util::future::join(last, leave).await
    });
    assert_eq!((failed.verdict(), left), (AnswerKind::Timeout, 5_000));
    assert_eq!(lab.resolver.numbers().put, 1);
}

#[test]
fn a_flood_of_names_fills_no_memory_and_leaves_the_hot_ones() {
    let settings = Settings {
        servers: servers(&[1]),
        cache_entries: 500,
        cache_octets: 300_000,
        ..Settings::default()
    };
    let lab = Lab::with(ZONE, settings);
    let mut hot = 0;
    for round in 0..20 {
        lab.run(|resolver| async move {
            for i in 0..200 {
                let name = format!("n{}.many.test", round * 200 + i);
                resolver.ask(&name, RecordType::Mx, Agreement::First).await;
            }
        });
        hot += u32::from(lab.ask("hot.test", RecordType::A).0.age.is_some());
        let kept = lab.resolver.cached();
        assert!(kept.entries <= 500 && kept.octets <= 300_000, "{kept:?}");
    }
    // Once it is new; it lives for 300 s, more than the flood takes.
    assert!(hot >= 18, "{hot}");
    let kept = lab.resolver.cached();
    assert!(kept.evicted > 3_000 && kept.octets > 150_000, "{kept:?}");
    assert_eq!(lab.resolver.numbers().evicted, kept.evicted);
}

#[test]
fn a_hostile_zone_with_huge_answers_fills_no_memory() {
    let settings = Settings { servers: servers(&[1]), ..Settings::default() };
    let most = settings.cache_octets;
    let lab = Lab::with(ZONE, settings);
    assert_eq!(lab.ask("hot.test", RecordType::A).0.age, None);
    lab.ask("hot.test", RecordType::A);
    lab.servers[0].behave("*", Some(RecordType::Mx), Behaviour::Flood(2_000));
    lab.run(|resolver| async move {
        for i in 0..200 {
            let name = format!("n{i}.{}.test", "x".repeat(60));
            let lookup = resolver.ask(&name, RecordType::Mx, Agreement::First).await;
            assert_eq!(lookup.answer.records.len(), 64, "{:?}", lookup.observations);
        }
    });
    let kept = lab.resolver.cached();
    assert!(kept.octets <= most && kept.octets > 200 * 64 * 100, "{kept:?}");
    assert!(lab.ask("hot.test", RecordType::A).0.age.is_some());
}

#[test]
fn what_is_forgotten_is_asked_again() {
    let lab = Lab::new(ZONE);
    let names = ["mx.test", "hot.test", "a.below.hot.test"];
    let ages = || names.map(|name| lab.ask(name, RecordType::A).0.age.is_some());
    assert_eq!((ages(), ages()), ([false; 3], [true; 3]));
    assert_eq!(lab.resolver.forget("test"), 0, "nothing below a name goes with it");
    assert_eq!(lab.resolver.forget("a..b"), 0);
    assert_eq!(lab.resolver.flush(Some("HOT.test.")), 2);
    assert_eq!(ages(), [true, false, false]);
    assert_eq!(lab.resolver.flush(Some("a..b")), 0);
    assert_eq!(lab.resolver.flush(None), 3);
    assert_eq!((ages(), lab.resolver.cached().entries), ([false; 3], 3));
}

#[test]
fn what_is_missing_is_kept_as_long_as_its_zone_says_and_a_quarter_of_an_hour_at_most() {
    for (negative_ttl, seconds) in [(0, 5), (120, 120), (86_400, 900)] {
        let lab = Lab::new(ZONE);
        let mut zone = posthaste_peers::dns::Zone::parse(ZONE).unwrap();
        zone.set_negative_ttl(negative_ttl);
        lab.servers[0].set_zone(zone);
        let ask = || lab.ask("none.test", RecordType::A).0;
        assert_eq!((ask().verdict(), ask().age.is_some()), (AnswerKind::NxDomain, true));
        lab.wait(SECOND * (seconds - 1));
        assert!(ask().age.is_some(), "{negative_ttl}");
        lab.wait(SECOND * 2);
        assert!(ask().age.is_none(), "{negative_ttl}");
        assert_eq!(lab.resolver.numbers().negative, 2);
    }
}
