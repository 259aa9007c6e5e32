//! Domain names as DNS and routes compare them: A-labels (RFC 5891), lower case, no final dot.
//!
//! Not here: the grammar of an address (`mail::address`).

use posthaste_mail::address::parse_literal;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most octets of a name in text, without the final dot (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 253;
/// The most octets of a label (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;

/// The name as DNS is asked for it; `None` when no such name can exist in DNS (a label or the whole too
/// long, or characters that IDNA forbids).
///
/// Names in ASCII are only put in lower case: underscores and odd `xn--` labels exist and receive mail.
#[must_use]
pub fn to_dns(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ascii = if name.is_ascii() {
        name.to_ascii_lowercase()
    } else {
        idna::domain_to_ascii(name).ok()?
    };
    let labels_fit = ascii.split('.').all(|l| !l.is_empty() && l.len() <= MAX_LABEL);
    (labels_fit && ascii.len() <= MAX_NAME).then_some(ascii)
}

/// The address that a text writes where a host name should stand: `192.0.2.5`, `[192.0.2.5]`, `::1`.
#[must_use]
pub fn address_in_text(name: &str) -> Option<IpAddr> {
    let v4 = name.parse::<Ipv4Addr>().ok().map(IpAddr::V4);
    let v6 = || name.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    v4.or_else(v6).or_else(|| parse_literal(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_what_dns_is_asked_for() {
        let long_label = format!("{}.example", "a".repeat(64));
        let long_u_label = format!("{}.example", "ü".repeat(63));
        let long_name = format!("{}example", "abcdefgh.".repeat(28));
        for (name, expected) in [
            ("Example.ORG", Some("example.org")),
            ("example.org.", Some("example.org")),
            ("München.de", Some("xn--mnchen-3ya.de")),
            ("例え。テスト", Some("xn--r8jz45g.xn--zckzah")),
            ("_smtp.example", Some("_smtp.example")),
            ("xn--a.example", Some("xn--a.example")),
            ("", None),
            ("a..b", None),
            (&long_label, None),
            (&long_u_label, None),
            (&long_name, None),
        ] {
            assert_eq!(to_dns(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn addresses_in_place_of_names_are_recognised() {
        for text in ["192.0.2.5", "[192.0.2.5]", "2001:db8::1", "[IPv6:2001:db8::1]"] {
            assert!(address_in_text(text).is_some(), "{text}");
        }
        for text in ["mx.example", "192.0.2", "1.2.3.4.5", ""] {
            assert!(address_in_text(text).is_none(), "{text}");
        }
    }
}
