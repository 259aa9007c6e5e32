//! What a route demands of TLS with a next hop, and what that comes to for one host (RFC 3207, RFC 7435, RFC 8314).
//!
//! Pure: [`requirement`] says, `delivery` meets it. Not here: the handshake (`io`), reading the configuration file
//! (`posthaste::config`).

use crate::domain::{address_in_text, to_dns};
use crate::plan::Hop;
use crate::table::{Action, Route};
use posthaste_evidence::{TlsDemand, TlsLevel, TlsOrigin};
use posthaste_mail::Host;
use std::net::IpAddr;
use std::sync::Arc;

/// The port where TLS begins with the first octet (RFC 8314 section 3.3).
pub const IMPLICIT_TLS_PORT: u16 = 465;

/// What a route demands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum TlsPolicy {
    /// TLS is not used.
    None,
    /// TLS where it works, the certificate only looked at (RFC 7435).
    #[default]
    Opportunistic,
    /// Nothing in clear; the certificate is only looked at.
    Require,
    /// Nothing in clear, and the certificate must be believed.
    Verify {
        /// For which names it may be; empty for the usual ones, see [`requirement`].
        names: Vec<NameRule>,
        /// Who vouches for it.
        roots: Roots,
    },
    /// Nothing in clear, and the host's key must be one of these, whatever names and dates its certificate has: SHA-256 of
    /// the SPKI.
    Pinned {
        /// Never empty.
        keys: Arc<[[u8; 32]]>,
    },
}

/// A name that a certificate may be for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NameRule {
    /// This one: a name as DNS is asked for it, or an address in text.
    Exactly(String),
    /// Any name below this one, at any depth, and not itself.
    Below(String),
    /// The host's own: for MX that is what DNS says, and whoever forges DNS can say anything.
    OfHost,
}

/// Who vouches for certificates.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Roots {
    /// The authorities that this machine trusts.
    #[default]
    System,
    /// These and no others: certificates as PEM text.
    Given(Arc<str>),
}

/// Whom to believe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Vouchers {
    /// Authorities, for these names; never empty.
    Authorities {
        /// Who vouches.
        roots: Roots,
        /// The certificate must be for one of them.
        names: Vec<Reference>,
    },
    /// Nobody but these keys.
    Keys(Arc<[[u8; 32]]>),
}

/// A name that the certificate of one host may be for (RFC 6125 section 1.8: a reference identifier).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reference {
    /// A host name or an address.
    Exactly(String),
    /// Any name below this one.
    Below(String),
}

/// What one host must meet before mail goes to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Requirement {
    /// How much, and who says so.
    pub demand: TlsDemand,
    /// TLS begins with the first octet; there is no STARTTLS, nor anything in clear.
    pub implicit: bool,
    /// The name that the host is told in the handshake (SNI, RFC 6066 section 3): its own.
    pub server_name: String,
    /// Whom to believe; below [`TlsLevel::Verify`] for the record only.
    pub vouchers: Vouchers,
}

impl Requirement {
    /// Mail may go in clear.
    #[must_use]
    pub fn allows_clear(&self) -> bool {
        self.demand.level <= TlsLevel::Opportunistic && !self.implicit
    }

    /// TLS is tried.
    #[must_use]
    pub fn wants_tls(&self) -> bool {
        self.demand.level > TlsLevel::None
    }

    /// The certificate must be believed.
    #[must_use]
    pub fn must_verify(&self) -> bool {
        self.demand.level >= TlsLevel::Verify
    }

    /// The stricter of two for the same host; this one where they are alike.
    #[must_use]
    pub fn or_stricter(self, other: Self) -> Self {
        if other.demand.level > self.demand.level { other } else { self }
    }
}

/// What the host `hop` must meet on `route` for mail to `recipient`'s domain.
///
/// Which names a certificate may have with [`TlsPolicy::Verify`], unless the route lists others:
///
/// - of a fixed host its own, as the operator wrote it;
/// - of a mail exchanger those of the recipient's *domain*, or below it. The host's name comes from DNS without proof:
///   who forges the MX record names a host of his own, with a perfect certificate. [`NameRule::OfHost`] takes it all the
///   same.
///
/// With the levels that only record, it is the host's name: what MTA-STS and DANE would ask of it.
///
/// `found` is **the seam** for what else is known of the host and demands more: the policy of the domain (MTA-STS, with
/// [`TlsOrigin::Sts`]) and TLSA records (DANE, [`TlsOrigin::Dane`]) are each a requirement made elsewhere; the strictest
/// holds, and its origin goes into the evidence. Nothing found here can loosen what the route says.
#[must_use]
pub fn requirement(
    route: &Route,
    hop: &Hop,
    recipient: Host<'_>,
    found: Vec<Requirement>,
) -> Requirement {
    let level = route.tls.level();
    let own = own_name(hop);
    let of_host = vec![Reference::Exactly(own.clone())];
    let vouchers = match &route.tls {
        TlsPolicy::Verify { names, roots } => {
            let names = match names.as_slice() {
                [] => usual_names(route, recipient).unwrap_or(of_host),
                listed => listed.iter().map(|rule| rule.of(&own)).collect(),
            };
            Vouchers::Authorities { roots: roots.clone(), names }
        }
        TlsPolicy::Pinned { keys } => Vouchers::Keys(Arc::clone(keys)),
        _ => Vouchers::Authorities { roots: Roots::System, names: of_host },
    };
    let implicit = route.implicit_tls(hop.port);
    let demand = TlsDemand { level, origin: TlsOrigin::Route };
    let of_route = Requirement { demand, implicit, server_name: own, vouchers };
    found.into_iter().fold(of_route, Requirement::or_stricter)
}

/// The host's name as certificates have it, or its address.
fn own_name(hop: &Hop) -> String {
    let address: Option<IpAddr> = address_in_text(&hop.host);
    match address {
        Some(ip) => ip.to_string(),
        None => to_dns(&hop.host).unwrap_or_else(|| hop.host.clone()),
    }
}

/// Of mail exchangers; `None` for fixed hosts, whose own name counts.
fn usual_names(route: &Route, recipient: Host<'_>) -> Option<Vec<Reference>> {
    if !matches!(route.action, Action::Mx { .. }) {
        return None;
    }
    Some(match recipient {
        Host::Literal(ip) => vec![Reference::Exactly(ip.to_string())],
        Host::Name(name) => {
            let domain = to_dns(name).unwrap_or_else(|| name.to_lowercase());
            vec![Reference::Exactly(domain.clone()), Reference::Below(domain)]
        }
    })
}

impl NameRule {
    fn of(&self, own: &str) -> Reference {
        match self {
            Self::Exactly(name) => Reference::Exactly(name.clone()),
            Self::Below(name) => Reference::Below(name.clone()),
            Self::OfHost => Reference::Exactly(own.to_owned()),
        }
    }
}

impl TlsPolicy {
    /// How much it demands.
    #[must_use]
    pub const fn level(&self) -> TlsLevel {
        match self {
            Self::None => TlsLevel::None,
            Self::Opportunistic => TlsLevel::Opportunistic,
            Self::Require => TlsLevel::Require,
            Self::Verify { .. } => TlsLevel::Verify,
            Self::Pinned { .. } => TlsLevel::Pinned,
        }
    }
}

impl Route {
    /// TLS begins with the first octet at this port: where the route says so, else at 465. Never where TLS is not used, nor
    /// at mail exchangers.
    #[must_use]
    pub fn implicit_tls(&self, port: u16) -> bool {
        let fixed = matches!(self.action, Action::SmartHosts { .. });
        let wrapped = self.tls_wrap.unwrap_or(port == IMPLICIT_TLS_PORT);
        fixed && wrapped && self.tls != TlsPolicy::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Pattern;
    use crate::table::SmartHost;

    fn hop(host: &str, port: u16) -> Hop {
        let addresses = vec!["192.0.2.1".parse().unwrap()];
        Hop { host: host.into(), port, preference: 10, addresses }
    }

    fn exactly(name: &str) -> Reference {
        Reference::Exactly(name.into())
    }

    fn verify(names: Vec<NameRule>) -> TlsPolicy {
        TlsPolicy::Verify { names, roots: Roots::System }
    }

    fn names(requirement: &Requirement) -> &[Reference] {
        match &requirement.vouchers {
            Vouchers::Authorities { names, .. } => names,
            Vouchers::Keys(_) => &[],
        }
    }

    #[test]
    fn names_come_from_the_operator_and_never_from_dns_alone() {
        let domain = vec![exactly("b.example"), Reference::Below("b.example".into())];
        let listed = vec![NameRule::Below("isp.example".into()), NameRule::OfHost];
        let of_list = vec![Reference::Below("isp.example".into()), exactly("mx.isp.example")];
        for (tls, expected) in [
            (TlsPolicy::Opportunistic, vec![exactly("mx.isp.example")]),
            (TlsPolicy::Require, vec![exactly("mx.isp.example")]),
            (verify(vec![]), domain),
            (verify(listed), of_list),
            (TlsPolicy::Pinned { keys: [[1; 32]].into() }, vec![]),
        ] {
            let route = Route { tls, ..Route::by_mx("mx", vec![Pattern::Any]) };
            let asked =
                requirement(&route, &hop("MX.isp.example", 25), Host::Name("B.example"), vec![]);
            assert_eq!(names(&asked), expected, "{:?}", route.tls);
            assert_eq!(asked.server_name, "mx.isp.example");
            assert!(!asked.implicit);
        }
    }

    #[test]
    fn a_fixed_host_is_known_by_what_the_operator_wrote() {
        for (host, own) in [
            ("Relay.example", "relay.example"),
            ("[192.0.2.9]", "192.0.2.9"),
            ("2001:db8::1", "2001:db8::1"),
        ] {
            let hosts = vec![SmartHost { host: host.into(), port: 25 }];
            let tls = verify(vec![]);
            let route = Route { tls, ..Route::by_hosts("out", vec![Pattern::Any], hosts) };
            let asked = requirement(&route, &hop(host, 25), Host::Name("b.example"), vec![]);
            assert_eq!(names(&asked), [exactly(own)]);
            assert_eq!(asked.server_name, own);
        }
    }

    #[test]
    fn what_may_go_in_clear() {
        let fixed = |tls, tls_wrap| {
            let hosts = vec![SmartHost { host: "r.example".into(), port: 25 }];
            Route { tls, tls_wrap, ..Route::by_hosts("out", vec![Pattern::Any], hosts) }
        };
        use TlsPolicy::{None as Off, Opportunistic, Require};
        for (tls, wrap, port, implicit, clear, wanted) in [
            (Off, None, 25, false, true, false),
            (Off, None, 465, false, true, false),
            (Opportunistic, None, 25, false, true, true),
            (Opportunistic, None, 465, true, false, true),
            (Opportunistic, Some(false), 465, false, true, true),
            (Opportunistic, Some(true), 2465, true, false, true),
            (Require, None, 25, false, false, true),
        ] {
            let route = fixed(tls, wrap);
            let asked =
                requirement(&route, &hop("r.example", port), Host::Name("b.example"), vec![]);
            let got = (asked.implicit, asked.allows_clear(), asked.wants_tls());
            assert_eq!(got, (implicit, clear, wanted), "{:?} {wrap:?} {port}", route.tls);
            assert!(!asked.must_verify());
        }
        let mx = Route { tls_wrap: Some(true), ..Route::by_mx("mx", vec![Pattern::Any]) };
        assert!(!mx.implicit_tls(25));
    }

    #[test]
    fn what_is_found_out_tightens_and_never_loosens() {
        let of = |level, origin| Requirement {
            demand: TlsDemand { level, origin },
            implicit: false,
            server_name: "mx.b.example".into(),
            vouchers: Vouchers::Authorities {
                roots: Roots::System,
                names: vec![exactly("mx.b.example")],
            },
        };
        for (tls, found, level, origin) in [
            (TlsPolicy::Opportunistic, vec![], TlsLevel::Opportunistic, TlsOrigin::Route),
            (
                TlsPolicy::Opportunistic,
                vec![of(TlsLevel::Verify, TlsOrigin::Sts), of(TlsLevel::Pinned, TlsOrigin::Dane)],
                TlsLevel::Pinned,
                TlsOrigin::Dane,
            ),
            (
                TlsPolicy::Require,
                vec![of(TlsLevel::Opportunistic, TlsOrigin::Sts)],
                TlsLevel::Require,
                TlsOrigin::Route,
            ),
            (
                verify(vec![]),
                vec![of(TlsLevel::Verify, TlsOrigin::Sts)],
                TlsLevel::Verify,
                TlsOrigin::Route,
            ),
        ] {
            let route = Route { tls, ..Route::by_mx("mx", vec![Pattern::Any]) };
            let hop = hop("mx.b.example", 25);
            let asked = requirement(&route, &hop, Host::Name("b.example"), found);
            assert_eq!(asked.demand, TlsDemand { level, origin });
        }
    }
}
