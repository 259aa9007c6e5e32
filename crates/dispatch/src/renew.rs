//! After a reload: what waited on settings that have changed is due now. Nothing else is touched. The same after an
//! outage of DNS (`comeback`).
//!
//! What counts as changed is decided by comparing the old settings with the new ones; what waited, by the last
//! failure of what is down. Not here: moving mail to other routes (`reroute`), rates (`queue`).

use crate::outages::fault_of;
use crate::{Inner, destination, lock, reroute, softened};
use posthaste_delivery::Resolvers;
use posthaste_evidence::Fault;
use posthaste_queue::DestinationView;
use posthaste_route::{Route, Table};
use posthaste_spool::LedgerKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long a reload waits for the count of what is due now.
pub(crate) const COUNT_WAIT: Duration = Duration::from_secs(5);
/// Destinations looked at under one lock.
const SLICE: usize = 200;

/// What decides how hosts are found and reached.
pub(crate) struct Ways {
    routes: Arc<Table>,
    resolvers: Arc<Resolvers>,
    hostname: String,
}

/// What of it has changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Changed {
    /// The rules: mail may belong elsewhere.
    rules: bool,
    /// By route.
    routes: BTreeMap<String, What>,
}

/// What has changed of one route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Who is asked for its hosts, and nothing else.
    Resolver,
    /// How they are reached.
    Path,
    /// Nothing that shows, but we could not log in there: the secret may be another now.
    Login,
}

impl Ways {
    /// What is otherwise in the new ways. A route that is new has nothing that waits on it.
    pub(crate) fn changed(&self, fresh: &Self) -> Changed {
        let of = |(_, route): (_, &Route)| {
            let (_, before) = self.routes.by_name(&route.name)?;
            let renamed = route.ehlo.is_none() && self.hostname != fresh.hostname;
            if renamed || !before.same_path(route) {
                return Some((route.name.clone(), What::Path));
            }
            let same = Arc::ptr_eq(self.resolvers.of(before), fresh.resolvers.of(route));
            (!same && route.sends()).then(|| (route.name.clone(), What::Resolver))
        };
        let routes = fresh.routes.iter().filter_map(of).collect();
        Changed { rules: self.routes != fresh.routes, routes }
    }
}

impl Changed {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Where these routes wait because we cannot log in, it is tried again.
    pub(crate) fn with_logins(mut self, routes: impl Iterator<Item = String>) -> Self {
        routes.for_each(|route| {
            self.routes.entry(route).or_insert(What::Login);
        });
        self
    }

    /// The answers of those who are asked for the hosts of these routes, and nothing else.
    pub(crate) fn answers(routes: impl Iterator<Item = String>) -> Self {
        Self { rules: false, routes: routes.map(|route| (route, What::Resolver)).collect() }
    }

    /// What waited on a route of this name is due, and counted, wherever it goes now.
    pub(crate) fn is_of_path(&self, route: &str) -> bool {
        self.routes.get(route) == Some(&What::Path)
    }
}

/// Makes it due in a task of its own, and answers how many recipients. `hardened`: `soft_fail` has been turned off.
pub(crate) async fn run(inner: &Arc<Inner>, changed: Changed, hardened: bool) -> u64 {
    if changed.is_nothing() && !hardened {
        return 0;
    }
    let count = Arc::new(AtomicU64::new(0));
    let (done, is_done) = oneshot::channel();
    let (task, counted) = (Arc::clone(inner), Arc::clone(&count));
    let renew = async move {
        task.renew(&changed, &counted).await;
        if changed.rules {
            reroute::run(&task, &changed, &counted).await;
        }
        if hardened {
            softened::run(&task, &counted).await;
        }
        // Who asked may have gone on.
        let _ = done.send(());
    };
    inner.world.spawn.spawn("renew", Box::pin(renew));
    let _ = posthaste_io::within(&*inner.world.clock, COUNT_WAIT, is_done).await;
    count.load(Ordering::Relaxed)
}

impl Inner {
    /// The ways that hold now.
    pub(crate) fn ways(&self) -> Ways {
        Ways {
            routes: self.routes(),
            resolvers: self.courier.resolvers(),
            hostname: self.courier.settings().hostname.clone(),
        }
    }

    pub(crate) async fn renew(self: &Arc<Self>, changed: &Changed, count: &AtomicU64) {
        if changed.routes.is_empty() {
            return;
        }
        if changed.routes.values().any(|what| *what == What::Path) {
            self.courier.forget_families();
        }
        self.renew_routes(changed);
        let mut after: Option<(String, String)> = None;
        loop {
            let key = after.as_ref().map(|(name, route)| (name.as_str(), route.as_str()));
            let slice = self.scheduler().destinations(self.world.wall(), key, SLICE);
            for view in &slice {
                if let Some(what) = changed.routes.get(&view.route) {
                    count.fetch_add(self.renew_destination(view, *what).await, Ordering::Relaxed);
                }
            }
            self.kick();
            match slice.into_iter().last() {
                Some(last) => after = Some((last.name, last.route)),
                None => return,
            }
        }
    }

    /// Routes, and hosts that failed last on the way that has changed.
    fn renew_routes(&self, changed: &Changed) {
        let now = self.world.wall();
        let hosts =
            lock(&self.outages).hosts_down(|route| changed.routes.get(route) == Some(&What::Path));
        let mut scheduler = self.scheduler();
        changed.routes.keys().for_each(|route| scheduler.renew_route(now, route));
        hosts.into_iter().for_each(|host| scheduler.renew_host(now, host));
    }

    /// What waits at a destination is due, if it waited on what has changed. Answers how many recipients.
    async fn renew_destination(&self, view: &DestinationView, what: What) -> u64 {
        let now = self.world.wall();
        let waiting = u64::from(view.recipients - view.held.min(view.recipients));
        match what {
            What::Resolver if self.waits_for_dns(view) => {
                self.scheduler().renew_destination(now, view.id);
                waiting
            }
            What::Resolver => 0,
            What::Login if !self.waits_for_login(view) => 0,
            What::Path | What::Login => {
                let mut due = 0;
                loop {
                    let act = || self.scheduler().retry_destination(now, view.id, SLICE);
                    match self.store_act(act).await {
                        0 => break,
                        stored => due += stored,
                    }
                }
                if due > 0 || view.down.is_some() {
                    self.scheduler().release_slowly(now, view.id);
                }
                if view.down.is_some() { waiting } else { due }
            }
        }
    }

    /// It is down because we could not log in.
    fn waits_for_login(&self, view: &DestinationView) -> bool {
        let key = destination::ledger_key(&view.name, &view.route);
        let outages = lock(&self.outages);
        let last = view.down.and_then(|_| outages.failures(&key).last().and_then(fault_of));
        matches!(last, Some(Fault::Login { .. }))
    }

    /// It is down because DNS did not say where its hosts are.
    fn waits_for_dns(&self, view: &DestinationView) -> bool {
        let key: LedgerKey = destination::ledger_key(&view.name, &view.route);
        let outages = lock(&self.outages);
        let last = view.down.and_then(|_| outages.failures(&key).last().and_then(fault_of));
        matches!(
            last,
            Some(
                Fault::DnsFailed { .. }
                    | Fault::Doubted { .. }
                    | Fault::OnlyPrivateAddresses { .. }
            )
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_route::Pattern;

    fn named(server: &str) -> posthaste_evidence::NameServer {
        server.parse::<std::net::SocketAddr>().expect("an address").into()
    }

    #[test]
    fn what_has_changed_is_found_by_comparison() {
        let sim = posthaste_io_sim::Sim::new(1);
        let world = sim.host("relay", &["192.0.2.1".parse().expect("an address")]).world();
        let settings = posthaste_dns::Settings::default();
        let first = Arc::new(posthaste_dns::Resolver::new(world.clone(), settings.clone()));
        let none = Resolvers::common(first);
        let own = |servers: &[&str]| Route {
            resolvers: servers.iter().map(|s| named(s)).collect(),
            ..Route::by_mx("own", vec![Pattern::Exact("a.example".into())])
        };
        let rest = || Route::by_mx("rest", vec![Pattern::Any]);
        let ways = |before: &Resolvers, dns: &posthaste_dns::Settings, routes: Vec<Route>| {
            let routes = Arc::new(Table::new(routes));
            let resolvers = Arc::new(before.renewed(&world, dns, &routes));
            Ways { routes, resolvers, hostname: "a.example".into() }
        };
        let old = ways(&none, &settings, vec![own(&["192.0.2.53:53"]), rest()]);
        let other =
            posthaste_dns::Settings { servers: vec![named("192.0.2.54:53")], ..settings.clone() };
        let source = Route { sources: vec!["192.0.2.9".parse().expect("valid")], ..rest() };
        let again = |dns, routes| ways(&old.resolvers, dns, routes);
        let same = || own(&["192.0.2.53:53"]);
        for (fresh, rules, expected) in [
            (again(&settings, vec![same(), rest()]), false, vec![]),
            (again(&other, vec![same(), rest()]), false, vec![("rest", What::Resolver)]),
            (
                again(&settings, vec![own(&["192.0.2.55:53"]), rest()]),
                true,
                vec![("own", What::Path)],
            ),
            (again(&settings, vec![same(), source]), true, vec![("rest", What::Path)]),
            (again(&settings, vec![rest()]), true, vec![]),
        ] {
            let changed = old.changed(&fresh);
            let routes: Vec<_> = changed.routes.iter().map(|(n, w)| (n.as_str(), *w)).collect();
            assert_eq!((changed.rules, routes), (rules, expected));
        }
        let renamed = Ways {
            hostname: "b.example".into(),
            ..again(&settings, vec![same(), Route { ehlo: Some("c.example".into()), ..rest() }])
        };
        let changed = old.changed(&renamed).routes;
        assert_eq!(changed.get("own"), Some(&What::Path));
    }
}
