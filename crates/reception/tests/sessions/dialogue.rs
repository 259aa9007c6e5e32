//! What is said, and what is stored of it.

use crate::{FRIEND, House, STRANGER, UP_TO_DATA, codes};
use posthaste_mail::{BodyType, ReversePath, SourceKind};
use posthaste_reception::ListenerKind;

#[test]
fn a_message_is_stored_with_all_that_is_known_of_it() {
    let house = House::new();
    let client = house.client(FRIEND);
    let ehlo = house.say(&client, "EHLO client.example\r\n");
    for keyword in ["PIPELINING", "SIZE 37748736", "8BITMIME", "SMTPUTF8", "DSN", "CHUNKING"] {
        assert!(ehlo.contains(keyword), "{ehlo}");
    }
    assert!(!ehlo.contains("STARTTLS"), "{ehlo}");
    let mail = "MAIL FROM:<a@client.example> BODY=8BITMIME RET=HDRS ENVID=e1\r\n";
    assert_eq!(codes(&house.say(&client, mail)), ["250"]);
    let rcpt = "RCPT TO:<b@remote.example> NOTIFY=FAILURE ORCPT=rfc822;c@x\r\n";
    assert_eq!(codes(&house.say(&client, rcpt)), ["250"]);
    assert_eq!(codes(&house.say(&client, "DATA\r\n")), ["354"]);
    let data = "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\nFrom: a@client.example\r\n\
        Message-ID: <1@client.example>\r\n\r\n..dot\r\nbody\r\n.\r\n";
    let said = house.say(&client, data);
    let stored = house.store.messages();
    let [(live, content)] = stored.as_slice() else { panic!("{stored:?}") };
    let envelope = &live.envelope;
    assert_eq!(said, format!("250 2.0.0 queued as {}\r\n", envelope.id));
    let trace = format!(
        "Received: from client.example ([127.0.0.1])\r\n\tby mx.example.org with ESMTP id {}\r\n\
         \tfor <b@remote.example>;\r\n\tSat, 21 Nov 2026 06:53:04 +0000\r\n",
        envelope.id
    );
    let content = String::from_utf8_lossy(content);
    let (ours, theirs) = content.split_at(trace.len());
    assert_eq!(ours, trace);
    assert_eq!(theirs, data.replace("\r\n..", "\r\n.").replace("\r\n.\r\n", "\r\n"));
    assert_eq!(envelope.facts.size, content.len() as u64);
    assert_eq!((envelope.facts.received, envelope.facts.dotted), (1, true));
    assert_eq!(envelope.summary.subject.as_deref(), Some("Grüße"));
    assert_eq!(envelope.summary.message_id.as_deref(), Some("<1@client.example>"));
    assert_eq!(
        (envelope.body_type, envelope.envid.as_deref()),
        (BodyType::EightBitMime, Some("e1"))
    );
    assert_eq!(envelope.recipients[0].orcpt.as_deref(), Some("rfc822;c@x"));
    assert!(envelope.recipients[0].notify.is_some_and(|n| n.failure && !n.delay));
    let source = &envelope.source;
    assert_eq!((source.kind, source.listener.as_str()), (SourceKind::Relay, "relay"));
    assert_eq!((source.helo.as_str(), source.ip), ("client.example", FRIEND.parse().ok()));
    assert_eq!(live.states.len(), 1);
    assert_eq!(codes(&house.say(&client, "QUIT\r\n")), ["221"]);
    assert!(client.is_closed());
    let counts = house.reception.counts();
    assert_eq!((counts.sessions, counts.messages, counts.recipients), (1, 1, 1));
    assert_eq!((counts.octets, house.reception.open_sessions()), (content.len() as u64, 0));
}

#[test]
fn a_pipelined_group_is_answered_in_one_write() {
    let house = House::new();
    let client = house.client(FRIEND);
    let before = client.writes();
    let said = house.say(&client, UP_TO_DATA);
    assert_eq!(codes(&said), ["250", "250", "250", "354"]);
    assert_eq!(client.writes(), before + 1);
    let said = house.say(&client, "A: b\r\n\r\nx\r\n.\r\nQUIT\r\n");
    assert_eq!(codes(&said), ["250", "221"]);
    assert_eq!(client.writes(), before + 2);
}

#[test]
fn an_acceptance_does_not_wait_for_the_next_message() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, "EHLO client.example\r\n");
    let one = "MAIL FROM:<>\r\nRCPT TO:<b@remote.example>\r\nBDAT 8 LAST\r\nA: b\r\n\r\n";
    house.store.hold();
    client.send(one.repeat(2));
    assert_eq!(house.heard(&client), "");
    house.store.go_on();
    assert_eq!(codes(&house.heard(&client)), ["250"; 6]);

    house.store.hold();
    client.send(one.repeat(2));
    house.world.run();
    assert_eq!(house.store.messages().len(), 3, "the second waits for the first");
    house.store.let_through(1);
    assert_eq!(codes(&house.heard(&client)), ["250"; 5], "all but the second acceptance");
    assert_eq!(house.store.messages().len(), 4);
    house.store.go_on();
    assert_eq!(codes(&house.heard(&client)), ["250"]);
}

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, UP_TO_DATA);
    house.store.hold();
    assert_eq!(house.say(&client, "A: b\r\n\r\n.\r\n"), "");
    house.wait(30);
    assert_eq!(client.heard(), "");
    house.store.go_on();
    assert_eq!(codes(&house.heard(&client)), ["250"]);
}

#[test]
fn a_store_that_takes_too_long_is_not_waited_for_for_ever() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, UP_TO_DATA);
    house.store.hold();
    house.say(&client, "A: b\r\n\r\n.\r\n");
    house.wait(301);
    let said = client.heard();
    assert!(said.starts_with("451 4.3.0"), "{said}");
    assert_eq!(house.reception.counts().refused_store, 1);
    assert_eq!(codes(&house.say(&client, "NOOP\r\n")), ["250"]);
}

#[test]
fn strangers_reach_our_domains_and_postmaster_only() {
    let house = House::with(|s| s.limits.tarpit_after = 0);
    let client = house.client(STRANGER);
    house.say(&client, "HELO stranger.example\r\nMAIL FROM:<x@stranger.example>\r\n");
    for (to, reply) in [
        ("b@remote.example", "550 5.7.1 "),
        ("b@example.org", "250 2.1.5 "),
        ("B@EXAMPLE.ORG", "250 2.1.5 "),
        ("postmaster", "250 2.1.5 "),
        ("PostMaster@mx.example.org", "250 2.1.5 "),
        ("b@mx.example.org", "550 5.7.1 "),
        ("@example.org:b@remote.example", "550 5.7.1 "),
        ("b%remote.example@example.org", "550 5.7.1 "),
        ("\"b@example.org\"@remote.example", "550 5.7.1 "),
    ] {
        let said = house.say(&client, format!("RCPT TO:<{to}>\r\n"));
        assert!(said.starts_with(reply), "{to}: {said}");
    }
    assert_eq!(house.reception.counts().refused_relay, 5);
    house.say(&client, "DATA\r\n");
    assert_eq!(codes(&house.say(&client, "A: b\r\n\r\n.\r\n")), ["250"]);
    let (live, content) = house.store.messages().remove(0);
    assert_eq!(live.envelope.source.kind, SourceKind::Inbound);
    let to: Vec<_> = live.envelope.recipients.iter().map(|r| r.mailbox.as_str()).collect();
    assert_eq!(to[2], "postmaster@example.org");
    let content = String::from_utf8_lossy(&content);
    assert!(content.contains("with SMTP id") && !content.contains("for <"), "{content}");
}

#[test]
fn at_an_inbound_door_nobody_relays() {
    let house = House::with(|s| s.listeners[0].kind = ListenerKind::Inbound);
    let client = house.client(FRIEND);
    house.say(&client, "EHLO a\r\nMAIL FROM:<>\r\n");
    assert_eq!(codes(&house.say(&client, "RCPT TO:<b@remote.example>\r\n")), ["550"]);
    assert_eq!(codes(&house.say(&client, "RCPT TO:<b@example.org>\r\n")), ["250"]);
}

#[test]
fn a_session_goes_on_after_refusals_and_resets() {
    let house = House::new();
    let client = house.client(FRIEND);
    for (line, code) in [
        ("MAIL FROM:<a@b>", "503"),
        ("EHLO a", "250"),
        ("RCPT TO:<a@b>", "503"),
        ("DATA", "503"),
        ("MAIL FROM:<a@b> SIZE=99999999999", "552"),
        ("MAIL FROM:<a@b>", "250"),
        ("MAIL FROM:<a@b>", "503"),
        ("DATA", "554"),
        ("RCPT TO:<no>", "501"),
        ("RSET", "250"),
        ("RCPT TO:<a@b>", "503"),
        ("VRFY a", "252"),
        ("HELP", "214"),
        ("NOOP", "250"),
        ("STARTTLS", "502"),
        ("WHAT", "500"),
    ] {
        assert_eq!(codes(&house.say(&client, format!("{line}\r\n"))), [code], "{line}");
    }
    house.say(&client, UP_TO_DATA);
    assert_eq!(codes(&house.say(&client, "A: b\r\n\r\n.\r\n")), ["250"]);
    assert_eq!(house.reception.counts().refused_commands, 10);
}

#[test]
fn smtputf8_is_kept_and_said() {
    let house = House::new();
    let client = house.client(FRIEND);
    house.say(&client, "EHLO a\r\nMAIL FROM:<jörg@b> SMTPUTF8\r\nRCPT TO:<zoë@c>\r\nDATA\r\n");
    assert_eq!(codes(&house.say(&client, "A: b\r\n\r\n.\r\n")), ["250"]);
    let (live, content) = house.store.messages().remove(0);
    assert!(live.envelope.smtputf8);
    assert!(
        matches!(live.envelope.reverse_path, ReversePath::Mailbox(m) if m.as_str() == "jörg@b")
    );
    let content = String::from_utf8(content).expect("UTF-8");
    assert!(content.contains("with UTF8SMTP id") && content.contains("for <zoë@c>"), "{content}");
}
