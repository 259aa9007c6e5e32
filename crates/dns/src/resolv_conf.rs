//! The text of a `resolv.conf` (resolv.conf(5)): name servers and options. What is of no use to mail is left out, and
//! said.
//!
//! Not here: reading the file, noticing that it has changed (the binary's).

use crate::settings::DNS_PORT;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// The most servers taken from it (resolv.conf(5), MAXNS).
pub const MAX_SERVERS: usize = 3;
/// The most octets of it that are read.
pub const MAX_TEXT: u64 = 64 * 1024;
/// The most remarks about one file.
const MAX_REMARKS: usize = 16;
/// Octets of a word in a remark.
const MAX_WORD: usize = 64;
/// The largest `timeout:` and `attempts:` that count (resolv.conf(5)).
const LONGEST_TIMEOUT: u64 = 30;
const MOST_ATTEMPTS: u64 = 5;
/// Options that change nothing here: EDNS is always offered, names are never completed, both addresses are asked anyway.
const OF_NO_MATTER: [&str; 11] = [
    "edns0",
    "ndots",
    "debug",
    "inet6",
    "ip6-bytestring",
    "ip6-dotint",
    "no-ip6-dotint",
    "single-request",
    "single-request-reopen",
    "no-tld-query",
    "no-reload",
];

/// What it says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ResolvConf {
    /// The servers, the preferred one first; the one on this machine when it names none. Empty only before anything was
    /// read.
    pub servers: Vec<SocketAddr>,
    /// `timeout:`, how long one server may take.
    pub timeout: Option<Duration>,
    /// `attempts:`, how often a silent server is asked.
    pub attempts: Option<usize>,
    /// `rotate`
    pub rotate: bool,
    /// `use-vc`: TCP only.
    pub use_vc: bool,
    /// `trust-ad`: its servers may be believed that they validate.
    pub trust_ad: bool,
    /// What was left out, with the line.
    pub remarks: Vec<(usize, Remark)>,
}

/// Something in the file that is not followed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Remark {
    /// `search` or `domain`.
    #[error("`{0}` is not used for mail: names are asked for as they are written")]
    NotForMail(String),
    /// No server is left.
    #[error("it names no server: the one on this machine, 127.0.0.1, is asked")]
    NoServer,
    /// One server too many.
    #[error("\"{0}\" is left out: only the first 3 servers count")]
    TooMany(String),
    /// A server that cannot be asked.
    #[error("\"{0}\" is not the address of a server")]
    NoAddress(String),
    /// An interface that this machine does not have.
    #[error("\"{0}\" is left out: this machine has no such interface")]
    NoInterface(String),
    /// `no-aaaa`
    #[error(
        "`no-aaaa` is not followed: a next hop may have only an IPv6 address; see `families` of a route"
    )]
    NoAaaa,
    /// An option with a value that makes no sense.
    #[error("\"{0}\" is left out: it is not a number")]
    NoNumber(String),
    /// A word that nobody knows.
    #[error("\"{0}\" means nothing here")]
    Unknown(String),
}

impl ResolvConf {
    /// Reads it; whoever reads the file stops at [`MAX_TEXT`]. `interface` knows the numbers of this machine's interfaces, for link-local
    /// servers such as `fe80::1%eth0` (RFC 4007 section 11).
    #[must_use]
    pub fn read(text: &str, interface: &dyn Fn(&str) -> Option<u32>) -> Self {
        let mut read = Self::default();
        for (number, line) in (1..).zip(text.lines()) {
            read.line(number, line, interface);
        }
        if read.servers.is_empty() {
            read.servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS_PORT));
            read.remark(0, Remark::NoServer);
        }
        read
    }

    fn line(&mut self, number: usize, line: &str, interface: &dyn Fn(&str) -> Option<u32>) {
        // A comment begins in the first column; behind a value resolv.conf(5) has none, and people write them.
        let line = line.split(['#', ';']).next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let Some(keyword) = words.next() else { return };
        match keyword {
            "nameserver" => self.server(number, words.next().unwrap_or_default(), interface),
            "options" => words.for_each(|option| self.option(number, option)),
            "search" | "domain" => self.remark(number, Remark::NotForMail(short(keyword))),
            "sortlist" | "lookup" | "family" => {}
            other => self.remark(number, Remark::Unknown(short(other))),
        }
    }

    fn server(&mut self, number: usize, text: &str, interface: &dyn Fn(&str) -> Option<u32>) {
        let address = match text.split_once('%') {
            None => plain(text),
            Some((ip, zone)) => match (ip.parse::<Ipv6Addr>(), zone.parse().ok()) {
                (Ok(ip), scope) => match scope.or_else(|| interface(zone)) {
                    Some(scope) => Some(SocketAddrV6::new(ip, DNS_PORT, 0, scope).into()),
                    None => return self.remark(number, Remark::NoInterface(short(text))),
                },
                (Err(_), _) => None,
            },
        };
        let address = address.filter(|a| !a.ip().is_multicast());
        // 0.0.0.0 is this machine for the system's resolver.
        let local = |mut address: SocketAddr| {
            if address.ip().is_unspecified() {
                address.set_ip(match address.ip() {
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                });
            }
            address
        };
        match address.map(local) {
            None => self.remark(number, Remark::NoAddress(short(text))),
            Some(address) if self.servers.contains(&address) => {}
            Some(_) if self.servers.len() == MAX_SERVERS => {
                self.remark(number, Remark::TooMany(short(text)));
            }
            Some(address) => self.servers.push(address),
        }
    }

    fn option(&mut self, number: usize, option: &str) {
        let (name, value) = option.split_once(':').unwrap_or((option, ""));
        match name {
            "rotate" => self.rotate = true,
            "use-vc" => self.use_vc = true,
            "trust-ad" => self.trust_ad = true,
            "no-aaaa" => self.remark(number, Remark::NoAaaa),
            "timeout" | "attempts" => match value.parse::<u64>() {
                Ok(seconds) if name == "timeout" => {
                    let seconds = seconds.clamp(1, LONGEST_TIMEOUT);
                    self.timeout = Some(Duration::from_secs(seconds));
                }
                Ok(times) => {
                    let times = times.clamp(1, MOST_ATTEMPTS);
                    self.attempts = usize::try_from(times).ok();
                }
                Err(_) => self.remark(number, Remark::NoNumber(short(option))),
            },
            known if OF_NO_MATTER.contains(&known) => {}
            _ => self.remark(number, Remark::Unknown(short(option))),
        }
    }

    fn remark(&mut self, number: usize, remark: Remark) {
        let said = self.remarks.iter().any(|(_, other)| *other == remark);
        if !said && self.remarks.len() < MAX_REMARKS {
            self.remarks.push((number, remark));
        }
    }
}

/// An address, or one with a port as OpenBSD writes it: `[192.0.2.1]:5353`.
fn plain(text: &str) -> Option<SocketAddr> {
    let (ip, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
        Some((ip, port)) => (ip, port.parse().ok().filter(|port| *port > 0)?),
        None => (text, DNS_PORT),
    };
    Some(SocketAddr::new(ip.parse().ok()?, port))
}

fn short(word: &str) -> String {
    word.chars().take(MAX_WORD).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ResolvConf {
        ResolvConf::read(text, &|name| (name == "eth0").then_some(2))
    }

    #[test]
    fn the_systems_servers_are_found() {
        let local = ["127.0.0.1:53"].as_slice();
        for (text, expected) in [
            (
                "nameserver 192.0.2.1\nnameserver 2001:db8::1\n",
                &["192.0.2.1:53", "[2001:db8::1]:53"][..],
            ),
            ("# nameserver 192.0.2.1\n;nameserver 192.0.2.2\nsearch example.org\n", local),
            ("", local),
            ("nameserver\nnameserver x\n nameserver\t192.0.2.3 # ours\r\n", &["192.0.2.3:53"]),
            (
                "nameserver fe80::1%eth0\nnameserver fe80::1%7\nnameserver fe80::1%wlan9",
                &["[fe80::1%2]:53", "[fe80::1%7]:53"],
            ),
            (
                "nameserver 0.0.0.0\nnameserver 127.0.0.1\nnameserver ::",
                &["127.0.0.1:53", "[::1]:53"],
            ),
            ("nameserver 192.0.2.1\nnameserver 192.0.2.1\n", &["192.0.2.1:53"]),
            (
                "nameserver [192.0.2.1]:5353\nnameserver [::1]:5353\nnameserver [::1]:0",
                &["192.0.2.1:5353", "[::1]:5353"],
            ),
            (
                "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\nnameserver 192.0.2.4",
                &["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"],
            ),
            ("\0\u{fffd}nameserver 192.0.2.1\nnameserver 192.0.2.2", &["192.0.2.2:53"]),
        ] {
            let expected: Vec<SocketAddr> = expected.iter().map(|t| t.parse().unwrap()).collect();
            assert_eq!(read(text).servers, expected, "{text}");
        }
    }

    #[test]
    fn options_are_followed_where_they_mean_something() {
        let conf = read(
            "nameserver 192.0.2.1\noptions timeout:1 attempts:9 rotate use-vc trust-ad edns0 ndots:5\n",
        );
        assert_eq!((conf.timeout, conf.attempts), (Some(Duration::from_secs(1)), Some(5)));
        assert!(conf.rotate && conf.use_vc && conf.trust_ad);
        assert_eq!(conf.remarks, []);
        let conf = read("nameserver 192.0.2.1\noptions timeout:0\noptions timeout:99");
        assert_eq!(conf.timeout, Some(Duration::from_secs(30)), "the last one counts");
    }

    #[test]
    fn what_is_not_followed_is_said_once() {
        for (text, expected) in [
            (
                "search a.example\nsearch b.example",
                &["1: `search` is not used for mail: names are asked for as they are written"][..],
            ),
            (
                "domain a.example",
                &["1: `domain` is not used for mail: names are asked for as they are written"],
            ),
            (
                "options no-aaaa",
                &[
                    "1: `no-aaaa` is not followed: a next hop may have only an IPv6 address; see `families` of a route",
                ],
            ),
            ("options timeout:x", &["1: \"timeout:x\" is left out: it is not a number"]),
            ("options frob", &["1: \"frob\" means nothing here"]),
            ("nameservers 192.0.2.1", &["1: \"nameservers\" means nothing here"]),
            ("nameserver dns.example", &["1: \"dns.example\" is not the address of a server"]),
            (
                "nameserver fe80::1%wlan9",
                &["1: \"fe80::1%wlan9\" is left out: this machine has no such interface"],
            ),
            (
                "nameserver ::2\nnameserver ::3\nnameserver ::4",
                &["4: \"::4\" is left out: only the first 3 servers count"],
            ),
        ] {
            let conf = read(&format!("{text}\nnameserver 192.0.2.1\n"));
            let conf =
                if text.contains("::4") { read(&format!("nameserver ::1\n{text}")) } else { conf };
            let said: Vec<String> =
                conf.remarks.iter().map(|(line, what)| format!("{line}: {what}")).collect();
            assert_eq!(said, expected, "{text}");
        }
        assert_eq!(read("").remarks, [(0, Remark::NoServer)]);
        let much = (0..1000).map(|n| format!("word{n}\n")).collect::<String>();
        assert_eq!(read(&much).remarks.len(), MAX_REMARKS);
    }
}
