//! Reports of any mail server read (RFC 3464, RFC 6522, RFC 6533): where in a message the words for people, the part for
//! machines and the returned original are, also where MIME labels are wrong or missing, or the report was forwarded.
//!
//! Not here: the fields of the part (`status`); bounces that have no such part; what a report means (`diagnosis`).

mod finding;

use super::Kind;
use super::ours::KIND;
use super::status::{Action, Date, DeliveryStatus};
use crate::header;
use finding::Found;
use posthaste_mail::Summary;

/// Octets of a report that are read; what follows is not looked at.
pub const MAX_REPORT: usize = 64 * 1024 * 1024;
/// Octets that are kept of the words for people, of each kind.
pub const MAX_WORDS: usize = 256 * 1024;
/// Octets that are kept of the returned original.
pub const MAX_RETURNED: usize = 1024 * 1024;
/// Reports within forwarded messages: so deep.
pub const MAX_FORWARDED: usize = 4;
/// Octets of a header field that are kept.
const MAX_FIELD: usize = 1024;
/// Addresses in `X-Failed-Recipients:` that are kept.
const MAX_FAILED: usize = 100;

/// A report that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadReport {
    /// Its own header, where it was forwarded that of the report within.
    pub head: Head,
    /// The words for people, as plain text with LF line ends, at most [`MAX_WORDS`].
    pub text: Option<String>,
    /// The same as HTML.
    pub html: Option<String>,
    /// The part for machines.
    pub status: DeliveryStatus,
    /// The message it is about, or what came back of it.
    pub returned: Option<Returned>,
    /// Where the part for machines was.
    pub place: Place,
}

/// What a report's header says, decoded, without control characters, at most 1,024 octets each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    /// `From:`
    pub from: Option<String>,
    /// `To:`
    pub to: Option<String>,
    /// `Subject:`
    pub subject: Option<String>,
    /// `Date:`
    pub date: Option<Date>,
    /// `Message-ID:`
    pub message_id: Option<String>,
    /// `In-Reply-To:`, else the last of `References:`: the message it is about.
    pub in_reply_to: Option<String>,
    /// `Auto-Submitted:` (RFC 3834).
    pub auto_submitted: Option<String>,
    /// `Content-Language:`
    pub language: Option<String>,
    /// `X-Failed-Recipients:` of Exim and Gmail.
    pub failed_recipients: Vec<String>,
}

/// What came back of the message that a report is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Returned {
    /// Its octets, at most [`MAX_RETURNED`].
    pub octets: Vec<u8>,
    /// It was sent back as a whole, and not just its header.
    pub whole: bool,
    /// It is longer than what is kept.
    pub cut: bool,
}

/// Where the part for machines was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a part of its own type, as it should be.
    Labelled,
    /// In a part of another type, or of none.
    Unlabelled,
    /// In the middle of a text.
    WithinText,
}

/// Why a message cannot be read as a report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoReport {
    /// It has no part for machines.
    #[error("the message has no delivery status (RFC 3464)")]
    NoStatus,
    /// It is a complaint about a message that was delivered.
    #[error("the message is a feedback report (RFC 5965), no delivery status")]
    Feedback,
    /// It tells that the message was displayed, deleted or the like.
    #[error("the message is a disposition notification (RFC 8098), no delivery status")]
    Disposition,
}

/// Reads a report. CRLF and LF are both line ends. Never panics, and takes time in proportion to the octets.
///
/// # Errors
/// [`NoReport`] for mail that is none: what was looked for and is not there.
pub fn read(octets: &[u8]) -> Result<ReadReport, NoReport> {
    let octets = &octets[..octets.len().min(MAX_REPORT)];
    let found = Found::within(octets)?;
    Ok(ReadReport {
        head: Head::of(&found.header),
        text: found.text,
        html: found.html,
        status: found.status,
        returned: found.returned,
        place: found.place,
    })
}

impl ReadReport {
    /// What it tells, if all its recipients have the same; of mixed ones the worst. `None` when it does not say, and of
    /// lists that a message was expanded to.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let own = self.status.extension(KIND);
        if let Some((kind, _)) = Kind::ALL.iter().find(|(_, name)| Some(*name) == own) {
            return Some(*kind);
        }
        let told = |wanted| self.status.recipients.iter().any(|r| r.action == Some(wanted));
        [
            (Action::Failed, Kind::Failed),
            (Action::Delayed, Kind::Delayed),
            (Action::Relayed, Kind::Relayed),
            (Action::Delivered, Kind::Delivered),
        ]
        .into_iter()
        .find_map(|(action, kind)| told(action).then_some(kind))
    }
}

impl Returned {
    /// Its header section.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        header::section(&self.octets)
    }

    /// Who wrote it, about what, and its name.
    #[must_use]
    pub fn summary(&self) -> Summary {
        header::summary(self.header())
    }
}

impl Head {
    fn of(section: &[u8]) -> Self {
        let mut head = Self::default();
        let mut references = None;
        for field in header::fields(section) {
            let slot = match field.name.to_ascii_lowercase().as_slice() {
                b"from" => &mut head.from,
                b"to" => &mut head.to,
                b"subject" => &mut head.subject,
                b"message-id" => &mut head.message_id,
                b"in-reply-to" => &mut head.in_reply_to,
                b"references" => &mut references,
                b"auto-submitted" => &mut head.auto_submitted,
                b"content-language" => &mut head.language,
                b"date" => {
                    let text = header::shown(field, MAX_FIELD, false);
                    head.date.get_or_insert(Date { text });
                    continue;
                }
                b"x-failed-recipients" => {
                    head.fail(&header::shown(field, 16 * MAX_FIELD, false));
                    continue;
                }
                _ => continue,
            };
            if slot.is_none() {
                *slot = Some(header::shown(field, MAX_FIELD, true)).filter(|text| !text.is_empty());
            }
        }
        let last = references.as_deref().and_then(|all| all.split_whitespace().last());
        head.in_reply_to = head.in_reply_to.or_else(|| last.map(str::to_owned));
        head
    }

    fn fail(&mut self, addresses: &str) {
        let each = addresses.split(',').map(str::trim).filter(|address| !address.is_empty());
        let left = MAX_FAILED.saturating_sub(self.failed_recipients.len());
        self.failed_recipients.extend(each.take(left).map(str::to_owned));
    }
}

#[cfg(test)]
mod tests;
