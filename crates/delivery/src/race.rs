//! Dials several addresses, the next one beside the last when that does not answer soon (after RFC 8305).
//!
//! The first connection wins. Not here: what is said on it.

use crate::hosts::{Hosts, Turn};
use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use posthaste_evidence::ConnectFault;
use posthaste_io::{Dial, Instant, Stream, Task, World};
use posthaste_route::Requirement;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// One address to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// The host's name.
    pub(crate) host: String,
    /// The endpoint.
    pub(crate) address: SocketAddr,
    /// From which of our addresses.
    pub(crate) from: Option<IpAddr>,
    /// How long to wait for those before it.
    pub(crate) stagger: Duration,
    /// What it must meet.
    pub(crate) requirement: Arc<Requirement>,
}

/// What came of one candidate.
pub(crate) enum Dialled {
    /// A connection.
    Stream(Candidate, Instant, Box<dyn Stream>),
    /// No connection.
    Failed(Candidate, Instant, ConnectFault),
    /// It was not dialled.
    Skipped(Candidate, Turn),
}

/// A race: candidates in order, at most one winner at a time. When a winner turns out to be of no use, the
/// race goes on.
pub(crate) struct Race<'a> {
    world: &'a World,
    hosts: &'a dyn Hosts,
    waiting: VecDeque<Candidate>,
    running: FuturesUnordered<Task<'a, Dialled>>,
    under_way: Vec<SocketAddr>,
    limit: Duration,
}

impl<'a> Race<'a> {
    /// A race that has not begun.
    pub(crate) fn new(
        world: &'a World,
        hosts: &'a dyn Hosts,
        candidates: Vec<Candidate>,
        limit: Duration,
    ) -> Self {
        let (running, under_way) = (FuturesUnordered::new(), Vec::new());
        Self { world, hosts, waiting: candidates.into(), running, under_way, limit }
    }

    /// The next result; `None` when every candidate has had its turn.
    pub(crate) async fn next(&mut self) -> Option<Dialled> {
        loop {
            if self.running.is_empty()
                && let Some(skipped) = self.start_one()?
            {
                return Some(skipped);
            }
            let Some(following) = self.waiting.front() else {
                let done = self.running.next().await?;
                return Some(self.note(done));
            };
            let mut timer = self.world.clock.timer();
            timer.as_mut().set(self.world.now() + following.stagger);
            match select(self.running.next(), timer).await {
                Either::Left((done, _)) => {
                    let done = done?;
                    return Some(self.note(done));
                }
                Either::Right(((), _)) => {
                    if let Some(Some(skipped)) = self.start_one() {
                        return Some(skipped);
                    }
                }
            }
        }
    }

    /// Starts the next candidate, or answers that it was skipped; `None` when there is none.
    fn start_one(&mut self) -> Option<Option<Dialled>> {
        let candidate = self.waiting.pop_front()?;
        let turn = self.hosts.take(candidate.address);
        if turn != Turn::Go {
            return Some(Some(Dialled::Skipped(candidate, turn)));
        }
        self.under_way.push(candidate.address);
        let (world, began) = (self.world, self.world.now());
        let dial = Dial { to: candidate.address, from: candidate.from, limit: self.limit };
        self.running.push(Box::pin(async move {
            match world.net.dial(dial).await {
                Ok(stream) => Dialled::Stream(candidate, began, stream),
                Err(error) => Dialled::Failed(candidate, began, error.0),
            }
        }));
        Some(None)
    }

    fn note(&mut self, done: Dialled) -> Dialled {
        if let Dialled::Stream(candidate, ..) | Dialled::Failed(candidate, ..) = &done {
            self.under_way.retain(|a| *a != candidate.address);
        }
        done
    }
}

impl Drop for Race<'_> {
    /// Those that lost give their place back.
    fn drop(&mut self) {
        for address in self.under_way.drain(..) {
            self.hosts.give(address);
        }
    }
}
