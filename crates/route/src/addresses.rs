//! Addresses of next hops: which are never connected to, and in which order the rest is tried.
//!
//! Not here: staggering and remembering dead families, which need a clock (`delivery`).

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which address families are used, and which of them first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Families {
    /// Both, IPv6 first (RFC 8305 section 4).
    #[default]
    PreferV6,
    /// Both, IPv4 first.
    PreferV4,
    /// IPv4 only.
    OnlyV4,
    /// IPv6 only.
    OnlyV6,
}

impl Families {
    /// True when addresses of this family may be connected to.
    #[must_use]
    pub const fn allow(self, ip: IpAddr) -> bool {
        match self {
            Self::PreferV6 | Self::PreferV4 => true,
            Self::OnlyV4 => ip.is_ipv4(),
            Self::OnlyV6 => ip.is_ipv6(),
        }
    }

    /// The addresses in the order they are tried: the families in turn, the preferred one first
    /// (RFC 8305 section 4); inside a family the order given. Families that are not used are left out.
    #[must_use]
    pub fn in_turn(self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let allowed = addresses.iter().copied().filter(|&ip| self.allow(ip));
        let (v4, v6): (VecDeque<_>, VecDeque<_>) = allowed.partition(IpAddr::is_ipv4);
        let (mut first, mut second) =
            if matches!(self, Self::PreferV4 | Self::OnlyV4) { (v4, v6) } else { (v6, v4) };
        let mut order = Vec::with_capacity(first.len() + second.len());
        while !(first.is_empty() && second.is_empty()) {
            order.extend(first.pop_front());
            order.extend(second.pop_front());
        }
        order
    }
}

/// True for addresses that no mail host on the Internet has: private (RFC 1918, RFC 4193), loopback,
/// link-local, shared (RFC 6598), unspecified and the rest of 0.0.0.0/8, multicast, reserved, broadcast.
///
/// IPv4 addresses inside IPv6 ones (mapped, RFC 4291; NAT64, RFC 6052) are judged as the IPv4 address they
/// are. Documentation ranges pass: they lead nowhere, and do no harm.
#[must_use]
pub fn is_private(ip: IpAddr) -> bool {
    match unmapped(ip) {
        IpAddr::V4(v4) => is_private_v4(v4),
        IpAddr::V6(v6) => is_private_v6(v6),
    }
}

/// The IPv4 address inside an IPv4-mapped one, other addresses as they are: what identity is compared by.
#[must_use]
pub fn unmapped(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

fn is_private_v4(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    // 0/8 is this network, 224/3 multicast, reserved and broadcast.
    a == 0 || a >= 224 || shared || ip.is_private() || ip.is_loopback() || ip.is_link_local()
}

fn is_private_v6(ip: Ipv6Addr) -> bool {
    const NAT64: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];
    let segments = ip.segments();
    if segments[..6] == NAT64 {
        let [.., a, b, c, d] = ip.octets();
        return is_private_v4(Ipv4Addr::new(a, b, c, d));
    }
    let site_local = segments[0] & 0xffc0 == 0xfec0;
    site_local
        || ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unique_local()
        || ip.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for private in ips(&[
            "10.0.0.5",
            "172.16.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fec0::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "64:ff9b::7f00:1",
        ]) {
            assert!(is_private(private), "{private}");
        }
        for public in ips(&[
            "192.0.2.1",
            "198.51.100.7",
            "172.32.0.1",
            "100.128.0.1",
            "223.255.255.255",
            "2001:db8::1",
            "2a00:1450::1",
            "::ffff:192.0.2.1",
            "64:ff9b::c000:201",
        ]) {
            assert!(!is_private(public), "{public}");
        }
    }

    #[test]
    fn families_take_turns() {
        let all = ips(&["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"]);
        for (families, expected) in [
            (Families::PreferV6, ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"].as_slice()),
            (Families::PreferV4, &["192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.3"]),
            (Families::OnlyV4, &["192.0.2.1", "192.0.2.2", "192.0.2.3"]),
            (Families::OnlyV6, &["2001:db8::1"]),
        ] {
            assert_eq!(families.in_turn(&all), ips(expected), "{families:?}");
        }
    }
}
