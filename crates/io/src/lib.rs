//! The doors to the world: clock, randomness, network, tasks, journal and disk, as traits.
//!
//! Agents hold one [`World`] and see nothing else of the machine, so that the same code runs on the real
//! world (`io-tokio`) and on the simulated one (`io-sim`). Not here: any implementation.

pub mod clock;
pub mod disk;
pub mod journal;
pub mod net;
pub mod random;
pub mod secure;
pub mod spawn;
pub mod stream;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use clock::{Clock, Instant, Timer, sleep, within};
pub use disk::{Disk, DiskFile, OpenMode};
pub use journal::Journal;
pub use net::{Datagram, Dial, DialError, Listener, Net, Unanswered};
pub use random::Random;
pub use secure::{
    Clients, Demand, Identity, MAX_REFERENCES, Offer, Received, Reference, Secure, Secured, Trust,
};
pub use spawn::{Spawn, TaskHandle};
pub use stream::{Stream, StreamExt, Vitals};

/// A boxed future: one per dial, listen, accept or store call; none per read or write.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Everything an agent may see of the machine.
#[derive(Clone)]
pub struct World {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
    /// Sockets.
    pub net: Arc<dyn Net>,
    /// Tasks.
    pub spawn: Arc<dyn Spawn>,
    /// Logs.
    pub journal: Arc<dyn Journal>,
}

impl World {
    /// The monotonic clock now.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// The wall clock now.
    #[must_use]
    pub fn wall(&self) -> posthaste_mail::Timestamp {
        self.clock.wall()
    }
}
