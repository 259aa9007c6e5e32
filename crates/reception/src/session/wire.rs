//! A session's stream with its read buffer and its one timer. Every wait here is bounded.

use crate::places::{Closing, Place};
use bytes::BytesMut;
use posthaste_io::{Clock, Instant, Stream, Timer};
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How much is read at once between messages, octets.
const COMMAND_READ: usize = 4 * 1024;
/// How much is read at once within a message, octets.
const CONTENT_READ: usize = 32 * 1024;
/// How long a client whom we closed may take to see it.
const LINGER: Duration = Duration::from_secs(2);
/// Octets that are dropped for that.
const MAX_LINGER: usize = 1024 * 1024;

pub(super) struct Wire {
    /// `None` when a handshake has failed on it.
    pub(super) stream: Option<Box<dyn Stream>>,
    pub(super) input: BytesMut,
    clock: Arc<dyn Clock>,
    timer: Pin<Box<dyn Timer>>,
}

/// What came of waiting for the client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// Octets.
    Some,
    /// It closed, or the connection broke.
    Gone,
    /// Nothing in time.
    TimedOut,
    /// The service shuts down, or is closed for maintenance.
    Closing(Closing),
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, clock: Arc<dyn Clock>) -> Self {
        let timer = clock.timer();
        Self { stream: Some(stream), input: BytesMut::with_capacity(COMMAND_READ), clock, timer }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Reads more, until `deadline`; with `place`, also until the service shuts down, and when the flag beside it
    /// says that no transaction is under way, until maintenance begins.
    pub(super) async fn read(
        &mut self,
        deadline: Instant,
        in_content: bool,
        place: Option<(&Place, bool)>,
    ) -> Heard {
        let filled = self.input.len();
        let room = if in_content { CONTENT_READ } else { COMMAND_READ };
        self.input.resize(filled + room, 0);
        let (timer, input) = (&mut self.timer, &mut self.input);
        let Some(stream) = &mut self.stream else {
            input.truncate(filled);
            return Heard::Gone;
        };
        let mut armed = false;
        let (heard, octets) = poll_fn(|cx| {
            if let Poll::Ready(read) = stream.poll_read(cx, &mut input[filled..]) {
                return Poll::Ready(match read {
                    Ok(0) | Err(_) => (Heard::Gone, 0),
                    Ok(octets) => (Heard::Some, octets),
                });
            }
            if let Some((place, in_transaction)) = place
                && let Some(why) = place.poll_closing(in_transaction, cx)
            {
                return Poll::Ready((Heard::Closing(why), 0));
            }
            poll_timer(timer, deadline, &mut armed, cx).map(|()| (Heard::TimedOut, 0))
        })
        .await;
        self.input.truncate(filled + octets);
        heard
    }

    /// Writes all; false when the client is gone or does not take it in time.
    pub(super) async fn write(&mut self, octets: &[u8], limit: Duration) -> bool {
        let mut rest = octets;
        // One limit for all: a client that takes an octet now and then is as slow as one that takes none.
        let mut deadline = None;
        while !rest.is_empty() {
            let (timer, clock) = (&mut self.timer, &self.clock);
            let Some(stream) = &mut self.stream else { return false };
            let mut armed = false;
            let written = poll_fn(|cx| {
                if let Poll::Ready(written) = stream.poll_write(cx, &[IoSlice::new(rest)]) {
                    return Poll::Ready(written.unwrap_or(0));
                }
                let deadline = *deadline.get_or_insert_with(|| clock.now() + limit);
                poll_timer(timer, deadline, &mut armed, cx).map(|()| 0)
            })
            .await;
            if written == 0 {
                return false;
            }
            rest = &rest[written..];
        }
        true
    }

    /// Waits for `work`; `None` when it was not done in time.
    pub(super) async fn within<T>(
        &mut self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        let (timer, clock) = (&mut self.timer, &self.clock);
        let mut deadline = None;
        let mut armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            let deadline = *deadline.get_or_insert_with(|| clock.now() + limit);
            poll_timer(timer, deadline, &mut armed, cx).map(|()| None)
        })
        .await
    }

    /// Closes in order. What the client still sends is dropped for a moment: closing on unread octets would take
    /// the last reply away from it (RFC 1122 section 4.2.2.13).
    pub(super) async fn close(mut self) {
        let deadline = self.clock.now() + LINGER;
        let Some(stream) = &mut self.stream else { return };
        if poll_fn(|cx| stream.poll_shutdown(cx)).await.is_err() {
            return;
        }
        let mut dropped = 0;
        while dropped < MAX_LINGER {
            self.input.clear();
            if self.read(deadline, false, None).await != Heard::Some {
                return;
            }
            dropped += self.input.len();
        }
    }
}

/// Sets the timer only once there is something to wait for.
fn poll_timer(
    timer: &mut Pin<Box<dyn Timer>>,
    deadline: Instant,
    armed: &mut bool,
    cx: &mut Context<'_>,
) -> Poll<()> {
    if !std::mem::replace(armed, true) {
        timer.as_mut().set(deadline);
    }
    timer.as_mut().poll(cx)
}
