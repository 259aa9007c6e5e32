//! Mail hosts that speak TLS well, badly, or not at all; and authorities that vouch for them, or not.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, PublicKeyData as _,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a host does when STARTTLS is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    /// TLS with this certificate.
    Tls(Own),
    /// It does not offer it: somebody in between may have taken it out.
    NoStartTls,
    /// `454`.
    Refuses,
    /// It takes it, and puts something in clear behind its reply.
    Injects,
    /// It takes it, and sends what is no TLS.
    Garbage,
    /// It closes when the handshake has begun.
    HangsUp,
    /// It knows TLS 1.0 and nothing later.
    OldVersion,
    /// It refuses the handshake with the alert `protocol_version`.
    Alert,
    /// TLS with the first octet.
    Wrapped(Own),
    /// It says 530 to MAIL in clear.
    InsistsOnTls,
    /// What follows STARTTLS is for another server on this machine, at this port.
    PassesOn(u16),
}

/// Whose certificate a host shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Own {
    Good,
    Expired,
    NotYetValid,
    WrongName,
    UnknownIssuer,
    SelfSigned,
    /// A good one for another key than the pinned one.
    OtherKey,
    /// A good one for this name.
    For(&'static str),
}

type Authority = CertifiedIssuer<'static, KeyPair>;

/// One that is trusted and one that is not, and the key that most hosts have.
pub(crate) struct Authorities {
    ours: Authority,
    other: Authority,
    key: KeyPair,
}

impl Authorities {
    pub(crate) fn new() -> Self {
        let authority = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            CertifiedIssuer::self_signed(params, key()).expect("its own")
        };
        Self { ours: authority("Ours"), other: authority("Other"), key: key() }
    }

    /// The trusted one, as PEM.
    pub(crate) fn ours(&self) -> String {
        self.ours.pem()
    }

    /// A certificate for 127.0.0.1 and its key, as PEM.
    pub(crate) fn certified(&self) -> (String, String) {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&self.key, &self.ours).expect("signed");
        (certificate.pem(), self.key.serialize_pem())
    }

    /// SHA-256 of the SPKI of the key, in hexadecimal.
    pub(crate) fn pin(&self) -> String {
        use sha2_of::sha256;
        sha256(&self.key.subject_public_key_info()).iter().map(|b| format!("{b:02x}")).collect()
    }

    fn config(&self, own: Own) -> ServerConfig {
        let name = match own {
            Own::WrongName => "other.test",
            Own::For(name) => name,
            _ => "127.0.0.1",
        };
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let (from, to) = match own {
            Own::Expired => (2020, 2021),
            Own::NotYetValid => (2090, 2100),
            _ => (2020, 2100),
        };
        (params.not_before, params.not_after) =
            (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let other = key();
        let key = if own == Own::OtherKey { &other } else { &self.key };
        let certificate = match own {
            Own::UnknownIssuer => params.signed_by(key, &self.other),
            Own::SelfSigned => params.self_signed(key),
            _ => params.signed_by(key, &self.ours),
        };
        let certificate: CertificateDer<'static> = certificate.expect("signed").der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("they fit")
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

mod sha2_of {
    /// As the library under TLS computes it.
    pub(super) fn sha256(octets: &[u8]) -> Vec<u8> {
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets).as_ref().to_vec()
    }
}

/// A host that takes mail for everybody, and defers whoever is called `later`.
pub(crate) struct Host {
    address: SocketAddr,
    /// Of each message taken, whether it came encrypted.
    taken: Arc<Mutex<Vec<bool>>>,
    connections: Arc<AtomicUsize>,
}

impl Host {
    pub(crate) fn start(behaviour: Behaviour, authorities: &Authorities) -> Self {
        Self::start_at((Ipv4Addr::LOCALHOST, 0).into(), behaviour, authorities)
    }

    pub(crate) fn start_at(
        address: SocketAddr,
        behaviour: Behaviour,
        authorities: &Authorities,
    ) -> Self {
        let config = match behaviour {
            Behaviour::Tls(own) | Behaviour::Wrapped(own) => {
                Some(Arc::new(authorities.config(own)))
            }
            _ => None,
        };
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (taken, connections) = (Arc::new(Mutex::default()), Arc::new(AtomicUsize::new(0)));
        let session = Session { behaviour, config, taken: Arc::clone(&taken) };
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::Relaxed);
                let session = session.clone();
                // A client that hangs up is no concern of the host.
                thread::spawn(move || drop(session.serve(stream)));
            }
        });
        Self { address, taken, connections }
    }

    /// How many there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn taken(&self) -> Vec<bool> {
        self.taken.lock().expect("nobody panics").clone()
    }
}

#[derive(Clone)]
struct Session {
    behaviour: Behaviour,
    config: Option<Arc<ServerConfig>>,
    taken: Arc<Mutex<Vec<bool>>>,
}

impl Session {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        if let Behaviour::Wrapped(_) = self.behaviour {
            let mut secured = self.secured(stream)?;
            secured.write_all(b"220 host ESMTP\r\n")?;
            return self.dialogue(&mut secured, true).map(drop);
        }
        stream.write_all(b"220 host ESMTP\r\n")?;
        if !self.dialogue(&mut stream, false)? {
            return Ok(());
        }
        match self.behaviour {
            Behaviour::Tls(_) => {
                stream.write_all(b"220 go ahead\r\n")?;
                self.dialogue(&mut self.secured(stream)?, true).map(drop)
            }
            Behaviour::PassesOn(port) => {
                stream.write_all(b"220 go ahead\r\n")?;
                pass_on(stream, TcpStream::connect((Ipv4Addr::LOCALHOST, port))?)
            }
            Behaviour::Injects => {
                stream.write_all(b"220 go ahead\r\n250-host\r\n250 8BITMIME\r\n")?;
                hear_out(&mut stream)
            }
            Behaviour::Garbage => {
                stream.write_all(b"220 go ahead\r\n")?;
                hear(&mut stream)?;
                stream.write_all(b"554 5.3.0 what is this?\r\n")?;
                hear_out(&mut stream)
            }
            Behaviour::OldVersion => {
                stream.write_all(b"220 go ahead\r\n")?;
                hear(&mut stream)?;
                stream.write_all(&old_server_hello())?;
                hear_out(&mut stream)
            }
            Behaviour::Alert => {
                stream.write_all(b"220 go ahead\r\n")?;
                hear(&mut stream)?;
                stream.write_all(&[21, 3, 1, 0, 2, 2, 70])?;
                hear_out(&mut stream)
            }
            _ => {
                stream.write_all(b"220 go ahead\r\n")?;
                hear(&mut stream)
            }
        }
    }

    fn secured(&self, stream: TcpStream) -> io::Result<StreamOwned<ServerConnection, TcpStream>> {
        let config = self.config.clone().expect("made for it");
        let server = ServerConnection::new(config).map_err(io::Error::other)?;
        Ok(StreamOwned::new(server, stream))
    }

    /// True when STARTTLS is to be answered. LMTP (RFC 2033) is spoken to whoever says LHLO.
    fn dialogue(&self, stream: &mut (impl Read + Write), encrypted: bool) -> io::Result<bool> {
        let insists = self.behaviour == Behaviour::InsistsOnTls;
        let offers = !encrypted && self.behaviour != Behaviour::NoStartTls;
        let (mut lmtp, mut recipients) = (false, 0);
        loop {
            let said = line(stream)?.to_ascii_uppercase();
            let reply = match said.split([' ', ':']).next().unwrap_or_default() {
                "LHLO" | "EHLO" if offers => "250-host\r\n250 STARTTLS",
                "STARTTLS" if self.behaviour == Behaviour::Refuses => "454 4.7.0 TLS not available",
                "STARTTLS" if offers => return Ok(true),
                "MAIL" if insists => "530 5.7.0 Must issue a STARTTLS command first",
                "RCPT" if said.contains("<LATER@") => "450 4.2.0 later",
                "RCPT" => {
                    recipients += 1;
                    "250 2.0.0 well"
                }
                "DATA" => {
                    stream.write_all(b"354 go on\r\n")?;
                    while line(stream)? != "." {}
                    self.taken.lock().expect("nobody panics").push(encrypted);
                    for _ in 1..if lmtp { recipients } else { 1 } {
                        stream.write_all(b"250 2.0.0 taken\r\n")?;
                    }
                    "250 2.0.0 taken"
                }
                "LHLO" => {
                    lmtp = true;
                    "250 2.0.0 well"
                }
                "EHLO" | "MAIL" | "RSET" => "250 2.0.0 well",
                "QUIT" => {
                    stream.write_all(b"221 2.0.0 bye\r\n")?;
                    return Ok(false);
                }
                _ => "502 5.5.1 unknown",
            };
            stream.write_all(format!("{reply}\r\n").as_bytes())?;
            stream.flush()?;
        }
    }
}

/// One line without its end, octet by octet: what follows belongs to somebody else.
fn line(stream: &mut impl Read) -> io::Result<String> {
    let mut line = Vec::new();
    let mut octet = [0];
    while line.len() < 10_000 {
        stream.read_exact(&mut octet)?;
        match octet[0] {
            b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
            b'\r' => {}
            other => line.push(other),
        }
    }
    Err(io::ErrorKind::InvalidData.into())
}

/// Something came.
fn hear(stream: &mut TcpStream) -> io::Result<()> {
    stream.read(&mut [0; 4096]).map(drop)
}

/// Until one of them hangs up.
fn pass_on(client: TcpStream, server: TcpStream) -> io::Result<()> {
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ended = io::copy(&mut from_client, &mut to_server);
        to_server.shutdown(std::net::Shutdown::Write)
    });
    let (mut from_server, mut to_client) = (server, client);
    let _ended = io::copy(&mut from_server, &mut to_client);
    to_client.shutdown(std::net::Shutdown::Both)
}

/// Until the client hangs up.
fn hear_out(stream: &mut TcpStream) -> io::Result<()> {
    while stream.read(&mut [0; 4096])? > 0 {}
    Ok(())
}

/// What a server that knows TLS 1.0 alone answers (RFC 2246 section 7.4.1.3).
fn old_server_hello() -> Vec<u8> {
    let mut body = vec![3, 1];
    body.extend_from_slice(&[7; 32]);
    body.extend_from_slice(&[0, 0, 0x2f, 0]);
    let length = u8::try_from(body.len()).expect("short");
    let mut record = vec![22, 3, 1, 0, length + 4, 2, 0, 0, length];
    record.extend_from_slice(&body);
    record
}
