//! What a reply amounts to for the question asked: an answer, nothing, or a failure (RFC 1034 section 4.3.2,
//! RFC 2308, RFC 6604, RFC 8914).
//!
//! Pure. Not here: who asks and when (`exchange`, `resolver`).

use crate::wire::Reply;
use posthaste_evidence::{Answer, AnswerKind, Record, RecordData, RecordType, Transport};

/// The most aliases followed for one question.
pub const MAX_ALIASES: usize = 8;
/// The most records kept of an answer, aliases included.
pub const MAX_RECORDS: usize = 64;

/// DNSSEC Bogus to NSEC Missing (RFC 8914 section 4): what a validating server says of a SERVFAIL.
const BOGUS_CODES: std::ops::RangeInclusive<u16> = 6..=12;

const NOERROR: u16 = 0;
const SERVFAIL: u16 = 2;
const NXDOMAIN: u16 = 3;
const REFUSED: u16 = 5;

/// A reply, judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Meaning {
    /// What it amounts to.
    pub answer: Answer,
    /// The answer ends with an alias and says nothing of its target: ask for this name next.
    pub next: Option<String>,
    /// There was a reply, and it could be read. A chain that does not end is the zone's fault, not the
    /// server's.
    pub legible: bool,
}

impl Meaning {
    /// A failure without a reply.
    #[must_use]
    pub const fn failure(kind: AnswerKind, transport: Transport) -> Self {
        Self { answer: Answer::empty(kind, transport), next: None, legible: false }
    }

    /// True when it tells of a fault of the server or the way to it. SERVFAIL and what validation says are
    /// about the name asked for.
    #[must_use]
    pub const fn speaks_against_server(&self) -> bool {
        match self.answer.kind {
            AnswerKind::Malformed => !self.legible,
            AnswerKind::Timeout
            | AnswerKind::Unreachable
            | AnswerKind::Refused
            | AnswerKind::NotImp
            | AnswerKind::FormErr
            | AnswerKind::Lame => true,
            _ => false,
        }
    }

    /// What a reply to the question `name`, `kind` amounts to. `name` in the resolver's form.
    #[must_use]
    pub fn of(reply: &Reply, name: &str, kind: RecordType, transport: Transport) -> Self {
        let mut answer = Answer {
            authentic: reply.authentic,
            authoritative: reply.authoritative,
            extended: reply.extended.clone(),
            ..Answer::empty(AnswerKind::Malformed, transport)
        };
        if let Some(failure) = failure_of(reply) {
            answer.kind = failure;
            return Self { answer, next: None, legible: true };
        }
        let chain = match Chain::follow(&reply.answers, name, kind) {
            Ok(chain) => chain,
            Err(aliases) => {
                answer.records = aliases.into_iter().collect();
                return Self { answer, next: None, legible: true };
            }
        };
        let found = chain.found > 0;
        let ends_in_alias = chain.records.len() > chain.found;
        let known_missing = reply.rcode == NXDOMAIN || reply.negative_ttl.is_some();
        answer.ttl = match reply.negative_ttl {
            _ if found => chain.ttl(),
            Some(negative) => negative.min(chain.ttl()),
            None if ends_in_alias => chain.ttl(),
            None => 0,
        };
        answer.kind = match reply.rcode {
            NXDOMAIN if !found => AnswerKind::NxDomain,
            _ if found || (ends_in_alias && !known_missing) => AnswerKind::Answer,
            _ if is_lame(reply) => AnswerKind::Lame,
            _ => AnswerKind::NoData,
        };
        let next = (!found && answer.kind == AnswerKind::Answer).then_some(chain.end);
        answer.records = chain.records.into();
        Self { answer, next, legible: true }
    }
}

fn failure_of(reply: &Reply) -> Option<AnswerKind> {
    let bogus = reply.extended.iter().any(|(code, _)| BOGUS_CODES.contains(code));
    Some(match reply.rcode {
        NOERROR | NXDOMAIN => return None,
        crate::wire::FORMERR => AnswerKind::FormErr,
        SERVFAIL if bogus => AnswerKind::Bogus,
        SERVFAIL => AnswerKind::ServFail,
        crate::wire::NOTIMP => AnswerKind::NotImp,
        REFUSED => AnswerKind::Refused,
        other => AnswerKind::OtherRcode(other),
    })
}

/// An empty reply of a server that neither owns the zone nor asks others: it points elsewhere.
const fn is_lame(reply: &Reply) -> bool {
    let referral = reply.names_servers && reply.negative_ttl.is_none();
    let answers_for_nobody = !reply.recursive && reply.negative_ttl.is_none();
    reply.answers.is_empty() && !reply.authoritative && (referral || answers_for_nobody)
}

/// The aliases of an answer section from the name asked for, and the records at their end.
struct Chain {
    /// Aliases in order, then the records found.
    records: Vec<Record>,
    /// How many of them are of the type asked for.
    found: usize,
    /// The last name reached.
    end: String,
}

impl Chain {
    /// The aliases themselves when they run in a circle or are more than [`MAX_ALIASES`].
    fn follow(answers: &[Record], name: &str, kind: RecordType) -> Result<Self, Vec<Record>> {
        let mut chain = Self { records: Vec::new(), found: 0, end: name.to_owned() };
        loop {
            let here = |r: &&Record| r.name == chain.end;
            let mut found: Vec<Record> =
                answers.iter().filter(here).filter(|r| is_of(r, kind)).cloned().collect();
            if !found.is_empty() {
                best_first(&mut found);
                found.truncate(MAX_RECORDS - chain.records.len());
                chain.found = found.len();
                chain.records.append(&mut found);
                return Ok(chain);
            }
            let alias = answers.iter().filter(here).find_map(|r| match &r.data {
                RecordData::Cname(target) => Some((r, target)),
                _ => None,
            });
            let Some((record, target)) = alias else { return Ok(chain) };
            let known = target == name || chain.records.iter().any(|r| r.name == *target);
            let full = chain.records.len() == MAX_ALIASES;
            chain.records.push(record.clone());
            if known || full {
                return Err(chain.records);
            }
            chain.end.clone_from(target);
        }
    }

    /// The lowest TTL of all of it, seconds.
    fn ttl(&self) -> u32 {
        self.records.iter().map(|r| r.ttl).min().unwrap_or(u32::MAX)
    }
}

/// Of a flood of MX records the best are kept, not the first.
fn best_first(records: &mut [Record]) {
    if records.len() > MAX_RECORDS {
        records.sort_by_key(|r| match r.data {
            RecordData::Mx { preference, .. } => preference,
            _ => 0,
        });
    }
}

/// The record is of that type.
pub(crate) const fn is_of(record: &Record, kind: RecordType) -> bool {
    matches!(
        (&record.data, kind),
        (RecordData::A(_), RecordType::A)
            | (RecordData::Aaaa(_), RecordType::Aaaa)
            | (RecordData::Mx { .. }, RecordType::Mx)
            | (RecordData::Cname(_), RecordType::Cname)
            | (RecordData::Ptr(_), RecordType::Ptr)
            | (RecordData::Txt(_), RecordType::Txt)
            | (RecordData::Ns(_), RecordType::Ns)
            | (RecordData::Soa { .. }, RecordType::Soa)
            | (RecordData::Tlsa(..), RecordType::Tlsa)
            | (RecordData::Ds { .. }, RecordType::Ds)
            | (RecordData::Dnskey { .. }, RecordType::Dnskey)
            | (RecordData::Rrsig { .. }, RecordType::Rrsig)
    )
}
