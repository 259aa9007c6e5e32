//! What a reply of an authoritative server amounts to on the way down (RFC 1034 section 4.3.2, RFC 2181 section 5.4).
//!
//! Pure, and distrustful: a server is believed only about what its zone holds. Referrals lead downwards, glue is for
//! names below the zone that gives it, a missing name needs AA and an SOA of the zone itself.

use super::limits::{MAX_ADDRESSES, MAX_SERVERS};
use crate::exchange::Heard;
use crate::wire::Reply;
use posthaste_evidence::{AnswerKind, Record, RecordData, RecordType};
use std::net::IpAddr;

const NOERROR: u16 = 0;
const NXDOMAIN: u16 = 3;

/// A step of the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Others know: those of a zone below.
    Referral(Delegation),
    /// The name has such records, or an alias.
    Answer,
    /// The name exists, without such records.
    NoData,
    /// There is no such name.
    NxDomain,
    /// The server does not know the zone it should know, or cannot be used.
    Failed(AnswerKind),
}

/// Where a referral leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Delegation {
    /// The zone below.
    pub(super) zone: String,
    /// Its servers as the zone above names them, at most [`MAX_SERVERS`].
    pub(super) servers: Vec<Named>,
    /// There are more than that.
    pub(super) more: bool,
}

/// A name server and its addresses as somebody else gives them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Named {
    /// Its name.
    pub(super) name: String,
    /// Its addresses, IPv4 first; empty when none came along.
    pub(super) glue: Vec<IpAddr>,
}

impl Step {
    /// It leads on, or ends the way.
    pub(super) const fn is_usable(&self) -> bool {
        !matches!(self, Self::Failed(_))
    }
}

/// What a server of `zone` says of `name`.
pub(super) fn read(heard: &Heard, zone: &str, name: &str) -> Step {
    let Some(reply) = &heard.reply else { return Step::Failed(heard.meaning.answer.kind) };
    if !matches!(reply.rcode, NOERROR | NXDOMAIN) {
        return Step::Failed(heard.meaning.answer.kind);
    }
    let here = reply.answers.iter().any(|r| r.name == name);
    if reply.authoritative && here {
        return Step::Answer;
    }
    if reply.rcode == NOERROR
        && !here
        && let Some(delegation) = delegation(reply, zone, name)
    {
        return Step::Referral(delegation);
    }
    let soa = soa_owner(reply);
    let of_zone = soa.is_none_or(|owner| is_within(owner, zone) && is_within(name, owner));
    match (reply.authoritative, reply.rcode) {
        (true, NXDOMAIN) if of_zone => Step::NxDomain,
        // A negative answer with the SOA of another zone still tells that the name exists.
        (true, NOERROR) => Step::NoData,
        _ => Step::Failed(AnswerKind::Lame),
    }
}

/// The reply says with authority, and with the SOA of `zone` itself, that a name of that zone does not exist.
pub(super) fn denies(heard: &Heard, zone: &str) -> bool {
    heard.reply.as_ref().is_some_and(|reply| {
        reply.authoritative && reply.rcode == NXDOMAIN && soa_owner(reply) == Some(zone)
    })
}

/// The zone whose SOA a reply has, in whichever section it belongs.
pub(super) fn soa_owner(reply: &Reply) -> Option<&str> {
    let all = reply.answers.iter().chain(&reply.authorities);
    all.into_iter().find_map(|r| match r.data {
        RecordData::Soa { .. } => Some(r.name.as_str()),
        _ => None,
    })
}

/// A negative answer whose SOA is not of a zone that holds `name`: strict resolvers discard it.
pub(super) fn has_foreign_soa(reply: &Reply, zone: &str, name: &str) -> bool {
    let foreign = |owner: &str| !is_within(name, owner) || !is_within(owner, zone);
    reply.answers.is_empty() && soa_owner(reply).is_some_and(foreign)
}

/// The name servers that `records` give to `zone`, with what `side` has of their addresses, if those are below
/// `above`, whose server says so.
pub(super) fn servers_of(
    zone: &str,
    records: &[Record],
    side: &[Record],
    above: &str,
) -> Vec<Named> {
    let mut servers: Vec<Named> = Vec::new();
    for record in records.iter().filter(|r| r.name == zone) {
        let RecordData::Ns(name) = &record.data else { continue };
        if !servers.iter().any(|s| s.name == *name) {
            let glue = if is_within(name, above) { glue(name, side) } else { Vec::new() };
            servers.push(Named { name: name.clone(), glue });
        }
    }
    servers
}

/// The name is the zone's apex or below it.
pub(super) fn is_within(name: &str, zone: &str) -> bool {
    if zone.is_empty() {
        return true;
    }
    let Some(rest) = name.strip_suffix(zone) else { return false };
    // A dot inside a label is written with a backslash.
    rest.is_empty()
        || rest.strip_suffix('.').is_some_and(|rest| {
            rest.bytes().rev().take_while(|octet| *octet == b'\\').count() % 2 == 0
        })
}

/// The zone above in the tree of names, not of zones: a label less. `None` for the root.
pub(super) fn above(name: &str) -> Option<&str> {
    if name.is_empty() {
        return None;
    }
    let dots = name.match_indices('.').map(|(at, _)| at);
    let mut ends = dots.filter(|at| is_within(name, &name[at + 1..]));
    Some(ends.next().map_or("", |at| &name[at + 1..]))
}

fn delegation(reply: &Reply, zone: &str, name: &str) -> Option<Delegation> {
    if soa_owner(reply).is_some() {
        return None;
    }
    let below = |owner: &str| owner != zone && is_within(owner, zone) && is_within(name, owner);
    let cut = reply.authorities.iter().find_map(|r| match r.data {
        RecordData::Ns(_) if below(&r.name) => Some(r.name.clone()),
        _ => None,
    })?;
    let mut servers = servers_of(&cut, &reply.authorities, &reply.additionals, zone);
    let more = servers.len() > MAX_SERVERS;
    servers.truncate(MAX_SERVERS);
    Some(Delegation { zone: cut, servers, more })
}

fn glue(name: &str, side: &[Record]) -> Vec<IpAddr> {
    let of =
        |kind| side.iter().filter(|r| r.name == name).filter_map(move |r| address(&r.data, kind));
    let (four, six) = (of(RecordType::A), of(RecordType::Aaaa));
    let mut glue: Vec<IpAddr> = Vec::new();
    for ip in four.take(MAX_ADDRESSES).chain(six.take(MAX_ADDRESSES)) {
        if !glue.contains(&ip) {
            glue.push(ip);
        }
    }
    glue
}

/// The address in a record of that type.
pub(super) const fn address(data: &RecordData, kind: RecordType) -> Option<IpAddr> {
    match (data, kind) {
        (RecordData::A(ip), RecordType::A) => Some(IpAddr::V4(*ip)),
        (RecordData::Aaaa(ip), RecordType::Aaaa) => Some(IpAddr::V6(*ip)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meaning::Meaning;
    use posthaste_evidence::Transport;

    fn reply(authoritative: bool, rcode: u16, sections: [&[(&str, RecordData)]; 3]) -> Heard {
        let section = |at: usize| {
            let record = |(name, data): &(&str, RecordData)| Record {
                name: (*name).to_owned(),
                ttl: 60,
                data: data.clone(),
            };
            sections[at].iter().map(record).collect::<Vec<_>>()
        };
        let reply = Reply {
            rcode,
            authoritative,
            recursive: false,
            authentic: false,
            answers: section(0),
            authorities: section(1),
            additionals: section(2),
            edns: true,
            negative_ttl: None,
            names_servers: false,
            extended: Vec::new(),
        };
        let meaning = Meaning::of(&reply, "www.example.test", RecordType::A, Transport::Udp);
        Heard { meaning, reply: Some(reply), strangers: 0, folds_case: false }
    }

    fn ns(name: &str) -> RecordData {
        RecordData::Ns(name.into())
    }

    fn soa() -> RecordData {
        RecordData::Soa { primary: "ns.test".into(), serial: 1, minimum: 60 }
    }

    fn a(last: u8) -> RecordData {
        RecordData::A([192, 0, 2, last].into())
    }

    #[test]
    fn referrals_lead_downwards_and_nowhere_else() {
        for (zone, owner, leads) in [
            ("test", "example.test", true),
            ("", "test", true),
            ("test", "test", false),
            ("test", "", false),
            ("example.test", "test", false),
            ("test", "other.test", false),
            ("test", "example.org", false),
            ("test", "below.www.example.test", false),
            ("test", "www.example.test", true),
        ] {
            let heard = reply(false, 0, [&[], &[(owner, ns("ns.test"))], &[]]);
            let step = read(&heard, zone, "www.example.test");
            assert_eq!(matches!(step, Step::Referral(_)), leads, "{zone} {owner}: {step:?}");
            assert!(leads || step == Step::Failed(AnswerKind::Lame), "{zone} {owner}: {step:?}");
        }
    }

    #[test]
    fn glue_is_for_names_below_the_zone_that_gives_it() {
        let servers = [ns("ns.example.test"), ns("ns.bank.example"), ns("ns.other.test")];
        let authority = servers.map(|data| ("example.test", data));
        let side = [("ns.example.test", a(1)), ("ns.bank.example", a(66)), ("ns.other.test", a(2))];
        let step = read(&reply(false, 0, [&[], &authority, &side]), "test", "www.example.test");
        let Step::Referral(to) = step else { panic!("{step:?}") };
        let glue: Vec<usize> = to.servers.iter().map(|server| server.glue.len()).collect();
        assert_eq!((to.zone.as_str(), glue), ("example.test", vec![1, 0, 1]));
    }

    #[test]
    fn a_thousand_name_servers_become_thirteen() {
        let names: Vec<String> = (0..1000).map(|n| format!("ns{n}.example.test")).collect();
        let authority: Vec<_> = names.iter().map(|n| ("example.test", ns(n))).collect();
        let side: Vec<_> =
            names.iter().flat_map(|n| (0..50).map(move |i| (n.as_str(), a(i)))).collect();
        let step = read(&reply(false, 0, [&[], &authority, &side]), "test", "www.example.test");
        let Step::Referral(to) = step else { panic!("{step:?}") };
        assert_eq!((to.servers.len(), to.more), (MAX_SERVERS, true));
        assert!(to.servers.iter().all(|server| server.glue.len() == MAX_ADDRESSES));
    }

    #[test]
    fn a_missing_name_needs_authority_and_the_zones_own_soa() {
        let lame = Step::Failed(AnswerKind::Lame);
        for (authoritative, rcode, owner, expected) in [
            (true, 3, Some("test"), Step::NxDomain),
            (true, 3, Some("example.test"), Step::NxDomain),
            (true, 3, None, Step::NxDomain),
            (false, 3, Some("test"), lame.clone()),
            (true, 3, Some(""), lame.clone()),
            (true, 3, Some("other.test"), lame.clone()),
            (true, 0, Some("test"), Step::NoData),
            (true, 0, Some("other.test"), Step::NoData),
            (false, 0, Some("test"), lame.clone()),
            (false, 0, None, lame),
            (true, 5, None, Step::Failed(AnswerKind::Refused)),
        ] {
            let owners = owner.map(|owner| (owner, soa()));
            let heard = reply(authoritative, rcode, [&[], owners.as_slice(), &[]]);
            assert_eq!(read(&heard, "test", "www.example.test"), expected, "{rcode} {owner:?}");
        }
        let alias = [("www.example.test", RecordData::Cname("gone.test".into()))];
        let heard = reply(true, 3, [&alias, &[("test", soa())], &[]]);
        assert_eq!(
            read(&heard, "test", "www.example.test"),
            Step::Answer,
            "what is missing is its target"
        );
        let unasked = [("bank.test", a(66))];
        let heard = reply(true, 0, [&unasked, &[], &[]]);
        assert_eq!(
            read(&heard, "test", "www.example.test"),
            Step::NoData,
            "unasked records are no answer"
        );
    }

    #[test]
    fn zones_hold_the_names_below_them() {
        for (name, zone, holds) in [
            ("a.b", "b", true),
            ("b", "b", true),
            ("ab", "b", false),
            ("a.b", "", true),
            (r"a\.b", "b", false),
            (r"a\\.b", "b", true),
            ("b", "a.b", false),
        ] {
            assert_eq!(is_within(name, zone), holds, "{name} {zone}");
        }
        for (name, expected) in
            [("a.b.c", Some("b.c")), ("c", Some("")), ("", None), (r"a\.b.c", Some("c"))]
        {
            assert_eq!(above(name), expected, "{name}");
        }
    }
}
