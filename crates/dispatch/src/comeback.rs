//! DNS is back: a server answers after none did, and what waited for that is due now, at the bounded, growing rate
//! (promise 6), without a restart and without writing to any message.
//!
//! Not here: how it is found out that servers are back (`dns`), which destinations waited for DNS (`renew`).

use crate::Inner;
use crate::renew::Changed;
use futures_util::future::{Either, select, select_all};
use posthaste_dns::Resolver;
use posthaste_route::Route;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::watch;

/// Beyond the longest look-up: by then all that were asked while nobody answered have ended.
const MARGIN: Duration = Duration::from_secs(1);

/// A resolver in use, and its word.
struct Watched {
    resolver: Arc<Resolver>,
    recoveries: watch::Receiver<u64>,
}

/// Waits for resolvers to come back, as long as mail goes out.
pub(crate) async fn run(inner: Arc<Inner>) {
    let mut watched = Vec::new();
    while inner.is_running() {
        watched = watch(&inner, watched);
        let back = {
            let closed = std::pin::pin!(inner.closed());
            let renewed = std::pin::pin!(inner.renewed_resolvers.notified());
            let one = std::pin::pin!(next(&mut watched));
            match select(closed, select(one, renewed)).await {
                Either::Left(_) => return,
                Either::Right((Either::Left((back, _)), _)) => back,
                Either::Right((Either::Right(_), _)) => continue,
            }
        };
        inner.came_back(&watched[back].resolver).await;
    }
}

/// Those in use now; what is known of those that stay is kept.
fn watch(inner: &Inner, before: Vec<Watched>) -> Vec<Watched> {
    let known = |resolver: &Arc<Resolver>| {
        before.iter().find(|w| Arc::ptr_eq(&w.resolver, resolver)).map(|w| w.recoveries.clone())
    };
    let resolvers = inner.courier.resolvers();
    let watched = resolvers.iter().map(|resolver| Watched {
        resolver: Arc::clone(resolver),
        recoveries: known(resolver).unwrap_or_else(|| resolver.recoveries()),
    });
    watched.collect()
}

/// The place of the next one that is back.
async fn next(watched: &mut [Watched]) -> usize {
    let words = watched.iter_mut().map(|w| {
        Box::pin(async {
            if w.recoveries.changed().await.is_err() {
                // It cannot be gone while we hold it; if it were, it would never come back.
                pending::<()>().await;
            }
        })
    });
    let (_, place, _) = select_all(words).await;
    place
}

impl Inner {
    /// Makes due what waited for this resolver; and once more what was asked too early to profit.
    async fn came_back(self: &Arc<Self>, resolver: &Arc<Resolver>) {
        self.renew_for(resolver).await;
        let (inner, resolver) = (Arc::clone(self), Arc::clone(resolver));
        let again = async move {
            let asked = resolver.settings().total_limit + MARGIN;
            posthaste_io::sleep(&*inner.world.clock, asked).await;
            inner.renew_for(&resolver).await;
        };
        self.world.spawn.spawn("comeback", Box::pin(again));
    }

    async fn renew_for(self: &Arc<Self>, resolver: &Arc<Resolver>) {
        if !self.is_running() {
            return;
        }
        let resolvers = self.courier.resolvers();
        let theirs = |route: &&Route| route.sends() && Arc::ptr_eq(resolvers.of(route), resolver);
        let routes = self.routes();
        let names = routes.iter().map(|(_, route)| route).filter(theirs).map(|r| r.name.clone());
        self.renew(&Changed::answers(names), &AtomicU64::default()).await;
    }
}
