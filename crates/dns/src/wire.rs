//! The codec: questions to octets, octets to replies (RFC 1035 section 4, RFC 6891, RFC 8914).
//!
//! The only room that names the codec library's messages. Not here: what a reply means (`meaning`).

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, Name, RData, Record as WireRecord, RecordType as WireType};
use posthaste_evidence::{Record, RecordData, RecordType};

/// The payload we announce, octets: fits every path without fragments (RFC 9715 section 3).
pub const EDNS_PAYLOAD: u16 = 1232;
/// The most extended errors kept of a reply.
pub const MAX_EXTENDED: usize = 4;
/// The most octets kept of an extended error's text.
pub const MAX_EXTENDED_TEXT: usize = 128;
/// The most octets kept of a TXT record.
pub const MAX_TXT: usize = 4096;

/// The most records kept of the authority section, and of the additional section.
pub const MAX_SIDE_RECORDS: usize = 256;

/// The length of a message's header, octets.
pub const HEADER: usize = 12;
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

/// What a question asks for besides its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags {
    /// RD: the server asks others for us (RFC 1035 section 4.1.1).
    pub recursion: bool,
    /// AD: we understand AD in the reply; needs no DNSSEC records in it (RFC 6840 section 5.7).
    pub authentic: bool,
    /// CD: the server need not validate (RFC 4035 section 3.2.2).
    pub checking_disabled: bool,
    /// DO: signatures are wanted (RFC 3225). Goes with EDNS only.
    pub dnssec_ok: bool,
}

impl Flags {
    /// Of a question to an authoritative server: no recursion, no validation, signatures wanted.
    pub const WALKING: Self =
        Self { recursion: false, authentic: false, checking_disabled: true, dnssec_ok: true };
}

impl Default for Flags {
    /// Of a question to a recursive server, for mail.
    fn default() -> Self {
        Self { recursion: true, authentic: true, checking_disabled: false, dnssec_ok: false }
    }
}

/// How a reply fits to our question.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fit {
    /// Same id, same question, same case.
    Exact,
    /// Same id and question, in another case: from a server that does not keep it, or forged.
    OtherCase,
    /// Same id, an error and no question at all: from a server that cannot read ours, or forged.
    Bare,
    /// Anything else: late, or forged.
    Stranger,
}

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
    /// The authority section, without records of types we have no word for, at most [`MAX_SIDE_RECORDS`].
    pub authorities: Vec<Record>,
    /// The additional section, likewise.
    pub additionals: Vec<Record>,
    /// The reply has EDNS.
    pub edns: bool,
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
pub fn question(id: u16, name: &Name, kind: RecordType, edns: bool, flags: Flags) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = flags.recursion;
    message.metadata.authentic_data = flags.authentic;
    message.metadata.checking_disabled = flags.checking_disabled;
    message.add_query(Query::query(name.clone(), wire_type(kind)));
    if edns {
        let mut options = Edns::new();
        options.set_max_payload(EDNS_PAYLOAD);
        options.set_dnssec_ok(flags.dnssec_ok);
        message.set_edns(options);
    }
    message.to_vec().expect("a valid name and one question always fit in a message")
}

/// Changes the case of each letter of the question's name as chance has it: who cannot see the question cannot
/// repeat it (draft-vixie-dnsext-dns0x20). `chance` gives 64 random bits each time.
pub fn mix_case(question: &mut [u8], mut chance: impl FnMut() -> u64) {
    let end = question_end(question).min(question.len());
    let name = HEADER.min(end)..end.saturating_sub(4).max(HEADER.min(end));
    let (mut bits, mut left) = (0, 0);
    // A label's length is at most 63, which is no letter.
    for octet in question[name].iter_mut().filter(|octet| octet.is_ascii_alphabetic()) {
        if left == 0 {
            (bits, left) = (chance(), u64::BITS);
        }
        if bits & 1 == 1 {
            *octet ^= 0x20;
        }
        (bits, left) = (bits >> 1, left - 1);
    }
}

/// How `reply` fits to `question`.
#[must_use]
pub fn fit(question: &[u8], reply: &[u8]) -> Fit {
    let (Some(asked), Some(header)) = (question.get(..HEADER), reply.get(..HEADER)) else {
        return Fit::Stranger;
    };
    let is_reply = header[2] & FLAG_QR != 0 && header[2] & OPCODE == 0;
    if !is_reply || header[..2] != asked[..2] {
        return Fit::Stranger;
    }
    let questions = u16::from_be_bytes([header[4], header[5]]);
    if questions == 0 && reply.len() == HEADER && header[3] & 0x0f != 0 {
        return Fit::Bare;
    }
    let end = question_end(question);
    match (question.get(HEADER..end), reply.get(HEADER..end)) {
        _ if questions != 1 => Fit::Stranger,
        (Some(ours), Some(theirs)) if ours == theirs => Fit::Exact,
        (Some(ours), Some(theirs)) if ours.eq_ignore_ascii_case(theirs) => Fit::OtherCase,
        _ => Fit::Stranger,
    }
}

/// True when `reply` is the reply to `question`: same id, and the same question whatever its case.
///
/// A bare header with an error counts: servers that cannot read a question cannot repeat it.
#[must_use]
pub fn is_reply_to(question: &[u8], reply: &[u8]) -> bool {
    fit(question, reply) != Fit::Stranger
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
        RData::SOA(soa) => Some(lifetime(r.ttl).min(soa.minimum)),
        _ => None,
    });
    Ok(Reply {
        rcode: u16::from(message.metadata.response_code),
        authoritative: message.metadata.authoritative,
        recursive: message.metadata.recursion_available,
        authentic: message.metadata.authentic_data,
        answers: message.answers.iter().filter_map(record).collect(),
        authorities: side(&message.authorities),
        additionals: side(&message.additionals),
        edns: message.edns.is_some(),
        negative_ttl,
        names_servers: message.authorities.iter().any(|r| matches!(r.data, RData::NS(_))),
        extended: message.edns.as_ref().map(extended_errors).unwrap_or_default(),
    })
}

/// A TTL with its highest bit set counts as none (RFC 2181 section 8).
const fn lifetime(ttl: u32) -> u32 {
    if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl }
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

fn side(section: &[WireRecord]) -> Vec<Record> {
    section.iter().filter_map(record).take(MAX_SIDE_RECORDS).collect()
}

fn record(record: &WireRecord) -> Option<Record> {
    if record.dns_class != DNSClass::IN {
        return None;
    }
    let data = data(&record.data)?;
    Some(Record { name: crate::name::text(&record.name), ttl: lifetime(record.ttl), data })
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
