//! The cases of RFC 5321 section 5.1 and RFC 7505, and those of broken domains, each as a small DNS and what
//! must come of it.

mod cases;
mod random;

use super::*;
use crate::addresses::Families;
use crate::pattern::Pattern;
use crate::table::{Order, SmartHost};
use posthaste_evidence::{ConnectFault, RecordData, Transport};

/// What the DNS of a story says, one question per entry: `name type answer`. Answers: addresses, or
/// `preference host` pairs, or a word for a failure; `?` after it: not every server says so, even when all
/// are asked; `1` after it: every server says so once all are asked. Everything else does not exist.
struct Dns(&'static [(&'static str, &'static str, &'static str)]);

impl Dns {
    fn answer(&self, question: &Question) -> (Answer, bool) {
        let kind = question.kind.to_string();
        let entry = self.0.iter().find(|(n, k, _)| *n == question.name && *k == kind);
        let text = entry.map_or("nxdomain", |(.., text)| *text);
        let (text, permanent) = match (text.strip_suffix('?'), text.strip_suffix('1')) {
            (Some(text), _) => (text, false),
            (_, Some(text)) if word(text).is_some() => (text, question.confirm),
            _ => (text, true),
        };
        if let Some(word) = word(text) {
            let permanent = permanent && word.is_conclusive();
            return (Answer::empty(word, Transport::Udp), permanent);
        }
        let mut answer = Answer::empty(AnswerKind::Answer, Transport::Udp);
        let parts: Vec<&str> = text.split(' ').collect();
        let datas: Vec<RecordData> = match question.kind {
            RecordType::A => parts.iter().map(|t| RecordData::A(t.parse().unwrap())).collect(),
            RecordType::Aaaa => {
                parts.iter().map(|t| RecordData::Aaaa(t.parse().unwrap())).collect()
            }
            _ => parts.chunks(2).map(exchange).collect(),
        };
        let owned = |data| Record { name: question.name.clone(), ttl: 60, data };
        answer.records = datas.into_iter().map(owned).collect();
        (answer, false)
    }
}

fn exchange(pair: &[&str]) -> RecordData {
    let exchange = pair[1].trim_end_matches('.').to_owned();
    RecordData::Mx { preference: pair[0].parse().unwrap(), exchange }
}

fn word(text: &str) -> Option<AnswerKind> {
    Some(match text {
        "nodata" => AnswerKind::NoData,
        "nxdomain" => AnswerKind::NxDomain,
        "servfail" => AnswerKind::ServFail,
        "timeout" => AnswerKind::Timeout,
        "bogus" => AnswerKind::Bogus,
        "refused" => AnswerKind::Refused,
        _ => return None,
    })
}

fn mx_route() -> Route {
    Route::by_mx("mx", vec![Pattern::Any])
}

fn us() -> Ourselves {
    let addresses = ["198.51.100.25", "127.0.0.1"].map(|t| t.parse().unwrap());
    Ourselves::new(["Us.Example."], addresses)
}

/// Drives a plan to its end; the questions in the order asked, too.
fn drive(dns: &Dns, host: Host<'_>, route: &Route, seed: u64) -> (Planned, Vec<Question>) {
    let (mut plan, mut step) = Plan::start(host, route, &us(), seed);
    let mut asked = Vec::new();
    let mut open: Vec<Question> = Vec::new();
    for _ in 0..1000 {
        match step {
            Step::Done(planned) => {
                assert_eq!(plan.conclude(), planned, "with nothing open there is nothing to guess");
                return (planned, asked);
            }
            Step::Ask(questions) => {
                asked.extend(questions.iter().cloned());
                open.extend(questions);
            }
            Step::Wait => {}
        }
        // The last question is answered first: no order is relied on.
        let question = open.pop().expect("a plan that waits has an open question");
        let (answer, permanent) = dns.answer(&question);
        step = plan.answer(&question, &answer, permanent);
    }
    panic!("the plan does not end");
}

fn plan_for(dns: &Dns) -> Planned {
    drive(dns, Host::Name("d.test"), &mx_route(), 7).0
}

/// `host[address address] host[...]`
fn shown(hops: &[Hop]) -> String {
    let one = |hop: &Hop| {
        let addresses: Vec<String> = hop.addresses.iter().map(ToString::to_string).collect();
        format!("{}[{}]", hop.host, addresses.join(" "))
    };
    hops.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn hops_come_in_the_order_to_try() {
    for (story, dns, expected) in cases::HOPS {
        let planned = plan_for(dns);
        let hops = planned.hops.unwrap_or_else(|fault| panic!("{story}: {fault:?}"));
        assert_eq!(shown(&hops), *expected, "{story}");
        assert!(hops.iter().all(|h| h.port == 25), "{story}");
    }
}

/// A fault that DNS led to, in a line.
fn told(fault: &Fault) -> String {
    match fault {
        Fault::DnsFailed { name, kind, answer } => format!("DnsFailed {name} {kind} {answer:?}"),
        Fault::NoSuchDomain { name } => format!("NoSuchDomain {name}"),
        Fault::NoHosts { name } => format!("NoHosts {name}"),
        Fault::NullMx { name } => format!("NullMx {name}"),
        Fault::LoopsBack { name } => format!("LoopsBack {name}"),
        Fault::OnlyPrivateAddresses { name } => format!("OnlyPrivateAddresses {name}"),
        other => format!("{other:?}"),
    }
}

fn failed(name: &str, kind: RecordType, answer: AnswerKind) -> Fault {
    Fault::DnsFailed { name: name.into(), kind, answer }
}

#[test]
fn faults_say_what_is_wrong_and_whether_it_is_for_ever() {
    for (story, dns, expected) in cases::FAULTS {
        let fault = plan_for(dns).hops.expect_err(story);
        assert_eq!(told(&fault), *expected, "{story}");
    }
}

#[test]
fn the_codes_are_those_of_the_rfcs() {
    for (dns, code) in [
        (Dns(&[]), "5.1.2"),
        (Dns(&[("d.test", "MX", "10 nowhere.test")]), "5.4.4"),
        (Dns(&[("d.test", "MX", "0 .")]), "5.1.10"),
        (Dns(&[("d.test", "MX", "0 us.example")]), "5.4.6"),
        (Dns(&[("d.test", "MX", "servfail")]), "4.4.3"),
        (Dns(&[("d.test", "MX", "10 mx.d.test"), ("mx.d.test", "A", "10.0.0.1")]), "4.4.4"),
    ] {
        let fault = plan_for(&dns).hops.unwrap_err();
        assert_eq!(fault.status().to_string(), code, "{fault:?}");
        assert_eq!(fault.is_permanent(), code.starts_with('5'));
    }
}

#[test]
fn nothing_ends_for_what_is_past_its_ttl_and_what_the_servers_say_now_is_the_reason() {
    const NULL: Dns = Dns(&[("d.test", "MX", "0 .")]);
    const OURS: Dns = Dns(&[("d.test", "MX", "0 us.example")]);
    const OUR_ADDRESS: Dns =
        Dns(&[("d.test", "MX", "10 mx.d.test"), ("mx.d.test", "A", "198.51.100.25")]);
    const NO_TARGETS: Dns = Dns(&[("d.test", "MX", "10 nowhere.test")]);
    const NO_RECORDS: Dns =
        Dns(&[("d.test", "MX", "nodata"), ("d.test", "A", "nodata"), ("d.test", "AAAA", "nodata")]);
    const ONLY_ADDRESSES: Dns = Dns(&[("d.test", "MX", "10 192.0.2.1")]);
    const NOTHING: Dns = Dns(&[]);
    let mx = ("d.test", RecordType::Mx);
    for (dns, past) in [
        (NULL, mx),
        (OURS, mx),
        (OUR_ADDRESS, mx),
        (OUR_ADDRESS, ("mx.d.test", RecordType::A)),
        (NO_TARGETS, mx),
        (NO_TARGETS, ("nowhere.test", RecordType::Aaaa)),
        (NO_RECORDS, mx),
        (NO_RECORDS, ("d.test", RecordType::A)),
        (ONLY_ADDRESSES, mx),
        (NOTHING, mx),
    ] {
        let fresh = plan_for(&dns);
        assert!(fresh.hops.as_ref().is_err_and(Fault::is_permanent), "{fresh:?}");
        let (mut plan, mut step) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
        let mut open = Vec::new();
        let planned = loop {
            match step {
                Step::Done(planned) => break planned,
                Step::Ask(questions) => open.extend(questions),
                Step::Wait => {}
            }
            let question: Question = open.pop().expect("a question");
            let (answer, permanent) = dns.answer(&question);
            step = match (question.name.as_str(), question.kind) == past {
                true => plan.answer_past_ttl(&question, &answer, AnswerKind::Refused),
                false => plan.answer(&question, &answer, permanent),
            };
        };
        assert_eq!(planned.hops, Err(failed(past.0, past.1, AnswerKind::Refused)), "{past:?}");
        assert_eq!(planned.missing, None, "{past:?}: nobody is asked to confirm it");
        assert!(planned.noted.iter().all(|n| n.effect != Effect::Blocking), "{past:?}");
    }
}

#[test]
fn hosts_are_found_by_what_is_past_its_ttl() {
    let dns = Dns(&[("d.test", "MX", "10 mx.d.test"), ("mx.d.test", "A", "192.0.2.1")]);
    let (mut plan, step) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
    let Step::Ask(mx) = step else { panic!("{step:?}") };
    let past = |plan: &mut Plan, question: &Question| {
        plan.answer_past_ttl(question, &dns.answer(question).0, AnswerKind::ServFail)
    };
    let Step::Ask(asked) = past(&mut plan, &mx[0]) else { panic!("addresses are asked for") };
    asked.iter().for_each(|question| drop(past(&mut plan, question)));
    assert_eq!(shown(&plan.conclude().hops.expect("a host")), "mx.d.test[192.0.2.1]");
}

#[test]
fn of_two_families_that_fail_the_one_that_decides_is_the_reason() {
    let dns = Dns(&[
        ("d.test", "MX", "10 mx.d.test"),
        ("mx.d.test", "A", "servfail"),
        ("mx.d.test", "AAAA", "refused"),
    ]);
    for (families, kind, answer) in [
        (Families::PreferV6, RecordType::A, AnswerKind::ServFail),
        (Families::OnlyV4, RecordType::A, AnswerKind::ServFail),
        (Families::OnlyV6, RecordType::Aaaa, AnswerKind::Refused),
    ] {
        let route = Route { families, ..mx_route() };
        let (planned, _) = drive(&dns, Host::Name("d.test"), &route, 1);
        assert_eq!(planned.hops, Err(failed("mx.d.test", kind, answer)), "{families:?}");
    }
}

#[test]
fn an_mx_that_appears_when_all_servers_are_asked_is_used() {
    /// The first server lost the zone's MX; the second one has it.
    struct Two;
    impl Two {
        fn answer(question: &Question) -> (Answer, bool) {
            let dns = match (question.kind, question.confirm) {
                (RecordType::Mx, false) => Dns(&[("d.test", "MX", "nodata?")]),
                (RecordType::Mx, true) => Dns(&[("d.test", "MX", "10 mx.d.test")]),
                _ => Dns(&[("mx.d.test", "A", "192.0.2.1")]),
            };
            dns.answer(question)
        }
    }
    let (mut plan, mut step) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
    let mut open = Vec::new();
    let planned = loop {
        match step {
            Step::Done(planned) => break planned,
            Step::Ask(questions) => open.extend(questions),
            Step::Wait => {}
        }
        let question: Question = open.pop().unwrap();
        let (answer, permanent) = Two::answer(&question);
        step = plan.answer(&question, &answer, permanent);
    };
    assert_eq!(shown(&planned.hops.unwrap()), "mx.d.test[192.0.2.1]");
    assert!(planned.noted.iter().all(|n| n.choice != Choice::ImplicitMx));
}

#[test]
fn choices_are_noted() {
    for (dns, choice, effect) in [
        (
            Dns(&[("d.test", "MX", "nodata"), ("d.test", "A", "192.0.2.9")]),
            Choice::ImplicitMx,
            Effect::None,
        ),
        (Dns(&[("d.test", "MX", "0 .")]), Choice::NullMx, Effect::Blocking),
        (Dns(&[("d.test", "MX", "10 us.example")]), Choice::DroppedOurselves, Effect::Blocking),
        (
            Dns(&[("d.test", "MX", "10 a.test 20 us.example"), ("a.test", "A", "192.0.2.1")]),
            Choice::DroppedOurselves,
            Effect::None,
        ),
        (
            Dns(&[("d.test", "MX", "10 a.test"), ("a.test", "A", "10.0.0.1 192.0.2.1")]),
            Choice::PrivateAddress,
            Effect::Degrading,
        ),
        (
            Dns(&[("d.test", "MX", "10 a.test"), ("a.test", "A", "10.0.0.1")]),
            Choice::PrivateAddress,
            Effect::Blocking,
        ),
    ] {
        let noted = plan_for(&dns).noted;
        assert_eq!(noted.len(), 1, "{choice:?}");
        assert_eq!((noted[0].choice, noted[0].effect), (choice, effect));
        let seen = noted[0].clone().observed(Timestamp::from_secs(1));
        assert_eq!((seen.seen, seen.effect), (Seen::Chose(choice), effect));
    }
}

#[test]
fn only_permanent_verdicts_cost_a_second_question() {
    let works = Dns(&[
        ("d.test", "MX", "nodata?"),
        ("d.test", "A", "192.0.2.1"),
        ("d.test", "AAAA", "nodata?"),
    ]);
    let (_, asked) = drive(&works, Host::Name("d.test"), &mx_route(), 1);
    assert!(asked.iter().all(|q| !q.confirm), "{asked:?}");
    let dangling = Dns(&[
        ("d.test", "MX", "10 a.test 20 b.test"),
        ("a.test", "A", "nxdomain1"),
        ("a.test", "AAAA", "nxdomain"),
        ("b.test", "A", "nodata"),
        ("b.test", "AAAA", "nodata1"),
    ]);
    let (planned, asked) = drive(&dangling, Host::Name("d.test"), &mx_route(), 1);
    let confirmed: Vec<_> =
        asked.iter().filter(|q| q.confirm).map(|q| (&*q.name, q.kind)).collect();
    assert_eq!(confirmed, [("a.test", RecordType::A), ("b.test", RecordType::Aaaa)]);
    assert!(planned.hops.unwrap_err().is_permanent());
    let null = Dns(&[("d.test", "MX", "0 .")]);
    assert_eq!(drive(&null, Host::Name("d.test"), &mx_route(), 1).1.len(), 1, "at once");
}

#[test]
fn both_families_of_all_hosts_are_asked_together() {
    let (mut plan, step) = Plan::start(Host::Name("D.Test"), &mx_route(), &us(), 1);
    let Step::Ask(mx) = step else { panic!("{step:?}") };
    assert_eq!(mx, [ask_mx("d.test", false)]);
    let (answer, _) = Dns(&[("d.test", "MX", "10 a.test 20 b.test")]).answer(&mx[0]);
    let Step::Ask(asked) = plan.answer(&mx[0], &answer, false) else { panic!() };
    assert_eq!(asked.len(), 4);
    assert_eq!(plan.open_questions().count(), 4);
    assert_eq!(plan.answer(&mx[0], &answer, false), Step::Wait, "an answer twice changes nothing");
}

#[test]
fn a_plan_is_usable_before_the_last_slow_answer() {
    let dns = Dns(&[
        ("d.test", "MX", "10 a.test 20 b.test"),
        ("a.test", "A", "192.0.2.1"),
        ("b.test", "A", "192.0.2.2"),
    ]);
    let (mut plan, step) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
    let Step::Ask(mx) = step else { panic!() };
    assert_eq!(plan.usable(), Usable::No);
    assert_eq!(plan.conclude().hops, Err(failed("d.test", RecordType::Mx, AnswerKind::Timeout)));
    plan.answer(&mx[0], &dns.answer(&mx[0]).0, false);
    let tell = |plan: &mut Plan, name: &str, kind| {
        let question = Question { name: name.into(), kind, confirm: false };
        let (answer, permanent) = dns.answer(&question);
        plan.answer(&question, &answer, permanent)
    };
    tell(&mut plan, "b.test", RecordType::A);
    assert_eq!(plan.usable(), Usable::Barely, "a better host is still unknown");
    assert_eq!(shown(&plan.conclude().hops.unwrap()), "b.test[192.0.2.2]");
    tell(&mut plan, "a.test", RecordType::A);
    assert_eq!(plan.usable(), Usable::Fully, "AAAA is not waited for");
    assert_eq!(shown(&plan.conclude().hops.unwrap()), "a.test[192.0.2.1] b.test[192.0.2.2]");
}

#[test]
fn a_plan_waits_for_every_host_of_the_best_preference() {
    let dns = Dns(&[
        ("d.test", "MX", "10 a.test 10 b.test"),
        ("a.test", "A", "192.0.2.1"),
        ("b.test", "A", "198.51.100.25"),
    ]);
    let (mut plan, _) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
    let mx = ask_mx("d.test", false);
    plan.answer(&mx, &dns.answer(&mx).0, false);
    for name in ["a.test", "b.test"] {
        let question = Question { name: name.into(), kind: RecordType::A, confirm: false };
        plan.answer(&question, &dns.answer(&question).0, false);
        assert!(plan.usable() <= Usable::Barely, "the last one to answer is ourselves");
    }
    assert_eq!(plan.conclude().hops, Err(Fault::LoopsBack { name: "d.test".into() }));
}

#[test]
fn a_plan_without_the_answers_never_fails_for_ever() {
    let (mut plan, step) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
    let Step::Ask(mx) = step else { panic!() };
    let nodata = Answer::empty(AnswerKind::NoData, Transport::Udp);
    plan.answer(&mx[0], &nodata, true);
    let a = Question { name: "d.test".into(), kind: RecordType::A, confirm: false };
    plan.answer(&a, &nodata, true);
    let fault = plan.conclude().hops.unwrap_err();
    assert_eq!(fault, failed("d.test", RecordType::Aaaa, AnswerKind::Timeout));
}

#[test]
fn one_family_is_enough_when_the_other_one_is_slow() {
    let dns = Dns(&[("d.test", "MX", "10 a.test"), ("a.test", "AAAA", "2001:db8::1")]);
    let (mut plan, _) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
    let mx = ask_mx("d.test", false);
    plan.answer(&mx, &dns.answer(&mx).0, false);
    let aaaa = Question { name: "a.test".into(), kind: RecordType::Aaaa, confirm: false };
    plan.answer(&aaaa, &dns.answer(&aaaa).0, false);
    assert_eq!(plan.usable(), Usable::Partly);
    assert_eq!(shown(&plan.conclude().hops.unwrap()), "a.test[2001:db8::1]");
}

#[test]
fn private_targets_are_connected_when_the_route_allows() {
    let dns = Dns(&[("d.test", "MX", "10 a.test"), ("a.test", "A", "10.0.0.1")]);
    let route = Route { allow_private: true, ..mx_route() };
    let (planned, _) = drive(&dns, Host::Name("d.test"), &route, 1);
    assert_eq!(shown(&planned.hops.unwrap()), "a.test[10.0.0.1]");
    assert!(planned.noted.is_empty());
}

#[test]
fn families_that_the_route_does_not_use_are_not_tried() {
    let dns = Dns(&[("d.test", "MX", "10 a.test"), ("a.test", "AAAA", "2001:db8::1")]);
    let route = Route { families: Families::OnlyV4, ..mx_route() };
    let (planned, _) = drive(&dns, Host::Name("d.test"), &route, 1);
    let fault = planned.hops.unwrap_err();
    assert_eq!(fault, Fault::Connect(ConnectFault::NetworkUnreachable));
    assert!(!fault.is_permanent(), "the domain has a host: it is we who cannot reach it");
}

#[test]
fn address_literals_lead_to_the_address() {
    for (ip, expected) in [
        ("192.0.2.1", Ok("192.0.2.1[192.0.2.1]")),
        ("2001:db8::1", Ok("2001:db8::1[2001:db8::1]")),
        ("198.51.100.25", Err(Fault::LoopsBack { name: "198.51.100.25".into() })),
        ("127.0.0.1", Err(Fault::OnlyPrivateAddresses { name: "127.0.0.1".into() })),
    ] {
        let (planned, asked) = drive(&Dns(&[]), Host::Literal(ip.parse().unwrap()), &mx_route(), 1);
        assert!(asked.is_empty());
        let hops = planned.hops.map(|hops| shown(&hops));
        assert_eq!(hops, expected.map(str::to_owned), "{ip}");
    }
}

#[test]
fn fixed_hosts_are_tried_in_the_order_given() {
    let host = |host: &str, port| SmartHost { host: host.into(), port };
    let hosts = vec![host("[192.0.2.9]", 2525), host("Relay.Test", 587), host("10.0.0.9", 25)];
    let route = Route::by_hosts("smart", vec![Pattern::Any], hosts);
    let dns = Dns(&[("relay.test", "A", "198.51.100.25"), ("relay.test", "AAAA", "nodata")]);
    let (planned, asked) = drive(&dns, Host::Name("any.test"), &route, 1);
    let hops = planned.hops.unwrap();
    assert_eq!(shown(&hops), "192.0.2.9[192.0.2.9] relay.test[198.51.100.25] 10.0.0.9[10.0.0.9]");
    let tried = endpoints(&hops);
    let expected = ["192.0.2.9:2525", "198.51.100.25:587", "10.0.0.9:25"];
    assert_eq!(tried.iter().map(|e| e.address.to_string()).collect::<Vec<_>>(), expected);
    assert_eq!(tried.iter().map(|e| e.hop).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(asked.iter().all(|q| q.kind != RecordType::Mx));
}

#[test]
fn a_fixed_host_without_address_waits_for_the_operator() {
    let hosts = vec![SmartHost { host: "gone.test".into(), port: 25 }];
    let route = Route::by_hosts("smart", vec![Pattern::Any], hosts);
    let (planned, asked) = drive(&Dns(&[]), Host::Name("any.test"), &route, 1);
    let fault = planned.hops.unwrap_err();
    assert_eq!(fault, failed("gone.test", RecordType::A, AnswerKind::NxDomain));
    assert!(!fault.is_permanent());
    assert!(asked.iter().all(|q| !q.confirm));
}

#[test]
fn names_are_asked_as_dns_has_them() {
    let dns = Dns(&[("xn--mnchen-3ya.test", "MX", "10 a.test"), ("a.test", "A", "192.0.2.1")]);
    let (planned, _) = drive(&dns, Host::Name("MÜNCHEN.test"), &mx_route(), 1);
    assert_eq!(shown(&planned.hops.unwrap()), "a.test[192.0.2.1]");
    let impossible = format!("{}.test", "ü".repeat(63));
    let (planned, asked) = drive(&Dns(&[]), Host::Name(&impossible), &mx_route(), 1);
    assert_eq!(planned.hops, Err(Fault::NoSuchDomain { name: impossible.clone() }));
    assert!(asked.is_empty());
}

#[test]
fn addresses_are_capped_with_room_for_the_other_family() {
    let v6: Vec<IpAddr> =
        (1..=30u16).map(|i| format!("2001:db8::{i:x}").parse().unwrap()).collect();
    let v4: Vec<IpAddr> = (1..=5u8).map(|i| IpAddr::from([192, 0, 2, i])).collect();
    let mut plan = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1).0;
    let mx = ask_mx("d.test", false);
    plan.answer(&mx, &Dns(&[("d.test", "MX", "10 a.test 20 b.test")]).answer(&mx).0, false);
    let records = |ips: &[IpAddr]| -> Answer {
        let data = |ip: &IpAddr| match *ip {
            IpAddr::V4(ip) => RecordData::A(ip),
            IpAddr::V6(ip) => RecordData::Aaaa(ip),
        };
        let record = |ip| Record { name: String::new(), ttl: 1, data: data(ip) };
        let records = ips.iter().map(record).collect();
        Answer { records, ..Answer::empty(AnswerKind::Answer, Transport::Udp) }
    };
    let mut tell = |name: &str, kind, ips: &[IpAddr]| {
        let question = Question { name: name.into(), kind, confirm: false };
        plan.answer(&question, &records(ips), false)
    };
    tell("a.test", RecordType::Aaaa, &v6);
    tell("b.test", RecordType::A, &v4);
    tell("a.test", RecordType::A, &[]);
    let Step::Done(planned) = tell("b.test", RecordType::Aaaa, &v6) else { panic!() };
    let tried = endpoints(&planned.hops.unwrap());
    assert_eq!(tried.len(), MAX_ADDRESSES);
    let v4_tried = tried.iter().filter(|e| e.address.is_ipv4()).count();
    assert_eq!(v4_tried, KEPT_FOR_OTHER_FAMILY);
}

#[test]
fn aliases_in_answers_are_tolerated() {
    // B24: the domain is an alias, so that the MX records are another's; B14: the exchanger is an alias, too.
    let record = |name: &str, data| Record { name: name.into(), ttl: 60, data };
    let answer = |records: Vec<Record>| Answer {
        records: records.into(),
        ..Answer::empty(AnswerKind::Answer, Transport::Udp)
    };
    let (mut plan, _) = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1);
    let mx = answer(vec![
        record("d.test", RecordData::Cname("shop.test".into())),
        record("shop.test", exchange(&["10", "mx.test"])),
    ]);
    let step = plan.answer(&ask_mx("d.test", false), &mx, false);
    let Step::Ask(asked) = step else { panic!("{step:?}") };
    let a = answer(vec![
        record("mx.test", RecordData::Cname("host.test".into())),
        record("host.test", RecordData::A([192, 0, 2, 1].into())),
    ]);
    plan.answer(&asked[0], &a, false);
    assert_eq!(shown(&plan.conclude().hops.unwrap()), "mx.test[192.0.2.1]");
}

#[test]
fn at_most_twenty_exchangers_are_asked_for() {
    let mut plan = Plan::start(Host::Name("d.test"), &mx_route(), &us(), 1).0;
    let mut answer = Answer::empty(AnswerKind::Answer, Transport::Udp);
    for i in 0..64u16 {
        let data = RecordData::Mx { preference: i, exchange: format!("mx{i}.test") };
        answer.records.push(Record { name: "d.test".into(), ttl: 1, data });
    }
    let Step::Ask(asked) = plan.answer(&ask_mx("d.test", false), &answer, false) else { panic!() };
    assert_eq!(asked.len(), 2 * crate::exchangers::MAX_EXCHANGERS);
}

#[test]
fn fixed_hosts_that_share_the_load_take_turns_by_lot() {
    let hosts: Vec<_> =
        (1..=4).map(|n| SmartHost { host: format!("192.0.2.{n}"), port: 25 }).collect();
    let mut route = Route::by_hosts("shared", vec![Pattern::Any], hosts);
    if let Action::SmartHosts { order, .. } = &mut route.action {
        *order = Order::Shared;
    }
    let order = |seed| {
        let (planned, _) = drive(&Dns(&[]), Host::Name("any.test"), &route, seed);
        planned.hops.unwrap()
    };
    let mut first = BTreeMap::new();
    for seed in 0..4000 {
        let hops = order(seed);
        assert!(hops.len() == 4 && hops.iter().all(|hop| hop.preference == 0), "all are tried");
        *first.entry(hops[0].host.clone()).or_insert(0) += 1;
    }
    assert!(first.len() == 4 && first.values().all(|n| (900..1100).contains(n)), "{first:?}");
    assert_eq!(order(7), order(7), "the same lot, the same order");
}

#[test]
fn a_route_that_sends_nothing_asks_nothing() {
    for action in [Action::Discard, Action::Hold] {
        let route = Route { action, ..mx_route() };
        let (planned, asked) = drive(&Dns(&[]), Host::Name("any.test"), &route, 1);
        assert!(asked.is_empty() && planned.hops == Err(Fault::NoRoute));
    }
}
