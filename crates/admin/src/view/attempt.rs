//! **attempt** and **observation**: one try with every step that was seen.

use super::{When, millis};
use crate::text;
use posthaste_evidence::{
    Attempt, Certificate, Connection, Fault, Observation, Outcome, RecipientResult, Seen, Subject,
    TlsFacts,
};
use posthaste_mail::{Envelope, Recipient, Reply};
use posthaste_spool::History;
use serde::Serialize;
use std::net::IpAddr;

/// One try to deliver.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct AttemptView {
    pub id: String,
    pub at: When,
    pub took_ms: u64,
    pub route: Option<String>,
    pub host: Option<String>,
    pub ip: Option<IpAddr>,
    pub source_ip: Option<IpAddr>,
    /// How the connection was secured; `null` when it was not.
    pub tls: Option<TlsView>,
    /// The session it was tried in, for `track --session`.
    pub session: Option<String>,
    /// That of all recipients, or `mixed`.
    pub outcome: &'static str,
    pub recipients: Vec<ResultView>,
    pub observations: Vec<ObservationView>,
}

/// How a connection was secured.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TlsView {
    pub version: &'static str,
    pub cipher: String,
    /// The certificate is believed.
    pub verified: bool,
    /// Why it is not.
    pub why: Option<&'static str>,
    /// The host's own, where it can be read.
    pub certificate: Option<CertificateView>,
    /// In one line for people.
    pub text: String,
}

/// What a certificate says of itself.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CertificateView {
    pub subject: String,
    pub names: Vec<String>,
    pub issuer: String,
    pub not_before: When,
    pub not_after: When,
    /// SHA-256 of the public key (SPKI) in base64: as `tls_pins` has it.
    pub pin: String,
}

/// What an attempt came to for one recipient.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct ResultView {
    pub address: String,
    pub outcome: &'static str,
    pub reply: Option<ReplyView>,
    /// Why it was not delivered, in words.
    pub reason: Option<String>,
    /// An id of the catalogue of causes, where it is known without an examination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
}

/// A server's reply.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct ReplyView {
    pub code: u16,
    pub enhanced: Option<String>,
    pub text: String,
}

/// One seen fact.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the outside interface")]
pub struct ObservationView {
    pub id: String,
    pub at: When,
    pub took_ms: u64,
    pub stage: &'static str,
    pub subject: String,
    pub outcome: &'static str,
    pub raw: Option<String>,
    pub effect: &'static str,
}

impl AttemptView {
    /// All attempts of a message that are remembered, oldest first.
    #[must_use]
    pub fn all(envelope: &Envelope, history: &History) -> Vec<Self> {
        history.attempts.iter().map(|attempt| Self::of(envelope, attempt, history)).collect()
    }

    fn of(envelope: &Envelope, attempt: &Attempt, history: &History) -> Self {
        let connection =
            attempt.connection.and_then(|id| history.connections.iter().find(|c| c.id == id));
        let id = format!("{}-{}", attempt.message, attempt.at.as_millis());
        let mut observations = connection.map(of_connection).unwrap_or_default();
        observations.extend(ObservationView::all(
            &attempt.observations,
            &id,
            &envelope.recipients,
            connection,
        ));
        Self {
            at: When(attempt.at),
            took_ms: millis(attempt.took),
            route: connection.map(|c| c.route.clone()),
            host: connection.and_then(|c| c.host.clone()),
            ip: connection.and_then(|c| c.peer).map(|peer| peer.ip()),
            source_ip: connection.and_then(|c| c.local).map(|local| local.ip()),
            tls: connection.and_then(TlsView::of),
            session: attempt.connection.map(|id| id.to_string()),
            outcome: common_outcome(&attempt.results),
            recipients: attempt.results.iter().map(|r| ResultView::of(envelope, r)).collect(),
            observations,
            id,
        }
    }
}

impl TlsView {
    /// Of the host that the connection ended at; others may have been tried before it.
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        connection.observations.iter().rev().find_map(|seen| match (&seen.seen, &seen.subject) {
            (Seen::Tls(facts), Subject::Host { address, .. }) if *address == connection.peer => {
                Some(Self::new(facts, seen))
            }
            _ => None,
        })
    }

    fn new(facts: &TlsFacts, seen: &Observation) -> Self {
        Self {
            version: facts.version.name(),
            cipher: facts.cipher.clone(),
            verified: facts.verified.is_ok(),
            why: facts.verified.err().map(posthaste_evidence::Untrusted::name),
            certificate: facts.chain.first().map(CertificateView::of),
            text: text::tls_facts(facts, seen.at),
        }
    }
}

impl CertificateView {
    fn of(certificate: &Certificate) -> Self {
        Self {
            subject: certificate.subject.clone(),
            names: certificate.names.clone(),
            issuer: certificate.issuer.clone(),
            not_before: When(certificate.not_before),
            not_after: When(certificate.not_after),
            pin: text::pin(&certificate.key),
        }
    }
}

impl ResultView {
    fn of(envelope: &Envelope, result: &RecipientResult) -> Self {
        let recipient = usize::try_from(result.recipient).ok();
        let recipient = recipient.and_then(|number| envelope.recipients.get(number));
        Self {
            address: recipient.map(|r| r.mailbox.to_string()).unwrap_or_default(),
            outcome: result.outcome.name(),
            reply: result.reply.as_ref().map(ReplyView::of),
            reason: result.fault.as_ref().map(text::fault),
            cause: result.fault.as_ref().and_then(Fault::cause),
        }
    }
}

impl ReplyView {
    pub(super) fn of(reply: &Reply) -> Self {
        Self {
            code: reply.code,
            enhanced: reply.enhanced.map(|status| status.to_string()),
            text: reply.text(),
        }
    }
}

impl ObservationView {
    /// Observations in order; `of` begins their ids. `recipients` are those of the envelope, where there is one; `connection`
    /// is that of the attempt.
    pub(super) fn all(
        observations: &[Observation],
        of: &str,
        recipients: &[Recipient],
        connection: Option<&Connection>,
    ) -> Vec<Self> {
        let numbered = observations.iter().enumerate();
        let one = |(i, seen): (usize, &Observation)| {
            let subject = text::subject(&seen.subject, recipients, connection);
            Self::one(seen, format!("{of}.{}", i + 1), subject)
        };
        numbered.map(one).collect()
    }

    fn one(observation: &Observation, id: String, subject: String) -> Self {
        Self {
            id,
            subject,
            at: When(observation.at),
            took_ms: millis(observation.took),
            stage: observation.stage.name(),
            outcome: text::outcome(&observation.seen),
            raw: text::raw(&observation.seen, observation.at),
            effect: observation.effect.name(),
        }
    }
}

/// A connection's observations have the same ids in every attempt that used it.
fn of_connection(connection: &Connection) -> Vec<ObservationView> {
    ObservationView::all(&connection.observations, &format!("c{}", connection.id.0), &[], None)
}

fn common_outcome(results: &[RecipientResult]) -> &'static str {
    let Some((first, rest)) = results.split_first() else {
        return Outcome::Deferred.name();
    };
    if rest.iter().all(|r| r.outcome == first.outcome) { first.outcome.name() } else { "mixed" }
}
