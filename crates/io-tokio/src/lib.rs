//! The real world: tokio's timers, sockets and tasks, the operating system's randomness, a folder of the
//! real disk, and the event log as a file.
//!
//! [`world`] gives the [`World`] of this machine. Not here: TLS as a server (its issue is later), policy of any kind.

mod clock;
pub mod disk;
mod dns_json;
mod event_json;
pub mod folder;
pub mod journal;
mod listener;
mod local;
mod net;
mod random;
mod secure;
mod session_json;
mod spawn;
mod stream;

pub use disk::{DiskOpenError, RealDisk, RealFile};
pub use event_json::line as event_line;
pub use folder::Folder;
pub use journal::{FileJournal, JournalError, NullJournal};
pub use local::unix_listener;
pub use secure::{BadIdentity, BadRoots, check_identity, check_roots};

use posthaste_io::{Journal, World};
use std::sync::Arc;

/// The world of this machine, with its event log.
///
/// # Panics
/// Outside a tokio runtime: timers, sockets and tasks belong to the runtime that is current here.
#[must_use]
pub fn world(journal: Arc<dyn Journal>) -> World {
    let runtime = tokio::runtime::Handle::current();
    World {
        clock: Arc::new(clock::RealClock::start()),
        random: Arc::new(random::OsRandom::new()),
        net: Arc::new(net::RealNet::new()),
        spawn: Arc::new(spawn::RealSpawn::new(runtime)),
        journal,
    }
}

/// A TCP socket that listens already: one that the service manager opened.
///
/// # Errors
/// Those of the operating system: the descriptor is no such socket.
pub fn adopt(socket: std::net::TcpListener) -> std::io::Result<Box<dyn posthaste_io::Listener>> {
    Ok(Box::new(listener::RealListener::adopt(socket)?))
}

/// A TCP socket that listens, where no runtime is yet: [`adopt`] gives it to one.
///
/// # Errors
/// Those of the operating system.
pub fn bind(at: std::net::SocketAddr, backlog: u32) -> std::io::Result<std::net::TcpListener> {
    Ok(listener::listening(at, backlog)?.into())
}

/// 64 bits that nobody can guess, where no world is yet: the salt of a store.
#[must_use]
pub fn unpredictable() -> u64 {
    posthaste_io::Random::next(&random::OsRandom::new())
}
