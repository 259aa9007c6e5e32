//! What of a message the rules look at. Plain data.
//!
//! Not here: the rules (`table`), and where a message keeps these facts (`mail::Envelope`).

use posthaste_mail::{Envelope, Host, Mailbox, ReversePath};

/// One recipient of one message, as far as a rule can tell it from others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts<'a> {
    /// Where it goes.
    pub recipient: &'a Mailbox,
    /// The mailbox of its reverse-path; `None` for `<>`.
    pub sender: Option<&'a Mailbox>,
    /// The name of the listener it came in by; empty when that is not known.
    pub listener: &'a str,
    /// The user who handed it in, when one was known.
    pub user: Option<&'a str>,
    /// Octets of its content.
    pub size: u64,
}

impl<'a> Facts<'a> {
    /// Those of a recipient in its envelope; `None` when it has no recipient of that number.
    #[must_use]
    pub fn of(envelope: &'a Envelope, number: u32) -> Option<Self> {
        let recipient = &envelope.recipients.get(number as usize)?.mailbox;
        Some(Self {
            recipient,
            sender: envelope.reverse_path.mailbox(),
            listener: &envelope.source.listener,
            user: envelope.source.user.as_deref(),
            size: envelope.facts.size,
        })
    }

    /// Those of mail of which no more is known than from whom to whom.
    #[must_use]
    pub const fn between(from: &'a ReversePath, recipient: &'a Mailbox) -> Self {
        Self { recipient, sender: from.mailbox(), listener: "", user: None, size: 0 }
    }

    /// What stands right of the recipient's `@`.
    #[must_use]
    pub fn host(&self) -> Host<'a> {
        self.recipient.host()
    }
}
