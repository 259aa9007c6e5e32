//! Networks of clients in CIDR notation (RFC 4632, RFC 4291 section 2.3).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// All addresses that share the first `prefix` bits. IPv4 addresses mapped into IPv6 count as IPv4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text is no network; the operator must correct the setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkError {
    /// Not an address, with or without `/prefix`.
    #[error("not a network; write 192.0.2.0/24, 2001:db8::/32 or one address")]
    Shape,
    /// The prefix is longer than the address.
    #[error("the prefix is longer than the address")]
    Prefix,
    /// Bits are set behind the prefix: one of the two is probably a mistake.
    #[error("the address has bits behind its prefix; the network is {0}")]
    HostBits(Network),
}

impl Network {
    /// This machine.
    pub const LOOPBACK: [Self; 2] = [
        Self { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 },
    ];

    /// Its lowest address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The bits that all its addresses have in common, from 0 to 32 or 128.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// True when all addresses of the other belong to the network.
    #[must_use]
    pub fn holds(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// True when the address belongs to the network.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.address.is_ipv4() && masked(ip, self.prefix) == self.address
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Shape)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError::Shape)?
            }
            Some(_) => return Err(NetworkError::Shape),
        };
        if prefix > longest {
            return Err(NetworkError::Prefix);
        }
        let network = Self { address: masked(address, prefix), prefix };
        if network.address == address { Ok(network) } else { Err(NetworkError::HostBits(network)) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The address with only its first `prefix` bits.
pub(crate) fn masked(ip: IpAddr, prefix: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("192.0.2.0/24", "::ffff:192.0.2.1", "::192.0.2.1"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
        ] {
            let parsed: Network = network.parse().expect(network);
            assert!(parsed.contains(inside.parse().expect(inside)), "{network} {inside}");
            assert!(!parsed.contains(outside.parse().expect(outside)), "{network} {outside}");
        }
        assert!(Network::LOOPBACK.iter().any(|n| n.contains(IpAddr::from([127, 9, 9, 9]))));
    }

    #[test]
    fn networks_hold_smaller_ones() {
        for (network, other, holds) in [
            ("10.0.0.0/8", "10.1.0.0/16", true),
            ("10.1.0.0/16", "10.0.0.0/8", false),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("0.0.0.0/0", "::1", false),
        ] {
            let parsed = |text: &str| text.parse::<Network>().expect("a network");
            assert_eq!(parsed(network).holds(&parsed(other)), holds, "{network} {other}");
        }
    }

    #[test]
    fn what_is_no_network_is_told() {
        for text in ["", "example.org", "192.0.2", "192.0.2.0/", "192.0.2.0/-1", "192.0.2.0/999"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError::Shape), "{text}");
        }
        assert_eq!("192.0.2.0/33".parse::<Network>(), Err(NetworkError::Prefix));
        let said = "192.0.2.1/24".parse::<Network>().expect_err("host bits").to_string();
        assert!(said.ends_with("the network is 192.0.2.0/24"), "{said}");
    }
}
