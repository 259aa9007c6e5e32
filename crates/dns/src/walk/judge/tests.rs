//! The judge alone: what was seen, written down by hand, and what follows from it. A signed domain in good order, with
//! one thing changed in each case.

mod scene;

use super::super::finding::{About, Acts, Problem, Validation};
use super::super::seen::{
    DomainSeen, ResolverSeen, SigningSeen, TargetSeen, Unplaced, WhyUnplaced,
};
use AnswerKind::{Bogus, NoData, NxDomain, Refused, ServFail, Timeout};
use Effect::{Blocking, Cosmetic, Degrading};
use Validation::{Keys, Times, Unexplained};
use posthaste_evidence::{Answer, AnswerKind, Effect, Record, Transport};
use scene::*;

type Case = (&'static str, fn(&mut Scene), &'static [(Problem, Effect)]);

fn judge_each(cases: &[Case]) {
    for (story, change, expected) in cases {
        let mut scene = Scene::new();
        change(&mut scene);
        let findings = scene.findings();
        let found: Vec<_> = findings.iter().map(|f| (f.problem, f.effect)).collect();
        assert_eq!(found, *expected, "{story}: {findings:#?}");
        assert!(findings.iter().all(|f| !f.evidence.is_empty()), "{story}: {findings:#?}");
    }
}

#[test]
fn signatures_are_judged_by_their_times_and_keys() {
    judge_each(&[
        ("all is well", |_| {}, &[]),
        (
            "expired, and our resolver does not validate",
            |s| s.signed(ds(TAG, ALGORITHM), PAST, VALID),
            &[(Problem::SignatureExpired, Degrading)],
        ),
        (
            "not valid yet",
            |s| s.signed(ds(TAG, ALGORITHM), FUTURE, VALID),
            &[(Problem::SignatureNotYet, Degrading)],
        ),
        (
            "an old signature beside one that is valid",
            |s| {
                let two = vec![
                    (NAME, soa()),
                    (NAME, signature(SOA, PAST)),
                    (NAME, signature(SOA, VALID)),
                ];
                s.seen.signing.soa = s.says(two);
            },
            &[],
        ),
        (
            "one of two types is expired",
            |s| {
                let both = vec![(NAME, signature(SOA, VALID)), (NAME, signature(MX, PAST))];
                s.seen.signing.mx = s.says(both);
            },
            &[(Problem::SignatureExpired, Degrading)],
        ),
        (
            "the zone above signs no more",
            |s| s.signed(ds(TAG, ALGORITHM), VALID, PAST),
            &[(Problem::SignatureExpired, Degrading)],
        ),
        (
            "DS of another key",
            |s| s.signed(ds(TAG + 1, ALGORITHM), VALID, VALID),
            &[(Problem::DsWithoutKey, Degrading)],
        ),
        (
            "DS of the same tag and another algorithm",
            |s| s.signed(ds(TAG, ALGORITHM + 1), VALID, VALID),
            &[(Problem::DsWithoutKey, Degrading)],
        ),
        (
            "DS, and no key at all",
            |s| s.seen.signing.dnskey = s.fails(NoData, &[]),
            &[(Problem::DsWithoutKey, Degrading)],
        ),
        (
            "the keys cannot be had: nothing is known of them",
            |s| s.seen.signing.dnskey = s.fails(ServFail, &[]),
            &[],
        ),
        (
            "DS, and answers without signatures",
            |s| s.seen.signing.soa = s.says(vec![(NAME, soa())]),
            &[(Problem::Unsigned, Degrading)],
        ),
        ("not signed at all", |s| s.seen.signing = SigningSeen::default(), &[]),
    ]);
}

#[test]
fn a_signature_of_the_zone_above_is_the_fault_of_that_zone() {
    let mut scene = Scene::new();
    scene.signed(ds(TAG, ALGORITHM), VALID, PAST);
    assert_eq!(scene.findings()[0].about, About::Zone("test".into()));
}

#[test]
fn why_validation_fails_follows_from_the_evidence() {
    judge_each(&[
        (
            "B20: the signatures have expired",
            |s| {
                s.signed(ds(TAG, ALGORITHM), PAST, VALID);
                s.unvalidated(Bogus, &[7]);
            },
            &[(Problem::SignatureExpired, Blocking), (Problem::ResolverBogus(Times), Blocking)],
        ),
        (
            "B20, and the resolver does not say why",
            |s| {
                s.signed(ds(TAG, ALGORITHM), PAST, VALID);
                s.unvalidated(ServFail, &[]);
            },
            &[(Problem::SignatureExpired, Blocking), (Problem::ResolverBogus(Times), Blocking)],
        ),
        (
            "B21: DS of another key",
            |s| {
                s.signed(ds(TAG + 1, ALGORITHM), VALID, VALID);
                s.unvalidated(Bogus, &[9]);
            },
            &[(Problem::DsWithoutKey, Blocking), (Problem::ResolverBogus(Keys), Blocking)],
        ),
        (
            "both: the key comes first",
            |s| {
                s.signed(ds(TAG + 1, ALGORITHM), PAST, VALID);
                s.unvalidated(Bogus, &[7]);
            },
            &[
                (Problem::DsWithoutKey, Blocking),
                (Problem::SignatureExpired, Blocking),
                (Problem::ResolverBogus(Keys), Blocking),
            ],
        ),
    ]);
    for (why, cause, acts) in [
        (Times, "dns.dnssec-expired", Acts::RecipientDns),
        (Keys, "dns.dnssec-ds-mismatch", Acts::RecipientRegistrar),
        (Unexplained, "unknown", Acts::Us),
    ] {
        let problem = Problem::ResolverBogus(why);
        assert_eq!((problem.cause(), problem.acts()), (cause, acts));
    }
}

#[test]
fn a_wrong_clock_of_ours_is_told_from_a_wrong_zone() {
    judge_each(&[
        (
            "A13: it takes valid signatures for expired",
            |s| s.unvalidated(Bogus, &[7]),
            &[(Problem::ResolverClock, Blocking)],
        ),
        (
            "A13: for not valid yet",
            |s| s.unvalidated(Bogus, &[8]),
            &[(Problem::ResolverClock, Blocking)],
        ),
        (
            "A13: it fails at the zone above, too, and speaks of keys, which are as they should be",
            |s| {
                s.unvalidated(Bogus, &[9]);
                s.seen.resolvers[0].above = s.fails(Bogus, &[9]);
            },
            &[(Problem::ResolverClock, Blocking)],
        ),
        (
            "A13: it cannot even tell that an unsigned zone is one",
            |s| {
                s.seen.signing = SigningSeen::default();
                let mut none = Answer::empty(NoData, Transport::Udp);
                let data = signature(SOA, VALID);
                none.records = vec![Record { name: "test".into(), ttl: 60, data }].into();
                s.seen.signing.ds = s.note(none);
                s.unvalidated(Bogus, &[9]);
                s.seen.resolvers[0].above = s.fails(Bogus, &[9]);
            },
            &[(Problem::ResolverClock, Blocking)],
        ),
    ]);
}

#[test]
fn a_resolver_is_believed_about_validation_where_nothing_else_was_seen() {
    judge_each(&[
        (
            "the zone above is good: keys and times are, too",
            |s| {
                s.unvalidated(Bogus, &[9]);
                s.seen.resolvers[0].above = s.says(vec![("test", soa())]);
            },
            &[(Problem::ResolverBogus(Unexplained), Blocking)],
        ),
        (
            "the zone's signatures could not be seen: the resolver is believed",
            |s| {
                s.seen.signing = SigningSeen::default();
                s.unvalidated(Bogus, &[7]);
            },
            &[(Problem::ResolverBogus(Times), Blocking)],
        ),
        (
            "the same of keys",
            |s| {
                s.seen.signing = SigningSeen::default();
                s.unvalidated(Bogus, &[10]);
            },
            &[(Problem::ResolverBogus(Keys), Blocking)],
        ),
        (
            "bogus, without a reason that can be seen",
            |s| s.unvalidated(Bogus, &[6]),
            &[(Problem::ResolverBogus(Unexplained), Blocking)],
        ),
        (
            "a failure alone",
            |s| s.unvalidated(ServFail, &[]),
            &[(Problem::ResolverBogus(Unexplained), Blocking)],
        ),
        (
            "it fails without validation, too",
            |s| {
                s.unvalidated(ServFail, &[]);
                let refused = s.fails(ServFail, &[]);
                s.seen.resolvers[0].unchecked = refused;
            },
            &[(Problem::ResolverFailsHere, Blocking)],
        ),
    ]);
}

#[test]
fn what_a_resolver_of_ours_remembers_is_told_from_what_the_zone_says() {
    judge_each(&[
        (
            "A7: other mail exchangers",
            |s| s.seen.resolvers[0].mx = s.says(vec![(NAME, mx("old.shop.test"))]),
            &[(Problem::ResolverStale, Blocking)],
        ),
        (
            "A8: it remembers that there was nothing",
            |s| s.seen.resolvers[0].mx = s.fails(NxDomain, &[]),
            &[(Problem::ResolverNegative, Blocking)],
        ),
        (
            "A8: and that there were no such records",
            |s| s.seen.resolvers[0].mx = s.fails(NoData, &[]),
            &[(Problem::ResolverNegative, Blocking)],
        ),
        (
            "A8, and another resolver knows",
            |s| {
                let good = s.seen.resolvers[0].clone();
                s.seen.resolvers[0].mx = s.fails(NxDomain, &[]);
                let address = ([192, 0, 2, 2], 53).into();
                s.seen.resolvers.push(ResolverSeen { address, ..good });
            },
            &[(Problem::ResolverNegative, Degrading)],
        ),
        (
            "A9: it says so itself",
            |s| {
                let mut own = Answer::empty(NxDomain, Transport::Udp);
                own.authoritative = true;
                s.seen.resolvers[0].mx = s.note(own);
            },
            &[(Problem::ResolverSplit, Blocking)],
        ),
        (
            "one of the zone's servers says the same: the zone's fault, not ours",
            |s| {
                let mut second = s.server();
                second.mx = s.says(vec![(NAME, mx("old.shop.test"))]);
                s.seen.servers.push(second);
                s.seen.resolvers[0].mx = s.says(vec![(NAME, mx("old.shop.test"))]);
            },
            &[(Problem::ExchangersDiffer, Degrading)],
        ),
        (
            "nothing in the zone, and nothing in the resolver",
            |s| {
                s.seen.servers[0].mx = s.fails(NoData, &[]);
                s.seen.exchangers[0].preference = None;
                s.seen.resolvers[0].mx = s.fails(NoData, &[]);
            },
            &[(Problem::ImplicitMx, Cosmetic)],
        ),
    ]);
}

#[test]
fn a_resolver_is_not_blamed_for_dead_servers_of_the_zone() {
    judge_each(&[
        (
            "it fails here alone",
            |s| {
                s.unvalidated(Timeout, &[]);
                s.seen.resolvers[0].unchecked = None;
            },
            &[(Problem::ResolverFailsHere, Blocking)],
        ),
        (
            "there are no roots: nobody else could be asked",
            |s| {
                s.unvalidated(ServFail, &[]);
                s.seen.resolvers[0].unchecked = None;
                let resolvers = std::mem::take(&mut s.seen.resolvers);
                s.seen = DomainSeen { resolvers, ..DomainSeen::default() };
            },
            &[(Problem::ResolverFailsUnseen, Blocking)],
        ),
        (
            "it fails where a server of the zone is dead: that is why",
            |s| {
                s.unvalidated(Timeout, &[]);
                s.seen.resolvers[0].unchecked = None;
                let mut dead = s.server();
                (dead.udp, dead.ns, dead.mx) = (s.fails(Timeout, &[]), None, None);
                (dead.plain, dead.tcp) = (dead.udp, dead.udp);
                s.seen.servers.push(dead);
            },
            &[(Problem::ServerDead, Degrading)],
        ),
    ]);
}

#[test]
fn aliases_are_followed_to_where_they_lead() {
    let there = |s: &mut Scene, a: Place, aaaa: Place| {
        s.seen.exchangers[0] = s.exchanger(vec![("mx.shop.test", alias("mx.other.test"))]);
        s.seen.exchangers[0].target = Some(TargetSeen { name: "mx.other.test".into(), a, aaaa });
    };
    type Case = (&'static str, fn(&mut Scene) -> [Place; 2], &'static [(Problem, Effect)]);
    let cases: &[Case] = &[
        (
            "it leads to a host",
            |s| [s.says(vec![("mx.other.test", a([203, 0, 113, 80]))]), s.fails(NoData, &[])],
            &[(Problem::ExchangerIsAlias, Cosmetic)],
        ),
        (
            "the other zone has no such host",
            |s| [s.fails(NxDomain, &[]), s.fails(NxDomain, &[])],
            &[
                (Problem::ExchangerDangling, Degrading),
                (Problem::ExchangerIsAlias, Cosmetic),
                (Problem::AllExchangersDangling, Blocking),
            ],
        ),
        (
            "the host has private addresses",
            |s| [s.says(vec![("mx.other.test", a([10, 0, 0, 5]))]), s.fails(NoData, &[])],
            &[
                (Problem::ExchangerPrivate, Degrading),
                (Problem::ExchangerIsAlias, Cosmetic),
                (Problem::AllExchangersPrivate, Blocking),
            ],
        ),
        (
            "nobody there answers, or the aliases do not end",
            |_| [None, None],
            &[(Problem::ExchangerUnknown, Degrading), (Problem::ExchangerIsAlias, Cosmetic)],
        ),
        (
            "AAAA is broken there",
            |s| [s.says(vec![("mx.other.test", a([203, 0, 113, 80]))]), s.fails(Timeout, &[])],
            &[(Problem::ExchangerIsAlias, Cosmetic), (Problem::AaaaBroken(Timeout), Cosmetic)],
        ),
    ];
    for (story, make, expected) in cases {
        let mut scene = Scene::new();
        let [a, aaaa] = make(&mut scene);
        there(&mut scene, a, aaaa);
        let found: Vec<_> = scene.findings().iter().map(|f| (f.problem, f.effect)).collect();
        assert_eq!(found, *expected, "{story}");
    }
}

#[test]
fn mail_exchangers_that_cannot_be_judged_are_called_unknown() {
    judge_each(&[
        (
            "its zone fails",
            |s| {
                s.seen.exchangers[0].a = s.fails(ServFail, &[]);
                s.seen.exchangers[0].aaaa = s.fails(Timeout, &[]);
            },
            &[(Problem::ExchangerUnknown, Degrading)],
        ),
        (
            "nobody of its zone could be asked",
            |s| (s.seen.exchangers[0].a, s.seen.exchangers[0].aaaa) = (None, None),
            &[(Problem::ExchangerUnknown, Degrading)],
        ),
        (
            "the domain is an alias",
            |s| {
                s.seen.servers[0].mx = s.says(vec![(NAME, alias("other.test"))]);
                s.seen.resolvers[0].mx =
                    s.says(vec![(NAME, alias("other.test")), ("other.test", mx("mx.shop.test"))]);
            },
            &[(Problem::ApexAlias, Degrading)],
        ),
    ]);
}

#[test]
fn name_servers_that_nobody_can_ask_are_told_apart() {
    let cases = [
        (WhyUnplaced::NoAddress, Problem::ServerWithoutAddress, "dns.auth-partial"),
        (WhyUnplaced::Alias, Problem::ServerIsAlias, "dns.lame-delegation"),
        (WhyUnplaced::Private, Problem::ServerPrivate, "dns.lame-delegation"),
    ];
    for (why, problem, cause) in cases {
        let mut scene = Scene::new();
        let evidence = scene.fails(NoData, &[]).into_iter().collect();
        scene.seen.unplaced = vec![Unplaced { name: "ns2.shop.test".into(), why, evidence }];
        let found = scene.findings();
        assert_eq!((found.len(), found[0].problem, found[0].effect), (1, problem, Degrading));
        let about = About::Server { name: "ns2.shop.test".into(), address: None };
        assert_eq!((&found[0].about, problem.cause()), (&about, cause));

        // It was the only one, and our resolver knows nothing either.
        scene.seen.servers.clear();
        scene.seen.resolvers.clear();
        let found = scene.findings();
        assert!(found.iter().any(|f| (f.problem, f.effect) == (problem, Blocking)), "{found:?}");
    }
}

#[test]
fn servers_of_which_none_knows_the_zone_stop_mail_unless_a_resolver_remembers() {
    fn lame(s: &mut Scene) {
        let refused = s.fails(Refused, &[]);
        let server = &mut s.seen.servers[0];
        (server.udp, server.plain, server.tcp) = (refused, refused, refused);
        (server.ns, server.mx) = (None, None);
    }
    judge_each(&[
        (
            "a resolver remembers",
            lame,
            &[(Problem::AllServersLame, Degrading), (Problem::ServerLame(Refused), Degrading)],
        ),
        (
            "none does, and it cannot do better",
            |s| {
                lame(s);
                s.unvalidated(ServFail, &[]);
                s.seen.resolvers[0].unchecked = None;
            },
            &[(Problem::AllServersLame, Blocking), (Problem::ServerLame(Refused), Degrading)],
        ),
    ]);
    assert_eq!(Problem::AllServersLame.acts(), Acts::RecipientRegistrar);
}
