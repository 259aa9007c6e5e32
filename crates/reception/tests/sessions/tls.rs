//! Sessions under TLS: what is offered, what is forgotten, what is recorded, and that nothing gets in from before.

use crate::{FRIEND, House, STRANGER, codes};
use posthaste_evidence::{Ended, Session, TlsFault, Untrusted};
use posthaste_io::{Clients, Identity};
use posthaste_io_sim::client_hello;
use posthaste_mail::{Secret, SourceKind};
use posthaste_reception::{Certified, Listener, ListenerKind, ListenerTls};
use std::sync::Arc;

/// A house with a certificate, whose door is changed.
fn house(change: impl FnOnce(&mut Listener)) -> House {
    let house = House::with(|settings| change(&mut settings.listeners[0]));
    let identity = Identity { chain: "".into(), key: Secret::default() };
    house.reception.set_identities(Arc::from([identity]));
    house
}

fn recorded(house: &House) -> Vec<Session> {
    house.world.run();
    house.world.sessions.0.lock().expect("no test panics with it").clone()
}

fn hello() -> Vec<u8> {
    client_hello(Some("mx.example.org"), None)
}

const MESSAGE: &str = "EHLO later.example\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@example.org>\r\n\
    DATA\r\nSubject: s\r\n\r\nbody\r\n.\r\n";

#[test]
fn after_starttls_the_session_begins_anew_and_says_so() {
    let house = house(|_| {});
    let client = house.client(STRANGER);
    let ehlo = house.say(&client, "EHLO early.example\r\n");
    assert!(ehlo.contains("250-STARTTLS\r\n"), "{ehlo}");
    assert_eq!(house.say(&client, "STARTTLS\r\n"), "220 2.0.0 Ready to start TLS\r\n");
    house.say(&client, hello());
    assert_eq!(codes(&house.say(&client, "MAIL FROM:<a@x.example>\r\n")), ["503"]);
    let ehlo = house.say(&client, "EHLO later.example\r\n");
    assert!(!ehlo.contains("STARTTLS") && ehlo.contains("PIPELINING"), "{ehlo}");
    assert_eq!(codes(&house.say(&client, "STARTTLS\r\n")), ["503"]);
    assert_eq!(codes(&house.say(&client, MESSAGE)).last(), Some(&"250"));
    assert_eq!(codes(&house.say(&client, "QUIT\r\n")), ["221"]);
    assert!(client.is_closed(), "the end is told");
    client.close();
    let [stored] = &house.stored()[..] else { panic!("one") };
    let expected = "Received: from later.example ([192.0.2.9])\r\n\t(using TLSv1.3 with cipher SIMULATED)\r\n\t\
        by mx.example.org with ESMTPS id ";
    assert!(stored.starts_with(expected), "{stored}");
    let [session] = &recorded(&house)[..] else { panic!("one") };
    let tls = session.tls.as_ref().expect("it was secured");
    assert_eq!((tls.protocol.as_str(), tls.asked.as_deref()), ("TLSv1.3", Some("mx.example.org")));
    assert_eq!((session.ended, session.helo.as_deref()), (Ended::Quit, Some("later.example")));
    let counts = house.reception.counts();
    assert_eq!((counts.secured, counts.handshakes_failed, counts.injected), (1, 0, 0));
}

/// CVE-2011-0411: what somebody in between puts behind STARTTLS must not be taken for what comes encrypted.
#[test]
fn nothing_said_in_clear_is_executed_under_tls() {
    let evil = "RSET\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<b@example.org>\r\n";
    for tail in [evil.to_owned(), "MAIL FR".into(), format!("{evil}DATA\r\n"), "\r\n".into()] {
        let house = house(|_| {});
        let client = house.client(STRANGER);
        house.say(&client, "EHLO early.example\r\n");
        assert_eq!(codes(&house.say(&client, format!("STARTTLS\r\n{tail}"))), ["220"], "{tail}");
        let said = house.say(&client, hello());
        assert_eq!(codes(&said), Vec::<&str>::new(), "nothing of it is answered: {said}");
        assert_eq!(codes(&house.say(&client, "RCPT TO:<b@example.org>\r\n")), ["503"], "{tail}");
        assert_eq!(codes(&house.say(&client, MESSAGE)), ["250", "250", "250", "354", "250"]);
        assert_eq!(house.reception.counts().injected, 1);
        let [stored] = &house.stored()[..] else { panic!("one") };
        assert!(!stored.contains("evil"), "{stored}");
    }
}

/// What comes between `220` and the handshake is no TLS: the session ends, and nothing was executed.
#[test]
fn what_comes_in_clear_after_the_answer_ends_the_session() {
    let house = house(|_| {});
    let client = house.client(FRIEND);
    house.say(&client, "EHLO c\r\n");
    house.say(&client, "STARTTLS\r\n");
    assert_eq!(house.say(&client, MESSAGE), "");
    assert!(client.is_closed());
    assert!(house.stored().is_empty());
    let [session] = &recorded(&house)[..] else { panic!("one") };
    assert_eq!(session.tls_fault.as_deref(), Some(&TlsFault::NotTls));
    assert_eq!(house.reception.counts().handshakes_failed, 1);
}

#[test]
fn a_transaction_is_not_carried_into_tls() {
    let house = house(|_| {});
    let client = house.client(FRIEND);
    house.say(&client, "EHLO c\r\nMAIL FROM:<a@x.example>\r\n");
    assert_eq!(codes(&house.say(&client, "STARTTLS\r\n")), ["503"]);
    assert_eq!(codes(&house.say(&client, "RSET\r\nSTARTTLS\r\n")), ["250", "220"]);
}

#[test]
fn what_counts_against_a_client_goes_on_counting() {
    let house = House::with(|settings| {
        settings.limits.errors = 3;
        settings.limits.tarpit_after = 0;
    });
    let identity = Identity { chain: "".into(), key: Secret::default() };
    house.reception.set_identities(Arc::from([identity]));
    let client = house.client(STRANGER);
    house.say(&client, "EHLO c\r\nX\r\nX\r\nSTARTTLS\r\n");
    house.say(&client, hello());
    assert_eq!(codes(&house.say(&client, "X\r\nX\r\nX\r\n")), ["500", "500", "421"]);
}

#[test]
fn implicit_tls_comes_before_the_greeting() {
    let house = house(|listener| listener.tls = ListenerTls::Implicit);
    let client = house.port.connect(STRANGER);
    assert_eq!(house.heard(&client), "", "nothing in clear");
    let said = house.say(&client, hello());
    assert!(said.contains("\n220 mx.example.org ESMTP"), "{said}");
    assert!(!house.say(&client, "EHLO c\r\n").contains("STARTTLS"));
    let confused = house.port.connect(STRANGER);
    assert_eq!(house.say(&confused, "EHLO c\r\n"), "", "no SMTP is spoken in clear");
    assert!(confused.is_closed());
}

#[test]
fn a_handshake_that_does_not_end_is_ended() {
    for tls in [ListenerTls::Implicit, ListenerTls::StartTls] {
        let house = house(|listener| listener.tls = tls);
        let client = house.port.connect(STRANGER);
        if tls == ListenerTls::StartTls {
            house.say(&client, "EHLO c\r\nSTARTTLS\r\n");
        }
        client.send(&hello()[..3]);
        house.wait(29);
        assert!(!client.is_closed());
        // An octet now and then makes no difference.
        client.send(b" ");
        house.wait(2);
        assert!(client.is_closed());
        let [session] = &recorded(&house)[..] else { panic!("one") };
        assert_eq!(session.tls_fault.as_deref(), Some(&TlsFault::TimedOut));
        assert_eq!(session.ended, Ended::TimedOut);
    }
}

#[test]
fn without_a_certificate_and_where_it_is_off_there_is_no_starttls() {
    let without = House::new();
    let off = house(|listener| listener.tls = ListenerTls::Off);
    for house in [without, off] {
        let client = house.client(STRANGER);
        assert!(!house.say(&client, "EHLO c\r\n").contains("STARTTLS"));
        assert_eq!(codes(&house.say(&client, "STARTTLS\r\n")), ["502"]);
    }
    let house = house(|_| {});
    let program = house.local_client();
    assert!(!house.say(&program, "EHLO c\r\n").contains("STARTTLS"), "on this machine");
}

#[test]
fn a_certificate_that_is_listed_opens_the_relay() {
    let listed = || vec![Certified::Name("mail.client.example".into())];
    let asked = || Clients::Asked(Some("".into()));
    for (clients, listed, shown, relays) in [
        (asked(), listed(), Some(("mail.client.example", true)), true),
        (asked(), listed(), Some(("mail.client.example", false)), false),
        (asked(), listed(), Some(("other.example", true)), false),
        (asked(), listed(), None, false),
        (asked(), Vec::new(), Some(("mail.client.example", true)), false),
        (asked(), vec![Certified::Key([2; 32])], Some(("whoever", false)), true),
        (Clients::Unasked, listed(), Some(("mail.client.example", true)), false),
    ] {
        let house = house(|listener| {
            listener.kind = ListenerKind::Inbound;
            (listener.clients, listener.relay_certificates) = (clients.clone(), listed.clone());
        });
        let client = house.client(STRANGER);
        house.say(&client, "EHLO c\r\nSTARTTLS\r\n");
        house.say(&client, client_hello(None, shown));
        let said = house
            .say(&client, "EHLO c\r\nMAIL FROM:<a@x.example>\r\nRCPT TO:<b@elsewhere.example>\r\n");
        let code = if relays { "250" } else { "550" };
        assert_eq!(codes(&said), ["250", "250", code], "{clients:?} {listed:?} {shown:?}");
        if relays {
            house.say(&client, "DATA\r\nSubject: s\r\n\r\nx\r\n.\r\n");
            assert_eq!(house.store.messages()[0].0.envelope.source.kind, SourceKind::Relay);
        }
        house.say(&client, "QUIT\r\n");
        client.close();
        let [session] = &recorded(&house)[..] else { panic!("one") };
        let told = session.tls.as_ref().and_then(|tls| tls.client.clone());
        let expected = shown.filter(|_| clients != Clients::Unasked);
        assert_eq!(
            told.map(|shown| shown.chain[0].names.clone()),
            expected.map(|(n, _)| vec![n.into()])
        );
    }
}

#[test]
fn a_door_that_requires_a_certificate_takes_nobody_without_one() {
    let unknown = TlsFault::Untrusted { why: Untrusted::UnknownIssuer, certificate: None };
    for (shown, fault) in [
        (None, Some(TlsFault::NoCertificate)),
        (Some(("c.example", false)), Some(unknown)),
        (Some(("c.example", true)), None),
    ] {
        let house = house(|listener| listener.clients = Clients::Required("".into()));
        let client = house.client(STRANGER);
        house.say(&client, "EHLO c\r\nSTARTTLS\r\n");
        house.say(&client, client_hello(None, shown));
        assert_eq!(client.is_closed(), fault.is_some());
        client.close();
        let [session] = &recorded(&house)[..] else { panic!("one") };
        assert_eq!(session.tls_fault.as_deref(), fault.as_ref());
    }
}

#[test]
fn a_stop_does_not_wait_for_handshakes() {
    let house = house(|listener| listener.tls = ListenerTls::Implicit);
    let client = house.port.connect(STRANGER);
    house.world.run();
    assert_eq!(house.reception.open_sessions(), 1);
    house.reception.set_maintenance(true);
    house.world.run();
    assert!(client.is_closed());
    assert_eq!(house.reception.open_sessions(), 0);
}
