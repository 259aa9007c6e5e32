//! Unix sockets as listeners and streams: programs on this machine. The kernel vouches for who they are.
//!
//! Not here: binding, modes and owners of the socket's file; whoever wires gives a bound one.

use crate::stream::MAX_SLICES;
use posthaste_io::{Listener, Stream, Task, Vitals};
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};

/// What stands for the address of a peer that has none.
const THIS_MACHINE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The rest before an accept that failed for lack of descriptors or memory is reported.
const REST: Duration = Duration::from_millis(100);

/// A bound unix socket as a listener. Its streams tell the user ([`Stream::user`]); their addresses are 127.0.0.1, port 0.
#[must_use]
pub fn unix_listener(socket: UnixListener) -> Box<dyn Listener> {
    Box::new(LocalListener(socket))
}

struct LocalListener(UnixListener);

impl LocalListener {
    async fn next(&self) -> io::Result<Box<dyn Stream>> {
        match self.0.accept().await {
            Ok((stream, _)) => {
                let user = stream.peer_cred().ok().map(|credentials| credentials.uid());
                Ok(Box::new(LocalStream { inner: stream, user }))
            }
            Err(error) => {
                tokio::time::sleep(REST).await;
                Err(error)
            }
        }
    }
}

impl Listener for LocalListener {
    fn accept(&self) -> Task<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(self.next())
    }

    fn local(&self) -> SocketAddr {
        THIS_MACHINE
    }
}

struct LocalStream {
    inner: UnixStream,
    user: Option<u32>,
}

impl Stream for LocalStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut target = ReadBuf::new(buf);
        match Pin::new(&mut self.inner).poll_read(cx, &mut target) {
            Poll::Ready(Ok(())) => Poll::Ready(Ok(target.filled().len())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bufs = &bufs[..bufs.len().min(MAX_SLICES)];
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn peer(&self) -> SocketAddr {
        THIS_MACHINE
    }

    fn local(&self) -> SocketAddr {
        THIS_MACHINE
    }

    fn vitals(&self) -> Option<Vitals> {
        None
    }

    fn user(&self) -> Option<u32> {
        self.user
    }
}
