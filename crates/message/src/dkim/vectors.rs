//! What others have published, and whole messages signed here and checked.

use super::canon::{Canon, Canons};
use super::key::{Algorithm, Key, KeyError};
use super::keyring::{Keyring, Signer};
use super::record::{Record, name};
use super::signing::{MAX_HEADER, Signed, Signing, Unsigned};
use super::verify::{Fails, verify};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::{Secret, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// RFC 8463 appendix A.3: one message, two signatures.
const RFC_8463: &str = "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n \
d=football.example.com; i=@football.example.com;\r\n \
q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n \
subject : date : message-id : from : subject : date;\r\n \
bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n \
Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n\
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n \
d=football.example.com; i=@football.example.com;\r\n \
q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n \
date : message-id : from : subject : date;\r\n \
bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n \
b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n \
DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n \
dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n";
const MESSAGE: &str = "From: Joe SixPack <joe@football.example.com>\r\n\
To: Suzie Q <suzie@shopping.example.net>\r\n\
Subject: Is dinner ready?\r\n\
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n\
Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n\
\r\n\
Hi.\r\n\
\r\n\
We lost the game.  Are you hungry yet?\r\n\
\r\n\
Joe.\r\n\
\r\n";
const ED25519_RECORD: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const RSA_RECORD: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3id\
Y6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9Pz\
oxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";
/// RFC 8463 appendix A.1: 1,024 bits.
const RSA_KEY: &str = "-----BEGIN RSA PRIVATE KEY-----
MIICXQIBAAKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQi
Y/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqM
KrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB
AoGAH0cxOhFZDgzXWhDhnAJDw5s4roOXN4OhjiXa8W7Y3rhX3FJqmJSPuC8N9vQm
6SVbaLAE4SG5mLMueHlh4KXffEpuLEiNp9Ss3O4YfLiQpbRqE7Tm5SxKjvvQoZZe
zHorimOaChRL2it47iuWxzxSiRMv4c+j70GiWdxXnxe4UoECQQDzJB/0U58W7RZy
6enGVj2kWF732CoWFZWzi1FicudrBFoy63QwcowpoCazKtvZGMNlPWnC7x/6o8Gc
uSe0ga2xAkEA8C7PipPm1/1fTRQvj1o/dDmZp243044ZNyxjg+/OPN0oWCbXIGxy
WvmZbXriOWoSALJTjExEgraHEgnXssuk7QJBALl5ICsYMu6hMxO73gnfNayNgPxd
WFV6Z7ULnKyV7HSVYF0hgYOHjeYe9gaMtiJYoo0zGN+L3AAtNP9huqkWlzECQE1a
licIeVlo1e+qJ6Mgqr0Q7Aa7falZ448ccbSFYEPD6oFxiOl9Y9se9iYHZKKfIcst
o7DUw1/hz2Ck4N5JrgUCQQCyKveNvjzkkd8HjYs0SwM0fPjK16//5qDZ2UiDGnOe
uEzxBDAr518Z8VFbR41in3W4Y3yCDgQlLlcETrS+zYcL
-----END RSA PRIVATE KEY-----
";

/// The Ed25519 key of RFC 8463 appendix A.1 as PKCS#8 (RFC 8410 section 7).
fn ed25519() -> Key {
    let seed = STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").expect("base64");
    let head = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let der = STANDARD.encode([&head[..], &seed].concat());
    key(&format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")).expect("a key")
}

fn rsa() -> Key {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("chance");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("it can be written");
    let der = STANDARD.encode(der.as_ref());
    key(&format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n")).expect("a key")
}

fn key(pem: &str) -> Result<Key, KeyError> {
    Key::from_pem(&Secret::new(pem))
}

fn record(text: &str) -> Record {
    Record::parse(text).expect("a record")
}

fn signer(domain: &str, selector: &str, key: Key) -> Signer {
    Signer {
        domain: domain.into(),
        selector: selector.into(),
        key: Arc::new(key),
        canons: Canons::default(),
        subdomains: false,
        strangers: false,
        valid_for: None,
    }
}

fn sign(ring: &Arc<Keyring>, message: &[u8], piece: usize) -> Signed {
    let mut signing = Signing::new(Arc::clone(ring), Some("example.org".into()), false);
    message.chunks(piece.max(1)).for_each(|octets| signing.feed(octets));
    signing.finish(Timestamp::from_secs(1_795_243_984))
}

fn with(signed: &Signed, message: &[u8]) -> Vec<u8> {
    [signed.fields.as_bytes(), message].concat()
}

#[test]
fn the_example_of_rfc_8463_holds_and_a_changed_one_does_not() {
    let message = format!("{RFC_8463}{MESSAGE}");
    let rows = [(0, ED25519_RECORD), (1, RSA_RECORD)];
    for (which, published) in rows {
        let published = record(published);
        assert_eq!(verify(message.as_bytes(), which, &published), Ok(()), "{which}");
        let other = message.replace("hungry", "angry");
        assert_eq!(verify(other.as_bytes(), which, &published), Err(Fails::Body));
        let other = message.replace("dinner", "supper");
        assert_eq!(verify(other.as_bytes(), which, &published), Err(Fails::Header));
    }
    assert_eq!(verify(message.as_bytes(), 0, &record(RSA_RECORD)), Err(Fails::Header));
    assert_eq!(record(RSA_RECORD).bits(), Some(1024));
}

#[test]
fn the_ed25519_signature_of_rfc_8463_comes_out_again() {
    use super::field::signed_octets;
    let fields = super::canon::raw_fields(MESSAGE.as_bytes()).expect("fields");
    let order = ["from", "to", "subject", "date", "message-id"];
    let there = order.map(|n| {
        *fields.iter().find(|f| f.name.eq_ignore_ascii_case(n.as_bytes())).expect("it is there")
    });
    let (unsigned, _) = RFC_8463.split_once(" b=").expect("a signature");
    let octets = signed_octets(Canon::Relaxed, there.into_iter(), &format!("{unsigned} b="));
    let text = STANDARD.encode(ed25519().sign(&octets));
    assert_eq!(
        text,
        "/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11BusFa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw=="
    );
    assert_eq!(Record::of(&ed25519()).text(), ED25519_RECORD);
}

#[test]
fn keys_that_cannot_be_used_say_why() {
    assert_eq!(key(RSA_KEY), Err(KeyError::RsaSize), "1,024 bits are too few");
    for (pem, why) in [
        ("", KeyError::NoPem),
        ("hello", KeyError::NoPem),
        ("-----BEGIN PRIVATE KEY-----\nAAAA", KeyError::BrokenPem),
        ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----", KeyError::BrokenPem),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", KeyError::OtherKind),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", KeyError::Encrypted),
        ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", KeyError::Encrypted),
        ("-----BEGIN PUBLIC KEY-----\n", KeyError::Public),
        ("-----BEGIN EC PRIVATE KEY-----\n", KeyError::OtherKind),
    ] {
        assert_eq!(key(pem), Err(why), "{pem}");
    }
    assert_eq!(format!("{:?}", ed25519()), "Key(ed25519-sha256)");
    assert_eq!(Key::from_pem(&Secret::new([0xff])), Err(KeyError::NoPem));
}

#[test]
fn both_algorithms_at_once_hold_whatever_the_message_and_the_cuts() {
    let (rsa, ed25519) = (rsa(), ed25519());
    assert_eq!((rsa.algorithm(), rsa.bits()), (Algorithm::RsaSha256, 2048));
    let published = [record(&Record::of(&rsa).text()), record(&Record::of(&ed25519).text())];
    assert_eq!(published[0].bits(), Some(2048));
    let (rsa, ed25519) = (Arc::new(rsa), Arc::new(ed25519));
    for (header, body) in [
        (Canon::Relaxed, Canon::Relaxed),
        (Canon::Simple, Canon::Simple),
        (Canon::Relaxed, Canon::Simple),
        (Canon::Simple, Canon::Relaxed),
    ] {
        let signer = |selector: &str, key: &Arc<Key>| Signer {
            key: Arc::clone(key),
            canons: Canons { header, body },
            valid_for: Some(Duration::from_secs(604_800)),
            ..signer("example.org", selector, self::ed25519())
        };
        let ring = Arc::new(Keyring::new([signer("r", &rsa), signer("e", &ed25519)]));
        for message in [
            "From: a@example.org\r\n\r\n",
            "From: a@example.org\r\n",
            "From: a@example.org",
            "\r\nbody\r\n",
            "Subject: no author\r\n\r\n \t\r\n\r\n",
            "From: a@example.org\r\nSubject: x\r\n\r\nbody without an end",
            "From : \"A, B\"\r\n\t<a@Example.ORG>,\r\n b@example.net\r\nTo: x\r\nTo: y\r\n\r\n.\r\n a  b \r\n \r\n\r\n",
            "From: a@example.org\r\nSubject: caf\u{e9} \t\r\n  \u{fc}\r\nX:\r\n\r\n\u{1f600}\r\n",
        ] {
            let whole = sign(&ring, message.as_bytes(), usize::MAX);
            assert_eq!(whole.by.len(), 2, "{message:?}");
            assert!(whole.fields.lines().all(|line| line.len() <= 78), "{}", whole.fields);
            for piece in 1..12 {
                assert_eq!(
                    sign(&ring, message.as_bytes(), piece),
                    whole,
                    "{message:?} in {piece}s"
                );
            }
            // A last line without its end gets one on the way.
            let end = if message.ends_with("\r\n") { "" } else { "\r\n" };
            let signed = with(&whole, format!("{message}{end}").as_bytes());
            for (which, record) in published.iter().enumerate() {
                assert_eq!(
                    verify(&signed, which, record),
                    Ok(()),
                    "{message:?} {header:?}/{body:?}"
                );
                let added = [b"Subject: another\r\n", &signed[..]].concat();
                assert_eq!(verify(&added, which, record), Err(Fails::Header), "a field was added");
            }
        }
    }
}

#[test]
fn who_signs_and_who_does_not() {
    let own = |domain: &str| signer(domain, "s", ed25519());
    let ring = Arc::new(Keyring::new([
        own("example.org"),
        Signer { subdomains: true, ..own("example.net") },
        Signer { subdomains: true, ..own("own.example.net") },
        Signer { strangers: true, ..own("list.example") },
        own("xn--bcher-kva.example"),
    ]));
    let by = |from: &str, stranger: bool| {
        let mut signing = Signing::new(Arc::clone(&ring), Some("example.org".into()), stranger);
        signing.feed(format!("{from}\r\n\r\nx\r\n").as_bytes());
        let signed = signing.finish(Timestamp::from_secs(0));
        signed.by.first().map_or("-".to_owned(), |by| by.domain.clone())
    };
    for (from, expected) in [
        ("From: a@example.org", "example.org"),
        ("From: a@EXAMPLE.ORG.", "example.org"),
        ("From: A <a@sub.example.org>", "-"),
        ("From: a@x.y.example.net", "example.net"),
        ("From: a@x.own.example.net", "own.example.net"),
        ("From: a@elsewhere.example", "-"),
        ("From: a@b\u{fc}cher.example", "xn--bcher-kva.example"),
        ("From: undisclosed:;", "example.org"),
        ("To: b@elsewhere.example", "example.org"),
        ("From: a@elsewhere.example, b@example.org", "-"),
    ] {
        assert_eq!(by(from, false), expected, "{from}");
    }
    assert_eq!(by("From: a@example.org", true), "-", "a stranger who says that he is one of ours");
    assert_eq!(by("From: a@list.example", true), "list.example");
}

#[test]
fn what_cannot_or_need_not_be_signed() {
    let ring = Arc::new(Keyring::new([signer("example.org", "s", ed25519())]));
    let why = |message: &str| sign(&ring, message.as_bytes(), 1000).unsigned;
    let signed = sign(&ring, b"From: a@example.org\r\n\r\n", 10);
    assert_eq!(
        why(&format!("{}From: a@example.org\r\n\r\n", signed.fields)),
        Some(Unsigned::Already)
    );
    assert_eq!(why("DKIM-Signature: d=example.org; s=other\r\nFrom: a@example.org\r\n\r\n"), None);
    assert_eq!(why("From: a@example.org\r\nrubbish\r\n\r\n"), Some(Unsigned::NoField));
    let long = format!("From: a@example.org\r\nX: {}\r\n\r\n", "x".repeat(MAX_HEADER));
    assert_eq!(why(&long), Some(Unsigned::HeaderTooLong));
    assert_eq!(why("From: a@elsewhere.example\r\n\r\n"), None, "nobody's to sign");
    assert_eq!(name("s", "example.org"), "s._domainkey.example.org");
}
