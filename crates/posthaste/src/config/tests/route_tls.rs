//! What a route demands of TLS, as an operator writes it.

use super::care::warnings;
use super::{complaints, good};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_route::{NameRule, Roots, TlsPolicy};

fn policy(text: &str) -> TlsPolicy {
    let text = format!("[[route]]\nto = \"a.example\"\n{text}");
    good(&text).routes.swap_remove(0).tls.policy()
}

#[test]
fn what_a_route_may_demand() {
    let verify = |names| TlsPolicy::Verify { names, roots: Roots::System };
    let keys = || TlsPolicy::Pinned { keys: [[0xab; 32]].into() };
    let hex = "ab".repeat(32);
    let base64 = STANDARD.encode([0xab; 32]);
    for (text, expected) in [
        ("", TlsPolicy::Opportunistic),
        ("tls = \"none\"", TlsPolicy::None),
        ("tls = \"require\"", TlsPolicy::Require),
        ("tls = \"verify\"", verify(vec![])),
        (
            "tls = \"verify\"\ntls_names = [\"MX.b.example\", \"*.c.example\", \"hostname\", \"192.0.2.1\"]",
            verify(vec![
                NameRule::Exactly("mx.b.example".into()),
                NameRule::Below("c.example".into()),
                NameRule::OfHost,
                NameRule::Exactly("192.0.2.1".into()),
            ]),
        ),
        (&format!("tls_pins = \"{hex}\""), keys()),
        (&format!("tls_pins = [\"sha256//{base64}\"]"), keys()),
        (&format!("tls = \"verify\"\ntls_pins = [\"{base64}\"]"), keys()),
    ] {
        assert_eq!(policy(text), expected, "{text}");
    }
}

#[test]
fn contradictions_are_named_with_their_place() {
    let pin = format!("tls_pins = \"{}\"", "00".repeat(32));
    for (text, what) in [
        ("tls = \"must\"".to_owned(), "is not allowed"),
        ("tls_names = \"x.example\"".to_owned(), "`route.tls_names` is of no effect"),
        (format!("tls = \"require\"\n{pin}"), "`route.tls` contradicts `tls_pins`"),
        (format!("tls_names = \"x.example\"\n{pin}"), "`route.tls_names` contradicts `tls_pins`"),
        ("tls_pins = \"abc\"".to_owned(), "no SHA-256 of a key"),
        ("tls = \"verify\"\ntls_names = \"a b\"".to_owned(), "is no name"),
        ("tls_wrap = true".to_owned(), "`route.tls_wrap` is for fixed next hops"),
        (
            "via = \"h.example\"\ntls = \"none\"\ntls_wrap = true".to_owned(),
            "`route.tls_wrap` contradicts tls = \"none\"",
        ),
        ("via = \"discard\"\ntls = \"require\"".to_owned(), "`route.tls` means nothing"),
    ] {
        let said = complaints(&format!("[[route]]\nto = \"a.example\"\n{text}"));
        assert!(said.contains(what), "{text}: {said}");
    }
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    for (text, what) in [
        ("to = \"*\"\ntls = \"verify\"", "much mail will wait"),
        (
            "to = \"a.example\"\nvia = \"h.example:465\"\ntls = \"none\"",
            "expects TLS with the first octet",
        ),
        (
            "to = \"a.example\"\nvia = \"h.example:465\"\ntls_wrap = false",
            "expects TLS with the first octet",
        ),
        ("to = \"a.example\"\nvia = \"h.example:587\"\ntls_wrap = true", "begins in clear"),
    ] {
        let said = warnings(&format!("[[route]]\n{text}")).join("\n");
        assert!(said.contains(what), "{text}: {said}");
    }
}
