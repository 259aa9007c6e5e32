//! **message** and **recipient**.

use super::{AttemptView, VERSION, When};
use crate::desk::{LastError, Message, Standing};
use crate::filter::{Field, Record, Scalar};
use crate::text;
use posthaste_evidence::Fault;
use posthaste_mail::envelope::SignedBy;
use posthaste_mail::{Recipient, Source, SourceKind, Timestamp};
use posthaste_queue::Life;
use posthaste_queue::scheduler::Waiting;
use posthaste_spool::History;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A message in the queue.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct MessageObject {
    pub v: u32,
    pub id: String,
    pub received: When,
    pub expires: Option<When>,
    pub size: u64,
    pub priority: Option<&'static str>,
    pub reverse_path: String,
    pub header_from: Option<String>,
    pub subject: Option<String>,
    pub message_id: Option<String>,
    pub source: SourceView,
    pub held: bool,
    /// The message that was redirected into this one; its lifetime goes on.
    pub redirected_from: Option<RedirectedFromView>,
    /// The DKIM signatures that were made here.
    pub signed_by: Vec<SignedByView>,
    pub recipients: Vec<RecipientObject>,
    /// Only with one message alone: what is remembered of its attempts, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Vec<AttemptView>>,
}

/// A DKIM signature that was made here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SignedByView {
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
}

/// A message that was redirected into another one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RedirectedFromView {
    /// Its id.
    pub id: String,
    /// When it was accepted, or the first one of several.
    pub received: When,
}

/// Where a message came from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct SourceView {
    pub kind: &'static str,
    pub listener: String,
    pub ip: Option<IpAddr>,
    pub helo: String,
    pub user: Option<String>,
    /// The session it came in, for `track --session`.
    pub session: Option<String>,
}

/// One recipient of a message.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct RecipientObject {
    pub address: String,
    pub orcpt: Option<String>,
    pub destination: Option<String>,
    /// The route that it goes by; `null` where none matches.
    pub route: Option<String>,
    pub status: &'static str,
    pub outcome: Option<&'static str>,
    pub wait_reason: Option<&'static str>,
    pub next_attempt: Option<When>,
    /// Delay notices that its sender has been sent.
    pub warned: u8,
    /// When the next one is due, if the recipient still waits then.
    pub next_notice: Option<When>,
    pub attempts: u32,
    pub last_error: Option<LastErrorView>,
    pub verdict: Option<()>,
    /// The domain of the address in lower case, for filters.
    #[serde(skip)]
    domain: String,
}

/// What last went wrong.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct LastErrorView {
    pub at: When,
    pub stage: &'static str,
    pub host: Option<String>,
    pub ip: Option<IpAddr>,
    pub code: Option<u16>,
    pub enhanced: String,
    pub text: String,
    /// An id of the catalogue of causes, where it is known without an examination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    /// It would have failed for good; `soft_fail` defers it.
    pub soft_fail: bool,
}

impl MessageObject {
    /// A message of a listing.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let envelope = &message.envelope;
        let standing = message.recipients.iter();
        let recipients = envelope.recipients.iter().zip(standing.clone());
        let notices = next_notices(&message.recipients);
        Self {
            v: VERSION,
            id: envelope.id.to_string(),
            received: When(envelope.received),
            expires: standing.clone().map(|s| When(s.expires)).max(),
            size: envelope.facts.size,
            priority: None,
            reverse_path: envelope.reverse_path.to_string(),
            header_from: envelope.summary.header_from.clone(),
            subject: envelope.summary.subject.clone(),
            message_id: envelope.summary.message_id.clone(),
            source: SourceView::of(&envelope.source),
            held: standing.clone().any(|s| matches!(s.state.life, Life::Held)),
            redirected_from: envelope.redirected_from.map(|from| RedirectedFromView {
                id: from.id.to_string(),
                received: When(from.received),
            }),
            signed_by: envelope.summary.signed_by.iter().map(SignedByView::of).collect(),
            recipients: recipients.map(|(r, s)| RecipientObject::of(r, s, &notices)).collect(),
            attempts: None,
        }
    }

    /// One message alone, with what is remembered of its attempts.
    #[must_use]
    pub fn with_attempts(message: &Message, history: &History) -> Self {
        let attempts = AttemptView::all(&message.envelope, history);
        Self { attempts: Some(attempts), ..Self::of(message) }
    }
}

impl SignedByView {
    fn of(by: &SignedBy) -> Self {
        Self { domain: by.domain.clone(), selector: by.selector.clone() }
    }
}

impl SourceView {
    fn of(source: &Source) -> Self {
        Self {
            kind: match source.kind {
                SourceKind::Relay => "relay",
                SourceKind::Inbound => "inbound",
                SourceKind::Submission => "submission",
                SourceKind::Local => "local",
                SourceKind::Notice => "notice",
            },
            listener: source.listener.clone(),
            ip: source.ip,
            helo: source.helo.clone(),
            user: source.user.clone(),
            session: source.session.map(|id| id.to_string()),
        }
    }
}

impl RecipientObject {
    fn of(recipient: &Recipient, standing: &Standing, notices: &NextNotices) -> Self {
        let (wait_reason, next_attempt) = match standing.waiting {
            Some(Waiting::Because { reason, until }) => (Some(reason.name()), until.map(When)),
            Some(Waiting::InFlight) | None => (None, None),
        };
        Self {
            address: recipient.mailbox.to_string(),
            orcpt: recipient.orcpt.clone(),
            destination: standing.destination.as_ref().map(|(name, _)| name.clone()),
            route: {
                let route = standing.destination.as_ref().map(|(_, route)| route.clone());
                route.filter(|route| !route.is_empty())
            },
            status: status(standing),
            outcome: outcome(standing),
            wait_reason,
            next_attempt,
            warned: standing.state.warned,
            next_notice: next_notice(standing, notices).map(When),
            attempts: standing.state.attempts.saturating_add(standing.shared_attempts),
            last_error: standing.last_error.as_ref().map(|error| LastErrorView {
                soft_fail: standing.state.life.is_live() && error.soft_fail,
                ..LastErrorView::of(error)
            }),
            verdict: None,
            domain: recipient.mailbox.domain_key(),
        }
    }
}

/// By how often senders have been told of a recipient: when the first of those is next.
type NextNotices = BTreeMap<u8, Timestamp>;

fn next_notices(recipients: &[Standing]) -> NextNotices {
    let mut notices = NextNotices::new();
    for standing in recipients {
        if let Some(at) = standing.next_notice {
            let first = notices.entry(standing.state.warned).or_insert(at);
            *first = at.min(*first);
        }
    }
    notices
}

/// A notice names all recipients that wait and were not told of this time, also where their own time is later.
fn next_notice(standing: &Standing, notices: &NextNotices) -> Option<Timestamp> {
    standing.next_notice?;
    notices.range(standing.state.warned..).map(|(_, at)| *at).min()
}

impl LastErrorView {
    pub(super) fn of(error: &LastError) -> Self {
        let code = match &error.fault {
            Fault::Reply { reply, .. } => Some(reply.code),
            _ => None,
        };
        let text = match &error.fault {
            Fault::Reply { reply, .. } => reply.text(),
            fault => text::fault(fault),
        };
        Self {
            at: When(error.at),
            stage: error.fault.stage().name(),
            host: error.host.clone(),
            ip: error.peer.map(|peer| peer.ip()),
            code,
            enhanced: error.fault.status().to_string(),
            text,
            cause: error.fault.cause(),
            soft_fail: false,
        }
    }

    /// On one line, as a server's reply is read: code, enhanced status, text.
    #[must_use]
    pub fn line(&self) -> String {
        match self.code {
            Some(code) => format!("{code} {} {}", self.enhanced, self.text),
            None => self.text.clone(),
        }
    }
}

/// Where the recipient is in its life, by the words of the outside interface.
fn status(standing: &Standing) -> &'static str {
    match (standing.state.life, standing.waiting) {
        (Life::Queued, Some(Waiting::InFlight)) => "in-flight",
        (Life::Queued | Life::Refused, _) => "queued",
        (Life::Held | Life::Poison, _) => "held",
        (Life::Delivered, _) => "delivered",
        (Life::Failed | Life::Failing, _) => "failed",
        (Life::Expired | Life::Expiring, _) => "expired",
        (Life::Removed, _) => "removed",
    }
}

/// What the last attempt came to.
fn outcome(standing: &Standing) -> Option<&'static str> {
    match standing.state.life {
        Life::Delivered => Some("delivered"),
        Life::Failed | Life::Failing => Some("failed"),
        Life::Queued | Life::Held | Life::Poison | Life::Expired | Life::Expiring
            if has_failed(standing) =>
        {
            Some("deferred")
        }
        _ => None,
    }
}

const fn has_failed(standing: &Standing) -> bool {
    standing.state.failures > 0 || standing.shared_attempts > 0
}

impl Record for MessageObject {
    fn values(&self, field: Field, now: Timestamp) -> Vec<Scalar<'_>> {
        let one = |value: Option<Scalar<'static>>| value.into_iter().collect();
        match field {
            Field::Id => vec![text_value(&self.id)],
            Field::From => vec![text_value(&self.reverse_path)],
            Field::Subject => self.subject.iter().map(|t| text_value(t)).collect(),
            Field::MessageId => self.message_id.iter().map(|t| text_value(t)).collect(),
            Field::Size => vec![Scalar::Size(self.size)],
            Field::Age => vec![Scalar::Duration(now.since(self.received.0))],
            Field::Received => vec![Scalar::Time(self.received.0)],
            Field::Expires => one(self.expires.map(|at| Scalar::Time(at.0))),
            Field::Held => vec![Scalar::Bool(self.held)],
            Field::Priority => one(self.priority.map(|p| Scalar::Text(p.into()))),
            Field::SourceIp => one(self.source.ip.map(|ip| Scalar::Text(ip.to_string().into()))),
            Field::SourceUser => self.source.user.iter().map(|t| text_value(t)).collect(),
            Field::Listener => vec![text_value(&self.source.listener)],
            _ => self.recipients.iter().filter_map(|r| r.value(field)).collect(),
        }
    }
}

impl RecipientObject {
    pub(super) fn value(&self, field: Field) -> Option<Scalar<'_>> {
        match field {
            Field::To => Some(text_value(&self.address)),
            Field::Domain => Some(text_value(&self.domain)),
            Field::Destination => self.destination.as_deref().map(text_value),
            Field::Route => self.route.as_deref().map(text_value),
            Field::Status => Some(text_value(self.status)),
            Field::WaitReason => self.wait_reason.map(text_value),
            Field::Attempts => Some(Scalar::Number(self.attempts.into())),
            Field::LastError => self.last_error.as_ref().map(|e| Scalar::Text(e.line().into())),
            // Cause and owner come with the verdict; the rest is not a message's.
            _ => None,
        }
    }
}

fn text_value(text: &str) -> Scalar<'_> {
    Scalar::Text(text.into())
}
