//! Sockets: dial, listen, one datagram each way, and TLS over a stream.

use crate::{Offer, Received, Secure, Secured, Stream, Task};
use posthaste_evidence::{ConnectFault, TlsFault};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// The world's network.
pub trait Net: Send + Sync {
    /// Opens a TCP connection (TCP_NODELAY set).
    fn dial(&self, dial: Dial) -> Task<'_, Result<Box<dyn Stream>, DialError>>;
    /// Binds and listens.
    fn listen(&self, at: SocketAddr, backlog: u32) -> Task<'_, io::Result<Box<dyn Listener>>>;
    /// Sends one datagram from a fresh random port and waits for one that `accept` takes.
    fn datagram(&self, datagram: Datagram) -> Task<'_, Result<Vec<u8>, Unanswered>>;
    /// Puts TLS over a stream, our side being the client. When it fails the stream is closed.
    fn secure(&self, stream: Box<dyn Stream>, how: Secure) -> Task<'_, Result<Secured, TlsFault>>;
    /// The same, our side being the server.
    fn receive(
        &self,
        stream: Box<dyn Stream>,
        offer: Offer,
    ) -> Task<'_, Result<Received, TlsFault>>;
    /// Binds a datagram socket and serves it: each datagram is given to `answer`, whose answers are sent
    /// back. Ends only with an error. For the scripted servers of tests.
    fn serve_datagrams(&self, at: SocketAddr, answer: AnswerDatagram) -> Task<'_, io::Error>;
}

/// Gives the answers to one datagram: each with the wait before it is sent.
pub type AnswerDatagram = Arc<dyn Fn(&[u8], SocketAddr) -> Vec<(Duration, Vec<u8>)> + Send + Sync>;

/// A connection to open.
#[derive(Clone, Copy, Debug)]
pub struct Dial {
    /// To whom.
    pub to: SocketAddr,
    /// From which of our addresses; `None` lets the kernel choose.
    pub from: Option<IpAddr>,
    /// The longest to wait.
    pub limit: Duration,
}

/// No connection, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no connection: {0:?}")]
pub struct DialError(pub ConnectFault);

/// A bound listener.
pub trait Listener: Send + Sync {
    /// The next connection. Errors of a single connection (it was gone again) are retried inside; others,
    /// such as no more descriptors, are answered after a short rest.
    fn accept(&self) -> Task<'_, io::Result<Box<dyn Stream>>>;
    /// The address bound, with the port that port 0 became.
    fn local(&self) -> SocketAddr;
}

/// Says whether a datagram is the one that is waited for.
pub type AcceptDatagram = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// One question by datagram.
#[derive(Clone)]
pub struct Datagram {
    /// To whom.
    pub to: SocketAddr,
    /// The question.
    pub payload: Vec<u8>,
    /// The longest to wait.
    pub limit: Duration,
    /// True for the answer to this question; others (late, spoofed) are ignored and waiting goes on.
    pub accept: AcceptDatagram,
}

/// No datagram came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// Nothing within the limit.
    #[error("no answer in time")]
    TimedOut,
    /// ICMP, or no route, or nobody listens.
    #[error("unreachable: {0:?}")]
    Unreachable(ConnectFault),
}

/// The largest datagram that is read, octets.
pub const MAX_DATAGRAM: usize = 65_535;
