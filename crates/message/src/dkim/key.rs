//! Private keys that sign (RFC 6376 section 3.3, RFC 8463, RFC 8301). They are never shown.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_mail::Secret;
use std::fmt;

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
                .map_err(|e| rsa_error(&e.to_string()))
                .and_then(Self::rsa),
        }
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            let public = pair.public_key().as_ref().to_vec();
            return Ok(Self { pair: Pair::Ed25519(Box::new(pair)), public });
        }
        RsaKeyPair::from_pkcs8(der).map_err(|e| rsa_error(&e.to_string())).and_then(Self::rsa)
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

/// The library's own word for what is wrong: sizes are told apart from all else.
fn rsa_error(why: &str) -> KeyError {
    if matches!(why, "TooSmall" | "TooLarge") { KeyError::RsaSize } else { KeyError::OtherKind }
}
