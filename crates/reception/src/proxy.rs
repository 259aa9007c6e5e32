//! The PROXY protocol, version 2, by which a balancer tells whose connection it hands on.
//!
//! Read octet-exact from the start of a connection, so that nothing behind the header is lost; TLS and SMTP then see a
//! [`Relayed`] stream with the client's own address. Here: reading within limits; `header` is the format. Not here: who
//! is believed ([`Listener::proxy_from`](crate::Listener::proxy_from)), and what becomes of the client (`serve`).

mod header;
mod relayed;

use crate::places::{Amid, Place};
pub(crate) use header::HeaderFault;
use header::{FIXED, Told};
use posthaste_io::{Clock, Stream};
use relayed::Relayed;
use std::future::poll_fn;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

/// How long a balancer may take for its header: it has it ready when it connects.
const LIMIT: Duration = Duration::from_secs(5);

/// A balancer in [`Listener::proxy_from`](crate::Listener::proxy_from) whose connection was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unproxied {
    /// Its address.
    pub balancer: IpAddr,
    /// Where it came in.
    pub listener: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// Of a balancer that does not say enough in time.
pub(crate) const LATE: &str =
    "the balancer sends no PROXY header in time; let it send version 2 (haproxy: send-proxy-v2)";

/// Why there is no client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Missing {
    /// The balancer closed without a word: a check whether anybody listens.
    Gone,
    /// It did not say enough in time, or the session had to make room.
    Late,
    /// What it said is no header that we take.
    Bad(HeaderFault),
}

/// Who is behind the balancer.
pub(crate) enum Introduced {
    /// A client.
    Client(Box<dyn Stream>),
    /// The balancer itself, for a check of its own.
    Itself(Box<dyn Stream>),
}

/// Reads the header.
pub(crate) async fn read(
    clock: &dyn Clock,
    mut stream: Box<dyn Stream>,
    place: &Place,
) -> Result<Introduced, Missing> {
    let mut timer = clock.timer();
    timer.as_mut().set(clock.now() + LIMIT);
    let mut octets = vec![0; FIXED];
    let mut filled = 0;
    loop {
        let wanted = match header::length(&octets[..filled]).map_err(Missing::Bad)? {
            Some(length) if filled >= length => break,
            Some(length) => length,
            None => FIXED,
        };
        octets.resize(wanted, 0);
        let read = poll_fn(|cx| {
            if let Poll::Ready(read) = stream.poll_read(cx, &mut octets[filled..]) {
                return Poll::Ready(Some(read.unwrap_or(0)));
            }
            if place.poll_closing(Amid::Nothing, cx).is_some() {
                return Poll::Ready(None);
            }
            place.waits(true);
            timer.as_mut().poll(cx).map(|()| None)
        })
        .await;
        place.waits(false);
        match read {
            Some(0) if filled == 0 => return Err(Missing::Gone),
            Some(0) => return Err(Missing::Bad(HeaderFault::Short)),
            Some(read) => filled += read,
            None => return Err(Missing::Late),
        }
    }
    match header::parse(&octets).map_err(Missing::Bad)? {
        Told::Itself => Ok(Introduced::Itself(stream)),
        Told::Client { peer, local } => {
            Ok(Introduced::Client(Box::new(Relayed::new(stream, peer, local))))
        }
    }
}
