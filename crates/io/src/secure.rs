//! TLS over a stream that stands, our side being the client (RFC 8446, RFC 5246).
//!
//! Not here: the handshake itself, the server's side, and what a route demands of a host (`route`).

use crate::Stream;
use posthaste_evidence::TlsFacts;
use std::sync::Arc;
use std::time::Duration;

/// How a stream is to be secured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secure {
    /// The host name or IP address the certificate must be for. A name is also sent (SNI, RFC 6066 section 3).
    pub name: String,
    /// Who vouches for it.
    pub trust: Trust,
    /// What follows when nobody does.
    pub demand: Demand,
    /// Application protocols offered (RFC 7301), the preferred one first: `dot`.
    pub alpn: Vec<&'static str>,
    /// The longest the handshake may take.
    pub limit: Duration,
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
