//! What a check of a domain has seen: zones, servers, mail exchangers, our resolvers. Places in the list of observations
//! tell what was said.
//!
//! Not here: what follows from it (`judge`), words for people.

use super::finding::Finding;
use super::limits::Limit;
use posthaste_evidence::{Observation, Seen};
use posthaste_mail::Timestamp;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a check came to.
#[derive(Clone, PartialEq, Debug)]
pub struct DomainReport {
    /// The domain, in the resolver's form.
    pub name: String,
    /// When the check began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What was seen.
    pub seen: DomainSeen,
    /// One for each question, in the order they were asked.
    pub observations: Vec<Observation>,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What cut it short.
    pub limits: Vec<Limit>,
}

impl DomainReport {
    /// The same of a domain that mail was delivered to before.
    #[must_use]
    pub fn of_delivered(mut self) -> Self {
        for finding in &mut self.findings {
            finding.problem = finding.problem.of_delivered();
        }
        self
    }
}

impl DomainSeen {
    /// The zone's own servers, or those of the zone above, have said what there is. Otherwise all that is known of
    /// the domain is what our recursive servers say.
    #[must_use]
    pub fn is_at_zone(&self, observations: &[Observation]) -> bool {
        let spoke = |place: Option<usize>| {
            let seen = place.and_then(|at| observations.get(at)).map(|o| &o.seen);
            matches!(seen, Some(Seen::Answer(answer)) if answer.kind.is_conclusive())
        };
        self.missing.is_some() || self.servers.iter().any(|server| spoke(server.mx))
    }
}

/// What was seen.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DomainSeen {
    /// The roots are private addresses themselves: those of others are no fault.
    pub closed: bool,
    /// From the root to the closest enclosing zone; empty without roots to begin with.
    pub zones: Vec<ZoneSeen>,
    /// The zone above says that there is no such name; who said so.
    pub missing: Option<usize>,
    /// The last word on the way down.
    pub last: Option<usize>,
    /// The servers of the last zone, by address.
    pub servers: Vec<ServerSeen>,
    /// Name servers with no address that can be asked.
    pub unplaced: Vec<Unplaced>,
    /// The mail exchangers, the best first; without MX records the domain itself.
    pub exchangers: Vec<ExchangerSeen>,
    /// What is signed.
    pub signing: SigningSeen,
    /// A name that nobody has, and what a server of the zone says of it.
    pub control: Option<usize>,
    /// Our recursive servers.
    pub resolvers: Vec<ResolverSeen>,
}

/// A zone on the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneSeen {
    /// Its apex; the root is the empty string.
    pub name: String,
    /// Its servers and their glue as the zone above gives them.
    pub servers: Vec<(String, Vec<IpAddr>)>,
    /// Who gave them.
    pub referred: Option<usize>,
    /// The servers of the zone above said so. `false`: they serve this zone, too, and what the zone above has cannot be seen.
    pub by_parent: bool,
}

/// One address of a server of the zone, asked directly.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerSeen {
    /// The server's name.
    pub name: String,
    /// Where it was asked.
    pub address: SocketAddr,
    /// The zone above gives this address.
    pub glue: bool,
    /// The server's own zone gives it; `None` when that could not be asked.
    pub own: Option<bool>,
    /// SOA by UDP with EDNS.
    pub udp: Option<usize>,
    /// The same once more, when nothing came.
    pub again: Option<usize>,
    /// SOA by UDP without EDNS.
    pub plain: Option<usize>,
    /// SOA by TCP.
    pub tcp: Option<usize>,
    /// Its NS set.
    pub ns: Option<usize>,
    /// Its MX set of the domain.
    pub mx: Option<usize>,
}

/// A name server without an address that can be asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unplaced {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: WhyUnplaced,
    /// The answers about its addresses.
    pub evidence: Vec<usize>,
}

/// Why a name server has no address that can be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhyUnplaced {
    /// Nobody gives one.
    NoAddress,
    /// Its name is an alias (RFC 2181 section 10.3).
    Alias,
    /// Only private ones.
    Private,
}

/// A mail exchanger.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExchangerSeen {
    /// Its name.
    pub name: String,
    /// The best preference given; `None` for the domain itself.
    pub preference: Option<u16>,
    /// The answer to A of a server of its zone; of a recursive server of ours where [`DomainSeen::is_at_zone`] is
    /// false.
    pub a: Option<usize>,
    /// The same server's answer to AAAA.
    pub aaaa: Option<usize>,
    /// The host that its name is an alias of, when another zone has that.
    pub target: Option<TargetSeen>,
}

/// Where an alias leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetSeen {
    /// The last name reached.
    pub name: String,
    /// The answer to A of a server of its zone; `None` when nobody can be asked, or the aliases do not end.
    pub a: Option<usize>,
    /// The same server's answer to AAAA.
    pub aaaa: Option<usize>,
}

/// What is signed (RFC 4033).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SigningSeen {
    /// DS, of a server of the zone above.
    pub ds: Option<usize>,
    /// DNSKEY of the zone.
    pub dnskey: Option<usize>,
    /// SOA of the zone with its signatures.
    pub soa: Option<usize>,
    /// MX of the domain with its signatures.
    pub mx: Option<usize>,
}

/// A recursive server of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResolverSeen {
    /// Who.
    pub address: SocketAddr,
    /// MX of the domain; the second answer, when there was none in time at first.
    pub mx: Option<usize>,
    /// The same without validation (CD), when the first answer was a failure.
    pub unchecked: Option<usize>,
    /// SOA of the zone above, when validation fails: whether it fails there, too.
    pub above: Option<usize>,
    /// NS of the root: whether it answers anything at all.
    pub root: Option<usize>,
    /// A of the best mail exchanger.
    pub a: Option<usize>,
    /// AAAA of it.
    pub aaaa: Option<usize>,
    /// A of a name that nobody has.
    pub control: Option<usize>,
}
