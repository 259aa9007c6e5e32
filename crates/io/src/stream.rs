//! A byte stream: a TCP connection, with or without TLS over it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

/// A connected byte stream. Reads and writes need no boxed future.
pub trait Stream: Send + Unpin {
    /// Reads into `buf`; 0 means that the peer has closed its side.
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>>;
    /// Writes some of `bufs` in order, in one system call.
    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>])
    -> Poll<io::Result<usize>>;
    /// Closes our side in order.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// The peer's address.
    fn peer(&self) -> SocketAddr;
    /// Our address.
    fn local(&self) -> SocketAddr;
    /// The kernel's view of the connection (TCP_INFO), where there is one.
    fn vitals(&self) -> Option<Vitals>;
    /// The user id of the process at the other end, where the kernel vouches for it: unix sockets.
    fn user(&self) -> Option<u32> {
        None
    }
}

/// What the kernel knows of a TCP connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Vitals {
    /// Smoothed round-trip time.
    pub rtt: Duration,
    /// Segments sent again, in all.
    pub retransmits: u32,
    /// Octets the peer has acknowledged.
    pub acked: u64,
    /// The largest segment in use, octets.
    pub mss: u32,
}

/// What every user of a stream wants.
pub trait StreamExt: Stream {
    /// Reads some; 0 means end.
    fn read(&mut self, buf: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes all of `bytes`.
    fn write_all(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// Writes all slices in order with as few system calls as possible. The slices are used up.
    fn write_all_vectored(
        &mut self,
        bufs: &mut [IoSlice<'_>],
    ) -> impl Future<Output = io::Result<()>> + Send;
    /// Closes our side in order.
    fn shutdown(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

impl<S: Stream + ?Sized> StreamExt for S {
    async fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_read(cx, buf)).await
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all_vectored(&mut [IoSlice::new(bytes)]).await
    }

    async fn write_all_vectored(&mut self, bufs: &mut [IoSlice<'_>]) -> io::Result<()> {
        let mut rest = bufs;
        IoSlice::advance_slices(&mut rest, 0);
        while !rest.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, rest)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    async fn shutdown(&mut self) -> io::Result<()> {
        poll_fn(|cx| self.poll_shutdown(cx)).await
    }
}
