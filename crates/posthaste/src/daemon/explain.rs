//! `route`: how such mail would be sent now, which limits hold, and why not now.
//!
//! Not here: which rule matches (`posthaste_route`), how it is shown (`posthaste_admin`).

use super::Daemon;
use super::desk::last_error;
use super::recipients::acceptance;
use crate::config::Lowered;
use posthaste_admin::desk::{
    Destination, RouteAnswer, RouteDoes, RouteHop, RouteLimits, RouteLogin, RouteQuestion,
    RouteTls, RouteVouchers,
};
use posthaste_delivery::lookup::find_hops;
use posthaste_dispatch::decided;
use posthaste_evidence::Fault;
use posthaste_queue::{DestinationView, NO_ROUTE};
use posthaste_route::{
    Action, Endpoint, Facts, Ourselves, Protocol, Reference, Requirement, Roots, Route, Vouchers,
    endpoints, requirement,
};

impl Daemon {
    /// What becomes of such mail. Asks DNS only for a route that sends.
    pub(super) async fn explain(&self, question: &RouteQuestion) -> RouteAnswer {
        let facts = Facts {
            recipient: &question.to,
            sender: question.from.mailbox(),
            listener: question.listener.as_deref().unwrap_or(""),
            user: question.user.as_deref(),
            size: question.size,
        };
        let settings = self.settings();
        let explained = self.dispatch.explain_route(&facts);
        let name = explained.route.as_ref().map_or(NO_ROUTE, |route| route.name.as_str());
        let answer = RouteAnswer {
            acceptance: acceptance(self.reception.examine(question.to.clone()).await),
            expire_after: settings.queue.expire_after(name),
            destination: Some(explained.destination.clone()),
            standing: explained.queue.map(|view| self.with_last_error(view)),
            ..RouteAnswer::default()
        };
        let Some(route) = explained.route else {
            let (via, fault) = ("none".to_owned(), Some(Fault::NoRoute));
            return RouteAnswer { does: RouteDoes::Waits, via, fault, ..answer };
        };
        let (does, via) = match &route.action {
            Action::Mx { .. } => (RouteDoes::Sends, "mx".to_owned()),
            Action::SmartHosts { .. } => match route.protocol() {
                Protocol::Smtp => (RouteDoes::Sends, explained.destination),
                Protocol::Lmtp => (RouteDoes::Sends, format!("lmtp:{}", explained.destination)),
            },
            Action::Discard => (RouteDoes::Discards, "discard".to_owned()),
            Action::Fail { .. } => (RouteDoes::Fails, "fail".to_owned()),
            Action::Hold => (RouteDoes::Holds, "hold".to_owned()),
        };
        let limits = limits(&settings, &route);
        let concurrency = explained.window.into_iter().chain(limits.connections).min();
        let answer = RouteAnswer {
            does,
            via,
            limits,
            fault: decided(&route, question.size),
            concurrency: concurrency.filter(|_| route.sends()),
            ..answer
        };
        let answer = match route.sends() {
            true => self.with_hops(answer, &facts, &route, &settings).await,
            false => answer,
        };
        RouteAnswer { route: Some(route.name), ..answer }
    }

    /// Where a connection would be tried; what is decided without one stays decided.
    async fn with_hops(
        &self,
        answer: RouteAnswer,
        facts: &Facts<'_>,
        route: &Route,
        settings: &Lowered,
    ) -> RouteAnswer {
        let ourselves = Ourselves::new(
            [settings.delivery.hostname.as_str()],
            settings.delivery.own_addresses.iter().copied(),
        );
        let resolvers = self.dispatch.resolvers();
        let resolver = resolvers.of(route);
        let found = find_hops(&self.world, resolver, facts.host(), route, &ourselves).await;
        let by_mx = matches!(route.action, Action::Mx { .. });
        let (hops, fault) = match found.hops {
            Ok(hops) => (hops, None),
            Err(fault) => (Vec::new(), Some(fault)),
        };
        let hop = |endpoint: Endpoint| {
            let hop = &hops[endpoint.hop];
            let preference = by_mx.then_some(hop.preference);
            let tls = demanded(requirement(route, hop, facts.host(), Vec::new()));
            RouteHop { host: hop.host.clone(), preference, address: endpoint.address, tls }
        };
        let login = |login: &posthaste_route::Login| RouteLogin {
            user: login.user.clone(),
            mechanisms: login.mechanisms.clone(),
        };
        RouteAnswer {
            hops: endpoints(&hops).into_iter().map(hop).collect(),
            fault: answer.fault.or(fault),
            observations: found.observations,
            login: route.auth.as_ref().map(login),
            ..answer
        }
    }

    pub(super) fn with_last_error(&self, view: DestinationView) -> Destination {
        let last = self.dispatch.last_fault(&view.name, &view.route);
        Destination { last_error: last.and_then(last_error), view }
    }
}

fn limits(settings: &Lowered, route: &Route) -> RouteLimits {
    let queue = settings.queue.routes.get(&route.name);
    RouteLimits {
        connections: queue.and_then(|queue| queue.connections),
        messages_per_minute: queue.and_then(|queue| queue.messages_per_minute),
        message_size: route.message_size,
        sources: route.sources.clone(),
        ehlo: route.ehlo.clone(),
        resolvers: route.resolvers.iter().map(|server| server.address).collect(),
    }
}

/// As `delivery` will be asked to meet it.
fn demanded(requirement: Requirement) -> RouteTls {
    let Requirement { demand, implicit, server_name, vouchers } = requirement;
    let named = |names: Vec<Reference>| {
        let name = |reference| match reference {
            Reference::Exactly(name) => name,
            Reference::Below(name) => format!("*.{name}"),
        };
        names.into_iter().map(name).collect()
    };
    let vouchers = match vouchers {
        Vouchers::Authorities { roots: Roots::System, names } => {
            RouteVouchers::System(named(names))
        }
        Vouchers::Authorities { roots: Roots::Given(_), names } => {
            RouteVouchers::Given(named(names))
        }
        Vouchers::Keys(keys) => RouteVouchers::Keys(keys),
    };
    RouteTls { demand, implicit, server_name, vouchers }
}
