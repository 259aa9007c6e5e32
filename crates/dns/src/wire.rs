//! The codec: questions to octets, octets to replies (RFC 1035 section 4, RFC 6891, RFC 8914).
//!
//! The only room that names the codec library's messages. Not here: what a reply means (`meaning`).

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RData, RecordType as WireType};
use posthaste_evidence::{Record, RecordData, RecordType};

/// The payload we announce, octets: fits every path without fragments (RFC 9715 section 3).
pub const EDNS_PAYLOAD: u16 = 1232;
/// The most extended errors kept of a reply.
pub const MAX_EXTENDED: usize = 4;
/// The most octets kept of an extended error's text.
pub const MAX_EXTENDED_TEXT: usize = 128;
/// The most octets kept of a TXT record.
pub const MAX_TXT: usize = 4096;

const HEADER: usize = 12;
const FLAG_QR: u8 = 0x80;
const OPCODE: u8 = 0x78;
const FLAG_TC: u8 = 0x02;
const EXTENDED_ERROR: u16 = 15;

/// FORMERR (RFC 1035 section 4.1.1).
pub const FORMERR: u16 = 1;
/// NOTIMP (RFC 1035 section 4.1.1).
pub const NOTIMP: u16 = 4;
/// BADVERS (RFC 6891 section 9).
pub const BADVERS: u16 = 16;

/// A reply, read but not judged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    /// Response code with its extension by EDNS.
    pub rcode: u16,
    /// AA
    pub authoritative: bool,
    /// RA
    pub recursive: bool,
    /// AD
    pub authentic: bool,
    /// The answer section, without records of types we have no word for.
    pub answers: Vec<Record>,
    /// The negative TTL of the SOA in the authority section (RFC 2308 section 5), seconds.
    pub negative_ttl: Option<u32>,
    /// The authority section names servers.
    pub names_servers: bool,
    /// Extended errors: code and text.
    pub extended: Vec<(u16, String)>,
}

/// The octets are no DNS message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the reply cannot be read")]
pub struct Unreadable;

/// A question in octets. `edns` announces [`EDNS_PAYLOAD`].
#[must_use]
pub fn question(id: u16, name: &Name, kind: RecordType, edns: bool) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    // Asking for AD needs no DNSSEC records in the answer (RFC 6840 section 5.7).
    message.metadata.authentic_data = true;
    message.add_query(Query::query(name.clone(), wire_type(kind)));
    if edns {
        let mut options = Edns::new();
        options.set_max_payload(EDNS_PAYLOAD);
        message.set_edns(options);
    }
    message.to_vec().expect("a valid name and one question always fit in a message")
}

/// True when `reply` is the reply to `question`: same id, and the same question whatever its case.
///
/// A bare header with an error counts: servers that cannot read a question cannot repeat it.
#[must_use]
pub fn is_reply_to(question: &[u8], reply: &[u8]) -> bool {
    let (Some(asked), Some(header)) = (question.get(..HEADER), reply.get(..HEADER)) else {
        return false;
    };
    let is_reply = header[2] & FLAG_QR != 0 && header[2] & OPCODE == 0;
    if !is_reply || header[..2] != asked[..2] {
        return false;
    }
    let questions = u16::from_be_bytes([header[4], header[5]]);
    let bare_error = questions == 0 && reply.len() == HEADER && header[3] & 0x0f != 0;
    let end = question_end(question);
    let same = || match (question.get(HEADER..end), reply.get(HEADER..end)) {
        (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
        _ => false,
    };
    bare_error || (questions == 1 && same())
}

/// True when the reply was cut (TC). Looks at the header alone: what follows may be cut anywhere.
#[must_use]
pub fn is_truncated(reply: &[u8]) -> bool {
    reply.get(2).is_some_and(|flags| flags & FLAG_TC != 0)
}

/// Reads a reply.
///
/// # Errors
/// [`Unreadable`]: the server, or something on the way, sends what is no DNS.
pub fn read(octets: &[u8]) -> Result<Reply, Unreadable> {
    let message = Message::from_vec(octets).map_err(|_| Unreadable)?;
    let negative_ttl = message.authorities.iter().find_map(|r| match &r.data {
        RData::SOA(soa) => Some(r.ttl.min(soa.minimum)),
        _ => None,
    });
    Ok(Reply {
        rcode: u16::from(message.metadata.response_code),
        authoritative: message.metadata.authoritative,
        recursive: message.metadata.recursion_available,
        authentic: message.metadata.authentic_data,
        answers: message.answers.iter().filter_map(record).collect(),
        negative_ttl,
        names_servers: message.authorities.iter().any(|r| matches!(r.data, RData::NS(_))),
        extended: message.edns.as_ref().map(extended_errors).unwrap_or_default(),
    })
}

/// Where the question section of our own question ends.
fn question_end(question: &[u8]) -> usize {
    let mut at = HEADER;
    while let Some(&length) = question.get(at).filter(|&&length| length != 0) {
        at += usize::from(length) + 1;
    }
    // The root label, type and class.
    at + 1 + 4
}

fn record(record: &hickory_proto::rr::Record) -> Option<Record> {
    if record.dns_class != DNSClass::IN {
        return None;
    }
    let data = data(&record.data)?;
    Some(Record { name: crate::name::text(&record.name), ttl: record.ttl, data })
}

fn data(data: &RData) -> Option<RecordData> {
    use crate::name::text;
    Some(match data {
        RData::A(ip) => RecordData::A(ip.0),
        RData::AAAA(ip) => RecordData::Aaaa(ip.0),
        RData::MX(mx) => RecordData::Mx { preference: mx.preference, exchange: text(&mx.exchange) },
        RData::CNAME(name) => RecordData::Cname(text(&name.0)),
        RData::PTR(name) => RecordData::Ptr(text(&name.0)),
        RData::NS(name) => RecordData::Ns(text(&name.0)),
        RData::TXT(txt) => {
            let mut all = txt.txt_data.concat();
            all.truncate(MAX_TXT);
            RecordData::Txt(String::from_utf8_lossy(&all).into_owned())
        }
        RData::SOA(soa) => {
            RecordData::Soa { primary: text(&soa.mname), serial: soa.serial, minimum: soa.minimum }
        }
        RData::TLSA(tlsa) => RecordData::Tlsa(
            tlsa.cert_usage.into(),
            tlsa.selector.into(),
            tlsa.matching.into(),
            tlsa.cert_data.clone(),
        ),
        RData::Unknown { code, rdata } => {
            return crate::signed::read((*code).into(), &rdata.anything);
        }
        _ => return None,
    })
}

fn extended_errors(edns: &Edns) -> Vec<(u16, String)> {
    let code = EdnsCode::Unknown(EXTENDED_ERROR);
    let all = edns.options().options.iter().filter(|(c, _)| *c == code);
    let one = |(_, option): &(EdnsCode, EdnsOption)| match option {
        EdnsOption::Unknown(_, octets) => {
            let (code, text) = octets.split_first_chunk::<2>()?;
            Some((u16::from_be_bytes(*code), cut(&String::from_utf8_lossy(text))))
        }
        _ => None,
    };
    all.filter_map(one).take(MAX_EXTENDED).collect()
}

fn cut(text: &str) -> String {
    // Some servers end the text with a NUL (RFC 8914 section 2).
    let text = text.trim_end_matches('\0');
    text[..text.floor_char_boundary(MAX_EXTENDED_TEXT)].to_owned()
}

const fn wire_type(kind: RecordType) -> WireType {
    match kind {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Mx => WireType::MX,
        RecordType::Cname => WireType::CNAME,
        RecordType::Ptr => WireType::PTR,
        RecordType::Txt => WireType::TXT,
        RecordType::Soa => WireType::SOA,
        RecordType::Ns => WireType::NS,
        RecordType::Tlsa => WireType::TLSA,
        RecordType::Ds => WireType::DS,
        RecordType::Dnskey => WireType::DNSKEY,
        RecordType::Rrsig => WireType::RRSIG,
    }
}
