//! The stream under TLS and the one over it: from our trait to tokio's and back.

use posthaste_io::{Stream, Vitals};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream as Inner;

/// A stream of ours as one of tokio's.
pub(super) struct Carrier(pub(super) Box<dyn Stream>);

impl AsyncRead for Carrier {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(self.0.poll_read(cx, buf.initialize_unfilled()))?;
        buf.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_shutdown(cx)
    }
}

/// A secured stream. An end without close_notify is an error (`UnexpectedEof`): somebody may have cut it.
pub(super) struct TlsStream {
    inner: Inner<Carrier>,
    /// The records of the last write may not all be out yet.
    unsent: bool,
}

impl TlsStream {
    pub(super) const fn new(inner: Inner<Carrier>) -> Self {
        Self { inner, unsent: false }
    }

    /// Sends what is left of earlier writes: our trait has no flush, so each call sees to it.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unsent {
            ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
            self.unsent = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl Stream for TlsStream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Poll::Ready(sent) = self.poll_send(cx) {
            sent?;
        }
        let mut target = ReadBuf::new(buf);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut target))?;
        Poll::Ready(Ok(target.filled().len()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, bufs))?;
        self.unsent = true;
        // What does not go out now goes with the next call; the octets are taken either way.
        if let Poll::Ready(sent) = self.poll_send(cx) {
            sent?;
        }
        Poll::Ready(Ok(written))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn peer(&self) -> SocketAddr {
        self.inner.get_ref().0.0.peer()
    }

    fn local(&self) -> SocketAddr {
        self.inner.get_ref().0.0.local()
    }

    fn vitals(&self) -> Option<Vitals> {
        self.inner.get_ref().0.0.vitals()
    }

    fn user(&self) -> Option<u32> {
        self.inner.get_ref().0.0.user()
    }
}
