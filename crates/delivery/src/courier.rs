//! Who makes attempts: what is shared by all of them.

use crate::family::Families;
use crate::settings::Settings;
use posthaste_dns::Resolver;
use posthaste_io::World;
use posthaste_route::Ourselves;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Makes attempts.
pub struct Courier {
    pub(crate) world: World,
    resolver: Mutex<Arc<Resolver>>,
    settings: Mutex<Arc<Settings>>,
    families: Mutex<Families>,
}

impl Courier {
    /// A courier that has made no attempt yet.
    #[must_use]
    pub fn new(world: World, resolver: Arc<Resolver>, settings: Arc<Settings>) -> Self {
        let (resolver, settings) = (Mutex::new(resolver), Mutex::new(settings));
        Self { world, resolver, settings, families: Mutex::default() }
    }

    /// Takes new settings; attempts under way keep theirs.
    pub fn set_settings(&self, settings: Arc<Settings>) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Asks other servers from now on; look-ups under way go on with the old ones.
    pub fn set_resolver(&self, resolver: Arc<Resolver>) {
        *self.resolver.lock().unwrap_or_else(PoisonError::into_inner) = resolver;
    }

    /// The resolver for an attempt that begins now.
    #[must_use]
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver.lock().unwrap_or_else(PoisonError::into_inner))
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

    pub(crate) fn ourselves(&self) -> Ourselves {
        let settings = self.settings();
        let names = [settings.hostname.as_str()];
        Ourselves::new(names, settings.own_addresses.iter().copied())
    }

    pub(crate) fn families(&self) -> MutexGuard<'_, Families> {
        self.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
