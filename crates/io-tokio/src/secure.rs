//! TLS with rustls: versions 1.2 and 1.3, the provider's own choice of ciphers. Here is our side as the client and what
//! both sides share; `server` is the other side, `identity` our own certificates.
//!
//! Certificates are always judged, and the judgement kept; what it leads to is the caller's demand. As a client we
//! resume no sessions: a resumed one shows no certificate.

mod certificate;
mod identity;
mod server;
mod stream;
mod witness;

pub use self::identity::{BadIdentity, check_identity};

use self::server::Server;
use self::stream::{Carrier, TlsStream};
use self::witness::Witness;
use parking_lot::Mutex;
use posthaste_evidence::{TlsFacts, TlsFault, TlsVersion, Untrusted};
use posthaste_io::{Demand, Offer, Received, Secure, Secured, Stream, Trust};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, ConnectionCommon, Error, ProtocolVersion,
    RootCertStore,
};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

/// What a verifier of certificates says of signatures in the handshake, on either side.
macro_rules! signatures_as_the_provider_knows_them {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let known = &self.provider.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &rustls::pki_types::CertificateDer<'_>,
            signature: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            let known = &self.provider.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            self.provider.signature_verification_algorithms.supported_schemes()
        }
    };
}
use signatures_as_the_provider_knows_them;

/// The system's authorities are read again after this long: its administrator may have changed them.
const SYSTEM_ROOTS_KEPT: Duration = Duration::from_secs(3600);
/// Sets of authorities that are kept ready; the oldest goes first.
const MAX_SETS: usize = 8;

/// PEM text without a certificate, or with one that cannot be trusted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRoots {
    /// It is no PEM text.
    #[error("it is no PEM text")]
    Unreadable,
    /// There is no certificate in it.
    #[error("it has no certificate (a block that begins with -----BEGIN CERTIFICATE-----)")]
    Empty,
    /// A certificate in it cannot be read.
    #[error("certificate {0} in it cannot be read")]
    BadCertificate(usize),
}

/// How many authorities the PEM text names.
///
/// # Errors
/// [`BadRoots`]: the operator must correct the file.
pub fn check_roots(pem: &str) -> Result<usize, BadRoots> {
    given(pem).map(|roots| roots.len())
}

/// Who judges, by whom is believed.
type Judge = Result<Arc<WebPkiServerVerifier>, Untrusted>;

/// What handshakes share.
pub(crate) struct Tls {
    provider: Arc<CryptoProvider>,
    judges: Mutex<Vec<(Trust, Instant, Judge)>>,
    server: Server,
}

impl Tls {
    pub(crate) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        Self { server: Server::new(Arc::clone(&provider)), provider, judges: Mutex::default() }
    }

    pub(crate) async fn receive(
        &self,
        stream: Box<dyn Stream>,
        offer: Offer,
    ) -> Result<Received, TlsFault> {
        self.server.receive(stream, offer).await
    }

    pub(crate) async fn secure(
        &self,
        stream: Box<dyn Stream>,
        how: Secure,
    ) -> Result<Secured, TlsFault> {
        let name = ServerName::try_from(how.name.clone()).map_err(|_| TlsFault::BadName)?;
        let judge = match how.trust {
            Trust::Pinned(_) => Err(Untrusted::NotPinned),
            _ => self.judge(&how.trust),
        };
        let witness = Arc::new(Witness::new(&how, judge, Arc::clone(&self.provider)));
        let config = self.config(&how, Arc::clone(&witness))?;
        let handshake = TlsConnector::from(Arc::new(config)).connect(name, Carrier(stream));
        let secured = match tokio::time::timeout(how.limit, handshake).await {
            Err(_) => return Err(TlsFault::TimedOut),
            Ok(Err(error)) => return Err(fault(&error, &witness)),
            Ok(Ok(secured)) => secured,
        };
        let facts = facts(secured.get_ref().1, &witness)?;
        Ok(Secured { stream: Box::new(TlsStream::new(secured.into())), facts })
    }

    fn config(&self, how: &Secure, witness: Arc<Witness>) -> Result<ClientConfig, TlsFault> {
        let config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsFault::NothingInCommon)?;
        let witnessed = config.dangerous().with_custom_certificate_verifier(witness);
        let mut config = witnessed.with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = how.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Ok(config)
    }

    fn judge(&self, trust: &Trust) -> Judge {
        let now = Instant::now();
        let mut judges = self.judges.lock();
        let fresh = |at: Instant| *trust != Trust::System || now - at < SYSTEM_ROOTS_KEPT;
        judges.retain(|(of, at, _)| of != trust || fresh(*at));
        if let Some((.., judge)) = judges.iter().find(|(of, ..)| of == trust) {
            return judge.clone();
        }
        let roots = match trust {
            Trust::Given(pem) => given(pem).unwrap_or_else(|_| RootCertStore::empty()),
            Trust::System | Trust::Pinned(_) => of_system(),
        };
        let provider = Arc::clone(&self.provider);
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|_| Untrusted::NoRoots);
        if judges.len() == MAX_SETS {
            judges.drain(..1);
        }
        judges.push((trust.clone(), now, judge.clone()));
        judge
    }
}

/// The authorities that this machine trusts. What cannot be read is left out; none at all is found out by the judge.
fn of_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn given(pem: &str) -> Result<RootCertStore, BadRoots> {
    let mut roots = RootCertStore::empty();
    for (place, read) in CertificateDer::pem_slice_iter(pem.as_bytes()).enumerate() {
        let certificate = read.map_err(|_| BadRoots::Unreadable)?;
        roots.add(certificate).map_err(|_| BadRoots::BadCertificate(place + 1))?;
    }
    if roots.is_empty() { Err(BadRoots::Empty) } else { Ok(roots) }
}

fn facts(connection: &ClientConnection, witness: &Witness) -> Result<TlsFacts, TlsFault> {
    let (version, cipher) = agreed(connection)?;
    let alpn = connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    let (chain, verified) = witness.statement();
    Ok(TlsFacts { version, cipher, alpn, chain, verified })
}

/// Version and cipher suite by its registered name; rustls marks those of TLS 1.3 with their version.
fn agreed<D>(connection: &ConnectionCommon<D>) -> Result<(TlsVersion, String), TlsFault> {
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => TlsVersion::Tls13,
        Some(ProtocolVersion::TLSv1_2) => TlsVersion::Tls12,
        _ => return Err(TlsFault::NothingInCommon),
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    let name = |suite: rustls::CipherSuite| {
        let known = suite.as_str().map(|name| name.replacen("TLS13_", "TLS_", 1));
        known.unwrap_or_else(|| format!("{suite:?}"))
    };
    Ok((version, suite.map_or_else(String::new, name)))
}

/// What ended a handshake of ours as a client.
fn fault(error: &io::Error, witness: &Witness) -> TlsFault {
    match ended(error, witness.was_called()) {
        TlsFault::Untrusted { why, .. } => {
            let (chain, verified) = witness.statement();
            let why = verified.err().unwrap_or(why);
            TlsFault::Untrusted { why, certificate: chain.into_iter().next().map(Box::new) }
        }
        // A server without a certificate breaks the rules of its own side.
        TlsFault::NoCertificate => {
            TlsFault::Untrusted { why: Untrusted::Unreadable, certificate: None }
        }
        fault => fault,
    }
}

/// What ended a handshake; `spoke`: the peer has said something that was TLS.
fn ended(error: &io::Error, spoke: bool) -> TlsFault {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (inner, error.kind()) {
        (Some(Error::InvalidCertificate(said)), _) => {
            TlsFault::Untrusted { why: untrusted(said), certificate: None }
        }
        (Some(Error::NoCertificatesPresented), _) => TlsFault::NoCertificate,
        (Some(Error::AlertReceived(alert)), _) => TlsFault::Alert(u8::from(*alert)),
        (Some(Error::PeerIncompatible(_)), _) => TlsFault::NothingInCommon,
        (Some(Error::InvalidMessage(_)), _) if !spoke => TlsFault::NotTls,
        (Some(_), _) => TlsFault::Broken,
        (None, io::ErrorKind::UnexpectedEof) => TlsFault::Lost { reset: false },
        (None, _) => TlsFault::Lost { reset: true },
    }
}

/// What the library's reason is in our words.
fn untrusted(error: &CertificateError) -> Untrusted {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => Untrusted::Expired,
        E::NotValidYet | E::NotValidYetContext { .. } => Untrusted::NotYetValid,
        E::NotValidForName | E::NotValidForNameContext { .. } => Untrusted::WrongName,
        E::UnknownIssuer => Untrusted::UnknownIssuer,
        E::Revoked => Untrusted::Revoked,
        E::BadEncoding => Untrusted::Unreadable,
        E::BadSignature
        | E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => Untrusted::BadSignature,
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => Untrusted::WrongUse,
        _ => Untrusted::Other,
    }
}

/// True when the certificate has to be believed.
fn is_strict(how: &Secure) -> bool {
    how.demand == Demand::Verified
}
