//! Next hops that the operator names are looked up in the hosts file first; what it has is not asked of DNS.
//!
//! Never for domains of recipients nor for their exchangers: their names are strangers' words.

use posthaste_dns::lookup::Origin;
use posthaste_dns::{Lookup, Resolver};
use posthaste_evidence::{
    Answer, AnswerKind, Effect, Observation, Record, RecordData, RecordType, Seen, Stage, Subject,
    Transport,
};
use posthaste_io::World;
use posthaste_route::Question;
use std::net::IpAddr;
use std::time::Duration;

/// What the hosts file says to a question about an address; `None` when DNS is to be asked.
pub(super) fn known(world: &World, resolver: &Resolver, question: &Question) -> Option<Lookup> {
    let addresses = resolver.settings().hosts.find(&question.name)?;
    let record = |ip: &IpAddr| {
        let data = match (question.kind, ip) {
            (RecordType::A, IpAddr::V4(ip)) => RecordData::A(*ip),
            (RecordType::Aaaa, IpAddr::V6(ip)) => RecordData::Aaaa(*ip),
            _ => return None,
        };
        Some(Record { name: question.name.clone(), ttl: 0, data })
    };
    let records: Vec<Record> = addresses.iter().filter_map(record).collect();
    let kind = if records.is_empty() { AnswerKind::NoData } else { AnswerKind::Answer };
    let answer = Answer { records: records.into(), ..Answer::empty(kind, Transport::Hosts) };
    let (name, kind) = (question.name.clone(), question.kind);
    let subject = Subject::Question { server: None, name: name.clone(), kind };
    let observation = Observation {
        at: world.wall(),
        took: Duration::ZERO,
        stage: Stage::DnsAddr,
        subject,
        seen: Seen::Answer(answer.clone()),
        effect: Effect::None,
    };
    Some(Lookup {
        name,
        kind,
        permanent: answer.kind == AnswerKind::NoData,
        secure: false,
        origin: Origin::Nobody,
        age: None,
        observations: vec![observation],
        answer,
    })
}
