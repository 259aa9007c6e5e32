//! A stand-in for TLS, the server's side: a line from the client, a line back, and then the same stream in clear. What
//! is told apart is what came before, within and after the handshake, and who the client would have been.

use posthaste_evidence::{Certificate, Shown, TlsFault, TlsReceived, TlsVersion, Untrusted};
use posthaste_io::{Clients, Clock, Offer, Received, Stream, StreamExt as _, within};
use posthaste_mail::Timestamp;
use std::io::ErrorKind;

/// How a handshake begins: nothing that SMTP says.
const MAGIC: &str = "\u{16}\u{3}";
/// The longest line of it, octets.
const MAX_HELLO: usize = 1024;
/// What is said instead of nothing.
const NOTHING: &str = "-";

/// What a client says first: the name it asks for, and the name in the certificate it shows, with whether every machine
/// trusts that one.
#[must_use]
pub fn client_hello(asked: Option<&str>, certificate: Option<(&str, bool)>) -> Vec<u8> {
    let (name, trusted) = certificate.unwrap_or((NOTHING, false));
    format!("{MAGIC} {} {name} {trusted}\n", asked.unwrap_or(NOTHING)).into_bytes()
}

/// The client's side of it.
pub(super) async fn greet(stream: &mut dyn Stream, name: &str) -> Result<(), TlsFault> {
    stream.write_all(&client_hello(Some(name), None)).await.map_err(|e| lost(&e))?;
    hello(stream).await.map(|_| ())
}

/// Waits for the client's line and answers it.
///
/// # Errors
/// What came is no such line, none came, or the certificate that is required did not.
pub async fn receive(
    clock: &dyn Clock,
    mut stream: Box<dyn Stream>,
    offer: Offer,
) -> Result<Received, TlsFault> {
    let handshake = async {
        let facts = told(&hello(stream.as_mut()).await?, &offer)?;
        let answer = format!("{MAGIC}\n");
        stream.write_all(answer.as_bytes()).await.map_err(|error| lost(&error))?;
        Ok(facts)
    };
    let facts = within(clock, offer.limit, handshake).await.unwrap_or(Err(TlsFault::TimedOut))?;
    Ok(Received { stream, facts })
}

/// One line, and not an octet more.
async fn hello(stream: &mut dyn Stream) -> Result<String, TlsFault> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        let mut octet = [0];
        match stream.read(&mut octet).await {
            Ok(1) if line.len() < MAX_HELLO => line.push(octet[0]),
            Ok(1) => return Err(TlsFault::NotTls),
            Ok(_) => return Err(TlsFault::Lost { reset: false }),
            Err(error) => return Err(lost(&error)),
        }
        if !MAGIC.as_bytes().iter().zip(&line).all(|(expected, octet)| expected == octet) {
            return Err(TlsFault::NotTls);
        }
    }
    String::from_utf8(line).map_err(|_| TlsFault::NotTls)
}

fn lost(error: &std::io::Error) -> TlsFault {
    TlsFault::Lost { reset: error.kind() != ErrorKind::UnexpectedEof }
}

fn told(hello: &str, offer: &Offer) -> Result<TlsReceived, TlsFault> {
    if offer.identities.is_empty() {
        return Err(TlsFault::NoIdentity);
    }
    let words: Vec<&str> = hello.split_ascii_whitespace().collect();
    let [_, asked, name, trusted] = words[..] else { return Err(TlsFault::Broken) };
    let is_said = |word: &&str| *word != NOTHING;
    let shown = Some(name).filter(is_said).map(|name| shown(name, trusted == "true"));
    let client = match (&offer.clients, shown) {
        (Clients::Unasked, _) => None,
        (Clients::Asked(_), shown) => shown,
        (Clients::Required(_), None) => return Err(TlsFault::NoCertificate),
        (Clients::Required(_), Some(Shown { verified: Err(why), .. })) => {
            return Err(TlsFault::Untrusted { why, certificate: None });
        }
        (Clients::Required(_), shown) => shown,
    };
    Ok(TlsReceived {
        version: TlsVersion::Tls13,
        cipher: "SIMULATED".into(),
        asked: Some(asked).filter(is_said).map(str::to_owned),
        client,
    })
}

fn shown(name: &str, trusted: bool) -> Shown {
    let certificate = Certificate {
        subject: format!("CN={name}"),
        names: vec![name.to_owned()],
        issuer: "CN=Simulated Authority".into(),
        not_before: Timestamp::EPOCH,
        not_after: Timestamp::from_secs(4_102_444_800),
        key: [2; 32],
    };
    let verified = if trusted { Ok(()) } else { Err(Untrusted::UnknownIssuer) };
    Shown { chain: vec![certificate], verified }
}
