//! What is passed on to the next hop of a sender's wishes for notices, and who owes what afterwards (RFC 3461 section 5.2):
//! hosts that offer DSN, that do not, that know no EHLO, and stores (RFC 2033).

use crate::words::*;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_route::{Action as Way, Pattern, Protocol, Route, SmartHost, Table};
use posthaste_sim::{Letter, MailSystem, Plan};

const HOST: &str = "host";

fn by_host(protocol: Protocol, script: Script) -> MailSystem {
    let mut plan = Plan::default().host(HOST, &["11.9.0.1"]);
    let hosts = vec![SmartHost { host: "11.9.0.1".into(), port: 25 }];
    let mut route = Route::by_hosts(HOST, vec!["d.test".parse().expect("a pattern")], hosts);
    if let Way::SmartHosts { protocol: way, .. } = &mut route.action {
        *way = protocol;
    }
    plan.routes = Table::new(vec![route, Route::by_mx("rest", vec![Pattern::Any])]);
    let system = up(plan);
    peer(&system, HOST).set(script);
    system
}

fn without_dsn(mut script: Script) -> Script {
    script.keywords.retain(|keyword| keyword != "DSN");
    script
}

/// MAIL and RCPT as the host saw them.
fn heard(system: &MailSystem) -> Vec<String> {
    let all = peer(system, HOST).dialogue();
    let commands = all.iter().filter_map(|line| line.strip_prefix("C: "));
    commands
        .filter(|line| line.starts_with("MAIL") || line.starts_with("RCPT"))
        .map(|line| line.split(' ').filter(|word| !word.starts_with("SIZE=")).collect::<Vec<_>>())
        .map(|words| words.join(" "))
        .collect()
}

/// Each recipient's parameters as they were given.
const WISHES: [&str; 5] = [
    "NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Bob+2Bx@d.test",
    "NOTIFY=NEVER",
    "NOTIFY=DELAY ORCPT=x400;/G+3Dbob/",
    "ORCPT=utf-8;j\\x{F6}rg@d.test",
    "",
];

fn letter(number: usize) -> Letter {
    let to = format!("r{number}@d.test");
    Letter::new(1, "writer@sender.test", &[to], 100)
        .with("RET=HDRS ENVID=a+2Bb+3D+20c", WISHES[number])
}

#[test]
fn a_host_that_offers_dsn_gets_the_very_parameters_and_the_duty() {
    let system = by_host(Protocol::Smtp, Script::default());
    for (number, wishes) in WISHES.iter().enumerate() {
        hand_in(&system, letter(number));
        until_quiet(&system, HOUR);
        let heard = heard(&system);
        let [.., mail, rcpt] = heard.as_slice() else { panic!("{heard:?}") };
        assert_eq!(mail, "MAIL FROM:<writer@sender.test> RET=HDRS ENVID=a+2Bb+3D+20c");
        assert_eq!(rcpt, format!("RCPT TO:<r{number}@d.test> {wishes}").trim_end());
    }
    assert_eq!(system.dispatch().counters().notices, 0, "who took it tells");
}

/// No parameters. NOTIFY=NEVER keeps its reverse-path: RFC 3461 section 5.2.2 (d) would rather have an empty one,
/// which hosts of our days refuse for want of SPF and DMARC, so that mail would be lost without a word.
#[test]
fn a_host_that_does_not_offer_it_gets_none_and_we_tell_what_we_know() {
    let old = Script::default().always(Step::Ehlo, Action::Reply("502 5.5.2 what?".into()));
    for script in [without_dsn(Script::default()), old] {
        let system = by_host(Protocol::Smtp, script);
        for number in 0..WISHES.len() {
            hand_in(&system, letter(number));
            until_quiet(&system, HOUR);
            let heard = heard(&system);
            let [.., mail, rcpt] = heard.as_slice() else { panic!("{heard:?}") };
            assert_eq!(mail, "MAIL FROM:<writer@sender.test>");
            assert_eq!(*rcpt, format!("RCPT TO:<r{number}@d.test>"));
        }
        let [failed, delayed, delivered, relayed, cleared] =
            system.dispatch().counters().notices_of;
        assert_eq!((failed, delayed, delivered, relayed, cleared), (0, 0, 0, 1, 0));
    }
}

#[test]
fn a_store_that_offers_it_owes_the_news_and_one_that_does_not_has_delivered() {
    for (script, delivered) in [(Script::lmtp(), 0), (without_dsn(Script::lmtp()), 1)] {
        let system = by_host(Protocol::Lmtp, script);
        hand_in(&system, letter(0));
        until_quiet(&system, HOUR);
        let passed_on = heard(&system).iter().any(|line| line.ends_with(WISHES[0]));
        assert_eq!(passed_on, delivered == 0);
        let counted = system.dispatch().counters().notices_of;
        assert_eq!(counted, [0, 0, delivered, 0, 0]);
    }
}

/// What the next hop may tell the sender is of the address that the sender knows (RFC 3461 section 5.2.7.3).
#[test]
fn a_redirected_recipient_keeps_the_name_that_the_sender_knows() {
    use posthaste_evidence::Act;
    use posthaste_spool::NewPlace;
    use posthaste_spool::decision::{Command, Which};
    let busy = Script::default().on(Step::Rcpt, "@d.test>", Action::Reply("450 4.2.1 busy".into()));
    for (to, known) in [("ann@d.test", "rfc822;ann@d.test"), ("jörg@d.test", "utf-8;jörg@d.test")]
    {
        let system = by_host(Protocol::Smtp, busy.clone());
        hand_in(
            &system,
            Letter::new(1, "writer@sender.test", &strings(&[to]), 100).with("SMTPUTF8", ""),
        );
        system.pass(MINUTE);
        let which = Which::Messages(system.live().iter().map(|live| live.envelope.id).collect());
        let to = Some(NewPlace::Address("new@d.test".into()));
        give(&system, Command { to, ..command(Act::Redirect, which) }).expect("it is taken");
        system.pass(MINUTE);
        let last = heard(&system).pop().expect("it was tried");
        assert_eq!(last, format!("RCPT TO:<new@d.test> ORCPT={known}"));
    }
}
