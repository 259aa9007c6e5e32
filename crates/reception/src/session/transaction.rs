//! A mail transaction as it grows (RFC 5321 section 3.3).

use crate::accept::Message;
use crate::incoming::Incoming;
use crate::originate::Originating;
use crate::recipients::Directory;
use crate::recipients::envelope::Gathered;
use posthaste_io::Instant;
use posthaste_mail::{ContentFacts, Mailbox, ReversePath, Source};
use posthaste_message::dkim::Signing;
use posthaste_smtp::server::MailParams;
use std::sync::Arc;
use std::time::Duration;

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
    /// Sees the content go by, when it may be ours to sign.
    pub(super) signing: Option<Signing>,
    /// By when all must be here.
    pub(super) by: Instant,
    /// Whether it comes fast enough.
    pub(super) pace: Pace,
}

/// How fast content comes: a client that drips keeps a place for nothing.
pub(super) struct Pace {
    /// When the window began in which octets are counted.
    since: Instant,
    octets: u64,
    last: Instant,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self { since: now, octets: 0, last: now }
    }

    /// Octets have come.
    pub(super) const fn heard(&mut self, now: Instant, octets: usize) {
        self.octets = self.octets.saturating_add(octets as u64);
        self.last = now;
    }

    /// Time that we took is not held against the client.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.since = self.since + time;
        self.last = self.last + time;
    }

    /// When to look again, at the latest.
    pub(super) fn look_at(&self, window: Duration) -> Instant {
        (self.since + window).min(self.last + window)
    }

    /// Nothing has come for a whole window.
    pub(super) fn is_silent(&self, now: Instant, window: Duration) -> bool {
        now >= self.last + window
    }

    /// At the end of a window: false when less came in it than `least` octets a second, else the next one begins.
    pub(super) fn goes_on(&mut self, now: Instant, window: Duration, least: u32) -> bool {
        if now < self.since + window {
            return true;
        }
        let wanted = u64::from(least).saturating_mul((now - self.since).as_secs());
        let enough = self.octets >= wanted;
        (self.since, self.octets) = (now, 0);
        enough
    }
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
            refused: 0,
            ret: self.params.ret,
            envid: self.params.envid,
            body_type: self.params.body,
            smtputf8: self.params.smtputf8,
            facts,
            source,
            arrived: incoming.arrived(),
            trace: under_way.trace,
            signing: under_way.signing,
        })
    }
}
