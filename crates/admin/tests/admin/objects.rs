//! The JSON objects, whole: what scripts rely on. A change here is a change of the outside interface.

use crate::sample::{self, NOW};
use posthaste_admin::desk::{self, Numbers, Readiness, Rights};
use posthaste_admin::resolving::{CacheStanding, DnsAnswer, ServerList, ServerStanding};
use posthaste_admin::view::{
    DestinationObject, DnsAnswerObject, MessageObject, NoticeObject, RouteObject, ServersObject,
    StatusObject,
};
use posthaste_dns::{EdnsSupport, Kept, Lookup, Origin, ServerHealth, ServerState};
use posthaste_evidence::{
    Answer, AnswerKind, Effect, NoticeKind, Observation, Record, RecordData, RecordType, Seen,
    Stage, Subject, Transport,
};
use serde::Serialize;
use std::time::Duration;

fn golden(object: &impl Serialize, expected: &str) {
    let got = serde_json::to_string_pretty(object).unwrap();
    assert_eq!(got.trim(), expected.trim(), "got:\n{got}");
}

#[test]
fn a_message() {
    golden(
        &MessageObject::with_attempts(&sample::message(1), &sample::history(1)),
        include_str!("golden/message.json"),
    );
}

#[test]
fn a_notice() {
    let (id, kind) = (posthaste_mail::QueueId::from_u64(1), NoticeKind::Delayed);
    let notice = NoticeObject::of(Some(id), kind, &sample::notice(kind, Some("de")));
    golden(&notice, include_str!("golden/notice.json"));
}

/// A notice names all that wait and were not told of this time, also recipients of a slower route.
#[test]
fn the_next_notice_of_a_recipient_is_the_first_that_names_it() {
    let hours = |hours: u64| NOW.plus(Duration::from_secs(hours * 3600));
    for (slow, fast, expected) in [
        // (told so often, next of its own)
        ((0, Some(12)), (0, Some(4)), (Some(4), Some(4))),
        ((0, None), (0, Some(4)), (None, Some(4))),
        ((1, Some(36)), (1, Some(28)), (Some(28), Some(28))),
        ((0, Some(12)), (1, Some(28)), (Some(12), Some(28))),
        ((1, Some(36)), (0, Some(4)), (Some(36), Some(4))),
    ] {
        let mut message = sample::message(1);
        for (standing, (warned, own)) in message.recipients.iter_mut().zip([slow, fast]) {
            standing.state.warned = warned;
            standing.next_notice = own.map(hours);
        }
        let object = MessageObject::of(&message);
        let next = |i: usize| object.recipients[i].next_notice.map(|when| when.0);
        assert_eq!((next(0), next(1)), (expected.0.map(hours), expected.1.map(hours)), "{slow:?}");
    }
}

#[test]
fn a_message_of_a_listing_has_no_attempts() {
    let object = serde_json::to_value(MessageObject::of(&sample::message(1))).unwrap();
    assert_eq!(object.get("attempts"), None);
}

#[test]
fn a_destination() {
    let destination = DestinationObject::of(&sample::destination("b.example"));
    golden(&destination, include_str!("golden/destination.json"));
}

#[test]
fn a_route() {
    let route = RouteObject::of("eve@e.example", &sample::route_answer());
    golden(&route, include_str!("golden/route.json"));
}

#[test]
fn dns_servers() {
    golden(&ServersObject::of(&servers(), &caches()), include_str!("golden/dns_servers.json"));
}

#[test]
fn a_dns_answer() {
    golden(&DnsAnswerObject::of(&answer()), include_str!("golden/dns_answer.json"));
}

#[test]
fn a_status() {
    let ready = Readiness { listening: true, recovered: true, ..Readiness::default() };
    let rights =
        Rights { user: "posthaste".into(), files: desk::Kept::Confined, calls: desk::Kept::Partly };
    let rights = Some(rights);
    let numbers = Numbers { started: sample::ago(1), messages: 5, rights, ..Numbers::default() };
    let mut object = serde_json::to_value(StatusObject::of(NOW, ready, &numbers)).unwrap();
    object["version"] = "0".into();
    golden(&object, include_str!("golden/status.json"));
}

/// One that is well, and one that has died.
fn servers() -> Vec<ServerStanding> {
    let good = ServerHealth {
        address: "192.0.2.1:53".parse().unwrap(),
        tls: None,
        trusted: true,
        fallback: false,
        asked: 100,
        answered: 99,
        failures: vec![(AnswerKind::Timeout, 1)],
        smoothed: Some(Duration::from_micros(1_500)),
        state: ServerState::Good,
        next_health: None,
        last_failure: Some((sample::ago(60), AnswerKind::Timeout)),
        last_success: Some(sample::ago(0)),
        keeps_case: true,
        edns: EdnsSupport::Offered,
        tcp: 2,
        spoofed: 0,
    };
    let dead = ServerHealth {
        address: "[2001:db8::5]:853".parse().unwrap(),
        tls: Some("dns.example".into()),
        asked: 7,
        answered: 0,
        failures: vec![(AnswerKind::Timeout, 4), (AnswerKind::OtherRcode(9), 3)],
        smoothed: None,
        state: ServerState::Dead { since: sample::ago(2), cause: AnswerKind::Timeout },
        next_health: Some(NOW),
        last_success: None,
        keeps_case: false,
        edns: EdnsSupport::Dropped,
        ..good.clone()
    };
    let route = ServerList::Routes(vec!["partner".into()]);
    vec![
        ServerStanding { list: ServerList::Primary, health: good },
        ServerStanding { list: route, health: dead },
    ]
}

fn caches() -> Vec<CacheStanding> {
    let kept = Kept { entries: 2, octets: 900, evicted: 0 };
    let numbers =
        posthaste_dns::Numbers { asked: 10, kept: 7, put: 3, positive: 3, ..Default::default() };
    vec![CacheStanding { list: ServerList::Primary, kept, numbers }]
}

/// SERVFAIL of one server with an extended error, and an old answer in its stead.
fn answer() -> DnsAnswer {
    let server = Some("192.0.2.1:53".parse().unwrap());
    let subject = Subject::Question { server, name: "b.example".into(), kind: RecordType::Mx };
    let data = RecordData::Mx { preference: 10, exchange: "mx.b.example".into() };
    let record = Record { name: "b.example".into(), ttl: 30, data };
    let failed = Answer {
        extended: vec![(22, "at delegation b.example".into())],
        ..Answer::empty(AnswerKind::ServFail, Transport::Tcp)
    };
    let observation = Observation {
        at: NOW,
        took: Duration::from_millis(12),
        stage: Stage::DnsMx,
        subject,
        seen: Seen::Answer(failed),
        effect: Effect::Degrading,
    };
    let lookup = Lookup {
        name: "b.example".into(),
        kind: RecordType::Mx,
        answer: Answer {
            records: vec![record].into(),
            stale: true,
            ttl: 30,
            ..Answer::empty(AnswerKind::Answer, Transport::Cache)
        },
        permanent: false,
        secure: false,
        origin: Origin::Stale,
        age: Some(Duration::from_secs(400)),
        observations: vec![observation],
    };
    DnsAnswer { asked: "[resolver]".into(), lookups: vec![lookup], naming: None }
}
