//! The operator's rules: an ordered list of routes; the first one that matches sends.
//!
//! Plain data. Not here: reading the configuration file (`posthaste::config`), retry and expiry (`queue`).

use crate::addresses::Families;
use crate::domain::to_dns;
use crate::facts::Facts;
use posthaste_mail::Host;
use posthaste_mail::address::parse_literal;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The port of SMTP between hosts (RFC 5321 section 4.5.4.2).
pub const SMTP_PORT: u16 = 25;

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
    /// It matches when one of these does.
    pub to: Vec<Pattern>,
    /// How to send.
    pub action: Action,
    /// Our addresses to connect from, at most one per family used; empty lets the kernel choose.
    pub sources: Vec<IpAddr>,
    /// Private and loopback targets may be connected to.
    pub allow_private: bool,
    /// What to do with 8-bit content when the next hop lacks 8BITMIME.
    pub eight_bit: EightBit,
    /// Address families used, and their order.
    pub families: Families,
}

/// How a route sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// To the domain's mail exchangers (RFC 5321 section 5.1).
    Mx {
        /// Usually [`SMTP_PORT`].
        port: u16,
    },
    /// To fixed hosts, tried in the order given.
    SmartHosts {
        /// Never empty.
        hosts: Vec<SmartHost>,
    },
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

/// What a recipient's domain is matched with. Written `*`, `*.example.org`, `example.org`, `[192.0.2.1]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pattern {
    /// Every domain and every address literal.
    Any,
    /// This domain; as an A-label in lower case.
    Exact(String),
    /// Every domain below this one, not itself; as an A-label in lower case.
    Below(String),
    /// This address literal.
    Literal(IpAddr),
}

/// The text is no pattern; the operator must correct the configuration.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is not a domain pattern; write example.org, *.example.org, [192.0.2.1] or *")]
pub struct PatternError(pub String);

impl Table {
    /// A table of these rules, in order.
    #[must_use]
    pub const fn new(routes: Vec<Route>) -> Self {
        Self { routes }
    }

    /// The first route that matches; `None` is [`Fault::NoRoute`](posthaste_evidence::Fault::NoRoute).
    #[must_use]
    pub fn find(&self, facts: &Facts<'_>) -> Option<(RouteId, &Route)> {
        let target = Target::of(facts.host());
        self.iter().find(|(_, route)| route.to.iter().any(|pattern| target.fits(pattern)))
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
            action: Action::Mx { port: SMTP_PORT },
            sources: Vec::new(),
            allow_private: false,
            eight_bit: EightBit::default(),
            families: Families::default(),
        }
    }

    /// A route to fixed hosts. They may have private addresses: the operator named them.
    #[must_use]
    pub fn by_hosts(name: impl Into<String>, to: Vec<Pattern>, hosts: Vec<SmartHost>) -> Self {
        let action = Action::SmartHosts { hosts };
        Self { action, allow_private: true, ..Self::by_mx(name, to) }
    }

    /// The destination that recipients with this host share: the domain in its DNS form when it is sent by
    /// MX, the fixed hosts otherwise. Together with the route's name it is the key of a queue's destination.
    #[must_use]
    pub fn destination(&self, recipient: Host<'_>) -> String {
        match &self.action {
            Action::Mx { .. } => match recipient {
                Host::Literal(ip) => format!("[{ip}]"),
                Host::Name(name) => to_dns(name).unwrap_or_else(|| name.to_lowercase()),
            },
            Action::SmartHosts { hosts } => {
                let texts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
                texts.join(",")
            }
        }
    }

    /// Our address to connect from towards `peer`: the first of its family.
    #[must_use]
    pub fn source_for(&self, peer: IpAddr) -> Option<IpAddr> {
        self.sources.iter().copied().find(|ip| ip.is_ipv4() == peer.is_ipv4())
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError(text.to_owned());
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.starts_with('[') {
            return parse_literal(text).map(Self::Literal).ok_or_else(wrong);
        }
        let (below, name) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if name.contains(|c: char| c == '*' || c == '@' || c == '/' || c.is_whitespace()) {
            return Err(wrong());
        }
        let name = to_dns(name).ok_or_else(wrong)?;
        Ok(if below { Self::Below(name) } else { Self::Exact(name) })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
            Self::Literal(IpAddr::V4(ip)) => write!(f, "[{ip}]"),
            Self::Literal(IpAddr::V6(ip)) => write!(f, "[IPv6:{ip}]"),
        }
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

/// A recipient's host in the form patterns compare.
enum Target {
    Literal(IpAddr),
    Name(String),
}

impl Target {
    fn of(recipient: Host<'_>) -> Self {
        match recipient {
            Host::Literal(ip) => Self::Literal(ip),
            Host::Name(name) => Self::Name(to_dns(name).unwrap_or_else(|| name.to_lowercase())),
        }
    }

    fn fits(&self, pattern: &Pattern) -> bool {
        match (pattern, self) {
            (Pattern::Any, _) => true,
            (Pattern::Exact(exact), Self::Name(name)) => exact == name,
            (Pattern::Below(parent), Self::Name(name)) => {
                name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            (Pattern::Literal(ip), Self::Literal(target)) => ip == target,
            _ => false,
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
    fn patterns_print_as_they_are_written_and_refuse_the_rest() {
        for text in ["*", "*.example.org", "example.org", "[192.0.2.1]", "[IPv6:2001:db8::1]"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        for wrong in ["", "*.", "**", "*.*.org", "a@b", "[x]", "a b", "mx*.example", ".", "a..b"] {
            assert_eq!(wrong.parse::<Pattern>(), Err(PatternError(wrong.into())));
        }
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
    fn the_source_is_of_the_peers_family() {
        let sources = ["192.0.2.9", "2001:db8::9"].map(|t| t.parse().unwrap()).to_vec();
        let route = Route { sources, ..Route::by_mx("x", vec![Pattern::Any]) };
        let peer = "2001:db8::1".parse().unwrap();
        assert_eq!(route.source_for(peer), Some("2001:db8::9".parse().unwrap()));
        assert_eq!(Route::by_mx("x", Vec::new()).source_for(peer), None);
    }
}
