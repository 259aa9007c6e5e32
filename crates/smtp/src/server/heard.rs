//! What a session log needs of the session: command lines as they came, and what was refused.
//!
//! Off until [`super::Session::listen_in`]. Content never comes by here, nor what is said in AUTH, but for the mechanism. Not
//! here: where the lines go.

use super::session::Owed;
use super::{Fault, auth};
use posthaste_mail::Reply;

/// Refusals that wait to be taken; more are only counted.
const MAX_REFUSALS: usize = 20;

/// One thing that was refused with 4yz or 5yz.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// What was refused.
    pub what: What,
    /// The command line, without its end. Not of [`What::Command`]: whatever came there may be a secret.
    pub command: Option<String>,
    /// What is replied.
    pub reply: Reply,
}

/// What can be refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// The connection as a whole.
    Session,
    /// HELO or EHLO.
    Hello,
    /// MAIL.
    Mail,
    /// RCPT.
    Rcpt,
    /// DATA or BDAT, before content.
    Data,
    /// Content while it came, or as a whole.
    Content,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Auth,
    /// A command that the protocol does not allow, or not now.
    Command,
}

/// Lines and refusals since they were last taken.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) on: bool,
    /// AUTH came: what is no command after it may belong to it.
    auth: bool,
    pub(super) lines: Vec<u8>,
    pub(super) refused: Vec<Refused>,
    pub(super) unlisted: u32,
}

impl Heard {
    /// A line as it came, and what the parser has against it.
    pub(super) fn command(&mut self, line: &[u8], fault: Option<Fault>) {
        if self.on {
            self.lines.extend_from_slice(&auth::loggable(line, fault, self.auth));
            self.auth |= auth::is_auth(line);
        }
    }

    pub(super) fn line(&mut self, line: &[u8]) {
        if self.on {
            self.lines.extend_from_slice(line);
        }
    }

    pub(super) fn refuse(&mut self, what: What, reply: impl FnOnce() -> Reply) {
        if !self.on {
            return;
        }
        if self.refused.len() >= MAX_REFUSALS {
            self.unlisted = self.unlisted.saturating_add(1);
            return;
        }
        let of_a_line = !matches!(what, What::Session | What::Content | What::Command);
        let command = of_a_line.then(|| self.last_line()).flatten();
        self.refused.push(Refused { what, command, reply: reply() });
    }

    fn last_line(&self) -> Option<String> {
        let lines = self.lines.strip_suffix(b"\r\n")?;
        let last = lines.rsplit(|octet| *octet == b'\n').next()?;
        Some(String::from_utf8_lossy(last).into_owned())
    }
}

impl What {
    pub(super) const fn of(owed: Owed) -> Self {
        match owed {
            Owed::Hello(_) => Self::Hello,
            Owed::Mail { .. } => Self::Mail,
            Owed::Rcpt => Self::Rcpt,
            Owed::Data | Owed::Bdat { .. } => Self::Data,
            Owed::Message => Self::Content,
            Owed::StartTls => Self::StartTls,
            Owed::Auth | Owed::Keys => Self::Auth,
        }
    }

    /// A command that the session itself refuses.
    pub(super) const fn by(fault: Fault) -> Self {
        match fault {
            Fault::MailSyntax
            | Fault::Sender(_)
            | Fault::TooBig
            | Fault::NestedMail
            | Fault::AuthRequired
            | Fault::TlsRequired => Self::Mail,
            Fault::RcptSyntax | Fault::Recipient(_) | Fault::TooManyRecipients => Self::Rcpt,
            Fault::HelloSyntax => Self::Hello,
            Fault::AuthSyntax
            | Fault::EncryptionRequired
            | Fault::AlreadyAuthenticated
            | Fault::UnknownMechanism
            | Fault::AuthMalformed
            | Fault::AuthCancelled
            | Fault::AuthLineTooLong => Self::Auth,
            Fault::NoRecipients | Fault::ChunkRefused | Fault::BdatSyntax => Self::Data,
            _ => Self::Command,
        }
    }
}
