//! Who a message says it is for: what `sendmail -t` and a pickup folder go by (RFC 5322 sections 3.6.3 and 3.6.6).
//!
//! Not here: the envelope, which decides for all other mail.

use crate::addresses::{Address, Entry, addresses};
use crate::header::{Field, fields};

/// What stands in a recipient field and is no address; whoever wrote the message must correct it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{text}` in the {field} field is no address")]
pub struct NoAddress {
    /// The field's name.
    pub field: String,
    /// What stands there.
    pub text: String,
}

/// The addresses of `To:`, `Cc:` and `Bcc:`, in order; those of the newest block of `Resent-` fields alone when the message
/// was sent again. Repeated ones are repeated here too.
///
/// # Errors
/// The first entry that is no address.
pub fn recipients(header: &[u8]) -> Result<Vec<Address>, NoAddress> {
    let resent = newest_resent(header);
    let names: &[&str] = if resent.is_empty() {
        &["To", "Cc", "Bcc"]
    } else {
        &["Resent-To", "Resent-Cc", "Resent-Bcc"]
    };
    let chosen: Vec<Field<'_>> = match resent.is_empty() {
        true => fields(header).collect(),
        false => resent,
    };
    let mut found = Vec::new();
    for field in chosen.into_iter().filter(|field| names.iter().any(|name| field.is(name))) {
        for entry in addresses(field.value) {
            found.push(usable(&field, entry)?);
        }
    }
    Ok(found)
}

fn usable(field: &Field<'_>, entry: Entry) -> Result<Address, NoAddress> {
    match entry {
        Entry::Address(address) => Ok(address),
        Entry::Unusable(span) => Err(NoAddress {
            field: String::from_utf8_lossy(field.name).into_owned(),
            text: String::from_utf8_lossy(&field.value[span]).into_owned(),
        }),
    }
}

/// Each sending again puts its fields in front of those of the last one: the block ends where a trace field follows or
/// where a name comes again. Empty when nobody named a recipient in it.
fn newest_resent(header: &[u8]) -> Vec<Field<'_>> {
    let mut block: Vec<Field<'_>> = Vec::new();
    for field in fields(header) {
        let resent =
            field.name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"Resent-"));
        let trace = field.is("Received") || field.is("Return-Path");
        let again = || block.iter().any(|seen| seen.name.eq_ignore_ascii_case(field.name));
        if !block.is_empty() && (trace || (resent && again())) {
            break;
        }
        if resent {
            block.push(field);
        }
    }
    let names = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
    if !block.iter().any(|field| names.iter().any(|name| field.is(name))) {
        block.clear();
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Result<Vec<String>, String> {
        let found = recipients(header.as_bytes()).map_err(|e| e.to_string())?;
        Ok(found.iter().map(|address| address.with_origin("o")).collect())
    }

    #[test]
    fn recipients_are_those_of_the_last_sending() {
        for (header, expected) in [
            (
                "To: a@b, c\r\nCc: d@e\r\nBcc:\r\n f@g\r\nFrom: h@i\r\n\r\nTo: j@k\r\n",
                "a@b c@o d@e f@g",
            ),
            ("to:a@b\nTO: c@d\n", "a@b c@d"),
            ("Subject: x\n\n", ""),
            ("To: undisclosed-recipients:;\nBcc: a@b\n", "a@b"),
            ("Resent-From: x@y\nResent-To: a@b\nResent-Bcc: c@d\nTo: old@e\n", "a@b c@d"),
            (
                "Resent-To: new@a\nResent-From: x\nReceived: y\nResent-To: old@b\nTo: older@c\n",
                "new@a",
            ),
            ("Resent-To: new@a\nResent-To: old@b\nTo: older@c\n", "new@a"),
            // Nobody is named by whoever sent it again: the block does not say whom it is for.
            ("Resent-From: x@y\nTo: a@b\n", "a@b"),
        ] {
            assert_eq!(read(header).expect(header).join(" "), expected, "{header}");
        }
    }

    #[test]
    fn what_is_no_address_is_named() {
        let error = read("To: a@b\nCc: John Doe, c@d\n").expect_err("no address");
        assert_eq!(error, "`John Doe` in the Cc field is no address");
    }
}
