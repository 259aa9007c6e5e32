//! Puts TLS before a load source or a mail sink that know none, for `bench/run --tls`: started as they are, with
//! `source ADDRESS ...` or `sink ADDRESS ...`, it starts the program that `SMTPLOAD_PLAIN` names with an address of its own
//! and carries octets between the two, under TLS on the side of the measured server (STARTTLS, RFC 3207).
//!
//! Every handshake is a whole one. Nothing goes on in clear: a server without STARTTLS is an error, a client that does not
//! ask for it gets 530. Not here: SMTP beyond STARTTLS.

use std::io;
use std::net::SocketAddr;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use tokio::io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, ReadHalf, WriteHalf, split,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use tokio_rustls::rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

/// Octets carried at once.
const BUFFER: usize = 32 << 10;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let plain = std::env::var("SMTPLOAD_PLAIN").expect("SMTPLOAD_PLAIN names the plain program");
    let [what, address, rest @ ..] = arguments.as_slice() else { return ExitCode::from(2) };
    let address: SocketAddr = address.parse().expect("an address and port");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("threads can be started");
    let inner = runtime.block_on(async {
        match what.as_str() {
            "source" => before_source(address).await,
            "sink" => before_sink(address).await,
            other => panic!("{other} is neither source nor sink"),
        }
    });
    let inner = inner.expect("the addresses are free").to_string();
    let ended = Command::new(plain).arg(what).arg(inner).args(rest).status();
    let code = ended.expect("the program can be started").code();
    runtime.shutdown_background();
    ExitCode::from(u8::try_from(code.unwrap_or(1)).unwrap_or(1))
}

/// Where the source connects: what it says goes to the server under TLS.
async fn before_source(server: SocketAddr) -> io::Result<SocketAddr> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let known = provider.signature_verification_algorithms;
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().expect("the provider has them");
    let client = client.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(known)));
    let mut client = client.with_no_client_auth();
    client.resumption = Resumption::disabled();
    let connector = TlsConnector::from(Arc::new(client));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let here = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((source, _)) = listener.accept().await {
            let connector = connector.clone();
            tokio::spawn(async move { tell(send(source, server, &connector).await) });
        }
    });
    Ok(here)
}

async fn send(mut source: TcpStream, to: SocketAddr, connector: &TlsConnector) -> io::Result<()> {
    let mut server = BufReader::new(TcpStream::connect(to).await?);
    source.set_nodelay(true)?;
    server.get_mut().set_nodelay(true)?;
    let greeting = reply(&mut server).await?;
    server.get_mut().write_all(b"EHLO source.test\r\n").await?;
    if !reply(&mut server).await?.contains("STARTTLS") {
        return Err(io::Error::other("the server does not offer STARTTLS"));
    }
    server.get_mut().write_all(b"STARTTLS\r\n").await?;
    let said = reply(&mut server).await?;
    if !said.starts_with("220") {
        return Err(io::Error::other(said));
    }
    let name = ServerName::try_from("relay.test").expect("a name");
    let secured = connector.connect(name, server.into_inner()).await?;
    source.write_all(greeting.as_bytes()).await?;
    carry(source, secured.into()).await
}

/// Takes mail at the sink's address under TLS. Answers where the sink is to listen.
async fn before_sink(address: SocketAddr) -> io::Result<SocketAddr> {
    let made = rcgen::generate_simple_self_signed(["sink.test".to_owned()]);
    let made = made.map_err(io::Error::other)?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der());
    let key = key.map_err(io::Error::other)?;
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let server = server.with_safe_default_protocol_versions().expect("the provider has them");
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    let mut server = server.map_err(io::Error::other)?;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let inner = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let listener = TcpListener::bind(address).await?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move { tell(take(client, inner, &acceptor).await) });
        }
    });
    Ok(inner)
}

async fn take(client: TcpStream, sink: SocketAddr, acceptor: &TlsAcceptor) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = BufReader::new(client);
    client.get_mut().write_all(b"220 sink.test ESMTP\r\n").await?;
    loop {
        let mut line = String::new();
        if client.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
            "EHLO" => b"250-sink.test\r\n250 STARTTLS\r\n",
            "STAR" => break,
            "QUIT" => b"221 bye\r\n",
            _ => b"530 5.7.0 STARTTLS first\r\n",
        };
        client.get_mut().write_all(answer).await?;
    }
    client.get_mut().write_all(b"220 go on\r\n").await?;
    let secured = acceptor.accept(client.into_inner()).await?;
    let mut sink = BufReader::new(TcpStream::connect(sink).await?);
    sink.get_mut().set_nodelay(true)?;
    // The client has been greeted.
    reply(&mut sink).await?;
    carry(sink.into_inner(), secured.into()).await
}

/// Both ways, until one side has said all.
async fn carry(plain: TcpStream, secured: TlsStream<TcpStream>) -> io::Result<()> {
    let (from, to) = split(plain);
    let (from_secured, to_secured) = split(secured);
    let up = tokio::spawn(one_way(from, to_secured));
    one_way(from_secured, to).await?;
    up.await.map_err(io::Error::other)?
}

async fn one_way<A, B>(mut from: ReadHalf<A>, mut to: WriteHalf<B>) -> io::Result<()>
where
    A: tokio::io::AsyncRead,
    B: tokio::io::AsyncWrite,
{
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer).await {
            // Who has said QUIT may go without TLS's goodbye, or at once.
            Ok(0) | Err(_) => break,
            Ok(octets) => to.write_all(&buffer[..octets]).await?,
        }
        to.flush().await?;
    }
    // The other side may be gone already.
    let _ = to.shutdown().await;
    Ok(())
}

fn tell(carried: io::Result<()>) {
    if let Err(error) = carried {
        eprintln!("tls_load: {error}");
    }
}

/// A whole reply, all its lines.
async fn reply(server: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut text = String::new();
    loop {
        let begin = text.len();
        if server.read_line(&mut text).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if text.as_bytes().get(begin + 3) != Some(&b'-') {
            return Ok(text);
        }
    }
}

/// Who it is does not matter here; that it holds its key does.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
