//! TLS with our side as the server, against real clients of the same library: which certificate they are shown, what is
//! told of theirs, who is refused, and that old ones stay out.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_evidence::{TlsFault, TlsReceived, TlsVersion, Untrusted};
use posthaste_io::{
    Clients, Demand, Dial, Identity, Listener, Offer, Received, Secure, StreamExt as _, Trust,
    World,
};
use posthaste_io_tokio::{BadIdentity, NullJournal, check_identity};
use posthaste_mail::Secret;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const LIMIT: Duration = Duration::from_secs(20);

fn on_runtime<F: Future<Output = ()>>(story: impl FnOnce(World) -> F) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let context = runtime.enter();
    let world = posthaste_io_tokio::world(Arc::new(NullJournal));
    drop(context);
    runtime.block_on(story(world));
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn identity(authority: &Authority, names: &[&str], until: i32) -> Identity {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(until, 1, 1));
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Identity { chain: certificate.pem().into(), key: Secret::new(key.serialize_pem()) }
}

fn offer(identities: &[Identity]) -> Offer {
    Offer { identities: Arc::from(identities), clients: Clients::Unasked, limit: LIMIT }
}

/// What a client does: the name it asks for, the versions it speaks, the certificate it shows.
struct Caller<'a> {
    roots: &'a Authority,
    asks: Option<&'a str>,
    versions: &'a [&'static rustls::SupportedProtocolVersion],
    shows: Option<&'a Identity>,
}

impl Caller<'_> {
    fn config(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.roots.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_protocol_versions(self.versions);
        let config = config.with_root_certificates(roots);
        match self.shows {
            None => config.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.chain.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(own.key.expose()).unwrap();
                config.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
            }
        }
    }

    async fn call(
        &self,
        at: SocketAddr,
        config: ClientConfig,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = self.asks.map(|name| ServerName::try_from(name.to_owned()).unwrap());
        let name = name.unwrap_or(ServerName::IpAddress(at.ip().into()));
        let stream = TcpStream::connect(at).await?;
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        // Under TLS 1.3 a client is done before its certificate is judged.
        stream.write_all(b"hello").await?;
        stream.read_exact(&mut [0; 5]).await?;
        Ok(stream)
    }
}

/// One handshake, an echo, and an orderly end: what the server was told, and the first name the client was shown.
async fn meet(
    world: &World,
    listener: &dyn Listener,
    offer: Offer,
    caller: &Caller<'_>,
) -> (Result<TlsReceived, TlsFault>, Option<String>) {
    let server = async {
        let stream = listener.accept().await.unwrap();
        let Received { mut stream, facts } = world.net.receive(stream, offer).await?;
        let mut heard = [0; 16];
        let count = stream.read(&mut heard).await.map_err(|_| TlsFault::Broken)?;
        stream.write_all(&heard[..count]).await.map_err(|_| TlsFault::Broken)?;
        assert_eq!(stream.read(&mut heard).await.unwrap(), 0, "an orderly end");
        stream.shutdown().await.unwrap();
        Ok(facts)
    };
    let client = async {
        let mut stream = caller.call(listener.local(), caller.config()).await.ok()?;
        let shown = stream.get_ref().1.peer_certificates().unwrap()[0].clone();
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 16]).await.unwrap(), 0, "close_notify came");
        Some(x509(&shown))
    };
    tokio::join!(server, client)
}

/// The first name in a certificate.
fn x509(der: &CertificateDer<'_>) -> String {
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    match &names.value.general_names[0] {
        GeneralName::DNSName(name) => (*name).to_owned(),
        other => format!("{other:?}"),
    }
}

async fn listen(world: &World) -> Box<dyn Listener> {
    world.net.listen(SocketAddr::from(([127, 0, 0, 1], 0)), 16).await.unwrap()
}

#[test]
fn clients_are_shown_the_certificate_they_ask_for() {
    on_runtime(|world| async move {
        let (ours, listener) = (authority("Ours"), listen(&world).await);
        let set = [
            identity(&ours, &["mx.first.example", "127.0.0.1"], 2100),
            identity(&ours, &["*.second.example"], 2100),
            identity(&ours, &["mx.third.example"], 2100),
        ];
        let offer = offer(&set);
        for (asks, shown) in [
            (Some("mx.first.example"), "mx.first.example"),
            (Some("a.second.example"), "*.second.example"),
            (Some("MX.third.example"), "mx.third.example"),
            (None, "mx.first.example"),
        ] {
            for (version, told) in [
                (&rustls::version::TLS13, TlsVersion::Tls13),
                (&rustls::version::TLS12, TlsVersion::Tls12),
            ] {
                let caller = Caller { roots: &ours, asks, versions: &[version], shows: None };
                let (facts, seen) = meet(&world, &*listener, offer.clone(), &caller).await;
                let facts = facts.unwrap();
                assert_eq!((facts.version, seen.as_deref()), (told, Some(shown)), "{asks:?}");
                assert_eq!(
                    facts.asked.map(|name| name.to_lowercase()),
                    asks.map(str::to_lowercase)
                );
                assert!(facts.cipher.starts_with("TLS_") && facts.client.is_none());
            }
        }
        // A name that nobody has: the first certificate, which this client does not believe.
        let caller = Caller {
            roots: &ours,
            asks: Some("other.example"),
            versions: rustls::ALL_VERSIONS,
            shows: None,
        };
        let (facts, seen) = meet(&world, &*listener, offer, &caller).await;
        assert!(matches!(facts, Err(TlsFault::Alert(_) | TlsFault::Broken)), "{facts:?}");
        assert_eq!(seen, None);
    });
}

#[test]
fn an_expired_certificate_is_shown_and_refused_by_who_verifies() {
    on_runtime(|world| async move {
        let (ours, listener) = (authority("Ours"), listen(&world).await);
        let offer = offer(&[identity(&ours, &["mx.example"], 2021)]);
        let server = async {
            let stream = listener.accept().await.unwrap();
            world.net.receive(stream, offer.clone()).await.map(|received| received.facts)
        };
        let client = async {
            let dial = Dial { to: listener.local(), from: None, limit: LIMIT };
            let stream = world.net.dial(dial).await.unwrap();
            let how = Secure {
                name: "mx.example".into(),
                names: Vec::new(),
                trust: Trust::Given(ours.pem().into()),
                demand: Demand::Verified,
                alpn: Vec::new(),
                limit: LIMIT,
            };
            world.net.secure(stream, how).await.map(|secured| secured.facts)
        };
        let (server, client) = tokio::join!(server, client);
        // certificate_expired (RFC 8446 section 6.2)
        assert_eq!(server.err(), Some(TlsFault::Alert(45)));
        let Some(TlsFault::Untrusted { why, .. }) = client.err() else { panic!("refused") };
        assert_eq!(why, Untrusted::Expired);
    });
}

#[test]
fn what_clients_show_is_judged_and_told() {
    on_runtime(|world| async move {
        let (ours, theirs, strangers) =
            (authority("Ours"), authority("Theirs"), authority("Others"));
        let listener = listen(&world).await;
        let set: Arc<[Identity]> = Arc::from([identity(&ours, &["mx.example"], 2100)]);
        let pem: Arc<str> = theirs.pem().into();
        let asked = || Clients::Asked(Some(Arc::clone(&pem)));
        let required = || Clients::Required(Arc::clone(&pem));
        let known = identity(&theirs, &["mail.client.example"], 2100);
        let old = identity(&theirs, &["mail.client.example"], 2021);
        let unknown = identity(&strangers, &["mail.client.example"], 2100);
        for (clients, shows, expected) in [
            (Clients::Unasked, Some(&known), Ok(None)),
            (asked(), None, Ok(None)),
            (asked(), Some(&known), Ok(Some(Ok(())))),
            (asked(), Some(&old), Ok(Some(Err(Untrusted::Expired)))),
            (Clients::Asked(None), Some(&known), Ok(Some(Err(Untrusted::NoRoots)))),
            (required(), Some(&known), Ok(Some(Ok(())))),
            (required(), None, Err(TlsFault::NoCertificate)),
            (
                required(),
                Some(&old),
                Err(TlsFault::Untrusted { why: Untrusted::Expired, certificate: None }),
            ),
            (
                required(),
                Some(&unknown),
                Err(TlsFault::Untrusted { why: Untrusted::UnknownIssuer, certificate: None }),
            ),
        ] {
            for version in rustls::ALL_VERSIONS {
                let caller =
                    Caller { roots: &ours, asks: Some("mx.example"), versions: &[version], shows };
                let offer =
                    Offer { identities: Arc::clone(&set), clients: clients.clone(), limit: LIMIT };
                let (facts, seen) = meet(&world, &*listener, offer, &caller).await;
                // A client of this library keeps a certificate to itself that no named authority vouches for.
                let told = facts.map(|facts| facts.client);
                match (&told, &expected) {
                    (Err(TlsFault::NoCertificate), Err(TlsFault::Untrusted { .. })) => {}
                    _ => assert_eq!(
                        told.as_ref().map(|client| client.as_ref().map(|shown| shown.verified)),
                        expected.as_ref().map(|client| *client),
                        "{clients:?}"
                    ),
                }
                assert_eq!(seen.is_some(), expected.is_ok());
                if let Ok(Some(shown)) = told {
                    assert_eq!(shown.chain[0].names, ["mail.client.example"]);
                }
            }
        }
    });
}

#[test]
fn sessions_are_resumed_and_still_show_the_client() {
    on_runtime(|world| async move {
        let (ours, listener) = (authority("Ours"), listen(&world).await);
        let own = identity(&ours, &["client.example"], 2100);
        let clients = Clients::Required(ours.pem().into());
        let offer = Offer { clients, ..offer(&[identity(&ours, &["mx.example"], 2100)]) };
        let caller = Caller {
            roots: &ours,
            asks: Some("mx.example"),
            versions: rustls::ALL_VERSIONS,
            shows: Some(&own),
        };
        let config = caller.config();
        for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
            let server = async {
                let stream = listener.accept().await.unwrap();
                let mut received = world.net.receive(stream, offer.clone()).await.unwrap();
                received.stream.read(&mut [0; 16]).await.unwrap();
                received.stream.write_all(b"hello").await.unwrap();
                received.facts
            };
            let client = async {
                let stream = caller.call(listener.local(), config.clone()).await.unwrap();
                stream.get_ref().1.handshake_kind()
            };
            let (facts, seen) = tokio::join!(server, client);
            assert_eq!(seen, Some(kind));
            assert_eq!(facts.client.unwrap().verified, Ok(()));
        }
    });
}

#[test]
fn a_handshake_that_fails_says_how() {
    on_runtime(|world| async move {
        let (ours, listener) = (authority("Ours"), listen(&world).await);
        let offer = offer(&[identity(&ours, &["mx.example"], 2100)]);
        // A hello of TLS 1.0 with one suite of its time (RFC 2246 section 7.4.1.2).
        let mut old = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x01".to_vec();
        old.extend_from_slice(&[7; 32]);
        old.extend_from_slice(b"\x00\x00\x02\x00\x2f\x01\x00");
        for (said, closes, expected) in [
            (&b"EHLO mx.example\r\n"[..], false, TlsFault::NotTls),
            (b"", true, TlsFault::Lost { reset: false }),
            (&old[..], false, TlsFault::NothingInCommon),
            // handshake_failure
            (b"\x15\x03\x03\x00\x02\x02\x28", false, TlsFault::Alert(40)),
        ] {
            let mut client = TcpStream::connect(listener.local()).await.unwrap();
            client.write_all(said).await.unwrap();
            if closes {
                client.shutdown().await.unwrap();
            }
            let stream = listener.accept().await.unwrap();
            let fault = world.net.receive(stream, offer.clone()).await.err();
            assert_eq!(fault, Some(expected));
        }
        let _silent = TcpStream::connect(listener.local()).await.unwrap();
        let stream = listener.accept().await.unwrap();
        let hurried = Offer { limit: Duration::from_millis(100), ..offer };
        assert_eq!(world.net.receive(stream, hurried).await.err(), Some(TlsFault::TimedOut));
        let _client = TcpStream::connect(listener.local()).await.unwrap();
        let nobody = Offer { identities: Arc::from([]), clients: Clients::Unasked, limit: LIMIT };
        let stream = listener.accept().await.unwrap();
        assert_eq!(world.net.receive(stream, nobody).await.err(), Some(TlsFault::NoIdentity));
    });
}

#[test]
fn keys_of_every_usual_kind_are_read_and_wrong_ones_told() {
    let ours = authority("Ours");
    let good = identity(&ours, &["mx.example"], 2100);
    let other = identity(&ours, &["mx.example"], 2100);
    assert_eq!(check_identity(&good).unwrap().names, ["mx.example"]);
    let with = |chain: &str, key: &[u8]| Identity { chain: chain.into(), key: Secret::new(key) };
    let encrypted =
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (identity, expected) in [
        (with("", good.key.expose()), BadIdentity::NoCertificate),
        (
            with(&good.chain.replace("MII", "AAA"), good.key.expose()),
            BadIdentity::BadCertificate(1),
        ),
        (with(&good.chain, b""), BadIdentity::NoKey),
        (with(&good.chain, encrypted), BadIdentity::NoKey),
        (with(&good.chain, other.key.expose()), BadIdentity::OtherKey),
    ] {
        assert_eq!(check_identity(&identity).err(), Some(expected));
        assert!(!format!("{identity:?}").contains("PRIVATE"), "never shown");
    }
}
