//! Delivery status notifications (RFC 3461, RFC 3464, RFC 6522, RFC 3834): who is owed one, and its text.
//!
//! Rooms: `rules` is who is owed a notice; `letter` and `facts` say what people are told, `text` and `html` write it, `ours`
//! and `status` tell machines, `compose` puts the parts together, `seven` makes them such that every
//! host takes them. `why` judges; `keys`, `language`, `plural` and `wordings`
//! are the languages, whose texts are data.
//! Not here: when a notice is due (`queue`), and the judgement of causes (`diagnosis`), which will replace [`why`].

mod compose;
mod facts;
mod groups;
mod html;
mod keys;
mod language;
mod letter;
mod ours;
mod plural;
pub mod read;
pub mod rules;
mod sample;
mod seven;
mod spans;
pub mod status;
mod text;
mod timeline;
mod why;
mod wordings;

pub use compose::{Composed, Parts, compose};
pub use ours::{ATTEMPTS, ENDED, KIND, QUEUE_ID, action, form};
pub use read::{NoReport, Place, ReadReport, Returned, read};
pub use sample::{sample, sample_expired};
pub use why::{Owner, Why, waiting, why};
pub use wordings::{OwnTexts, WordingFault, Wordings};

pub use posthaste_evidence::NoticeKind as Kind;
use posthaste_evidence::{Fault, RecipientResult, WaitReason};
use posthaste_mail::{Body, Envelope, QueueId, Recipient, Reply, Timestamp};
use std::net::IpAddr;

/// The largest original that a notice carries whole, octets; of larger ones it carries the header section.
/// Notices are settled in the same commit as their cause, and so have to stay small.
pub const MAX_ORIGINAL: u64 = 128 * 1024;
/// The largest header section that a notice carries, octets.
pub const MAX_ORIGINAL_HEADER: usize = 64 * 1024;
/// The most recipients that one notice reports, so that it stays readable and small.
pub const MAX_REPORTED: usize = 100;

/// Who sends notices, and how they are worded: the same for all of one daemon.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The reporting MTA: our name.
    pub hostname: String,
    /// The address of the `From:` field; `MAILER-DAEMON` at our name unless the operator has set one.
    pub from: String,
    /// The largest original that goes back whole, octets, at most [`MAX_ORIGINAL`]; of larger ones the header section.
    pub max_original: u64,
    /// The languages there are, and the texts of the operator.
    pub wordings: Wordings,
    /// Write HTML beside plain text.
    pub html: bool,
}

/// Everything a notice is composed of.
#[derive(Clone, Debug)]
pub struct Notice<'a> {
    /// What it tells.
    pub kind: Kind,
    /// The message it is about; its reverse-path gets the notice.
    pub envelope: &'a Envelope,
    /// Its content, or at least its header section.
    pub original: &'a Body,
    /// The recipients it is about, at most [`MAX_REPORTED`]; further ones are left out.
    pub reports: Vec<Report<'a>>,
    /// Who sends it.
    pub sender: &'a Sender,
    /// The language to use, whatever the message prefers: for `notice preview`.
    pub language: Option<&'a str>,
    /// The notice's own name in the queue; becomes its `Message-ID:`.
    pub id: QueueId,
    /// Chance, letters and digits, for the MIME boundary.
    pub token: u64,
    /// When it is composed.
    pub now: Timestamp,
}

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// Who.
    pub recipient: &'a Recipient,
    /// What ended it, or stands in the way now; `None` when it was delivered, or never tried yet.
    pub fault: Option<&'a Fault>,
    /// The last real attempt; `None` when there was none.
    pub last: Option<Tried<'a>>,
    /// Attempts in all.
    pub attempts: u32,
    /// The attempts that are remembered, trials of its destination included, oldest first, the last one too; when they
    /// are fewer than [`Self::attempts`], those in the middle of an episode were forgotten.
    pub history: Vec<Tried<'a>>,
    /// When its time is over.
    pub until: Timestamp,
    /// What the operator who ended it says of it: one line.
    pub remark: Option<&'a str>,
    /// Why it waits, where no attempt tells: it is held, or has never been tried.
    pub waits: Option<WaitReason>,
    /// Since when it has been held, where `waits` says so and that is known.
    pub kept_since: Option<Timestamp>,
}

/// One real attempt for a recipient, or a trial of its destination.
#[derive(Clone, Debug)]
pub struct Tried<'a> {
    /// When it began.
    pub at: Timestamp,
    /// The host it reached, by name, or by address when it has none.
    pub host: Option<&'a str>,
    /// That host's address.
    pub address: Option<IpAddr>,
    /// What it came to.
    pub result: &'a RecipientResult,
}

impl Sender {
    /// Notices of the host of this name, as they are when nothing else is set.
    #[must_use]
    pub fn named(hostname: &str) -> Self {
        Self {
            hostname: hostname.to_owned(),
            from: format!("MAILER-DAEMON@{hostname}"),
            max_original: MAX_ORIGINAL,
            wordings: Wordings::default(),
            html: true,
        }
    }
}

impl Default for Sender {
    fn default() -> Self {
        Self::named("localhost")
    }
}

impl<'a> Report<'a> {
    /// What really stood in the way: when the time was over, the last failure before.
    #[must_use]
    pub fn cause(&self) -> Option<&'a Fault> {
        let last = self.last.as_ref().and_then(|last| last.result.fault.as_ref());
        match self.fault {
            Some(Fault::Expired) | None => last.or(self.fault),
            fault => fault,
        }
    }

    /// The peer's reply that decided, when one did.
    #[must_use]
    pub fn reply(&self) -> Option<&'a Reply> {
        match self.cause() {
            Some(Fault::Reply { reply, .. }) => Some(reply),
            None | Some(Fault::Operator | Fault::Expired) => {
                self.last.as_ref().and_then(|last| last.result.reply.as_ref())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use posthaste_mail::{
        BodyType, ContentFacts, Mailbox, ReversePath, Source, SourceKind, Summary,
    };

    /// A message from `<>` for tests of this crate.
    pub(crate) fn sample() -> Envelope {
        let mailbox = Mailbox::parse("to@example.net", false).expect("valid");
        Envelope {
            id: QueueId::from_u64(1),
            received: Timestamp::EPOCH,
            reverse_path: ReversePath::Null,
            recipients: vec![Recipient { mailbox, orcpt: None, notify: None }],
            ret: None,
            envid: None,
            body_type: BodyType::SevenBit,
            smtputf8: false,
            facts: ContentFacts::default(),
            summary: Summary::default(),
            source: Source {
                kind: SourceKind::Local,
                listener: String::new(),
                ip: None,
                helo: String::new(),
                user: None,
                session: None,
            },
            route: None,
            redirected_from: None,
        }
    }
}
