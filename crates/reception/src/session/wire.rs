//! A session's stream with its read buffer and its one timer. Every wait here is bounded.

use crate::places::{Amid, Closing, Place};
use bytes::BytesMut;
use posthaste_io::{Clock, Instant, Stream, Timer};
use std::future::poll_fn;
use std::io::{self, IoSlice};
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
    /// The session is to end.
    Closing(Closing),
}

/// What came of letting time pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rested {
    /// It has.
    Enough,
    /// The session is to end.
    Closing,
    /// The client closed its direction, or the connection broke.
    Left,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>, clock: Arc<dyn Clock>) -> Self {
        let timer = clock.timer();
        Self { stream: Some(stream), input: BytesMut::new(), clock, timer }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Reads more, until `deadline`, or until the session is to end.
    pub(super) async fn read(&mut self, deadline: Instant, amid: Amid, place: &Place) -> Heard {
        let (timer, input) = (&mut self.timer, &mut self.input);
        let Some(stream) = &mut self.stream else { return Heard::Gone };
        let mut armed = false;
        let heard = poll_fn(|cx| {
            let read = match amid {
                Amid::Content => poll_content(stream.as_mut(), input, cx),
                Amid::Nothing | Amid::Transaction => poll_commands(stream.as_mut(), input, cx),
            };
            if let Poll::Ready(read) = read {
                return Poll::Ready(match read {
                    Ok(0) | Err(_) => Heard::Gone,
                    Ok(_) => Heard::Some,
                });
            }
            if let Some(why) = place.poll_closing(amid, cx) {
                return Poll::Ready(Heard::Closing(why));
            }
            place.waits(true);
            poll_timer(timer, deadline, &mut armed, cx).map(|()| Heard::TimedOut)
        })
        .await;
        place.waits(false);
        heard
    }

    /// Lets time pass until then, until the session is to end, or until the client has left. What it says meanwhile is
    /// kept, as far as one read goes.
    pub(super) async fn rest(&mut self, until: Instant, amid: Amid, place: &Place) -> Rested {
        let (timer, input) = (&mut self.timer, &mut self.input);
        let Some(stream) = &mut self.stream else { return Rested::Left };
        let mut armed = false;
        let rested = poll_fn(|cx| {
            if place.poll_closing(amid, cx).is_some() {
                return Poll::Ready(Rested::Closing);
            }
            while input.len() < COMMAND_READ {
                match poll_commands(stream.as_mut(), input, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Rested::Left),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => break,
                }
            }
            place.waits(true);
            poll_timer(timer, until, &mut armed, cx).map(|()| Rested::Enough)
        })
        .await;
        place.waits(false);
        rested
    }

    /// Waits for `work` that clients wait in line for; `None` when the session is to end before it is done.
    pub(super) async fn in_line<T>(
        &mut self,
        place: &Place,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        let done = poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            if place.poll_closing(Amid::Nothing, cx).is_some() {
                return Poll::Ready(None);
            }
            place.waits(true);
            Poll::Pending
        })
        .await;
        place.waits(false);
        done
    }

    /// Writes all; false when the client is gone, does not take it in time, or is to make room.
    pub(super) async fn write(&mut self, octets: &[u8], limit: Duration, place: &Place) -> bool {
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
                // What is under way makes no difference: it cannot go on before this is taken.
                if place.poll_closing(Amid::Content, cx).is_some() {
                    return Poll::Ready(0);
                }
                place.waits(true);
                let deadline = *deadline.get_or_insert_with(|| clock.now() + limit);
                poll_timer(timer, deadline, &mut armed, cx).map(|()| 0)
            })
            .await;
            place.waits(false);
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
    pub(super) async fn close(mut self, place: &Place) {
        let deadline = self.clock.now() + LINGER;
        if !self.shutdown(deadline, place).await {
            return;
        }
        let mut dropped = 0;
        while dropped < MAX_LINGER {
            self.input.clear();
            // Only making room ends it early: the rest is over in a moment anyway.
            if self.linger(deadline, place).await != Heard::Some {
                return;
            }
            dropped += self.input.len();
        }
    }

    /// Ends our direction. TLS writes for that, which a client that takes nothing must not hold up.
    async fn shutdown(&mut self, deadline: Instant, place: &Place) -> bool {
        let timer = &mut self.timer;
        let Some(stream) = &mut self.stream else { return false };
        let mut armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(ended) = stream.poll_shutdown(cx) {
                return Poll::Ready(ended.is_ok());
            }
            if place.poll_closing(Amid::Content, cx).is_some() {
                return Poll::Ready(false);
            }
            place.waits(true);
            poll_timer(timer, deadline, &mut armed, cx).map(|()| false)
        })
        .await
    }

    async fn linger(&mut self, deadline: Instant, place: &Place) -> Heard {
        let (timer, input) = (&mut self.timer, &mut self.input);
        let Some(stream) = &mut self.stream else { return Heard::Gone };
        let mut armed = false;
        poll_fn(|cx| {
            if let Poll::Ready(read) = poll_commands(stream.as_mut(), input, cx) {
                return Poll::Ready(match read {
                    Ok(0) | Err(_) => Heard::Gone,
                    Ok(_) => Heard::Some,
                });
            }
            if let Some(why) = place.poll_closing(Amid::Content, cx) {
                return Poll::Ready(Heard::Closing(why));
            }
            place.waits(true);
            poll_timer(timer, deadline, &mut armed, cx).map(|()| Heard::TimedOut)
        })
        .await
    }
}

/// Reads by way of the stack: a session that says nothing holds no buffer.
fn poll_commands(
    stream: &mut dyn Stream,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut octets = [0; COMMAND_READ];
    let read = stream.poll_read(cx, &mut octets);
    match &read {
        Poll::Ready(Ok(read)) => input.extend_from_slice(&octets[..*read]),
        Poll::Ready(Err(_)) => {}
        Poll::Pending if input.is_empty() => *input = BytesMut::new(),
        Poll::Pending => {}
    }
    read
}

fn poll_content(
    stream: &mut dyn Stream,
    input: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let filled = input.len();
    input.resize(filled + CONTENT_READ, 0);
    let read = stream.poll_read(cx, &mut input[filled..]);
    let octets = match &read {
        Poll::Ready(Ok(read)) => *read,
        Poll::Ready(Err(_)) | Poll::Pending => 0,
    };
    input.truncate(filled + octets);
    if read.is_pending() {
        // Who stands still within content holds no more than what is left of it: hardly anything.
        *input = BytesMut::from(&input[..]);
    }
    read
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
