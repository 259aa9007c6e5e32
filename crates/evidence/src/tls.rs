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
/// The most certificates of a chain that are kept in the spool.
pub const MAX_KEPT: usize = 4;
/// The most octets of a certificate's names that are kept in the spool, all together.
pub const MAX_KEPT_NAMES: usize = 1024;

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

/// How much of TLS is demanded of a host, the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsLevel {
    /// None: it is not tried.
    None,
    /// It is used where it works; whether the certificate is believed is only recorded (RFC 7435).
    Opportunistic,
    /// Nothing is sent in clear; whether the certificate is believed is only recorded.
    Require,
    /// Nothing is sent in clear, nor to a host whose certificate is not believed.
    Verify,
    /// As [`Self::Verify`], and the host's key is one of those given.
    Pinned,
}

impl TlsLevel {
    /// Every level with its name in the outside interface.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::None, "none"),
        (Self::Opportunistic, "opportunistic"),
        (Self::Require, "require"),
        (Self::Verify, "verify"),
        (Self::Pinned, "pinned"),
    ];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(l, _)| *l == self).map_or("none", |(_, name)| name)
    }
}

/// Who demands it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsOrigin {
    /// The operator's route.
    Route,
    /// The MTA-STS policy of the recipient's domain (RFC 8461).
    Sts,
    /// TLSA records of the host (RFC 7672).
    Dane,
}

impl TlsOrigin {
    /// Every origin with its name in the outside interface.
    pub const NAMES: [(Self, &'static str); 3] =
        [(Self::Route, "route"), (Self::Sts, "mta-sts"), (Self::Dane, "dane")];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(o, _)| *o == self).map_or("route", |(_, name)| name)
    }
}

/// What is demanded of a host, and by whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TlsDemand {
    /// How much.
    pub level: TlsLevel,
    /// Who says so.
    pub origin: TlsOrigin,
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
    /// Something came in clear between the reply to STARTTLS and the handshake: somebody in between may have put it
    /// there, to be taken for what came encrypted (CVE-2011-0411).
    Injected,
    /// The peer shows no certificate, and it had to.
    NoCertificate,
    /// We have no certificate that can be used: ours to correct.
    NoIdentity,
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
            Self::NoCertificate => "no-certificate",
            Self::NoIdentity => "no-identity",
            Self::Injected => "injected",
        }
    }

    /// What of it the spool keeps: as [`TlsFacts::kept`].
    #[must_use]
    pub fn kept(mut self) -> Self {
        if let Self::Untrusted { certificate: Some(certificate), .. } = &mut self {
            certificate.cut_names(MAX_KEPT_NAMES);
        }
        self
    }

    /// The same without the certificate, which an observation has.
    #[must_use]
    pub fn brief(&self) -> Self {
        match self {
            Self::Untrusted { why, .. } => Self::Untrusted { why: *why, certificate: None },
            other => other.clone(),
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

impl TlsFacts {
    /// What of it the spool keeps: the peer's own certificate whole, as long as its names are not out of proportion; of at
    /// most [`MAX_KEPT`] in all the others without their names, which authorities have none of.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.chain.truncate(MAX_KEPT);
        for (place, certificate) in self.chain.iter_mut().enumerate() {
            let most = if place == 0 { MAX_KEPT_NAMES } else { 0 };
            certificate.cut_names(most);
        }
        self
    }

    /// As the field's programs write it: version and cipher suite.
    #[must_use]
    pub fn agreed(&self) -> String {
        format!("{} {}", self.version.name(), self.cipher)
    }
}

impl Certificate {
    /// Leaves the first names, of `most` octets together.
    fn cut_names(&mut self, most: usize) {
        let mut octets = 0;
        self.names.retain(|name| {
            octets += name.len();
            octets <= most
        });
    }
}

/// A handshake that succeeded, our side being the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TlsReceived {
    /// The version agreed on.
    pub version: TlsVersion,
    /// The cipher suite by its registered name.
    pub cipher: String,
    /// The host name that the client asked for (SNI, RFC 6066 section 3).
    pub asked: Option<String>,
    /// What the client showed of itself; `None` when it showed no certificate.
    pub client: Option<Shown>,
}

/// Certificates that a client showed. It has the key of the first: the handshake proved that.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// As it sent them, its own first, at most [`MAX_CHAIN`]; unreadable ones are left out.
    pub chain: Vec<Certificate>,
    /// Whether they are believed.
    pub verified: Result<(), Untrusted>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_chain_is_bounded() {
        let certificate = Certificate {
            subject: "s".repeat(MAX_NAME),
            names: vec!["n".repeat(MAX_NAME); MAX_NAMES],
            issuer: "i".repeat(MAX_NAME),
            not_before: Timestamp::EPOCH,
            not_after: Timestamp::EPOCH,
            key: [7; 32],
        };
        let facts = TlsFacts {
            version: TlsVersion::Tls13,
            cipher: "TLS_AES_256_GCM_SHA384".into(),
            alpn: None,
            chain: vec![certificate; MAX_CHAIN],
            verified: Ok(()),
        };
        let kept = facts.kept();
        let names: Vec<usize> = kept.chain.iter().map(|c| c.names.len()).collect();
        assert_eq!(names, [4, 0, 0, 0]);
        assert!(kept.chain.iter().all(|c| c.key == [7; 32] && c.subject.len() == MAX_NAME));
        assert_eq!(kept.agreed(), "TLSv1.3 TLS_AES_256_GCM_SHA384");
    }
}
