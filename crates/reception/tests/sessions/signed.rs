//! Signatures: who gets one, in memory and before a file, and that all that is known of the content stays true.

use crate::{FRIEND, House, STRANGER};
use posthaste_mail::Secret;
use posthaste_message::dkim::{Canons, Key, Keyring, Record, Signer, verify::verify};
use posthaste_smtp::content::ContentScan;
use posthaste_spool::model::INLINE_LIMIT;
use std::sync::Arc;

/// The Ed25519 key of RFC 8463 appendix A.1.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";

/// Signs for example.org.
pub(crate) fn ring() -> (Arc<Keyring>, Record) {
    let key = Arc::new(Key::from_pem(&Secret::new(KEY)).expect("a key"));
    let record = Record::of(&key);
    let signer = Signer {
        domain: "example.org".into(),
        selector: "s".into(),
        key,
        canons: Canons::default(),
        subdomains: false,
        strangers: false,
        valid_for: None,
    };
    (Arc::new(Keyring::new([signer])), record)
}

fn house() -> (House, Record) {
    let (ring, record) = ring();
    (House::with(|settings| settings.dkim = Arc::clone(&ring)), record)
}

fn hand_in(house: &House, from: &str, content: &str) {
    let client = house.client(from);
    let to = if from == FRIEND { "b@remote.example" } else { "b@example.org" };
    house.say(&client, format!("EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<{to}>\r\nDATA\r\n"));
    for piece in content.as_bytes().chunks(50_000) {
        house.say(&client, piece);
    }
    assert!(house.say(&client, ".\r\n").starts_with("250"));
}

#[test]
fn our_own_mail_is_signed_whatever_its_size_and_the_facts_stay_true() {
    let lines = "A line of text. \r\n";
    for size in [0, 100, 200_000, INLINE_LIMIT - 400, INLINE_LIMIT + 400, 700_000] {
        let (house, record) = house();
        let body = lines.repeat(size / lines.len());
        hand_in(&house, FRIEND, &format!("From: a@example.org\r\nSubject: x\r\n\r\n{body}"));
        let stored = house.store.messages();
        let [(live, octets)] = stored.as_slice() else { panic!("{size}: {}", stored.len()) };
        assert!(octets.starts_with(b"DKIM-Signature: v=1; a=ed25519-sha256;"), "{size}");
        assert_eq!(verify(octets, 0, &record), Ok(()), "{size}");
        let mut scan = ContentScan::new();
        scan.feed(octets);
        assert_eq!(live.envelope.facts, scan.facts(), "{size}");
        assert!(live.envelope.facts.signed);
        let by = &live.envelope.summary.signed_by;
        assert_eq!((by[0].domain.as_str(), by[0].selector.as_str()), ("example.org", "s"));
        assert_eq!(house.reception.counts().signed, 1);
    }
}

#[test]
fn strangers_others_and_what_cannot_be_signed_go_as_they_came() {
    let (house, _) = house();
    hand_in(&house, STRANGER, "From: a@example.org\r\n\r\nI am one of yours\r\n");
    hand_in(&house, FRIEND, "From: a@elsewhere.example\r\n\r\nx\r\n");
    hand_in(&house, FRIEND, "From: a@example.org\r\nrubbish\r\n\r\nx\r\n");
    hand_in(
        &house,
        FRIEND,
        "DKIM-Signature: d=example.org; s=s\r\nFrom: a@example.org\r\n\r\nx\r\n",
    );
    for (live, octets) in house.store.messages() {
        assert!(octets.starts_with(b"Received: "), "{}", String::from_utf8_lossy(&octets));
        assert!(live.envelope.summary.signed_by.is_empty());
    }
    let counts = house.reception.counts();
    assert_eq!((counts.signed, counts.unsigned, counts.messages), (0, 1, 4));
}
