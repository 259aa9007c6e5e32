//! A mail transaction as it grows (RFC 5321 section 3.3).

use crate::accept::Message;
use crate::incoming::Incoming;
use crate::originate::Originating;
use crate::recipients::Directory;
use crate::recipients::envelope::Gathered;
use posthaste_io::Instant;
use posthaste_mail::{ContentFacts, Mailbox, ReversePath, Source};
use posthaste_smtp::server::MailParams;
use std::sync::Arc;

/// From MAIL on.
pub(super) struct Transaction {
    pub(super) reverse_path: ReversePath,
    pub(super) params: MailParams,
    pub(super) recipients: Gathered,
    /// Who is a recipient of ours, as it was at MAIL.
    pub(super) directory: Arc<Directory>,
    /// From DATA or the first BDAT on.
    pub(super) content: Option<UnderWay>,
}

/// Content under way.
pub(super) struct UnderWay {
    /// `None` once it was refused: the rest is read, but not kept.
    pub(super) incoming: Option<Incoming>,
    /// Length of our trace field.
    pub(super) trace: usize,
    /// Makes it whole, when it comes from this machine.
    pub(super) originating: Option<Originating>,
    /// By when all must be here.
    pub(super) by: Instant,
}

impl Transaction {
    pub(super) fn new(
        reverse_path: ReversePath,
        params: MailParams,
        directory: Arc<Directory>,
    ) -> Self {
        let recipients = Gathered::default();
        Self { reverse_path, params, recipients, directory, content: None }
    }

    pub(super) fn only_recipient(&self) -> Option<&Mailbox> {
        self.recipients.only()
    }

    /// The whole message; `None` when no content was under way.
    pub(super) fn complete(self, facts: ContentFacts, source: Source) -> Option<Message> {
        let under_way = self.content?;
        let incoming = under_way.incoming?;
        Some(Message {
            id: incoming.id(),
            reverse_path: self.reverse_path,
            recipients: self.recipients.into_list(),
            ret: self.params.ret,
            envid: self.params.envid,
            body_type: self.params.body,
            smtputf8: self.params.smtputf8,
            facts,
            source,
            arrived: incoming.arrived(),
            trace: under_way.trace,
        })
    }
}
