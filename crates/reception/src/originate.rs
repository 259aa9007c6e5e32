//! A message from a program on this machine, made whole while it comes in: its header section is held until it is known
//! whole, the body goes through (RFC 6409 section 8).
//!
//! Not here: what is added and taken out (`posthaste_message::complete`).

use crate::settings::Settings;
use bytes::Bytes;
use posthaste_mail::{ContentFacts, Mailbox, QueueId, Timestamp};
use posthaste_message::complete::{split, without_mailbox_line};
use posthaste_message::header::MAX_HEADER;
use posthaste_message::{Completion, complete_header};
use posthaste_smtp::content::ContentScan;

/// The header section of a message under way.
pub(crate) struct Originating {
    held: Vec<u8>,
    /// So many octets of `held` were searched for the end of the header section.
    searched: usize,
    /// The header section is out.
    through: bool,
    scan: ContentScan,
    author: Option<Mailbox>,
    hostname: String,
    origin: String,
    unique: String,
    now: Timestamp,
}

/// The header section is longer than what is held: what is in it cannot be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HeaderTooLong;

impl Originating {
    /// `trace` is the trace field that will stand in front.
    pub(crate) fn new(
        settings: &Settings,
        author: Option<&Mailbox>,
        id: QueueId,
        now: Timestamp,
        trace: &[u8],
    ) -> Self {
        let mut scan = ContentScan::new();
        scan.feed(trace);
        Self {
            held: Vec::new(),
            searched: 0,
            through: false,
            scan,
            author: author.cloned(),
            hostname: settings.hostname.clone(),
            origin: settings.origin.clone(),
            unique: id.to_string(),
            now,
        }
    }

    /// Takes the next octets of the content; answers what goes on, if anything does yet.
    ///
    /// # Errors
    /// [`HeaderTooLong`]
    pub(crate) fn take(&mut self, chunk: Bytes) -> Result<Option<Bytes>, HeaderTooLong> {
        if self.through {
            self.scan.feed(&chunk);
            return Ok(Some(chunk));
        }
        self.held.extend_from_slice(&chunk);
        let from = self.searched.saturating_sub(3);
        self.searched = self.held.len();
        let ended = self.held.starts_with(b"\r\n")
            || self.held[from..].windows(4).any(|octets| octets == b"\r\n\r\n");
        if ended {
            return Ok(Some(self.whole()));
        }
        if self.held.len() < MAX_HEADER {
            return Ok(None);
        }
        // A body without the empty line before it ends the header section as well.
        let header = split(without_mailbox_line(&self.held)).0.len();
        if header < MAX_HEADER / 2 { Ok(Some(self.whole())) } else { Err(HeaderTooLong) }
    }

    /// All octets have come: answers what was still held.
    pub(crate) fn finish(&mut self) -> Option<Bytes> {
        (!self.through).then(|| self.whole())
    }

    /// What is known of the trace field and all that was answered.
    pub(crate) fn facts(&self) -> ContentFacts {
        self.scan.facts()
    }

    fn whole(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        let (header, body) = split(without_mailbox_line(&held));
        let with = Completion {
            author: self.author.as_ref(),
            full_name: None,
            hostname: &self.hostname,
            origin: &self.origin,
            unique: &self.unique,
            now: self.now,
        };
        let mut out = complete_header(header, &with);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
        self.through = true;
        self.scan.feed(&out);
        Bytes::from(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The message as it goes on when it comes in pieces of this size.
    fn through(message: &str, piece: usize) -> Result<String, HeaderTooLong> {
        let (now, id) = (Timestamp::from_secs(0), QueueId::from_u64(1));
        let mut originating = Originating::new(&Settings::new("mx.test"), None, id, now, b"");
        let mut out = Vec::new();
        for chunk in message.as_bytes().chunks(piece) {
            out.extend(originating.take(Bytes::copy_from_slice(chunk))?.into_iter().flatten());
        }
        out.extend(originating.finish().into_iter().flatten());
        assert_eq!(originating.facts().size, out.len() as u64);
        Ok(String::from_utf8(out).expect("UTF-8"))
    }

    #[test]
    fn in_pieces_of_any_size_it_becomes_the_same() {
        for message in [
            "From: a\r\nBcc: x\r\n y\r\n\r\nBcc: body\r\n\r\nmore\r\n",
            "\r\n\r\nSubject: body\r\n",
            "no header at all\r\n",
            "To: b\r\nBcc: x\r\n",
            "From a@b Sat\r\nTo: b\r\n\r\n",
        ] {
            let whole = through(message, message.len()).expect("short");
            assert!(whole.contains("Date: ") && !whole.contains("Bcc: x"), "{whole}");
            for piece in 1..10 {
                assert_eq!(through(message, piece).as_ref(), Ok(&whole), "{message}");
            }
        }
    }

    #[test]
    fn a_header_without_end_is_refused_before_blind_recipients_slip_through() {
        let endless = "X: y\r\n".repeat(MAX_HEADER / 6 + 10);
        assert_eq!(through(&endless, 4096), Err(HeaderTooLong));
        let no_header = "just text\r\n".repeat(MAX_HEADER / 5);
        let text = through(&no_header, 4096).expect("a body");
        assert!(text.ends_with(&no_header) && text.contains("Message-ID: "));
    }
}
