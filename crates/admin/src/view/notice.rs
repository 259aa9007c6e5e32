//! **notice**: a notice as its reader gets it, in its parts: the words, the page, what machines read.
//!
//! Not here: composing one (`posthaste_message::dsn`).

use super::VERSION;
use posthaste_evidence::NoticeKind;
use posthaste_mail::QueueId;
use posthaste_message::header::fields;
use posthaste_message::{dsn::Composed, encoded};
use serde::{Deserialize, Serialize};

/// A notice that would be sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each says what it is by its name")]
pub struct NoticeObject {
    pub v: u32,
    /// The message it is about; `null` of a sample.
    pub id: Option<String>,
    /// What it tells, by the words of the outside interface.
    pub kind: String,
    /// The language of its words (RFC 5646).
    pub language: String,
    pub from: String,
    pub to: String,
    pub subject: String,
    pub text: String,
    /// `null` where the settings say that there is none.
    pub html: Option<String>,
    /// What machines read (RFC 3464).
    pub status: String,
    /// The whole of it, line ends as LF.
    pub message: String,
}

impl NoticeObject {
    /// From what was composed.
    #[must_use]
    pub fn of(id: Option<QueueId>, kind: NoticeKind, composed: &Composed) -> Self {
        let Composed { octets, parts, .. } = composed;
        Self {
            v: VERSION,
            id: id.map(|id| id.to_string()),
            kind: kind.name().to_owned(),
            language: parts.language.clone(),
            from: field(octets, "From"),
            to: field(octets, "To"),
            subject: parts.subject.clone(),
            text: lines(parts.text.as_bytes()),
            html: parts.html.as_ref().map(|html| lines(html.as_bytes())),
            status: lines(parts.status.as_bytes()),
            message: lines(octets),
        }
    }
}

/// A field of the header on one line, its encoded words read.
fn field(message: &[u8], name: &str) -> String {
    let found = fields(message).find(|field| field.is(name));
    found.map_or_else(String::new, |field| encoded::decode(&field.unfolded()).trim().to_owned())
}

/// With LF as line ends, as terminals and files have it.
fn lines(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).replace("\r\n", "\n")
}
