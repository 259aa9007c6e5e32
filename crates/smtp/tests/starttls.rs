//! STARTTLS as the client speaks it (RFC 3207): what is forgotten, what is refused, what somebody in between puts in.

use bytes::BytesMut;
use posthaste_smtp::client::{Session, Settings, Stage, Step};
use std::sync::Arc;

struct Talk {
    session: Session,
    input: BytesMut,
}

impl Talk {
    /// A session that has been greeted in clear by a server with these keywords.
    fn greeted(keywords: &str) -> Self {
        let session = Session::new(Arc::new(Settings::default()));
        let mut talk = Self { session, input: BytesMut::new() };
        assert_eq!(talk.hear("220 mx\r\n"), ["Banner 220"]);
        assert_eq!(talk.said(), "EHLO localhost\r\n");
        assert_eq!(talk.hear(&format!("250-mx\r\n{keywords}")), ["Ehlo 250", "Ready"]);
        talk
    }

    fn said(&mut self) -> String {
        String::from_utf8(self.session.take_output()).expect("ASCII")
    }

    /// The steps that these octets lead to, up to the one that waits.
    fn hear(&mut self, octets: &str) -> Vec<String> {
        self.input.extend_from_slice(octets.as_bytes());
        let mut steps = Vec::new();
        for _ in 0..8 {
            match self.session.next(&mut self.input) {
                Step::Read { .. } => return steps,
                Step::Reply(stage, reply) => steps.push(format!("{stage:?} {}", reply.code)),
                Step::Ready => steps.push("Ready".into()),
                Step::Secure => steps.push("Secure".into()),
                Step::Injected => steps.push("Injected".into()),
                Step::Gibberish(..) => steps.push("Gibberish".into()),
                Step::Close => steps.push("Close".into()),
                other => panic!("{other:?}"),
            }
            if matches!(steps.last().map(String::as_str), Some("Ready" | "Secure" | "Close")) {
                return steps;
            }
        }
        panic!("the session hangs: {steps:?}");
    }
}

const OFFERS: &str = "250-SIZE 1000\r\n250-AUTH PLAIN\r\n250 STARTTLS\r\n";

#[test]
fn after_the_handshake_all_is_forgotten_and_said_anew() {
    let mut talk = Talk::greeted(OFFERS);
    assert!(talk.session.capabilities().starttls);
    talk.session.start_tls();
    assert_eq!((talk.said().as_str(), talk.session.stage()), ("STARTTLS\r\n", Stage::StartTls));
    assert_eq!(talk.hear("220 go ahead\r\n"), ["StartTls 220", "Secure"]);
    talk.session.secured();
    assert_eq!(talk.session.capabilities(), &Default::default());
    assert!(!talk.session.extended());
    assert_eq!(talk.said(), "EHLO localhost\r\n");
    assert_eq!(talk.hear("250-mx\r\n250 8BITMIME\r\n"), ["Ehlo 250", "Ready"]);
    let offers = talk.session.capabilities();
    assert!(offers.eight_bit_mime && !offers.starttls && !offers.size_announced);
    assert!(offers.auth.is_empty());
}

#[test]
fn refused_the_session_goes_on_in_clear() {
    for refusal in ["454 4.7.0 TLS not available\r\n", "502 no\r\n", "554 5.7.0 no\r\n"] {
        let mut talk = Talk::greeted(OFFERS);
        talk.session.start_tls();
        let steps = talk.hear(refusal);
        assert_eq!(steps, [format!("StartTls {}", &refusal[..3]), "Ready".into()]);
        assert!(talk.session.capabilities().size_announced, "what was said in clear still holds");
    }
}

#[test]
fn what_comes_in_clear_behind_the_reply_is_thrown_away() {
    for injected in ["250 mx\r\n", "250-mx\r\n250 AUTH PLAIN\r\n", "2", "\u{16}\u{3}\u{1}"] {
        let mut talk = Talk::greeted(OFFERS);
        talk.session.start_tls();
        let steps = talk.hear(&format!("220 go ahead\r\n{injected}"));
        assert_eq!(steps, ["StartTls 220", "Injected", "Close"], "{injected:?}");
        assert!(talk.input.is_empty());
    }
}

#[test]
fn other_replies_end_the_session() {
    for (reply, steps) in [
        ("354 go on\r\n", vec!["StartTls 354", "Gibberish", "Close"]),
        ("what?\r\n", vec!["Gibberish", "Close"]),
        ("421 4.3.2 closing\r\n", vec!["StartTls 421", "Close"]),
    ] {
        let mut talk = Talk::greeted(OFFERS);
        talk.session.start_tls();
        assert_eq!(talk.hear(reply), steps, "{reply:?}");
    }
}
