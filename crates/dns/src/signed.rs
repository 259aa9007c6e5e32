//! The data of DS, DNSKEY and RRSIG records out of their octets (RFC 4034), as far as it is evidence: tags, algorithms
//! and times. Pure.
//!
//! The codec reads these three only together with a library for signatures, which nothing here needs. Not here:
//! validation.

use posthaste_evidence::RecordData;

/// RFC 4034 section 5.
const DS: u16 = 43;
/// RFC 4034 section 3.
const RRSIG: u16 = 46;
/// RFC 4034 section 2.
const DNSKEY: u16 = 48;

/// RFC 4034 section 2.1.2.
const PROTOCOL: u8 = 3;
/// RSA/MD5, whose tag is computed otherwise (RFC 4034 appendix B.1). Forbidden since RFC 8624.
const RSAMD5: u8 = 1;

/// The data of a record of type `kind`; `None` for other types, and when it is cut short or its names are.
#[must_use]
pub fn read(kind: u16, octets: &[u8]) -> Option<RecordData> {
    match kind {
        DS => ds(octets),
        DNSKEY => dnskey(octets),
        RRSIG => rrsig(octets),
        _ => None,
    }
}

/// Whether a signature is valid at `now`, by serial number arithmetic (RFC 4034 section 3.1.5).
#[must_use]
pub const fn standing(inception: u32, expiration: u32, now: u32) -> Standing {
    let past_end = expiration.wrapping_sub(now).cast_signed() < 0;
    let before_begin = now.wrapping_sub(inception).cast_signed() < 0;
    match (before_begin, past_end) {
        (_, true) => Standing::Expired,
        (true, false) => Standing::NotYet,
        (false, false) => Standing::Valid,
    }
}

/// Where a signature is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has not begun.
    NotYet,
    /// Its time is now.
    Valid,
    /// It is over.
    Expired,
}

fn ds(octets: &[u8]) -> Option<RecordData> {
    let (fixed, digest) = octets.split_first_chunk::<4>()?;
    let [high, low, algorithm, digest_type] = *fixed;
    let whole = RecordData::Ds { key_tag: u16::from_be_bytes([high, low]), algorithm, digest_type };
    (!digest.is_empty()).then_some(whole)
}

fn dnskey(octets: &[u8]) -> Option<RecordData> {
    let (fixed, key) = octets.split_first_chunk::<4>()?;
    let [high, low, protocol, algorithm] = *fixed;
    let flags = u16::from_be_bytes([high, low]);
    let whole = RecordData::Dnskey { flags, algorithm, key_tag: key_tag(algorithm, octets)? };
    (!key.is_empty() && protocol == PROTOCOL).then_some(whole)
}

fn rrsig(octets: &[u8]) -> Option<RecordData> {
    let (fixed, rest) = octets.split_first_chunk::<18>()?;
    let short = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
    let long =
        |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
    Some(RecordData::Rrsig {
        covers: short(0),
        algorithm: fixed[2],
        key_tag: short(16),
        expiration: long(8),
        inception: long(12),
        signer: name(rest)?,
    })
}

/// RFC 4034 appendix B.
fn key_tag(algorithm: u8, octets: &[u8]) -> Option<u16> {
    if algorithm == RSAMD5 {
        let tail = octets.last_chunk::<3>()?;
        return Some(u16::from_be_bytes([tail[0], tail[1]]));
    }
    let mut sum = 0u32;
    for (at, octet) in octets.iter().enumerate() {
        sum += if at % 2 == 0 { u32::from(*octet) << 8 } else { u32::from(*octet) };
    }
    sum += (sum >> 16) & 0xffff;
    u16::try_from(sum & 0xffff).ok()
}

/// A name that may not be compressed (RFC 4034 section 3.1.7).
fn name(octets: &[u8]) -> Option<String> {
    let mut labels: Vec<&[u8]> = Vec::new();
    let mut rest = octets;
    loop {
        let (&length, after) = rest.split_first()?;
        if length == 0 {
            break;
        }
        let label = after.get(..usize::from(length)).filter(|_| length < 64)?;
        labels.push(label);
        rest = &after[label.len()..];
    }
    let name = hickory_proto::rr::Name::from_labels(labels).ok()?;
    Some(crate::name::text(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of RFC 4034 section 5.4, in hexadecimal.
    const KEY: &str = "01039e8a247418e318903b215a848acfd5f37f026bd4062db26c774c690968d5d56df8bfda91e6f36d9a2798\
        88f41333357c5e6029990d10fdf5663062a512763326980a615ddbf17a05ddfcce7e5fb3abcca05a31b09574\
        52d4521e83870789063115bf97f6c308ccf57cdc9ce7fe10f6ed1bd0cc0660038c50dcdb0feb963c2f17";

    #[test]
    fn the_key_of_the_rfc_has_the_tag_of_the_rfc() {
        let octet = |at| u8::from_str_radix(&KEY[at..at + 2], 16).unwrap();
        let octets: Vec<u8> =
            [1, 0, 3, 5].into_iter().chain((0..KEY.len()).step_by(2).map(octet)).collect();
        let read = read(DNSKEY, &octets);
        let expected = RecordData::Dnskey { flags: 256, algorithm: 5, key_tag: 60_485 };
        assert_eq!(read, Some(expected));
    }

    #[test]
    fn a_signature_tells_its_times_and_signer() {
        let mut octets = vec![0, 15, 13, 2, 0, 0, 14, 16];
        octets.extend(2_000u32.to_be_bytes());
        octets.extend(1_000u32.to_be_bytes());
        octets.extend([0x0a, 0x52]);
        octets.extend(b"\x07Example\x03org\x00");
        octets.extend([0xee; 64]);
        let expected = RecordData::Rrsig {
            covers: 15,
            algorithm: 13,
            key_tag: 2642,
            inception: 1_000,
            expiration: 2_000,
            signer: "example.org".into(),
        };
        assert_eq!(read(RRSIG, &octets), Some(expected));
        assert_eq!(read(RRSIG, &octets[..30]), None, "cut inside the name");
        octets[18] = 0xc0;
        assert_eq!(read(RRSIG, &octets), None, "compressed");
    }

    #[test]
    fn nothing_cut_short_is_read() {
        let ds = [0xec, 0x45, 5, 1, 0x2b];
        let whole = RecordData::Ds { key_tag: 60_485, algorithm: 5, digest_type: 1 };
        assert_eq!(read(DS, &ds), Some(whole));
        for (kind, octets) in
            [(DS, &ds[..4]), (DS, &ds[..3]), (DNSKEY, &[1, 0, 3, 13]), (16, &ds[..])]
        {
            assert_eq!(read(kind, octets), None);
        }
        assert_eq!(read(DNSKEY, &[1, 0, 2, 13, 1]), None, "another protocol");
    }

    #[test]
    fn times_are_compared_around_the_turn_of_the_number() {
        for (inception, expiration, now, expected) in [
            (100, 200, 150, Standing::Valid),
            (100, 200, 100, Standing::Valid),
            (100, 200, 200, Standing::Valid),
            (100, 200, 99, Standing::NotYet),
            (100, 200, 201, Standing::Expired),
            (u32::MAX - 10, 10, 0, Standing::Valid),
            (u32::MAX - 10, 10, 11, Standing::Expired),
            (u32::MAX - 10, 10, u32::MAX - 11, Standing::NotYet),
        ] {
            assert_eq!(
                standing(inception, expiration, now),
                expected,
                "{inception} {expiration} {now}"
            );
        }
    }
}
