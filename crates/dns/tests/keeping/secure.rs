//! Whose word about DNSSEC is believed (RFC 6698 section 10.1): that of trusted servers, for the whole way.

use crate::lab::{Lab, SECOND, address, servers};
use posthaste_dns::Settings;
use posthaste_evidence::{AnswerKind, NameServer, RecordType, Seen};
use posthaste_peers::dns::Behaviour;

const ZONE: &str = "d.test 60 MX 10 mx.d.test\nmx.d.test A 192.0.2.80\nalias.test CNAME d.test";

fn lab(trusted: bool) -> Lab {
    let server = NameServer { trusted, ..address(1).into() };
    let lab = Lab::with(ZONE, Settings { servers: vec![server], ..Settings::default() });
    lab.servers[0].behave("*", None, Behaviour::Authentic);
    lab
}

#[test]
fn a_trusted_server_is_believed_and_another_ones_claim_is_only_told() {
    for trusted in [true, false] {
        let lab = lab(trusted);
        for time in ["from the network", "from the cache"] {
            let (lookup, _) = lab.ask("d.test", RecordType::Mx);
            assert_eq!((lookup.secure, lookup.answer.authentic), (trusted, true), "{time}");
            assert!(matches!(&lookup.observations[0].seen, Seen::Answer(a) if a.authentic));
        }
        let (missing, _) = lab.ask("none.test", RecordType::Mx);
        assert_eq!((missing.verdict(), missing.secure), (AnswerKind::NxDomain, trusted));
    }
}

#[test]
fn one_alias_without_validation_is_enough_to_doubt() {
    let chain = |alias: Behaviour, target: Behaviour| {
        let lab = lab(true);
        lab.servers[0].behave("alias.test", None, alias);
        lab.servers[0].behave("d.test", None, target);
        let (lookup, _) = lab.ask("alias.test", RecordType::Mx);
        assert_eq!(lookup.verdict(), AnswerKind::Answer);
        lookup.secure
    };
    assert!(chain(Behaviour::Authentic, Behaviour::Authentic));
    assert!(!chain(Behaviour::AliasOnly, Behaviour::Authentic), "the alias is not validated");
    assert!(!chain(Behaviour::AliasOnly, Behaviour::Answer));
    assert!(!chain(Behaviour::Answer, Behaviour::Authentic));
}

#[test]
fn a_failure_and_an_answer_past_its_time_are_never_secure() {
    let lab = lab(true);
    assert!(lab.ask("d.test", RecordType::Mx).0.secure);
    lab.wait(SECOND * 61);
    lab.servers[0].behave("*", None, Behaviour::Rcode(2));
    let (stale, _) = lab.ask("d.test", RecordType::Mx);
    assert!(stale.answer.stale && !stale.secure);
    assert!(!lab.ask("mx.d.test", RecordType::A).0.secure);
}

#[test]
fn every_entry_for_an_address_must_trust_it_and_loopback_is_trusted() {
    let named = |trusted| NameServer { trusted, ..address(1).into() };
    let of = |servers: Vec<NameServer>| Settings { servers, ..Settings::default() };
    assert!(of(vec![named(true)]).trusts(address(1)));
    assert!(!of(vec![named(true), named(false)]).trusts(address(1)));
    assert!(!of(servers(&[2])).trusts(address(1)));
    assert!(!Settings::default().trusts(address(1)), "nobody we asked");
    let loopback: std::net::SocketAddr = "127.0.0.1:53".parse().unwrap();
    let ours = NameServer { trusted: false, ..loopback.into() };
    assert!(of(vec![ours]).trusts(loopback));
}
