//! A few messages, destinations and attempts to look at.

use posthaste_admin::desk::{
    Destination, LastError, Message, RouteAnswer, RouteHop, RouteLogin, RouteTls, RouteVouchers,
    Standing,
};
use posthaste_evidence::{
    Answer, AnswerKind, Attempt, ConnectFault, Connection, ConnectionId, Effect, Fault, NoticeKind,
    Observation, Outcome, RecipientResult, Record, RecordData, RecordType, Seen, Stage, Subject,
    TlsDemand, TlsLevel, TlsOrigin, Transport, WaitReason,
};
use posthaste_mail::{
    BodyType, ContentFacts, EnhancedStatus, Envelope, Mailbox, Mechanism, QueueId, Recipient,
    Reply, ReversePath, Source, SourceKind, Summary, Timestamp,
};
use posthaste_message::dsn::{Composed, Parts};
use posthaste_queue::scheduler::Waiting;
use posthaste_queue::{DestinationState, Life, RecipientState};
use posthaste_spool::History;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// 2026-11-21T06:53:04Z
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_795_243_984);

pub(crate) fn ago(minutes: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(60 * minutes))
}

pub(crate) fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, true).unwrap()
}

pub(crate) fn greylisted() -> Reply {
    Reply::new(450, Some(EnhancedStatus::new(4, 2, 0)), "greylisted, come back later")
}

pub(crate) fn peer() -> SocketAddr {
    "192.0.2.1:25".parse().unwrap()
}

/// Two recipients: one delivered, one deferred at RCPT half an hour ago.
pub(crate) fn message(number: u64) -> Message {
    let recipient = |text| Recipient { mailbox: mailbox(text), orcpt: None, notify: None };
    let envelope = Envelope {
        id: QueueId::from_u64(number),
        received: ago(90),
        reverse_path: ReversePath::Mailbox(mailbox("ann@sender.example")),
        recipients: vec![recipient("bob@b.example"), recipient("Eve@E.example")],
        ret: None,
        envid: None,
        body_type: BodyType::SevenBit,
        smtputf8: false,
        facts: ContentFacts { size: 1234, ..ContentFacts::default() },
        summary: Summary {
            header_from: Some("Ann <ann@sender.example>".into()),
            subject: Some(format!("Invoice {number}")),
            message_id: Some("<1@sender.example>".into()),
            date: None,
            signed_by: Vec::new(),
        },
        source: Source {
            kind: SourceKind::Relay,
            listener: "relay".into(),
            ip: Some("127.0.0.1".parse().unwrap()),
            helo: "desktop".into(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    };
    let state = |life, attempts, failures| RecipientState {
        life,
        attempts,
        failures,
        due: Timestamp::EPOCH,
        crashes: 0,
        warned: 0,
    };
    let last_error = LastError {
        at: ago(30),
        fault: Fault::Reply { stage: Stage::Rcpt, reply: greylisted() },
        host: Some("mx.e.example".into()),
        peer: Some(peer()),
        soft_fail: false,
    };
    let until = Some(NOW.plus(Duration::from_secs(60)));
    let bob = Standing {
        state: state(Life::Delivered, 1, 0),
        shared_attempts: 0,
        destination: None,
        waiting: None,
        next_notice: None,
        expires: ago(90).plus(Duration::from_secs(5 * 86_400)),
        last_error: None,
    };
    let eve = Standing {
        state: RecipientState { warned: 1, ..state(Life::Queued, 3, 3) },
        destination: Some(("e.example".into(), "default".into())),
        waiting: Some(Waiting::Because { reason: WaitReason::Retry, until }),
        next_notice: Some(ago(90).plus(Duration::from_secs(4 * 3600))),
        last_error: Some(last_error),
        ..bob.clone()
    };
    Message { envelope: Arc::new(envelope), recipients: vec![bob, eve] }
}

/// A notice as short as one can be.
pub(crate) fn notice(kind: NoticeKind, language: Option<&str>) -> Composed {
    let head = "From: =?utf-8?Q?Postamt?= <MAILER-DAEMON@mail.example>\r\nTo: <ann@sender.example>\r\n\r\n...\r\n";
    let parts = Parts {
        language: language.unwrap_or("en").to_owned(),
        subject: kind.name().to_owned(),
        text: "Not yet.\r\nWait.\r\n".into(),
        html: Some("<p>Not yet.".into()),
        status: "Reporting-MTA: dns; mail.example\r\n".into(),
    };
    Composed { octets: head.into(), eight_bit: false, smtputf8: false, parts }
}

/// One attempt over one connection: MX answered, connected, the second recipient greylisted.
pub(crate) fn history(number: u64) -> History {
    let seen = |stage, subject, seen, effect| Observation {
        at: ago(30),
        took: Duration::from_millis(12),
        stage,
        subject,
        seen,
        effect,
    };
    let data = RecordData::Mx { preference: 10, exchange: "mx.e.example".into() };
    let record = Record { name: "e.example".into(), ttl: 300, data };
    let answer = Answer {
        records: vec![record].into(),
        ..Answer::empty(AnswerKind::Answer, Transport::Udp)
    };
    let server = Some("127.0.0.1:53".parse().unwrap());
    let question = Subject::Question { server, name: "e.example".into(), kind: RecordType::Mx };
    let host = Subject::Host { name: "mx.e.example".into(), address: Some(peer()) };
    let local = "192.0.2.9:41000".parse().unwrap();
    let connection = Connection {
        id: ConnectionId(7),
        destination: "e.example".into(),
        route: "default".into(),
        at: ago(30),
        took: Duration::from_millis(40),
        host: Some("mx.e.example".into()),
        peer: Some(peer()),
        local: Some(local),
        observations: vec![
            seen(Stage::DnsMx, question, Seen::Answer(answer), Effect::None),
            seen(Stage::Connect, host, Seen::Connected { local }, Effect::None),
        ],
    };
    let fault = Fault::Reply { stage: Stage::Rcpt, reply: greylisted() };
    let result = RecipientResult {
        recipient: 1,
        outcome: Outcome::Deferred,
        reply: Some(greylisted()),
        fault: Some(fault),
    };
    let attempt = Attempt {
        message: QueueId::from_u64(number),
        at: ago(30),
        took: Duration::from_millis(55),
        connection: Some(ConnectionId(7)),
        results: vec![result],
        observations: vec![seen(
            Stage::Rcpt,
            Subject::Recipient(1),
            Seen::Reply(greylisted()),
            Effect::Blocking,
        )],
    };
    History { attempts: vec![attempt], connections: vec![connection] }
}

/// A destination that is down.
pub(crate) fn destination(name: &str) -> Destination {
    let down = DestinationState { since: ago(20), failures: 3, next_trial: NOW };
    Destination {
        view: crate::desk::destination_view(name, Some(down)),
        last_error: Some(LastError {
            at: ago(1),
            fault: Fault::Connect(ConnectFault::Refused),
            host: Some(format!("mx.{name}")),
            peer: Some(peer()),
            soft_fail: false,
        }),
    }
}

fn route_tls() -> RouteTls {
    RouteTls {
        demand: TlsDemand { level: TlsLevel::Verify, origin: TlsOrigin::Route },
        implicit: false,
        server_name: "mx.e.example".into(),
        vouchers: RouteVouchers::Given(vec!["e.example".into(), "*.e.example".into()]),
    }
}

pub(crate) fn route_answer() -> RouteAnswer {
    RouteAnswer {
        acceptance: posthaste_admin::desk::Acceptance { by: "elsewhere", ..Default::default() },
        route: Some("default".into()),
        via: "mx".into(),
        destination: Some("e.example".into()),
        hops: vec![RouteHop {
            host: "mx.e.example".into(),
            preference: Some(10),
            address: peer(),
            tls: route_tls(),
        }],
        login: Some(RouteLogin {
            user: "us@e.example".into(),
            mechanisms: vec![Mechanism::ScramSha256, Mechanism::Plain],
        }),
        fault: None,
        observations: history(1).connections[0].observations[..1].to_vec(),
        standing: None,
        concurrency: Some(5),
        does: posthaste_admin::desk::RouteDoes::Sends,
        limits: posthaste_admin::desk::RouteLimits {
            messages_per_minute: Some(60),
            sources: vec!["192.0.2.9".parse().unwrap()],
            ..Default::default()
        },
        expire_after: Duration::from_secs(432_000),
    }
}
