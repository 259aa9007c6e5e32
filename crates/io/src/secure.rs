//! TLS over a stream that stands, on either side (RFC 8446, RFC 5246).
//!
//! Not here: the handshake itself, what a route demands of a host (`route`), what a client's certificate is good for
//! (`reception`).

use crate::Stream;
use posthaste_evidence::{TlsFacts, TlsReceived};
use posthaste_mail::Secret;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How a stream is to be secured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secure {
    /// The host name or IP address the certificate must be for. A name is also sent (SNI, RFC 6066 section 3).
    pub name: String,
    /// What the certificate must be for instead of `name`, where that is something else: one of these is enough. Names over
    /// [`MAX_REFERENCES`] are not looked at.
    pub names: Vec<Reference>,
    /// Who vouches for it.
    pub trust: Trust,
    /// What follows when nobody does.
    pub demand: Demand,
    /// Application protocols offered (RFC 7301), the preferred one first: `dot`.
    pub alpn: Vec<&'static str>,
    /// The longest the handshake may take.
    pub limit: Duration,
}

/// The most names that one certificate is compared with.
pub const MAX_REFERENCES: usize = 64;

/// A name that a certificate may be for (RFC 6125 section 1.8: a reference identifier).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reference {
    /// A host name or IP address.
    Exactly(String),
    /// Any name below this one, at any depth.
    Below(String),
}

/// Whose word for a certificate is believed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Trust {
    /// The authorities that this machine trusts.
    #[default]
    System,
    /// These authorities and no others: certificates as PEM text.
    Given(Arc<str>),
    /// Nobody's: the certificate's key must be one of these, whatever names and dates it has: SHA-256 of the SPKI
    /// (RFC 7858 section 4.2).
    Pinned(Arc<[[u8; 32]]>),
}

/// What follows when a certificate is not believed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// The handshake fails.
    Verified,
    /// It goes on; the facts tell what verification said.
    Encrypted,
}

/// A stream under TLS.
pub struct Secured {
    /// What is written here goes out encrypted.
    pub stream: Box<dyn Stream>,
    /// What the handshake showed.
    pub facts: TlsFacts,
}

/// What a client is offered, our side being the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// Who we are. A client that asks for a name is shown the first certificate that has it, others the first of all.
    /// Sets are told apart by where they lie in memory: whoever loads one gives every session the same.
    pub identities: Arc<[Identity]>,
    /// Whether the client is asked for a certificate.
    pub clients: Clients,
    /// The longest the handshake may take.
    pub limit: Duration,
}

/// A certificate of ours with its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, then those that lead to its authority; PEM text, and nothing of the key: it is not wiped.
    pub chain: Arc<str>,
    /// Its private key: PKCS#8, PKCS#1 or SEC1, PEM text.
    pub key: Secret,
}

/// Neither of them: a chain that was put together wrongly may hold a key.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// What is asked of clients.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Clients {
    /// Nothing: they stay unnamed.
    #[default]
    Unasked,
    /// A certificate, which they need not have. These authorities vouch for it, PEM text; without any, nobody does.
    Asked(Option<Arc<str>>),
    /// A certificate that one of these authorities vouches for, PEM text; without it the handshake fails.
    Required(Arc<str>),
}

/// A client's stream under TLS.
pub struct Received {
    /// What is written here goes out encrypted.
    pub stream: Box<dyn Stream>,
    /// What the handshake showed.
    pub facts: TlsReceived,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_not_shown() {
        let identity = Identity { chain: "PRIVATE".into(), key: Secret::new("PRIVATE") };
        let identities = Arc::from([identity]);
        let offer = Offer { identities, clients: Clients::Unasked, limit: Duration::ZERO };
        let shown = format!("{offer:?}");
        assert!(shown.contains("Identity") && !shown.contains("PRIVATE"), "{shown}");
    }
}
