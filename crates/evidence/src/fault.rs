//! Why a recipient was not delivered in one attempt: the error type of the whole transport.
//!
//! Each variant is a fact, and knows the enhanced status (RFC 3463) a notice would give for it.

use crate::dns::{AnswerKind, RecordType};
use crate::login::{self, LoginFault};
use crate::observation::Stage;
use crate::tls::TlsFault;
use posthaste_mail::{EnhancedStatus, Reply};
use std::time::Duration;

/// Why no TCP connection came about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectFault {
    /// A host answered that nobody listens (RST).
    Refused,
    /// No answer in time.
    TimedOut,
    /// ICMP: host unreachable, or no neighbour answers.
    HostUnreachable,
    /// No route from this machine.
    NetworkUnreachable,
    /// The kernel or a firewall forbids it (EACCES, EPERM, administratively prohibited).
    Forbidden,
    /// The source address is not on this machine.
    SourceUnavailable,
    /// This machine has no ports, sockets or memory left.
    LocalResources,
    /// Reset while connecting.
    Reset,
    /// Any other error of the operating system, by number.
    Other(i32),
}

/// Why what DNS says of a domain, that it or its hosts do not exist, is no reason to give up yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// No server of its zone could be asked, and the configured servers have not all said so twice, far enough apart.
    Unconfirmed,
    /// A server of its zone says otherwise: the configured servers are mistaken.
    Contradicted,
    /// A configured server answers alike for names that exist and names that do not.
    Indiscriminate,
    /// Mail was delivered to it a short while ago.
    Vanished,
    /// None of its MX hosts has an address, which may be a mistake that is mended soon.
    HostsMissing,
}

impl Doubt {
    /// Every doubt with its name in the outside interface.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Unconfirmed, "domain_unconfirmed"),
        (Self::Contradicted, "dns_contradicted"),
        (Self::Indiscriminate, "dns_indiscriminate"),
        (Self::Vanished, "domain_vanished"),
        (Self::HostsMissing, "mx_hosts_missing"),
    ];

    /// Its cause in the catalogue, where it is one: the others say that the cause is not known yet.
    #[must_use]
    pub const fn cause(self) -> Option<&'static str> {
        match self {
            Self::Vanished => Some("dns.domain-undelegated"),
            Self::HostsMissing => Some("dns.mx-dangling"),
            Self::Unconfirmed | Self::Contradicted | Self::Indiscriminate => None,
        }
    }

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(d, _)| *d == self).map_or("domain_unconfirmed", |(_, name)| name)
    }
}

/// Why a recipient was not delivered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The peer said so.
    Reply {
        /// Where in the dialogue.
        stage: Stage,
        /// Its words.
        reply: Reply,
    },
    /// DNS did not answer conclusively.
    DnsFailed {
        /// The name asked for.
        name: String,
        /// The type asked for.
        kind: RecordType,
        /// The best that any server said.
        answer: AnswerKind,
    },
    /// DNS says that the domain, or every host of it, does not exist, and that is not believed yet.
    Doubted {
        /// The domain.
        name: String,
        /// Why not.
        doubt: Doubt,
    },
    /// The domain does not exist, and that is believed.
    NoSuchDomain {
        /// The domain.
        name: String,
    },
    /// The domain exists but has neither MX nor address, or none of its MX hosts has one.
    NoHosts {
        /// The domain.
        name: String,
    },
    /// The domain accepts no mail (RFC 7505).
    NullMx {
        /// The domain.
        name: String,
    },
    /// The best MX is ourselves, and we have no route for the domain.
    LoopsBack {
        /// The domain.
        name: String,
    },
    /// Every address of every host is private, loopback or otherwise unusable for mail from here.
    OnlyPrivateAddresses {
        /// The domain.
        name: String,
    },
    /// No connection to any host.
    Connect(ConnectFault),
    /// The connection ended where it should not.
    Lost {
        /// Where in the dialogue.
        stage: Stage,
    },
    /// No answer in time.
    TimedOut {
        /// Where in the dialogue.
        stage: Stage,
        /// The limit that passed.
        after: Duration,
    },
    /// The peer does not speak SMTP that can be understood.
    Gibberish {
        /// Where in the dialogue.
        stage: Stage,
    },
    /// No host of the destination offers SMTPUTF8 (RFC 6531 section 3.5).
    NeedsSmtpUtf8,
    /// The next hop lacks 8BITMIME and the route says `fail` (RFC 6152 section 3).
    NeedsEightBit,
    /// The message is larger than every host of the destination takes (RFC 1870).
    OverPeersSize {
        /// The largest announced limit, octets.
        limit: u64,
    },
    /// No route matches.
    NoRoute,
    /// We could not read the message from our own store.
    StoreFault,
    /// The attempt took longer than any attempt may.
    AttemptTooLong,
    /// The process ended while the message was being handed over.
    Interrupted,
    /// The time for delivery is over.
    Expired,
    /// The operator ended it.
    Operator,
    /// The route it matches discards it.
    RouteDiscards {
        /// The route.
        route: String,
    },
    /// The route it matches lets it fail.
    RouteFails {
        /// The route.
        route: String,
        /// What the operator gives as the status; of class 5.
        status: EnhancedStatus,
        /// What the operator says.
        text: String,
    },
    /// The message is larger than its route sends.
    OverRouteSize {
        /// The route.
        route: String,
        /// Its limit, octets.
        limit: u64,
    },
    /// It is in a domain of ours, and nobody there has this address; found out when its message was accepted already.
    UnknownRecipient,
    /// TLS is demanded, and the host offers no STARTTLS.
    TlsNotOffered,
    /// TLS is demanded, and the host refused STARTTLS with this.
    TlsRefused {
        /// Its words.
        reply: Reply,
    },
    /// TLS is demanded, and the handshake failed or showed the wrong certificate, which an observation has.
    Tls(TlsFault),
    /// The host takes no mail in clear (RFC 3207 section 4: 530), and by our policy, or since TLS with it is broken, nothing
    /// else was sent. That is between the two hosts and no fault of the message, whatever the reply says.
    TlsWanted {
        /// Where in the dialogue.
        stage: Stage,
        /// Its words.
        reply: Reply,
    },
    /// We could not log in at the next hop of this route, or were not let in without.
    Login {
        /// The route, whose `auth` is to be corrected.
        route: String,
        /// Why.
        fault: LoginFault,
    },
}

/// What a fault counts against.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultClass {
    /// DNS or connection, before MAIL: the destination or the next hop is at fault, not the message.
    Destination,
    /// In a mail transaction, or about this message.
    Message,
    /// Our own machine.
    Local,
}

impl Fault {
    /// What this counts against.
    #[must_use]
    pub const fn class(&self) -> FaultClass {
        match self {
            Self::DnsFailed { .. }
            | Self::Doubted { .. }
            | Self::NoSuchDomain { .. }
            | Self::NoHosts { .. }
            | Self::NullMx { .. }
            | Self::LoopsBack { .. }
            | Self::OnlyPrivateAddresses { .. }
            | Self::Connect(_)
            | Self::TlsNotOffered
            | Self::TlsRefused { .. }
            | Self::Tls(_)
            | Self::Login { .. } => FaultClass::Destination,
            Self::Reply { stage, .. }
            | Self::TlsWanted { stage, .. }
            | Self::Lost { stage }
            | Self::TimedOut { stage, .. }
            | Self::Gibberish { stage } => {
                if stage.is_before_mail() {
                    FaultClass::Destination
                } else {
                    FaultClass::Message
                }
            }
            Self::NeedsSmtpUtf8
            | Self::NeedsEightBit
            | Self::OverPeersSize { .. }
            | Self::Expired
            | Self::Operator
            | Self::RouteDiscards { .. }
            | Self::RouteFails { .. }
            | Self::OverRouteSize { .. }
            | Self::UnknownRecipient => FaultClass::Message,
            Self::NoRoute | Self::StoreFault | Self::AttemptTooLong | Self::Interrupted => {
                FaultClass::Local
            }
        }
    }

    /// Its cause in the catalogue, where that is known without an examination.
    #[must_use]
    pub const fn cause(&self) -> Option<&'static str> {
        match self {
            Self::Doubted { doubt, .. } => doubt.cause(),
            Self::Login { .. } => Some(login::CAUSE),
            _ => None,
        }
    }

    /// Waiting cannot heal it.
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Reply { reply, .. } => reply.is_permanent(),
            Self::NoSuchDomain { .. }
            | Self::NoHosts { .. }
            | Self::NullMx { .. }
            | Self::LoopsBack { .. }
            | Self::NeedsSmtpUtf8
            | Self::NeedsEightBit
            | Self::OverPeersSize { .. }
            | Self::Expired
            | Self::Operator
            | Self::RouteDiscards { .. }
            | Self::RouteFails { .. }
            | Self::OverRouteSize { .. }
            | Self::UnknownRecipient => true,
            _ => false,
        }
    }

    /// The enhanced status a notice gives for it (RFC 3463; RFC 7505 for the null MX).
    #[must_use]
    pub fn status(&self) -> EnhancedStatus {
        let (class, subject, detail) = match self {
            Self::Reply { reply, .. } => return reply_status(reply),
            Self::Doubted { doubt: Doubt::Vanished | Doubt::HostsMissing, .. } => (4, 4, 4),
            Self::DnsFailed { .. } | Self::Doubted { .. } => (4, 4, 3),
            Self::NoSuchDomain { .. } => (5, 1, 2),
            Self::NoHosts { .. } => (5, 4, 4),
            Self::NullMx { .. } => (5, 1, 10),
            Self::LoopsBack { .. } => (5, 4, 6),
            Self::OnlyPrivateAddresses { .. } | Self::NoRoute => (4, 4, 4),
            Self::Connect(_) => (4, 4, 1),
            Self::Lost { .. } | Self::TimedOut { .. } => (4, 4, 2),
            Self::Gibberish { .. } => (4, 5, 0),
            // RFC 3463 section 3.8: security features not supported, cryptographic failure; as Postfix has it.
            // Encryption needed: X.7.10 in the registry of RFC 5248.
            Self::TlsNotOffered | Self::TlsRefused { .. } => (4, 7, 4),
            Self::Tls(_) => (4, 7, 5),
            Self::TlsWanted { .. } => (4, 7, 10),
            Self::Login { fault, .. } => return fault.status(),
            Self::NeedsSmtpUtf8 => (5, 6, 7),
            Self::NeedsEightBit => (5, 6, 3),
            Self::OverPeersSize { .. } => (5, 3, 4),
            Self::StoreFault | Self::AttemptTooLong | Self::Interrupted => (4, 3, 0),
            Self::Expired => (5, 4, 7),
            // RFC 3463 section 3.8: the delivery is not authorized, by a policy of this site.
            Self::Operator => (5, 7, 1),
            Self::RouteDiscards { .. } => (5, 7, 0),
            Self::RouteFails { status, .. } => return *status,
            Self::OverRouteSize { .. } => (5, 3, 4),
            Self::UnknownRecipient => (5, 1, 1),
        };
        EnhancedStatus::new(class, subject, detail)
    }

    /// The same obstacle as another: what an episode of a message's history is made of. Of replies, stage and codes
    /// count and not the words, which often hold a time or a number.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reply { stage, reply }, Self::Reply { stage: at, reply: said })
            | (Self::TlsWanted { stage, reply }, Self::TlsWanted { stage: at, reply: said }) => {
                stage == at && reply.code == said.code && reply.enhanced == said.enhanced
            }
            (Self::TlsRefused { reply }, Self::TlsRefused { reply: said }) => {
                reply.code == said.code && reply.enhanced == said.enhanced
            }
            (Self::TimedOut { stage, .. }, Self::TimedOut { stage: at, .. }) => stage == at,
            _ => self == other,
        }
    }

    /// Where in the attempt it happened.
    #[must_use]
    pub const fn stage(&self) -> Stage {
        match self {
            Self::Reply { stage, .. }
            | Self::TlsWanted { stage, .. }
            | Self::Lost { stage }
            | Self::TimedOut { stage, .. }
            | Self::Gibberish { stage } => *stage,
            Self::DnsFailed { kind: RecordType::A | RecordType::Aaaa, .. }
            | Self::NoHosts { .. }
            | Self::Doubted { doubt: Doubt::HostsMissing, .. }
            | Self::OnlyPrivateAddresses { .. } => Stage::DnsAddr,
            Self::DnsFailed { .. }
            | Self::Doubted { .. }
            | Self::NoSuchDomain { .. }
            | Self::NullMx { .. }
            | Self::LoopsBack { .. } => Stage::DnsMx,
            Self::Connect(_) => Stage::Connect,
            Self::Login { fault, .. } => fault.stage(),
            Self::TlsNotOffered | Self::TlsRefused { .. } => Stage::Starttls,
            Self::Tls(_) => Stage::Tls,
            Self::NeedsSmtpUtf8 | Self::NeedsEightBit | Self::OverPeersSize { .. } => Stage::Ehlo,
            Self::NoRoute
            | Self::RouteDiscards { .. }
            | Self::RouteFails { .. }
            | Self::OverRouteSize { .. } => Stage::Route,
            _ => Stage::Local,
        }
    }
}

impl Stage {
    /// Before any mail transaction: what fails here concerns the destination, not one message.
    #[must_use]
    pub const fn is_before_mail(self) -> bool {
        matches!(
            self,
            Self::Route
                | Self::DnsMx
                | Self::DnsAddr
                | Self::DnsTlsa
                | Self::StsFetch
                | Self::Connect
                | Self::Banner
                | Self::Ehlo
                | Self::Lhlo
                | Self::Starttls
                | Self::Tls
                | Self::Auth
        )
    }
}

/// The reply's own enhanced status when its class fits the code, else X.0.0 (RFC 3463 section 3.1).
fn reply_status(reply: &Reply) -> EnhancedStatus {
    let class = if reply.is_permanent() { 5 } else { 4 };
    reply.enhanced.filter(|e| e.class == class).unwrap_or_else(|| EnhancedStatus::new(class, 0, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_counts_where_it_was_said() {
        let said =
            |stage, code, enhanced| Fault::Reply { stage, reply: Reply::new(code, enhanced, "x") };
        let mismatch = said(Stage::Rcpt, 450, Some(EnhancedStatus::new(5, 1, 1)));
        assert_eq!(mismatch.status().to_string(), "4.0.0");
        assert_eq!(mismatch.class(), FaultClass::Message);
        assert!(!mismatch.is_permanent());
        let banner = said(Stage::Banner, 554, None);
        assert_eq!(banner.class(), FaultClass::Destination);
        assert!(banner.is_permanent());
    }

    #[test]
    fn trouble_with_tls_waits_and_is_no_fault_of_the_message() {
        let reply = || Reply::new(530, Some(EnhancedStatus::new(5, 7, 0)), "STARTTLS first");
        let expired = TlsFault::Untrusted { why: crate::Untrusted::Expired, certificate: None };
        for (fault, class, status) in [
            (Fault::TlsNotOffered, FaultClass::Destination, "4.7.4"),
            (Fault::TlsRefused { reply: reply() }, FaultClass::Destination, "4.7.4"),
            (Fault::Tls(expired), FaultClass::Destination, "4.7.5"),
            (
                Fault::TlsWanted { stage: Stage::Mail, reply: reply() },
                FaultClass::Message,
                "4.7.10",
            ),
        ] {
            assert!(!fault.is_permanent(), "{fault:?}");
            assert_eq!((fault.class(), fault.status().to_string().as_str()), (class, status));
        }
    }

    #[test]
    fn our_wrong_password_is_no_fault_of_any_message() {
        let reply = Reply::new(535, Some(EnhancedStatus::new(5, 7, 8)), "no");
        for (fault, stage, status) in [
            (LoginFault::Refused { reply: reply.clone() }, Stage::Auth, "4.7.8"),
            (LoginFault::Wanted { stage: Stage::Mail, reply }, Stage::Mail, "4.7.0"),
            (LoginFault::NoCommonMechanism, Stage::Auth, "4.7.0"),
            (LoginFault::NeedsTls, Stage::Auth, "4.7.11"),
            (LoginFault::Secret(crate::SecretFault::Unset), Stage::Auth, "4.3.5"),
            (LoginFault::ServerUnproven, Stage::Auth, "4.7.5"),
        ] {
            let fault = Fault::Login { route: "smart".into(), fault };
            assert!(!fault.is_permanent(), "{fault:?}");
            assert_eq!(fault.class(), FaultClass::Destination, "{fault:?}");
            assert_eq!((fault.stage(), fault.status().to_string().as_str()), (stage, status));
            assert_eq!(fault.cause(), Some("route.smarthost-auth"));
        }
    }

    #[test]
    fn dns_trouble_is_never_permanent() {
        for answer in [
            AnswerKind::ServFail,
            AnswerKind::Refused,
            AnswerKind::Timeout,
            AnswerKind::Bogus,
            AnswerKind::Malformed,
            AnswerKind::NxDomain,
        ] {
            let fault = Fault::DnsFailed { name: "x".into(), kind: RecordType::Mx, answer };
            assert!(!fault.is_permanent(), "{answer:?}");
            assert_eq!(fault.status().class, 4);
        }
    }
}
