//! TLS against a real server of the same library and certificates made on the spot: whom is believed, what is told,
//! and that octets get through.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use posthaste_evidence::{TlsFault, TlsVersion, Untrusted};
use posthaste_io::{Demand, Dial, Reference, Secure, Secured, StreamExt, Trust, World};
use posthaste_io_tokio::{BadRoots, NullJournal, check_roots};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const LIMIT: Duration = Duration::from_secs(20);
const NAME: &str = "ns.dns.test";

/// Runs a story on a runtime of two threads.
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

/// A certificate for these names, and its key.
struct Own {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

fn own(authority: &Authority, names: &[&str], years: (i32, i32)) -> Own {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "the server");
    params.not_before = date_time_ymd(years.0, 1, 1);
    params.not_after = date_time_ymd(years.1, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    Own {
        certificate: certificate.der().clone(),
        key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
    }
}

/// A server that says all it hears; `versions` of the protocol.
async fn echo(own: Own, versions: &[&'static rustls::SupportedProtocolVersion]) -> SocketAddr {
    let mut config = rustls::ServerConfig::builder_with_protocol_versions(versions)
        .with_no_client_auth()
        .with_single_cert(vec![own.certificate], own.key)
        .unwrap();
    config.alpn_protocols = vec![b"dot".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(async move {
                let mut buf = vec![0; 20_000];
                while let Ok(count @ 1..) = stream.read(&mut buf).await {
                    stream.write_all(&buf[..count]).await.unwrap();
                    stream.flush().await.unwrap();
                }
                let _ = stream.shutdown().await;
            });
        }
    });
    at
}

fn how(trust: Trust) -> Secure {
    let name = NAME.to_owned();
    let (names, alpn) = (Vec::new(), vec!["dot"]);
    Secure { name, names, trust, demand: Demand::Verified, alpn, limit: LIMIT }
}

fn given(authority: &Authority) -> Trust {
    Trust::Given(authority.pem().into())
}

async fn secure(world: &World, to: SocketAddr, how: Secure) -> Result<Secured, TlsFault> {
    let stream = world.net.dial(Dial { to, from: None, limit: LIMIT }).await.unwrap();
    world.net.secure(stream, how).await
}

#[test]
fn what_was_agreed_and_who_it_was_is_told() {
    on_runtime(|world| async move {
        for (version, expected, suite) in [
            (&rustls::version::TLS13, TlsVersion::Tls13, "TLS_AES_"),
            (&rustls::version::TLS12, TlsVersion::Tls12, "TLS_ECDHE_"),
        ] {
            let authority = authority("An Authority");
            let at = echo(own(&authority, &[NAME, "192.0.2.1"], (2020, 2100)), &[version]).await;
            let Secured { mut stream, facts } =
                secure(&world, at, how(given(&authority))).await.unwrap();
            assert_eq!((facts.version, facts.verified), (expected, Ok(())));
            assert!(facts.cipher.starts_with(suite), "{}", facts.cipher);
            assert_eq!(facts.alpn.as_deref(), Some("dot"));
            let [certificate] = &facts.chain[..] else { panic!("{:?}", facts.chain) };
            assert_eq!(certificate.names, [NAME, "192.0.2.1"]);
            assert!(certificate.subject.contains("CN=the server"), "{certificate:?}");
            assert!(certificate.issuer.contains("CN=An Authority"), "{certificate:?}");
            assert_eq!(certificate.not_before.rfc3339(), "2020-01-01T00:00:00.000Z");
            assert_eq!(certificate.not_after.rfc3339(), "2100-01-01T00:00:00.000Z");
            assert_eq!(stream.peer(), at);
            stream.write_all(b"hello").await.unwrap();
            let mut heard = [0; 16];
            assert_eq!(stream.read(&mut heard).await.unwrap(), 5);
            stream.shutdown().await.unwrap();
            assert_eq!(stream.read(&mut heard).await.unwrap(), 0, "an orderly end");
        }
    });
}

#[test]
fn whom_nobody_should_believe_is_not_believed_but_may_be_talked_to() {
    on_runtime(|world| async move {
        let (ours, other) = (authority("Ours"), authority("Other"));
        for (names, years, by, trust, expected) in [
            (&[NAME][..], (2020, 2100), &ours, given(&ours), Ok(())),
            (&["*.dns.test"], (2020, 2100), &ours, given(&ours), Ok(())),
            (&["other.test"], (2020, 2100), &ours, given(&ours), Err(Untrusted::WrongName)),
            (&["127.0.0.1"], (2020, 2100), &ours, given(&ours), Err(Untrusted::WrongName)),
            (&[NAME], (2020, 2021), &ours, given(&ours), Err(Untrusted::Expired)),
            (&[NAME], (2099, 2100), &ours, given(&ours), Err(Untrusted::NotYetValid)),
            (&[NAME], (2020, 2100), &other, given(&ours), Err(Untrusted::UnknownIssuer)),
            (&[NAME], (2020, 2100), &ours, Trust::Given("".into()), Err(Untrusted::NoRoots)),
            (
                &[NAME],
                (2020, 2100),
                &ours,
                Trust::Pinned(Arc::from([[9; 32]])),
                Err(Untrusted::NotPinned),
            ),
        ] {
            let at = echo(own(by, names, years), rustls::ALL_VERSIONS).await;
            let strict = secure(&world, at, how(trust.clone())).await;
            let said = match strict {
                Ok(secured) => secured.facts.verified,
                Err(TlsFault::Untrusted { why, certificate }) => {
                    assert_eq!(certificate.expect("it was read").names, names);
                    Err(why)
                }
                Err(fault) => panic!("{fault:?}"),
            };
            assert_eq!(said, expected, "{names:?} {years:?}");
            // Who only wants to encrypt goes on, and knows the same.
            let lax = Secure { demand: Demand::Encrypted, ..how(trust) };
            let mut secured = secure(&world, at, lax).await.unwrap();
            assert_eq!(secured.facts.verified, expected, "{names:?} {years:?}");
            secured.stream.write_all(b"x").await.unwrap();
            assert_eq!(secured.stream.read(&mut [0; 9]).await.unwrap(), 1);
        }
    });
}

#[test]
fn other_names_than_the_hosts_may_be_wanted() {
    let exactly = |name: &str| Reference::Exactly(name.into());
    let below = |name: &str| Reference::Below(name.into());
    on_runtime(move |world| async move {
        let authority = authority("Ours");
        let wild = ["*.in.b.example"].as_slice();
        for (names, wanted, years, expected) in [
            (&["b.example"][..], vec![exactly("b.example")], (2020, 2100), Ok(())),
            (
                &["b.example"],
                vec![exactly("x.example"), exactly("b.example")],
                (2020, 2100),
                Ok(()),
            ),
            (&["b.example"], vec![below("b.example")], (2020, 2100), Err(Untrusted::WrongName)),
            (&["x.example", "mx.b.example"], vec![below("b.example")], (2020, 2100), Ok(())),
            (wild, vec![below("b.example")], (2020, 2100), Ok(())),
            (wild, vec![below("in.b.example")], (2020, 2100), Ok(())),
            (wild, vec![exactly("b.example")], (2020, 2100), Err(Untrusted::WrongName)),
            (&["evilb.example"], vec![below("b.example")], (2020, 2100), Err(Untrusted::WrongName)),
            // The host's own name is not enough when others are wanted.
            (&[NAME], vec![exactly("b.example")], (2020, 2100), Err(Untrusted::WrongName)),
            (&[NAME], vec![exactly("no name")], (2020, 2100), Err(Untrusted::WrongName)),
            (&["b.example"], vec![exactly("b.example")], (2020, 2021), Err(Untrusted::Expired)),
            (&["x.example"], vec![exactly("b.example")], (2020, 2021), Err(Untrusted::Expired)),
        ] {
            let at = echo(own(&authority, names, years), rustls::ALL_VERSIONS).await;
            let how = Secure { names: wanted.clone(), ..how(given(&authority)) };
            let said = match secure(&world, at, how).await {
                Ok(secured) => secured.facts.verified,
                Err(TlsFault::Untrusted { why, .. }) => Err(why),
                Err(fault) => panic!("{fault:?}"),
            };
            assert_eq!(said, expected, "{names:?} {wanted:?}");
        }
    });
}

#[test]
fn a_pinned_key_is_enough_and_an_address_may_be_the_name() {
    on_runtime(|world| async move {
        let authority = authority("Ours");
        let at = echo(own(&authority, &["127.0.0.1"], (2020, 2021)), rustls::ALL_VERSIONS).await;
        let lax = Secure { demand: Demand::Encrypted, ..how(given(&authority)) };
        let key = secure(&world, at, lax).await.unwrap().facts.chain[0].key;
        let pinned = how(Trust::Pinned(Arc::from([[9; 32], key])));
        assert_eq!(secure(&world, at, pinned).await.unwrap().facts.verified, Ok(()));
        let at = echo(own(&authority, &["127.0.0.1"], (2020, 2100)), rustls::ALL_VERSIONS).await;
        let by_address = Secure { name: "127.0.0.1".into(), ..how(given(&authority)) };
        assert_eq!(secure(&world, at, by_address).await.unwrap().facts.verified, Ok(()));
        let bad = Secure { name: "not a name".into(), ..how(Trust::System) };
        assert_eq!(secure(&world, at, bad).await.err(), Some(TlsFault::BadName));
    });
}

#[test]
fn the_system_does_not_vouch_for_strangers() {
    on_runtime(|world| async move {
        let at = echo(own(&authority("X"), &[NAME], (2020, 2100)), rustls::ALL_VERSIONS).await;
        let fault = secure(&world, at, how(Trust::System)).await.err();
        let Some(TlsFault::Untrusted { why, .. }) = fault else { panic!("{fault:?}") };
        // A machine without any authority says so.
        assert!(matches!(why, Untrusted::UnknownIssuer | Untrusted::NoRoots), "{why:?}");
    });
}

#[test]
fn a_handshake_that_fails_says_how() {
    on_runtime(|world| async move {
        for (answer, reset, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], false, TlsFault::NotTls),
            (b"", false, TlsFault::Lost { reset: false }),
            (b"", true, TlsFault::Lost { reset: true }),
            // handshake_failure
            (b"\x15\x03\x03\x00\x02\x02\x28", false, TlsFault::Alert(40)),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap();
            tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
                if reset {
                    stream.set_zero_linger().unwrap();
                }
            });
            let fault = secure(&world, at, how(Trust::System)).await.err();
            assert_eq!(fault, Some(expected));
        }
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hurried = Secure { limit: Duration::from_millis(100), ..how(Trust::System) };
        let fault = secure(&world, silent.local_addr().unwrap(), hurried).await.err();
        assert_eq!(fault, Some(TlsFault::TimedOut));
    });
}

#[test]
fn many_octets_get_through_both_ways_and_a_cut_connection_is_no_end() {
    on_runtime(|world| async move {
        let authority = authority("Ours");
        let at = echo(own(&authority, &[NAME], (2020, 2100)), rustls::ALL_VERSIONS).await;
        let mut stream = secure(&world, at, how(given(&authority))).await.unwrap().stream;
        let octets: Vec<u8> = (0..200_000u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
        let (mut heard, mut buf) = (Vec::new(), vec![0; 10_000]);
        for part in octets.chunks(50_000) {
            stream.write_all(part).await.unwrap();
            let until = heard.len() + part.len();
            while heard.len() < until {
                let count = stream.read(&mut buf).await.unwrap();
                assert!(count > 0, "the server is there");
                heard.extend_from_slice(&buf[..count]);
            }
        }
        assert!(heard == octets);
        let own = own(&authority, &[NAME], (2020, 2100));
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.certificate], own.key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let secured = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
            // The connection under it ends without a word of TLS.
            drop(secured.into_inner().0);
        });
        let mut cut = secure(&world, at, how(given(&authority))).await.unwrap().stream;
        let error = cut.read(&mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

#[test]
fn files_of_authorities_are_checked_before_they_are_used() {
    let two = [authority("One"), authority("Two")].map(|a| a.pem()).concat();
    let broken = two.replace("MII", "AAA");
    for (pem, expected) in [
        (two.as_str(), Ok(2)),
        ("", Err(BadRoots::Empty)),
        ("hello", Err(BadRoots::Empty)),
        (&two[..two.len() / 4], Err(BadRoots::Unreadable)),
        (&broken, Err(BadRoots::BadCertificate(1))),
    ] {
        assert_eq!(check_roots(pem), expected, "{pem}");
    }
}
