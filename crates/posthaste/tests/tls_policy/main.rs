//! Downgrade attempts against every policy of a route, as a table, with a real Posthaste and scripted hosts under real TLS:
//! whether mail goes, how it goes, and what the attempt shows. In one command:
//! `cargo test -p posthaste --test tls_policy -- --nocapture`.
//!
//! Nothing leaves this machine. Not here: handshakes one by one (crate `io-tokio`), the session's steps (crate `smtp`), real
//! mail programs (`real_mail`).

#![allow(clippy::print_stdout, reason = "the tables are for reading")]

#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/client.rs"]
mod client;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/loopback.rs"]
mod loopback;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/posthaste.rs"]
mod posthaste;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/process.rs"]
mod process;
#[allow(dead_code, reason = "shared with real_mail, which uses all of it")]
#[path = "../real_mail/tree.rs"]
mod tree;

#[path = "../dns_cases/scripted.rs"]
#[allow(dead_code, reason = "shared with dns_cases, which uses all of it")]
mod scripted;

mod host;
mod ways;

use crate::client::Client;
use crate::host::{Authorities, Behaviour, Host, Own};
use crate::posthaste::Posthaste;
use crate::process::until;
use serde_json::Value;
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const POLICIES: [&str; 5] = ["none", "opportunistic", "require", "verify", "pinned"];

/// How mail went; or that it waits, and for which reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Went {
    Clear,
    Encrypted,
    Waits(&'static str),
}

use Went::{Clear, Encrypted, Waits};

/// One kind of host, what is expected of each policy, and the outcomes of observations that the attempt must have for
/// `opportunistic` and for `verify`.
struct Row {
    name: &'static str,
    host: Behaviour,
    went: [Went; 5],
    shows: [&'static str; 2],
}

const NOT_OFFERED: Went = Waits("does not offer it");
const REFUSED: Went = Waits("the host refused it: 454");
const NOT_PINNED: Went = Waits("its key is none of the given ones");

fn rows() -> Vec<Row> {
    let mut rows = about_certificates();
    rows.extend(about_the_rest());
    rows
}

fn about_certificates() -> Vec<Row> {
    let own = |own| Behaviour::Tls(own);
    let row = |name, host, went, shows| Row { name, host, went, shows };
    let judged = |why| [Clear, Encrypted, Encrypted, Waits(why), Encrypted];
    let alike = |one| [one, one];
    vec![
        row(
            "good",
            own(Own::Good),
            [Clear, Encrypted, Encrypted, Encrypted, Encrypted],
            alike("verified"),
        ),
        row(
            "expired",
            own(Own::Expired),
            judged("its certificate has expired"),
            ["encrypted", "expired"],
        ),
        row(
            "not-yet",
            own(Own::NotYetValid),
            judged("its certificate is not valid yet"),
            ["encrypted", "not-yet-valid"],
        ),
        row(
            "wrong-name",
            own(Own::WrongName),
            judged("its certificate is for other names"),
            ["encrypted", "wrong-name"],
        ),
        row(
            "unknown-ca",
            own(Own::UnknownIssuer),
            judged("no trusted authority vouches"),
            ["encrypted", "unknown-issuer"],
        ),
        row(
            "self-signed",
            own(Own::SelfSigned),
            judged("no trusted authority vouches"),
            ["encrypted", "unknown-issuer"],
        ),
        row(
            "other-key",
            own(Own::OtherKey),
            [Clear, Encrypted, Encrypted, Encrypted, NOT_PINNED],
            alike("verified"),
        ),
    ]
}

/// What is not about the certificate fails alike for whoever demands anything.
fn about_the_rest() -> Vec<Row> {
    let row = |name, host, went, shows| Row { name, host, went, shows };
    let broken = |why| [Clear, Clear, Waits(why), Waits(why), Waits(why)];
    let alike = |one| [one, one];
    vec![
        row(
            "stripped",
            Behaviour::NoStartTls,
            [Clear, Clear, NOT_OFFERED, NOT_OFFERED, NOT_OFFERED],
            alike("no-starttls"),
        ),
        row(
            "refused",
            Behaviour::Refuses,
            [Clear, Clear, REFUSED, REFUSED, REFUSED],
            alike("deferred"),
        ),
        row(
            "old-version",
            Behaviour::OldVersion,
            broken("no TLS version or cipher in common"),
            alike("nothing-in-common"),
        ),
        row(
            "alert",
            Behaviour::Alert,
            broken("the TLS handshake was refused, alert 70"),
            alike("alert"),
        ),
        row(
            "injected",
            Behaviour::Injects,
            broken("plain text came between STARTTLS"),
            alike("injected"),
        ),
        row("garbage", Behaviour::Garbage, broken("what came is no TLS"), alike("not-tls")),
        row("hangs-up", Behaviour::HangsUp, broken("closed in the TLS handshake"), alike("closed")),
    ]
}

fn configuration(
    hosts: &[(String, Host)],
    roots: &str,
    pin: &str,
    data: &str,
    port: u16,
) -> String {
    let mut text = format!(
        "hostname = \"relay.test\"\ndata = \"{data}\"\nunmatched = \"hold\"\n\
         [[listener]]\nname = \"in\"\naddress = \"127.0.0.1:{port}\"\n\
         [admin]\naddress = \"off\"\n[resolver]\nservers = [\"127.0.0.1:9\"]\nroots = []\n"
    );
    for (domain, host) in hosts {
        let (_, policy) = domain.trim_end_matches(".test").split_once('.').expect("both");
        let tls = match policy {
            "verify" => format!("tls = \"verify\"\ntls_roots = \"{roots}\""),
            "pinned" => format!("tls_pins = \"{pin}\""),
            other => format!("tls = \"{other}\""),
        };
        let at = host.address();
        let _ = write!(text, "[[route]]\nto = \"{domain}\"\nvia = \"{at}\"\n{tls}\n");
    }
    text
}

/// What became of the mail to a domain. One of its two recipients is always deferred by the host, so that the message stays
/// and its attempts can be looked at.
fn fate(posthaste: &Posthaste, host: &Host, id: &str) -> Option<(Went, Value)> {
    let message = posthaste.json(&["queue", "show", id]);
    let recipient = &message["recipients"][1];
    let error = recipient["last_error"]["text"].as_str()?.to_owned();
    let attempts = message["attempts"].as_array()?;
    let last = attempts.last()?.clone();
    let went = match host.taken().as_slice() {
        [] => Waits(error.leak()),
        [encrypted] => {
            if *encrypted {
                Encrypted
            } else {
                Clear
            }
        }
        more => panic!("taken {} times", more.len()),
    };
    Some((went, last))
}

fn outcomes(attempt: &Value) -> Vec<&str> {
    let observations = attempt["observations"].as_array().into_iter().flatten();
    observations.filter_map(|seen| seen["outcome"].as_str()).collect()
}

/// What is wrong with one cell; empty when nothing is.
fn judge(row: &Row, policy: usize, went: Went, attempt: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let as_expected = match (row.went[policy], went) {
        (Waits(why), Waits(said)) => said.contains(why),
        (expected, went) => expected == went,
    };
    if !as_expected {
        wrong.push(format!("{went:?} instead of {:?}", row.went[policy]));
    }
    let seen = outcomes(attempt);
    let mut must = |what: &str, holds: bool| {
        if !holds {
            wrong.push(format!("the attempt lacks {what}: {seen:?}"));
        }
    };
    match POLICIES[policy] {
        "opportunistic" => must(row.shows[0], seen.contains(&row.shows[0])),
        "verify" => must(row.shows[1], seen.contains(&row.shows[1])),
        _ => {}
    }
    must("what the route demands", policy == 1 || seen.contains(&POLICIES[policy]));
    let tls = &attempt["tls"];
    must(
        "version and cipher",
        went != Encrypted || tls["version"].as_str().is_some_and(|v| v.starts_with("TLSv1.")),
    );
    // The routes that demand nothing of it have the authorities of the machine, which are ours here: what is recorded is what
    // `verify` would have said.
    if went == Encrypted && matches!(POLICIES[policy], "opportunistic" | "require") {
        let why = Some(row.shows[1]).filter(|word| *word != "verified");
        must("what verification says", tls["verified"] == why.is_none());
        must("why it is not believed", tls["why"].as_str() == why);
    }
    must("the certificate", went != Encrypted || tls["certificate"]["names"].is_array());
    must("no TLS", went == Encrypted || tls.is_null());
    let broken = matches!(row.went, [_, Clear, Waits(_), ..]);
    let offered = !matches!(row.host, Behaviour::NoStartTls | Behaviour::Refuses);
    if policy == 1 && broken && offered {
        must("why it went in clear", seen.contains(&"clear-after-broken-tls"));
    }
    wrong
}

#[test]
fn no_mail_goes_where_its_route_forbids() {
    let authorities = Authorities::new();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, authorities.ours()).expect("the folder is ours");
    let rows = rows();
    let mut hosts = Vec::new();
    for row in &rows {
        for policy in POLICIES {
            let domain = format!("{}.{policy}.test", row.name);
            hosts.push((domain, Host::start(row.host, &authorities)));
        }
    }
    let port = loopback::free_port(Ipv4Addr::LOCALHOST);
    let of_machine = vec![("SSL_CERT_FILE", roots.clone())];
    let (roots, data) =
        (roots.display().to_string(), dir.path().join("data").display().to_string());
    let text = configuration(&hosts, &roots, &authorities.pin(), &data, port);
    let posthaste = Posthaste::start_with(&text, dir.path(), of_machine);
    let mut client = Client::connect((Ipv4Addr::LOCALHOST, port).into()).expect("it listens");
    let mut ids = Vec::new();
    for (domain, _) in &hosts {
        let to = [format!("<ok@{domain}>"), format!("<later@{domain}>")];
        let said =
            client.transact("<w@relay.test>", &to, b"Subject: s\r\n\r\nx\r\n").expect("it answers");
        let id = said.rsplit(' ').next().expect("an id").to_owned();
        assert!(said.starts_with("250"), "{said}");
        ids.push(id);
    }
    let mut wrong = Vec::new();
    for (place, ((domain, host), id)) in hosts.iter().zip(&ids).enumerate() {
        let (row, policy) = (&rows[place / POLICIES.len()], place % POLICIES.len());
        let mut found = None;
        until(PATIENCE, || {
            found = fate(&posthaste, host, id);
            found.is_some()
        });
        let (went, attempt) =
            found.unwrap_or_else(|| panic!("{domain}: nothing happened\n{}", posthaste.log()));
        println!("{domain:30} {went:?}  {}", attempt["tls"]["text"].as_str().unwrap_or("-"));
        wrong.extend(
            judge(row, policy, went, &attempt).into_iter().map(|what| format!("{domain}: {what}")),
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
}
