//! The header of the PROXY protocol, version 2, as the protocol's specification has it (sections 2.2 and 2.2.3): 12 octets
//! of signature, version and command, family, length, addresses, and fields of type, length and value. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Octets in front of the addresses.
pub(super) const FIXED: usize = 16;
/// The longest header that is read, octets: addresses and what balancers add, TLS facts included, need far less.
const MAX_HEADER: usize = 4096;
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// How a header of version 1 begins.
const VERSION_1: &[u8] = b"PROXY ";
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP_4: u8 = 0x11;
const TCP_6: u8 = 0x21;
const LENGTH_4: usize = 12;
const LENGTH_6: usize = 36;
/// The type of the field with the checksum of the whole header, itself as zeros.
const CRC32C: u8 = 0x03;

/// Why a header is not taken; whoever runs the balancer must act.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum HeaderFault {
    /// Another program, or a balancer that is not set to send one.
    #[error("the balancer sends no PROXY header; let it send version 2 (haproxy: send-proxy-v2)")]
    NotOne,
    /// Version 1 is text, and easily mistaken.
    #[error(
        "the balancer sends the PROXY protocol, version 1; let it send version 2 (haproxy: send-proxy-v2)"
    )]
    Version1,
    /// Neither version 2 with LOCAL nor with PROXY.
    #[error("the PROXY header has a version or command that is not known")]
    Unknown,
    /// UDP, unix sockets, or none.
    #[error("the PROXY header tells no TCP connection over IPv4 or IPv6")]
    Family,
    /// It ends too early.
    #[error("the PROXY header is too short")]
    Short,
    /// Over [`MAX_HEADER`].
    #[error("the PROXY header is too long")]
    Long,
    /// Its fields do not fit it.
    #[error("the fields of the PROXY header are broken")]
    Fields,
    /// 0.0.0.0, ::, a multicast address, 255.255.255.255.
    #[error("the PROXY header tells a client's address that no host can have")]
    NoHost,
    /// It was changed on its way.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// What a header tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Told {
    /// The balancer speaks for itself.
    Itself,
    /// It hands on a connection.
    Client {
        /// From where.
        peer: SocketAddr,
        /// To where.
        local: SocketAddr,
    },
}

/// How long the header is in all; `None` as long as that cannot be told.
pub(super) fn length(begun: &[u8]) -> Result<Option<usize>, HeaderFault> {
    let known = begun.len().min(SIGNATURE.len());
    if begun[..known] != SIGNATURE[..known] {
        let first = begun.len().min(VERSION_1.len());
        // Nothing of version 1 begins like version 2.
        return match begun[..first] == VERSION_1[..first] {
            true if first < VERSION_1.len() => Ok(None),
            true => Err(HeaderFault::Version1),
            false => Err(HeaderFault::NotOne),
        };
    }
    let Some(&[high, low]) = begun.get(14..FIXED) else { return Ok(None) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_HEADER { Err(HeaderFault::Long) } else { Ok(Some(length)) }
}

/// Reads a whole header.
pub(super) fn parse(header: &[u8]) -> Result<Told, HeaderFault> {
    let (fixed, block) = header.split_at_checked(FIXED).ok_or(HeaderFault::Short)?;
    if fixed[..SIGNATURE.len()] != *SIGNATURE {
        return Err(HeaderFault::NotOne);
    }
    match fixed[12] {
        // Whatever else it says does not count.
        LOCAL => return Ok(Told::Itself),
        PROXY => {}
        _ => return Err(HeaderFault::Unknown),
    }
    let (told, fields_at) = match fixed[13] {
        TCP_4 => (four(block).ok_or(HeaderFault::Short)?, LENGTH_4),
        TCP_6 => (six(block).ok_or(HeaderFault::Short)?, LENGTH_6),
        _ => return Err(HeaderFault::Family),
    };
    fields(header, FIXED + fields_at)?;
    match told {
        Told::Client { peer, .. } if !is_of_one_host(peer.ip()) => Err(HeaderFault::NoHost),
        told => Ok(told),
    }
}

/// No connection comes from any other address.
fn is_of_one_host(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

fn four(block: &[u8]) -> Option<Told> {
    let address = |at: usize| {
        let octets: [u8; 4] = block.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(octets)))
    };
    Some(Told::Client {
        peer: SocketAddr::new(address(0)?, port(block, 8)?),
        local: SocketAddr::new(address(4)?, port(block, 10)?),
    })
}

fn six(block: &[u8]) -> Option<Told> {
    let address = |at: usize| {
        let octets: [u8; 16] = block.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(octets)))
    };
    Some(Told::Client {
        peer: SocketAddr::new(address(0)?, port(block, 32)?),
        local: SocketAddr::new(address(16)?, port(block, 34)?),
    })
}

fn port(block: &[u8], at: usize) -> Option<u16> {
    let octets: [u8; 2] = block.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(octets))
}

/// Only the checksum is looked at; the others are walked over.
fn fields(header: &[u8], mut at: usize) -> Result<(), HeaderFault> {
    while at < header.len() {
        let Some(&[kind, high, low]) = header.get(at..at + 3) else {
            return Err(HeaderFault::Fields);
        };
        let value = at + 3;
        let end = value + usize::from(u16::from_be_bytes([high, low]));
        let octets = header.get(value..end).ok_or(HeaderFault::Fields)?;
        if kind == CRC32C {
            let told: [u8; 4] = octets.try_into().map_err(|_| HeaderFault::Fields)?;
            let mut sum = crc32c::crc32c(&header[..value]);
            sum = crc32c::crc32c_append(sum, &[0; 4]);
            sum = crc32c::crc32c_append(sum, &header[end..]);
            if sum != u32::from_be_bytes(told) {
                return Err(HeaderFault::Checksum);
            }
        }
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).expect("short").to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, block].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0, 25];

    fn six_block() -> Vec<u8> {
        let addresses = ["2001:db8::7", "2001:db8::1"].map(|a| a.parse::<Ipv6Addr>().unwrap());
        [&addresses[0].octets()[..], &addresses[1].octets(), &[0x9c, 0x40], &[0, 25]].concat()
    }

    fn summed(mut header: Vec<u8>) -> Vec<u8> {
        let length = u16::try_from(header.len() - FIXED + 7).unwrap().to_be_bytes();
        header[14..16].copy_from_slice(&length);
        header.extend([CRC32C, 0, 4, 0, 0, 0, 0]);
        let sum = crc32c::crc32c(&header).to_be_bytes();
        let at = header.len() - 4;
        header[at..].copy_from_slice(&sum);
        header
    }

    #[test]
    fn clients_of_both_families_are_told() {
        let client = |peer: &str, local: &str| {
            Ok(Told::Client { peer: peer.parse().unwrap(), local: local.parse().unwrap() })
        };
        let four = client("192.0.2.7:40000", "198.51.100.1:25");
        let fields = [&FOUR[..], &[0x02, 0, 2, b'h', b'i'], &[0x04, 0, 0]].concat();
        for (header, told) in [
            (header(PROXY, TCP_4, &FOUR), four),
            (header(PROXY, TCP_4, &fields), four),
            (summed(header(PROXY, TCP_4, &fields)), four),
            (header(PROXY, TCP_6, &six_block()), client("[2001:db8::7]:40000", "[2001:db8::1]:25")),
            (header(LOCAL, 0, &[]), Ok(Told::Itself)),
            (header(LOCAL, TCP_4, &FOUR), Ok(Told::Itself)),
            (header(LOCAL, 0xff, &[1, 2, 3]), Ok(Told::Itself)),
        ] {
            assert_eq!(length(&header), Ok(Some(header.len())));
            assert_eq!(parse(&header), told, "{header:?}");
        }
    }

    #[test]
    fn everything_else_is_refused_and_says_why() {
        use HeaderFault as H;
        let from_four = |ip: [u8; 4]| header(PROXY, TCP_4, &[&ip[..], &FOUR[4..]].concat());
        let from_six = |ip: &str| {
            let octets = ip.parse::<Ipv6Addr>().unwrap().octets();
            header(PROXY, TCP_6, &[&octets[..], &six_block()[16..]].concat())
        };
        let mut wrong = summed(header(PROXY, TCP_4, &FOUR));
        wrong[17] ^= 1;
        for (header, fault) in [
            (header(PROXY, 0x00, &[]), H::Family),
            (header(PROXY, 0x12, &FOUR), H::Family),
            (header(PROXY, 0x31, &[0; 216]), H::Family),
            (header(PROXY, TCP_4, &FOUR[..11]), H::Short),
            (header(PROXY, TCP_6, &FOUR), H::Short),
            (header(0x22, TCP_4, &FOUR), H::Unknown),
            (header(0x11, TCP_4, &FOUR), H::Unknown),
            (header(PROXY, TCP_4, &[&FOUR[..], &[9]].concat()), H::Fields),
            (header(PROXY, TCP_4, &[&FOUR[..], &[9, 0, 2, 1]].concat()), H::Fields),
            (header(PROXY, TCP_4, &[&FOUR[..], &[CRC32C, 0, 1, 1]].concat()), H::Fields),
            (from_four([0; 4]), H::NoHost),
            (from_four([255; 4]), H::NoHost),
            (from_four([224, 0, 0, 1]), H::NoHost),
            (from_six("::"), H::NoHost),
            (from_six("ff02::1"), H::NoHost),
            (from_six("::ffff:0.0.0.0"), H::NoHost),
            (wrong, H::Checksum),
            (b"EHLO a.example\r\n".to_vec(), H::NotOne),
            (vec![], H::Short),
        ] {
            assert_eq!(parse(&header), Err(fault), "{header:?}");
        }
        let long = [&SIGNATURE[..], &[PROXY, TCP_4, 0xff, 0xff]].concat();
        assert_eq!(length(&long), Err(H::Long));
        for (begun, expected) in [
            (&b""[..], Ok(None)),
            (b"\r\n", Ok(None)),
            (b"PRO", Ok(None)),
            (b"PROXY TCP4 192", Err(H::Version1)),
            (b"PROTO", Err(H::NotOne)),
            (b"EHLO", Err(H::NotOne)),
            (b"\r\n\r\n\0\r\nQUIT\r", Err(H::NotOne)),
            (&long[..15], Ok(None)),
        ] {
            assert_eq!(length(begun), expected, "{begun:?}");
        }
    }

    /// 200,000 headers changed by chance: none breaks anything, and one with a checksum is never believed when changed.
    #[test]
    fn headers_that_were_changed() {
        let sound = [
            header(PROXY, TCP_4, &FOUR),
            header(PROXY, TCP_6, &six_block()),
            summed(header(PROXY, TCP_4, &[&FOUR[..], &[1, 0, 3, b'x', b'y', b'z']].concat())),
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % n as u64).expect("small")
        };
        let mut taken = 0;
        for _ in 0..200_000 {
            let which = below(sound.len());
            let mut header = sound[which].clone();
            for _ in 0..=below(3) {
                let at = below(header.len());
                match below(3) {
                    0 => header[at] = u8::try_from(below(256)).expect("an octet"),
                    1 => header.truncate(at.max(1)),
                    _ => header.insert(at, u8::try_from(below(256)).expect("an octet")),
                }
            }
            let told = parse(&header);
            let sum_at = sound[2].len() - 7;
            let summed = header.len() == sound[2].len()
                && header[12] == PROXY
                && header[28..31] == sound[2][28..31]
                && header[sum_at..sum_at + 3] == sound[2][sum_at..sum_at + 3];
            if which == 2 && summed && header != sound[2] {
                assert!(told.is_err(), "{header:?}");
            }
            taken += u32::from(told.is_ok());
        }
        assert!(taken > 1000, "{taken}");
    }
}
