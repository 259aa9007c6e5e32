//! The part for machines as data: `message/delivery-status` (RFC 3464 section 2) and `message/global-delivery-status`
//! (RFC 6533 section 4), ours and everybody else's. What is written here is read here, and nothing of it is lost.
//!
//! Not here: which field says what of our own failures (`ours`), and finding this part in a message (`read`).

mod address;
mod reading;
mod writing;

pub use address::Typed;
pub(crate) use address::{embed, unembed};
pub(super) use reading::{begins_report, is_of_report, next_group};
pub use writing::Form;

use posthaste_mail::{EnhancedStatus, Timestamp};

/// Recipients that are read of one report; further ones are counted in [`DeliveryStatus::left_out`].
pub const MAX_RECIPIENTS: usize = 1_000;
/// Octets of one field's value that are read.
pub const MAX_VALUE: usize = 8 * 1024;
/// Octets of the name of a field without a place of its own; others are passed over.
pub const MAX_NAME: usize = 128;
/// Fields without a place of their own that are kept of the message, and of each recipient.
pub const MAX_EXTENSIONS: usize = 32;

/// All that a report says for machines. Of a field that comes twice the first counts; the other is kept as an extension,
/// as is one whose value cannot be understood.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeliveryStatus {
    /// `Original-Envelope-Id`: the ENVID of the sender, decoded.
    pub original_envelope_id: Option<String>,
    /// `Reporting-MTA`: who tried. RFC 3464 demands it; some leave it out.
    pub reporting_mta: Option<Typed>,
    /// `DSN-Gateway`: who translated the report from another mail system.
    pub dsn_gateway: Option<Typed>,
    /// `Received-From-MTA`: from whom the reporting MTA had the message.
    pub received_from_mta: Option<Typed>,
    /// `Arrival-Date`: when it came to the reporting MTA.
    pub arrival_date: Option<Date>,
    /// All other fields about the message.
    pub extensions: Vec<Extension>,
    /// Who it is about.
    pub recipients: Vec<RecipientStatus>,
    /// Recipients beyond [`MAX_RECIPIENTS`].
    pub left_out: usize,
}

/// What became of one recipient.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RecipientStatus {
    /// `Original-Recipient`: whom the sender meant (ORCPT, decoded).
    pub original_recipient: Option<Typed>,
    /// `Final-Recipient`: whom the reporting MTA tried to reach. RFC 3464 demands it; some leave it out.
    pub final_recipient: Option<Typed>,
    /// `Action`.
    pub action: Option<Action>,
    /// `Status`.
    pub status: Option<EnhancedStatus>,
    /// `Remote-MTA`: who said so, when somebody else did.
    pub remote_mta: Option<Typed>,
    /// `Diagnostic-Code`: the reply, or words of the reporting MTA's own.
    pub diagnostic: Option<Typed>,
    /// `Last-Attempt-Date`.
    pub last_attempt_date: Option<Date>,
    /// `Final-Log-ID`: the message's name at the host that took it.
    pub final_log_id: Option<String>,
    /// `Will-Retry-Until`: only of delays.
    pub will_retry_until: Option<Date>,
    /// All other fields about the recipient.
    pub extensions: Vec<Extension>,
}

/// What the reporting MTA did (RFC 3464 section 2.3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// It gave up.
    Failed,
    /// It goes on trying.
    Delayed,
    /// The recipient has it.
    Delivered,
    /// A host that sends no success notices has it.
    Relayed,
    /// It went on to the several addresses behind this one.
    Expanded,
}

/// A date as it stands there (RFC 5322 section 3.3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Date {
    /// The words.
    pub text: String,
}

/// A field that has no place of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Extension {
    /// As written.
    pub name: String,
    /// Unfolded.
    pub value: String,
}

impl Action {
    /// Every action with its name (RFC 3464 section 2.3.3).
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Failed, "failed"),
        (Self::Delayed, "delayed"),
        (Self::Delivered, "delivered"),
        (Self::Relayed, "relayed"),
        (Self::Expanded, "expanded"),
    ];

    /// The name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(action, _)| *action == self).map_or("failed", |(_, name)| name)
    }
}

impl Date {
    /// As we write it: in UTC, to the second.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self { text: at.rfc5322() }
    }

    /// The moment that is meant, if that can be told.
    #[must_use]
    pub fn at(&self) -> Option<Timestamp> {
        crate::date::parse(&self.text)
    }
}

impl Extension {
    /// A field of our own.
    #[must_use]
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: value.into() }
    }
}

impl DeliveryStatus {
    /// The value of the message's extension field of this name; case does not matter.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        extension(&self.extensions, name)
    }

    /// Nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl RecipientStatus {
    /// The value of the recipient's extension field of this name; case does not matter.
    #[must_use]
    pub fn extension(&self, name: &str) -> Option<&str> {
        extension(&self.extensions, name)
    }

    /// The address that the sender knows: the original one where it is told, else the final one.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        let all = [&self.original_recipient, &self.final_recipient];
        all.into_iter().flatten().map(Typed::address).find(|address| !address.is_empty())
    }
}

fn extension<'a>(all: &'a [Extension], name: &str) -> Option<&'a str> {
    all.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.as_str())
}

#[cfg(test)]
mod tests;
