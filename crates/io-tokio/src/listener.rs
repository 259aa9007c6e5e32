//! Accepting TCP connections.

use crate::stream::TcpSocket;
use posthaste_io::{Listener, Stream, Task};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The rest before an accept that failed for lack of descriptors or memory is reported.
const REST: Duration = Duration::from_millis(100);
/// Connections in a row that were gone before they were accepted, before the error is reported.
const MAX_GONE: usize = 1000;

pub(crate) struct RealListener {
    inner: TcpListener,
    local: SocketAddr,
}

impl RealListener {
    pub(crate) fn bind(at: SocketAddr, backlog: u32) -> io::Result<Self> {
        Self::of(listening(at, backlog)?)
    }

    /// A socket that listens already.
    pub(crate) fn adopt(socket: std::net::TcpListener) -> io::Result<Self> {
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        Self::of(socket)
    }

    fn of(socket: Socket) -> io::Result<Self> {
        let inner = TcpListener::from_std(socket.into())?;
        let local = inner.local_addr()?;
        Ok(Self { inner, local })
    }

    async fn next(&self) -> io::Result<Box<dyn Stream>> {
        let mut gone = 0;
        loop {
            match self.inner.accept().await {
                Ok((stream, peer)) => return Ok(self.stream(stream, peer)),
                Err(error) if gone < MAX_GONE && is_of_one_connection(&error) => gone += 1,
                Err(error) => {
                    tokio::time::sleep(REST).await;
                    return Err(error);
                }
            }
        }
    }

    fn stream(&self, stream: TcpStream, peer: SocketAddr) -> Box<dyn Stream> {
        let local = (!self.local.ip().is_unspecified()).then_some(self.local);
        Box::new(TcpSocket::new(stream, peer, local))
    }
}

/// A socket that listens at this address from now on.
pub(crate) fn listening(at: SocketAddr, backlog: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if at.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Linux hands this on to accepted sockets: one system call less per connection.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&at.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket)
}

impl Listener for RealListener {
    fn accept(&self) -> Task<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(self.next())
    }

    fn local(&self) -> SocketAddr {
        self.local
    }
}

/// Errors that were pending on the new connection itself (accept(2): to be treated like EAGAIN).
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::INTR
                | Errno::PROTO
                | Errno::PERM
                | Errno::NETDOWN
                | Errno::NOPROTOOPT
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::HOSTUNREACH
                | Errno::OPNOTSUPP
                | Errno::NETUNREACH
        )
    )
}
