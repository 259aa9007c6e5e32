//! The envelope of an accepted message (RFC 5321 section 2.3.1) and what the viewer shows of it.

use crate::address::{Mailbox, ReversePath};
use crate::content::{BodyType, ContentFacts};
use crate::id::{ConnectionId, QueueId};
use crate::time::Timestamp;
use std::net::IpAddr;

/// Everything about a message but its content. Written once at acceptance, never changed.
#[derive(Clone, PartialEq, Debug)]
pub struct Envelope {
    /// Its name in the queue.
    pub id: QueueId,
    /// When the final dot arrived.
    pub received: Timestamp,
    /// RFC 5321 section 4.1.1.2; null for notices.
    pub reverse_path: ReversePath,
    /// In the order given; a recipient's number is its index here. Never empty.
    pub recipients: Vec<Recipient>,
    /// RFC 3461 section 4.3: what a notice should carry.
    pub ret: Option<Ret>,
    /// RFC 3461 section 4.4: decoded ENVID, at most 100 octets.
    pub envid: Option<String>,
    /// As declared by `BODY=`.
    pub body_type: BodyType,
    /// `SMTPUTF8` was given (RFC 6531).
    pub smtputf8: bool,
    /// What the receiving pass saw.
    pub facts: ContentFacts,
    /// What the viewer shows.
    pub summary: Summary,
    /// Where it came from.
    pub source: Source,
    /// The operator redirected it over the route of this name: the rules do not choose.
    pub route: Option<String>,
    /// The operator redirected another message into this one.
    pub redirected_from: Option<RedirectedFrom>,
}

/// The message that an operator redirected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RedirectedFrom {
    /// Its name in the queue, which has none of this name any more when all its recipients were redirected.
    pub id: QueueId,
    /// When mail was first accepted that became this by one redirection or several: expiry counts from then.
    pub received: Timestamp,
}

impl Envelope {
    /// When its lifetime began: a redirection does not begin it again.
    #[must_use]
    pub fn lives_since(&self) -> Timestamp {
        self.redirected_from.map_or(self.received, |from| from.received)
    }
}

/// One forward-path of a message and its DSN parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipient {
    /// Where it goes.
    pub mailbox: Mailbox,
    /// RFC 3461 section 4.2: `type;address`, decoded.
    pub orcpt: Option<String>,
    /// RFC 3461 section 4.1; `None` when the parameter was absent.
    pub notify: Option<Notify>,
}

/// RFC 3461 section 4.1. All false means NEVER.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Notify {
    /// SUCCESS
    pub success: bool,
    /// FAILURE
    pub failure: bool,
    /// DELAY
    pub delay: bool,
}

/// RFC 3461 section 4.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ret {
    /// The whole message.
    Full,
    /// The header only.
    Hdrs,
}

/// What the queue viewer shows; taken from the header at acceptance, decoded and cut.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// The `From:` field, at most 256 octets.
    pub header_from: Option<String>,
    /// The `Subject:` field decoded (RFC 2047), at most 256 octets.
    pub subject: Option<String>,
    /// The `Message-ID:` field, at most 256 octets.
    pub message_id: Option<String>,
    /// The `Date:` field as written, at most 64 octets.
    pub date: Option<String>,
    /// Who signed it here with DKIM.
    pub signed_by: Vec<SignedBy>,
}

/// A DKIM signature that was made here (RFC 6376).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedBy {
    /// `d=`
    pub domain: String,
    /// `s=`
    pub selector: String,
}

/// Where a message came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Source {
    /// Which door.
    pub kind: SourceKind,
    /// The listener's name or address.
    pub listener: String,
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// What the client said in HELO or EHLO.
    pub helo: String,
    /// The authenticated user.
    pub user: Option<String>,
    /// The SMTP session it came in, as the session log names it.
    pub session: Option<ConnectionId>,
}

/// The door a message came through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SourceKind {
    /// SMTP from a network we relay for.
    Relay,
    /// SMTP from a stranger, for a domain of ours.
    Inbound,
    /// SMTP from a user who has logged in (RFC 6409).
    Submission,
    /// Handed in by the operator's verb on this machine.
    Local,
    /// A notice made by us.
    Notice,
}
