//! What the three mail servers have in common: each takes mail for its own domains by TLS with AUTH, and sends other mail on
//! along the way that its domain names.
//!
//! Not here: how each is told (`postfix`, `exim`, `opensmtpd`).

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use crate::authority::Authority;
use crate::loopback;
use crate::way::{Auth, Seen, Target, Way};

pub(crate) const SMTP: u16 = 25;
pub(crate) const SUBMISSION: u16 = 587;
pub(crate) const SUBMISSIONS: u16 = 465;
/// The same two with TLS 1.2 alone.
pub(crate) const OLD: [u16; 2] = [588, 466];

/// A running server; stopped and removed when dropped.
pub(crate) trait Peer {
    /// Every message it keeps, as text, LF as line end.
    fn kept(&self) -> Vec<String>;

    /// What it says, as the server, of how this message came, which is one that it keeps.
    fn says_of_kept(&self, message: &str) -> Seen;

    /// What it says, as the client, of the connection by which it delivered mail to this domain; none if it did not.
    fn says_of_sent(&self, domain: &str) -> Option<Seen>;

    /// What it says, as the client, of why mail to this domain still waits; empty if it says nothing.
    fn says_of_waiting(&self, domain: &str) -> String;

    /// What it logged.
    fn log(&self) -> String;
}

/// What a server has to know when it starts.
pub(crate) struct Scene<'a> {
    pub(crate) place: Place,
    /// Where it sends on what is not for itself.
    pub(crate) target: &'a Target,
    /// Along which ways.
    pub(crate) ways: &'a [Way],
    /// Who signed the certificates of all servers.
    pub(crate) authority: &'a Authority,
    /// Who signed none.
    pub(crate) stranger: &'a Authority,
}

/// Where a server is, and what it is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) product: &'static str,
    /// In its certificate.
    pub(crate) name: &'static str,
    /// It keeps mail for everybody in the domains below this one.
    pub(crate) domain: &'static str,
    pub(crate) ip: IpAddr,
}

impl Place {
    pub(crate) fn new(product: &'static str, name: &'static str, domain: &'static str) -> Self {
        Self { product, name, domain, ip: loopback::address(0).ip() }
    }

    /// Where it takes mail without TLS, from the test.
    pub(crate) fn plain(&self) -> SocketAddr {
        (self.ip, SMTP).into()
    }

    pub(crate) fn target(&self) -> Target {
        let at = |port| SocketAddr::from((self.ip, port));
        Target {
            name: self.name,
            domain: self.domain,
            starttls: at(SUBMISSION),
            implicit: at(SUBMISSIONS),
            open: at(SUBMISSION),
            old: OLD.map(at),
        }
    }

    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let target = self.target();
        [&[self.plain(), target.starttls, target.implicit], &target.old[..]].concat()
    }
}

impl Scene<'_> {
    /// Writes the server's certificate and key, and the certificates of both authorities, to `folder`: `NAME.crt`,
    /// `NAME.key`, `trusted.pem`, `stranger.pem`.
    pub(crate) fn certify(&self, folder: &Path) {
        std::fs::create_dir_all(folder).expect("ours");
        self.authority.certify(self.place.name, folder);
        for (file, who) in [("trusted.pem", self.authority), ("stranger.pem", self.stranger)] {
            std::fs::write(folder.join(file), who.pem()).expect("ours");
        }
    }
}

/// What each can do as a client: OpenSMTPD takes the first it likes, and LOGIN only where there is no PLAIN.
pub(crate) fn mechanisms_of_client(product: &str) -> &'static [Auth] {
    match product {
        "Postfix" => &[Auth::No, Auth::Plain, Auth::Login, Auth::Scram],
        "Exim" => &[Auth::No, Auth::Plain, Auth::Login],
        _ => &[Auth::No, Auth::Plain],
    }
}

/// What each can do as a server. Debian's Exim has SCRAM by way of Cyrus SASL alone, as Postfix has.
pub(crate) fn mechanisms_of_server(product: &str) -> &'static [Auth] {
    match product {
        "Postfix" => &[Auth::No, Auth::Plain, Auth::Login, Auth::Scram],
        _ => &[Auth::No, Auth::Plain, Auth::Login],
    }
}
