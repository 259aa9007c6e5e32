//! A TCP connection as a stream.
//!
//! Vitals are not given: TCP_INFO has no safe door in socket2 or rustix, and this workspace has no unsafe code.

use posthaste_io::{Stream, Vitals};
use rustix::io::Errno;
use std::cell::OnceCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The most slices one system call takes (IOV_MAX on Linux).
pub(crate) const MAX_SLICES: usize = 1024;

pub(crate) struct TcpSocket {
    inner: TcpStream,
    peer: SocketAddr,
    local: OnceCell<SocketAddr>,
    /// The first read and the first write are tried before asking the reactor, which has not seen the
    /// socket yet: a greeting goes out, and a pipelined command comes in, without a turn of its loop.
    fresh_read: bool,
    fresh_write: bool,
}

impl TcpSocket {
    /// `local`, where it is known already; else it is asked of the kernel when somebody wants to know.
    pub(crate) fn new(inner: TcpStream, peer: SocketAddr, local: Option<SocketAddr>) -> Self {
        let known = OnceCell::new();
        if let Some(local) = local {
            known.set(local).expect("the cell is new");
        }
        Self { inner, peer, local: known, fresh_read: true, fresh_write: true }
    }
}

impl Stream for TcpSocket {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.fresh_read)
            && let Some(done) = tried(rustix::io::read(&self.inner, &mut *buf))
        {
            return Poll::Ready(done);
        }
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
        if std::mem::take(&mut self.fresh_write)
            && let Some(done) = tried(rustix::io::writev(&self.inner, bufs))
        {
            return Poll::Ready(done);
        }
        match bufs {
            [one] => Pin::new(&mut self.inner).poll_write(cx, one),
            many => Pin::new(&mut self.inner).poll_write_vectored(cx, many),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        *self.local.get_or_init(|| {
            let unspecified = || crate::net::unspecified(self.peer);
            self.inner.local_addr().unwrap_or_else(|_| unspecified())
        })
    }

    fn vitals(&self) -> Option<Vitals> {
        None
    }
}

/// `None` when the reactor must be asked.
fn tried(result: Result<usize, Errno>) -> Option<io::Result<usize>> {
    match result {
        Err(Errno::AGAIN | Errno::INTR) => None,
        other => Some(other.map_err(io::Error::from)),
    }
}
