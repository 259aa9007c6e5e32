//! What is allowed, or nearly, and hardly meant: relay networks that make an open relay, next hops that no address family
//! of the route reaches, a source that is not of this machine, a keyword written wrong, AUTH where nobody can log in, own mail that no route takes, DNS servers named twice.
//!
//! Not here: what a setting may be at all (`receive`, `routes`, `domains`).

mod networks;
mod resolver;

pub(super) use networks::{proxies, relays, without_auth};
pub(super) use resolver::{resolver, resolvers};

use super::complain::nearest;
use super::kinds::Via;
use super::read::Section;
use super::routes::RouteRule;
use posthaste_reception::{Listener, ListenerKind, ListenerTls, Network};
use posthaste_route::domain::to_dns;
use posthaste_route::{Families, Pattern};
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};

/// Refused networks that hold those whose clients may send to anywhere, or lie in one of them.
pub(super) fn refused(top: &Section<'_, '_>, relay_networks: &[Network]) {
    for (text, place) in top.strings("refuse_networks") {
        let Ok(network) = text.parse::<Network>() else { continue };
        let trusted = || Network::LOOPBACK.iter().chain(relay_networks);
        if let Some(held) = trusted().find(|trusted| network.holds(trusted)) {
            let what = format!(
                "`refuse_networks`: \"{text}\" holds {held}, which is {}; refuse smaller networks",
                if Network::LOOPBACK.contains(held) {
                    "this machine"
                } else {
                    "in `relay_networks`"
                }
            );
            top.complain_at(&place, what);
        } else if let Some(around) = relay_networks.iter().find(|trusted| trusted.holds(&network)) {
            let what = format!(
                "`refuse_networks`: \"{text}\" lies in {around} of `relay_networks`: it is refused only where everybody is \
                 a stranger"
            );
            top.warn_at(&place, what);
        }
    }
}

/// Doors where AUTH is offered and cannot be done, or where those are who try passwords.
pub(super) fn logins(section: &Section<'_, '_>, listener: &Listener) {
    if !listener.auth {
        return;
    }
    let clear = "AUTH is done under TLS only";
    match (listener.kind, listener.tls) {
        (ListenerKind::Submission, ListenerTls::Off) if listener.without_auth.is_empty() => {
            let what = format!(
                "{clear}: nobody could log in here, and nobody else may send; write tls = \"starttls\" or tls = \"implicit\""
            );
            section.complain("tls", what);
        }
        (ListenerKind::Submission, ListenerTls::Off) => {
            let what =
                format!("{clear}: nobody can log in here, only clients of `without_auth` send");
            section.warn("tls", what);
        }
        (_, ListenerTls::Off) => {
            let what = format!(
                "{clear}: nobody can log in here; write tls = \"starttls\", or auth = false"
            );
            section.complain("auth", what);
        }
        (ListenerKind::Inbound, _) => {
            let what = "users log in at the door that everybody on the Internet comes to, and that is where passwords are tried; \
                        better a listener of its own with kind = \"submission\"";
            section.warn("auth", what);
        }
        _ => {}
    }
}

/// Own domains whose mail no route takes to a host that has been named.
pub(super) fn own_domains(top: &Section<'_, '_>, routes: &[RouteRule]) {
    for section in top.list("domain") {
        for (text, place) in section.strings("name") {
            let Some(name) = to_dns(&text) else { continue };
            let domain = Pattern::Exact(name.clone());
            if routes.iter().any(|rule| takes(rule, &domain)) {
                continue;
            }
            let by_mx = routes.iter().flat_map(|rule| &rule.to).any(|to| to.covers(&domain));
            let falls =
                if by_mx { "it goes by MX, which is probably this machine" } else { "it is held" };
            let what = format!(
                "no [[route]] takes mail to {name}: {falls}; write a [[route]] with to = [\"{name}\"] and \
                 via = [\"the host of its mailboxes\"]"
            );
            section.warn_at(&place, what);
        }
    }
}

/// It sends some mail of the domain to named hosts, does something else with it, or names the domain.
fn takes(rule: &RouteRule, domain: &Pattern) -> bool {
    let means = |to: &Pattern| touches(to, domain) && (rule.via != Via::Mx || *to != Pattern::Any);
    rule.to.iter().any(means)
}

/// It fits somebody at the domain.
fn touches(pattern: &Pattern, domain: &Pattern) -> bool {
    match pattern {
        Pattern::User(_, at) => touches(at, domain),
        pattern => pattern.covers(domain),
    }
}

/// One bare word that is nearly a keyword, and addresses that the route's families leave out.
pub(super) fn next_hops(section: &Section<'_, '_>, rule: &RouteRule) {
    let Via::Hosts(hosts) = &rule.via else { return };
    if let [host] = hosts.as_slice()
        && host.port.is_none()
        && !host.host.contains(['.', ':'])
        && let Some(word) = nearest(&host.host, Via::WORDS.iter().map(|(word, _)| *word))
    {
        let what = format!(
            "`route.via`: \"{}\" is a next hop, a host of this name; did you mean \"{word}\"?",
            host.host
        );
        section.warn("via", what);
    }
    let addresses: Option<Vec<IpAddr>> = hosts.iter().map(|host| host.host.parse().ok()).collect();
    let Some(addresses) = addresses else { return };
    let (family, used) = match rule.families {
        Families::OnlyV4 => ("v4", addresses.iter().any(IpAddr::is_ipv4)),
        Families::OnlyV6 => ("v6", addresses.iter().any(IpAddr::is_ipv6)),
        Families::PreferV4 | Families::PreferV6 => return,
    };
    if !used {
        let key = if section.has("families") { "families" } else { "via" };
        let what = format!(
            "`route.families` is \"{family}\", and no address in `via` is of this family: nothing is ever sent"
        );
        section.warn(key, what);
    }
}

/// Source addresses that this machine does not have now.
pub(super) fn sources(section: &Section<'_, '_>, rule: &RouteRule) {
    for (text, place) in section.strings("source") {
        let Ok(ip) = text.parse::<IpAddr>() else { continue };
        if !rule.source.contains(&ip) || !is_foreign(ip) {
            continue;
        }
        let what = format!(
            "`route.source`: {ip} is not an address of this machine; nothing can be sent from it"
        );
        section.warn_at(&place, what);
    }
}

/// The system says that it does not have the address. Nothing is sent.
fn is_foreign(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}
