//! The replies to one question: what the server knows, bent as the behaviour says.

use super::Behaviour;
use super::authority;
use super::octets::{Question, Record, Reply};
use super::zone::{DEFAULT_TTL, Found, Zone};
use posthaste_evidence::{RecordData, RecordType};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Aliases put into one answer; a circle ends here.
pub(super) const MAX_CHAIN: usize = 16;
/// What a datagram holds without EDNS (RFC 1035 section 2.3.4).
const PLAIN_PAYLOAD: u16 = 512;
/// What a message by TCP holds.
const MAX_MESSAGE: usize = 65_535;
/// Longer than any client waits.
const FOR_EVER: Duration = Duration::from_secs(3600);
const FORMERR: u8 = 1;
pub(super) const NXDOMAIN: u8 = 3;
pub(super) const REFUSED: u8 = 5;

/// What a server has to answer from.
pub(super) enum Knowledge {
    /// A recursive server: what the zone does not have does not exist.
    Recursive(Zone),
    /// The server of these zones.
    Authoritative(Vec<Zone>),
}

/// The replies, each with the wait before it; none when the server stays silent. An empty one stands for
/// silence on a connection that stays open.
pub(super) fn replies(
    known: &Knowledge,
    question: &Question,
    behaviour: &Behaviour,
    tcp: bool,
) -> Vec<(Duration, Vec<u8>)> {
    let fit = |reply| fitted(reply, question, tcp);
    let honest = || fit(known.answer(question));
    let bare = |rcode| Reply { rcode, ..known.blank() };
    let octets = match behaviour {
        Behaviour::Drop => return Vec::new(),
        Behaviour::DropEdns if question.edns.is_some() => return Vec::new(),
        Behaviour::Delay(wait) => return vec![(*wait, honest())],
        Behaviour::TruncateThenSilence if tcp => return vec![(FOR_EVER, Vec::new())],
        Behaviour::TruncateForEver if tcp => return Vec::new(),
        Behaviour::ForgedFirst => {
            let mut replies = forgeries(question);
            replies.push((Duration::from_millis(20), honest()));
            return replies;
        }
        Behaviour::NoEdns if question.edns.is_some() => bare(FORMERR).write(question),
        Behaviour::Truncate | Behaviour::TruncateForEver | Behaviour::TruncateThenSilence
            if !tcp =>
        {
            Reply { truncated: true, ..bare(0) }.write(question)
        }
        Behaviour::Rcode(rcode) => {
            let soa = (*rcode == NXDOMAIN).then(|| known.soa(question));
            Reply { authority: soa.into_iter().collect(), ..bare(*rcode) }.write(question)
        }
        Behaviour::NoData => {
            Reply { authority: vec![known.soa(question)], ..bare(0) }.write(question)
        }
        Behaviour::NoDataOf(zone) => {
            let (_, ttl, soa) = known.soa(question);
            Reply { authority: vec![(zone.clone(), ttl, soa)], ..bare(0) }.write(question)
        }
        Behaviour::WrongId => {
            let other = Question { id: question.id.wrapping_add(1), ..question.clone() };
            fitted(known.answer(question), &other, tcp)
        }
        Behaviour::LowerCase => fitted(known.answer(question), &in_lower_case(question), tcp),
        Behaviour::Lame => upwards().write(question),
        Behaviour::Extended { rcode, code, text } => {
            Reply { extended: Some((*code, text.clone())), ..bare(*rcode) }.write(question)
        }
        Behaviour::Malformed => malformed(bare(0), question),
        Behaviour::Cut(length) => {
            let mut octets = honest();
            octets.truncate(*length);
            octets
        }
        Behaviour::Flood(records) => flood(bare(0), question, *records, tcp),
        Behaviour::EndlessAlias => {
            let target = format!("n{}.{}", question.name.len(), question.name);
            let alias = (question.name.clone(), DEFAULT_TTL, RecordData::Cname(target));
            Reply { answers: vec![alias], ..bare(0) }.write(question)
        }
        Behaviour::AliasOnly => fit(known.answer_without_chasing(question)),
        Behaviour::RewriteMissing(to) => fit(rewritten(known.answer(question), question, *to)),
        Behaviour::Authentic => fit(Reply { authentic: true, ..known.answer(question) }),
        // The others have said above when they do not answer; `OtherSource` and `RefuseAbove` are the server's.
        _ => honest(),
    };
    vec![(Duration::ZERO, octets)]
}

impl Knowledge {
    fn answer(&self, question: &Question) -> Reply {
        match self {
            Self::Recursive(zone) => from_zone(zone, question, true),
            Self::Authoritative(zones) => authority::from_zones(zones, question),
        }
    }

    fn answer_without_chasing(&self, question: &Question) -> Reply {
        match self {
            Self::Recursive(zone) => from_zone(zone, question, false),
            Self::Authoritative(zones) => {
                let mut reply = authority::from_zones(zones, question);
                reply.answers.truncate(1);
                reply
            }
        }
    }

    /// A reply with the bits that this server sets.
    fn blank(&self) -> Reply {
        let recursive = matches!(self, Self::Recursive(_));
        Reply { recursion_available: recursive, authoritative: !recursive, ..Reply::default() }
    }

    /// For a negative answer about the name.
    fn soa(&self, question: &Question) -> Record {
        match self {
            Self::Recursive(zone) => zone.soa(),
            Self::Authoritative(zones) => authority::closest(zones, &question.name)
                .map_or_else(|| Zone::default().soa(), Zone::soa),
        }
    }
}

fn in_lower_case(question: &Question) -> Question {
    let mut section = question.section.clone();
    let name = section.len() - 4;
    section[..name].make_ascii_lowercase();
    Question { section, ..question.clone() }
}

/// What a server says that was never given the zone: ask the root.
fn upwards() -> Reply {
    let server = RecordData::Ns("a.root-servers.test".to_owned());
    Reply { authority: vec![(String::new(), 60, server)], ..Reply::default() }
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

/// Ten answers are announced, and the name of the first one points at itself.
fn malformed(bare: Reply, question: &Question) -> Vec<u8> {
    let mut octets = bare.write(question);
    octets[7] = 10;
    octets.truncate(12 + question.section.len());
    let here = u16::try_from(octets.len()).unwrap_or(0) | 0xc000;
    octets.extend(here.to_be_bytes());
    octets.extend([0xff; 8]);
    octets
}

/// So many records in as few octets as possible: 21 each of MX.
fn flood(bare: Reply, question: &Question, records: u16, tcp: bool) -> Vec<u8> {
    const TTL: [u8; 4] = [0, 0, 1, 44];
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut octets =
        Reply { truncated: !tcp, ..bare }.write(&Question { edns: None, ..question.clone() });
    if !tcp {
        return octets;
    }
    octets[6..8].copy_from_slice(&records.to_be_bytes());
    for number in 0..records {
        let [high, low] = number.to_be_bytes();
        // Every owner is the name of the question, which begins right after the header.
        let (kind, data) = match question.kind {
            Some(RecordType::A) => (1, vec![127, 0, high, low]),
            Some(RecordType::Aaaa) => {
                (28, Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(number)).octets().to_vec())
            }
            _ => {
                let digit = |place: u16| DIGITS[usize::from(number / place % 36)];
                let label = [4, b'm', digit(36 * 36), digit(36), digit(1), 0xc0, 12];
                (15, [&[high, low][..], &label].concat())
            }
        };
        let length = u8::try_from(data.len()).expect("at most 16 octets");
        let record = [&[0xc0, 12, 0, kind, 0, 1][..], &TTL, &[0, length], &data].concat();
        if octets.len() + record.len() > MAX_MESSAGE {
            break;
        }
        octets.extend(record);
    }
    octets
}

/// The sale of typing errors: every missing name has an address, and only that.
fn rewritten(reply: Reply, question: &Question, to: Ipv4Addr) -> Reply {
    if reply.rcode != NXDOMAIN {
        return reply;
    }
    if question.kind != Some(RecordType::A) {
        return Reply { rcode: 0, ..reply };
    }
    let answers = vec![(question.name.clone(), 60, RecordData::A(to))];
    Reply { rcode: 0, answers, authority: Vec::new(), ..reply }
}

/// The reply, or one that says it must be fetched by TCP.
fn fitted(reply: Reply, question: &Question, tcp: bool) -> Vec<u8> {
    let octets = reply.write(question);
    let limit = question.edns.unwrap_or(PLAIN_PAYLOAD).max(PLAIN_PAYLOAD);
    if tcp || octets.len() <= usize::from(limit) {
        return octets;
    }
    let cut = Reply {
        answers: Vec::new(),
        authority: Vec::new(),
        additional: Vec::new(),
        truncated: true,
        ..reply
    };
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
                reply.authority.push(zone.soa());
                reply.rcode = if matches!(missing, Found::NxDomain) { NXDOMAIN } else { 0 };
                return reply;
            }
        }
    }
    reply
}
