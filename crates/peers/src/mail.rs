//! A scripted mail host: speaks plain SMTP (RFC 5321) or LMTP (RFC 2033), and misbehaves as its script says.
//!
//! Not a server for real mail: it keeps everything in memory and trusts whoever connects.

mod dialogue;
mod login;
mod script;

pub use script::{Action, Arrival, Rule, Script, Step};

use posthaste_io::{Listener, World};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most messages a host keeps; a test that sends more is told by an assertion.
pub const MAX_ARRIVALS: usize = 1_000_000;

/// A mail host. Clones share everything; what it saw survives a crash of the simulated machine it runs on.
#[derive(Clone)]
pub struct MailHost {
    name: Arc<str>,
    state: Arc<Mutex<State>>,
}

/// What a host has been told to do and what it has seen.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) script: Script,
    pub(crate) arrivals: Vec<Arrival>,
    pub(crate) connections: u64,
    pub(crate) open: u64,
    pub(crate) most_open: u64,
    pub(crate) mails: u64,
    pub(crate) dialogue: Vec<String>,
}

/// Lines of dialogue kept for a test to look at.
pub(crate) const MAX_DIALOGUE: usize = 10_000;

impl MailHost {
    /// A host that greets by `name` and behaves well.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), state: Arc::default() }
    }

    /// Changes its behaviour from now on.
    pub fn set(&self, script: Script) {
        self.lock().script = script;
    }

    /// The messages it has taken responsibility for, or may have (see [`Arrival::acknowledged`]).
    #[must_use]
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.lock().arrivals.clone()
    }

    /// How many messages it answered the final dot of with 250.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.lock().arrivals.iter().filter(|a| a.acknowledged).count()
    }

    /// Connections it has accepted in all.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.lock().connections
    }

    /// The most connections it had open at once.
    #[must_use]
    pub fn most_open(&self) -> u64 {
        self.lock().most_open
    }

    /// MAIL commands it has seen in all.
    #[must_use]
    pub fn mails(&self) -> u64 {
        self.lock().mails
    }

    /// The dialogue so far: `C:` and `S:` lines, content left out.
    #[must_use]
    pub fn dialogue(&self) -> Vec<String> {
        self.lock().dialogue.clone()
    }

    /// Binds and serves until the task is dropped.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(self, world: World, at: SocketAddr) -> io::Result<()> {
        let listener = world.net.listen(at, 512).await?;
        self.serve_on(world, listener).await
    }

    /// Serves a listener that is already bound, until it fails.
    ///
    /// # Errors
    /// When accepting fails for good.
    pub async fn serve_on(self, world: World, listener: Box<dyn Listener>) -> io::Result<()> {
        loop {
            let stream = listener.accept().await?;
            let (host, world_of_task) = (self.clone(), world.clone());
            world.spawn.spawn(
                "scripted mail host",
                Box::pin(async move { dialogue::run(&host, &world_of_task, stream).await }),
            );
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}
