//! A fault in one sentence without its subject: what a table's last column says.

use posthaste_evidence::{AnswerKind, ConnectFault, Doubt, Fault};

/// The fault in words; a peer's reply as the peer said it.
#[must_use]
pub fn fault(fault: &Fault) -> String {
    match fault {
        Fault::Reply { reply, .. } => reply.to_string(),
        Fault::DnsFailed { name, kind, answer } => {
            format!("DNS did not answer for {kind} of {name}: {}", answer_word(*answer))
        }
        Fault::Doubted { name, doubt } => doubted(name, *doubt),
        Fault::NoSuchDomain { name } => format!("the domain {name} does not exist"),
        Fault::NoHosts { name } => format!("{name} has no mail host with an address"),
        Fault::NullMx { name } => format!("{name} accepts no mail (null MX)"),
        Fault::LoopsBack { name } => {
            format!("the best mail host of {name} is this machine, and no route says where it goes")
        }
        Fault::OnlyPrivateAddresses { name } => {
            format!("the mail hosts of {name} have private addresses only")
        }
        Fault::Connect(why) => format!("no connection: {}", connect_fault(*why)),
        Fault::Lost { stage } => format!("the connection was lost at {}", stage.name()),
        Fault::TimedOut { stage, after } => {
            format!("no answer at {} within {}", stage.name(), crate::units::print_waited(*after))
        }
        Fault::Gibberish { stage } => format!("the peer did not speak SMTP at {}", stage.name()),
        Fault::NeedsSmtpUtf8 => "the message needs SMTPUTF8, which no host offers".to_owned(),
        Fault::NeedsEightBit => "the message needs 8BITMIME, which the next hop lacks".to_owned(),
        Fault::OverPeersSize { limit } => {
            format!("the message is larger than the {limit} octets the destination takes")
        }
        Fault::TlsNotOffered => "TLS is required, and the host does not offer it".to_owned(),
        Fault::TlsRefused { reply } => format!("TLS is required, and the host refused it: {reply}"),
        Fault::Tls(fault) => format!("TLS is required and failed: {}", super::tls::fault(fault)),
        Fault::TlsWanted { reply, .. } => format!("the host takes no mail without TLS: {reply}"),
        Fault::Login { route, fault } => super::login::fault(route, fault),
        Fault::NoRoute => "no route matches".to_owned(),
        Fault::StoreFault => "the message could not be read from the store".to_owned(),
        Fault::AttemptTooLong => "the attempt took longer than any may".to_owned(),
        Fault::Interrupted => {
            "the process ended while the message was being handed over".to_owned()
        }
        Fault::Expired => "the time for delivery is over".to_owned(),
        Fault::Operator => "the operator ended it".to_owned(),
        Fault::UnknownRecipient => "no such recipient here".to_owned(),
        Fault::RouteDiscards { route } => format!("discarded by the route {route}"),
        Fault::RouteFails { route, text, .. } => format!("the route {route} says: {text}"),
        Fault::OverRouteSize { route, limit } => {
            format!("the message is larger than the {limit} octets the route {route} sends")
        }
    }
}

/// Why what DNS says of a domain is no reason to give up yet, in words.
fn doubted(name: &str, doubt: Doubt) -> String {
    match doubt {
        Doubt::Unconfirmed => format!(
            "DNS says that {name} does not exist or has no mail host; unconfirmed, asked again before it is believed"
        ),
        Doubt::Contradicted => format!(
            "the DNS servers configured here say that {name} does not exist or has no mail host; its own zone says otherwise"
        ),
        Doubt::Indiscriminate => format!(
            "a DNS server configured here answers alike for every name: what it says of {name} is not believed"
        ),
        Doubt::Vanished => {
            let cause = doubt.cause().unwrap_or_default();
            format!(
                "{cause}: {name} is gone from DNS, though mail was delivered to it in the last 30 days"
            )
        }
        Doubt::HostsMissing => format!("no mail host that {name} names has an address"),
    }
}

/// Why no connection came about, in words.
pub(crate) fn connect_fault(fault: ConnectFault) -> String {
    match fault {
        ConnectFault::Refused => "refused",
        ConnectFault::TimedOut => "no answer in time",
        ConnectFault::HostUnreachable => "the host cannot be reached",
        ConnectFault::NetworkUnreachable => "no route to the network",
        ConnectFault::Forbidden => "forbidden by a firewall or this system",
        ConnectFault::SourceUnavailable => "the source address is not on this machine",
        ConnectFault::LocalResources => "this machine has no ports, sockets or memory left",
        ConnectFault::Reset => "reset while connecting",
        ConnectFault::Other(number) => return format!("system error {number}"),
    }
    .to_owned()
}

/// What an answer amounts to, in the words of DNS.
#[must_use]
pub fn answer_word(kind: AnswerKind) -> String {
    match kind {
        AnswerKind::Answer => "answer",
        AnswerKind::NoData => "no such records",
        AnswerKind::NxDomain => "NXDOMAIN",
        AnswerKind::ServFail => "SERVFAIL",
        AnswerKind::Refused => "REFUSED",
        AnswerKind::NotImp => "NOTIMP",
        AnswerKind::FormErr => "FORMERR",
        AnswerKind::OtherRcode(code) => return format!("response code {code}"),
        AnswerKind::Lame => "lame server",
        AnswerKind::Timeout => "no answer in time",
        AnswerKind::Unreachable => "server unreachable",
        AnswerKind::Malformed => "unreadable answer",
        AnswerKind::Bogus => "DNSSEC validation failed",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{RecordType, Stage};
    use posthaste_mail::{EnhancedStatus, Reply};
    use std::time::Duration;

    #[test]
    fn faults_read_as_sentences() {
        let name = || "b.example".to_owned();
        let reply = Reply::new(450, Some(EnhancedStatus::new(4, 2, 0)), "greylisted");
        for (value, text) in [
            (Fault::Reply { stage: Stage::Rcpt, reply }, "450 4.2.0 greylisted"),
            (
                Fault::DnsFailed {
                    name: name(),
                    kind: RecordType::Mx,
                    answer: AnswerKind::ServFail,
                },
                "DNS did not answer for MX of b.example: SERVFAIL",
            ),
            (Fault::Connect(ConnectFault::Refused), "no connection: refused"),
            (Fault::Connect(ConnectFault::Other(5)), "no connection: system error 5"),
            (
                Fault::TimedOut { stage: Stage::Banner, after: Duration::from_secs(300) },
                "no answer at banner within 5 min",
            ),
        ] {
            assert_eq!(fault(&value), text);
        }
    }
}
