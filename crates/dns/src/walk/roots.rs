//! The servers of the root zone (RFC 8109; root-servers.org, November 2023), where walking begins unless the operator
//! names others.
//!
//! Never a default of [`crate::Settings`]: only the configuration of a real daemon may choose them.

use crate::settings::DNS_PORT;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The thirteen, each with its name and both of its addresses.
pub const ROOTS: [(&str, Ipv4Addr, Ipv6Addr); 13] = [
    root("a", [198, 41, 0, 4], [0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30]),
    root("b", [170, 247, 170, 2], [0x2801, 0x1b8, 0x10, 0, 0, 0, 0, 0xb]),
    root("c", [192, 33, 4, 12], [0x2001, 0x500, 2, 0, 0, 0, 0, 0xc]),
    root("d", [199, 7, 91, 13], [0x2001, 0x500, 0x2d, 0, 0, 0, 0, 0xd]),
    root("e", [192, 203, 230, 10], [0x2001, 0x500, 0xa8, 0, 0, 0, 0, 0xe]),
    root("f", [192, 5, 5, 241], [0x2001, 0x500, 0x2f, 0, 0, 0, 0, 0xf]),
    root("g", [192, 112, 36, 4], [0x2001, 0x500, 0x12, 0, 0, 0, 0, 0xd0d]),
    root("h", [198, 97, 190, 53], [0x2001, 0x500, 1, 0, 0, 0, 0, 0x53]),
    root("i", [192, 36, 148, 17], [0x2001, 0x7fe, 0, 0, 0, 0, 0, 0x53]),
    root("j", [192, 58, 128, 30], [0x2001, 0x503, 0xc27, 0, 0, 0, 2, 0x30]),
    root("k", [193, 0, 14, 129], [0x2001, 0x7fd, 0, 0, 0, 0, 0, 1]),
    root("l", [199, 7, 83, 42], [0x2001, 0x500, 0x9f, 0, 0, 0, 0, 0x42]),
    root("m", [202, 12, 27, 33], [0x2001, 0xdc3, 0, 0, 0, 0, 0, 0x35]),
];

/// Where they are asked: IPv4 first, for machines that have IPv6 in name only.
#[must_use]
pub fn hints() -> Vec<SocketAddr> {
    let v4 = ROOTS.iter().map(|(_, v4, _)| IpAddr::V4(*v4));
    let v6 = ROOTS.iter().map(|(_, _, v6)| IpAddr::V6(*v6));
    v4.chain(v6).map(|ip| SocketAddr::new(ip, DNS_PORT)).collect()
}

const fn root(
    letter: &'static str,
    v4: [u8; 4],
    v6: [u16; 8],
) -> (&'static str, Ipv4Addr, Ipv6Addr) {
    let [a, b, c, d] = v4;
    let [s, t, u, v, w, x, y, z] = v6;
    (letter, Ipv4Addr::new(a, b, c, d), Ipv6Addr::new(s, t, u, v, w, x, y, z))
}
