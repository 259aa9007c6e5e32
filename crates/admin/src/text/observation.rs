//! An observation in three short texts: about what, what came of it, and the raw words.

use super::extended::extended_error;
use super::fault::{answer_word, connect_fault};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Answer, AnswerKind, Connection, Edns, LoginFault, Record, RecordData, Seen, Subject, Transport,
};
use posthaste_mail::{Recipient, Timestamp};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// About what. `recipients` are those of the envelope that a number counts in; `connection` is the one that the
/// attempt used.
pub(crate) fn subject(
    subject: &Subject,
    recipients: &[Recipient],
    connection: Option<&Connection>,
) -> String {
    match subject {
        Subject::Here => "this machine".to_owned(),
        Subject::Route(name) => format!("route {name}"),
        Subject::Question { server, name, kind } => {
            let name = if name.is_empty() { "." } else { name };
            match server {
                Some(server) => format!("{kind} {name} asked of {server}"),
                None => format!("{kind} {name}"),
            }
        }
        Subject::Host { name, address } => host(name, *address),
        Subject::Peer => {
            let named = connection.and_then(|c| Some(host(c.host.as_deref()?, c.peer)));
            named.unwrap_or_else(|| "the other host".to_owned())
        }
        Subject::Recipient(number) => {
            let index = usize::try_from(*number).unwrap_or(usize::MAX);
            let named = recipients.get(index).map(|recipient| recipient.mailbox.to_string());
            named.unwrap_or_else(|| format!("recipient {number}"))
        }
    }
}

fn host(name: &str, address: Option<SocketAddr>) -> String {
    match address {
        Some(address) => format!("{name} ({address})"),
        None => name.to_owned(),
    }
}

/// What came of it, as one fixed word or two.
pub(crate) fn outcome(seen: &Seen) -> &'static str {
    match seen {
        Seen::Done => "done",
        Seen::Answer(answer) => answer_outcome(answer.kind),
        Seen::Connected { .. } => "connected",
        Seen::ConnectFailed(_) => "connect-failed",
        Seen::Reply(reply) => match reply.code / 100 {
            2 | 3 => "accepted",
            4 => "deferred",
            _ => "refused",
        },
        Seen::Capabilities(_) => "capabilities",
        Seen::TimedOut { .. } => "timed-out",
        Seen::Lost { reset: true } => "reset",
        Seen::Lost { reset: false } => "closed",
        Seen::Gibberish => "gibberish",
        Seen::Chose(choice) => choice_outcome(*choice),
        Seen::Tls(facts) if facts.verified.is_ok() => "verified",
        Seen::Tls(_) => "encrypted",
        Seen::TlsFailed(fault) => fault.name(),
        Seen::TlsDemanded(demand) => demand.level.name(),
        Seen::Login { reply, .. } if reply.is_positive() => "logged-in",
        Seen::Login { reply, .. } if reply.code / 100 == 4 => "deferred",
        Seen::Login { .. } => "refused",
        Seen::LoginFailed(fault) => login_outcome(fault),
    }
}

/// The raw words: the peer's reply, the records of an answer, the limit that passed; `None` when there are none. `at` is
/// when it was seen.
pub(crate) fn raw(seen: &Seen, at: Timestamp) -> Option<String> {
    match seen {
        Seen::Done | Seen::Gibberish | Seen::Lost { .. } => None,
        Seen::Answer(answer) => Some(answer_text(answer)),
        Seen::Connected { local } => Some(format!("from {local}")),
        Seen::ConnectFailed(fault) => Some(connect_fault(*fault)),
        Seen::Reply(reply) => Some(reply.to_string()),
        Seen::Capabilities(list) => Some(list.join(", ")),
        Seen::TimedOut { after } => {
            Some(format!("nothing within {}", crate::units::print_waited(*after)))
        }
        Seen::Chose(choice) => Some(choice_text(*choice).to_owned()),
        Seen::Tls(facts) => Some(super::tls::facts(facts, at)),
        Seen::TlsFailed(fault) => Some(super::tls::fault(fault)),
        Seen::TlsDemanded(demand) => Some(super::tls::demand(*demand)),
        Seen::Login { mechanism, reply } => Some(format!("{}: {reply}", mechanism.name())),
        Seen::LoginFailed(LoginFault::Secret(why)) => Some(super::login::secret(*why)),
        Seen::LoginFailed(fault) => fault.reply().map(ToString::to_string),
    }
}

const fn login_outcome(fault: &LoginFault) -> &'static str {
    match fault {
        LoginFault::Refused { .. } => "refused",
        LoginFault::Wanted { .. } => "login-wanted",
        LoginFault::NoCommonMechanism => "no-common-mechanism",
        LoginFault::NeedsTls => "login-needs-tls",
        LoginFault::Secret(_) => "no-secret",
        LoginFault::ServerUnproven => "server-unproven",
        LoginFault::Exchange => "gibberish",
    }
}

pub(crate) const fn answer_outcome(kind: AnswerKind) -> &'static str {
    match kind {
        AnswerKind::Answer => "answer",
        AnswerKind::NoData => "nodata",
        AnswerKind::NxDomain => "nxdomain",
        AnswerKind::ServFail => "servfail",
        AnswerKind::Refused => "refused",
        AnswerKind::NotImp => "notimp",
        AnswerKind::FormErr => "formerr",
        AnswerKind::OtherRcode(_) => "other-rcode",
        AnswerKind::Lame => "lame",
        AnswerKind::Timeout => "timed-out",
        AnswerKind::Unreachable => "unreachable",
        AnswerKind::Malformed => "malformed",
        AnswerKind::Bogus => "bogus",
    }
}

fn answer_text(answer: &Answer) -> String {
    let mut text = answer_word(answer.kind);
    if !answer.records.is_empty() {
        let records: Vec<String> = answer.records.iter().map(record_text).collect();
        let circle = answer.kind == AnswerKind::Malformed;
        let lead = if circle { "aliases without an end: " } else { "" };
        text = format!("{lead}{}", records.join("; "));
    }
    for (code, extra) in &answer.extended {
        let named = extended_error(*code).unwrap_or_default();
        let words = [named, extra].into_iter().filter(|word| !word.is_empty());
        let words = words.collect::<Vec<_>>().join(": ");
        let _ = write!(text, " (EDE {code}{}{words})", if words.is_empty() { "" } else { " " });
    }
    let how = match answer.transport {
        Transport::Udp => "",
        Transport::Tcp => " over TCP",
        Transport::Tls => " over TLS",
        Transport::Cache if answer.stale => " from the cache, past its time",
        Transport::Cache => " from the cache",
        Transport::Hosts => " from the hosts file",
    };
    text.push_str(how);
    if let Some(fault) = &answer.tls {
        let _ = write!(text, ": {}", super::tls::fault(fault));
    }
    text.push_str(match answer.edns {
        Edns::Offered => "",
        Edns::LeftOut => " without EDNS",
        Edns::LeftOutToSee => " without EDNS, as a test",
    });
    if answer.fallback {
        text.push_str(" from the fallback list");
    }
    text
}

pub(crate) fn record_text(record: &Record) -> String {
    let name = if record.name.is_empty() { "." } else { &record.name };
    let data = match &record.data {
        RecordData::A(ip) => format!("A {ip}"),
        RecordData::Aaaa(ip) => format!("AAAA {ip}"),
        RecordData::Mx { preference, exchange } => {
            let exchange = if exchange.is_empty() { "." } else { exchange };
            format!("MX {preference} {exchange}")
        }
        RecordData::Cname(target) => format!("CNAME {target}"),
        RecordData::Ptr(target) => format!("PTR {target}"),
        RecordData::Txt(text) => format!("TXT \"{text}\""),
        RecordData::Ns(target) => format!("NS {target}"),
        RecordData::Soa { primary, serial, minimum } => format!("SOA {primary} {serial} {minimum}"),
        RecordData::Tlsa(usage, selector, matching, data) => {
            let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("TLSA {usage} {selector} {matching} {hex}")
        }
        RecordData::Ds { key_tag, algorithm, digest_type } => {
            format!("DS {key_tag} {algorithm} {digest_type}")
        }
        RecordData::Dnskey { flags, algorithm, key_tag } => {
            format!("DNSKEY {flags} 3 {algorithm} ; key tag {key_tag}")
        }
        RecordData::Rrsig { covers, algorithm, key_tag, inception, expiration, signer } => {
            format!("RRSIG type {covers} {algorithm} {expiration} {inception} {key_tag} {signer}")
        }
    };
    format!("{name} {} {data}", record.ttl)
}

const fn choice_outcome(choice: Choice) -> &'static str {
    match choice {
        Choice::ImplicitMx => "implicit-mx",
        Choice::NullMx => "null-mx",
        Choice::DroppedOurselves => "dropped-ourselves",
        Choice::PrivateAddress => "private-address",
        Choice::HostRestsNow => "host-rests",
        Choice::FamilyRestsNow => "family-rests",
        Choice::FellBackToHelo => "helo",
        Choice::SentEightBitAsIs => "sent-8bit-as-is",
        Choice::OverPeersSize => "over-peers-size",
        Choice::NoSmtpUtf8 => "no-smtputf8",
        Choice::FromCache => "from-cache",
        Choice::FoldedLongLines => "folded-long-lines",
        Choice::LeftOut => "left-out",
        Choice::FamilyUnused => "family-unused",
        Choice::AddressForExchanger => "address-for-exchanger",
        Choice::Unconfirmed => "unconfirmed",
        Choice::Contradicted => "contradicted",
        Choice::Indiscriminate => "indiscriminate",
        Choice::Vanished => "vanished",
        Choice::HostsMissing => "hosts-missing",
        Choice::Invented => "invented",
        Choice::StartTlsNotOffered => "no-starttls",
        Choice::StartTlsRefused => "starttls-refused",
        Choice::ClearAfterBrokenTls => "clear-after-broken-tls",
        Choice::TlsRestsNow => "tls-rests",
    }
}

const fn choice_text(choice: Choice) -> &'static str {
    match choice {
        Choice::ImplicitMx => "no MX record: the domain itself is the host",
        Choice::NullMx => "the domain accepts no mail (RFC 7505)",
        Choice::DroppedOurselves => {
            "we are in the list: dropped, with all of our preference or worse"
        }
        Choice::PrivateAddress => "private or loopback address: not connected to",
        Choice::HostRestsNow => "the host failed a moment ago: skipped",
        Choice::FamilyRestsNow => "this address family does not work from here: skipped",
        Choice::FellBackToHelo => "EHLO was refused: HELO used",
        Choice::SentEightBitAsIs => "no 8BITMIME: sent as it is",
        Choice::OverPeersSize => "larger than the announced limit",
        Choice::NoSmtpUtf8 => "no SMTPUTF8, which the message needs",
        Choice::FromCache => "the cache answered",
        Choice::FoldedLongLines => "lines over 998 octets were folded",
        Choice::LeftOut => "observations were left out here, to keep the record small",
        Choice::FamilyUnused => "it has addresses only of a family that the route does not use",
        Choice::AddressForExchanger => "the MX record names an address, where a name must stand",
        Choice::Unconfirmed => "said to be missing, unconfirmed: not believed before a second time",
        Choice::Contradicted => {
            "its own zone says otherwise: the servers configured here are mistaken"
        }
        Choice::Indiscriminate => {
            "a server configured here answers alike for every name: not believed"
        }
        Choice::Vanished => {
            "dns.domain-undelegated: missing, but mail was delivered to it in the last 30 days: not given up"
        }
        Choice::HostsMissing => "no MX host has an address: waited for, for an hour",
        Choice::StartTlsNotOffered => "the host offers no STARTTLS",
        Choice::StartTlsRefused => "STARTTLS was refused: goes on in clear",
        Choice::ClearAfterBrokenTls => "TLS failed: connected again, in clear",
        Choice::TlsRestsNow => "TLS with this host failed less than an hour ago: not tried",
        Choice::Invented => {
            "its own zone says that it does not exist: the servers configured here make up an address for every name"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::RecordType;
    use posthaste_mail::Reply;
    use std::time::Duration;

    #[test]
    fn the_host_of_the_connection_is_named() {
        let connection = |name: Option<&str>| Connection {
            id: posthaste_evidence::ConnectionId(1),
            destination: "b.example".into(),
            route: "default".into(),
            at: posthaste_mail::Timestamp::EPOCH,
            took: std::time::Duration::ZERO,
            host: name.map(str::to_owned),
            peer: name.map(|_| ([127, 0, 0, 1], 25).into()),
            local: None,
            observations: Vec::new(),
        };
        let named = connection(Some("mx.b.example"));
        for (connection, text) in [
            (Some(&named), "mx.b.example (127.0.0.1:25)"),
            (Some(&connection(None)), "the other host"),
            (None, "the other host"),
        ] {
            assert_eq!(subject(&Subject::Peer, &[], connection), text);
        }
        assert_eq!(subject(&Subject::Here, &[], Some(&named)), "this machine");
    }

    #[test]
    fn observations_show_what_was_said() {
        let mx = RecordData::Mx { preference: 10, exchange: "mx.b.example".into() };
        let record = Record { name: "b.example".into(), ttl: 300, data: mx };
        let answer = Answer {
            records: vec![record].into(),
            extended: vec![(3, "stale".into())],
            ..Answer::empty(AnswerKind::Answer, Transport::Tcp)
        };
        let question = Subject::Question {
            server: Some(([127, 0, 0, 1], 53).into()),
            name: "b.example".into(),
            kind: RecordType::Mx,
        };
        assert_eq!(subject(&question, &[], None), "MX b.example asked of 127.0.0.1:53");
        for (seen, word, text) in [
            (
                Seen::Answer(answer),
                "answer",
                Some("b.example 300 MX 10 mx.b.example (EDE 3 Stale Answer: stale) over TCP"),
            ),
            (
                Seen::Answer(Answer::empty(AnswerKind::ServFail, Transport::Udp)),
                "servfail",
                Some("SERVFAIL"),
            ),
            (
                Seen::Answer(Answer {
                    extended: vec![(6, String::new()), (49152, String::new())],
                    ..Answer::empty(AnswerKind::Bogus, Transport::Udp)
                }),
                "bogus",
                Some("DNSSEC validation failed (EDE 6 DNSSEC Bogus) (EDE 49152)"),
            ),
            (
                Seen::TimedOut { after: Duration::from_micros(405_696) },
                "timed-out",
                Some("nothing within 406ms"),
            ),
            (
                Seen::Chose(Choice::Vanished),
                "vanished",
                Some(
                    "dns.domain-undelegated: missing, but mail was delivered to it in the last 30 days: not given up",
                ),
            ),
            (Seen::Reply(Reply::new(450, None, "later")), "deferred", Some("450 later")),
            (Seen::Lost { reset: true }, "reset", None),
        ] {
            let said = raw(&seen, Timestamp::EPOCH);
            assert_eq!((outcome(&seen), said.as_deref()), (word, text));
        }
    }
}
