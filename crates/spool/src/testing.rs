//! Sample mail, attempts and states for the tests of stores and of those who use them.

#[cfg(test)]
pub(crate) mod strategies;

use crate::{Content, NewMail};
use posthaste_evidence::observation::Choice;
use posthaste_evidence::{
    Answer, AnswerKind, Attempt, Certificate, ConnectFault, Connection, ConnectionId, Doubt, Edns,
    Effect, Fault, LoginFault, Observation, Outcome, RecipientResult, Record, RecordData,
    RecordType, SecretFault, Seen, Stage, Subject, TlsDemand, TlsFacts, TlsFault, TlsLevel,
    TlsOrigin, TlsVersion, Transport, Untrusted,
};
use posthaste_mail::envelope::{Notify, Ret};
use posthaste_mail::{
    Body, BodyType, ContentFacts, EnhancedStatus, Envelope, Mailbox, Mechanism, QueueId, Recipient,
    Reply, ReversePath, Source, SourceKind, Summary, Timestamp,
};
use posthaste_queue::RecipientState;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The time at which the samples happen.
pub const NOON: Timestamp = Timestamp::from_micros(1_795_262_400_000_000);

/// A message of `size` octets to recipients `r0@example.org`, `r1@example.org` ...
///
/// # Panics
/// When there is no recipient.
#[must_use]
pub fn mail(id: QueueId, recipients: usize, size: usize) -> NewMail {
    assert!(recipients > 0, "an envelope has recipients");
    let content = content(id, size);
    NewMail {
        envelope: envelope(id, recipients, &content),
        content: Content::Inline(Body::from(content)),
        states: vec![RecipientState::default(); recipients],
    }
}

/// `size` octets that differ from message to message.
#[must_use]
pub fn content(id: QueueId, size: usize) -> Vec<u8> {
    let line = format!("{id} the quick brown fox jumps over the lazy dog\r\n");
    line.bytes().cycle().take(size).collect()
}

/// The envelope of [`mail`].
#[must_use]
pub fn envelope(id: QueueId, recipients: usize, content: &[u8]) -> Envelope {
    Envelope {
        id,
        received: NOON,
        reverse_path: ReversePath::Mailbox(mailbox("sender@example.com")),
        recipients: (0..recipients).map(recipient).collect(),
        ret: Some(Ret::Hdrs),
        envid: None,
        body_type: BodyType::EightBitMime,
        smtputf8: false,
        facts: ContentFacts {
            size: content.len() as u64,
            header_end: content.len() as u64 / 2,
            received: 1,
            longest_line: 60,
            crc: crc32c::crc32c(content),
            ..ContentFacts::default()
        },
        summary: Summary {
            header_from: Some("A Sender <sender@example.com>".into()),
            subject: Some("The quick brown fox".into()),
            message_id: Some("<1234.5678@example.com>".into()),
            date: Some("Sat, 21 Nov 2026 12:00:00 +0000".into()),
            signed_by: Vec::new(),
        },
        source: Source {
            kind: SourceKind::Relay,
            listener: "0.0.0.0:25".into(),
            ip: Some(Ipv4Addr::new(192, 0, 2, 7).into()),
            helo: "client.example.com".into(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    }
}

fn recipient(number: usize) -> Recipient {
    Recipient {
        mailbox: mailbox(&format!("r{number}@example.org")),
        orcpt: None,
        notify: (number == 1).then(|| Notify { failure: true, ..Notify::default() }),
    }
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, false).expect("a valid sample")
}

/// Who the samples are delivered to.
#[must_use]
pub fn peer() -> SocketAddr {
    (Ipv4Addr::new(203, 0, 113, 25), 25).into()
}

/// A connection that stood.
#[must_use]
pub fn connection(id: u64) -> Connection {
    let seen = |stage, subject, seen| Observation {
        at: NOON,
        took: Duration::from_millis(12),
        stage,
        subject,
        seen,
        effect: Effect::None,
    };
    let host = || Subject::Host { name: "mx.example.org".into(), address: Some(peer()) };
    let local = (Ipv4Addr::new(192, 0, 2, 1), 40_000).into();
    Connection {
        id: ConnectionId(id),
        destination: "example.org".into(),
        route: "default".into(),
        at: NOON,
        took: Duration::from_millis(40),
        host: Some("mx.example.org".into()),
        peer: Some(peer()),
        local: Some(local),
        observations: vec![
            seen(Stage::DnsMx, question(), Seen::Answer(answer())),
            seen(Stage::Connect, host(), Seen::Connected { local }),
            seen(Stage::Banner, host(), Seen::Reply(Reply::new(220, None, "mx.example.org ESMTP"))),
            seen(
                Stage::Ehlo,
                host(),
                Seen::Capabilities(vec!["PIPELINING".into(), "SIZE 0".into()]),
            ),
        ],
    }
}

fn question() -> Subject {
    let server = Some((Ipv4Addr::new(192, 0, 2, 53), 53).into());
    Subject::Question { server, name: "example.org".into(), kind: RecordType::Mx }
}

fn answer() -> Answer {
    let data = RecordData::Mx { preference: 10, exchange: "mx.example.org".into() };
    let record = Record { name: "example.org".into(), ttl: 3600, data };
    Answer {
        records: vec![record].into(),
        ttl: 3600,
        ..Answer::empty(AnswerKind::Answer, Transport::Udp)
    }
}

/// What a transaction that went well leaves.
#[must_use]
pub fn transaction(at: Timestamp) -> Vec<Observation> {
    let step = |millis, stage, subject, code| Observation {
        at: at.plus(Duration::from_millis(millis)),
        took: Duration::from_millis(30),
        stage,
        subject,
        seen: Seen::Reply(Reply::new(code, None, "Ok")),
        effect: Effect::None,
    };
    vec![
        step(0, Stage::Mail, Subject::Peer, 250),
        step(30, Stage::Rcpt, Subject::Recipient(0), 250),
        step(60, Stage::Data, Subject::Peer, 354),
        step(90, Stage::Eod, Subject::Peer, 250),
    ]
}

/// An attempt whose only recipient was told to come back.
#[must_use]
pub fn deferred(message: QueueId, connection: u64) -> Attempt {
    let reply = Reply::new(
        450,
        Some(EnhancedStatus::new(4, 2, 0)),
        "<r0@example.org>: Recipient address rejected: Greylisted, see http://postgrey.example/",
    );
    let mut observations = transaction(NOON);
    observations.truncate(2);
    observations[1].seen = Seen::Reply(reply.clone());
    observations[1].effect = Effect::Blocking;
    let fault = Fault::Reply { stage: Stage::Rcpt, reply: reply.clone() };
    Attempt {
        message,
        at: NOON,
        took: Duration::from_millis(60),
        connection: Some(ConnectionId(connection)),
        results: vec![RecipientResult {
            recipient: 0,
            outcome: Outcome::Deferred,
            reply: Some(reply),
            fault: Some(fault),
        }],
        observations,
    }
}

/// An attempt that delivered to one recipient.
#[must_use]
pub fn delivered(message: QueueId, recipient: u32, connection: u64) -> Attempt {
    let reply = Reply::new(250, Some(EnhancedStatus::new(2, 0, 0)), "Ok: queued as 4bXyZ12345");
    let result =
        RecipientResult { recipient, outcome: Outcome::Delivered, reply: Some(reply), fault: None };
    Attempt {
        message,
        at: NOON,
        took: Duration::from_millis(120),
        connection: Some(ConnectionId(connection)),
        results: vec![result],
        observations: transaction(NOON),
    }
}

/// One observation of every kind, subject and outcome.
#[must_use]
pub fn every_observation() -> Vec<Observation> {
    let v6: SocketAddr = (Ipv6Addr::LOCALHOST, 25).into();
    let bogus = Answer {
        extended: vec![(6, "bogus".into())],
        authentic: true,
        truncated: true,
        edns: Edns::LeftOutToSee,
        fallback: true,
        stale: true,
        records: every_record().into(),
        ..Answer::empty(AnswerKind::OtherRcode(23), Transport::Tcp)
    };
    let unsecured = |fault| {
        let answer = Answer::empty(AnswerKind::Unreachable, Transport::Tls);
        Seen::Answer(Answer { tls: Some(fault), ..answer })
    };
    let seen = [
        Seen::Done,
        Seen::Answer(bogus),
        unsecured(TlsFault::Untrusted { why: Untrusted::WrongName, certificate: certificate() }),
        unsecured(TlsFault::Alert(40)),
        unsecured(TlsFault::Lost { reset: true }),
        unsecured(TlsFault::TimedOut),
        Seen::Connected { local: v6 },
        Seen::ConnectFailed(ConnectFault::Other(-110)),
        Seen::ConnectFailed(ConnectFault::Refused),
        Seen::Reply(Reply { code: 550, enhanced: None, lines: vec![String::new(), "no".into()] }),
        Seen::Capabilities(vec![String::new(), "DSN".into()]),
        Seen::TimedOut { after: Duration::from_secs(300) },
        Seen::Lost { reset: true },
        Seen::Gibberish,
        Seen::Chose(Choice::ImplicitMx),
        Seen::Chose(Choice::TlsRestsNow),
        Seen::Tls(tls(Ok(()))),
        Seen::Tls(tls(Err(Untrusted::Expired))),
        Seen::TlsFailed(Box::new(TlsFault::Injected)),
        Seen::Login { mechanism: Mechanism::XOAuth2, reply: Reply::new(535, None, "no") },
        Seen::LoginFailed(LoginFault::Secret(SecretFault::Failed(-15))),
        Seen::LoginFailed(wanted()),
        Seen::TlsFailed(Box::new(TlsFault::NoCertificate)),
        Seen::TlsFailed(Box::new(TlsFault::NoIdentity)),
        Seen::TlsDemanded(TlsDemand { level: TlsLevel::Verify, origin: TlsOrigin::Sts }),
    ];
    let subjects = [
        Subject::Here,
        Subject::Route("a route".into()),
        question(),
        Subject::Host { name: "x".into(), address: None },
        Subject::Recipient(3),
        Subject::Peer,
    ];
    let stages = Stage::NAMES.iter().map(|(stage, _)| *stage).cycle();
    let both = seen.into_iter().cycle().zip(subjects.into_iter().cycle());
    let make = |(stage, (seen, subject))| Observation {
        at: NOON,
        took: Duration::from_micros(1),
        stage,
        subject,
        seen,
        effect: Effect::Cosmetic,
    };
    stages.zip(both).take(30).map(make).collect()
}

fn wanted() -> LoginFault {
    LoginFault::Wanted { stage: Stage::Mail, reply: Reply::new(530, None, "log in") }
}

fn tls(verified: Result<(), Untrusted>) -> Box<TlsFacts> {
    let chain =
        certificate().map(|own| vec![(*own).clone(), Certificate { names: Vec::new(), ..*own }]);
    Box::new(TlsFacts {
        version: TlsVersion::Tls12,
        cipher: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".into(),
        alpn: Some("smtp".into()),
        chain: chain.unwrap_or_default(),
        verified,
    })
}

#[expect(clippy::unnecessary_wraps, reason = "as the fault has it")]
fn certificate() -> Option<Box<Certificate>> {
    Some(Box::new(Certificate {
        subject: "CN=other.example".into(),
        names: vec!["other.example".into(), "192.0.2.1".into()],
        issuer: "CN=An Authority".into(),
        not_before: NOON,
        not_after: NOON.plus(Duration::from_secs(86_400)),
        key: [7; 32],
    }))
}

fn every_record() -> Vec<Record> {
    let name = || String::from("x.example");
    let datas = vec![
        RecordData::A(Ipv4Addr::LOCALHOST),
        RecordData::Aaaa(Ipv6Addr::LOCALHOST),
        RecordData::Mx { preference: 0, exchange: String::new() },
        RecordData::Cname(name()),
        RecordData::Ptr(name()),
        RecordData::Txt("v=spf1 -all".into()),
        RecordData::Ns(name()),
        RecordData::Soa { primary: name(), serial: 1, minimum: 2 },
        RecordData::Tlsa(3, 1, 1, vec![1, 2, 3]),
        RecordData::Ds { key_tag: 60_485, algorithm: 5, digest_type: 1 },
        RecordData::Dnskey { flags: 257, algorithm: 13, key_tag: 60_485 },
        RecordData::Rrsig {
            covers: 15,
            algorithm: 13,
            key_tag: 2642,
            inception: 1,
            expiration: u32::MAX,
            signer: name(),
        },
    ];
    datas.into_iter().map(|data| Record { name: name(), ttl: 5, data }).collect()
}

/// One fault of every kind.
#[must_use]
pub fn every_fault() -> Vec<Fault> {
    let name = || String::from("example.org");
    let stage = Stage::Eod;
    vec![
        Fault::Reply { stage, reply: Reply::new(451, None, "later") },
        Fault::DnsFailed { name: name(), kind: RecordType::Mx, answer: AnswerKind::Lame },
        Fault::NoSuchDomain { name: name() },
        Fault::NoHosts { name: name() },
        Fault::NullMx { name: name() },
        Fault::LoopsBack { name: name() },
        Fault::OnlyPrivateAddresses { name: name() },
        Fault::Connect(ConnectFault::TimedOut),
        Fault::Lost { stage },
        Fault::TimedOut { stage, after: Duration::from_secs(600) },
        Fault::Gibberish { stage },
        Fault::NeedsSmtpUtf8,
        Fault::NeedsEightBit,
        Fault::OverPeersSize { limit: 1000 },
        Fault::NoRoute,
        Fault::StoreFault,
        Fault::AttemptTooLong,
        Fault::Interrupted,
        Fault::Expired,
        Fault::Operator,
        Fault::RouteDiscards { route: name() },
        Fault::RouteFails {
            route: name(),
            status: EnhancedStatus::new(5, 7, 999),
            text: "closed".into(),
        },
        Fault::OverRouteSize { route: name(), limit: 1000 },
        Fault::UnknownRecipient,
        Fault::Doubted { name: name(), doubt: Doubt::Vanished },
        Fault::Login { route: name(), fault: wanted() },
        Fault::Login {
            route: name(),
            fault: LoginFault::Refused { reply: Reply::new(535, None, "no") },
        },
        Fault::Login { route: name(), fault: LoginFault::NoCommonMechanism },
        Fault::Login { route: name(), fault: LoginFault::NeedsTls },
        Fault::Login { route: name(), fault: LoginFault::ServerUnproven },
        Fault::Login { route: name(), fault: LoginFault::Exchange },
        Fault::Login { route: name(), fault: LoginFault::Secret(SecretFault::Unreadable(13)) },
        Fault::Login { route: name(), fault: LoginFault::Secret(SecretFault::Empty) },
        Fault::Login { route: name(), fault: LoginFault::Secret(SecretFault::TooLong) },
        Fault::Login { route: name(), fault: LoginFault::Secret(SecretFault::Unsuitable) },
        Fault::Login { route: name(), fault: LoginFault::Secret(SecretFault::Unset) },
        Fault::Login { route: name(), fault: LoginFault::Secret(SecretFault::NotRun(2)) },
        Fault::Login { route: name(), fault: LoginFault::Secret(SecretFault::TimedOut) },
        Fault::TlsNotOffered,
        Fault::TlsRefused { reply: Reply::new(454, None, "later") },
        Fault::Tls(TlsFault::Untrusted { why: Untrusted::NotPinned, certificate: None }),
        Fault::TlsWanted { stage: Stage::Mail, reply: Reply::new(530, None, "STARTTLS first") },
    ]
}
