//! `check domain` before real servers: a tree of BIND and Knot with signed zones, and resolvers that validate them. Asked
//! through a running daemon, then without one.
//!
//! Not here: what follows from which evidence in each combination (crate `dns`), what becomes of mail (`theirs`, `ours`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use crate::internet::{Domain, Internet, Places};
use crate::mta::Mta;
use crate::servers::{Server, Silent};
use crate::sink::Sink;

/// Cause, effect and who must act.
type Found = (&'static str, &'static str, &'static str);

struct Case {
    domain: &'static str,
    /// Everything that is found, in any order; the same of two servers or resolvers once.
    findings: &'static [Found],
    /// Mail cannot be delivered: exit status 5.
    blocking: bool,
}

const CASES: [Case; 12] = [
    Case { domain: "fine.test", findings: &[], blocking: false },
    Case { domain: "good.secure", findings: &[], blocking: false },
    Case { domain: "plain.secure", findings: &[], blocking: false },
    Case {
        domain: "expired.secure",
        findings: &[
            ("dns.dnssec-expired", "blocking", "recipient-dns"), // the zone's, and each resolver's
        ],
        blocking: true,
    },
    Case {
        domain: "early.secure",
        findings: &[("dns.dnssec-expired", "blocking", "recipient-dns")],
        blocking: true,
    },
    Case {
        domain: "mismatch.secure",
        findings: &[("dns.dnssec-ds-mismatch", "blocking", "recipient-registrar")],
        blocking: true,
    },
    Case {
        domain: "lame.test",
        findings: &[("dns.lame-delegation", "degrading", "recipient-dns")],
        blocking: false,
    },
    Case {
        domain: "dead.test",
        findings: &[("dns.auth-partial", "degrading", "recipient-dns")],
        blocking: false,
    },
    Case {
        domain: "differ.test",
        findings: &[("dns.ns-disagree", "degrading", "recipient-dns")],
        blocking: false,
    },
    Case {
        domain: "alias.test",
        findings: &[("dns.mx-cname", "cosmetic", "recipient-dns")],
        blocking: false,
    },
    Case {
        domain: "astray.test",
        findings: &[
            ("dns.mx-cname", "cosmetic", "recipient-dns"),
            ("dns.mx-dangling", "blocking", "recipient-dns"),
            ("dns.mx-partly-dangling", "degrading", "recipient-dns"),
        ],
        blocking: true,
    },
    Case {
        domain: "typo.test",
        findings: &[("dns.domain-nxdomain", "blocking", "sender")],
        blocking: true,
    },
];

/// Everything but the signed branch, which the tree has anyway.
fn domains(places: Places, mail: IpAddr, dead: IpAddr) -> Vec<Domain> {
    let Places { knot, bind } = places;
    let good = format!("@ IN MX 10 mx\nmx IN A {mail}\n");
    let old = format!("@ IN MX 10 old\nold IN A {mail}\n");
    let alias = |to: &str| format!("@ IN MX 10 alias\nalias IN CNAME {to}.\n");
    let domain = |name: &str, servers: &[IpAddr], on_knot: &str, on_bind: Option<&str>| Domain {
        name: name.to_owned(),
        delegated_to: servers.to_vec(),
        on_knot: Some(on_knot.to_owned()),
        on_bind: on_bind.map(str::to_owned),
        ..Domain::default()
    };
    vec![
        domain("fine.test", &[knot], &good, None),
        domain("lame.test", &[bind, knot], &good, None),
        domain("dead.test", &[dead, knot], &good, None),
        domain("differ.test", &[bind, knot], &good, Some(&old)),
        domain("alias.test", &[knot], &alias("mx.fine.test"), None),
        domain("astray.test", &[knot], &alias("nobody.fine.test"), None),
    ]
}

#[test]
fn a_check_names_what_is_wrong_with_real_servers_and_who_must_act() {
    let _busy = crate::in_company();
    let (sink, silent) = (Sink::start(&[]), Silent::new());
    let mail = sink.address().ip();
    let net = Internet::start(mail, |places| domains(places, mail, silent.ip()));
    let resolvers = [
        Server::unbound(net.root(), &net.anchor_of_unbound()),
        Server::bind(Some(net.root()), "dnssec-validation yes;", &net.anchor_of_bind(), &[]),
    ];
    let at = [resolvers[0].address(), resolvers[1].address()];
    let mut mta = Mta::start(&at, net.root(), "");
    for case in &CASES {
        let check = checked(&mta, case, "by the daemon");
        println!("{}", told(&check));
    }
    refuses_what_is_no_name(&mta);
    mta.posthaste.terminate();
    for case in &CASES {
        checked(&mta, case, "without a daemon");
    }
    refuses_what_is_no_name(&mta);
}

fn checked(mta: &Mta, case: &Case, by: &str) -> Value {
    let Case { domain, findings, blocking } = case;
    let output = mta.posthaste.verb(&["check", "domain", domain, "--json"]);
    let check: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{domain} {by} is not JSON ({e}): {output:?}"));
    let word = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let found: BTreeSet<_> = list(&check["findings"])
        .iter()
        .map(|f| (word(f, "cause"), word(f, "effect"), word(f, "owner")))
        .collect();
    let expected = findings.iter().map(|(c, e, o)| ((*c).into(), (*e).into(), (*o).into()));
    assert_eq!(found, expected.collect(), "{domain} {by}: {check:#}");
    let code = if *blocking { 5 } else { 0 };
    assert_eq!(output.status.code(), Some(code), "{domain} {by}: {output:?}");
    assert_eq!(list(&check["limits"]), &[] as &[Value], "{domain} {by}");
    let known: BTreeSet<_> = list(&check["observations"]).iter().map(|o| word(o, "id")).collect();
    for finding in list(&check["findings"]) {
        let shown: Vec<_> = list(&finding["evidence"]).iter().filter_map(Value::as_str).collect();
        assert!(!shown.is_empty() && shown.iter().all(|id| known.contains(*id)), "{finding:#}");
    }
    check
}

/// What was found, as a person reads it.
fn told(check: &Value) -> String {
    let (asked, took) = (list(&check["observations"]).len(), &check["took_ms"]);
    let mut text = format!("{}: {asked} questions, {took} ms", check["domain"]);
    for found in list(&check["findings"]) {
        let [effect, subject, what, cause, acts] =
            ["effect", "subject", "text", "cause", "owner_text"].map(|word| &found[word]);
        text += &format!("\n    {effect}: {subject} {what} ({cause}; {acts})");
    }
    text
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// As every other verb does: exit status 2, and what is wrong.
fn refuses_what_is_no_name(mta: &Mta) {
    let output = mta.posthaste.verb(&["check", "domain", "a..b"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said.contains("DNS") && said.contains("`a..b`"), "{said}");
}

#[test]
fn a_resolver_of_another_year_is_told_from_a_domain_with_bad_signatures() {
    let _busy = crate::in_company();
    let sink = Sink::start(&[]);
    let mail = sink.address().ip();
    let net = Internet::start(mail, |places| domains(places, mail, places.knot));
    // Later than any signature.
    let skewed = format!("{}  val-override-date: \"20990101000000\"\n", net.anchor_of_unbound());
    let resolver = Server::unbound(net.root(), &skewed);
    let mta = Mta::start(&[resolver.address()], net.root(), "");
    // Not even that a zone is unsigned can be told by a clock that is wrong.
    for domain in ["good.secure", "plain.secure"] {
        let findings = &[("resolver.clock-skew", "blocking", "us")];
        let check = checked(&mta, &Case { domain, findings, blocking: true }, "skewed");
        println!("{}", told(&check));
        let seen = |name: &str| {
            let id = &check["resolvers"][0][name];
            let of = list(&check["observations"]).iter().find(|o| o["id"] == *id);
            of.and_then(|o| o["outcome"].as_str())
        };
        assert_eq!((seen("mx"), seen("unchecked")), (Some("bogus"), Some("answer")), "{domain}");
    }
    checked(&mta, &Case { domain: "fine.test", findings: &[], blocking: false }, "skewed");
}
