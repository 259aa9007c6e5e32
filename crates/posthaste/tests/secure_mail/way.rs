//! A way from one server to the next: how it is secured, what is checked, who logs in. Each has a domain of its own, by
//! which servers choose it and by which its mail is known again.
//!
//! Not here: how each server is told (`postfix`, `exim`, `opensmtpd`, `ours`).

use std::fmt;
use std::net::SocketAddr;

/// Who logs in with PLAIN and LOGIN, and with SCRAM: Posthaste keeps either keys for SCRAM or a hash that is harder to guess.
pub(crate) const USER: &str = "robin";
pub(crate) const SCRAM_USER: &str = "wren";
pub(crate) const PASSWORD: &str = "a-long Pass/word=1";
pub(crate) const WRONG_PASSWORD: &str = "not-the-password";
/// A name that no certificate has.
pub(crate) const OTHER_NAME: &str = "other.test";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Security {
    StartTls,
    Implicit,
}

/// What the client makes of the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Check {
    Nothing,
    Passes,
    /// It expects another name.
    OtherName,
    /// It trusts another authority.
    OtherRoots,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Auth {
    No,
    Plain,
    Login,
    Scram,
}

impl Auth {
    /// Its name as a SASL mechanism; empty without.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::No => "",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::Scram => "SCRAM-SHA-256",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Way {
    pub(crate) security: Security,
    pub(crate) check: Check,
    pub(crate) auth: Auth,
    pub(crate) right_password: bool,
    /// TLS 1.2 and nothing newer.
    pub(crate) old: bool,
}

/// What most rows begin from.
pub(crate) const USUAL: Way = Way {
    security: Security::StartTls,
    check: Check::Passes,
    auth: Auth::Plain,
    right_password: true,
    old: false,
};

impl Way {
    /// Its domain below `parent`.
    pub(crate) fn domain(&self, parent: &str) -> String {
        format!("{}.{parent}", self.label())
    }

    /// One label of a domain name that tells it from all others.
    pub(crate) fn label(&self) -> String {
        let security = if self.security == Security::StartTls { "starttls" } else { "implicit" };
        let check = match self.check {
            Check::Nothing => "unchecked",
            Check::Passes => "checked",
            Check::OtherName => "othername",
            Check::OtherRoots => "otherroots",
        };
        let auth = match self.auth {
            Auth::No => "noauth",
            Auth::Plain => "plain",
            Auth::Login => "login",
            Auth::Scram => "scram",
        };
        let password = if self.right_password { "" } else { "-wrong" };
        let version = if self.old { "-old" } else { "" };
        format!("{security}-{check}-{auth}{password}{version}")
    }

    /// Whether mail gets through.
    pub(crate) fn works(&self) -> bool {
        matches!(self.check, Check::Nothing | Check::Passes) && self.right_password
    }

    /// Who logs in.
    pub(crate) fn user(&self) -> Option<&'static str> {
        match self.auth {
            Auth::No => None,
            Auth::Plain | Auth::Login => Some(USER),
            Auth::Scram => Some(SCRAM_USER),
        }
    }

    /// Whether the certificate is looked at.
    pub(crate) fn checks(&self) -> bool {
        self.check != Check::Nothing
    }

    pub(crate) fn password(&self) -> &'static str {
        if self.right_password { PASSWORD } else { WRONG_PASSWORD }
    }
}

/// Every way with these mechanisms that such a client can go: both kinds of TLS, checked and unchecked, each mechanism; a
/// wrong name, a wrong authority and a wrong password.
pub(crate) fn ways(mechanisms: &[Auth]) -> Vec<Way> {
    let mut all = Vec::new();
    let usual = mechanisms.iter().copied().find(|auth| *auth != Auth::No);
    let usual = Way { auth: usual.unwrap_or(Auth::No), ..USUAL };
    for security in [Security::StartTls, Security::Implicit] {
        for auth in mechanisms {
            all.push(Way { security, auth: *auth, ..USUAL });
            all.push(Way { security, auth: *auth, check: Check::Nothing, ..USUAL });
            if *auth != Auth::No {
                all.push(Way { security, auth: *auth, right_password: false, ..USUAL });
            }
        }
        all.push(Way { security, check: Check::OtherName, ..usual });
        all.push(Way { security, check: Check::OtherRoots, ..usual });
        all.push(Way { security, old: true, ..usual });
    }
    all
}

/// A server as its clients know it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The name in its certificate.
    pub(crate) name: &'static str,
    /// It keeps mail for everybody in the domains below this one.
    pub(crate) domain: &'static str,
    pub(crate) starttls: SocketAddr,
    pub(crate) implicit: SocketAddr,
    /// STARTTLS for clients without AUTH.
    pub(crate) open: SocketAddr,
    /// STARTTLS and implicit TLS 1.2 alone; the same as the others where it cannot be asked for.
    pub(crate) old: [SocketAddr; 2],
}

impl Target {
    pub(crate) fn address(&self, way: &Way) -> SocketAddr {
        if way.auth == Auth::No && way.security == Security::StartTls {
            return self.open;
        }
        match (way.old, way.security) {
            (true, Security::StartTls) => self.old[0],
            (true, Security::Implicit) => self.old[1],
            (false, Security::StartTls) => self.starttls,
            (false, Security::Implicit) => self.implicit,
        }
    }
}

/// What a server says of the connection that a message came or went by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `1.2` or `1.3`.
    pub(crate) version: String,
    /// What enciphers: names of cipher suites differ from library to library.
    pub(crate) cipher: String,
    /// Who logged in, where it says so.
    pub(crate) login: Option<String>,
}

impl Seen {
    /// From texts that hold a version and a cipher suite in whatever notation.
    pub(crate) fn read(text: &str, login: Option<&str>) -> Self {
        let dense: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let dense = dense.to_uppercase();
        let versions = [("TLSV13", "1.3"), ("TLS13", "1.3"), ("TLSV12", "1.2"), ("TLS12", "1.2")];
        let ciphers = ["AES256GCM", "AES128GCM", "CHACHA20POLY1305"];
        Self {
            version: versions
                .iter()
                .find(|(mark, _)| dense.contains(mark))
                .map_or_else(String::new, |(_, version)| (*version).to_owned()),
            cipher: ciphers
                .iter()
                .find(|cipher| dense.contains(*cipher))
                .map_or_else(String::new, |cipher| (*cipher).to_owned()),
            login: login.map(str::to_owned),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.version, self.cipher, self.login.as_deref().unwrap_or("-"))
    }
}

/// A message with all the fields that servers would add, so that none has a reason to touch it; CRLF as line end. Its
/// subject is the domain that it goes to.
pub(crate) fn content(domain: &str) -> String {
    format!(
        "From: <a@sender.test>\r\nTo: <b@{domain}>\r\nSubject: {domain}\r\n\
         Date: Sun, 22 Nov 2026 00:00:00 +0000\r\nMessage-ID: <{domain}@sender.test>\r\n\r\n\
         .a line with a dot\r\n\r\nthe end\r\n"
    )
}

/// As mail hosts keep it.
pub(crate) fn kept_content(domain: &str) -> String {
    content(domain).replace('\r', "")
}
