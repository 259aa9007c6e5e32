//! A signed domain in good order, as a check has seen it, and ways to change what was said.

use crate::walk::finding::Finding;
use crate::walk::seen::{
    DomainSeen, ExchangerSeen, ResolverSeen, ServerSeen, SigningSeen, ZoneSeen,
};
use posthaste_evidence::{
    Answer, AnswerKind, Effect, Observation, Record, RecordData, Seen, Stage, Subject, Transport,
};
use posthaste_mail::Timestamp;
use std::time::Duration;

pub(super) const NAME: &str = "shop.test";
/// Seconds since 1970.
pub(super) const NOW: u32 = 1_000_000;
pub(super) const TAG: u16 = 4711;
pub(super) const ALGORITHM: u8 = 13;
/// The numbers of the types that are signed.
pub(super) const SOA: u16 = 6;
pub(super) const MX: u16 = 15;
pub(super) const DS: u16 = 43;
pub(super) const DNSKEY: u16 = 48;
pub(super) const VALID: [u32; 2] = [NOW - 1_000, NOW + 1_000];
pub(super) const PAST: [u32; 2] = [NOW - 2_000, NOW - 1_000];
pub(super) const FUTURE: [u32; 2] = [NOW + 1_000, NOW + 2_000];

pub(super) struct Scene {
    pub(super) seen: DomainSeen,
    pub(super) observations: Vec<Observation>,
}

pub(super) type Place = Option<usize>;
pub(super) type Data = Vec<(&'static str, RecordData)>;

pub(super) fn ns(name: &str) -> RecordData {
    RecordData::Ns(name.into())
}

pub(super) fn mx(exchange: &str) -> RecordData {
    RecordData::Mx { preference: 10, exchange: exchange.into() }
}

pub(super) fn a(ip: [u8; 4]) -> RecordData {
    RecordData::A(ip.into())
}

pub(super) fn alias(target: &str) -> RecordData {
    RecordData::Cname(target.into())
}

pub(super) fn ds(key_tag: u16, algorithm: u8) -> RecordData {
    RecordData::Ds { key_tag, algorithm, digest_type: 2 }
}

pub(super) fn key() -> RecordData {
    RecordData::Dnskey { flags: 257, algorithm: ALGORITHM, key_tag: TAG }
}

pub(super) fn soa() -> RecordData {
    RecordData::Soa { primary: "ns1.shop.test".into(), serial: 7, minimum: 60 }
}

pub(super) fn signature(covers: u16, [inception, expiration]: [u32; 2]) -> RecordData {
    let signer = NAME.to_owned();
    RecordData::Rrsig { covers, algorithm: ALGORITHM, key_tag: TAG, inception, expiration, signer }
}

impl Scene {
    /// Nothing is wrong.
    pub(super) fn new() -> Self {
        let mut scene = Self { seen: DomainSeen::default(), observations: Vec::new() };
        let referred = scene.says(vec![(NAME, ns("ns1.shop.test"))]);
        let zone = |name: &str| ZoneSeen {
            name: name.to_owned(),
            servers: vec![("ns1.shop.test".to_owned(), vec![[203, 0, 113, 1].into()])],
            referred,
            by_parent: true,
        };
        scene.seen.zones = vec![zone(""), zone("test"), zone(NAME)];
        scene.seen.last = scene.says(vec![(NAME, soa())]);
        let server = scene.server();
        scene.seen.servers = vec![server];
        let exchanger = scene.exchanger(vec![("mx.shop.test", a([203, 0, 113, 80]))]);
        scene.seen.exchangers = vec![exchanger];
        scene.signed(ds(TAG, ALGORITHM), VALID, VALID);
        let mx = scene.says(vec![(NAME, mx("mx.shop.test"))]);
        scene.seen.resolvers = vec![resolver(mx, None)];
        scene
    }

    pub(super) fn server(&mut self) -> ServerSeen {
        let soa = self.says(vec![(NAME, soa())]);
        ServerSeen {
            name: "ns1.shop.test".into(),
            address: ([203, 0, 113, 1], 53).into(),
            glue: true,
            own: Some(true),
            udp: soa,
            again: None,
            plain: soa,
            tcp: soa,
            ns: self.says(vec![(NAME, ns("ns1.shop.test"))]),
            mx: self.says(vec![(NAME, mx("mx.shop.test"))]),
        }
    }

    pub(super) fn exchanger(&mut self, records: Data) -> ExchangerSeen {
        let a = self.says(records);
        let aaaa = self.fails(AnswerKind::NoData, &[]);
        let name = "mx.shop.test".to_owned();
        ExchangerSeen { name, preference: Some(10), a, aaaa, target: None }
    }

    /// DS above, and everything signed in time, `above` for the zone above.
    pub(super) fn signed(&mut self, ds: RecordData, time: [u32; 2], above: [u32; 2]) {
        self.seen.signing = SigningSeen {
            ds: self.says(vec![(NAME, ds), (NAME, signature(DS, above))]),
            dnskey: self.says(vec![(NAME, key()), (NAME, signature(DNSKEY, time))]),
            soa: self.says(vec![(NAME, soa()), (NAME, signature(SOA, time))]),
            mx: self.says(vec![(NAME, mx("mx.shop.test")), (NAME, signature(MX, time))]),
        };
    }

    /// The resolver fails like this, and has an answer without validation.
    pub(super) fn unvalidated(&mut self, kind: AnswerKind, extended: &[u16]) {
        let failed = self.fails(kind, extended);
        let unchecked = self.says(vec![(NAME, mx("mx.shop.test"))]);
        self.seen.resolvers = vec![resolver(failed, unchecked)];
    }

    pub(super) fn says(&mut self, records: Data) -> Place {
        let record = |(name, data): (&str, RecordData)| Record { name: name.into(), ttl: 60, data };
        let records: Vec<Record> = records.into_iter().map(record).collect();
        let records = records.into();
        self.note(Answer { records, ..Answer::empty(AnswerKind::Answer, Transport::Udp) })
    }

    pub(super) fn fails(&mut self, kind: AnswerKind, extended: &[u16]) -> Place {
        let extended = extended.iter().map(|code| (*code, String::new())).collect();
        self.note(Answer { extended, ..Answer::empty(kind, Transport::Udp) })
    }

    pub(super) fn note(&mut self, answer: Answer) -> Place {
        self.observations.push(Observation {
            at: Timestamp::EPOCH,
            took: Duration::ZERO,
            stage: Stage::DnsMx,
            subject: Subject::Here,
            seen: Seen::Answer(answer),
            effect: Effect::None,
        });
        Some(self.observations.len() - 1)
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let now = Timestamp::from_micros(i64::from(NOW) * 1_000_000);
        super::super::judge(NAME, &self.seen, &self.observations, now)
    }
}

pub(super) fn resolver(mx: Place, unchecked: Place) -> ResolverSeen {
    let address = ([192, 0, 2, 1], 53).into();
    let (root, above) = (unchecked, None);
    ResolverSeen { address, mx, unchecked, above, root, a: None, aaaa: None, control: None }
}
