//! What our own notices say for machines: from a notice to the fields of RFC 3464.
//!
//! Not here: how the fields are written (`status`), and the words for people.

use super::status::{Action, Date, DeliveryStatus, Extension, Form, RecipientStatus, Typed};
use super::{Kind, Notice, Report};
use posthaste_evidence::{AnswerKind, ConnectFault, Fault, Stage, WaitReason};
use posthaste_mail::EnhancedStatus;
use std::net::IpAddr;

/// Of ours: the message's name in our queue.
pub const QUEUE_ID: &str = "X-Posthaste-Queue-ID";
/// Of ours: the kind of the notice ([`Kind::name`]), as two kinds share an action.
pub const KIND: &str = "X-Posthaste-Notice";
/// Of ours: how often it was tried, trials of its destination included.
pub const ATTEMPTS: &str = "X-Posthaste-Attempts";
/// Of ours: what ended it, where its status tells of the obstacle before: `expired` or `operator`.
pub const ENDED: &str = "X-Posthaste-Ended";

/// The form that suits the message: UTF-8 when it, or an address that will stand in the part, needs SMTPUTF8 (RFC 6533).
#[must_use]
pub fn form(notice: &Notice<'_>) -> Form {
    let sender = notice.envelope.reverse_path.mailbox().map_or("", |mailbox| mailbox.as_str());
    let plain = |report: &Report<'_>| {
        report.recipient.mailbox.as_str().is_ascii()
            && report.recipient.orcpt.as_deref().unwrap_or("").is_ascii()
    };
    let ascii = sender.is_ascii() && notice.reports.iter().all(plain);
    if notice.envelope.smtputf8 || !ascii { Form::Global } else { Form::SevenBit }
}

impl DeliveryStatus {
    /// What a notice of ours says.
    #[must_use]
    pub fn of(notice: &Notice<'_>) -> Self {
        let envelope = notice.envelope;
        Self {
            original_envelope_id: envelope.envid.clone(),
            reporting_mta: Some(Typed::new("dns", notice.sender.hostname.as_str())),
            arrival_date: Some(Date::of(envelope.lives_since())),
            extensions: vec![
                Extension::new(QUEUE_ID, envelope.id.to_string()),
                Extension::new(KIND, notice.kind.name()),
            ],
            recipients: notice.reports.iter().map(|report| of(notice.kind, report)).collect(),
            ..Self::default()
        }
    }
}

/// RFC 3464 section 2.3.3. An all-clear tells that the next hop has it, and that it was not asked to tell us more.
#[must_use]
pub const fn action(kind: Kind) -> Action {
    match kind {
        Kind::Failed => Action::Failed,
        Kind::Delayed => Action::Delayed,
        Kind::Delivered => Action::Delivered,
        Kind::Relayed | Kind::AllClear => Action::Relayed,
    }
}

/// The status given. When the time was over, that of the last real failure: X.4.7 alone would hide it, and is given only
/// when nothing was ever tried. A delay is of class 4 even where the host's words were final.
pub(super) fn status(kind: Kind, report: &Report<'_>) -> EnhancedStatus {
    match kind {
        Kind::Delivered | Kind::Relayed | Kind::AllClear => {
            let said = report.reply().and_then(|reply| reply.enhanced);
            said.filter(|status| status.class == 2).unwrap_or(EnhancedStatus::new(2, 0, 0))
        }
        Kind::Delayed => waiting(report).with_class(4),
        Kind::Failed => match report.cause() {
            None | Some(Fault::Expired) => Fault::Expired.status().with_class(4),
            Some(cause) => cause.status(),
        },
    }
}

/// RFC 3463 section 3: what keeps it waiting, also when it was never tried.
fn waiting(report: &Report<'_>) -> EnhancedStatus {
    use WaitReason as W;
    let (subject, detail) = match (report.cause(), report.waits) {
        (Some(cause), _) => return cause.status(),
        // X.3.2: the system, which is ours, does not take it up now.
        (None, Some(W::Held | W::DestinationHeld | W::RouteHeld | W::Poison | W::NotRunning)) => {
            (3, 2)
        }
        (None, Some(W::NoRoute)) => (4, 4),
        (None, Some(W::DestinationDown | W::NextHopDown)) => (4, 1),
        // X.4.5: congestion.
        (None, Some(_)) => (4, 5),
        (None, None) => (0, 0),
    };
    EnhancedStatus::new(4, subject, detail)
}

fn of(kind: Kind, report: &Report<'_>) -> RecipientStatus {
    let original = report.recipient.orcpt.as_deref().map(Typed::read);
    let mut extensions = vec![Extension::new(ATTEMPTS, report.attempts.to_string())];
    match report.fault {
        Some(Fault::Expired) => extensions.push(Extension::new(ENDED, "expired")),
        Some(Fault::Operator) => extensions.push(Extension::new(ENDED, "operator")),
        _ => {}
    }
    RecipientStatus {
        original_recipient: original,
        final_recipient: Some(Typed::of_address(report.recipient.mailbox.as_str())),
        action: Some(action(kind)),
        status: Some(status(kind, report)),
        remote_mta: answering_host(report).map(|host| Typed::new("dns", host)),
        diagnostic: said(kind, report),
        last_attempt_date: report.last.as_ref().map(|last| Date::of(last.at)),
        final_log_id: None,
        will_retry_until: (kind == Kind::Delayed).then(|| Date::of(report.until)),
        extensions,
    }
}

/// `smtp` is only for a host's own words; all else is ours.
fn said(kind: Kind, report: &Report<'_>) -> Option<Typed> {
    if let Some(reply) = report.reply() {
        return Some(Typed::of_reply(reply));
    }
    let words = match (report.cause(), report.waits) {
        (Some(fault), _) => key(fault),
        (None, Some(waits)) => format!("waiting: {}", waits.name()),
        (None, None) if matches!(kind, Kind::Failed | Kind::Delayed) => "never_tried".to_owned(),
        (None, None) => return None,
    };
    Some(Typed::new("x-posthaste", words))
}

/// The host of the last attempt, when one spoke to us there.
fn answering_host(report: &Report<'_>) -> Option<String> {
    let last = report.last.as_ref()?;
    let spoke = match &last.result.fault {
        Some(
            Fault::Reply { .. }
            | Fault::Gibberish { .. }
            | Fault::TlsNotOffered
            | Fault::TlsRefused { .. }
            | Fault::TlsWanted { .. }
            | Fault::Tls(_)
            | Fault::Login { .. },
        ) => true,
        Some(Fault::Lost { stage } | Fault::TimedOut { stage, .. }) => *stage > Stage::Banner,
        _ => last.result.reply.is_some(),
    };
    let host = last.host.filter(|_| spoke)?;
    Some(match host.parse::<IpAddr>() {
        Ok(IpAddr::V4(v4)) => format!("[{v4}]"),
        Ok(IpAddr::V6(v6)) => format!("[IPv6:{v6}]"),
        Err(_) => host.to_owned(),
    })
}

/// A fault by its name in the event log, with what belongs to it: for machines, always in English. Routes, and how we log
/// in, are nobody's business outside.
fn key(fault: &Fault) -> String {
    let reply = |name, reply: &posthaste_mail::Reply| format!("{name}: {reply}");
    match fault {
        Fault::Reply { reply: said, .. } => reply("reply", said),
        Fault::DnsFailed { name, kind, answer } => {
            format!("dns_failed: {name} {kind:?}: {}", dns(*answer))
        }
        Fault::Doubted { name, doubt } => format!("{}: {name}", doubt.name()),
        Fault::NoSuchDomain { name } => format!("no_such_domain: {name}"),
        Fault::NoHosts { name } => format!("no_hosts: {name}"),
        Fault::NullMx { name } => format!("null_mx: {name}"),
        Fault::LoopsBack { name } => format!("loops_back: {name}"),
        Fault::OnlyPrivateAddresses { name } => format!("only_private_addresses: {name}"),
        Fault::Connect(fault) => format!("connect: {}", connect(*fault)),
        Fault::Lost { stage } => format!("lost: at {}", stage.name()),
        Fault::TimedOut { stage, after } => {
            format!("timed_out: at {}, after {} s", stage.name(), after.as_secs())
        }
        Fault::Gibberish { stage } => format!("gibberish: at {}", stage.name()),
        Fault::NeedsSmtpUtf8 => "needs_smtputf8".to_owned(),
        Fault::NeedsEightBit => "needs_8bitmime".to_owned(),
        Fault::OverPeersSize { limit } => format!("over_peers_size: {limit}"),
        Fault::NoRoute => "no_route".to_owned(),
        Fault::StoreFault => "store_fault".to_owned(),
        Fault::AttemptTooLong => "attempt_too_long".to_owned(),
        Fault::Interrupted => "interrupted".to_owned(),
        Fault::Expired => "never_tried".to_owned(),
        Fault::Operator => "operator".to_owned(),
        Fault::RouteDiscards { .. } => "route_discards".to_owned(),
        Fault::RouteFails { text, .. } => format!("route_fails: {text}"),
        Fault::OverRouteSize { limit, .. } => format!("over_route_size: {limit}"),
        Fault::UnknownRecipient => "unknown_recipient".to_owned(),
        Fault::TlsNotOffered => "tls_not_offered".to_owned(),
        Fault::TlsRefused { reply: said } => reply("tls_refused", said),
        Fault::Tls(fault) => format!("tls_failed: {}", fault.name()),
        Fault::TlsWanted { reply: said, .. } => reply("tls_wanted", said),
        Fault::Login { .. } => "login".to_owned(),
    }
}

const fn dns(answer: AnswerKind) -> &'static str {
    match answer {
        AnswerKind::Timeout => "no answer in time",
        AnswerKind::ServFail => "SERVFAIL",
        AnswerKind::Refused => "REFUSED",
        AnswerKind::Bogus => "bogus",
        AnswerKind::Lame => "lame",
        AnswerKind::Unreachable => "unreachable",
        AnswerKind::NxDomain => "NXDOMAIN",
        AnswerKind::NoData => "no data",
        _ => "no usable answer",
    }
}

fn connect(fault: ConnectFault) -> String {
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
