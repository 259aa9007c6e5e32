//! The fields a filter can name, and of what kind each is.

use posthaste_evidence::WaitReason;

/// A field of a message or a destination.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[expect(missing_docs, reason = "each is documented with its name in `ALL`")]
pub enum Field {
    Id,
    From,
    To,
    Domain,
    Destination,
    Subject,
    MessageId,
    Size,
    Age,
    Received,
    Expires,
    Status,
    Cause,
    Owner,
    WaitReason,
    Held,
    Priority,
    SourceIp,
    SourceUser,
    Listener,
    Attempts,
    LastError,
    Route,
    Messages,
    Recipients,
    Connections,
}

/// What a field's values are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of a closed list.
    Word(fn() -> Vec<&'static str>),
    /// A count.
    Number,
    /// Octets.
    Size,
    /// A duration up to now.
    Duration,
    /// A time.
    Time,
    /// Yes or no.
    Bool,
}

/// The fields of a message.
pub const MESSAGE: &[Field] = &[
    Field::Id,
    Field::From,
    Field::To,
    Field::Domain,
    Field::Destination,
    Field::Subject,
    Field::MessageId,
    Field::Size,
    Field::Age,
    Field::Received,
    Field::Expires,
    Field::Status,
    Field::Cause,
    Field::Owner,
    Field::WaitReason,
    Field::Held,
    Field::Priority,
    Field::SourceIp,
    Field::SourceUser,
    Field::Listener,
    Field::Attempts,
    Field::LastError,
    Field::Route,
];

/// The fields of a message that the event log knows, also after it has left.
pub const TRACKED: &[Field] = &[
    Field::Id,
    Field::From,
    Field::To,
    Field::Domain,
    Field::Destination,
    Field::Subject,
    Field::MessageId,
    Field::Size,
    Field::Age,
    Field::Received,
    Field::Status,
    Field::SourceIp,
    Field::SourceUser,
    Field::Listener,
    Field::Attempts,
    Field::LastError,
];

/// The fields of a destination. `age` is that of its oldest message.
pub const DESTINATION: &[Field] = &[
    Field::Destination,
    Field::Domain,
    Field::Route,
    Field::Status,
    Field::Messages,
    Field::Recipients,
    Field::Age,
    Field::Connections,
    Field::Held,
    Field::Cause,
    Field::Owner,
    Field::LastError,
];

impl Field {
    /// Every field with its name, its kind and one line for the operator.
    pub const ALL: [(Self, &'static str, Kind, &'static str); 26] = [
        (Self::Id, "id", Kind::Text, "the message's name in the queue"),
        (Self::From, "from", Kind::Text, "reverse-path; empty for notices"),
        (Self::To, "to", Kind::Text, "a recipient's address"),
        (Self::Domain, "domain", Kind::Text, "a recipient's domain"),
        (Self::Destination, "destination", Kind::Text, "where it goes next"),
        (Self::Subject, "subject", Kind::Text, "the Subject field, decoded"),
        (Self::MessageId, "message_id", Kind::Text, "the Message-ID field"),
        (Self::Size, "size", Kind::Size, "octets"),
        (Self::Age, "age", Kind::Duration, "since it was accepted"),
        (Self::Received, "received", Kind::Time, "when it was accepted"),
        (Self::Expires, "expires", Kind::Time, "when its time is over"),
        (Self::Status, "status", Kind::Word(statuses), "of a recipient, or of a destination"),
        (Self::Cause, "cause", Kind::Text, "of the verdict"),
        (Self::Owner, "owner", Kind::Word(owners), "of the verdict"),
        (Self::WaitReason, "wait_reason", Kind::Word(wait_reasons), "why a recipient waits"),
        (Self::Held, "held", Kind::Bool, "held by the operator"),
        (Self::Priority, "priority", Kind::Text, "low, normal or high"),
        (Self::SourceIp, "source_ip", Kind::Text, "the client's address"),
        (Self::SourceUser, "source_user", Kind::Text, "the authenticated user"),
        (Self::Listener, "listener", Kind::Text, "where it came in"),
        (Self::Attempts, "attempts", Kind::Number, "attempts made for a recipient"),
        (Self::LastError, "last_error", Kind::Text, "what was last said or seen"),
        (Self::Route, "route", Kind::Text, "the route of a recipient or a destination"),
        (Self::Messages, "messages", Kind::Number, "messages at a destination"),
        (Self::Recipients, "recipients", Kind::Number, "recipients at a destination"),
        (Self::Connections, "connections", Kind::Number, "open connections of a destination"),
    ];

    /// The name as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What its values are.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static str, Kind, &'static str) {
        static ROWS: [(Field, &str, Kind, &str); 26] = Field::ALL;
        ROWS.iter().find(|(field, ..)| *field == self).expect("every field is in the table")
    }
}

fn statuses() -> Vec<&'static str> {
    vec![
        "queued",
        "in-flight",
        "held",
        "delivered",
        "failed",
        "expired",
        "removed",
        "active",
        "ready",
        "retry",
        "idle",
        "unreachable",
        "discarded",
    ]
}

fn owners() -> Vec<&'static str> {
    vec![
        "us",
        "our-isp",
        "sender",
        "sender-dns",
        "recipient",
        "recipient-admin",
        "recipient-dns",
        "recipient-registrar",
        "recipient-provider",
        "blocklist-operator",
        "network",
        "nobody",
        "unknown",
    ]
}

fn wait_reasons() -> Vec<&'static str> {
    WaitReason::ALL.iter().map(|(_, name, _)| *name).collect()
}
