//! Who asks DNS for which route: the common resolver, and one for each list of servers that a route names.
//!
//! Not here: asking (`dns`), which route matches (`route`).

use posthaste_dns::{Resolver, Settings};
use posthaste_evidence::NameServer;
use posthaste_io::World;
use posthaste_route::{Route, Table};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All resolvers of one configuration. Routes with the same servers share one, its cache included.
#[derive(Clone)]
pub struct Resolvers {
    common: Arc<Resolver>,
    own: BTreeMap<Vec<NameServer>, Arc<Resolver>>,
}

impl Resolvers {
    /// This one for every route.
    #[must_use]
    pub const fn common(resolver: Arc<Resolver>) -> Self {
        Self { common: resolver, own: BTreeMap::new() }
    }

    /// Those of these settings and rules. One whose settings are as before is kept, with what it knows; the others
    /// begin with an empty cache.
    #[must_use]
    pub fn renewed(&self, world: &World, settings: &Settings, routes: &Table) -> Self {
        let common = kept(&self.common, world, settings.clone());
        let lists = routes.iter().map(|(_, route)| &route.resolvers).filter(|l| !l.is_empty());
        let own = lists.map(|servers| {
            // Names that the servers of a route know are not for everybody: they have no fallback.
            let fallback = Vec::new();
            let wanted = Settings { servers: servers.clone(), fallback, ..settings.clone() };
            let resolver = match self.own.get(servers) {
                Some(before) => kept(before, world, wanted),
                None => Arc::new(Resolver::new(world.clone(), wanted)),
            };
            (servers.clone(), resolver)
        });
        Self { own: own.collect(), common }
    }

    /// All of them, the common one first, then one for each list of servers that routes name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resolver>> {
        std::iter::once(&self.common).chain(self.own.values())
    }

    /// The common one.
    #[must_use]
    pub const fn of_all(&self) -> &Arc<Resolver> {
        &self.common
    }

    /// The one for a route.
    #[must_use]
    pub fn of(&self, route: &Route) -> &Arc<Resolver> {
        self.own.get(&route.resolvers).unwrap_or(&self.common)
    }
}

fn kept(before: &Arc<Resolver>, world: &World, wanted: Settings) -> Arc<Resolver> {
    match *before.settings() == wanted {
        true => Arc::clone(before),
        false => Arc::new(Resolver::new(world.clone(), wanted)),
    }
}
