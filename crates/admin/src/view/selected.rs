//! One recipient of a message, as a filter sees it that decides whom to act on: the message's own fields, and of the
//! recipients' only this one's.

use super::MessageObject;
use crate::filter::{Field, Record, Scalar};
use posthaste_mail::Timestamp;

/// A recipient of a message, by its number.
#[derive(Clone, Copy, Debug)]
pub struct Selected<'m> {
    /// The message.
    pub message: &'m MessageObject,
    /// The recipient's number in the envelope.
    pub recipient: usize,
}

impl Record for Selected<'_> {
    fn values(&self, field: Field, now: Timestamp) -> Vec<Scalar<'_>> {
        let Some(recipient) = self.message.recipients.get(self.recipient) else {
            return Vec::new();
        };
        match field {
            Field::To
            | Field::Domain
            | Field::Destination
            | Field::Status
            | Field::WaitReason
            | Field::Attempts
            | Field::LastError
            | Field::Cause
            | Field::Owner => recipient.value(field).into_iter().collect(),
            Field::Held => vec![Scalar::Bool(recipient.status == "held")],
            _ => self.message.values(field, now),
        }
    }
}
