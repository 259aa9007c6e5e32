//! Sees the peer's certificates in the handshake, asks the judge, and remembers what was said.

use super::{Judge, certificate, is_strict, signatures_as_the_provider_knows_them, untrusted};
use parking_lot::Mutex;
use posthaste_evidence::tls::MAX_CHAIN;
use posthaste_evidence::{Certificate, Untrusted};
use posthaste_io::{MAX_REFERENCES, Reference, Secure, Trust};
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error};
use std::sync::Arc;

/// What was seen and said.
type Statement = (Vec<Certificate>, Result<(), Untrusted>);

/// One handshake's.
#[derive(Debug)]
pub(super) struct Witness {
    judge: Judge,
    pins: Option<Arc<[[u8; 32]]>>,
    /// Empty: the name of the handshake.
    names: Vec<Reference>,
    strict: bool,
    provider: Arc<CryptoProvider>,
    statement: Mutex<Option<Statement>>,
}

impl Witness {
    pub(super) fn new(how: &Secure, judge: Judge, provider: Arc<CryptoProvider>) -> Self {
        let pins = match &how.trust {
            Trust::Pinned(pins) => Some(Arc::clone(pins)),
            Trust::System | Trust::Given(_) => None,
        };
        let names = how.names.iter().take(MAX_REFERENCES).cloned().collect();
        Self { judge, pins, names, strict: is_strict(how), provider, statement: Mutex::default() }
    }

    /// It has seen certificates.
    pub(super) fn was_called(&self) -> bool {
        self.statement.lock().is_some()
    }

    /// What it saw and heard; nothing believed when it was never called.
    pub(super) fn statement(&self) -> Statement {
        let never = || (Vec::new(), Err(Untrusted::Unreadable));
        self.statement.lock().clone().unwrap_or_else(never)
    }

    fn ask(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), (Untrusted, CertificateError)> {
        if let Some(pins) = &self.pins {
            let pinned = certificate::key_of(own).is_some_and(|key| pins.contains(&key));
            let other = CertificateError::ApplicationVerificationFailure;
            return if pinned { Ok(()) } else { Err((Untrusted::NotPinned, other)) };
        }
        let judge = self.judge.as_ref().map_err(|why| (*why, CertificateError::UnknownIssuer))?;
        let verify =
            |name: &ServerName<'_>| match judge.verify_server_cert(own, others, name, ocsp, now) {
                Ok(_) => Ok(()),
                Err(Error::InvalidCertificate(why)) => Err((untrusted(&why), why)),
                Err(_) => Err((Untrusted::Unreadable, CertificateError::BadEncoding)),
            };
        if self.names.is_empty() {
            return verify(name);
        }
        let wrong = || Err((Untrusted::WrongName, CertificateError::NotValidForName));
        // None of its names will do; what else is wrong with it is said all the same, and first.
        let mut said = verify(name).and_then(|()| wrong());
        for name in certificate::names_to_try(own, &self.names) {
            // Anything but a wrong name would be said of every name.
            if !matches!(said, Err((Untrusted::WrongName, _))) {
                break;
            }
            said = verify(&name);
        }
        said
    }
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let said = self.ask(own, others, name, ocsp, now);
        let sent = std::iter::once(own).chain(others).take(MAX_CHAIN);
        let chain = sent.filter_map(|der| certificate::read(der)).collect();
        let verified = said.as_ref().copied().map_err(|(why, _)| *why);
        *self.statement.lock() = Some((chain, verified));
        match said {
            Err((_, why)) if self.strict => Err(Error::InvalidCertificate(why)),
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    signatures_as_the_provider_knows_them!();
}
