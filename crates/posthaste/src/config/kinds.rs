//! The kinds of value that only mail has: host names, networks, patterns of domains, next hops, retry steps.
//!
//! Not here: strings, numbers, durations (`setting`).

use super::setting::{Setting, Text, Wrong, quote, string, wrong, wrong_type};
use posthaste_admin::units::parse_duration;
use posthaste_mail::EnhancedStatus;
use posthaste_mail::address::{check_domain_name, parse_literal};
use posthaste_queue::schedule::Step;
use posthaste_reception::{Network, NetworkError};
use posthaste_route::{Pattern, Sender, SmartHost};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// A domain name, in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Domain(pub(crate) String);

/// How a route sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Via {
    /// To the mail exchangers of the recipient's domain.
    Mx,
    /// To fixed hosts.
    Hosts(Vec<NextHop>),
    /// Nowhere: removed without a notice.
    Discard,
    /// Nowhere: failed with a notice.
    Fail,
    /// Nowhere yet.
    Hold,
}

/// A duration, or never: written `"off"` or 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub(crate) struct OrOff(pub(crate) Duration);

/// A fixed next hop; without a port it has the route's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NextHop {
    /// A name, or an address in text without brackets.
    pub(crate) host: String,
    /// Its own port.
    pub(crate) port: Option<u16>,
}

/// Where the read-only interface listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AdminAddress {
    /// Nowhere.
    Off,
    /// Here; always loopback.
    At(SocketAddr),
}

impl Setting for OrOff {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str = "a duration such as \"30 min\" or \"4h\", or \"off\"";
        if value.get_ref().as_integer().is_some_and(|number| number.as_str() == "0") {
            return Ok(Self(Duration::ZERO));
        }
        let text = string(value, EXPECTED)?;
        if text == "off" {
            return Ok(Self(Duration::ZERO));
        }
        let read = parse_duration(text).map(Self);
        read.map_err(|why| wrong(value, format!("{why}; expected {EXPECTED}")))
    }

    fn show(&self) -> String {
        if self.0.is_zero() { quote("off") } else { self.0.show() }
    }
}

impl Text for Domain {
    const EXPECTED: &'static str = "a domain name such as \"mail.example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        check_domain_name(text).map_err(|_| format!("\"{text}\" is not a domain name"))?;
        Ok(Self(text.to_lowercase()))
    }

    fn to_text(&self) -> String {
        self.0.clone()
    }
}

impl Text for Network {
    const EXPECTED: &'static str = "a network such as \"192.0.2.0/24\" or \"2001:db8::/32\"";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: NetworkError| format!("\"{text}\": {error}"))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Text for Pattern {
    const EXPECTED: &'static str = "\"example.org\", \"*.example.org\", \"[192.0.2.1]\", \"*\" or \"user@\" before one of these";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("\"{text}\" is not a pattern of addresses"))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

impl Text for Sender {
    const EXPECTED: &'static str =
        "\"example.org\", \"*.example.org\", \"user@example.org\", \"*\", or \"<>\" for notices";

    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| format!("\"{text}\" is not a pattern of senders"))
    }

    fn to_text(&self) -> String {
        self.to_string()
    }
}

/// The enhanced status of a failure that the operator decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FailureStatus(pub(crate) EnhancedStatus);

impl Text for FailureStatus {
    const EXPECTED: &'static str = "an enhanced status of class 5 such as \"5.7.1\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let status = EnhancedStatus::split(text.as_bytes());
        let status = status.filter(|(status, rest)| status.class == 5 && rest.is_empty());
        status
            .map(|(status, _)| Self(status))
            .ok_or_else(|| format!("\"{text}\" is not a permanent status"))
    }

    fn to_text(&self) -> String {
        self.0.to_string()
    }
}

impl NextHop {
    /// With the route's port where it has none.
    pub(crate) fn with_port(&self, default: u16) -> SmartHost {
        SmartHost { host: self.host.clone(), port: self.port.unwrap_or(default) }
    }
}

impl Text for NextHop {
    const EXPECTED: &'static str = "a next hop such as \"relay.example.org\", \"relay.example.org:587\" or \"[192.0.2.1]:2526\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not a next hop");
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self { host: ip.to_string(), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port {
            Some(digits) => match digits.parse::<u16>() {
                Ok(port) if port > 0 => Some(port),
                _ => return Err(format!("\"{digits}\" is not a port")),
            },
            None => None,
        };
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(inner) => inner
                .parse::<IpAddr>()
                .ok()
                .or_else(|| parse_literal(host))
                .ok_or_else(wrong)?
                .to_string(),
            None => Domain::from_text(host).map_err(|_| wrong())?.0,
        };
        Ok(Self { host, port })
    }

    fn to_text(&self) -> String {
        let host = if self.host.parse::<IpAddr>().is_ok() {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        self.port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
    }
}

impl Via {
    /// What may stand instead of next hops.
    pub(super) const WORDS: [(&'static str, Self); 4] =
        [("mx", Self::Mx), ("discard", Self::Discard), ("fail", Self::Fail), ("hold", Self::Hold)];
}

impl Setting for Via {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str = "\"mx\", \"discard\", \"fail\", \"hold\" or a list of next hops such as [\"relay.example.org:25\"]";
        let word = |text: &str| {
            let named = Self::WORDS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name));
            named.map(|(_, via)| via.clone())
        };
        match value.get_ref() {
            DeValue::String(text) if word(text).is_some() => {
                word(text).ok_or_else(|| wrong(value, format!("expected {EXPECTED}")))
            }
            DeValue::Array(array) if array.is_empty() => {
                Err(wrong(value, format!("the list is empty; expected {EXPECTED}")))
            }
            DeValue::Array(_) | DeValue::String(_) => Vec::read(value).map(Self::Hosts),
            _ => Err(wrong_type(value, EXPECTED)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Hosts(hosts) => hosts.show(),
            word => {
                let named = Self::WORDS.iter().find(|(_, via)| via == word);
                quote(named.map_or("", |(name, _)| name))
            }
        }
    }
}

impl Text for AdminAddress {
    const EXPECTED: &'static str =
        "a loopback address and port such as \"127.0.0.1:2580\", or \"off\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address: SocketAddr =
            text.parse().map_err(|_| format!("\"{text}\" is not an address and port"))?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "{} is not a loopback address, and this interface has no passwords yet",
                address.ip()
            ));
        }
        Ok(Self::At(address))
    }

    fn to_text(&self) -> String {
        match self {
            Self::Off => "off".to_owned(),
            Self::At(address) => address.to_string(),
        }
    }
}

impl Setting for Step {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str = "a step such as { times = 4, every = \"1 min\" }";
        let DeValue::Table(table) = value.get_ref() else {
            return Err(wrong_type(value, EXPECTED));
        };
        if let Some((key, _)) =
            table.iter().find(|(k, _)| !["times", "every"].contains(&k.get_ref().as_ref()))
        {
            let what = format!("unknown setting `{}`; expected {EXPECTED}", key.get_ref());
            return Err(Wrong { span: key.span(), what });
        }
        let missing = |key| wrong(value, format!("`{key}` is missing; expected {EXPECTED}"));
        let times = u32::read(table.get("times").ok_or_else(|| missing("times"))?)?;
        let every = Setting::read(table.get("every").ok_or_else(|| missing("every"))?)?;
        Ok(Self { times, every })
    }

    fn show(&self) -> String {
        format!("{{ times = {}, every = {} }}", self.times, self.every.show())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_hops_are_written_in_many_ways() {
        for (text, host, port, shown) in [
            ("Relay.example.org", "relay.example.org", None, "relay.example.org"),
            ("relay.example.org:587", "relay.example.org", Some(587), "relay.example.org:587"),
            ("192.0.2.1:2526", "192.0.2.1", Some(2526), "[192.0.2.1]:2526"),
            ("[192.0.2.1]:2526", "192.0.2.1", Some(2526), "[192.0.2.1]:2526"),
            ("[192.0.2.1]", "192.0.2.1", None, "[192.0.2.1]"),
            ("2001:db8::1", "2001:db8::1", None, "[2001:db8::1]"),
            ("[2001:db8::1]:25", "2001:db8::1", Some(25), "[2001:db8::1]:25"),
            ("[IPv6:2001:db8::1]", "2001:db8::1", None, "[2001:db8::1]"),
        ] {
            let hop = NextHop::from_text(text).expect(text);
            assert_eq!(hop, NextHop { host: host.into(), port }, "{text}");
            assert_eq!(hop.to_text(), shown);
            assert_eq!(NextHop::from_text(shown), Ok(hop));
        }
        for text in ["", "a b", "host:0", "host:x", "[nonsense]:25", "[::1", "a@b"] {
            assert!(NextHop::from_text(text).is_err(), "{text}");
        }
    }
}
