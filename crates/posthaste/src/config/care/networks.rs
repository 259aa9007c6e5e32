//! Networks of clients who are trusted: one that holds everybody, or several that do so together, is refused, and a wide one
//! is warned of.
//!
//! Not here: what a network is (`reception`).

use super::super::read::Section;
use posthaste_reception::{Listener, ListenerKind, Network};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// A network with fewer common bits is wider than what anybody was ever given: /8 was the largest block of IPv4, and
/// registries give providers of IPv6 /20 at most.
const WIDEST_V4: u8 = 8;
const WIDEST_V6: u8 = 20;
/// Addresses that never come from the Internet: unique local and link-local (RFC 4193, RFC 4291 section 2.5.6).
const PRIVATE_V6: [(Ipv6Addr, u8); 2] = [
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
];
/// The IPv4 addresses that nobody on the Internet has, each as its first and its last: "this network", private, shared,
/// loopback, link-local, multicast and reserved (RFC 6890).
const NOT_INTERNET_V4: [(Ipv4Addr, Ipv4Addr); 7] = [
    (Ipv4Addr::new(0, 0, 0, 0), Ipv4Addr::new(0, 255, 255, 255)),
    (Ipv4Addr::new(10, 0, 0, 0), Ipv4Addr::new(10, 255, 255, 255)),
    (Ipv4Addr::new(100, 64, 0, 0), Ipv4Addr::new(100, 127, 255, 255)),
    (Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(127, 255, 255, 255)),
    (Ipv4Addr::new(169, 254, 0, 0), Ipv4Addr::new(169, 254, 255, 255)),
    (Ipv4Addr::new(172, 16, 0, 0), Ipv4Addr::new(172, 31, 255, 255)),
    (Ipv4Addr::new(192, 168, 0, 0), Ipv4Addr::new(192, 168, 255, 255)),
];
/// All IPv4 up to multicast (RFC 5771), and all IPv6 that was ever given to somebody (RFC 4291 section 2.4).
const INTERNET_V4: (Ipv4Addr, Ipv4Addr) =
    (Ipv4Addr::new(0, 0, 0, 0), Ipv4Addr::new(223, 255, 255, 255));
const INTERNET_V6: (Ipv6Addr, Ipv6Addr) = (
    Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0),
    Ipv6Addr::new(0x3fff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff),
);

/// One network of a setting, and where it stands.
struct Written {
    text: String,
    place: Range<usize>,
    network: Network,
}

/// Relay networks that hold the Internet, or a large part of it.
pub(in super::super) fn relays(top: &Section<'_, '_>, listeners: &[Listener]) {
    let reached: Vec<String> =
        listeners.iter().filter(|l| is_reached(l)).map(|l| l.address.to_string()).collect();
    let where_from = match reached.as_slice() {
        [] => "no listener is reached from outside yet".to_owned(),
        reached => format!("AN OPEN RELAY for them: it listens on {}", reached.join(", ")),
    };
    let open =
        "an open relay, which spammers find within hours; write the networks of your own clients";
    let wide = format!("who may send to anywhere; {where_from}");
    judge(top, "relay_networks", "relay_networks", open, &wide);
}

/// The same of a listener for users: who needs no AUTH may send to anywhere.
pub(in super::super) fn without_auth(section: &Section<'_, '_>, listener: &Listener) {
    if listener.kind != ListenerKind::Submission {
        return;
    }
    let where_from = match is_reached(listener) {
        false => "the listener is not reached from outside yet".to_owned(),
        true => format!("AN OPEN RELAY for them: it listens on {}", listener.address),
    };
    let open = "an open relay, which spammers find within hours; write the addresses of the devices that cannot log in";
    let wide = format!("who may send to anywhere without a login; {where_from}");
    judge(section, "without_auth", "listener.without_auth", open, &wide);
}

/// Balancers, each of which is believed whatever it says of clients.
pub(in super::super) fn proxies(section: &Section<'_, '_>) {
    let open = "they could then claim any address; write those of your balancers";
    let wide = "who could claim any address, also one of `relay_networks`";
    judge(section, "proxy_from", "listener.proxy_from", open, wide);
}

/// `open` and `wide`: what comes of it.
fn judge(section: &Section<'_, '_>, key: &'static str, name: &str, open: &str, wide: &str) {
    // What is no network was complained about.
    let read = |(text, place): (String, Range<usize>)| {
        let network = text.parse().ok()?;
        Some(Written { text, place, network })
    };
    let all: Vec<Written> = section.strings(key).into_iter().filter_map(read).collect();
    if let Some(one) = all.iter().find(|one| holds_internet([&one.network])) {
        let what = format!("`{name}`: \"{}\" is everybody: {open}", one.text);
        return section.complain_at(&one.place, what);
    }
    if holds_internet(all.iter().map(|one| &one.network)) {
        let what = format!("`{name}`: these networks are together everybody: {open}");
        return section.complain(key, what);
    }
    for Written { text, place, network } in all.iter().filter(|one| is_wide(&one.network)) {
        let widest = if network.address().is_ipv4() { WIDEST_V4 } else { WIDEST_V6 };
        let what =
            format!("`{name}`: \"{text}\" is wider than /{widest} and holds strangers, {wide}");
        section.warn_at(place, what);
    }
}

fn is_reached(listener: &Listener) -> bool {
    !listener.address.ip().to_canonical().is_loopback()
}

/// All addresses of IPv4, or of IPv6, from which somebody on the Internet may come.
fn holds_internet<'a>(networks: impl IntoIterator<Item = &'a Network>) -> bool {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for network in networks {
        match network.address() {
            IpAddr::V4(first) => {
                let first = u128::from(first.to_bits());
                v4.push((first, first + (u128::from(u32::MAX) >> network.prefix())));
            }
            IpAddr::V6(first) => {
                let rest = u128::MAX.checked_shr(u32::from(network.prefix())).unwrap_or(0);
                v6.push((first.to_bits(), first.to_bits() | rest));
            }
        }
    }
    let bits = |ip: Ipv4Addr| u128::from(ip.to_bits());
    let some = !v4.is_empty();
    v4.extend(NOT_INTERNET_V4.map(|(first, last)| (bits(first), bits(last))));
    some && covers(v4, bits(INTERNET_V4.0), bits(INTERNET_V4.1))
        || covers(v6, INTERNET_V6.0.to_bits(), INTERNET_V6.1.to_bits())
}

/// The ranges, each by its first and its last, leave nothing out between the two.
fn covers(mut ranges: Vec<(u128, u128)>, first: u128, last: u128) -> bool {
    ranges.sort_unstable();
    let mut next = first;
    for (from, to) in ranges {
        if from > next {
            return false;
        }
        if to >= last {
            return true;
        }
        next = next.max(to + 1);
    }
    false
}

fn is_wide(network: &Network) -> bool {
    match network.address() {
        IpAddr::V4(_) => network.prefix() < WIDEST_V4,
        IpAddr::V6(address) => {
            let within = |(private, prefix): &(Ipv6Addr, u8)| {
                let shift = 128 - u32::from(*prefix);
                network.prefix() >= *prefix
                    && address.to_bits() >> shift == private.to_bits() >> shift
            };
            network.prefix() < WIDEST_V6 && !PRIVATE_V6.iter().any(within)
        }
    }
}
