//! Programs on this machine, over a socket of their own: they relay, and what they hand in is made whole.

use crate::House;
use posthaste_mail::{Mailbox, SourceKind};

#[test]
fn a_program_on_this_machine_relays_and_its_message_is_made_whole() {
    let house = House::with(|s| {
        s.origin = "example.org".to_owned();
        // Whatever is said of networks does not concern them.
        s.relay_networks.clear();
    });
    let client = house.local_client();
    house.say(&client, "EHLO www\r\nMAIL FROM:<www@example.org> RET=HDRS ENVID=7\r\n");
    house.say(&client, "RCPT TO:<b@remote.example> NOTIFY=NEVER\r\nDATA\r\n");
    let message = "From: www (Web)\r\nBcc: secret@remote.example\r\nTo: b@remote.example\r\n";
    house.say(&client, message);
    let said = house.say(&client, "\r\n..dot \u{e4}\r\nBcc: body\r\n.\r\n");
    assert!(said.contains("250 2.0.0 queued as "), "{said}");

    let (live, content) = house.store.messages().remove(0);
    let (id, content) = (live.envelope.id, String::from_utf8_lossy(&content).into_owned());
    let date = "Sat, 21 Nov 2026 06:53:04 +0000";
    assert_eq!(
        content,
        format!(
            "Received: by mx.example.org id {id}\r\n\tfor <b@remote.example>;\r\n\t{date}\r\n\
             Date: {date}\r\nMessage-ID: <{id}@mx.example.org>\r\nFrom: www@example.org (Web)\r\n\
             To: b@remote.example\r\n\r\n.dot \u{e4}\r\nBcc: body\r\n"
        )
    );
    let (envelope, facts) = (&live.envelope, &live.envelope.facts);
    assert_eq!((facts.size, facts.eight_bit), (content.len() as u64, true));
    assert!(facts.dotted, "delivery must know of the dot");
    assert_eq!((envelope.source.kind, envelope.source.ip), (SourceKind::Local, None));
    assert_eq!(envelope.source.user.as_deref(), Some("uid 33"));
    assert_eq!(envelope.envid.as_deref(), Some("7"));
    assert!(envelope.recipients[0].notify.is_some_and(|notify| !notify.failure));
}

#[test]
fn a_header_that_cannot_be_looked_through_is_refused_and_the_session_goes_on() {
    let house = House::new();
    let client = house.local_client();
    house.say(&client, "EHLO www\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    for _ in 0..300 {
        house.say(&client, "X: y\r\n".repeat(1000));
    }
    let said = house.say(&client, ".\r\n");
    assert!(said.starts_with("552 5.3.4 The header section"), "{said}");
    house.say(&client, "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    assert!(house.say(&client, "Subject: x\r\n.\r\n").contains("250 2.0.0 queued"));
    assert_eq!(house.store.messages().len(), 1);
}

#[test]
fn bare_names_get_the_origin_here_and_nowhere_else() {
    let house = House::with(|s| s.origin = "example.org".to_owned());
    let dialogue = "EHLO www\r\nMAIL FROM:<root>\r\nRCPT TO:<ann> NOTIFY=NEVER\r\n\
        RCPT TO:<b@remote.example>\r\nDATA\r\n";
    let local = house.local_client();
    house.say(&local, dialogue);
    let said = house.say(&local, "Subject: x\r\n\r\n.\r\n");
    assert!(said.contains("250 2.0.0 queued as "), "{said}");
    let envelope = house.store.messages().remove(0).0.envelope;
    assert_eq!(envelope.reverse_path.mailbox().map(Mailbox::as_str), Some("root@example.org"));
    let to: Vec<&str> = envelope.recipients.iter().map(|r| r.mailbox.as_str()).collect();
    assert_eq!(to, ["ann@example.org", "b@remote.example"]);
    for ip in [crate::FRIEND, crate::STRANGER] {
        let client = house.client(ip);
        let said = house.say(&client, "EHLO www\r\nMAIL FROM:<root>\r\n");
        assert!(said.contains("\r\n501 5.1.7 "), "{said}");
    }
}
