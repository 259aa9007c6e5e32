//! A report's groups of fields as data (RFC 3464 section 2), with the tolerance that real servers need: groups that run
//! together or are torn apart, types left out, addresses in brackets, words behind the status.
//!
//! Not here: where in a message these groups stand (`dsn::read`).

use super::{
    Action, Date, DeliveryStatus, Extension, MAX_EXTENSIONS, MAX_NAME, MAX_RECIPIENTS, MAX_VALUE,
    RecipientStatus, Typed, address,
};
use crate::header::{self, printable};
use posthaste_mail::EnhancedStatus;

/// Groups that are looked at.
const MAX_GROUPS: usize = 4 * MAX_RECIPIENTS;

/// A field that this type has a place for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    OriginalEnvelopeId,
    ReportingMta,
    DsnGateway,
    ReceivedFromMta,
    ArrivalDate,
    OriginalRecipient,
    FinalRecipient,
    Action,
    Status,
    RemoteMta,
    DiagnosticCode,
    LastAttemptDate,
    FinalLogId,
    WillRetryUntil,
}

const KNOWN: [(&str, Known); 14] = [
    ("Original-Envelope-Id", Known::OriginalEnvelopeId),
    ("Reporting-MTA", Known::ReportingMta),
    ("DSN-Gateway", Known::DsnGateway),
    ("Received-From-MTA", Known::ReceivedFromMta),
    ("Arrival-Date", Known::ArrivalDate),
    ("Original-Recipient", Known::OriginalRecipient),
    ("Final-Recipient", Known::FinalRecipient),
    ("Action", Known::Action),
    ("Status", Known::Status),
    ("Remote-MTA", Known::RemoteMta),
    ("Diagnostic-Code", Known::DiagnosticCode),
    ("Last-Attempt-Date", Known::LastAttemptDate),
    ("Final-Log-ID", Known::FinalLogId),
    ("Will-Retry-Until", Known::WillRetryUntil),
];

impl Known {
    fn named(name: &str) -> Option<Self> {
        KNOWN.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, known)| *known)
    }

    const fn is_of_message(self) -> bool {
        matches!(
            self,
            Self::OriginalEnvelopeId
                | Self::ReportingMta
                | Self::DsnGateway
                | Self::ReceivedFromMta
                | Self::ArrivalDate
        )
    }

    const fn names_recipient(self) -> bool {
        matches!(self, Self::OriginalRecipient | Self::FinalRecipient)
    }
}

impl DeliveryStatus {
    /// Reads the content of the part, its transfer encoding undone. Line ends may be CRLF or LF, and empty lines may have
    /// blanks. What is no field is passed over; nothing is an error, and nothing found is [`Self::is_empty`].
    #[must_use]
    pub fn read(octets: &[u8]) -> Self {
        let mut reader = Reader::default();
        for group in groups(octets).take(MAX_GROUPS) {
            reader.group(group);
        }
        reader.end();
        reader.found
    }
}

/// True for a line that begins a report: a field that only reports have.
pub(in crate::dsn) fn begins_report(line: &[u8]) -> bool {
    let Some(colon) = memchr::memchr(b':', &line[..line.len().min(64)]) else { return false };
    let name = String::from_utf8_lossy(line[..colon].trim_ascii_end());
    matches!(
        Known::named(&name),
        Some(
            Known::OriginalEnvelopeId
                | Known::ReportingMta
                | Known::DsnGateway
                | Known::ReceivedFromMta
                | Known::OriginalRecipient
                | Known::FinalRecipient
        )
    )
}

/// True when the group says anything that only a report says.
pub(in crate::dsn) fn is_of_report(group: &[u8]) -> bool {
    let known = |field: header::Field<'_>| Known::named(&String::from_utf8_lossy(field.name));
    let mut found = header::fields(group).filter_map(known);
    // `Status:` and `Action:` alone stand in other mail too.
    let mut weak = 0;
    found.any(|known| {
        let is_weak = matches!(known, Known::Action | Known::Status);
        weak += usize::from(is_weak);
        !is_weak || weak > 1
    })
}

/// What stands between empty lines.
fn groups(octets: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = octets;
    std::iter::from_fn(move || {
        let (group, end) = next_group(rest)?;
        rest = &rest[end..];
        Some(group)
    })
}

/// The next group of lines without an empty one, and the index behind it.
pub(in crate::dsn) fn next_group(octets: &[u8]) -> Option<(&[u8], usize)> {
    let text = octets.iter().position(|b| !b.is_ascii_whitespace())?;
    let start = memchr::memrchr(b'\n', &octets[..text]).map_or(0, |lf| lf + 1);
    let end = start + group_end(&octets[start..]);
    Some((&octets[start..end], end))
}

/// The index after the next empty line, or that of a line that belongs to something else.
fn group_end(octets: &[u8]) -> usize {
    let mut start = 0;
    for lf in memchr::memchr_iter(b'\n', octets) {
        if octets[start..lf].trim_ascii().is_empty() {
            return lf + 1;
        }
        start = lf + 1;
        if is_foreign(&octets[start..]) {
            break;
        }
    }
    if start == 0 || !is_foreign(&octets[start..]) { octets.len() } else { start }
}

/// A line that no report has: a boundary that was not closed, or the header of what is returned, run together with the
/// last recipient.
fn is_foreign(line: &[u8]) -> bool {
    const FIELDS: [&str; 5] =
        ["Received:", "Return-Path:", "Content-Type:", "Content-Description:", "MIME-Version:"];
    let begins = |name: &&str| {
        line.get(..name.len()).is_some_and(|l| l.eq_ignore_ascii_case(name.as_bytes()))
    };
    line.starts_with(b"--") || FIELDS.iter().any(begins)
}

#[derive(Default)]
struct Reader {
    found: DeliveryStatus,
    current: Option<RecipientStatus>,
}

impl Reader {
    /// A group that names nobody goes on with the one before: some servers tear them apart.
    fn group(&mut self, group: &[u8]) {
        if is_foreign(group) && !is_of_report(group) {
            return;
        }
        let known = |field: &header::Field<'_>| Known::named(&String::from_utf8_lossy(field.name));
        let named = |field: header::Field<'_>| known(&field).is_some_and(Known::names_recipient);
        if header::fields(group).any(named) && self.current.as_ref().is_some_and(is_named) {
            self.end();
        }
        for field in header::fields(group) {
            let name = String::from_utf8_lossy(field.name);
            let Some(value) = value(field) else { continue };
            match known(&field) {
                Some(known) if known.is_of_message() => self.of_message(known, &name, value),
                None if self.current.is_none() => {
                    keep(&mut self.found.extensions, &name, value);
                }
                known => {
                    if known.is_some_and(|known| self.is_another(known, &value)) {
                        self.end();
                    }
                    self.of_recipient(known, &name, value);
                }
            }
        }
    }

    /// A second name of the same kind is the next recipient's: some servers leave out the empty line.
    fn is_another(&self, known: Known, value: &str) -> bool {
        let Some(current) = &self.current else { return false };
        let taken = match known {
            Known::FinalRecipient => &current.final_recipient,
            Known::OriginalRecipient => &current.original_recipient,
            _ => return false,
        };
        taken.as_ref().is_some_and(|taken| *taken != Typed::read(value))
    }

    fn end(&mut self) {
        let Some(recipient) = self.current.take() else { return };
        if self.found.recipients.len() < MAX_RECIPIENTS {
            self.found.recipients.push(recipient);
        } else {
            self.found.left_out += 1;
        }
    }

    fn of_message(&mut self, known: Known, name: &str, value: String) {
        let found = &mut self.found;
        let rest = match known {
            Known::OriginalEnvelopeId => set(&mut found.original_envelope_id, value, Some),
            Known::ReportingMta => set(&mut found.reporting_mta, value, typed),
            Known::DsnGateway => set(&mut found.dsn_gateway, value, typed),
            Known::ReceivedFromMta => set(&mut found.received_from_mta, value, typed),
            _ => set(&mut found.arrival_date, value, |text| Some(Date { text })),
        };
        if let Some(value) = rest {
            keep(&mut found.extensions, name, value);
        }
    }

    fn of_recipient(&mut self, known: Option<Known>, name: &str, value: String) {
        let of = self.current.get_or_insert_default();
        let date = |text| Some(Date { text });
        let rest = match known {
            Some(Known::OriginalRecipient) => set(&mut of.original_recipient, value, typed),
            Some(Known::FinalRecipient) => set(&mut of.final_recipient, value, typed),
            Some(Known::Action) => set(&mut of.action, value, |text| action(&text)),
            Some(Known::Status) => set(&mut of.status, value, |text| status(&text)),
            Some(Known::RemoteMta) => set(&mut of.remote_mta, value, typed),
            Some(Known::DiagnosticCode) => set(&mut of.diagnostic, value, typed),
            Some(Known::LastAttemptDate) => set(&mut of.last_attempt_date, value, date),
            Some(Known::FinalLogId) => set(&mut of.final_log_id, value, Some),
            Some(Known::WillRetryUntil) => set(&mut of.will_retry_until, value, date),
            _ => Some(value),
        };
        if let Some(value) = rest {
            keep(&mut of.extensions, name, value);
        }
    }
}

fn is_named(recipient: &RecipientStatus) -> bool {
    recipient.final_recipient.is_some() || recipient.original_recipient.is_some()
}

/// Gives the value back when the place is taken, or it is not understood.
fn set<T>(
    place: &mut Option<T>,
    value: String,
    read: impl FnOnce(String) -> Option<T>,
) -> Option<String> {
    if place.is_some() {
        return Some(value);
    }
    *place = read(value.clone());
    place.is_none().then_some(value)
}

fn keep(extensions: &mut Vec<Extension>, name: &str, value: String) {
    if extensions.len() < MAX_EXTENSIONS && name.len() <= MAX_NAME {
        extensions.push(Extension { name: name.to_owned(), value });
    }
}

/// Unfolded, as text, without what could paint a terminal; `None` when it is empty.
fn value(field: header::Field<'_>) -> Option<String> {
    let cut = &field.value[..field.value.len().min(MAX_VALUE)];
    let unfolded = header::Field { name: field.name, value: cut }.unfolded();
    let text = match std::str::from_utf8(&unfolded) {
        // Some encode words where RFC 3464 has none.
        Ok(text) if text.contains("=?") => crate::encoded::decode(&unfolded),
        Ok(text) => text.to_owned(),
        Err(_) => crate::mime::charset::from_unknown(&unfolded),
    };
    let text = printable(address::unembed(&text));
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "one of several readers of a value")]
fn typed(text: String) -> Option<Typed> {
    Some(Typed::read(&text))
}

/// The first word; a comment may follow: `expanded (to multi-recipient alias)`.
fn action(text: &str) -> Option<Action> {
    let word = text.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    let known = Action::ALL.iter().find(|(_, name)| name.eq_ignore_ascii_case(word));
    // What servers write instead.
    known.map(|(action, _)| *action).or_else(|| match word.to_ascii_lowercase().as_str() {
        "failure" | "fail" | "expired" => Some(Action::Failed),
        "deferred" | "delay" => Some(Action::Delayed),
        _ => None,
    })
}

/// `5.1.1`, also with words behind: `5.1.1 (bad destination mailbox address)`.
fn status(text: &str) -> Option<EnhancedStatus> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    EnhancedStatus::split(text[..end].trim_end_matches('.').as_bytes()).map(|(status, _)| status)
}
