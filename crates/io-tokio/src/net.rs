//! The network: dial, listen, datagrams; and what the operating system's errors mean.

use crate::listener::RealListener;
use crate::secure::Tls;
use crate::stream::TcpSocket;
use posthaste_evidence::{ConnectFault, TlsFault};
use posthaste_io::net::{AnswerDatagram, MAX_DATAGRAM};
use posthaste_io::{
    Datagram, Dial, DialError, Listener, Net, Offer, Received, Secure, Secured, Stream, Task,
    Unanswered,
};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Delayed answers of one datagram server that may be waiting at once; more are dropped, as networks do.
const MAX_DELAYED: usize = 4096;
/// Errors in a row after which a datagram server gives up (ICMP of departed clients is reported here too).
const MAX_SERVE_ERRORS: usize = 100;

pub(crate) struct RealNet {
    tls: Arc<Tls>,
}

impl RealNet {
    pub(crate) fn new() -> Self {
        Self { tls: Arc::new(Tls::new()) }
    }
}

impl Net for RealNet {
    fn dial(&self, dial: Dial) -> Task<'_, Result<Box<dyn Stream>, DialError>> {
        Box::pin(async move {
            match tokio::time::timeout(dial.limit, connect(dial)).await {
                Ok(Ok(stream)) => Ok(Box::new(stream) as Box<dyn Stream>),
                Ok(Err(fault)) => Err(DialError(fault)),
                Err(_) => Err(DialError(ConnectFault::TimedOut)),
            }
        })
    }

    fn listen(&self, at: SocketAddr, backlog: u32) -> Task<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            RealListener::bind(at, backlog).map(|listener| Box::new(listener) as Box<dyn Listener>)
        })
    }

    fn datagram(&self, datagram: Datagram) -> Task<'_, Result<Vec<u8>, Unanswered>> {
        Box::pin(async move {
            match tokio::time::timeout(datagram.limit, ask(&datagram)).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(Unanswered::Unreachable(fault(&error, datagram.to, None))),
                Err(_) => Err(Unanswered::TimedOut),
            }
        })
    }

    fn secure(&self, stream: Box<dyn Stream>, how: Secure) -> Task<'_, Result<Secured, TlsFault>> {
        Box::pin(self.tls.secure(stream, how))
    }

    fn receive(
        &self,
        stream: Box<dyn Stream>,
        offer: Offer,
    ) -> Task<'_, Result<Received, TlsFault>> {
        Box::pin(self.tls.receive(stream, offer))
    }

    fn serve_datagrams(&self, at: SocketAddr, answer: AnswerDatagram) -> Task<'_, io::Error> {
        Box::pin(async move {
            match UdpSocket::bind(at).await {
                Ok(socket) => serve(Arc::new(socket), answer).await,
                Err(error) => error,
            }
        })
    }
}

async fn connect(dial: Dial) -> Result<TcpSocket, ConnectFault> {
    let named = |error: io::Error| fault(&error, dial.to, dial.from);
    if dial.from.is_some_and(|from| from.is_ipv4() != dial.to.is_ipv4()) {
        return Err(ConnectFault::SourceUnavailable);
    }
    let socket = tcp_socket(&dial).map_err(named)?;
    let socket = tokio::net::TcpSocket::from_std_stream(socket.into());
    let stream = socket.connect(dial.to).await.map_err(named)?;
    let local = stream.local_addr().map_err(named)?;
    if local == dial.to {
        // A port of the ephemeral range with no listener can connect to itself (simultaneous open).
        return Err(ConnectFault::Refused);
    }
    Ok(TcpSocket::new(stream, dial.to, Some(local)))
}

fn tcp_socket(dial: &Dial) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(dial.to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = dial.from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    Ok(socket)
}

thread_local! {
    /// One for all questions of a thread, and not one of this size for each: most replies are a few dozen octets.
    static ARRIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; MAX_DATAGRAM].into());
}

/// A connected socket hears ICMP errors and only the peer it asked; the kernel draws a random port.
async fn ask(datagram: &Datagram) -> io::Result<Vec<u8>> {
    let socket = udp_socket(datagram.to)?;
    socket.send(&datagram.payload).await?;
    // What ICMP says is an error to be read.
    let readable = Interest::READABLE | Interest::ERROR;
    loop {
        let receive = || {
            ARRIVED.with_borrow_mut(|buf| {
                let (length, _) = rustix::net::recv(&socket, &mut buf[..], RecvFlags::empty())?;
                let arrived = &buf[..length];
                Ok((datagram.accept)(arrived).then(|| arrived.to_vec()))
            })
        };
        if let Some(accepted) = socket.async_io(readable, receive).await? {
            return Ok(accepted);
        }
    }
}

/// Connecting binds it, too.
fn udp_socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    rustix::net::connect(&socket, &to)?;
    UdpSocket::from_std(socket.into())
}

async fn serve(socket: Arc<UdpSocket>, answer: AnswerDatagram) -> io::Error {
    let delayed = Arc::new(tokio::sync::Semaphore::new(MAX_DELAYED));
    let mut buf = vec![0; MAX_DATAGRAM];
    let mut errors = 0;
    loop {
        match socket.recv_from(&mut buf).await {
            Ok((length, client)) => {
                errors = 0;
                for (wait, payload) in answer(&buf[..length], client) {
                    reply(&socket, client, wait, payload, &delayed).await;
                }
            }
            Err(_) if errors < MAX_SERVE_ERRORS => errors += 1,
            Err(error) => return error,
        }
    }
}

/// An answer that cannot be sent is lost, as datagrams are.
async fn reply(
    socket: &Arc<UdpSocket>,
    client: SocketAddr,
    wait: Duration,
    payload: Vec<u8>,
    delayed: &Arc<tokio::sync::Semaphore>,
) {
    if wait.is_zero() {
        let _ = socket.send_to(&payload, client).await;
    } else if let Ok(permit) = Arc::clone(delayed).try_acquire_owned() {
        let socket = Arc::clone(socket);
        tokio::spawn(async move {
            tokio::time::sleep(wait).await;
            let _ = socket.send_to(&payload, client).await;
            drop(permit);
        });
    }
}

/// The unspecified address and port of the family of `like`.
pub(crate) fn unspecified(like: SocketAddr) -> SocketAddr {
    let ip = match like {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

/// What an error of the operating system means for a connection to `to` from `from`.
fn fault(error: &io::Error, to: SocketAddr, from: Option<IpAddr>) -> ConnectFault {
    let Some(errno) = Errno::from_io_error(error) else {
        return ConnectFault::Other(0);
    };
    match errno {
        Errno::CONNREFUSED => ConnectFault::Refused,
        Errno::TIMEDOUT => ConnectFault::TimedOut,
        Errno::HOSTUNREACH | Errno::HOSTDOWN => ConnectFault::HostUnreachable,
        // No IPv6 in this kernel is no route either.
        Errno::NETUNREACH | Errno::NETDOWN | Errno::AFNOSUPPORT => ConnectFault::NetworkUnreachable,
        Errno::ACCESS | Errno::PERM => ConnectFault::Forbidden,
        // Without a wish of ours: the kernel found no address of its own (IPv6), or no free port.
        Errno::ADDRNOTAVAIL if from.is_some() || to.is_ipv6() => ConnectFault::SourceUnavailable,
        Errno::ADDRNOTAVAIL
        | Errno::ADDRINUSE
        | Errno::AGAIN
        | Errno::MFILE
        | Errno::NFILE
        | Errno::NOBUFS
        | Errno::NOMEM => ConnectFault::LocalResources,
        Errno::CONNRESET => ConnectFault::Reset,
        other => ConnectFault::Other(other.raw_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_have_their_meaning() {
        use ConnectFault as F;
        let v4: SocketAddr = ([192, 0, 2, 1], 25).into();
        let v6 = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 25);
        let source = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
        for (errno, to, from, expected) in [
            (Errno::CONNREFUSED, v4, None, F::Refused),
            (Errno::TIMEDOUT, v4, None, F::TimedOut),
            (Errno::HOSTUNREACH, v4, None, F::HostUnreachable),
            (Errno::NETUNREACH, v4, None, F::NetworkUnreachable),
            (Errno::AFNOSUPPORT, v6, None, F::NetworkUnreachable),
            (Errno::PERM, v4, None, F::Forbidden),
            (Errno::ADDRNOTAVAIL, v4, source, F::SourceUnavailable),
            (Errno::ADDRNOTAVAIL, v6, None, F::SourceUnavailable),
            (Errno::ADDRNOTAVAIL, v4, None, F::LocalResources),
            (Errno::MFILE, v4, None, F::LocalResources),
            (Errno::CONNRESET, v4, None, F::Reset),
            (Errno::NOTSOCK, v4, None, F::Other(Errno::NOTSOCK.raw_os_error())),
        ] {
            assert_eq!(fault(&errno.into(), to, from), expected, "{errno}");
        }
        assert_eq!(fault(&io::ErrorKind::Other.into(), v4, None), F::Other(0));
    }
}
