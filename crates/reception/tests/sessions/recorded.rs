//! What of a session goes to the session log: every dialogue, no content, no secret, refused ones too.

use crate::{FRIEND, House, STRANGER, UP_TO_DATA};
use posthaste_evidence::session::Side;
use posthaste_evidence::{Ended, Keep, Session, Stage, Who};

/// The sessions that have ended.
fn recorded(house: &House) -> Vec<Session> {
    house.world.run();
    house.world.sessions.0.lock().expect("no test panics with it").clone()
}

fn dialogue(session: &Session) -> Vec<String> {
    let sign = |who| if who == Who::We { 'S' } else { 'C' };
    let lines = session.tape.lines(Who::They).into_iter();
    lines.map(|line| format!("{} {}", sign(line.who), line.text)).collect()
}

#[test]
fn a_session_is_told_as_it_was_without_its_content() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, UP_TO_DATA);
    house.wait(2);
    let said = house.say(&client, "Subject: secret\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
    let [session] = &recorded(&house)[..] else { panic!("one") };
    let told = dialogue(session);
    assert_eq!(told[0], "S 220 mx.example.org ESMTP Posthaste");
    let content = told.iter().position(|line| line == "C [content, 25 octets]").expect("told");
    assert_eq!(told[content + 1], "C QUIT");
    assert_eq!(Some(&told[content + 2][2..]), said.lines().next());
    assert!(!told.join(" ").contains("secret"), "{told:?}");
    assert_eq!((session.ended, session.refused, session.carried), (Ended::Quit, 0, 1));
    assert_eq!(session.helo.as_deref(), Some("client.example"));
    assert_eq!(session.side, Side::In { listener: "relay".into() });
    let lines = session.tape.lines(Who::They);
    assert!(lines[content].after.as_secs() >= 2 && session.took.as_secs() >= 2);
    let stored = house.store.messages();
    assert_eq!(session.messages, [stored[0].0.envelope.id]);
    assert_eq!(stored[0].0.envelope.source.session, Some(session.id));
    assert!(session.id.is_incoming());
}

/// What a stranger says, and what is told of it.
#[test]
fn refusals_are_told_with_their_reason() {
    for (said, stage, command, code) in [
        (
            "EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@elsewhere.example>\r\n",
            Some(Stage::Rcpt),
            Some("RCPT TO:<b@elsewhere.example>"),
            550,
        ),
        (
            "EHLO c\r\nMAIL FROM:<a@x> SIZE=999999999\r\n",
            Some(Stage::Mail),
            Some("MAIL FROM:<a@x> SIZE=999999999"),
            552,
        ),
        ("EHLO c\r\nMAIL FROM:nobody\r\n", Some(Stage::Mail), Some("MAIL FROM:nobody"), 501),
        ("GET / HTTP/1.1\r\n", None, None, 500),
        ("AUTH PLAIN AGEAYgBj\r\n", None, None, 502),
        (
            "EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nbare\nnewline\r\n.\r\n",
            Some(Stage::Eod),
            None,
            550,
        ),
    ] {
        let house = House::new();
        let client = house.client(STRANGER);
        house.say(&client, said);
        client.close();
        let [session] = &recorded(&house)[..] else { panic!("one: {said}") };
        let refusal = &session.refusals[0];
        assert_eq!((refusal.stage, refusal.command.as_deref()), (stage, command), "{said}");
        assert_eq!((refusal.reply.code, session.refused), (code, 1), "{said}");
        assert!(!dialogue(session).join(" ").contains("AGEAYgBj"), "{said}");
        assert!(!format!("{:?}", session.refusals).contains("AGEAYgBj"), "{said}");
    }
}

#[test]
fn chunks_are_told_by_their_size() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, "EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 6\r\nA: b\r\nBDAT 5 LAST\r\n\r\nhi!QUIT\r\n");
    let [session] = &recorded(&house)[..] else { panic!("one") };
    let told = dialogue(session).join("\n");
    assert!(told.contains("C BDAT 6\n") && told.contains("C BDAT 5 LAST\n"), "{told}");
    assert!(told.contains("C [content, ") && !told.contains("hi!"), "{told}");
    assert_eq!(session.carried, 1);
}

#[test]
fn one_too_many_is_told_though_it_was_never_greeted() {
    let house = House::with(|settings| settings.limits.sessions = 1);
    let _first = house.client(FRIEND);
    let second = house.port.connect(STRANGER);
    assert!(house.heard(&second).starts_with("421"));
    let [session] = &recorded(&house)[..] else { panic!("one") };
    assert_eq!(dialogue(session), ["S 421 4.3.2 Too many sessions, try again later"]);
    assert_eq!(
        (session.ended, session.refusals[0].stage),
        (Ended::TurnedAway, Some(Stage::Banner))
    );
    assert_eq!(session.peer.ip().to_string(), STRANGER);
}

#[test]
fn how_a_session_ends_is_told() {
    let house = House::new();
    let lost = house.client(FRIEND);
    house.say(&lost, UP_TO_DATA);
    house.say(&lost, "half a mess");
    lost.close();
    let late = house.client(FRIEND);
    house.wait(400);
    assert!(house.heard(&late).starts_with("421"));
    late.close();
    house.wait(10);
    let sessions = recorded(&house);
    let ended: Vec<_> = sessions.iter().map(|session| session.ended).collect();
    assert_eq!(ended, [Ended::Lost, Ended::TimedOut]);
    assert!(sessions[0].id < sessions[1].id, "in order of time");
}

#[test]
fn the_settings_say_which_are_kept() {
    for (keep, kept) in [(Keep::All, 2), (Keep::Refused, 1), (Keep::Off, 0)] {
        let house = House::with(|settings| settings.sessions = keep);
        let calm = house.client(FRIEND);
        house.say(&calm, "QUIT\r\n");
        let refused = house.client(STRANGER);
        house.say(&refused, "EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@no.example>\r\nQUIT\r\n");
        assert_eq!(recorded(&house).len(), kept, "{keep:?}");
    }
}
