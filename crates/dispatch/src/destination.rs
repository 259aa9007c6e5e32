//! Which destination a recipient belongs to: next-hop domain and route.

use posthaste_mail::{Envelope, Host, Mailbox};
use posthaste_route::{Action, Facts, Route, Table};
use posthaste_spool::LedgerKey;

/// The route of recipients that no rule matches; nothing is sent over it.
pub(crate) use posthaste_queue::NO_ROUTE;

/// A destination by its names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Destination {
    /// The next-hop domain in lower case, an address literal, or the smarthosts joined by commas.
    pub(crate) name: String,
    /// The route's name.
    pub(crate) route: String,
}

/// The destination of a recipient of a message.
///
/// # Panics
/// When the message has no recipient of that number.
pub(crate) fn of(routes: &Table, envelope: &Envelope, number: u32) -> Destination {
    let facts = Facts::of(envelope, number).expect("recipients are counted from this envelope");
    match &envelope.route {
        None => of_facts(routes, &facts),
        // Redirected over this route. One that is gone is no leave for the rules to choose another.
        Some(pinned) => {
            let found = routes.by_name(pinned).map(|(_, route)| route);
            Destination {
                name: found.map_or_else(
                    || facts.recipient.domain_key(),
                    |route| next_hop(route, facts.recipient),
                ),
                route: found.map_or_else(|| NO_ROUTE.to_owned(), |route| route.name.clone()),
            }
        }
    }
}

/// The destination of what is told of a message.
pub(crate) fn of_facts(routes: &Table, facts: &Facts<'_>) -> Destination {
    match routes.find(facts) {
        Some((_, route)) => {
            Destination { name: next_hop(route, facts.recipient), route: route.name.clone() }
        }
        None => Destination { name: facts.recipient.domain_key(), route: NO_ROUTE.to_owned() },
    }
}

fn next_hop(route: &Route, mailbox: &Mailbox) -> String {
    match &route.action {
        Action::SmartHosts { hosts, .. } => {
            let hosts: Vec<String> =
                hosts.iter().map(|h| format!("{}:{}", h.host, h.port)).collect();
            hosts.join(",")
        }
        _ => mailbox.domain_key(),
    }
}

/// What stands right of the `@`, read back from a destination's name.
pub(crate) fn host_of(name: &str) -> Host<'_> {
    posthaste_mail::address::parse_literal(name).map_or(Host::Name(name), Host::Literal)
}

/// The ledger's key of a destination. A next-hop domain has no blank; a route may.
pub(crate) fn ledger_key(name: &str, route: &str) -> LedgerKey {
    LedgerKey::Destination(format!("{name} {route}"))
}

/// The destination of a ledger's key.
pub(crate) fn from_ledger(key: &str) -> Option<Destination> {
    let (name, route) = key.split_once(' ')?;
    Some(Destination { name: name.to_owned(), route: route.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_route::{Pattern, SmartHost};

    #[test]
    fn smarthosts_are_one_destination_and_domains_are_their_own() {
        let host = |h: &str| SmartHost { host: h.into(), port: 2526 };
        let hosts = vec![host("a.example"), host("192.0.2.1")];
        let relay =
            Route::by_hosts("relay all", vec![Pattern::Below("corp.example".into())], hosts);
        let literal = "[192.0.2.7]".parse::<Pattern>().expect("a pattern");
        let mx = Route::by_mx("mx", vec![Pattern::Exact("example.org".into()), literal]);
        let routes = Table::new(vec![relay, mx]);
        let at = |address: &str| {
            let to = Mailbox::parse(address, false).expect("valid");
            of_facts(&routes, &Facts::between(&posthaste_mail::ReversePath::Null, &to))
        };
        assert_eq!(at("x@a.corp.example"), at("y@b.corp.example"));
        assert_eq!(at("x@a.corp.example").name, "a.example:2526,192.0.2.1:2526");
        assert_eq!(at("x@Example.ORG").name, "example.org");
        assert_eq!(at("x@nowhere.example").route, NO_ROUTE);
        let literal = at("x@[192.0.2.7]");
        assert_eq!(host_of(&literal.name), Host::Literal("192.0.2.7".parse().expect("valid")));
        let there = at("x@a.corp.example");
        let LedgerKey::Destination(key) = ledger_key(&there.name, &there.route) else {
            panic!("a destination's key")
        };
        assert_eq!(from_ledger(&key), Some(there));
    }
}
