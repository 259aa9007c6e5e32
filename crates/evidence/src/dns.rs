//! DNS answers as typed data (RFC 1035, RFC 2308, RFC 8914): what one server said to one question.

mod records;

pub use records::Records;

use crate::tls::TlsFault;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// The types we ask for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Mail exchanger.
    Mx,
    /// Alias.
    Cname,
    /// Pointer (reverse).
    Ptr,
    /// Text.
    Txt,
    /// Start of authority.
    Soa,
    /// Name server.
    Ns,
    /// TLSA (RFC 6698).
    Tlsa,
    /// Delegation signer (RFC 4034 section 5).
    Ds,
    /// Public key of a signed zone (RFC 4034 section 2).
    Dnskey,
    /// Signature (RFC 4034 section 3).
    Rrsig,
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Cname => "CNAME",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
            Self::Soa => "SOA",
            Self::Ns => "NS",
            Self::Tlsa => "TLSA",
            Self::Ds => "DS",
            Self::Dnskey => "DNSKEY",
            Self::Rrsig => "RRSIG",
        })
    }
}

/// A recursive server as the operator names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameServer {
    /// Where it is asked.
    pub address: SocketAddr,
    /// It is asked by DNS over TLS (RFC 7858), and its certificate must be for this name or address.
    pub tls: Option<String>,
    /// Its AD bit is believed. That of a server on loopback is without being named (RFC 6698 section 10.1).
    pub trusted: bool,
}

impl From<SocketAddr> for NameServer {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: None, trusted: address.ip().is_loopback() }
    }
}

/// What a question said of EDNS (RFC 6891).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Edns {
    /// It was offered.
    #[default]
    Offered,
    /// Left out: this server answers FORMERR or NOTIMP to it (RFC 6891 section 7).
    LeftOut,
    /// Left out to see whether silence was about EDNS: a diagnostic try.
    LeftOutToSee,
}

/// How the question travelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// One datagram each way.
    Udp,
    /// After truncation, or by choice.
    Tcp,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// Not asked now: the cache answered.
    Cache,
    /// Not asked: the hosts file of this machine has the name, a next hop that the operator names.
    Hosts,
}

/// What an answer amounts to. Kept apart, because each has another cause and another owner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswerKind {
    /// Records of the type asked for (or a CNAME chain to them).
    Answer,
    /// The name exists, without records of this type (RFC 2308 section 2.2).
    NoData,
    /// The name does not exist.
    NxDomain,
    /// SERVFAIL.
    ServFail,
    /// REFUSED.
    Refused,
    /// NOTIMP.
    NotImp,
    /// FORMERR.
    FormErr,
    /// Another response code.
    OtherRcode(u16),
    /// A server that should know the zone does not (upward referral, not authoritative).
    Lame,
    /// No answer in time.
    Timeout,
    /// The network or the host said at once that nobody is there.
    Unreachable,
    /// The answer cannot be read, or a chain in it does not end.
    Malformed,
    /// DNSSEC validation failed (as the server says by RFC 8914).
    Bogus,
}

impl AnswerKind {
    /// An answer that says something about the name; all others say something about a server or the way to it.
    #[must_use]
    pub const fn is_conclusive(self) -> bool {
        matches!(self, Self::Answer | Self::NoData | Self::NxDomain)
    }

    /// How much an answer tells of the name asked for, 0 to 10: of several to one question, the most telling one stands
    /// for all.
    #[must_use]
    pub const fn telling(self) -> u8 {
        match self {
            Self::Answer | Self::NoData | Self::NxDomain => 10,
            Self::Bogus => 9,
            Self::ServFail => 8,
            Self::Refused => 7,
            Self::Lame => 6,
            Self::OtherRcode(_) => 5,
            Self::NotImp => 4,
            Self::FormErr => 3,
            Self::Malformed => 2,
            Self::Timeout => 1,
            Self::Unreachable => 0,
        }
    }
}

/// One server's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What it amounts to.
    pub kind: AnswerKind,
    /// The records, CNAMEs of the chain included, at most 64.
    pub records: Records,
    /// How it travelled.
    pub transport: Transport,
    /// AD: the server says it validated.
    pub authentic: bool,
    /// AA: the server is authoritative.
    pub authoritative: bool,
    /// TC was set on the first, UDP, answer.
    pub truncated: bool,
    /// What the question said of EDNS.
    pub edns: Edns,
    /// Given by a server of the fallback list: every other one had failed.
    pub fallback: bool,
    /// Kept past its TTL, and used because no server answers (RFC 8767).
    pub stale: bool,
    /// Extended errors (RFC 8914): code and text cut at 128 octets, at most 4.
    pub extended: Vec<(u16, String)>,
    /// Why TLS failed, when that is why there is no answer ([`AnswerKind::Unreachable`]) or it is late.
    pub tls: Option<TlsFault>,
    /// How long the answer may be kept, seconds (negative answers: RFC 2308 section 5).
    pub ttl: u32,
}

impl Answer {
    /// An answer without records.
    #[must_use]
    pub const fn empty(kind: AnswerKind, transport: Transport) -> Self {
        Self {
            kind,
            records: Records::EMPTY,
            transport,
            authentic: false,
            authoritative: false,
            truncated: false,
            edns: Edns::Offered,
            fallback: false,
            stale: false,
            extended: Vec::new(),
            tls: None,
            ttl: 0,
        }
    }
}

/// One resource record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its owner: lower case, no final dot; the root is the empty string.
    pub name: String,
    /// Time to live, seconds.
    pub ttl: u32,
    /// Its data.
    pub data: RecordData,
}

/// The data of a record, names in lower case without final dot (the root is the empty string).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordData {
    /// A
    A(Ipv4Addr),
    /// AAAA
    Aaaa(Ipv6Addr),
    /// MX
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// The host; empty for the null MX (RFC 7505).
        exchange: String,
    },
    /// CNAME
    Cname(String),
    /// PTR
    Ptr(String),
    /// TXT, its strings joined, lossy.
    Txt(String),
    /// NS
    Ns(String),
    /// SOA
    Soa {
        /// Primary server.
        primary: String,
        /// Serial number.
        serial: u32,
        /// Negative TTL, seconds.
        minimum: u32,
    },
    /// TLSA: usage, selector, matching type, data.
    Tlsa(u8, u8, u8, Vec<u8>),
    /// DS, without its digest.
    Ds {
        /// Of the key that the parent vouches for.
        key_tag: u16,
        /// Its algorithm.
        algorithm: u8,
        /// The type of the digest.
        digest_type: u8,
    },
    /// DNSKEY, its key reduced to the tag.
    Dnskey {
        /// 256 for a zone's key, 257 with the secure entry point.
        flags: u16,
        /// The algorithm.
        algorithm: u8,
        /// Computed of the whole record (RFC 4034 appendix B).
        key_tag: u16,
    },
    /// RRSIG, without the signature itself.
    Rrsig {
        /// The number of the type that is signed.
        covers: u16,
        /// The algorithm.
        algorithm: u8,
        /// Of the key it was made with.
        key_tag: u16,
        /// Valid from: seconds since 1970 modulo 2^32 (RFC 4034 section 3.1.5).
        inception: u32,
        /// Valid until, in the same way.
        expiration: u32,
        /// The zone that signs.
        signer: String,
    },
}
