//! What a notice (DSN) tells, and why one was not sent (RFC 3461, RFC 3464).

/// What a notice tells of the recipients it names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum NoticeKind {
    /// They will not get the message.
    Failed,
    /// They have not got it yet; it is still tried.
    Delayed,
    /// They have got it, which NOTIFY asked to be told.
    Delivered,
    /// A host that sends no success notices has taken it, which NOTIFY asked to be told (RFC 3461 section 5.2.2).
    Relayed,
    /// After a delay notice: they have got it after all.
    AllClear,
}

impl NoticeKind {
    /// Every kind with its name in the outside interface.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Failed, "failed"),
        (Self::Delayed, "delayed"),
        (Self::Delivered, "delivered"),
        (Self::Relayed, "relayed"),
        (Self::AllClear, "all-clear"),
    ];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("failed", |(_, name)| name)
    }
}

/// Why a recipient's bad end is told to nobody.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Withheld {
    /// The reverse-path is null: the message is a notice itself (RFC 5321 section 6.1).
    NullPath,
    /// NOTIFY does not ask for it (RFC 3461 section 4.1).
    NotAsked,
    /// The sender is a stranger, and strangers have been sent as many notices as they may be.
    StrangersRate,
    /// The message answers a notice of ours: what could come of it is a loop.
    AnswersNotice,
}

impl Withheld {
    /// Every reason with its name in the outside interface.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::NullPath, "null-reverse-path"),
        (Self::NotAsked, "not-asked"),
        (Self::StrangersRate, "strangers-rate"),
        (Self::AnswersNotice, "answers-notice"),
    ];

    /// The name in the outside interface.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(why, _)| *why == self).map_or("not-asked", |(_, name)| name)
    }
}

/// Who owes the sender news of a recipient that a host has taken (RFC 3461 section 5.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Handover {
    /// The host offers DSN, and was given the recipient's parameters: the duty is its own now.
    PassedOn,
    /// The host does not offer DSN: what is known ends here.
    Relayed,
    /// The host stores mail itself (LMTP, RFC 2033), and offers no DSN: the recipient has it.
    Final,
}
