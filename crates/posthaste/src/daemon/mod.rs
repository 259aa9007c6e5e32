//! The daemon: wires the agents to the real world, starts them in the right order, stops them in the right order.
//!
//! Order of the start: the store (nothing else makes sense without it), the event log, the listeners' sockets (a
//! port in use is told at once), the operators' interface, recovery, and only then is mail accepted. Not here: what the agents do.

mod alarm;
mod certificates;
mod desk;
pub(crate) mod dns;
mod doors;
mod explain;
mod indexes;
mod inherited;
mod keeper;
mod life;
mod local;
pub(crate) mod machine;
mod maintenance;
mod notices;
mod notify;
mod pickup;
mod pressure;
pub(crate) mod privileges;
mod recipients;
mod reload;
mod resources;
mod secrets;
mod sieve;
mod store;
mod system;
mod traffic;
mod users;
mod watch;

pub(crate) use inherited::Inherited;

use crate::config::{AdminAddress, Config, Loaded, Lowered};
use crate::recipients::Opened;
use crate::token_broker::Broker;
use crate::users::keeper::Keeper;
use anyhow::{Context as _, Result};
use doors::Doors;
use keeper::Stock;
use posthaste_admin::desk::Rights;
use posthaste_admin::{Admin, Desk, http};
use posthaste_delivery::Courier;
use posthaste_dispatch::{Dispatch, Recovered};
use posthaste_dns::Resolver;
use posthaste_io::{Journal, World};
use posthaste_io_tokio::FileJournal;
use posthaste_mail::Timestamp;
use posthaste_queue::Scheduler;
use posthaste_reception::{Reception, Users};
use posthaste_spool::Spool;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

/// How long sessions and attempts under way may take to end at a stop; 10 s in all are promised.
const STOP_GRACE: Duration = Duration::from_secs(7);
/// The store has failed: start again from the disk (EX_IOERR of sysexits).
const STORE_FAILED: u8 = 74;

/// The running daemon. Clones share everything.
#[derive(Clone)]
pub(crate) struct Daemon {
    world: World,
    spool: Arc<dyn Spool>,
    /// The logs of messages and sessions: their settings can be changed.
    journal: Arc<FileJournal>,
    dispatch: Dispatch,
    /// Passwords and tokens for smarthosts.
    vault: Arc<secrets::Vault>,
    reception: Reception,
    stock: Stock,
    /// The settings in force.
    lowered: Arc<Mutex<Arc<Lowered>>>,
    /// The configuration of the start: some of it holds until the process ends.
    started_with: Arc<Config>,
    /// Where mail is accepted now. Held throughout the start and a reload: one at a time.
    doors: Arc<tokio::sync::Mutex<Doors>>,
    /// Our own domains and the files that were read for them.
    held: Arc<Mutex<recipients::Held>>,
    /// Who may log in.
    users: Arc<Keeper>,
    /// Our certificates and the settings that name them.
    certified: Arc<Mutex<certificates::Held>>,
    /// The file the settings came from, and whether it may scale the clock.
    file: Option<PathBuf>,
    allow_clock_scale: bool,
    /// Files of the system that settings come from.
    system: Arc<system::System>,
    state: Arc<State>,
    life: Arc<life::Life>,
    /// Octets of memory this process may use, unless a setting says otherwise.
    memory: Option<u64>,
    /// Who started us, and wants to know how we are.
    manager: Arc<notify::Manager>,
    /// What this process may do.
    rights: Rights,
}

/// What was done while there was one thread.
pub(crate) struct Begun {
    /// Sockets that are open.
    pub(crate) inherited: Inherited,
    /// What is left of our privileges.
    pub(crate) standing: privileges::Standing,
    /// Runs token commands, when there are any.
    pub(crate) broker: Option<Broker>,
}

/// How far the daemon has come.
struct State {
    started: Timestamp,
    listening: AtomicBool,
    recovered: AtomicBool,
    stopping: AtomicBool,
    stop: Notify,
    /// What waits in the pickup folder.
    pickup: pickup::Waiting,
}

/// Runs the daemon to its end.
pub(crate) async fn run(
    loaded: Loaded,
    opened: Opened,
    begun: Begun,
    allow_clock_scale: bool,
) -> Result<ExitCode> {
    // From here on a signal waits for its turn and does not end the start half-way.
    let mut signals = Signals::listen()?;
    let Begun { inherited, standing, broker } = begun;
    let files = resources::raise_files();
    let machine = machine::look(&loaded.config);
    tracing::debug!(files, memory = machine.memory, "what this process may use");
    let lowered = Arc::new(loaded.config.lower(&machine));
    tell_small(&loaded.config, &lowered);
    let data = &loaded.config.data;
    machine::make_private(data)?;
    let certified = certificates::Held::start(&loaded.config)?;
    let (spool, folder) = tokio::select! {
        opened = store::open(data) => opened?,
        // After failures it waits before it opens anything.
        _ = signals.terminate.recv() => return Ok(ExitCode::SUCCESS),
        _ = signals.interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    let stock = Stock::new(data, Arc::clone(&spool));
    stock.keep_damage();
    let log = &loaded.config.log;
    let journal = FileJournal::open(&log.events, spool.last_commit(), log.files)?;
    let journal = Arc::new(journal);
    let world = posthaste_io_tokio::world(Arc::clone(&journal) as Arc<dyn Journal>);
    let kept = (spool as Arc<dyn Spool>, Arc::clone(&journal), stock);
    let users = Arc::new(Keeper::new(data)?);
    users::first(&users, &loaded.config.users);
    let rights = (standing.rights(), allow_clock_scale, broker);
    let daemon = wire(world, kept, users, lowered, &loaded, (opened, certified), rights);
    daemon.system.hold(&loaded.config, &machine);
    daemon.go_on_with(maintenance::noted(&loaded.config.data)?);
    pressure::look(&daemon);
    let mut doors = daemon.doors.lock().await;
    let listeners = daemon.settings().reception.listeners.clone();
    inherited.tell_unused(&listeners);
    doors.inherit(inherited);
    let sockets = doors.bind(&daemon.world, &listeners).await?;
    daemon.open_desk(&loaded).await?;
    let found = daemon.recover(&folder).await?;
    tracing::info!(
        messages = found.messages,
        in_doubt = found.in_doubt,
        poison = found.poison,
        down = found.down,
        "the spool is read"
    );
    daemon.state.recovered.store(true, Ordering::SeqCst);
    indexes::keep(loaded.config.log.events.clone());
    daemon.keep_watch();
    doors.open(&daemon.reception, sockets);
    let picking_up = daemon.open_to_programs(&loaded.config)?;
    drop(doors);
    daemon.state.listening.store(true, Ordering::SeqCst);
    daemon.manager.ready(&daemon.status_line());
    tokio::spawn(notify::keep(daemon.clone()));
    let code = daemon.wait(&mut signals, &folder).await;
    picking_up.end().await;
    daemon.end(&journal).await;
    Ok(code)
}

fn wire(
    world: World,
    (spool, journal, stock): (Arc<dyn Spool>, Arc<FileJournal>, Stock),
    users: Arc<Keeper>,
    lowered: Arc<Lowered>,
    loaded: &Loaded,
    (opened, certified): (Opened, certificates::Held),
    (rights, allow_clock_scale, broker): (Rights, bool, Option<Broker>),
) -> Daemon {
    let resolver = Arc::new(Resolver::new(world.clone(), lowered.dns.clone()));
    let vault = Arc::new(secrets::Vault::new(broker));
    let courier = Courier::new(world.clone(), resolver, Arc::clone(&lowered.delivery))
        .with_secrets(Arc::clone(&vault) as Arc<dyn posthaste_delivery::Secrets>);
    courier.renew_resolvers(&lowered.dns, &lowered.routes);
    let dispatch = Dispatch::new(
        Arc::clone(&spool),
        courier,
        Arc::clone(&lowered.routes),
        Scheduler::new(lowered.queue.clone()),
        Arc::clone(&lowered.dispatch),
    );
    dispatch.set_sieve(Arc::new(sieve::Grammar));
    let reception = Reception::new(world.clone(), Arc::clone(&spool), lowered.reception.clone());
    recipients::tell(&opened);
    reception.set_directory(opened.directory);
    certified.tell(&reception);
    reception.set_verifier(Arc::new(recipients::NextHops(dispatch.clone())));
    reception.set_users(Arc::clone(&users) as Arc<dyn Users>);
    let held = recipients::Held::new(&loaded.config, opened.books);
    let state = State {
        started: world.wall(),
        listening: AtomicBool::new(false),
        recovered: AtomicBool::new(false),
        stopping: AtomicBool::new(false),
        stop: Notify::new(),
        pickup: pickup::Waiting::default(),
    };
    Daemon {
        world,
        spool,
        journal,
        dispatch,
        vault,
        reception,
        stock,
        lowered: Arc::new(Mutex::new(lowered)),
        started_with: Arc::new(loaded.config.clone()),
        doors: Arc::default(),
        held: Arc::new(Mutex::new(held)),
        users,
        certified: Arc::new(Mutex::new(certified)),
        file: loaded.file.clone(),
        allow_clock_scale,
        system: Arc::default(),
        state: Arc::new(state),
        life: Arc::default(),
        memory: resources::memory_limit(),
        manager: Arc::new(notify::Manager::found()),
        rights,
    }
}

/// Says that there are fewer descriptors than the settings would use.
fn tell_small(config: &Config, lowered: &Lowered) {
    let (wanted, given) = (config.limits.sessions, lowered.reception.limits.sessions);
    let (dials, may) = (config.delivery.limits.connections, lowered.queue.limits.connections);
    if given < wanted || may < dials {
        tracing::warn!(
            sessions = given,
            connections = may,
            "few descriptors may be open (ulimit -n): fewer sessions and connections than the settings allow"
        );
    }
}

impl Daemon {
    /// The settings in force.
    fn settings(&self) -> Arc<Lowered> {
        Arc::clone(&self.lowered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hostname(&self) -> String {
        self.settings().reception.hostname.clone()
    }

    /// Looks at what may change beside it, as long as it runs.
    fn keep_watch(&self) {
        tokio::spawn(watch::watch(self.clone()));
        tokio::spawn(alarm::watch(self.dispatch.clone()));
        tokio::spawn(alarm::watch_balancers(self.reception.clone()));
        tokio::spawn(recipients::watch(self.clone()));
        tokio::spawn(users::watch(self.clone()));
        tokio::spawn(certificates::watch(self.clone()));
        tokio::spawn(pressure::watch(self.clone()));
        tokio::spawn(system::watch(self.clone()));
    }

    async fn open_desk(&self, loaded: &Loaded) -> Result<()> {
        let desk: Arc<dyn Desk> = Arc::new(self.clone());
        let admin = Admin::new(desk, self.settings().admin.clone());
        let socket = &loaded.config.admin.socket;
        let unix = http::bind_unix(socket)?;
        tokio::spawn(http::serve_unix(unix, Arc::clone(&admin), std::future::pending()));
        if let AdminAddress::At(address) = loaded.config.admin.address {
            match http::bind_tcp(address).await {
                Ok(tcp) => {
                    tokio::spawn(http::serve_tcp(tcp, admin, std::future::pending()));
                }
                // Another daemon on this machine has it: mail flows, and the socket answers all the same.
                Err(error) => tracing::warn!("no operators' interface on {address}: {error}"),
            }
        }
        Ok(())
    }

    /// Opens the submission socket and begins to take up what waits in the pickup folder.
    fn open_to_programs(&self, config: &Config) -> Result<pickup::PickingUp> {
        let folder = &config.submission.pickup;
        pickup::make(folder, &config.data)?;
        local::open(&config.submission.socket, &self.reception)?;
        Ok(pickup::start(self, folder))
    }

    /// Reads the queue; of a store that is read-only nothing is delivered.
    async fn recover(&self, folder: &store::Folder) -> Result<Recovered> {
        if folder.is_read_only() {
            return Ok(self.dispatch.recover_read_only().await?);
        }
        let found = self.dispatch.recover().await;
        if found.is_err() {
            folder.note_failure();
        }
        Ok(found?)
    }

    /// Waits for a signal, the operator's `stop`, or the end of the store.
    async fn wait(&self, signals: &mut Signals, folder: &store::Folder) -> ExitCode {
        loop {
            tokio::select! {
                biased;
                // One that is read-only has failed before, and goes on answering.
                () = self.dispatch.failed(), if !folder.is_read_only() => {
                    folder.note_failure();
                    tracing::error!("the store has failed; the process ends and must be started again");
                    return ExitCode::from(STORE_FAILED);
                }
                () = self.state.stop.notified() => return ExitCode::SUCCESS,
                _ = signals.terminate.recv() => return ExitCode::SUCCESS,
                _ = signals.interrupt.recv() => return ExitCode::SUCCESS,
                // What came of it is in the log. A disk that does not answer must not keep us from the next signal.
                _ = signals.hang_up.recv() => {
                    let daemon = self.clone();
                    tokio::spawn(async move { drop(reload::reload(&daemon).await) });
                }
            }
        }
    }

    /// Ends what is under way, or leaves it in doubt where it does not end in time; then makes all durable.
    async fn end(&self, journal: &FileJournal) {
        self.state.stopping.store(true, Ordering::SeqCst);
        self.manager.stopping();
        tracing::info!("stopping");
        let (cut_off, ()) =
            tokio::join!(self.reception.drain(STOP_GRACE), self.dispatch.stop(STOP_GRACE));
        if cut_off > 0 {
            tracing::warn!(cut_off, "sessions did not end in time");
        }
        // What was found in the last seconds is not forgotten.
        self.keep_damage().await;
        self.spool.close().await;
        journal.finish();
        tracing::info!("stopped");
    }
}

/// The signals that mean something to the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen_for = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
            hang_up: listen_for(SignalKind::hangup())?,
        })
    }
}
