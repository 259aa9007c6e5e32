//! Our own certificates: read from PEM text, held against their keys, and found by the name that a client asks for
//! (SNI, RFC 6066 section 3; wildcards as in RFC 6125 section 6.4.3).
//!
//! Not here: their files, and when these are read (the binary).

use super::certificate;
use posthaste_evidence::Certificate;
use posthaste_io::Identity;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// A certificate and a key that cannot be used together; the operator must correct the files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadIdentity {
    /// The chain is no PEM text.
    #[error("it is no PEM text")]
    UnreadableChain,
    /// The chain has no certificate.
    #[error("it has no certificate (a block that begins with -----BEGIN CERTIFICATE-----)")]
    NoCertificate,
    /// A certificate of the chain cannot be read.
    #[error("certificate {0} in it cannot be read")]
    BadCertificate(usize),
    /// There is no key, or it is protected by a passphrase.
    #[error(
        "it has no private key without a passphrase (a block that begins with -----BEGIN PRIVATE KEY-----, \
         -----BEGIN RSA PRIVATE KEY----- or -----BEGIN EC PRIVATE KEY-----)"
    )]
    NoKey,
    /// The key cannot be used.
    #[error(
        "its key cannot be used: RSA of 2048 to 8192 bits, ECDSA (P-256, P-384, P-521) or Ed25519"
    )]
    BadKey,
    /// The key is that of another certificate.
    #[error("it is not the key of the first certificate of the chain")]
    OtherKey,
}

impl BadIdentity {
    /// True when the file of the key must be corrected, false for that of the chain.
    #[must_use]
    pub const fn is_of_key(self) -> bool {
        matches!(self, Self::NoKey | Self::BadKey | Self::OtherKey)
    }
}

/// What the certificate of an identity that can be used says of itself.
///
/// # Errors
/// [`BadIdentity`]: the operator must correct the files.
pub fn check_identity(identity: &Identity) -> Result<Certificate, BadIdentity> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let key = load(identity, &provider)?;
    certificate::read(&key.cert[0]).ok_or(BadIdentity::BadCertificate(1))
}

fn load(identity: &Identity, provider: &CryptoProvider) -> Result<CertifiedKey, BadIdentity> {
    let mut chain = Vec::new();
    for (place, read) in CertificateDer::pem_slice_iter(identity.chain.as_bytes()).enumerate() {
        let der = read.map_err(|_| BadIdentity::UnreadableChain)?;
        certificate::read(&der).ok_or(BadIdentity::BadCertificate(place + 1))?;
        chain.push(der);
    }
    if chain.is_empty() {
        return Err(BadIdentity::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose());
    let key = provider.key_provider.load_private_key(key.map_err(|_| BadIdentity::NoKey)?);
    let certified = CertifiedKey::new(chain, key.map_err(|_| BadIdentity::BadKey)?);
    certified.keys_match().map_err(|_| BadIdentity::OtherKey)?;
    Ok(certified)
}

/// All identities that can be used, in the operator's order.
#[derive(Debug)]
pub(super) struct Identities(Vec<(Vec<String>, Arc<CertifiedKey>)>);

impl Identities {
    /// `None` when there is none that can be used.
    pub(super) fn load(identities: &[Identity], provider: &CryptoProvider) -> Option<Self> {
        let usable = identities.iter().filter_map(|identity| load(identity, provider).ok());
        let named = usable.map(|key| (certificate::names_of(&key.cert[0]), Arc::new(key)));
        let named: Vec<_> = named.collect();
        (!named.is_empty()).then_some(Self(named))
    }

    /// The first that has the name and a key of a kind that the client knows; without one, the first of that kind.
    fn find(
        &self,
        asked: Option<&str>,
        knows: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<&Arc<CertifiedKey>> {
        let named = |names: &[String]| {
            asked.is_some_and(|asked| names.iter().any(|name| is_for(name, asked)))
        };
        let fit = || self.0.iter().filter(|(_, key)| knows(key));
        let found = fit().find(|(names, _)| named(names)).or_else(|| fit().next());
        found.or_else(|| self.0.first()).map(|(_, key)| key)
    }
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let knows = |key: &CertifiedKey| key.key.choose_scheme(schemes).is_some();
        self.find(hello.server_name(), knows).cloned()
    }
}

/// A wildcard stands for one whole label, the first.
fn is_for(name: &str, asked: &str) -> bool {
    let asked = asked.strip_suffix('.').unwrap_or(asked);
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(asked),
        Some(parent) => asked
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_label() {
        for (name, asked, fits) in [
            ("mx.example.org", "MX.example.ORG", true),
            ("mx.example.org", "mx.example.org.", true),
            ("mx.example.org", "example.org", false),
            ("*.example.org", "mx.example.org", true),
            ("*.example.org", "a.mx.example.org", false),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
        ] {
            assert_eq!(is_for(name, asked), fits, "{name} {asked}");
        }
    }
}
