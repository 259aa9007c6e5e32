//! One event as one line of JSON. The format is described in the head of [`crate::journal`].

use posthaste_evidence::{ConnectFault, Event, EventKind, Fault, LoginFault, Order, Withheld};
use posthaste_mail::Reply;
use posthaste_mail::text::armoured;
use serde::Serialize;

/// The version of the format; raised when a field changes its meaning, not when one is added.
const VERSION: u32 = 1;

/// The event as JSON without a line end.
#[must_use]
pub fn line(event: &Event) -> String {
    let mut line = Line {
        v: VERSION,
        at: event.at.rfc3339(),
        commit: event.commit,
        id: event.message.to_string(),
        ..Line::default()
    };
    if matches!(event.kind, EventKind::Decision { .. }) {
        // It is about no one message.
        line.id.clear();
    }
    describe(&event.kind, &mut line);
    armoured(serde_json::to_string(&line).expect("a struct of strings and numbers becomes JSON"))
}

#[derive(Serialize, Default)]
struct Line<'a> {
    v: u32,
    at: String,
    commit: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    id: String,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<To<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<ReplyLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
    /// What a notice tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Why nobody was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    into: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirected_from: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum To<'a> {
    One(&'a str),
    All(&'a [String]),
}

#[derive(Serialize)]
struct ReplyLine {
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    enhanced: Option<String>,
    text: String,
}

#[derive(Serialize)]
struct FaultLine<'a> {
    kind: &'static str,
    stage: &'static str,
    status: String,
    permanent: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

fn describe<'a>(kind: &'a EventKind, line: &mut Line<'a>) {
    line.event = kind.name();
    match kind {
        EventKind::Received {
            from,
            to,
            size,
            client,
            listener,
            message_id,
            session,
            subject,
            user,
            redirected_from,
        } => {
            line.from = Some(from);
            line.to = Some(To::All(to));
            line.size = Some(*size);
            line.client = client.map(|client| client.to_string());
            line.listener = Some(listener);
            line.message_id = message_id.as_deref();
            line.subject = subject.as_deref();
            line.user = user.as_deref();
            line.session = session.map(|session| session.to_string());
            line.redirected_from = redirected_from.map(|id| id.to_string());
        }
        EventKind::Tried { to, host, reply, fault, next, session, .. } => {
            line.to = Some(To::One(to));
            line.host = host.as_ref().map(|(name, _)| name.as_str());
            line.address = host.as_ref().map(|(_, address)| address.to_string());
            line.reply = reply.as_ref().map(reply_line);
            line.fault = fault.as_ref().map(fault_line);
            line.next = next.map(|next| next.rfc3339());
            line.session = session.map(|session| session.to_string());
        }
        EventKind::Expired { to } => line.to = Some(To::One(to)),
        EventKind::Notice { id, kind } => {
            line.notice = Some(id.to_string());
            line.kind = Some(kind.name());
        }
        EventKind::Operator { to, act, order, into } => {
            line.to = to.as_deref().map(To::One);
            line.act = Some(act);
            line.into = into.map(|id| id.to_string());
            if let Some(order) = order {
                ordered(order, line);
            }
        }
        EventKind::Decision { state, act, target, order, messages, recipients } => {
            line.act = Some(act);
            line.state = Some(state);
            line.target = Some(target);
            line.messages = Some(*messages);
            line.recipients = Some(*recipients);
            ordered(order, line);
        }
        EventKind::NoNotice { why } => line.why = why.map(Withheld::name),
        EventKind::Poison | EventKind::Done => {}
    }
}

fn ordered<'a>(order: &'a Order, line: &mut Line<'a>) {
    line.by = Some(&order.by);
    line.reason = order.reason.as_deref();
    line.decision = order.decision;
}

fn reply_line(reply: &Reply) -> ReplyLine {
    ReplyLine {
        code: reply.code,
        enhanced: reply.enhanced.map(|status| status.to_string()),
        text: reply.shortened().text(),
    }
}

fn fault_line(fault: &Fault) -> FaultLine<'_> {
    let (kind, detail, name) = fault_words(fault);
    FaultLine {
        kind,
        stage: fault.stage().name(),
        status: fault.status().to_string(),
        permanent: fault.is_permanent(),
        cause: fault.cause(),
        detail,
        name,
    }
}

fn fault_words(fault: &Fault) -> (&'static str, Option<String>, Option<&str>) {
    match fault {
        Fault::Reply { reply, .. } => ("reply", Some(reply.shortened().to_string()), None),
        Fault::DnsFailed { name, kind, answer } => {
            ("dns_failed", Some(format!("{kind:?} {answer:?}").to_lowercase()), Some(name))
        }
        Fault::Doubted { name, doubt } => (doubt.name(), None, Some(name)),
        Fault::NoSuchDomain { name } => ("no_such_domain", None, Some(name)),
        Fault::NoHosts { name } => ("no_hosts", None, Some(name)),
        Fault::NullMx { name } => ("null_mx", None, Some(name)),
        Fault::LoopsBack { name } => ("loops_back", None, Some(name)),
        Fault::OnlyPrivateAddresses { name } => ("only_private_addresses", None, Some(name)),
        Fault::Connect(fault) => ("connect", Some(connect_words(*fault)), None),
        Fault::Lost { .. } => ("lost", None, None),
        Fault::TimedOut { after, .. } => {
            ("timed_out", Some(format!("after {} s", after.as_secs())), None)
        }
        Fault::Gibberish { .. } => ("gibberish", None, None),
        Fault::NeedsSmtpUtf8 => ("needs_smtputf8", None, None),
        Fault::NeedsEightBit => ("needs_8bitmime", None, None),
        Fault::OverPeersSize { limit } => ("over_peers_size", Some(limit.to_string()), None),
        Fault::TlsNotOffered => ("tls_not_offered", None, None),
        Fault::TlsRefused { reply } => ("tls_refused", Some(reply.shortened().to_string()), None),
        Fault::Tls(fault) => ("tls_failed", Some(fault.name().to_owned()), None),
        Fault::TlsWanted { reply, .. } => ("tls_wanted", Some(reply.shortened().to_string()), None),
        Fault::Login { route, fault } => (fault.name(), login_detail(fault), Some(route)),
        Fault::NoRoute => ("no_route", None, None),
        Fault::StoreFault => ("store_fault", None, None),
        Fault::AttemptTooLong => ("attempt_too_long", None, None),
        Fault::Interrupted => ("interrupted", None, None),
        Fault::Expired => ("expired", None, None),
        Fault::Operator => ("operator", None, None),
        Fault::UnknownRecipient => ("unknown_recipient", None, None),
        Fault::RouteDiscards { route } => ("route_discards", None, Some(route)),
        Fault::RouteFails { route, text, .. } => ("route_fails", Some(text.clone()), Some(route)),
        Fault::OverRouteSize { route, limit } => {
            ("over_route_size", Some(limit.to_string()), Some(route))
        }
    }
}

/// The host's words, or why there is no secret: its name, and its number where it has one.
fn login_detail(fault: &LoginFault) -> Option<String> {
    match fault {
        LoginFault::Secret(why) => Some(match why.name() {
            (name, Some(number)) => format!("{name} {number}"),
            (name, None) => name.to_owned(),
        }),
        other => other.reply().map(|reply| reply.shortened().to_string()),
    }
}

fn connect_words(fault: ConnectFault) -> String {
    match fault {
        ConnectFault::Refused => "refused",
        ConnectFault::TimedOut => "timed out",
        ConnectFault::HostUnreachable => "host unreachable",
        ConnectFault::NetworkUnreachable => "network unreachable",
        ConnectFault::Forbidden => "forbidden",
        ConnectFault::SourceUnavailable => "source address unavailable",
        ConnectFault::LocalResources => "no local resources",
        ConnectFault::Reset => "reset",
        ConnectFault::Other(number) => return format!("error {number}"),
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use posthaste_evidence::{AnswerKind, Doubt, Outcome, RecordType, Stage};
    use posthaste_mail::{ConnectionId, EnhancedStatus, QueueId, Timestamp};
    use std::sync::Arc;

    fn event(kind: EventKind) -> String {
        let at = Timestamp::from_micros(1_795_243_984_123_456);
        line(&Event { at, commit: 7, message: QueueId::from_u64(1), kind })
    }

    const HEAD: &str = r#"{"v":1,"at":"2026-11-21T06:53:04.123Z","commit":7,"id":"0000000000001","#;

    #[test]
    fn every_kind_has_its_line() {
        let tried = EventKind::Tried {
            to: "b@y.example".into(),
            outcome: Outcome::Deferred,
            host: Some(("mx.y.example".into(), ([192, 0, 2, 1], 25).into())),
            reply: Some(Reply::new(450, Some(EnhancedStatus::new(4, 2, 0)), "say \"later\"\n")),
            fault: Some(Fault::Connect(ConnectFault::Refused)),
            next: Some(Timestamp::from_secs(1_795_243_990)),
            session: Some(ConnectionId((3 << 32) + 1)),
        };
        let received = EventKind::Received {
            from: String::new(),
            to: vec!["b@y.example".into()],
            size: 10,
            client: Some(std::net::Ipv4Addr::LOCALHOST.into()),
            listener: "relay".into(),
            message_id: None,
            session: None,
            subject: Some("Grüße".into()),
            user: Some("uid 7".into()),
            redirected_from: None,
        };
        for (kind, tail) in [
            (
                received,
                r#""event":"received","from":"","to":["b@y.example"],"size":10,"client":"127.0.0.1","listener":"relay","subject":"Grüße","user":"uid 7"}"#,
            ),
            (
                tried,
                r#""event":"deferred","to":"b@y.example","host":"mx.y.example","address":"192.0.2.1:25","reply":{"code":450,"enhanced":"4.2.0","text":"say \"later\"\n"},"fault":{"kind":"connect","stage":"connect","status":"4.4.1","permanent":false,"detail":"refused"},"next":"2026-11-21T06:53:10.000Z","session":"out-C000001"}"#,
            ),
            (EventKind::Expired { to: "b@y".into() }, r#""event":"expired","to":"b@y"}"#),
            (
                EventKind::Notice {
                    id: QueueId::from_u64(2),
                    kind: posthaste_evidence::NoticeKind::Failed,
                },
                r#""event":"notice","notice":"0000000000002","kind":"failed"}"#,
            ),
            (EventKind::NoNotice { why: None }, r#""event":"no_notice"}"#),
            (
                EventKind::NoNotice { why: Some(Withheld::StrangersRate) },
                r#""event":"no_notice","why":"strangers-rate"}"#,
            ),
            (
                EventKind::Operator { to: None, act: "remove", order: None, into: None },
                r#""event":"operator","act":"remove"}"#,
            ),
            (
                EventKind::Operator {
                    to: Some("b@y".into()),
                    act: "redirect",
                    order: Some(order()),
                    into: Some(QueueId::from_u64(3)),
                },
                r#""event":"operator","to":"b@y","act":"redirect","by":"uid 0","reason":"moved","decision":4,"into":"0000000000003"}"#,
            ),
            (EventKind::Poison, r#""event":"poison"}"#),
            (EventKind::Done, r#""event":"done"}"#),
        ] {
            assert_eq!(event(kind), format!("{HEAD}{tail}"));
        }
    }

    fn order() -> Arc<Order> {
        let reason = Some("moved".to_owned());
        Arc::new(Order { by: "uid 0".into(), reason, decision: Some(4) })
    }

    #[test]
    fn a_decision_is_about_no_one_message() {
        let kind = EventKind::Decision {
            state: "done",
            act: "hold",
            target: "domain = y".into(),
            order: order(),
            messages: 2,
            recipients: 3,
        };
        assert_eq!(
            event(kind),
            r#"{"v":1,"at":"2026-11-21T06:53:04.123Z","commit":7,"event":"decision","act":"hold","by":"uid 0","reason":"moved","decision":4,"state":"done","target":"domain = y","messages":2,"recipients":3}"#
        );
    }

    #[test]
    fn a_fault_names_what_it_is_about() {
        let name = || "y.example".to_owned();
        for (fault, kind, detail) in [
            (
                Fault::DnsFailed {
                    name: name(),
                    kind: RecordType::Mx,
                    answer: AnswerKind::ServFail,
                },
                "dns_failed",
                Some("mx servfail"),
            ),
            (Fault::NoSuchDomain { name: name() }, "no_such_domain", None),
            (Fault::Lost { stage: Stage::Eod }, "lost", None),
            (Fault::Connect(ConnectFault::Other(42)), "connect", Some("error 42")),
        ] {
            let line = fault_line(&fault);
            assert_eq!((line.kind, line.detail.as_deref()), (kind, detail));
            assert_eq!(line.cause, None);
        }
        let vanished = Fault::Doubted { name: name(), doubt: Doubt::Vanished };
        let written = serde_json::to_string(&fault_line(&vanished)).expect("plain data");
        assert_eq!(
            written,
            r#"{"kind":"domain_vanished","stage":"dns-mx","status":"4.4.4","permanent":false,"cause":"dns.domain-undelegated","name":"y.example"}"#
        );
    }
}
