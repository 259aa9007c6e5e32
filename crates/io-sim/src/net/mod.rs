//! The simulated network: who can reach whom, how long it takes, and what arrives.
//!
//! Links are from a host to an address, so that a partition, a dead address family or a filtering firewall are one
//! thing. Not here: bandwidth, MTU, congestion.

mod datagram;
mod dial;
mod receive;
mod tcp;
mod tls;

use crate::core::{Core, Happening, State};
use crate::host::{Door, LOOPBACK, PeersSee};
use crate::rng::Rng;
use posthaste_evidence::TlsFault;
use posthaste_io::net::AnswerDatagram;
use posthaste_io::{
    Datagram, Dial, DialError, Listener, Net, Offer, Received, Secure, Secured, Stream, Task,
    Unanswered,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

pub use receive::{client_hello, receive};
pub use tcp::BUFFER;
pub use tls::Handshake;

/// What the network is like as a whole.
#[derive(Clone, Debug)]
pub struct Weather {
    /// One-way latency between two hosts lies here; drawn once per pair.
    pub latency: std::ops::Range<Duration>,
    /// Up to this part of the latency is added to each packet, in percent.
    pub jitter_percent: u64,
    /// Datagrams lost, per thousand.
    pub datagram_loss: u64,
    /// Datagrams that arrive twice, per thousand.
    pub datagram_twice: u64,
    /// Reads and writes that handle fewer octets than they could, per thousand.
    pub short_io: u64,
}

impl Default for Weather {
    /// 0.2 to 40 ms, 25 % jitter, no loss, a quarter of reads and writes short.
    fn default() -> Self {
        Self {
            latency: Duration::from_micros(200)..Duration::from_millis(40),
            jitter_percent: 25,
            datagram_loss: 0,
            datagram_twice: 0,
            short_io: 250,
        }
    }
}

/// What happens to packets from a host to an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Link {
    /// They arrive.
    #[default]
    Up,
    /// They vanish; connections stall.
    Drop,
    /// A firewall answers with a reset, also on standing connections.
    Refuse,
    /// A router answers: host unreachable; standing connections stall.
    Unreachable,
    /// Dialling has no route; standing connections stall.
    NoRoute,
}

pub(crate) struct NetState {
    pub(crate) weather: Weather,
    rng: Rng,
    links: BTreeMap<(usize, IpAddr), Link>,
    latencies: BTreeMap<(usize, usize), Duration>,
    tcp: tcp::TcpState,
    datagrams: datagram::DatagramState,
    pub(crate) handshakes: tls::Handshakes,
}

/// Something that arrives.
pub(crate) enum Arrival {
    Segment { connection: u64, from: usize, segment: tcp::Segment },
    GiveUp { connection: u64, from: usize, stall: u64 },
    Question(datagram::Question),
    Answer { ask: u64, answer: datagram::Answer },
}

impl NetState {
    pub(crate) fn new(rng: Rng) -> Self {
        Self {
            weather: Weather::default(),
            rng,
            links: BTreeMap::new(),
            latencies: BTreeMap::new(),
            tcp: tcp::TcpState::default(),
            datagrams: datagram::DatagramState::default(),
            handshakes: tls::Handshakes::new(),
        }
    }

    fn per_mille(&mut self, part: u64) -> bool {
        part > 0 && self.rng.chance(part, 1000)
    }
}

impl State {
    /// The host that has an address; loopback is everybody's own.
    fn owner(&self, ip: IpAddr, seen_from: usize) -> Option<usize> {
        if ip.is_loopback() {
            return Some(seen_from);
        }
        self.hosts.iter().position(|host| host.addresses.contains(&ip))
    }

    fn link(&self, from: usize, to: IpAddr) -> Link {
        self.net.links.get(&(from, to)).copied().unwrap_or_default()
    }

    /// One way, for one packet.
    fn latency(&mut self, one: usize, other: usize) -> Duration {
        if one == other {
            return LOOPBACK;
        }
        let base = self.base_latency(one, other);
        let most = as_nanos(base) * self.net.weather.jitter_percent / 100;
        base + Duration::from_nanos(self.net.rng.below(most + 1))
    }

    fn base_latency(&mut self, one: usize, other: usize) -> Duration {
        let pair = (one.min(other), one.max(other));
        let range = self.net.weather.latency.clone();
        let rng = &mut self.net.rng;
        *self.net.latencies.entry(pair).or_insert_with(|| {
            let span = as_nanos(range.end.saturating_sub(range.start));
            range.start + Duration::from_nanos(rng.below(span + 1))
        })
    }

    /// The address of `host` that packets to `to` leave from.
    fn source_for(&self, host: usize, to: IpAddr) -> Option<IpAddr> {
        if to.is_loopback() {
            return Some(to);
        }
        let same_family = |ip: &&IpAddr| ip.is_ipv4() == to.is_ipv4();
        self.hosts[host].addresses.iter().find(same_family).copied()
    }

    fn has_address(&self, host: usize, ip: IpAddr) -> bool {
        ip.is_loopback() || self.hosts[host].addresses.contains(&ip)
    }

    fn next_port(&mut self, host: usize) -> u16 {
        let port = &mut self.hosts[host].next_port;
        *port = if *port == LAST_PORT { FIRST_PORT } else { *port + 1 };
        *port
    }

    pub(crate) fn set_link(&mut self, from: usize, to: IpAddr, link: Link) {
        self.net.links.insert((from, to), link);
        if link == Link::Up {
            carry_on(self);
        }
    }
}

const FIRST_PORT: u16 = 32_768;
const LAST_PORT: u16 = 60_999;

/// Where a host begins to count its ephemeral ports.
pub(crate) fn first_port(rng: &mut Rng) -> u16 {
    let offset = rng.below(u64::from(LAST_PORT - FIRST_PORT));
    FIRST_PORT + u16::try_from(offset).expect("below the size of a u16 range")
}

fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn unspecified(like: IpAddr) -> IpAddr {
    if like.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    }
}

/// Lets a packet arrive.
pub(crate) fn arrive(core: &Arc<Core>, arrival: Arrival) {
    match arrival {
        Arrival::Segment { connection, from, segment } => {
            tcp::deliver(&mut core.state.lock(), connection, from, segment);
        }
        Arrival::GiveUp { connection, from, stall } => {
            tcp::give_up(&mut core.state.lock(), connection, from, stall);
        }
        Arrival::Question(question) => datagram::question(core, question),
        Arrival::Answer { ask, answer } => datagram::answer(&mut core.state.lock(), ask, answer),
    }
}

/// What a dying host leaves behind; to be dropped without the lock.
pub(crate) struct Debris {
    _streams: Vec<tcp::SimStream>,
    _servers: Vec<AnswerDatagram>,
}

/// A host dies: its sockets go, as its peers are to see it. Before its life is counted up.
pub(crate) fn crash(state: &mut State, host: usize, peers: PeersSee) -> Debris {
    let streams = state.net.tcp.listeners.forget(host);
    tcp::crash(state, host, peers);
    Debris { _streams: streams, _servers: state.net.datagrams.forget(host) }
}

/// A link is up or a host is back: stalled connections send again.
pub(crate) fn carry_on(state: &mut State) {
    tcp::carry_on(state);
}

/// Takes out what the network holds of agents, so that nothing keeps a simulation alive. To be dropped
/// without the lock.
pub(crate) fn take_servers(state: &mut State) -> Vec<AnswerDatagram> {
    state.net.datagrams.take_servers()
}

impl State {
    fn arrival_after(&mut self, wait: Duration, arrival: Arrival) {
        self.after(wait, Happening::Net(arrival));
    }
}

impl Net for Door {
    fn dial(&self, dial: Dial) -> Task<'_, Result<Box<dyn Stream>, DialError>> {
        Box::pin(dial::dial(self, dial))
    }

    fn listen(&self, at: SocketAddr, backlog: u32) -> Task<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { dial::listen(self, at, backlog) })
    }

    fn datagram(&self, datagram: Datagram) -> Task<'_, Result<Vec<u8>, Unanswered>> {
        Box::pin(datagram::ask(self, datagram))
    }

    fn secure(&self, stream: Box<dyn Stream>, how: Secure) -> Task<'_, Result<Secured, TlsFault>> {
        Box::pin(tls::secure(self, stream, how))
    }

    fn receive(
        &self,
        stream: Box<dyn Stream>,
        offer: Offer,
    ) -> Task<'_, Result<Received, TlsFault>> {
        Box::pin(receive::receive(self, stream, offer))
    }

    fn serve_datagrams(&self, at: SocketAddr, answer: AnswerDatagram) -> Task<'_, io::Error> {
        Box::pin(datagram::serve(self, at, answer))
    }
}
