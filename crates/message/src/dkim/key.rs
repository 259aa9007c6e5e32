//! Private keys that sign (RFC 6376 section 3.3, RFC 8463, RFC 8301). They are never shown.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::Secret;
use std::fmt;
use std::ops::RangeInclusive;

/// Sizes of RSA keys that are taken, bits: what the library signs with.
const RSA_BITS: RangeInclusive<usize> = 2048..=8192;
/// Tags (X.690 section 8).
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// 1.2.840.113549.1.1.1 (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// How a signature is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Algorithm {
    /// RFC 6376.
    RsaSha256,
    /// RFC 8463.
    Ed25519Sha256,
}

impl Algorithm {
    /// As `a=` has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa-sha256",
            Self::Ed25519Sha256 => "ed25519-sha256",
        }
    }

    /// As `k=` of a key record has it.
    #[must_use]
    pub const fn key_type(self) -> &'static str {
        match self {
            Self::RsaSha256 => "rsa",
            Self::Ed25519Sha256 => "ed25519",
        }
    }
}

/// A private key.
pub struct Key {
    pair: Pair,
    /// As the record publishes it: of RSA a SubjectPublicKeyInfo, of Ed25519 the 32 octets.
    public: Vec<u8>,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A key that cannot be used; the operator must give another file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no block of PEM in it.
    #[error("it is no private key: no line -----BEGIN PRIVATE KEY----- (PEM)")]
    NoPem,
    /// A block of PEM that cannot be decoded.
    #[error("the PEM in it is broken")]
    BrokenPem,
    /// It is protected by a password.
    #[error(
        "it is encrypted; nobody is there to give the password when mail is signed: decrypt it"
    )]
    Encrypted,
    /// It is a public key or a certificate.
    #[error("it has a public key or a certificate, where a private key is wanted")]
    Public,
    /// Another kind of key.
    #[error("it is neither an RSA nor an Ed25519 key; DKIM knows no other")]
    OtherKind,
    /// RFC 8301 section 3.2: signers should use 2048 bits; what is shorter is refused here.
    #[error("it is an RSA key under 2048 bits, or over 8192; make a new one with 2048")]
    RsaSize,
}

impl Key {
    /// Reads PEM: PKCS#8 (`PRIVATE KEY`), or PKCS#1 (`RSA PRIVATE KEY`).
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn from_pem(text: &Secret) -> Result<Self, KeyError> {
        let (label, der) = pem(text)?;
        match label {
            Label::Pkcs8 => Self::from_pkcs8(der.expose()),
            Label::Pkcs1 => RsaKeyPair::from_der(der.expose())
                .map_err(|_| refused(modulus_bits(der.expose())))
                .and_then(Self::rsa),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let public = pair.public_key().as_ref().to_vec();
            return Ok(Self { pair: Pair::Ed25519(Box::new(pair)), public });
        }
        let bits = || rsa_in_pkcs8(der).and_then(modulus_bits);
        RsaKeyPair::from_pkcs8(der).map_err(|_| refused(bits())).and_then(Self::rsa)
    }

    fn rsa(pair: RsaKeyPair) -> Result<Self, KeyError> {
        let public: PublicKeyX509Der<'_> =
            pair.public_key().as_der().map_err(|_| KeyError::OtherKind)?;
        let public = public.as_ref().to_vec();
        Ok(Self { pair: Pair::Rsa(Box::new(pair)), public })
    }

    /// What it signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::RsaSha256,
            Pair::Ed25519(_) => Algorithm::Ed25519Sha256,
        }
    }

    /// Its size in bits.
    #[must_use]
    pub fn bits(&self) -> usize {
        match &self.pair {
            Pair::Rsa(pair) => pair.public_modulus_len() * 8,
            Pair::Ed25519(_) => 256,
        }
    }

    /// The public half as the record has it, before base64.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Signs. RSA-PKCS1 and Ed25519 need no chance: the same octets give the same signature.
    #[must_use]
    pub fn sign(&self, octets: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let unused = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &unused, octets, &mut signature).expect(
                    "a key that was accepted signs, and the room is as large as its modulus",
                );
                signature
            }
            // RFC 8463 section 3: what is signed is the SHA-256 of the octets.
            Pair::Ed25519(pair) => pair.sign(digest(&SHA256, octets).as_ref()).as_ref().to_vec(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm().as_str())
    }
}

/// The same public half means the same key.
impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.public == other.public
    }
}

impl Eq for Key {}

enum Label {
    Pkcs8,
    Pkcs1,
}

/// The first block of PEM that is a private key.
fn pem(text: &Secret) -> Result<(Label, Secret), KeyError> {
    let text = text.expose_str().ok_or(KeyError::NoPem)?;
    let mut lines = text.lines().map(str::trim);
    let label = loop {
        let line = lines.next().ok_or(KeyError::NoPem)?;
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|l| l.strip_suffix("-----"))
        else {
            continue;
        };
        match label {
            "PRIVATE KEY" => break Label::Pkcs8,
            "RSA PRIVATE KEY" => break Label::Pkcs1,
            "ENCRYPTED PRIVATE KEY" => return Err(KeyError::Encrypted),
            "PUBLIC KEY" | "RSA PUBLIC KEY" | "CERTIFICATE" => return Err(KeyError::Public),
            "EC PARAMETERS" | "DSA PARAMETERS" => {}
            _ => return Err(KeyError::OtherKind),
        }
    };
    let mut octets = Vec::with_capacity(text.len());
    for line in lines {
        if line.starts_with("-----END ") {
            let der =
                STANDARD.decode(Secret::new(octets).expose()).map_err(|_| KeyError::BrokenPem)?;
            return Ok((label, Secret::new(der)));
        }
        if line.starts_with("Proc-Type:") {
            return Err(KeyError::Encrypted);
        }
        octets.extend_from_slice(line.as_bytes());
    }
    Err(KeyError::BrokenPem)
}

/// Why a key is not taken whose modulus has so many bits; `None`: it is not even laid out as an RSA key.
fn refused(bits: Option<usize>) -> KeyError {
    match bits {
        Some(bits) if !RSA_BITS.contains(&bits) => KeyError::RsaSize,
        _ => KeyError::OtherKind,
    }
}

/// The modulus of an `RSAPrivateKey` (RFC 8017 appendix A.1.2): its version is before it.
fn modulus_bits(der: &[u8]) -> Option<usize> {
    let (within, _) = element(der, SEQUENCE)?;
    let (_version, rest) = element(within, INTEGER)?;
    let (modulus, _) = element(rest, INTEGER)?;
    let first = modulus.iter().position(|octet| *octet != 0)?;
    let used = &modulus[first..];
    let unused = used.first()?.leading_zeros();
    Some(used.len() * 8 - usize::try_from(unused).ok()?)
}

/// The `RSAPrivateKey` in a `PrivateKeyInfo` (RFC 5208 section 5); `None` where it is another algorithm's.
fn rsa_in_pkcs8(der: &[u8]) -> Option<&[u8]> {
    let (within, _) = element(der, SEQUENCE)?;
    let (_version, rest) = element(within, INTEGER)?;
    let (algorithm, rest) = element(rest, SEQUENCE)?;
    let (name, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (key, _) = element(rest, OCTET_STRING)?;
    (name == RSA_ENCRYPTION).then_some(key)
}

/// The content of the DER element that comes first, which must have this tag, and what follows it (X.690 section 8.1).
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = der.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        _ => {
            // Two octets count more than any key has.
            let (octets, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            let count = |sum, octet: &u8| sum << 8 | usize::from(*octet);
            ((1..=2).contains(&octets.len()).then(|| octets.iter().fold(0, count))?, rest)
        }
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::Pkcs8V1Der;
    use aws_lc_rs::rsa::{KeyPair, KeySize};

    #[test]
    fn the_size_of_an_rsa_key_is_read_from_it() {
        let pair = KeyPair::generate(KeySize::Rsa3072).expect("chance");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("it has a form");
        let rsa = rsa_in_pkcs8(der.as_ref()).expect("it is an RSA key");
        assert_eq!(modulus_bits(rsa), Some(3072));
        for cut in 0..rsa.len().min(380) {
            assert_eq!(modulus_bits(&rsa[..cut]), None, "{cut}");
        }
        let ed25519 = Ed25519KeyPair::generate_pkcs8v1(&SystemRandom::new()).expect("chance");
        assert_eq!(rsa_in_pkcs8(ed25519.as_ref()), None);
        for (bits, why) in [
            (Some(1024), KeyError::RsaSize),
            (Some(2047), KeyError::RsaSize),
            (Some(2048), KeyError::OtherKind),
            (Some(8192), KeyError::OtherKind),
            (Some(16384), KeyError::RsaSize),
            (None, KeyError::OtherKind),
        ] {
            assert_eq!(refused(bits), why, "{bits:?}");
        }
    }

    #[test]
    fn an_rsa_key_that_is_broken_is_not_said_to_be_of_a_wrong_size() {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("chance");
        let der: Pkcs8V1Der<'_> = pair.as_der().expect("it has a form");
        let mut broken = der.as_ref().to_vec();
        broken.truncate(broken.len() - 40);
        let text = |der: &[u8]| {
            let octets = STANDARD.encode(der);
            Secret::new(format!(
                "-----BEGIN PRIVATE KEY-----\n{octets}\n-----END PRIVATE KEY-----\n"
            ))
        };
        assert_eq!(Key::from_pem(&text(&broken)), Err(KeyError::OtherKind));
        assert_eq!(Key::from_pem(&text(der.as_ref())).map(|key| key.bits()), Ok(2048));
    }
}
