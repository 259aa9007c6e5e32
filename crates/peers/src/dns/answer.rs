//! The replies to one question: what the zone has, bent as the behaviour says.

use super::Behaviour;
use super::octets::{Question, Reply};
use super::zone::{Found, Zone};
use posthaste_evidence::RecordData;
use std::time::Duration;

/// Aliases put into one answer; a circle ends here.
const MAX_CHAIN: usize = 16;
/// What a datagram holds without EDNS (RFC 1035 section 2.3.4).
const PLAIN_PAYLOAD: u16 = 512;
const FORMERR: u8 = 1;
const NXDOMAIN: u8 = 3;

/// The replies, each with the wait before it; none when the server stays silent.
pub(super) fn replies(
    zone: &Zone,
    question: &Question,
    behaviour: &Behaviour,
    tcp: bool,
) -> Vec<(Duration, Vec<u8>)> {
    let honest = || fitted(from_zone(zone, question, true), question, tcp);
    let now = |octets: Vec<u8>| vec![(Duration::ZERO, octets)];
    let bare = |rcode| Reply { rcode, recursion_available: true, ..Reply::default() };
    match behaviour {
        Behaviour::Drop => Vec::new(),
        Behaviour::Answer => now(honest()),
        Behaviour::Delay(wait) => vec![(*wait, honest())],
        Behaviour::Rcode(rcode) => {
            let soa = (*rcode == NXDOMAIN).then(|| zone.negative_ttl());
            now(Reply { soa, ..bare(*rcode) }.write(question))
        }
        Behaviour::NoData => {
            now(Reply { soa: Some(zone.negative_ttl()), ..bare(0) }.write(question))
        }
        Behaviour::Truncate | Behaviour::TruncateForEver if !tcp => {
            now(Reply { truncated: true, ..bare(0) }.write(question))
        }
        Behaviour::Truncate => now(honest()),
        Behaviour::TruncateForEver => Vec::new(),
        Behaviour::ForgedFirst => {
            let mut replies = forgeries(question);
            replies.push((Duration::from_millis(20), honest()));
            replies
        }
        Behaviour::Lame => {
            let referral = vec!["a.root-servers.test".to_owned()];
            now(Reply { referral, ..Reply::default() }.write(question))
        }
        Behaviour::Extended { rcode, code, text } => {
            now(Reply { extended: Some((*code, text.clone())), ..bare(*rcode) }.write(question))
        }
        Behaviour::Malformed => {
            let mut octets = bare(0).write(question);
            // Ten answers are announced, and the name of the first one points at itself.
            octets[7] = 10;
            octets.truncate(12 + question.section.len());
            let here = u16::try_from(octets.len()).unwrap_or(0) | 0xc000;
            octets.extend(here.to_be_bytes());
            octets.extend([0xff; 8]);
            now(octets)
        }
        Behaviour::NoEdns if question.edns.is_some() => now(bare(FORMERR).write(question)),
        Behaviour::NoEdns => now(honest()),
        Behaviour::AliasOnly => now(fitted(from_zone(zone, question, false), question, tcp)),
    }
}

/// What a forger who cannot see the question would send: another id, and another question.
fn forgeries(question: &Question) -> Vec<(Duration, Vec<u8>)> {
    let forged = RecordData::A([203, 0, 113, 66].into());
    let reply = Reply { answers: vec![(question.name.clone(), 60, forged)], ..Reply::default() };
    let other_id = Question { id: question.id.wrapping_add(1), ..question.clone() };
    let mut other_name = question.clone();
    if let Some(octet) = other_name.section.get_mut(1) {
        *octet = if *octet == b'x' { b'y' } else { b'x' };
    }
    [other_id, other_name].iter().map(|q| (Duration::ZERO, reply.write(q))).collect()
}

/// The reply, or one that says it must be fetched by TCP.
fn fitted(reply: Reply, question: &Question, tcp: bool) -> Vec<u8> {
    let octets = reply.write(question);
    let limit = question.edns.unwrap_or(PLAIN_PAYLOAD).max(PLAIN_PAYLOAD);
    if tcp || octets.len() <= usize::from(limit) {
        return octets;
    }
    let cut = Reply { answers: Vec::new(), soa: None, truncated: true, ..reply };
    cut.write(question)
}

fn from_zone(zone: &Zone, question: &Question, chase: bool) -> Reply {
    let mut reply = Reply { authoritative: true, recursion_available: true, ..Reply::default() };
    let mut name = question.name.clone();
    for _ in 0..MAX_CHAIN {
        match zone.find(&name, question.kind) {
            Found::Records(records) => {
                let named = |(ttl, data): &(u32, RecordData)| (name.clone(), *ttl, data.clone());
                reply.answers.extend(records.into_iter().map(named));
                return reply;
            }
            Found::Alias(ttl, target) => {
                reply.answers.push((name, ttl, RecordData::Cname(target.to_owned())));
                if !chase {
                    return reply;
                }
                name = target.to_owned();
            }
            missing => {
                reply.soa = Some(zone.negative_ttl());
                reply.rcode = if matches!(missing, Found::NxDomain) { NXDOMAIN } else { 0 };
                return reply;
            }
        }
    }
    reply
}
