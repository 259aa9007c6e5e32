//! Questions that are more than a name and a type: who an address says it is, whether a list has it, which certificates
//! a host vouches for.
//!
//! Not here: the resolver they are put to (`resolver`), what mail does with the answers.

pub mod dnsbl;
pub mod reverse;
pub mod tlsa;

use posthaste_evidence::{Answer, AnswerKind, RecordData};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the names of IPv4 addresses are (RFC 1035 section 3.5).
pub const IPV4_ZONE: &str = "in-addr.arpa";
/// Where the names of IPv6 addresses are (RFC 3596 section 2.5).
pub const IPV6_ZONE: &str = "ip6.arpa";

/// An address as a name under a zone: its octets, or its nibbles, the last one first.
#[must_use]
pub fn reversed(ip: IpAddr, zone: &str) -> String {
    let mut name = String::with_capacity(64 + zone.len());
    match ip {
        IpAddr::V4(ip) => ip.octets().iter().rev().for_each(|o| name.push_str(&format!("{o}."))),
        IpAddr::V6(ip) => {
            for octet in ip.octets().iter().rev() {
                name.push_str(&format!("{:x}.{:x}.", octet & 15, octet >> 4));
            }
        }
    }
    name.push_str(zone.trim_end_matches('.'));
    name
}

/// The IPv4 addresses of an answer.
fn addresses_v4(answer: &Answer) -> impl Iterator<Item = Ipv4Addr> {
    answer.records.iter().filter_map(|record| match record.data {
        RecordData::A(ip) => Some(ip),
        _ => None,
    })
}

/// The addresses of an answer.
fn addresses(answer: &Answer) -> impl Iterator<Item = IpAddr> {
    answer.records.iter().filter_map(|record| match record.data {
        RecordData::A(ip) => Some(ip.into()),
        RecordData::Aaaa(ip) => Some(ip.into()),
        _ => None,
    })
}

/// An IPv4 address that came as an IPv6 one (RFC 4291 section 2.5.5.2) is an IPv4 address.
fn plain(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The name, or the records, are missing.
const fn is_negative(kind: AnswerKind) -> bool {
    matches!(kind, AnswerKind::NoData | AnswerKind::NxDomain)
}

/// An IPv4 address among the IPv6 ones.
const fn mapped(ip: Ipv4Addr) -> Ipv6Addr {
    ip.to_ipv6_mapped()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_names() {
        for (ip, zone, name) in [
            ("192.0.2.1", IPV4_ZONE, "1.2.0.192.in-addr.arpa"),
            ("127.0.0.2", "bl.example.", "2.0.0.127.bl.example"),
            (
                "2001:db8::567:89ab",
                IPV6_ZONE,
                "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa",
            ),
        ] {
            assert_eq!(reversed(ip.parse().unwrap(), zone), name);
        }
    }
}
