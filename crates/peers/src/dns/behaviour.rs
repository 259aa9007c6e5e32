//! What a scripted server can be told to do with a question.

use std::net::Ipv4Addr;
use std::time::Duration;

/// What the server does with a question.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// Answers from the zone.
    Answer,
    /// Says nothing.
    Drop,
    /// Says nothing to questions with EDNS, as some firewalls do; a proper answer without.
    DropEdns,
    /// Answers from the zone after this long.
    Delay(Duration),
    /// Answers with this response code and nothing else: 2 SERVFAIL, 3 NXDOMAIN, 4 NOTIMP, 5 REFUSED.
    Rcode(u8),
    /// Says that the name has no records of this type.
    NoData,
    /// The same with the SOA of this zone, which may be another than the name's.
    NoDataOf(String),
    /// By UDP: cut, ask by TCP. By TCP: the whole answer.
    Truncate,
    /// By UDP: cut. By TCP: the connection is closed.
    TruncateForEver,
    /// By UDP: cut. By TCP: the connection stays open, and nothing comes.
    TruncateThenSilence,
    /// By UDP: first a forged answer with another id, one to another question, then the right one.
    ForgedFirst,
    /// The right answer with another id, and nothing else.
    WrongId,
    /// By UDP: the right answer from another port than was asked, and nothing else.
    OtherSource,
    /// The answer from the zone, with the name of the question in lower case whatever was asked.
    LowerCase,
    /// Points to other servers instead of answering.
    Lame,
    /// This response code with an extended error (RFC 8914).
    Extended {
        /// Response code.
        rcode: u8,
        /// INFO-CODE.
        code: u16,
        /// EXTRA-TEXT.
        text: String,
    },
    /// The right id and question, then what is no DNS: a name whose compression points at itself.
    Malformed,
    /// The right answer, cut after so many octets without saying so.
    Cut(usize),
    /// So many MX records (A and AAAA for questions of those types), of which a message holds about 3,000: by
    /// TCP. When not all fit, the header counts them all the same. By UDP: cut, ask by TCP.
    Flood(u16),
    /// An alias of a name that nobody asked for yet, for every name.
    EndlessAlias,
    /// FORMERR to every question with EDNS (RFC 6891 section 7), a proper answer without.
    NoEdns,
    /// An alias is answered without what it leads to, as a server that does not have that zone does.
    AliasOnly,
    /// What does not exist has this address, as with resolvers that sell typing errors.
    RewriteMissing(Ipv4Addr),
    /// REFUSED to more than so many questions within a second.
    RefuseAbove(u32),
    /// Answers from the zone and says that it was validated (AD).
    Authentic,
}
