//! What a `[[route]]` demands of TLS: `tls`, `tls_names`, `tls_roots`, `tls_pins`, `tls_wrap`.
//!
//! Not here: what that comes to for one host (`posthaste_route::tls`).

use super::kinds::{NextHop, Via};
use super::read::{Preset, Section};
use super::routes::RouteRule;
use super::setting::{Text, Word};
use super::tls_roots::TlsRoots;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use posthaste_route::domain::{address_in_text, to_dns};
use posthaste_route::tls::IMPLICIT_TLS_PORT;
use posthaste_route::{Login, NameRule, Pattern, Roots, TlsPolicy, is_private};

/// Names, and keys, of one route.
const MAX_NAMES: usize = 64;
/// Stands for the host's own name.
const HOSTNAME: &str = "hostname";
/// Ports where TLS begins with STARTTLS (RFC 5321, RFC 6409).
const CLEAR_PORTS: [u16; 2] = [25, 587];

/// What the file says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct RouteTls {
    level: Level,
    names: Vec<Name>,
    roots: TlsRoots,
    pins: Vec<Pin>,
    wrap: Option<bool>,
}

impl RouteTls {
    /// Whose word is believed.
    pub(super) const fn roots(&self) -> &TlsRoots {
        &self.roots
    }
}

/// The word of `tls`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Level {
    None,
    Opportunistic,
    Require,
    Verify,
}

/// A name that a certificate may be for.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Name(NameRule);

/// SHA-256 of the SPKI of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Pin([u8; 32]);

/// Takes the settings of a route.
pub(crate) fn read(section: &Section<'_, '_>, via: &Via, auth: Option<&Login>) -> RouteTls {
    let pinned = !section.strings("tls_pins").is_empty();
    let level = match auth {
        _ if pinned => Preset::because(Level::Verify, "since keys are pinned"),
        Some(Login { in_clear: false, .. }) if matches!(via, Via::Hosts(_)) => {
            Preset::because(Level::Verify, "because of auth: nobody in between gets the password")
        }
        Some(_) => Preset::because(Level::Opportunistic, "because of auth_in_clear"),
        None => Preset::from(Level::Opportunistic),
    };
    let usual = match via {
        Via::Hosts(_) => "the host as `via` has it",
        _ => "the recipient's domain, and names below it",
    };
    RouteTls {
        level: section.take("tls", level),
        names: section.take("tls_names", Preset::because(Vec::new(), usual)),
        roots: section.take("tls_roots", TlsRoots::System),
        pins: section.take("tls_pins", Preset::because(Vec::new(), "none")),
        wrap: section.take_optional("tls_wrap", "at port 465 of fixed next hops"),
    }
}

impl RouteTls {
    /// What the route demands.
    pub(crate) fn policy(&self) -> TlsPolicy {
        match self.level {
            Level::None => TlsPolicy::None,
            Level::Opportunistic => TlsPolicy::Opportunistic,
            Level::Require => TlsPolicy::Require,
            Level::Verify if self.pins.is_empty() => TlsPolicy::Verify {
                names: self.names.iter().map(|name| name.0.clone()).collect(),
                roots: match &self.roots {
                    TlsRoots::System => Roots::System,
                    TlsRoots::File { text, .. } => Roots::Given(text.clone()),
                },
            },
            Level::Verify => {
                TlsPolicy::Pinned { keys: self.pins.iter().map(|pin| pin.0).collect() }
            }
        }
    }

    /// Whether TLS begins with the first octet, where the file says so.
    pub(crate) const fn wrap(&self) -> Option<bool> {
        self.wrap
    }

    /// It says something else than is usual.
    pub(crate) fn is_set(&self) -> bool {
        self.level != Level::Opportunistic
    }
}

/// What contradicts itself, or is hardly meant.
pub(crate) fn check(section: &Section<'_, '_>, rule: &RouteRule) {
    let tls = &rule.tls;
    let verifies = tls.level == Level::Verify && tls.pins.is_empty();
    let set = [("tls_names", !tls.names.is_empty()), ("tls_roots", tls.roots != TlsRoots::System)];
    for (key, is_set) in set {
        if is_set && !verifies {
            let what = match tls.pins.is_empty() {
                true => "is of no effect: nothing is verified; write tls = \"verify\"",
                false => {
                    "contradicts `tls_pins`: a pinned key is believed whatever its certificate says; leave one of them out"
                }
            };
            section.complain(key, format!("`route.{key}` {what}"));
        }
    }
    if !tls.pins.is_empty() && tls.level != Level::Verify {
        let what = "`route.tls` contradicts `tls_pins`: nothing goes to a host without one of the pinned keys; leave `tls` out";
        section.complain("tls", what);
    }
    for (key, count) in [("tls_names", tls.names.len()), ("tls_pins", tls.pins.len())] {
        if count > MAX_NAMES {
            section.complain(key, format!("`route.{key}` has more than {MAX_NAMES} elements"));
        }
    }
    check_auth(section, rule);
    check_wrap(section, rule);
    let everybody = rule.via == Via::Mx && rule.to.contains(&Pattern::Any);
    if everybody && verifies && tls.names.is_empty() {
        let what = "`route.tls`: by MX a certificate must be for the recipient's domain, and those of most providers are \
                    for their own names: much mail will wait; name the domains in `to`, or what is known in `tls_names`";
        section.warn("tls", what);
    }
}

/// A password goes to nobody but the next hop, unless the operator says otherwise.
fn check_auth(section: &Section<'_, '_>, rule: &RouteRule) {
    let (Some(login), Via::Hosts(hosts)) = (&rule.auth, &rule.via) else { return };
    let is_near = |hop: &NextHop| address_in_text(&hop.host).is_some_and(is_private);
    let what = match rule.tls.level {
        Level::Require | Level::Verify => return,
        // It goes nowhere else.
        _ if login.in_clear && hosts.iter().all(is_near) => return,
        Level::None if !login.in_clear => {
            let what = "`route.tls` is \"none\", and nobody logs in without TLS: write tls = \"verify\", or auth_in_clear = \
                        true for next hops on this machine or with a private address";
            section.complain("tls", what);
            return;
        }
        Level::None => {
            "with tls = \"none\" `route.auth` is of use only where the next hop has a private address; write tls = \"verify\""
        }
        Level::Opportunistic => {
            "`route.auth` with tls = \"opportunistic\": whoever stands in between with a certificate of his own gets the \
             password; write tls = \"verify\""
        }
    };
    section.warn(if section.has("tls") { "tls" } else { "auth" }, what);
}

fn check_wrap(section: &Section<'_, '_>, rule: &RouteRule) {
    let (wrap, level) = (rule.tls.wrap, rule.tls.level);
    let Via::Hosts(hosts) = &rule.via else {
        if wrap.is_some() {
            section.complain("tls_wrap", "`route.tls_wrap` is for fixed next hops");
        }
        return;
    };
    if wrap == Some(true) && level == Level::None {
        let what =
            "`route.tls_wrap` contradicts tls = \"none\": without TLS nothing can begin with it";
        section.complain("tls_wrap", what);
        return;
    }
    for hop in hosts.iter().map(|hop| hop.with_port(rule.port)) {
        if level == Level::None && hop.port == IMPLICIT_TLS_PORT {
            let what = format!(
                "`route.tls` is \"none\", and {hop} expects TLS with the first octet (RFC 8314): nothing will be understood"
            );
            section.warn("tls", what);
        }
        if wrap == Some(true) && CLEAR_PORTS.contains(&hop.port) {
            let what = format!(
                "`route.tls_wrap`: {hop} begins in clear and goes on with STARTTLS, by custom; TLS with the first octet is \
                 at port {IMPLICIT_TLS_PORT}"
            );
            section.warn("tls_wrap", what);
        }
        if wrap == Some(false) && hop.port == IMPLICIT_TLS_PORT {
            let what =
                format!("`route.tls_wrap`: {hop} expects TLS with the first octet, by custom");
            section.warn("tls_wrap", what);
        }
    }
}

impl Word for Level {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("opportunistic", Self::Opportunistic),
        ("require", Self::Require),
        ("verify", Self::Verify),
    ];
}

impl Text for Name {
    const EXPECTED: &'static str = "a name of certificates such as \"mx.example.org\" or \"*.example.org\" (below it, at any depth), or \"hostname\"";

    fn from_text(text: &str) -> Result<Self, String> {
        if text == HOSTNAME {
            return Ok(Self(NameRule::OfHost));
        }
        if let Some(ip) = address_in_text(text) {
            return Ok(Self(NameRule::Exactly(ip.to_string())));
        }
        let (below, name) = match text.strip_prefix("*.") {
            Some(name) => (true, name),
            None => (false, text),
        };
        let fits = |name: &String| !name.contains(['*', '/', ':', '@', ' ']);
        let name = to_dns(name).filter(fits).ok_or_else(|| format!("\"{text}\" is no name"))?;
        Ok(Self(if below { NameRule::Below(name) } else { NameRule::Exactly(name) }))
    }

    fn to_text(&self) -> String {
        match &self.0 {
            NameRule::Exactly(name) => name.clone(),
            NameRule::Below(name) => format!("*.{name}"),
            NameRule::OfHost => HOSTNAME.to_owned(),
        }
    }
}

impl Text for Pin {
    const EXPECTED: &'static str =
        "SHA-256 of a public key (SPKI): 44 characters of base64, or 64 hexadecimal digits";

    fn from_text(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no SHA-256 of a key");
        let bare = ["sha256//", "sha256/", "sha256:"];
        let bare = bare.iter().find_map(|lead| text.strip_prefix(lead)).unwrap_or(text);
        let digits: String = bare.chars().filter(|c| *c != ':').collect();
        let octets = match digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            true => (0..64)
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong()))
                .collect::<Result<Vec<u8>, String>>()?,
            false => STANDARD.decode(bare).map_err(|_| wrong())?,
        };
        octets.try_into().map(Self).map_err(|_| wrong())
    }

    fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }
}
