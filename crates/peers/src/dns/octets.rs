//! DNS messages in octets (RFC 1035 section 4, RFC 6891): just enough to read a question and write a reply.
//!
//! Written apart from the resolver's codec on purpose, without compression and without its library.

use posthaste_evidence::{RecordData, RecordType};

/// Owner, TTL, type and class before the length of the data, octets.
const CLASS_IN: u16 = 1;
const TYPE_OPT: u16 = 41;
const TYPE_SOA: u16 = 6;
const EDE: u16 = 15;
const HEADER: usize = 12;

/// A question, read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// Its number.
    pub id: u16,
    /// Lower case, no final dot.
    pub name: String,
    /// `None` for types we have no word for.
    pub kind: Option<RecordType>,
    /// The payload announced by EDNS, if any.
    pub edns: Option<u16>,
    /// DNSSEC records are wanted (DO, RFC 3225).
    pub dnssec: bool,
    /// Validation is unwanted (CD, RFC 4035 section 3.2.2).
    pub unchecked: bool,
    /// Recursion desired.
    pub recursion: bool,
    /// The question section as it came.
    pub section: Vec<u8>,
}

impl Question {
    /// Reads a query with one question; `None` for anything else.
    #[must_use]
    pub fn read(query: &[u8]) -> Option<Self> {
        let header = query.get(..HEADER)?;
        let counts = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        if header[2] & 0xf8 != 0 || counts(4) != 1 {
            return None;
        }
        let mut at = HEADER;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*query.get(at)?);
            if length > 63 {
                return None;
            }
            let label = query.get(at + 1..at + 1 + length)?;
            at += 1 + length;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        }
        let fixed = query.get(at..at + 4)?;
        Some(Self {
            id: counts(0),
            name: labels.join("."),
            kind: kind_of(u16::from_be_bytes([fixed[0], fixed[1]])),
            edns: opt(query, at + 4, counts(10)).map(|opt| u16::from_be_bytes([opt[3], opt[4]])),
            dnssec: opt(query, at + 4, counts(10)).is_some_and(|opt| opt[7] & 0x80 != 0),
            unchecked: header[3] & 0x10 != 0,
            recursion: header[2] & 1 != 0,
            section: query[HEADER..at + 4].to_vec(),
        })
    }
}

/// An OPT record right after the question, where our questions have it.
fn opt(query: &[u8], at: usize, additional: u16) -> Option<&[u8]> {
    let opt = query.get(at..at + 11).filter(|_| additional > 0)?;
    (opt[0] == 0 && u16::from_be_bytes([opt[1], opt[2]]) == TYPE_OPT).then_some(opt)
}

/// A record as it is written: owner, TTL in seconds, data.
pub(super) type Record = (String, u32, RecordData);

/// A reply to be written.
#[derive(Clone, Default, Debug)]
pub(super) struct Reply {
    pub(super) rcode: u8,
    pub(super) authoritative: bool,
    pub(super) recursion_available: bool,
    pub(super) truncated: bool,
    /// AD
    pub(super) authentic: bool,
    pub(super) answers: Vec<Record>,
    pub(super) authority: Vec<Record>,
    pub(super) additional: Vec<Record>,
    pub(super) extended: Option<(u16, String)>,
}

impl Reply {
    /// In octets.
    pub(super) fn write(&self, to: &Question) -> Vec<u8> {
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags = 0x8000
            | flag(self.authoritative, 0x0400)
            | flag(self.truncated, 0x0200)
            | flag(to.recursion, 0x0100)
            | flag(self.recursion_available, 0x0080)
            | flag(self.authentic, 0x0020)
            | flag(to.unchecked, 0x0010)
            | u16::from(self.rcode & 0x0f);
        let additional = self.additional.len() + usize::from(to.edns.is_some());
        let mut octets = Vec::new();
        let counts = [1, self.answers.len(), self.authority.len(), additional];
        for number in [to.id, flags].into_iter().chain(counts.map(short)) {
            octets.extend(number.to_be_bytes());
        }
        octets.extend(&to.section);
        for (name, ttl, data) in self.answers.iter().chain(&self.authority).chain(&self.additional)
        {
            write_record(&mut octets, name, type_of(data), *ttl, &octets_of(data));
        }
        if to.edns.is_some() {
            self.write_opt(&mut octets);
        }
        octets
    }

    fn write_opt(&self, octets: &mut Vec<u8>) {
        let mut options = Vec::new();
        if let Some((code, text)) = &self.extended {
            options.extend(EDE.to_be_bytes());
            options.extend(short(text.len() + 2).to_be_bytes());
            options.extend(code.to_be_bytes());
            options.extend(text.bytes());
        }
        octets.push(0);
        octets.extend(TYPE_OPT.to_be_bytes());
        octets.extend(1232u16.to_be_bytes());
        octets.extend(u32::from(self.rcode >> 4).to_be_bytes());
        octets.extend(short(options.len()).to_be_bytes());
        octets.extend(options);
    }
}

fn write_record(octets: &mut Vec<u8>, name: &str, kind: u16, ttl: u32, data: &[u8]) {
    write_name(octets, name);
    octets.extend(kind.to_be_bytes());
    octets.extend(CLASS_IN.to_be_bytes());
    octets.extend(ttl.to_be_bytes());
    octets.extend(short(data.len()).to_be_bytes());
    octets.extend(data);
}

fn write_name(octets: &mut Vec<u8>, name: &str) {
    for label in name.split('.').filter(|label| !label.is_empty()) {
        let label = &label.as_bytes()[..label.len().min(63)];
        octets.push(u8::try_from(label.len()).expect("cut to 63 octets above"));
        octets.extend(label);
    }
    octets.push(0);
}

fn octets_of(data: &RecordData) -> Vec<u8> {
    let mut octets = Vec::new();
    match data {
        RecordData::A(ip) => octets.extend(ip.octets()),
        RecordData::Aaaa(ip) => octets.extend(ip.octets()),
        RecordData::Mx { preference, exchange } => {
            octets.extend(preference.to_be_bytes());
            write_name(&mut octets, exchange);
        }
        RecordData::Cname(name) | RecordData::Ptr(name) | RecordData::Ns(name) => {
            write_name(&mut octets, name);
        }
        RecordData::Txt(text) => {
            for part in text.as_bytes().chunks(255) {
                octets.push(u8::try_from(part.len()).expect("chunks of 255 octets"));
                octets.extend(part);
            }
        }
        RecordData::Soa { primary, serial, minimum } => {
            write_name(&mut octets, primary);
            write_name(&mut octets, "hostmaster.test");
            for number in [*serial, 3600, 600, 86_400, *minimum] {
                octets.extend(number.to_be_bytes());
            }
        }
        RecordData::Tlsa(usage, selector, matching, data) => {
            octets.extend([usage, selector, matching]);
            octets.extend(data);
        }
        // What of these a record keeps is not the whole: signed zones are served by real servers.
        RecordData::Ds { .. } | RecordData::Dnskey { .. } | RecordData::Rrsig { .. } => {}
    }
    octets
}

const KINDS: [(u16, RecordType); 12] = [
    (1, RecordType::A),
    (28, RecordType::Aaaa),
    (15, RecordType::Mx),
    (5, RecordType::Cname),
    (12, RecordType::Ptr),
    (16, RecordType::Txt),
    (TYPE_SOA, RecordType::Soa),
    (2, RecordType::Ns),
    (52, RecordType::Tlsa),
    (43, RecordType::Ds),
    (48, RecordType::Dnskey),
    (46, RecordType::Rrsig),
];

fn kind_of(number: u16) -> Option<RecordType> {
    KINDS.iter().find(|(n, _)| *n == number).map(|(_, kind)| *kind)
}

fn type_of(data: &RecordData) -> u16 {
    let kind = kind_of_data(data);
    KINDS.iter().find(|(_, k)| *k == kind).map_or(0, |(number, _)| *number)
}

/// The type a record's data is of.
pub(super) const fn kind_of_data(data: &RecordData) -> RecordType {
    match data {
        RecordData::A(_) => RecordType::A,
        RecordData::Aaaa(_) => RecordType::Aaaa,
        RecordData::Mx { .. } => RecordType::Mx,
        RecordData::Cname(_) => RecordType::Cname,
        RecordData::Ptr(_) => RecordType::Ptr,
        RecordData::Txt(_) => RecordType::Txt,
        RecordData::Soa { .. } => RecordType::Soa,
        RecordData::Ns(_) => RecordType::Ns,
        RecordData::Tlsa(..) => RecordType::Tlsa,
        RecordData::Ds { .. } => RecordType::Ds,
        RecordData::Dnskey { .. } => RecordType::Dnskey,
        RecordData::Rrsig { .. } => RecordType::Rrsig,
    }
}

fn short(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}
