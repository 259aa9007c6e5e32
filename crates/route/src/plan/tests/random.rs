//! Plans against random answers in random order.

use super::*;
use proptest::prelude::*;

const KINDS: [AnswerKind; 7] = [
    AnswerKind::Answer,
    AnswerKind::NoData,
    AnswerKind::NxDomain,
    AnswerKind::ServFail,
    AnswerKind::Timeout,
    AnswerKind::Malformed,
    AnswerKind::Lame,
];
const HOSTS: [&str; 6] = ["", "a.test", "b.test", "us.example", "192.0.2.5", "d.test"];
const ADDRESSES: [&str; 6] =
    ["192.0.2.1", "10.0.0.1", "198.51.100.25", "127.0.0.1", "2001:db8::1", "fe80::1"];

fn answer(lot: u64, question: &Question) -> (Answer, bool) {
    let pick = |n: u64, of: usize| usize::try_from((lot >> n) % of as u64).unwrap();
    let mut answer = Answer::empty(KINDS[pick(0, 7)], Transport::Udp);
    if answer.kind == AnswerKind::Answer {
        for i in 0..pick(8, 4) as u64 {
            let ip: IpAddr = ADDRESSES[pick(16 + i * 4, 6)].parse().unwrap();
            let data = match (question.kind, ip) {
                (RecordType::Mx, _) => RecordData::Mx {
                    preference: u16::try_from(pick(20 + i * 4, 3)).unwrap(),
                    exchange: HOSTS[pick(16 + i * 4, 6)].into(),
                },
                (_, IpAddr::V4(ip)) => RecordData::A(ip),
                (_, IpAddr::V6(ip)) => RecordData::Aaaa(ip),
            };
            answer.records.push(Record { name: question.name.clone(), ttl: 1, data });
        }
    }
    (answer, lot & (1 << 40) != 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    /// Whatever DNS says, in whatever order: the plan ends, asks nothing twice, connects to nothing
    /// private and not to ourselves, and fails for ever only when no answer was a failure.
    #[test]
    fn every_plan_ends_well(lots in prop::collection::vec(any::<u64>(), 40), seed: u64) {
        let (mut plan, mut step) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), seed);
        let (mut asked, mut open) = (Vec::new(), Vec::new());
        let mut failures = 0;
        let mut lots = lots.into_iter().cycle();
        let planned = loop {
            match step {
                Step::Done(planned) => break planned,
                Step::Ask(questions) => {
                    for q in questions {
                        prop_assert!(!asked.contains(&q), "twice: {q:?}");
                        asked.push(q.clone());
                        open.push(q);
                    }
                }
                Step::Wait => {}
            }
            prop_assert!(asked.len() <= 40 && !open.is_empty());
            let lot = lots.next().unwrap();
            let question = open.remove(usize::try_from(lot % open.len() as u64).unwrap());
            let (answer, permanent) = answer(lot, &question);
            failures += usize::from(!answer.kind.is_conclusive());
            let early = plan.conclude();
            prop_assert!(plan.usable() == Usable::No || early.hops.is_ok());
            step = plan.answer(&question, &answer, permanent);
        };
        match planned.hops {
            Ok(hops) => for endpoint in endpoints(&hops) {
                prop_assert!(!is_private(endpoint.address.ip()));
                prop_assert!(endpoint.address.ip().to_string() != "198.51.100.25");
            },
            Err(Fault::NoHosts { .. } | Fault::NoSuchDomain { .. }) => prop_assert_eq!(failures, 0),
            Err(_) => {}
        }
    }
}

/// Every answer there is to the question for an address, one with records first.
const WORDS: [&str; 13] = [
    "",
    "nodata",
    "nxdomain",
    "servfail",
    "refused",
    "notimp",
    "formerr",
    "rcode",
    "lame",
    "timeout",
    "unreachable",
    "malformed",
    "bogus",
];

fn kind(word: usize) -> AnswerKind {
    match WORDS[word] {
        "" => AnswerKind::Answer,
        "nodata" => AnswerKind::NoData,
        "nxdomain" => AnswerKind::NxDomain,
        "servfail" => AnswerKind::ServFail,
        "refused" => AnswerKind::Refused,
        "notimp" => AnswerKind::NotImp,
        "formerr" => AnswerKind::FormErr,
        "rcode" => AnswerKind::OtherRcode(23),
        "lame" => AnswerKind::Lame,
        "timeout" => AnswerKind::Timeout,
        "unreachable" => AnswerKind::Unreachable,
        "malformed" => AnswerKind::Malformed,
        _ => AnswerKind::Bogus,
    }
}

/// Two hosts, both families of each, every answer to each of the four questions, in several orders of arrival: where
/// one host has one address of a family in use, the plan leads there, at the end and already when it says so.
#[test]
fn one_address_of_one_host_is_enough_whatever_else_is_broken() {
    let host = |n: usize| ["a.test", "b.test"][n / 2];
    let address = |n: usize| ["192.0.2.1", "2001:db8::1", "192.0.2.2", "2001:db8::2"][n];
    let of = |n: usize| [RecordType::A, RecordType::Aaaa][n % 2];
    // All of them for hosts of one preference; a part of them is enough where one is better.
    for (preferences, step_by) in [([10, 10], 1), ([10, 20], 11)] {
        for combination in (0..13usize.pow(4)).step_by(step_by) {
            let words = [0, 1, 2, 3].map(|n| combination / 13usize.pow(n) % 13);
            let order = [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]][combination % 3];
            let (mut plan, _) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
            let mut mx = Answer::empty(AnswerKind::Answer, Transport::Udp);
            for (exchange, preference) in ["a.test", "b.test"].into_iter().zip(preferences) {
                let data = RecordData::Mx { preference, exchange: exchange.into() };
                mx.records.push(Record { name: "d.test".into(), ttl: 1, data });
            }
            let mut step = plan.answer(&ask_mx("d.test", false), &mx, false);
            for n in order {
                let mut answer = Answer::empty(kind(words[n]), Transport::Udp);
                if words[n] == 0 {
                    let data = match address(n).parse().unwrap() {
                        IpAddr::V4(ip) => RecordData::A(ip),
                        IpAddr::V6(ip) => RecordData::Aaaa(ip),
                    };
                    answer.records.push(Record { name: host(n).into(), ttl: 1, data });
                }
                let question = Question { name: host(n).into(), kind: of(n), confirm: false };
                step = plan.answer(&question, &answer, false);
                if combination % 11 == 0 {
                    assert_eq!(plan.usable() > Usable::No, plan.conclude().hops.is_ok());
                }
            }
            let led = match step {
                Step::Done(planned) => planned.hops.is_ok(),
                _ => false,
            };
            assert_eq!(led, words.contains(&0), "{:?}", words.map(|w| WORDS[w]));
        }
    }
}
