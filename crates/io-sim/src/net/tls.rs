//! A stand-in for TLS: handshakes whose course is set for each server, and then the same stream in clear. Nothing is
//! encrypted here, and the server's agent knows nothing of it: what is told apart is who would have been believed. But
//! a server that is [`Handshake::Met`] takes part, by `receive`.

use super::Link;
use super::receive::greet;
use crate::core::State;
use crate::host::Door;
use posthaste_evidence::{Certificate, TlsFacts, TlsFault, TlsVersion, Untrusted};
use posthaste_io::{Clock, Demand, Reference, Secure, Secured, Stream, Trust, sleep, within};
use posthaste_mail::Timestamp;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// How often a handshake that is cut off looks whether packets arrive again.
const RETRANSMIT: Duration = Duration::from_secs(1);

/// What a server does when a client begins TLS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Handshake {
    /// It shows this certificate. `trusted`: an authority that every machine trusts vouches for it.
    Shows {
        /// The certificate.
        certificate: Certificate,
        /// Whether anybody but a pin vouches for it.
        trusted: bool,
    },
    /// It shows this certificate, which every machine trusts, once its own program receives the handshake.
    Met(Certificate),
    /// It ends the handshake so.
    Fails(TlsFault),
    /// It says nothing.
    Silence,
}

impl Handshake {
    /// A certificate for these names that every machine trusts, valid from 1970 to 2100.
    #[must_use]
    pub fn good(names: &[&str]) -> Self {
        let certificate = Certificate {
            subject: format!("CN={}", names.first().copied().unwrap_or_default()),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: "CN=Simulated Authority".into(),
            not_before: Timestamp::EPOCH,
            not_after: Timestamp::from_secs(4_102_444_800),
            key: [1; 32],
        };
        Self::Shows { certificate, trusted: true }
    }
}

/// By server; one that is not here speaks no TLS.
pub(super) type Handshakes = BTreeMap<SocketAddr, Handshake>;

pub(super) async fn secure(
    door: &Door,
    stream: Box<dyn Stream>,
    how: Secure,
) -> Result<Secured, TlsFault> {
    let server = stream.peer();
    let mut stream = stream;
    let handshake = async {
        let met = match meet(door, server).await {
            Handshake::Met(certificate) => {
                greet(stream.as_mut(), &how.name).await?;
                Handshake::Shows { certificate, trusted: true }
            }
            met => met,
        };
        judge(met, &how, door.wall())
    };
    let facts = within(door, how.limit, handshake).await.unwrap_or(Err(TlsFault::TimedOut))?;
    Ok(Secured { stream, facts })
}

/// There and back, once packets arrive.
async fn meet(door: &Door, server: SocketAddr) -> Handshake {
    loop {
        let (wait, up) = {
            let mut state = door.core.state.lock();
            (round_trip(&mut state, door.host, server), is_up(&state, door.host, server))
        };
        if up {
            sleep(door, wait).await;
            let state = door.core.state.lock();
            let known = state.net.handshakes.get(&server).cloned();
            let handshake = known.unwrap_or(Handshake::Fails(TlsFault::NotTls));
            if handshake != Handshake::Silence {
                return handshake;
            }
        }
        sleep(door, RETRANSMIT).await;
    }
}

fn round_trip(state: &mut State, host: usize, server: SocketAddr) -> Duration {
    let owner = state.owner(server.ip(), host).unwrap_or(host);
    state.latency(host, owner) + state.latency(owner, host)
}

fn is_up(state: &State, host: usize, server: SocketAddr) -> bool {
    let owner = state.owner(server.ip(), host);
    state.link(host, server.ip()) == Link::Up && owner.is_some_and(|owner| state.hosts[owner].up)
}

/// Names are compared as text: here nobody has wildcards.
fn is_named(certificate: &Certificate, how: &Secure) -> bool {
    let has = |wanted: &Reference| match wanted {
        Reference::Exactly(name) => certificate.names.contains(name),
        Reference::Below(name) => {
            let end = format!(".{name}");
            certificate.names.iter().any(|own| own.ends_with(&end))
        }
    };
    match how.names.as_slice() {
        [] => certificate.names.contains(&how.name),
        names => names.iter().any(has),
    }
}

fn judge(met: Handshake, how: &Secure, now: Timestamp) -> Result<TlsFacts, TlsFault> {
    let (certificate, trusted) = match met {
        Handshake::Shows { certificate, trusted } => (certificate, trusted),
        Handshake::Fails(fault) => return Err(fault),
        Handshake::Silence | Handshake::Met(_) => return Err(TlsFault::TimedOut),
    };
    let verified = match &how.trust {
        Trust::Pinned(pins) if pins.contains(&certificate.key) => Ok(()),
        Trust::Pinned(_) => Err(Untrusted::NotPinned),
        _ if !trusted => Err(Untrusted::UnknownIssuer),
        _ if now < certificate.not_before => Err(Untrusted::NotYetValid),
        _ if now > certificate.not_after => Err(Untrusted::Expired),
        _ if !is_named(&certificate, how) => Err(Untrusted::WrongName),
        _ => Ok(()),
    };
    if let (Err(why), Demand::Verified) = (verified, how.demand) {
        return Err(TlsFault::Untrusted { why, certificate: Some(Box::new(certificate)) });
    }
    Ok(TlsFacts {
        version: TlsVersion::Tls13,
        cipher: "SIMULATED".into(),
        alpn: how.alpn.first().map(|name| (*name).to_owned()),
        chain: vec![certificate],
        verified,
    })
}
