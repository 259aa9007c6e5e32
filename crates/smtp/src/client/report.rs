//! What a transaction came to, per recipient (RFC 5321 sections 4.2.5, 4.3.2, RFC 2033 section 4.2).
//!
//! Not here: whether to try again (the agent, `queue`).

use super::Stage;
use posthaste_mail::Reply;

/// The end of a transaction.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// What decided for the recipients that RCPT did not refuse.
    pub end: End,
    /// Per recipient of the transaction, in order: the reply by which its RCPT was refused.
    pub refused: Vec<Option<Reply>>,
    /// LMTP: per recipient of the transaction, in order, its reply to the final dot, which decides for it whatever
    /// else happened. Empty when the final dot was not sent, and always in SMTP.
    pub answered: Vec<Option<Reply>>,
}

/// What decided for those whom RCPT did not refuse.
#[derive(Clone, PartialEq, Debug)]
pub enum End {
    /// The server took responsibility for them with this reply to the final dot.
    Delivered(Reply),
    /// LMTP: every one of them had a reply of its own to the final dot.
    Answered,
    /// Refused as a whole at this stage (MAIL, DATA, content, final dot); or 421, at any stage.
    Refused(Stage, Reply),
    /// No recipient was accepted.
    NobodyAccepted,
    /// It was stopped before the content, as it was meant to be: those not refused were accepted, and nothing was sent.
    Stopped,
    /// The connection ended, time ran out or the server made no sense while this was waited for. At [`Stage::Eod`]
    /// and [`Stage::EodOf`] the outcome is unknown: a second copy is possible (RFC 1047).
    Lost(Stage),
}

/// What it came to for one recipient.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fate<'a> {
    /// The server took responsibility.
    Delivered(&'a Reply),
    /// Refused at this stage with this reply, which may be temporary or permanent.
    Refused(Stage, &'a Reply),
    /// Not decided: the transaction broke while this was waited for.
    Lost(Stage),
}

impl Report {
    /// The fate of the recipient with this number in the transaction; `None` when there is none.
    #[must_use]
    pub fn fate(&self, recipient: usize) -> Option<Fate<'_>> {
        let refused = self.refused.get(recipient)?.as_ref();
        let number = u32::try_from(recipient).unwrap_or(u32::MAX);
        let stage = Stage::Rcpt(number);
        if let Some(Some(reply)) = self.answered.get(recipient) {
            let taken = reply.is_positive();
            let refused = Fate::Refused(Stage::EodOf(number), reply);
            return Some(if taken { Fate::Delivered(reply) } else { refused });
        }
        Some(match (refused, &self.end) {
            (Some(reply), _) => Fate::Refused(stage, reply),
            (None, End::Delivered(reply)) => Fate::Delivered(reply),
            (None, End::Refused(stage, reply)) => Fate::Refused(*stage, reply),
            (None, End::Lost(stage)) => Fate::Lost(*stage),
            // Every recipient has a refusal then; were one missing, saying "not decided" is safe.
            (None, End::NobodyAccepted | End::Stopped | End::Answered) => Fate::Lost(stage),
        })
    }
}
