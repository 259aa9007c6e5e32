//! TLS as evidence (RFC 8446, RFC 5246, RFC 5280): what was agreed on, what the peer's certificates say of themselves,
//! and whether they would be believed. The last is a fact of its own: who encrypts without verifying has it too.
//!
//! Not here: what a route demands (`route`), the handshake (`io` and behind it).

use posthaste_mail::Timestamp;

/// The most certificates of a chain that are told.
pub const MAX_CHAIN: usize = 8;
/// The most names told of one certificate.
pub const MAX_NAMES: usize = 16;
/// The most octets told of a subject, an issuer or a name.
pub const MAX_NAME: usize = 255;

/// A version of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// As programs of the field write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// What a certificate says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Certificate {
    /// Whose it is: `CN=mx.example.org`.
    pub subject: String,
    /// The host names and addresses it is for (RFC 6125 section 1.8), at most [`MAX_NAMES`].
    pub names: Vec<String>,
    /// Who signed it.
    pub issuer: String,
    /// It is valid from then on.
    pub not_before: Timestamp,
    /// It is valid until then.
    pub not_after: Timestamp,
    /// SHA-256 of its public key with the key's algorithm (SPKI): what pins and TLSA records name.
    pub key: [u8; 32],
}

/// Why a certificate is not believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Untrusted {
    /// It is for other names.
    WrongName,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    NotYetValid,
    /// No trusted authority vouches for it: another one does, or it vouches for itself.
    UnknownIssuer,
    /// Its issuer has taken it back.
    Revoked,
    /// A signature in its chain is wrong, or made in a way that is not accepted.
    BadSignature,
    /// It, or one in its chain, is for another use.
    WrongUse,
    /// Its key is none of those that were given.
    NotPinned,
    /// It cannot be read.
    Unreadable,
    /// No authority is trusted here: this machine has none, or none that can be read.
    NoRoots,
    /// Anything else.
    Other,
}

impl Untrusted {
    /// Every reason with its name in the outside interface.
    pub const NAMES: [(Self, &'static str); 11] = [
        (Self::WrongName, "wrong-name"),
        (Self::Expired, "expired"),
        (Self::NotYetValid, "not-yet-valid"),
        (Self::UnknownIssuer, "unknown-issuer"),
        (Self::Revoked, "revoked"),
        (Self::BadSignature, "bad-signature"),
        (Self::WrongUse, "wrong-use"),
        (Self::NotPinned, "not-pinned"),
        (Self::Unreadable, "unreadable"),
        (Self::NoRoots, "no-roots"),
        (Self::Other, "untrusted"),
    ];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(u, _)| *u == self).map_or("untrusted", |(_, name)| name)
    }
}

/// Why a connection was not secured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TlsFault {
    /// The certificate is not believed, and it had to be.
    Untrusted {
        /// Why.
        why: Untrusted,
        /// The peer's own one, when it could be read.
        certificate: Option<Box<Certificate>>,
    },
    /// What the peer sends is no TLS.
    NotTls,
    /// No common version, cipher suite or way of exchanging keys.
    NothingInCommon,
    /// The peer ended the handshake with this alert (RFC 8446 section 6).
    Alert(u8),
    /// The peer ended the connection in the handshake.
    Lost {
        /// True for a reset, false for an orderly close.
        reset: bool,
    },
    /// Nothing came within the time limit.
    TimedOut,
    /// The peer breaks the protocol's rules.
    Broken,
    /// What the certificate was to be for is neither a name nor an address: ours to correct.
    BadName,
}

impl TlsFault {
    /// The name in the outside interface.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Untrusted { why, .. } => why.name(),
            Self::NotTls => "not-tls",
            Self::NothingInCommon => "nothing-in-common",
            Self::Alert(_) => "alert",
            Self::Lost { reset: true } => "reset",
            Self::Lost { reset: false } => "closed",
            Self::TimedOut => "timed-out",
            Self::Broken => "broken",
            Self::BadName => "bad-name",
        }
    }
}

/// A handshake that succeeded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsFacts {
    /// The version agreed on.
    pub version: TlsVersion,
    /// The cipher suite by its registered name.
    pub cipher: String,
    /// The application protocol agreed on (RFC 7301), if any.
    pub alpn: Option<String>,
    /// The peer's certificates as it sent them, its own first, at most [`MAX_CHAIN`]; unreadable ones are left out.
    pub chain: Vec<Certificate>,
    /// Whether they are believed. Who only records it may have gone on all the same.
    pub verified: Result<(), Untrusted>,
}
