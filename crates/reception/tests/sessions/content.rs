//! Content: sizes, files, the budget, line ends, loops, and what is refused.

use crate::{FRIEND, House, STRANGER, UP_TO_DATA, codes};
use posthaste_smtp::server::BareNewline;
use posthaste_spool::Refused;
use posthaste_spool::model::INLINE_LIMIT;

/// A message of about this many octets, in lines.
fn message(octets: usize) -> String {
    let lines = "x".repeat(70) + "\r\n";
    format!("Subject: large\r\n\r\n{}", lines.repeat(octets / lines.len()))
}

/// Sends a message over a fresh transaction, in pieces, and answers the last reply.
fn hand_in(house: &House, from: &str, content: &str, piece: usize) -> String {
    let client = house.client(from);
    let to = if from == FRIEND { "b@remote.example" } else { "b@example.org" };
    house.say(&client, format!("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<{to}>\r\nDATA\r\n"));
    for piece in content.as_bytes().chunks(piece) {
        house.say(&client, piece);
    }
    house.say(&client, ".\r\n")
}

#[test]
fn sizes_around_every_limit_come_through_whole() {
    for size in [0, 100, 2_000, 16_000, 17_000, 70_000, 200_000, 262_000, 263_000, 600_000] {
        for piece in [1_000, 5_000, 1_000_000] {
            let house = House::new();
            let content = message(size);
            let said = hand_in(&house, FRIEND, &content, piece);
            assert!(said.starts_with("250 2.0.0 queued as "), "{size}: {said}");
            let stored = house.store.messages();
            let [(live, octets)] = stored.as_slice() else { panic!("{size}: {}", stored.len()) };
            let text = String::from_utf8_lossy(octets);
            assert!(text.starts_with("Received: ") && text.ends_with(&content), "{size} {piece}");
            assert_eq!(live.envelope.facts.size, octets.len() as u64);
            assert_eq!(live.envelope.summary.subject.as_deref(), Some("large"));
            let spilled = house.store.is_spilled(live.envelope.id);
            assert_eq!(spilled, octets.len() > INLINE_LIMIT, "{size}");
            assert_eq!(house.reception.counts().spilled, u64::from(spilled));
        }
    }
}

#[test]
fn a_spent_budget_sends_bodies_to_files_and_holds_nobody_up() {
    let house = House::with(|s| s.limits.receive_budget = 100_000);
    let first = house.client(FRIEND);
    house.say(&first, UP_TO_DATA);
    house.say(&first, message(90_000));
    let second = house.client(FRIEND);
    house.say(&second, UP_TO_DATA);
    assert_eq!(codes(&house.say(&second, message(20_000) + ".\r\n")), ["250"]);
    assert_eq!(codes(&house.say(&first, ".\r\n")), ["250"]);
    let third = house.client(FRIEND);
    house.say(&third, UP_TO_DATA);
    assert_eq!(codes(&house.say(&third, message(90_000) + ".\r\n")), ["250"]);
    let stored = house.store.messages();
    let spilled: Vec<_> =
        stored.iter().map(|(live, _)| house.store.is_spilled(live.envelope.id)).collect();
    assert_eq!(spilled, [false, true, false], "the budget comes back");
    assert!(stored.iter().all(|(live, _)| live.envelope.summary.subject.is_some()));
}

#[test]
fn too_large_is_refused_and_the_session_goes_on() {
    let house = House::with(|s| s.limits.message_size = 50_000);
    let client = house.client(FRIEND);
    house.say(&client, UP_TO_DATA);
    let said = house.say(&client, message(60_000) + ".\r\n");
    assert!(said.starts_with("552 5.3.4"), "{said}");
    house.say(&client, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    assert_eq!(codes(&house.say(&client, message(40_000) + ".\r\n")), ["250"]);
    assert_eq!(house.reception.counts().refused_content, 1);
    assert_eq!(house.stored().len(), 1);
}

#[test]
fn bare_newlines_are_mended_for_friends_and_refused_to_strangers() {
    let bare = "Subject: bare\n\na\rb\r\n";
    let house = House::new();
    assert!(hand_in(&house, FRIEND, bare, 100).starts_with("250"));
    assert!(
        house.stored()[0]
            .ends_with("\tSat, 21 Nov 2026 06:53:04 +0000\r\nSubject: bare\r\n\r\na\r\nb\r\n")
    );
    assert!(hand_in(&house, STRANGER, bare, 100).starts_with("550 5.5.2"));
    assert_eq!(house.stored().len(), 1);
    let strict = House::with(|s| s.listeners[0].bare_newline = Some(BareNewline::Reject));
    assert!(hand_in(&strict, FRIEND, bare, 100).starts_with("550 5.5.2"));
}

#[test]
fn a_smuggled_message_is_no_message() {
    let house = House::new();
    let client = house.client(STRANGER);
    house.say(&client, "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n");
    let smuggled =
        "A: b\r\n\r\nx\n.\r\nMAIL FROM:<evil@b>\r\nRCPT TO:<b@example.org>\r\nDATA\r\ny\r\n.\r\n";
    let said = house.say(&client, smuggled);
    assert!(said.starts_with("550 5.5.2") && codes(&said).len() == 1, "{said}");
    assert!(client.is_closed() && house.stored().is_empty());
}

#[test]
fn nul_and_loops_are_refused() {
    let own = "Received: from a by MX.example.org with SMTP id 1; now\r\n";
    let other = "Received: from a by other.example with SMTP id 1; now\r\n";
    let house = House::new();
    for (content, reply) in [
        ("A: b\r\n\r\n\0\r\n".to_owned(), "554 5.6.0"),
        (other.repeat(101) + "\r\n", "554 5.4.6"),
        (other.repeat(100) + "\r\n", "250 2.0.0"),
        (own.repeat(9) + "\r\n", "554 5.4.6"),
        (own.repeat(8) + "\r\n" + &own.repeat(5), "250 2.0.0"),
        (own.repeat(5) + &other.repeat(90) + "\r\n", "250 2.0.0"),
    ] {
        let said = hand_in(&house, FRIEND, &content, 1_000_000);
        assert!(said.starts_with(reply), "{said}");
    }
    let counts = house.reception.counts();
    assert_eq!((counts.refused_loops, counts.refused_content, counts.messages), (2, 1, 3));
}

#[test]
fn a_store_that_refuses_is_said_as_it_is() {
    let house = House::new();
    for (why, reply) in [
        (Refused::Full, "452 4.3.1"),
        (Refused::Unhealthy, "451 4.3.0"),
        (Refused::TooBig, "552 5.3.4"),
    ] {
        for size in [1_000, 400_000] {
            house.store.inner.refuse(Some(why));
            let client = house.client(FRIEND);
            house.say(&client, UP_TO_DATA);
            let said = house.say(&client, message(size) + ".\r\n");
            assert!(said.starts_with(reply), "{size} {said}");
            house.store.inner.refuse(None);
            let again = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
            assert_eq!(codes(&house.say(&client, again)), ["250", "250", "354"]);
            assert_eq!(codes(&house.say(&client, message(size) + ".\r\n")), ["250"]);
        }
    }
    let counts = house.reception.counts();
    assert_eq!((counts.refused_full, counts.refused_store, counts.refused_content), (2, 2, 2));
    assert_eq!(counts.messages, 6);
}

#[test]
fn chunks_make_one_message() {
    let house = House::new();
    let client = house.client(FRIEND);
    let content = message(300_000);
    house.say(&client, "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
    for piece in content.as_bytes().chunks(70_001) {
        let said =
            house.say(&client, [format!("BDAT {}\r\n", piece.len()).as_bytes(), piece].concat());
        assert_eq!(codes(&said), ["250"]);
    }
    assert!(house.say(&client, "BDAT 0 LAST\r\n").starts_with("250 2.0.0 queued as "));
    assert!(house.stored()[0].ends_with(&content));
    let refused = "BDAT 6\r\nNOOP\r\nRSET\r\nMAIL FROM:<a@b>\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n";
    assert_eq!(codes(&house.say(&client, refused)), ["503", "250", "250", "554", "250"]);
}
