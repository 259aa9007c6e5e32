//! What lines of the logs can be found by, and which of it a filter asks for.
//!
//! Keys narrow a search and decide nothing: what they lead to is judged by the filter itself.

use crate::filter::{Field, Filter, Op, Value};
use posthaste_mail::Timestamp;
use serde::Deserialize;
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a key is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Of {
    /// A message.
    Id = 1,
    /// A reverse-path.
    From = 2,
    /// A forward-path.
    To = 3,
    /// The domain of a forward-path.
    Domain = 4,
    /// `Message-ID:`.
    MessageId = 5,
    /// The address of the other side.
    Client = 6,
    /// A session.
    Session = 7,
    /// A session in which something was refused.
    Refused = 8,
    /// A network that the other side of a session is in, of one of the [`PREFIXES`].
    Network = 9,
}

/// Networks that sessions are found by, in bits of the address: of IPv4 and of IPv6, the narrowest first.
const PREFIXES: [[u8; 3]; 2] = [[24, 16, 8], [64, 48, 32]];

/// A key; case does not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub(super) of: Of,
    pub(super) text: String,
}

impl Key {
    pub(super) fn new(of: Of, text: &str) -> Self {
        Self { of, text: text.to_lowercase() }
    }

    /// What a session with a peer in a network (`192.0.2.0/24`) has; `None` for one too wide to be found by.
    pub(super) fn of_network(network: &str) -> Option<Self> {
        let (ip, bits) = network.split_once('/')?;
        let (ip, bits) = (ip.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?);
        if bits == if ip.is_ipv4() { 32 } else { 128 } {
            return Some(Self::new(Of::Client, &ip.to_string()));
        }
        let wider = PREFIXES[usize::from(ip.is_ipv6())].into_iter().find(|prefix| *prefix <= bits);
        wider.map(|prefix| Self::new(Of::Network, &network_of(ip, prefix)))
    }

    pub(super) fn hash(&self) -> u64 {
        hash(self.of, &self.text)
    }
}

fn network_of(ip: IpAddr, prefix: u8) -> String {
    let prefix = u32::from(prefix);
    let ip = match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask))
        }
    };
    format!("{ip}/{prefix}")
}

/// FNV-1a and the last step of splitmix64: the same in every version that reads our index, which standard hashers do
/// not promise.
fn hash(of: Of, lower: &str) -> u64 {
    let start = (0xcbf2_9ce4_8422_2325 ^ of as u64).wrapping_mul(0x100_0000_01b3);
    let mut hash = lower
        .bytes()
        .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A line of either log, as far as it is found by.
#[derive(Deserialize)]
pub(super) struct Keyed<'a> {
    #[serde(borrow)]
    pub(super) at: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) id: Option<Cow<'a, str>>,
    /// A number in marks.
    #[serde(borrow, default)]
    from: Option<Words<'a>>,
    #[serde(borrow, default)]
    to: Option<Words<'a>>,
    #[serde(borrow, default)]
    message_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    client: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    session: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    peer: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ids: Vec<Cow<'a, str>>,
    #[serde(default)]
    refused: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words<'a> {
    One(#[serde(borrow)] Cow<'a, str>),
    All(#[serde(borrow)] Vec<Cow<'a, str>>),
    /// No text.
    Other(serde::de::IgnoredAny),
}

impl Words<'_> {
    fn each(&self, mut tell: impl FnMut(&str)) {
        match self {
            Self::One(text) => tell(text),
            Self::All(all) => all.iter().for_each(|text| tell(text)),
            Self::Other(_) => {}
        }
    }
}

impl<'a> Keyed<'a> {
    /// `None` for what is no line of ours.
    pub(super) fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The hashes of everything it is found by; some twice.
    pub(super) fn hashes(&self, to: &mut Vec<u64>) {
        let mut add = |of, text: &str| to.push(lowered(of, text));
        let one = [
            (Of::Id, &self.id),
            (Of::MessageId, &self.message_id),
            (Of::Client, &self.client),
            (Of::Session, &self.session),
        ];
        for (of, text) in one {
            if let Some(text) = text {
                add(of, text);
            }
        }
        if let Some(from) = &self.from {
            from.each(|from| add(Of::From, from));
        }
        if let Some(to) = &self.to {
            to.each(|to| {
                add(Of::To, to);
                if let Some((_, domain)) = to.rsplit_once('@') {
                    add(Of::Domain, domain);
                }
            });
        }
        if let Some(peer) = &self.peer {
            let ip = ip_of(peer);
            add(Of::Client, ip);
            if let Ok(ip) = ip.parse::<IpAddr>() {
                for prefix in PREFIXES[usize::from(ip.is_ipv6())] {
                    add(Of::Network, &network_of(ip, prefix));
                }
            }
        }
        self.ids.iter().for_each(|id| add(Of::Id, id));
        if self.refused > 0 {
            add(Of::Refused, "");
        }
    }
}

fn lowered(of: Of, text: &str) -> u64 {
    let is_lower = text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    if is_lower { hash(of, text) } else { hash(of, &text.to_lowercase()) }
}

/// `192.0.2.1:25` and `[2001:db8::1]:25` without the port; an address in the IPv4-mapped form is that IPv4 address.
pub(super) fn ip_of(endpoint: &str) -> &str {
    let ip = endpoint.rsplit_once(':').map_or(endpoint, |(ip, _)| ip);
    let ip = ip.trim_start_matches('[').trim_end_matches(']');
    ip.strip_prefix("::ffff:").filter(|v4| v4.contains('.')).unwrap_or(ip)
}

/// What a filter asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Narrowed {
    /// A message that fits has, for each of these, a line with one of its keys; not for all of them the same line.
    /// Without any, every message may fit.
    pub(super) clauses: Vec<Vec<Key>>,
    /// Accepted not before.
    pub(super) since: Option<Timestamp>,
}

/// The most keys of one clause; one with more narrows nothing and is left out.
const MAX_KEYS: usize = 32;
/// The most clauses; more are left out, as the filter itself judges.
const MAX_CLAUSES: usize = 8;

/// What a filter asks for.
pub(super) fn narrow(filter: &Filter, now: Timestamp) -> Narrowed {
    match filter {
        Filter::And(left, right) => both(narrow(left, now), narrow(right, now)),
        Filter::Or(left, right) => either(narrow(left, now), narrow(right, now)),
        Filter::Not(_) | Filter::Present(_) => Narrowed::default(),
        Filter::Test { field, op: Op::Equal, value: Value::Text(text) } => {
            let clause = of_field(*field).map(|of| vec![Key::new(of, text)]);
            Narrowed { clauses: clause.into_iter().collect(), since: None }
        }
        Filter::Test { field, op, value } => {
            Narrowed { clauses: Vec::new(), since: since(*field, *op, value, now) }
        }
    }
}

const fn of_field(field: Field) -> Option<Of> {
    Some(match field {
        Field::Id => Of::Id,
        Field::From => Of::From,
        Field::To => Of::To,
        Field::Domain => Of::Domain,
        Field::MessageId => Of::MessageId,
        Field::SourceIp => Of::Client,
        _ => return None,
    })
}

fn since(field: Field, op: Op, value: &Value, now: Timestamp) -> Option<Timestamp> {
    match (field, value, op) {
        (Field::Age, Value::Duration(age), Op::Less | Op::AtMost | Op::Equal) => {
            Some(now.minus(*age))
        }
        (Field::Received, Value::Time(at), Op::More | Op::AtLeast | Op::Equal) => Some(*at),
        _ => None,
    }
}

fn both(mut left: Narrowed, right: Narrowed) -> Narrowed {
    left.clauses.extend(right.clauses);
    left.clauses.truncate(MAX_CLAUSES);
    Narrowed { clauses: left.clauses, since: left.since.max(right.since) }
}

/// Either side's clauses hold, so of each pair one does.
fn either(left: Narrowed, right: Narrowed) -> Narrowed {
    let pairs = left.clauses.iter().flat_map(|left| {
        right.clauses.iter().map(|right| [left.as_slice(), right.as_slice()].concat())
    });
    let clauses = pairs.filter(|keys| keys.len() <= MAX_KEYS).take(MAX_CLAUSES).collect();
    let since = left.since.zip(right.since).map(|(left, right)| left.min(right));
    Narrowed { clauses, since }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{MESSAGE, parse};

    const NOW: Timestamp = Timestamp::from_secs(1_795_243_984);

    fn told(filter: &str) -> String {
        let narrowed = narrow(&parse(filter, MESSAGE).unwrap(), NOW);
        let clause = |keys: &Vec<Key>| {
            let each = keys.iter().map(|key| format!("{:?} {}", key.of, key.text));
            each.collect::<Vec<_>>().join(", ")
        };
        let clauses: Vec<String> = narrowed.clauses.iter().map(clause).collect();
        let ago = |at: Option<Timestamp>| at.map(|at| NOW.since(at).as_secs());
        format!("{} {:?}", clauses.join("; "), ago(narrowed.since))
    }

    #[test]
    fn a_filter_says_what_to_look_for() {
        for (filter, expected) in [
            ("to = Bob@B.example", "To bob@b.example None"),
            ("to like *@b.example", " None"),
            ("not to = bob@b.example", " None"),
            ("to != bob@b.example", " None"),
            ("domain = b and to = x@b", "Domain b; To x@b None"),
            (
                "from = a@x and message_id = \"<1@x>\" and size > 1kB",
                "From a@x; MessageId <1@x> None",
            ),
            (
                "(from = a@x and domain = b) or (domain = c and age < 1h)",
                "From a@x, Domain c; Domain b, Domain c None",
            ),
            ("to = a@x or to = b@x", "To a@x, To b@x None"),
            ("to = a@x or size > 1kB", " None"),
            ("status = failed and age < 1h", " Some(3600)"),
            ("age < 2h and age > 1h", " Some(7200)"),
            ("age < 2h or age < 1h", " Some(7200)"),
            ("age < 2h or to = a@x", " None"),
            ("age < 2h and age < 1h", " Some(3600)"),
            ("not age < 2h", " None"),
            ("source_ip = 192.0.2.1", "Client 192.0.2.1 None"),
        ] {
            assert_eq!(told(filter), expected, "{filter}");
        }
    }

    #[test]
    fn a_network_is_found_by_the_next_wider_one() {
        for (network, expected) in [
            ("192.0.2.7/32", Some((Of::Client, "192.0.2.7"))),
            ("192.0.2.128/25", Some((Of::Network, "192.0.2.0/24"))),
            ("192.0.2.0/24", Some((Of::Network, "192.0.2.0/24"))),
            ("192.0.2.0/23", Some((Of::Network, "192.0.0.0/16"))),
            ("10.0.0.0/8", Some((Of::Network, "10.0.0.0/8"))),
            ("0.0.0.0/0", None),
            ("2001:db8::7/128", Some((Of::Client, "2001:db8::7"))),
            ("2001:db8:1:2::/64", Some((Of::Network, "2001:db8:1:2::/64"))),
            ("2001:db8:1::/63", Some((Of::Network, "2001:db8:1::/48"))),
            ("2001:db8::/32", Some((Of::Network, "2001:db8::/32"))),
            ("2001::/16", None),
        ] {
            let key = Key::of_network(network);
            assert_eq!(key, expected.map(|(of, text)| Key::new(of, text)), "{network}");
        }
    }

    #[test]
    fn an_endpoint_has_an_address() {
        for (endpoint, ip) in [
            ("192.0.2.1:25", "192.0.2.1"),
            ("[2001:db8::1]:25", "2001:db8::1"),
            ("[::ffff:192.0.2.1]:25", "192.0.2.1"),
            ("[::1]:25", "::1"),
        ] {
            assert_eq!(ip_of(endpoint), ip);
        }
    }
}
