//! One seen fact: time, stage, subject, raw outcome. Successes too: they exonerate.

use crate::dns::{Answer, RecordType};
use crate::fault::{ConnectFault, Doubt};
use crate::login::LoginFault;
use crate::tls::{TlsDemand, TlsFacts, TlsFault};
use posthaste_mail::{Mechanism, Reply, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

/// The step of an attempt that was taken. The names printed are those of the outside interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Choosing the route.
    Route,
    /// The MX question.
    DnsMx,
    /// A and AAAA questions.
    DnsAddr,
    /// PTR questions.
    DnsPtr,
    /// TXT questions.
    DnsTxt,
    /// TLSA questions.
    DnsTlsa,
    /// Fetching an MTA-STS policy.
    StsFetch,
    /// TCP connect.
    Connect,
    /// Waiting for the greeting.
    Banner,
    /// EHLO or HELO.
    Ehlo,
    /// LHLO (RFC 2033).
    Lhlo,
    /// The STARTTLS command.
    Starttls,
    /// The TLS handshake.
    Tls,
    /// AUTH.
    Auth,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA, up to its 354.
    Data,
    /// Sending the content.
    Body,
    /// From the final dot to its reply.
    Eod,
    /// QUIT.
    Quit,
    /// Something of our own machine.
    Local,
}

impl Stage {
    /// Every stage with its name in the outside interface.
    pub const NAMES: [(Self, &'static str); 21] = [
        (Self::Route, "route"),
        (Self::DnsMx, "dns-mx"),
        (Self::DnsAddr, "dns-addr"),
        (Self::DnsPtr, "dns-ptr"),
        (Self::DnsTxt, "dns-txt"),
        (Self::DnsTlsa, "dns-tlsa"),
        (Self::StsFetch, "sts-fetch"),
        (Self::Connect, "connect"),
        (Self::Banner, "banner"),
        (Self::Ehlo, "ehlo"),
        (Self::Lhlo, "lhlo"),
        (Self::Starttls, "starttls"),
        (Self::Tls, "tls"),
        (Self::Auth, "auth"),
        (Self::Mail, "mail"),
        (Self::Rcpt, "rcpt"),
        (Self::Data, "data"),
        (Self::Body, "body"),
        (Self::Eod, "eod"),
        (Self::Quit, "quit"),
        (Self::Local, "local"),
    ];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(s, _)| *s == self).map_or("local", |(_, n)| n)
    }
}

/// What an observation did to the attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Effect {
    /// It decided the outcome.
    Blocking,
    /// It cost time or a fall-back.
    Degrading,
    /// Wrong, but without consequence.
    Cosmetic,
    /// As it should be.
    #[default]
    None,
}

impl Effect {
    /// The name in the outside interface.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Degrading => "degrading",
            Self::Cosmetic => "cosmetic",
            Self::None => "none",
        }
    }
}

/// What a step was about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Subject {
    /// The machine itself.
    Here,
    /// A route by its name.
    Route(String),
    /// A question to one DNS server.
    Question {
        /// Who was asked; `None` when no server could be asked (or the cache answered).
        server: Option<SocketAddr>,
        /// The name asked for, as an A-label, without final dot.
        name: String,
        /// The type asked for.
        kind: RecordType,
    },
    /// A host and, once chosen, its address and port.
    Host {
        /// Its name, or its address in text when it has none.
        name: String,
        /// The endpoint.
        address: Option<SocketAddr>,
    },
    /// The recipient with this number in its envelope.
    Recipient(u32),
    /// The host at the other end of the attempt's connection, which names it.
    Peer,
}

/// What came of a step, raw.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seen {
    /// It went well and there is nothing more to keep.
    Done,
    /// One DNS server's answer.
    Answer(Answer),
    /// The connection stands; our own end of it.
    Connected {
        /// Our address and port.
        local: SocketAddr,
    },
    /// No connection.
    ConnectFailed(ConnectFault),
    /// The peer's reply.
    Reply(Reply),
    /// The keywords of an EHLO reply (at most 64).
    Capabilities(Vec<String>),
    /// Nothing came within the time limit.
    TimedOut {
        /// The limit that passed.
        after: Duration,
    },
    /// The connection ended where it should not.
    Lost {
        /// True for a reset, false for an orderly close.
        reset: bool,
    },
    /// The peer sent what no reading of the RFC makes sense of.
    Gibberish,
    /// A choice of ours, such as a dropped MX host, with a fixed word for it.
    Chose(Choice),
    /// The connection is encrypted. Whether the certificate is believed is in it too.
    Tls(Box<TlsFacts>),
    /// The connection was not secured.
    TlsFailed(Box<TlsFault>),
    /// TLS is demanded of the host, other than what is usual.
    TlsDemanded(TlsDemand),
    /// The peer's last word to our logging in: 235, or a refusal.
    Login {
        /// How we tried.
        mechanism: Mechanism,
        /// Its words.
        reply: Reply,
    },
    /// We did not come to the end of logging in, or were to log in at a step after it.
    LoginFailed(LoginFault),
}

/// Choices that leave an observation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Choice {
    /// No MX record: the domain itself is the host (RFC 5321 section 5.1).
    ImplicitMx,
    /// The domain says that it accepts no mail (RFC 7505).
    NullMx,
    /// Our own host is in the MX list; it and all of its preference or worse were dropped.
    DroppedOurselves,
    /// The host's addresses are private, loopback or otherwise not to be connected to.
    PrivateAddress,
    /// The host was skipped: it failed a moment ago.
    HostRestsNow,
    /// The family was skipped: it does not work from this machine.
    FamilyRestsNow,
    /// EHLO was refused; HELO was used.
    FellBackToHelo,
    /// The peer offers no 8BITMIME; the message was sent as it is.
    SentEightBitAsIs,
    /// The message is larger than the peer's announced limit.
    OverPeersSize,
    /// The peer offers no SMTPUTF8, which the message needs.
    NoSmtpUtf8,
    /// The cache answered.
    FromCache,
    /// A line over 998 octets was folded.
    FoldedLongLines,
    /// Observations were left out here, to keep the stored record small.
    LeftOut,
    /// The host has addresses only of a family that the route does not use.
    FamilyUnused,
    /// An MX record names an address in text, where only a name may stand (RFC 1035 section 3.3.9).
    AddressForExchanger,
    /// [`Doubt::Unconfirmed`].
    Unconfirmed,
    /// [`Doubt::Contradicted`].
    Contradicted,
    /// [`Doubt::Indiscriminate`].
    Indiscriminate,
    /// [`Doubt::Vanished`].
    Vanished,
    /// [`Doubt::HostsMissing`].
    HostsMissing,
    /// The domain does not exist, says its own zone; the configured servers make up an address for every such name.
    Invented,
    /// The host offers no STARTTLS.
    StartTlsNotOffered,
    /// The host refused STARTTLS, and nothing demands it: it goes in clear.
    StartTlsRefused,
    /// The handshake failed, and nothing demands it: a new connection to the same host, in clear.
    ClearAfterBrokenTls,
    /// TLS with this host failed a while ago, and nothing demands it: it was not tried.
    TlsRestsNow,
}

impl Choice {
    /// The doubt that was chosen.
    #[must_use]
    pub const fn doubt(self) -> Option<Doubt> {
        match self {
            Self::Unconfirmed => Some(Doubt::Unconfirmed),
            Self::Contradicted => Some(Doubt::Contradicted),
            Self::Indiscriminate => Some(Doubt::Indiscriminate),
            Self::Vanished => Some(Doubt::Vanished),
            Self::HostsMissing => Some(Doubt::HostsMissing),
            _ => None,
        }
    }
}

impl From<Doubt> for Choice {
    fn from(doubt: Doubt) -> Self {
        match doubt {
            Doubt::Unconfirmed => Self::Unconfirmed,
            Doubt::Contradicted => Self::Contradicted,
            Doubt::Indiscriminate => Self::Indiscriminate,
            Doubt::Vanished => Self::Vanished,
            Doubt::HostsMissing => Self::HostsMissing,
        }
    }
}

/// One seen fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// When the step began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// Which step.
    pub stage: Stage,
    /// About what.
    pub subject: Subject,
    /// What came of it.
    pub seen: Seen,
    /// What it did to the attempt.
    pub effect: Effect,
}
