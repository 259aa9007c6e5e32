//! Answers past their time (RFC 8767): only when the servers fail or are slow, marked, for a day, never a reason to
//! bounce.

use crate::lab::{Lab, SECOND, servers};
use posthaste_dns::resolver::STALE_AFTER;
use posthaste_dns::{Origin, Settings};
use posthaste_evidence::{AnswerKind, Effect, RecordType, Seen, Subject, Transport};
use posthaste_io_sim::Link;
use posthaste_peers::dns::{Behaviour, Zone};
use std::time::Duration;

const ZONE: &str = "d.test 60 MX 10 mx.d.test\nmx.d.test 60 A 192.0.2.80\n\
                    alias.test 60 CNAME d.test\nfar.test 60 CNAME d.test";
const HOUR: Duration = Duration::from_secs(3600);
const BRIEF: Duration = Duration::from_millis(100);

fn warm() -> Lab {
    let lab = Lab::new(ZONE);
    for (name, kind) in [("d.test", RecordType::Mx), ("mx.d.test", RecordType::A)] {
        assert_eq!(lab.ask(name, kind).0.origin, Origin::Network);
    }
    lab.wait(SECOND * 61);
    lab
}

#[test]
fn with_all_servers_dead_mail_waits_for_less_than_two_seconds_and_only_once() {
    let lab = warm();
    lab.link(Link::Drop);
    let (lookup, took) = lab.ask("d.test", RecordType::Mx);
    assert_eq!(took, STALE_AFTER, "RFC 8767 section 5: the client response timer");
    assert_eq!((lookup.verdict(), lookup.origin), (AnswerKind::Answer, Origin::Stale));
    assert_eq!((lookup.answer.stale, lookup.answer.ttl, lookup.permanent), (true, 30, false));
    assert!(lookup.age.unwrap() >= SECOND * 61 && !lookup.secure);
    let [slow, kept] = &lookup.observations[..] else { panic!("{:?}", lookup.observations) };
    assert!(matches!(slow.seen, Seen::TimedOut { after } if after == STALE_AFTER));
    assert!(matches!(&kept.seen, Seen::Answer(a) if a.stale && a.transport == Transport::Cache));
    assert_eq!((slow.effect, kept.effect), (Effect::Degrading, Effect::Degrading));

    // The question is under way, then it has failed: nobody waits any more.
    for wait in [BRIEF, SECOND, SECOND * 5, SECOND * 3] {
        lab.wait(wait);
        let (lookup, took) = lab.ask("d.test", RecordType::Mx);
        assert_eq!((lookup.origin, took), (Origin::Stale, Duration::ZERO), "{wait:?}");
    }
    let (lookup, _) = lab.ask("d.test", RecordType::Mx);
    let asked = |o: &&posthaste_evidence::Observation| {
        matches!(&o.subject, Subject::Question { server: Some(_), .. })
    };
    let said: Vec<_> = lookup.observations.iter().filter(asked).collect();
    assert!(said.len() >= 2 && said.iter().all(|o| o.effect == Effect::Degrading), "{said:?}");
    assert_eq!(lab.resolver.numbers().stale, 6);
}

#[test]
fn the_cache_is_renewed_behind_a_stale_answer_when_the_servers_are_slow() {
    let lab = warm();
    let slow = Behaviour::Delay(Duration::from_millis(2500));
    lab.servers.iter().for_each(|server| server.behave("*", None, slow.clone()));
    let (lookup, took) = lab.ask("d.test", RecordType::Mx);
    assert_eq!((lookup.origin, took), (Origin::Stale, STALE_AFTER));
    lab.wait(SECOND);
    let (lookup, took) = lab.ask("d.test", RecordType::Mx);
    assert_eq!((lookup.origin, lookup.answer.stale, took), (Origin::Cache, false, Duration::ZERO));
    assert!(lookup.age.unwrap() < SECOND);
}

#[test]
fn every_failure_of_the_servers_gives_way_but_a_denial_and_a_forgery_do_not() {
    let bogus = Behaviour::Extended { rcode: 2, code: 7, text: "expired".into() };
    for (behaviour, kind, stale) in [
        (Behaviour::Rcode(2), AnswerKind::ServFail, true),
        (Behaviour::Rcode(5), AnswerKind::Refused, true),
        (Behaviour::Rcode(9), AnswerKind::OtherRcode(9), true),
        (Behaviour::Lame, AnswerKind::Lame, true),
        (Behaviour::Malformed, AnswerKind::Malformed, true),
        (bogus, AnswerKind::Bogus, false),
        (Behaviour::Rcode(3), AnswerKind::NxDomain, false),
        (Behaviour::NoData, AnswerKind::NoData, false),
    ] {
        let lab = warm();
        lab.servers.iter().for_each(|server| server.behave("*", None, behaviour.clone()));
        for time in ["at first", "kept"] {
            let (lookup, took) = lab.ask("d.test", RecordType::Mx);
            let verdict = if stale { AnswerKind::Answer } else { kind };
            assert_eq!(
                (lookup.verdict(), lookup.answer.stale),
                (verdict, stale),
                "{kind:?} {time}"
            );
            assert_eq!(lookup.origin == Origin::Stale, stale, "{kind:?} {time}");
            assert!(took < SECOND * 2 && !lookup.permanent);
            let failed = lookup.observations.iter().filter(|o| {
                matches!(&o.seen, Seen::Answer(a) if a.kind == kind)
                    && o.effect == Effect::Degrading
            });
            assert!(!stale || failed.count() >= 2, "{kind:?} {time}: {:?}", lookup.observations);
        }
    }
}

#[test]
fn a_denial_takes_the_place_of_the_old_answer() {
    let lab = warm();
    lab.servers
        .iter()
        .for_each(|server| server.set_zone(Zone::parse("other.test A 192.0.2.1").unwrap()));
    assert_eq!(lab.ask("d.test", RecordType::Mx).0.verdict(), AnswerKind::NxDomain);
    lab.link(Link::Drop);
    lab.wait(SECOND * 400);
    let (lookup, took) = lab.ask("d.test", RecordType::Mx);
    assert_eq!((lookup.verdict(), lookup.origin), (AnswerKind::Timeout, Origin::Network));
    assert!(took > SECOND * 3, "nothing is left to be used: {took:?}");
}

#[test]
fn for_a_day_and_not_longer_and_fresh_as_soon_as_they_are_back() {
    let lab = warm();
    lab.link(Link::Drop);
    for hour in 0..24 {
        let (lookup, took) = lab.ask("d.test", RecordType::Mx);
        assert_eq!(lookup.origin, Origin::Stale, "hour {hour}");
        assert!(took <= STALE_AFTER);
        lab.wait(HOUR - SECOND);
    }
    lab.wait(SECOND * 120);
    assert_eq!(lab.ask("d.test", RecordType::Mx).0.verdict(), AnswerKind::Timeout);

    let lab = warm();
    lab.link(Link::Drop);
    assert_eq!(lab.ask("d.test", RecordType::Mx).0.origin, Origin::Stale);
    lab.wait(SECOND * 600);
    lab.link(Link::Up);
    let (lookup, took) = lab.ask("d.test", RecordType::Mx);
    assert_eq!((lookup.origin, lookup.answer.stale), (Origin::Network, false));
    assert!(took < SECOND, "{took:?}");
}

#[test]
fn it_can_be_turned_off() {
    let settings =
        Settings { servers: servers(&[1]), stale_for: Duration::ZERO, ..Settings::default() };
    let lab = Lab::with(ZONE, settings);
    lab.ask("d.test", RecordType::Mx);
    lab.wait(SECOND * 61);
    lab.link(Link::Drop);
    assert_eq!(lab.ask("d.test", RecordType::Mx).0.verdict(), AnswerKind::Timeout);
}

#[test]
fn an_alias_with_a_stale_target_is_stale() {
    let lab = Lab::new(ZONE);
    lab.servers.iter().for_each(|server| server.behave("far.test", None, Behaviour::AliasOnly));
    let ask = || lab.ask("far.test", RecordType::Mx).0;
    assert_eq!((ask().origin, ask().origin), (Origin::Network, Origin::Cache));
    lab.wait(SECOND * 61);
    lab.servers.iter().for_each(|server| server.behave("d.test", None, Behaviour::Rcode(2)));
    let lookup = ask();
    assert_eq!((lookup.verdict(), lookup.origin), (AnswerKind::Answer, Origin::Stale));
    assert_eq!(
        (lookup.answer.stale, lookup.answer.ttl, lookup.answer.records.len()),
        (true, 30, 2)
    );
}

#[test]
fn a_fallback_that_answers_is_said() {
    let settings =
        Settings { servers: servers(&[1, 2]), fallback: servers(&[3]), ..Settings::default() };
    let lab = Lab::with(ZONE, settings);
    lab.servers[..2].iter().for_each(|server| server.behave("*", None, Behaviour::Rcode(5)));
    let (lookup, _) = lab.ask("d.test", RecordType::Mx);
    assert_eq!((lookup.origin, lookup.answer.fallback), (Origin::Fallback, true));
    let (lookup, _) = lab.ask("d.test", RecordType::Mx);
    assert_eq!((lookup.origin, lookup.answer.fallback), (Origin::Cache, true));
    assert_eq!(lab.resolver.numbers().fallback, 1);
}
