//! A stream that a balancer handed on: the octets are its, the addresses those that it told.

use posthaste_io::{Stream, Vitals};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::task::{Context, Poll};

pub(super) struct Relayed {
    inner: Box<dyn Stream>,
    peer: SocketAddr,
    local: SocketAddr,
}

impl Relayed {
    pub(super) fn new(inner: Box<dyn Stream>, peer: SocketAddr, local: SocketAddr) -> Self {
        Self { inner, peer, local }
    }
}

impl Stream for Relayed {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.inner.poll_read(cx, buf)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.inner.poll_write(cx, bufs)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.poll_shutdown(cx)
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }

    fn local(&self) -> SocketAddr {
        self.local
    }

    fn vitals(&self) -> Option<Vitals> {
        self.inner.vitals()
    }
}
