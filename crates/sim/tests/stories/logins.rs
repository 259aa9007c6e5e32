//! A smarthost that wants us to log in: whatever is wrong with our password, nobody's mail bounces for it.

use crate::words::*;
use posthaste_evidence::{Fault, LoginFault, SecretFault, Stage, Who};
use posthaste_mail::Mechanism;
use posthaste_peers::mail::{Action, Script, Step};
use posthaste_route::{Login, Pattern, Route, SecretSource, SmartHost, Table};
use posthaste_sim::{MailSystem, Plan};

const HUB: &str = "hub";
const USER: &str = "me@sender.test";
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

fn source() -> SecretSource {
    SecretSource::File("/etc/hub.password".into())
}

/// All mail through the hub, which has a private address.
fn plan(auth: Option<Login>) -> Plan {
    let mut plan = Plan::default().host(HUB, &["10.9.0.1"]);
    let hosts = vec![SmartHost { host: "10.9.0.1".into(), port: 25 }];
    let sender = Route::by_mx("own", vec!["sender.test".parse().expect("a pattern")]);
    let hub = Route { auth, ..Route::by_hosts(HUB, vec![Pattern::Any], hosts) };
    plan.routes = Table::new(vec![sender, hub]);
    plan
}

fn login() -> Login {
    let mechanisms = Login::usual_mechanisms(&source());
    Login { user: USER.into(), secret: source(), mechanisms, in_clear: true }
}

fn with(auth: Option<Login>, script: Script, secret: &str) -> MailSystem {
    let system = up(plan(auth));
    peer(&system, HUB).set(script);
    system.secrets.set(&source(), secret);
    system
}

fn open_to(mechanisms: &str) -> Script {
    Script::default().for_account(mechanisms, USER, "open sesame")
}

/// Ten messages, all to domains of their own.
fn send_ten(system: &MailSystem) {
    for number in 0..10 {
        send(system, number, &[&format!("r{number}@d{number}.test")]);
    }
}

fn why(system: &MailSystem) -> Vec<LoginFault> {
    let login = |(_, fault)| match fault {
        Fault::Login { route, fault } if route == HUB => fault,
        other => panic!("{other:?}"),
    };
    system.dispatch().not_let_in().into_iter().map(login).collect()
}

#[test]
fn every_mechanism_gets_in_and_logs_in_once_a_connection() {
    for (mechanisms, used) in [
        ("PLAIN LOGIN SCRAM-SHA-256", "AUTH SCRAM-SHA-256 "),
        ("LOGIN PLAIN", "AUTH PLAIN "),
        ("LOGIN", "AUTH LOGIN"),
    ] {
        let system = with(Some(login()), open_to(mechanisms), "open sesame");
        send_ten(&system);
        until_quiet(&system, HOUR);
        let hub = peer(&system, HUB);
        assert_eq!(hub.arrived(), 10, "{mechanisms}");
        let said: Vec<String> =
            hub.dialogue().into_iter().filter(|line| line.starts_with("C: AUTH")).collect();
        assert_eq!(said.len() as u64, hub.connections(), "{said:?}");
        assert!(said.iter().all(|line| line[3..].starts_with(used)), "{said:?}");
    }
    let token = SecretSource::Command(vec!["/usr/bin/token".into()]);
    let mechanisms = vec![Mechanism::XOAuth2];
    let auth = Login { secret: token.clone(), mechanisms, ..login() };
    let system = with(Some(auth), open_to("XOAUTH2 PLAIN"), "");
    system.secrets.set(&token, "open sesame");
    send_ten(&system);
    until_quiet(&system, HOUR);
    assert_eq!(peer(&system, HUB).arrived(), 10);
}

#[test]
fn a_wrong_password_for_three_days_costs_one_trial_a_step_and_no_bounce() {
    let system = with(Some(login()), open_to("PLAIN"), "wrong");
    send_ten(&system);
    system.pass(3 * DAY);
    assert_eq!(system.live().len(), 10, "it waits");
    assert!(notices(&system).is_empty(), "nobody is told that it failed");
    assert!(matches!(why(&system)[..], [LoginFault::Refused { ref reply }] if reply.code == 535));
    let trials = peer(&system, HUB).connections();
    assert!((70..=90).contains(&trials), "an hour apart in the end: {trials}");
    assert_eq!(peer(&system, HUB).mails(), 0);

    system.secrets.set(&source(), "open sesame");
    assert_eq!(system.reload(&plan(Some(login()))), 10, "all of it is due");
    let took = until_quiet(&system, 10 * MINUTE);
    assert!(took < MINUTE, "{took:?}");
    assert_eq!(peer(&system, HUB).arrived(), 10);
    assert!(why(&system).is_empty());
    assert!(notices(&system).is_empty());
}

#[test]
fn a_hub_that_wants_a_login_nobody_configured_is_a_cause_of_its_own_too() {
    for reply in ["530 5.7.0 log in", "550 5.7.57 not authenticated"] {
        let script = Script::default().always(Step::Mail, Action::Reply(reply.into()));
        let system = with(None, script, "");
        send_ten(&system);
        system.pass(3 * DAY);
        assert_eq!(system.live().len(), 10, "it waits");
        assert!(notices(&system).is_empty());
        let wanted = &why(&system)[..];
        assert!(matches!(wanted, [LoginFault::Wanted { stage: Stage::Mail, .. }]), "{wanted:?}");
        let trials = peer(&system, HUB).mails();
        assert!(trials <= 100, "one trial a step: {trials}");

        peer(&system, HUB).set(open_to("PLAIN"));
        system.secrets.set(&source(), "open sesame");
        assert_eq!(system.reload(&plan(Some(login()))), 10);
        until_quiet(&system, HOUR);
        assert_eq!(peer(&system, HUB).arrived(), 10);
        assert!(why(&system).is_empty());
    }
}

#[test]
fn where_mail_went_through_once_it_goes_through_again_when_the_hub_wants_no_login_any_more() {
    let script = Script::default().always(Step::Mail, Action::Reply("530 5.7.0 log in".into()));
    let system = with(None, script, "");
    send_ten(&system);
    system.pass(HOUR);
    assert_eq!(why(&system).len(), 1);
    peer(&system, HUB).set(Script::default());
    until_quiet(&system, 3 * HOUR);
    assert_eq!(peer(&system, HUB).arrived(), 10);
    assert!(why(&system).is_empty());
}

#[test]
fn what_refusals_come_to() {
    let refuse = |reply: &str| open_to("PLAIN").always(Step::Auth, Action::Reply(reply.into()));
    for (reply, ours) in [
        ("535 5.7.8 no", true),
        ("534 5.7.9 too weak", true),
        ("538 5.7.11 encrypt", true),
        ("504 5.5.4 what?", true),
        ("454 4.7.0 later", false),
        ("432 4.7.12 new password needed", false),
        ("421 4.3.2 bye", false),
    ] {
        let system = with(Some(login()), refuse(reply), "open sesame");
        send_ten(&system);
        system.pass(2 * HOUR);
        assert_eq!(system.live().len(), 10, "{reply}: it waits");
        let refused = matches!(why(&system)[..], [LoginFault::Refused { .. }]);
        assert_eq!(refused, ours, "{reply}: {:?}", why(&system));
        assert_eq!(peer(&system, HUB).mails(), 0, "{reply}");
    }
}

#[test]
fn what_is_wrong_before_a_word_of_the_secret_is_said() {
    let in_clear = Login { in_clear: false, ..login() };
    let other = Login { secret: SecretSource::Environment("NONE".into()), ..login() };
    for (auth, mechanisms, expected) in [
        (in_clear, "PLAIN", LoginFault::NeedsTls),
        (login(), "GSSAPI", LoginFault::NoCommonMechanism),
        (other, "PLAIN", LoginFault::Secret(SecretFault::Unset)),
    ] {
        let system = with(Some(auth), open_to(mechanisms), "open sesame");
        send_ten(&system);
        system.pass(HOUR);
        assert_eq!(why(&system), [expected]);
        assert_eq!(system.live().len(), 10);
        let said = peer(&system, HUB).dialogue();
        assert!(!said.iter().any(|line| line.contains("AUTH ") && line.starts_with('C')));
    }
}

#[test]
fn the_session_log_and_the_queue_have_no_secret() {
    let system = with(Some(login()), open_to("PLAIN LOGIN"), "open sesame");
    send_ten(&system);
    until_quiet(&system, HOUR);
    system.pass(HOUR);
    let sessions = system.relay.journal().sessions();
    let lines =
        |who| sessions.iter().flat_map(|session| session.tape.lines(who)).collect::<Vec<_>>();
    let told = format!("{:?}", lines(Who::We));
    assert!(told.contains("AUTH PLAIN"), "{told}");
    for secret in ["open sesame", "AG1lQHNlbmRlci50ZXN0AG9wZW4gc2VzYW1l", "b3BlbiBzZXNhbWU="] {
        assert!(!told.contains(secret), "{secret}");
    }
}
