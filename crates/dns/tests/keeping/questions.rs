//! Questions made of several: names of addresses, lists, certificates.

use crate::lab::{Lab, SECOND, address, servers};
use posthaste_dns::Settings;
use posthaste_dns::questions::dnsbl::{Broken, Listee, Verdict};
use posthaste_dns::questions::reverse::{Forward, MAX_NAMES, Naming};
use posthaste_dns::questions::tlsa::{Association, Vouched};
use posthaste_evidence::{AnswerKind, NameServer, RecordType};
use posthaste_peers::dns::{Behaviour, Zone};
use std::fmt::Write;

const NAMES: &str = "
1.2.0.192.in-addr.arpa PTR good.test
good.test A 192.0.2.9
good.test A 192.0.2.1
2.2.0.192.in-addr.arpa PTR other.test
other.test A 192.0.2.9
3.2.0.192.in-addr.arpa PTR nowhere.test
4.2.0.192.in-addr.arpa PTR bad.test
5.2.0.192.in-addr.arpa PTR other.test
5.2.0.192.in-addr.arpa PTR bad.test
6.2.0.192.in-addr.arpa PTR bad.test
6.2.0.192.in-addr.arpa PTR six.test
6.2.0.192.in-addr.arpa PTR SIX.test
six.test A 192.0.2.6
7.2.0.192.in-addr.arpa CNAME 7.0-31.2.0.192.in-addr.arpa
7.0-31.2.0.192.in-addr.arpa PTR seven.test
seven.test CNAME host.seven.test
host.seven.test A 192.0.2.7
8.2.0.192.in-addr.arpa TXT empty
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa PTR v6.test
v6.test AAAA 2001:db8::1
";

#[test]
fn an_address_has_a_name_that_has_the_address_or_not() {
    let lab = Lab::new(NAMES);
    for server in &lab.servers {
        server.behave("bad.test", None, Behaviour::Rcode(2));
        server.behave("99.2.0.192.in-addr.arpa", None, Behaviour::Rcode(5));
    }
    let bad = Forward::Failed(AnswerKind::ServFail);
    for (ip, naming, names) in [
        ("192.0.2.1", Naming::Confirmed, &[("good.test", Forward::Confirmed)][..]),
        ("::ffff:192.0.2.1", Naming::Confirmed, &[("good.test", Forward::Confirmed)]),
        ("192.0.2.2", Naming::Mismatch, &[("other.test", Forward::Mismatch)]),
        ("192.0.2.3", Naming::Mismatch, &[("nowhere.test", Forward::Mismatch)]),
        ("192.0.2.4", Naming::Failed(AnswerKind::ServFail), &[("bad.test", bad)]),
        (
            "192.0.2.5",
            Naming::Failed(AnswerKind::ServFail),
            &[("other.test", Forward::Mismatch), ("bad.test", bad)],
        ),
        ("192.0.2.6", Naming::Confirmed, &[("bad.test", bad), ("six.test", Forward::Confirmed)]),
        ("192.0.2.7", Naming::Confirmed, &[("seven.test", Forward::Confirmed)]),
        ("192.0.2.8", Naming::NoPtr, &[]),
        ("192.0.2.77", Naming::NoPtr, &[]),
        ("192.0.2.99", Naming::Failed(AnswerKind::Refused), &[]),
        ("2001:db8::1", Naming::Confirmed, &[("v6.test", Forward::Confirmed)]),
    ] {
        let reverse = lab.run(|r| async move { r.reverse(ip.parse().unwrap()).await });
        let told: Vec<(&str, Forward)> =
            reverse.names.iter().map(|(name, forward)| (name.as_str(), *forward)).collect();
        assert_eq!((reverse.naming, &told[..]), (naming, names), "{ip}");
        assert_eq!(reverse.lookups.len(), 1 + names.len());
    }
}

#[test]
fn of_a_thousand_names_eight_are_looked_at() {
    let mut zone = String::new();
    for i in 0..40 {
        writeln!(zone, "1.2.0.192.in-addr.arpa PTR n{i}.test\nn{i}.test A 192.0.2.9").unwrap();
    }
    let lab = Lab::new(&zone);
    let reverse = lab.run(|r| async move { r.reverse([192, 0, 2, 1].into()).await });
    assert_eq!((reverse.naming, reverse.more), (Naming::Mismatch, true));
    // The answer with forty names is asked for twice: it does not fit into a datagram.
    assert_eq!((reverse.names.len(), lab.asked()), (MAX_NAMES, MAX_NAMES + 2));
}

const LISTS: &str = "
2.0.0.127.bl.test A 127.0.0.2
9.2.0.192.bl.test A 127.0.0.4
9.2.0.192.bl.test A 127.0.0.10
9.2.0.192.bl.test TXT \"spam was seen\"
2.0.0.f.7.0.0.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test A 127.0.0.2
2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test A 127.0.0.2
9.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test A 127.0.0.3
test.bl.test A 127.0.0.2
bad.example.bl.test A 127.0.1.2
*.0.127.all.test A 127.0.0.2
*.0.0.127.all.test A 127.0.0.2
*.2.0.192.all.test A 127.0.0.2
*.0.0.127.web.test A 203.0.113.7
*.2.0.192.web.test A 203.0.113.7
*.0.0.127.no.test A 127.255.255.254
*.2.0.192.no.test A 127.255.255.254
9.2.0.192.half.test A 127.0.0.2
";

fn ask_list(lab: &Lab, zone: &str, listee: &Listee) -> Verdict {
    let (zone, listee) = (zone.to_owned(), listee.clone());
    lab.run(|r| async move { r.dnsbl(&zone, listee).await }).verdict
}

fn listed(codes: &[[u8; 4]], reason: Option<&str>) -> Verdict {
    let codes = codes.iter().map(|code| (*code).into()).collect();
    Verdict::Listed { codes, reason: reason.map(Into::into) }
}

#[test]
fn a_list_is_believed_only_when_its_test_points_are_right() {
    let lab = Lab::new(LISTS);
    for server in &lab.servers {
        server.behave("9.2.0.192.refused.test", None, Behaviour::Rcode(5));
        server.behave("9.2.0.192.failed.test", None, Behaviour::Rcode(2));
        server.behave("1.0.0.127.half.test", None, Behaviour::Rcode(2));
    }
    let ip = |text: &str| Listee::Address(text.parse().unwrap());
    let ours = ip("192.0.2.9");
    for (zone, listee, verdict) in [
        (
            "bl.test",
            ours.clone(),
            listed(&[[127, 0, 0, 4], [127, 0, 0, 10]], Some("spam was seen")),
        ),
        (
            "BL.test.",
            ip("::ffff:192.0.2.9"),
            listed(&[[127, 0, 0, 4], [127, 0, 0, 10]], Some("spam was seen")),
        ),
        ("bl.test", ip("192.0.2.10"), Verdict::NotListed),
        ("bl.test", ip("2001:db8::9"), listed(&[[127, 0, 0, 3]], None)),
        ("bl.test", ip("2001:db8::a"), Verdict::NotListed),
        ("bl.test", Listee::Domain("Bad.example.".into()), listed(&[[127, 0, 1, 2]], None)),
        ("bl.test", Listee::Domain("good.example".into()), Verdict::NotListed),
        ("all.test", ours.clone(), Verdict::ListBroken(Broken::ListsEverything)),
        ("gone.test", ours.clone(), Verdict::ListBroken(Broken::ListsNothing)),
        ("web.test", ours.clone(), Verdict::ListBroken(Broken::Outside([203, 0, 113, 7].into()))),
        ("no.test", ours.clone(), Verdict::QueryRefused),
        ("refused.test", ours.clone(), Verdict::QueryRefused),
        ("failed.test", ours.clone(), Verdict::Unknown(AnswerKind::ServFail)),
        ("half.test", ours.clone(), Verdict::Unknown(AnswerKind::ServFail)),
        ("half.test", ip("192.0.2.10"), Verdict::ListBroken(Broken::ListsNothing)),
    ] {
        assert_eq!(ask_list(&lab, zone, &listee), verdict, "{zone} {listee:?}");
    }
}

#[test]
fn an_old_listing_is_no_listing() {
    let lab = Lab::new(LISTS);
    let ours = Listee::Address([192, 0, 2, 9].into());
    assert!(matches!(ask_list(&lab, "bl.test", &ours), Verdict::Listed { .. }));
    lab.wait(SECOND * 301);
    lab.servers.iter().for_each(|server| server.behave("*", None, Behaviour::Rcode(2)));
    assert_eq!(ask_list(&lab, "bl.test", &ours), Verdict::Unknown(AnswerKind::Timeout));
}

#[test]
fn certificates_bind_only_when_a_trusted_server_has_validated_them() {
    const ZONE: &str = "_25._tcp.mx.test 60 TLSA 3 1 1 abcd\nmx.test A 192.0.2.1";
    let association = Association { usage: 3, selector: 1, matching: 1, data: vec![0xab, 0xcd] };
    for (behaviour, trusted, vouched) in [
        (Behaviour::Authentic, true, Vouched::Secure(vec![association.clone()])),
        (Behaviour::Authentic, false, Vouched::Nothing),
        (Behaviour::Answer, true, Vouched::Nothing),
        (Behaviour::NoData, true, Vouched::Nothing),
        (Behaviour::Rcode(2), true, Vouched::Failed(AnswerKind::ServFail)),
    ] {
        let server = NameServer { trusted, ..address(1).into() };
        let lab = Lab::with(ZONE, Settings { servers: vec![server], ..Settings::default() });
        lab.servers[0].behave("*", None, behaviour.clone());
        let ask = || lab.run(|r| async move { r.tlsa("mx.test", 25).await });
        let (told, lookup) = ask();
        assert_eq!((&told, lookup.name.as_str()), (&vouched, "_25._tcp.mx.test"), "{behaviour:?}");
        if matches!(told, Vouched::Secure(_)) {
            lab.wait(SECOND * 61);
            lab.servers[0].behave("*", None, Behaviour::Rcode(2));
            assert_eq!(ask().0, Vouched::Failed(AnswerKind::Timeout), "old age frees nobody");
        }
    }
}

#[test]
fn other_types_are_asked_like_any() {
    let zone = "d.test NS ns.d.test\nd.test SOA ns.d.test 2026112201 300\nd.test TXT v=spf1";
    let lab = Lab::with(zone, Settings { servers: servers(&[1]), ..Settings::default() });
    for (kind, told) in [
        (RecordType::Ns, "Ns(\"ns.d.test\")"),
        (RecordType::Soa, "Soa { primary: \"ns.d.test\", serial: 2026112201, minimum: 300 }"),
        (RecordType::Txt, "Txt(\"v=spf1\")"),
    ] {
        let (lookup, _) = lab.ask("d.test", kind);
        assert_eq!(format!("{:?}", lookup.answer.records[0].data), told);
    }
    let odd =
        Zone::parse("xn--mnchen-3ya.test A 192.0.2.1\nxn--strae-oqa.test A 192.0.2.2").unwrap();
    lab.servers[0].set_zone(odd);
    for name in
        ["M\u{fc}nchen.test", "mu\u{308}nchen.test", "STRA\u{df}E.test", "stra\u{df}e\u{3002}test"]
    {
        assert_eq!(lab.ask(name, RecordType::A).0.verdict(), AnswerKind::Answer, "{name}");
    }
}
