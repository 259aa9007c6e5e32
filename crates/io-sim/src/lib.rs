//! The virtual world: a seeded executor, clock, network, event log and disk with faults.
//!
//! Agents run on it unchanged. One [`Sim`] is one run; its seed decides which ready task runs next, how long packets take, what
//! a power cut leaves. Virtual time moves only when no task is ready, straight to the next happening. The same
//! seed gives the same run, told by [`Sim::hash`]. [`SimDisk`] works without a simulation too.
//!
//! ```
//! use posthaste_io::{Dial, StreamExt};
//! use posthaste_io_sim::Sim;
//! use std::time::Duration;
//!
//! let sim = Sim::new(7);
//! let server = sim.host("server", &["192.0.2.1".parse().unwrap()]);
//! let client = sim.host("client", &["192.0.2.2".parse().unwrap()]);
//! let world = server.world();
//! server.spawn("greeter", async move {
//!     let listener = world.net.listen("192.0.2.1:25".parse().unwrap(), 16).await.unwrap();
//!     let mut stream = listener.accept().await.unwrap();
//!     stream.write_all(b"hello").await.unwrap();
//! });
//! let world = client.world();
//! let heard = sim.block_on(&client, async move {
//!     let to = "192.0.2.1:25".parse().unwrap();
//!     let limit = Duration::from_secs(30);
//!     let mut stream = world.net.dial(Dial { to, from: None, limit }).await.unwrap();
//!     let mut heard = Vec::new();
//!     let mut buf = [0; 16];
//!     loop {
//!         match stream.read(&mut buf).await.unwrap() {
//!             0 => return heard,
//!             n => heard.extend_from_slice(&buf[..n]),
//!         }
//!     }
//! });
//! assert_eq!(heard, b"hello");
//! ```

mod clock;
mod core;
pub mod disk;
mod exec;
mod hash;
mod host;
mod journal;
mod net;
mod rng;
mod sim;

pub use clock::WALL_START;
pub use core::Limits;
pub use disk::{Cut, DiskFault, Recording, SimDisk, SimFile};
pub use host::{Crash, Host, PeersSee};
pub use journal::{MemoryJournal, SYNC_EVERY};
pub use net::{BUFFER, Handshake, Link, Weather, client_hello, receive};
pub use rng::Rng;
pub use sim::{Run, Sim};
