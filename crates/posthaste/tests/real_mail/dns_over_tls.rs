//! DNS over TLS (RFC 7858) from a real server (BIND), with certificates made on the spot: one that is right, and those
//! that must not be believed. The figures: `cargo test -p posthaste --test real_mail over_tls -- --nocapture`.
//!
//! Not here: servers that misbehave on a connection (crate `dns`, tests/streams.rs), handshakes (crate `io-tokio`).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use posthaste_dns::{Agreement, Lookup, Resolver, Settings};
use posthaste_evidence::{AnswerKind, NameServer, RecordType, TlsFault, Transport};
use posthaste_io::Trust;
use posthaste_io_tokio::NullJournal;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::loopback::{free_port, listens};
use crate::process::{Process, until};
use crate::tree;

const HOST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const NAME: &str = "ns.dns.test";
const START: Duration = Duration::from_secs(20);
const QUESTIONS: usize = 1000;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("its own")
}

/// A BIND that answers by TLS alone, with a certificate for this name until the first day of this year.
struct Server {
    address: SocketAddr,
    _process: Process,
    _dir: TempDir,
}

fn start(authority: &Authority, name: &str, until_year: i32) -> Server {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
    (params.not_before, params.not_after) =
        (date_time_ymd(2020, 1, 1), date_time_ymd(until_year, 1, 1));
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, authority).expect("signed");
    fs::write(dir.path().join("cert.pem"), certificate.pem()).expect("ours");
    fs::write(dir.path().join("key.pem"), key.serialize_pem()).expect("ours");
    let zone = "$TTL 5\n@ IN SOA ns.test. hostmaster.test. 1 60 60 60 5\n@ IN NS ns.test.\n\
                ns.test. IN A 127.0.0.1\n*.many.test. IN MX 10 mx.many.test.\n";
    fs::write(dir.path().join("zone"), zone).expect("ours");
    let address = SocketAddr::from((HOST, free_port(HOST)));
    fs::write(dir.path().join("named.conf"), configuration(dir.path(), address)).expect("ours");
    let mut command = tree::command("usr/sbin/named");
    command.args(["-g", "-n", "1", "-c"]).arg(dir.path().join("named.conf"));
    let mut process = Process::spawn(command, &dir.path().join("log"));
    let ready = until(START, || listens(address) || !process.is_running());
    let log = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    assert!(ready && process.is_running(), "{}", log());
    Server { address, _process: process, _dir: dir }
}

/// `tcp-idle-timeout` counts tenths of a second.
fn configuration(dir: &Path, address: SocketAddr) -> String {
    let (dir, port) = (dir.display(), address.port());
    format!(
        "tls ours {{ cert-file \"{dir}/cert.pem\"; key-file \"{dir}/key.pem\"; }};\n\
         options {{\n  directory \"{dir}\"; managed-keys-directory \"{dir}\";\n  \
         pid-file none; session-keyfile none; lock-file none;\n  \
         listen-on port {port} tls ours {{ {HOST}; }}; listen-on-v6 {{ none; }};\n  \
         recursion yes; dnssec-validation no; empty-zones-enable no; notify no;\n  \
         tcp-idle-timeout 10; tcp-keepalive-timeout 10; max-cache-size 8M;\n}};\ncontrols {{ }};\n\
         zone \".\" {{ type primary; file \"zone\"; }};\n"
    )
}

fn resolver(server: &Server, authority: &Authority) -> Resolver {
    let world = posthaste_io_tokio::world(Arc::new(NullJournal));
    let server = NameServer { address: server.address, tls: Some(NAME.to_owned()), trusted: false };
    let settings = Settings {
        servers: vec![server],
        tls_trust: Trust::Given(authority.pem().into()),
        ..Settings::default()
    };
    Resolver::new(world, settings)
}

async fn ask(resolver: &Resolver, number: usize) -> Lookup {
    resolver.ask(&format!("d{number}.many.test"), RecordType::Mx, Agreement::First).await
}

fn run(story: impl Future<Output = ()>) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    runtime.expect("threads").block_on(story);
}

#[test]
fn a_thousand_questions_over_tls_are_answered_also_after_the_server_has_hung_up() {
    run(async {
        let authority = authority("Ours");
        let server = start(&authority, NAME, 2100);
        let resolver = resolver(&server, &authority);
        let begun = Instant::now();
        let asking: Vec<_> = (0..QUESTIONS)
            .map(|number| {
                let resolver = resolver.clone();
                tokio::spawn(async move { ask(&resolver, number).await })
            })
            .collect();
        for asked in asking {
            let lookup = asked.await.expect("it ends");
            assert_eq!(lookup.verdict(), AnswerKind::Answer, "{lookup:?}");
            assert_eq!(lookup.answer.transport, Transport::Tls);
        }
        println!("{QUESTIONS} questions over TLS: {:.0} ms", begun.elapsed().as_secs_f64() * 1e3);
        // The server closes what is idle for a second; ours is kept for ten.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let again = ask(&resolver, QUESTIONS).await;
        assert_eq!(again.verdict(), AnswerKind::Answer, "{again:?}");
        assert_eq!(resolver.servers()[0].failures, [], "nothing was held against it");
    });
}

#[test]
fn over_tls_no_wrong_certificate_is_believed_and_what_is_wrong_is_told() {
    run(async {
        let (ours, other) = (authority("Ours"), authority("Other"));
        for (by, name, until_year, expected) in [
            (&ours, "other.dns.test", 2100, "wrong-name"),
            (&ours, NAME, 2021, "expired"),
            (&other, NAME, 2100, "unknown-issuer"),
        ] {
            let server = start(by, name, until_year);
            let lookup = ask(&resolver(&server, &ours), 1).await;
            assert_eq!(lookup.verdict(), AnswerKind::Unreachable, "{lookup:?}");
            let Some(TlsFault::Untrusted { why, certificate: Some(certificate) }) =
                lookup.answer.tls
            else {
                panic!("{expected}: {:?}", lookup.answer.tls)
            };
            assert_eq!((why.name(), certificate.names), (expected, vec![name.to_owned()]));
        }
    });
}
