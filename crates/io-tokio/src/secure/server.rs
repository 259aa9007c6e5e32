//! Our side as the server: what is made ready once for a set of certificates and serves every handshake with it.
//!
//! Clients may resume sessions by tickets (RFC 5077, RFC 8446 section 2.2); they are sealed with a key of the set, so
//! that a new certificate ends them. There is no renegotiation and no early data.

use super::identity::Identities;
use super::stream::{Carrier, TlsStream};
use super::{agreed, certificate, ended, given, signatures_as_the_provider_knows_them, untrusted};
use parking_lot::Mutex;
use posthaste_evidence::tls::MAX_CHAIN;
use posthaste_evidence::{Shown, TlsFault, TlsReceived, Untrusted};
use posthaste_io::{Clients, Identity, Offer, Received, Stream};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, Error, ServerConfig, ServerConnection};
use std::sync::{Arc, Weak};
use tokio_rustls::TlsAcceptor;

/// Offers that are kept ready; the oldest goes first. There are at most 64 listeners.
const MAX_OFFERS: usize = 80;

/// Who judges clients; `None`: they are not asked.
type Judge = Option<Arc<ClientWitness>>;

/// What handshakes of one kind share.
#[derive(Clone)]
struct Ready {
    config: Arc<ServerConfig>,
    judge: Judge,
}

/// For these keys and clients.
type Kept = (Weak<[Identity]>, Clients, Ready);

/// The server's side of all handshakes.
pub(super) struct Server {
    provider: Arc<CryptoProvider>,
    ready: Mutex<Vec<Kept>>,
}

impl Server {
    pub(super) fn new(provider: Arc<CryptoProvider>) -> Self {
        Self { provider, ready: Mutex::default() }
    }

    pub(super) async fn receive(
        &self,
        stream: Box<dyn Stream>,
        offer: Offer,
    ) -> Result<Received, TlsFault> {
        let Ready { config, judge } = self.ready(&offer)?;
        let handshake = TlsAcceptor::from(config).accept(Carrier(stream));
        let secured = match tokio::time::timeout(offer.limit, handshake).await {
            Err(_) => return Err(TlsFault::TimedOut),
            Ok(Err(error)) => return Err(ended(&error, false)),
            Ok(Ok(secured)) => secured,
        };
        let facts = facts(secured.get_ref().1, judge.as_deref())?;
        Ok(Received { stream: Box::new(TlsStream::new(secured.into())), facts })
    }

    fn ready(&self, offer: &Offer) -> Result<Ready, TlsFault> {
        let mut kept = self.ready.lock();
        let is = |of: &Weak<[Identity]>, clients: &Clients| {
            std::ptr::addr_eq(of.as_ptr(), Arc::as_ptr(&offer.identities))
                && *clients == offer.clients
        };
        if let Some((.., ready)) = kept.iter().find(|(of, clients, _)| is(of, clients)) {
            return Ok(ready.clone());
        }
        let ready = self.make(offer)?;
        // Keys that nobody offers any more are not kept.
        kept.retain(|(of, ..)| of.strong_count() > 0);
        if kept.len() == MAX_OFFERS {
            kept.drain(..1);
        }
        kept.push((Arc::downgrade(&offer.identities), offer.clients.clone(), ready.clone()));
        Ok(ready)
    }

    fn make(&self, offer: &Offer) -> Result<Ready, TlsFault> {
        let identities = Identities::load(&offer.identities, &self.provider);
        let identities = identities.ok_or(TlsFault::NoIdentity)?;
        let judge = ClientWitness::new(&offer.clients, &self.provider);
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| TlsFault::NothingInCommon)?;
        let config = match &judge {
            None => config.with_no_client_auth(),
            Some(judge) => config.with_client_cert_verifier(Arc::clone(judge) as Arc<_>),
        };
        let mut config = config.with_cert_resolver(Arc::new(identities));
        if let Ok(ticketer) = rustls::crypto::aws_lc_rs::Ticketer::new() {
            config.ticketer = ticketer;
        }
        config.send_tls13_tickets = 1;
        Ok(Ready { config: Arc::new(config), judge })
    }
}

fn facts(
    connection: &ServerConnection,
    judge: Option<&ClientWitness>,
) -> Result<TlsReceived, TlsFault> {
    let (version, cipher) = agreed(connection)?;
    let shown = connection.peer_certificates().and_then(|chain| chain.split_first());
    let client = judge.zip(shown).map(|(judge, (own, others))| {
        let verified = judge.ask(own, others, UnixTime::now()).map_err(|error| why(&error));
        let chain = std::iter::once(own).chain(others).take(MAX_CHAIN);
        Shown { chain: chain.filter_map(|der| certificate::read(der)).collect(), verified }
    });
    let asked = connection.server_name().map(str::to_owned);
    Ok(TlsReceived { version, cipher, asked, client })
}

fn why(error: &Error) -> Untrusted {
    match error {
        Error::InvalidCertificate(said) => untrusted(said),
        Error::NoCertificatesPresented => Untrusted::NoRoots,
        _ => Untrusted::Unreadable,
    }
}

/// Judges the certificates of clients. Those that need not be believed pass the handshake all the same; what is
/// thought of them is asked again when it has ended.
#[derive(Debug)]
struct ClientWitness {
    /// `None`: no authority is trusted.
    judge: Option<Arc<dyn ClientCertVerifier>>,
    strict: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientWitness {
    /// `None` when clients are not asked.
    fn new(clients: &Clients, provider: &Arc<CryptoProvider>) -> Judge {
        let (roots, strict) = match clients {
            Clients::Unasked => return None,
            Clients::Asked(roots) => (roots.as_ref(), false),
            Clients::Required(roots) => (Some(roots), true),
        };
        let roots = roots.and_then(|pem| given(pem).ok());
        let judge = roots.and_then(|roots| {
            let provider = Arc::clone(provider);
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()
        });
        Some(Arc::new(Self { judge, strict, provider: Arc::clone(provider) }))
    }

    fn ask(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let judge = self.judge.as_ref().ok_or(Error::NoCertificatesPresented)?;
        judge.verify_client_cert(own, others, now).map(|_| ())
    }
}

impl ClientCertVerifier for ClientWitness {
    fn client_auth_mandatory(&self) -> bool {
        self.strict
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.judge.as_ref().map_or(&[], |judge| judge.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        own: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.strict {
            self.ask(own, others, now)?;
        }
        Ok(ClientCertVerified::assertion())
    }

    signatures_as_the_provider_knows_them!();
}
