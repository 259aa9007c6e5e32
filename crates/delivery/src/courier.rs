//! Who makes attempts: what is shared by all of them.

use crate::broken_tls::BrokenTls;
use crate::family::Families;
use crate::resolvers::Resolvers;
use crate::secrets::{NoSecrets, Secrets};
use crate::settings::Settings;
use posthaste_dns::Resolver;
use posthaste_io::World;
use posthaste_route::{Ourselves, Table};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes attempts.
pub struct Courier {
    pub(crate) world: World,
    resolvers: Mutex<Arc<Resolvers>>,
    settings: Mutex<Arc<Settings>>,
    families: Mutex<Families>,
    broken_tls: Mutex<BrokenTls>,
    secrets: Arc<dyn Secrets>,
}

impl Courier {
    /// A courier that has made no attempt yet.
    #[must_use]
    pub fn new(world: World, resolver: Arc<Resolver>, settings: Arc<Settings>) -> Self {
        let resolvers = Mutex::new(Arc::new(Resolvers::common(resolver)));
        Self {
            world,
            resolvers,
            settings: Mutex::new(settings),
            families: Mutex::default(),
            broken_tls: Mutex::default(),
            secrets: Arc::new(NoSecrets),
        }
    }

    /// Gets passwords and tokens from here.
    #[must_use]
    pub fn with_secrets(self, secrets: Arc<dyn Secrets>) -> Self {
        Self { secrets, ..self }
    }

    /// Takes new settings; attempts under way keep theirs. With which hosts TLS failed is forgotten: the operator may have
    /// mended it, or want to see.
    pub fn set_settings(&self, settings: Arc<Settings>) {
        *self.broken_tls() = BrokenTls::default();
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Asks the servers of these settings and routes from now on; look-ups under way go on with the old ones.
    pub fn renew_resolvers(&self, settings: &posthaste_dns::Settings, routes: &Table) {
        let fresh = Arc::new(self.resolvers().renewed(&self.world, settings, routes));
        *self.resolvers.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    /// The resolvers for attempts that begin now.
    #[must_use]
    pub fn resolvers(&self) -> Arc<Resolvers> {
        Arc::clone(&self.resolvers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Forgets which address families seemed dead: the ways out of this machine have changed.
    pub fn forget_families(&self) {
        *self.families() = Families::default();
    }

    /// A host takes no mail in clear: should it have got some because TLS had failed with it, TLS is tried again. True when
    /// it was not being tried.
    pub fn wants_tls(&self, host: SocketAddr) -> bool {
        let now = self.world.now();
        let mut broken = self.broken_tls();
        let rested = broken.rests(now, host);
        broken.forget(host);
        rested
    }

    /// The settings for an attempt that begins now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The world it works in.
    #[must_use]
    pub const fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn secrets(&self) -> &dyn Secrets {
        &*self.secrets
    }

    pub(crate) fn ourselves(&self) -> Ourselves {
        let settings = self.settings();
        let names = [settings.hostname.as_str()];
        Ourselves::new(names, settings.own_addresses.iter().copied())
    }

    pub(crate) fn broken_tls(&self) -> MutexGuard<'_, BrokenTls> {
        self.broken_tls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn families(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
