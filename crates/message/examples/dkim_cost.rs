//! What signing costs: `cargo run --release -p posthaste-message --example dkim_cost`.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "it measures time, as the library may not"
)]

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::{Secret, Timestamp};
use posthaste_message::dkim::{Canons, Key, Keyring, Signer, Signing};
use std::sync::Arc;
use std::time::Instant;

fn key(der: &[u8]) -> Key {
    let text = STANDARD.encode(der);
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n");
    Key::from_pem(&Secret::new(pem)).expect("a key")
}

fn signer(selector: &str, key: Key) -> Signer {
    Signer {
        domain: "example.org".into(),
        selector: selector.into(),
        key: Arc::new(key),
        canons: Canons::default(),
        subdomains: false,
        strangers: false,
        valid_for: None,
    }
}

fn main() {
    let rsa = || {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("chance");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("it can be written");
        signer("r", key(der.as_ref()))
    };
    let ed25519 = || {
        let der = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("chance");
        signer("e", key(der.as_ref()))
    };
    let head = "From: a@example.org\r\nTo: b@example.net\r\nSubject: x\r\nDate: today\r\n\r\n";
    for (name, signers) in [
        ("rsa-sha256 2048", vec![rsa()]),
        ("ed25519-sha256", vec![ed25519()]),
        ("both", vec![rsa(), ed25519()]),
    ] {
        let ring = Arc::new(Keyring::new(signers));
        for (what, line, size) in [
            ("4 KiB of text", "It was a dark and stormy night; the rain fell.\r\n", 4 << 10),
            ("100 KiB of text", "It was a dark and stormy night; the rain fell.\r\n", 100 << 10),
            ("1 MiB of base64", "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlq\r\n", 1 << 20),
        ] {
            let message = format!("{head}{}", line.repeat(size / line.len()));
            let rounds = 300;
            let began = Instant::now();
            for _ in 0..rounds {
                let mut signing = Signing::new(Arc::clone(&ring), None, false);
                message.as_bytes().chunks(16 * 1024).for_each(|piece| signing.feed(piece));
                assert!(!signing.finish(Timestamp::EPOCH).fields.is_empty());
            }
            let each = began.elapsed() / rounds;
            println!("{name:16} {what:16} {each:?} each, {:.0}/s", 1.0 / each.as_secs_f64());
        }
    }
}
