//! AUTH as a client (RFC 4954): the command, challenges, refusals, and a server that cannot prove itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use posthaste_mail::Secret;
use posthaste_smtp::client::{Session, Settings, Stage, Step, without_secrets};
use posthaste_smtp::sasl::Mechanism;
use posthaste_smtp::sasl::client::{Exchange, ExchangeFault};
use posthaste_smtp::sasl::scram::{
    ClientFinal, ClientFirst, NONCE, ScramFault, ServerFinal, ServerFirst, Stored, auth_message,
};
use std::sync::Arc;

const GREETING: &[u8] = b"220 mx\r\n250-mx\r\n250 AUTH PLAIN LOGIN SCRAM-SHA-256 XOAUTH2\r\n";

/// A session that has greeted the server and sent AUTH.
fn session(mechanism: Mechanism, secret: &str) -> Session {
    let mut session = Session::new(Arc::new(Settings::default()));
    feed(&mut session, GREETING);
    let exchange = Exchange::new(mechanism, "me", Secret::new(secret), &[7; NONCE]);
    let _ = session.take_output();
    session.log_in(exchange.expect("it can be sent"));
    session
}

/// The steps that the octets lead to, up to the next wait.
fn feed(session: &mut Session, octets: &[u8]) -> Vec<Step> {
    let mut input = BytesMut::from(octets);
    let mut steps = Vec::new();
    loop {
        match session.next(&mut input) {
            Step::Read { .. } => return steps,
            step @ (Step::Ready | Step::Close) => {
                steps.push(step);
                return steps;
            }
            step => steps.push(step),
        }
    }
}

fn said(session: &mut Session) -> String {
    String::from_utf8(session.take_output()).expect("commands are text")
}

#[test]
fn what_replies_to_auth_come_to() {
    for (mechanism, replies, lines, logged_in) in [
        (Mechanism::Plain, &["235 2.7.0 welcome"][..], &["AUTH PLAIN AG1lAHB3\r\n"][..], true),
        (Mechanism::Plain, &["334 ", "235 ok"], &["AUTH PLAIN AG1lAHB3\r\n", "*\r\n"], false),
        (Mechanism::Plain, &["535 5.7.8 no"], &["AUTH PLAIN AG1lAHB3\r\n"], false),
        (Mechanism::Plain, &["454 4.7.0 later"], &["AUTH PLAIN AG1lAHB3\r\n"], false),
        (Mechanism::Plain, &["504 5.5.4 what?"], &["AUTH PLAIN AG1lAHB3\r\n"], false),
        (
            Mechanism::Login,
            &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 ok"],
            &["AUTH LOGIN\r\n", "bWU=\r\n", "cHc=\r\n"],
            true,
        ),
        (
            Mechanism::Login,
            &["334 who?", "334 and?", "334 more?", "501 cancelled"],
            &["AUTH LOGIN\r\n", "bWU=\r\n", "cHc=\r\n", "*\r\n"],
            false,
        ),
        (
            Mechanism::XOAuth2,
            &["334 eyJzdGF0dXMiOiI0MDEifQ==", "535 5.7.8 no"],
            &["AUTH XOAUTH2 dXNlcj1tZQFhdXRoPUJlYXJlciBwdwEB\r\n", "\r\n"],
            false,
        ),
    ] {
        let mut session = session(mechanism, "pw");
        let mut sent = vec![said(&mut session)];
        let mut steps = Vec::new();
        for reply in replies {
            assert_eq!(session.stage(), Stage::Auth, "{replies:?}");
            steps = feed(&mut session, format!("{reply}\r\n").as_bytes());
            sent.push(said(&mut session));
        }
        sent.retain(|line| !line.is_empty() && line != "QUIT\r\n");
        assert_eq!(sent, lines, "{replies:?}");
        assert_eq!(session.logged_in(), logged_in, "{replies:?}");
        let cancelled_and_welcomed =
            lines.last() == Some(&"*\r\n") && replies.last() == Some(&"235 ok");
        let end = if cancelled_and_welcomed { Step::Close } else { Step::Ready };
        assert_eq!(steps.last(), Some(&end), "{replies:?}");
    }
}

#[test]
fn a_secret_too_long_for_the_command_waits_for_its_turn() {
    let mut session = session(Mechanism::XOAuth2, &"t".repeat(2000));
    assert_eq!(said(&mut session), "AUTH XOAUTH2\r\n");
    feed(&mut session, b"334 \r\n");
    let answer = said(&mut session);
    assert!(answer.len() > 2000 && answer.starts_with("dXNlcj1tZQ"), "{answer}");
    assert_eq!(feed(&mut session, b"235 ok\r\n").last(), Some(&Step::Ready));
    assert!(session.logged_in());
}

#[test]
fn an_answer_over_the_limit_is_not_sent() {
    let mut session = session(Mechanism::XOAuth2, &"t".repeat(12_000));
    feed(&mut session, b"334 \r\n");
    assert_eq!(said(&mut session), "AUTH XOAUTH2\r\n*\r\n");
    feed(&mut session, b"501 cancelled\r\n");
    assert_eq!(session.login_fault(), Some(ExchangeFault::Unsuitable));
}

/// A server that knows the keys of `password`; `signs` says whether it sends its signature before 235.
fn scram(password: &str, signs: bool) -> (Session, Vec<Step>) {
    let mut session = session(Mechanism::ScramSha256, "pencil");
    let line = said(&mut session);
    let first = line.strip_prefix("AUTH SCRAM-SHA-256 ").expect("with its first message");
    let first = ClientFirst::read(&STANDARD.decode(first.trim()).expect("base64")).expect("SCRAM");
    let keys = Stored::of(&Secret::new(password), b"salt", 4096);
    let server = ServerFirst::new(&first, "theirs", &keys.salt, keys.iterations);
    feed(&mut session, format!("334 {}\r\n", STANDARD.encode(server.text())).as_bytes());
    let last = STANDARD.decode(said(&mut session).trim()).expect("base64");
    let last = ClientFinal::read(&last, &first, &server).expect("SCRAM");
    if signs {
        let signed = auth_message(&first, &server, &last);
        let signature = ServerFinal::Signature(keys.server.sign(&signed)).text();
        feed(&mut session, format!("334 {}\r\n", STANDARD.encode(signature)).as_bytes());
    }
    let steps = feed(&mut session, b"235 2.7.0 welcome\r\n");
    (session, steps)
}

#[test]
fn a_server_that_cannot_prove_itself_gets_no_mail() {
    let (session, steps) = scram("pencil", true);
    assert!(session.logged_in());
    assert_eq!(steps.last(), Some(&Step::Ready));
    for (password, signs) in [("pencil", false), ("another", true)] {
        let (mut session, steps) = scram(password, signs);
        assert!(!session.logged_in());
        let unproven = ExchangeFault::Scram(ScramFault::ServerUnproven);
        assert_eq!(session.login_fault(), Some(unproven), "{password} {signs}");
        assert_eq!(steps.last(), Some(&Step::Close));
        assert!(said(&mut session).ends_with("QUIT\r\n"));
    }
}

#[test]
fn nonsense_in_reply_to_auth_ends_the_session() {
    for reply in ["250 ok", "354 go on", "100 ?"] {
        let mut session = session(Mechanism::Plain, "pw");
        let steps = feed(&mut session, format!("{reply}\r\n").as_bytes());
        assert!(
            matches!(&steps[..], [_, Step::Gibberish(Stage::Auth, None), Step::Close]),
            "{steps:?}"
        );
    }
    let mut closing = session(Mechanism::Plain, "pw");
    let steps = feed(&mut closing, b"421 4.3.2 bye\r\n");
    assert_eq!(steps.last(), Some(&Step::Close));
    assert!(!closing.logged_in());
}

#[test]
fn what_is_shown_has_no_secret() {
    for (line, shown) in [
        ("AUTH PLAIN AG1lAHB3\r\n", "AUTH PLAIN ***\r\n"),
        ("AUTH LOGIN\r\n", "AUTH LOGIN\r\n"),
        ("cHc=\r\n", "***\r\n"),
        ("*\r\n", "*\r\n"),
    ] {
        assert_eq!(without_secrets(line.as_bytes()), shown.as_bytes());
    }
}

#[test]
fn a_server_that_gives_back_what_it_refuses_tells_nobody_else() {
    let raw = "open sesame";
    let plain = STANDARD.encode(format!("\0me\0{raw}"));
    for (mechanism, said) in [
        (Mechanism::Plain, format!("535-5.7.8 bad credentials: {plain}\r\n535 5.7.8 {raw}\r\n")),
        (Mechanism::Plain, format!("421 4.7.0 go away with {raw}\r\n")),
        (
            Mechanism::Login,
            format!("334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 {}\r\n", STANDARD.encode(raw)),
        ),
    ] {
        let steps = feed(&mut session(mechanism, raw), said.as_bytes());
        let told = format!("{steps:?}");
        let parts = [raw, &plain, &plain[4..16], &STANDARD.encode(raw)];
        assert!(parts.iter().all(|part| !told.contains(part)), "{told}");
        assert!(told.contains("***"), "{told}");
    }
}
