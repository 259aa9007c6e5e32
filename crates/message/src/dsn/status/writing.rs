//! A report's fields as text, with CRLF line ends, folded where there is a blank (RFC 3464 section 2.1.1).
//!
//! Not here: reading them (`reading`).

use super::{Date, DeliveryStatus, Extension, RecipientStatus, Typed};
use std::fmt::Write;

/// Where lines are folded when they have a blank, octets.
const FOLD: usize = 76;
/// The longest line that may be sent without its line end, octets (RFC 5322 section 2.1.1). A single word that is longer,
/// which no sane host sends, is divided: the field's name may stand before it.
const LONGEST: usize = 998;
/// The longest word that is not divided, octets.
const MAX_WORD: usize = LONGEST - super::MAX_NAME - 8;

/// Which octets may be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `message/delivery-status`: ASCII. Characters beyond it are written `\x{E4}` (RFC 6533 section 3).
    SevenBit,
    /// `message/global-delivery-status`: UTF-8.
    Global,
}

impl Form {
    /// The media type of a part of this form.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::SevenBit => "message/delivery-status",
            Self::Global => "message/global-delivery-status",
        }
    }
}

impl DeliveryStatus {
    /// The groups of fields: the message's, then each recipient's, in the order of RFC 3464.
    #[must_use]
    pub fn written(&self, form: Form) -> String {
        let mut group = Group { out: String::new(), form };
        group.text("Original-Envelope-Id", self.original_envelope_id.as_deref());
        group.typed("Reporting-MTA", self.reporting_mta.as_ref());
        group.typed("DSN-Gateway", self.dsn_gateway.as_ref());
        group.typed("Received-From-MTA", self.received_from_mta.as_ref());
        group.date("Arrival-Date", self.arrival_date.as_ref());
        group.extensions(&self.extensions);
        for recipient in &self.recipients {
            group.out.push_str("\r\n");
            group.recipient(recipient);
        }
        group.out
    }
}

struct Group {
    out: String,
    form: Form,
}

impl Group {
    fn recipient(&mut self, of: &RecipientStatus) {
        self.address("Original-Recipient", of.original_recipient.as_ref());
        self.address("Final-Recipient", of.final_recipient.as_ref());
        self.text("Action", of.action.map(super::Action::name));
        self.text("Status", of.status.map(|status| status.to_string()).as_deref());
        self.typed("Remote-MTA", of.remote_mta.as_ref());
        self.typed("Diagnostic-Code", of.diagnostic.as_ref());
        self.date("Last-Attempt-Date", of.last_attempt_date.as_ref());
        self.text("Final-Log-ID", of.final_log_id.as_deref());
        self.date("Will-Retry-Until", of.will_retry_until.as_ref());
        self.extensions(&of.extensions);
    }

    fn extensions(&mut self, all: &[Extension]) {
        for extension in all {
            self.text(&extension.name, Some(&extension.value));
        }
    }

    fn typed(&mut self, name: &str, value: Option<&Typed>) {
        self.text(name, value.map(Typed::written).as_deref());
    }

    /// An address has its escapes already.
    fn address(&mut self, name: &str, value: Option<&Typed>) {
        if let Some(value) = value {
            let written = value.written_address(self.form);
            self.field(name, &if value.is("utf-8") { clean(&written) } else { self.fit(&written) });
        }
    }

    fn date(&mut self, name: &str, value: Option<&Date>) {
        self.text(name, value.map(|date| date.text.as_str()));
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.field(name, &self.fit(value));
        }
    }

    /// Only such octets as the form allows. A backslash that would begin an escape is one itself.
    fn fit(&self, value: &str) -> String {
        let value = clean(value);
        let global = self.form == Form::Global;
        let mut out = String::with_capacity(value.len());
        for (at, c) in value.char_indices() {
            if (c.is_ascii() || global) && !value[at..].starts_with("\\x{") {
                out.push(c);
            } else {
                write!(out, "\\x{{{:X}}}", u32::from(c)).expect("a string takes every write");
            }
        }
        out
    }

    /// Folds before blanks, which stay: unfolding gives the very value.
    fn field(&mut self, name: &str, value: &str) {
        self.out.push_str(name);
        self.out.push(':');
        let mut column = name.len() + 1;
        let mut first = true;
        let mut rest = value.trim();
        while !rest.is_empty() {
            // A piece is the blanks and the word behind them.
            let word = rest.find(|c| c != ' ').unwrap_or(rest.len());
            let end = rest[word..].find(' ').map_or(rest.len(), |blank| word + blank);
            let end = rest.floor_char_boundary(end.min(word + MAX_WORD));
            let (piece, after) = rest.split_at(end);
            let blank = if piece.starts_with(' ') { "" } else { " " };
            if !first && column + blank.len() + piece.len() > FOLD {
                self.out.push_str("\r\n");
                column = 0;
            }
            self.out.push_str(blank);
            self.out.push_str(piece);
            column += blank.len() + piece.len();
            (rest, first) = (after, false);
        }
        self.out.push_str("\r\n");
    }
}

/// Control characters, and the marks that turn the direction of writing, must not come through: tabs become blanks,
/// others `?`.
fn clean(value: &str) -> String {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    let safe = |c: char| match c {
        '\t' => ' ',
        c if c.is_control() || turns(c) => '?',
        c => c,
    };
    value.chars().map(safe).collect()
}
