//! Simulated machines: addresses, a disk, an event log, tasks; their crashes and restarts.

use crate::core::{Core, Happening};
use crate::disk::{Cut, SimDisk};
use crate::exec::SimTask;
use crate::journal::{MemoryJournal, SYNC_EVERY};
use crate::net;
use crate::rng::Rng;
use parking_lot::Mutex;
use posthaste_evidence::{DnsQuestion, Event, KeepDns, Session, Who};
use posthaste_io::{Journal, Random, Spawn, Task, TaskHandle, World};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct HostState {
    pub(crate) name: String,
    pub(crate) addresses: Vec<IpAddr>,
    pub(crate) up: bool,
    /// Counted up by every crash; what belongs to an earlier life has no effect any more.
    pub(crate) life: u32,
    pub(crate) rng: Rng,
    pub(crate) disk: SimDisk,
    pub(crate) journal: Arc<MemoryJournal>,
    /// How far the wall clock is off, microseconds.
    pub(crate) wall_step: i64,
    pub(crate) next_port: u16,
}

/// What a crash is like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Crash {
    /// What is left of the disk's unsynced changes; `None` when only the process ends (kill -9) and the
    /// machine keeps them.
    pub disk: Option<Cut>,
    /// What the peers of its connections see.
    pub peers: PeersSee,
    /// True when the machine stays up, so that dialling it is refused and not unanswered.
    pub machine_up: bool,
}

/// What peers see of a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeersSee {
    /// Nothing; once the host is up again, a reset.
    Silence,
    /// A reset.
    Reset,
    /// What a kernel does with the sockets of a dead process: an orderly end, or a reset where
    /// received octets were not read.
    Close,
}

impl Crash {
    /// The power goes: the seed decides about the disk, peers see nothing.
    #[must_use]
    pub const fn power(seed: u64) -> Self {
        Self { disk: Some(Cut::Seeded(seed)), peers: PeersSee::Silence, machine_up: false }
    }

    /// `kill -9`: the disk keeps all that was written, the kernel closes the sockets.
    #[must_use]
    pub const fn kill() -> Self {
        Self { disk: None, peers: PeersSee::Close, machine_up: true }
    }
}

/// A simulated machine. A cheap handle.
#[derive(Clone)]
pub struct Host {
    pub(crate) core: Arc<Core>,
    pub(crate) index: usize,
}

impl Host {
    pub(crate) fn new(core: &Arc<Core>, name: &str, addresses: &[IpAddr]) -> Self {
        let mut state = core.state.lock();
        let mut rng = state.rng.fork();
        let next_port = net::first_port(&mut rng);
        state.hosts.push(HostState {
            name: name.to_owned(),
            addresses: addresses.to_vec(),
            up: true,
            life: 0,
            rng,
            disk: SimDisk::new(),
            journal: Arc::new(MemoryJournal::new()),
            wall_step: 0,
            next_port,
        });
        Self { core: Arc::clone(core), index: state.hosts.len() - 1 }
    }

    /// The world as the host's present life sees it; dead after its next crash.
    #[must_use]
    pub fn world(&self) -> World {
        let life = self.core.state.lock().hosts[self.index].life;
        let door = Arc::new(Door { core: Arc::clone(&self.core), host: self.index, life });
        World {
            clock: door.clone(),
            random: door.clone(),
            net: door.clone(),
            spawn: door.clone(),
            journal: door,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        self.core.state.lock().hosts[self.index].name.clone()
    }

    /// Its disk as the present life has it. Handles taken before a crash are dead.
    #[must_use]
    pub fn disk(&self) -> SimDisk {
        self.core.state.lock().hosts[self.index].disk.clone()
    }

    /// Gives it another disk, such as one with a capacity or a recording's cut.
    pub fn set_disk(&self, disk: SimDisk) {
        self.core.state.lock().hosts[self.index].disk = disk;
    }

    /// Its event log, as a reader sees it; the same through all its lives.
    #[must_use]
    pub fn journal(&self) -> Arc<MemoryJournal> {
        Arc::clone(&self.core.state.lock().hosts[self.index].journal)
    }

    /// Sets its wall clock forward or back by microseconds. The monotonic clock is untouched.
    pub fn step_wall_clock(&self, micros: i64) {
        let mut state = self.core.state.lock();
        let step = &mut state.hosts[self.index].wall_step;
        *step = step.saturating_add(micros);
    }

    /// Starts a task on it.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.world().spawn.spawn(name, Box::pin(task));
    }

    /// Brings it down: disk, event log and network die first, then the tasks are dropped, so that no destructor can
    /// repair anything. May be called from a task, also from one of its own.
    pub fn crash(&self, crash: Crash) {
        let debris = {
            let mut state = self.core.state.lock();
            let state = &mut *state;
            let debris = net::crash(state, self.index, crash.peers);
            let host = &mut state.hosts[self.index];
            host.disk = match crash.disk {
                Some(cut) => host.disk.power_cut(cut),
                None => host.disk.process_end(),
            };
            host.journal.crash(&mut host.rng);
            host.up = crash.machine_up;
            host.life += 1;
            state.tell(self.index as u64, "host crashes");
            state.note(self.index as u64);
            debris
        };
        drop(debris);
        self.core.exec.drop_host(self.index);
    }

    /// Brings it up again with the disk that survived; the caller starts its tasks in the world given.
    #[must_use]
    pub fn restart(&self) -> World {
        {
            let mut state = self.core.state.lock();
            state.hosts[self.index].up = true;
            net::carry_on(&mut state);
        }
        self.world()
    }

    /// True while its tasks may run: it has not crashed, or was started again.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.core.state.lock().hosts[self.index].up
    }

    /// Starts a future on it, lets `run` run until it has ended, and gives its value; `None` when it has not.
    pub(crate) fn block_on<T: Send + 'static>(
        &self,
        run: impl FnOnce(&dyn Fn() -> bool),
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        self.spawn("block_on", async move {
            let value = future.await;
            *result.lock() = Some(value);
        });
        let finished = Arc::clone(&slot);
        run(&move || finished.lock().is_some());
        slot.lock().take()
    }
}

/// One life of a host, as its tasks see the world.
pub(crate) struct Door {
    pub(crate) core: Arc<Core>,
    pub(crate) host: usize,
    pub(crate) life: u32,
}

impl Door {
    pub(crate) fn alive(&self) -> bool {
        self.core.state.lock().hosts[self.host].life == self.life
    }
}

impl Random for Door {
    fn next(&self) -> u64 {
        self.core.state.lock().hosts[self.host].rng.bits()
    }
}

impl Spawn for Door {
    fn spawn(&self, name: &'static str, task: Task<'static, ()>) -> Box<dyn TaskHandle> {
        if self.alive() {
            Box::new(self.core.exec.spawn(self.host, name, task))
        } else {
            Box::new(SimTask::none())
        }
    }
}

impl Journal for Door {
    fn append(&self, event: Event) {
        let mut state = self.core.state.lock();
        let (host, life) = (self.host, self.life);
        if state.hosts[host].life != life {
            return;
        }
        state.note(event.commit);
        state.note(event.message.as_u64());
        state.note_bytes(event.kind.name().as_bytes());
        if state.hosts[host].journal.add(event) {
            state.after(SYNC_EVERY, Happening::JournalSync { host, life });
        }
    }

    fn append_session(&self, session: Session) {
        let mut state = self.core.state.lock();
        if state.hosts[self.host].life != self.life {
            return;
        }
        state.note(session.id.0);
        let lines = session.tape.lines(Who::They);
        let told = lines.iter().map(|line| (line.after, line.text.to_string()));
        told.for_each(|(after, text)| {
            state.note(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
            state.note_bytes(text.as_bytes());
        });
        state.hosts[self.host].journal.append_session(session);
    }

    fn keeps_dns(&self) -> KeepDns {
        self.core.state.lock().hosts[self.host].journal.keeps_dns()
    }

    fn append_dns(&self, question: DnsQuestion) {
        let mut state = self.core.state.lock();
        if state.hosts[self.host].life != self.life {
            return;
        }
        state.note_bytes(question.name.as_bytes());
        state.note(u64::try_from(question.took.as_micros()).unwrap_or(u64::MAX));
        state.hosts[self.host].journal.append_dns(question);
    }

    fn dropped_sessions(&self) -> u64 {
        0
    }

    fn dropped(&self) -> u64 {
        0
    }

    fn safe_commit(&self) -> u64 {
        self.core.state.lock().hosts[self.host].journal.safe_commit()
    }
}

/// How long nothing happens on a link within one host.
pub(crate) const LOOPBACK: Duration = Duration::from_micros(20);
