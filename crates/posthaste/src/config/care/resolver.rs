//! DNS servers that are named and hardly meant so: twice in a list, a fallback that is asked anyway, DNS over TLS
//! without a name or at the other port, settings without effect.

use super::super::read::Section;
use super::super::resolver::{Resolver, Root, Server, Servers};
use super::super::routes::RouteRule;
use super::super::setting::Text;
use posthaste_dns::settings::DNS_PORT;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

const DNS_OVER_TLS_PORT: u16 = super::super::resolver::DNS_OVER_TLS_PORT;

/// A server of a list, as it is written, and where.
type Listed = (Server, String, Range<usize>);

/// `[resolver]`.
pub(crate) fn resolver(section: &Section<'_, '_>, resolver: &Resolver, routes: &[RouteRule]) {
    let primary = servers(section, "resolver", "servers");
    let fallback = servers(section, "resolver", "fallback");
    for (server, text, place) in &fallback {
        if primary.iter().any(|(other, ..)| other.0.address == server.0.address) {
            let what = format!(
                "`resolver.fallback`: \"{text}\" is in `servers` too: as a fallback it is of no use"
            );
            section.warn_at(place, what);
        }
    }
    let roots = section.strings("roots");
    let roots = roots.iter().filter_map(|(text, place)| {
        Root::from_text(text).ok().map(|root| (root.0, text.as_str(), place.clone()))
    });
    twice(section, "resolver.roots", roots);
    without_effect(section, resolver);
    trusted(section, resolver, routes);
}

/// `resolvers` of a route.
pub(crate) fn resolvers(section: &Section<'_, '_>) {
    let _ = servers(section, "route", "resolvers");
}

/// The servers of one list, looked at one by one.
fn servers(section: &Section<'_, '_>, of: &str, key: &str) -> Vec<Listed> {
    let read = |(text, place): (String, Range<usize>)| {
        Server::from_text(&text).ok().map(|server| (server, text, place))
    };
    let listed: Vec<Listed> = section.strings(key).into_iter().filter_map(read).collect();
    let path = format!("{of}.{key}");
    let places = listed.iter().map(|(s, text, place)| (s.0.address, text.as_str(), place.clone()));
    twice(section, &path, places);
    for (server, text, place) in &listed {
        let address = server.0.address;
        let named = text.contains('#');
        let what = match &server.0.tls {
            Some(_) if address.port() == DNS_PORT => format!(
                "`{path}`: \"{text}\": port {DNS_PORT} is DNS without TLS; DNS over TLS is at {DNS_OVER_TLS_PORT}"
            ),
            Some(_) if !named => format!(
                "`{path}`: \"{text}\" has no name: its certificate must be for the address {}; write \
                 \"{text}#dns.example.org\" when it is for a name",
                address.ip()
            ),
            None if address.port() == DNS_OVER_TLS_PORT => format!(
                "`{path}`: \"{text}\": port {DNS_OVER_TLS_PORT} is DNS over TLS; write \"tls://{text}\""
            ),
            _ => continue,
        };
        section.warn_at(place, what);
    }
    listed
}

fn twice<'a>(
    section: &Section<'_, '_>,
    path: &str,
    listed: impl Iterator<Item = (SocketAddr, &'a str, Range<usize>)>,
) {
    let mut seen: Vec<SocketAddr> = Vec::new();
    for (address, text, place) in listed {
        if seen.contains(&address) {
            section.warn_at(&place, format!("`{path}`: \"{text}\" is listed twice"));
        }
        seen.push(address);
    }
}

fn without_effect(section: &Section<'_, '_>, resolver: &Resolver) {
    if section.has("resolv_conf") && resolver.servers != Servers::System {
        let what = "`resolver.resolv_conf` is of no effect: `servers` is not \"system\"";
        section.warn("resolv_conf", what);
    }
    let limit = resolver.try_limit.unwrap_or(posthaste_dns::Settings::default().try_limit);
    if section.has("race_after") && resolver.race_after >= limit {
        let what = "`resolver.race_after` is not under `try_limit`: a second server is asked only \
                    when the first has failed";
        section.warn("race_after", what);
    }
}

/// Addresses that nobody is asked at. The servers of the system are not known here.
fn trusted(section: &Section<'_, '_>, resolver: &Resolver, routes: &[RouteRule]) {
    let Servers::These(servers) = &resolver.servers else { return };
    let of_routes = routes.iter().flat_map(|rule| &rule.resolvers);
    let all: Vec<IpAddr> = servers
        .iter()
        .chain(&resolver.fallback)
        .chain(of_routes)
        .map(|server| server.0.address.ip().to_canonical())
        .collect();
    for (text, place) in section.strings("trusted") {
        let Ok(ip) = text.parse::<IpAddr>() else { continue };
        if !all.contains(&ip.to_canonical()) {
            let what = format!("`resolver.trusted`: \"{text}\" is none of the servers asked");
            section.warn_at(&place, what);
        }
    }
}
