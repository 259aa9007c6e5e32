//! Failure notices: composed here from what is known, spooled by the settlement that causes them.

use crate::Inner;
use crate::last::LastTried;
use bytes::Bytes;
use posthaste_evidence::Fault;
use posthaste_mail::{
    Body, BodyType, Envelope, QueueId, Recipient, Source, SourceKind, Summary, Timestamp,
};
use posthaste_message::dkim::Signing;
use posthaste_message::dsn::{self, Kind, Report, Tried};
use posthaste_queue::RecipientState;
use posthaste_smtp::content::ContentScan;
use posthaste_spool::{Content, NewMail, Notice};
use std::sync::Arc;

/// One recipient that failed for good.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// Its number in the envelope.
    pub(crate) recipient: u32,
    /// What ended it.
    pub(crate) fault: Fault,
    /// Its last real attempt.
    pub(crate) last: Option<LastTried>,
    /// Attempts in all, trials of its destination included.
    pub(crate) attempts: u32,
    /// What the operator says of it.
    pub(crate) remark: Option<Arc<str>>,
}

impl Inner {
    /// The notices that are owed for these failures of one message; usually one, or none.
    pub(crate) fn notices(
        &self,
        now: Timestamp,
        envelope: &Envelope,
        original: &Body,
        failures: &[Failure],
    ) -> Vec<Notice> {
        let owed: Vec<&Failure> =
            failures.iter().filter(|f| dsn::owed(envelope, f.recipient)).collect();
        let made = owed.chunks(dsn::MAX_REPORTED);
        made.filter_map(|part| self.notice(now, envelope, original, part)).collect()
    }

    fn notice(
        &self,
        now: Timestamp,
        envelope: &Envelope,
        original: &Body,
        owed: &[&Failure],
    ) -> Option<Notice> {
        let to = envelope.reverse_path.mailbox()?;
        let id = self.spool.mint(now);
        let settings = self.settings();
        let mut composed = dsn::compose(&dsn::Notice {
            kind: Kind::Failed,
            envelope,
            original,
            reports: owed.iter().filter_map(|f| report(envelope, f)).collect(),
            sender: &settings.sender,
            language: None,
            id,
            now,
            token: self.world.random.next(),
        });
        self.counters.notice();
        let mut signing =
            Signing::new(Arc::clone(&settings.dkim), Some(settings.sender.hostname.clone()), false);
        signing.feed(&composed.octets);
        let signed = signing.finish(now);
        composed.octets.splice(0..0, signed.fields.into_bytes());
        let recipient = Recipient { mailbox: to.clone(), orcpt: None, notify: None };
        let mut mail = new_mail(id, now, recipient, composed);
        mail.envelope.summary.signed_by = signed.by;
        Some(Notice { about: envelope.id, kind: Some(Kind::Failed), mail })
    }
}

fn report<'a>(envelope: &'a Envelope, failure: &'a Failure) -> Option<Report<'a>> {
    let last = failure.last.as_ref().map(|last| Tried {
        at: last.at,
        host: last.host.as_deref(),
        address: last.peer.map(|peer| peer.ip()),
        result: &last.result,
    });
    let recipient = envelope.recipients.get(failure.recipient as usize)?;
    let (attempts, remark) = (failure.attempts, failure.remark.as_deref());
    let history = last.iter().cloned().collect();
    let until = envelope.lives_since();
    let fault = Some(&failure.fault);
    Some(Report { recipient, fault, last, attempts, history, until, remark, waits: None })
}

fn new_mail(id: QueueId, now: Timestamp, recipient: Recipient, composed: dsn::Composed) -> NewMail {
    let mut scan = ContentScan::new();
    scan.feed(&composed.octets);
    let facts = scan.facts();
    let header = usize::try_from(facts.header_end).unwrap_or(usize::MAX).min(composed.octets.len());
    let summary: Summary = posthaste_message::header::summary(&composed.octets[..header]);
    let envelope = Envelope {
        id,
        received: now,
        reverse_path: posthaste_mail::ReversePath::Null,
        recipients: vec![recipient],
        ret: None,
        envid: None,
        body_type: if composed.eight_bit { BodyType::EightBitMime } else { BodyType::SevenBit },
        smtputf8: composed.smtputf8,
        facts,
        summary,
        source: Source {
            kind: SourceKind::Notice,
            listener: "notice".into(),
            ip: None,
            helo: String::new(),
            user: None,
            session: None,
        },
        route: None,
        redirected_from: None,
    };
    let content = Content::Inline(Body::new(vec![Bytes::from(composed.octets)]));
    NewMail { envelope, content, states: vec![RecipientState { due: now, ..Default::default() }] }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use posthaste_mail::{Mailbox, ReversePath};

    /// A small message for tests of this crate.
    pub(crate) fn mail(number: u64, octets: usize) -> Arc<NewMail> {
        let mailbox = |text: &str| Mailbox::parse(text, false).expect("a valid address");
        let recipient = Recipient { mailbox: mailbox("to@example.org"), orcpt: None, notify: None };
        let composed =
            dsn::Composed { octets: vec![b'x'; octets], eight_bit: false, smtputf8: false };
        let id = QueueId::from_u64(number);
        let mut mail = new_mail(id, Timestamp::EPOCH, recipient, composed);
        mail.envelope.reverse_path = ReversePath::Mailbox(mailbox("from@example.net"));
        mail.envelope.source.kind = SourceKind::Relay;
        Arc::new(mail)
    }
}
