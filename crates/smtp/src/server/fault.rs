//! Why the session itself refuses, and the reply to each (RFC 5321 section 4.3.2, RFC 3463, RFC 5248).
//!
//! Not here: refusals of policy, which come from the agent.

use posthaste_mail::EnhancedStatus;
use posthaste_mail::address::AddressError;

/// A command refused by the session. The client (its author) must act, unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Fault {
    /// Over [`super::MAX_COMMAND_LINE`].
    #[error("line too long")]
    LineTooLong,
    /// CR, LF, NUL or another control character within a line, or octets that are not UTF-8.
    #[error("control character, bare CR or LF, or invalid UTF-8 in the command line")]
    BadOctet,
    /// No such command.
    #[error("command not recognised")]
    Unrecognised,
    /// A command that we know and do not offer.
    #[error("command not implemented")]
    NotImplemented,
    /// The command takes no argument.
    #[error("this command takes no argument")]
    NoArgumentAllowed,
    /// HELO or EHLO without a usable name.
    #[error("syntax: EHLO hostname")]
    HelloSyntax,
    /// No `FROM:<path>`.
    #[error("syntax: MAIL FROM:<address>")]
    MailSyntax,
    /// No `TO:<path>`.
    #[error("syntax: RCPT TO:<address>")]
    RcptSyntax,
    /// VRFY without an argument.
    #[error("syntax: VRFY address")]
    VrfySyntax,
    /// The session closes after it: what follows cannot be told from commands.
    #[error("syntax: BDAT size [LAST]")]
    BdatSyntax,
    /// The reverse-path is no address.
    #[error("bad sender address: {0}")]
    Sender(AddressError),
    /// The forward-path is no address.
    #[error("bad recipient address: {0}")]
    Recipient(AddressError),
    /// A parameter unknown, not announced or given twice.
    #[error("parameter not recognised or given twice")]
    UnknownParameter,
    /// A parameter's value is wrong.
    #[error("parameter value not valid")]
    BadParameter,
    /// SIZE= is over the limit.
    #[error("message size exceeds the limit")]
    TooBig,
    /// A command that needs EHLO first.
    #[error("send EHLO first")]
    HelloFirst,
    /// RCPT, DATA or BDAT without MAIL.
    #[error("send MAIL first")]
    MailFirst,
    /// MAIL within a transaction.
    #[error("nested MAIL command")]
    NestedMail,
    /// DATA or BDAT without an accepted recipient.
    #[error("no valid recipients")]
    NoRecipients,
    /// DATA or RCPT after the first BDAT of a transaction.
    #[error("a message by BDAT is under way")]
    ChunkingUnderWay,
    /// STARTTLS within a transaction.
    #[error("a mail transaction is under way")]
    TransactionUnderWay,
    /// MAIL where AUTH is required (RFC 4954 section 6).
    #[error("authentication required")]
    AuthRequired,
    /// MAIL where AUTH, and for it TLS, is required (RFC 3207 section 4, RFC 4954 section 6).
    #[error("must issue a STARTTLS command first")]
    TlsRequired,
    /// AUTH without a mechanism.
    #[error("syntax: AUTH mechanism [initial-response]")]
    AuthSyntax,
    /// AUTH before TLS (RFC 4954 section 6).
    #[error("encryption required for the requested authentication mechanism")]
    EncryptionRequired,
    /// AUTH a second time.
    #[error("already authenticated")]
    AlreadyAuthenticated,
    /// A mechanism that is not announced.
    #[error("authentication mechanism not offered")]
    UnknownMechanism,
    /// A response that is no base64, or no message of the mechanism.
    #[error("cannot decode the response")]
    AuthMalformed,
    /// `*` (RFC 4954 section 4).
    #[error("authentication cancelled")]
    AuthCancelled,
    /// Over [`super::MAX_AUTH_LINE`].
    #[error("authentication exchange line is too long")]
    AuthLineTooLong,
    /// STARTTLS under TLS.
    #[error("the session is under TLS already")]
    AlreadySecured,
    /// BDAT after a refused chunk.
    #[error("a chunk of this message was refused; send RSET")]
    ChunkRefused,
    /// Any command but QUIT after the client was refused instead of greeted.
    #[error("no service here, as the greeting says; send QUIT")]
    ServiceRefused,
    /// Over [`super::Limits::recipients`]. The client sends the rest in another transaction.
    #[error("too many recipients")]
    TooManyRecipients,
    /// Over [`super::Limits::commands`]; closes.
    #[error("too many commands in one session")]
    TooManyCommands,
    /// Over [`super::Limits::errors`]; closes.
    #[error("too many errors in one session")]
    TooManyErrors,
}

impl Fault {
    /// Reply code and enhanced status.
    #[must_use]
    pub const fn codes(self) -> (u16, EnhancedStatus) {
        let (code, class, subject, detail) = match self {
            Self::LineTooLong | Self::BadOctet | Self::Unrecognised => (500, 5, 5, 2),
            Self::NotImplemented => (502, 5, 5, 1),
            Self::NoArgumentAllowed
            | Self::HelloSyntax
            | Self::MailSyntax
            | Self::RcptSyntax
            | Self::VrfySyntax
            | Self::BdatSyntax
            | Self::AuthSyntax
            | Self::BadParameter => (501, 5, 5, 4),
            Self::UnknownParameter => (555, 5, 5, 4),
            // RFC 6531 section 3.5.
            Self::Sender(AddressError::NeedsUtf8) | Self::Recipient(AddressError::NeedsUtf8) => {
                (553, 5, 6, 7)
            }
            Self::Sender(_) => (501, 5, 1, 7),
            Self::Recipient(_) => (501, 5, 1, 3),
            Self::TooBig => (552, 5, 3, 4),
            Self::HelloFirst
            | Self::MailFirst
            | Self::NestedMail
            | Self::ChunkingUnderWay
            | Self::TransactionUnderWay
            | Self::AlreadyAuthenticated
            | Self::AlreadySecured
            | Self::ChunkRefused
            | Self::ServiceRefused => (503, 5, 5, 1),
            Self::AuthRequired | Self::TlsRequired => (530, 5, 7, 0),
            Self::EncryptionRequired => (538, 5, 7, 11),
            Self::UnknownMechanism => (504, 5, 5, 4),
            Self::AuthMalformed => (501, 5, 5, 2),
            Self::AuthCancelled => (501, 5, 7, 0),
            Self::AuthLineTooLong => (500, 5, 5, 6),
            Self::NoRecipients => (554, 5, 5, 1),
            Self::TooManyRecipients => (452, 4, 5, 3),
            Self::TooManyCommands | Self::TooManyErrors => (421, 4, 7, 0),
        };
        (code, EnhancedStatus::new(class, subject, detail))
    }

    /// The connection ends after the reply.
    #[must_use]
    pub const fn closes(self) -> bool {
        matches!(self, Self::BdatSyntax | Self::TooManyCommands | Self::TooManyErrors)
    }
}

/// Why content is refused. The first one found stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ContentFault {
    /// CR or LF alone, under [`super::BareNewline::Reject`]; closes.
    #[error("bare CR or LF in the message; lines must end with CRLF")]
    BareNewline,
    /// An octet 0 (RFC 5321 section 4.5.2, RFC 5322 section 2.2).
    #[error("NUL in the message")]
    Nul,
    /// A line over [`super::MAX_TEXT_LINE`].
    #[error("a line of the message is too long")]
    LineTooLong,
    /// Over [`super::Limits::message_size`].
    #[error("message size exceeds the limit")]
    TooBig,
    /// The agent's own refusal under way ([`super::Session::refuse_content`]).
    #[error("refused by policy")]
    Agent,
}

impl ContentFault {
    /// Reply code and enhanced status; for [`Self::Agent`] those of a local fault, never sent.
    #[must_use]
    pub const fn codes(self) -> (u16, EnhancedStatus) {
        match self {
            Self::BareNewline => (550, EnhancedStatus::new(5, 5, 2)),
            Self::Nul | Self::LineTooLong => (554, EnhancedStatus::new(5, 6, 0)),
            Self::TooBig => (552, EnhancedStatus::new(5, 3, 4)),
            Self::Agent => (451, EnhancedStatus::new(4, 3, 0)),
        }
    }

    /// The connection ends after the reply: a client that sends bare newlines past [`super::BareNewline::Reject`] may be
    /// trying to smuggle.
    #[must_use]
    pub const fn closes(self) -> bool {
        matches!(self, Self::BareNewline)
    }
}
