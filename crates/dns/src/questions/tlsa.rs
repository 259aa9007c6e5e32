//! Which certificates a host vouches for (RFC 6698), as mail asks for it (RFC 7672 section 2.2).
//!
//! Not here: comparing certificates with them, and whether the host's own addresses are secure.

use crate::lookup::{Agreement, Lookup};
use crate::resolver::Resolver;
use posthaste_evidence::{AnswerKind, RecordData, RecordType};

/// One record: a certificate, or the part of one, that is vouched for (RFC 6698 section 2.1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Association {
    /// Certificate usage; mail uses 2 (DANE-TA) and 3 (DANE-EE).
    pub usage: u8,
    /// 0: the whole certificate; 1: its public key.
    pub selector: u8,
    /// 0: as it is; 1: its SHA-256; 2: its SHA-512.
    pub matching: u8,
    /// The data to compare with.
    pub data: Vec<u8>,
}

/// What the question for a host's certificates came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Vouched {
    /// These, and the answer was validated by a server that is trusted to say so: they bind.
    Secure(Vec<Association>),
    /// There are none, or nobody trusted has validated them: they bind nobody (RFC 7672 section 2.1.1).
    Nothing,
    /// Nobody can tell now. Whoever would have to obey them must wait (RFC 7672 section 2.1.2).
    Failed(AnswerKind),
}

impl Resolver {
    /// The certificates that a host vouches for at a TCP port. The question goes with the verdict.
    pub async fn tlsa(&self, host: &str, port: u16) -> (Vouched, Lookup) {
        let name = format!("_{port}._tcp.{host}");
        let lookup = self.ask(&name, RecordType::Tlsa, Agreement::First).await;
        let vouched = match lookup.verdict() {
            // A host that lost its validated answer to old age may be under attack: no reason to trust it less.
            AnswerKind::Answer if lookup.answer.stale => Vouched::Failed(AnswerKind::Timeout),
            AnswerKind::Answer if lookup.secure => Vouched::Secure(associations(&lookup)),
            AnswerKind::Answer | AnswerKind::NoData | AnswerKind::NxDomain => Vouched::Nothing,
            kind => Vouched::Failed(kind),
        };
        (vouched, lookup)
    }
}

fn associations(lookup: &Lookup) -> Vec<Association> {
    let one = |record: &posthaste_evidence::Record| match &record.data {
        RecordData::Tlsa(usage, selector, matching, data) => Some(Association {
            usage: *usage,
            selector: *selector,
            matching: *matching,
            data: data.clone(),
        }),
        _ => None,
    };
    lookup.answer.records.iter().filter_map(one).collect()
}
