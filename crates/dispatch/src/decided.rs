//! Mail whose route sends nothing, or not so much: no host is asked. Not here: the attempts (`connection`).

use posthaste_evidence::Fault;
use posthaste_route::{Action, Route};

/// What the rules say of a message without any host being asked.
#[must_use]
pub fn decided(route: &Route, size: u64) -> Option<Fault> {
    let name = || route.name.clone();
    match &route.action {
        Action::Discard => return Some(Fault::RouteDiscards { route: name() }),
        Action::Fail { status, text } => {
            return Some(Fault::RouteFails { route: name(), status: *status, text: text.clone() });
        }
        Action::Mx { .. } | Action::SmartHosts { .. } | Action::Hold => {}
    }
    let limit = route.message_size.filter(|limit| size > *limit)?;
    Some(Fault::OverRouteSize { route: name(), limit })
}
