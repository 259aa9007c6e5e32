//! What can be wrong with a domain's DNS, or with ours: a closed list. Each entry knows its cause in the catalogue of
//! causes and who must act.
//!
//! Not here: words for people (they are made where things are shown).

use posthaste_evidence::{AnswerKind, Effect};
use std::net::SocketAddr;

/// One thing that is wrong, and what shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What.
    pub problem: Problem,
    /// With whom.
    pub about: About,
    /// What it does to mail.
    pub effect: Effect,
    /// Places in the list of observations.
    pub evidence: Vec<usize>,
}

/// Whom a finding is about.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum About {
    /// The domain itself.
    Domain(String),
    /// A zone.
    Zone(String),
    /// A name server of the zone.
    Server {
        /// Its name.
        name: String,
        /// Where it was asked.
        address: Option<SocketAddr>,
    },
    /// A mail exchanger.
    Host(String),
    /// A recursive server of ours.
    Resolver(SocketAddr),
    /// This machine's way to the Internet.
    Here,
}

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Problem {
    /// No server of the root can be reached: nothing could be checked.
    RootsUnreachable,
    /// The zone above says that there is no such name.
    NotDelegated,
    /// The same, of a domain that mail was delivered to before: expired, or put on hold.
    Undelegated,
    /// Our recursive servers say that there is no such name; that was not confirmed at the zone above.
    SaidMissing,
    /// The same, of a domain that mail was delivered to before.
    SaidVanished,
    /// Our recursive servers do not say the same of the domain, and its own could not be looked at.
    ResolversDisagree,
    /// No server of a zone answers.
    AllServersDead,
    /// A server does not answer by any way.
    ServerDead,
    /// Servers answer, and none of them knows the zone.
    AllServersLame,
    /// A server does not know the zone it is named for; what it says instead.
    ServerLame(AnswerKind),
    /// A name server has no address.
    ServerWithoutAddress,
    /// A name server's name is an alias (RFC 2181 section 10.3).
    ServerIsAlias,
    /// A name server has private addresses only.
    ServerPrivate,
    /// Servers have different serial numbers.
    SerialsDiffer,
    /// Servers have different mail exchangers.
    ExchangersDiffer,
    /// The zone above gives an address that the server's own zone does not.
    GlueStale,
    /// The zone above names other servers than the zone itself.
    ServersDiffer,
    /// A server does not answer by TCP (RFC 7766 section 5).
    TcpClosed,
    /// An answer is too large for a datagram, and TCP does not work.
    LargeAnswerLost,
    /// A server answers without EDNS, and is silent with it.
    EdnsDropped,
    /// A server refuses questions with EDNS and answers without.
    EdnsRefused,
    /// The answer to AAAA is broken while that to A is good (RFC 4074).
    AaaaBroken(AnswerKind),
    /// A mail exchanger has no address.
    ExchangerDangling,
    /// No mail exchanger has an address.
    AllExchangersDangling,
    /// The address of a mail exchanger cannot be had from its zone.
    ExchangerUnknown,
    /// A mail exchanger's name is an alias (RFC 2181 section 10.3).
    ExchangerIsAlias,
    /// An MX record has an address where a name belongs.
    ExchangerIsAddress,
    /// A mail exchanger has private addresses only.
    ExchangerPrivate,
    /// All mail exchangers have private addresses only.
    AllExchangersPrivate,
    /// The domain says that it takes no mail (RFC 7505).
    NullMx,
    /// There are no MX records; the domain itself is the host (RFC 5321 section 5.1).
    ImplicitMx,
    /// There is neither an MX nor an address record.
    NoRecords,
    /// The domain is an alias: mail goes where another domain says.
    ApexAlias,
    /// Answers may not be kept at all: probably about to change.
    ZeroTtl,
    /// Signatures are past their end.
    SignatureExpired,
    /// Signatures have not begun.
    SignatureNotYet,
    /// The zone above vouches for a key that the zone does not have.
    DsWithoutKey,
    /// The zone above vouches for a key, and the answers are not signed.
    Unsigned,
    /// A resolver of ours does not answer.
    ResolverDead,
    /// A resolver of ours refuses to ask for us.
    ResolverRefuses,
    /// A resolver of ours fails for everything.
    ResolverFails,
    /// A resolver of ours fails for this domain, whose servers answer.
    ResolverFailsHere,
    /// A resolver of ours fails for this domain, whose servers could not be asked: there are no roots, or none answers.
    ResolverFailsUnseen,
    /// A resolver of ours says that validation failed, and what is signed could not be looked at.
    ResolverBogusAlone,
    /// A resolver of ours says that there is nothing where the zone's servers have something.
    ResolverNegative,
    /// A resolver of ours has a zone of its own in place of the public one.
    ResolverSplit,
    /// A resolver of ours has other mail exchangers than every server of the zone.
    ResolverStale,
    /// A resolver of ours answers for names that do not exist.
    ResolverRewrites,
    /// A resolver of ours does not answer AAAA questions.
    ResolverDropsAaaa,
    /// A resolver of ours says that validation failed, and answers without it; what is wrong there.
    ResolverBogus(Validation),
    /// A resolver of ours takes signatures for invalid that are valid now: its clock, or ours.
    ResolverClock,
}

/// Why validation fails, as far as the evidence tells (RFC 4035 section 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validation {
    /// The times of signatures.
    Times,
    /// The zone above vouches for a key, and the zone has another one, or no signatures.
    Keys,
    /// Nothing that was seen explains it: digests and signatures are not computed here.
    Unexplained,
}

/// Who must act, in the words of the outside interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Acts {
    /// We: our resolvers, our network.
    Us,
    /// Who runs the domain's DNS.
    RecipientDns,
    /// Who holds the domain, at its registrar: what the zone above says.
    RecipientRegistrar,
    /// Who wrote the message: the address is wrong.
    Sender,
    /// Nobody needs to.
    Nobody,
}

impl Acts {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Us => "us",
            Self::RecipientDns => "recipient-dns",
            Self::RecipientRegistrar => "recipient-registrar",
            Self::Sender => "sender",
            Self::Nobody => "nobody",
        }
    }
}

impl Problem {
    /// What it is of a domain that mail was delivered to before: nobody mistyped it.
    #[must_use]
    pub const fn of_delivered(self) -> Self {
        match self {
            Self::NotDelegated => Self::Undelegated,
            Self::SaidMissing => Self::SaidVanished,
            other => other,
        }
    }

    /// Its cause in the catalogue.
    #[must_use]
    pub const fn cause(self) -> &'static str {
        match self {
            Self::RootsUnreachable => "resolver.egress-blocked",
            Self::NotDelegated | Self::SaidMissing => "dns.domain-nxdomain",
            Self::Undelegated | Self::SaidVanished => "dns.domain-undelegated",
            Self::ResolversDisagree | Self::ResolverBogusAlone => "unknown",
            Self::AllServersDead => "dns.auth-unreachable",
            Self::ServerDead | Self::ServerWithoutAddress => "dns.auth-partial",
            Self::AllServersLame | Self::ServerLame(_) => "dns.lame-delegation",
            Self::ServerIsAlias | Self::ServerPrivate => "dns.lame-delegation",
            Self::SerialsDiffer | Self::ExchangersDiffer | Self::ServersDiffer => "dns.ns-disagree",
            Self::GlueStale => "dns.glue-stale",
            Self::TcpClosed | Self::LargeAnswerLost => "dns.large-answer-lost",
            Self::EdnsDropped | Self::EdnsRefused => "dns.edns-dropped",
            Self::AaaaBroken(kind) => aaaa_cause(kind),
            Self::ExchangerDangling => "dns.mx-partly-dangling",
            Self::AllExchangersDangling => "dns.mx-dangling",
            Self::ExchangerUnknown => "dns.auth-unreachable",
            Self::ExchangerIsAlias => "dns.mx-cname",
            Self::ExchangerIsAddress => "dns.mx-ip-literal",
            Self::ExchangerPrivate | Self::AllExchangersPrivate => "dns.mx-private-ip",
            Self::NullMx => "dns.mx-null",
            Self::ImplicitMx => "dns.no-mx-implicit-a",
            Self::NoRecords => "dns.no-records",
            Self::ApexAlias => "dns.apex-cname",
            Self::ZeroTtl => "dns.changed-recently",
            Self::SignatureExpired | Self::SignatureNotYet => "dns.dnssec-expired",
            Self::DsWithoutKey | Self::Unsigned => "dns.dnssec-ds-mismatch",
            Self::ResolverDead => "resolver.one-dead",
            Self::ResolverRefuses => "resolver.refused",
            Self::ResolverFails => "resolver.forwarder-dead",
            Self::ResolverFailsHere | Self::ResolverStale => "resolver.stale-cache",
            Self::ResolverNegative => "resolver.negative-cache",
            Self::ResolverSplit => "resolver.split-horizon",
            Self::ResolverRewrites => "resolver.nxdomain-rewriting",
            Self::ResolverDropsAaaa => "resolver.aaaa-dropped",
            Self::ResolverBogus(Validation::Times) => "dns.dnssec-expired",
            Self::ResolverBogus(Validation::Keys) => "dns.dnssec-ds-mismatch",
            Self::ResolverBogus(Validation::Unexplained) | Self::ResolverFailsUnseen => "unknown",
            Self::ResolverClock => "resolver.clock-skew",
        }
    }

    /// Who must act.
    #[must_use]
    pub const fn acts(self) -> Acts {
        match self {
            Self::RootsUnreachable
            | Self::ResolverDead
            | Self::ResolverRefuses
            | Self::ResolverFails
            | Self::ResolverFailsHere
            | Self::ResolverFailsUnseen
            | Self::ResolversDisagree
            | Self::ResolverNegative
            | Self::ResolverSplit
            | Self::ResolverStale
            | Self::ResolverRewrites
            | Self::ResolverDropsAaaa
            // Its own log says more than anybody else can.
            | Self::ResolverBogus(Validation::Unexplained)
            | Self::ResolverClock => Acts::Us,
            Self::NotDelegated | Self::SaidMissing | Self::NullMx => Acts::Sender,
            Self::Undelegated | Self::SaidVanished => Acts::RecipientRegistrar,
            Self::GlueStale
            | Self::ServersDiffer
            | Self::DsWithoutKey
            | Self::Unsigned
            | Self::ResolverBogus(Validation::Keys)
            | Self::AllServersLame => Acts::RecipientRegistrar,
            Self::ZeroTtl => Acts::Nobody,
            _ => Acts::RecipientDns,
        }
    }
}

const fn aaaa_cause(kind: AnswerKind) -> &'static str {
    match kind {
        AnswerKind::NxDomain => "dns.aaaa-nxdomain",
        AnswerKind::Timeout | AnswerKind::Unreachable => "dns.aaaa-timeout",
        AnswerKind::Malformed | AnswerKind::Lame => "dns.aaaa-malformed-negative",
        _ => "dns.aaaa-servfail",
    }
}
