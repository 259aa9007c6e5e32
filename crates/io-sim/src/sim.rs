//! One simulation: its hosts, its weather, and running it.

use crate::core::{Core, Limits};
use crate::host::Host;
use crate::net::{self, Handshake, Link, Weather};
use posthaste_io::Instant;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A simulation. Everything that happens in it follows from its seed. Single-threaded: tasks run inside the
/// `run_*` calls. Dropping it drops all tasks.
pub struct Sim {
    core: Arc<Core>,
}

/// Why a run came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Run {
    /// The condition is met.
    Met,
    /// The time is over.
    TimeUp,
    /// No task is ready and nothing will happen: these tasks (host, name) wait for what never comes.
    Stuck(Vec<(String, &'static str)>),
}

impl Sim {
    /// A simulation with usual limits and weather.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(seed, Limits::default())
    }

    /// A simulation with limits of its own.
    #[must_use]
    pub fn with(seed: u64, limits: Limits) -> Self {
        Self { core: Core::new(seed, limits) }
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.core.seed
    }

    /// Adds a machine with these addresses (loopback it has anyway) and an empty disk.
    ///
    /// # Panics
    /// When an address is another's already.
    #[must_use]
    pub fn host(&self, name: &str, addresses: &[IpAddr]) -> Host {
        let taken = |ip| self.core.state.lock().hosts.iter().any(|h| h.addresses.contains(ip));
        assert!(!addresses.iter().any(taken), "an address of {name} is another host's");
        Host::new(&self.core, name, addresses)
    }

    /// Virtual time since the beginning.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.core.state.lock().now
    }

    /// The hash over everything that happened so far, disks included: the same seed gives the same.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.core.state.lock().hash()
    }

    /// The seed, the time and the last decisions: for the report of a failure.
    #[must_use]
    pub fn story(&self) -> String {
        self.core.story()
    }

    /// Changes the network as a whole. Latencies of pairs that have spoken stay.
    pub fn weather(&self, weather: Weather) {
        self.core.state.lock().net.weather = weather;
    }

    /// What a server does from now on when a client begins TLS with it. Servers that are not named speak none.
    pub fn tls(&self, server: SocketAddr, handshake: Handshake) {
        self.core.state.lock().net.handshakes.insert(server, handshake);
    }

    /// Changes what happens to packets from a host to an address, be it anybody's or nobody's. One way.
    pub fn link(&self, from: &Host, to: IpAddr, link: Link) {
        self.core.state.lock().set_link(from.index, to, link);
    }

    /// Changes all links between two hosts, both ways.
    pub fn partition(&self, one: &Host, other: &Host, link: Link) {
        for (from, to) in [(one, other), (other, one)] {
            let addresses = self.core.state.lock().hosts[to.index].addresses.clone();
            for address in addresses {
                self.link(from, address, link);
            }
        }
    }

    /// Runs until the condition, which is asked after every step, for at most `limit` of virtual time.
    ///
    /// # Panics
    /// With the seed, when the limits of the simulation are passed; with a task that panics.
    pub fn run_until(&self, limit: Duration, mut met: impl FnMut() -> bool) -> Run {
        let end = self.now() + limit;
        let _story = StoryOnPanic(&self.core);
        loop {
            if met() {
                return Run::Met;
            }
            if self.core.exec.poll_one(&self.core) {
                continue;
            }
            match self.core.next_moment() {
                Some(at) if at > end => {
                    self.core.pass_until(end);
                    return Run::TimeUp;
                }
                Some(_) => self.core.advance(),
                None => return Run::Stuck(self.waiting()),
            }
        }
    }

    /// Lets time pass. Returns early when nothing more can happen.
    pub fn run_for(&self, time: Duration) {
        self.run_until(time, || false);
    }

    /// Runs a future on a host to its end and gives its value.
    ///
    /// # Panics
    /// With the seed, when it cannot end (nothing more happens), or the limits are passed.
    pub fn block_on<T: Send + 'static>(
        &self,
        host: &Host,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut ended = Run::Met;
        let value = host.block_on(|met| ended = self.run_until(Duration::MAX, met), future);
        value.unwrap_or_else(|| panic!("block_on: {ended:?}; {}", self.story()))
    }

    fn waiting(&self) -> Vec<(String, &'static str)> {
        let waiting = self.core.exec.waiting();
        let state = self.core.state.lock();
        waiting.into_iter().map(|(host, name)| (state.hosts[host].name.clone(), name)).collect()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        // Tasks hold worlds, worlds hold the core, the core holds the tasks: the ring is cut here.
        self.core.exec.drop_all();
        let held = net::take_servers(&mut self.core.state.lock());
        drop(held);
    }
}

/// Names the seed of a run that panics.
struct StoryOnPanic<'a>(&'a Core);

impl Drop for StoryOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation failed: {}", self.0.story());
        }
    }
}
