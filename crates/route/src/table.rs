//! The operator's rules: an ordered list of routes; the first one that matches sends.
//!
//! Plain data. Not here: reading the configuration file (`posthaste::config`), retry and expiry (`queue`).

use crate::addresses::Families;
use crate::domain::to_dns;
use crate::facts::Facts;
use crate::login::Login;
use crate::pattern::{Pattern, Target};
use crate::tls::TlsPolicy;
use crate::when::When;
use posthaste_evidence::NameServer;
use posthaste_mail::{EnhancedStatus, Host};
use std::fmt;
use std::net::IpAddr;

/// The port of SMTP between hosts (RFC 5321 section 4.5.4.2).
pub const SMTP_PORT: u16 = 25;

/// The port of LMTP by custom; RFC 2033 section 5 only says that it must not be 25.
pub const LMTP_PORT: u16 = 24;

/// The ordered rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Table {
    routes: Vec<Route>,
}

/// The place of a route in its table: what queue and delivery remember of it within one configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RouteId(pub u32);

/// One rule: which recipients, and how to send to them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// What the operator calls it; unique in its table.
    pub name: String,
    /// It matches when one of these does, and [`Self::when`] holds.
    pub to: Vec<Pattern>,
    /// What else must be so.
    pub when: When,
    /// What is done.
    pub action: Action,
    /// Our addresses to connect from, over which connections are spread, each family by itself; a family without
    /// one is left to the kernel.
    pub sources: Vec<IpAddr>,
    /// What we say in EHLO; `None` for our host name.
    pub ehlo: Option<String>,
    /// DNS servers that are asked instead of the common ones; empty for those.
    pub resolvers: Vec<NameServer>,
    /// The largest message it sends, octets; larger mail fails.
    pub message_size: Option<u64>,
    /// Private and loopback targets may be connected to.
    pub allow_private: bool,
    /// What to do with 8-bit content when the next hop lacks 8BITMIME.
    pub eight_bit: EightBit,
    /// Address families used, and their order.
    pub families: Families,
    /// How we log in at its fixed hosts; `None`: not at all.
    pub auth: Option<Login>,
    /// What TLS is demanded of next hops.
    pub tls: TlsPolicy,
    /// Whether TLS begins with the first octet at fixed hosts; `None`: at port 465.
    pub tls_wrap: Option<bool>,
}

/// What a route does with mail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// To the domain's mail exchangers (RFC 5321 section 5.1).
    Mx {
        /// Usually [`SMTP_PORT`].
        port: u16,
    },
    /// To fixed hosts.
    SmartHosts {
        /// Never empty.
        hosts: Vec<SmartHost>,
        /// Which of them is tried first.
        order: Order,
        /// What they speak.
        protocol: Protocol,
    },
    /// Nowhere: its recipients are removed without a notice, and the event log says so.
    Discard,
    /// Nowhere: it fails, and its sender is told this.
    Fail {
        /// Of class 5.
        status: EnhancedStatus,
        /// In the operator's words.
        text: String,
    },
    /// Nowhere yet: it waits until the rules change.
    Hold,
}

/// In which order fixed hosts are tried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Order {
    /// As listed: the second one only when the first is of no use.
    #[default]
    AsListed,
    /// Each connection draws lots: the load is spread over all.
    Shared,
}

/// What fixed hosts speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Protocol {
    /// RFC 5321.
    #[default]
    Smtp,
    /// RFC 2033: mail stores that answer for each recipient by itself.
    Lmtp,
}

/// A fixed next hop. Its addresses are looked up; its MX records are not.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SmartHost {
    /// A host name, or an address in text with or without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// What to do with 8-bit content when the next hop lacks 8BITMIME (RFC 6152 section 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EightBit {
    /// Send it all the same: practically every host takes it.
    #[default]
    SendAsIs,
    /// Fail with 5.6.3.
    Fail,
}

impl Table {
    /// A table of these rules, in order.
    #[must_use]
    pub const fn new(routes: Vec<Route>) -> Self {
        Self { routes }
    }

    /// The first route that matches; `None` is [`Fault::NoRoute`](posthaste_evidence::Fault::NoRoute).
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<(RouteId, &Route)> {
        let mut target = Target::of(facts.recipient);
        self.iter().find(|(_, route)| {
            route.to.iter().any(|pattern| target.fits(pattern)) && route.when.holds(facts)
        })
    }

    /// The route with this place.
    #[must_use]
    pub fn get(&self, id: RouteId) -> Option<&Route> {
        self.routes.get(id.0 as usize)
    }

    /// The route with this name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<(RouteId, &Route)> {
        self.iter().find(|(_, route)| route.name == name)
    }

    /// All routes in order.
    pub fn iter(&self) -> impl Iterator<Item = (RouteId, &Route)> {
        (0u32..).map(RouteId).zip(&self.routes)
    }
}

impl Default for Table {
    /// Everything by MX on port 25.
    fn default() -> Self {
        Self::new(vec![Route::by_mx("default", vec![Pattern::Any])])
    }
}

impl Route {
    /// A route by MX on port 25 with the usual options.
    #[must_use]
    pub fn by_mx(name: impl Into<String>, to: Vec<Pattern>) -> Self {
        Self {
            name: name.into(),
            to,
            when: When::default(),
            action: Action::Mx { port: SMTP_PORT },
            sources: Vec::new(),
            ehlo: None,
            resolvers: Vec::new(),
            message_size: None,
            allow_private: false,
            eight_bit: EightBit::default(),
            families: Families::default(),
            auth: None,
            tls: TlsPolicy::default(),
            tls_wrap: None,
        }
    }

    /// A route to fixed hosts in this order. They may have private addresses: the operator named them.
    #[must_use]
    pub fn by_hosts(name: impl Into<String>, to: Vec<Pattern>, hosts: Vec<SmartHost>) -> Self {
        let action = Action::SmartHosts { hosts, order: Order::AsListed, protocol: Protocol::Smtp };
        Self { action, allow_private: true, ..Self::by_mx(name, to) }
    }

    /// The destination that recipients with this host share: the fixed hosts where there are any, else the domain
    /// in its DNS form. Together with the route's name it is the key of a queue's destination.
    #[must_use]
    pub fn destination(&self, recipient: Host<'_>) -> String {
        match &self.action {
            Action::SmartHosts { hosts, .. } => {
                let texts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                texts.join(",")
            }
            _ => match recipient {
                Host::Literal(ip) => format!("[{ip}]"),
                Host::Name(name) => to_dns(name).unwrap_or_else(|| name.to_lowercase()),
            },
        }
    }

    /// Our address to connect from towards `peer`: of those of its family the one that `draw` falls on.
    #[must_use]
    pub fn source_for(&self, peer: IpAddr, draw: u64) -> Option<IpAddr> {
        let of_family = || self.sources.iter().filter(|ip| ip.is_ipv4() == peer.is_ipv4());
        let place = draw.checked_rem(of_family().count() as u64)?;
        of_family().nth(usize::try_from(place).unwrap_or(0)).copied()
    }

    /// Mail leaves this machine by it; otherwise no connection is made and no DNS is asked.
    #[must_use]
    pub const fn sends(&self) -> bool {
        matches!(self.action, Action::Mx { .. } | Action::SmartHosts { .. })
    }

    /// What is spoken to its next hops.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self.action {
            Action::SmartHosts { protocol, .. } => protocol,
            _ => Protocol::Smtp,
        }
    }

    /// What decides how a host is reached is the same: mail that waits for one route would wait for the other.
    #[must_use]
    pub fn same_path(&self, other: &Self) -> bool {
        let path = |r: &Self| {
            let (order, families) = (r.sources.clone(), r.families);
            (
                r.action.clone(),
                order,
                r.ehlo.clone(),
                r.resolvers.clone(),
                r.allow_private,
                families,
                (r.tls.clone(), r.tls_wrap, r.auth.clone()),
            )
        };
        path(self) == path(other)
    }
}

impl fmt::Display for SmartHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare_v6 = self.host.contains(':') && !self.host.starts_with('[');
        match bare_v6 {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_mail::{Mailbox, ReversePath};

    fn to(address: &str) -> Mailbox {
        Mailbox::parse(address, true).unwrap()
    }

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn the_first_route_that_matches_sends() {
        let table = Table::new(vec![
            Route::by_mx("exact", patterns(&["example.org", "münchen.de"])),
            Route::by_mx("below", patterns(&["*.example.org"])),
            Route::by_mx("literal", patterns(&["[192.0.2.1]"])),
            Route::by_mx("rest", patterns(&["*"])),
        ]);
        for (host, expected) in [
            ("EXAMPLE.org", "exact"),
            ("xn--mnchen-3ya.de", "exact"),
            ("MÜNCHEN.de", "exact"),
            ("a.b.example.org", "below"),
            ("badexample.org", "rest"),
            ("[192.0.2.1]", "literal"),
            ("[192.0.2.2]", "rest"),
        ] {
            let to = to(&format!("x@{host}"));
            let (id, route) = table.find(&Facts::between(&ReversePath::Null, &to)).unwrap();
            assert_eq!(route.name, expected, "{host}");
            assert_eq!(table.get(id), Some(route));
            assert_eq!(table.by_name(expected), Some((id, route)));
        }
        let narrow = Table::new(vec![Route::by_mx("exact", patterns(&["example.org"]))]);
        let to = to("x@example.net");
        assert_eq!(narrow.find(&Facts::between(&ReversePath::Null, &to)), None);
    }

    #[test]
    fn the_default_sends_everything_by_mx() {
        let table = Table::default();
        let to = to("x@anything.example");
        let (_, route) = table.find(&Facts::between(&ReversePath::Null, &to)).unwrap();
        assert_eq!(route.action, Action::Mx { port: SMTP_PORT });
        assert!(!route.allow_private);
    }

    #[test]
    fn recipients_behind_one_smart_host_share_a_destination() {
        let mx = Route::by_mx("mx", vec![Pattern::Any]);
        assert_eq!(mx.destination(Host::Name("MÜNCHEN.de")), "xn--mnchen-3ya.de");
        assert_eq!(mx.destination(Host::Literal("192.0.2.1".parse().unwrap())), "[192.0.2.1]");
        let hosts = [("relay.example", 587), ("2001:db8::1", 25), ("[192.0.2.1]", 25)];
        let hosts =
            hosts.map(|(host, port)| SmartHost { host: host.into(), port }).into_iter().collect();
        let smart = Route::by_hosts("smart", vec![Pattern::Any], hosts);
        for name in ["a.example", "b.example"] {
            let destination = smart.destination(Host::Name(name));
            assert_eq!(destination, "relay.example:587,[2001:db8::1]:25,[192.0.2.1]:25");
        }
        assert!(smart.allow_private);
    }

    #[test]
    fn the_source_is_of_the_peers_family_and_all_of_them_are_used() {
        let sources = ["192.0.2.8", "2001:db8::9", "192.0.2.9"].map(|t| t.parse().unwrap());
        let route = Route { sources: sources.to_vec(), ..Route::by_mx("x", vec![Pattern::Any]) };
        let v6 = "2001:db8::1".parse().unwrap();
        let v4 = "192.0.2.1".parse().unwrap();
        for (draw, of_v4) in
            [(0, sources[0]), (1, sources[2]), (2, sources[0]), (u64::MAX, sources[2])]
        {
            assert_eq!(route.source_for(v4, draw), Some(of_v4));
            assert_eq!(route.source_for(v6, draw), Some(sources[1]));
        }
        assert_eq!(Route::by_mx("x", Vec::new()).source_for(v6, 7), None);
    }

    #[test]
    fn a_path_is_what_decides_how_a_host_is_reached() {
        let route = || Route::by_mx("x", vec![Pattern::Any]);
        let other = |change: fn(&mut Route)| {
            let mut changed = route();
            change(&mut changed);
            changed
        };
        for (changed, same) in [
            (other(|r| r.to.clear()), true),
            (other(|r| r.message_size = Some(1)), true),
            (other(|r| r.eight_bit = EightBit::Fail), true),
            (other(|r| r.sources = vec!["192.0.2.9".parse().unwrap()]), false),
            (
                other(|r| {
                    r.resolvers =
                        vec!["192.0.2.9:53".parse::<std::net::SocketAddr>().unwrap().into()]
                }),
                false,
            ),
            (other(|r| r.ehlo = Some("out.example".into())), false),
            (other(|r| r.families = Families::OnlyV4), false),
            (other(|r| r.tls = TlsPolicy::Require), false),
            (other(|r| r.tls_wrap = Some(true)), false),
            (other(|r| r.action = Action::Mx { port: 2525 }), false),
        ] {
            assert_eq!(route().same_path(&changed), same, "{changed:?}");
        }
    }
}
