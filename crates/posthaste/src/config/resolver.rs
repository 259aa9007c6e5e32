//! `[resolver]`: which DNS servers are asked, and how. The forms of a server are those of a route's `resolvers` too.
//!
//! Not here: `/etc/resolv.conf` (`posthaste_dns::resolv_conf`), what becomes of the settings (`lower`).

use super::care;
use super::read::{Preset, Section};
use super::routes::RouteRule;
use super::send::count;
use super::setting::{Setting, Size, Text, Wrong, quote, wrong, wrong_type};
use super::tls_roots::TlsRoots;
use posthaste_dns::settings::DNS_PORT;
use posthaste_evidence::NameServer;
use posthaste_mail::address::check_domain_name;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use toml::Spanned;
use toml::de::DeValue;

/// Servers of one list.
const MAX_SERVERS: usize = posthaste_dns::servers::MAX_SERVERS;
/// Root servers; there are 26 addresses of them in the world.
const MAX_ROOTS: usize = 64;
/// Addresses whose word about DNSSEC is believed.
const MAX_TRUSTED: usize = 64;
/// The port of DNS over TLS (RFC 7858 section 3.1).
pub(super) const DNS_OVER_TLS_PORT: u16 = 853;
const OVER_TLS: &str = "tls://";
const RESOLV_CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";
const SMALLEST_CACHE: Size = Size(1 << 20);
const LARGEST_CACHE: Size = Size(64 << 30);
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const NOT_UNLESS_SYSTEM: &str = "false, unless resolv.conf says otherwise";

/// DNS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Resolver {
    pub(crate) servers: Servers,
    /// Where the servers of the system stand.
    pub(crate) resolv_conf: PathBuf,
    /// Looked into for named next hops.
    pub(crate) hosts_file: HostsFile,
    /// Asked only when every one of `servers` has failed.
    pub(crate) fallback: Vec<Server>,
    /// Their AD bit is believed; that of loopback is without being named.
    pub(crate) trusted: Vec<IpAddr>,
    pub(crate) roots: Roots,
    /// `None`: as resolv.conf says when its servers are asked, else the default. So for `tries`, `rotate`, `tcp_only`.
    pub(crate) try_limit: Option<Duration>,
    pub(crate) total_limit: Duration,
    pub(crate) race_after: Duration,
    pub(crate) tries: Option<usize>,
    pub(crate) rotate: Option<bool>,
    pub(crate) tcp_only: Option<bool>,
    /// Whose word is believed for the certificates of servers with tls://.
    pub(crate) tls_roots: TlsRoots,
    pub(crate) stale_for: Duration,
    pub(crate) cache_entries: usize,
    /// Octets.
    pub(crate) cache_size: usize,
}

/// Which DNS servers are asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Servers {
    /// Those of the system, as `resolv_conf` names them.
    System,
    /// These, the preferred one first.
    These(Vec<Server>),
}

/// A DNS server as it is written, before [`Server::believed`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Server(pub(crate) NameServer);

/// Where walking from the root begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Roots {
    /// At the root servers of the Internet.
    BuiltIn,
    /// At these; with none, nothing is walked.
    These(Vec<Root>),
}

/// The hosts file, or none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HostsFile(pub(crate) Option<PathBuf>);

/// A server of the root zone: asked by UDP and TCP only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Root(pub(crate) SocketAddr);

pub(super) fn read(section: Section<'_, '_>, routes: &[RouteRule]) -> Resolver {
    let base = posthaste_dns::Settings::default();
    let resolver = Resolver {
        servers: section.take("servers", Servers::System),
        resolv_conf: section.take("resolv_conf", PathBuf::from(RESOLV_CONF)),
        hosts_file: section.take("hosts_file", HostsFile(Some(PathBuf::from(HOSTS)))),
        fallback: section.take("fallback", Preset::because(Vec::new(), "none")),
        trusted: section.take("trusted", Preset::because(Vec::new(), "those on loopback only")),
        roots: section.take("roots", Roots::BuiltIn),
        try_limit: or_system(
            &section,
            "try_limit",
            SECOND / 10..=MINUTE,
            "3s, unless resolv.conf says otherwise",
        ),
        total_limit: section.take_in("total_limit", base.total_limit, SECOND..=5 * MINUTE),
        race_after: section.take_in("race_after", base.race_after, MILLISECOND * 20..=MINUTE),
        tries: or_system::<u32>(&section, "tries", 1..=10, "2, unless resolv.conf says otherwise")
            .map(|tries| tries as usize),
        rotate: section.take_optional("rotate", NOT_UNLESS_SYSTEM),
        tcp_only: section.take_optional("tcp_only", NOT_UNLESS_SYSTEM),
        tls_roots: section.take("tls_roots", TlsRoots::System),
        stale_for: section.take_in("stale_for", base.stale_for, Duration::ZERO..=DAY),
        cache_size: octets(&section, base.cache_octets),
        cache_entries: count(&section, "cache_entries", base.cache_entries, 10_000_000),
    };
    check(&section, &resolver);
    care::resolver(&section, &resolver, routes);
    section.finish();
    resolver
}

/// What the cache may take.
fn octets(section: &Section<'_, '_>, preset: usize) -> usize {
    let preset = Size(u64::try_from(preset).unwrap_or(u64::MAX));
    let Size(octets) = section.take_in("cache_size", preset, SMALLEST_CACHE..=LARGEST_CACHE);
    usize::try_from(octets).unwrap_or(usize::MAX)
}

/// A setting that resolv.conf may have too; `why` is shown where the file does not have it.
fn or_system<T: Setting + PartialOrd + Clone>(
    section: &Section<'_, '_>,
    key: &'static str,
    range: RangeInclusive<T>,
    why: &'static str,
) -> Option<T> {
    if !section.has(key) {
        return section.take_optional(key, why);
    }
    Some(section.take_in(key, range.start().clone(), range))
}

fn check(section: &Section<'_, '_>, resolver: &Resolver) {
    let named = match &resolver.servers {
        Servers::System => 0,
        Servers::These(servers) => servers.len(),
    };
    let roots = match &resolver.roots {
        Roots::BuiltIn => 0,
        Roots::These(roots) => roots.len(),
    };
    for (key, count, most) in [
        ("servers", named, MAX_SERVERS),
        ("fallback", resolver.fallback.len(), MAX_SERVERS),
        ("roots", roots, MAX_ROOTS),
        ("trusted", resolver.trusted.len(), MAX_TRUSTED),
    ] {
        if count > most {
            section.complain(key, format!("`resolver.{key}` has more than {most} servers"));
        }
    }
    if resolver.try_limit.is_some_and(|limit| limit > resolver.total_limit) {
        let what = "`resolver.try_limit` must not be over `resolver.total_limit`";
        section.complain("try_limit", what);
    }
}

impl Server {
    /// The server, its AD bit believed when it is on loopback or among `trusted`.
    pub(crate) fn believed(&self, trusted: &[IpAddr]) -> NameServer {
        let ip = self.0.address.ip().to_canonical();
        let trusted =
            self.0.trusted || ip.is_loopback() || trusted.iter().any(|t| t.to_canonical() == ip);
        NameServer { trusted, ..self.0.clone() }
    }
}

impl Text for Server {
    const EXPECTED: &'static str = "a DNS server such as \"192.0.2.1\", \"127.0.0.1:5353\" or \"tls://192.0.2.1#dns.example.org\"";

    fn from_text(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix(OVER_TLS) else {
            if text.contains("://") {
                return Err(format!("\"{text}\": only tls:// may stand before an address"));
            }
            if text.contains('#') {
                return Err(format!("\"{text}\": a name after # is for servers with tls://"));
            }
            return Ok(Self(address(text, DNS_PORT)?.into()));
        };
        let (place, name) = match rest.split_once('#') {
            Some((place, name)) => (place, Some(name)),
            None => (rest, None),
        };
        let address = address(place, DNS_OVER_TLS_PORT)?;
        let name = match name {
            None => address.ip().to_string(),
            Some(name) => check_domain_name(name)
                .map(|()| name.to_ascii_lowercase())
                .map_err(|_| format!("\"{name}\" is not the name of a server"))?,
        };
        Ok(Self(NameServer { tls: Some(name), ..address.into() }))
    }

    fn to_text(&self) -> String {
        let address = self.0.address;
        match &self.0.tls {
            None => address.to_string(),
            Some(name) if *name == address.ip().to_string() => format!("{OVER_TLS}{address}"),
            Some(name) => format!("{OVER_TLS}{address}#{name}"),
        }
    }
}

impl Text for HostsFile {
    const EXPECTED: &'static str = "a path such as \"/etc/hosts\", or \"off\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        if !text.starts_with('/') {
            return Err(format!("\"{text}\" is not a path that begins with /"));
        }
        Ok(Self(Some(PathBuf::from(text))))
    }

    fn to_text(&self) -> String {
        self.0.as_ref().map_or_else(|| "off".to_owned(), |path| path.display().to_string())
    }
}

impl Text for Root {
    const EXPECTED: &'static str =
        "the address of a root server such as \"192.0.2.1\" or \"[2001:db8::1]:53\"";

    fn from_text(text: &str) -> Result<Self, String> {
        address(text, DNS_PORT).map(Self)
    }

    fn to_text(&self) -> String {
        self.0.to_string()
    }
}

/// An address with or without port.
fn address(text: &str, default: u16) -> Result<SocketAddr, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address =
        text.parse().or_else(|_| bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, default)));
    let address: SocketAddr = address.map_err(|_| format!("\"{text}\" is not an address"))?;
    if address.ip().is_unspecified() || address.ip().is_multicast() || address.port() == 0 {
        return Err(format!("nobody can be asked at \"{text}\""));
    }
    Ok(address)
}

impl Setting for Servers {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str = "\"system\" or a list of addresses such as [\"192.0.2.1:53\"]";
        match value.get_ref() {
            DeValue::String(text) if text.as_ref() == "system" => Ok(Self::System),
            DeValue::Array(array) if array.is_empty() => {
                Err(wrong(value, format!("the list is empty; expected {EXPECTED}")))
            }
            DeValue::Array(_) | DeValue::String(_) => Vec::read(value).map(Self::These),
            _ => Err(wrong_type(value, EXPECTED)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::System => quote("system"),
            Self::These(servers) => servers.show(),
        }
    }
}

impl Setting for Roots {
    fn read(value: &Spanned<DeValue<'_>>) -> Result<Self, Wrong> {
        const EXPECTED: &str =
            "\"built-in\" or a list of addresses such as [\"192.0.2.1\"]; [] never walks";
        match value.get_ref() {
            DeValue::String(text) if text.as_ref() == "built-in" => Ok(Self::BuiltIn),
            DeValue::Array(_) | DeValue::String(_) => Vec::read(value).map(Self::These),
            _ => Err(wrong_type(value, EXPECTED)),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::BuiltIn => quote("built-in"),
            Self::These(roots) => roots.show(),
        }
    }
}
