//! Dials several addresses, the next one beside the last when that does not answer soon (after RFC 8305).
//!
//! The first connection wins. Not here: what is said on it.

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use posthaste_io::{Dial, DialError, Instant, Stream, Task, World};
use std::net::{IpAddr, SocketAddr};
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
}

/// What came of dialling one candidate.
pub(crate) struct Dialled {
    /// Whom.
    pub(crate) candidate: Candidate,
    /// When dialling began.
    pub(crate) began: Instant,
    /// The connection, or why not.
    pub(crate) result: Result<Box<dyn Stream>, DialError>,
}

/// A race: candidates in order, at most one winner at a time. After a winner turns out to be of no use, the
/// race goes on with those that have not failed.
pub(crate) struct Race<'a> {
    world: &'a World,
    waiting: std::collections::VecDeque<Candidate>,
    running: FuturesUnordered<Task<'a, Dialled>>,
    limit: Duration,
}

impl<'a> Race<'a> {
    /// A race that has not begun.
    pub(crate) fn new(world: &'a World, candidates: Vec<Candidate>, limit: Duration) -> Self {
        Self { world, waiting: candidates.into(), running: FuturesUnordered::new(), limit }
    }

    /// The next result; `None` when every candidate has had its turn.
    pub(crate) async fn next(&mut self) -> Option<Dialled> {
        if self.running.is_empty() {
            self.start_one()?;
        }
        loop {
            let Some(following) = self.waiting.front() else {
                return self.running.next().await;
            };
            let mut timer = self.world.clock.timer();
            timer.as_mut().set(self.world.now() + following.stagger);
            match select(self.running.next(), timer).await {
                Either::Left((done, _)) => return done,
                Either::Right(((), _)) => {
                    self.start_one();
                }
            }
        }
    }

    fn start_one(&mut self) -> Option<()> {
        let candidate = self.waiting.pop_front()?;
        let (world, limit, began) = (self.world, self.limit, self.world.now());
        let dial = Dial { to: candidate.address, from: candidate.from, limit };
        self.running.push(Box::pin(async move {
            let result = world.net.dial(dial).await;
            Dialled { candidate, began, result }
        }));
        Some(())
    }
}
