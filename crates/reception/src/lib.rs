//! Accepts mail: SMTP sessions on their listeners, and submissions by hand on this machine.
//!
//! Floor 4. A message is answered `250` when the store has it, and not before (ARCHITECTURE, promise 1). Nothing here
//! asks DNS about a recipient, but for domains of ours that verify (`recipients`). Rooms: [`settings`] what the operator
//! sets, [`network`] CIDR, `policy` who may relay and how refusals are worded, [`pressure`] what is scarce,
//! [`rates`] how much a client may do, [`users`] who may log in, `logins` who tries to, [`recipients`] whom our own domains have,
//! `serve` a door, `proxy` who is behind a balancer, `places` the sessions under way, `session` one session, `incoming` the content on its way in,
//! `budget` the memory for it, `accept` the last step, `originate` makes what came from this machine whole on its way
//! in, [`submit`] submissions by hand, [`counters`] what happened.
//! Not here: SMTP's grammar and order (`smtp`), what becomes of accepted mail (`dispatch`), its event log line,
//! which is written by whoever watches the store.

mod accept;
mod budget;
mod checks;
pub mod counters;
mod examine;
mod incoming;
mod logins;
pub mod network;
mod originate;
mod places;
mod policy;
pub mod pressure;
mod proxy;
pub mod rates;
pub mod recipients;
mod serve;
mod session;
pub mod settings;
pub mod submit;
pub mod users;

pub use counters::Counts;
pub use examine::Examined;
pub use network::{Network, NetworkError};
pub use pressure::{Pressure, Resource};
pub use proxy::Unproxied;
pub use rates::Rates;
pub use recipients::{Directory, Verifier};
pub use serve::Ended;
pub use settings::{Certified, Limits, Listener, ListenerKind, ListenerTls, Settings};
pub use submit::{Submission, SubmitError, Submitted, Unknown};
pub use users::{Account, Checked, FailedLogin, OwnRates, Standing, UserRates, Users};

use crate::budget::Budget;
use crate::counters::Counters;
use crate::logins::{Doings, Failures};
use crate::places::Places;
use crate::policy::Policy;
use crate::pressure::Gauge;
use crate::rates::Ledger;
use crate::recipients::Setup;
use crate::recipients::verify::Verification;
use crate::serve::Which;
use parking_lot::{Mutex, RwLock};
use posthaste_evidence::ConnectionId;
use posthaste_io::{Identity, World, within};
use posthaste_spool::Spool;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The reception of a server. Clones are the same reception.
#[derive(Clone)]
pub struct Reception {
    house: Arc<House>,
}

/// What all sessions share.
struct House {
    world: World,
    spool: Arc<dyn Spool>,
    policy: RwLock<Arc<Policy>>,
    directory: RwLock<Arc<Directory>>,
    verification: Verification,
    places: Arc<Places>,
    budget: Arc<Budget>,
    counters: Counters,
    /// The name of the last session.
    last_session: AtomicU64,
    pressure: Gauge,
    rates: Ledger,
    /// Who we are under TLS; `None`: there is no TLS.
    identities: RwLock<Option<Arc<[Identity]>>>,
    users: RwLock<Option<Arc<dyn Users>>>,
    failures: Arc<Failures>,
    checks: Arc<checks::Line>,
    doings: Arc<Doings>,
    unproxied: Mutex<Option<Unproxied>>,
}

impl Reception {
    /// A reception that stores in `spool`. It listens nowhere yet: see [`Reception::serve`].
    #[must_use]
    pub fn new(world: World, spool: Arc<dyn Spool>, settings: Settings) -> Self {
        let hostname = settings.hostname.clone();
        let directory = Directory::new(Setup { hostname, ..Setup::default() });
        Self {
            house: Arc::new(House {
                directory: RwLock::new(Arc::new(directory)),
                verification: Verification::new(world.clone(), settings.verify),
                world,
                spool,
                policy: RwLock::new(Arc::new(Policy::new(settings))),
                places: Arc::new(Places::default()),
                budget: Arc::new(Budget::default()),
                counters: Counters::default(),
                last_session: AtomicU64::new(0),
                pressure: Gauge::default(),
                rates: Ledger::default(),
                identities: RwLock::default(),
                users: RwLock::default(),
                failures: Arc::default(),
                checks: Arc::default(),
                doings: Arc::default(),
                unproxied: Mutex::default(),
            }),
        }
    }

    /// New settings for all sessions that begin from now on. Whoever wires binds listeners that are new, and
    /// ends the tasks of those that are gone.
    pub fn reload(&self, settings: Settings) {
        self.house.verification.set_settings(settings.verify);
        *self.house.policy.write() = Arc::new(Policy::new(settings));
    }

    /// Our certificates, for the handshakes from now on; sessions that stand are not touched. Without this call, or without
    /// any, there is no TLS: STARTTLS is not offered, and a door that wants TLS first takes nobody.
    pub fn set_identities(&self, identities: Arc<[Identity]>) {
        *self.house.identities.write() = (!identities.is_empty()).then_some(identities);
    }

    /// Own domains, recipients and aliases from the next mail transaction on, also of sessions under way: a list
    /// that has grown must not wait for a client to hang up. Without this call there is no domain of ours.
    pub fn set_directory(&self, directory: Arc<Directory>) {
        *self.house.directory.write() = directory;
    }

    /// Who asks next hops, for domains that verify. Without one their recipients cannot be verified.
    pub fn set_verifier(&self, verifier: Arc<dyn Verifier>) {
        self.house.verification.set_verifier(verifier);
    }

    /// Who may log in. Without them nobody can, wherever AUTH is offered.
    pub fn set_users(&self, users: Arc<dyn Users>) {
        *self.house.users.write() = Some(users);
    }

    /// Forgets what next hops said: after a change of routes or domains.
    pub fn forget_verified(&self) {
        self.house.verification.forget();
    }

    /// Domains whose next hop was found to take everybody, so that verifying says nothing.
    #[must_use]
    pub fn take_everybody(&self) -> Vec<String> {
        self.house.verification.take_everybody()
    }

    /// What would become of a recipient that a client who may relay gives now. Asks the next hop where a session
    /// would.
    pub async fn examine(&self, mailbox: posthaste_mail::Mailbox) -> Examined {
        examine::examine(&self.house, mailbox).await
    }

    /// Accepts connections until [`Reception::drain`]; each session is a task of its own. `name` is that of one of
    /// [`Settings::listeners`]; once a reload has dropped it, the door ends at the next connection.
    pub async fn serve(&self, listener: Box<dyn posthaste_io::Listener>, name: &str) -> Ended {
        serve::serve(&self.house, listener.as_ref(), Which::Named(name)).await
    }

    /// The same for programs on this machine, over a socket that is no listener of the settings: they may send to
    /// anywhere, and their messages are made whole as those of [`Reception::submit`].
    pub async fn serve_local(&self, listener: Box<dyn posthaste_io::Listener>) -> Ended {
        serve::serve(&self.house, listener.as_ref(), Which::Local).await
    }

    /// A name for a message to be handed in with [`Submission::id`]; no other message gets it.
    #[must_use]
    pub fn mint(&self) -> posthaste_mail::QueueId {
        self.house.spool.mint(self.house.world.wall())
    }

    /// Comes to an end: no new sessions, `421 4.3.2` to sessions between commands; those within a message may
    /// finish it within `limit`, then they are cut off. Answers how many were.
    pub async fn drain(&self, limit: Duration) -> usize {
        self.house.places.drain();
        match within(&*self.house.world.clock, limit, self.house.places.empty()).await {
            Some(()) => 0,
            None => self.house.places.abort(),
        }
    }

    /// What happened since the start.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.house.counters.read()
    }

    /// The last balancer whose connection was not taken, since the last time this was asked; to be told to the operator.
    #[must_use]
    pub fn unproxied(&self) -> Option<Unproxied> {
        self.house.unproxied.lock().take()
    }

    /// What is scarce now; holds for every message from now on. Mail under way is not touched.
    pub fn set_pressure(&self, pressure: Pressure) {
        self.house.pressure.set(pressure);
    }

    /// What is scarce now.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.house.pressure.get()
    }

    /// Maintenance: no new sessions and no new messages (`421 4.3.2`); sessions end between transactions. Doors stay
    /// open, so that clients are told.
    pub fn set_maintenance(&self, on: bool) {
        self.house.places.pause(on);
    }

    /// Sessions under way.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.house.places.count()
    }

    /// Octets of bodies in memory now, of [`Limits::receive_budget`].
    #[must_use]
    pub fn octets_in_memory(&self) -> usize {
        self.house.budget.used()
    }

    /// Accepts a message that was handed in on this machine: completes its header, adds a trace field, stores it.
    ///
    /// # Errors
    /// [`SubmitError`] tells whether the message or the store is at fault; nothing of it is kept then.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, SubmitError> {
        submit::submit(&self.house, submission).await
    }
}

impl House {
    fn policy(&self) -> Arc<Policy> {
        Arc::clone(&self.policy.read())
    }

    fn identities(&self) -> Option<Arc<[Identity]>> {
        self.identities.read().clone()
    }

    fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read())
    }

    fn users(&self) -> Option<Arc<dyn Users>> {
        self.users.read().clone()
    }

    /// A name that no other session has: in order of time, and after those of an earlier start.
    fn mint_session(&self) -> ConnectionId {
        let first = ConnectionId::first_incoming_at(self.world.wall()).0;
        let later = |last: u64| Some(first.max(last + 1));
        let last = self.last_session.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        ConnectionId(first.max(last.unwrap_or(0) + 1))
    }
}
